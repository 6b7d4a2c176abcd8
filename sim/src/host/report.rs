//! What a run came to: counts, budgets, and one digest over every decision.

use std::collections::BTreeMap;

use domain::{Decision, Digest, Outcome, Reason, record};
use policies::Bundle;
use serde::Serialize;

use super::books::Books;

/// One budget at the end; stock counts units in millionths like money.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Budget {
    pub id: String,
    pub limit_micros: i64,
    /// Promised and not ended unused.
    pub committed_micros: i64,
    /// Held for approval.
    pub reserved_micros: i64,
}

/// What a run came to. Equal input gives equal reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Events given, refused ones included.
    pub events: u64,
    /// Refused events by reason.
    pub dead_letters: BTreeMap<&'static str, u64>,
    /// Timers of members that fired between events.
    pub timers: u64,
    /// Events that led to a decision.
    pub moments: u64,
    /// Decisions by outcome.
    pub decisions: BTreeMap<&'static str, u64>,
    /// Rewards promised or held for approval.
    pub rewards_promised: u64,
    /// Of these, promises that ended unused and gave their budget back.
    pub rewards_ended_unused: u64,
    /// Moments scored by the closed form, because the models failed.
    pub fallback_scores: u64,
    pub budgets: Vec<Budget>,
    /// The most that was promised and unused at any one time, in micros: of the program, each segment and each reward.
    pub most_exposed_micros: BTreeMap<String, i64>,
    /// How often a promise went beyond a budget.
    pub overspend: u64,
    /// Budget periods opened.
    pub periods: u64,
    pub negotiations: u64,
    /// Negotiations whose certificate shows a gap within the certified bound.
    pub certified: u64,
    /// Negotiations that ended without a usable plan.
    pub negotiation_fallbacks: u64,
    /// Certificates verified by the independent checker, those of anchors included: all of them.
    pub certificates_verified: u64,
    /// Largest gap between a plan and the best possible one.
    pub max_gap_ppm: u32,
    pub program: String,
    pub currency: String,
    /// The bundle's digest.
    pub bundle: Digest,
    /// Over the recorded forms of all decisions, in order.
    pub digest: Digest,
}

/// Counts of one run.
#[derive(Debug, Default)]
pub struct Tally {
    pub events: u64,
    pub timers: u64,
    pub ended_unused: u64,
    pub fallback_scores: u64,
    dead_letters: BTreeMap<&'static str, u64>,
    outcomes: BTreeMap<Outcome, u64>,
    digest: Digest,
}

/// Counts of the negotiations of one run.
#[derive(Debug, Default)]
pub struct Negotiations {
    pub periods: u64,
    pub negotiations: u64,
    pub certified: u64,
    pub fallbacks: u64,
    pub certificates: u64,
    pub max_gap_ppm: u32,
}

impl Tally {
    pub fn refused(&mut self, reason: Reason) {
        *self.dead_letters.entry(reason.name()).or_insert(0) += 1;
    }

    /// Counts a decision and chains its recorded forms to those before it.
    pub fn decided(&mut self, decision: &Decision) {
        *self.outcomes.entry(decision.outcome).or_insert(0) += 1;
        let forms = record::decision(decision);
        let links = [self.digest, Digest::of(&forms.public), Digest::of(&forms.personal)];
        self.digest = Digest::of(&links.map(|link| link.0).concat());
    }

    fn count(&self, outcome: Outcome) -> u64 {
        self.outcomes.get(&outcome).copied().unwrap_or(0)
    }
}

impl Report {
    pub(super) fn of(tally: &Tally, negotiations: &Negotiations, books: &Books, bundle: &Bundle) -> Report {
        let budget = |(id, account): (&std::sync::Arc<str>, &super::books::Account)| Budget {
            id: id.to_string(),
            limit_micros: account.limit.0,
            committed_micros: account.committed.0,
            reserved_micros: account.reserved.0,
        };
        Report {
            events: tally.events,
            dead_letters: tally.dead_letters.clone(),
            timers: tally.timers,
            moments: tally.outcomes.values().sum(),
            decisions: Outcome::ALL.map(|outcome| (outcome.name(), tally.count(outcome))).into(),
            rewards_promised: tally.count(Outcome::Granted) + tally.count(Outcome::Pending),
            rewards_ended_unused: tally.ended_unused,
            fallback_scores: tally.fallback_scores,
            budgets: books.accounts.iter().map(budget).collect(),
            most_exposed_micros: books
                .exposed
                .iter()
                .map(|(id, exposed)| (id.to_string(), exposed.most.0))
                .collect(),
            overspend: books.overspend,
            periods: negotiations.periods,
            negotiations: negotiations.negotiations,
            certified: negotiations.certified,
            negotiation_fallbacks: negotiations.fallbacks,
            certificates_verified: negotiations.certificates,
            max_gap_ppm: negotiations.max_gap_ppm,
            program: bundle.program().name.clone(),
            currency: bundle.program().currency.clone(),
            bundle: bundle.digest(),
            digest: tally.digest,
        }
    }
}
