//! What came from outside the brains, as the ledger recorded it: reservations.

use agents::segment::{Demand, Refusal, Reserve};
use domain::{Decision, Reason, Timestamp};
use policies::{Measure, RuleIndex};

/// Answers reservations as the live escrow did.
pub struct RecordedReserve<'d> {
    pub decision: &'d Decision,
}

impl Reserve for RecordedReserve<'_> {
    fn reserve(&mut self, demand: &Demand, _now: Timestamp) -> Result<(), Refusal> {
        if demand.learn && !self.decision.explored {
            // An exploring draw that could not be paid: the moment was then decided without exploring.
            return Err(Refusal::Learn);
        }
        let recorded = self.decision.candidates.iter().find(|candidate| candidate.reward == demand.reward);
        let rule = RuleIndex(recorded.and_then(|candidate| candidate.rule).unwrap_or_default());
        let limit = |measure| Err(Refusal::Limit { measure, rule });
        match recorded.map(|candidate| candidate.reason) {
            Some(Reason::Chosen) => Ok(()),
            Some(Reason::GlobalBudget) => Err(Refusal::Global),
            Some(Reason::SegmentBudget) => Err(Refusal::Segment),
            Some(Reason::Inventory) => Err(Refusal::Inventory),
            Some(Reason::ExposureLimit) => limit(Measure::Open),
            Some(Reason::WindowBudget) => limit(Measure::Window),
            Some(Reason::EscalationLimit) => limit(Measure::Waiting),
            Some(Reason::LeaderSilent) => Err(Refusal::Lease),
            // Anything else was not reserved, so it was refused for a moment that then chose otherwise.
            Some(_) | None => Err(Refusal::Pacing),
        }
    }
}
