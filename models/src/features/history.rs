//! A member's purchases, folded one at a time into bounded state.
//!
//! Purchases of the last [`RETAIN_DAYS`] days (counted back from the newest one ever seen) are held one by
//! one, sorted by time and id; older ones are folded into integer totals. Both are the same whatever the
//! order of arrival, so a late or re-ordered event gives the same features as an early one. A purchase that
//! is held can be taken back exactly; one that was folded cannot, and the answer says so.

use domain::{Micros, Settlement, Timestamp};

use super::held::{Early, Held, Old};
use super::summary::Summary;
use super::vector::FeatureVector;

/// Days of purchases held one by one.
///
/// Twice the longest window of the contract (91 days): a purchase can arrive or be taken back a full window
/// late and every windowed feature is still exact.
pub const RETAIN_DAYS: i64 = 182;

/// Most purchases held one by one; beyond it the oldest fold early.
///
/// More than five a day for 182 days. The busiest household of the shipped data makes about two a day, so
/// this bounds a broken or hostile producer (24 KiB per member), not a person.
pub const HELD_MAX: usize = 1024;

/// Most reversals and settlements remembered while their purchase has not arrived; beyond it the oldest is
/// forgotten. Producers reorder within seconds, so a handful is ever in flight for one member.
pub const WAITING_MAX: usize = 32;

/// One purchase as the history takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Purchase {
    /// 64 bits of the event id ([`domain::EventId::hash64`]).
    pub id: u64,
    /// When it happened.
    pub time: Timestamp,
    /// What was paid.
    pub amount: Micros,
    /// Whether it may still be taken back.
    pub settlement: Settlement,
}

/// What became of a purchase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Folded {
    /// Held one by one; it can be taken back exactly.
    Held,
    /// Older than [`RETAIN_DAYS`]: folded into the totals for good.
    Old,
    /// The same id and time is already held; nothing changed.
    Duplicate,
    /// It was reversed before it arrived; nothing was counted.
    Reversed,
}

/// What became of a reversal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reversal {
    /// The purchase was taken out, as if it had never happened.
    Removed(Purchase),
    /// The purchase is not held: not yet arrived (then it will be ignored), or folded long ago.
    Waiting,
}

/// What became of a settlement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settling {
    /// The purchase was provisional and is now final.
    Settled,
    /// The purchase was final already.
    Already,
    /// The purchase is not held; when it arrives it counts as settled.
    Waiting,
}

/// A member's purchases.
///
/// Equal sets of purchases, settlements and reversals give equal histories, whatever the order (as long as
/// each reversal finds its purchase within the bounds above).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    /// The newest purchase time ever seen, reversed or not; what is old is measured from here.
    pub(super) newest: i64,
    pub(super) old: Old,
    /// Sorted by (time, id).
    pub(super) held: Vec<Held>,
    /// Sorted by arrival.
    pub(super) waiting: Vec<Early>,
}

impl Default for History {
    fn default() -> History {
        History { newest: i64::MIN, old: Old::default(), held: Vec::new(), waiting: Vec::new() }
    }
}

impl History {
    /// A member without purchases.
    pub fn new() -> History {
        History::default()
    }

    /// Folds a purchase, however late it comes.
    pub fn purchase(&mut self, purchase: Purchase) -> Folded {
        let mut held = Held::new(&purchase);
        self.newest = self.newest.max(held.time);
        let early = self.take_waiting(held.id);
        let folded = if purchase.settlement == Settlement::Reversed || early == Some(true) {
            Folded::Reversed
        } else {
            held.packed -= i64::from(held.provisional() && early.is_some());
            self.insert(held)
        };
        self.fold_old();
        folded
    }

    /// Takes a purchase back in full.
    pub fn reverse(&mut self, id: u64) -> Reversal {
        match self.held.iter().rposition(|held| held.id == id) {
            Some(index) => Reversal::Removed(self.held.remove(index).purchase()),
            None => {
                self.wait(Early { id, reversed: true });
                Reversal::Waiting
            }
        }
    }

