//! Loading a member: its newest snapshot, then a fold of the rows after it; and what one of its decisions promised.

use std::sync::{Arc, Mutex, PoisonError};

use agents::member::{Member, State};
use domain::{DecisionId, EventId, MemberId, Timestamp};
use ledger::{DataKey, Reader, Row, Seq};
use policies::Bundle;

use super::member::Written;
use crate::opening::recorded_bundle;
use crate::reward::Promised;

/// Rows read at a time while folding.
const PAGE_ROWS: u32 = 256;

/// A member as the ledger knows it.
pub struct Found {
    pub state: State,
    pub written: Written,
}

/// Why a member cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Ledger(#[from] ledger::Error),
    #[error("the ledger has no decision {0}")]
    NoDecision(DecisionId),
    #[error("more members were loaded at once than there are worker threads")]
    NoReader,
    #[error("failed to open row {seq} of the member: {why}")]
    Row { seq: Seq, why: String },
    #[error(
        "row {0} of the member was pruned and no stored state holds it; restore the ledger from a copy that has the state"
    )]
    Pruned(Seq),
}

/// Readers of the ledger, one for every member that can be loaded at once.
pub struct Loader {
    idle: Mutex<Vec<Reader>>,
}

impl Loader {
    /// A loader over these readers; there should be one per worker thread.
    pub fn new(readers: Vec<Reader>) -> Loader {
        Loader { idle: Mutex::new(readers) }
    }

    /// The member's state, enrolled afresh when the ledger has no row of it.
    ///
    /// # Errors
    /// When the ledger cannot be read or one of the member's rows does not open.
    pub fn load(&self, member: MemberId, key: &DataKey, bundle: &Bundle) -> Result<Found, Error> {
        self.with_reader(|reader| load(reader, member, key, bundle))
    }

    /// Whether an event already has its row.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn knows(&self, event: &EventId) -> Result<bool, Error> {
        self.with_reader(|reader| Ok(reader.contains_event(event)?))
    }

    /// What the decision promises that a person has approved.
    ///
    /// # Errors
    /// When the ledger cannot be read, or has no such decision whose parts open.
    pub fn approved(
        &self,
        decision: DecisionId,
        key: &DataKey,
        in_force: &Arc<Bundle>,
    ) -> Result<Promised, Error> {
        self.with_reader(|reader| approved(reader, decision, key, Some(in_force)))
    }

    fn with_reader<T>(&self, ask: impl FnOnce(&Reader) -> Result<T, Error>) -> Result<T, Error> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let reader = idle.ok_or(Error::NoReader)?;
        let answer = ask(&reader);
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(reader);
        answer
    }
}

/// What the decision promises that a person has approved. `in_force` need not be read again where it made the decision.
///
/// # Errors
/// As [`Loader::approved`].
pub fn approved(
    reader: &Reader,
    decision: DecisionId,
    key: &DataKey,
    in_force: Option<&Arc<Bundle>>,
) -> Result<Promised, Error> {
    let row = reader.record(decision.0.as_bytes())?.ok_or(Error::NoDecision(decision))?;
    let wrong = |why: String| Error::Row { seq: row.seq, why };
    let promised = Promised::of_row(&row, key).map_err(wrong)?;
    let digest = promised.public.bundle;
    let bundle = match in_force.filter(|bundle| bundle.digest() == digest) {
        Some(bundle) => Arc::clone(bundle),
        None => Arc::new(recorded_bundle(reader, digest).map_err(|error| wrong(error.to_string()))?),
    };
    Ok(promised.approved(bundle))
}

/// The member's state as the ledger has it.
///
/// # Errors
/// As [`Loader::load`].
pub fn load(reader: &Reader, member: MemberId, key: &DataKey, bundle: &Bundle) -> Result<Found, Error> {
    let stored = reader.state(member)?;
    let restored = stored.as_ref().and_then(|stored| {
        let plain = key.open_state(member, &stored.ciphertext).ok()?;
        Some((State::from_snapshot(&plain)?, stored.as_of, stored.next_due))
    });
    let restored = match restored {
        Some((state, as_of, _)) if !is_as_of(reader, member, &state, as_of)? => None,
        restored => restored,
    };
    // A snapshot that cannot be read is only a cache: the rows have everything.
    let (mut state, mut seq, next_due): (State, Seq, Option<Timestamp>) = match restored {
        Some(restored) => restored,
        None => ((*Member::enrol(member, bundle).state).clone(), Seq::START, None),
    };
    let mut rows_since = 0;
    loop {
        let rows = reader.member_after(member, seq, PAGE_ROWS)?;
        for row in &rows {
            fold(&mut state, row, key)?;
            seq = row.seq;
            rows_since += 1;
        }
        if rows.len() < PAGE_ROWS as usize {
            return Ok(Found { state, written: Written { rows_since, next_due } });
        }
    }
}

/// Whether a stored state is that of the row it is said to be of. Its column alone could be raised, and what the member said
/// since would never be heard: an objection, say.
fn is_as_of(reader: &Reader, member: MemberId, state: &State, as_of: Seq) -> Result<bool, ledger::Error> {
    let last = reader.last_of_member(member, as_of)?.and_then(|row| row.event_id);
    let same = state.is_as_of(last.as_ref());
    if !same {
        tracing::error!(%member, %as_of, "a stored state is not that of its row; the member's rows are folded instead");
    }
    Ok(same)
}

/// Folds one of the member's rows. Retention prunes only what a stored state holds; where that state is lost, nobody knows
/// any more what the member was promised, and nothing is decided about them.
fn fold(state: &mut State, row: &Row, key: &DataKey) -> Result<(), Error> {
    let wrong = |why: String| Error::Row { seq: row.seq, why };
    if row.is_pruned() {
        return Err(Error::Pruned(row.seq));
    }
    match row.about_member(key).map_err(|error| wrong(error.to_string()))? {
        Some(opened) => state.fold_row(&opened).map_err(wrong),
        None => Ok(()),
    }
}
