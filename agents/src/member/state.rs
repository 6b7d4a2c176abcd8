//! What a member agent remembers between events: a cache of the member's own rows in the ledger.
//!
//! The same events in the same order give the same state, so a snapshot is only a shortcut: loading a member
//! is the newest snapshot plus a fold of the rows after it.

use std::sync::Arc;

use domain::{Decision, DecisionId, EventId, MemberId, Micros, Outcome, Purpose, Timestamp};
use models::features::History;
use serde::{Deserialize, Serialize};

/// Version of the snapshot document; another version is not read but rebuilt from the log.
pub const SNAPSHOT_VERSION: u32 = 2;

/// Promises kept in a member's state: as many as the policy checker lets caps look back on; older ones leave
/// first.
pub const PROMISES_MAX: usize = policies::GRANTS_MAX;

/// Where a promise stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PromiseState {
    /// Waits for a person's approval; the member was told nothing yet.
    Pending,
    Open,
    Redeemed,
    Expired,
    Cancelled,
}

impl PromiseState {
    /// Whether the promise still holds budget.
    pub fn is_open(self) -> bool {
        matches!(self, PromiseState::Pending | PromiseState::Open)
    }
}

/// What the member was told, or will be once a person approves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promise {
    pub decision: DecisionId,
    /// The reward's id in its catalog; ids outlive bundles, positions do not.
    pub reward: Arc<str>,
    /// The segment whose budget carries it.
    pub segment: Arc<str>,
    pub granted_at: Timestamp,
    pub valid_until: Timestamp,
    pub cost: Micros,
    pub state: PromiseState,
    /// It took a unit of a stock, which goes back when it ends unused: a later policy may limit what this one did not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stocked: bool,
}

/// Something a member or the program turns on and off. The newest say counts, by when it was said and not by when
/// it arrived: an objection is not undone by an older consent that was delivered late.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Switch {
    pub on: bool,
    said_at: Option<Timestamp>,
}

impl Switch {
    /// How it stands before anybody said anything.
    pub fn initially(on: bool) -> Switch {
        Switch { on, said_at: None }
    }

    /// Takes a say of this time; of two at the same time the later arrival counts.
    pub fn set(&mut self, on: bool, at: Timestamp) {
        if self.said_at.is_none_or(|said_at| at >= said_at) {
            *self = Switch { on, said_at: Some(at) };
        }
    }
}

/// Everything a member agent knows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    pub version: u32,
    pub member: MemberId,
    /// Purchases, with their settlement.
    pub history: History,
    pub consent_marketing: Switch,
    pub consent_profiling: Switch,
    pub objected: Switch,
    pub minor: Switch,
    pub complaint_open: Switch,
    pub complaint_at: Option<Timestamp>,
    pub refund_at: Option<Timestamp>,
    pub sensitive_at: Option<Timestamp>,
    pub promises: Vec<Promise>,
    /// The longest quiet timer that already fired since the last purchase, in days.
    pub quiet_fired_days: u16,
    /// Events folded so far.
    pub events: u64,
    /// The last of them: a stored state holds up to its row, whatever stands beside it. States of earlier builds have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_event: Option<EventId>,
}

impl State {
    /// A member seen for the first time, with the consents the program's enrolment terms give.
    pub fn new(member: MemberId, consents: &[Purpose]) -> State {
        State {
            version: SNAPSHOT_VERSION,
            member,
            history: History::new(),
            consent_marketing: Switch::initially(consents.contains(&Purpose::PersonalisedMarketing)),
            consent_profiling: Switch::initially(consents.contains(&Purpose::Profiling)),
            objected: Switch::default(),
            minor: Switch::default(),
            complaint_open: Switch::default(),
            complaint_at: None,
            refund_at: None,
            sensitive_at: None,
            promises: Vec::new(),
            quiet_fired_days: 0,
            events: 0,
            last_event: None,
        }
    }

    /// The state in a snapshot, or `None` when the snapshot is of another version.
    pub fn from_snapshot(bytes: &[u8]) -> Option<State> {
        serde_json::from_slice(bytes).ok().filter(|state: &State| state.version == SNAPSHOT_VERSION)
    }

    /// Whether this is the state as of an event: states of earlier builds do not say, and are taken at their word.
    pub fn is_as_of(&self, event: Option<&EventId>) -> bool {
        self.last_event.is_none() || self.last_event.as_ref() == event
    }

    /// The snapshot of this state.
    pub fn snapshot(&self) -> Vec<u8> {
        // Serialising plain values into memory cannot fail; an empty snapshot would be rebuilt from the log.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Whether models may run and personal facts may be read for this purpose (invariant E-3).
    pub fn allows(&self, purpose: Purpose) -> bool {
        let consented = match purpose {
            Purpose::PersonalisedMarketing => self.consent_marketing,
            Purpose::Profiling => self.consent_profiling,
        };
        consented.on && !self.objected.on
    }

    /// Remembers a promise, forgetting the oldest closed one beyond [`PROMISES_MAX`].
    pub fn promise(&mut self, promise: Promise) {
        if self.promises.len() >= PROMISES_MAX {
            let oldest = self.promises.iter().position(|promise| !promise.state.is_open()).unwrap_or(0);
            self.promises.remove(oldest);
        }
        self.promises.push(promise);
    }

    /// Promises that hold budget: not yet used, expired or cancelled.
    pub fn open_promises(&self) -> impl Iterator<Item = &Promise> {
        self.promises.iter().filter(|promise| promise.state.is_open())
    }
}

impl Promise {
    /// The promise a recorded decision makes, `None` when it makes none. `reward` and `segment` are the ids in
    /// the bundle the decision was made under, `stocked` whether it limited the reward's stock.
    pub fn of(decision: &Decision, reward: &str, segment: &str, stocked: bool) -> Option<Promise> {
        let state = match decision.outcome {
            Outcome::Granted => PromiseState::Open,
            Outcome::Pending => PromiseState::Pending,
            Outcome::None | Outcome::Suppressed | Outcome::Denied | Outcome::Control | Outcome::Fallback => {
                return None;
            }
        };
        Some(Promise {
            decision: decision.id,
            reward: reward.into(),
            segment: segment.into(),
            granted_at: decision.decided_at,
            valid_until: decision.valid_until?,
            cost: decision.cost,
            state,
            stocked,
        })
    }
}
