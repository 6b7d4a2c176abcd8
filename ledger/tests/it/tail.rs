//! The rows that no head covers yet: nobody adds to them, changes them or takes them away while no node runs.

use std::path::Path;

use ledger::{Entry, Error, Keys, Kind, Report, Seq, VerifyOptions, Writer, verify};
use tempfile::TempDir;

use crate::support::*;
use crate::tamper::{leaf_of, mend, tamper};

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
    mend(folder.path(), 1);
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

/// A hold and a negotiation far from the end of a log, in a tile that is full.
fn with_old_rows() -> TempDir {
    let (folder, mut writer) = ledger();
    let (member, _) = writer.keys().enrol(&raw_member(1)).unwrap();
    writer.add_hold(NOW, Some(member), "a claim before court").unwrap();
    writer.append(NOW, &[Entry::new(Kind::Certificate, record_id(5_000), "{}".to_owned())]).unwrap();
    writer.append(NOW, &decisions(&writer, 0..600, 3)).unwrap();
    writer.sign_head(NOW).unwrap();
    assert_eq!((writer.size(), open_again(folder.path(), writer)), (603, true));
    folder
}

fn open_again(folder: &Path, writer: Writer) -> bool {
    drop(writer);
    Writer::open(&options(folder)).is_ok()
}

#[test]
fn a_row_that_is_obeyed_for_good_is_not_believed_when_it_was_changed() {
    let (hold, plan) = (2, 3);
    let other = "x'00112233445566778899aabbccddeeff'";
    let counted = |from: i64, to: i64| {
        format!(
            "UPDATE counter SET rows = rows - 1 WHERE kind = {from}; INSERT INTO counter VALUES ({to}, -1, -1, 1)
             ON CONFLICT DO UPDATE SET rows = rows + 1; DELETE FROM counter WHERE rows = 0"
        )
    };
    // Each as if the leaf had not been thought of, and with the leaf that fits.
    let changes = [
        (hold, format!("UPDATE record SET member = {other} WHERE seq = {hold}")),
        // Passes for a row that something was taken out of.
        (hold, format!("UPDATE record SET body = NULL WHERE seq = {hold}")),
        (hold, format!("UPDATE record SET event_id = 'e', member = {other} WHERE seq = {hold}")),
        (hold, format!("UPDATE record SET kind = 20 WHERE seq = {hold}; {}", counted(48, 20))),
        (
            plan,
            format!("UPDATE record SET kind = 43, member = {other} WHERE seq = {plan}; {}", counted(20, 43)),
        ),
    ];
    for (row, change) in changes {
        for leaf in ["", "fitting"] {
            let folder = with_old_rows();
            tamper(folder.path(), &change);
            if !leaf.is_empty() {
                let fits = domain::digest::hex(&leaf_of(folder.path(), row));
                tamper(folder.path(), &format!("UPDATE record SET leaf = x'{fits}' WHERE seq = {row}"));
            }
            match Writer::open(&options(folder.path())) {
                Err(Error::Tail { seq, .. } | Error::Altered { seq, .. }) => {
                    assert!(seq.0 <= row.unsigned_abs(), "{change} {leaf}: {seq}")
                }
                other => panic!("{change} {leaf}: {:?}", other.map(|(_, recovery)| recovery)),
            }
            assert!(!check(folder.path()).is_verified(), "{change} {leaf}");
        }
    }
}

#[test]
fn a_row_is_vouched_for_by_the_tree_and_not_by_its_own_leaf() {
    let folder = with_old_rows();
    let row = 77i64;
    let reader = || ledger::Reader::open(folder.path()).unwrap();
    let altered = |result: Result<(), Error>| matches!(result, Err(Error::Altered { seq: Seq(77), .. }));
    reader().vouch([Seq(1), Seq(row.unsigned_abs()), Seq(603)]).unwrap();
    reader().cuts_are_recorded().unwrap();
    // It looks as if something had been taken out, and no row says so.
    tamper(folder.path(), "UPDATE record SET event_id = NULL, sealed = NULL WHERE seq = 76");
    let cut = reader().vouch([Seq(76)]);
    assert!(matches!(cut, Err(Error::Altered { seq: Seq(76), .. })), "{cut:?}");
    assert!(matches!(reader().cuts_are_recorded(), Err(Error::Damaged(_))));
    // A good row, said to be what it is not.
    let outcome = reader().row(Seq(1)).unwrap().unwrap().outcome;
    let other = ledger::Filter { outcome: Some(domain::Outcome::Fallback), ..ledger::Filter::default() };
    assert_ne!(outcome, other.outcome);
    let misnamed = reader().vouch_as(&other, [Seq(1)]);
    assert!(matches!(misnamed, Err(Error::Altered { seq: Seq(1), .. })), "{misnamed:?}");
    tamper(folder.path(), &format!("UPDATE record SET reason = 60 WHERE seq = {row}"));
    assert!(altered(reader().row(Seq(77)).map(|_| ())) && altered(reader().vouch([Seq(77)])));
    assert!(reader().as_found().row(Seq(77)).unwrap().is_some(), "for who compares it with something else");
    // With a leaf that fits, the row itself says nothing against it.
    let fits = domain::digest::hex(&leaf_of(folder.path(), row));
    tamper(folder.path(), &format!("UPDATE record SET leaf = x'{fits}' WHERE seq = {row}"));
    assert!(reader().row(Seq(77)).is_ok() && altered(reader().vouch([Seq(77)])));
    // A head that cannot be read vouches for nothing.
    tamper(
        folder.path(),
        "UPDATE checkpoint SET note = 'x' || note WHERE size = (SELECT max(size) FROM checkpoint)",
    );
    assert!(matches!(reader().vouch([Seq(77)]), Err(Error::Damaged(_))));
    // Without any, the checkpoint file tells.
    tamper(folder.path(), "DELETE FROM checkpoint");
    assert!(altered(reader().vouch([Seq(77)])));
}

#[test]
fn a_row_that_was_made_another_members_is_not_passed_over() {
    let folder = with_old_rows();
    let reader = || ledger::Reader::open(folder.path()).unwrap();
    let member = reader().row(Seq(77)).unwrap().unwrap().member.unwrap();
    assert!(reader().member_after(member, Seq(76), 1).unwrap()[0].seq == Seq(77));
    tamper(folder.path(), "UPDATE record SET member = NULL WHERE seq = 77");
    let fits = domain::digest::hex(&leaf_of(folder.path(), 77));
    tamper(folder.path(), &format!("UPDATE record SET leaf = x'{fits}' WHERE seq = 77"));
    let refused = reader().member_after(member, Seq(76), 1);
    assert!(matches!(refused, Err(Error::Altered { seq: Seq(77), .. })), "{refused:?}");
}
