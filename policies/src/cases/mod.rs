//! A bundle's own tests: members and moments as a loyalty team imagines them, and what the policy must say.
//!
//! Cases run through the same gates as live decisions. [`read`] finds them in a bundle's `tests` folder, [`run`]
//! says which fail and how, [`mutate`](mutate::survivors) names rules that no case would miss.

mod document;
pub mod mutate;
mod situation;

use std::path::Path;

use domain::{Reason, RewardIndex};
use serde::Serialize;

use crate::bundle::{Bundle, Stops};
use crate::codes::Code;
use crate::problem::{Problem, Problems};
use crate::source::FILE_BYTES_MAX;
use document::{Document, Expect};
use situation::Imagined;

/// Most files of tests that are read.
const FILES_MAX: usize = 64;
/// Most cases of a bundle: they run in milliseconds, and with `--mutate` once per rule.
pub const CASES_MAX: usize = 2_000;

/// One case, ready to run against the bundle it was read for.
#[derive(Clone, Debug)]
pub struct Case {
    pub name: String,
    pub file: String,
    pub line: u32,
    imagined: Imagined,
    expect: Expect,
}

/// A case that did not come out as expected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failed {
    pub name: String,
    pub file: String,
    pub line: u32,
    /// Each difference: what was expected, what the policy said.
    pub differences: Vec<String>,
}

/// What the policy says about a case.
#[derive(Clone, Debug, Default)]
struct Said {
    moment: Option<String>,
    denied: Option<Reason>,
    held: Option<Reason>,
    segment: Option<String>,
    rewards: Vec<(String, Option<Reason>)>,
}

/// Reads the cases in a bundle's `tests` folder; none when there is no such folder.
///
/// # Errors
/// Every mistake in them, with its place.
pub fn read(folder: &Path, bundle: &Bundle) -> Result<Vec<Case>, Problems> {
    let tests = folder.join("tests");
    if !tests.is_dir() {
        return Ok(Vec::new());
    }
    let unreadable = |name: &str, error: std::io::Error| {
        Problems(vec![Problem::of_file(Code::Unreadable, name, format!("cannot be read: {error}"))])
    };
    let entries = std::fs::read_dir(&tests).map_err(|error| unreadable("tests", error))?;
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(|error| unreadable("tests", error))?.file_name();
        let name = name.to_string_lossy().into_owned();
        if name.ends_with(".toml") {
            names.push(name);
        }
    }
    names.sort();
    let (mut cases, mut problems) = (Vec::new(), Vec::new());
    if names.len() > FILES_MAX {
        let message = format!("{} files of tests, at most {FILES_MAX} are read", names.len());
        problems.push(Problem::of_file(Code::TooLarge, "tests", message));
    }
    for name in names.iter().take(FILES_MAX) {
        let shown = format!("tests/{name}");
        let path = tests.join(name);
        let about = std::fs::metadata(&path).map_err(|error| unreadable(&shown, error))?;
        if !about.is_file() || about.len() > FILE_BYTES_MAX as u64 {
            let message = format!("`{shown}` is not a file of at most {FILE_BYTES_MAX} bytes");
            problems.push(Problem::of_file(Code::TooLarge, &shown, message));
            continue;
        }
        let text = std::fs::read_to_string(&path).map_err(|error| unreadable(&shown, error))?;
        parse(&shown, &text, bundle, &mut cases, &mut problems);
    }
    if cases.len() > CASES_MAX {
        let message = format!("{} cases, at most {CASES_MAX} are run", cases.len());
        problems.push(Problem::of_file(Code::TooLarge, "tests", message));
    }
    if problems.is_empty() { Ok(cases) } else { Err(Problems(problems)) }
}

/// Reads the cases of one file.
fn parse(file: &str, text: &str, bundle: &Bundle, cases: &mut Vec<Case>, problems: &mut Vec<Problem>) {
    let document: Document = match toml::from_str(text) {
        Ok(document) => document,
        Err(error) => {
            let span = error.span().unwrap_or(0..0);
            problems.push(Problem::at(Code::BadCase, file, text, span, error.message().replace('\n', ", ")));
            return;
        }
    };
    for written in document.case {
        let span = written.name.span();
        let place = Problem::at(Code::BadCase, file, text, span.clone(), "");
        let name = written.name.get_ref().clone();
        let made = Imagined::of(&written, bundle).and_then(|imagined| {
            written.expect.check(bundle)?;
            Ok(Case {
                name: name.clone(),
                file: file.to_owned(),
                line: place.line,
                imagined,
                expect: written.expect,
            })
        });
        match made {
            Ok(case) => cases.push(case),
            Err(why) => {
                problems.push(Problem::at(Code::BadCase, file, text, span, format!("in {name:?}: {why}")));
            }
        }
    }
}

/// Runs cases against a bundle; returns those that fail.
pub fn run(bundle: &Bundle, cases: &[Case]) -> Vec<Failed> {
    cases.iter().filter_map(|case| case.run(bundle)).collect()
}

impl Case {
    fn run(&self, bundle: &Bundle) -> Option<Failed> {
        let differences = self.expect.differences(&say(bundle, &self.imagined));
        (!differences.is_empty()).then(|| Failed {
            name: self.name.clone(),
            file: self.file.clone(),
            line: self.line,
            differences,
        })
    }
}

/// Asks every gate in the order of a live decision.
fn say(bundle: &Bundle, imagined: &Imagined) -> Said {
    let mut said = Said::default();
    let Some(triggered) = bundle.triggered(&imagined.facts) else { return said };
    if let Err(refusal) = bundle.gate_before_scores(&imagined.facts, Stops::default()) {
        said.moment = Some(bundle.moment(triggered).id.clone());
        said.denied = Some(refusal.reason);
        return said;
    }
    let Ok(moment) = bundle.confirmed(triggered, &imagined.facts) else { return said };
    said.moment = Some(bundle.moment(moment).id.clone());
    let segment = bundle.segment_of(&imagined.facts, Stops::default()).ok();
    said.segment = segment.map(|segment| bundle.segment(segment).id.clone());
    said.held = bundle.gate(moment, &imagined.with(&imagined.facts)).err().map(|refusal| refusal.reason);
    if said.held.is_some() {
        return said;
    }
    let mut facts = imagined.facts.clone();
    let mut open = 0;
    for (index, reward) in (0u8..).map(RewardIndex).zip(bundle.rewards()) {
        bundle.put_reward_facts(index, imagined.now, &imagined.grants, &mut facts);
        let answer = bundle.candidate(moment, segment, index, &imagined.with(&facts));
        open |= u64::from(answer.is_ok()) << index.0;
        said.rewards.push((reward.id.clone(), answer.err().map(|(reason, _)| reason)));
    }
    let (gave_way, _) = bundle.giving_way(open).unzip();
    for (at, (_, refused)) in said.rewards.iter_mut().enumerate() {
        if gave_way.is_some_and(|rewards| rewards >> at & 1 == 1) {
            *refused = Some(Reason::ExclusiveReward);
        }
    }
    said
}
