//! A block as it is collected, and the bytes it becomes. Equal rows give equal bytes.

use rusqlite::Connection;

use super::{BLOCK_ROWS, Field};
use crate::canon::Public;
use crate::entry::Seq;
use crate::error::Error;
use crate::index;
use crate::row::{self, COLUMNS};

/// Stands for "none" where a value's length stands.
pub(super) const ABSENT: u16 = u16::MAX;

/// Columns of up to [`BLOCK_ROWS`] rows.
#[derive(Debug, Default)]
pub(crate) struct Block {
    /// Kind to models, in the order of [`Field`].
    coded: [Coded; Field::Time as usize],
    times: Vec<i64>,
    members: Vec<u64>,
    /// Not stored: a whole block has no gaps.
    seqs: Vec<u64>,
}

/// A column of few different values.
#[derive(Debug, Default)]
struct Coded {
    /// In the order they first came.
    values: Vec<Option<Box<[u8]>>>,
    codes: Vec<u16>,
}

impl Block {
    /// Reads rows again, from `first` to `last`.
    pub(crate) fn read(connection: &Connection, first: Seq, last: Seq) -> Result<Block, Error> {
        let sql = format!("SELECT {COLUMNS} FROM record WHERE seq >= ?1 AND seq <= ?2 ORDER BY seq");
        let mut statement = connection.prepare_cached(&sql)?;
        let (mut rows, mut block) =
            (statement.query((first.0.cast_signed(), last.0.cast_signed()))?, Block::default());
        while let Some(stored) = rows.next()? {
            block.add(&row::public(stored)?);
        }
        Ok(block)
    }

    pub(crate) fn len(&self) -> usize {
        self.times.len()
    }

    /// The row at a place of the block.
    pub(crate) fn seq(&self, at: usize) -> Seq {
        Seq(self.seqs[at])
    }

    pub(crate) fn is_full(&self) -> bool {
        self.len() as u64 == BLOCK_ROWS
    }

    pub(crate) fn add(&mut self, row: &Public<'_>) {
        let numbers = [
            (Field::Kind, Some(row.kind)),
            (Field::Outcome, row.outcome),
            (Field::Reason, row.reason),
            (Field::Touchpoint, row.touchpoint),
        ];
        for (field, number) in numbers {
            self.coded[field as usize].add(number.map(i64::to_be_bytes).as_ref().map(<[u8; 8]>::as_slice));
        }
        let texts = [
            (Field::Segment, row.segment.map(str::as_bytes)),
            (Field::Reward, row.reward.map(str::as_bytes)),
            (Field::Bundle, row.bundle),
            (Field::Models, row.models),
        ];
        for (field, text) in texts {
            self.coded[field as usize].add(text);
        }
        self.seqs.push(row.seq.unsigned_abs());
        self.times.push(row.event_time.unwrap_or(row.recorded_at));
        self.members.push(index::stored_member_hash(row.member));
    }

    /// A field as it is stored.
    pub(crate) fn bytes(&self, field: Field) -> Vec<u8> {
        match field {
            Field::Kind
            | Field::Outcome
            | Field::Reason
            | Field::Segment
            | Field::Reward
            | Field::Touchpoint
            | Field::Bundle
            | Field::Models => self.coded[field as usize].bytes(),
            Field::Time => numbers(&self.times),
            Field::Member => {
                let members: Vec<i64> = self.members.iter().map(|hash| hash.cast_signed()).collect();
                packed(0, 8, &members)
            }
            Field::Reach => {
                let (least, most) = reach(&self.times);
                packed(0, 8, &[least, most])
            }
        }
    }
}

impl Coded {
    fn add(&mut self, value: Option<&[u8]>) {
        let is = |known: &Option<Box<[u8]>>| known.as_deref() == value;
        // Neighbours are often equal; a block has few values otherwise.
        let last = self.codes.last().copied().filter(|code| is(&self.values[usize::from(*code)]));
        let known = last.or_else(|| self.values.iter().position(is).and_then(|at| u16::try_from(at).ok()));
        let code = known.unwrap_or_else(|| {
            self.values.push(value.map(Box::from));
            // A block has fewer rows than there are codes.
            u16::try_from(self.values.len() - 1).unwrap_or(u16::MAX)
        });
        self.codes.push(code);
    }

    /// Number of values, each with its length, width of a code in bytes, codes.
    fn bytes(&self) -> Vec<u8> {
        let number = |number: usize| u16::try_from(number).unwrap_or(u16::MAX).to_le_bytes();
        let mut bytes = number(self.values.len()).to_vec();
        for value in &self.values {
            match value {
                None => bytes.extend(ABSENT.to_le_bytes()),
                Some(value) => {
                    bytes.extend(number(value.len()));
                    bytes.extend(&value[..]);
                }
            }
        }
        match self.values.len() {
            0 | 1 => bytes.push(0),
            2..=256 => {
                bytes.push(1);
                bytes.extend(self.codes.iter().map(|code| code.to_le_bytes()[0]));
            }
            _ => {
                bytes.push(2);
                bytes.extend(self.codes.iter().flat_map(|code| code.to_le_bytes()));
            }
        }
        bytes
    }
}

/// The least and the greatest.
fn reach(values: &[i64]) -> (i64, i64) {
    (values.iter().min().copied().unwrap_or(0), values.iter().max().copied().unwrap_or(0))
}

/// Numbers as distances from the least, in as few bytes each as the greatest needs.
fn numbers(values: &[i64]) -> Vec<u8> {
    let (least, most) = reach(values);
    let distance = most.wrapping_sub(least).cast_unsigned();
    packed(least, 8 - distance.leading_zeros() as usize / 8, values)
}

/// The least, the width in bytes, and the distances.
fn packed(least: i64, width: usize, values: &[i64]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(9 + width * values.len());
    bytes.extend(least.to_le_bytes());
    bytes.push(u8::try_from(width).unwrap_or(8));
    for value in values {
        bytes.extend(&value.wrapping_sub(least).to_le_bytes()[..width]);
    }
    bytes
}
