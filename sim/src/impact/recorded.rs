//! The events of a ledger, as they were taken.

use domain::record::{MemberRow, PersonalObserved, read_decision};
use domain::{Digest, Event, EventKind, ScoreSource, Timestamp};
use ledger::{DataKey, KeyError, Keys, Reader, Row, Seq};
use models::scorer::Score;

/// Rows read at a time.
const PAGE_ROWS: u32 = 1_000;

/// What a ledger recorded, in its order, without the members' own timers: each policy sets its own.
#[derive(Clone, Debug, Default)]
pub struct Recorded {
    pub events: Vec<Event>,
    /// The first so many events only lead up to what is compared.
    pub leading: usize,
    /// What the models said, by the digest of the features they saw.
    pub scores: Vec<(u64, Score)>,
    /// Rows that cannot be opened any more.
    pub erased: u64,
    /// The last row that was read.
    pub last: Seq,
}

/// What of a ledger is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// Rows after this one.
    pub after: Seq,
    /// Events recorded before this time only lead up to what is compared.
    pub since: Option<Timestamp>,
    /// Whose scores are taken over.
    pub models: Digest,
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

/// Reads the events of a ledger. `progress(done, of)` is called once per page of rows.
///
/// # Errors
/// When the ledger or its keys cannot be read.
pub fn read(
    reader: &Reader,
    keys: &Keys,
    wanted: Wanted,
    mut progress: impl FnMut(u64, u64),
) -> Result<Recorded, Error> {
    let mut recorded = Recorded { last: wanted.after, ..Recorded::default() };
    let last = reader.size()?;
    loop {
        let page = reader.after(recorded.last, PAGE_ROWS)?;
        let Some(newest) = page.last().map(|row| row.seq) else { return Ok(recorded) };
        for row in &page {
            let Some(member) = row.member else { continue };
            match keys.find(member) {
                Ok(Some(key)) => recorded.row(row, &key, wanted)?,
                Ok(None) | Err(KeyError::Erased(_)) => recorded.erased += 1,
                Err(error) => return Err(error.into()),
            }
        }
        recorded.last = newest;
        progress(newest.0, last);
    }
}

impl Recorded {
    fn row(&mut self, row: &Row, key: &DataKey, wanted: Wanted) -> Result<(), Error> {
        let wrong = |why: String| Error::Row { seq: row.seq, why };
        let event = match row.about_member(key).map_err(|error| wrong(error.to_string()))? {
            None => return Ok(()),
            Some(MemberRow::Observed { personal }) => {
                let observed: PersonalObserved =
                    serde_json::from_slice(&personal).map_err(|error| wrong(error.to_string()))?;
                observed.event
            }
            Some(MemberRow::Decision { public, personal, .. }) => {
                let decision = read_decision(public, &personal).map_err(wrong)?;
                let scores = decision.scores.filter(|scores| scores.source == ScoreSource::Model);
                if let (Some(scores), true) = (scores, decision.models == Some(wanted.models)) {
                    self.scores.push((scores.features, (scores.ltv_91d, scores.churn_60d)));
                }
                decision.event
            }
        };
        if !matches!(event.kind, EventKind::Quiet { .. } | EventKind::Expired { .. }) {
            self.leading += usize::from(wanted.since.is_some_and(|since| row.recorded_at < since));
            self.events.push(event);
        }
        Ok(())
    }
}
