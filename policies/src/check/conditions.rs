//! Lists of named conditions.

use std::ops::Range;

use domain::facts::{Field, Scope};
use domain::{Purpose, Reason};

use super::Checker;
use crate::bundle::Condition;
use crate::codes::Code;
use crate::documents;
use crate::language::{self, Fault, Truth};
use crate::problem::NOWHERE;
use crate::source::File;

/// Most conditions in one list; the longest lists seen have five.
pub(super) const CONDITIONS_MAX: usize = 16;

/// Where a list of conditions stands.
pub(super) struct Place<'a> {
    pub file: File,
    /// What the ids of its conditions begin with: `voucher-5.eligible`.
    pub owner: String,
    /// Recorded when a condition of the list refuses.
    pub reason: Reason,
    /// Member-safe text for conditions without one of their own.
    pub text: &'a str,
    /// A reward is under consideration here.
    pub reward: bool,
}

impl Checker<'_> {
    pub(super) fn conditions(&mut self, place: &Place<'_>, list: &[documents::Condition]) -> Vec<Condition> {
        self.ids(place.file, list.iter().map(|condition| &condition.id));
        if let Some(first) = list.get(CONDITIONS_MAX) {
            self.list_length(place.file, first.id.span(), list.len(), CONDITIONS_MAX, "conditions");
        }
        list.iter().map(|condition| self.condition(place, condition)).collect()
    }

    fn condition(&mut self, place: &Place<'_>, condition: &documents::Condition) -> Condition {
        let expr = condition.expr.get_ref();
        let within = self.inside(place.file, &condition.expr);
        let truth = match language::condition(expr) {
            Ok(truth) => truth,
            Err(faults) => {
                faults.into_iter().for_each(|fault| self.fault(place.file, &within, fault));
                Truth::Always(false)
            }
        };
        let personal = self.fields_fit(place, &within, expr, &truth);
        let text = condition.reason.as_deref().unwrap_or(place.text);
        let id = format!("{}.{}", place.owner, condition.id.get_ref());
        let rule = self.rule(place.file, &condition.id.span(), id, place.reason, text);
        if let Some(rule) = self.rules.last_mut() {
            rule.expr = Some(expr.clone());
            rule.message.clone_from(&condition.message);
            rule.needs = needs(&truth);
        }
        Condition { rule, truth, personal }
    }

    /// Reports facts that do not exist at a place; whether any is personal.
    fn fields_fit(&mut self, place: &Place<'_>, within: &Inside, expr: &str, truth: &Truth) -> bool {
        let mut fields: Vec<Field> = Vec::new();
        truth.fields(&mut |field| fields.push(field));
        fields.sort_unstable();
        fields.dedup();
        for field in &fields {
            let start = expr.find(field.name()).unwrap_or(0);
            let span = start..start + field.name().len();
            if field.scope() == Scope::Reward && !place.reward {
                let message = format!("`{}` is not known here", field.name());
                let fault = Fault::new(Code::FactNotHere, span.clone(), message).help(
                    "no reward is under consideration here; put it into `eligible` or a guardrail rule",
                );
                self.fault(place.file, within, fault);
            }
            if let Some(purpose) = field.purpose() {
                self.purpose_read(purpose, place.file, within.place(span));
            }
        }
        fields.iter().any(|field| field.purpose().is_some())
    }

    fn purpose_read(&mut self, purpose: Purpose, file: File, span: Range<usize>) {
        if !self.purposes_read.iter().any(|(known, ..)| *known == purpose) {
            self.purposes_read.push((purpose, file, span));
        }
    }

    fn fault(&mut self, file: File, within: &Inside, fault: Fault) {
        let mut problem = self.problem(fault.code, file, within.place(fault.span), fault.message);
        problem.expected = fault.expected;
        problem.help = fault.help;
        self.report(problem);
    }

    /// How places in a text value map to places in its file.
    fn inside(&self, file: File, value: &documents::Text) -> Inside {
        let span = value.span();
        let raw = self.sources.text(file).get(span.clone()).unwrap_or_default();
        // Literal strings hold their text as it is; a basic string with escapes does not.
        let start = raw.find(value.get_ref().as_str()).map(|offset| span.start.saturating_add(offset));
        Inside { start, whole: span }
    }
}

/// Where a text value stands in its file.
struct Inside {
    /// Where its first byte stands; absent when escapes make places inside it unclear.
    start: Option<usize>,
    whole: Range<usize>,
}

impl Inside {
    fn place(&self, span: Range<usize>) -> Range<usize> {
        match self.start {
            Some(start) if self.whole != NOWHERE => start + span.start..start + span.end,
            Some(_) | None => self.whole.clone(),
        }
    }
}

/// The consents for the facts that a condition reads, each once.
fn needs(truth: &Truth) -> Vec<Purpose> {
    let mut needs = Vec::new();
    truth.fields(&mut |field| needs.extend(field.purpose().filter(|purpose| !needs.contains(purpose))));
    needs
}
