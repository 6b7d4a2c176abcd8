//! Cases as a node keeps them: steps judged, and promises taken back that two people reversed.
//!
//! A confirmed reversal is a row; what it leads to is an event of the node's own, `cancelled`, whose id follows from the
//! confirming statement. A start finds every reversal whose event has no row yet, so it is taken once however often the node
//! ends in between. Start at [`judge`] and [`outstanding`].

mod standing;

use agents::member::PromiseState;
use domain::event::REVERSAL_SOURCE;
use domain::{DecisionId, Event, EventId, EventKind, Settlement, Timestamp, Touchpoint};
use ledger::cases::{Cases, Confirmed, Found, Signed, Step};
use ledger::{Entry, KeyError, Keys, Kind, Reader, Row};
use uuid::Uuid;

use crate::node::NodeError;
use crate::requests::{Desk, JudgeError, Judged, People, signer};

/// The row a step of a case becomes.
///
/// # Errors
/// Why it is refused.
pub fn judge(desk: &Desk, people: &People, signed: &Signed, now: Timestamp) -> Result<Judged, JudgeError> {
    let person = signer(people, signed)?.person();
    let (statement, cases) = (&signed.statement, Cases::load(desk.reader)?);
    // Before anything of a member is opened: the rules that need no look at the promise.
    let found = found(desk.reader, &statement.step)?;
    let unlooked = cases.admit(statement, &person, &found, desk.identity, now);
    match (unlooked, statement.step.reverses()) {
        (Err(ledger::cases::Refusal::NotOpen { .. }), Some(decision)) => {
            let standing = Some(standing::of(desk.reader, desk.keys, decision)?);
            cases.admit(statement, &person, &Found { standing, ..found }, desk.identity, now)?;
        }
        (unlooked, _) => unlooked?,
    }
    let body = serde_json::to_string(signed).unwrap_or_default();
    let mut entry = Entry::new(Kind::Case, Uuid::now_v7().into_bytes(), body);
    if let [decision] = statement.step.decisions() {
        entry.member = row_of(desk.reader, *decision)?.and_then(|row| row.member);
    }
    let acts = matches!(statement.step, Step::Confirm { .. });
    Ok(Judged { entries: vec![entry], changes: false, acts, refused: None })
}

/// Which of the decisions a step names the ledger holds.
fn found(reader: &Reader, step: &Step) -> Result<Found, ledger::Error> {
    let mut found = Found::default();
    for decision in step.decisions() {
        if row_of(reader, *decision)?.is_some() {
            found.decisions.insert(*decision);
        }
    }
    Ok(found)
}

/// The row of a decision.
fn row_of(reader: &Reader, decision: DecisionId) -> Result<Option<Row>, ledger::Error> {
    let row = reader.record(decision.0.as_bytes())?;
    Ok(row.filter(|row| row.kind == Kind::Decision))
}

/// The confirmed reversals no node has taken yet, as events, the oldest confirmation first.
///
/// A member who was erased since keeps what was promised committed, as erasing says; nobody could open the event's row.
///
/// # Errors
/// When the ledger cannot be read.
pub fn outstanding(reader: &Reader, keys: &Keys) -> Result<Vec<Event>, NodeError> {
    let cases = Cases::load(reader)?;
    let mut confirmed: Vec<(&DecisionId, &Confirmed)> =
        cases.iter().flat_map(|case| case.confirmed().map(|(decision, _, by)| (decision, by))).collect();
    confirmed.sort_by_key(|(_, confirmed)| confirmed.row);
    let mut events = Vec::new();
    for (decision, confirmed) in confirmed {
        // Built from a legal start and hex digits.
        let Ok(event_id) = confirmed.event_id().parse::<EventId>() else { continue };
        if reader.contains_event(&event_id)? {
            continue;
        }
        let Some(member) = row_of(reader, *decision)?.and_then(|row| row.member) else { continue };
        match keys.find(member) {
            Ok(Some(_)) => {}
            Ok(None) | Err(KeyError::Erased(_)) => continue,
            Err(error) => return Err(ledger::Error::from(error).into()),
        }
        events.push(Event {
            event_id,
            member,
            event_time: confirmed.at,
            source: REVERSAL_SOURCE.into(),
            touchpoint: Touchpoint::Batch,
            settlement: Settlement::Settled,
            risk: None,
            kind: EventKind::Cancelled { decision: *decision },
        });
    }
    Ok(events)
}

/// What a promise's state is called in a case.
fn ended(state: PromiseState) -> Option<ledger::cases::Ended> {
    use ledger::cases::Ended;
    match state {
        PromiseState::Pending | PromiseState::Open => None,
        PromiseState::Redeemed => Some(Ended::Redeemed),
        PromiseState::Expired => Some(Ended::Expired),
        PromiseState::Cancelled => Some(Ended::Cancelled),
    }
}
