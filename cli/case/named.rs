//! Which case, and which decision, people mean.

use domain::DecisionId;
use ledger::Kind;
use ledger::cases::{CaseId, Cases};
use policies::problem::closest;

use crate::exit::{Failure, Result};
use crate::policy::place::Found;

/// Fewest digits that name a case.
const DIGITS_MIN: usize = 4;

/// The case with this id, or with an id that begins so.
///
/// # Errors
/// Exit 2 when none, or more than one, fits; with the nearest.
pub fn among(cases: &Cases, text: &str) -> Result<CaseId> {
    let text = text.to_lowercase();
    let ids: Vec<String> = cases.iter().map(|case| case.id.to_string()).collect();
    let mut fitting = cases.iter().filter(|case| case.id.to_string().starts_with(&text));
    match (fitting.next(), fitting.next()) {
        (Some(case), None) if text.len() >= DIGITS_MIN => Ok(case.id),
        (Some(_), _) => {
            Err(Failure::usage(format!("{text:?} does not say which case; give more of its digits")))
        }
        (None, _) => {
            let near = closest(&text, ids.iter().map(String::as_str));
            let help = near.map(|id| format!("did you mean `{id}`? ")).unwrap_or_default();
            Err(Failure::usage(format!("there is no case {text:?}; {help}`largesse case list` shows them")))
        }
    }
}

impl Found<'_> {
    /// The case people mean. Behind a NATS server only its whole id says so.
    ///
    /// # Errors
    /// Exit 2 when none, or more than one, fits.
    pub fn case(&self, text: &str) -> Result<CaseId> {
        match self {
            Found::Folder(_, reader) => super::named(reader, text),
            Found::Behind(..) => text
                .parse()
                .map_err(|error| Failure::usage(format!("{error}; over NATS it cannot be completed"))),
        }
    }

    /// The decision people mean: its id, event id or row; behind a NATS server only the id.
    ///
    /// # Errors
    /// Exit 2 when there is none.
    pub fn decision(&self, text: &str) -> Result<DecisionId> {
        let Found::Folder(_, reader) = self else {
            return text.parse().map(DecisionId).map_err(|_| {
                Failure::usage(format!(
                    "{text:?} is no decision id; over NATS events and rows are not looked up"
                ))
            });
        };
        let row = crate::log::find(reader, text)?;
        if row.kind == Kind::Decision {
            return Ok(DecisionId(uuid::Uuid::from_bytes(row.record_id)));
        }
        Err(Failure::usage(format!(
            "row {} ({}) is not a decision; `largesse log list --kind decision` lists them",
            row.seq,
            row.kind.name()
        )))
    }
}
