//! guardrails.toml: what the program does not do, whatever it would bring.

use serde::Deserialize;

use super::{Condition, Count, Text};
use crate::bundle::Action;

/// guardrails.toml
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guardrails {
    pub consent: Consent,
    /// `"exclude"`: minors get no personalised reward. `"include"`: they are members like others.
    pub minors: Minors,
    pub suppress: Suppress,
    pub quiet_hours: Option<QuietHours>,
    /// Hours between two promises to one member; 0 for none.
    pub cool_down_hours: Count,
    /// Highest face cost as a share of what the member just paid, for moments with an amount.
    pub max_discount: Option<Text>,
    /// How often one member may be promised anything.
    pub member_cap: Vec<MemberCap>,
    /// How often one member may be promised the same thing.
    #[serde(default)]
    pub reward_cap: Vec<RewardCap>,
    #[serde(default)]
    pub rule: Vec<Rule>,
}

/// What members must have consented to.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Consent {
    /// Without every one of these no model runs and nothing personal is read.
    pub purposes: toml::Spanned<Vec<Text>>,
}

/// What happens with minors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Minors {
    Exclude,
    Include,
}

/// Days of silence after something went wrong. 0 is no silence.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suppress {
    /// After a complaint; also as long as it is not resolved.
    pub complaint_days: Count,
    /// After a purchase was taken back.
    pub refund_days: Count,
    /// After a sensitive context (health, religion, bereavement).
    pub sensitive_days: Count,
}

/// Hours without messages, in the program's time zone.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuietHours {
    /// First quiet hour, 0 to 23.
    pub from: Count,
    /// First hour that is not quiet any more.
    pub to: Count,
    /// Where they apply: touchpoints that send. Where the member stands in front of us anyway (a till, a
    /// website), nothing is disturbed.
    pub touchpoints: Vec<Text>,
}

/// One `[[member_cap]]`: at most `limit` promises within `window_days`, sliding, to the minute.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemberCap {
    pub id: Text,
    pub limit: Count,
    pub window_days: Count,
}

/// One `[[reward_cap]]`: at most `limit` promises of these rewards, taken together, within `window_days`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RewardCap {
    pub id: Text,
    pub rewards: Vec<Text>,
    pub limit: Count,
    pub window_days: Count,
}

/// One `[[rule]]`: acts when all its conditions hold.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    pub id: Text,
    /// `"deny"`: refuses. `"warn"`: is shown to operators. `"audit"`: is logged. Only `deny` changes an outcome.
    pub action: Action,
    /// Member-safe text of why.
    pub reason: Text,
    /// What operators should know about it.
    pub message: Option<String>,
    pub when: Vec<Condition>,
}
