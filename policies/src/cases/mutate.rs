//! Which rules no case would miss: each is taken out of the bundle in turn, and the cases run again.

use std::collections::BTreeMap;

use domain::{Reason, Touchpoint};

use super::{Case, run};
use crate::bundle::{Action, Bundle, Condition, GuardRule, Trigger};
use crate::rules::{Rule, RuleIndex};

/// A rule whose removal no case notices.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Survivor {
    pub rule: String,
    pub file: String,
    pub line: u32,
}

/// A rule that is never taken out.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Left {
    pub rule: String,
    pub file: String,
    pub line: u32,
    /// Why no case is asked about it.
    pub why: &'static str,
}

/// What the mutation run found.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Report {
    /// Rules taken out, one after the other.
    pub tried: usize,
    pub survivors: Vec<Survivor>,
    /// Rules that this run says nothing about.
    pub not_taken_out: Vec<Left>,
}

/// Takes out each rule in turn. The cases must pass against the whole bundle.
pub fn survivors(bundle: &Bundle, cases: &[Case]) -> Report {
    let mutants = mutants(bundle);
    let missed = mutants.iter().filter(|(_, mutant)| run(mutant, cases).is_empty());
    let survivor = |rule: RuleIndex| {
        let rule = bundle.rule(rule)?;
        Some(Survivor { rule: rule.id.clone(), file: rule.file.to_owned(), line: rule.line })
    };
    let survivors = missed.filter_map(|(rule, _)| survivor(*rule)).collect();
    Report { tried: mutants.len(), survivors, not_taken_out: left(bundle) }
}

/// Why rules that record these reasons are never taken out.
const LEFT: [(&[Reason], &str); 4] = [
    (&[Reason::NoConsent, Reason::Objected], "asked under every policy; none can be without it"),
    (&[Reason::KillSwitch], "a switch; cases run as if nothing were stopped"),
    (&[Reason::PartnerTerms], "the date is the partner's, not the policy's"),
    (
        &[Reason::ExposureLimit, Reason::WindowBudget, Reason::EscalationLimit],
        "counts the promises of all members; a case has one member",
    ),
];

/// Rules that are never taken out, so that nothing is said about them. Those of the sorts that are taken out are
/// none of these, even where they can refuse nothing.
fn left(bundle: &Bundle) -> Vec<Left> {
    let informs = |index: RuleIndex| {
        let acts = |rule: &&GuardRule| rule.rule == index && rule.action != Action::Deny;
        bundle.guardrails.rules.iter().find(acts).map(|_| "only informs, so no case could miss it")
    };
    let known =
        |reason: Reason| LEFT.iter().find(|(reasons, _)| reasons.contains(&reason)).map(|(_, why)| *why);
    let why = |(index, rule): (RuleIndex, &Rule)| {
        let why = known(rule.reason).or_else(|| informs(index))?;
        Some(Left { rule: rule.id.clone(), file: rule.file.to_owned(), line: rule.line, why })
    };
    (0..).map(RuleIndex).zip(bundle.rules()).filter_map(why).collect()
}

/// The touchpoints (bits) of the moments that list a reward.
fn reached(bundle: &Bundle, reward: usize) -> u16 {
    let listing = bundle.moments.iter().filter(|moment| moment.rewards >> reward & 1 == 1);
    listing.fold(0, |bits, moment| {
        bits | match moment.trigger {
            Trigger::Event { touchpoints, .. } => touchpoints,
            Trigger::Quiet { .. } => 1 << Touchpoint::Batch as u16,
        }
    })
}

