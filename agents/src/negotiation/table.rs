//! The prices in force, as the segment agents use them.

use domain::{SegmentIndex, Timestamp};
use serde::{Deserialize, Serialize};

use super::Envelope;

/// Leader to every node and segment agent: prices to decide by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriceTable {
    pub envelope: Envelope,
    /// Rises by one with every table of an epoch.
    pub version: u64,
    /// First negotiation period the table is for.
    pub valid_from_batch: u64,
    /// When it was made.
    pub published_at: Timestamp,
    /// How long it may be used as it is, in microseconds; older tables grow dearer, then end.
    pub ttl_micros: i64,
    /// Announced value multiplier in force now, in thousandths (the calendar); rows are recorded with it.
    pub value_milli: u16,
    /// Price in micros of one unit, per segment and reward.
    pub rows: Vec<Vec<i64>>,
}

/// Bits of a table id that hold the version: 16 million tables are nineteen days of ten a second.
const VERSION_BITS: u32 = 24;

impl PriceTable {
    /// Default life of a table: 30 s survives a leader change, and a stale price costs under 0.1 % by then.
    pub const TTL_MICROS: i64 = 30_000_000;

    /// One number for epoch and version, rising over both: what a decision record names.
    pub fn id(&self) -> u64 {
        self.envelope.epoch << VERSION_BITS | self.version & ((1 << VERSION_BITS) - 1)
    }

    /// One segment's prices, or nothing when the table is for fewer segments.
    pub fn row(&self, segment: SegmentIndex) -> &[i64] {
        self.rows.get(usize::from(segment.0)).map_or(&[], Vec::as_slice)
    }
}
