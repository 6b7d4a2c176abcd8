//! Facts: what a member agent knows at a moment, as one flat row of integers.
//!
//! One table declares every fact: its slot, name in policies, type, the consent it needs, and its
//! documentation. Conditions compile to slots, records hold the row in slot order, and the reference page is
//! generated from the same table. Slots are only ever added at the end; their order is part of
//! [`crate::SEMANTICS_VERSION`].

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::event::{EVENT_KIND_NAMES, Purpose, SETTLEMENT_NAMES, Settlement, TOUCHPOINT_NAMES};

/// Stands for "never happened" in facts that count days or hours since something.
pub const NEVER: i64 = 9_999;

/// The type of a fact as policies see it; every value is held as `i64`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldKind {
    /// 0 or 1.
    Bool,
    /// A count, days, hours.
    Int,
    /// Parts per million; written as a decimal in policies (`0.6` is 600,000).
    Ratio,
    /// Micros; written as a decimal in policies (`25.00` is 25,000,000).
    Money,
    /// A position in a closed list of words; written as a text in policies.
    Word(&'static [&'static str]),
}

/// What a fact speaks about; reward facts differ between the candidates of one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    Now,
    Event,
    Member,
    Reward,
}

macro_rules! facts {
    ($($variant:ident $name:literal $scope:ident $kind:expr, $purpose:expr, $doc:literal)*) => {
        /// The name of a fact.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Field { $(#[doc = $doc] $variant,)* }

        impl Field {
            /// Every field in slot order.
            pub const ALL: &'static [Field] = &[$(Field::$variant,)*];
            /// Number of fields.
            pub const COUNT: usize = Field::ALL.len();

            /// The name in policies, e.g. `member.churn_60d`.
            pub fn name(self) -> &'static str { match self { $(Field::$variant => $name,)* } }
            /// The type in policies.
            pub fn kind(self) -> FieldKind { match self { $(Field::$variant => $kind,)* } }
            /// What it speaks about.
            pub fn scope(self) -> Scope { match self { $(Field::$variant => Scope::$scope,)* } }
            /// The consent without which it may not be read (invariant E-3).
            pub fn purpose(self) -> Option<Purpose> { match self { $(Field::$variant => $purpose,)* } }
            /// One line of documentation.
            pub fn doc(self) -> &'static str { match self { $(Field::$variant => $doc,)* } }
        }
    };
}

const MARKETING: Option<Purpose> = Some(Purpose::PersonalisedMarketing);
const PROFILING: Option<Purpose> = Some(Purpose::Profiling);
const OPEN: Option<Purpose> = None;
/// The words of `reward.kind`.
pub const REWARD_KIND_NAMES: [&str; 5] = ["points", "voucher", "shipping", "experience", "partner"];

use FieldKind::{Bool, Int, Money, Ratio, Word};

