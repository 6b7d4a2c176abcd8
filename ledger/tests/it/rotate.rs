//! The signing key can be replaced, and nobody loses the way from the first key to the present one.

use std::path::Path;

use ledger::note::{NoteError, Verifier};
use ledger::proof::Trust;
use ledger::{Error, Files, KeyHistory, Kind, Reader, Report, Seq, VerifyOptions, Writer, keys_of, verify};

use crate::support::*;

fn check(folder: &Path, trusted: Option<KeyHistory>) -> Report {
    verify(folder, &VerifyOptions { trusted, ..VerifyOptions::default() }, |_, _| ()).unwrap()
}

fn first_key(folder: &Path) -> KeyHistory {
    let text = std::fs::read_to_string(folder.join("verifier.txt")).unwrap();
    KeyHistory::new(Verifier::from_text(text.lines().next().unwrap()).unwrap())
}

/// Rows of three keys, with heads of each; returns the rows of the rotations.
fn rotated(folder: &Path) -> [Seq; 2] {
    let mut writer = open(folder);
    let identity = writer.identity();
    writer.append(NOW, &decisions(&writer, 0..1_500, 20)).unwrap();
    let first = writer.rotate_key(NOW).unwrap();
    assert_eq!((first.seq, first.from.as_str()), (Seq(1_502), identity.as_str()));
    writer.append(NOW, &decisions(&writer, 1_500..2_700, 20)).unwrap();
    let second = writer.rotate_key(NOW).unwrap();
    writer.append(NOW, &decisions(&writer, 2_700..3_900, 20)).unwrap();
    assert_eq!(writer.identity(), identity, "the ledger is still the same");
    drop(writer);
    drop(open(folder));
    [first.seq, second.seq]
}

#[test]
fn a_rotated_ledger_opens_verifies_and_keeps_its_identity() {
    let (folder, before) = {
        let (folder, writer) = ledger();
        (folder, writer.identity())
    };
    let rotations = rotated(folder.path());
    let known = keys_of(folder.path()).unwrap();
    let seqs: Vec<Seq> = known.rotations().iter().map(|rotation| rotation.seq).collect();
    assert_eq!(seqs, rotations);
    assert_eq!(ledger::identity_of(folder.path()).unwrap().unwrap(), before);
    assert_eq!(open(folder.path()).identity(), before);
    let reader = Reader::open(folder.path()).unwrap();
    assert_eq!(reader.key_history().unwrap(), known);
    assert_eq!(reader.row(rotations[0]).unwrap().unwrap().kind, Kind::KeyRotation);
    // By the folder, by the first key alone, by the last alone, and by all of them.
    let last = KeyHistory::new(known.current().clone());
    for trusted in [None, Some(first_key(folder.path())), Some(last), Some(known)] {
        let report = check(folder.path(), trusted);
        assert_eq!(report.findings, []);
        assert!(report.heads >= 10, "heads of all three keys");
    }
    let stranger = ledger();
    let report = check(folder.path(), Some(first_key(stranger.0.path())));
    assert!(report.findings[0].what.contains("do not lead to"), "{:?}", report.findings);
}

#[test]
fn proofs_from_every_time_lead_back_to_the_first_key() {
    let (folder, _) = ledger();
    let [first, second] = rotated(folder.path());
    let (reader, keys) = (Reader::open(folder.path()).unwrap(), keys_of(folder.path()).unwrap());
    let trust = Trust { key: Some(first_key(folder.path())), head: None };
    for checkpoint in reader.checkpoints_after(0, 100).unwrap() {
        let head = keys.open(&checkpoint.note).unwrap();
        let proof = reader.prove(Seq(700.min(head.size)), &head, &checkpoint.note).unwrap();
        assert_eq!(proof.check(&trust).unwrap(), head);
        let passed = [first, second].iter().filter(|seq| seq.0 <= head.size).count();
        assert_eq!(proof.rotations.len(), passed);
    }
}

