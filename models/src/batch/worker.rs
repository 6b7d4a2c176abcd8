//! The two threads of the batching scorer: one runs the models, one watches that it comes back.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use domain::{ScoreSource, Scores};

use super::counters::Counters;
use super::queue::Queue;
use super::{Options, Reply, Scored, Scorer};
use crate::fallback;
use crate::features::FeatureVector;
use crate::scorer::{Fault, Score};

/// Smallest step of waiting for company; shorter sleeps cost more than they gain.
pub(super) const LINGER_STEP: Duration = Duration::from_micros(150);

/// Rows from which waiting for more pays: below, a run costs less than the sleep would add to their latency.
const COMPANY_MIN: usize = 16;

/// A row on its way.
pub(super) struct Request<R> {
    pub(super) row: FeatureVector,
    pub(super) digest: u64,
    pub(super) reply: R,
}

impl<R: Reply> Request<R> {
    pub(super) fn answer(self, score: Result<Score, Fault>, counters: &Counters) {
        let (source, fault) = match score {
            Ok(_) => (ScoreSource::Model, None),
            Err(fault) => (ScoreSource::Fallback, Some(fault)),
        };
        let (ltv_91d, churn_60d) = score.unwrap_or_else(|_| fallback::score(&self.row));
        counters.answered(fault);
        let scores = Scores { ltv_91d, churn_60d, source, features: self.digest };
        let reply = std::panic::AssertUnwindSafe(|| self.reply.reply(Scored { scores, fault }));
        if std::panic::catch_unwind(reply).is_err() {
            counters.reply_panics.fetch_add(1, Relaxed);
        }
    }
}

/// A batch while the models run it; taken by whoever answers it first.
struct Running<R> {
    /// How many runs had come back when it started: it is back once there are more.
    number: u64,
    since: Instant,
    requests: Vec<Request<R>>,
}

/// Whether the models may be asked.
#[derive(Default)]
struct Health {
    late_in_a_row: u32,
    resting_until: Option<Instant>,
}

/// What submitters, the worker and the watcher share.
pub(super) struct Shared<R> {
    pub(super) options: Options,
    pub(super) queue: Queue<Request<R>>,
    running: Mutex<Option<Running<R>>>,
    health: Mutex<Health>,
    failure: Mutex<Option<String>>,
    pub(super) counters: Counters,
}

/// A poisoned lock only means that a callback panicked elsewhere; the data is whole.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<R: Reply> Shared<R> {
    pub(super) fn new(options: Options) -> Shared<R> {
        Shared {
            options,
            queue: Queue::new(options.waiting_max),
            running: Mutex::new(None),
            health: Mutex::new(Health::default()),
            failure: Mutex::new(None),
            counters: Counters::default(),
        }
    }

    /// The worker: takes batches until the queue is closed and empty.
    pub(super) fn work(&self, mut scorer: impl Scorer) {
        let mut rows = Vec::with_capacity(self.options.rows_max);
        while let Some(batch) = self.next_batch() {
            // The watcher may have answered what was waiting.
            if batch.is_empty() {
                continue;
            }
            rows.clear();
            rows.extend(batch.iter().map(|request| request.row));
            let number = self.counters.runs.load(Relaxed);
            *locked(&self.running) = Some(Running { number, since: Instant::now(), requests: batch });
            let run = std::panic::AssertUnwindSafe(|| scorer.score(&rows));
            let scores =
                std::panic::catch_unwind(run).unwrap_or_else(|_| vec![Err(Fault::Failed); rows.len()]);
            self.counters.ran(rows.len());
            if scores.contains(&Err(Fault::Failed)) {
                *locked(&self.failure) = scorer.failure().map(str::to_owned);
            }
            // The guard must not live while callbacks run.
            let running = locked(&self.running).take();
            if let Some(running) = running {
                locked(&self.health).late_in_a_row = 0;
                let faults = std::iter::repeat(Err(Fault::Failed));
                for (request, score) in running.requests.into_iter().zip(scores.into_iter().chain(faults)) {
                    request.answer(score, &self.counters);
                }
            }
        }
    }

    /// What is waiting; when rows come in numbers, waits a little for more.
    fn next_batch(&self) -> Option<Vec<Request<R>>> {
        let Options { rows_max, linger, .. } = self.options;
        let mut waiting = self.queue.wait()?;
        if waiting >= COMPANY_MIN {
            let until = Instant::now() + linger;
            while waiting < rows_max && Instant::now() < until {
                std::thread::sleep(LINGER_STEP.min(linger));
                let before = std::mem::replace(&mut waiting, self.queue.len());
                if waiting == before {
                    break;
                }
            }
        }
        Some(self.queue.take(rows_max))
    }

    /// The watcher: answers batches that run late, until the queue is closed and nothing runs.
    pub(super) fn watch(&self) {
        let step = (self.options.deadline / 4).max(Duration::from_micros(500));
        loop {
            // Dropping the scorer wakes the watcher early.
            std::thread::park_timeout(step);
            let late =
                locked(&self.running).take_if(|running| running.since.elapsed() > self.options.deadline);
            if let Some(late) = late {
                self.rest();
                self.counters.late_runs.fetch_add(1, Relaxed);
                for request in late.requests {
                    request.answer(Err(Fault::Late), &self.counters);
                }
                self.answer_while_stuck(late.number, step);
            }
            if self.queue.is_closed() && self.queue.len() == 0 && locked(&self.running).is_none() {
                return;
            }
        }
    }

    /// While the models do not come back, nothing that waits may wait for them.
    fn answer_while_stuck(&self, number: u64, step: Duration) {
        self.counters.stuck.store(true, Relaxed);
        while self.counters.runs.load(Relaxed) == number {
            for request in self.queue.take(usize::MAX) {
                request.answer(Err(Fault::Late), &self.counters);
            }
            if self.queue.is_closed() {
                break;
            }
            std::thread::park_timeout(step);
        }
        self.counters.stuck.store(false, Relaxed);
    }

    fn rest(&self) {
        let mut health = locked(&self.health);
        health.late_in_a_row += 1;
        if health.late_in_a_row >= self.options.late_max {
            health.late_in_a_row = 0;
            health.resting_until = Some(Instant::now() + self.options.rest);
        }
    }

    pub(super) fn failure(&self) -> Option<String> {
        locked(&self.failure).clone()
    }

    pub(super) fn is_resting(&self) -> bool {
        if self.counters.stuck.load(Relaxed) {
            return true;
        }
        let mut health = locked(&self.health);
        health.resting_until = health.resting_until.filter(|until| Instant::now() < *until);
        health.resting_until.is_some()
    }
}
