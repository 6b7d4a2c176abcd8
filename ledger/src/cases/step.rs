//! The steps of a case, as people sign them and the ledger keeps them for ever.

use domain::statement::{self, Role, Said};
use domain::{DecisionId, Digest};
use serde::{Deserialize, Serialize};

use super::id::CaseId;

/// Longest title in characters: a line.
pub const TITLE_CHARS_MAX: usize = 200;
/// Longest note or reason in characters: a page. What is longer is a file.
pub const TEXT_CHARS_MAX: usize = 2_000;
/// Longest name of an attached file in bytes, as file systems have it.
pub const FILE_NAME_BYTES_MAX: usize = 255;
/// Largest file that is read to be attached or compared: evidence files and exports are far below.
pub const FILE_BYTES_MAX: u64 = 1 << 30;

/// What is attached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", deny_unknown_fields)]
pub enum Attachment {
    Decision {
        decision: DecisionId,
    },
    /// A file that stays with whoever has it; its digest tells whether it is still the same.
    File {
        name: String,
        bytes: u64,
        sha256: Digest,
    },
}

macro_rules! closings {
    ($($variant:ident $name:literal $text:literal)*) => {
        /// What a case came to.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Closing { $(#[doc = $text] $variant,)* }

        impl Closing {
            /// Every reason, in the order people are shown them.
            pub const ALL: &'static [Closing] = &[$(Closing::$variant,)*];

            /// The word people use for it.
            pub fn name(self) -> &'static str {
                match self { $(Closing::$variant => $name,)* }
            }

            /// One line for people.
            pub fn text(self) -> &'static str {
                match self { $(Closing::$variant => $text,)* }
            }
        }
    };
}

closings! {
    NoFault "no_fault" "the decision was right by the policy, and the policy is as it was meant"
    Reversed "reversed" "a promise was taken back; takes a confirmed reversal"
    PolicyFault "policy_fault" "the policy says what it was not meant to say"
    DataFault "data_fault" "an event was wrong, late or missing"
    ModelFault "model_fault" "a model predicted badly"
    Fraud "fraud" "somebody deceived the program"
    Duplicate "duplicate" "another case is about the same"
    OutOfScope "out_of_scope" "it is not about what this program decides"
}

impl Closing {
    /// The reason with this word.
    pub fn from_name(name: &str) -> Option<Closing> {
        Closing::ALL.iter().copied().find(|closing| closing.name() == name)
    }
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "do", deny_unknown_fields)]
pub enum Step {
    /// A case is opened about decisions; its id follows from the statement's.
    Open { title: String, about: Vec<DecisionId> },
    /// Something is written down.
    Note { case: CaseId, text: String },
    /// A decision or a file becomes part of the case.
    Attach { case: CaseId, what: Attachment },
    /// Somebody asks that a decision's promise be taken back.
    Reverse { case: CaseId, decision: DecisionId, why: String },
    /// Somebody else confirms it: the node cancels the promise.
    Confirm { case: CaseId, decision: DecisionId },
    /// A request that waits is taken back, by whoever asked or by whoever will not confirm it.
    Withdraw { case: CaseId, decision: DecisionId, why: String },
    /// The case is closed for good.
    Close { case: CaseId, reason: Closing },
}

impl Said for Step {
    const OPENING: &'static str = "largesse-case 1\n";
}

/// A step as it is signed.
pub type Statement = statement::Statement<Step>;

/// A signed step; the body of its ledger row.
pub type Signed = statement::Signed<Step>;

impl Step {
    /// The word people use for it.
    pub fn name(&self) -> &'static str {
        match self {
            Step::Open { .. } => "open",
            Step::Note { .. } => "note",
            Step::Attach { .. } => "attach",
            Step::Reverse { .. } => "reverse",
            Step::Confirm { .. } => "confirm",
            Step::Withdraw { .. } => "withdraw",
            Step::Close { .. } => "close",
        }
    }

    /// Who may take it.
    pub fn roles(&self) -> &'static [Role] {
        match self {
            Step::Open { .. }
            | Step::Note { .. }
            | Step::Attach { .. }
            | Step::Reverse { .. }
            | Step::Close { .. } => &[Role::Auditor],
            Step::Confirm { .. } => &[Role::Approver],
            Step::Withdraw { .. } => &[Role::Auditor, Role::Approver],
        }
    }

    /// The case it is a step of; none when it opens one.
    pub fn case(&self) -> Option<CaseId> {
        match self {
            Step::Open { .. } => None,
            Step::Note { case, .. }
            | Step::Attach { case, .. }
            | Step::Reverse { case, .. }
            | Step::Confirm { case, .. }
            | Step::Withdraw { case, .. }
            | Step::Close { case, .. } => Some(*case),
        }
    }

    /// The decisions it names.
    pub fn decisions(&self) -> &[DecisionId] {
        match self {
            Step::Open { about, .. } => about,
            Step::Attach { what: Attachment::Decision { decision }, .. }
            | Step::Reverse { decision, .. }
            | Step::Confirm { decision, .. }
            | Step::Withdraw { decision, .. } => std::slice::from_ref(decision),
            Step::Note { .. } | Step::Attach { what: Attachment::File { .. }, .. } | Step::Close { .. } => {
                &[]
            }
        }
    }

    /// The decision whose promise has to be open for it.
    pub fn reverses(&self) -> Option<DecisionId> {
        match self {
            Step::Reverse { decision, .. } | Step::Confirm { decision, .. } => Some(*decision),
            Step::Open { .. }
            | Step::Note { .. }
            | Step::Attach { .. }
            | Step::Withdraw { .. }
            | Step::Close { .. } => None,
        }
    }
}
