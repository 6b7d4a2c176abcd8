//! The durable consumer a node takes its events from.
//!
//! A consumer belongs to one ledger: its name stands in the consumer's metadata. Two ledgers behind one
//! consumer would share the events between them, and each would miss what the other decided.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use async_nats::jetstream::context::{ConsumerInfoErrorKind, GetStreamErrorKind};
use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::{self, consumer, stream};
use futures::{FutureExt, StreamExt};

use super::{NatsBus, NatsServer, failed, stored};
use crate::bus::{Delivery, Error, Ticket};
use crate::config::Take;

/// Name of the durable consumer.
const CONSUMER: &str = "largesse-intake";
/// After this long without an acknowledgement the server delivers again. Commits take milliseconds; 30 s
/// leaves room for a stalled disk without a storm of redeliveries.
const ACK_WITHIN: Duration = Duration::from_secs(30);
/// Deliveries that may be unacknowledged; above the node's own admission bound, so that bound decides.
const UNACKNOWLEDGED_MAX: i64 = 20_000;
/// Messages asked for at a time.
const PULL_BATCH: usize = 500;
/// Consumer metadata: the ledger it belongs to.
const LEDGER: &str = "largesse-ledger";
/// Consumer metadata: what it takes.
const TAKE: &str = "largesse-take";

type Consumer = consumer::Consumer<consumer::pull::Config>;

/// The consuming end of the events.
///
/// Handed out but unacknowledged messages come again after [`ACK_WITHIN`] only, and newer ones would overtake
/// them: a member's objection could wait half a minute while purchases are decided. So whoever starts to pull
/// reads those from the stream first, in order; when they are delivered again they have their rows.
pub struct NatsIntake {
    events: stream::Stream,
    consumer: Consumer,
    unfinished: VecDeque<Delivery>,
    messages: consumer::pull::Stream,
}

impl NatsBus {
    /// The durable consumer of this ledger's events.
    ///
    /// # Errors
    /// When the events of this prefix belong to another ledger, or the server refuses.
    pub async fn intake(&self) -> Result<NatsIntake, Error> {
        let events = self.server.stream("EVENTS").await?;
        let consumer = self.own_consumer(&events).await?;
        let unfinished = unfinished(&events, &consumer).await?;
        let messages = open(&consumer).await?;
        Ok(NatsIntake { events, consumer, unfinished, messages })
    }

    async fn own_consumer(&self, events: &stream::Stream) -> Result<Consumer, Error> {
        let take = self.server.options.take;
        let config = consumer::pull::Config {
            durable_name: Some(CONSUMER.to_owned()),
            ack_policy: consumer::AckPolicy::Explicit,
            ack_wait: ACK_WITHIN,
            max_ack_pending: UNACKNOWLEDGED_MAX,
            deliver_policy: match take {
                Take::All => consumer::DeliverPolicy::All,
                Take::New => consumer::DeliverPolicy::New,
            },
            metadata: HashMap::from([
                (LEDGER.to_owned(), self.ledger.to_string()),
                (TAKE.to_owned(), take.name().to_owned()),
            ]),
            ..consumer::pull::Config::default()
        };
        let create = failed("create the event consumer");
        let found: Consumer =
            events.get_or_create_consumer(CONSUMER, config.clone()).await.map_err(create)?;
        match self.server.ownership(found.cached_info(), Some(&self.ledger)) {
            Ownership::Own => Ok(found),
            Ownership::Left => {
                events.delete_consumer(CONSUMER).await.map_err(failed("replace the event consumer"))?;
                events.create_consumer(config).await.map_err(failed("create the event consumer"))
            }
            Ownership::Other(other) => Err(self.server.belongs_to(other)),
        }
    }
}

/// Whose a consumer is, seen from one ledger.
enum Ownership {
    Own,
    /// Somebody's who only wanted new events and is gone: nothing in it that another such may not pass over.
    Left,
    Other(String),
}

