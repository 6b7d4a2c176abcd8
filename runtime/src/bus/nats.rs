//! The bus over a NATS server with JetStream.
//!
//! Events are pulled from a durable consumer and acknowledged one by one, after their rows are committed and
//! their rewards published. Rewards are stored in a stream under their decision id.
//!
//! A publish that was not confirmed may have been stored: it is "unknown", never "failed". The relay asks
//! [`NatsBus::rewards_stored_after`] before it repeats anything.

mod door;
mod forget;
mod intake;

pub use door::{Door, Heard, Pointer};
pub use forget::Traces;
pub use intake::NatsIntake;

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::context::DeleteStreamErrorKind;
use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::LastRawMessageErrorKind;
use async_nats::jetstream::{self, stream};
use bytes::Bytes;
use futures::StreamExt;

use super::{Error, Publication, Ticket};
use crate::config::NatsOptions;

/// How long connecting may take before the server counts as unreachable.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);
/// How long one JetStream request may take.
const REQUEST_WITHIN: Duration = Duration::from_secs(5);
/// How many stored rewards a restarted relay reads back; above the node's bound of rewards in flight.
const TAIL_MAX: u64 = 65_536;
/// Rewards at or below the confirmed position in a row after which the tail counts as read.
const TAIL_CONFIRMED_RUN: u32 = 1_000;
/// Stored rewards read before it is looked whether the tail is done.
const TAIL_PAGE: u64 = 1_024;
/// Stored messages asked for at the same time.
const READS_AT_ONCE: usize = 64;
/// Header naming the ledger a reward was recorded in.
const LEDGER_HEADER: &str = "Largesse-Ledger";
/// Header naming the record's sequence number.
const SEQ_HEADER: &str = "Largesse-Seq";

/// A server with JetStream; clones share the connection.
#[derive(Clone)]
pub struct NatsServer {
    options: Arc<NatsOptions>,
    client: async_nats::Client,
    context: jetstream::Context,
}

/// The bus of the node that keeps one ledger.
#[derive(Clone)]
pub struct NatsBus {
    server: NatsServer,
    /// The ledger's identity: the name in its signed heads and the id of the key that signs them.
    ledger: Arc<str>,
}

fn failed<E: std::fmt::Display>(what: &'static str) -> impl FnOnce(E) -> Error {
    move |error| Error::Failed { what, why: error.to_string() }
}

/// The URL without user and password, for messages.
pub fn redacted(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://{host}"),
        _ => url.to_owned(),
    }
}

/// Plaintext without credentials is for loopback only.
fn check_plaintext(options: &NatsOptions) -> Result<(), Error> {
    let rest = options.url.split_once("://").map_or(options.url.as_str(), |(_, rest)| rest);
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    if is_loopback(host) || rest.contains('@') || options.url.starts_with("tls://") || options.allow_plaintext
    {
        return Ok(());
    }
    Err(Error::Plaintext { url: redacted(&options.url) })
}

/// Whether `host[:port]` names this machine itself.
fn is_loopback(host: &str) -> bool {
    let host = host.trim_end_matches('/');
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.split(':').next().unwrap_or(host),
    };
    name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

impl NatsServer {
    /// What was reached, for people.
    pub fn describe(&self) -> String {
        let info = self.client.server_info();
        format!("nats-server {} at {}, JetStream on", info.version, redacted(&self.options.url))
    }

    /// Connects and makes sure the streams exist.
    ///
    /// # Errors
    /// When the server is unreachable, has no JetStream, or holds foreign streams of our names.
    pub async fn connect(options: NatsOptions) -> Result<NatsServer, Error> {
        let server = NatsServer::reach(options).await?;
        server.ensure_stream("EVENTS", server.options.subjects.events_all()).await?;
        server.ensure_stream("REWARDS", server.options.subjects.rewards_all()).await?;
        Ok(server)
    }

    /// The bus for the node that keeps this ledger.
    pub fn for_ledger(self, ledger: &str) -> NatsBus {
        NatsBus { server: self, ledger: ledger.into() }
    }

