//! Rows are found by event and member wherever their hashes are: in memory, in `recent`, or in the tables.

use domain::MemberId;
use ledger::{Options, Reader, Seq, VerifyOptions, Writer, verify};

use crate::support::*;

#[track_caller]
fn all_found(reader: &Reader, events: u64, members: &[MemberId]) {
    for number in 0..events {
        assert!(reader.contains_event(&event_id(number)).unwrap(), "event {number}");
    }
    assert!(!reader.contains_event(&event_id(events)).unwrap());
    let rows: usize =
        members.iter().map(|member| reader.member_after(*member, Seq::START, 10_000).unwrap().len()).sum();
    assert_eq!(rows as u64, events);
}

#[test]
fn rows_are_found_through_every_stage_and_restart() {
    let folder = tempfile::tempdir().unwrap();
    let mut events = 0;
    let mut members = std::collections::BTreeSet::new();
    for (run, turn_rows) in [1_000_000, 64, 3, 1, 500].into_iter().enumerate() {
        let options = Options { index_turn_rows: turn_rows, ..options(folder.path()) };
        let (mut writer, _) = Writer::open(&options).unwrap();
        let (outside, beside) = (Reader::open(folder.path()).unwrap(), writer.reader().unwrap());
        for batch in [1, 7, 300, 64] {
            let entries = decisions(&writer, events..events + batch, 23);
            members.extend(entries.iter().map(|entry| entry.member.unwrap()));
            writer.append(NOW, &entries).unwrap();
            events += batch;
            let again = decision(&writer, events / 2, 23);
            assert!(
                writer.append(NOW, &[ledger::Entry { record_id: [1; 16], ..again }]).is_err(),
                "run {run}"
            );
        }
        let members: Vec<MemberId> = members.iter().copied().collect();
        all_found(&outside, events, &members);
        all_found(&beside, events, &members);
    }
    let report = verify(folder.path(), &VerifyOptions::default(), |_, _| ()).unwrap();
    assert_eq!(report.findings, []);
}

#[test]
fn lost_recent_hashes_are_read_from_the_rows() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = open(folder.path());
    writer.append(NOW, &decisions(&writer, 0..500, 23)).unwrap();
    drop(writer);
    intruder(folder.path()).execute_batch("DELETE FROM recent").unwrap();
    let writer = open(folder.path());
    let reader = writer.reader().unwrap();
    assert!((0..500).all(|number| reader.contains_event(&event_id(number)).unwrap()));
}

#[test]
fn an_event_that_was_taken_a_second_time_is_named() {
    let (folder, mut writer) = ledger();
    writer.append(NOW, &decisions(&writer, 0..20, 5)).unwrap();
    drop(writer);
    // Whoever hides a row from the index for one start has its event taken again, and puts the index back.
    let intruder = intruder(folder.path());
    let hidden: Vec<(i64, Vec<u8>)> = intruder
        .prepare("SELECT last, hashes FROM recent")
        .unwrap()
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    intruder.execute("UPDATE recent SET hashes = zeroblob(length(hashes))", []).unwrap();
    let mut writer = open(folder.path());
    let event_id = decision(&writer, 7, 5).event_id;
    let again = ledger::Entry { event_id, ..decision(&writer, 900, 5) };
    let seq = writer.append(NOW, &[again]).unwrap().first;
    drop(writer);
    for (last, hashes) in hidden {
        intruder.execute("UPDATE recent SET hashes = ?2 WHERE last = ?1", (last, hashes)).unwrap();
    }
    let report = verify(folder.path(), &VerifyOptions::default(), |_, _| ()).unwrap();
    assert_eq!(report.first_bad, Some(seq), "{:?}", report.findings);
    assert!(report.findings[0].what.contains("taken a second time"), "{:?}", report.findings);
}
