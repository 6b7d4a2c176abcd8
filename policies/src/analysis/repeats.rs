//! Rules that say the same twice or speak of no reward of the catalog, and money that no segment may spend.

use domain::{Facts, Micros};

use super::places::BUDGET;
use super::search::Answer;
use super::terms::{By, Term, all};
use super::{Analysis, Dead, listed, world};
use crate::bundle::{Action, GuardRule};
use crate::codes::Code;

impl Analysis<'_> {
    /// Reports rules with the same meaning, rules without a reward, and unused budget.
    pub(super) fn repeats(&mut self, dead: &Dead) {
        let rules = &self.bundle.guardrails.rules;
        let alive: Vec<(&GuardRule, Term)> = rules
            .iter()
            .zip(&dead.rules)
            .filter(|(_, dead)| !**dead)
            .map(|(rule, _)| (rule, Term { truth: all(&rule.when), holds: true, by: By::Deny(rule.rule) }))
            .collect();
        let mut told_apart = Vec::new();
        for (at, (rule, term)) in alive.iter().enumerate() {
            let earlier = alive[..at].iter().find(|(earlier, other)| {
                let acts = |rule: &GuardRule| rule.action != Action::Audit;
                acts(rule) && acts(earlier) && self.same(term, other, &mut told_apart)
            });
            if let Some((_, other)) = earlier {
                self.duplicate(term, other);
            }
            if rule.per_reward {
                self.without_reward(term);
            }
        }
        self.unused_budget();
    }

    /// Whether two hold of the same rows. `told_apart` are possible rows that told others apart: they answer most
    /// pairs of a large bundle, where searching for each would take the bound of the whole bundle.
    /// Each splits rules that all earlier ones left alike, so there are fewer of them than rules.
    fn same(&mut self, one: &Term, other: &Term, told_apart: &mut Vec<Facts>) -> bool {
        if told_apart.iter().any(|row| one.truth.holds(row) != other.truth.holds(row)) {
            return false;
        }
        [(one, other), (other, one)].into_iter().all(|(one, other)| {
            let fails = Term { holds: false, ..one.clone() };
            let answer = self.ask(&[other, &fails]);
            let never = matches!(answer, Answer::Never(_));
            if matches!(answer, Answer::Open) {
                let about = self.names(&[one, other]);
                self.note(&about);
            }
            // A row of a search is possible in the facts that were asked about.
            told_apart.extend(answer.row().filter(world::is_possible));
            never
        })
    }

    fn duplicate(&mut self, term: &Term, earlier: &Term) {
        let rules = self.names(&[term, earlier]);
        let at = rules.first().cloned().unwrap_or_default();
        let message = format!("this rule applies exactly where {} does", listed(&rules[1..]));
        self.report(Code::DuplicateRule, &at, message, "keep one of them", rules, None);
    }

    /// Reports a rule that no reward of the catalog can meet.
    fn without_reward(&mut self, term: &Term) {
        let terms = self.terms;
        let rules = self.names(&[term]);
        let mut open = false;
        for reward in &terms.rewards {
            let asked: Vec<&Term> = reward.facts.iter().chain([term]).collect();
            match self.ask(&asked) {
                Answer::Never(_) => {}
                Answer::Sometimes(_) => return,
                Answer::Open => open = true,
            }
        }
        if open {
            return self.note(&rules);
        }
        let at = rules.first().cloned().unwrap_or_default();
        let message = "no reward of the catalog meets this rule: it never acts".to_owned();
        let help = "look at the kinds and costs in catalog.toml; keep it if it waits for a reward to come";
        self.report(Code::RuleWithoutReward, &at, message, help, rules, None);
    }

    /// Reports money of the program that the limits of the segments keep from being spent.
    fn unused_budget(&mut self) {
        let plan = &self.bundle.plan;
        let global = plan.global;
        let together = plan.segments.iter().fold(Micros::ZERO, |sum, limit| sum.saturating_add(*limit));
        if together >= global {
            return;
        }
        let message = format!(
            "the limits of the segments add up to {together}: {} of {global} can never be spent",
            global - together
        );
        let help = "lower this limit, or raise one of [budget.segments]";
        self.report(Code::UnusedBudget, BUDGET, message, help, vec![BUDGET.to_owned()], None);
    }
}
