//! The recorded moments under another policy, each by itself.
//!
//! What came from outside the brains is taken as recorded: the member as the rows before left it, scores, the prices
//! in force, the price of a contact, and what the escrow refused. So the policy that decided gives what it decided, and
//! whatever differs comes from the rules. What an earlier promise under the other policy would have changed is not
//! followed here: [`crate::impact`] runs whole histories with negotiation and budgets coupled.

use std::sync::Arc;

use agents::member::{Member, Proposal, Proposed, Step};
use agents::negotiation::PriceTable;
use agents::negotiation::integers::CLOSED;
use agents::policy::GlobalPolicy;
use agents::segment::{Demand, Refusal, Reserve, Segment, verdict};
use domain::random::{DrawPurpose, draw64};
use domain::record::{self, Forms, PersonalObserved, PublicObserved};
use domain::{
    Candidate, Decision, DecisionId, Digest, Event, Outcome, Reason, ScoreSource, Scores, Timestamp,
};
use ledger::{Kind, Row};
use models::Models;
use models::features::FeatureVector;
use policies::{Bundle, Measure, RuleIndex, Stops};
use serde::Serialize;

use super::Error;
use super::run::Run;

/// What an event comes to that starts no moment.
const NO_MOMENT: &str = "no moment";

/// Another policy, for [`super::Options`].
#[derive(Debug)]
pub struct Other {
    pub bundle: Arc<Bundle>,
    /// For moments at which no model ran and this policy wants one.
    pub models: Models,
    /// Also list the events that come out the same.
    pub keep_same: bool,
}

/// How the recorded events come out under it.
#[derive(Clone, Debug, Serialize)]
pub struct Answer {
    pub under: Digest,
    pub compared: u64,
    /// Came out with the same outcome, reward and reason.
    pub same: u64,
    /// Nobody can decide these again.
    pub erased_or_pruned: u64,
    /// In ledger order.
    pub different: Vec<Line>,
}

/// One event as it was decided, and as the other policy decides it.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    pub seq: u64,
    pub event_id: String,
    pub recorded: String,
    pub recorded_reason: &'static str,
    pub under: String,
    pub reason: &'static str,
}

/// The other policy and what it said so far.
pub struct Under {
    bundle: Arc<Bundle>,
    policy: GlobalPolicy,
    models: Models,
    keep_same: bool,
    pub answer: Answer,
}

/// What a row says about its event.
struct Past {
    event: Event,
    at: Timestamp,
    scores: Option<Scores>,
    /// Where the event was a moment.
    decision: Option<Decision>,
}

impl Under {
    /// Nothing asked yet; `None` when the policy has more segments or rewards than can be negotiated.
    pub fn new(other: Other) -> Option<Under> {
        let Other { bundle, models, keep_same } = other;
        let policy = GlobalPolicy::fresh(Arc::clone(&bundle))?;
        let under = bundle.digest();
        let answer = Answer { under, compared: 0, same: 0, erased_or_pruned: 0, different: Vec::new() };
        Some(Under { bundle, policy, models, keep_same, answer })
    }

    /// Decides the event of a row again. `member` is as it was before the event, `run` as it was after.
    pub fn ask(&mut self, row: &Row, found: &Forms, member: Member, run: &Run) -> Result<(), Error> {
        let past = Past::of(row, found)?;
        let decision = self.decide(&past, member, run);
        let (under, reason) = said(decision.as_ref(), &self.bundle);
        let (recorded, recorded_reason) = said(past.decision.as_ref(), run.bundle());
        let same = recorded == under && recorded_reason == reason;
        self.answer.compared += 1;
        self.answer.same += u64::from(same);
        if !same || self.keep_same {
            let event_id = past.event.event_id.to_string();
            let line = Line { seq: row.seq.0, event_id, recorded, recorded_reason, under, reason };
            self.answer.different.push(line);
        }
        Ok(())
    }

