//! moments.toml: when a reward is considered at all.

use domain::Level;
use domain::event::{EVENT_KIND_NAMES, is_accepted};
use serde::Deserialize;

use super::describe::documents;
use super::{Condition, Count, Text};

/// Only `quiet_days` may start a moment from a member agent's own timer.
pub(crate) fn accepted_events() -> Vec<&'static str> {
    EVENT_KIND_NAMES.into_iter().filter(|name| is_accepted(name)).collect()
}

documents! {
    /// moments.toml
    pub struct Moments {
        /// An event is the first moment that it triggers and whose conditions all hold.
        pub moment: Vec<Moment>,
    }

    /// One `[[moment]]`.
    pub struct Moment {
        /// Never changes once used.
        pub id: Text,
        /// `"L3"`: while the member waits. `"L2"`: within hours. `"L1"`: in a batch. Under overload L1 gives way
        /// first.
        pub level: Level,
        /// What starts it.
        pub trigger: Trigger,
        /// Must all hold. May read scores.
        #[serde(default)]
        pub when: Vec<Condition>,
        /// The rewards that compete.
        pub rewards: Vec<Text>,
        /// `"deny"`: no promise while the event, or a purchase behind the member's facts, may still be taken back.
        /// `"allow"`: promise all the same.
        pub provisional: Provisional,
        /// What the member reads beside a promise that rests on such facts, where they are allowed. Left out, it says that
        /// the reward depends on a purchase that may still change.
        pub wording: Option<Text>,
        /// Age of the event in hours from which on the moment has passed; leave out when it never passes.
        pub stale_hours: Option<Count>,
    }

    /// What starts a moment: `{ event = "purchase", touchpoints = ["pos"] }` or `{ quiet_days = 45 }`.
    pub struct Trigger {
        /// An event of this type.
        #[words(accepted_events())]
        pub event: Option<Text>,
        /// At one of these touchpoints; anywhere when left out.
        #[words(domain::event::TOUCHPOINT_NAMES)]
        pub touchpoints: Option<Vec<Text>>,
        /// So many days without a purchase, by the member's own timer.
        pub quiet_days: Option<Count>,
    }
}

/// Whether a promise may rest on facts that may still be taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Provisional {
    Deny,
    Allow,
}
