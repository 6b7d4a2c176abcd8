//! A node: everything started in order, and stopped in the reverse order without losing anything.
//!
//! Start: policy, engine and models, ledger, bus, then agents, and the intake last. Stop: the intake first
//! (no more events), then what is in flight, then the writer (a last signed head), then the relay.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use ledger::{Reader, Seq};
use models::batch::{self, BatchScorer};
use models::engine::{Choice, Engine, EngineInfo};
use models::scorer::{Models, Source};
use policies::Bundle;
use ractor::ActorRef;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::actors::loader::Loader;
use crate::actors::root::Never;
use crate::bus::memory::MemoryBus;
use crate::bus::nats::{Door, NatsServer, Pointer};
use crate::bus::subject::Subjects;
use crate::bus::{self, Bus};
use crate::catch_up::Committed;
use crate::clock::{self, Clock};
use crate::config::{ClockKind, Options};
use crate::intake::{self, Intake};
use crate::metrics::Metrics;
use crate::opening::{self, Opened};
use crate::registry::{self, Followed};
use crate::relay::Relay;
use crate::requests::{Inbox, Slow};
use crate::shared::Shared;
use crate::tree::{Soil, Tree};
use crate::writer::{self, WriterHandle, WriterParts};

/// The relay position's name in the ledger.
pub(crate) const RELAY: &str = "nats";
/// Requests over NATS that wait in memory; the rest wait in their bucket.
const REQUESTS_WAITING: usize = 16;

