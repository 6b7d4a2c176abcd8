//! A ledger an older build wrote is read as it is, and brought to the present format by the next writer.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use domain::Outcome;
use ledger::{Facet, Filter, Keys, Kind, Options, Reader, VerifyOptions, Writer, verify};

use crate::support::*;

/// Written by a build of format 1: 120 events of seven members, one of them erased.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/format-1");
const ROOT: &str = "1312641c914820107180c7c38465e0f9b7ed152d50e9f5884c959558ee448eeb";

fn copy_of(folder: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(folder).unwrap() {
        let file = file.unwrap();
        let to = copy.path().join(file.file_name());
        std::fs::copy(file.path(), &to).unwrap();
        // Git does not keep who may read a file; keys that others may read are refused.
        std::fs::set_permissions(&to, Permissions::from_mode(0o600)).unwrap();
    }
    copy
}

fn format_of(folder: &Path) -> i64 {
    intruder(folder).pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
}

/// What both formats answer.
fn answers(folder: &Path) {
    let report = verify(folder, &VerifyOptions::default(), |_, _| ()).unwrap();
    assert_eq!(report.findings, []);
    let reader = Reader::open(folder).unwrap();
    assert_eq!(reader.root_at(124).unwrap().to_string(), ROOT);
    let granted =
        Filter { outcome: Some(Outcome::Granted), segment: Some("vip".into()), ..Filter::default() };
    let rows = reader.list(&granted).unwrap();
    assert_eq!(rows.len(), 10);
    assert!(rows.iter().all(|row| row.outcome == Some(Outcome::Granted)));
    let facets = reader.facets(&Filter::default(), &[Facet::Kind], 0).unwrap();
    let kinds: Vec<String> = facets.by[0]
        .iter()
        .map(|(kind, rows)| format!("{} {rows}", kind.as_deref().unwrap_or("-")))
        .collect();
    assert_eq!(kinds, ["decision 108", "observed 12", "budget 1", "certificate 1", "erasure 1", "genesis 1"]);
    assert!(matches!(Keys::open_in(folder, None).unwrap().member("member-3"), Ok(None)), "erased");
    assert!(Keys::open_in(folder, None).unwrap().member("member-4").unwrap().is_some());
}

#[test]
fn a_ledger_of_format_1_is_verified_and_listed_as_it_is() {
    let copy = copy_of(Path::new(FOLDER));
    answers(copy.path());
    assert_eq!(format_of(copy.path()), 1, "reading changes nothing");
}

#[test]
fn a_writer_brings_a_ledger_of_format_1_to_the_present_one() {
    let copy = copy_of(Path::new(FOLDER));
    let options = Options::new(copy.path(), "largesse/format-1/0", NOW);
    let (mut writer, recovery) = Writer::open(&options).unwrap();
    assert_eq!((recovery.upgraded_from, recovery.rows), (Some(1), 125), "one row more says so");
    assert_eq!(writer.reader().unwrap().root_at(124).unwrap().to_string(), ROOT, "rows, tree and heads stay");
    let names = "SELECT count(*) FROM code WHERE name IN ('case', 'reading', 'EXPOSURE_LIMIT')";
    let named: i64 = intruder(copy.path()).query_row(names, [], |row| row.get(0)).unwrap();
    assert_eq!(named, 3, "views name what the older build did not know");
    writer.append(NOW, &[ledger::Entry::new(Kind::Operation, [3; 16], "{}".into())]).unwrap();
    drop(writer);
    assert_eq!(format_of(copy.path()), 3);
    assert_eq!(Writer::open(&options).unwrap().1.upgraded_from, None, "once");
    let keys = Some(Keys::open_in(copy.path(), None).unwrap());
    let report = verify(copy.path(), &VerifyOptions { keys, ..VerifyOptions::default() }, |_, _| ()).unwrap();
    assert_eq!((report.findings, report.rows, report.sealed), (vec![], 126, true));
}

#[test]
fn an_upgrade_makes_the_columns_of_every_whole_block() {
    let folder = copy_of(Path::new(FOLDER));
    let options = Options::new(folder.path(), "largesse/format-1/0", NOW);
    let mut writer = Writer::open(&options).unwrap().0;
    for from in (1_000..21_000).step_by(500) {
        writer.append(NOW, &decisions(&writer, from..from + 500, 40)).unwrap();
    }
    drop(writer);
    // As a build of format 1 left it: with its keys, which know of no seal.
    let keys = folder.path().join("keys.db");
    std::fs::copy(Path::new(FOLDER).join("keys.db"), &keys).unwrap();
    std::fs::set_permissions(&keys, Permissions::from_mode(0o600)).unwrap();
    intruder(folder.path())
        .execute_batch(
            "DROP TABLE tail;
             DROP TABLE column_block;
             CREATE INDEX record_by_segment ON record (segment, outcome) WHERE segment IS NOT NULL;
             PRAGMA user_version = 1",
        )
        .unwrap();
    let vip = Filter { segment: Some("vip".into()), limit: 10_000, ..Filter::default() };
    let before = Reader::open(folder.path()).unwrap().seqs(&vip).unwrap();
    assert!(before.len() > 6_600);
    Writer::open(&options).unwrap();
    assert_eq!(format_of(folder.path()), 3);
    assert_eq!(Reader::open(folder.path()).unwrap().seqs(&vip).unwrap(), before);
    assert_eq!(verify(folder.path(), &VerifyOptions::default(), |_, _| ()).unwrap().findings, []);
}
