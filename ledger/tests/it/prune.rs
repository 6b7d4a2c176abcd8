//! What retention takes, what it keeps because it is needed, and that the log stays provable.

use std::path::Path;

use domain::time::DAY;
use domain::{Outcome, Timestamp};
use ledger::proof::Trust;
use ledger::{
    Entry, Error, Kind, Needed, Report, Retention, Seq, Snapshot, VerifyOptions, Writer, keys_of, verify,
};
use serde_json::json;

use crate::support::*;

const LATER: Timestamp = Timestamp(NOW.0 + 100 * DAY);

fn check(folder: &Path) -> Report {
    verify(folder, &VerifyOptions::default(), |_, _| ()).unwrap()
}

/// Old rows and new ones; everybody's stored state is as of the last old row.
fn filled(writer: &mut Writer) -> Seq {
    writer.append(NOW, &[row(Kind::Start, 1), row(Kind::Certificate, 2)]).unwrap();
    let promise = |mut entry: Entry, until: Timestamp| {
        if entry.outcome == Some(Outcome::Granted) {
            entry.body = format!("{{\"valid_until\":{}}}", until.0);
        }
        entry
    };
    let old = decisions(writer, 0..200, 10).into_iter().map(|entry| promise(entry, NOW));
    writer.append(NOW, &old.collect::<Vec<_>>()).unwrap();
    let open = decisions(writer, 200..204, 10).into_iter().map(|entry| promise(entry, LATER));
    writer.append(NOW, &open.collect::<Vec<_>>()).unwrap();
    let last = Seq(writer.size());
    let members: Vec<_> = (0..10).map(|n| writer.keys().member(&raw_member(n)).unwrap().unwrap()).collect();
    let states = members.iter().map(|member| Snapshot {
        member: *member,
        as_of: last,
        state: state(writer, *member, "state", None),
    });
    let states: Vec<_> = states.collect();
    writer.save(NOW, &states).unwrap();
    writer.relay(ledger::RELAYS[0]).unwrap().advance(last);
    writer.append(LATER, &[row(Kind::Start, 3), row(Kind::Certificate, 4)]).unwrap();
    writer.append(LATER, &decisions(writer, 300..340, 10)).unwrap();
    last
}

fn row(kind: Kind, number: u64) -> Entry {
    Entry::new(kind, record_id(7_000_000 + number), format!("{{\"v\":1,\"number\":{number}}}"))
}

fn older_than(days: i64) -> Option<Timestamp> {
    Some(Timestamp(LATER.0 - days * DAY))
}

#[test]
fn old_rows_lose_their_parts_and_every_proof_holds() {
    let (folder, mut writer) = ledger();
    let last = filled(&mut writer);
    let head = writer.reader().unwrap().last_checkpoint().unwrap().unwrap();
    let keys = keys_of(folder.path()).unwrap();
    let opened = keys.open(&head.note).unwrap();
    let reader = writer.reader().unwrap();
    let proof = reader.prove(Seq(20), &opened, &head.note).unwrap();
    let (root, size) = (writer.root(), writer.size());

    let sealed_only = Retention { sealed_before: older_than(30), bodies_before: None };
    let done = writer.prune(LATER, sealed_only, &json!({})).unwrap();
    assert_eq!((done.sealed, done.bodies), (203, 0), "{done:?}");
    assert_eq!(done.needed[&Needed::Promise], 1);
    let all = Retention { sealed_before: older_than(30), bodies_before: older_than(60) };
    let done = writer.prune(LATER, all, &json!({"sealed_days": 30})).unwrap();
    assert_eq!((done.sealed, done.bodies), (0, 204), "{done:?}");
    assert_eq!(writer.prune(LATER, all, &json!({})).unwrap().seqs, [], "nothing is left to do");
    let reader = writer.reader().unwrap();
    for row in reader.after(Seq::START, 1_000).unwrap() {
        let open = row.outcome == Some(Outcome::Granted) && row.seq.0 > last.0 - 4 && row.seq <= last;
        let gone = row.seq <= last && !open && matches!(row.kind, Kind::Decision | Kind::Certificate);
        assert_eq!(row.body.is_none(), gone, "row {}", row.seq);
        assert_eq!(row.sealed.is_none(), row.sealed_digest.is_none() || gone, "row {}", row.seq);
    }
    // Redelivered events still find their rows.
    assert!(reader.contains_event(&event_id(3)).unwrap());
    assert_eq!(reader.root_at(size).unwrap(), root);
    assert_eq!(proof.check(&Trust { key: Some(keys), head: None }).unwrap(), opened);
    assert!(matches!(reader.prove(Seq(20), &opened, &head.note), Err(Error::Cut { seq: Seq(20) })));
    drop(reader);
    writer.compact().unwrap();
    drop(writer);
    let report = check(folder.path());
    assert_eq!((report.findings, report.pruned), (vec![], 204));
    drop(open(folder.path()));
}

