//! The ledger writer: one thread that owns the write connection.
//!
//! It commits whatever is waiting, up to [`BATCH_ROWS_MAX`] rows at a time: while one batch is on its way to
//! the disk the next one gathers, so a quiet node commits at once and a busy one shares each flush. After the
//! commit it settles the escrow and hands the batch to the relay. Any failure to commit takes the node down
//! with nothing acknowledged: the producer still has every event.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use agents::member::Release;
use agents::segment::{Demand, EscrowError};
use domain::MemberId;
use ledger::{Entry, Seq, Snapshot};
use tokio::sync::mpsc as channel;

use crate::actors::segment::Barrier;
use crate::clock;
use crate::metrics::{Metrics, Stamps};
use crate::reward::Promised;
use crate::sides::Purse;
use crate::work::{Feedback, WorkId};

/// Rows in one transaction at most. 256 rows of about 1 KB cost 2-3 ms with their flush; larger batches gain
/// little and make the first row of a batch wait longer.
const BATCH_ROWS_MAX: usize = 256;
/// How long the thread sleeps without work before it looks after checkpoints.
const IDLE_WAKE: Duration = Duration::from_millis(250);

/// One row on its way, with what follows its commit.
pub struct Row {
    pub entry: Entry,
    pub work: Option<WorkId>,
    pub stamps: Stamps,
    /// The promise that ends with it or is approved, and on which side.
    pub turned: Option<(Arc<Purse>, Box<Release>)>,
    pub after: After,
}

/// What follows the commit of a row.
pub enum After {
    /// Nothing but the acknowledgement.
    Nothing,
    /// Tell the world about the decision.
    Announce(Promised),
    /// Count the promise as spent, then tell the world.
    Spend(Arc<Purse>, Demand, Promised),
    /// Tell the world, and so the producer, that an event was refused: its source and the row's public form.
    Refused { source: String, body: String },
    /// Call back: a plan may take effect now that it is recorded.
    Then(Box<dyn FnOnce(Seq) + Send>),
}

/// A committed row, for the relay.
pub struct Committed {
    pub seq: Seq,
    pub work: Option<WorkId>,
    pub stamps: Stamps,
    pub announce: Option<Promised>,
    /// Source and public form of a dead letter.
    pub refused: Option<(String, String)>,
}

/// What the relay receives, in commit order.
pub enum Outgoing {
    Rows(Vec<Committed>),
    /// A signed head of the ledger.
    Checkpoint(String),
}

enum Command {
    Row(Box<Row>),
    State(MemberId, ledger::State),
    Leave(MemberId, ledger::State),
    Barrier(Arc<Barrier>),
    Close,
}

/// The sending end; cheap to clone. The queue needs no bound of its own: every row belongs to an admitted
/// unit of work, and those are bounded by the node's permits.
#[derive(Clone)]
pub struct WriterHandle {
    commands: mpsc::Sender<Command>,
}

impl WriterHandle {
    fn send(&self, command: Command) {
        // The thread ends only after Close or a fatal error; either way the node is going down.
        let _closing = self.commands.send(command);
    }

    /// Appends a row.
    pub fn row(&self, row: Row) {
        self.send(Command::Row(Box::new(row)));
    }

    /// Writes a member's state down without a row.
    pub fn state(&self, member: MemberId, state: ledger::State) {
        self.send(Command::State(member, state));
    }

    /// Writes a member's state down and tells the intake once it is durable.
    pub fn leave(&self, member: MemberId, state: ledger::State) {
        self.send(Command::Leave(member, state));
    }

    /// Everything one segment had of a failed member has been handed over.
    pub fn barrier(&self, barrier: Arc<Barrier>) {
        self.send(Command::Barrier(barrier));
    }

    /// Commits what is queued, checkpoints and ends the thread.
    pub fn close(&self) {
        self.send(Command::Close);
    }
}

/// What the thread works with.
pub struct WriterParts {
    pub ledger: ledger::Writer,
    /// Of the bundle in force.
    pub purse: Arc<Purse>,
    pub relay: channel::UnboundedSender<Outgoing>,
    pub feedback: channel::UnboundedSender<Feedback>,
    pub metrics: Arc<Metrics>,
}

/// Starts the thread.
///
/// # Errors
/// When the operating system refuses a thread.
pub fn start(parts: WriterParts) -> std::io::Result<(WriterHandle, JoinHandle<()>)> {
    let (commands, receiver) = mpsc::channel();
    let thread = std::thread::Builder::new().name("ledger-writer".to_owned()).spawn(move || {
        let mut writer = WriterThread { parts, batch: Batch::default(), barriers: BTreeMap::new() };
        if let Err(error) = writer.run(&receiver) {
            let _closing = writer.parts.feedback.send(Feedback::Fatal(error.to_string()));
        }
    })?;
    Ok((WriterHandle { commands }, thread))
}

/// What goes into the next transaction.
#[derive(Default)]
struct Batch {
    rows: Vec<Row>,
    /// States to write down, each with how many rows of this batch were queued before it: a row of the same
    /// member may follow in the same batch, and the state does not hold that one.
    states: Vec<(MemberId, ledger::State, usize)>,
    leaving: Vec<MemberId>,
    drained: Vec<MemberId>,
}

impl Batch {
    fn keep(&mut self, member: MemberId, state: ledger::State) {
        self.states.push((member, state, self.rows.len()));
    }

    fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.states.is_empty() && self.drained.is_empty()
    }
}

struct WriterThread {
    parts: WriterParts,
    batch: Batch,
    /// Segments that have passed each failed member's barrier.
    barriers: BTreeMap<MemberId, usize>,
}

