//! Rows by column, in blocks of 8,192 rows: what lists and counts over millions of rows are answered from.
//!
//! A row has about a kilobyte; what people ask by has some twenty bytes, most of them one byte codes into a list of the
//! values of the block. So a question over ten million rows reads tens of megabytes instead of ten gigabytes, whatever is
//! combined with whatever. The writer collects the present block in memory and writes it in the transaction of its last
//! row; rows after the last whole block are read from the log itself. Nothing here is erased or pruned: these columns stay
//! when rows lose their parts.
//!
//! Blocks are a cache of the log: `verify` makes them anew and compares. Start at [`Columns`]; questions are in `question`.

mod block;
mod question;
mod stored;

use rusqlite::{Connection, OptionalExtension, params};

pub(crate) use block::Block;
pub(crate) use question::{Question, Span};
pub(crate) use stored::{Codes, Numbers};

use crate::canon::Public;
use crate::entry::Seq;
use crate::error::Error;
use crate::row;

/// Rows of a block: one byte per row fills a page of the database, and a start reads at most this many rows again.
pub(crate) const BLOCK_ROWS: u64 = 8_192;

/// What blocks hold of a row. Numbers are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Field {
    Kind = 0,
    Outcome = 1,
    Reason = 2,
    Segment = 3,
    Reward = 4,
    Touchpoint = 5,
    Bundle = 6,
    Models = 7,
    /// The event's time, or where there is none, when the row was recorded.
    Time = 8,
    /// The hash the index knows the member by.
    Member = 9,
    /// The least and the greatest time: a few bytes that spare looking into most blocks.
    Reach = 10,
}

impl Field {
    pub(crate) const ALL: [Field; 11] = [
        Field::Kind,
        Field::Outcome,
        Field::Reason,
        Field::Segment,
        Field::Reward,
        Field::Touchpoint,
        Field::Bundle,
        Field::Models,
        Field::Time,
        Field::Member,
        Field::Reach,
    ];

    /// Where a block of this field is: fields one after the other, each in the order of the log.
    fn place(self, block: u64) -> i64 {
        i64::from(self as u8) << 40 | block.cast_signed()
    }
}

/// The block a row is in.
pub(crate) fn block_of(seq: Seq) -> u64 {
    seq.0.saturating_sub(1) / BLOCK_ROWS
}

/// The first row of a block.
pub(crate) fn first_of(block: u64) -> Seq {
    Seq(block * BLOCK_ROWS + 1)
}

/// The writer's side: the block being collected.
#[derive(Debug, Default)]
pub(crate) struct Columns {
    /// Absent at a start and after a refused batch: read again from the rows when the next row comes.
    present: Option<Block>,
}

impl Columns {
    /// Adds a row that was just inserted, and writes its block when it is the last one of it.
    pub(crate) fn add(&mut self, connection: &Connection, row: &Public<'_>) -> Result<(), Error> {
        let seq = Seq(row.seq.unsigned_abs());
        let mut present = match self.present.take() {
            Some(present) => present,
            None => Block::read(connection, first_of(block_of(seq)), Seq(seq.0 - 1))?,
        };
        present.add(row);
        if present.is_full() {
            write(connection, block_of(seq), &present)?;
            present = Block::default();
        }
        self.present = Some(present);
        Ok(())
    }

    /// The running batch was refused.
    pub(crate) fn forget(&mut self) {
        self.present = None;
    }
}

fn write(connection: &Connection, at: u64, block: &Block) -> Result<(), Error> {
    let mut insert = connection.prepare_cached("INSERT INTO column_block (place, data) VALUES (?1, ?2)")?;
    for field in Field::ALL {
        insert.execute(params![field.place(at), block.bytes(field)])?;
    }
    Ok(())
}

/// Writes every whole block of a ledger that has none yet.
pub(crate) fn fill(connection: &Connection) -> Result<(), Error> {
    let mut statement = connection.prepare(&format!("SELECT {} FROM record ORDER BY seq", row::COLUMNS))?;
    let (mut rows, mut block) = (statement.query([])?, Block::default());
    while let Some(stored) = rows.next()? {
        let row = row::public(stored)?;
        block.add(&row);
        if block.is_full() {
            write(connection, block_of(Seq(row.seq.unsigned_abs())), &block)?;
            block = Block::default();
        }
    }
    Ok(())
}

/// The stored bytes of a field, when the block is whole and the ledger has blocks.
pub(crate) fn stored(connection: &Connection, field: Field, block: u64) -> Result<Option<Vec<u8>>, Error> {
    let mut select = connection.prepare_cached("SELECT data FROM column_block WHERE place = ?1")?;
    Ok(select.query_row([field.place(block)], |row| row.get(0)).optional()?)
}

/// Blocks beyond the last whole one, which no row accounts for.
pub(crate) fn stray(connection: &Connection) -> Result<bool, Error> {
    let sql = "SELECT EXISTS (SELECT 1 FROM column_block WHERE place & 0xffffffffff >= (SELECT max(seq) FROM record) / ?1)";
    Ok(connection.query_row(sql, [BLOCK_ROWS.cast_signed()], |row| row.get(0))?)
}
