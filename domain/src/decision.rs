//! The recorded outcome of a moment, and its two record forms.
//!
//! The public form goes into the Merkle tree in clear and holds no personal value; the personal form is
//! sealed under the member's key. Together they hold everything a replay needs. Both are JSON with integers
//! only, members in declaration order, so that equal decisions have equal bytes (invariant R-1).

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::event::Event;
use crate::facts::{Facts, Field};
use crate::id::{DecisionId, EventId, MemberId, RewardIndex, SegmentIndex};
use crate::moment::Level;
use crate::money::Micros;
use crate::outcome::Outcome;
use crate::ratio::{Milli, Ppm};
use crate::reason::Reason;
use crate::time::Timestamp;

/// What the models said about the member, already integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scores {
    /// Predicted spend in the next 91 days.
    pub ltv_91d: Micros,
    /// Predicted probability of no purchase in the next 60 days.
    pub churn_60d: Ppm,
    /// Who said so.
    pub source: ScoreSource,
    /// The first eight bytes of SHA-256 over the bits of the feature vector, big endian.
    pub features: u64,
}

/// Where scores came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScoreSource {
    /// The ONNX models named by the decision's model digest.
    Model,
    /// The closed-form fallback, because a model was unavailable.
    Fallback,
}

/// One reward considered at a moment, with its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "CandidateRow", into = "CandidateRow")]
pub struct Candidate {
    /// Which reward.
    pub reward: RewardIndex,
    /// Why it won or lost.
    pub reason: Reason,
    /// The policy rule that said so (index in the bundle's rule list), when one did.
    pub rule: Option<u16>,
    /// Value for this member after the lever; zero when excluded before valuation.
    pub value: Micros,
    /// Price from the price table; zero when excluded before valuation.
    pub price: Micros,
}

/// A candidate as it is recorded: `[reward, reason number, rule + 1 or 0, value, price]`.
type CandidateRow = (u8, u8, u16, i64, i64);

impl From<Candidate> for CandidateRow {
    fn from(candidate: Candidate) -> CandidateRow {
        let rule = candidate.rule.map_or(0, |rule| rule + 1);
        (candidate.reward.0, candidate.reason.number(), rule, candidate.value.0, candidate.price.0)
    }
}

impl From<CandidateRow> for Candidate {
    fn from((reward, reason, rule, value, price): CandidateRow) -> Candidate {
        Candidate {
            reward: RewardIndex(reward),
            // An unknown number can only come from a newer build, whose replay is refused by its semantics version.
            reason: Reason::from_number(reason).unwrap_or(Reason::NoCandidate),
            rule: rule.checked_sub(1),
            value: Micros(value),
            price: Micros(price),
        }
    }
}

/// What kept the best candidate from being chosen; the loss ledger sums `best_net - chosen_net` by this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Nothing: the best was chosen, or there was nothing to choose.
    Nothing,
    /// A policy rule, cap, cool-down or quiet time.
    Policy,
    /// Consent, objection, minority or a kill switch.
    Denied,
    /// Control group.
    Holdout,
    /// Escrow, inventory or pacing limit.
    Capacity,
    /// A person must approve.
    Approval,
    /// Exploration chose another.
    Exploration,
    /// Stale prices, missed deadline.
    Fallback,
}

/// The outcome of a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    pub id: DecisionId,
    /// The event that made the moment.
    pub event: Event,
    /// The host's time when the event was admitted; facts and scores are as of it.
    pub considered_at: Timestamp,
    /// The host's time at the decision.
    pub decided_at: Timestamp,
    /// Index of the moment in the bundle, and its level.
    pub moment: u8,
    pub level: Level,
    /// Index of the member's segment, when one describes the member.
    pub segment: Option<SegmentIndex>,
    pub outcome: Outcome,
    /// Why the moment ended so.
    pub reason: Reason,
    /// The rule behind `reason`, when one was.
    pub rule: Option<u16>,
    pub chosen: Option<RewardIndex>,
    /// Face cost of the chosen reward.
    pub cost: Micros,
    /// Until when the promise holds.
    pub valid_until: Option<Timestamp>,
    pub candidates: Vec<Candidate>,
    pub facts: Facts,
    /// Absent when no model may run for the member (invariant E-3) or the answer did not need one.
    pub scores: Option<Scores>,
    /// The member's own price for one of its scarce contacts.
    pub opportunity: Micros,
    pub lever: Milli,
    /// The price table the segment decided with; ids rise over runs and periods.
    pub table: u64,
    /// How many times prices had been raised because no newer table came in time.
    pub caution: u8,
    /// Position in the segment's own order of work; zero when the moment never reached the segment.
    pub segment_seq: u64,
    pub explored: bool,
    /// Probability of the choice in units of 1e-9; 1e9 unless explored.
    pub propensity: u32,
    pub best_net: Micros,
    pub chosen_net: Micros,
    pub cause: Cause,
    pub bundle: Digest,
    /// SHA-256 over the digests of the active models; absent when no model ran.
    pub models: Option<Digest>,
}

