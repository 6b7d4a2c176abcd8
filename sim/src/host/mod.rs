//! The second host: the live node's brains on a virtual clock, driven by a sequence of events.
//!
//! One thread, no ledger, no bus, no clock and no randomness of its own: member agents, segment agents, planner,
//! policy agent, escrow and certificate checker are called one after another, and every message between them
//! arrives at once. What the live host adds from outside is a function of the input here: pseudonyms and
//! decision ids are digests, and models score one row at a time. So the same events, bundle and models give the
//! same decisions bit for bit, and [`Report::digest`] says whether two runs did.
//!
//! The clock stands at the largest event time so far; timers fire between events, at the time they are due.
//! Prices and leases age by the time since the last negotiation, and nothing makes that late: a table is never
//! stale and the planner never silent here.
//!
//! It keeps every member in memory and proves nothing afterwards: that is the ledger's business. Start reading
//! at [`Host::event`], then [`market`], [`admission`], [`census`], [`books`].

mod admission;
mod books;
mod census;
mod market;
mod report;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use agents::check;
use agents::member::{Considered, Promise, Proposed, Release, Step, Turn};
use agents::planner::Imbalance;
use agents::segment::escrow::EscrowError;
use agents::segment::pricing::MessageError;
use agents::segment::{Demand, verdict};
use domain::event::wire::Limits;
use domain::time::DAY;
use domain::{Decision, DecisionId, Digest, Event, Outcome, ScoreSource, Scores, Timestamp};
use models::Models;
use models::features::FeatureVector;
use models::scorer::Score;
use policies::Bundle;

use admission::Admission;
use books::Books;
use census::Census;
use market::Market;
use report::Tally;
pub use report::{Budget, Report};

/// How far from the middle of a file an event may lie: what the live node allows for replayed history.
const AGE_MAX: i64 = 40 * 366 * DAY;

/// How a run is made.
#[derive(Clone, Debug)]
pub struct Options {
    /// Goes into decision ids, so that two runs over the same events can be told apart.
    pub seed: u64,
    /// What an event may claim. Fixed for the run, because no clock says what "now" is.
    pub limits: Limits,
    /// Moments after which prices are negotiated at the latest, as in a live node.
    pub negotiate_moments: u64,
    /// Virtual time after which prices are negotiated at the latest, while moments come in. A live node takes
    /// a tenth of a second; the moments of a file lie minutes apart, so that would be a negotiation each.
    pub negotiate_every_micros: i64,
}

impl Options {
    /// The defaults, for events that lie around `middle`.
    pub fn around(middle: Timestamp) -> Options {
        let limits = Limits { ahead_max_micros: AGE_MAX, age_max_micros: AGE_MAX, ..Limits::at(middle) };
        Options { seed: 0, limits, negotiate_moments: 500, negotiate_every_micros: DAY }
    }
}

