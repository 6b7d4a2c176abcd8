//! What is not this ledger is refused with advice, and never changed.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use domain::Reason;
use ledger::{Error, Filter, KeyError, Keys, Options, Reader, VerifyOptions, Writer, verify};
use rusqlite::Connection;

use crate::support::*;

#[track_caller]
fn refused(folder: &Path) -> Error {
    match Writer::open(&options(folder)) {
        Ok(_) => panic!("the ledger was opened"),
        Err(error) => error,
    }
}

#[test]
fn garbage_is_refused_and_left_alone() {
    for bytes in [b"".as_slice(), b"hello", &[7; 5_000]] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ledger.db"), bytes).unwrap();
        assert!(matches!(refused(folder.path()), Error::Foreign { .. }));
        assert!(matches!(Reader::open(folder.path()), Err(Error::Foreign { .. })));
        assert_eq!(std::fs::read(folder.path().join("ledger.db")).unwrap(), bytes);
    }
}

#[test]
fn another_programs_database_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE theirs (a)").unwrap();
    let before = std::fs::read(&path).unwrap();
    assert!(refused(folder.path()).to_string().contains("application id 0x0"));
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

/// A checkpoint copies the first page first. Cut short there, the file names pages it does not have yet; the WAL
/// has them.
#[test]
fn a_ledger_is_opened_whose_checkpoint_was_cut_short() {
    let (folder, mut writer) = ledger();
    for batch in 0..8 {
        writer.append(NOW, &decisions(&writer, batch * 100..(batch + 1) * 100, 9)).unwrap();
    }
    let copy = || {
        let copy = tempfile::tempdir().unwrap();
        for file in std::fs::read_dir(folder.path()).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
        }
        std::fs::remove_file(copy.path().join("ledger.db-shm")).unwrap();
        copy
    };
    let (cut, whole) = (copy(), copy());
    let connection = Connection::open(whole.path().join("ledger.db")).unwrap();
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    let bytes = std::fs::read(whole.path().join("ledger.db")).unwrap();
    let before = std::fs::metadata(folder.path().join("ledger.db")).unwrap().len() as usize;
    assert!(bytes.len() > before, "the checkpoint must have something to add");
    std::fs::write(cut.path().join("ledger.db"), &bytes[..before]).unwrap();
    assert_eq!(Reader::open(cut.path()).unwrap().size().unwrap(), writer.size());
    let report = verify(cut.path(), &VerifyOptions::default(), |_, _| ()).unwrap();
    assert_eq!((report.findings.as_slice(), report.rows), ([].as_slice(), writer.size()));
    assert_eq!(open(cut.path()).size(), writer.size());
}

#[test]
fn a_newer_format_is_refused() {
    let (folder, writer) = ledger();
    drop(writer);
    intruder(folder.path())
        .execute_batch("PRAGMA user_version = 4; PRAGMA wal_checkpoint(TRUNCATE)")
        .unwrap();
    assert!(matches!(refused(folder.path()), Error::NewerFormat { found: 4, known: 3, .. }));
}

#[test]
fn a_damaged_file_is_refused() {
    let (folder, mut writer) = ledger();
    writer.append(NOW, &decisions(&writer, 0..300, 9)).unwrap();
    drop(writer);
    let path = folder.path().join("ledger.db");
    intruder(folder.path()).execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    let length = bytes.len();
    bytes[8_192..length - 8_192].fill(0x5A);
    std::fs::write(&path, bytes).unwrap();
    let error = refused(folder.path());
    assert!(matches!(error, Error::Damaged(_) | Error::GuardsChanged(_)), "{error}");
}

#[test]
fn missing_exposed_or_foreign_keys_are_refused() {
    let (folder, writer) = ledger();
    drop(writer);
    let path = |name: &str| folder.path().join(name);
    let mode =
        |mode| std::fs::set_permissions(path("master.key"), std::fs::Permissions::from_mode(mode)).unwrap();
    mode(0o644);
    assert!(matches!(refused(folder.path()), Error::Keys(KeyError::Exposed { mode: 0o644, .. })));
    mode(0o600);
    for name in ["keys.db", "master.key"] {
        std::fs::rename(path(name), path("aside")).unwrap();
        let error = refused(folder.path());
        assert!(
            matches!(error, Error::Keys(KeyError::Missing(_))) && error.to_string().contains(name),
            "{error}"
        );
        std::fs::rename(path("aside"), path(name)).unwrap();
    }
    let (other, writer) = ledger();
    drop(writer);
    std::fs::copy(other.path().join("master.key"), path("master.key")).unwrap();
    assert!(matches!(refused(folder.path()), Error::Keys(KeyError::OtherLedger(_))));
    std::fs::copy(other.path().join("keys.db"), path("keys.db")).unwrap();
    assert!(matches!(refused(folder.path()), Error::Keys(KeyError::OtherLedger(_))));
}

