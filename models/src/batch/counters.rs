//! What the scorer counts; every count is monotone, `stuck` is a state.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};

use crate::scorer::Fault;

/// Live counters.
#[derive(Default)]
pub struct Counters {
    pub(super) by_model: AtomicU64,
    pub(super) by_fallback: AtomicU64,
    pub(super) runs: AtomicU64,
    pub(super) rows_run: AtomicU64,
    pub(super) late_runs: AtomicU64,
    pub(super) overloaded: AtomicU64,
    pub(super) reply_panics: AtomicU64,
    pub(super) stuck: AtomicBool,
}

/// A reading of the counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    /// Rows answered by the models.
    pub by_model: u64,
    /// Rows answered by the closed form, for whatever fault.
    pub by_fallback: u64,
    /// Runs of the models that came back, late ones included.
    pub runs: u64,
    /// Rows of those runs.
    pub rows_run: u64,
    /// Runs that exceeded the deadline.
    pub late_runs: u64,
    /// Rows refused because the queue was full.
    pub overloaded: u64,
    /// Callbacks that panicked.
    pub reply_panics: u64,
    /// A run has exceeded its deadline and has not come back yet.
    pub stuck: bool,
}

impl Counters {
    pub(super) fn answered(&self, fault: Option<Fault>) {
        let counter = if fault.is_none() { &self.by_model } else { &self.by_fallback };
        counter.fetch_add(1, Relaxed);
        self.overloaded.fetch_add(u64::from(fault == Some(Fault::Overloaded)), Relaxed);
    }

    pub(super) fn ran(&self, rows: usize) {
        self.runs.fetch_add(1, Relaxed);
        self.rows_run.fetch_add(rows as u64, Relaxed);
    }

    pub(super) fn counts(&self) -> Counts {
        Counts {
            by_model: self.by_model.load(Relaxed),
            by_fallback: self.by_fallback.load(Relaxed),
            runs: self.runs.load(Relaxed),
            rows_run: self.rows_run.load(Relaxed),
            late_runs: self.late_runs.load(Relaxed),
            overloaded: self.overloaded.load(Relaxed),
            reply_panics: self.reply_panics.load(Relaxed),
            stuck: self.stuck.load(Relaxed),
        }
    }
}
