//! What a history is made of: purchases held one by one, totals of old ones, changes that came early.

use domain::{Micros, Settlement, Timestamp};

use super::history::Purchase;

/// A purchase held one by one: 24 bytes, because 50,000 members are resident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) time: i64,
    pub(super) id: u64,
    /// `amount * 2 + provisional`.
    pub(super) packed: i64,
}

impl Held {
    pub(super) fn new(purchase: &Purchase) -> Held {
        // Amounts are at most 10^12 micros on the wire; the clamp only keeps a direct caller from overflowing.
        let amount = purchase.amount.0.clamp(i64::MIN / 2, i64::MAX / 2);
        let provisional = i64::from(purchase.settlement == Settlement::Provisional);
        Held { time: purchase.time.0, id: purchase.id, packed: amount * 2 + provisional }
    }

    pub(super) fn amount(self) -> i64 {
        self.packed >> 1
    }

    pub(super) fn provisional(self) -> bool {
        self.packed & 1 == 1
    }

    pub(super) fn key(&self) -> (i64, u64) {
        (self.time, self.id)
    }

    pub(super) fn purchase(self) -> Purchase {
        let settlement = if self.provisional() { Settlement::Provisional } else { Settlement::Settled };
        Purchase { id: self.id, time: Timestamp(self.time), amount: Micros(self.amount()), settlement }
    }
}

/// The totals of purchases that are no longer held one by one; every member commutes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Old {
    pub(super) trips: u64,
    pub(super) spend: i64,
    pub(super) squares: u128,
    pub(super) max: i64,
    pub(super) first: i64,
    pub(super) last: Option<Held>,
}

impl Old {
    pub(super) fn fold(&mut self, held: Held) {
        let amount = held.amount();
        (self.max, self.first) = match self.trips {
            0 => (amount, held.time),
            _ => (self.max.max(amount), self.first.min(held.time)),
        };
        self.trips = self.trips.saturating_add(1);
        self.spend = self.spend.saturating_add(amount);
        self.squares = self.squares.saturating_add(square(amount));
        if self.last.is_none_or(|last| last.key() < held.key()) {
            self.last = Some(held);
        }
    }
}

/// The square of an amount or a gap, in micros squared.
pub(super) fn square(value: i64) -> u128 {
    let absolute = u128::from(value.unsigned_abs());
    absolute * absolute
}

/// A change that came before its purchase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Early {
    pub(super) id: u64,
    pub(super) reversed: bool,
}
