//! What is written is there, once, in order, and after a restart.

use domain::{Micros, Timestamp};
use ledger::{DataKey, Debit, Entry, Error, Filter, Kind, Reader, Seq, Snapshot, Writer};

use crate::support::*;

#[test]
fn a_batch_is_read_back_by_every_id() {
    let (folder, mut writer) = ledger();
    let batch = decisions(&writer, 0..300, 40);
    let appended = writer.append(NOW, &batch).unwrap();
    assert_eq!((appended.first, appended.count), (Seq(2), 300));
    let reader = Reader::open(folder.path()).unwrap();
    for at in [0, 7, 299] {
        let row = reader.event(&event_id(at)).unwrap().unwrap();
        assert_eq!(row.seq, appended.seq(usize::try_from(at).unwrap()));
        assert_eq!(reader.record(&record_id(at)).unwrap().as_ref(), Some(&row));
        assert_eq!(reader.row(row.seq).unwrap().as_ref(), Some(&row));
        let entry = &batch[usize::try_from(at).unwrap()];
        assert_eq!((row.member, row.outcome, row.reason), (entry.member, entry.outcome, entry.reason));
        assert_eq!(row.body.as_ref(), Some(&entry.body));
        let key: DataKey = writer.keys().find(row.member.unwrap()).unwrap().unwrap();
        let personal = key.open(&row.record_id, &row.sealed.unwrap()).unwrap();
        assert!(String::from_utf8(personal).unwrap().contains(CANARY));
    }
    assert!(!reader.contains_event(&event_id(300)).unwrap());
    let known = reader.event_seqs([&event_id(5), &event_id(9999)]).unwrap();
    assert_eq!(known, [Some(appended.seq(5)), None]);
}

#[test]
fn filters_and_pages_select_what_they_say() {
    let (folder, mut writer) = ledger();
    for batch in 0..4u64 {
        let entries = decisions(&writer, batch * 100..batch * 100 + 100, 40);
        writer.append(Timestamp(NOW.0 + 1_000 * (batch.cast_signed() + 1)), &entries).unwrap();
    }
    let reader = Reader::open(folder.path()).unwrap();
    let count = |filter: Filter| reader.list(&Filter { limit: 1_000, ..filter }).unwrap().len();
    assert_eq!(count(Filter::default()), 401);
    assert_eq!(count(Filter { kind: Some(Kind::Genesis), ..Filter::default() }), 1);
    assert_eq!(count(Filter { outcome: Some(domain::Outcome::Granted), ..Filter::default() }), 100);
    assert_eq!(count(Filter { segment: Some("vip".into()), ..Filter::default() }), 134);
    assert_eq!(count(Filter { recorded_since: Some(Timestamp(NOW.0 + 3_000)), ..Filter::default() }), 200);
    let middle = Filter {
        recorded_since: Some(Timestamp(NOW.0 + 1_001)),
        recorded_until: Some(Timestamp(NOW.0 + 3_000)),
        ..Filter::default()
    };
    assert_eq!(count(middle), 100);
    let newest = reader.list(&Filter { newest_first: true, limit: 2, ..Filter::default() }).unwrap();
    assert_eq!(newest.iter().map(|row| row.seq).collect::<Vec<_>>(), [Seq(401), Seq(400)]);
    let member = newest[0].member.unwrap();
    let rows = reader.member_after(member, Seq::START, 1_000).unwrap();
    assert_eq!(rows.len(), 10);
    assert_eq!(reader.member_after(member, rows[8].seq, 1_000).unwrap().len(), 1);
    let total: u64 = reader.counts().unwrap().iter().map(|count| count.rows).sum();
    assert_eq!(total, 401);
}

#[test]
fn a_restart_continues_the_same_log() {
    let (folder, mut writer) = ledger();
    writer.append(NOW, &decisions(&writer, 0..777, 50)).unwrap();
    let root = writer.root();
    drop(writer);
    let (mut writer, recovery) = Writer::open(&options(folder.path())).unwrap();
    assert_eq!((recovery.created, recovery.rows, recovery.root, recovery.epoch), (false, 778, root, 2));
    assert_eq!(
        recovery.checkpoint.as_ref().map(|checkpoint| (checkpoint.size, checkpoint.root)),
        Some((778, root))
    );
    assert_eq!(writer.append(NOW, &decisions(&writer, 777..778, 50)).unwrap().first, Seq(779));
}

