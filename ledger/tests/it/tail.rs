//! The rows that no head covers yet: nobody adds to them, changes them or takes them away while no node runs.

use std::path::Path;

use ledger::{Error, Keys, Report, Seq, VerifyOptions, Writer, verify};
use tempfile::TempDir;

use crate::support::*;
use crate::tamper::tamper;

/// Rows under the newest head, and all rows.
const COVERED: u64 = 6;
const ROWS: u64 = 9;

/// A closed ledger whose last rows no head covers, as a crash leaves it.
fn uncovered() -> TempDir {
    let (folder, mut writer) = ledger();
    writer.append(NOW, &decisions(&writer, 0..COVERED - 1, 3)).unwrap();
    writer.sign_head(NOW).unwrap();
    writer.append(NOW, &decisions(&writer, COVERED..ROWS, 3)).unwrap();
    assert_eq!(writer.size(), ROWS);
    folder
}

fn check(folder: &Path) -> Report {
    let keys = Some(Keys::open_in(folder, None).unwrap());
    verify(folder, &VerifyOptions { keys, ..VerifyOptions::default() }, |_, _| ()).unwrap()
}

/// The start and the full check both name the row.
#[track_caller]
fn is_named(folder: &Path, row: u64) {
    let report = check(folder);
    assert_eq!(report.first_bad, Some(Seq(row)), "{:?}", report.findings);
    match Writer::open(&options(folder)) {
        Err(Error::Tail { seq, .. }) => assert_eq!(seq, Seq(row)),
        other => panic!("{:?}", other.map(|(_, recovery)| recovery)),
    }
}

#[test]
fn rows_a_crash_left_without_a_head_are_believed_and_signed() {
    let folder = uncovered();
    let report = check(folder.path());
    assert_eq!(
        (report.is_verified(), report.sealed, report.covered, report.rows),
        (true, true, COVERED, ROWS)
    );
    let (_, recovery) = Writer::open(&options(folder.path())).unwrap();
    assert_eq!(recovery.checkpoint.unwrap().size, ROWS);
}

#[test]
fn a_row_added_behind_the_newest_head_is_refused() {
    let folder = uncovered();
    let seal = "SELECT hex(mac) FROM tail";
    let mac: String = intruder(folder.path()).query_row(seal, [], |row| row.get(0)).unwrap();
    let heads = std::fs::read(folder.path().join("checkpoints.txt")).unwrap();
    // Nobody could forge one better than the ledger's own program; all that is missing is its seal.
    let mut writer = open(folder.path());
    writer.append(NOW, &decisions(&writer, ROWS..ROWS + 1, 3)).unwrap();
    drop(writer);
    std::fs::write(folder.path().join("checkpoints.txt"), heads).unwrap();
    let no_head = format!("DELETE FROM checkpoint WHERE size > {COVERED}");
    tamper(folder.path(), &format!("{no_head}; UPDATE tail SET size = {ROWS}, mac = x'{mac}'"));
    is_named(folder.path(), ROWS + 1);
    // Nor does it help to say that the seal is of more rows.
    tamper(folder.path(), &format!("UPDATE tail SET size = {}", ROWS + 1));
    is_named(folder.path(), COVERED + 1);
    // Whoever has no keys is told how far the heads reach.
    let report = verify(folder.path(), &VerifyOptions::default(), |_, _| ()).unwrap();
    assert_eq!((report.is_verified(), report.sealed, report.covered), (true, false, COVERED));
}

#[test]
fn a_row_taken_away_behind_the_newest_head_is_missed() {
    let folder = uncovered();
    tamper(folder.path(), &format!("DELETE FROM record WHERE seq = {ROWS}"));
    is_named(folder.path(), ROWS);
}

#[test]
fn a_ledger_that_has_a_seal_does_not_lose_it() {
    for gone in ["DELETE FROM tail", "DROP TABLE tail; PRAGMA user_version = 2"] {
        let folder = uncovered();
        tamper(folder.path(), gone);
        is_named(folder.path(), COVERED + 1);
    }
}

#[test]
fn nothing_in_the_database_tells_that_a_ledger_has_no_seal() {
    let (folder, mut writer) = ledger();
    writer.append(NOW, &decisions(&writer, 0..300, 3)).unwrap();
    writer.sign_head(NOW).unwrap();
    drop(writer);
    let older = "UPDATE record SET body = replace(body, '\"format\":3', '\"format\":2') WHERE seq = 1";
    let no_heads = "DELETE FROM checkpoint";
    tamper(folder.path(), &format!("{older}; {no_heads}; DROP TABLE tail; PRAGMA user_version = 2"));
    std::fs::write(folder.path().join("checkpoints.txt"), "").unwrap();
    match Writer::open(&options(folder.path())) {
        Err(Error::Tail { seq, .. }) => assert_eq!(seq, Seq(1), "nothing is under a head any more"),
        other => panic!("{:?}", other.map(|(_, recovery)| recovery)),
    }
    assert_eq!(check(folder.path()).first_bad, Some(Seq(1)));
}

#[test]
fn a_seal_that_cannot_be_read_is_a_finding() {
    let folder = uncovered();
    tamper(folder.path(), "PRAGMA ignore_check_constraints = ON; UPDATE tail SET mac = x'00'");
    let report = check(folder.path());
    assert!(!report.sealed && report.findings[0].what.contains("cannot be checked"), "{:?}", report.findings);
}

#[test]
fn heads_that_are_gone_from_the_database_are_missed() {
    let folder = uncovered();
    tamper(folder.path(), "DELETE FROM checkpoint WHERE size = (SELECT min(size) FROM checkpoint)");
    let findings = check(folder.path()).findings;
    assert!(findings[0].what.contains("missing from the database"), "{findings:?}");
}
