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