    fn decide(&mut self, past: &Past, mut member: Member, run: &Run) -> Option<Decision> {
        let (bundle, stops) = (Arc::clone(&self.bundle), stops_by_id(run, &self.bundle));
        let now = past.decision.as_ref().map_or(past.at, |decision| decision.decided_at);
        let seal = verdict::Seal {
            id: past.decision.as_ref().map_or(DecisionId(uuid::Uuid::nil()), |decision| decision.id),
            now,
            host_now: now,
            bundle: &bundle,
            stops,
            models: self.models.digest(),
        };
        let (considered, scores) = match member.handle(&past.event, past.at, &bundle, stops) {
            Step::Observed { .. } | Step::Refused(_) => return None,
            Step::Denied(considered, refusal) => return Some(verdict::denied(&considered, refusal, &seal)),
            Step::Score(considered) => {
                let scores = self.scores(past, &considered.features);
                (considered, scores)
            }
            Step::Unscored(considered) => (considered, None),
        };
        let proposal = match considered.propose(scores, &bundle, stops) {
            Proposed::NotAMoment(_) => return None,
            Proposed::Proposal(proposal) => proposal,
        };
        Some(match proposal.segment {
            Err(refusal) => verdict::without_segment(&proposal, refusal, &seal),
            Ok(_) => self.price(&proposal, past, run, seal),
        })
    }

    /// What was recorded; what the models say now where none had run.
    fn scores(&mut self, past: &Past, features: &FeatureVector) -> Option<Scores> {
        let digest = features.digest();
        if let Some(scores) = past.scores {
            return Some(Scores { features: digest, ..scores });
        }
        // A moment that reached its segment without scores was not scored then either.
        if past.decision.as_ref().is_some_and(|decision| decision.segment.is_some()) {
            return None;
        }
        let answer = self.models.score(std::slice::from_ref(features)).into_iter().next();
        let ((ltv_91d, churn_60d), source) = match answer {
            Some(Ok(score)) => (score, ScoreSource::Model),
            Some(Err(_)) | None => (models::fallback::score(features), ScoreSource::Fallback),
        };
        Some(Scores { ltv_91d, churn_60d, source, features: digest })
    }

    /// Decides a proposal at the prices of the time.
    fn price(&self, proposal: &Proposal, past: &Past, run: &Run, seal: verdict::Seal<'_>) -> Decision {
        let index = proposal.segment.unwrap_or_default();
        let recorded = past.decision.as_ref();
        let prices = run.prices(recorded.and_then(|decision| decision.segment));
        let mut rows = vec![Vec::new(); self.bundle.segments().len()];
        let id = &self.bundle.segment(index).id;
        rows[usize::from(index.0)] = prices_by_id(run.bundle(), prices, &self.bundle, id);
        let table = PriceTable { rows, ..prices.clone() };
        let mut brain = Segment::new(self.policy.segment_options(index), None, table);
        // The price of a contact follows from the caps and from what the segment has seen.
        let same_caps = caps(run.bundle()).eq(caps(&self.bundle));
        let known = recorded.filter(|decision| decision.segment_seq > 0 && same_caps);
        let contact = match known {
            Some(decision) => decision.opportunity.0,
            None if self.bundle.guardrails().member_caps.is_empty() => 0,
            None => run.contact_price(id, proposal, &seal),
        };
        brain.resume(recorded.map_or(1, |decision| decision.segment_seq.max(1)), contact);
        let host_now = brain.time_of_caution(recorded.map_or(0, |decision| decision.caution));
        let mut reserve = RefusedThen { past, own: run.bundle(), other: &self.bundle, segment: id };
        verdict::decide(&mut brain, proposal, &verdict::Seal { host_now, ..seal }, &mut reserve)
    }
}

impl Past {
    fn of(row: &Row, found: &Forms) -> Result<Past, Error> {
        let wrong = |why: String| Error::Row { seq: row.seq, why };
        if row.kind == Kind::Decision {
            let decision = record::read_decision(&found.public, &found.personal).map_err(wrong)?;
            let (event, at) = (decision.event.clone(), decision.considered_at);
            return Ok(Past { event, at, scores: decision.scores, decision: Some(decision) });
        }
        let json = |error: serde_json::Error| wrong(error.to_string());
        let public: PublicObserved = serde_json::from_slice(&found.public).map_err(json)?;
        let personal: PersonalObserved = serde_json::from_slice(&found.personal).map_err(json)?;
        let PersonalObserved { event, scores, .. } = personal;
        Ok(Past { event, at: public.observed_at, scores, decision: None })
    }
}