#[test]
fn an_event_is_answered_once() {
    let (folder, mut writer) = ledger();
    writer.append(NOW, &decisions(&writer, 0..10, 5)).unwrap();
    let again = Entry { record_id: [9; 16], ..decision(&writer, 3, 5) };
    let batch = [decision(&writer, 10, 5), again];
    let refused = writer.append(NOW, &batch);
    assert!(
        matches!(refused, Err(Error::DuplicateEvent { ref event_id, seq: Seq(5) }) if *event_id == crate::support::event_id(3)),
        "{refused:?}"
    );
    assert_eq!(writer.size(), 11);
    assert!(
        !Reader::open(folder.path()).unwrap().contains_event(&event_id(10)).unwrap(),
        "nothing of the batch is written"
    );
    let twice = [decision(&writer, 11, 5), Entry { record_id: [8; 16], ..decision(&writer, 11, 5) }];
    assert!(matches!(writer.append(NOW, &twice), Err(Error::DuplicateEvent { seq: Seq(12), .. })));
    let same_record = Entry { event_id: None, ..decision(&writer, 3, 5) };
    assert!(matches!(writer.append(NOW, &[same_record]), Err(Error::DuplicateRecord(_))));
    writer.append(NOW, &batch[..1]).unwrap();
}

#[test]
fn a_budget_is_never_overspent_and_a_refused_batch_changes_nothing() {
    let (folder, mut writer) = ledger();
    writer.append(NOW, &[open_budget("global", 100)]).unwrap();
    let spend = |writer: &Writer, number, debits: Vec<Debit>| Entry { debits, ..decision(writer, number, 5) };
    let global = || "global".into();
    let hold = spend(&writer, 1, vec![Debit::reserve(global(), Micros(60))]);
    let commit = spend(
        &writer,
        2,
        vec![Debit::commit_reserved(global(), Micros(20)), Debit::commit(global(), Micros(40))],
    );
    writer.append(NOW, &[hold, commit]).unwrap();
    let over = [
        spend(&writer, 3, vec![Debit::release(global(), Micros(40))]),
        spend(&writer, 4, vec![Debit::commit(global(), Micros(41))]),
    ];
    assert!(matches!(writer.append(NOW, &over), Err(Error::Overspent { entry: 1, committed: 101, .. })));
    let balance = writer.balance("global").unwrap();
    assert_eq!((balance.reserved, balance.committed, balance.free()), (Micros(40), Micros(60), Micros(0)));
    let below = Entry {
        debits: vec![Debit::limit(global(), Micros(99))],
        ..Entry::new(Kind::Budget, [3; 16], "{}".into())
    };
    assert!(matches!(writer.append(NOW, &[below]), Err(Error::Overspent { .. })));
    let unopened = spend(&writer, 5, vec![Debit::commit("nobody".into(), Micros(1))]);
    assert!(matches!(writer.append(NOW, &[unopened]), Err(Error::UnknownBudget(_))));
    let reader = Reader::open(folder.path()).unwrap();
    assert_eq!(reader.budgets().unwrap(), [("global".to_owned(), balance)]);
    assert_eq!(reader.row(Seq(4)).unwrap().unwrap().debits[1].committed_after, Micros(60));
    drop(writer);
    assert_eq!(open(folder.path()).balance("global"), Some(balance));
}

#[test]
fn a_member_is_its_state_and_the_rows_after_it() {
    let (folder, mut writer) = ledger();
    let mut batch = decisions(&writer, 0..30, 3);
    let member = batch[10].member.unwrap();
    batch[10].snapshot = Some(state(&writer, member, "after ten", Some(Timestamp(500))));
    let appended = writer.append(NOW, &batch).unwrap();
    let reader = Reader::open(folder.path()).unwrap();
    let stored = reader.state(member).unwrap().unwrap();
    assert_eq!((stored.as_of, stored.next_due), (appended.seq(10), Some(Timestamp(500))));
    let key = writer.keys().key_for(member).unwrap();
    assert_eq!(key.open_state(member, &stored.ciphertext).unwrap(), b"after ten");
    assert_eq!(reader.due(Timestamp(499), 10).unwrap(), []);
    assert_eq!(reader.due(Timestamp(500), 10).unwrap(), [(member, Timestamp(500))]);
    assert_eq!(reader.next_due().unwrap(), Some(Timestamp(500)));
    let later = reader.member_after(member, stored.as_of, 100).unwrap();
    assert!(
        later.iter().all(|row| row.member == Some(member) && row.seq > stored.as_of) && !later.is_empty()
    );
    let newer = Snapshot { member, as_of: later[0].seq, state: state(&writer, member, "later", None) };
    writer.save(NOW, std::slice::from_ref(&newer)).unwrap();
    let older = Snapshot { as_of: Seq(2), ..newer.clone() };
    writer.save(NOW, &[older]).unwrap();
    assert_eq!(
        reader.state(member).unwrap().unwrap().as_of,
        newer.as_of,
        "an older state never replaces a newer one"
    );
    assert_eq!(reader.due(Timestamp(i64::MAX), 10).unwrap(), []);
}

