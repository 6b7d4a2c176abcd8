//! From a member's proposal and the segment's choice to the decision that is recorded.
//!
//! Here the conditions are asked a second time, with the clock and kill switches of the moment of commitment
//! (invariant E-1), and the loss ledger's numbers are set: what the best candidate would have been worth, what
//! the chosen one is worth, and what made the difference.

use domain::random::{DrawPurpose, draw64};
use domain::time::DAY;
use domain::{
    Candidate, Cause, Decision, DecisionId, Digest, Micros, Milli, Outcome, Reason, RewardIndex, Timestamp,
};
use policies::{Autonomy, Bundle, Refusal, RuleIndex, Situation, Stops};

use super::choice::{Choice, Offer};
use super::escrow::Reserve;
use super::pricing::Segment;
use crate::member::facts::put_now;
use crate::member::{Considered, Proposal};
use domain::reason::Class;

/// Probability of a choice that was not drawn, in units of 1e-9.
const CERTAIN: u32 = 1_000_000_000;

/// What the host adds to a decision: identity and time, and what is in force.
#[derive(Clone, Copy, Debug)]
pub struct Seal<'a> {
    pub id: DecisionId,
    /// The time the promise is made at; conditions are asked again at it.
    pub now: Timestamp,
    /// The host's own clock, by which prices and leases age. It differs from `now` when the past is replayed.
    pub host_now: Timestamp,
    pub bundle: &'a Bundle,
    pub stops: Stops,
    /// Of the active models; recorded when a model ran.
    pub models: Digest,
}

/// Decides a proposal at its segment agent.
pub fn decide(
    segment: &mut Segment,
    proposal: &Proposal,
    seal: &Seal<'_>,
    reserve: &mut impl Reserve,
) -> Decision {
    let standing = Standing::of(proposal, seal);
    let offer = offer(proposal, &standing, seal);
    let choice = if proposal.considered.control {
        segment.observe(&offer);
        segment.idle()
    } else {
        segment.decide(&offer, reserve)
    };
    let mut decision = skeleton(&proposal.considered, seal);
    decision.level = proposal.level;
    decision.moment = proposal.moment.0;
    decision.segment = proposal.segment.ok();
    decision.scores = proposal.scores;
    decision.models = proposal.scores.map(|_| seal.models);
    decision.opportunity = Micros(choice.opportunity);
    decision.table = segment.table().id();
    decision.caution = segment.caution(seal.host_now);
    decision.segment_seq = choice.seq;
    decision.explored = choice.explored;
    decision.propensity = choice.propensity;
    let prices = proposal.segment.map(|index| segment.table().row(index)).unwrap_or(&[]);
    decision.candidates = candidates(proposal, &standing, &choice, prices);
    conclude(&mut decision, proposal, &standing, &choice, seal);
    decision
}

/// A moment at which nobody may look at candidates: law, consent, minority, kill switch.
pub fn denied(considered: &Considered, refusal: Refusal, seal: &Seal<'_>) -> Decision {
    let mut decision = skeleton(considered, seal);
    let moment = seal.bundle.moment(considered.moment);
    decision.level = moment.level;
    decision.outcome = refusal.outcome;
    decision.reason = refusal.reason;
    decision.rule = refusal.rule.map(|rule| rule.0);
    decision.cause = Cause::Denied;
    let competing = (0u8..64).filter(|reward| moment.rewards >> reward & 1 == 1);
    decision.candidates = competing
        .map(|reward| Candidate {
            reward: RewardIndex(reward),
            reason: refusal.reason,
            rule: refusal.rule.map(|rule| rule.0),
            value: Micros::ZERO,
            price: Micros::ZERO,
        })
        .collect();
    decision
}

/// A scored moment of a member whom no segment describes, or whose segment is stopped.
pub fn without_segment(proposal: &Proposal, refusal: Refusal, seal: &Seal<'_>) -> Decision {
    let mut decision = skeleton(&proposal.considered, seal);
    decision.level = proposal.level;
    decision.moment = proposal.moment.0;
    decision.scores = proposal.scores;
    decision.models = proposal.scores.map(|_| seal.models);
    decision.outcome = refusal.outcome;
    decision.reason = refusal.reason;
    decision.rule = refusal.rule.map(|rule| rule.0);
    decision.cause = if refusal.outcome == Outcome::Denied { Cause::Denied } else { Cause::Policy };
    decision.candidates = proposal.candidates.clone();
    for candidate in decision.candidates.iter_mut().filter(|candidate| candidate.reason == Reason::Chosen) {
        candidate.reason = refusal.reason;
        candidate.rule = decision.rule;
    }
    decision
}

