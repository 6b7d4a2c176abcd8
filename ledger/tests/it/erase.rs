//! What erasing takes away, what it leaves, and that nobody can pass a change off as an erasure.

use std::collections::BTreeSet;
use std::path::Path;

use domain::{MemberId, Timestamp};
use ledger::proof::Trust;
use ledger::{
    DataKey, Entry, Error, KeyError, Keys, Kind, Options, Reader, Report, Retention, Seq, Snapshot,
    VerifyOptions, Writer, keys_of, verify,
};

use crate::support::*;
use crate::tamper::{leaf_of, tamper};

/// Rows of twenty members, some dead letters about the one who will be erased, and stored states.
fn filled(folder: &Path) -> MemberId {
    filled_with(&options(folder))
}

fn filled_with(options: &Options) -> MemberId {
    let mut writer = Writer::open(options).unwrap().0;
    writer.append(NOW, &decisions(&writer, 0..900, 20)).unwrap();
    writer.append(NOW, &[letter(&writer, 1, 3), letter(&writer, 2, 4)]).unwrap();
    let member = writer.keys().member(&raw_member(3)).unwrap().unwrap();
    let state = state(&writer, member, CANARY, Some(NOW));
    writer.save(NOW, &[Snapshot { member, as_of: Seq(900), state }]).unwrap();
    writer.append(NOW, &decisions(&writer, 900..1_200, 20)).unwrap();
    member
}

/// A refused event of a member, sealed under the program's key.
fn letter(writer: &Writer, number: u64, member: u64) -> Entry {
    let id = record_id(5_000_000 + number);
    let text = format!("{{\"member\":\"{}\",\"amount\":true}}", raw_member(member));
    let mut entry = Entry::new(Kind::DeadLetter, id, "{\"v\":1}".to_owned());
    entry.sealed = Some(writer.keys().program_key().seal(&id, text.as_bytes()));
    entry
}

fn check(folder: &Path) -> Report {
    verify(folder, &VerifyOptions::default(), |_, _| ()).unwrap()
}

/// Every file of the folder that holds these bytes.
fn holding(folder: &Path, bytes: &[u8]) -> Vec<String> {
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let holds = |path: &std::path::PathBuf| {
        std::fs::read(path).unwrap().windows(bytes.len()).any(|window| window == bytes)
    };
    files.filter(holds).map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect()
}

