//! What a benchmark run says.

use serde::Serialize;

/// The result of one instance, as printed.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Value of everything promised.
    pub value_micros: i64,
    /// Value as a percentage of the best possible in hindsight, where that is known or was computed.
    pub pct_of_optimum: Option<f64>,
    /// Money promised as a share of the global limit in force at the end.
    pub spend_share: f64,
    pub rounds_mean: f64,
    pub rounds_max: u32,
    /// Share of negotiations that ended `Certified`.
    pub certified_share: f64,
    /// Promises beyond any limit in force, counted by the host's own books.
    pub overspend_count: u32,
    /// Mean time of a decision with its reservation.
    pub ns_per_decision: f64,
    /// Mean time of a negotiation, every segment's answers included.
    pub ms_per_negotiation: f64,
    /// The slowest one in a hundred.
    pub ms_per_negotiation_p99: f64,
    pub negotiations: u32,
    /// Negotiations that ended `Bounded`.
    pub bounded: u32,
    /// Negotiations that ended in a named fallback.
    pub fallbacks: u32,
    /// Certificates, anchors included.
    pub certificates: u32,
    /// Those that the independent checker confirmed.
    pub certificates_verified: u32,
}

/// What is counted while an instance runs.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub rounds: Vec<u32>,
    pub certified: u32,
    pub bounded: u32,
    pub fallbacks: u32,
    pub certificates: u32,
    pub verified: u32,
    /// Nanoseconds.
    pub negotiation_times: Vec<u64>,
    pub decision_nanos: u64,
    pub decisions: u64,
    pub imbalances: u32,
}

impl Tally {
    /// Mean and largest number of rounds.
    pub fn rounds(&self) -> (f64, u32) {
        let sum: u32 = self.rounds.iter().sum();
        (f64::from(sum) / self.rounds.len().max(1) as f64, self.rounds.iter().copied().max().unwrap_or(0))
    }

    /// Mean and 99th percentile of negotiation times in milliseconds.
    pub fn negotiation_ms(&self) -> (f64, f64) {
        let mut times = self.negotiation_times.clone();
        times.sort_unstable();
        let mean = times.iter().sum::<u64>() as f64 / times.len().max(1) as f64;
        let p99 =
            times.get((times.len() * 99 / 100).min(times.len().saturating_sub(1))).copied().unwrap_or(0);
        (mean / 1e6, p99 as f64 / 1e6)
    }
}
