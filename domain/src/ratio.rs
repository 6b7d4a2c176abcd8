//! Ratios as integers: parts per million, milli multipliers, and Q20 prices of money.

use serde::{Deserialize, Serialize};

/// A probability or share in parts per million, 0..=1,000,000.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ppm(pub u32);

impl Ppm {
    /// Certainty.
    pub const ONE: Ppm = Ppm(1_000_000);

    /// The complement, `1 - p`; values above one count as one.
    pub fn complement(self) -> Ppm {
        Ppm(1_000_000 - self.0.min(1_000_000))
    }
}

impl std::fmt::Display for Ppm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

/// A multiplier in thousandths: 1000 leaves a value as it is. Levers stay within 500..=1500.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Milli(pub u16);

impl Milli {
    /// Leaves a value as it is.
    pub const ONE: Milli = Milli(1000);
}

/// A price of money in Q20: micros of value per micro of cost, times 2^20; 0..=64.0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PriceQ20(pub i64);

impl PriceQ20 {
    /// The number of fraction bits.
    pub const BITS: u32 = 20;
    /// A price of one micro of value per micro of cost.
    pub const ONE: PriceQ20 = PriceQ20(1 << 20);
    /// The highest price the planner may quote (64.0).
    pub const MAX: PriceQ20 = PriceQ20(64 << 20);
}

impl std::fmt::Display for PriceQ20 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let millionths = (i128::from(self.0) * 1_000_000) >> 20;
        write!(f, "{}.{:06}", millionths / 1_000_000, millionths % 1_000_000)
    }
}
