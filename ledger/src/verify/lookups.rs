//! Whether SQLite's own indexes over the rows hold what the rows say: a doctored one would keep rows from those who ask.
//!
//! `PRAGMA integrity_check` would look each row up in each index, at three times the price of a check of the pages alone. An index
//! read from end to end, in order, with the same pairs in it as the rows have, is as good.

use std::hash::RandomState;
use std::path::Path;

use rusqlite::Connection;

use crate::canon::Public;
use crate::error::Error;
use crate::index::Sum;
use crate::schema::{self, Access};

/// What an index over the rows leads to: ids of rows, and kinds of the rare ones, each as a sum under the key of this check.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Lookups {
    ids: Sum,
    kinds: Sum,
}

impl Lookups {
    /// Takes the next row in.
    pub(super) fn fold(&mut self, key: &RandomState, row: &Public<'_>) {
        self.ids.fold(key, (row.record_id, row.seq));
        if !matches!(row.kind, 10 | 11) {
            self.kinds.fold(key, (row.kind, row.seq));
        }
    }

    /// Reads the indexes of a database, as far as they are about rows up to `through`; the words are what is wrong with the file.
    pub(super) fn read(
        database: &Path,
        key: &RandomState,
        through: u64,
    ) -> Result<(Lookups, Vec<String>), Error> {
        let connection = schema::connect(database, Access::Read)?;
        let (mut lookups, mut wrong) = (Lookups::default(), Vec::new());
        let read = [
            broken_pages(&connection, &mut wrong),
            lookups.read_ids(&connection, key, through.cast_signed(), &mut wrong),
            lookups.read_kinds(&connection, key, through.cast_signed(), &mut wrong),
        ];
        // A broken file: the rescan says where.
        wrong.extend(read.into_iter().filter_map(Result::err).map(|error| error.to_string()));
        Ok((lookups, wrong))
    }

    fn read_ids(
        &mut self,
        connection: &Connection,
        key: &RandomState,
        through: i64,
        wrong: &mut Vec<String>,
    ) -> rusqlite::Result<()> {
        let sql = "SELECT record_id, seq FROM record INDEXED BY record_by_id ORDER BY record_id";
        let mut statement = connection.prepare(sql)?;
        let mut rows = statement.query([])?;
        let (mut before, mut is_sorted) = (Vec::new(), true);
        while let Some(row) = rows.next()? {
            let (id, seq) = (row.get_ref(0)?.as_blob()?, row.get::<_, i64>(1)?);
            is_sorted &= before.as_slice() < id;
            before.clear();
            before.extend_from_slice(id);
            if seq <= through {
                self.ids.fold(key, (id, seq));
            }
        }
        wrong.extend((!is_sorted).then(|| "record_by_id is not in order".to_owned()));
        Ok(())
    }

    fn read_kinds(
        &mut self,
        connection: &Connection,
        key: &RandomState,
        through: i64,
        wrong: &mut Vec<String>,
    ) -> rusqlite::Result<()> {
        let sql = "SELECT kind, seq FROM record INDEXED BY record_by_kind WHERE kind NOT IN (10, 11) ORDER BY kind, seq";
        let mut statement = connection.prepare(sql)?;
        let mut rows = statement.query([])?;
        let (mut before, mut is_sorted) = ((i64::MIN, i64::MIN), true);
        while let Some(row) = rows.next()? {
            let pair = (row.get(0)?, row.get(1)?);
            is_sorted &= std::mem::replace(&mut before, pair) < pair;
            if pair.1 <= through {
                self.kinds.fold(key, pair);
            }
        }
        wrong.extend((!is_sorted).then(|| "record_by_kind is not in order".to_owned()));
        Ok(())
    }

    /// Which indexes differ from what the rows say.
    pub(super) fn differing(&self, rows: &Lookups) -> impl Iterator<Item = String> {
        let differs = [("record_by_id", self.ids != rows.ids), ("record_by_kind", self.kinds != rows.kinds)];
        differs
            .into_iter()
            .filter(|(_, differs)| *differs)
            .map(|(name, _)| format!("{name} holds other rows than the table"))
    }
}

/// Pages of the table and its indexes that do not hang together, as SQLite finds them.
fn broken_pages(connection: &Connection, wrong: &mut Vec<String>) -> rusqlite::Result<()> {
    // What constraints say of a row, its leaf says, too.
    connection.pragma_update(None, "ignore_check_constraints", "ON")?;
    let mut check = connection.prepare("PRAGMA quick_check(record)")?;
    let found = check.query_map([], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()?;
    wrong.extend(found.into_iter().filter(|found| found != "ok"));
    Ok(())
}