/// Why a node does not start, or ends on its own.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    #[error("the policy in {place} cannot be used:\n{problems}")]
    Policy { place: String, problems: String },
    #[error("the bundle has {segments} segments and {rewards} rewards; at most 64 of each can be negotiated")]
    Shape { segments: usize, rewards: usize },
    #[error(transparent)]
    Engine(#[from] models::engine::Error),
    #[error(transparent)]
    Models(#[from] models::scorer::Error),
    #[error(transparent)]
    Ledger(#[from] ledger::Error),
    #[error(transparent)]
    Bus(#[from] bus::Error),
    #[error(transparent)]
    Intake(#[from] intake::Error),
    #[error("failed to start a thread or agent: {0}")]
    Start(String),
    #[error("row {seq} cannot be used: {why}")]
    Row { seq: Seq, why: String },
}

/// A running node.
pub struct Node {
    pub bus: Bus,
    /// The producing end of the in-process bus, when there is one.
    pub memory: Option<MemoryBus>,
    pub subjects: Subjects,
    pub metrics: Arc<Metrics>,
    pub bundle: Arc<Bundle>,
    pub engine: EngineInfo,
    pub folder: PathBuf,
    stop: CancellationToken,
    changed: CancellationToken,
    inbox: tokio::task::JoinHandle<()>,
    intake: tokio::task::JoinHandle<Result<(), intake::Error>>,
    relay: tokio::task::JoinHandle<()>,
    writer: WriterHandle,
    writer_thread: JoinHandle<()>,
    root: ActorRef<Never>,
    nursery: ActorRef<Never>,
    _maintenance: ledger::Maintenance,
}

/// Loads a policy bundle.
///
/// # Errors
/// Every mistake of the bundle, rendered with its place.
pub fn load_bundle(folder: Option<&PathBuf>) -> Result<Bundle, NodeError> {
    let loaded = folder.map_or_else(policies::starter::grocery, |folder| Bundle::load(folder));
    loaded.map_err(|problems| NodeError::Policy { place: named(folder), problems: problems.render() })
}

/// Loads the policy bundle that a node without a chosen one is to decide by.
///
/// # Errors
/// As [`load_bundle`], and every contradiction in it: what nobody could hand in does not come in by the folder.
pub fn load_sound(folder: Option<&PathBuf>) -> Result<Bundle, NodeError> {
    let bundle = load_bundle(folder)?;
    let against = registry::contradictions(&bundle).concat();
    if against.is_empty() {
        Ok(bundle)
    } else {
        Err(NodeError::Policy { place: named(folder), problems: against })
    }
}

/// Where a bundle is from.
pub(crate) fn named(folder: Option<&PathBuf>) -> String {
    folder.map_or_else(|| "the binary".to_owned(), |folder| folder.display().to_string())
}

/// Starts the engine and loads verified models.
///
/// # Errors
/// When the engine or a model is refused.
pub fn load_models(options: &Options) -> Result<Models, NodeError> {
    let choice = options.onnxruntime.clone().map_or(Choice::Embedded, Choice::Library);
    let engine = Engine::start(&choice)?;
    let source = options.models_dir.clone().map_or(Source::Shipped, Source::Folder);
    Ok(Models::load(&engine, &source)?)
}

/// The NATS server, when one is configured and its events are free for this node's ledger.
async fn reach(options: &Options) -> Result<Option<NatsServer>, NodeError> {
    let Some(nats) = &options.nats else { return Ok(None) };
    let server = NatsServer::connect(nats.clone()).await?;
    server.check_free(ledger::identity_of(&options.dir)?.as_deref()).await?;
    Ok(Some(server))
}

/// Starts to take events from the bus, for the ledger of this name.
async fn subscribe(
    options: &Options,
    reached: Option<NatsServer>,
    ledger: &str,
) -> Result<(Bus, bus::Intake, Option<MemoryBus>, Subjects), NodeError> {
    match (reached, &options.nats) {
        (Some(server), Some(nats)) => {
            let bus = server.for_ledger(ledger);
            let intake = bus.intake().await?;
            Ok((Bus::Nats(Box::new(bus)), bus::Intake::Nats(Box::new(intake)), None, nats.subjects.clone()))
        }
        (None, _) | (_, None) => {
            let (memory, intake) = MemoryBus::new();
            Ok((Bus::Memory(memory.clone()), bus::Intake::Memory(intake), Some(memory), Subjects::default()))
        }
    }
}

/// Whether a node could start with these options, as far as that shows without a ledger: the policy, the engine
/// and its models, and the NATS server.
///
/// # Errors
/// As [`Node::start`].
pub async fn check(options: &Options) -> Result<(), NodeError> {
    load_sound(options.policy.as_ref())?;
    load_models(options)?;
    reach(options).await?;
    Ok(())
}

/// Opens the registry's door on NATS and says there what is in force. A server that has no room for it is no reason
/// not to decide: steps can still be taken in the ledger's folder.
async fn open_door(server: &NatsServer, pointer: &Pointer, bundle: &Bundle) -> Option<Door> {
    let opened = async {
        let door = server.make_door().await?;
        door.announce(pointer, bundle.canonical()).await?;
        Ok::<Door, bus::Error>(door)
    };
    match opened.await {
        Ok(door) => Some(door),
        Err(error) => {
            tracing::warn!(%error, "policies cannot be handed in or activated over NATS");
            None
        }
    }
}

impl Node {
    /// Starts a node.
    ///
    /// # Errors
    /// Names the part that could not start, what was found and what to do.
    pub async fn start(options: &Options) -> Result<Node, NodeError> {
        // On the heap: whoever waits for it need not carry its kilobytes.
        Box::pin(Node::begin(options)).await
    }

    async fn begin(options: &Options) -> Result<Node, NodeError> {
        let models = load_models(options)?;
        let engine = models.engine().clone();
        let models_digest = models.digest();
        // Before the ledger, so that a start that cannot succeed writes nothing.
        let reached = reach(options).await?;
        let server = reached.clone();
        let mut opened = opening::open(options)?;
        let (bus, source, memory, subjects) = subscribe(options, reached, &opened.ledger.identity()).await?;
        let sides = policies::registry::Sides {
            stops: opened.policy.stops(),
            canary: opened.candidate.as_ref().map(|candidate| candidate.side),
        };
        let (identity, inbox_reader) = (opened.ledger.identity(), opened.ledger.reader()?);
        let mut registry = Followed::new(&identity);
        let keys = opened.ledger.keys().clone();
        let mut committed = Committed::new(&inbox_reader, &keys);
        let in_registry = registry.now(&inbox_reader)?;
        let held_back = committed.sort(&bus, &subjects, in_registry, clock::wall()).await?;
        // Before the start is recorded: a row that no longer names a promise as held back says that it went out.
        let published = committed.publish(&bus, &subjects, &held_back).await?;
        opening::record_start(&mut opened, &sides, &models, options.heads_lost, &held_back)?;
        let Opened { ledger, reader, policy, purse, candidate, past, .. } = opened;
        let bundle = Arc::clone(policy.bundle());
        let pointer = Pointer::of(&identity, registry.now(&inbox_reader)?);
        let door = match (server, &pointer) {
            (Some(server), Some(pointer)) => open_door(&server, pointer, &bundle).await,
            (None, _) | (_, None) => None,
        };
        let position = ledger
            .relay(RELAY)
            .ok_or_else(|| NodeError::Start("the ledger has no relay position".to_owned()))?;
        position.advance(published);
        let run = u64::from(ledger.epoch());
        let scorer = BatchScorer::start(models, batch::Options::default());
        let scorer = scorer.map_err(|error| NodeError::Start(error.to_string()))?;
        let metrics = Arc::new(Metrics::default());
        let (feedback, feedback_in) = mpsc::unbounded_channel();
        let (relay_out, outgoing) = mpsc::unbounded_channel();
        // Loading is synchronous, so at most one member per worker thread is loaded at once; one to spare.
        let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        let readers = (0..=threads.max(2)).map(|_| ledger.reader()).collect::<Result<Vec<Reader>, _>>()?;
        let maintenance = ledger::Maintenance::start(&options.dir)?;
        let (writer, writer_thread) = writer::start(WriterParts {
            ledger,
            purse: Arc::clone(&purse),
            relay: relay_out,
            feedback: feedback.clone(),
            metrics: Arc::clone(&metrics),
        })
        .map_err(|error| NodeError::Start(error.to_string()))?;
        let (stop, changed) = (CancellationToken::new(), CancellationToken::new());
        let candidates = candidate.iter().map(|candidate| Arc::clone(&candidate.purse.bundle));
        let bundles = std::iter::once(Arc::clone(&bundle)).chain(candidates).collect();
        let relay = Relay {
            bus: bus.clone(),
            subjects: subjects.clone(),
            bundles,
            outgoing,
            feedback: feedback.clone(),
            metrics: Arc::clone(&metrics),
            position,
            published,
            stop: stop.clone(),
            changed: changed.clone(),
            gave_up: false,
        };
        let clock = match options.clock {
            ClockKind::Wall => Clock::Wall,
            ClockKind::Events => Clock::event(),
        };
        let shared = Arc::new(Shared {
            bundle: Arc::clone(&bundle),
            stops: policy.stops(),
            models: models_digest,
            clock,
            keys,
            scorer: Arc::new(scorer),
            writer: writer.clone(),
            purse,
            loader: Arc::new(Loader::new(readers)),
            feedback: feedback.clone(),
            metrics: Arc::clone(&metrics),
            faults: options.faults.clone(),
        });
        let candidate = candidate.map(|candidate| candidate.beside(&shared));
        let soil = Soil { bus: &bus, subjects: &subjects, run, past: past.map(Arc::new), options };
        let tree = Tree::grow(&soil, &shared, policy, candidate).await?;
        let door = match door {
            None => None,
            Some(door) => {
                let (tell, requests) = mpsc::channel(REQUESTS_WAITING);
                tokio::spawn(door.clone().listen(tell, stop.clone()));
                Some((door, requests))
            }
        };
        let (own, own_in) = mpsc::unbounded_channel();
        let inbox = Inbox {
            folder: options.dir.clone(),
            identity,
            registry,
            pointer,
            reader: inbox_reader,
            keys: shared.keys.clone(),
            writer: writer.clone(),
            own,
            stop: stop.clone(),
            changed: changed.clone(),
            scheduled: None,
            unanswerable: std::collections::BTreeSet::new(),
            door,
            slow: Slow::default(),
            answers: tokio::task::JoinSet::new(),
        };
        let intake = Intake {
            shared,
            bus: bus.clone(),
            source,
            reader,
            feedback: feedback_in,
            own: own_in,
            stop: stop.clone(),
            policy: tree.policy.clone(),
            sides: tree.sides,
            nursery: tree.nursery.get_cell(),
            in_flight_max: options.in_flight_max,
            resident_max: options.resident_members_max,
        };
        Ok(Node {
            bus,
            memory,
            subjects,
            metrics,
            bundle,
            engine,
            folder: options.dir.clone(),
            stop,
            changed,
            inbox: tokio::spawn(inbox.run()),
            intake: tokio::spawn(Box::pin(intake.run())),
            relay: tokio::spawn(relay.run()),
            writer,
            writer_thread,
            root: tree.root,
            nursery: tree.nursery,
            _maintenance: maintenance,
        })
    }

    /// Stops the intake; [`Node::join`] then returns once everything admitted is durable and published.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// A token that stops the node when cancelled, for signal handlers.
    pub fn stopper(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Raised when another policy is in force, or another switch: the node is to be stopped and started again.
    pub fn changed(&self) -> CancellationToken {
        self.changed.clone()
    }

    /// Whether the intake has ended.
    pub fn is_finished(&self) -> bool {
        self.intake.is_finished()
    }

    /// Waits for the node to end and closes everything in order.
    ///
    /// # Errors
    /// Why the node ended on its own.
    pub async fn join(self) -> Result<(), NodeError> {
        let ended = self.intake.await;
        // It ends with the order to stop; a node that failed on its own was not given one.
        self.stop.cancel();
        self.inbox.await.map_err(|error| NodeError::Start(format!("the inbox ended: {error}")))?;
        self.writer.close();
        let thread = self.writer_thread;
        let joined = tokio::task::spawn_blocking(move || thread.join()).await;
        self.relay.await.map_err(|error| NodeError::Start(format!("the relay ended: {error}")))?;
        self.nursery.stop(None);
        self.root.stop(None);
        if !matches!(joined, Ok(Ok(()))) {
            return Err(NodeError::Start("the ledger writer panicked".to_owned()));
        }
        match ended {
            Ok(result) => Ok(result?),
            Err(error) => Err(NodeError::Start(format!("the intake ended: {error}"))),
        }
    }
}
