//! From documents to a [`Bundle`]: every name resolved, every number in range, every condition typed.
//!
//! All six files are checked in one run and every mistake is reported. Where a file could not be read in full,
//! names that others refer to may be in the unread part, so such references are not complained about.

mod assemble;
mod conditions;
mod guardrails;
mod limits;
mod moments;
mod program;
mod rewards;
mod segments;
mod values;

use std::ops::Range;
use std::path::Path;

use domain::{Purpose, Reason};

use crate::bundle::Bundle;
use crate::codes::Code;
use crate::documents;
use crate::problem::{Problem, Problems};
use crate::read::read;
use crate::rules::{Rule, RuleIndex};
use crate::source::{File, Sources};

impl Bundle {
    /// The bundle in a folder.
    ///
    /// Returns every mistake found in its files.
    pub fn load(folder: &Path) -> Result<Bundle, Problems> {
        check(&Sources::from_folder(folder).map_err(Problems)?)
    }

    /// The bundle of files given as (name, text).
    pub fn from_files(files: &[(&str, &str)]) -> Result<Bundle, Problems> {
        check(&Sources::from_files(files).map_err(Problems)?)
    }

    /// The bundle whose [`Bundle::canonical`] these bytes are, with the same digest.
    pub fn from_canonical(bytes: &[u8]) -> Result<Bundle, Problems> {
        check(&Sources::from_canonical(bytes).map_err(Problems)?)
    }
}

/// The six documents, each absent when its file could not be read.
pub(crate) struct Documents {
    program: Option<documents::program::Program>,
    segments: Option<documents::segments::Segments>,
    catalog: Option<documents::catalog::Catalog>,
    moments: Option<documents::moments::Moments>,
    guardrails: Option<documents::guardrails::Guardrails>,
    experiments: Option<documents::experiments::Experiments>,
}

/// Checks the texts of a bundle.
pub fn check(sources: &Sources) -> Result<Bundle, Problems> {
    let mut checker = Checker::new(sources);
    let documents = checker.read_all();
    checker.list_names(&documents);
    let bundle = assemble::assemble(&mut checker, &documents);
    let mut problems = checker.problems;
    let order = |problem: &Problem| File::ALL.iter().position(|file| file.name() == problem.file);
    problems.sort_by_key(|problem| (order(problem), problem.span.start));
    match bundle {
        Some(bundle) if problems.is_empty() => Ok(bundle),
        Some(_) | None => Err(Problems(problems)),
    }
}

/// What the parts of the checker share.
pub(crate) struct Checker<'a> {
    sources: &'a Sources,
    problems: Vec<Problem>,
    rules: Vec<Rule>,
    /// Ids in file order.
    segment_ids: Vec<String>,
    reward_ids: Vec<String>,
    /// Files with parts that could not be read.
    incomplete: Vec<File>,
    /// Purposes that some condition needs, and where the first one stands.
    purposes_read: Vec<(Purpose, File, Range<usize>)>,
}

impl<'a> Checker<'a> {
    fn new(sources: &'a Sources) -> Checker<'a> {
        Checker {
            sources,
            problems: Vec::new(),
            rules: Vec::new(),
            segment_ids: Vec::new(),
            reward_ids: Vec::new(),
            incomplete: Vec::new(),
            purposes_read: Vec::new(),
        }
    }

    fn read_all(&mut self) -> Documents {
        Documents {
            program: self.read_one(File::Program),
            segments: self.read_one(File::Segments),
            catalog: self.read_one(File::Catalog),
            moments: self.read_one(File::Moments),
            guardrails: self.read_one(File::Guardrails),
            experiments: self.read_one(File::Experiments),
        }
    }

    fn read_one<T: serde::de::DeserializeOwned>(&mut self, file: File) -> Option<T> {
        let before = self.problems.len();
        let document = read(self.sources, file, &mut self.problems);
        if self.problems.len() > before {
            self.incomplete.push(file);
        }
        document
    }

    fn list_names(&mut self, documents: &Documents) {
        let segments = documents.segments.iter().flat_map(|document| &document.segment);
        self.segment_ids = segments.map(|segment| segment.id.get_ref().clone()).collect();
        let rewards = documents.catalog.iter().flat_map(|document| &document.reward);
        self.reward_ids = rewards.map(|reward| reward.id.get_ref().clone()).collect();
    }

    fn problem(&self, code: Code, file: File, span: Range<usize>, message: impl Into<String>) -> Problem {
        self.sources.problem(code, file, span, message)
    }

    fn report(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// Adds a rule to the numbered list.
    fn rule(&mut self, file: File, at: &Range<usize>, id: String, reason: Reason, text: &str) -> RuleIndex {
        let place = self.problem(Code::Syntax, file, at.clone(), "");
        self.rules.push(Rule {
            id: format!("{}.{id}", file.stem()),
            file: file.name(),
            line: place.line,
            reason,
            expr: None,
            text: text.to_owned(),
            message: None,
        });
        // Lists are bounded: at most 3,500 rules fit into the limits of the files.
        RuleIndex(u16::try_from(self.rules.len() - 1).unwrap_or(u16::MAX))
    }
}