facts! {
    NowHour "now.hour" Now Int, OPEN, "Hour of the day in the program's time zone, 0 to 23."
    NowWeekday "now.weekday" Now Int, OPEN, "Day of the week in the program's time zone, Monday = 1 to Sunday = 7."
    NowDay "now.day" Now Int, OPEN, "Day of the month in the program's time zone."
    NowMonth "now.month" Now Int, OPEN, "Month in the program's time zone, 1 to 12."
    EventType "event.type" Event Word(&EVENT_KIND_NAMES), OPEN, "What happened."
    EventTouchpoint "event.touchpoint" Event Word(&TOUCHPOINT_NAMES), OPEN, "Where it happened."
    EventSettlement "event.settlement" Event Word(&SETTLEMENT_NAMES), OPEN, "Whether the event may still be taken back."
    EventAmount "event.amount" Event Money, OPEN, "What was paid; 0 for events without an amount."
    EventItems "event.items" Event Int, OPEN, "Items bought; 0 for events without items."
    EventAgeHours "event.age_hours" Event Int, OPEN, "Whole hours from the event to its handling."
    MemberConsentMarketing "member.consent_marketing" Member Bool, OPEN, "Consented to personalised marketing."
    MemberConsentProfiling "member.consent_profiling" Member Bool, OPEN, "Consented to being scored."
    MemberObjected "member.objected" Member Bool, OPEN, "Objected to profiling (GDPR Art. 21)."
    MemberMinor "member.minor" Member Bool, OPEN, "Is a minor."
    MemberComplaintOpen "member.complaint_open" Member Bool, OPEN, "Has an unresolved complaint."
    MemberDaysSinceComplaint "member.days_since_complaint" Member Int, OPEN, "Whole days since the last complaint; 9999 when never."
    MemberDaysSinceRefund "member.days_since_refund" Member Int, OPEN, "Whole days since a purchase was last reversed; 9999 when never."
    MemberDaysSinceSensitive "member.days_since_sensitive" Member Int, OPEN, "Whole days since the last sensitive context; 9999 when never."
    MemberHoursSinceOffer "member.hours_since_offer" Member Int, OPEN, "Whole hours since the last promise; 9999 when never."
    MemberOffers7d "member.offers_7d" Member Int, OPEN, "Promises in the last 7 days."
    MemberOffers28d "member.offers_28d" Member Int, OPEN, "Promises in the last 28 days."
    MemberOpenPromises "member.open_promises" Member Int, OPEN, "Promises neither used, expired nor cancelled."
    MemberProvisional "member.provisional" Member Int, OPEN, "Purchases that may still be taken back."
    MemberTenureDays "member.tenure_days" Member Int, MARKETING, "Whole days since the first purchase."
    MemberRecencyDays "member.recency_days" Member Int, MARKETING, "Whole days since the last purchase; 9999 when never."
    MemberTrips "member.trips" Member Int, MARKETING, "Purchases so far."
    MemberTrips28d "member.trips_28d" Member Int, MARKETING, "Purchases in the last 28 days."
    MemberTrips91d "member.trips_91d" Member Int, MARKETING, "Purchases in the last 91 days."
    MemberSpend "member.spend" Member Money, MARKETING, "Money spent so far."
    MemberSpend28d "member.spend_28d" Member Money, MARKETING, "Money spent in the last 28 days."
    MemberSpend91d "member.spend_91d" Member Money, MARKETING, "Money spent in the last 91 days."
    MemberBasketMean "member.basket_mean" Member Money, MARKETING, "Mean amount of a purchase."
    MemberOverdue "member.overdue" Member Ratio, MARKETING, "Days since the last purchase over the usual gap; 1.0 is on time, 2.0 twice the usual gap."
    MemberScored "member.scored" Member Bool, PROFILING, "The models scored the member at this moment."
    MemberLtv91d "member.ltv_91d" Member Money, PROFILING, "Predicted spend in the next 91 days."
    MemberChurn60d "member.churn_60d" Member Ratio, PROFILING, "Predicted probability of no purchase in the next 60 days."
    RewardKind "reward.kind" Reward Word(&REWARD_KIND_NAMES), OPEN, "Kind of the reward under consideration."
    RewardCost "reward.cost" Reward Money, OPEN, "Face cost of the reward under consideration."
    RewardDaysSince "reward.days_since" Reward Int, OPEN, "Whole days since the member was last promised this reward; 9999 when never."
    EventQuietDays "event.quiet_days" Event Int, OPEN, "Days without a purchase that a quiet timer reports; 0 for other events."
    EventRisk "event.risk" Event Int, OPEN, "Risk score the producer's fraud system gave the event, 0 to 100; 0 when it gave none."
    MemberVariant "member.variant" Member Int, OPEN, "Position of the member's variant in experiments.toml, from 1; 0 when in none."
    MemberRecentPurchases "member.recent_purchases" Member Int, MARKETING, "How many purchases the lists `member.recent_*` hold: the newest, at most 8."
    MemberRecentAmount0 "member.recent_amounts[0]" Member Money, MARKETING, "Amount of one of the newest purchases."
    MemberRecentAmount1 "member.recent_amounts[1]" Member Money, MARKETING, "Amount of one of the newest purchases."
    MemberRecentAmount2 "member.recent_amounts[2]" Member Money, MARKETING, "Amount of one of the newest purchases."
    MemberRecentAmount3 "member.recent_amounts[3]" Member Money, MARKETING, "Amount of one of the newest purchases."
    MemberRecentAmount4 "member.recent_amounts[4]" Member Money, MARKETING, "Amount of one of the newest purchases."
    MemberRecentAmount5 "member.recent_amounts[5]" Member Money, MARKETING, "Amount of one of the newest purchases."
    MemberRecentAmount6 "member.recent_amounts[6]" Member Money, MARKETING, "Amount of one of the newest purchases."
    MemberRecentAmount7 "member.recent_amounts[7]" Member Money, MARKETING, "Amount of one of the newest purchases."
    MemberRecentDays0 "member.recent_days[0]" Member Int, MARKETING, "Whole days since one of the newest purchases."
    MemberRecentDays1 "member.recent_days[1]" Member Int, MARKETING, "Whole days since one of the newest purchases."
    MemberRecentDays2 "member.recent_days[2]" Member Int, MARKETING, "Whole days since one of the newest purchases."
    MemberRecentDays3 "member.recent_days[3]" Member Int, MARKETING, "Whole days since one of the newest purchases."
    MemberRecentDays4 "member.recent_days[4]" Member Int, MARKETING, "Whole days since one of the newest purchases."
    MemberRecentDays5 "member.recent_days[5]" Member Int, MARKETING, "Whole days since one of the newest purchases."
    MemberRecentDays6 "member.recent_days[6]" Member Int, MARKETING, "Whole days since one of the newest purchases."
    MemberRecentDays7 "member.recent_days[7]" Member Int, MARKETING, "Whole days since one of the newest purchases."
}

