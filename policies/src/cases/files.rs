//! The cases in the files of a bundle's tests.

use super::Texts;
use super::check::Checker;
use crate::check::Names;
use crate::codes::Code;
use crate::documents::cases::{Case, Cases};
use crate::documents::schema;
use crate::problem::Problem;
use crate::read::{Source, read};
use crate::text::Text;

/// Most cases of a bundle: they run in milliseconds, and with `--mutate` once per rule.
pub const CASES_MAX: usize = 2_000;

/// A case as written, with the file and line it stands in.
pub(super) struct Found {
    pub file: String,
    pub line: u32,
    pub case: Case,
}

/// The cases in the files and every mistake in them. Of more than are run, none is looked at.
pub(super) fn find(texts: &Texts, names: &Names) -> (Vec<Found>, Vec<Problem>) {
    let (mut cases, mut problems) = (Vec::new(), Vec::new());
    for (file, text) in texts.iter() {
        read_file(file, Text::of(text.to_owned()), names, &mut cases, &mut problems);
        if cases.len() > CASES_MAX {
            let message = format!("more than {CASES_MAX} cases, which is as many as are run");
            problems.push(Problem::of_file(Code::TooLarge, "tests", message));
            break;
        }
    }
    (cases, problems)
}

fn read_file(file: &str, text: Text, names: &Names, cases: &mut Vec<Found>, problems: &mut Vec<Problem>) {
    let reading = read::<Cases>(&Source { name: file, text: &text, schema: &schema() });
    let mut checker = Checker { file, text: &text, names, problems: reading.problems };
    let found = reading.document.map(|document| document.case).unwrap_or_default();
    let too_many = cases.len() + found.len() > CASES_MAX;
    for case in found {
        if !too_many {
            checker.case(&case);
        }
        let line = Problem::at(Code::BadCase, file, &text, case.name.span(), "").line;
        cases.push(Found { file: file.to_owned(), line, case });
    }
    checker.problems.sort_by_key(|problem| problem.span.start);
    problems.append(&mut checker.problems);
}
