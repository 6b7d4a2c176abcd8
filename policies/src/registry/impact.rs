//! Impact reports: what a draft would have decided, as it is recorded and approved.

use std::collections::BTreeMap;

use domain::statement::is_unseen;
use domain::{Digest, Timestamp};
use serde::{Deserialize, Serialize};

use super::Refusal;

/// The version of the form this build makes. Reports of earlier forms can be read: what they lack is empty.
pub const IMPACT_VERSION: u32 = 4;

/// Decisions that came out differently, by how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flip {
    pub from: String,
    pub to: String,
    /// The reason the draft gives.
    pub reason: String,
    pub decisions: u64,
}

/// One number on both sides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    pub from: i64,
    pub to: i64,
}

/// What changes for a segment or a reward.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slice {
    pub id: String,
    /// Decisions about it; of a reward those that promise it.
    #[serde(default)]
    pub decisions: Change,
    pub promises: Change,
    /// Members who were promised anything.
    pub members: Change,
    pub cost_micros: Change,
    /// Net value as the policies compute it: by declared priors, not measured effects.
    pub net_micros: Change,
    /// The most of it that was promised and unused at any one time, counted from the start like budgets.
    #[serde(default)]
    pub exposed_micros: Change,
}

/// Whom it concerns: members of a segment, by what they are decided and promised.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Affected {
    /// The segment at their last decision under what is in force; of those who have none there, under the draft. Absent for
    /// those whom no decision came so far about.
    pub segment: Option<String>,
    /// Members with a decision on either side.
    pub members: u64,
    /// Those of them with a decision that comes out differently.
    pub decided_otherwise: u64,
    /// Those promised something by the draft only.
    pub gain: u64,
    /// Those promised something by what is in force only.
    pub lose: u64,
}

/// A budget at the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Burn {
    pub id: String,
    pub limit: Change,
    pub promised: Change,
}

/// The report; its digest is what an approval names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Impact {
    pub v: u32,
    pub from: Digest,
    pub to: Digest,
    pub models: Digest,
    pub currency: String,
    /// Events before this time led up to what is compared; absent when everything is. Budgets count from the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// The row of the last event that was looked at: the same events give the same report, whoever makes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
    pub events: u64,
    /// Recorded events that could not be opened: their member was erased.
    pub erased: u64,
    pub decisions: Change,
    pub promises: Change,
    pub cost_micros: Change,
    pub net_micros: Change,
    /// The most that was promised and unused at any one time.
    #[serde(default)]
    pub exposed_micros: Change,
    /// Uses, cancellations and answers that are about a promise this side did not make, and are left out there.
    #[serde(default)]
    pub left_out: Change,
    /// Decisions that came out differently, those of one side only included.
    pub flipped: u64,
    pub flips: Vec<Flip>,
    /// Whom it concerns, by segment.
    #[serde(default)]
    pub affected: Vec<Affected>,
    pub segments: Vec<Slice>,
    pub rewards: Vec<Slice>,
    pub budgets: Vec<Burn>,
    /// Decisions without a promise, by reason.
    pub reasons: BTreeMap<String, Change>,
    /// Decisions in which a guardrail refused the moment or a reward, by its id.
    #[serde(default)]
    pub guardrails: BTreeMap<String, Change>,
}

impl Impact {
    /// The text that is recorded.
    pub fn text(&self) -> String {
        // Plain values rendered in declaration order: cannot fail, and always the same bytes.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The digest an approval binds to.
    pub fn digest(&self) -> Digest {
        Digest::of(self.text().as_bytes())
    }
}

/// Every text of a report that people are shown.
fn text_of(report: &Impact) -> impl Iterator<Item = &str> {
    let flips = report.flips.iter().flat_map(|flip| [&flip.from, &flip.to, &flip.reason]);
    let affected = report.affected.iter().filter_map(|affected| affected.segment.as_ref());
    let slices = report.segments.iter().chain(&report.rewards).map(|slice| &slice.id);
    let budgets = report.budgets.iter().map(|budget| &budget.id);
    let named = report.reasons.keys().chain(report.guardrails.keys());
    let all = flips.chain(slices).chain(budgets).chain(affected).chain(named).chain([&report.currency]);
    all.map(String::as_str)
}

/// The report a statement names, if its text is one: of this bundle, beside what is in force, in the form this program makes.
/// Whether its numbers are those of the ledger is for whoever approves to compute again.
///
/// # Errors
/// What it is instead.
pub fn report_of(text: &str, bundle: Digest, in_force: Digest) -> Result<Impact, Refusal> {
    let not = |why: String| Refusal::NoReport { bundle, why };
    let report: Impact =
        serde_json::from_str(text).map_err(|error| not(format!("it is no report: {error}")))?;
    if report.text() != text {
        return Err(not("it is not in the form reports have".to_owned()));
    }
    if report.v != IMPACT_VERSION {
        return Err(not(format!("its form is {}, this build knows {IMPACT_VERSION}", report.v)));
    }
    if text_of(&report).any(|text| text.chars().any(is_unseen)) {
        return Err(not("it holds characters nobody sees".to_owned()));
    }
    if report.to != bundle {
        return Err(not(format!("it is about {}", report.to)));
    }
    if report.from != in_force {
        return Err(not(format!("it compares with {}, and {in_force} is in force", report.from)));
    }
    Ok(report)
}
