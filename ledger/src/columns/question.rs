//! A filter, asked of blocks: which rows of each it lets through.

use rusqlite::Connection;

use super::{BLOCK_ROWS, Block, Codes, Field, Numbers, first_of, stored};
use crate::codes;
use crate::entry::Seq;
use crate::error::Error;
use crate::filter::Filter;

/// Conditions on columns.
#[derive(Debug)]
pub(crate) struct Question {
    values: Vec<(Field, Vec<u8>)>,
    times: Option<std::ops::Range<i64>>,
}

impl Question {
    /// What a filter asks of columns; members and positions are asked elsewhere.
    pub(crate) fn of(filter: &Filter) -> Question {
        let number = |number: i64| number.to_be_bytes().to_vec();
        let values = [
            (Field::Kind, filter.kind.map(|kind| number(i64::from(kind.number())))),
            (Field::Outcome, filter.outcome.map(|outcome| number(codes::outcome(outcome)))),
            (Field::Reason, filter.reason.map(|reason| number(i64::from(reason.number())))),
            (Field::Segment, filter.segment.clone().map(String::into_bytes)),
            (Field::Reward, filter.reward.clone().map(String::into_bytes)),
            (Field::Bundle, filter.bundle.map(|digest| digest.0.to_vec())),
            (Field::Models, filter.models.map(|digest| digest.0.to_vec())),
        ];
        let values = values.into_iter().filter_map(|(field, value)| Some((field, value?))).collect();
        let since = filter.since.map_or(i64::MIN, |time| time.0);
        let until = filter.until.map_or(i64::MAX, |time| time.0);
        let asks = filter.since.is_some() || filter.until.is_some();
        Question { values, times: asks.then_some(since..until) }
    }

    /// Whether every row is let through.
    pub(crate) fn asks_nothing(&self) -> bool {
        self.values.is_empty() && self.times.is_none()
    }

    /// Marks the rows of a block that are let through.
    pub(crate) fn ask(&self, span: &Span<'_>, mask: &mut [bool]) -> Result<(), Error> {
        let (least, most) = if self.times.is_some() { span.reach()? } else { (0, 0) };
        if self.times.as_ref().is_some_and(|times| most < times.start || least >= times.end) {
            mask.fill(false);
            return Ok(());
        }
        for (field, value) in &self.values {
            if !span.codes(*field)?.keep(value, mask) {
                mask.fill(false);
                return Ok(());
            }
        }
        // Last: times are the widest column, and the others often leave nothing.
        if let Some(times) = &self.times
            && !(times.contains(&least) && times.contains(&most))
            && mask.contains(&true)
        {
            span.numbers(Field::Time)?.keep(times, mask);
        }
        Ok(())
    }
}

/// Rows of one block: from the stored columns where there are some, else from the log.
pub(crate) struct Span<'c> {
    connection: &'c Connection,
    at: u64,
    /// The columns of rows that are in no whole block, or of a ledger without blocks.
    read: Option<Block>,
}

impl<'c> Span<'c> {
    /// A block of a ledger with `size` rows.
    pub(crate) fn new(
        connection: &'c Connection,
        at: u64,
        size: u64,
        has_columns: bool,
    ) -> Result<Span<'c>, Error> {
        let is_whole = size >= (at + 1) * BLOCK_ROWS;
        let read = if has_columns && is_whole {
            None
        } else {
            let first = first_of(at);
            Some(Block::read(connection, first, Seq(first.0 + BLOCK_ROWS - 1))?)
        };
        Ok(Span { connection, at, read })
    }

    /// Number of rows.
    pub(crate) fn len(&self) -> usize {
        self.read.as_ref().map_or(BLOCK_ROWS as usize, Block::len)
    }

    /// The row at a place of the block.
    pub(crate) fn seq(&self, at: usize) -> Seq {
        self.read.as_ref().map_or(Seq(first_of(self.at).0 + at as u64), |block| block.seq(at))
    }

    /// A mask of the rows from `first` to `last`.
    pub(crate) fn mask(&self, first: Seq, last: Seq) -> Vec<bool> {
        (0..self.len()).map(|at| (first..=last).contains(&self.seq(at))).collect()
    }

    pub(crate) fn codes(&self, field: Field) -> Result<Codes, Error> {
        Codes::read(self.bytes(field)?, self.len())
    }

    pub(crate) fn numbers(&self, field: Field) -> Result<Numbers, Error> {
        Numbers::read(self.bytes(field)?, self.len())
    }

    /// The least and the greatest time.
    fn reach(&self) -> Result<(i64, i64), Error> {
        let both = Numbers::read(self.bytes(Field::Reach)?, 2)?;
        Ok((both.get(0), both.get(1)))
    }

    fn bytes(&self, field: Field) -> Result<Vec<u8>, Error> {
        let Some(block) = &self.read else {
            let missing = || Error::Damaged(format!("the columns of block {} are missing", self.at));
            return stored(self.connection, field, self.at)?.ok_or_else(missing);
        };
        Ok(block.bytes(field))
    }
}
