//! The bytes of ledger rows about members: one pair of forms per kind of row.
//!
//! Everything here is a pure function of its value, so a replay that recomputes the value gets the same
//! bytes (invariant R-1). Public bytes are JSON in clear; personal bytes are JSON to be sealed.

use serde::{Deserialize, Serialize};

use crate::decision::{Decision, PersonalDecision, PublicDecision, RECORD_VERSION, Scores};
use crate::digest::Digest;
use crate::event::Event;
use crate::event::wire::Refusal;
use crate::time::Timestamp;

/// The two forms of one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forms {
    /// In clear, in the Merkle leaf.
    pub public: Vec<u8>,
    /// To be sealed; its ciphertext's digest is in the Merkle leaf.
    pub personal: Vec<u8>,
}

/// Public form of an event that only changed facts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicObserved {
    pub v: u32,
    pub semantics: u32,
    /// The event's type.
    #[serde(rename = "type")]
    pub kind: String,
    pub observed_at: Timestamp,
    /// The moment that was triggered but whose conditions did not hold, and the rule that said so.
    pub moment: Option<u8>,
    pub rule: Option<u16>,
}

/// Personal form of an event that only changed facts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonalObserved {
    pub v: u32,
    pub event: Event,
    /// Scores, when a triggered moment needed them to be judged.
    pub scores: Option<Scores>,
}

/// Public form of a refused event; the personal form is the producer's bytes as they came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicDeadLetter {
    pub v: u32,
    pub refused_at: Timestamp,
    pub refusals: Vec<Refusal>,
    /// Of the producer's bytes.
    pub digest: Digest,
    /// Their number.
    pub bytes: usize,
}

fn json<T: Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1024);
    // Plain structs without maps or floats: writing them into memory cannot fail.
    let written = serde_json::to_writer(&mut bytes, value);
    debug_assert!(written.is_ok(), "record forms always serialise");
    bytes
}

/// The row of a decision.
pub fn decision(decision: &Decision) -> Forms {
    Forms { public: json(&decision.public()), personal: json(&decision.personal()) }
}

/// The row of an event that only changed facts.
pub fn observed(
    event: &Event,
    observed_at: Timestamp,
    triggered: Option<(u8, Option<u16>)>,
    scores: Option<Scores>,
) -> Forms {
    let public = PublicObserved {
        v: RECORD_VERSION,
        semantics: crate::SEMANTICS_VERSION,
        kind: event.kind.name().to_owned(),
        observed_at,
        moment: triggered.map(|(moment, _)| moment),
        rule: triggered.and_then(|(_, rule)| rule),
    };
    let personal = PersonalObserved { v: RECORD_VERSION, event: event.clone(), scores };
    Forms { public: json(&public), personal: json(&personal) }
}

/// The row of a refused event.
pub fn dead_letter(bytes: &[u8], refused_at: Timestamp, refusals: &[Refusal]) -> Forms {
    let public = PublicDeadLetter {
        v: RECORD_VERSION,
        refused_at,
        refusals: refusals.to_vec(),
        digest: Digest::of(bytes),
        bytes: bytes.len(),
    };
    Forms { public: json(&public), personal: bytes.to_vec() }
}

/// A row about a member, opened: what a member's state can be rebuilt from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemberRow<'r> {
    /// An event that only changed facts: its personal form.
    Observed { personal: Vec<u8> },
    /// A decision: both forms, the names of what was chosen for whom, and the budgets it took from.
    Decision {
        public: &'r [u8],
        personal: Vec<u8>,
        reward: Option<&'r str>,
        segment: Option<&'r str>,
        budgets: Vec<&'r str>,
    },
}

/// Reads a decision back from its two forms.
///
/// # Errors
/// What is wrong with the bytes: not these forms, or of another version.
pub fn read_decision(public: &[u8], personal: &[u8]) -> Result<Decision, String> {
    let public: PublicDecision =
        serde_json::from_slice(public).map_err(|error| format!("public form: {error}"))?;
    let personal: PersonalDecision =
        serde_json::from_slice(personal).map_err(|error| format!("personal form: {error}"))?;
    Decision::from_record(public, personal)
        .ok_or_else(|| "the two forms hold different numbers of candidates".to_owned())
}