/// Why a run cannot go on. All but the first are faults of this program.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the bundle has {segments} segments and {rewards} rewards; at most 64 of each can be negotiated")]
    Shape { segments: usize, rewards: usize },
    #[error("a certificate does not verify: {0}")]
    Certificate(#[from] check::Violation),
    #[error("budgets do not add up: {0}")]
    Imbalance(#[from] Imbalance),
    #[error("escrow and decisions disagree: {0}")]
    Escrow(#[from] EscrowError),
    #[error("a segment agent refuses a message of the planner: {0}")]
    Message(#[from] MessageError),
}

/// The host.
pub struct Host {
    bundle: Arc<Bundle>,
    models: Models,
    models_digest: Digest,
    /// Scores the same models gave before, by the digest of the features.
    known: HashMap<u64, Score>,
    pub misses: u64,
    seed: u64,
    clock: Timestamp,
    admission: Admission,
    census: Census,
    market: Market,
    books: Books,
    tally: Tally,
    /// Decisions since they were last asked for; nobody asks in a plain run.
    made: Option<Vec<Decision>>,
}

impl Host {
    /// A host before the first event.
    ///
    /// # Errors
    /// When the bundle is too large to be negotiated.
    pub fn new(bundle: Arc<Bundle>, models: Models, options: &Options) -> Result<Host, Error> {
        Ok(Host {
            market: Market::new(&bundle, options)?,
            models_digest: models.digest(),
            models,
            known: HashMap::new(),
            misses: 0,
            seed: options.seed,
            clock: Timestamp(i64::MIN),
            admission: Admission::new(options.limits),
            census: Census::default(),
            books: Books::default(),
            tally: Tally::default(),
            made: None,
            bundle,
        })
    }

    /// Takes one event in its wire form: first the timers due by its time, then the event.
    ///
    /// # Errors
    /// When a brain breaks an invariant. An event that cannot be used is counted, not an error.
    pub fn event(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.tally.events += 1;
        match self.admission.admit(bytes) {
            Ok(event) => {
                self.fire_timers(event.event_time)?;
                self.clock = self.clock.max(event.event_time);
                self.handle(&event)
            }
            Err(reason) => {
                self.tally.refused(reason);
                Ok(())
            }
        }
    }

    /// Takes an event that a live node took at `at`, and returns what is decided about it and about the timers
    /// before it.
    ///
    /// # Errors
    /// When a brain breaks an invariant.
    pub fn take(&mut self, event: &Event, at: Timestamp) -> Result<Vec<Decision>, Error> {
        self.tally.events += 1;
        self.made = Some(Vec::new());
        self.fire_timers(at)?;
        self.clock = self.clock.max(at);
        self.handle(event)?;
        Ok(self.made.take().unwrap_or_default())
    }

    /// Remembers a score that the same models gave for features of this digest, so that they need not run again.
    pub fn remember(&mut self, features: u64, score: Score) {
        self.known.insert(features, score);
    }

    /// What the run has come to so far.
    pub fn report(&self) -> Report {
        Report::of(&self.tally, &self.market.tally, &self.books, &self.bundle)
    }

    /// Fires every timer due by `until`, in order of time and member, each at the time it is due.
    fn fire_timers(&mut self, until: Timestamp) -> Result<(), Error> {
        while let Some((due, member)) = self.census.take_due(until) {
            self.clock = self.clock.max(due);
            for event in self.census.due_events(member, self.clock, &self.bundle) {
                self.tally.timers += 1;
                self.handle(&event)?;
            }
        }
        Ok(())
    }

    fn handle(&mut self, event: &Event) -> Result<(), Error> {
        let now = self.clock;
        if let Some(opening) = self.market.stand_ready(now)? {
            self.books.open(&opening);
        }
        let bundle = Arc::clone(&self.bundle);
        let member = self.census.member(event.member, &bundle);
        let step = member.handle(event, now, &bundle, self.market.stops());
        if let Step::Denied(considered, _) | Step::Score(considered) | Step::Unscored(considered) = &step
            && let Some(used) = considered.used.clone()
        {
            self.turn(&used)?;
        }
        match step {
            Step::Observed { release: None } => {}
            Step::Observed { release: Some(release) } => self.turn(&release)?,
            Step::Refused(refusal) => self.tally.refused(refusal.reason),
            Step::Denied(considered, refusal) => {
                let decision = verdict::denied(&considered, refusal, &self.seal(event, &bundle));
                self.decided(&decision)?;
            }
            Step::Score(considered) => {
                let scores = self.score(&considered.features);
                self.propose(*considered, Some(scores))?;
            }
            Step::Unscored(considered) => self.propose(*considered, None)?,
        }
        self.census.remember_due(event.member, &self.bundle);
        Ok(())
    }

    /// One row at a time, so that no answer depends on the company a row is in.
    fn score(&mut self, features: &FeatureVector) -> Scores {
        let digest = features.digest();
        if let Some((ltv_91d, churn_60d)) = self.known.get(&digest).copied() {
            return Scores { ltv_91d, churn_60d, source: ScoreSource::Model, features: digest };
        }
        self.misses += 1;
        let answer = self.models.score(std::slice::from_ref(features)).into_iter().next();
        let (score, source) = match answer {
            Some(Ok(score)) => (score, ScoreSource::Model),
            Some(Err(_)) | None => (models::fallback::score(features), ScoreSource::Fallback),
        };
        self.tally.fallback_scores += u64::from(source == ScoreSource::Fallback);
        let (ltv_91d, churn_60d) = score;
        Scores { ltv_91d, churn_60d, source, features: digest }
    }

    fn propose(&mut self, considered: Considered, scores: Option<Scores>) -> Result<(), Error> {
        let bundle = Arc::clone(&self.bundle);
        let proposal = match considered.propose(scores, &bundle, self.market.stops()) {
            Proposed::NotAMoment(_) => return Ok(()),
            Proposed::Proposal(proposal) => proposal,
        };
        let seal = self.seal(&proposal.considered.event, &bundle);
        let decision = match proposal.segment {
            Err(refusal) => verdict::without_segment(&proposal, refusal, &seal),
            Ok(segment) => self.market.decide(segment, &proposal, &seal),
        };
        self.decided(&decision)
    }

    /// What the live host does once a decision is durable: settle, tell the member, count.
    fn decided(&mut self, decision: &Decision) -> Result<(), Error> {
        self.tally.decided(decision);
        if let Some(made) = &mut self.made {
            made.push(decision.clone());
        }
        self.market.moments += 1;
        let Some(demand) = Demand::of(decision) else { return Ok(()) };
        self.books.promise(&self.bundle, decision, &demand);
        if decision.outcome == Outcome::Granted {
            self.market.settle(&demand)?;
        }
        let (reward, segment) = (self.bundle.reward(demand.reward), self.bundle.segment(demand.segment));
        let stocked = reward.inventory.is_some();
        if let Some(promise) = Promise::of(decision, &reward.id, &segment.id, stocked) {
            self.census.promise(decision.event.member, promise, &self.bundle);
        }
        Ok(())
    }

    /// A promise ended, or a person approved it.
    fn turn(&mut self, release: &Release) -> Result<(), Error> {
        self.tally.ended_unused += u64::from(release.turn == Turn::Unused);
        self.books.turn(release);
        self.market.turn(release, &self.bundle)
    }

    fn seal<'a>(&self, event: &Event, bundle: &'a Bundle) -> verdict::Seal<'a> {
        verdict::Seal {
            id: decision_id(self.seed, event),
            now: self.clock,
            host_now: self.market.negotiated_at(),
            bundle,
            stops: self.market.stops(),
            models: self.models_digest,
        }
    }
}

/// A function of the run and the event: each event leads to one decision at most.
fn decision_id(seed: u64, event: &Event) -> DecisionId {
    let text = format!("largesse/sim/decision/{seed}/{}", event.event_id);
    DecisionId(uuid::Builder::from_custom_bytes(short(&text)).into_uuid())
}

/// The first half of a digest.
fn short(text: &str) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(&Digest::of(text.as_bytes()).0[..16]);
    half
}

/// Runs a whole sequence of events, telling `progress` after each how many are done.
///
/// # Errors
/// When the bundle is too large to be negotiated or a brain breaks an invariant.
pub fn run(
    bundle: Arc<Bundle>,
    models: Models,
    options: &Options,
    events: impl IntoIterator<Item = Vec<u8>>,
    mut progress: impl FnMut(u64),
) -> Result<Report, Error> {
    let mut host = Host::new(bundle, models, options)?;
    for event in events {
        host.event(&event)?;
        progress(host.tally.events);
    }
    Ok(host.report())
}
