//! Exclusive rewards that the same member may have at the same moment: neither could then be promised.

use domain::facts::{Field, NEVER};
use domain::{Facts, RewardIndex};

use super::effort::of_truth;
use super::promises::Refused;
use super::search::Answer;
use super::terms::Term;
use super::witness::is_open;
use super::{Analysis, witness};
use crate::bundle::MomentIndex;
use crate::codes::Code;
use crate::language::{Number, Truth};

impl Analysis<'_> {
    /// Reports each pair of exclusive rewards with a member who may have both, once, in the first moment that shows it.
    pub(super) fn overlapping_exclusive(&mut self, refused: &Refused) {
        let rewards = &self.bundle.rewards;
        let exclusive: Vec<usize> =
            (0..rewards.len().min(64)).filter(|at| rewards[*at].exclusive.is_some()).collect();
        for (place, first) in exclusive.iter().enumerate() {
            for second in &exclusive[place + 1..] {
                let lists = |at: usize| {
                    let both = 1u64 << first | 1u64 << second;
                    self.bundle.moments[at].rewards & both == both
                        && !refused.contains(at, *first)
                        && !refused.contains(at, *second)
                };
                let moments: Vec<usize> = (0..self.bundle.moments.len()).filter(|at| lists(*at)).collect();
                let found = moments.into_iter().find_map(|at| Some((at, self.both(at, *first, *second)?)));
                if let Some((moment, facts)) = found {
                    self.report_both(moment, *first, *second, &facts);
                }
            }
        }
    }

    /// A member who may have both in a moment, as the engine itself says.
    fn both(&mut self, moment: usize, first: usize, second: usize) -> Option<Facts> {
        if self.search.is_spent() {
            self.not_known_both(moment, first, second);
            return None;
        }
        let mut terms = Vec::new();
        for reward in [first, second] {
            let asked = self.promise(Some(moment), reward);
            // They are written anew with what is known of the reward.
            self.search.spend(asked.iter().map(|term| of_truth(&term.truth)).sum());
            let known = self.facts_of(reward);
            terms.extend(asked.into_iter().map(|term| Term { truth: given(&term.truth, &known), ..*term }));
        }
        let facts = match self.ask(&terms.iter().collect::<Vec<_>>()) {
            Answer::Sometimes(facts) => *facts,
            Answer::Never(_) => return None,
            Answer::Open => {
                self.not_known_both(moment, first, second);
                return None;
            }
        };
        let index = MomentIndex(u8::try_from(moment).ok()?);
        let open = |reward: usize| {
            let reward = u8::try_from(reward).ok().map(RewardIndex);
            reward.is_some_and(|reward| is_open(self.bundle, index, reward, &facts))
        };
        (open(first) && open(second)).then_some(facts)
    }

    fn not_known_both(&mut self, moment: usize, first: usize, second: usize) {
        let about = [self.reward_name(first), self.reward_name(second), self.moment_name(moment)];
        self.note(&about);
    }

    /// What a condition reads of a reward that was never promised to the member.
    fn facts_of(&self, reward: usize) -> [(Field, i64); 3] {
        let terms = &self.bundle.rewards[reward];
        [
            (Field::RewardKind, terms.kind as i64),
            (Field::RewardCost, terms.cost.0),
            (Field::RewardDaysSince, NEVER),
        ]
    }

    fn report_both(&mut self, moment: usize, first: usize, second: usize, facts: &Facts) {
        let rewards = &self.bundle.rewards;
        let message = format!(
            "`{}` and `{}` are both exclusive and can both be open in `{}`",
            rewards[first].id, rewards[second].id, self.bundle.moments[moment].id
        );
        let help = "let their conditions exclude each other, or make one of them not exclusive";
        let rules = vec![self.reward_name(first), self.reward_name(second), self.moment_name(moment)];
        let trigger = &self.terms.moments[moment];
        let asked = std::iter::once(&trigger.trigger).chain(&trigger.when);
        let eligible = [first, second].into_iter().flat_map(|reward| &self.terms.rewards[reward].eligible);
        let terms: Vec<&Term> = asked.chain(eligible).collect();
        let witness = witness(facts, &terms, Some(&self.bundle.moments[moment]), None);
        let name = self.reward_name(second);
        self.report(Code::TwoExclusive, &name, message, help, rules, Some(witness));
    }
}

/// A condition with some facts replaced by what they are.
fn given(truth: &Truth, known: &[(Field, i64)]) -> Truth {
    let value = |field: Field| known.iter().find(|(known, _)| *known == field).map(|(_, value)| *value);
    let all = |parts: &[Truth]| parts.iter().map(|part| given(part, known)).collect();
    match truth {
        Truth::Always(truth) => Truth::Always(*truth),
        Truth::Flag(field) => value(*field).map_or(Truth::Flag(*field), |value| Truth::Always(value != 0)),
        Truth::Fact { field, compare, value: wanted } => match value(*field) {
            Some(value) => Truth::Always(compare.holds(value, *wanted)),
            None => truth.clone(),
        },
        Truth::Numbers { compare, sides } => Truth::Numbers {
            compare: *compare,
            sides: Box::new((number(&sides.0, known), number(&sides.1, known))),
        },
        Truth::OneOf { number: of, values } => {
            Truth::OneOf { number: Box::new(number(of, known)), values: values.clone() }
        }
        Truth::Not(part) => Truth::Not(Box::new(given(part, known))),
        Truth::Same(parts) => Truth::Same(Box::new((given(&parts.0, known), given(&parts.1, known)))),
        Truth::All(parts) => Truth::All(all(parts)),
        Truth::Any(parts) => Truth::Any(all(parts)),
        Truth::Choose(parts) => {
            Truth::Choose(Box::new((given(&parts.0, known), given(&parts.1, known), given(&parts.2, known))))
        }
    }
}

fn number(of: &Number, known: &[(Field, i64)]) -> Number {
    let pair = |sides: &(Number, Number)| Box::new((number(&sides.0, known), number(&sides.1, known)));
    match of {
        Number::Constant(value) => Number::Constant(*value),
        Number::Fact(field) => {
            let value = known.iter().find(|(known, _)| known == field);
            value.map_or(Number::Fact(*field), |(_, value)| Number::Constant(*value))
        }
        Number::Negative(inner) => Number::Negative(Box::new(number(inner, known))),
        Number::Sum(sides) => Number::Sum(pair(sides)),
        Number::Difference(sides) => Number::Difference(pair(sides)),
        Number::Product(sides) => Number::Product(pair(sides)),
        Number::Share(sides) => Number::Share(pair(sides)),
        Number::Choose(parts) => Number::Choose(Box::new((
            given(&parts.0, known),
            number(&parts.1, known),
            number(&parts.2, known),
        ))),
    }
}
