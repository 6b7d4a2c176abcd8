//! The member agent: one per member, deciding in values.
//!
//! An event comes in with the host's time; out comes a [`Step`]: a row that only changes facts, a refusal, a
//! decision that needed no model, or a row of features to be scored. With the scores, [`Considered::propose`]
//! values every candidate and makes the [`Proposal`] for the segment agent. The agent never prices, never
//! spends, never does I/O and never reads a clock.
//!
//! Start at [`Member::handle`].

pub mod facts;
pub mod fold;
pub mod proposal;
mod rows;
pub mod state;
pub mod timers;

use std::sync::Arc;

use domain::event::wire::Refusal;
use domain::facts::Field;
use domain::{Event, Facts, Purpose, Timestamp};
use models::features::FeatureVector;
use policies::{Bundle, MomentIndex, Stops};

pub use fold::{Release, Turn};
pub use proposal::{Proposal, Proposed};
pub use state::{Promise, PromiseState, State};

/// A member agent.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// Shared with whoever writes it down; changed by copy on write.
    pub state: Arc<State>,
}

/// What one event leads to.
#[derive(Clone, Debug)]
pub enum Step {
    /// The event changed facts only; `release` says which promise ended with it, or was approved.
    Observed { release: Option<Release> },
    /// The event cannot be folded.
    Refused(Refusal),
    /// A moment at which no model may run: law, consent, control of the program.
    Denied(Box<Considered>, policies::Refusal),
    /// A moment: score the row, then call [`Considered::propose`].
    Score(Box<Considered>),
    /// A moment of a member who may be addressed but not scored: call [`Considered::propose`] without scores.
    Unscored(Box<Considered>),
}

/// A moment under consideration: the member's side of it, frozen at the event.
#[derive(Clone, Debug)]
pub struct Considered {
    pub event: Event,
    /// The host's time when the event was handled.
    pub now: Timestamp,
    /// The first moment the event starts.
    pub moment: MomentIndex,
    /// Everything but scores.
    pub facts: Facts,
    /// The row to score; zeros when no model may run.
    pub features: FeatureVector,
    /// The member's promises, for caps.
    pub grants: Vec<policies::Grant>,
    /// Whether the member is in the control group.
    pub control: bool,
    /// Purchases per week, in Q16: the pace at which further moments can be expected.
    pub weekly_visits_q16: i64,
    /// The promise this event used, where it did.
    pub used: Option<Release>,
}

impl Member {
    /// A member seen for the first time.
    pub fn enrol(member: domain::MemberId, bundle: &Bundle) -> Member {
        let terms = bundle.program().consent_at_enrolment;
        let consents: Vec<Purpose> = [Purpose::PersonalisedMarketing, Purpose::Profiling]
            .into_iter()
            .filter(|purpose| terms.contains(*purpose))
            .collect();
        Member::from_state(State::new(member, &consents))
    }

    /// A member as the ledger remembers it.
    pub fn from_state(state: State) -> Member {
        Member { state: Arc::new(state) }
    }

    /// Handles one event at the host's time `now`.
    pub fn handle(&mut self, event: &Event, now: Timestamp, bundle: &Bundle, stops: Stops) -> Step {
        let release = match Arc::make_mut(&mut self.state).fold(event) {
            Ok(release) => release,
            Err(refusal) => return Step::Refused(refusal),
        };
        if release.as_ref().is_some_and(|release| release.turn != Turn::Used) {
            // The end of an unused promise, or a person's answer, moves budget with its row; it is never itself a moment.
            return Step::Observed { release };
        }
        let mut facts = Facts::default();
        facts::put_now(&mut facts, now, bundle);
        facts::put_event(&mut facts, event, now);
        self.state.put_open(&mut facts, now);
        facts.set(Field::MemberVariant, i64::from(bundle.variant_of(event.member)));
        let Some(moment) = bundle.triggered(&facts) else { return Step::Observed { release } };
        let mut considered = Considered {
            event: event.clone(),
            now,
            moment,
            facts,
            features: FeatureVector([0.0; models::features::COUNT]),
            grants: self.state.grants(bundle, now),
            control: bundle.is_control(event.member, now),
            weekly_visits_q16: 0,
            used: release,
        };
        if let Err(refusal) = bundle.gate_before_scores(&considered.facts, stops) {
            return Step::Denied(Box::new(considered), refusal);
        }
        let marketing = self.state.allows(Purpose::PersonalisedMarketing);
        let profiling = self.state.allows(Purpose::Profiling);
        if marketing || profiling {
            let summary = self.state.history.summary(now);
            self.state.put_personal(&mut considered.facts, &summary, now);
            // The last 13 weeks, with half a visit added so that nobody's pace is zero.
            considered.weekly_visits_q16 = ((2 * i64::from(summary.trips_91d()) + 1) << 16) / 26;
            if profiling {
                considered.features = FeatureVector::from(&summary);
                return Step::Score(Box::new(considered));
            }
        }
        Step::Unscored(Box::new(considered))
    }
}
