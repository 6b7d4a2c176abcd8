//! Rows of facts that show a finding, as policies write them, and the engine's answer to them.

use std::fmt;

use domain::facts::{Field, FieldKind, NEVER};
use domain::{Facts, Micros, RewardIndex, Timestamp, time};
use serde::Serialize;

use super::world;
use crate::bundle::{Bundle, MomentIndex, Stops};
use crate::gates::{Grant, Situation};
use crate::rules::RuleIndex;

/// The time at which witnesses are asked about; only differences to it matter.
const NOW: Timestamp = Timestamp(0);

/// Concrete facts that show a finding; the engine was asked about them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Witness {
    /// Name and value of each fact as policies write them. What is not listed is as in [`world::usual`].
    pub facts: Vec<(String, String)>,
    /// The moment it is about, by id.
    pub moment: Option<String>,
    /// The reward it is about, by id.
    pub reward: Option<String>,
}

impl Witness {
    /// A row, with what differs from a usual one and what `shown` names.
    pub(super) fn of(facts: &Facts, shown: &[Field]) -> Witness {
        let usual = world::usual();
        let listed = |field: &&Field| shown.contains(field) || facts.get(**field) != usual.get(**field);
        let value = |field: &Field| (field.name().to_owned(), facts.show(*field));
        Witness { facts: Field::ALL.iter().filter(listed).map(value).collect(), moment: None, reward: None }
    }

    /// The whole row; `None` when a listed name or value is not one of a fact.
    pub fn row(&self) -> Option<Facts> {
        let mut facts = world::usual();
        for (name, value) in &self.facts {
            let field = Field::from_name(name)?;
            facts.set(field, parse(field.kind(), value)?);
        }
        Some(facts)
    }

    /// The promises the row speaks of: the one of its reward, when it says how long ago that was.
    pub fn grants(&self, bundle: &Bundle) -> Vec<Grant> {
        let reward = self.reward.as_deref().and_then(|id| bundle.reward_named(id));
        match (reward, self.row()) {
            (Some(reward), Some(facts)) => grants(reward, &facts),
            (_, _) => Vec::new(),
        }
    }
}

/// `member.trips = 3, event.amount = 60.00 in moment big-basket, reward voucher-3`.
impl fmt::Display for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let facts: Vec<String> = self.facts.iter().map(|(name, value)| format!("{name} = {value}")).collect();
        f.write_str(&facts.join(", "))?;
        if let Some(moment) = &self.moment {
            write!(f, " in moment {moment}")?;
        }
        match &self.reward {
            Some(reward) => write!(f, ", reward {reward}"),
            None => Ok(()),
        }
    }
}

fn parse(kind: FieldKind, value: &str) -> Option<i64> {
    match kind {
        FieldKind::Bool => value.parse::<bool>().ok().map(i64::from),
        FieldKind::Int => value.parse().ok(),
        FieldKind::Ratio | FieldKind::Money => value.parse::<Micros>().ok().map(|micros| micros.0),
        FieldKind::Word(words) => {
            words.iter().position(|word| *word == value).and_then(|at| i64::try_from(at).ok())
        }
    }
}

fn grants(reward: RewardIndex, facts: &Facts) -> Vec<Grant> {
    let days = facts.get(Field::RewardDaysSince);
    if days >= NEVER {
        return Vec::new();
    }
    vec![Grant { at: NOW.plus(-days * time::DAY), reward: Some(reward) }]
}

/// The moment the engine finds in a row.
pub(super) fn moment_of(bundle: &Bundle, facts: &Facts) -> Option<MomentIndex> {
    bundle.confirmed(bundle.triggered(facts)?, facts).ok()
}

/// What the engine says of a row in a moment.
pub(super) enum Answer {
    /// Another moment, or none, takes the event.
    Elsewhere,
    /// Nothing refuses: neither the moment nor, where it was asked about one, the reward.
    Allowed,
    /// This rule refuses; absent when no rule of the bundle does.
    Refused(Option<RuleIndex>),
}

/// Asks the engine about a row in a moment, and about a reward there.
pub(super) fn answer(
    bundle: &Bundle,
    moment: MomentIndex,
    reward: Option<RewardIndex>,
    facts: &Facts,
) -> Answer {
    if moment_of(bundle, facts) != Some(moment) {
        return Answer::Elsewhere;
    }
    let grants = reward.map(|reward| grants(reward, facts)).unwrap_or_default();
    let asked = Situation { facts, now: NOW, grants: &grants, stops: Stops::default() };
    let held = bundle.gate_before_scores(facts, Stops::default()).and_then(|()| bundle.gate(moment, &asked));
    if let Err(refusal) = held {
        return Answer::Refused(refusal.rule);
    }
    let Some(reward) = reward else { return Answer::Allowed };
    let segment = match bundle.segment_of(facts, Stops::default()) {
        Ok(segment) => segment,
        Err(refusal) => return Answer::Refused(refusal.rule),
    };
    match bundle.candidate(moment, Some(segment), reward, &asked) {
        Err((_, rule)) => Answer::Refused(rule),
        Ok(()) => Answer::Allowed,
    }
}

/// Whether a reward that was never promised to the member of a row would be open in the moment the row is.
pub(super) fn is_open(bundle: &Bundle, moment: MomentIndex, reward: RewardIndex, facts: &Facts) -> bool {
    let mut facts = facts.clone();
    bundle.put_reward_facts(reward, NOW, &[], &mut facts);
    matches!(answer(bundle, moment, Some(reward), &facts), Answer::Allowed)
}