    /// Connects without changing anything.
    ///
    /// # Errors
    /// When the server is unreachable or has no JetStream.
    pub async fn reach(options: NatsOptions) -> Result<NatsServer, Error> {
        check_plaintext(&options)?;
        let url = redacted(&options.url);
        let connecting = async_nats::ConnectOptions::new()
            .name(format!("largesse/node@{}", env!("CARGO_PKG_VERSION")))
            .connection_timeout(CONNECT_WITHIN)
            .subscription_capacity(65_536)
            .client_capacity(16_384)
            .connect(&options.url);
        let client = match tokio::time::timeout(CONNECT_WITHIN + Duration::from_secs(1), connecting).await {
            Ok(Ok(client)) => client,
            Ok(Err(error)) => return Err(Error::Unreachable { url, why: error.to_string() }),
            Err(_) => return Err(Error::Unreachable { url, why: "no answer in time".to_owned() }),
        };
        let context = jetstream::context::ContextBuilder::new()
            .timeout(REQUEST_WITHIN)
            .ack_timeout(REQUEST_WITHIN)
            .backpressure_on_inflight(true)
            .build(client.clone());
        context.query_account().await.map_err(|error| Error::NoJetStream { url, why: error.to_string() })?;
        Ok(NatsServer { options: Arc::new(options), client, context })
    }

    fn stream_name(&self, what: &str) -> String {
        format!("{}_{what}", self.options.stream_prefix)
    }

    async fn ensure_stream(&self, what: &str, subjects: String) -> Result<(), Error> {
        let name = self.stream_name(what);
        let config = stream::Config {
            name: name.clone(),
            subjects: vec![subjects.clone()],
            storage: stream::StorageType::File,
            // Old events and rewards leave by age; the ledger is the record.
            max_age: Duration::from_secs(7 * 24 * 3600),
            ..stream::Config::default()
        };
        let stream = self.context.get_or_create_stream(config).await.map_err(failed("create a stream"))?;
        let found = stream.cached_info().config.subjects.clone();
        if found == [subjects.clone()] {
            Ok(())
        } else {
            Err(Error::ForeignStream { stream: name, found, expected: vec![subjects] })
        }
    }

    /// Deletes every stream with everything in it: for a prefix that nobody else uses.
    ///
    /// # Errors
    /// When one is there and the server does not delete it.
    pub async fn remove_streams(&self) -> Result<(), Error> {
        let missing = jetstream::ErrorCode::STREAM_NOT_FOUND;
        let bucket = format!("KV_{}", self.stream_name("POLICIES"));
        let objects = format!("OBJ_{}", self.stream_name("BUNDLES"));
        for name in [self.stream_name("EVENTS"), self.stream_name("REWARDS"), bucket, objects] {
            match self.context.delete_stream(name).await {
                Ok(_) => {}
                Err(error) if matches!(error.kind(), DeleteStreamErrorKind::JetStream(said) if said.error_code() == missing) =>
                    {}
                Err(error) => return Err(failed("delete a stream")(error)),
            }
        }
        Ok(())
    }

    async fn stream(&self, what: &str) -> Result<stream::Stream, Error> {
        let name = self.stream_name(what);
        self.context.get_stream(&name).await.map_err(failed("open a stream"))
    }
}

impl NatsBus {
    /// Stores one event as a producer would; returns the pending confirmation.
    ///
    /// # Errors
    /// When the connection is closed.
    pub async fn send_event(&self, subject: String, bytes: Bytes) -> Result<PendingEvent, Error> {
        let message = jetstream::message::PublishMessage::build().payload(bytes);
        let pending = self.server.context.send_publish(subject, message).await;
        Ok(PendingEvent(pending.map_err(failed("publish an event"))?))
    }

    pub(super) async fn publish(&self, subject: &str, payload: Bytes) {
        if let Err(error) = self.server.client.publish(subject.to_owned(), payload).await {
            tracing::warn!(subject, %error, "visibility message not published");
        }
    }

    pub(super) async fn publish_rewards(&self, rewards: &[Publication]) -> Result<(), Error> {
        let mut pending = Vec::with_capacity(rewards.len());
        for reward in rewards {
            let message = jetstream::message::PublishMessage::build()
                .message_id(&reward.message_id)
                .header("ce-specversion", "1.0")
                .header("ce-type", "largesse.v1.reward")
                .header("ce-id", reward.message_id.as_str())
                .header("ce-source", &*self.ledger)
                .header(LEDGER_HEADER, &*self.ledger)
                .header(SEQ_HEADER, reward.seq.to_string())
                .payload(reward.payload.clone());
            let sent = self.server.context.send_publish(reward.subject.clone(), message).await;
            pending.push(sent.map_err(failed("publish a reward"))?);
        }
        for confirmation in pending {
            confirmation.await.map_err(failed("confirm a reward"))?;
        }
        Ok(())
    }