#[test]
fn a_retired_key_is_destroyed_and_its_later_heads_are_refused() {
    let (folder, writer) = ledger();
    drop(writer);
    // A thief has a copy of everything from before the rotation.
    let stolen = tempfile::tempdir().unwrap();
    for file in ["ledger.db", "keys.db", "master.key", "checkpoints.txt", "verifier.txt"] {
        std::fs::copy(folder.path().join(file), stolen.path().join(file)).unwrap();
    }
    let [first, _] = rotated(folder.path());
    let secrets = rusqlite::Connection::open(folder.path().join("keys.db")).unwrap();
    let names: String = secrets
        .query_row("SELECT group_concat(name) FROM secret WHERE name LIKE 'signing%'", [], |row| row.get(0))
        .unwrap();
    let current = keys_of(folder.path()).unwrap().current().identity();
    assert_eq!(names, format!("signing/{}", current.rsplit('+').next().unwrap()));
    // Put back beside the ledger, the old keys sign nothing.
    for file in ["keys.db", "master.key"] {
        std::fs::copy(stolen.path().join(file), folder.path().join(file)).unwrap();
    }
    let refused = Writer::open(&options(folder.path())).map(|_| ()).unwrap_err().to_string();
    assert!(refused.contains("the signing key") && refused.contains("is not there"), "{refused}");
    // Where the thief grows a copy of the log with them, its heads beyond the rotation are told from ours.
    let mut thief = open(stolen.path());
    thief.append(NOW, &decisions(&thief, 0..2_000, 20)).unwrap();
    drop(thief);
    let forged = Reader::open(stolen.path()).unwrap().last_checkpoint().unwrap().unwrap().note;
    let retired = keys_of(folder.path()).unwrap().open(&forged);
    assert!(
        matches!(retired, Err(NoteError::Retired { seq, size: 2_001, .. }) if seq == first.0),
        "{retired:?}"
    );
    let published = VerifyOptions { published: vec![forged], ..VerifyOptions::default() };
    let report = verify(folder.path(), &published, |_, _| ()).unwrap();
    assert!(
        report.findings.iter().any(|finding| finding.what.contains("was retired at row 1502")),
        "{report:?}"
    );
}

#[test]
fn a_crash_between_row_and_key_file_is_mended_at_the_next_start() {
    let (folder, writer) = ledger();
    drop(writer);
    let verifier = Files::of(folder.path(), None).verifier;
    let before = std::fs::read_to_string(&verifier).unwrap();
    open(folder.path()).rotate_key(NOW).unwrap();
    let after = std::fs::read_to_string(&verifier).unwrap();
    assert!(after.starts_with(&before) && after != before);
    std::fs::write(&verifier, &before).unwrap();
    assert_eq!(check(folder.path(), None).findings, [], "the rows alone lead on");
    drop(open(folder.path()));
    assert_eq!(std::fs::read_to_string(&verifier).unwrap(), after);
}

#[test]
fn a_new_key_that_no_row_ever_named_is_no_obstacle() {
    let (folder, mut writer) = ledger();
    // As a crash right after the key was made leaves it.
    rusqlite::Connection::open(folder.path().join("keys.db"))
        .unwrap()
        .execute("INSERT INTO secret (name, wrapped) VALUES ('signing/0badc0de', x'00')", [])
        .unwrap();
    writer.append(NOW, &decisions(&writer, 0..10, 5)).unwrap();
    drop(writer);
    let mut writer = open(folder.path());
    writer.rotate_key(NOW).unwrap();
    drop(writer);
    assert_eq!(check(folder.path(), None).findings, []);
}

#[test]
fn a_copy_from_before_a_rotation_is_noticed() {
    let (folder, writer) = ledger();
    drop(writer);
    let copy = folder.path().join("copy");
    std::fs::copy(folder.path().join("ledger.db"), &copy).unwrap();
    rotated(folder.path());
    std::fs::rename(&copy, folder.path().join("ledger.db")).unwrap();
    let refused = Writer::open(&options(folder.path())).map(|_| ());
    assert!(matches!(refused, Err(Error::Truncated { found: 1, published: 3_903 })), "{refused:?}");
    assert_eq!(check(folder.path(), None).first_bad, Some(Seq(2)));
    // Also when the heads are gone: the public keys know of rows that are not there.
    let without_heads = ledger::Options { heads_lost: true, ..options(folder.path()) };
    std::fs::remove_file(folder.path().join("checkpoints.txt")).unwrap();
    let refused = Writer::open(&without_heads).map(|_| ());
    assert!(matches!(refused, Err(Error::CheckpointFile { .. })), "{refused:?}");
}

#[test]
fn a_changed_rotation_row_is_named() {
    let (folder, _) = ledger();
    let [first, _] = rotated(folder.path());
    let edit = format!(
        "DROP TRIGGER record_refuses_update; UPDATE record SET body = replace(body, 'key-rotation/1', 'key-rotation/2') WHERE seq = {first}"
    );
    intruder(folder.path()).execute_batch(&edit).unwrap();
    assert_eq!(check(folder.path(), None).first_bad, Some(first));
    intruder(folder.path())
        .execute_batch(
            "CREATE TRIGGER record_refuses_update BEFORE UPDATE ON record
BEGIN SELECT RAISE(ABORT, 'record is append-only: update refused'); END;",
        )
        .unwrap();
    let refused = Writer::open(&options(folder.path())).map(|_| ());
    assert!(matches!(refused, Err(Error::KeyHistory { seq, .. }) if seq == first), "{refused:?}");
}
