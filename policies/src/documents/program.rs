//! program.toml: whose program this is, what it may spend, and what is switched off.

use std::collections::BTreeMap;

use super::describe::documents;
use super::{Count, Text};
use crate::bundle::Members;

documents! {
    /// program.toml
    pub struct Program {
        /// The program's name as people say it.
        pub name: Text,
        /// ISO 4217 code of every amount in the bundle and in the events: `"USD"`.
        pub currency: Text,
        /// IANA time zone that hours, days and quarters are read in: `"America/New_York"`.
        pub timezone: Text,
        /// `"enrol"`: an unknown member's first event enrols them. `"known"`: events of unknown members are refused.
        pub members: Members,
        /// What a member has consented to by enrolling.
        pub consent: ConsentAtEnrolment,
        /// The money of one period.
        pub budget: Budget,
        /// When a person has to look first; leave out for never.
        pub approval: Option<Approval>,
        /// Kill switches that are part of the policy; operators have their own beside it.
        #[serde(default)]
        pub stop: Stop,
    }

    /// What a member has consented to by enrolling.
    pub struct ConsentAtEnrolment {
        /// Purposes held from enrolment on: `"personalised_marketing"`, `"profiling"`. Empty when consent always
        /// arrives as an event of its own.
        #[words(domain::event::PURPOSE_NAMES)]
        pub at_enrolment: Vec<Text>,
        /// The legal basis, in words an auditor can follow.
        pub basis: Text,
    }

    /// The money of one period.
    pub struct Budget {
        /// Hard limit of the whole program per period. Promises are counted at face cost.
        pub limit: Text,
        /// Length of a period in days, counted from the first event. The limit opens anew each period and what was
        /// not spent carries over.
        pub period_days: Count,
        /// Hard limit per segment and period. A segment that is not listed is bounded by the program's limit only.
        #[serde(default)]
        pub segments: BTreeMap<Text, Text>,
    }

    /// When a person has to look first.
    pub struct Approval {
        /// Promises whose face cost is this or more wait for a person.
        pub unit_cost: Text,
    }

    /// What is switched off.
    #[derive(Default)]
    pub struct Stop {
        /// Nothing is promised to anybody.
        #[serde(default)]
        pub program: bool,
        /// Nothing is promised to members of these segments.
        #[serde(default)]
        pub segments: Vec<Text>,
        /// These rewards are not promised.
        #[serde(default)]
        pub rewards: Vec<Text>,
    }
}
