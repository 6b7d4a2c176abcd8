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
        /// How much may be promised at a time; leave out for no limit but the budgets.
        pub exposure: Option<Exposure>,
        /// When a person has to look first; leave out for never.
        pub approval: Option<Approval>,
        /// When a person is called, and how many decisions may wait for one.
        #[serde(default)]
        pub escalation: Escalation,
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
        /// Hard limits within shorter windows of time.
        #[serde(default)]
        pub window: Vec<Window>,
    }

    /// One `[[budget.window]]`: a hard limit on what is promised within each window of time. Nothing carries over, and a
    /// promise that ends unused does not give its window's money back.
    pub struct Window {
        /// Never changes once used.
        pub id: Text,
        /// Length in hours, 1 to 744; windows follow one another from midnight on, in the program's time zone.
        pub hours: Count,
        /// Most money promised in one window, at face cost.
        pub limit: Text,
        /// Only of promises to members of this segment; of all when left out.
        pub segment: Option<Text>,
    }

    /// Most money that may be promised and not yet used, run out or cancelled, at face cost.
    pub struct Exposure {
        /// Of the whole program.
        pub limit: Text,
        /// Per segment; one that is not listed is bounded by the program's limit only.
        #[serde(default)]
        pub segments: BTreeMap<Text, Text>,
    }

    /// When a person is called, and how many decisions may wait for one.
    #[derive(Default)]
    pub struct Escalation {
        /// Most promises that may wait for a person at a time; beyond it, rewards that need one are left out. No limit when
        /// left out.
        pub waiting: Option<Count>,
        /// Call a person once spending runs at so much of its even pace: `"200 %"` is twice as fast as the period can bear.
        /// Never when left out.
        pub burn: Option<Text>,
        /// Call a person after so many negotiations in a row whose prices hit their bounds or whose plan was not proven
        /// good; 3 when left out.
        pub negotiations: Option<Count>,
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
