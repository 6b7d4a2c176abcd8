//! catalog.toml: what can be promised.

use std::collections::BTreeMap;

use super::describe::documents;
use super::{Condition, Count, Text};
use crate::bundle::RewardKind;

documents! {
    /// catalog.toml
    pub struct Catalog {
        /// What can be promised, in the order it is shown.
        pub reward: Vec<Reward>,
        /// Who hands rewards out for us, and on what terms. Once one is listed, every `partner` of a reward must be.
        #[serde(default)]
        pub partner: Vec<Partner>,
    }

    /// One `[[partner]]`: the terms of somebody else who hands rewards out.
    pub struct Partner {
        /// As rewards and kill switches name it.
        pub name: Text,
        /// Last day of the agreement, in the program's time zone: `"2027-03-31"`. Nothing is promised that could be used
        /// after it.
        pub until: Option<Text>,
        /// Most money that may be promised of this partner's rewards and not yet used or run out.
        pub exposure: Option<Text>,
        /// Most money that may be promised of this partner's rewards within `hours`.
        pub limit: Option<Text>,
        /// Length of that window, 1 to 744; windows follow one another from midnight on.
        pub hours: Option<Count>,
    }

    /// One `[[reward]]`.
    pub struct Reward {
        /// Never changes once used.
        pub id: Text,
        /// What the member reads.
        pub name: Text,
        /// `"points"`, `"voucher"`, `"shipping"`, `"experience"` or `"partner"`.
        pub kind: RewardKind,
        /// Who hands it out, when that is somebody else: `largesse stop --partner` stops all of a partner's rewards.
        pub partner: Option<Text>,
        /// Face cost to the program when it is used: what one promise reserves.
        pub cost: Text,
        /// Days until an unused promise runs out.
        pub valid_days: Count,
        /// Units per budget period; leave out when there is no limit. Unused units carry over.
        pub inventory: Option<Count>,
        /// Where it can be handed out: `"checkout"`, `"service"`, `"app"`, `"web"`, `"email"`, `"pos"`, `"partner"`,
        /// `"batch"`.
        #[words(domain::event::TOUCHPOINT_NAMES)]
        pub touchpoints: Vec<Text>,
        /// Where a member may have it, nothing else competes in that moment. Two such rewards must never be open at once.
        #[serde(default)]
        pub exclusive: bool,
        /// Must all hold for a member to be offered it.
        #[serde(default)]
        pub eligible: Vec<Condition>,
        /// How likely it is to keep a member who wavers.
        pub prior: Prior,
    }

    /// How likely the reward is to keep a member who wavers. Until holdouts measure it, this is an assumption,
    /// declared as such.
    pub struct Prior {
        /// In segments that are not listed: `"4 %"`.
        pub default: Text,
        /// By segment.
        #[serde(default)]
        pub segments: BTreeMap<Text, Text>,
        /// Who assumes it, on what grounds, and when it will be measured.
        pub source: Text,
    }
}