impl WriterThread {
    fn run(&mut self, commands: &mpsc::Receiver<Command>) -> Result<(), ledger::Error> {
        loop {
            let mut open = match commands.recv_timeout(IDLE_WAKE) {
                Ok(command) => self.take(command),
                Err(RecvTimeoutError::Timeout) => true,
                Err(RecvTimeoutError::Disconnected) => false,
            };
            while open && self.batch.rows.len() < BATCH_ROWS_MAX {
                match commands.try_recv() {
                    Ok(command) => open = self.take(command),
                    Err(_) => break,
                }
            }
            self.commit()?;
            if !open {
                return self.close();
            }
        }
    }

    /// Returns false on the order to close.
    fn take(&mut self, command: Command) -> bool {
        match command {
            Command::Row(row) => self.batch.rows.push(*row),
            Command::State(member, state) => self.batch.keep(member, state),
            Command::Leave(member, state) => {
                self.batch.keep(member, state);
                self.batch.leaving.push(member);
            }
            Command::Barrier(barrier) => {
                let passed = self.barriers.entry(barrier.member).or_insert(0);
                *passed += 1;
                if *passed >= barrier.segments {
                    self.barriers.remove(&barrier.member);
                    self.batch.drained.push(barrier.member);
                }
            }
            Command::Close => return false,
        }
        true
    }

    fn commit(&mut self) -> Result<(), ledger::Error> {
        let now = clock::wall();
        if self.batch.is_empty() {
            let head = self.parts.ledger.tick(now)?;
            self.publish_head(head);
            return Ok(());
        }
        let started = Instant::now();
        let mut batch = std::mem::take(&mut self.batch);
        let entries: Vec<Entry> = batch.rows.iter_mut().map(|row| take_entry(&mut row.entry)).collect();
        let before = self.parts.ledger.size();
        let mut first = Seq::START;
        if !entries.is_empty() {
            let appended = self.parts.ledger.append(now, &entries)?;
            first = appended.first;
            self.publish_head(appended.checkpoint);
        }
        let states = std::mem::take(&mut batch.states).into_iter();
        let as_of = |rows: usize| Seq(before + rows as u64);
        let snapshots: Vec<Snapshot> =
            states.map(|(member, state, rows)| Snapshot { member, as_of: as_of(rows), state }).collect();
        if !snapshots.is_empty() {
            self.parts.ledger.save(now, &snapshots)?;
        }
        let committed = Instant::now();
        self.count(started, batch.rows.len());
        self.settle(&batch.rows);
        self.announce(batch, first, committed);
        Ok(())
    }

    fn count(&self, started: Instant, rows: usize) {
        let counters = &self.parts.metrics.counters;
        let add = |counter: &std::sync::atomic::AtomicU64, amount| {
            counter.fetch_add(amount, std::sync::atomic::Ordering::Relaxed);
        };
        add(&counters.commits, 1);
        add(&counters.records, rows as u64);
        add(&counters.commit_us, u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX));
    }

    /// Moves the escrow along with what is now durable.
    fn settle(&self, rows: &[Row]) {
        let report = |moved: Result<(), EscrowError>| {
            if let Err(error) = moved {
                tracing::error!(%error, invariant = "B-2", "escrow and ledger disagree");
            }
        };
        for row in rows {
            if let Some((purse, release)) = &row.turned {
                // What an earlier run promised counts with the bundle in force, whoever decides about the member now.
                report(purse.turn(release).or_else(|_| self.parts.purse.turn(release)));
            }
            match &row.after {
                After::Spend(purse, demand, promised)
                    if promised.public.outcome == domain::Outcome::Granted =>
                {
                    report(purse.escrow().settle(demand));
                }
                After::Spend(..)
                | After::Nothing
                | After::Announce(_)
                | After::Then(_)
                | After::Refused { .. } => {}
            }
        }
    }

    fn announce(&self, batch: Batch, first: Seq, committed: Instant) {
        let mut out = Vec::with_capacity(batch.rows.len());
        for (at, row) in batch.rows.into_iter().enumerate() {
            let seq = Seq(first.0 + at as u64);
            let (announce, refused) = match row.after {
                After::Announce(promised) | After::Spend(_, _, promised) => (Some(promised), None),
                After::Refused { source, body } => (None, Some((source, body))),
                After::Then(call) => {
                    call(seq);
                    (None, None)
                }
                After::Nothing => (None, None),
            };
            let stamps = Stamps { committed, ..row.stamps };
            out.push(Committed { seq, work: row.work, stamps, announce, refused });
        }
        let _closing = self.parts.relay.send(Outgoing::Rows(out));
        for member in batch.leaving {
            let _closing = self.parts.feedback.send(Feedback::Left(member));
        }
        for member in batch.drained {
            let _closing = self.parts.feedback.send(Feedback::Drained(member));
        }
    }

    fn publish_head(&self, head: Option<ledger::Checkpoint>) {
        if let Some(head) = head {
            let _closing = self.parts.relay.send(Outgoing::Checkpoint(head.note));
        }
    }

    fn close(&mut self) -> Result<(), ledger::Error> {
        let now = clock::wall();
        let due = self.parts.ledger.tick(now)?;
        self.publish_head(due);
        // Whoever wants a proof of the last rows need not wait for the next start.
        let last = self.parts.ledger.sign_head(now)?;
        self.publish_head(last);
        Ok(())
    }
}

fn take_entry(entry: &mut Entry) -> Entry {
    std::mem::replace(entry, Entry::new(entry.kind, entry.record_id, String::new()))
}
