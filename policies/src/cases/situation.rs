//! From a case as written to the facts and promises the gates read.

use domain::event::Touchpoint;
use domain::facts::{Field, FieldKind, NEVER};
use domain::time::DAY;
use domain::{Facts, Micros, Timestamp};
use jiff::civil::DateTime;
use toml::Value;

use super::document::Written;
use crate::bundle::{Bundle, Stops};
use crate::gates::{Grant, QUIET_KIND, Situation};
use crate::problem::did_you_mean;

/// A Wednesday at noon, when a case says no time.
const NOON: &str = "2026-03-04T12:00:00";

/// What a case imagines.
#[derive(Clone, Debug)]
pub struct Imagined {
    pub facts: Facts,
    pub now: Timestamp,
    pub grants: Vec<Grant>,
}

impl Imagined {
    /// The situation of a case; the error says what cannot be imagined.
    pub fn of(written: &Written, bundle: &Bundle) -> Result<Imagined, String> {
        let now = local(written.at.as_deref().unwrap_or(NOON), bundle)?;
        let mut facts = nobody_special();
        let civil = now.civil(&bundle.program().zone);
        facts.set(Field::NowHour, i64::from(civil.hour));
        facts.set(Field::NowWeekday, i64::from(civil.weekday));
        facts.set(Field::NowDay, i64::from(civil.day));
        facts.set(Field::NowMonth, i64::from(civil.month));
        let given = |family: &str, name: &String| format!("{family}.{name}");
        if written.event.contains_key("quiet_days") {
            facts.set(Field::EventType, QUIET_KIND);
            facts.set(Field::EventTouchpoint, Touchpoint::Batch as i64);
        } else {
            for needed in ["type", "touchpoint"] {
                if !written.event.contains_key(needed) {
                    return Err(format!("the event has no {needed}; or say quiet_days for a timer"));
                }
            }
            facts.set(Field::EventItems, 1);
        }
        let days_ago = || written.promised.iter().map(|promised| i64::from(promised.days_ago));
        if let Some(last) = days_ago().min() {
            facts.set(Field::MemberHoursSinceOffer, (last * 24).min(NEVER));
        }
        let within = |days: i64| i64::try_from(days_ago().filter(|ago| *ago < days).count()).unwrap_or(NEVER);
        facts.set(Field::MemberOffers7d, within(7));
        facts.set(Field::MemberOffers28d, within(28));
        for (name, value) in &written.event {
            put(&mut facts, &given("event", name), value)?;
        }
        for (name, value) in &written.member {
            put(&mut facts, &given("member", name), value)?;
        }
        let mut grants = Vec::new();
        for promised in &written.promised {
            let reward = bundle.reward_named(&promised.reward).ok_or_else(|| {
                let ids: Vec<&str> = bundle.rewards().iter().map(|reward| reward.id.as_str()).collect();
                format!(
                    "`{0}` is not a reward of this bundle; {1}",
                    promised.reward,
                    did_you_mean(&promised.reward, ids)
                )
            })?;
            grants.push(Grant { at: now.plus(-i64::from(promised.days_ago) * DAY), reward });
        }
        Ok(Imagined { facts, now, grants })
    }
}

impl Imagined {
    /// What the gates read, with these facts.
    pub fn with<'a>(&'a self, facts: &'a Facts) -> Situation<'a> {
        Situation { facts, now: self.now, grants: &self.grants, stops: Stops::default() }
    }
}

fn local(text: &str, bundle: &Bundle) -> Result<Timestamp, String> {
    let civil: DateTime =
        text.parse().map_err(|_| format!("{text:?} is not a local time such as \"2026-03-04T18:05:00\""))?;
    let zoned = bundle.program().zone.to_ambiguous_zoned(civil).compatible();
    let zoned =
        zoned.map_err(|error| format!("{text:?} does not exist in the program's time zone: {error}"))?;
    Ok(Timestamp(zoned.timestamp().as_microsecond()))
}

/// An adult who consented and of whom nothing else is known.
fn nobody_special() -> Facts {
    let mut facts = Facts::default();
    for field in [
        Field::MemberDaysSinceComplaint,
        Field::MemberDaysSinceRefund,
        Field::MemberDaysSinceSensitive,
        Field::MemberHoursSinceOffer,
    ] {
        facts.set(field, NEVER);
    }
    for field in [Field::MemberConsentMarketing, Field::MemberConsentProfiling, Field::MemberScored] {
        facts.set(field, 1);
    }
    // The settlement of a purchase that is not provisional.
    facts.set(Field::EventSettlement, domain::Settlement::Settled as i64);
    facts
}

fn put(facts: &mut Facts, name: &str, value: &Value) -> Result<(), String> {
    let field = Field::from_name(name).ok_or_else(|| {
        let names: Vec<&str> = Field::ALL.iter().map(|field| field.name()).collect();
        format!("`{name}` is not a fact; {}", did_you_mean(name, names))
    })?;
    let wrong = |wanted: &str| Err(format!("`{name}` is {wanted}"));
    let number = match (field.kind(), value) {
        (FieldKind::Bool, Value::Boolean(truth)) => i64::from(*truth),
        (FieldKind::Bool, _) => return wrong("true or false"),
        (FieldKind::Int, Value::Integer(number)) => *number,
        (FieldKind::Int, _) => return wrong("a whole number"),
        (FieldKind::Money | FieldKind::Ratio, Value::String(text)) => match text.parse::<Micros>() {
            Ok(Micros(millionths)) => millionths,
            Err(why) => return Err(format!("`{name}`: {why}")),
        },
        (FieldKind::Money, _) => return wrong("an amount in quotes, such as \"12.50\""),
        (FieldKind::Ratio, _) => return wrong("a ratio in quotes, such as \"0.30\""),
        (FieldKind::Word(words), Value::String(text)) => {
            let position = words.iter().position(|word| word == text);
            let Some(position) = position else {
                return Err(format!(
                    "`{text}` is not a word of `{name}`; {}",
                    did_you_mean(text, words.to_vec())
                ));
            };
            i64::try_from(position).unwrap_or(0)
        }
        (FieldKind::Word(_), _) => return wrong("a word in quotes"),
    };
    facts.set(field, number);
    Ok(())
}
