//! Which event ids a slice of the table certainly does not hold.
//!
//! Nearly every event is new, so nearly every question for its row is answered "none". A Bloom filter (Bloom
//! 1970) per slice answers that without touching the table: about 1.5 bytes per row in memory instead of a
//! descent into a B-tree of millions. A slice gets its filter at its first turn after a start, so opening a
//! ledger costs nothing; until then the table is asked.

use rusqlite::Connection;

use crate::error::Error;

/// Bits per event id at full size; with [`PROBES`] one question in 250 goes to the table in vain.
const BITS_PER_KEY: usize = 12;
const PROBES: u64 = 4;
/// Event ids of the smallest filter: one turn of a slice.
const KEYS_MIN: usize = 1_024;

/// The filter of one slice.
#[derive(Debug)]
pub(super) struct Filter {
    /// A power of two of bits.
    words: Vec<u64>,
    keys: usize,
    keys_max: usize,
}

impl Filter {
    /// A filter for a slice that holds nothing yet.
    pub(super) fn empty() -> Filter {
        Filter::for_keys(KEYS_MIN)
    }

    fn for_keys(keys: usize) -> Filter {
        let bits = (keys.max(KEYS_MIN) * BITS_PER_KEY).next_power_of_two();
        Filter { words: vec![0; bits / 64], keys: 0, keys_max: bits / BITS_PER_KEY }
    }

    /// The filter of everything the table holds of a slice, with room to double.
    pub(super) fn of_table(connection: &Connection, slice: usize) -> Result<Filter, Error> {
        // The first byte of a hash names its slice, so a slice is one range of the table.
        let first = (slice as u64) << 56;
        let range = (first.cast_signed(), (first | ((1 << 56) - 1)).cast_signed());
        let mut count =
            connection.prepare_cached("SELECT count(*) FROM event_index WHERE hash BETWEEN ?1 AND ?2")?;
        let keys: i64 = count.query_row(range, |row| row.get(0))?;
        let mut filter = Filter::for_keys(2 * usize::try_from(keys).unwrap_or(0));
        let mut select =
            connection.prepare_cached("SELECT hash FROM event_index WHERE hash BETWEEN ?1 AND ?2")?;
        let mut rows = select.query(range)?;
        while let Some(row) = rows.next()? {
            filter.insert(row.get::<_, i64>(0)?.cast_unsigned());
        }
        Ok(filter)
    }

    /// Whether this many more ids keep it sharp.
    pub(super) fn has_room_for(&self, keys: usize) -> bool {
        self.keys + keys <= self.keys_max
    }

    pub(super) fn insert(&mut self, hash: u64) {
        for bit in self.bits(hash) {
            self.words[bit / 64] |= 1 << (bit % 64);
        }
        self.keys += 1;
    }

    /// False only when the slice certainly does not hold the hash.
    pub(super) fn may_hold(&self, hash: u64) -> bool {
        self.bits(hash).into_iter().all(|bit| self.words[bit / 64] >> (bit % 64) & 1 == 1)
    }

    /// Double hashing (Kirsch and Mitzenmacher 2006): event hashes are uniform, so their halves serve as the two.
    fn bits(&self, hash: u64) -> [usize; PROBES as usize] {
        let mask = self.words.len() as u64 * 64 - 1;
        let (start, step) = (hash, hash >> 24 | 1);
        std::array::from_fn(|probe| (start.wrapping_add(step.wrapping_mul(probe as u64)) & mask) as usize)
    }
}

#[cfg(test)]
mod tests {
    use domain::random::splitmix64;

    use super::*;

    #[test]
    fn what_is_held_is_never_denied_and_what_is_not_mostly_is() {
        for keys in [1, 1_000, 40_000] {
            let mut filter = Filter::for_keys(keys);
            let hash = |number: u64| splitmix64(number) >> 8 | 7 << 56;
            (0..keys as u64).for_each(|number| filter.insert(hash(number)));
            assert!((0..keys as u64).all(|number| filter.may_hold(hash(number))));
            let false_alarms = (0..100_000).filter(|number| filter.may_hold(hash(1 << 40 | number))).count();
            assert!(false_alarms < 1_000, "{false_alarms} of 100,000 with {keys} keys");
        }
    }
}
