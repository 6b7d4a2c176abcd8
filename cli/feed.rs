//! Events into a running node, as an outside system would send them, and the wait until they are done.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use runtime::bus::nats::{PendingEvent, redacted};
use runtime::bus::{self, Bus};
use runtime::{Node, Options};

use crate::exit::{Failure, Result};
use crate::node_errors;

/// Events on their way to a NATS server without confirmation; confirmations come back in far fewer.
const UNCONFIRMED_MAX: usize = 2_000;
/// A node that handles nothing for this long, with something outstanding, has lost its server. One that is
/// restarted is back sooner.
const SILENT_MAX: Duration = Duration::from_secs(30);
/// How long a node that lost its server gets to end: what is not published by then waits for the next start.
const LEAVE_WITHIN: Duration = Duration::from_secs(10);

/// The producer of one node's events.
pub struct Feed<'n> {
    node: &'n Node,
    subject: String,
    unconfirmed: VecDeque<PendingEvent>,
    sent: u64,
}

impl<'n> Feed<'n> {
    /// Sends under the name of `source`.
    pub fn into(node: &'n Node, source: &str) -> Feed<'n> {
        Feed { node, subject: node.subjects.event(source), unconfirmed: VecDeque::new(), sent: 0 }
    }

    /// Sends one event; waits where the bus is full.
    ///
    /// # Errors
    /// When the bus is closed, or an earlier event was not confirmed.
    pub async fn send(&mut self, event: Bytes) -> std::result::Result<(), bus::Error> {
        match (&self.node.bus, &self.node.memory) {
            (Bus::Memory(_), Some(memory)) => memory.send_event(event).await?,
            (Bus::Nats(nats), _) => {
                self.unconfirmed.push_back(nats.send_event(self.subject.clone(), event).await?);
                if self.unconfirmed.len() > UNCONFIRMED_MAX
                    && let Some(oldest) = self.unconfirmed.pop_front()
                {
                    oldest.stored().await?;
                }
            }
            (Bus::Memory(_), None) => {}
        }
        self.sent += 1;
        Ok(())
    }

    /// How many events were sent.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// How many of them the node has received.
    pub fn received(&self) -> u64 {
        self.node.metrics.counters.received.load(Ordering::Acquire).min(self.sent)
    }

    /// Waits until everything sent is durable and published, or the node ended on its own.
    ///
    /// # Errors
    /// When an event was not confirmed, or the server is silent.
    pub async fn settled(&mut self, mut progress: impl FnMut(u64)) -> std::result::Result<(), bus::Error> {
        for pending in self.unconfirmed.drain(..) {
            pending.stored().await?;
        }
        let over_nats = matches!(self.node.bus, Bus::Nats(_));
        let mut silence = Silence::since(Instant::now());
        loop {
            // In this order: what is received counts as in flight before it counts as received.
            let received = self.received();
            let in_flight = self.node.metrics.counters.in_flight.load(Ordering::Acquire);
            if (received >= self.sent && in_flight == 0) || self.node.is_finished() {
                return Ok(());
            }
            if over_nats && silence.is_too_long((received, in_flight), Instant::now()) {
                let why = format!("nothing came through for {} s", SILENT_MAX.as_secs());
                return Err(bus::Error::Failed { what: "finish the events", why });
            }
            progress(received);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// How long a node has handled nothing.
struct Silence {
    /// Events received and in flight when something last changed.
    handled: (u64, u64),
    since: Instant,
}

impl Silence {
    fn since(now: Instant) -> Silence {
        Silence { handled: (0, 0), since: now }
    }

    fn is_too_long(&mut self, handled: (u64, u64), now: Instant) -> bool {
        if handled != self.handled {
            *self = Silence { handled, since: now };
        }
        now.saturating_duration_since(self.since) >= SILENT_MAX
    }
}

/// Ends the node, whether its events went through or not. `advice` says what is left when the server is lost.
///
/// # Errors
/// Why the node ended on its own; exit 4 with the server's name when that is what was lost.
pub async fn close<T>(
    node: Node,
    options: &Options,
    fed: std::result::Result<T, bus::Error>,
    advice: &str,
) -> Result<T> {
    node.stop();
    let Some(nats) = &options.nats else {
        node.join().await.map_err(node_errors)?;
        return fed.map_err(Failure::runtime);
    };
    let patience = if fed.is_ok() { SILENT_MAX } else { LEAVE_WITHIN };
    let joined = tokio::time::timeout(patience, node.join()).await;
    let why = match (fed, joined) {
        (_, Ok(Err(error))) => return Err(node_errors(error)),
        (Ok(fed), Ok(Ok(()))) => return Ok(fed),
        (Err(error), _) => error.to_string(),
        (Ok(_), Err(_)) => "what was decided could not be published".to_owned(),
    };
    let server = redacted(&nats.url);
    Err(Failure::unavailable(anyhow::anyhow!("NATS at {server} does not answer any more: {why}; {advice}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_counted_from_the_last_change() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut silence = Silence::since(start);
        assert!(!silence.is_too_long((10, 3), after(20)));
        assert!(!silence.is_too_long((10, 3), after(49)));
        assert!(!silence.is_too_long((10, 2), after(50)), "something was finished");
        assert!(!silence.is_too_long((10, 2), after(79)));
        assert!(silence.is_too_long((10, 2), after(80)));
    }
}