    /// Makes a provisional purchase final.
    pub fn settle(&mut self, id: u64) -> Settling {
        match self.held.iter_mut().rfind(|held| held.id == id) {
            Some(held) if held.provisional() => {
                held.packed -= 1;
                Settling::Settled
            }
            Some(_) => Settling::Already,
            None => {
                self.wait(Early { id, reversed: false });
                Settling::Waiting
            }
        }
    }

    /// The integers of the contract at `as_of`.
    pub fn summary(&self, as_of: Timestamp) -> Summary {
        Summary::of(self, as_of)
    }

    /// The features at `as_of`. A purchase dated after `as_of` (clock skew) counts as made at `as_of`.
    pub fn features(&self, as_of: Timestamp) -> FeatureVector {
        FeatureVector::from(&self.summary(as_of))
    }

    /// Whether no purchase counts.
    pub fn is_empty(&self) -> bool {
        self.old.trips == 0 && self.held.is_empty()
    }

    /// Purchases that may still be taken back.
    pub fn provisional(&self) -> usize {
        self.held.iter().filter(|held| held.provisional()).count()
    }

    /// When the last purchase that counts was made.
    pub fn last_purchase(&self) -> Option<Timestamp> {
        self.last().map(|held| Timestamp(held.time))
    }

    /// Time and amount of the newest purchases that are held one by one, the newest first.
    pub fn newest(&self, most: usize) -> impl Iterator<Item = (Timestamp, Micros)> {
        self.held.iter().rev().take(most).map(|held| {
            let purchase = held.purchase();
            (purchase.time, purchase.amount)
        })
    }

    /// When the first purchase that counts was made.
    pub fn first_purchase(&self) -> Option<Timestamp> {
        let old = (self.old.trips > 0).then_some(self.old.first);
        old.or_else(|| self.held.first().map(|held| held.time)).map(Timestamp)
    }

    pub(super) fn last(&self) -> Option<Held> {
        self.held.last().copied().or(self.old.last)
    }

    fn insert(&mut self, held: Held) -> Folded {
        if held.time < self.cutoff() {
            self.old.fold(held);
            return Folded::Old;
        }
        // Almost every purchase is the newest; binary search covers the rest.
        let index = match self.held.last() {
            Some(last) if last.key() >= held.key() => {
                match self.held.binary_search_by_key(&held.key(), Held::key) {
                    Ok(_) => return Folded::Duplicate,
                    Err(index) => index,
                }
            }
            _ => self.held.len(),
        };
        self.held.insert(index, held);
        Folded::Held
    }

    /// What every history built by folding satisfies; a damaged stored form may not.
    pub(super) fn is_sound(&self) -> bool {
        let recent = |held: &Held| (self.cutoff()..=self.newest).contains(&held.time);
        self.held.is_sorted_by(|a, b| a.key() < b.key()) && self.held.iter().all(recent)
    }

    /// Before this instant purchases are old.
    fn cutoff(&self) -> i64 {
        self.newest.saturating_sub(RETAIN_DAYS * domain::time::DAY)
    }

    fn fold_old(&mut self) {
        let cutoff = self.cutoff();
        let aged = self.held.partition_point(|held| held.time < cutoff);
        let over = self.held.len().saturating_sub(HELD_MAX);
        for held in self.held.drain(..aged.max(over)) {
            self.old.fold(held);
        }
    }

    fn wait(&mut self, early: Early) {
        match self.waiting.iter_mut().find(|other| other.id == early.id) {
            Some(other) => other.reversed |= early.reversed,
            None => {
                if self.waiting.len() == WAITING_MAX {
                    self.waiting.remove(0);
                }
                self.waiting.push(early);
            }
        }
    }

    /// Removes the change that waited for this purchase; `Some(true)` when it was a reversal.
    fn take_waiting(&mut self, id: u64) -> Option<bool> {
        let index = self.waiting.iter().position(|early| early.id == id)?;
        Some(self.waiting.remove(index).reversed)
    }
}