/// A fact that is a bounded list: slots of which as many are in use as another fact says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct List {
    /// The name in policies, e.g. `member.recent_amounts`; its slots are named after it.
    pub name: &'static str,
    /// How many slots are in use.
    pub length: Field,
    /// The slots, as many as the list can hold, in its order.
    pub slots: &'static [Field],
    /// One line of documentation.
    pub doc: &'static str,
}

/// Purchases the lists `member.recent_*` hold at most.
pub const RECENT_MAX: usize = 8;

/// Every list.
pub const LISTS: [List; 2] = [
    List {
        name: "member.recent_amounts",
        length: Field::MemberRecentPurchases,
        slots: &[
            Field::MemberRecentAmount0,
            Field::MemberRecentAmount1,
            Field::MemberRecentAmount2,
            Field::MemberRecentAmount3,
            Field::MemberRecentAmount4,
            Field::MemberRecentAmount5,
            Field::MemberRecentAmount6,
            Field::MemberRecentAmount7,
        ],
        doc: "Amounts of the newest purchases, the newest first.",
    },
    List {
        name: "member.recent_days",
        length: Field::MemberRecentPurchases,
        slots: &[
            Field::MemberRecentDays0,
            Field::MemberRecentDays1,
            Field::MemberRecentDays2,
            Field::MemberRecentDays3,
            Field::MemberRecentDays4,
            Field::MemberRecentDays5,
            Field::MemberRecentDays6,
            Field::MemberRecentDays7,
        ],
        doc: "Whole days since each of the newest purchases, the newest first.",
    },
];

impl List {
    /// The list with this name.
    pub fn from_name(name: &str) -> Option<&'static List> {
        LISTS.iter().find(|list| list.name == name)
    }
}

impl Field {
    /// Whether it is a place of a list, which conditions name as a whole.
    pub fn is_slot(self) -> bool {
        self.name().ends_with(']')
    }

    /// The field with this name.
    pub fn from_name(name: &str) -> Option<Field> {
        Field::ALL.iter().copied().find(|field| field.name() == name)
    }
}

/// The facts of one moment, one integer per [`Field`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts([i64; Field::COUNT]);

impl Default for Facts {
    fn default() -> Facts {
        Facts([0; Field::COUNT])
    }
}

impl Facts {
    /// The value of a fact.
    pub fn get(&self, field: Field) -> i64 {
        self.0[field as usize]
    }

    /// Sets the value of a fact.
    pub fn set(&mut self, field: Field, value: i64) {
        self.0[field as usize] = value;
    }

    /// The row in slot order.
    pub fn row(&self) -> &[i64; Field::COUNT] {
        &self.0
    }

    /// Whether the event, or any purchase behind the member's facts, may still be taken back.
    pub fn rest_on_provisional(&self) -> bool {
        self.get(Field::EventSettlement) == Settlement::Provisional as i64
            || self.get(Field::MemberProvisional) > 0
    }

    /// The value as policies write it: `true`, `12`, `0.600000`, `25.00`, `purchase`.
    pub fn show(&self, field: Field) -> String {
        show(field.kind(), self.get(field))
    }
}

/// A value of some kind as policies write it.
pub fn show(kind: FieldKind, value: i64) -> String {
    match kind {
        FieldKind::Bool => (value != 0).to_string(),
        FieldKind::Int => value.to_string(),
        FieldKind::Ratio | FieldKind::Money => crate::money::Micros(value).to_string(),
        FieldKind::Word(words) => {
            let word = usize::try_from(value).ok().and_then(|index| words.get(index));
            word.map_or_else(|| format!("#{value}"), |word| (*word).to_owned())
        }
    }
}

impl Serialize for Facts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter())
    }
}

impl<'de> Deserialize<'de> for Facts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Facts, D::Error> {
        let mut row = Vec::<i64>::deserialize(deserializer)?;
        let found = row.len();
        if found < Field::COUNT {
            // An older build knew fewer facts: slots are only ever added, so the rest were not there yet.
            row.resize(Field::COUNT, 0);
        }
        let row = row.try_into().map_err(|_| {
            serde::de::Error::custom(format!("{found} facts, this build knows {}", Field::COUNT))
        })?;
        Ok(Facts(row))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_find_their_field_and_say_their_scope() {
        for field in Field::ALL {
            assert_eq!(Field::from_name(field.name()), Some(*field));
            let prefix = format!("{:?}.", field.scope()).to_lowercase();
            assert!(
                field.name().starts_with(&prefix),
                "{} is not of scope {:?}",
                field.name(),
                field.scope()
            );
        }
    }
}
