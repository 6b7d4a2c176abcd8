//! The numbered list of everything in a bundle that can say no.
//!
//! A decision record holds only a number; this list gives it back its name, place and words.

use domain::{Outcome, Purpose, Reason};
use serde::Serialize;

/// Position of a rule in its bundle's list ([`crate::Bundle::rules`]); what records store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct RuleIndex(pub u16);

/// One condition, guardrail, cap or switch of a bundle, as people know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// Unique in the bundle: `guardrails.quiet_hours`, `catalog.voucher-5.basket-over-25`.
    pub id: String,
    /// The file it stands in, and its line there (1 is the first).
    pub file: &'static str,
    pub line: u32,
    /// What is recorded when it refuses.
    pub reason: Reason,
    /// The condition as written; absent for guardrails that are keys instead of expressions.
    pub expr: Option<String>,
    /// Member-safe text of why it refuses.
    pub text: String,
    /// Text for operators, when the author gave one.
    pub message: Option<String>,
    /// The consents without which the facts it reads may not be read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<Purpose>,
}

/// A gate's refusal of a whole moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// The rule that refused; absent when no rule of the bundle did (an operator's stop, no segment).
    pub rule: Option<RuleIndex>,
    /// How the moment ends.
    pub outcome: Outcome,
}

impl Refusal {
    /// A refusal whose outcome follows from its reason's class.
    pub fn new(reason: Reason, rule: Option<RuleIndex>) -> Refusal {
        Refusal { reason, rule, outcome: outcome_of(reason) }
    }
}

/// How a moment ends when this reason decides it.
pub fn outcome_of(reason: Reason) -> Outcome {
    use domain::reason::Class;
    match reason.class() {
        Class::Denied if reason == Reason::ControlGroup => Outcome::Control,
        Class::Denied => Outcome::Denied,
        Class::Suppressed => Outcome::Suppressed,
        Class::Ineligible | Class::Economic => Outcome::None,
        Class::Fallback if reason == Reason::ApprovalRequired => Outcome::Pending,
        Class::Fallback | Class::DeadLetter => Outcome::Fallback,
        Class::Chosen => Outcome::Granted,
    }
}