/// Limit and window of every cap.
fn caps(bundle: &Bundle) -> impl Iterator<Item = (u32, u16)> {
    bundle.guardrails().member_caps.iter().map(|cap| (u32::from(cap.limit), cap.window_days))
}

/// Outcome with reward, and the reason.
fn said(decision: Option<&Decision>, bundle: &Bundle) -> (String, &'static str) {
    let Some(decision) = decision else { return (NO_MOMENT.to_owned(), "") };
    let promises = matches!(decision.outcome, Outcome::Granted | Outcome::Pending);
    let outcome = match decision.chosen.filter(|_| promises) {
        Some(reward) => format!("{} {}", decision.outcome, bundle.reward(reward).id),
        None => decision.outcome.to_string(),
    };
    (outcome, decision.reason.name())
}

/// What operators had stopped then, at the positions of another bundle.
fn stops_by_id(run: &Run, other: &Bundle) -> Stops {
    let (own, stops) = (run.bundle(), run.stops());
    let segment = |entry: &policies::bundle::Segment| entry.id.clone();
    let reward = |entry: &policies::bundle::Reward| entry.id.clone();
    let moment = |entry: &policies::bundle::Moment| entry.id.clone();
    Stops {
        program: stops.program,
        segments: moved(stops.segments, own.segments(), other.segments(), segment),
        rewards: moved(stops.rewards, own.rewards(), other.rewards(), reward),
        moments: moved(stops.moments, own.moments(), other.moments(), moment),
    }
}

/// The bits of a mask over `from`, where the same ids are in `to`.
fn moved<T>(mask: u64, from: &[T], to: &[T], id: impl Fn(&T) -> String) -> u64 {
    let set = |(place, _): &(usize, &T)| mask >> place & 1 == 1;
    let ids: Vec<String> = from.iter().enumerate().filter(set).map(|(_, entry)| id(entry)).collect();
    let places = to.iter().enumerate().filter(|(_, entry)| ids.contains(&id(entry)));
    places.fold(0, |mask, (place, _)| mask | 1 << place)
}

/// The prices of one segment of another bundle, micros per reward there.
///
/// Prices grow with what a reward costs, so one that costs otherwise is priced in proportion, one that was not known
/// like the cheapest for its cost, and a segment that was not known pays the highest price of any.
fn prices_by_id(own: &Bundle, table: &PriceTable, other: &Bundle, segment: &str) -> Vec<i64> {
    let known = own.segments().iter().position(|entry| entry.id == segment);
    let prices: Vec<i64> = match known.and_then(|place| table.rows.get(place)) {
        Some(row) => row.clone(),
        None => (0..own.rewards().len())
            .map(|reward| table.rows.iter().filter_map(|row| row.get(reward)).copied().max().unwrap_or(0))
            .collect(),
    };
    let costed = || own.rewards().iter().zip(&prices).filter(|(reward, _)| reward.cost.0 > 0);
    let cheapest = costed().min_by(|(a, at), (b, bt)| {
        (i128::from(**at) * i128::from(b.cost.0)).cmp(&(i128::from(**bt) * i128::from(a.cost.0)))
    });
    let scaled = |price: i64, cost: i64, of: i64| {
        let exact = i128::from(price) * i128::from(cost) / i128::from(of.max(1));
        i64::try_from(exact).unwrap_or(CLOSED).clamp(-CLOSED, CLOSED)
    };
    let price = |reward: &policies::bundle::Reward| {
        let same = own.rewards().iter().zip(&prices).find(|(known, _)| known.id == reward.id);
        match (same, cheapest) {
            (Some((known, price)), _) if known.cost == reward.cost || known.cost.0 == 0 => *price,
            (Some((known, price)), _) | (None, Some((known, price))) => {
                scaled(*price, reward.cost.0, known.cost.0)
            }
            (None, None) => 0,
        }
    };
    other.rewards().iter().map(price).collect()
}

