//! Rewards that are listed and never promised, because a guardrail or another condition always refuses them.

use domain::RewardIndex;

use super::search::Answer as Proof;
use super::terms::{By, Term};
use super::witness::{Answer, Witness, answer};
use super::{Analysis, Dead, listed, witness};
use crate::bundle::MomentIndex;
use crate::codes::Code;
use crate::rules::RuleIndex;

/// Pairs of moment and reward that are known to be never promised.
pub(super) struct Refused(Vec<u64>);

impl Refused {
    pub(super) fn contains(&self, moment: usize, reward: usize) -> bool {
        self.0[moment] >> reward & 1 == 1
    }
}

/// What the engine says of a refusal that was proven.
pub(super) enum Shown {
    /// It refuses this row with one of the rules that were named.
    By(Box<Witness>),
    /// There is no such row, or another rule comes before.
    Nobody,
    /// It does not refuse: the proof says something else than the engine does, and nothing is reported.
    Against,
}

impl<'a> Analysis<'a> {
    /// Reports rewards that are never promised in a moment that lists them.
    pub(super) fn refused_promises(&mut self, dead: &Dead, dead_moments: &[bool]) -> Refused {
        if self.everything_refused() {
            return Refused(vec![u64::MAX; self.bundle.moments.len()]);
        }
        if dead.segments.iter().all(|dead| *dead) {
            // Nobody is in a segment, which each of them was reported for.
            return Refused(vec![u64::MAX; self.bundle.moments.len()]);
        }
        let everywhere = self.refused_everywhere(dead);
        let mut refused = Vec::with_capacity(self.bundle.moments.len());
        for (at, dead) in dead_moments.iter().enumerate() {
            let listed = self.bundle.moments[at].rewards;
            if *dead || self.moment_refused(at) {
                refused.push(listed);
                continue;
            }
            let mut mask = everywhere;
            for reward in (0..self.bundle.rewards.len()).filter(|reward| listed >> reward & 1 == 1) {
                if mask >> reward & 1 == 0 && self.refused(Some(at), reward) {
                    mask |= 1 << reward;
                }
            }
            refused.push(mask);
        }
        Refused(refused)
    }

    /// Reports guardrails that leave nothing to promise at all.
    fn everything_refused(&mut self) -> bool {
        let terms = self.terms;
        let asked: Vec<&'a Term> = terms.keys.iter().chain(&terms.denies[..terms.moment_denies]).collect();
        // Where this stays open, so does a reward in a moment, which is noted with their names.
        if !matches!(self.ask(&asked), Proof::Never(_)) {
            return false;
        }
        self.conflict(&asked, None, None);
        true
    }

    /// Rewards that no moment could promise, as bits.
    fn refused_everywhere(&mut self, dead: &Dead) -> u64 {
        let mut mask = 0;
        for (at, dead) in dead.rewards.iter().enumerate() {
            if *dead || self.refused(None, at) {
                mask |= 1 << at;
            }
        }
        mask
    }

    /// Reports a moment in which guardrails refuse everything.
    fn moment_refused(&mut self, at: usize) -> bool {
        let asked = self.moment_terms(at);
        if !matches!(self.ask(&asked), Proof::Never(_)) {
            return false;
        }
        self.conflict(&asked, Some(at), None);
        true
    }

    /// Reports a reward that is never promised, in one moment or in any.
    fn refused(&mut self, moment: Option<usize>, reward: usize) -> bool {
        let asked = self.promise(moment, reward);
        let about: Vec<String> =
            moment.map(|at| vec![self.reward_name(reward), self.moment_name(at)]).unwrap_or_default();
        if !self.never(&asked, &about) {
            return false;
        }
        self.conflict(&asked, moment, Some(reward));
        true
    }

