//! What a caller hands to the ledger: entries, budget debits and member snapshots.

use std::sync::Arc;

use domain::{Digest, EventId, MemberId, Micros, Outcome, Reason, Timestamp, Touchpoint};

use crate::kind::Kind;
use crate::seal::Sealed;

/// Largest public body in bytes. A certificate of 64 rewards and 256 segments is about 300 KB, a bundle with
/// all its files below 1 MB; 4 MiB leaves room and still fits a batch in memory.
pub const BODY_BYTES_MAX: usize = 4 << 20;

/// Largest sealed part in bytes. Personal forms are 400-900 bytes; a dead letter holds at most a 16 KiB event.
pub const SEALED_BYTES_MAX: usize = 1 << 20;

/// Longest budget, segment or reward name in bytes. They are repeated on every row.
pub const NAME_BYTES_MAX: usize = 200;

/// Most budget debits on one entry: program, segment, reward, inventory, and room for partner and period budgets.
/// Rows that open the budgets of a whole bundle carry one limit each, so the bound is that of a catalog.
pub const DEBITS_MAX: usize = 1024;

/// The position of a row: 1 for the first, without gaps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(pub u64);

impl Seq {
    /// Before the first row.
    pub const START: Seq = Seq(0);
}

impl std::fmt::Display for Seq {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// One row to be written. Build it with [`Entry::new`] and set what applies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub kind: Kind,
    /// Unique in the ledger; for decisions the decision id.
    pub record_id: [u8; 16],
    /// When it happened, where that differs from when it is recorded.
    pub event_time: Option<Timestamp>,
    pub member: Option<MemberId>,
    /// The event this row answers. At most one row per event id (invariant D-2): a row about a refused
    /// duplicate names the id in its body instead.
    pub event_id: Option<EventId>,
    pub outcome: Option<Outcome>,
    pub reason: Option<Reason>,
    /// Segment and reward by their names in the bundle, so that filters mean the same across bundles.
    pub segment: Option<Arc<str>>,
    pub reward: Option<Arc<str>>,
    pub touchpoint: Option<Touchpoint>,
    pub bundle: Option<Digest>,
    pub models: Option<Digest>,
    /// Canonical JSON without personal values; hashed into the tree in clear.
    pub body: String,
    /// The personal part under the member's key; the tree holds its digest.
    pub sealed: Option<Sealed>,
    pub debits: Vec<Debit>,
    /// The member's state after this row.
    pub snapshot: Option<State>,
}

impl Entry {
    /// An entry of `kind` with a public body and nothing else set.
    pub fn new(kind: Kind, record_id: [u8; 16], body: String) -> Entry {
        Entry {
            kind,
            record_id,
            event_time: None,
            member: None,
            event_id: None,
            outcome: None,
            reason: None,
            segment: None,
            reward: None,
            touchpoint: None,
            bundle: None,
            models: None,
            body,
            sealed: None,
            debits: Vec::new(),
            snapshot: None,
        }
    }
}

/// A change to one budget, inventory or cap, in signed micros (or units).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Debit {
    pub budget: Arc<str>,
    /// Opens the budget or sets its limit, before the changes apply.
    pub limit: Option<Micros>,
    /// Added to what is reserved.
    pub reserved: Micros,
    /// Added to what is committed.
    pub committed: Micros,
    /// Only counted: nobody granted it, it opens by itself without a limit of its own, and is given back as far as it is
    /// held. Whoever limits it does so before the row is made.
    pub count: bool,
}

/// The limit of what is only counted: more than any sum of promises.
pub(crate) const COUNT_LIMIT: Micros = Micros(1 << 60);

impl Debit {
    /// Opens the budget, or changes its limit.
    pub fn limit(budget: Arc<str>, limit: Micros) -> Debit {
        Debit { budget, limit: Some(limit), reserved: Micros::ZERO, committed: Micros::ZERO, count: false }
    }

    /// Holds an amount, e.g. while a person approves.
    pub fn reserve(budget: Arc<str>, amount: Micros) -> Debit {
        Debit { budget, limit: None, reserved: amount, committed: Micros::ZERO, count: false }
    }

    /// Spends an amount that was not reserved before.
    pub fn commit(budget: Arc<str>, amount: Micros) -> Debit {
        Debit { budget, limit: None, reserved: Micros::ZERO, committed: amount, count: false }
    }

    /// Spends an amount that was reserved before.
    pub fn commit_reserved(budget: Arc<str>, amount: Micros) -> Debit {
        Debit { budget, limit: None, reserved: Micros(-amount.0), committed: amount, count: false }
    }

    /// Gives back a reserved amount.
    pub fn release(budget: Arc<str>, amount: Micros) -> Debit {
        Debit { budget, limit: None, reserved: Micros(-amount.0), committed: Micros::ZERO, count: false }
    }

    /// Commits an amount that was reserved (a person approved a promise that waited).
    pub fn settle(budget: Arc<str>, amount: Micros) -> Debit {
        Debit { committed: amount, ..Debit::release(budget, amount) }
    }

    /// Counts an amount until it is counted back.
    pub fn count(budget: Arc<str>, amount: Micros) -> Debit {
        Debit { count: true, ..Debit::reserve(budget, amount) }
    }

    /// Counts an amount back, as far as it is counted.
    pub fn count_back(budget: Arc<str>, amount: Micros) -> Debit {
        Debit { count: true, ..Debit::release(budget, amount) }
    }

    /// Counts an amount for good.
    pub fn count_for_good(budget: Arc<str>, amount: Micros) -> Debit {
        Debit { count: true, ..Debit::commit(budget, amount) }
    }

    /// Gives back a committed amount (a promise expired or was cancelled).
    pub fn give_back(budget: Arc<str>, amount: Micros) -> Debit {
        Debit { budget, limit: None, reserved: Micros::ZERO, committed: Micros(-amount.0), count: false }
    }
}

/// A member's state at some row: a cache of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// The state, sealed under the member's key.
    pub sealed: Sealed,
    /// When the member's next timer is due, if one is set.
    pub next_due: Option<Timestamp>,
}

/// A state written on its own, e.g. when a member is passivated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    pub member: MemberId,
    /// The last row folded into the state.
    pub as_of: Seq,
    pub state: State,
}
