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
    side: Side,
    rails: Vec<Rail>,
    counted: Counted,
}

/// Which part of the room that a run finds is this side's.
#[derive(Clone, Copy, Debug)]
enum Side {
    Alone,
    /// What a canary beside it does not get; it also answers for what earlier runs promised.
    InForce(Ppm),
    Canary(Ppm),
}

#[derive(Clone, Debug)]
struct Rail {
    /// The whole limit, of all sides.
    amount: i64,
    /// What this side may hold.
    most: i64,
    held: i64,
    /// The window `held` is of, where the limit has windows.
    window: Option<i64>,
}

impl Rail {
    /// Begins to count where `counted` is counted already: only the room that is left is shared, so that however often a
    /// run begins, its sides together stay within the limit.
    fn begin(&mut self, side: Side, counted: i64) {
        let room = self.amount.saturating_sub(counted).max(0);
        (self.held, self.most) = match side {
            Side::Alone => (counted, self.amount),
            Side::InForce(share) => (counted, self.amount - part(room, share)),
            Side::Canary(share) => (0, part(room, share)),
        };
    }
}

impl Limits {
    /// The limits of a bundle that decides alone, with what the ledger has counted.
    pub fn new(bundle: Arc<Bundle>, counted: Counted) -> Limits {
        Limits::of(bundle, counted, Side::Alone, |limit| limit.amount)
    }

    /// The limits of the bundle in force beside a canary, which gets a share of the room there is.
    pub fn beside_canary(bundle: Arc<Bundle>, counted: Counted, share: Ppm) -> Limits {
        Limits::of(bundle, counted, Side::InForce(share), |limit| limit.amount)
    }

    /// The limits of a canary: its share of the room there is. A limit that the bundle in force has, too, is never wider than
    /// there.
    pub fn of_canary(bundle: Arc<Bundle>, in_force: &Bundle, counted: Counted, share: Ppm) -> Limits {
        Limits::of(bundle, counted, Side::Canary(share), |limit| {
            let same = |other: &&Limit| other.measure == limit.measure && other.name == limit.name;
            let there = in_force.limits().iter().find(same).map_or(i64::MAX, |there| there.amount);
            limit.amount.min(there)
        })
    }

    fn of(bundle: Arc<Bundle>, counted: Counted, side: Side, amount: impl Fn(&Limit) -> i64) -> Limits {
        let rail = |limit: &Limit| {
            let mut rail = Rail { amount: amount(limit), most: 0, held: 0, window: None };
            rail.begin(side, standing(&bundle, limit, &counted));
            rail
        };
        let rails = bundle.limits().iter().map(rail).collect();
        Limits { rails, counted, side, bundle }
    }

    /// Whether a promise fits every limit that covers it.
    ///
    /// # Errors
    /// The first limit it does not fit.
    pub(super) fn check(&mut self, demand: &Demand) -> Result<(), Refusal> {
        self.roll(demand.at);
        for (limit, rail) in self.bundle.limits().iter().zip(&self.rails) {
            let uses = uses(limit, demand);
            // What is above a limit that was lowered holds up nothing the limit is not about.
            if uses > 0 && rail.held.saturating_add(uses) > rail.most {
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

    /// A person approved a promise: it waits no more, and stays promised.
    pub(super) fn approve(&mut self, demand: &Demand) {
        for (limit, rail) in self.bundle.limits().iter().zip(&mut self.rails) {
            if limit.measure == Measure::Waiting {
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
                rail.window = Some(window);
                rail.begin(self.side, self.counted.get(&id).copied().unwrap_or(0));
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
            let present: i64 =
                rewards.map(|reward| of(budgets::exposed_reward(&bundle.reward(reward).id))).sum();
            present.saturating_add(of(budgets::exposed_formerly(&limit.name)))
        }
        Measure::Open if limit.segments != u64::MAX => {
            let segments = bits(limit.segments, bundle.segments().len()).map(SegmentIndex);
            segments.map(|segment| of(budgets::exposed_segment(&bundle.segment(segment).id))).sum()
        }
        Measure::Open => of(budgets::EXPOSURE.into()),
    }
}
