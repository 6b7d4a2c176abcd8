//! Whether the blocks of columns are what the rows say: made anew beside the rescan and compared byte for byte.

use rusqlite::Connection;

use super::Report;
use crate::canon::Public;
use crate::columns::{self, Block, Field, block_of, first_of};
use crate::entry::Seq;
use crate::error::Error;
use crate::schema;

/// The block the rescan is in; nothing in a ledger of an older build, which has none.
pub(super) struct ColumnCheck(Option<Block>);

impl ColumnCheck {
    pub(super) fn begin(connection: &Connection) -> Result<ColumnCheck, Error> {
        Ok(ColumnCheck((schema::format(connection)? >= 2).then(Block::default)))
    }

    pub(super) fn fold(
        &mut self,
        connection: &Connection,
        row: &Public<'_>,
        report: &mut Report,
    ) -> Result<(), Error> {
        let Some(block) = &mut self.0 else { return Ok(()) };
        let seq = Seq(row.seq.unsigned_abs());
        let (at, is_last) = (block_of(seq), block_of(seq) != block_of(Seq(seq.0 + 1)));
        block.add(row);
        if !is_last {
            return Ok(());
        }
        let block = std::mem::take(block);
        let first = first_of(at);
        // With a bad row in it, the block only repeats the news.
        if report.first_bad.is_some_and(|bad| bad >= first && bad <= seq) {
            return Ok(());
        }
        for field in Field::ALL {
            if columns::stored(connection, field, at)?.as_deref() != Some(&block.bytes(field)[..]) {
                report.find(None, format!("column {field:?} of rows {first} to {seq} differs from the log"));
            }
        }
        Ok(())
    }

    pub(super) fn finish(&self, connection: &Connection, report: &mut Report) -> Result<(), Error> {
        if self.0.is_some() && columns::stray(connection)? {
            report.find(None, "there are columns of rows that do not exist");
        }
        Ok(())
    }
}
