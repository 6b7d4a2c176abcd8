//! The steps of a policy's life, as people sign them and the ledger keeps them.

use domain::statement::{self, Said};
use domain::time::{DAY, HOUR};
use domain::{DecisionId, Digest, Ppm, Timestamp};
use serde::{Deserialize, Serialize};

pub use domain::statement::{Role, VERSION};

/// What a kill switch turns off. Ids outlive bundles: a switch stays on under the next one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "part", content = "id")]
pub enum Target {
    Program,
    Segment(String),
    Reward(String),
    /// Every reward of a kind, such as all partner rewards.
    Kind(crate::RewardKind),
    /// Every reward of a partner.
    Partner(String),
    /// Every promise of a moment.
    Moment(String),
    /// Everything that a rule lets through: the segment, moment or reward whose condition it is.
    Rule(String),
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "do", deny_unknown_fields)]
pub enum Step {
    /// A checked and tested bundle is handed in, with its tests. Statements of earlier builds name none.
    Submit {
        bundle: Digest,
        note: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tests: Option<Digest>,
    },
    /// What the bundle would have done was computed; the digest is that of the report.
    Assess { bundle: Digest, impact: Digest },
    /// Somebody other than the author approves exactly this bundle with exactly this report.
    Approve {
        bundle: Digest,
        impact: Digest,
        /// Whether the report's numbers are its author's word: nobody computed them again.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        unchecked: bool,
    },
    /// An approved bundle goes into force at a time.
    Schedule { bundle: Digest, at: Timestamp },
    /// An approved bundle goes into force now.
    Activate { bundle: Digest },
    /// From now on it is also computed what the bundle would decide; it decides nothing.
    Shadow { bundle: Digest },
    /// An approved bundle decides for a share of the members, who stay on its side while the share grows.
    Canary { bundle: Digest, share: Ppm },
    /// A shadow, canary or schedule is taken back.
    Withdraw { bundle: Digest },
    /// What was in force before goes back into force; what came after it is passed over. Whoever signs says what they take
    /// back, and nothing else is; statements of earlier builds do not say it.
    RollBack {
        to: Digest,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<Digest>,
    },
    /// A kill switch is turned on.
    Stop { target: Target, note: String },
    /// A kill switch is turned off.
    Resume { target: Target, note: String },
    /// A promise that waits for a person is made, or declined.
    Answer { decision: DecisionId, approve: bool, note: String },
}

impl Step {
    /// The word people use for it.
    pub fn name(&self) -> &'static str {
        match self {
            Step::Submit { .. } => "submit",
            Step::Assess { .. } => "assess",
            Step::Approve { .. } => "approve",
            Step::Schedule { .. } => "schedule",
            Step::Activate { .. } => "activate",
            Step::Shadow { .. } => "shadow",
            Step::Canary { .. } => "canary",
            Step::Withdraw { .. } => "withdraw",
            Step::RollBack { .. } => "roll_back",
            Step::Stop { .. } => "stop",
            Step::Resume { .. } => "resume",
            Step::Answer { approve: true, .. } => "approve_promise",
            Step::Answer { approve: false, .. } => "decline_promise",
        }
    }

    /// Who may take it. Whoever may put a policy in force may also act in the safe direction.
    pub fn roles(&self) -> &'static [Role] {
        match self {
            Step::Submit { .. } | Step::Assess { .. } | Step::Shadow { .. } => &[Role::Author],
            Step::Approve { .. }
            | Step::Schedule { .. }
            | Step::Activate { .. }
            | Step::Canary { .. }
            | Step::Resume { .. }
            | Step::Answer { approve: true, .. } => &[Role::Approver],
            Step::RollBack { .. }
            | Step::Withdraw { .. }
            | Step::Stop { .. }
            | Step::Answer { approve: false, .. } => &[Role::Operator, Role::Approver],
        }
    }

    /// What its taker wrote beside it.
    pub fn note(&self) -> Option<&str> {
        match self {
            Step::Submit { note, .. }
            | Step::Stop { note, .. }
            | Step::Resume { note, .. }
            | Step::Answer { note, .. } => Some(note),
            Step::Assess { .. }
            | Step::Approve { .. }
            | Step::Schedule { .. }
            | Step::Activate { .. }
            | Step::Shadow { .. }
            | Step::Canary { .. }
            | Step::Withdraw { .. }
            | Step::RollBack { .. } => None,
        }
    }

    /// What has to come along, by its SHA-256: a bundle's canonical bytes, or a report.
    pub fn attachment(&self) -> Option<Digest> {
        match self {
            Step::Submit { bundle, .. } => Some(*bundle),
            Step::Assess { impact, .. } => Some(*impact),
            Step::Approve { .. }
            | Step::Schedule { .. }
            | Step::Activate { .. }
            | Step::Shadow { .. }
            | Step::Canary { .. }
            | Step::Withdraw { .. }
            | Step::RollBack { .. }
            | Step::Stop { .. }
            | Step::Resume { .. }
            | Step::Answer { .. } => None,
        }
    }

    /// Whether something comes along with it.
    pub fn names_more(&self) -> bool {
        self.attachment().is_some() || self.tests().is_some()
    }

    /// The tests that come along with a bundle, by their SHA-256.
    pub fn tests(&self) -> Option<Digest> {
        if let Step::Submit { tests, .. } = self { *tests } else { None }
    }

    /// The bundle it is about.
    pub fn bundle(&self) -> Option<Digest> {
        match self {
            Step::Submit { bundle, .. }
            | Step::Assess { bundle, .. }
            | Step::Approve { bundle, .. }
            | Step::Schedule { bundle, .. }
            | Step::Activate { bundle }
            | Step::Shadow { bundle }
            | Step::Canary { bundle, .. }
            | Step::Withdraw { bundle }
            | Step::RollBack { to: bundle, .. } => Some(*bundle),
            Step::Stop { .. } | Step::Resume { .. } | Step::Answer { .. } => None,
        }
    }
}

impl Said for Step {
    const OPENING: &'static str = "largesse-step 1\n";

    /// A wrong clock must not hold up a kill switch; one that was signed a day ago is still in the safe direction.
    fn within(&self) -> i64 {
        if matches!(self, Step::Stop { .. }) { DAY } else { HOUR }
    }
}

/// A step as it is signed.
pub type Statement = statement::Statement<Step>;

/// A signed step; the body of its ledger row.
pub type Signed = statement::Signed<Step>;

/// A scheduled bundle that a node put in force when its time came; the body of its ledger row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Due {
    pub v: u32,
    pub bundle: Digest,
    /// The id of the statement that scheduled it.
    pub scheduled_by: String,
}