    /// What any promise in a moment takes.
    fn moment_terms(&self, at: usize) -> Vec<&'a Term> {
        let terms = self.terms;
        self.earlier_moments(at)
            .chain(&terms.keys)
            .chain(&terms.moments[at].keys)
            .chain(&terms.denies[..terms.moment_denies])
            .chain(self.moment_itself(at))
            .collect()
    }

    /// What a promise takes, in the order in which it is dropped from an explanation.
    pub(super) fn promise(&self, moment: Option<usize>, reward: usize) -> Vec<&'a Term> {
        let (terms, rewards) = (self.terms, &self.terms.rewards[reward]);
        let mut asked: Vec<&'a Term> =
            moment.map(|at| self.earlier_moments(at).collect()).unwrap_or_default();
        asked.extend(&terms.keys);
        asked.extend(moment.iter().flat_map(|at| &terms.moments[*at].keys));
        asked.extend(&rewards.rails);
        asked.extend(&terms.denies);
        asked.extend(&rewards.segment);
        asked.extend(moment.iter().flat_map(|at| self.moment_itself(*at)));
        asked.extend(rewards.eligible.iter().chain([&rewards.touchpoint]).chain(&rewards.facts));
        asked
    }

    fn earlier_moments(&self, at: usize) -> impl Iterator<Item = &'a Term> + use<'a> {
        self.terms.moments[..at].iter().map(|earlier| &earlier.not_taken)
    }

    fn moment_itself(&self, at: usize) -> impl Iterator<Item = &'a Term> + use<'a> {
        let moment = &self.terms.moments[at];
        moment.when.iter().chain([&moment.trigger])
    }

    fn conflict(&mut self, asked: &[&'a Term], moment: Option<usize>, reward: Option<usize>) {
        let core = self.core(&[], asked);
        let is_guard = |term: &&&Term| matches!(term.by, By::Key(_) | By::Deny(_));
        let guards: Vec<&'a Term> = core.iter().filter(is_guard).copied().collect();
        let others: Vec<&'a Term> = core.iter().filter(|term| !is_guard(term)).copied().collect();
        let (guard_names, other_names) = (self.names(&guards), self.names(&others));
        let what = match (moment, reward) {
            (Some(at), Some(reward)) => {
                let (moment, reward) = (&self.bundle.moments[at].id, &self.bundle.rewards[reward].id);
                format!("`{reward}` is listed in `{moment}` and never promised there")
            }
            (Some(_), None) => "no reward is ever promised in this moment".to_owned(),
            (None, Some(_)) => "this reward is never promised".to_owned(),
            (None, None) => "nothing is ever promised".to_owned(),
        };
        let name = match (moment, reward) {
            (Some(at), _) => self.moment_name(at),
            (None, Some(reward)) => self.reward_name(reward),
            (None, None) => guard_names.last().cloned().unwrap_or_default(),
        };
        let about = [reward.map(|at| self.reward_name(at)), moment.map(|at| self.moment_name(at))];
        let causes = guard_names.iter().chain(&other_names).cloned();
        let rules = about.into_iter().flatten().chain(causes).collect();
        let in_segment = |term: &&Term| matches!(term.by, By::Segments(_));
        if guards.is_empty() && others.iter().any(in_segment) {
            let rest: Vec<&Term> = others.iter().filter(|term| !in_segment(term)).copied().collect();
            let whom = match self.names(&rest).as_slice() {
                [] => "no segment may have it".to_owned(),
                names => format!("nobody of whom {} hold is in a segment that may have it", listed(names)),
            };
            let help = "describe its members in a segment, or raise a ceiling, or take the reward out";
            return self.report(Code::OutsideSegments, &name, format!("{what}: {whom}"), help, rules, None);
        }
        if guards.is_empty() {
            // Without a reward it is the moment itself, proven only with what else a promise takes.
            let code = if reward.is_some() { Code::NeverEligible } else { Code::DeadMoment };
            let message = format!("{what}: {} never hold together", listed(&other_names));
            let help = "mend one of the conditions, or take out what can never be";
            return self.report(code, &name, message, help, rules, None);
        }
        let when = match other_names.as_slice() {
            [] => String::new(),
            [one] => format!(" whenever `{one}` holds"),
            several => format!(" whenever {} hold", listed(several)),
        };
        let verb = if guard_names.len() == 1 { "refuses" } else { "refuse" };
        let message = format!("{what}: {} {verb} it{when}", listed(&guard_names));
        let shown = match moment {
            Some(at) => self.refused_row(asked, &guards, at, reward),
            None => self.refused_somewhere(&guards, reward),
        };
        let witness = match shown {
            Shown::By(witness) => Some(*witness),
            Shown::Nobody => None,
            Shown::Against => return,
        };
        let help = "narrow the guardrail, or take out what it always refuses";
        self.report(Code::Conflict, &name, message, help, rules, witness);
    }

    /// The same in the first moment that has such a row and, with a reward, lists it.
    fn refused_somewhere(&mut self, guards: &[&'a Term], reward: Option<usize>) -> Shown {
        for (at, moment) in self.bundle.moments.iter().enumerate() {
            if reward.is_some_and(|reward| moment.rewards >> reward & 1 == 0) {
                continue;
            }
            let asked = match reward {
                Some(reward) => self.promise(Some(at), reward),
                None => self.moment_terms(at),
            };
            match self.refused_row(&asked, guards, at, reward) {
                Shown::Nobody => {}
                found @ (Shown::By(_) | Shown::Against) => return found,
            }
        }
        Shown::Nobody
    }

    /// A row that everything but some guardrails allows, and that the engine refuses with one of them.
    pub(super) fn refused_row(
        &mut self,
        asked: &[&'a Term],
        guards: &[&'a Term],
        moment: usize,
        reward: Option<usize>,
    ) -> Shown {
        let is_guard = |term: &&Term| guards.iter().any(|guard| guard.by == term.by);
        let rest: Vec<&'a Term> = asked.iter().filter(|term| !is_guard(term)).copied().collect();
        let Some(facts) = self.ask(&rest).row() else { return Shown::Nobody };
        // Lists of a bundle are at most 64 long.
        let index = |at: usize| u8::try_from(at).unwrap_or(u8::MAX);
        let (at, of) = (MomentIndex(index(moment)), reward.map(|reward| RewardIndex(index(reward))));
        let by = |rule: RuleIndex| {
            guards.iter().any(|guard| matches!(guard.by, By::Key(by) | By::Deny(by) if by == rule))
        };
        match answer(self.bundle, at, of, &facts) {
            Answer::Elsewhere | Answer::Allowed => return Shown::Against,
            Answer::Refused(rule) if !rule.is_some_and(by) => return Shown::Nobody,
            Answer::Refused(_) => {}
        }
        let mut shown: Vec<&Term> = guards.to_vec();
        shown.extend(rest.iter().filter(|term| matches!(term.by, By::Nobody | By::Condition(_))));
        let reward = reward.map(|at| &self.bundle.rewards[at]);
        Shown::By(witness(&facts, &shown, Some(&self.bundle.moments[moment]), reward).into())
    }
}
