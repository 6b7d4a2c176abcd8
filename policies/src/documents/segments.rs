//! segments.toml: who the members are, in the order in which they are asked.

use std::collections::BTreeMap;

use super::describe::documents;
use super::{Condition, Count, Text};
use crate::bundle::Autonomy;

documents! {
    /// segments.toml
    pub struct Segments {
        /// A member belongs to the first segment whose conditions all hold. A last segment without conditions
        /// catches everybody else.
        pub segment: Vec<Segment>,
    }

    /// One `[[segment]]`.
    pub struct Segment {
        /// Never changes once used.
        pub id: Text,
        /// As people say it.
        pub name: Text,
        /// `"auto"`: promises at once. `"approve"`: every promise waits for a person. `"shadow"`: decides and
        /// records, promises nothing.
        pub autonomy: Autonomy,
        /// Must all hold.
        #[serde(default)]
        pub when: Vec<Condition>,
        /// Promises owed to this segment in each budget period: the planner makes its rewards cheaper until they are made,
        /// as far as the budgets go. Leave out for none.
        pub floor: Option<Count>,
        /// Highest face cost of one promise to a member of this segment; leave out for none.
        pub ceiling: Option<Text>,
        /// How much more or less rewards count.
        #[serde(default)]
        pub levers: Levers,
    }

    /// How much more or less than its computed value a reward counts in this segment, in thousandths:
    /// 500 to 1500, 1000 leaves it as it is.
    #[derive(Default)]
    pub struct Levers {
        /// By kind of reward: `points = 900`.
        #[serde(default)]
        #[words(domain::facts::REWARD_KIND_NAMES)]
        pub kinds: BTreeMap<Text, Count>,
        /// By reward, before its kind: `"voucher-5" = 1200`.
        #[serde(default)]
        pub rewards: BTreeMap<Text, Count>,
    }
}
