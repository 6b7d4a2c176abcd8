//! Looking rows up: candidates by hash, confirmed by the full id.

use domain::EventId;
use rusqlite::Connection;

use super::event_hash;
use super::tail::Tail;
use crate::entry::Seq;
use crate::error::Error;

/// Rows of `table` that may carry a hash, after `seq`, in order.
pub(crate) fn table_rows(
    connection: &Connection,
    table: Table,
    hash: u64,
    after: Seq,
    limit: u32,
) -> Result<Vec<Seq>, Error> {
    let mut statement = connection.prepare_cached(match table {
        Table::Event => "SELECT seq FROM event_index WHERE hash = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3",
        Table::Member => "SELECT seq FROM member_index WHERE hash = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3",
    })?;
    let mut rows = statement.query((hash.cast_signed(), after.0.cast_signed(), limit))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(Seq(row.get::<_, i64>(0)?.unsigned_abs()));
    }
    Ok(found)
}

/// Which table to look in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Table {
    Event,
    Member,
}

/// The row of an event, among candidates.
pub(crate) fn confirm_event(
    connection: &Connection,
    event: &EventId,
    candidates: impl IntoIterator<Item = Seq>,
) -> Result<Option<Seq>, Error> {
    for seq in candidates {
        let mut statement = connection.prepare_cached("SELECT event_id = ?2 FROM record WHERE seq = ?1")?;
        let mut rows = statement.query((seq.0.cast_signed(), event.as_str()))?;
        if let Some(row) = rows.next()?
            && row.get::<_, Option<bool>>(0)? == Some(true)
        {
            return Ok(Some(seq));
        }
    }
    Ok(None)
}

/// The row of an event, if there is one.
pub(crate) fn find_event(
    connection: &Connection,
    tail: &Tail,
    event: &EventId,
) -> Result<Option<Seq>, Error> {
    let hash = event_hash(event);
    // The tail first: a slice leaves it only after its rows are in the table.
    if let Some(seq) = confirm_event(connection, event, tail.event(hash))? {
        return Ok(Some(seq));
    }
    if !tail.table_may_hold(hash) {
        return Ok(None);
    }
    let stored = table_rows(connection, Table::Event, hash, Seq::START, u32::MAX)?;
    confirm_event(connection, event, stored)
}
