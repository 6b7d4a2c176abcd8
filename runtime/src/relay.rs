//! The outbox relay: publishes what is committed, then lets the intake acknowledge it.
//!
//! The outbox is the ledger itself: a granted decision's row is what its reward message is rendered from. The
//! relay keeps the last published sequence number beside the ledger; after a crash it starts there and asks
//! the bus which of the following rewards are already out, so none is repeated and none is lost (D-3, D-4).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::Outcome;
use ledger::Seq;
use policies::Bundle;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::bus::subject::Subjects;
use crate::bus::{Bus, Publication};
use crate::metrics::Metrics;
use crate::reward::{Promised, publication};
use crate::work::Feedback;
use crate::writer::{Committed, Outgoing};

/// How long a failed publication waits before it is tried again, doubling up to [`RETRY_MAX`].
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(5);

/// How long after the order to stop an unreachable bus is waited for; the node has ten seconds in all.
const GIVE_UP_AFTER: Duration = Duration::from_secs(4);

/// The same where the run ends because something else is in force, perhaps a kill switch: what is under way may still be
/// confirmed, and the rest is looked at anew by the run that follows.
const GIVE_UP_CHANGED_AFTER: Duration = Duration::from_millis(250);

/// The relay of one node.
pub struct Relay {
    pub bus: Bus,
    pub subjects: Subjects,
    /// Of every side of the run.
    pub bundles: Vec<Arc<Bundle>>,
    pub outgoing: mpsc::UnboundedReceiver<Outgoing>,
    pub feedback: mpsc::UnboundedSender<Feedback>,
    pub metrics: Arc<Metrics>,
    pub position: ledger::RelayPosition,
    pub published: Seq,
    /// The node's order to stop.
    pub stop: CancellationToken,
    /// Raised when something else is in force.
    pub changed: CancellationToken,
    /// The bus did not come back in time: what follows stays in the ledger, and the next start publishes it.
    pub gave_up: bool,
}

impl Relay {
    /// Runs until the writer has closed and everything is out.
    pub async fn run(mut self) {
        while let Some(outgoing) = self.outgoing.recv().await {
            match outgoing {
                Outgoing::Rows(rows) => self.rows(rows).await,
                Outgoing::Checkpoint(note) => {
                    self.bus.publish(&self.subjects.checkpoint(), Bytes::from(note)).await;
                }
            }
        }
    }

    async fn rows(&mut self, rows: Vec<Committed>) {
        let rewards: Vec<Publication> = rows.iter().filter_map(|row| self.reward(row)).collect();
        if !self.gave_up {
            let overdue = overdue(self.stop.clone(), self.changed.clone());
            let out = async {
                self.publish(&rewards).await;
                if self.bus.is_heard() {
                    self.decisions(&rows).await;
                }
            };
            let is_out = tokio::select! {
                () = out => true,
                () = overdue => false,
            };
            self.gave_up = !is_out;
            if self.gave_up {
                tracing::warn!("the bus is away; the rewards it did not confirm go out at the next start");
            }
        }
        if let (Some(last), false) = (rows.last(), self.gave_up) {
            self.published = last.seq;
            self.position.advance(last.seq);
        }
        let stamps: Vec<_> = rows.iter().filter(|row| row.work.is_some()).map(|row| row.stamps).collect();
        self.metrics.finished(&stamps);
        let done: Vec<_> = rows.iter().filter_map(|row| row.work).collect();
        if !done.is_empty() {
            // The intake outlives the relay.
            let feedback = if self.gave_up { Feedback::Unpublished(done) } else { Feedback::Done(done) };
            let _closing = self.feedback.send(feedback);
        }
    }

    fn reward(&self, row: &Committed) -> Option<Publication> {
        let promised = row.announce.as_ref()?;
        if promised.public.outcome != Outcome::Granted {
            return None;
        }
        publication(row.seq.0, promised, self.bundle_of(promised)?, &self.subjects)
    }

    /// The bundle a decision was made by.
    fn bundle_of<'a>(&'a self, promised: &'a Promised) -> Option<&'a Bundle> {
        let of_run = || self.bundles.iter().find(|bundle| bundle.digest() == promised.public.bundle);
        promised.bundle.as_ref().or_else(of_run).map(Arc::as_ref)
    }

    /// Publishes until it is confirmed: a promise that is recorded goes out, however long the bus is away while
    /// the node runs.
    async fn publish(&self, rewards: &[Publication]) {
        if rewards.is_empty() {
            return;
        }
        let mut wait = RETRY_FIRST;
        let mut missing = rewards.to_vec();
        while let Err(error) = self.bus.publish_rewards(&missing).await {
            tracing::warn!(%error, rewards = missing.len(), "rewards not confirmed, trying again");
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(RETRY_MAX);
            // Not confirmed is not the same as not stored: only repeat what is not out there.
            if let Ok(stored) = self.bus.rewards_stored_after(self.published.0).await {
                missing.retain(|reward| !stored.contains(&reward.message_id));
            }
        }
        for _ in rewards {
            self.metrics.count(|c| &c.published);
        }
    }

    /// The public part of every decision and dead letter, for risk, analytics and producers; loss is tolerable,
    /// the ledger has them.
    async fn decisions(&self, rows: &[Committed]) {
        for (source, body) in rows.iter().filter_map(|row| row.refused.as_ref()) {
            self.bus.publish(&self.subjects.dead_letter(source), Bytes::from(body.clone())).await;
        }
        for promised in rows.iter().filter_map(|row| row.announce.as_ref()) {
            let segment = promised.public.segment.zip(self.bundle_of(promised));
            let segment = segment.map_or("none", |(index, bundle)| bundle.segment(index).id.as_str());
            let subject = self.subjects.decision(promised.public.outcome.name(), segment);
            if let Ok(bytes) = serde_json::to_vec(&promised.public) {
                self.bus.publish(&subject, Bytes::from(bytes)).await;
            }
        }
    }
}

/// Returns when a node that was told to stop has waited long enough for its bus.
async fn overdue(stop: CancellationToken, changed: CancellationToken) {
    tokio::select! {
        () = changed.cancelled() => tokio::time::sleep(GIVE_UP_CHANGED_AFTER).await,
        () = stop.cancelled() => tokio::time::sleep(GIVE_UP_AFTER).await,
    }
}
