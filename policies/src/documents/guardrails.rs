//! guardrails.toml: what the program does not do, whatever it would bring.

use serde::Deserialize;

use super::describe::documents;
use super::{Condition, Count, Text};
use crate::bundle::Action;

documents! {
    /// guardrails.toml
    pub struct Guardrails {
        /// What members must have consented to.
        pub consent: Consent,
        /// `"exclude"`: minors get no personalised reward. `"include"`: they are members like others.
        pub minors: Minors,
        /// Days of silence after something went wrong.
        pub suppress: Suppress,
        /// Hours without messages; leave out for none.
        pub quiet_hours: Option<QuietHours>,
        /// Hours between two promises to one member; 0 for none.
        pub cool_down_hours: Count,
        /// Highest face cost as a share of what the member just paid, for moments with an amount.
        pub max_discount: Option<Text>,
        /// Highest risk score of an event, 0 to 100, at which anything is promised; leave out when producers send none.
        pub risk_max: Option<Count>,
        /// What has to be left of a purchase; leave out for no such rail.
        pub margin: Option<Margin>,
        /// How often one member may be promised anything.
        pub member_cap: Vec<MemberCap>,
        /// How often one member may be promised the same thing.
        #[serde(default)]
        pub reward_cap: Vec<RewardCap>,
        /// Rules with conditions of their own.
        #[serde(default)]
        pub rule: Vec<Rule>,
    }

    /// What members must have consented to.
    pub struct Consent {
        /// Without every one of these no model runs and nothing personal is read.
        #[words(domain::event::PURPOSE_NAMES)]
        pub purposes: toml::Spanned<Vec<Text>>,
    }
}

/// What happens with minors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Minors {
    Exclude,
    Include,
}

documents! {
    /// Days of silence after something went wrong. 0 is no silence.
    pub struct Suppress {
        /// After a complaint; also as long as it is not resolved.
        pub complaint_days: Count,
        /// After a purchase was taken back.
        pub refund_days: Count,
        /// After a sensitive context (health, religion, bereavement).
        pub sensitive_days: Count,
    }

    /// Hours without messages, in the program's time zone.
    pub struct QuietHours {
        /// First quiet hour, 0 to 23.
        pub from: Count,
        /// First hour that is not quiet any more.
        pub to: Count,
        /// Where they apply: touchpoints that send. Where the member stands in front of us anyway (a till, a
        /// website), nothing is disturbed.
        #[words(domain::event::TOUCHPOINT_NAMES)]
        pub touchpoints: Vec<Text>,
    }

    /// What has to be left of a purchase after the reward, for moments with an amount.
    pub struct Margin {
        /// Gross margin of what is sold, as a share of the amount paid: `"28 %"`. An assumption of the program's, not of
        /// the single basket.
        pub gross: Text,
        /// Lowest share of the amount that is left once the reward's face cost is taken off: `"10 %"`.
        pub min: Text,
    }

    /// One `[[member_cap]]`: at most `limit` promises within `window_days`, sliding, to the minute.
    pub struct MemberCap {
        /// Never changes once used.
        pub id: Text,
        /// Most promises within the window, 1 to 1000.
        pub limit: Count,
        /// Days the window looks back, 1 to 730.
        pub window_days: Count,
    }

    /// One `[[reward_cap]]`: at most `limit` promises of these rewards, taken together, within `window_days`.
    pub struct RewardCap {
        /// Never changes once used.
        pub id: Text,
        /// Counted together.
        pub rewards: Vec<Text>,
        /// Most promises within the window, 1 to 1000.
        pub limit: Count,
        /// Days the window looks back, 1 to 730.
        pub window_days: Count,
    }

    /// One `[[rule]]`: acts when all its conditions hold.
    pub struct Rule {
        /// Never changes once used.
        pub id: Text,
        /// `"deny"`: refuses. `"warn"`: is shown to operators. `"audit"`: is logged. Only `deny` changes an outcome.
        pub action: Action,
        /// Member-safe text of why.
        pub reason: Text,
        /// What operators should know about it.
        pub message: Option<String>,
        /// Must all hold for it to act. May read the facts of the reward.
        pub when: Vec<Condition>,
    }
}