    pub(super) async fn subscribe(&self, pattern: &str) -> Result<async_nats::Subscriber, Error> {
        let subscriber =
            self.server.client.subscribe(pattern.to_owned()).await.map_err(failed("subscribe"))?;
        // A subscription is only certain to see what is published after the server knows of it.
        self.server.client.flush().await.map_err(failed("flush a subscription"))?;
        Ok(subscriber)
    }

    /// One acknowledgement per delivery. Cumulative ones are cheaper, but after a crash the server may hand out
    /// later deliveries before it repeats the earlier ones, and acknowledging those would lose these.
    pub(super) async fn acknowledge(&self, tickets: Vec<Ticket>) {
        for ticket in tickets {
            if let Ticket::Nats { reply } = ticket
                && let Err(error) = self.server.client.publish(reply, Bytes::from_static(b"+ACK")).await
            {
                // The server will deliver again and the ledger will answer with the stored decision.
                tracing::warn!(%error, "acknowledgement not sent");
            }
        }
    }

    pub(super) async fn rewards_stored_after(&self, seq: u64) -> Result<BTreeSet<String>, Error> {
        let mut stream = self.server.stream("REWARDS").await?;
        let state = stream.info().await.map_err(failed("read the reward stream"))?.state.clone();
        let oldest = state.first_sequence.max(state.last_sequence.saturating_sub(TAIL_MAX)).max(1);
        let (mut out, mut confirmed_run) = (BTreeSet::new(), 0);
        let mut end = state.last_sequence;
        while end >= oldest && confirmed_run < TAIL_CONFIRMED_RUN {
            let start = (end + 1).saturating_sub(TAIL_PAGE).max(oldest);
            for message in stored(&stream, start..=end).await?.iter().rev() {
                let header = |name: &str| message.headers.get(name).map(|value| value.as_str().to_owned());
                if header(LEDGER_HEADER).as_deref() != Some(&*self.ledger) {
                    continue;
                }
                let recorded: u64 = header(SEQ_HEADER).and_then(|text| text.parse().ok()).unwrap_or(0);
                if recorded > seq {
                    confirmed_run = 0;
                    out.extend(header("Nats-Msg-Id"));
                } else {
                    confirmed_run += 1;
                }
            }
            end = start - 1;
        }
        Ok(out)
    }
}

/// The messages at these positions of a stream, in order; those that are gone by age are left out.
async fn stored(
    stream: &stream::Stream,
    positions: RangeInclusive<u64>,
) -> Result<Vec<StreamMessage>, Error> {
    let mut reads = futures::stream::iter(positions)
        .map(|position| stream.get_raw_message(position))
        .buffered(READS_AT_ONCE);
    let mut messages = Vec::new();
    while let Some(read) = reads.next().await {
        match read {
            Ok(message) => messages.push(message),
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => {}
            Err(error) => return Err(failed("read a stored message")(error)),
        }
    }
    Ok(messages)
}

/// A published event whose storage is not yet confirmed.
pub struct PendingEvent(jetstream::context::PublishAckFuture);

impl PendingEvent {
    /// Waits until the server has stored it.
    ///
    /// # Errors
    /// When no confirmation came; the event may be stored all the same.
    pub async fn stored(self) -> Result<(), Error> {
        self.0.await.map(|_| ()).map_err(failed("confirm an event"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_do_not_reach_messages() {
        assert_eq!(redacted("nats://user:secret@host:4222"), "nats://host:4222");
        assert_eq!(redacted("nats://127.0.0.1:4222"), "nats://127.0.0.1:4222");
    }

    #[test]
    fn anonymous_plaintext_stays_on_this_machine() {
        let options = |url: &str| NatsOptions::at(url);
        assert!(check_plaintext(&options("nats://10.0.0.1:4222")).is_err());
        assert!(check_plaintext(&options("nats://localhost.example.com:4222")).is_err());
        assert!(check_plaintext(&options("nats://127.0.0.1:4222")).is_ok());
        assert!(check_plaintext(&options("nats://[::1]:4222")).is_ok());
        assert!(check_plaintext(&options("tls://10.0.0.1:4222")).is_ok());
    }
}
