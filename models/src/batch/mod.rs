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
mod worker;

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use domain::{Digest, Scores};

pub use counters::{Counters, Counts};

use crate::features::FeatureVector;
use crate::scorer::{Fault, Models, Score};
use worker::{LINGER_STEP, Request, Shared};

/// What scores rows: the models, or in tests something that misbehaves.
pub trait Scorer: Send + 'static {
    /// One answer per row, in order.
    fn score(&mut self, rows: &[FeatureVector]) -> Vec<Result<Score, Fault>>;

    /// Why it last failed, for operators.
    fn failure(&self) -> Option<&str> {
        None
    }
}

impl Scorer for Models {
    fn score(&mut self, rows: &[FeatureVector]) -> Vec<Result<Score, Fault>> {
        Models::score(self, rows)
    }

    fn failure(&self) -> Option<&str> {
        Models::failure(self)
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
    /// Longest wait for company once rows come in numbers; a few rows never wait.
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
        let shared = Arc::new(Shared::new(options));
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

    /// What the engine said when it last failed.
    pub fn failure(&self) -> Option<String> {
        self.shared.failure()
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
