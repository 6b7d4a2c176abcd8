//! Kill switches: what each turns off under a bundle.

use crate::bundle::{Bundle, Condition, Stops};
use crate::rules::RuleIndex;

use super::step::Target;

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