/// The bundle without each of its rules.
fn mutants(bundle: &Bundle) -> BTreeMap<RuleIndex, Bundle> {
    let mut mutants = BTreeMap::new();
    let mut without = |rule: RuleIndex, change: &dyn Fn(&mut Bundle)| {
        let mut mutant = bundle.clone();
        change(&mut mutant);
        mutants.insert(rule, mutant);
    };
    let drop = |conditions: &mut Vec<Condition>, rule| conditions.retain(|condition| condition.rule != rule);
    for (at, segment) in bundle.segments.iter().enumerate() {
        for condition in &segment.when {
            without(condition.rule, &|mutant| drop(&mut mutant.segments[at].when, condition.rule));
        }
        if let Some((_, rule)) = segment.ceiling {
            without(rule, &|mutant| mutant.segments[at].ceiling = None);
        }
    }
    for (at, reward) in bundle.rewards.iter().enumerate() {
        for condition in &reward.eligible {
            without(condition.rule, &|mutant| drop(&mut mutant.rewards[at].eligible, condition.rule));
        }
        // Where all its moments happen at touchpoints it may be handed out at, the rule can refuse nothing.
        if let Some(rule) = reward.exclusive {
            without(rule, &|mutant| mutant.rewards[at].exclusive = None);
        }
        if reached(bundle, at) & !reward.touchpoints != 0 {
            without(reward.touchpoint_rule, &|mutant| mutant.rewards[at].touchpoints = u16::MAX);
        }
    }
    for (at, moment) in bundle.moments.iter().enumerate() {
        for condition in &moment.when {
            without(condition.rule, &|mutant| drop(&mut mutant.moments[at].when, condition.rule));
        }
        if moment.stale_hours.is_some() {
            without(moment.stale_rule, &|mutant| mutant.moments[at].stale_hours = None);
        }
        if !moment.provisional {
            without(moment.provisional_rule, &|mutant| mutant.moments[at].provisional = true);
        }
    }
    let guardrails = &bundle.guardrails;
    for (at, rule) in guardrails.rules.iter().enumerate() {
        // A rule that only warns changes nothing, so no case could miss it.
        if rule.action == Action::Deny {
            without(rule.rule, &|mutant| {
                mutant.guardrails.rules.remove(at);
            });
            for condition in &rule.when {
                without(condition.rule, &|mutant| {
                    drop(&mut mutant.guardrails.rules[at].when, condition.rule)
                });
            }
        }
    }
    for (at, cap) in guardrails.member_caps.iter().enumerate() {
        without(cap.rule, &|mutant| {
            mutant.guardrails.member_caps.remove(at);
        });
    }
    for (at, cap) in guardrails.reward_caps.iter().enumerate() {
        without(cap.rule, &|mutant| {
            mutant.guardrails.reward_caps.remove(at);
        });
    }
    if guardrails.complaint.days > 0 {
        without(guardrails.complaint.rule, &|mutant| mutant.guardrails.complaint.days = 0);
    }
    if guardrails.refund.days > 0 {
        without(guardrails.refund.rule, &|mutant| mutant.guardrails.refund.days = 0);
    }
    if guardrails.sensitive.days > 0 {
        without(guardrails.sensitive.rule, &|mutant| mutant.guardrails.sensitive.days = 0);
    }
    if guardrails.cool_down_hours > 0 {
        without(guardrails.cool_down_rule, &|mutant| mutant.guardrails.cool_down_hours = 0);
    }
    if let Some(quiet) = guardrails.quiet_hours {
        without(quiet.rule, &|mutant| mutant.guardrails.quiet_hours = None);
    }
    if let Some((_, rule)) = guardrails.max_discount {
        without(rule, &|mutant| mutant.guardrails.max_discount = None);
    }
    if let Some((_, rule)) = guardrails.margin {
        without(rule, &|mutant| mutant.guardrails.margin = None);
    }
    if let Some((_, rule)) = guardrails.risk_max {
        without(rule, &|mutant| mutant.guardrails.risk_max = None);
    }
    for (at, variant) in bundle.experiments.variants.iter().enumerate() {
        without(variant.rule, &|mutant| mutant.experiments.variants[at].withhold = 0);
    }
    if let Some(rule) = guardrails.minors_rule {
        without(rule, &|mutant| mutant.guardrails.minors_rule = None);
    }
    mutants
}
