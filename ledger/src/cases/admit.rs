//! The rules of a case: who may take which step, and what has to come before it.

use std::collections::BTreeSet;

use domain::statement::{Person, is_unseen};
use domain::{DecisionId, Timestamp};

use super::refusal::Refusal;
use super::step::{FILE_NAME_BYTES_MAX, TEXT_CHARS_MAX, TITLE_CHARS_MAX};
use super::{Attachment, Case, CaseId, Cases, Closing, Reversal, Statement, Step};

/// Cases open at once: more are nobody's, and every step is judged against all of them.
pub const CASES_OPEN_MAX: usize = 1_000;
/// Decisions in one case. A fault that hit more is described by a filter in a note.
pub const DECISIONS_MAX: usize = 200;
/// Notes, attachments and requests in one case; what ends something is always taken.
pub const STEPS_MAX: usize = 1_000;

/// What became of a promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Redeemed,
    Expired,
    Cancelled,
    /// So long ago that the member's state no longer says how.
    LongAgo,
}

/// How a decision's promise stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It promised nothing.
    NoPromise,
    Open,
    Ended(Ended),
    /// The member was erased; what was promised stays committed.
    Erased,
}

/// What the ledger says about the decisions a step names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Those it holds.
    pub decisions: BTreeSet<DecisionId>,
    /// How the promise stands that the step would take back.
    pub standing: Option<Standing>,
}

impl Cases {
    /// Whether a person may take a step now.
    ///
    /// # Errors
    /// Why not.
    pub fn admit(
        &self,
        statement: &Statement,
        person: &Person,
        found: &Found,
        ledger: &str,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let step = &statement.step;
        self.taken.admit(statement, person, step.roles(), ledger, now)?;
        let case = match step.case() {
            Some(id) => Some(self.open_case(id)?),
            None => None,
        };
        if let Some(unknown) = step.decisions().iter().find(|decision| !found.decisions.contains(decision)) {
            return Err(Refusal::UnknownDecision(*unknown));
        }
        match (step, case) {
            (Step::Open { title, about }, _) => self.admit_opening(CaseId::of(&statement.id), title, about),
            (_, None) => Ok(()),
            (Step::Note { text: words, .. }, Some(case)) => {
                text("note", words, TEXT_CHARS_MAX)?;
                has_room(case)
            }
            (Step::Attach { what, .. }, Some(case)) => admit_attachment(case, what),
            (Step::Reverse { decision, why, .. }, Some(case)) => {
                text("reason", why, TEXT_CHARS_MAX)?;
                has_room(case)?;
                self.admit_request(case, *decision, found)
            }
            (Step::Confirm { decision, .. }, Some(case)) => {
                admit_confirmation(case, *decision, person, found)
            }
            (Step::Withdraw { decision, why, .. }, Some(case)) => {
                text("reason", why, TEXT_CHARS_MAX)?;
                waits(case, *decision).map(|_| ())
            }
            (Step::Close { reason, .. }, Some(case)) => admit_closing(case, *reason),
        }
    }

    /// A case in which something may still happen.
    ///
    /// # Errors
    /// When there is none of this id, or it is closed.
    pub fn open_case(&self, id: CaseId) -> Result<&Case, Refusal> {
        let case = self.get(id).ok_or(Refusal::UnknownCase(id))?;
        match case.closed {
            Some(reason) => Err(Refusal::Closed { case: id, reason }),
            None => Ok(case),
        }
    }

    fn admit_opening(&self, id: CaseId, title: &str, about: &[DecisionId]) -> Result<(), Refusal> {
        text("title", title, TITLE_CHARS_MAX)?;
        if about.is_empty() {
            return Err(Refusal::AboutNothing);
        }
        if about.len() > DECISIONS_MAX {
            return Err(Refusal::Full { what: "decisions in a case", most: DECISIONS_MAX });
        }
        if self.iter().filter(|case| case.closed.is_none()).count() >= CASES_OPEN_MAX {
            return Err(Refusal::Full { what: "open cases", most: CASES_OPEN_MAX });
        }
        match self.get(id) {
            Some(_) => Err(Refusal::SameId(id)),
            None => Ok(()),
        }
    }

