//! From documents to a [`Bundle`]: every name resolved, every number in range, every condition typed.
//!
//! All six files are checked in one run and every mistake is reported. Where a file or a part of it could not be
//! read, names that others refer to may stand there, so such references are not complained about.

mod assemble;
mod conditions;
mod currency;
mod guardrails;
mod limits;
mod moments;
mod names;
mod program;
mod rewards;
mod segments;
mod values;

pub use names::Names;

use std::ops::Range;
use std::path::Path;

use domain::{Purpose, Reason};
use serde::de::DeserializeOwned;

use crate::bundle::Bundle;
use crate::cases;
use crate::codes::Code;
use crate::documents;
use crate::gather::Gathered;
use crate::problem::{NOWHERE, Problem, Problems};
use crate::read::{Source, read};
use crate::rules::{Rule, RuleIndex};
use crate::source::{File, Sources};

impl Bundle {
    /// The bundle in a folder.
    ///
    /// Returns every mistake found in its files.
    pub fn load(folder: &Path) -> Result<Bundle, Problems> {
        check_all(Gathered::from_folder(folder).map_err(Problems)?)
    }

    /// The bundle of files given as (name, text).
    pub fn from_files(files: &[(&str, &str)]) -> Result<Bundle, Problems> {
        check_all(Gathered::from_files(files))
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
    check_all(Gathered::from(sources.clone()))
}

/// Checks a bundle as far as its files were found.
pub fn check_all(gathered: Gathered) -> Result<Bundle, Problems> {
    look(gathered).0
}

/// Checks a bundle in a folder and its tests.
///
/// Returns the bundle when it can be used, and every mistake in it or in its tests.
pub fn check_folder(folder: &Path) -> (Option<Bundle>, Problems) {
    let gathered = match Gathered::from_folder(folder) {
        Ok(gathered) => gathered,
        Err(problems) => return (None, Problems(problems)),
    };
    match look(gathered) {
        (Ok(bundle), _) => {
            let problems = cases::read(folder, &bundle).err();
            (Some(bundle), problems.unwrap_or(Problems(Vec::new())))
        }
        (Err(Problems(mut problems)), names) => {
            problems.append(&mut cases::mistakes(folder, &names));
            (None, Problems(problems))
        }
    }
}

fn look(gathered: Gathered) -> (Result<Bundle, Problems>, Names) {
    let (sources, lost, found) = gathered.into_parts();
    let mut checker = Checker::new(&sources, found);
    let documents = checker.read_all(&lost);
    checker.list_names(&documents);
    let bundle = assemble::assemble(&mut checker, &documents);
    let names = checker.names(&documents);
    let mut problems = checker.problems;
    let order = |problem: &Problem| File::ALL.iter().position(|file| file.name() == problem.file);
    problems.sort_by_key(|problem| (order(problem), problem.span.start));
    match bundle {
        Some(bundle) if problems.is_empty() => (Ok(bundle), names),
        Some(_) | None => (Err(Problems(problems)), names),
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
    /// Files whose names may stand in such parts.
    unsure: Vec<File>,
    /// Purposes that some condition needs, and where the first one stands.
    purposes_read: Vec<(Purpose, File, Range<usize>)>,
}

impl<'a> Checker<'a> {
    fn new(sources: &'a Sources, problems: Vec<Problem>) -> Checker<'a> {
        Checker {
            sources,
            problems,
            rules: Vec::new(),
            segment_ids: Vec::new(),
            reward_ids: Vec::new(),
            incomplete: Vec::new(),
            unsure: Vec::new(),
            purposes_read: Vec::new(),
        }
    }

    fn read_all(&mut self, lost: &[File]) -> Documents {
        let schema = documents::schema();
        self.incomplete.extend(lost);
        self.unsure.extend(lost);
        Documents {
            program: self.read_one(&schema, File::Program),
            segments: self.read_one(&schema, File::Segments),
            catalog: self.read_one(&schema, File::Catalog),
            moments: self.read_one(&schema, File::Moments),
            guardrails: self.read_one(&schema, File::Guardrails),
            experiments: self.read_one(&schema, File::Experiments),
        }
    }

    fn read_one<T: DeserializeOwned>(&mut self, schema: &serde_json::Value, file: File) -> Option<T> {
        if self.incomplete.contains(&file) {
            return None;
        }
        let mut reading = read(&Source { name: file.name(), text: self.sources.marked(file), schema });
        if !reading.problems.is_empty() {
            self.incomplete.push(file);
        }
        if reading.unsure {
            self.unsure.push(file);
        }
        self.problems.append(&mut reading.problems);
        reading.document
    }

    fn list_names(&mut self, documents: &Documents) {
        let segments = documents.segments.iter().flat_map(|document| &document.segment);
        self.segment_ids = segments.map(|segment| segment.id.get_ref().clone()).collect();
        let rewards = documents.catalog.iter().flat_map(|document| &document.reward);
        self.reward_ids = rewards.map(|reward| reward.id.get_ref().clone()).collect();
    }

    fn names(&self, documents: &Documents) -> Names {
        let sure = |file| !self.unsure.contains(&file);
        let moments = documents.moments.iter().flat_map(|document| &document.moment);
        let moments = moments.map(|moment| moment.id.get_ref().clone()).collect();
        let variants = documents.experiments.iter().flat_map(|document| &document.variant);
        let variants = variants.map(|variant| variant.id.get_ref().clone()).collect();
        Names {
            segments: sure(File::Segments).then(|| self.segment_ids.clone()),
            rewards: sure(File::Catalog).then(|| self.reward_ids.clone()),
            moments: sure(File::Moments).then_some(moments),
            variants: sure(File::Experiments).then_some(variants),
        }
    }

    fn problem(&self, code: Code, file: File, span: Range<usize>, message: impl Into<String>) -> Problem {
        self.sources.problem(code, file, span, message)
    }

    fn report(&mut self, problem: Problem) {
        if problem.span != NOWHERE {
            self.problems.push(problem);
        }
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
            needs: Vec::new(),
        });
        // Lists are bounded: at most 3,500 rules fit into the limits of the files.
        RuleIndex(u16::try_from(self.rules.len() - 1).unwrap_or(u16::MAX))
    }
}
