//! moments.toml: when a reward is considered at all.

use domain::Level;
use serde::Deserialize;

use super::{Condition, Count, Text};

/// moments.toml
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Moments {
    /// An event is the first moment that it triggers and whose conditions all hold.
    pub moment: Vec<Moment>,
}

/// One `[[moment]]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Moment {
    /// Never changes once used.
    pub id: Text,
    /// `"L3"`: while the member waits. `"L2"`: within hours. `"L1"`: in a batch. Under overload L1 gives way first.
    pub level: Level,
    pub trigger: Trigger,
    /// Must all hold. May read scores.
    #[serde(default)]
    pub when: Vec<Condition>,
    /// The rewards that compete.
    pub rewards: Vec<Text>,
    /// `"deny"`: no promise while the event, or a purchase behind the member's facts, may still be taken back.
    /// `"allow"`: promise all the same.
    pub provisional: Provisional,
    /// Age of the event in hours from which on the moment has passed; leave out when it never passes.
    pub stale_hours: Option<Count>,
}

/// What starts a moment: `{ event = "purchase", touchpoints = ["pos"] }` or `{ quiet_days = 45 }`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trigger {
    /// An event of this type.
    pub event: Option<Text>,
    /// At one of these touchpoints; anywhere when left out.
    pub touchpoints: Option<Vec<Text>>,
    /// So many days without a purchase, by the member's own timer.
    pub quiet_days: Option<Count>,
}

/// Whether a promise may rest on facts that may still be taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Provisional {
    Deny,
    Allow,
}
