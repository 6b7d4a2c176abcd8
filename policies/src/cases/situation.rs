//! From a case as written to the facts and promises the gates read.

use std::collections::BTreeMap;

use domain::event::Touchpoint;
use domain::facts::{Field, NEVER};
use domain::time::DAY;
use domain::{Facts, Timestamp};
use jiff::civil::DateTime;

use super::check::Said;
use crate::bundle::{Bundle, Stops};
use crate::check::Names;
use crate::documents::Text;
use crate::documents::cases::{Case, Fact};
use crate::gates::{Grant, QUIET_KIND, Situation};

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
    pub fn of(written: &Case, bundle: &Bundle) -> Result<Imagined, String> {
        let now = local(written.at.as_ref().map_or(NOON, |at| at.get_ref().as_str()), bundle)?;
        let mut facts = nobody_special();
        let civil = now.civil(&bundle.program().zone);
        facts.set(Field::NowHour, i64::from(civil.hour));
        facts.set(Field::NowWeekday, i64::from(civil.weekday));
        facts.set(Field::NowDay, i64::from(civil.day));
        facts.set(Field::NowMonth, i64::from(civil.month));
        if written.event.0.keys().any(|key| key.get_ref() == "quiet_days") {
            facts.set(Field::EventType, QUIET_KIND);
            facts.set(Field::EventTouchpoint, Touchpoint::Batch as i64);
        } else {
            facts.set(Field::EventItems, 1);
        }
        let days_ago = || written.promised.iter().map(|promised| *promised.days_ago.get_ref());
        if let Some(last) = days_ago().min() {
            facts.set(Field::MemberHoursSinceOffer, last.saturating_mul(24).min(NEVER));
        }
        let within = |days: i64| i64::try_from(days_ago().filter(|ago| *ago < days).count()).unwrap_or(NEVER);
        facts.set(Field::MemberOffers7d, within(7));
        facts.set(Field::MemberOffers28d, within(28));
        let names = Names::of(bundle);
        put(&mut facts, "event", &written.event.0, &names)?;
        put(&mut facts, "member", &written.member.0, &names)?;
        let mut grants = Vec::new();
        for promised in &written.promised {
            let reward = bundle.reward_named(promised.reward.get_ref());
            let reward = reward.ok_or_else(|| format!("no reward `{}`", promised.reward.get_ref()))?;
            let ago = promised.days_ago.get_ref().saturating_mul(DAY);
            grants.push(Grant { at: now.plus(-ago), reward: Some(reward) });
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

fn put(facts: &mut Facts, family: &str, given: &BTreeMap<Text, Fact>, names: &Names) -> Result<(), String> {
    for (key, value) in given {
        let said = Said::of(family, key).ok_or_else(|| format!("no fact `{family}.{}`", key.get_ref()))?;
        let values = said.values(value.get_ref(), names).map_err(|(_, why)| why)?;
        values.into_iter().for_each(|(field, value)| facts.set(field, value));
    }
    Ok(())
}