/// The escrow as it was found then: what it refused is refused again, everything else was not asked for.
struct RefusedThen<'a> {
    past: &'a Past,
    own: &'a Bundle,
    other: &'a Bundle,
    /// The segment the other policy decides for.
    segment: &'a str,
}

impl Reserve for RefusedThen<'_> {
    fn reserve(&mut self, demand: &Demand, _now: Timestamp) -> Result<(), Refusal> {
        let Some(recorded) = &self.past.decision else { return Ok(()) };
        if demand.learn && self.draw_was_refused(recorded) {
            return Err(Refusal::Learn);
        }
        let wanted = self.other.reward(demand.reward);
        let segment = recorded.segment.map(|index| self.own.segment(index));
        let same_segment = segment.is_some_and(|segment| segment.id == self.segment);
        let found = |candidate: &&Candidate| self.own.reward(candidate.reward).id == wanted.id;
        if let Some(candidate) = recorded.candidates.iter().find(found) {
            let cost = self.own.reward(candidate.reward).cost;
            let limit = |measure| self.limit(measure, candidate.rule).map_or(Ok(()), Err);
            match Some(candidate.reason) {
                Some(Reason::Chosen) if wanted.cost <= cost => return Ok(()),
                Some(Reason::GlobalBudget) if wanted.cost >= cost => return Err(Refusal::Global),
                Some(Reason::SegmentBudget) if wanted.cost >= cost && same_segment => {
                    return Err(Refusal::Segment);
                }
                Some(Reason::LeaderSilent) => return Err(Refusal::Lease),
                Some(Reason::Inventory) if wanted.inventory.is_some() => return Err(Refusal::Inventory),
                Some(Reason::ExposureLimit) => limit(Measure::Open)?,
                Some(Reason::WindowBudget) => limit(Measure::Window)?,
                Some(Reason::EscalationLimit) if demand.waits => limit(Measure::Waiting)?,
                Some(Reason::Pacing) => return Err(Refusal::Pacing),
                Some(_) | None => {}
            }
        }
        // Money that did not cover another reward does not cover one that costs as much, and a lease had ended for all.
        let no_less = |candidate: &&Candidate| self.own.reward(candidate.reward).cost <= wanted.cost;
        let refused = |reason| recorded.candidates.iter().filter(no_less).any(|other| other.reason == reason);
        if recorded.candidates.iter().any(|other| other.reason == Reason::LeaderSilent) {
            return Err(Refusal::Lease);
        }
        if refused(Reason::GlobalBudget) {
            return Err(Refusal::Global);
        }
        if same_segment && refused(Reason::SegmentBudget) {
            return Err(Refusal::Segment);
        }
        Ok(())
    }
}

impl RefusedThen<'_> {
    /// Whether the policy that decided drew at random at this moment and could not pay what it drew.
    fn draw_was_refused(&self, recorded: &Decision) -> bool {
        let (experiments, event) = (self.own.experiments(), &recorded.event);
        let draw =
            draw64(experiments.seed, event.member.as_u128(), event.event_id.hash64(), DrawPurpose::Explore);
        let rule = agents::segment::Exploration { share: experiments.exploration, ..Default::default() };
        !recorded.explored && rule.explores(draw)
    }

    /// A limit the other policy has, too.
    fn limit(&self, measure: Measure, rule: Option<u16>) -> Option<Refusal> {
        let id = &self.own.rules().get(usize::from(rule?))?.id;
        let place = self.other.rules().iter().position(|rule| rule.id == *id)?;
        Some(Refusal::Limit { measure, rule: RuleIndex(u16::try_from(place).ok()?) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_follows_its_ids() {
        let id = |text: &&str| (*text).to_owned();
        assert_eq!(moved(0b101, &["a", "b", "c"], &["c", "x", "b", "a"], id), 0b1001);
        assert_eq!(moved(0, &["a"], &["a"], id), 0);
    }
}
