//! From a scored moment to the member's proposal: every candidate judged by policy and valued.

use domain::{Candidate, Level, Micros, Reason, RewardIndex, Scores, SegmentIndex};
use policies::{Bundle, MomentIndex, RuleIndex, Situation, Stops};

use super::Considered;
use super::facts::put_scores;

/// A member agent's valued candidates, addressed to its segment agent.
#[derive(Clone, Debug)]
pub struct Proposal {
    /// The member's side, its facts now with scores.
    pub considered: Considered,
    /// The moment this is, after its conditions were checked.
    pub moment: MomentIndex,
    pub level: Level,
    pub scores: Option<Scores>,
    /// The member's segment, or why there is none.
    pub segment: Result<SegmentIndex, policies::Refusal>,
    /// Why the program holds itself back at this moment, when it does.
    pub held: Option<policies::Refusal>,
    /// The rewards that compete in this moment. An open candidate's reason is [`Reason::Chosen`] until the
    /// segment agent has decided.
    pub candidates: Vec<Candidate>,
    /// Levered value per reward of the catalog; zero where a reward does not compete.
    pub values: Vec<i64>,
    /// Open candidates, one bit per reward.
    pub open: u64,
}

/// What a moment turned out to be once scored.
#[derive(Clone, Debug)]
pub enum Proposed {
    /// Not a moment after all: this rule of the moment does not hold.
    NotAMoment(RuleIndex),
    /// Candidates for the segment agent.
    Proposal(Box<Proposal>),
}

impl Considered {
    /// Judges and values every competing reward.
    pub fn propose(mut self, scores: Option<Scores>, bundle: &Bundle, stops: Stops) -> Proposed {
        if let Some(scores) = &scores {
            put_scores(&mut self.facts, scores);
        }
        let moment = match bundle.confirmed(self.moment, &self.facts) {
            Ok(moment) => moment,
            Err(rule) => return Proposed::NotAMoment(rule),
        };
        let segment = bundle.segment_of(&self.facts, stops);
        let held = held(&self, moment, bundle, stops);
        let mut proposal = Proposal {
            moment,
            level: bundle.moment(moment).level,
            scores,
            segment,
            held,
            candidates: Vec::new(),
            values: vec![0; bundle.rewards().len()],
            open: 0,
            considered: self,
        };
        proposal.consider_rewards(bundle, stops);
        Proposed::Proposal(Box::new(proposal))
    }
}

fn held(
    considered: &Considered,
    moment: MomentIndex,
    bundle: &Bundle,
    stops: Stops,
) -> Option<policies::Refusal> {
    let situation =
        Situation { facts: &considered.facts, now: considered.now, grants: &considered.grants, stops };
    bundle.gate(moment, &situation).err()
}

impl Proposal {
    fn consider_rewards(&mut self, bundle: &Bundle, stops: Stops) {
        let competing = bundle.moment(self.moment).rewards;
        let mut facts = self.considered.facts.clone();
        for index in 0..bundle.rewards().len() {
            if competing >> index & 1 == 0 {
                continue;
            }
            let reward = RewardIndex(u8::try_from(index).unwrap_or(u8::MAX));
            bundle.put_reward_facts(reward, self.considered.now, &self.considered.grants, &mut facts);
            let situation =
                Situation { facts: &facts, now: self.considered.now, grants: &self.considered.grants, stops };
            let segment = self.segment.ok();
            let answer = bundle.candidate(self.moment, segment, reward, &situation);
            let value = self.value(reward, bundle);
            let (reason, rule) = match answer {
                Ok(()) => (Reason::Chosen, None),
                Err((reason, rule)) => (reason, rule.map(|rule| rule.0)),
            };
            if reason == Reason::Chosen {
                self.open |= 1 << index;
            }
            self.values[index] = value.0;
            self.candidates.push(Candidate { reward, reason, rule, value, price: Micros::ZERO });
        }
        self.give_way(bundle);
    }

    /// Where an exclusive reward is open, nothing else is.
    fn give_way(&mut self, bundle: &Bundle) {
        let Some((refused, rule)) = bundle.giving_way(self.open) else { return };
        self.open &= !refused;
        for candidate in &mut self.candidates {
            if refused >> candidate.reward.0 & 1 == 1 {
                (candidate.reason, candidate.rule) = (Reason::ExclusiveReward, Some(rule.0));
            }
        }
    }

    /// Value after the lever; zero without scores or segment.
    fn value(&self, reward: RewardIndex, bundle: &Bundle) -> Micros {
        match (&self.scores, &self.segment) {
            (Some(scores), Ok(segment)) => {
                bundle.value(*segment, reward, scores.ltv_91d, scores.churn_60d).levered
            }
            (None, _) | (_, Err(_)) => Micros::ZERO,
        }
    }
}
