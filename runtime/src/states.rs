//! Writing the stored states of members down without a node, so that older rows are no longer needed to load them.

use std::collections::BTreeSet;

use domain::MemberId;
use ledger::{KeyError, Kind, Reader, Seq, Snapshot, Writer};
use policies::Bundle;
use policies::registry::Sides;

use crate::NodeError;
use crate::actors::loader::{self, load};
use crate::actors::member::snapshot;
use crate::clock;
use crate::opening::recorded_bundle;

/// States written in one transaction.
const BATCH: usize = 1_000;

/// Why states cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Ledger(#[from] ledger::Error),
    #[error(transparent)]
    Load(#[from] loader::Error),
    #[error(transparent)]
    Node(#[from] Box<NodeError>),
}

/// Folds every row of these members and writes their states down.
///
/// # Errors
/// When a member's rows cannot be folded, or the ledger not written.
pub fn write(writer: &mut Writer, members: &BTreeSet<MemberId>) -> Result<(), Error> {
    let reader = writer.reader()?;
    let bundles = in_force(&reader).map_err(Box::new)?;
    let Some(bundle) = bundles.first() else { return Ok(()) };
    let (as_of, now) = (Seq(writer.size()), clock::wall());
    let members: Vec<MemberId> = members.iter().copied().collect();
    for part in members.chunks(BATCH) {
        let mut snapshots = Vec::with_capacity(part.len());
        for member in part {
            let key = match writer.keys().find(*member) {
                Ok(Some(key)) => key,
                Ok(None) | Err(KeyError::Erased(_)) => continue,
                Err(error) => return Err(ledger::Error::from(error).into()),
            };
            let state = load(&reader, *member, &key, bundle)?.state;
            // Asked too early, a member answers that nothing is due; too late cannot be made up for.
            let known = reader.state(*member)?.and_then(|stored| stored.next_due);
            let due = bundles.iter().filter_map(|bundle| state.next_due(bundle)).chain(known).min();
            snapshots.push(Snapshot { member: *member, as_of, state: snapshot(&state, &key, due) });
        }
        writer.save(now, &snapshots)?;
    }
    Ok(())
}

/// The bundle the last run decided by, and its candidate's.
fn in_force(reader: &Reader) -> Result<Vec<Bundle>, NodeError> {
    let newest =
        ledger::Filter { kind: Some(Kind::Start), newest_first: true, limit: 1, ..Default::default() };
    let Some(start) = reader.list(&newest)?.into_iter().next() else { return Ok(Vec::new()) };
    let sides: Sides = serde_json::from_str(start.body.as_deref().unwrap_or_default())
        .map_err(|error| NodeError::Row { seq: start.seq, why: error.to_string() })?;
    let digests = start.bundle.into_iter().chain(sides.canary.map(|canary| canary.of.bundle));
    digests.map(|digest| recorded_bundle(reader, digest)).collect()
}