#[test]
fn another_log_or_a_lost_database_is_refused() {
    let (folder, writer) = ledger();
    drop(writer);
    let other = Options { origin: "largesse/other/0".into(), ..options(folder.path()) };
    assert!(matches!(Writer::open(&other), Err(Error::Foreign { .. })));
    let other = Options { partition: 3, ..options(folder.path()) };
    assert!(matches!(Writer::open(&other), Err(Error::Foreign { .. })));
    std::fs::remove_file(folder.path().join("ledger.db")).unwrap();
    assert!(
        matches!(refused(folder.path()), Error::CheckpointFile { .. }),
        "a new log must not take the old one's place"
    );
    assert!(matches!(Reader::open(folder.path()), Err(Error::NoLedger(_))));
}

#[test]
fn a_second_writer_is_refused_with_the_first_ones_process() {
    let (folder, writer) = ledger();
    let error = refused(folder.path());
    assert!(matches!(error, Error::Locked { pid, .. } if pid == Some(std::process::id())), "{error}");
    drop(writer);
    open(folder.path());
}

#[test]
fn a_full_disk_refuses_the_batch_whole_and_lets_the_next_one_through() {
    let folder = tempfile::tempdir().unwrap();
    let bound = Options { database_bytes_max: Some(1 << 20), ..options(folder.path()) };
    let (mut writer, _) = Writer::open(&bound).unwrap();
    let mut number = 0;
    let error = loop {
        let batch = decisions(&writer, number..number + 100, 9);
        match writer.append(NOW, &batch) {
            Ok(_) => number += 100,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::DiskFull) && error.is_transient(), "{error}");
    assert_eq!(writer.size(), number + 1);
    assert!(!writer.reader().unwrap().contains_event(&event_id(number)).unwrap());
    drop(writer);
    let mut writer = open(folder.path());
    writer.append(NOW, &decisions(&writer, number..number + 100, 9)).unwrap();
    drop(writer);
    assert!(
        ledger::verify(folder.path(), &ledger::VerifyOptions::default(), |_, _| ()).unwrap().is_verified()
    );
}

#[test]
fn no_file_holds_a_personal_value_in_clear() {
    let (folder, mut writer) = ledger();
    let mut batch = decisions(&writer, 0..300, 9);
    for entry in &mut batch {
        let member = entry.member.unwrap();
        entry.snapshot = Some(state(&writer, member, CANARY, None));
    }
    writer.append(NOW, &batch).unwrap();
    let search = |folder: &Path| {
        for file in std::fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            let bytes = std::fs::read(&path).unwrap();
            assert!(
                !bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes()),
                "{}",
                path.display()
            );
        }
    };
    search(folder.path());
    drop(writer);
    search(folder.path());
    let keys = Keys::open_in(folder.path(), None).unwrap();
    let member = keys.member(&raw_member(3)).unwrap().unwrap();
    assert_eq!(keys.identity(member).unwrap(), Some(raw_member(3)), "what is sealed can be opened");
}

#[test]
fn a_statement_that_runs_too_long_is_stopped() {
    let (folder, mut writer) = ledger();
    writer.append(NOW, &decisions(&writer, 0..8_000, 900)).unwrap();
    let mut reader = Reader::open(folder.path()).unwrap();
    let rare = Filter { reason: Some(Reason::Minor), ..Filter::default() };
    assert_eq!(reader.list(&rare).unwrap(), []);
    reader.set_limit(Duration::ZERO);
    assert!(matches!(reader.list(&rare), Err(Error::Timeout(0))));
}

#[test]
fn half_a_note_at_the_end_of_the_checkpoint_file_is_cut_off_and_written_again() {
    let (folder, mut writer) = ledger();
    writer.append(NOW, &decisions(&writer, 0..1_500, 9)).unwrap();
    drop(writer);
    let path = folder.path().join("checkpoints.txt");
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() - 40]).unwrap();
    let (writer, recovery) = Writer::open(&options(folder.path())).unwrap();
    assert!(recovery.torn_note);
    assert_eq!(recovery.heads_filed, 1);
    drop(writer);
    assert_eq!(std::fs::read(&path).unwrap(), whole);
}
