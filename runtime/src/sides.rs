//! The sides of a run: the bundle in force, and a candidate that decides for a share of the members.
//!
//! Each side has its own agents and its own right to spend; intake, scorer, ledger and relay serve both. A member is
//! on one side for the whole run, so no decision mixes two bundles.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use agents::member::Release;
use agents::segment::{Escrow, EscrowError};
use domain::MemberId;
use policies::Bundle;
use policies::registry::Share;
use ractor::ActorRef;

use crate::actors::segment;
use crate::shared::Shared;

/// Which bundle decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    InForce,
    Canary,
}

/// A side's right to spend. Held only for the few compare-and-subtracts of one moment, never across an await.
pub struct Purse {
    pub bundle: Arc<Bundle>,
    escrow: Mutex<Escrow>,
}

impl Purse {
    pub fn new(bundle: Arc<Bundle>, escrow: Escrow) -> Purse {
        Purse { bundle, escrow: Mutex::new(escrow) }
    }

    /// The escrow, locked.
    pub fn escrow(&self) -> MutexGuard<'_, Escrow> {
        self.escrow.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Follows a promise that ended, or that a person approved.
    ///
    /// # Errors
    /// When this side does not hold it.
    pub fn turn(&self, release: &Release) -> Result<(), EscrowError> {
        self.escrow().turn(release, &self.bundle)
    }
}

/// The agents that decide by one bundle.
#[derive(Clone)]
pub struct Agents {
    pub shared: Arc<Shared>,
    pub segments: Arc<[ActorRef<segment::Message>]>,
}

/// The agents of a run.
pub struct Sides {
    pub in_force: Agents,
    pub canary: Option<(Share, Agents)>,
}

impl Sides {
    /// The agents that decide about a member.
    pub fn of(&self, member: MemberId) -> &Agents {
        match &self.canary {
            Some((share, agents)) if share.takes(member) => agents,
            Some(_) | None => &self.in_force,
        }
    }
}
