//! The value rows a segment remembers: what recent members would have been worth, reward by reward.
//!
//! Two keeps of bounded size: a ring of the latest rows, and an even sample of the whole period that becomes
//! the next period's baseline. Values are kept net of the member's opportunity price, which is what the
//! planner has to know; the opportunity price is kept beside them.

use domain::random::splitmix64;
use serde::{Deserialize, Serialize};

/// Rows per keep: 256 to 4,096 rows converge alike, and 1,024 answer a quote in about 12 us.
pub const ROWS_MAX: usize = 1_024;

/// Largest value kept, either sign: 17 million currency units, so that sums over all rows, and values next
/// to a 6-bit index, stay within `i64`.
pub const VALUE_MAX: i64 = 1 << 44;

/// Stands for a reward that was not a candidate; below any price's reach.
pub const INELIGIBLE: i64 = -(1 << 56);

/// A bounded set of value rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rows {
    rewards: usize,
    /// Rows times rewards, micros, net of the opportunity price.
    values: Vec<i64>,
    /// Per row: the member's opportunity price, micros.
    opportunity: Vec<i64>,
    /// Per row: the member's scale (LTV times churn times retention), micros.
    scale: Vec<i64>,
    /// Per row: the announced value multiplier when it was taken, thousandths.
    value_milli: Vec<u16>,
    /// Per row: its digest at its place.
    hashes: Vec<u64>,
    /// Exclusive or of `hashes`.
    digest: u64,
    /// Rows offered so far.
    seen: u64,
}

/// One row, borrowed.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// Per reward, net of the opportunity price; [`INELIGIBLE`] where it was no candidate.
    pub values: &'a [i64],
    pub opportunity: i64,
    pub scale: i64,
    pub value_milli: u16,
}

impl Row<'_> {
    /// FNV-1a over the row, one step per word.
    fn digest(&self) -> u64 {
        let rest = [self.opportunity as u64, self.scale as u64, u64::from(self.value_milli)];
        let words = self.values.iter().map(|word| *word as u64).chain(rest);
        words.fold(0xcbf2_9ce4_8422_2325, |hash, word| {
            (hash ^ word ^ (word >> 32)).wrapping_mul(0x0100_0000_01b3)
        })
    }
}

impl Rows {
    /// No rows yet, for this many rewards.
    pub fn new(rewards: usize) -> Rows {
        let (values, opportunity) = (Vec::new(), Vec::new());
        let (scale, value_milli, hashes) = (Vec::new(), Vec::new(), Vec::new());
        Rows { rewards, values, opportunity, scale, value_milli, hashes, digest: 0, seen: 0 }
    }

    /// Number of rows held.
    pub fn len(&self) -> usize {
        self.scale.len()
    }

    /// Whether no row is held.
    pub fn is_empty(&self) -> bool {
        self.scale.is_empty()
    }

    /// Number of rows ever offered.
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// Number of rewards per row.
    pub fn rewards(&self) -> usize {
        self.rewards
    }

    /// Keeps the row in place of the oldest.
    pub fn push_ring(&mut self, row: Row<'_>) {
        let place = (self.seen % ROWS_MAX as u64) as usize;
        self.seen += 1;
        self.put(place, row);
    }

    /// Counts rows that passed through the ring and were forgotten again before anybody looked. Only to be
    /// followed by [`ROWS_MAX`] rows that are kept: they take every place.
    pub fn pass(&mut self, rows: u64) {
        if rows == 0 {
            return;
        }
        self.seen += rows;
        self.values.resize(ROWS_MAX * self.rewards, INELIGIBLE);
        self.opportunity.resize(ROWS_MAX, 0);
        self.scale.resize(ROWS_MAX, 0);
        self.value_milli.resize(ROWS_MAX, 0);
        self.hashes.resize(ROWS_MAX, 0);
    }

    /// Keeps the row with the probability that makes every row so far equally likely to be held.
    ///
    /// The place comes from a hash of the row's number (reservoir sampling, Vitter 1985), so a replay keeps
    /// the same rows.
    pub fn push_sample(&mut self, row: Row<'_>) {
        let number = self.seen;
        self.seen += 1;
        let place = match usize::try_from(number) {
            Ok(number) if number < ROWS_MAX => number,
            _ => (splitmix64(number) % self.seen) as usize,
        };
        if place < ROWS_MAX {
            self.put(place, row);
        }
    }

    /// The row at a place, if one is held there.
    pub fn get(&self, place: usize) -> Option<Row<'_>> {
        let values = self.values.get(place * self.rewards..(place + 1) * self.rewards)?;
        Some(Row {
            values,
            opportunity: self.opportunity[place],
            scale: self.scale[place],
            value_milli: self.value_milli[place],
        })
    }

    /// Every row held, by place.
    pub fn iter(&self) -> impl Iterator<Item = Row<'_>> {
        let heads = self.opportunity.iter().zip(&self.scale).zip(&self.value_milli);
        self.values.chunks_exact(self.rewards.max(1)).zip(heads).map(
            |(values, ((opportunity, scale), value_milli))| Row {
                values,
                opportunity: *opportunity,
                scale: *scale,
                value_milli: *value_milli,
            },
        )
    }

    /// A digest of the rows held and their places, kept up to date row by row.
    pub fn digest(&self) -> u64 {
        self.digest
    }

    fn put(&mut self, place: usize, row: Row<'_>) {
        debug_assert_eq!(row.values.len(), self.rewards);
        let at = place * self.rewards;
        let hash = splitmix64(row.digest() ^ place as u64);
        self.digest ^= hash;
        if place == self.len() {
            self.hashes.push(hash);
            self.values.extend_from_slice(row.values);
            self.opportunity.push(row.opportunity);
            self.scale.push(row.scale);
            self.value_milli.push(row.value_milli);
        } else {
            self.digest ^= std::mem::replace(&mut self.hashes[place], hash);
            self.values[at..at + self.rewards].copy_from_slice(row.values);
            self.opportunity[place] = row.opportunity;
            self.scale[place] = row.scale;
            self.value_milli[place] = row.value_milli;
        }
    }
}