#[test]
fn heads_are_due_by_rows_or_by_time() {
    let (_folder, mut writer) = ledger();
    assert!(writer.append(NOW, &decisions(&writer, 0..500, 50)).unwrap().checkpoint.is_none());
    let head = writer.append(NOW, &decisions(&writer, 500..1_000, 50)).unwrap().checkpoint.unwrap();
    assert_eq!((head.size, head.root), (1_001, writer.root()));
    let opened = writer.verifier().open(&head.note).unwrap();
    assert_eq!((opened.size, opened.root), (head.size, head.root));
    writer.append(NOW, &decisions(&writer, 1_000..1_001, 50)).unwrap();
    assert_eq!(writer.tick(Timestamp(NOW.0 + 999_999)).unwrap(), None);
    assert_eq!(writer.tick(Timestamp(NOW.0 + 1_000_000)).unwrap().unwrap().size, 1_002);
    assert_eq!(writer.tick(Timestamp(NOW.0 + 9_000_000)).unwrap(), None, "nothing new to sign");
}

#[test]
fn the_relay_position_survives_and_never_moves_back() {
    let (folder, mut writer) = ledger();
    let relay = writer.relay("nats").unwrap();
    relay.advance(Seq(40));
    relay.advance(Seq(12));
    writer.tick(NOW).unwrap();
    assert_eq!(Reader::open(folder.path()).unwrap().relay_position("nats").unwrap(), Seq(40));
    drop(writer);
    assert_eq!(open(folder.path()).relay("nats").unwrap().get(), Seq(40));
}

#[test]
fn recorded_time_never_goes_back() {
    let (folder, mut writer) = ledger();
    writer.append(Timestamp(NOW.0 + 100), &decisions(&writer, 0..1, 5)).unwrap();
    writer.append(Timestamp(NOW.0 - 100), &decisions(&writer, 1..2, 5)).unwrap();
    let rows = Reader::open(folder.path()).unwrap().after(Seq(1), 10).unwrap();
    assert_eq!(rows[1].recorded_at, rows[0].recorded_at);
}

#[test]
fn other_tools_read_stable_views() {
    let (folder, mut writer) = ledger();
    writer.append(NOW, &decisions(&writer, 0..8, 3)).unwrap();
    let other = intruder(folder.path());
    other.execute_batch("PRAGMA trusted_schema = OFF").unwrap();
    let one = |sql: &str| other.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap();
    let decision = "SELECT concat_ws(' ', outcome, reason, segment, touchpoint, best_net) FROM v_decisions WHERE seq = 3";
    assert_eq!(one(decision), "none PRICED_OUT loyal app 1200000");
    assert_eq!(
        one(
            "SELECT concat_ws(' ', reward_index, reason, rule) FROM v_candidates WHERE seq = 3 LIMIT 1 OFFSET 2"
        ),
        "2 NOT_ELIGIBLE 16"
    );
    assert_eq!(one("SELECT count(*) || '' FROM v_certificates"), "0");
    assert_eq!(one("SELECT count(*) || '' FROM v_outcomes"), "0");
    assert_eq!(one("SELECT count(*) || '' FROM v_budgets"), "0");
}

#[test]
fn a_ledger_that_is_being_written_can_be_checked() {
    let (folder, mut writer) = ledger();
    let _maintenance = ledger::Maintenance::start(folder.path()).unwrap();
    writer.append(NOW, &decisions(&writer, 0..3_000, 30)).unwrap();
    let path = folder.path().to_owned();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for from in (3_000..).step_by(50) {
                if done.load(std::sync::atomic::Ordering::Relaxed) {
                    break;
                }
                writer.append(NOW, &decisions(&writer, from..from + 50, 30)).unwrap();
            }
        });
        for _ in 0..5 {
            let report = ledger::verify(&path, &ledger::VerifyOptions::default(), |_, _| ()).unwrap();
            done.store(!report.is_verified(), std::sync::atomic::Ordering::Relaxed);
            assert_eq!(report.findings, []);
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}
