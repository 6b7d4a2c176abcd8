//! The events of a ledger, as they were taken.

use domain::record::{MemberRow, PersonalObserved, read_decision};
use domain::{Event, EventKind};
use ledger::{DataKey, KeyError, Keys, Reader, Row, Seq};

/// Rows read at a time.
const PAGE_ROWS: u32 = 1_000;

/// What a ledger recorded, in its order, without the members' own timers: each policy sets its own.
#[derive(Clone, Debug, Default)]
pub struct Recorded {
    pub events: Vec<Event>,
    /// Rows that cannot be opened any more.
    pub erased: u64,
}

/// Why the events cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Ledger(#[from] ledger::Error),
    #[error(transparent)]
    Keys(#[from] KeyError),
    #[error("row {seq}: {why}")]
    Row { seq: Seq, why: String },
}

/// Reads every event of a ledger. `progress(done, of)` is called once per page of rows.
///
/// # Errors
/// When the ledger or its keys cannot be read.
pub fn read(reader: &Reader, keys: &Keys, mut progress: impl FnMut(u64, u64)) -> Result<Recorded, Error> {
    let (mut recorded, mut seq, last) = (Recorded::default(), Seq::START, reader.size()?);
    loop {
        let page = reader.after(seq, PAGE_ROWS)?;
        let Some(newest) = page.last().map(|row| row.seq) else { return Ok(recorded) };
        for row in &page {
            let Some(member) = row.member else { continue };
            match keys.find(member) {
                Ok(Some(key)) => recorded.row(row, &key)?,
                Ok(None) | Err(KeyError::Erased(_)) => recorded.erased += 1,
                Err(error) => return Err(error.into()),
            }
        }
        seq = newest;
        progress(seq.0, last);
    }
}

impl Recorded {
    fn row(&mut self, row: &Row, key: &DataKey) -> Result<(), Error> {
        let wrong = |why: String| Error::Row { seq: row.seq, why };
        let event = match row.about_member(key).map_err(|error| wrong(error.to_string()))? {
            None => return Ok(()),
            Some(MemberRow::Observed { personal }) => {
                let observed: PersonalObserved =
                    serde_json::from_slice(&personal).map_err(|error| wrong(error.to_string()))?;
                observed.event
            }
            Some(MemberRow::Decision { public, personal, .. }) => {
                read_decision(public, &personal).map_err(wrong)?.event
            }
        };
        if !matches!(event.kind, EventKind::Quiet { .. } | EventKind::Expired { .. }) {
            self.events.push(event);
        }
        Ok(())
    }
}
