//! The host's own account of the budgets, apart from escrow and treasury: what a ledger would hold.

use std::collections::BTreeMap;
use std::sync::Arc;

use agents::member::{Release, Turn};
use agents::policy::{Opening, budgets};
use agents::segment::Demand;
use domain::{Decision, Micros, Outcome};
use policies::Bundle;

/// One budget; stock counts units in millionths like money.
#[derive(Clone, Copy, Debug, Default)]
pub struct Account {
    pub limit: Micros,
    pub committed: Micros,
    /// Held for approval.
    pub reserved: Micros,
}

/// What is promised and not yet used, run out or cancelled.
#[derive(Clone, Copy, Debug, Default)]
pub struct Exposed {
    pub now: Micros,
    /// The most there was at any one time.
    pub most: Micros,
}

/// All limited budgets by id.
#[derive(Debug, Default)]
pub struct Books {
    pub accounts: BTreeMap<Arc<str>, Account>,
    /// Of the program, each segment and each reward ([`budgets::exposes`]).
    pub exposed: BTreeMap<Arc<str>, Exposed>,
    /// How often a promise went beyond a limit (B-1).
    pub overspend: u64,
}

impl Books {
    /// Raises every limit to what the periods so far allow.
    pub fn open(&mut self, opening: &Opening) {
        for (id, limit) in &opening.raised {
            self.accounts.entry(Arc::clone(id)).or_default().limit = *limit;
        }
    }

    /// Counts a promise, or what is held for one that waits for approval.
    pub fn promise(&mut self, bundle: &Bundle, decision: &Decision, demand: &Demand) {
        for (id, amount) in budgets::uses(bundle, demand.segment, demand.reward, decision.cost) {
            let account = self.accounts.entry(id).or_default();
            let pending = decision.outcome == Outcome::Pending;
            let used = if pending { &mut account.reserved } else { &mut account.committed };
            *used += amount;
            self.overspend += u64::from(account.committed + account.reserved > account.limit);
        }
        let (segment, reward) = (&bundle.segment(demand.segment).id, &bundle.reward(demand.reward).id);
        for id in budgets::exposes(segment, reward) {
            let exposed = self.exposed.entry(id).or_default();
            exposed.now += decision.cost;
            exposed.most = exposed.most.max(exposed.now);
        }
    }

    /// Follows a promise that ended, or that a person approved.
    pub fn turn(&mut self, release: &Release) {
        if release.turn != Turn::Approved {
            for id in budgets::exposes(&release.segment, &release.reward) {
                let exposed = self.exposed.entry(id).or_default();
                exposed.now = exposed.now - release.cost;
            }
        }
        if release.turn == Turn::Used {
            return;
        }
        for (id, amount) in budgets::returns(release) {
            let account = self.accounts.entry(id).or_default();
            let held = if release.pending { &mut account.reserved } else { &mut account.committed };
            *held = *held - amount;
            if release.turn == Turn::Approved {
                account.committed += amount;
            }
        }
    }
}
