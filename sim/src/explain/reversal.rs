//! What people did about a decision afterwards: a case in which its promise was asked to be taken back.

use domain::DecisionId;
use ledger::cases::Cases;
use ledger::{Filter, Kind, Reader, Row};
use serde::Serialize;

/// A reversal, asked for or confirmed.
#[derive(Clone, Debug, Serialize)]
pub struct ReversalAnswer {
    pub case: String,
    pub asked_by: String,
    /// The second person, once there is one.
    pub confirmed_by: Option<String>,
    /// The row in which a node took the promise back.
    pub taken_back: Option<u64>,
}

/// What cases say about the promise of a decision.
///
/// # Errors
/// When the ledger cannot be read.
pub fn of(reader: &Reader, decision: DecisionId, row: &Row) -> Result<Option<ReversalAnswer>, ledger::Error> {
    // Few members have a case: the others cost one look at the index.
    let about = Filter { kind: Some(Kind::Case), member: row.member, limit: 1, ..Filter::default() };
    if row.member.is_none() || reader.list(&about)?.is_empty() {
        return Ok(None);
    }
    let cases = Cases::load(reader)?;
    let Some((case, reversal)) = cases.reversing(decision) else { return Ok(None) };
    let confirmed = reversal.confirmed.as_ref();
    let event = confirmed.and_then(|confirmed| confirmed.event_id().parse().ok());
    let taken = match event {
        Some(event) => reader.event(&event)?.filter(|row| row.kind == Kind::Observed),
        None => None,
    };
    Ok(Some(ReversalAnswer {
        case: case.id.to_string(),
        asked_by: reversal.asked_by.clone(),
        confirmed_by: confirmed.map(|confirmed| confirmed.by.clone()),
        taken_back: taken.map(|row| row.seq.0),
    }))
}
