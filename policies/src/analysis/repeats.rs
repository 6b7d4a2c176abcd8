//! Rules that say the same twice or speak of no reward of the catalog, and money that no segment may spend.

use domain::{Facts, Micros};

use super::effort::{of_truth, times};
use super::places::BUDGET;
use super::search::Answer;
use super::terms::{By, Term, all};
use super::{Analysis, Dead, listed};
use crate::bundle::{Action, GuardRule};
use crate::codes::Code;

/// Possible rows that told rules apart, and what each rule makes of them, as far as it was asked. Each row splits rules that
/// all earlier ones left alike, so there are fewer of them than rules.
struct Seen {
    rows: Vec<Facts>,
    /// By the rule's position.
    outcomes: Vec<Vec<bool>>,
}

impl Seen {
    /// Asks a rule about the rows it was not asked about yet; the steps that took.
    fn look(&mut self, rule: usize, term: &Term) -> u64 {
        let outcomes = &mut self.outcomes[rule];
        let new = &self.rows[outcomes.len()..];
        outcomes.extend(new.iter().map(|row| term.truth.holds(row)));
        if new.is_empty() { 1 } else { times(new.len(), 1) * of_truth(&term.truth) }
    }
}

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
        let acts = |rule: &GuardRule| rule.action != Action::Audit;
        let mut seen = Seen { rows: Vec::new(), outcomes: vec![Vec::new(); alive.len()] };
        for (at, (rule, term)) in alive.iter().enumerate() {
            let earlier = alive[..at].iter().enumerate().find(|(other, (earlier, same))| {
                acts(rule) && acts(earlier) && self.same((at, term), (*other, same), &mut seen)
            });
            if let Some((_, (_, other))) = earlier {
                self.duplicate(term, other);
            }
            if rule.per_reward {
                self.without_reward(term);
            }
        }
        self.unused_budget();
    }

    /// Whether two hold of the same rows, given with their positions. Rows that told others apart answer most pairs of a
    /// large bundle, where searching for each would take the bound of the whole bundle.
    fn same(&mut self, (at, one): (usize, &Term), (before, other): (usize, &Term), seen: &mut Seen) -> bool {
        for (at, term) in [(at, one), (before, other)] {
            self.search.spend(seen.look(at, term));
        }
        if seen.outcomes[at] != seen.outcomes[before] {
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
            seen.rows.extend(answer.row().filter(|facts| self.search.is_possible(facts)));
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
