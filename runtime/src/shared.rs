//! What every agent of a node shares: what is in force, where to send, how to count.

use std::sync::{Arc, Mutex};

use agents::segment::Escrow;
use domain::Digest;
use models::batch::BatchScorer;
use policies::{Bundle, Stops};
use tokio::sync::mpsc;

use crate::actors::member::{Loader, ToMember};
use crate::clock::Clock;
use crate::config::Faults;
use crate::metrics::Metrics;
use crate::work::Feedback;
use crate::writer::WriterHandle;

/// Shared by all agents of one node; nothing in it changes while the node runs, except behind its own lock.
pub struct Shared {
    pub bundle: Arc<Bundle>,
    /// What operators stopped, beyond the bundle's own switches.
    pub stops: Stops,
    /// Of the active models.
    pub models: Digest,
    pub clock: Clock,
    pub keys: ledger::Keys,
    pub scorer: BatchScorer<ToMember>,
    pub writer: WriterHandle,
    /// The node's right to spend. Held only for the few compare-and-subtracts of one moment, never across an
    /// await.
    pub escrow: Arc<Mutex<Escrow>>,
    pub loader: Loader,
    pub feedback: mpsc::UnboundedSender<Feedback>,
    pub metrics: Arc<Metrics>,
    pub faults: Faults,
}

impl Shared {
    /// Tells the intake something. The intake outlives every agent, so a closed channel means the node is
    /// going down anyway.
    pub fn tell(&self, feedback: Feedback) {
        let _closing = self.feedback.send(feedback);
    }
}
