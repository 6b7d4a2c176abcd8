//! An office with its ledger, three people with their keys, and a draft.

use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;

use super::{folder, purchases, run, run_json, stderr, text};

/// The starter bundle.
pub const STARTER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/policies/bundles/grocery");

/// A ledger of a small demo, three people, and a copy of the starter bundle.
pub struct Office {
    pub dir: tempfile::TempDir,
}

impl Office {
    pub fn open() -> Office {
        let office = Office { dir: folder() };
        let events = office.path("events.csv");
        purchases(&events, 60);
        run_json(&["demo", "--events", text(&events), "--dir", text(&office.ledger()), "--output", "json"]);
        office.staff();
        office
    }

    pub fn staff(&self) {
        for (name, role) in [("anna", "author"), ("berta", "approver"), ("otto", "operator")] {
            let key = self.path(&format!("{name}.key"));
            let added = run(&[
                "people",
                "add",
                name,
                "--role",
                role,
                "--key",
                text(&key),
                "--dir",
                text(&self.ledger()),
            ]);
            assert!(added.status.success(), "{}", stderr(&added));
        }
        self.copy_starter();
    }

    /// Makes the draft a copy of the starter bundle.
    pub fn copy_starter(&self) {
        copy(Path::new(STARTER), &self.path("draft"));
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn ledger(&self) -> PathBuf {
        self.path("ledger")
    }

    /// Changes a file of the draft.
    pub fn edit(&self, file: &str, from: &str, to: &str) {
        let path = self.path("draft").join(file);
        let written = std::fs::read_to_string(&path).unwrap();
        assert!(written.contains(from), "{from:?} is not in {file}");
        std::fs::write(path, written.replace(from, to)).unwrap();
    }

    /// Takes a step as somebody.
    pub fn by(&self, who: &str, args: &[&str]) -> Output {
        let key = self.path(&format!("{who}.key"));
        run(&[args, &["--dir", text(&self.ledger()), "--key", text(&key)]].concat())
    }

    pub fn taken(&self, who: &str, args: &[&str]) {
        let output = self.by(who, args);
        assert!(output.status.success(), "{who} {args:?}: {}", stderr(&output));
    }

    pub fn refused(&self, who: &str, args: &[&str], code: &str) {
        let output = self.by(who, args);
        assert_eq!(output.status.code(), Some(3), "{who} {args:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(code), "{who} {args:?}: {}", stderr(&output));
    }

    /// The digest of the draft.
    pub fn draft(&self) -> String {
        let draft = self.path("draft");
        let checked = run_json(&["policy", "check", text(&draft), "--output", "json"]);
        checked["digest"].as_str().unwrap().to_owned()
    }

    /// Records an impact report and returns its digest.
    pub fn assess(&self) -> String {
        let (draft, key, ledger) = (self.path("draft"), self.path("anna.key"), self.ledger());
        let args = ["policy", "impact", text(&draft), "--log", text(&ledger)];
        let report = run_json(&[&args[..], &["--output", "json"]].concat());
        let recorded = run(&[&args[..], &["--key", text(&key)]].concat());
        assert!(recorded.status.success(), "{}", stderr(&recorded));
        report["digest"].as_str().unwrap().to_owned()
    }

    /// The steps that were taken, without what was asked for and refused.
    pub fn steps(&self) -> Vec<String> {
        let what = |step: &Value| step["what"].as_str().unwrap().to_owned();
        self.history().iter().map(what).filter(|what| what != "refused").collect()
    }

    /// What people did, without who they are.
    pub fn history(&self) -> Vec<Value> {
        let (people, steps): (Vec<Value>, Vec<Value>) = self.told().into_iter().partition(is_about_people);
        assert!(!people.is_empty() || steps.len() < 2, "nobody was recorded before a step");
        steps
    }

    /// How people.toml changed, as the log tells.
    pub fn changes_of_people(&self) -> Vec<String> {
        let detail = |line: Value| line["detail"].as_str().unwrap().to_owned();
        self.told().into_iter().filter(is_about_people).map(detail).collect()
    }

    fn told(&self) -> Vec<Value> {
        let history = run_json(&["policy", "history", "--dir", text(&self.ledger()), "--output", "json"]);
        history.as_array().unwrap().clone()
    }
}

/// Copies a folder.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.path().is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

fn is_about_people(line: &Value) -> bool {
    line["what"] == "people"
}
