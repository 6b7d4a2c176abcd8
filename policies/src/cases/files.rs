//! The cases in the files of a bundle's tests.

use super::Texts;
use super::check::Checker;
use crate::check::Names;
use crate::codes::Code;
use crate::documents::cases::{Case, Cases};
use crate::documents::schema;
use crate::problem::Problem;
use crate::read::{Source, read};

/// Most cases of a bundle: they run in milliseconds, and with `--mutate` once per rule.
pub const CASES_MAX: usize = 2_000;

/// A case as written, with the file and line it stands in.
pub(super) struct Found {
    pub file: String,
    pub line: u32,
    pub case: Case,
}

/// The cases in the files and every mistake in them.
pub(super) fn find(texts: &Texts, names: &Names) -> (Vec<Found>, Vec<Problem>) {
    let (mut cases, mut problems) = (Vec::new(), Vec::new());
    for (file, text) in texts.iter() {
        read_file(file, text, names, &mut cases, &mut problems);
    }
    if cases.len() > CASES_MAX {
        let message = format!("{} cases, at most {CASES_MAX} are run", cases.len());
        problems.push(Problem::of_file(Code::TooLarge, "tests", message));
    }
    (cases, problems)
}

fn read_file(file: &str, text: &str, names: &Names, cases: &mut Vec<Found>, problems: &mut Vec<Problem>) {
    let reading = read::<Cases>(&Source { name: file, text, schema: &schema() });
    let mut checker = Checker { file, text, names, problems: reading.problems };
    for case in reading.document.into_iter().flat_map(|document| document.case) {
        checker.case(&case);
        let line = Problem::at(Code::BadCase, file, text, case.name.span(), "").line;
        cases.push(Found { file: file.to_owned(), line, case });
    }
    checker.problems.sort_by_key(|problem| problem.span.start);
    problems.append(&mut checker.problems);
}
