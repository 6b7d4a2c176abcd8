//! The files of a bundle's tests as text, and the bytes they are handed in and recorded as.
//!
//! Canonical bytes, version 1: as those of a bundle ([`crate::source`]), under the line `largesse-tests 1`, in the
//! order of the files' names.

use std::path::Path;

use domain::Digest;

use crate::codes::Code;
use crate::gather::{normal, read_text, toml_names, unreadable};
use crate::problem::Problem;
use crate::source::{packed, unpacked};

const HEADER: &str = "largesse-tests 1\n";
/// Most files of tests that are read.
const FILES_MAX: usize = 64;
/// Most bytes of all files: two thousand cases of five hundred bytes. They travel and are kept as one row.
const BYTES_MAX: usize = 1 << 20;
/// Longest name of a file with the length beside it, in canonical bytes: what file systems allow, and some more.
const NAME_BYTES_MAX: usize = 300;
/// How many folders deep tests that are not read are looked for; links may lead in a circle.
const DEPTH_MAX: u8 = 4;

/// The files of a bundle's tests: name (`tests/prices.toml`) and text, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Texts(Vec<(String, String)>);

impl Texts {
    /// The texts in a bundle's `tests` folder, with every mistake about the files themselves; none when there is no such
    /// folder.
    pub fn from_folder(folder: &Path) -> (Texts, Vec<Problem>) {
        let tests = folder.join("tests");
        if !tests.is_dir() {
            return (Texts::default(), Vec::new());
        }
        let mut names = match toml_names(&tests) {
            Ok(names) => names,
            Err(error) => return (Texts::default(), vec![unreadable("tests", &error)]),
        };
        names.sort();
        let (mut texts, mut problems) = (Vec::new(), Vec::new());
        if names.len() > FILES_MAX {
            let message = format!("{} files of tests, at most {FILES_MAX} are read", names.len());
            problems.push(Problem::of_file(Code::TooLarge, "tests", message));
        }
        for name in names.iter().take(FILES_MAX).map(|name| format!("tests/{name}")) {
            match read_text(folder, &name) {
                Ok(text) => texts.push((name, normal(&text))),
                Err(problem) => problems.push(*problem),
            }
        }
        let bytes: usize = texts.iter().map(|(_, text)| text.len()).sum();
        if bytes > BYTES_MAX {
            let message = format!("the tests have {bytes} bytes, at most {BYTES_MAX} are kept");
            problems.push(Problem::of_file(Code::TooLarge, "tests", message));
        }
        problems.extend(unread(&tests));
        (Texts(texts), problems)
    }

    /// The texts inside canonical bytes.
    ///
    /// # Errors
    /// Why they are something else.
    pub fn from_canonical(text: &str) -> Result<Texts, &'static str> {
        // Before anything is done for them.
        if text.len() > BYTES_MAX + FILES_MAX * NAME_BYTES_MAX {
            return Err("more bytes than tests have");
        }
        let files = unpacked(HEADER, text)?;
        let bytes: usize = files.iter().map(|(_, text)| text.len()).sum();
        if files.len() > FILES_MAX || bytes > BYTES_MAX {
            return Err("more files or bytes than tests have");
        }
        let texts = Texts(files.into_iter().map(|(name, text)| (name.to_owned(), normal(text))).collect());
        // Other bytes that mean the same would have another digest.
        let is_sorted = texts.0.windows(2).all(|pair| pair[0].0 < pair[1].0);
        if is_sorted && texts.canonical() == text { Ok(texts) } else { Err("written differently") }
    }

    /// What is handed in and recorded.
    pub fn canonical(&self) -> String {
        packed(HEADER, self.iter())
    }

    /// What a statement names them by.
    pub fn digest(&self) -> Digest {
        Digest::of(self.canonical().as_bytes())
    }

    /// Each file's name and text.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, text)| (name.as_str(), text.as_str()))
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn canonical_bytes_give_back_the_same_texts(texts: std::collections::BTreeMap<String, String>) {
            let named = |(name, text): (String, String)| (format!("tests/{}", name.replace('\n', "")), normal(&text));
            let texts: std::collections::BTreeMap<_, _> = texts.into_iter().take(FILES_MAX).map(named).collect();
            let texts = Texts(texts.into_iter().collect());
            prop_assert_eq!(Texts::from_canonical(&texts.canonical()), Ok(texts));
        }
    }

    #[test]
    fn of_more_cases_than_are_run_none_is_looked_at() {
        let bundle = crate::starter::grocery().unwrap();
        let codes = |cases: usize| {
            let case = "[[case]]\nname = \"c\"\nevent = { type = \"purchase\", touchpoint = \"pos\" }\nexpect = { moment = \"unknown\" }\n";
            let texts = Texts(vec![("tests/a.toml".to_owned(), case.repeat(cases))]);
            let problems = crate::cases::of(&texts, &bundle).unwrap_err().0;
            problems.into_iter().map(|problem| problem.code).collect::<Vec<_>>()
        };
        assert_eq!(codes(2), [Code::UnknownReference; 2]);
        assert_eq!(codes(crate::cases::CASES_MAX + 1), [Code::TooLarge]);
    }

    #[test]
    fn more_bytes_than_tests_have_are_refused() {
        let text = |bytes: usize| packed(HEADER, [("tests/a.toml", "x".repeat(bytes).as_str())]);
        assert!(Texts::from_canonical(&text(BYTES_MAX)).is_ok());
        assert!(Texts::from_canonical(&text(BYTES_MAX + 1)).is_err());
    }

    #[test]
    fn other_bytes_for_the_same_texts_are_refused() {
        let text = |files: &[(&str, &str)]| packed(HEADER, files.iter().copied());
        assert!(Texts::from_canonical(&text(&[("tests/a.toml", ""), ("tests/b.toml", "")])).is_ok());
        for wrong in [
            text(&[("tests/b.toml", ""), ("tests/a.toml", "")]),
            text(&[("tests/a.toml", ""), ("tests/a.toml", "")]),
            text(&[("tests/a.toml", "x\r\n")]),
            text(&[("tests/a.toml", "")]).replace(" 0", " 00"),
            "largesse-bundle 1\n".to_owned(),
        ] {
            assert!(Texts::from_canonical(&wrong).is_err(), "{wrong:?}");
        }
    }
}
