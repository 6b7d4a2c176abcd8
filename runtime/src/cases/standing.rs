//! How a decision's promise stands, as the member's own rows say.

use domain::{DecisionId, Outcome};
use ledger::cases::{Ended, Standing};
use ledger::{KeyError, Keys, Reader};

use super::{ended, row_of};
use crate::actors::loader;
use crate::node::NodeError;
use crate::opening::recorded_bundle;

/// How a promise stands.
///
/// # Errors
/// When the ledger cannot be read, or the member not be loaded.
pub fn of(reader: &Reader, keys: &Keys, decision: DecisionId) -> Result<Standing, NodeError> {
    let Some(row) = row_of(reader, decision)? else { return Ok(Standing::NoPromise) };
    if !matches!(row.outcome, Some(Outcome::Granted | Outcome::Pending)) {
        return Ok(Standing::NoPromise);
    }
    let (Some(member), Some(digest)) = (row.member, row.bundle) else { return Ok(Standing::NoPromise) };
    let key = match keys.find(member) {
        Ok(Some(key)) => key,
        Ok(None) | Err(KeyError::Erased(_)) => return Ok(Standing::Erased),
        Err(error) => return Err(ledger::Error::from(error).into()),
    };
    let bundle = recorded_bundle(reader, digest)?;
    let wrong = |error: loader::Error| NodeError::Row { seq: row.seq, why: error.to_string() };
    let found = loader::load(reader, member, &key, &bundle).map_err(wrong)?;
    let promise = found.state.promises.iter().find(|promise| promise.decision == decision);
    Ok(match promise.map(|promise| ended(promise.state)) {
        Some(None) => Standing::Open,
        Some(Some(ended)) => Standing::Ended(ended),
        // Only what has ended leaves a member's state.
        None => Standing::Ended(Ended::LongAgo),
    })
}
