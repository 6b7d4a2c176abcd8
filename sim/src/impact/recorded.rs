//! The events of a ledger, as they were taken.

use domain::record::{MemberRow, PersonalObserved, PublicObserved, read_decision};
use domain::{DecisionId, Digest, Event, EventId, EventKind, ScoreSource, Timestamp};
use ledger::{DataKey, KeyError, Keys, Reader, Row, Seq};
use models::scorer::Score;

/// Rows read at a time.
const PAGE_ROWS: u32 = 1_000;

/// An event as a node took it.
#[derive(Clone, Debug)]
pub struct Taken {
    pub event: Event,
    /// The program's time then.
    pub at: Timestamp,
    /// Whether it is compared, or only leads up to what is.
    pub counts: bool,
    /// Its row.
    pub seq: Seq,
    /// The promise it uses, cancels or answers about, as it was made live.
    pub about: Option<Promised>,
}

/// A promise that was made live: each policy makes its own, or none, at the same event.
#[derive(Clone, Debug)]
pub struct Promised {
    pub event: EventId,
    pub reward: String,
}

/// What a ledger recorded, in the order in which it was taken, without the members' own timers: each policy sets its own.
#[derive(Clone, Debug, Default)]
pub struct Recorded {
    pub events: Vec<Taken>,
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
    /// Rows up to this one; all there are when absent.
    pub until: Option<Seq>,
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
        let Some(newest) = page.last().map(|row| row.seq) else {
            // Rows of different members overtake each other on their way to the ledger.
            recorded.events.sort_by_key(|taken| taken.at);
            return Ok(recorded);
        };
        for row in page.iter().filter(|row| wanted.until.is_none_or(|until| row.seq <= until)) {
            let Some(member) = row.member else { continue };
            if row.is_pruned() {
                recorded.erased += 1;
                continue;
            }
            match keys.find(member) {
                Ok(Some(key)) => recorded.row(reader, row, &key, wanted)?,
                Ok(None) | Err(KeyError::Erased(_)) => recorded.erased += 1,
                Err(error) => return Err(error.into()),
            }
        }
        recorded.last = newest;
        progress(newest.0, last);
    }
}

impl Recorded {
    fn row(&mut self, reader: &Reader, row: &Row, key: &DataKey, wanted: Wanted) -> Result<(), Error> {
        let wrong = |why: String| Error::Row { seq: row.seq, why };
        let (mut event, at) = match row.about_member(key).map_err(|error| wrong(error.to_string()))? {
            None => return Ok(()),
            Some(MemberRow::Observed { personal }) => {
                let json = |error: serde_json::Error| wrong(error.to_string());
                let observed: PersonalObserved = serde_json::from_slice(&personal).map_err(json)?;
                let body = row.body.as_deref().unwrap_or_default();
                let public: PublicObserved = serde_json::from_str(body).map_err(json)?;
                (observed.event, public.observed_at)
            }
            Some(MemberRow::Decision { public, personal, .. }) => {
                let decision = read_decision(public, &personal).map_err(wrong)?;
                let scores = decision.scores.filter(|scores| scores.source == ScoreSource::Model);
                if let (Some(scores), true) = (scores, decision.models == Some(wanted.models)) {
                    self.scores.push((scores.features, (scores.ltv_91d, scores.churn_60d)));
                }
                (decision.event, decision.considered_at)
            }
        };
        if !matches!(event.kind, EventKind::Quiet { .. } | EventKind::Expired { .. }) {
            let counts = wanted.since.is_none_or(|since| row.recorded_at >= since);
            let about = match event.kind.promise_mut() {
                Some(decision) => promised(reader, *decision)?,
                None => None,
            };
            self.events.push(Taken { event, at, counts, seq: row.seq, about });
        }
        Ok(())
    }
}

fn promised(reader: &Reader, decision: DecisionId) -> Result<Option<Promised>, ledger::Error> {
    let row = reader.record(decision.0.as_bytes())?;
    Ok(row.and_then(|row| Some(Promised { event: row.event_id?, reward: row.reward? })))
}