    fn admit_request(&self, case: &Case, decision: DecisionId, found: &Found) -> Result<(), Refusal> {
        if !case.decisions.contains(&decision) {
            return Err(Refusal::NotInCase { decision, case: case.id });
        }
        // A promise is taken back once, whichever case asks.
        if let Some((other, reversal)) = self.reversing(decision) {
            let confirmed = reversal.confirmed.is_some();
            return Err(Refusal::Asked { decision, case: other.id, confirmed });
        }
        holds_open(decision, found)
    }
}

fn admit_attachment(case: &Case, what: &Attachment) -> Result<(), Refusal> {
    has_room(case)?;
    match what {
        Attachment::Decision { decision } if case.decisions.contains(decision) => {
            Err(Refusal::Attached(*decision))
        }
        Attachment::Decision { .. } if case.decisions.len() >= DECISIONS_MAX => {
            Err(Refusal::Full { what: "decisions in a case", most: DECISIONS_MAX })
        }
        Attachment::Decision { .. } => Ok(()),
        Attachment::File { name, .. } => {
            text("file name", name, FILE_NAME_BYTES_MAX)?;
            match name.len() > FILE_NAME_BYTES_MAX || name.contains('/') {
                true => Err(Refusal::Text { what: "file name", why: "is no name of a file".to_owned() }),
                false => Ok(()),
            }
        }
    }
}

/// Four eyes: whoever asked does not confirm, whatever other roles or names their key has.
fn admit_confirmation(
    case: &Case,
    decision: DecisionId,
    person: &Person,
    found: &Found,
) -> Result<(), Refusal> {
    let asked = waits(case, decision)?;
    if asked.asked_by == person.name || asked.asked_key == person.key {
        return Err(Refusal::OwnRequest(person.name.clone()));
    }
    holds_open(decision, found)
}

fn admit_closing(case: &Case, reason: Closing) -> Result<(), Refusal> {
    if let Some((decision, _)) = case.waiting().next() {
        return Err(Refusal::Waits(*decision));
    }
    if reason == Closing::Reversed && case.confirmed().next().is_none() {
        return Err(Refusal::NothingReversed);
    }
    Ok(())
}

/// The request that waits to be confirmed.
fn waits(case: &Case, decision: DecisionId) -> Result<&Reversal, Refusal> {
    match case.reversals.get(&decision) {
        Some(reversal) if reversal.confirmed.is_none() => Ok(reversal),
        Some(_) => Err(Refusal::Confirmed(decision)),
        None => Err(Refusal::NotAsked(decision)),
    }
}

fn holds_open(decision: DecisionId, found: &Found) -> Result<(), Refusal> {
    match found.standing {
        Some(Standing::Open) => Ok(()),
        standing => {
            let standing = standing.unwrap_or(Standing::NoPromise);
            Err(Refusal::NotOpen { decision, standing })
        }
    }
}

fn has_room(case: &Case) -> Result<(), Refusal> {
    match case.entries.len() < STEPS_MAX {
        true => Ok(()),
        false => Err(Refusal::Full { what: "steps in a case", most: STEPS_MAX }),
    }
}

/// Refuses a text that says nothing, is too long, or would garble a terminal.
pub(crate) fn text(what: &'static str, text: &str, chars_max: usize) -> Result<(), Refusal> {
    let wrong = |why: String| Err(Refusal::Text { what, why });
    if text.trim().is_empty() {
        return wrong("says nothing".to_owned());
    }
    let chars = text.chars().count();
    if chars > chars_max {
        return wrong(format!("has {chars} characters, at most {chars_max} are kept"));
    }
    match text.chars().find(|char| is_unseen(*char) && *char != '\n') {
        Some(unseen) => wrong(format!("holds the character {:#04x}, which nobody sees", u32::from(unseen))),
        None => Ok(()),
    }
}
