//! What every agent of a node shares: what is in force, where to send, how to count.

use std::sync::Arc;

use agents::segment::verdict;
use domain::{DecisionId, Digest};
use models::batch::BatchScorer;
use policies::{Bundle, Stops};
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::actors::member::{Loader, ToMember};
use crate::clock::{self, Clock};
use crate::config::Faults;
use crate::metrics::Metrics;
use crate::sides::Purse;
use crate::work::Feedback;
use crate::writer::WriterHandle;

/// Shared by all agents of one side of a node; nothing in it changes while the node runs, except behind its own lock.
#[derive(Clone)]
pub struct Shared {
    pub bundle: Arc<Bundle>,
    /// What operators stopped, beyond the bundle's own switches.
    pub stops: Stops,
    /// Of the active models.
    pub models: Digest,
    pub clock: Clock,
    pub keys: ledger::Keys,
    pub scorer: Arc<BatchScorer<ToMember>>,
    pub writer: WriterHandle,
    pub purse: Arc<Purse>,
    pub loader: Arc<Loader>,
    pub feedback: mpsc::UnboundedSender<Feedback>,
    pub metrics: Arc<Metrics>,
    pub faults: Faults,
}

impl Shared {
    /// What goes under a decision made now.
    pub fn seal(&self) -> verdict::Seal<'_> {
        verdict::Seal {
            id: DecisionId(Uuid::now_v7()),
            now: self.clock.now(),
            host_now: clock::wall(),
            bundle: &self.bundle,
            stops: self.stops,
            models: self.models,
        }
    }

    /// Tells the intake something. The intake outlives every agent, so a closed channel means the node is
    /// going down anyway.
    pub fn tell(&self, feedback: Feedback) {
        let _closing = self.feedback.send(feedback);
    }
}