/// What still stands of a proposal at the moment of commitment.
struct Standing {
    /// Why nothing may be promised now, if so.
    held: Option<Refusal>,
    /// Candidates that were open when valued and are open still.
    open: u64,
}

impl Standing {
    fn of(proposal: &Proposal, seal: &Seal<'_>) -> Standing {
        let considered = &proposal.considered;
        let mut facts = considered.facts.clone();
        put_now(&mut facts, seal.now, seal.bundle);
        let stopped = seal.bundle.gate_before_scores(&facts, seal.stops).err();
        let situation =
            Situation { facts: &facts, now: seal.now, grants: &considered.grants, stops: seal.stops };
        let segment = proposal.segment.ok().map(|segment| seal.bundle.segment(segment));
        let shadow = segment.filter(|segment| segment.autonomy == Autonomy::Shadow).map(|_| Refusal {
            reason: Reason::Shadow,
            rule: None,
            outcome: Outcome::None,
        });
        let held = shadow
            .or(proposal.held)
            .or(stopped)
            .or_else(|| seal.bundle.gate(proposal.moment, &situation).err());
        let mut open = 0;
        for index in (0u8..64).filter(|index| held.is_none() && proposal.open >> index & 1 == 1) {
            let reward = RewardIndex(index);
            let mut facts = facts.clone();
            seal.bundle.put_reward_facts(reward, seal.now, &considered.grants, &mut facts);
            let situation = Situation { facts: &facts, ..situation };
            let of = proposal.segment.ok();
            if seal.bundle.candidate(proposal.moment, of, reward, &situation).is_ok() {
                open |= 1 << index;
            }
        }
        let gave_way = seal.bundle.giving_way(open).map_or(0, |(refused, _)| refused);
        Standing { held, open: open & !gave_way }
    }
}

/// What a segment asks for one of the member's contacts at its prices, micros; the segment stays as it is.
pub fn contact_price(segment: &Segment, proposal: &Proposal, seal: &Seal<'_>) -> i64 {
    let (caps_left, visits_q16) = contacts(&proposal.considered, seal);
    segment.contact_price(scale(proposal), caps_left, visits_q16)
}

/// The member's size, micros.
fn scale(proposal: &Proposal) -> i64 {
    proposal.scores.map_or(0, |scores| policies::value::at_stake(scores.ltv_91d, scores.churn_60d).0)
}

fn offer<'a>(proposal: &'a Proposal, standing: &Standing, seal: &Seal<'_>) -> Offer<'a> {
    let considered = &proposal.considered;
    let (caps_left, visits_q16) = contacts(considered, seal);
    let event = &considered.event;
    let seed = seal.bundle.experiments().seed;
    Offer {
        mask: if considered.control { proposal.open } else { standing.open },
        values: &proposal.values,
        caps_left,
        visits_q16,
        scale: scale(proposal),
        draw: draw64(seed, event.member.as_u128(), event.event_id.hash64(), DrawPurpose::Explore),
        now: seal.host_now,
        at: seal.now,
    }
}

/// Contacts the tightest frequency cap still allows, and the further visits expected within its window.
fn contacts(considered: &Considered, seal: &Seal<'_>) -> (u8, u32) {
    let left = |cap: &policies::bundle::Cap| {
        let window = i64::from(cap.window_days) * DAY;
        let used = considered.grants.iter().filter(|grant| seal.now.since(grant.at) < window).count();
        usize::from(cap.limit).saturating_sub(used)
    };
    let caps = seal.bundle.guardrails().member_caps.iter();
    let Some((left, days)) = caps.map(|cap| (left(cap), cap.window_days)).min() else {
        return (u8::MAX, 0);
    };
    let visits = considered.weekly_visits_q16 * i64::from(days) / 7;
    (u8::try_from(left).unwrap_or(u8::MAX), u32::try_from(visits).unwrap_or(u32::MAX))
}

fn candidates(proposal: &Proposal, standing: &Standing, choice: &Choice, prices: &[i64]) -> Vec<Candidate> {
    let mut candidates = proposal.candidates.clone();
    for candidate in &mut candidates {
        let price = prices.get(usize::from(candidate.reward.0)).copied().unwrap_or(0);
        candidate.price = Micros(price);
        if candidate.reason != Reason::Chosen {
            continue;
        }
        let line = choice.lines.iter().find(|line| line.reward == candidate.reward);
        match (line, standing.held, proposal.considered.control) {
            (_, _, true) => candidate.reason = Reason::ControlGroup,
            (_, Some(refusal), false) => {
                candidate.reason = refusal.reason;
                candidate.rule = refusal.rule.map(|RuleIndex(rule)| rule);
            }
            (Some(line), None, false) => {
                candidate.reason = line.reason;
                candidate.rule = line.rule.map(|RuleIndex(rule)| rule);
                candidate.price = Micros(line.price);
            }
            (None, None, false) => candidate.reason = Reason::IneligibleAtCommit,
        }
    }
    candidates
}

