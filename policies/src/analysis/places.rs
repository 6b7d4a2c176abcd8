//! Where the rules, segments, moments and rewards of a bundle stand in its files.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::de::DeserializeOwned;

use crate::codes::Code;
use crate::documents::{Condition, catalog, guardrails, moments, program, segments};
use crate::problem::Problem;
use crate::read::{Source, read};
use crate::source::{File, Sources};

/// The name of the program's budget limit.
pub(super) const BUDGET: &str = "program.budget.limit";

/// Places by name: `segments.loyal`, `segments.loyal.when.often`, `guardrails.rule.unused-rewards-first`.
pub(super) struct Places<'a> {
    sources: &'a Sources,
    known: BTreeMap<String, (File, Range<usize>)>,
}

impl<'a> Places<'a> {
    /// The places in the texts of a bundle that checked.
    pub(super) fn of(sources: &'a Sources) -> Places<'a> {
        let mut places = Places { sources, known: BTreeMap::new() };
        if let Some(document) = document::<program::Program>(sources, File::Program) {
            places.known.insert(BUDGET.to_owned(), (File::Program, document.budget.limit.span()));
        }
        let segments = document::<segments::Segments>(sources, File::Segments);
        for segment in segments.iter().flat_map(|document| &document.segment) {
            places.part(File::Segments, segment.id.get_ref(), segment.id.span(), "when", &segment.when);
        }
        let catalog = document::<catalog::Catalog>(sources, File::Catalog);
        for reward in catalog.iter().flat_map(|document| &document.reward) {
            places.part(File::Catalog, reward.id.get_ref(), reward.id.span(), "eligible", &reward.eligible);
        }
        let moments = document::<moments::Moments>(sources, File::Moments);
        for moment in moments.iter().flat_map(|document| &document.moment) {
            places.part(File::Moments, moment.id.get_ref(), moment.id.span(), "when", &moment.when);
        }
        let guardrails = document::<guardrails::Guardrails>(sources, File::Guardrails);
        for rule in guardrails.iter().flat_map(|document| &document.rule) {
            places.part(File::Guardrails, "rule", rule.id.span(), rule.id.get_ref(), &rule.when);
            let name = format!("guardrails.rule.{}", rule.id.get_ref());
            places.known.insert(name, (File::Guardrails, rule.id.span()));
        }
        places
    }

    /// A part of a file and the conditions of its list.
    fn part(&mut self, file: File, id: &str, span: Range<usize>, list: &str, conditions: &[Condition]) {
        let name = format!("{}.{id}", file.stem());
        for condition in conditions {
            let name = format!("{name}.{list}.{}", condition.id.get_ref());
            self.known.insert(name, (file, condition.expr.span()));
        }
        self.known.insert(name, (file, span));
    }

    /// A mistake where this name stands.
    pub(super) fn problem(&self, code: Code, name: &str, message: String) -> Problem {
        match self.known.get(name) {
            Some((file, span)) => self.sources.problem(code, *file, span.clone(), message),
            None => Problem::of_file(code, name, message),
        }
    }
}

fn document<T: DeserializeOwned>(sources: &Sources, file: File) -> Option<T> {
    let schema = crate::documents::schema();
    read(&Source { name: file.name(), text: sources.marked(file), schema: &schema }).document
}
