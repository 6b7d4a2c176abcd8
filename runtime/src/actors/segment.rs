//! The segment actor: one segment's brain, deciding proposals in the order they arrive and handing each row
//! to the writer in that order, so that the ledger always holds a prefix of its work.

use std::sync::Arc;
use std::time::Instant;

use agents::member::{Promise, Proposal, State};
use agents::negotiation::{DemandAnswer, PriceQuote, PriceTable};
use agents::segment::{Demand, Segment, verdict};
use bytes::Bytes;
use domain::{Decision, MemberId};
use ledger::DataKey;
use ractor::{Actor, ActorProcessingErr, ActorRef};

use super::member::{self, Verdict, Written, snapshot};
use crate::bus::Bus;
use crate::clock;
use crate::metrics::Stamps;
use crate::reward::Promised;
use crate::rows;
use crate::shared::Shared;
use crate::work::WorkId;
use crate::writer::{After, Row};

/// The mailbox.
pub enum Message {
    /// A member agent's valued candidates.
    Propose(Box<Job>),
    /// The planner asks for demand at some prices.
    Quote(Arc<PriceQuote>),
    /// New prices are in force.
    Table(Arc<PriceTable>),
    /// A budget period begins: start from what the last one taught, at these prices.
    Period(Arc<PriceTable>),
    /// Everything proposed before this has been decided: pass it on to the writer.
    Barrier(Arc<Barrier>),
}

/// A proposal with what is needed to record its decision.
pub struct Job {
    pub proposal: Box<Proposal>,
    pub key: DataKey,
    /// The member's state after the event, before the decision.
    pub state: Arc<State>,
    pub written: Written,
    pub work: Option<WorkId>,
    pub stamps: Stamps,
    pub reply: ActorRef<member::Message>,
}

/// Counts the segments a failed member's proposals may still be queued at.
pub struct Barrier {
    pub member: MemberId,
    pub segments: usize,
}

/// The actor.
pub struct SegmentActor {
    pub shared: Arc<Shared>,
    pub bus: Bus,
    /// Subject of this node's answers.
    pub answers: String,
}

impl Actor for SegmentActor {
    type Msg = Message;
    type State = Segment;
    type Arguments = Segment;

    async fn pre_start(&self, _me: ActorRef<Message>, brain: Segment) -> Result<Segment, ActorProcessingErr> {
        Ok(brain)
    }

    async fn handle(
        &self,
        _me: ActorRef<Message>,
        message: Message,
        brain: &mut Segment,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Propose(job) => self.decide(brain, *job),
            Message::Quote(quote) => self.answer(brain, &quote).await,
            Message::Table(table) => install(brain, &table),
            Message::Period(table) => {
                *brain = brain.next_period(in_host_time(&table));
            }
            Message::Barrier(barrier) => self.shared.writer.barrier(barrier),
        }
        Ok(())
    }
}

impl SegmentActor {
    fn decide(&self, brain: &mut Segment, job: Job) {
        let seal = self.shared.seal();
        let decision = {
            let mut escrow = self.shared.purse.escrow();
            verdict::decide(brain, &job.proposal, &seal, &mut *escrow)
        };
        self.shared.metrics.decided(decision.outcome);
        self.write(job, &decision);
    }

    /// Hands the row to the writer first and answers the member second: the member's next row then comes after.
    fn write(&self, mut job: Job, decision: &Decision) {
        let bundle = &self.shared.bundle;
        let used = job.proposal.considered.used.take();
        let mut entry = rows::decision(decision, used.as_ref(), bundle, &job.key);
        let promise = match (&entry.reward, &entry.segment) {
            (Some(reward), Some(segment)) => {
                let stocked = decision.chosen.is_some_and(|chosen| bundle.reward(chosen).inventory.is_some());
                Promise::of(decision, reward, segment, stocked)
            }
            (_, _) => None,
        };
        let mut written = None;
        let promised_until = promise.as_ref().map(|promise| promise.valid_until);
        let due = job.state.next_due(bundle).into_iter().chain(promised_until).min();
        if job.written.wants(due) {
            if let Some(promise) = &promise {
                Arc::make_mut(&mut job.state).promise(promise.clone());
            }
            entry.snapshot = Some(snapshot(&job.state, &job.key, due));
            written = Some(Written { rows_since: 0, next_due: due });
        }
        job.stamps.decided = Instant::now();
        let announce = Promised::of(decision, &entry.body);
        let after = match Demand::of(decision) {
            Some(demand) => After::Spend(Arc::clone(&self.shared.purse), demand, announce),
            None => After::Announce(announce),
        };
        let turned = used.map(|release| (Arc::clone(&self.shared.purse), Box::new(release)));
        self.shared.writer.row(Row { entry, work: job.work, stamps: job.stamps, turned, after });
        // The member agent may have failed meanwhile; its successor reads the row from the ledger.
        let _failed =
            job.reply.send_message(member::Message::Decided(Box::new(Verdict { promise, written })));
    }

    async fn answer(&self, brain: &mut Segment, quote: &PriceQuote) {
        match brain.answer(quote) {
            Ok(answer) => {
                let answer: DemandAnswer = answer;
                // Plain integers and vectors: writing them into memory cannot fail.
                let bytes = serde_json::to_vec(&answer).unwrap_or_default();
                self.bus.publish(&self.answers, Bytes::from(bytes)).await;
            }
            Err(error) => tracing::warn!(%error, "quote ignored"),
        }
    }
}

/// The table with its life on the host's clock, which differs from the planner's where the past is replayed.
fn in_host_time(table: &PriceTable) -> PriceTable {
    PriceTable { published_at: clock::wall(), ..table.clone() }
}

fn install(brain: &mut Segment, table: &PriceTable) {
    if table.envelope.epoch < brain.table().envelope.epoch {
        // The last table of the period before, overtaken by the new period.
        return;
    }
    if let Err(error) = brain.install(&in_host_time(table)) {
        tracing::warn!(%error, "price table ignored");
    }
}
