//! The limits beside the budgets, counted at one node: what is promised and not yet used, what this window of time has
//! taken, and what waits for a person.
//!
//! Like the escrow it is asked before a promise is made and never waits; unlike the escrow nobody grants it anything.
//! What earlier runs promised comes from the ledger ([`Counted`]), so a limit holds over restarts and over policies.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::{Ppm, RewardIndex, SegmentIndex, Timestamp};
use policies::{Bundle, Limit, Measure};

use super::escrow::{Demand, Refusal};
use crate::policy::budgets::{self, part};

/// What a ledger has counted so far, by budget: amounts promised and not yet used, and of windows.
pub type Counted = BTreeMap<Arc<str>, i64>;

/// The limits of a bundle with what counts against them.
#[derive(Clone, Debug)]
pub struct Limits {
    bundle: Arc<Bundle>,
    rails: Vec<Rail>,
    counted: Counted,
}

#[derive(Clone, Debug)]
struct Rail {
    /// What of the limit is this side's.
    amount: i64,
    held: i64,
    /// The window `held` is of, where the limit has windows.
    window: Option<i64>,
}

impl Limits {
    /// The limits of a bundle that decides alone, with what the ledger has counted.
    pub fn new(bundle: Arc<Bundle>, counted: Counted) -> Limits {
        Limits::shared(bundle, counted, |amount| amount)
    }

    /// The limits of the bundle in force beside a canary, which has its own share of them.
    pub fn beside_canary(bundle: Arc<Bundle>, counted: Counted, share: Ppm) -> Limits {
        Limits::shared(bundle, counted, |amount| amount - part(amount, share))
    }

    /// The limits of a canary: its share, counted from nothing. What earlier runs promised counts with the bundle in force.
    pub fn of_canary(bundle: Arc<Bundle>, share: Ppm) -> Limits {
        Limits::shared(bundle, Counted::new(), |amount| part(amount, share))
    }

    fn shared(bundle: Arc<Bundle>, counted: Counted, own: impl Fn(i64) -> i64) -> Limits {
        let rail = |limit: &Limit| Rail {
            amount: own(limit.amount),
            held: standing(&bundle, limit, &counted),
            window: None,
        };
        let rails = bundle.limits().iter().map(rail).collect();
        Limits { rails, counted, bundle }
    }

    /// Whether a promise fits every limit that covers it.
    ///
    /// # Errors
    /// The first limit it does not fit.
    pub(super) fn check(&mut self, demand: &Demand) -> Result<(), Refusal> {
        self.roll(demand.at);
        for (limit, rail) in self.bundle.limits().iter().zip(&self.rails) {
            if rail.held.saturating_add(uses(limit, demand)) > rail.amount {
                return Err(Refusal::Limit { measure: limit.measure, rule: limit.rule });
            }
        }
        Ok(())
    }

    /// Counts a promise that was checked.
    pub(super) fn take(&mut self, demand: &Demand) {
        for (limit, rail) in self.bundle.limits().iter().zip(&mut self.rails) {
            rail.held = rail.held.saturating_add(uses(limit, demand));
        }
    }

    /// A promise was used, ran out or was cancelled. What its window has taken stays taken.
    ///
    /// Nothing goes below zero: a promise of an earlier run may have been counted by the other side of it, which errs on
    /// the side of promising less.
    pub(super) fn end(&mut self, demand: &Demand) {
        for (limit, rail) in self.bundle.limits().iter().zip(&mut self.rails) {
            if limit.measure != Measure::Window {
                rail.held = rail.held.saturating_sub(uses(limit, demand)).max(0);
            }
        }
    }

    /// Begins the windows a time falls into. A clock that jumps back does not open an earlier window again.
    fn roll(&mut self, at: Timestamp) {
        for (limit, rail) in self.bundle.limits().iter().zip(&mut self.rails) {
            if limit.measure != Measure::Window {
                continue;
            }
            let window = self.bundle.window_at(limit.hours, at);
            if rail.window.is_none_or(|open| window > open) {
                let id = budgets::window(&limit.name, window);
                (rail.window, rail.held) = (Some(window), self.counted.get(&id).copied().unwrap_or(0));
            }
        }
    }
}

/// What a promise counts for against a limit.
fn uses(limit: &Limit, demand: &Demand) -> i64 {
    let Demand { segment, reward, cost, waits, .. } = *demand;
    match limit.measure {
        _ if !limit.covers(segment, reward) => 0,
        Measure::Open | Measure::Window => cost,
        Measure::Waiting => i64::from(waits),
    }
}

/// What earlier runs left counted; windows are looked up when they begin.
fn standing(bundle: &Bundle, limit: &Limit, counted: &Counted) -> i64 {
    let of = |id: Arc<str>| counted.get(&id).copied().unwrap_or(0);
    let bits = |mask: u64, count: usize| (0u8..64).take(count).filter(move |at| mask >> at & 1 == 1);
    match limit.measure {
        Measure::Window => 0,
        Measure::Waiting => of(budgets::WAITING.into()),
        Measure::Open if limit.rewards != u64::MAX => {
            let rewards = bits(limit.rewards, bundle.rewards().len()).map(RewardIndex);
            rewards.map(|reward| of(budgets::exposed_reward(&bundle.reward(reward).id))).sum()
        }
        Measure::Open if limit.segments != u64::MAX => {
            let segments = bits(limit.segments, bundle.segments().len()).map(SegmentIndex);
            segments.map(|segment| of(budgets::exposed_segment(&bundle.segment(segment).id))).sum()
        }
        Measure::Open => of(budgets::EXPOSURE.into()),
    }
}
