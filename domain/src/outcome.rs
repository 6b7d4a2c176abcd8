//! How a moment ended.

use serde::{Deserialize, Serialize};

/// The recorded outcome of a moment. Deciding nothing is a decision too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A reward was promised.
    Granted,
    /// No candidate was worth its price.
    None,
    /// A guardrail held the program back (complaint, quiet hours, cap, cool-down, fatigue).
    Suppressed,
    /// The member may not be considered at all (no consent, objection, minor, kill switch).
    Denied,
    /// The member is in the control group.
    Control,
    /// A person must approve first.
    Pending,
    /// The system could not decide in full (leader silent, deadline passed) and chose the safe answer.
    Fallback,
}

impl Outcome {
    /// Every outcome, in the order reports show them.
    pub const ALL: [Outcome; 7] = [
        Outcome::Granted,
        Outcome::None,
        Outcome::Suppressed,
        Outcome::Denied,
        Outcome::Control,
        Outcome::Pending,
        Outcome::Fallback,
    ];

    /// The word used in files, subjects and screens.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Granted => "granted",
            Outcome::None => "none",
            Outcome::Suppressed => "suppressed",
            Outcome::Denied => "denied",
            Outcome::Control => "control",
            Outcome::Pending => "pending",
            Outcome::Fallback => "fallback",
        }
    }

    /// The outcome with this word.
    pub fn from_name(name: &str) -> Option<Outcome> {
        Outcome::ALL.into_iter().find(|outcome| outcome.name() == name)
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}
