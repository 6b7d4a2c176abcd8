//! Lists of conditions that never hold together, and conditions that always hold.

use super::search::Answer;
use super::terms::{Term, conditions};
use super::{Analysis, Dead, listed};
use crate::codes::Code;

/// A list of conditions.
struct List<'t> {
    /// What is dead when the list never holds.
    name: String,
    code: Code,
    /// What is known where the list stands: a trigger, the facts of a reward.
    context: Vec<&'t Term>,
    conditions: Vec<&'t Term>,
    /// What follows from a list that never holds.
    consequence: &'static str,
    /// What people call the context, in words that follow "never holds".
    context_name: &'static str,
}

impl Analysis<'_> {
    /// Reports both for every list of the bundle; which lists never hold.
    pub(super) fn lists(&mut self) -> Dead {
        let terms = self.terms;
        let segments = terms.segments.iter().enumerate().map(|(at, segment)| List {
            name: self.segment_name(at),
            code: Code::UnreachableSegment,
            context: Vec::new(),
            conditions: segment.when.iter().collect(),
            consequence: "no member can belong to this segment",
            context_name: "",
        });
        let moments = terms.moments.iter().enumerate().map(|(at, moment)| List {
            name: self.moment_name(at),
            code: Code::DeadMoment,
            context: vec![&moment.trigger],
            conditions: moment.when.iter().collect(),
            consequence: "no event can be this moment",
            context_name: " of an event with this trigger",
        });
        let rewards = terms.rewards.iter().enumerate().map(|(at, reward)| List {
            name: self.reward_name(at),
            code: Code::NeverEligible,
            context: reward.facts.iter().chain([&reward.touchpoint]).collect(),
            conditions: reward.eligible.iter().collect(),
            consequence: "no member can be offered this reward",
            context_name: " for this reward, at its touchpoints",
        });
        let (segments, moments, rewards): (Vec<_>, Vec<_>, Vec<_>) =
            (segments.collect(), moments.collect(), rewards.collect());
        Dead {
            segments: segments.iter().map(|list| self.list(list)).collect(),
            moments: moments.iter().map(|list| self.list(list)).collect(),
            rewards: rewards.iter().map(|list| self.list(list)).collect(),
            rules: self.rule_lists(),
        }
    }

    fn rule_lists(&mut self) -> Vec<bool> {
        let rules = &self.bundle.guardrails.rules;
        let mut dead = Vec::with_capacity(rules.len());
        for rule in rules {
            let when = conditions(&rule.when);
            let name = self.bundle.rule(rule.rule).map(|rule| rule.id.clone()).unwrap_or_default();
            dead.push(self.list(&List {
                name,
                code: Code::DeadRule,
                context: Vec::new(),
                conditions: when.iter().collect(),
                consequence: "this rule can never act",
                context_name: "",
            }));
        }
        dead
    }

    /// Reports what is wrong with one list; whether it never holds.
    fn list(&mut self, list: &List<'_>) -> bool {
        for condition in &list.conditions {
            self.always(list, condition);
        }
        let together: Vec<&Term> = list.context.iter().chain(&list.conditions).copied().collect();
        if list.conditions.is_empty() || !self.never(&together, std::slice::from_ref(&list.name)) {
            return false;
        }
        let core = self.core(&list.context, &list.conditions);
        let names = self.names(&core);
        let by_itself = matches!(self.ask(&core), Answer::Never(_));
        let context = if by_itself { "" } else { list.context_name };
        let message = match names.as_slice() {
            [one] => format!("{}: `{one}` never holds{context}", list.consequence),
            _ => format!("{}: {} never hold together{context}", list.consequence, listed(&names)),
        };
        let at = names.last().cloned().unwrap_or_else(|| list.name.clone());
        let mut rules = vec![list.name.clone()];
        rules.extend(names);
        self.report(
            list.code,
            &at,
            message,
            "mend one of the conditions, or take the whole out",
            rules,
            None,
        );
        true
    }

    fn always(&mut self, list: &List<'_>, condition: &Term) {
        let fails = Term { holds: !condition.holds, ..condition.clone() };
        let asked: Vec<&Term> = list.context.iter().copied().chain([&fails]).collect();
        let names = self.names(&[condition]);
        if !self.never(&asked, &names) {
            return;
        }
        let by_itself = matches!(self.ask(&[&fails]), Answer::Never(_));
        let context = if by_itself { "" } else { list.context_name };
        let message = format!("{} always holds{context}: it says nothing", listed(&names));
        let at = names.first().cloned().unwrap_or_default();
        let help = "take it out, or compare with another value";
        self.report(Code::AlwaysHolds, &at, message, help, names, None);
    }
}
