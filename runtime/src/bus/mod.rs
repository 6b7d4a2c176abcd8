//! The bus: how events come in, how rewards and negotiation go out, and how agents hear each other.
//!
//! Two implementations stand behind one closed enum: [`memory`] for the embedded default and [`nats`] when
//! a URL is configured. Subjects and wire forms are the same, so what a subscriber sees does not depend on
//! where it runs. The bus never decides anything and never holds what the ledger does not also hold.
//!
//! Start at [`Bus`]; [`subject`] has the names.

pub mod memory;
pub mod nats;
pub mod subject;

use bytes::Bytes;

/// One message as a subscriber sees it.
#[derive(Clone, Debug)]
pub struct Message {
    pub subject: String,
    pub payload: Bytes,
}

/// One event on its way in, not yet acknowledged.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The bytes as the producer sent them.
    pub bytes: Bytes,
    /// How often this message was delivered, this time included; above 1 means a redelivery.
    pub attempt: u32,
    /// Where the message is stored, the same at every delivery; `None` on a bus that stores nothing.
    pub place: Option<u64>,
    /// What to acknowledge once its row is committed and its reward published.
    pub ticket: Ticket,
}

/// Names a delivery towards the bus that made it; opaque to everybody else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ticket {
    /// Position in the in-process queue.
    Memory(u64),
    /// The reply subject that acknowledges it.
    Nats { reply: String },
    /// Made by the node itself (a timer); nobody waits for an acknowledgement.
    Internal,
}

/// A reward on its way out; the record it was made from is already durable (invariant D-3).
#[derive(Clone, Debug)]
pub struct Publication {
    /// Sequence number of the committed record.
    pub seq: u64,
    pub subject: String,
    /// Dedupe id for consumers and JetStream: the decision id.
    pub message_id: String,
    pub payload: Bytes,
}

/// Why the bus could not do it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server does not answer at all.
    #[error(
        "NATS at {url} is unreachable: {why}; is nats-server running there (`nats-server -js`), and is the port right?"
    )]
    Unreachable { url: String, why: String },
    /// The server answers but JetStream is off.
    #[error("NATS at {url} has no JetStream: {why}; start the server with `-js`")]
    NoJetStream { url: String, why: String },
    /// Unencrypted and without credentials beyond this machine.
    #[error(
        "{url} is neither loopback, TLS nor authenticated; use tls:// or nats://user:password@host, or set nats.allow_plaintext = true"
    )]
    Plaintext { url: String },
    /// A stream of our name exists with somebody else's configuration.
    #[error(
        "stream {stream} exists but captures {found:?} instead of {expected:?}; rename it or set another subject prefix"
    )]
    ForeignStream { stream: String, found: Vec<String>, expected: Vec<String> },
    /// The events of this prefix are consumed for a ledger that is not this node's.
    #[error(
        "the events in {stream} belong to ledger {found} (consumer {consumer}); give this node a nats.subject_prefix of its own, or, if that ledger is gone for good, remove its consumer: `nats consumer rm {stream} {consumer}`"
    )]
    OtherLedger { stream: String, consumer: &'static str, found: String },
    /// Anything else, with what was attempted.
    #[error("failed to {what}: {why}")]
    Failed { what: &'static str, why: String },
    /// The bus was closed.
    #[error("the bus is closed")]
    Closed,
}

/// The bus of one node.
#[derive(Clone)]
pub enum Bus {
    Memory(memory::MemoryBus),
    Nats(Box<nats::NatsBus>),
}

impl Bus {
    /// Publishes for whoever listens; loss is tolerable (visibility, negotiation with its own deadlines).
    pub async fn publish(&self, subject: &str, payload: Bytes) {
        match self {
            Bus::Memory(bus) => bus.publish(subject, payload),
            Bus::Nats(bus) => bus.publish(subject, payload).await,
        }
    }

    /// Whether anybody could be listening; saves rendering messages nobody reads.
    pub fn is_heard(&self) -> bool {
        match self {
            Bus::Memory(bus) => bus.is_heard(),
            Bus::Nats(_) => true,
        }
    }

    /// Publishes rewards in order and returns once each is stored (NATS) or handed over (in-process).
    ///
    /// # Errors
    /// When storing could not be confirmed; the caller retries with the same message ids.
    pub async fn publish_rewards(&self, rewards: &[Publication]) -> Result<(), Error> {
        match self {
            Bus::Memory(bus) => bus.publish_rewards(rewards).await,
            Bus::Nats(bus) => bus.publish_rewards(rewards).await,
        }
    }

    /// Subscribes to a subject pattern (`*` one token, `>` the rest).
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn subscribe(&self, pattern: &str) -> Result<Subscription, Error> {
        match self {
            Bus::Memory(bus) => Ok(Subscription::Memory(bus.subscribe(pattern))),
            Bus::Nats(bus) => Ok(Subscription::Nats(bus.subscribe(pattern).await?)),
        }
    }

    /// Acknowledges deliveries whose rows are committed and rewards published.
    pub async fn acknowledge(&self, tickets: Vec<Ticket>) {
        match self {
            Bus::Memory(bus) => bus.acknowledge(&tickets),
            Bus::Nats(bus) => bus.acknowledge(tickets).await,
        }
    }

    /// The ids of rewards with a record above `seq` that are already stored out there, so that a restarted
    /// relay repeats none (the in-process bus remembers nothing over a restart).
    ///
    /// # Errors
    /// When the stream cannot be read.
    pub async fn rewards_stored_after(&self, seq: u64) -> Result<std::collections::BTreeSet<String>, Error> {
        match self {
            Bus::Memory(_) => Ok(std::collections::BTreeSet::new()),
            Bus::Nats(bus) => bus.rewards_stored_after(seq).await,
        }
    }
}

/// A stream of messages for one subscriber.
pub enum Subscription {
    Memory(memory::MemorySubscription),
    Nats(async_nats::Subscriber),
}

impl Subscription {
    /// The next message, or `None` once the bus is closed.
    pub async fn next(&mut self) -> Option<Message> {
        match self {
            Subscription::Memory(subscription) => subscription.next().await,
            Subscription::Nats(subscriber) => {
                let message = futures::StreamExt::next(subscriber).await?;
                Some(Message { subject: message.subject.to_string(), payload: message.payload })
            }
        }
    }
}

/// Where a node takes its events from.
pub enum Intake {
    Memory(memory::MemoryIntake),
    Nats(Box<nats::NatsIntake>),
}

impl Intake {
    /// Up to `limit` waiting events; waits for at least one. `None` once the source has ended.
    ///
    /// # Errors
    /// When the source fails for good; passing failures are retried inside.
    pub async fn next(&mut self, limit: usize) -> Result<Option<Vec<Delivery>>, Error> {
        match self {
            Intake::Memory(intake) => Ok(intake.next(limit).await),
            Intake::Nats(intake) => intake.next(limit).await,
        }
    }
}
