//! Taking an event id out of the index, for rows that lose it.

use rusqlite::{Connection, OptionalExtension, params};

use super::{ABSENT, Hashes, pair, stored_hashes, unpair};
use crate::entry::Seq;
use crate::error::Error;

/// Forgets the event id of a row, which still holds it. What a running process keeps in memory is to be loaded anew.
pub(crate) fn forget_event(connection: &Connection, seq: Seq) -> Result<(), Error> {
    let seq = seq.0.cast_signed();
    let event: Option<String> =
        connection.query_row("SELECT event_id FROM record WHERE seq = ?1", [seq], |row| row.get(0))?;
    let hash = stored_hashes(event.as_deref(), None).event;
    connection
        .prepare_cached("DELETE FROM event_index WHERE hash = ?1 AND seq = ?2")?
        .execute(params![hash.cast_signed(), seq])?;
    let mut select = connection
        .prepare_cached("SELECT last, hashes FROM recent WHERE last >= ?1 ORDER BY last LIMIT 1")?;
    let found: Option<(i64, Vec<u8>)> =
        select.query_row([seq], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let Some((last, mut hashes)) = found else { return Ok(()) };
    // The hashes end at `last`; a row before the first of them is in the tables.
    let from_end = usize::try_from(last - seq).unwrap_or(usize::MAX).saturating_add(1).saturating_mul(16);
    let Some(at) = hashes.len().checked_sub(from_end) else { return Ok(()) };
    let member = unpair(&hashes[at..at + 16]).member;
    hashes[at..at + 16].copy_from_slice(&pair(Hashes { event: ABSENT, member }));
    connection
        .prepare_cached("UPDATE recent SET hashes = ?2 WHERE last = ?1")?
        .execute(params![last, hashes])?;
    Ok(())
}
