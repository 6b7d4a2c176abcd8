//! The files of tests in a bundle's folder.

use std::path::Path;

use super::check::Checker;
use crate::check::Names;
use crate::codes::Code;
use crate::documents::cases::{Case, Cases};
use crate::documents::schema;
use crate::gather::{read_text, toml_names, unreadable};
use crate::problem::Problem;
use crate::read::{Source, read};

/// Most files of tests that are read.
const FILES_MAX: usize = 64;
/// Most cases of a bundle: they run in milliseconds, and with `--mutate` once per rule.
pub const CASES_MAX: usize = 2_000;
/// How many folders deep tests that are not read are looked for; links may lead in a circle.
const DEPTH_MAX: u8 = 4;

/// A case as written, with the file and line it stands in.
pub(super) struct Found {
    pub file: String,
    pub line: u32,
    pub case: Case,
}

/// The cases in a bundle's `tests` folder and every mistake in them; none when there is no such folder.
pub(super) fn find(folder: &Path, names: &Names) -> (Vec<Found>, Vec<Problem>) {
    let tests = folder.join("tests");
    if !tests.is_dir() {
        return (Vec::new(), Vec::new());
    }
    let mut files = match toml_names(&tests) {
        Ok(files) => files,
        Err(error) => return (Vec::new(), vec![unreadable("tests", &error)]),
    };
    files.sort();
    let (mut cases, mut problems) = (Vec::new(), Vec::new());
    if files.len() > FILES_MAX {
        let message = format!("{} files of tests, at most {FILES_MAX} are read", files.len());
        problems.push(Problem::of_file(Code::TooLarge, "tests", message));
    }
    for name in files.iter().take(FILES_MAX) {
        let shown = format!("tests/{name}");
        match read_text(folder, &shown) {
            Ok(text) => read_file(&shown, &text, names, &mut cases, &mut problems),
            Err(problem) => problems.push(*problem),
        }
    }
    problems.extend(unread(&tests));
    if cases.len() > CASES_MAX {
        let message = format!("{} cases, at most {CASES_MAX} are run", cases.len());
        problems.push(Problem::of_file(Code::TooLarge, "tests", message));
    }
    (cases, problems)
}

/// The folders in `tests` that hold tests, which are not read. Hidden ones are what mounted configuration is made of.
fn unread(tests: &Path) -> Vec<Problem> {
    let mut names: Vec<String> = std::fs::read_dir(tests)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| !name.starts_with('.') && holds_tests(&tests.join(name), DEPTH_MAX))
        .collect();
    names.sort();
    let problem = |name: &String| {
        let shown = format!("tests/{name}");
        let message = format!("the tests in `{shown}` are not run");
        Problem::of_file(Code::UnreadTests, &shown, message).help("move the files up into tests/")
    };
    names.iter().map(problem).collect()
}

fn holds_tests(folder: &Path, depth: u8) -> bool {
    let mut entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.any(|entry| {
        let path = entry.path();
        let is_test = path.extension().is_some_and(|ending| ending == "toml");
        is_test || depth > 0 && path.is_dir() && holds_tests(&path, depth - 1)
    })
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