/// The public form, schema 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicDecision {
    pub v: u32,
    pub semantics: u32,
    pub decision: DecisionId,
    pub considered_at: Timestamp,
    pub decided_at: Timestamp,
    pub moment: u8,
    pub level: Level,
    pub segment: Option<SegmentIndex>,
    pub outcome: Outcome,
    pub reason: Reason,
    pub rule: Option<u16>,
    pub reward: Option<RewardIndex>,
    pub cost: Micros,
    pub valid_until: Option<Timestamp>,
    /// `[reward, reason number, rule + 1 or 0]` per candidate.
    pub candidates: Vec<(u8, u8, u16)>,
    pub table: u64,
    pub caution: u8,
    pub segment_seq: u64,
    pub explored: bool,
    pub propensity: u32,
    pub best_net: Micros,
    pub chosen_net: Micros,
    pub cause: Cause,
    pub bundle: Digest,
    pub models: Option<Digest>,
    /// Position of the member's experiment variant, from 1; absent when in none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<u8>,
    /// The event, or a purchase behind the member's facts, could still be taken back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub provisional: bool,
}

/// The personal form, schema 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonalDecision {
    pub v: u32,
    pub event: Event,
    pub facts: Facts,
    pub scores: Option<Scores>,
    pub opportunity: Micros,
    pub lever: Milli,
    /// `[value, price]` per candidate, in the order of the public form.
    pub values: Vec<(Micros, Micros)>,
}

/// The version of both record forms.
pub const RECORD_VERSION: u32 = 1;

impl Decision {
    /// The member it is about.
    pub fn member(&self) -> MemberId {
        self.event.member
    }

    /// The event that made the moment.
    pub fn event_id(&self) -> &EventId {
        &self.event.event_id
    }

    /// The public form.
    pub fn public(&self) -> PublicDecision {
        let row = |candidate: &Candidate| {
            (candidate.reward.0, candidate.reason.number(), candidate.rule.map_or(0, |rule| rule + 1))
        };
        PublicDecision {
            v: RECORD_VERSION,
            semantics: crate::SEMANTICS_VERSION,
            decision: self.id,
            considered_at: self.considered_at,
            decided_at: self.decided_at,
            moment: self.moment,
            level: self.level,
            segment: self.segment,
            outcome: self.outcome,
            reason: self.reason,
            rule: self.rule,
            reward: self.chosen,
            cost: self.cost,
            valid_until: self.valid_until,
            candidates: self.candidates.iter().map(row).collect(),
            table: self.table,
            caution: self.caution,
            segment_seq: self.segment_seq,
            explored: self.explored,
            propensity: self.propensity,
            best_net: self.best_net,
            chosen_net: self.chosen_net,
            cause: self.cause,
            bundle: self.bundle,
            models: self.models,
            variant: u8::try_from(self.facts.get(Field::MemberVariant)).ok().filter(|variant| *variant > 0),
            provisional: self.facts.rest_on_provisional(),
        }
    }

    /// The personal form.
    pub fn personal(&self) -> PersonalDecision {
        PersonalDecision {
            v: RECORD_VERSION,
            event: self.event.clone(),
            facts: self.facts.clone(),
            scores: self.scores,
            opportunity: self.opportunity,
            lever: self.lever,
            values: self.candidates.iter().map(|candidate| (candidate.value, candidate.price)).collect(),
        }
    }

    /// The decision that has these two forms.
    ///
    /// Returns `None` when the forms do not belong together (different numbers of candidates).
    pub fn from_record(public: PublicDecision, personal: PersonalDecision) -> Option<Decision> {
        if public.candidates.len() != personal.values.len() {
            return None;
        }
        let candidates = public.candidates.iter().zip(&personal.values);
        let candidates = candidates.map(|(&(reward, reason, rule), &(value, price))| {
            Candidate::from((reward, reason, rule, value.0, price.0))
        });
        Some(Decision {
            id: public.decision,
            considered_at: public.considered_at,
            decided_at: public.decided_at,
            moment: public.moment,
            level: public.level,
            segment: public.segment,
            outcome: public.outcome,
            reason: public.reason,
            rule: public.rule,
            chosen: public.reward,
            cost: public.cost,
            valid_until: public.valid_until,
            candidates: candidates.collect(),
            facts: personal.facts,
            scores: personal.scores,
            opportunity: personal.opportunity,
            lever: personal.lever,
            table: public.table,
            caution: public.caution,
            segment_seq: public.segment_seq,
            explored: public.explored,
            propensity: public.propensity,
            best_net: public.best_net,
            chosen_net: public.chosen_net,
            cause: public.cause,
            bundle: public.bundle,
            models: public.models,
            event: personal.event,
        })
    }
}
