//! Counters and latencies of one node. Labels never carry a member (invariant P-1).

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use domain::Outcome;
use hdrhistogram::Histogram;

/// Longest latency kept apart, in microseconds: ten minutes; anything slower counts as that.
const LATENCY_MAX_US: u64 = 600_000_000;

/// When each stage of one event ended.
#[derive(Clone, Copy, Debug)]
pub struct Stamps {
    pub received: Instant,
    /// The member agent folded the event.
    pub folded: Instant,
    /// Scores arrived (equals `folded` when none were needed).
    pub scored: Instant,
    /// The decision was made and rendered.
    pub decided: Instant,
    /// Its row was durable.
    pub committed: Instant,
}

impl Stamps {
    /// All stages at the time of arrival.
    pub fn at(received: Instant) -> Stamps {
        Stamps { received, folded: received, scored: received, decided: received, committed: received }
    }
}

/// The stages reports show, in order.
pub const STAGES: [&str; 6] = ["intake+fold", "score", "decide", "commit", "publish", "total"];

/// p50 and p99 of one stage, in microseconds.
#[derive(Clone, Copy, Debug, Default, serde::Serialize)]
pub struct Quantiles {
    pub p50: u64,
    pub p99: u64,
}

struct Latencies {
    stages: Vec<Histogram<u64>>,
}

macro_rules! counters {
    ($($name:ident: $doc:literal,)*) => {
        /// What happened so far.
        #[derive(Default)]
        pub struct Counters { $(#[doc = $doc] pub $name: AtomicU64,)* }

        /// [`Counters`] at one moment.
        #[derive(Clone, Debug, Default, serde::Serialize)]
        pub struct CountersSnapshot { $(#[doc = $doc] pub $name: u64,)* }

        impl Counters {
            /// The present values.
            pub fn snapshot(&self) -> CountersSnapshot {
                CountersSnapshot { $($name: self.$name.load(Ordering::Relaxed),)* }
            }
        }
    };
}

counters! {
    received: "Deliveries received.",
    in_flight: "Units of work admitted and not yet done.",
    duplicates: "Redeliveries answered with the stored row.",
    dead_letters: "Events refused with a coded reason.",
    observed: "Events that only changed facts.",
    moments: "Moments decided.",
    granted: "Decisions by outcome: granted.",
    none: "Decisions by outcome: none.",
    suppressed: "Decisions by outcome: suppressed.",
    denied: "Decisions by outcome: denied.",
    control: "Decisions by outcome: control.",
    pending: "Decisions by outcome: pending.",
    fallback: "Decisions by outcome: fallback.",
    negotiations: "Negotiations concluded.",
    certified: "Negotiations that ended with a certified gap.",
    planner_fallbacks: "Negotiations that ended in a named fallback.",
    published: "Rewards published.",
    activations: "Member agents activated.",
    passivations: "Member agents passivated.",
    restarts: "Member agents restarted after a panic.",
    fallback_scores: "Moments scored by the closed-form fallback.",
    commits: "Ledger transactions.",
    records: "Ledger rows committed.",
    commit_us: "Time spent committing, in microseconds.",
    max_gap_ppm: "Largest certified optimality gap, in parts per million.",
}

/// Counters and latencies of one node.
pub struct Metrics {
    pub counters: Counters,
    latencies: Mutex<Latencies>,
}

impl Default for Metrics {
    fn default() -> Metrics {
        let histogram = || {
            // 1 us to ten minutes at three digits is within the library's limits, so this cannot fail.
            Histogram::new_with_bounds(1, LATENCY_MAX_US, 3)
                .unwrap_or_else(|_| Histogram::new_from(&fallback()))
        };
        let stages = STAGES.iter().map(|_| histogram()).collect();
        Metrics { counters: Counters::default(), latencies: Mutex::new(Latencies { stages }) }
    }
}

fn fallback() -> Histogram<u64> {
    #[expect(clippy::expect_used, reason = "three significant digits are always valid")]
    Histogram::new(3).expect("three digits are valid")
}

impl Metrics {
    /// Adds one.
    pub fn count(&self, counter: impl Fn(&Counters) -> &AtomicU64) {
        counter(&self.counters).fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a decision by its outcome.
    pub fn decided(&self, outcome: Outcome) {
        self.count(|c| &c.moments);
        self.count(|c| match outcome {
            Outcome::Granted => &c.granted,
            Outcome::None => &c.none,
            Outcome::Suppressed => &c.suppressed,
            Outcome::Denied => &c.denied,
            Outcome::Control => &c.control,
            Outcome::Pending => &c.pending,
            Outcome::Fallback => &c.fallback,
        });
    }

    /// Forgets the latencies so far, e.g. after warming up.
    pub fn restart_latencies(&self) {
        let mut latencies = self.latencies.lock().unwrap_or_else(PoisonError::into_inner);
        for histogram in &mut latencies.stages {
            histogram.reset();
        }
    }

    /// Records the stages of a batch of events that ended now.
    pub fn finished(&self, batch: &[Stamps]) {
        let now = Instant::now();
        let mut latencies = self.latencies.lock().unwrap_or_else(PoisonError::into_inner);
        for stamps in batch {
            let stages = [
                stamps.folded.saturating_duration_since(stamps.received),
                stamps.scored.saturating_duration_since(stamps.folded),
                stamps.decided.saturating_duration_since(stamps.scored),
                stamps.committed.saturating_duration_since(stamps.decided),
                now.saturating_duration_since(stamps.committed),
                now.saturating_duration_since(stamps.received),
            ];
            for (histogram, stage) in latencies.stages.iter_mut().zip(stages) {
                histogram.saturating_record(micros(stage));
            }
        }
    }

    /// p50 and p99 of each of [`STAGES`].
    pub fn quantiles(&self) -> Vec<(&'static str, Quantiles)> {
        let latencies = self.latencies.lock().unwrap_or_else(PoisonError::into_inner);
        let quantiles = latencies.stages.iter().map(|histogram| Quantiles {
            p50: histogram.value_at_quantile(0.50),
            p99: histogram.value_at_quantile(0.99),
        });
        STAGES.into_iter().zip(quantiles).collect()
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(LATENCY_MAX_US).clamp(1, LATENCY_MAX_US)
}
