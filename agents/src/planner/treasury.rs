//! The leader's side of the money: what is not granted to any node.
//!
//! `pool + balance + returned + reserved + spent - owed = limit` for every resource at every step (B-2), and
//! every term is at least zero (B-1). `owed` is positive only after a budget was cut below what had already
//! been promised: those promises are kept, and nothing is granted until returns have paid it back.

use crate::negotiation::{EscrowReturn, Layout};
use crate::segment::EscrowView;

/// The identity does not hold for a resource.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("resource {resource}: pool, escrow, reserved and spent sum to {sum} where the limit is {limit}")]
pub struct Imbalance {
    pub resource: usize,
    pub sum: i128,
    pub limit: i128,
}

/// What the leader holds of every resource.
#[derive(Clone, Debug)]
pub struct Treasury {
    limits: Vec<Option<i64>>,
    pool: Vec<i64>,
    owed: Vec<i64>,
    lease: u64,
    return_sequence: u64,
}

impl Treasury {
    /// Everything is in the pool, except what a previous leader's log says is reserved or spent.
    pub fn new(limits: Vec<Option<i64>>, held: &EscrowView) -> Treasury {
        let zero = vec![0; limits.len()];
        let nothing = limits.iter().map(|limit| limit.map(|_| 0)).collect();
        let (lease, owed) = (held.lease, zero.clone());
        let mut treasury = Treasury { limits: nothing, pool: zero, owed, lease, return_sequence: 0 };
        for (resource, limit) in limits.iter().enumerate() {
            let amount = |amounts: &Vec<i64>| amounts.get(resource).copied().unwrap_or(0);
            let out = amount(&held.balance) + amount(&held.reserved) + amount(&held.spent);
            let out = out + amount(&held.returned);
            treasury.limits[resource] = *limit;
            treasury.add(resource, limit.map_or(0, |limit| limit - out));
        }
        treasury
    }

    /// The limits in force.
    pub fn limits(&self) -> &[Option<i64>] {
        &self.limits
    }

    /// What the leader holds of each resource.
    pub fn pool(&self) -> &[i64] {
        &self.pool
    }

    /// The last lease given out.
    pub fn lease(&self) -> u64 {
        self.lease
    }

    /// What may still be promised of a resource; `None` has no limit.
    pub fn capacity(&self, resource: usize, held: &EscrowView) -> Option<i64> {
        let balance = held.balance.get(resource).copied().unwrap_or(0);
        self.limits[resource].map(|_| (self.pool[resource] + balance - self.owed[resource]).max(0))
    }

    /// Counts a node's return, once.
    pub fn take_back(&mut self, back: &EscrowReturn) {
        if back.sequence <= self.return_sequence || back.amounts.len() != self.pool.len() {
            return;
        }
        self.return_sequence = back.sequence;
        for (resource, amount) in back.amounts.iter().enumerate() {
            self.add(resource, (*amount).max(0));
        }
    }

    /// Moves up to `want` of each resource out of the pool; returns what was moved and the new lease.
    pub fn grant(&mut self, want: &[i64]) -> (Vec<i64>, u64) {
        self.lease += 1;
        let take = |(pool, want): (&mut i64, &i64)| {
            let amount = (*want).clamp(0, *pool);
            *pool -= amount;
            amount
        };
        (self.pool.iter_mut().zip(want).map(take).collect(), self.lease)
    }

    /// Puts new limits in force; says whether nodes must give back what they have not reserved.
    ///
    /// A resource cannot become limited or unlimited this way: what was used uncounted cannot be known.
    pub fn change_limits(&mut self, limits: &[Option<i64>]) -> bool {
        for (resource, limit) in limits.iter().enumerate().take(self.limits.len()) {
            if let (Some(old), Some(new)) = (self.limits[resource], *limit) {
                self.limits[resource] = Some(new);
                self.add(resource, new - old);
            }
        }
        self.owed.iter().any(|owed| *owed > 0)
    }

    /// Checks the identity (B-2) and that nothing is negative (B-1), in `i128`.
    ///
    /// # Errors
    /// The first resource that does not add up.
    pub fn audit(&self, held: &EscrowView) -> Result<(), Imbalance> {
        for (resource, limit) in self.limits.iter().enumerate() {
            let Some(limit) = *limit else { continue };
            let at = |amounts: &Vec<i64>| i128::from(amounts.get(resource).copied().unwrap_or(0));
            let parts =
                [at(&self.pool), at(&held.balance), at(&held.returned), at(&held.reserved), at(&held.spent)];
            let owed = at(&self.owed);
            let sum = parts.iter().sum::<i128>() - owed;
            if sum != i128::from(limit) || parts.iter().any(|part| *part < 0) || owed < 0 {
                return Err(Imbalance { resource, sum, limit: i128::from(limit) });
            }
        }
        Ok(())
    }

    /// Adds to the pool; what is owed is paid first, and what the pool cannot cover is owed.
    fn add(&mut self, resource: usize, amount: i64) {
        let net = self.pool[resource] - self.owed[resource] + amount;
        self.pool[resource] = net.max(0);
        self.owed[resource] = (-net).max(0);
    }
}

/// Largest single amount of each resource that one promise can use.
pub fn largest_units(layout: Layout, costs: &[i64]) -> Vec<i64> {
    let cost = costs.iter().copied().max().unwrap_or(0);
    let mut units = vec![cost; layout.len()];
    for reward in 0..layout.reward_count() {
        units[layout.reward(reward)] = 1;
    }
    units
}
