//! Kill switches: what each turns off under a bundle.

use crate::bundle::{Bundle, Condition, Stops};
use crate::problem::{closest, did_you_mean};
use crate::rules::{Rule, RuleIndex};
use crate::source::File;

use super::step::Target;

/// Most names that are listed where none is near: a line or two.
const LISTED_MAX: usize = 24;

/// What a switch turns off under a bundle; `None` when the bundle has nothing of that name.
pub(super) fn turned_off(target: &Target, bundle: &Bundle) -> Option<Stops> {
    let none = Stops::default();
    match target {
        Target::Program => Some(Stops { program: true, ..none }),
        Target::Segment(id) => {
            let index = bundle.segment_named(id)?;
            Some(Stops { segments: 1 << index.0, ..none })
        }
        Target::Reward(id) => {
            let index = bundle.reward_named(id)?;
            Some(Stops { rewards: 1 << index.0, ..none })
        }
        Target::Kind(kind) => some_rewards(mask(bundle.rewards(), |reward| reward.kind == *kind)),
        Target::Partner(name) => {
            some_rewards(mask(bundle.rewards(), |reward| reward.partner.as_ref() == Some(name)))
        }
        Target::Moment(id) => {
            let index = bundle.moment_named(id)?;
            Some(Stops { moments: 1 << index.0, ..none })
        }
        Target::Rule(id) => of_rule(id, bundle),
    }
}

/// What could be meant by the name of something that is not there: a near one, or all there are; or why it is no switch.
pub(super) fn near(target: &Target, bundles: &[Bundle]) -> String {
    if let Target::Rule(id) = target {
        let is_it = |rule: &Rule| rule.id == *id && rule.file == File::Guardrails.name();
        if bundles.iter().any(|bundle| bundle.rules().iter().any(is_it)) {
            return "it is a guardrail: it holds promises back, and to stop it would let them through; only what promises \
                    can be stopped. To change it, hand in another policy"
                .to_owned();
        }
    }
    let names = bundles.iter().flat_map(|bundle| stoppable(target, bundle));
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    names.dedup();
    let name = match target {
        Target::Program => "",
        Target::Kind(kind) => kind.name(),
        Target::Segment(name)
        | Target::Reward(name)
        | Target::Partner(name)
        | Target::Moment(name)
        | Target::Rule(name) => name,
    };
    if names.is_empty() {
        return "the policy in force has none".to_owned();
    }
    // People know a condition by its last name.
    let longer: Vec<&str> = names
        .iter()
        .copied()
        .filter(|full| full.strip_suffix(name).is_some_and(|before| before.ends_with('.')))
        .take(LISTED_MAX)
        .collect();
    if !longer.is_empty() {
        return format!("did you mean `{}`?", longer.join("` or `"));
    }
    if names.len() > LISTED_MAX && closest(name, names.iter().copied()).is_none() {
        return format!("the files of the policy in force name {}", names.len());
    }
    did_you_mean(name, names.iter().copied())
}

/// The names of a target's sort that a bundle has.
fn stoppable<'a>(target: &Target, bundle: &'a Bundle) -> Vec<&'a str> {
    let rewards = bundle.rewards().iter();
    match target {
        Target::Program => Vec::new(),
        Target::Segment(_) => bundle.segments().iter().map(|segment| segment.id.as_str()).collect(),
        Target::Reward(_) => rewards.map(|reward| reward.id.as_str()).collect(),
        Target::Kind(_) => rewards.map(|reward| reward.kind.name()).collect(),
        Target::Partner(_) => rewards.filter_map(|reward| reward.partner.as_deref()).collect(),
        Target::Moment(_) => bundle.moments().iter().map(|moment| moment.id.as_str()).collect(),
        Target::Rule(_) => {
            let rules = bundle.rules().iter().map(|rule| rule.id.as_str());
            rules.filter(|id| of_rule(id, bundle).is_some()).collect()
        }
    }
}

/// The segment, moment or reward whose condition a rule is. A guardrail is nobody's condition: it holds promises
/// back, and turning it off would not be the safe direction.
fn of_rule(id: &str, bundle: &Bundle) -> Option<Stops> {
    let rule = bundle.rules().iter().position(|rule| rule.id == *id)?;
    let has = |conditions: &[Condition]| {
        conditions
            .iter()
            .any(|condition| condition.rule == RuleIndex(u16::try_from(rule).unwrap_or(u16::MAX)))
    };
    let stops = Stops {
        program: false,
        segments: mask(bundle.segments(), |segment| has(&segment.when)),
        rewards: mask(bundle.rewards(), |reward| has(&reward.eligible)),
        moments: mask(bundle.moments(), |moment| has(&moment.when)),
    };
    Some(stops).filter(|stops| *stops != Stops::default())
}

fn some_rewards(rewards: u64) -> Option<Stops> {
    (rewards != 0).then(|| Stops { rewards, ..Stops::default() })
}

/// Bit per item; lists in a bundle are at most 64 long.
fn mask<T>(items: &[T], is: impl Fn(&T) -> bool) -> u64 {
    items.iter().enumerate().filter(|(_, item)| is(item)).fold(0, |mask, (index, _)| mask | 1 << index)
}
