//! Cases: what a risk team or an auditor keeps about decisions, step by signed step.
//!
//! Every step is a row; [`Cases`] is the fold of those rows and the rules for the next. It checks no signature and reads no
//! clock: a statement comes with the person it was verified to be from, and with the time. Whether a decision exists and
//! its promise is open, it is told ([`Found`]).
//!
//! open -> note, attach, reverse (ask that a promise be taken back), confirm (by somebody else) or withdraw -> close.
//!
//! Start reading at [`Step`], then [`Cases::admit`].

mod admit;
mod id;
mod refusal;
mod step;

use std::collections::{BTreeMap, BTreeSet};

use domain::digest::hex;
use domain::event::REVERSAL_ID_START;
use domain::statement::Taken;
use domain::{DecisionId, Digest, Timestamp};

pub(crate) use admit::text;
pub use admit::{CASES_OPEN_MAX, DECISIONS_MAX, Ended, Found, STEPS_MAX, Standing};
pub use id::{CaseId, NotACase};
pub use refusal::{Refusal, explain};
pub use step::{
    Attachment, Closing, FILE_BYTES_MAX, FILE_NAME_BYTES_MAX, Signed, Statement, Step, TEXT_CHARS_MAX,
    TITLE_CHARS_MAX,
};

use crate::entry::Seq;
use crate::error::Error;
use crate::kind::Kind;
use crate::reader::Reader;

/// A second person's confirmation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confirmed {
    pub by: String,
    pub at: Timestamp,
    pub row: Seq,
    /// The id of the statement.
    pub statement: String,
}

impl Confirmed {
    /// The id of the event that takes the promise back: a function of the statement, so that it is taken once over any
    /// number of starts.
    pub fn event_id(&self) -> String {
        format!("{REVERSAL_ID_START}{}", hex(&Digest::of(self.statement.as_bytes()).0[..16]))
    }
}

/// That a decision's promise is to be taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reversal {
    pub asked_by: String,
    /// The key they signed with: whoever confirms has another one, whatever they are called by then.
    pub asked_key: String,
    pub asked_at: Timestamp,
    pub why: String,
    pub confirmed: Option<Confirmed>,
}

/// A step as it was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub row: Seq,
    pub at: Timestamp,
    pub by: String,
    pub step: Step,
}

/// A case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    pub id: CaseId,
    pub title: String,
    /// The decisions it is about: those it was opened about, and those attached since.
    pub decisions: BTreeSet<DecisionId>,
    /// What was asked to be taken back; withdrawn requests are in the entries only.
    pub reversals: BTreeMap<DecisionId, Reversal>,
    /// Every step, oldest first; the first opened it.
    pub entries: Vec<Entry>,
    pub closed: Option<Closing>,
}

impl Case {
    /// The requests that wait for a second person.
    pub fn waiting(&self) -> impl Iterator<Item = (&DecisionId, &Reversal)> {
        self.reversals.iter().filter(|(_, reversal)| reversal.confirmed.is_none())
    }

    /// What was confirmed.
    pub fn confirmed(&self) -> impl Iterator<Item = (&DecisionId, &Reversal, &Confirmed)> {
        let reversals = self.reversals.iter();
        reversals.filter_map(|(decision, reversal)| Some((decision, reversal, reversal.confirmed.as_ref()?)))
    }
}

/// The cases of one ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cases {
    cases: BTreeMap<CaseId, Case>,
    taken: Taken,
}

impl Cases {
    /// Folds the cases from a ledger's rows.
    ///
    /// # Errors
    /// When the ledger cannot be read, or a row is not in its form.
    pub fn load(reader: &Reader) -> Result<Cases, Error> {
        let mut cases = Cases::default();
        for row in reader.of_kinds(&[Kind::Case])? {
            let signed: Signed =
                serde_json::from_str(row.body.as_deref().unwrap_or_default()).map_err(|error| {
                    Error::Damaged(format!("row {} holds no step of a case: {error}", row.seq))
                })?;
            cases.take(&signed, row.recorded_at, row.seq);
        }
        Ok(cases)
    }

    /// Every case, in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = &Case> {
        self.cases.values()
    }

    /// One case.
    pub fn get(&self, id: CaseId) -> Option<&Case> {
        self.cases.get(&id)
    }

    /// The case in which a decision's promise was asked to be taken back, or was.
    pub fn reversing(&self, decision: DecisionId) -> Option<(&Case, &Reversal)> {
        self.iter().find_map(|case| Some((case, case.reversals.get(&decision)?)))
    }

    /// Folds a signed step that was recorded in a row.
    pub fn take(&mut self, signed: &Signed, at: Timestamp, row: Seq) {
        let Signed { statement, key, .. } = signed;
        self.taken.take(&statement.id);
        let (by, step) = (statement.by.clone(), statement.step.clone());
        let id = step.case().unwrap_or_else(|| CaseId::of(&statement.id));
        if let Step::Open { title, about } = &step {
            let case = Case {
                id,
                title: title.clone(),
                decisions: about.iter().copied().collect(),
                reversals: BTreeMap::new(),
                entries: Vec::new(),
                closed: None,
            };
            self.cases.insert(id, case);
        }
        let Some(case) = self.cases.get_mut(&id) else { return };
        match &step {
            Step::Open { .. } | Step::Note { .. } => {}
            Step::Attach { what, .. } => {
                if let Attachment::Decision { decision } = what {
                    case.decisions.insert(*decision);
                }
            }
            Step::Reverse { decision, why, .. } => {
                let (asked_by, asked_key, why) = (by.clone(), key.clone(), why.clone());
                let reversal = Reversal { asked_by, asked_key, asked_at: at, why, confirmed: None };
                case.reversals.insert(*decision, reversal);
            }
            Step::Confirm { decision, .. } => {
                if let Some(reversal) = case.reversals.get_mut(decision) {
                    let statement = statement.id.clone();
                    reversal.confirmed = Some(Confirmed { by: by.clone(), at, row, statement });
                }
            }
            Step::Withdraw { decision, .. } => {
                case.reversals.remove(decision);
            }
            Step::Close { reason, .. } => case.closed = Some(*reason),
        }
        case.entries.push(Entry { row, at, by, step });
    }
}

#[cfg(test)]
mod tests;
