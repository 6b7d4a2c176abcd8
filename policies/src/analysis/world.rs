//! What is known of facts before any policy speaks: their bounds, and how they hold together.
//!
//! Bounds may be wider than what ever happens, never narrower: a proof that nobody meets a condition looks at
//! everything inside them.

use std::sync::LazyLock;

use domain::facts::{Field, FieldKind, NEVER};
use domain::{Facts, Touchpoint};

use super::region::Region;
use super::terms::one_of;
use crate::bundle::Bundle;
use crate::gates::QUIET_KIND;
use crate::language::{Compare, Number, Truth};

/// More than any amount: ten billion units, as much as a budget may hold.
const MONEY_MAX: i64 = 10_000_000_000_000_000;
/// Largest overdue ratio: "never" times the usual gap.
const RATIO_MAX: i64 = NEVER * 1_000_000;
const COUNT_MAX: i64 = u32::MAX as i64;

/// Position of `purchase` in its word list.
const PURCHASE: i64 = 0;
pub(super) const BATCH: i64 = Touchpoint::Batch as i64;

/// Least and greatest value of a fact.
pub(crate) fn bounds(field: Field) -> (i64, i64) {
    match field {
        Field::NowHour => (0, 23),
        Field::NowWeekday => (1, 7),
        Field::NowDay => (1, 31),
        Field::NowMonth => (1, 12),
        Field::MemberChurn60d => (0, 1_000_000),
        Field::EventAgeHours
        | Field::MemberDaysSinceComplaint
        | Field::MemberDaysSinceRefund
        | Field::MemberDaysSinceSensitive
        | Field::MemberHoursSinceOffer
        | Field::MemberOffers7d
        | Field::MemberOffers28d
        | Field::MemberOpenPromises
        | Field::MemberProvisional
        | Field::RewardDaysSince => (0, NEVER),
        Field::EventRisk => (0, domain::event::RISK_MAX.into()),
        Field::MemberVariant => (0, u8::MAX.into()),
        Field::MemberRecentPurchases => (0, 8),
        Field::MemberRecentDays0
        | Field::MemberRecentDays1
        | Field::MemberRecentDays2
        | Field::MemberRecentDays3
        | Field::MemberRecentDays4
        | Field::MemberRecentDays5
        | Field::MemberRecentDays6
        | Field::MemberRecentDays7 => (0, NEVER),
        Field::EventQuietDays => (0, u16::MAX.into()),
        Field::EventType
        | Field::EventTouchpoint
        | Field::EventSettlement
        | Field::EventAmount
        | Field::EventItems
        | Field::MemberConsentMarketing
        | Field::MemberConsentProfiling
        | Field::MemberObjected
        | Field::MemberMinor
        | Field::MemberComplaintOpen
        | Field::MemberTenureDays
        | Field::MemberRecencyDays
        | Field::MemberTrips
        | Field::MemberTrips28d
        | Field::MemberTrips91d
        | Field::MemberSpend
        | Field::MemberSpend28d
        | Field::MemberSpend91d
        | Field::MemberBasketMean
        | Field::MemberOverdue
        | Field::MemberScored
        | Field::MemberLtv91d
        | Field::RewardKind
        | Field::MemberRecentAmount0
        | Field::MemberRecentAmount1
        | Field::MemberRecentAmount2
        | Field::MemberRecentAmount3
        | Field::MemberRecentAmount4
        | Field::MemberRecentAmount5
        | Field::MemberRecentAmount6
        | Field::MemberRecentAmount7
        | Field::RewardCost => of_kind(field.kind()),
    }
}

fn of_kind(kind: FieldKind) -> (i64, i64) {
    match kind {
        FieldKind::Bool => (0, 1),
        FieldKind::Int => (0, COUNT_MAX),
        FieldKind::Ratio => (0, RATIO_MAX),
        FieldKind::Money => (0, MONEY_MAX),
        FieldKind::Word(words) => (0, i64::try_from(words.len()).unwrap_or(i64::MAX) - 1),
    }
}

/// Facts of which the first is never larger than the second, smallest first along each chain.
const NEVER_LARGER: [(Field, Field); 8] = [
    (Field::MemberTrips28d, Field::MemberTrips91d),
    (Field::MemberTrips91d, Field::MemberTrips),
    (Field::MemberTrips28d, Field::MemberTrips),
    (Field::MemberSpend28d, Field::MemberSpend91d),
    (Field::MemberSpend91d, Field::MemberSpend),
    (Field::MemberSpend28d, Field::MemberSpend),
    (Field::MemberBasketMean, Field::MemberSpend),
    (Field::MemberOffers7d, Field::MemberOffers28d),
];

/// What holds of every row of facts under a bundle, besides the bounds.
pub(super) fn always(bundle: &Bundle) -> Vec<Truth> {
    let mut all = vec![one_of(Field::MemberVariant, variants_of(bundle))];
    all.extend(ANYWHERE.iter().cloned());
    all
}

/// The usual member, in a variant there is.
pub(super) fn usual_of(bundle: &Bundle) -> Facts {
    let mut facts = usual();
    facts.set(Field::MemberVariant, variants_of(bundle).first().copied().unwrap_or(0));
    facts
}

