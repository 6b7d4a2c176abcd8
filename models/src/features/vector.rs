//! A member as the models see it: 22 numbers in a fixed order.

use domain::time::DAY;
use sha2::{Digest as _, Sha256};

use super::summary::Summary;

/// Version of the contract: which features, in which order, computed how. Manifests name it.
pub const SCHEMA: u32 = 1;

/// Number of features.
pub const COUNT: usize = 22;

/// The features in order. Days are days of 24 hours, spend is in currency units.
pub const NAMES: [&str; COUNT] = [
    "recency_days",
    "tenure_days",
    "trips",
    "spend_total",
    "spend_mean",
    "spend_max",
    "spend_std",
    "spend_last",
    "gap_mean_days",
    "gap_max_days",
    "gap_std_days",
    "trips_7d",
    "trips_14d",
    "trips_28d",
    "trips_56d",
    "trips_91d",
    "spend_7d",
    "spend_14d",
    "spend_28d",
    "spend_56d",
    "spend_91d",
    "overdue_ratio",
];

/// The features of one member at one instant, in the order of [`NAMES`].
///
/// Every value is a correctly rounded quotient or root of integers, so the bits are the same on every machine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FeatureVector(pub [f32; COUNT]);

impl From<&Summary> for FeatureVector {
    fn from(summary: &Summary) -> FeatureVector {
        let trips = summary.trips as f64;
        let spend = money(summary.spend.0);
        let per_trip = if summary.trips == 0 { 0.0 } else { spend / trips };
        let gap_mean = match summary.trips {
            0 | 1 => 0.0,
            _ => days(summary.span) / (trips - 1.0),
        };
        let [t0, t1, t2, t3, t4] = summary.window_trips.map(f64::from);
        let [s0, s1, s2, s3, s4] = summary.window_spend.map(|spend| money(spend.0));
        let row = [
            days(summary.recency),
            days(summary.tenure),
            trips,
            spend,
            per_trip,
            money(summary.spend_max.0),
            deviation(summary.trips, summary.spend.0, summary.spend_squares) / 1e6,
            money(summary.spend_last.0),
            gap_mean,
            days(summary.gap_max),
            deviation(summary.gaps, summary.gap_sum, summary.gap_squares) / DAY as f64,
            t0,
            t1,
            t2,
            t3,
            t4,
            s0,
            s1,
            s2,
            s3,
            s4,
            summary.overdue_ppm() as f64 / 1e6,
        ];
        FeatureVector(row.map(|value| value as f32))
    }
}

impl FeatureVector {
    /// The first eight bytes, big endian, of SHA-256 over the IEEE 754 bits in order, each little endian.
    ///
    /// [`domain::Scores::features`] carries it, so a recorded score names its input.
    pub fn digest(&self) -> u64 {
        let mut bytes = [0; 4 * COUNT];
        for (slot, value) in bytes.chunks_exact_mut(4).zip(self.0) {
            slot.copy_from_slice(&value.to_le_bytes());
        }
        let digest: [u8; 32] = Sha256::digest(bytes).into();
        digest.iter().take(8).fold(0, |word, byte| word << 8 | u64::from(*byte))
    }

    /// The bits, for comparing without rounding.
    pub fn bits(&self) -> [u32; COUNT] {
        self.0.map(f32::to_bits)
    }
}

fn days(micros: i64) -> f64 {
    micros as f64 / DAY as f64
}

fn money(micros: i64) -> f64 {
    micros as f64 / 1e6
}

/// The population standard deviation from exact sums, in the unit of the values; zero below two values.
fn deviation(count: u64, sum: i64, squares: u128) -> f64 {
    if count < 2 {
        return 0.0;
    }
    // n * sum(x^2) - sum(x)^2 is an exact integer; only the final root and quotient round.
    let spread = u128::from(count).saturating_mul(squares).saturating_sub(super::held::square(sum));
    (spread as f64).sqrt() / count as f64
}