/// The wrapped key and sealed identifier of a member, as keys.db holds them.
fn stored_key(folder: &Path, member: MemberId) -> (Vec<u8>, Vec<u8>) {
    let keys = rusqlite::Connection::open(folder.join("keys.db")).unwrap();
    let sql = "SELECT wrapped, identity FROM member_key WHERE member = ?1";
    keys.query_row(sql, [member.0], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
}

#[test]
fn event_ids_of_others_that_hold_the_identifier_are_counted() {
    let (_folder, mut writer) = ledger();
    let (named, _) = writer.keys().enrol("4711").unwrap();
    let with = |number: u64, id: &str| Entry {
        event_id: Some(id.parse().unwrap()),
        ..decision(&writer, number, 10)
    };
    let own = Entry { member: Some(named), ..with(3, "own-4711") };
    let note = Entry::new(Kind::Operation, [9; 16], r#"{"why":"4711 called, and 47110"}"#.into());
    let entries = [with(1, "order-4711"), with(2, "order-47110"), own, note];
    writer.append(NOW, &entries).unwrap();
    for text in ["4711 asked for it", "to erase (4711)"] {
        assert!(matches!(writer.erase(NOW, named, text), Err(Error::NamesMember)), "{text}");
        assert!(matches!(writer.add_hold(NOW, Some(named), text), Err(Error::NamesMember)), "{text}");
    }
    assert_eq!(writer.erase(NOW, named, "ticket 47110").unwrap().mentions, 2);
}

#[test]
fn nothing_is_cut_out_of_a_log_that_is_not_as_it_was_written() {
    for change in [
        "UPDATE record SET reason = 7 WHERE seq = 78",
        "UPDATE record SET body = '{}' WHERE seq = 78",
        "UPDATE record SET member = x'00112233445566778899aabbccddeeff' WHERE seq = 78",
    ] {
        let (folder, mut writer) = ledger();
        writer.append(NOW, &decisions(&writer, 0..300, 20)).unwrap();
        let member = writer.keys().member(&raw_member(3)).unwrap().unwrap();
        drop(writer);
        tamper(folder.path(), change);
        let mut writer = Writer::open(&options(folder.path())).unwrap().0;
        let refused = writer.erase(NOW, member, "asked for it");
        assert!(matches!(refused, Err(Error::Altered { seq: Seq(78), .. })), "{change}: {refused:?}");
        let days = serde_json::json!({});
        let far = Some(Timestamp(i64::MAX));
        let all = Retention { sealed_before: far, bodies_before: far };
        let refused = writer.prune(NOW, all, &days);
        assert!(matches!(refused, Err(Error::Altered { seq: Seq(78), .. })), "{change}: {refused:?}");
    }
}

#[test]
fn a_tile_made_to_fit_an_edited_row_does_not_fit_the_tree_above_it() {
    let (folder, mut writer) = ledger();
    // With 65,536 rows a tile of the next level is full, and a start looks no lower than that.
    for from in (0..66_000).step_by(1_000) {
        writer.append(NOW, &decisions(&writer, from..from + 1_000, 20)).unwrap();
    }
    let member = writer.keys().member(&raw_member(3)).unwrap().unwrap();
    drop(writer);
    tamper(
        folder.path(),
        "UPDATE record SET member = (SELECT member FROM record WHERE seq = 79) WHERE seq = 78",
    );
    let fits = domain::digest::hex(&leaf_of(folder.path(), 78));
    tamper(folder.path(), &format!("UPDATE record SET leaf = x'{fits}' WHERE seq = 78"));
    let mut tile = ledger::merkle::Frontier::default();
    let connection = intruder(folder.path());
    let mut leaves = connection.prepare("SELECT leaf FROM record WHERE seq <= 256 ORDER BY seq").unwrap();
    for leaf in leaves.query_map([], |row| row.get::<_, [u8; 32]>(0)).unwrap() {
        tile.push(domain::Digest(leaf.unwrap()), |_, _, _| ());
    }
    drop(leaves);
    drop(connection);
    let fits = domain::digest::hex(&tile.root().0);
    tamper(folder.path(), &format!("UPDATE log_node SET hash = x'{fits}' WHERE level = 8 AND idx = 0"));
    let mut writer = Writer::open(&options(folder.path())).unwrap().0;
    let refused = writer.erase(NOW, member, "asked for it");
    assert!(matches!(refused, Err(Error::Tail { seq: Seq(1), .. })), "{refused:?}");
}

#[test]
fn an_index_that_hides_rows_does_not_keep_them_from_erasure() {
    let (folder, _) = ledger();
    let member = filled(folder.path());
    let reader = Reader::open(folder.path()).unwrap();
    let rows = reader.rows_of(member).unwrap().len();
    assert!(rows > 5 && rows == reader.member_after(member, Seq::START, 1_000).unwrap().len());
    drop(reader);
    intruder(folder.path())
        .execute_batch(
            "DELETE FROM member_index; DELETE FROM recent;
             INSERT INTO recent SELECT max(seq), zeroblob(16 * max(seq)) FROM record;",
        )
        .unwrap();
    let mut writer = open(folder.path());
    let reader = writer.reader().unwrap();
    assert!(reader.member_after(member, Seq::START, 1_000).unwrap().is_empty(), "the index hides them");
    assert_eq!(reader.rows_of(member).unwrap().len(), rows);
    drop(reader);
    assert_eq!(writer.erase(NOW, member, "request 17").unwrap().rows, rows as u64);
}

#[test]
fn an_erased_member_leaves_no_byte_and_every_proof_holds() {
    let (folder, _) = ledger();
    let member = filled(folder.path());
    let reader = Reader::open(folder.path()).unwrap();
    let rows = reader.member_after(member, Seq::START, 1_000).unwrap();
    let keys = keys_of(folder.path()).unwrap();
    let head = reader.last_checkpoint().unwrap().unwrap();
    let opened = keys.open(&head.note).unwrap();
    let proof = reader.prove(rows[0].seq, &opened, &head.note).unwrap();
    let (wrapped, identity) = stored_key(folder.path(), member);
    let event = rows[0].event_id.clone().unwrap();
    assert!(
        !holding(folder.path(), &wrapped).is_empty()
            && !holding(folder.path(), event.as_str().as_bytes()).is_empty()
    );
    drop(reader);

    let mut writer = open(folder.path());
    let root_before = writer.root();
    let size = writer.size();
    let erased = writer.erase(Timestamp(NOW.0 + 5), member, "request 17").unwrap();
    assert_eq!((erased.seq, erased.rows, erased.dead_letters), (Seq(size + 1), rows.len() as u64, 1));
    assert!(matches!(writer.erase(NOW, member, "again"), Err(Error::Keys(KeyError::Erased(_)))));
    assert!(matches!(writer.keys().find(member), Err(KeyError::Erased(_))));
    drop(writer);

    for bytes in [&wrapped[..], &identity[..]] {
        assert_eq!(holding(folder.path(), bytes), [""; 0], "key bytes are left");
    }
    for row in &rows {
        let event = row.event_id.as_ref().unwrap().as_str().as_bytes();
        assert_eq!(holding(folder.path(), event), [""; 0], "an event id is left");
        assert_eq!(
            holding(folder.path(), &row.sealed.as_ref().unwrap()[..40]),
            [""; 0],
            "a sealed part is left"
        );
    }
    let report = check(folder.path());
    assert_eq!(report.findings, []);
    assert_eq!(report.pruned, rows.len() as u64 + 1);
    // The tree is the same: the old proof holds, and the log only grew.
    assert_eq!(proof.check(&Trust { key: Some(keys.clone()), head: None }).unwrap(), opened);
    let reader = Reader::open(folder.path()).unwrap();
    assert_eq!(reader.root_at(size).unwrap(), root_before);
    let refused = reader.prove(rows[0].seq, &opened, &head.note).map(|_| ());
    assert!(matches!(refused, Err(Error::Cut { seq }) if seq == rows[0].seq), "{refused:?}");
    reader.prove(Seq(2), &opened, &head.note).unwrap();
    let logged = reader.row(erased.seq).unwrap().unwrap();
    assert_eq!((logged.kind, logged.member), (Kind::Erasure, Some(member)));
    assert!(logged.body.unwrap().contains("request 17"));
    assert_eq!(reader.state(member).unwrap(), None);
    assert!(!reader.contains_event(&event).unwrap());
    drop(open(folder.path()));
    assert_eq!(check(folder.path()).findings, [], "and it goes on");
}

#[test]
fn the_same_person_comes_back_as_somebody_else() {
    let (folder, _) = ledger();
    let member = filled(folder.path());
    let mut writer = open(folder.path());
    writer.erase(NOW, member, "request").unwrap();
    assert_eq!(writer.keys().member(&raw_member(3)).unwrap(), None, "nothing leads to the pseudonym");
    let (again, _) = writer.keys().enrol(&raw_member(3)).unwrap();
    assert_ne!(again, member);
    writer.append(NOW, &decisions(&writer, 2_000..2_100, 20)).unwrap();
    drop(writer);
    let keys = Keys::open_in(folder.path(), None).unwrap();
    assert_eq!(keys.member(&raw_member(3)).unwrap(), Some(again));
    assert_eq!(keys.identity(again).unwrap(), Some(raw_member(3)));
    assert!(matches!(keys.identity(member), Err(KeyError::Erased(_))));
    let reader = Reader::open(folder.path()).unwrap();
    assert!(reader.member_after(again, Seq::START, 1_000).unwrap().iter().all(|row| row.seq > Seq(1_203)));
    assert_eq!(check(folder.path()).findings, []);
}

#[test]
fn erasing_one_leaves_the_others() {
    let (folder, _) = ledger();
    let member = filled(folder.path());
    let mut writer = open(folder.path());
    writer.erase(NOW, member, "request").unwrap();
    drop(writer);
    let (reader, keys) = (Reader::open(folder.path()).unwrap(), Keys::open_in(folder.path(), None).unwrap());
    for number in (0..20).filter(|number| *number != 3) {
        let other = keys.member(&raw_member(number)).unwrap().unwrap();
        let key: DataKey = keys.find(other).unwrap().unwrap();
        for row in reader.member_after(other, Seq::START, 1_000).unwrap() {
            assert!(key.open(&row.record_id, &row.sealed.unwrap()).is_ok());
            assert_eq!(reader.event_seq(&row.event_id.unwrap()).unwrap(), Some(row.seq));
        }
    }
    let letters = reader.of_kinds(&[Kind::DeadLetter]).unwrap();
    assert_eq!(letters.iter().map(|row| row.sealed.is_some()).collect::<Vec<_>>(), [false, true]);
}

/// With an index whose slices took their turn, and one that is still in memory.
#[test]
fn the_index_forgets_wherever_it_keeps_a_row() {
    for index_turn_rows in [1, 3, 1_000_000] {
        let folder = tempfile::tempdir().unwrap();
        let options = Options { index_turn_rows, ..options(folder.path()) };
        let member = filled_with(&options);
        let mut writer = Writer::open(&options).unwrap().0;
        let rows = writer.reader().unwrap().member_after(member, Seq::START, 1_000).unwrap();
        writer.erase(NOW, member, "request").unwrap();
        let reader = writer.reader().unwrap();
        for row in &rows {
            assert!(!reader.contains_event(row.event_id.as_ref().unwrap()).unwrap());
        }
        writer.append(NOW, &decisions(&writer, 3_000..3_700, 20)).unwrap();
        drop(writer);
        assert_eq!(check(folder.path()).findings, [], "turns of {index_turn_rows} rows");
    }
}

#[test]
fn a_crash_before_the_key_is_destroyed_is_finished_by_the_next_start() {
    let (folder, _) = ledger();
    let member = filled(folder.path());
    let before = tempfile::tempdir().unwrap();
    std::fs::copy(folder.path().join("keys.db"), before.path().join("keys.db")).unwrap();
    open(folder.path()).erase(NOW, member, "request").unwrap();
    // As it was when the row was durable and the key still there.
    std::fs::copy(before.path().join("keys.db"), folder.path().join("keys.db")).unwrap();
    let (wrapped, _) = stored_key(folder.path(), member);
    let keys = Keys::open_in(folder.path(), None).unwrap();
    assert!(keys.find(member).unwrap().is_some());
    drop(keys);
    drop(open(folder.path()));
    let keys = Keys::open_in(folder.path(), None).unwrap();
    assert!(matches!(keys.find(member), Err(KeyError::Erased(_))));
    assert_eq!(keys.member(&raw_member(3)).unwrap(), None);
    assert_eq!(holding(folder.path(), &wrapped), [""; 0]);
}

#[test]
fn what_is_left_of_an_erased_row_cannot_be_changed() {
    let (folder, _) = ledger();
    let member = filled(folder.path());
    let seq = Reader::open(folder.path()).unwrap().member_after(member, Seq::START, 1).unwrap()[0].seq;
    open(folder.path()).erase(NOW, member, "request").unwrap();
    let drop_guard = "DROP TRIGGER record_refuses_update;";
    let guard = "CREATE TRIGGER record_refuses_update BEFORE UPDATE ON record
BEGIN SELECT RAISE(ABORT, 'record is append-only: update refused'); END;";
    let edits = [
        format!("UPDATE record SET outcome = 3 WHERE seq = {seq}"),
        format!("UPDATE record SET body = replace(body, 'nothing', 'somewhat') WHERE seq = {seq}"),
        format!("UPDATE record SET member = zeroblob(16) WHERE seq = {seq}"),
        // Rows nobody erased, dressed up as erased ones.
        "UPDATE record SET body = NULL WHERE seq = 2".to_owned(),
        "UPDATE record SET event_id = NULL, outcome = 3 WHERE seq = 2".to_owned(),
        "UPDATE record SET sealed = NULL WHERE seq = 2".to_owned(),
    ];
    let copy = tempfile::tempdir().unwrap();
    for file in ["ledger.db", "keys.db", "master.key", "checkpoints.txt", "verifier.txt"] {
        std::fs::copy(folder.path().join(file), copy.path().join(file)).unwrap();
    }
    Reader::open(folder.path()).unwrap().vouch([Seq(2), seq]).unwrap();
    for edit in edits {
        std::fs::copy(copy.path().join("ledger.db"), folder.path().join("ledger.db")).unwrap();
        intruder(folder.path()).execute_batch(&format!("{drop_guard} {edit}; {guard}")).unwrap();
        let report = check(folder.path());
        let said: Vec<_> = report.findings.iter().map(|finding| finding.what.clone()).collect();
        assert!(said.iter().any(|what| what.contains("what is left")), "{edit}: {said:?}");
        let answer = Reader::open(folder.path()).unwrap().vouch([Seq(2), seq]);
        assert!(matches!(answer, Err(Error::Damaged(_) | Error::Altered { .. })), "{edit}: {answer:?}");
        // Nor does the next erasure cover it up.
        let mut writer = open(folder.path());
        let other = writer.keys().member(&raw_member(7)).unwrap().unwrap();
        let refused = writer.erase(NOW, other, "request").map(|_| ());
        assert!(matches!(refused, Err(Error::Damaged(_) | Error::Altered { .. })), "{edit}: {refused:?}");
    }
}

#[test]
fn a_hold_keeps_a_member_and_its_release_lets_go() {
    let (folder, _) = ledger();
    let member = filled(folder.path());
    let mut writer = open(folder.path());
    writer.add_hold(NOW, Some(member), "case 9").unwrap();
    let refused = writer.erase(NOW, member, "request").map(|_| ()).unwrap_err();
    assert!(matches!(refused, Error::Held { .. }), "{refused}");
    let other = writer.keys().member(&raw_member(5)).unwrap().unwrap();
    writer.erase(NOW, other, "request").unwrap();
    writer.add_hold(NOW, None, "audit").unwrap();
    writer.release_hold(NOW, Some(member), "case closed").unwrap();
    assert!(matches!(writer.erase(NOW, member, "request"), Err(Error::Held { .. })), "the other hold stays");
    let held: Vec<_> = writer.reader().unwrap().legal_holds().unwrap();
    assert_eq!(
        held.iter().map(|hold| (hold.member, hold.reason.as_str())).collect::<Vec<_>>(),
        [(None, "audit")]
    );
    writer.release_hold(NOW, None, "audit over").unwrap();
    writer.erase(NOW, member, "request").unwrap();
}

#[test]
fn keys_of_the_first_format_are_read_and_their_members_stay_who_they_are() {
    let (folder, writer) = ledger();
    drop(writer);
    let keys = rusqlite::Connection::open(folder.path().join("keys.db")).unwrap();
    keys.execute_batch("DROP TABLE member_name; PRAGMA user_version = 1").unwrap();
    // In format 1 the keyed hash of the identifier was the pseudonym.
    let writer = open(folder.path());
    let (member, _) = writer.keys().enrol("old").unwrap();
    drop(writer);
    let sql = "SELECT handle FROM member_name WHERE member = ?1";
    assert!(
        keys.query_row(sql, [member.0], |row| row.get::<_, Vec<u8>>(0)).is_err(),
        "not durable without a row"
    );
    let mut writer = open(folder.path());
    writer.append(NOW, &decisions(&writer, 0..1, 1)).unwrap();
    let (member, _) = writer.keys().enrol(&raw_member(0)).unwrap();
    drop(writer);
    let handle: Vec<u8> = keys.query_row(sql, [member.0], |row| row.get(0)).unwrap();
    assert_ne!(handle, member.0, "a new pseudonym says nothing about the identifier");
    keys.execute_batch("DELETE FROM member_name").unwrap();
    keys.execute("INSERT INTO member_key (member, wrapped) VALUES (?1, x'00')", [&handle]).unwrap();
    drop(keys);
    let keys = Keys::open_in(folder.path(), None).unwrap();
    assert_eq!(keys.member(&raw_member(0)).unwrap().unwrap().0.as_slice(), handle);
}

#[test]
fn pseudonyms_are_unrelated_to_each_other() {
    let (_folder, writer) = ledger();
    let members: BTreeSet<_> =
        (0..200).map(|number| writer.keys().enrol(&raw_member(number)).unwrap().0).collect();
    assert_eq!(members.len(), 200);
    for number in 0..200 {
        let (member, _) = writer.keys().enrol(&raw_member(number)).unwrap();
        assert!(members.contains(&member), "the second look finds the first pseudonym");
    }
}