/// Sets outcome, reason, reward, validity and the loss ledger's numbers.
fn conclude(
    decision: &mut Decision,
    proposal: &Proposal,
    standing: &Standing,
    choice: &Choice,
    seal: &Seal<'_>,
) {
    let opportunity = decision.opportunity;
    let net = |candidate: &Candidate| candidate.value - candidate.price - opportunity;
    // The lowest position wins ties, as it does for the segment agent.
    let best = decision.candidates.iter().rev().max_by_key(|candidate| net(candidate)).copied();
    decision.best_net = best.map_or(Micros::ZERO, |best| net(&best).max(Micros::ZERO));
    decision.chosen_net = Micros(choice.chosen_net);
    if proposal.considered.control {
        decision.outcome = Outcome::Control;
        decision.reason = Reason::ControlGroup;
    } else if let Some(refusal) = standing.held {
        decision.outcome = refusal.outcome;
        decision.reason = refusal.reason;
        decision.rule = refusal.rule.map(|rule| rule.0);
    } else if let Some(reward) = choice.chosen {
        promise(decision, reward, seal);
    } else {
        let ranked =
            decision.candidates.iter().max_by_key(|candidate| (rank(candidate.reason), net(candidate)));
        decision.reason = ranked.map_or(Reason::NoCandidate, |candidate| candidate.reason);
        decision.rule = ranked.and_then(|candidate| candidate.rule);
        let silent = decision.reason == Reason::LeaderSilent;
        decision.outcome = if silent { Outcome::Fallback } else { Outcome::None };
    }
    let lost = decision.best_net > decision.chosen_net;
    decision.cause = match best {
        _ if decision.outcome == Outcome::Pending => Cause::Approval,
        Some(best) if lost => cause(best.reason, choice),
        Some(_) | None => Cause::Nothing,
    };
}

fn promise(decision: &mut Decision, reward: RewardIndex, seal: &Seal<'_>) {
    let terms = seal.bundle.reward(reward);
    let segment = decision.segment.map(|segment| seal.bundle.segment(segment));
    let approve = decision.segment.is_some_and(|segment| seal.bundle.needs_person(segment, reward));
    decision.chosen = Some(reward);
    decision.cost = terms.cost;
    decision.valid_until = Some(seal.now.plus(i64::from(terms.valid_days) * DAY));
    decision.lever = segment.map_or(Milli::ONE, |segment| segment.levers[usize::from(reward.0)]);
    (decision.outcome, decision.reason) = if approve {
        (Outcome::Pending, Reason::ApprovalRequired)
    } else {
        (Outcome::Granted, Reason::Chosen)
    };
}

/// Which losing reason speaks for the moment: what came closest to a promise.
fn rank(reason: Reason) -> u8 {
    match reason.class() {
        Class::Fallback => 3,
        Class::Economic | Class::Chosen => 2,
        Class::Suppressed => 1,
        Class::Ineligible | Class::Denied | Class::DeadLetter => 0,
    }
}

fn cause(reason: Reason, choice: &Choice) -> Cause {
    match reason.class() {
        Class::Denied if reason == Reason::ControlGroup => Cause::Holdout,
        Class::Denied => Cause::Denied,
        Class::Suppressed | Class::Ineligible | Class::DeadLetter => Cause::Policy,
        Class::Fallback => Cause::Fallback,
        Class::Economic | Class::Chosen => {
            if choice.explored {
                Cause::Exploration
            } else {
                Cause::Capacity
            }
        }
    }
}

/// A decision with nothing decided yet.
fn skeleton(considered: &Considered, seal: &Seal<'_>) -> Decision {
    Decision {
        id: seal.id,
        event: considered.event.clone(),
        considered_at: considered.now,
        decided_at: seal.now,
        moment: considered.moment.0,
        level: domain::Level::L3,
        segment: None,
        outcome: Outcome::None,
        reason: Reason::NoCandidate,
        rule: None,
        chosen: None,
        cost: Micros::ZERO,
        valid_until: None,
        candidates: Vec::new(),
        facts: considered.facts.clone(),
        scores: None,
        opportunity: Micros::ZERO,
        lever: Milli::ONE,
        table: 0,
        caution: 0,
        segment_seq: 0,
        explored: false,
        propensity: CERTAIN,
        best_net: Micros::ZERO,
        chosen_net: Micros::ZERO,
        cause: Cause::Nothing,
        bundle: seal.bundle.digest(),
        models: None,
    }
}