impl NatsServer {
    /// Whether the events of this prefix are free for this ledger (`None`: one that is yet to be made).
    ///
    /// # Errors
    /// When they belong to another ledger, or the server does not say.
    pub async fn check_free(&self, ledger: Option<&str>) -> Result<(), Error> {
        let missing = jetstream::ErrorCode::STREAM_NOT_FOUND;
        let events = match self.context.get_stream(self.stream_name("EVENTS")).await {
            Ok(events) => events,
            Err(error) if matches!(error.kind(), GetStreamErrorKind::JetStream(said) if said.error_code() == missing) =>
            {
                return Ok(());
            }
            Err(error) => return Err(failed("look at the event stream")(error)),
        };
        match events.consumer_info(CONSUMER).await {
            Ok(info) => match self.ownership(&info, ledger) {
                Ownership::Own | Ownership::Left => Ok(()),
                Ownership::Other(other) => Err(self.belongs_to(other)),
            },
            Err(error) if error.kind() == ConsumerInfoErrorKind::NotFound => Ok(()),
            Err(error) => Err(failed("look at the event consumer")(error)),
        }
    }

    fn ownership(&self, info: &consumer::Info, ledger: Option<&str>) -> Ownership {
        let said = |key| info.config.metadata.get(key).map(String::as_str);
        let is_left = said(TAKE) == Some(Take::New.name()) && info.num_waiting == 0;
        match said(LEDGER) {
            Some(owner) if Some(owner) == ledger => Ownership::Own,
            Some(_) | None if self.options.take == Take::New && is_left => Ownership::Left,
            owner => Ownership::Other(owner.unwrap_or("of somebody else").to_owned()),
        }
    }

    fn belongs_to(&self, found: String) -> Error {
        Error::OtherLedger { stream: self.stream_name("EVENTS"), consumer: CONSUMER, found }
    }
}

/// What was handed out before and is not all acknowledged, oldest first.
async fn unfinished(events: &stream::Stream, consumer: &Consumer) -> Result<VecDeque<Delivery>, Error> {
    let info = consumer.get_info().await.map_err(failed("look at the event consumer"))?;
    if info.num_ack_pending == 0 {
        return Ok(VecDeque::new());
    }
    let handed_out = info.ack_floor.stream_sequence + 1..=info.delivered.stream_sequence;
    let messages = stored(events, handed_out).await?;
    let delivery = |message: StreamMessage| Delivery {
        bytes: message.payload,
        attempt: 2,
        place: Some(message.sequence),
        // The consumer will deliver it again, and that delivery is acknowledged.
        ticket: Ticket::Internal,
    };
    Ok(messages.into_iter().map(delivery).collect())
}

async fn open(consumer: &Consumer) -> Result<consumer::pull::Stream, Error> {
    let messages = consumer.stream().max_messages_per_batch(PULL_BATCH).messages().await;
    messages.map_err(failed("pull events"))
}

impl NatsIntake {
    pub(in crate::bus) async fn next(&mut self, limit: usize) -> Result<Option<Vec<Delivery>>, Error> {
        if !self.unfinished.is_empty() {
            let count = limit.min(self.unfinished.len());
            return Ok(Some(self.unfinished.drain(..count).collect()));
        }
        let mut deliveries = Vec::new();
        while deliveries.is_empty() && self.unfinished.is_empty() {
            match self.messages.next().await {
                Some(Ok(message)) => deliveries.extend(Self::delivery(&message)),
                Some(Err(error)) => self.reopen(error.to_string()).await?,
                None => return Ok(None),
            }
        }
        if deliveries.is_empty() {
            deliveries.extend(self.unfinished.pop_front());
            return Ok(Some(deliveries));
        }
        while deliveries.len() < limit {
            match self.messages.next().now_or_never() {
                Some(Some(Ok(message))) => deliveries.extend(Self::delivery(&message)),
                Some(_) | None => break,
            }
        }
        Ok(Some(deliveries))
    }

    fn delivery(message: &jetstream::Message) -> Option<Delivery> {
        let info = message.info().ok()?;
        let reply = message.reply.as_ref()?.to_string();
        let attempt = u32::try_from(info.delivered).unwrap_or(1);
        let place = Some(info.stream_sequence);
        Some(Delivery { bytes: message.payload.clone(), attempt, place, ticket: Ticket::Nats { reply } })
    }

    /// The server went away or lost its heartbeat: wait a little and ask again; the client reconnects itself.
    async fn reopen(&mut self, error: String) -> Result<(), Error> {
        tracing::warn!(error, "event source interrupted, pulling again");
        loop {
            tokio::time::sleep(Duration::from_millis(200)).await;
            // What was pulled and not yet handed on is gone with the old connection.
            let Ok(unfinished) = unfinished(&self.events, &self.consumer).await else { continue };
            if let Ok(messages) = open(&self.consumer).await {
                (self.unfinished, self.messages) = (unfinished, messages);
                return Ok(());
            }
        }
    }
}