/// What holds of every row under any bundle.
static ANYWHERE: LazyLock<Vec<Truth>> = LazyLock::new(|| {
    let not_larger = |(small, large)| Truth::Numbers {
        compare: Compare::LessOrEqual,
        sides: Box::new((Number::Fact(small), Number::Fact(large))),
    };
    let either = |left, right| Truth::Any(Box::new([left, right]));
    let purchase = || is(Field::EventType, Compare::Equal, PURCHASE);
    let quiet = || is(Field::EventType, Compare::Equal, QUIET_KIND);
    let not_quiet = || is(Field::EventType, Compare::NotEqual, QUIET_KIND);
    let mut all: Vec<Truth> = NEVER_LARGER.into_iter().map(not_larger).collect();
    all.extend([
        either(purchase(), is(Field::EventAmount, Compare::Equal, 0)),
        either(purchase(), is(Field::EventItems, Compare::Equal, 0)),
        either(quiet(), is(Field::EventQuietDays, Compare::Equal, 0)),
        either(not_quiet(), is(Field::EventQuietDays, Compare::Greater, 0)),
        either(not_quiet(), is(Field::EventTouchpoint, Compare::Equal, BATCH)),
    ]);
    all.extend((1..=12).filter(|month| days_of(*month) < 31).map(|month| {
        let shorter = is(Field::NowDay, Compare::LessOrEqual, days_of(month));
        either(is(Field::NowMonth, Compare::NotEqual, month), shorter)
    }));
    all
});

/// The last day a month ever has.
fn days_of(month: i64) -> i64 {
    match month {
        2 => 29,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// The variants a member can be in; 0 is none.
pub(super) fn variants_of(bundle: &Bundle) -> Vec<i64> {
    let variants = &bundle.experiments.variants;
    let everybody = variants.iter().map(|variant| u64::from(variant.share.0)).sum::<u64>() >= 1_000_000;
    let taken = (1..).zip(variants).filter(|(_, variant)| variant.share.0 > 0).map(|(position, _)| position);
    (0..i64::from(!everybody)).chain(taken).collect()
}

/// A fact compared with a number.
pub(super) fn is(field: Field, compare: Compare, value: i64) -> Truth {
    Truth::Fact { field, compare, value }
}

/// A regular who bought for 50 at a till at noon and whom nothing speaks against: what a witness holds where
/// no rule asks for anything else.
pub fn usual() -> Facts {
    let mut facts = Facts::default();
    for (field, value) in [
        (Field::NowHour, 12),
        (Field::NowWeekday, 3),
        (Field::NowDay, 15),
        (Field::NowMonth, 6),
        (Field::EventTouchpoint, Touchpoint::Pos as i64),
        (Field::EventSettlement, 1),
        (Field::EventAmount, 50_000_000),
        (Field::EventItems, 10),
        (Field::MemberConsentMarketing, 1),
        (Field::MemberConsentProfiling, 1),
        (Field::MemberDaysSinceComplaint, NEVER),
        (Field::MemberDaysSinceRefund, NEVER),
        (Field::MemberDaysSinceSensitive, NEVER),
        (Field::MemberHoursSinceOffer, NEVER),
        (Field::MemberTenureDays, 200),
        (Field::MemberRecencyDays, 7),
        (Field::MemberTrips, 60),
        (Field::MemberTrips28d, 8),
        (Field::MemberTrips91d, 26),
        (Field::MemberSpend, 2_100_000_000),
        (Field::MemberSpend28d, 280_000_000),
        (Field::MemberSpend91d, 910_000_000),
        (Field::MemberBasketMean, 35_000_000),
        (Field::MemberOverdue, 1_000_000),
        (Field::MemberScored, 1),
        (Field::MemberLtv91d, 900_000_000),
        (Field::MemberChurn60d, 30_000),
        (Field::RewardDaysSince, NEVER),
    ] {
        facts.set(field, value);
    }
    facts
}

/// The row inside a region that is nearest to a wanted one and holds together as far as the region allows.
pub(super) fn settle(region: &Region, wanted: &Facts) -> Facts {
    let mut facts = wanted.clone();
    let inside = |field, value: i64| {
        let (least, most) = region.span(field);
        value.clamp(least, most)
    };
    for field in Field::ALL {
        facts.set(*field, inside(*field, facts.get(*field)));
    }
    let last = days_of(facts.get(Field::NowMonth));
    facts.set(Field::NowDay, inside(Field::NowDay, facts.get(Field::NowDay).min(last)));
    let kind = facts.get(Field::EventType);
    if kind != PURCHASE {
        facts.set(Field::EventAmount, inside(Field::EventAmount, 0));
        facts.set(Field::EventItems, inside(Field::EventItems, 0));
    }
    if kind == QUIET_KIND {
        facts.set(Field::EventTouchpoint, inside(Field::EventTouchpoint, BATCH));
        facts.set(
            Field::EventQuietDays,
            inside(Field::EventQuietDays, facts.get(Field::EventQuietDays).max(1)),
        );
    } else {
        facts.set(Field::EventQuietDays, inside(Field::EventQuietDays, 0));
    }
    for (small, large) in NEVER_LARGER {
        facts.set(large, inside(large, facts.get(large).max(facts.get(small))));
        facts.set(small, inside(small, facts.get(small).min(facts.get(large))));
    }
    facts
}

/// Moves facts that were not read to where the row holds together.
pub(super) fn complete(facts: &mut Facts, read: &[bool; Field::COUNT]) {
    if !read[Field::NowMonth as usize] && facts.get(Field::NowDay) > days_of(facts.get(Field::NowMonth)) {
        facts.set(Field::NowMonth, 1);
    }
    for (small, large) in NEVER_LARGER {
        if !read[large as usize] {
            facts.set(large, facts.get(large).max(facts.get(small)));
        }
        if !read[small as usize] {
            facts.set(small, facts.get(small).min(facts.get(large)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_member_is_possible() {
        let facts = usual();
        for field in Field::ALL {
            let (least, most) = bounds(*field);
            assert!((least..=most).contains(&facts.get(*field)), "{}", field.name());
        }
        assert!(ANYWHERE.iter().all(|truth| truth.holds(&facts)));
        assert_eq!(domain::event::EVENT_KIND_NAMES[usize::try_from(PURCHASE).unwrap()], "purchase");
    }
}
