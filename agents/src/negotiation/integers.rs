//! The arithmetic both sides of the negotiation share: how a price follows from the duals, and wide sums.

use domain::PriceQ20;

/// Fraction bits of weighted event counts and of the value sums weighted by them.
///
/// Sixteen bits: a segment that expects 10 events spread over 2,048 sampled rows still weighs each row to
/// 0.3 %; eight bits would round that weight to 1 or 2 units.
pub const EVENT_BITS: u32 = 16;
/// One event in weighted counts.
pub const EVENT_ONE: i64 = 1 << EVENT_BITS;

/// Fraction bits of the certificate's convex weights.
pub const THETA_BITS: u32 = 30;
/// The whole of one segment's convex weights.
pub const THETA_ONE: i64 = 1 << THETA_BITS;

/// The price of a reward that no remaining capacity can pay for: above any value a member can have.
pub const CLOSED: i64 = 1 << 50;

/// Highest subsidy per rewarded event that an exposure floor may cause, in micros.
pub const SUBSIDY_MAX: i64 = 2_000_000;

/// The price of one unit of a reward in micros, rounded half up.
///
/// `((global + segment) * cost + 2^19) >> 20 + unit - subsidy`; see Dantzig and Wolfe (1960) for why a
/// resource's dual is the price at which members' separate choices add up to a feasible plan.
pub fn unit_price(global: PriceQ20, segment: PriceQ20, cost: i64, unit: i64, subsidy: i64) -> i64 {
    let money = (i128::from(global.0) + i128::from(segment.0)) * i128::from(cost);
    let rounded = (money + (1 << (PriceQ20::BITS - 1))) >> PriceQ20::BITS;
    let price = rounded + i128::from(unit) - i128::from(subsidy);
    i64::try_from(price.clamp(-i128::from(CLOSED), i128::from(CLOSED))).unwrap_or(CLOSED)
}

/// `i128` on the wire as decimal text: JSON numbers beyond 2^53 lose digits in most readers.
pub mod wide {
    use serde::{Deserialize, Deserializer, Serializer};

    /// Writes the number as decimal text.
    pub fn serialize<S: Serializer>(value: &i128, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    /// Reads decimal text.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i128, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_is_rounded_half_up() {
        let half = PriceQ20(1 << 19);
        assert_eq!(unit_price(half, PriceQ20(0), 3, 0, 0), 2);
        assert_eq!(unit_price(half, half, 3, 10, 1), 12);
        assert_eq!(unit_price(PriceQ20(0), PriceQ20(0), 5, 0, 7), -7);
    }

    #[test]
    fn a_price_beyond_any_value_is_clamped() {
        assert_eq!(unit_price(PriceQ20::MAX, PriceQ20::MAX, i64::MAX, 0, 0), CLOSED);
    }
}
