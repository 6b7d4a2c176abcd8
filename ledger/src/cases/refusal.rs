//! Why a step of a case is not taken.

use domain::DecisionId;
use domain::statement::Unheard;

use super::admit::{Ended, Standing};
use super::{CaseId, Closing};

/// Why a step is not taken. Nothing changes then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error(transparent)]
    Unheard(#[from] Unheard),
    #[error("there is no case {0}; `largesse case list` shows them")]
    UnknownCase(CaseId),
    #[error("case {case} was closed as {}, and nothing happens in a closed case", .reason.name())]
    Closed { case: CaseId, reason: Closing },
    #[error("the {what} {why}")]
    Text { what: &'static str, why: String },
    #[error("the ledger holds no decision {0}; `largesse log list --kind decision` shows them")]
    UnknownDecision(DecisionId),
    #[error("a case is about at least one decision")]
    AboutNothing,
    #[error("there are {most} {what} already, which is the most")]
    Full { what: &'static str, most: usize },
    #[error(
        "decision {decision} is not in case {case}; `largesse case attach {case} --decision` puts it there"
    )]
    NotInCase { decision: DecisionId, case: CaseId },
    #[error("decision {decision} holds no open promise: {}", why(*.standing))]
    NotOpen { decision: DecisionId, standing: Standing },
    #[error("{}", asked(*.decision, *.case, *.confirmed))]
    Asked { decision: DecisionId, case: CaseId, confirmed: bool },
    #[error("nobody asked in this case that decision {0} be reversed")]
    NotAsked(DecisionId),
    #[error("the reversal of decision {0} is confirmed already")]
    Confirmed(DecisionId),
    #[error(
        "{0}, or somebody with the same key, asked for this reversal, and it takes a second person to confirm it"
    )]
    OwnRequest(String),
    #[error("the reversal of decision {0} waits for a second person; confirm or withdraw it first")]
    Waits(DecisionId),
    #[error("no reversal was confirmed in this case, so it cannot be closed as reversed")]
    NothingReversed,
    #[error("decision {0} is in the case already")]
    Attached(DecisionId),
    #[error("another case has the id {0} by chance; take the step again")]
    SameId(CaseId),
}

fn why(standing: Standing) -> &'static str {
    match standing {
        Standing::Open => "it is open",
        Standing::NoPromise => "it promised nothing",
        Standing::Ended(Ended::Redeemed) => "it was redeemed",
        Standing::Ended(Ended::Expired) => "it expired",
        Standing::Ended(Ended::Cancelled) => "it was cancelled",
        Standing::Ended(Ended::LongAgo) => "it ended long ago",
        Standing::Erased => "its member was erased, and what was promised to them stays committed",
    }
}

fn asked(decision: DecisionId, case: CaseId, confirmed: bool) -> String {
    if confirmed {
        return format!("decision {decision} was reversed already, in case {case}");
    }
    format!("the reversal of decision {decision} waits already, in case {case}")
}

impl Refusal {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Refusal::Unheard(unheard) => unheard.code(),
            Refusal::UnknownCase(_) => "CAS0001",
            Refusal::Closed { .. } => "CAS0002",
            Refusal::Text { .. } => "CAS0003",
            Refusal::UnknownDecision(_) => "CAS0004",
            Refusal::AboutNothing => "CAS0005",
            Refusal::Full { .. } => "CAS0006",
            Refusal::NotInCase { .. } => "CAS0007",
            Refusal::NotOpen { .. } => "CAS0008",
            Refusal::Asked { .. } => "CAS0009",
            Refusal::NotAsked(_) => "CAS0010",
            Refusal::Confirmed(_) => "CAS0011",
            Refusal::OwnRequest(_) => "CAS0012",
            Refusal::Waits(_) => "CAS0013",
            Refusal::NothingReversed => "CAS0014",
            Refusal::Attached(_) => "CAS0015",
            Refusal::SameId(_) => "CAS0016",
        }
    }
}

/// The page behind a code.
pub fn explain(code: &str) -> Option<&'static str> {
    let page = match code {
        "CAS0001" => {
            "Cases are named by eight hex digits; the first four suffice where no other case begins so."
        }
        "CAS0002" => "A closed case is kept as it is. Open another one and name this one in its title.",
        "CAS0003" => {
            "Titles take 200 characters, notes and reasons 2,000, file names 255 bytes; control characters but line breaks are refused. Rows are kept for ever: name no person in them. What is longer is a file, and `largesse case attach --file` records its digest."
        }
        "CAS0004" => {
            "A case is about decisions of its own ledger. Name them by decision id, event id or row."
        }
        "CAS0005" => "Name at least one decision with --about.",
        "CAS0006" => {
            "At most 1,000 cases are open at once, a case has at most 200 decisions and 1,000 steps. Close what is done, or open another case. Confirming, withdrawing and closing are always taken."
        }
        "CAS0007" => "What is asked in a case is about its decisions. Attach the decision first.",
        "CAS0008" => {
            "Only a promise that was neither redeemed nor ended can be taken back: what a member has used cannot be unused. `largesse log list --member` shows what became of it."
        }
        "CAS0009" => "A promise is taken back once, and asked for in one case at a time.",
        "CAS0010" => "`largesse case show` lists what was asked for.",
        "CAS0011" => {
            "Nothing to do: the node takes the promise back, or has done so. `largesse case show` says which."
        }
        "CAS0012" => {
            "Taking a promise back needs four eyes: an approver who did not ask for it confirms it, whatever roles the one who asked has."
        }
        "CAS0013" => "Nobody should have to look into closed cases for what is still to be done.",
        "CAS0014" => "Close it with what it came to; `largesse case close --help` lists the reasons.",
        "CAS0015" => "Nothing to do.",
        "CAS0016" => "Ids follow from the signed statement. Opening it again makes another one.",
        _ => return None,
    };
    Some(page)
}