#[test]
fn what_is_needed_stays_whatever_its_age() {
    let (_folder, mut writer) = ledger();
    let all = Retention { sealed_before: older_than(-1), bodies_before: older_than(-1) };
    let last = filled(&mut writer);
    // Rows after the states, the negotiation of this run, grants not published, promises that have not run out.
    let found = writer.reader().unwrap().prunable(all, LATER).unwrap();
    let needed = |what| found.needed.get(&what).copied().unwrap_or(0);
    assert_eq!(needed(Needed::State), 30);
    assert_eq!(
        (needed(Needed::PresentRun), needed(Needed::Unpublished), needed(Needed::Promise)),
        (1, 10, 1)
    );
    assert_eq!(found.behind.len(), 10, "members whose state could be written first");
    assert!(found.bodies.iter().all(|seq| *seq <= last.0));
    let member = writer.keys().member(&raw_member(3)).unwrap().unwrap();
    writer.add_hold(LATER, Some(member), "case").unwrap();
    let held = writer.reader().unwrap().prunable(all, LATER).unwrap();
    assert_eq!(found.bodies.len() - held.bodies.len(), 20, "a tenth of the old rows");
    writer.add_hold(LATER, None, "audit").unwrap();
    assert!(matches!(writer.prune(LATER, all, &json!({})), Err(Error::Held { .. })));
    writer.release_hold(LATER, None, "over").unwrap();
    writer.prune(LATER, all, &json!({})).unwrap();
    let kept = writer.reader().unwrap().member_after(member, Seq::START, 1_000).unwrap();
    assert!(kept.iter().all(|row| row.body.is_some() && row.kind == Kind::Hold || row.sealed.is_some()));
}

#[test]
fn erasing_and_pruning_may_follow_each_other() {
    let (folder, mut writer) = ledger();
    filled(&mut writer);
    let all = Retention { sealed_before: older_than(30), bodies_before: older_than(30) };
    let member = |writer: &Writer, number| writer.keys().member(&raw_member(number)).unwrap().unwrap();
    let (first, second) = (member(&writer, 1), member(&writer, 2));
    writer.erase(LATER, first, "request").unwrap();
    let pruned = writer.prune(LATER, all, &json!({})).unwrap();
    assert!(pruned.bodies > 180);
    writer.erase(LATER, second, "request").unwrap();
    drop(writer);
    assert_eq!(check(folder.path()).findings, []);
    drop(open(folder.path()));
}

#[test]
fn a_pruned_row_cannot_be_changed() {
    let (folder, mut writer) = ledger();
    filled(&mut writer);
    let all = Retention { sealed_before: older_than(30), bodies_before: older_than(30) };
    writer.prune(LATER, all, &json!({})).unwrap();
    drop(writer);
    intruder(folder.path())
        .execute_batch(
            "DROP TRIGGER record_refuses_update; UPDATE record SET reward = 'voucher-50' WHERE seq = 30;
             CREATE TRIGGER record_refuses_update BEFORE UPDATE ON record
BEGIN SELECT RAISE(ABORT, 'record is append-only: update refused'); END;",
        )
        .unwrap();
    let report = check(folder.path());
    assert!(report.findings[0].what.contains("what is left"), "{:?}", report.findings);
}
