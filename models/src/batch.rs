//! Scores members in batches on a thread of its own, and always answers.
//!
//! [`BatchScorer::submit`] queues a row; one thread takes what is waiting and runs the models once for all of
//! it. Whatever goes wrong (a fault, a full queue, a model that does not come back) the row is answered by the
//! closed form ([`crate::fallback`]) with the fault beside it. A second thread watches the first: when a run
//! exceeds its deadline it takes the batch away and answers it, and the models rest until they return.
//!
//! No async here: the callback carries the answer to wherever the caller lives.

mod counters;
mod queue;

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use domain::{Digest, ScoreSource, Scores};

pub use counters::{Counters, Counts};

use crate::fallback;
use crate::features::FeatureVector;
use crate::scorer::{Fault, Models, Score};
use queue::Queue;

/// Smallest step of waiting for company; shorter sleeps cost more than they gain.
const LINGER_STEP: Duration = Duration::from_micros(150);

/// What scores rows: the models, or in tests something that misbehaves.
pub trait Scorer: Send + 'static {
    /// One answer per row, in order.
    fn score(&mut self, rows: &[FeatureVector]) -> Vec<Result<Score, Fault>>;
}

impl Scorer for Models {
    fn score(&mut self, rows: &[FeatureVector]) -> Vec<Result<Score, Fault>> {
        Models::score(self, rows)
    }
}

/// Takes the answer of one row. It runs on a scoring thread and must not block.
pub trait Reply: Send + 'static {
    /// Takes the answer.
    fn reply(self, scored: Scored);
}

impl<F: FnOnce(Scored) + Send + 'static> Reply for F {
    fn reply(self, scored: Scored) {
        self(scored);
    }
}

/// The answer of one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scored {
    /// What goes into the decision record.
    pub scores: Scores,
    /// Why the closed form answered; the decision's reason is then `MODEL_UNAVAILABLE`.
    pub fault: Option<Fault>,
}

/// How rows are batched and how long the models may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Most rows of one run. The cost per row is flat beyond 256 on both engines.
    pub rows_max: usize,
    /// Longest wait for company once rows come in numbers; a lone row never waits.
    pub linger: Duration,
    /// Most rows waiting; more are answered by the closed form at once. 8,192 rows are 0.2 s of work at 40,000
    /// rows a second: beyond that an answer would come too late for its decision.
    pub waiting_max: usize,
    /// Longest run of the models. A batch of 256 takes under 1 ms, so only a stuck model or a starved machine
    /// needs longer; a decision has 50 ms in all.
    pub deadline: Duration,
    /// Late runs in a row after which the models rest.
    pub late_max: u32,
    /// How long they rest.
    pub rest: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            rows_max: 256,
            linger: Duration::from_millis(1),
            waiting_max: 8_192,
            deadline: Duration::from_millis(40),
            late_max: 3,
            rest: Duration::from_secs(1),
        }
    }
}

/// A row on its way.
struct Request<R> {
    row: FeatureVector,
    digest: u64,
    reply: R,
}

impl<R: Reply> Request<R> {
    fn answer(self, score: Result<Score, Fault>, counters: &Counters) {
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
struct Shared<R> {
    options: Options,
    queue: Queue<Request<R>>,
    running: Mutex<Option<Running<R>>>,
    health: Mutex<Health>,
    counters: Counters,
}

/// A poisoned lock only means that a callback panicked elsewhere; the data is whole.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Scores members in batches. `R` is what takes an answer, by default any callback.
pub struct BatchScorer<R: Reply = Box<dyn FnOnce(Scored) + Send>> {
    shared: Arc<Shared<R>>,
    digest: Digest,
    threads: Vec<JoinHandle<()>>,
}

impl<R: Reply> BatchScorer<R> {
    /// Starts the two threads around loaded models.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub fn start(models: Models, options: Options) -> std::io::Result<BatchScorer<R>> {
        let digest = models.digest();
        BatchScorer::start_with(models, digest, options)
    }

    /// Starts around any scorer, whose answers are recorded under `digest`.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub fn start_with(
        scorer: impl Scorer,
        digest: Digest,
        options: Options,
    ) -> std::io::Result<BatchScorer<R>> {
        let shared = Arc::new(Shared {
            options,
            queue: Queue::new(options.waiting_max),
            running: Mutex::new(None),
            health: Mutex::new(Health::default()),
            counters: Counters::default(),
        });
        let (worker, watcher) = (Arc::clone(&shared), Arc::clone(&shared));
        let spawn = |name: &str, work: Box<dyn FnOnce() + Send>| {
            std::thread::Builder::new().name(name.to_owned()).spawn(work)
        };
        let threads = vec![
            spawn("scorer", Box::new(move || worker.work(scorer)))?,
            spawn("scorer-watch", Box::new(move || watcher.watch()))?,
        ];
        Ok(BatchScorer { shared, digest, threads })
    }

    /// Queues a row. `reply` is called exactly once: on a scoring thread, or at once on this thread when the
    /// queue is full or the models rest.
    pub fn submit(&self, row: FeatureVector, reply: R) {
        let request = Request { digest: row.digest(), row, reply };
        if self.shared.is_resting() {
            request.answer(Err(Fault::Resting), &self.shared.counters);
        } else if let Err(refused) = self.shared.queue.push(request) {
            refused.answer(Err(Fault::Overloaded), &self.shared.counters);
        }
    }

    /// The digest under which the models' answers are recorded.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// What happened so far.
    pub fn counts(&self) -> Counts {
        self.shared.counters.counts()
    }

    /// Rows that wait for a run.
    pub fn waiting(&self) -> usize {
        self.shared.queue.len()
    }
}

impl<R: Reply> Drop for BatchScorer<R> {
    /// Answers what is queued and stops. A worker stuck in the engine is left behind: nothing can stop it.
    fn drop(&mut self) {
        self.shared.queue.close();
        let deadline = Instant::now() + 4 * self.shared.options.deadline;
        for thread in self.threads.drain(..) {
            while !thread.is_finished() && Instant::now() < deadline {
                thread.thread().unpark();
                std::thread::sleep(LINGER_STEP);
            }
            if thread.is_finished() {
                _ = thread.join();
            }
        }
    }
}

impl<R: Reply> Shared<R> {
    /// The worker: takes batches until the queue is closed and empty.
    fn work(&self, mut scorer: impl Scorer) {
        let mut rows = Vec::with_capacity(self.options.rows_max);
        let mut company = false;
        while let Some(batch) = self.next_batch(company) {
            // The watcher may have answered what was waiting.
            if batch.is_empty() {
                continue;
            }
            company = batch.len() > 1;
            rows.clear();
            rows.extend(batch.iter().map(|request| request.row));
            let number = self.counters.runs.load(Relaxed);
            *locked(&self.running) = Some(Running { number, since: Instant::now(), requests: batch });
            let run = std::panic::AssertUnwindSafe(|| scorer.score(&rows));
            let scores =
                std::panic::catch_unwind(run).unwrap_or_else(|_| vec![Err(Fault::Failed); rows.len()]);
            self.counters.ran(rows.len());
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
    fn next_batch(&self, company: bool) -> Option<Vec<Request<R>>> {
        let Options { rows_max, linger, .. } = self.options;
        let mut waiting = self.queue.wait()?;
        if company || waiting > 1 {
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
    fn watch(&self) {
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

    fn is_resting(&self) -> bool {
        if self.counters.stuck.load(Relaxed) {
            return true;
        }
        let mut health = locked(&self.health);
        health.resting_until = health.resting_until.filter(|until| Instant::now() < *until);
        health.resting_until.is_some()
    }
}
