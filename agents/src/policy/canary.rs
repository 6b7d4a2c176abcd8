//! What a canary may spend: a share of the program's budgets, lent by the bundle in force.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::Ppm;
use policies::Bundle;

use super::budgets::{self, Allowances, Standing};

/// A candidate that decides for a share of the members, with its own agents and its share of each budget.
///
/// Both sides draw on the same accounts of the ledger, so the limits hold for them together; what is lent only
/// says how much of the rest each side may promise. A run lends anew from what is left at its start.
#[derive(Clone, Debug)]
pub struct Canary {
    pub bundle: Arc<Bundle>,
    pub share: Ppm,
    /// By budget that both bundles have: what this run lent so far.
    lent: BTreeMap<Arc<str>, i64>,
}

impl Canary {
    /// A canary at the start of a run.
    pub fn new(bundle: Arc<Bundle>, share: Ppm) -> Canary {
        Canary { bundle, share, lent: BTreeMap::new() }
    }

    /// Lends the share of what became available: at first of everything that is left, later of each rise.
    pub(super) fn lend(&mut self, in_force: &Bundle, standing: &Standing, limits: &Allowances) {
        let both = budgets::allowances(&self.bundle, None);
        for id in budgets::allowances(in_force, None).keys().filter(|id| both.contains_key(*id)) {
            let (before, used) = standing.balances.get(id).copied().unwrap_or_default();
            let limit = limits.get(id).copied().unwrap_or_default();
            let fresh = if self.lent.contains_key(id) { limit - before } else { limit - used };
            *self.lent.entry(Arc::clone(id)).or_default() += budgets::part(fresh.max(0), self.share);
        }
    }

    /// What of a budget is lent; `None` for a budget that only one of the bundles has.
    pub(super) fn lent(&self, id: &str) -> Option<i64> {
        self.lent.get(id).copied()
    }

    /// Whether promises of earlier runs count on this side: in budgets the bundle in force does not have.
    pub fn owns(&self, in_force: &Bundle, id: &str) -> bool {
        !budgets::allowances(in_force, None).contains_key(id)
    }
}
