//! The views other tools read: the columns they were promised, and nothing personal.

use std::fmt::Write as _;

use ledger::{Cell, Entry, Filter, Kind, Reader, Seq, View};

use crate::support::*;

/// One line per column, as it is promised.
const GOLDEN: &str = include_str!("../views.golden");
const PAGE: &str = include_str!("../../../docs/views.md");

#[test]
fn the_views_have_exactly_the_columns_that_were_promised() {
    let (folder, _writer) = ledger();
    let mut promised = String::new();
    for view in View::ALL {
        for column in view.columns() {
            writeln!(promised, "v_{}.{} {}", view.name(), column.name, column.holds.name()).unwrap();
        }
        let listed: Vec<&str> = view.columns().iter().map(|column| column.name).collect();
        let other = intruder(folder.path());
        let made = other.prepare(&format!("SELECT * FROM v_{}", view.name())).unwrap();
        assert_eq!(made.column_names().collect::<Vec<_>>(), listed, "v_{}", view.name());
    }
    assert_eq!(promised, GOLDEN, "a column changed: other tools break");
}

#[test]
fn every_column_is_on_the_page_in_the_words_of_the_code() {
    for view in View::ALL {
        for column in view.columns() {
            let line = format!("| `{}` | {} | {} |", column.name, column.holds.name(), column.says);
            assert!(PAGE.contains(&line), "docs/views.md lacks, under v_{}:\n{line}", view.name());
        }
    }
}

#[test]
fn views_answer_about_the_rows_they_are_asked_for() {
    let (folder, mut writer) = ledger();
    writer.append(NOW, &decisions(&writer, 0..40, 7)).unwrap();
    writer.append(NOW, &[Entry::new(Kind::Certificate, [9; 16], r#"{"v":1}"#.into())]).unwrap();
    let reader = Reader::open(folder.path()).unwrap();
    let filter = Filter { kind: Some(Kind::Decision), limit: 3, ..Filter::default() };
    let seqs: Vec<Seq> = reader.list(&filter).unwrap().iter().map(|row| row.seq).collect();
    let decisions = reader.view(View::Decisions, &seqs).unwrap();
    let cell = |row: &[Cell], name: &str| {
        let at = View::Decisions.columns().iter().position(|column| column.name == name).unwrap();
        row[at].clone()
    };
    assert_eq!(decisions.len(), 3);
    assert_eq!(cell(&decisions[0], "seq"), Cell::Integer(2));
    assert_eq!(cell(&decisions[0], "outcome"), Cell::Text("granted".into()));
    assert_eq!(cell(&decisions[1], "reward"), Cell::Null);
    assert_eq!(cell(&decisions[1], "best_net"), Cell::Integer(1_200_000));
    assert_eq!(cell(&decisions[2], "explored"), Cell::Integer(0));
    let candidates = reader.view(View::Candidates, &seqs).unwrap();
    assert_eq!(candidates.len(), 12, "four candidates each");
    assert_eq!(candidates[2][4], Cell::Integer(16), "rules are counted from 0");
    let certificates = reader.view(View::Certificates, &[Seq(42), Seq(2)]).unwrap();
    assert_eq!(certificates.len(), 1, "only its own kind of row");
    assert!(!format!("{decisions:?}{candidates:?}").contains("canary"));
}
