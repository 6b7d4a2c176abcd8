//! Row counts by kind, outcome and reason, kept with every batch so that a status screen costs no scan.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};

use crate::codes;
use crate::entry::Entry;
use crate::error::Error;

/// Stands for "no outcome" or "no reason" in the table.
const NONE: i64 = -1;

type Key = (i64, i64, i64);

/// What one batch adds.
#[derive(Debug, Default)]
pub(crate) struct Added(BTreeMap<Key, i64>);

impl Added {
    pub(crate) fn add(&mut self, entry: &Entry) {
        let outcome = entry.outcome.map_or(NONE, codes::outcome);
        let reason = entry.reason.map_or(NONE, |reason| i64::from(reason.number()));
        *self.0.entry((i64::from(entry.kind.number()), outcome, reason)).or_default() += 1;
    }

    pub(crate) fn write(&self, connection: &Connection) -> Result<(), Error> {
        let mut upsert = connection.prepare_cached(
            "INSERT INTO counter (kind, outcome, reason, rows) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (kind, outcome, reason) DO UPDATE SET rows = rows + excluded.rows",
        )?;
        for ((kind, outcome, reason), rows) in &self.0 {
            upsert.execute(params![kind, outcome, reason, rows])?;
        }
        Ok(())
    }
}

/// Counts of all rows, recounted by `verify`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Recount(BTreeMap<Key, i64>);

impl Recount {
    pub(crate) fn add(&mut self, kind: i64, outcome: Option<i64>, reason: Option<i64>) {
        *self.0.entry((kind, outcome.unwrap_or(NONE), reason.unwrap_or(NONE))).or_default() += 1;
    }

    pub(crate) fn load(connection: &Connection) -> Result<Recount, Error> {
        let mut statement = connection.prepare("SELECT kind, outcome, reason, rows FROM counter")?;
        let rows =
            statement.query_map([], |row| Ok(((row.get(0)?, row.get(1)?, row.get(2)?), row.get(3)?)))?;
        Ok(Recount(rows.collect::<Result<_, _>>()?))
    }
}
