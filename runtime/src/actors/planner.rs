//! The planner actor: the leader's brain, its clock, and the order in which its plans take effect.
//!
//! A plan is verified by the independent checker, recorded in the ledger, and only then put in force: the
//! grant at the node's escrow, the table at every segment agent. A plan that does not verify ends the node.

use std::sync::Arc;
use std::time::{Duration, Instant};

use agents::check;
use agents::negotiation::{
    Certificate, DemandAnswer, EscrowGrant, Layout, PLAN_VERSION, Period, Plan, PriceTable, Status,
};
use agents::planner::{Effect, Planner, PlannerOptions, Simplex};
use agents::policy::{self, Opening, Past};
use agents::segment::EscrowView;
use bytes::Bytes;
use domain::{Ppm, Timestamp};
use ledger::{Debit, Entry, Kind};
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use serde::Serialize;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::segment;
use crate::bus::Bus;
use crate::bus::subject::Subjects;
use crate::clock::{self, Clock};
use crate::metrics::{Metrics, Stamps};
use crate::sides::{Purse, Side};
use crate::work::Feedback;
use crate::writer::{After, Row, WriterHandle};

/// After this long without a negotiation one is held anyway, so that tables (30 s) and leases stay alive.
const RENEW_AFTER: Duration = Duration::from_secs(20);
/// Time a segment agent has for one answer. No moment waits for a negotiation, so a busy node may take its time.
const ANSWER_MICROS: i64 = 100_000;
/// Time for one negotiation of the live node.
const NEGOTIATION_MICROS: i64 = 500_000;
/// The corridor is anchored anew when a tenth of a period's money has come back from promises that ended
/// unused: a budget change, even if nobody ordered it.
const REANCHOR_PART: i64 = 10;

/// The mailbox.
pub enum Message {
    /// Look at the clock.
    Tick,
    /// A budget period begins: record it and answer with its end once the first plan is in force.
    Period { opening: Opening, reply: RpcReplyPort<Timestamp> },
    /// A segment agent's answer.
    Answer(Box<DemandAnswer>),
    /// A plan is in the ledger.
    Recorded(Box<Plan>),
}

/// The actor.
pub struct PlannerActor {
    pub side: Side,
    pub purse: Arc<Purse>,
    pub writer: WriterHandle,
    pub bus: Bus,
    pub subjects: Subjects,
    pub clock: Clock,
    pub metrics: Arc<Metrics>,
    pub feedback: mpsc::UnboundedSender<Feedback>,
    pub segments: Arc<[ActorRef<segment::Message>]>,
    pub layout: Layout,
    /// The run of this node.
    pub run: u64,
    /// What the run before left, and the share of the members this side decides about.
    pub past: Option<Arc<Past>>,
    pub share: Ppm,
    pub every: Duration,
    pub every_moments: u64,
}

/// The actor's state.
pub struct Mind {
    brain: Option<Planner>,
    /// A plan is on its way to the ledger.
    recording: bool,
    moments_before: u64,
    /// Money that came back since the corridor was anchored, micros.
    returned: i64,
    begun: Instant,
    /// Program time when the negotiation began; host time passes on top of it.
    begun_at: Timestamp,
    /// Who waits for the first plan of a period, and the period's end.
    opening: Option<(RpcReplyPort<Timestamp>, Timestamp)>,
    /// A period that begins while the last one still negotiates; that plan's grant counts first, and no
    /// negotiation goes without a row.
    next: Option<(Opening, RpcReplyPort<Timestamp>)>,
}

impl Actor for PlannerActor {
    type Msg = Message;
    type State = Mind;
    type Arguments = ();

    async fn pre_start(&self, me: ActorRef<Message>, (): ()) -> Result<Mind, ActorProcessingErr> {
        // A fifth of the shortest interval between two negotiations.
        me.send_interval((self.every / 5).max(Duration::from_millis(1)), || Message::Tick);
        Ok(Mind {
            brain: None,
            recording: false,
            moments_before: 0,
            returned: 0,
            begun: Instant::now(),
            begun_at: Timestamp(0),
            opening: None,
            next: None,
        })
    }

    async fn handle(
        &self,
        me: ActorRef<Message>,
        message: Message,
        mind: &mut Mind,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Tick => self.tick(mind, &me).await,
            Message::Period { opening, reply } => self.open(mind, opening, reply, &me).await,
            Message::Answer(answer) => self.answer(mind, &answer, &me).await,
            Message::Recorded(plan) => self.recorded(mind, *plan, &me).await,
        }
        Ok(())
    }
}

impl PlannerActor {
    /// The planner's own time: program time when the negotiation began, plus host time since.
    fn planner_now(&self, mind: &Mind) -> Timestamp {
        mind.begun_at.plus(i64::try_from(mind.begun.elapsed().as_micros()).unwrap_or(i64::MAX))
    }

    async fn tick(&self, mind: &mut Mind, me: &ActorRef<Message>) {
        let now = self.planner_now(mind);
        let Some(brain) = &mut mind.brain else { return };
        if brain.is_negotiating() {
            if brain.deadline().is_some_and(|deadline| now >= deadline) {
                let effects = brain.on_deadline(now);
                self.perform(mind, effects, me).await;
            }
            return;
        }
        let moments = self.metrics.counters.moments.load(std::sync::atomic::Ordering::Relaxed);
        let news = moments - mind.moments_before;
        let elapsed = mind.begun.elapsed();
        let due = news >= self.every_moments || (news > 0 && elapsed >= self.every) || elapsed >= RENEW_AFTER;
        if due && !mind.recording {
            mind.moments_before = moments;
            self.begin(mind, me).await;
        }
    }

    async fn begin(&self, mind: &mut Mind, me: &ActorRef<Message>) {
        mind.begun = Instant::now();
        mind.begun_at = self.clock.now();
        let now = mind.begun_at;
        let Some(brain) = &mut mind.brain else { return };
        let held: EscrowView = {
            let mut escrow = self.purse.escrow();
            let back = escrow.give_back(false);
            mind.returned += back.amounts.first().copied().unwrap_or(0);
            brain.on_return(&back);
            escrow.view().clone()
        };
        if mind.returned > self.purse.bundle.plan().global.0 / REANCHOR_PART {
            // So much has come back that the corridor is about another budget than there is now.
            mind.returned = 0;
            brain.reanchor();
        }
        if let Err(imbalance) = brain.audit(&held) {
            tracing::error!(%imbalance, invariant = "B-2", "budget does not add up");
        }
        let effects = brain.begin(&held, now);
        self.perform(mind, effects, me).await;
    }

    async fn answer(&self, mind: &mut Mind, answer: &DemandAnswer, me: &ActorRef<Message>) {
        let now = self.planner_now(mind);
        let Some(brain) = &mut mind.brain else { return };
        let effects = brain.on_answer(answer, now);
        self.perform(mind, effects, me).await;
    }

    async fn perform(&self, mind: &mut Mind, effects: Vec<Effect>, me: &ActorRef<Message>) {
        for effect in effects {
            match effect {
                Effect::Quote(quote) => {
                    self.publish("quote", &quote).await;
                }
                Effect::Anchored(certificate) => {
                    let plan = Plan { v: PLAN_VERSION, certificate: *certificate, table: None, grant: None };
                    self.record(plan, me);
                }
                Effect::Conclude { certificate, table, grant } => {
                    let plan = Plan {
                        v: PLAN_VERSION,
                        certificate: *certificate,
                        table: Some(table),
                        grant: Some(grant),
                    };
                    self.count(&plan.certificate);
                    mind.recording = true;
                    self.record(plan, me);
                }
                Effect::Recall => self.recall(mind),
                Effect::Escalate(escalation) => {
                    tracing::info!(what = escalation.name(), "{}", escalation.text());
                    let message = serde_json::json!({
                        "v": 1, "what": escalation.name(), "text": escalation.text(),
                    });
                    let mut entry =
                        Entry::new(Kind::Escalation, Uuid::now_v7().into_bytes(), message.to_string());
                    entry.bundle = Some(self.purse.bundle.digest());
                    self.write(entry, After::Nothing);
                    self.publish("escalation", &message).await;
                }
            }
        }
    }

    fn recall(&self, mind: &mut Mind) {
        let back = self.purse.escrow().give_back(true);
        if let Some(brain) = &mut mind.brain {
            brain.on_return(&back);
        }
    }

    fn feedback(&self, feedback: Feedback) {
        let _closing = self.feedback.send(feedback);
    }

    fn count(&self, certificate: &Certificate) {
        let counters = &self.metrics.counters;
        self.metrics.count(|c| &c.negotiations);
        match certificate.status {
            Status::Certified => {
                self.metrics.count(|c| &c.certified);
                let gap = u64::from(certificate.gap_ppm);
                counters.max_gap_ppm.fetch_max(gap, std::sync::atomic::Ordering::Relaxed);
            }
            Status::Bounded => {
                let gap = u64::from(certificate.gap_ppm);
                counters.max_gap_ppm.fetch_max(gap, std::sync::atomic::Ordering::Relaxed);
            }
            Status::Fallback(_) => self.metrics.count(|c| &c.planner_fallbacks),
        }
    }

    /// Records a plan; once it is durable the writer calls back.
    fn record(&self, plan: Plan, me: &ActorRef<Message>) {
        if let Err(violation) = verified(&plan) {
            // A plan that does not prove itself is a fault of this program: nobody may spend by it.
            self.feedback(Feedback::Fatal(format!("a certificate does not verify: {violation}")));
            return;
        }
        let Ok(body) = serde_json::to_string(&plan) else { return };
        let mut entry = Entry::new(Kind::Certificate, Uuid::now_v7().into_bytes(), body);
        entry.bundle = Some(self.purse.bundle.digest());
        let me = me.clone();
        let then = move |_seq| {
            // A planner that is gone takes the node down by its supervisor.
            let _going_down = me.send_message(Message::Recorded(Box::new(plan)));
        };
        self.write(entry, After::Then(Box::new(then)));
    }

    fn write(&self, entry: Entry, after: After) {
        let stamps = Stamps::at(Instant::now());
        self.writer.row(Row { entry, work: None, stamps, turned: None, after });
    }

    async fn recorded(&self, mind: &mut Mind, plan: Plan, me: &ActorRef<Message>) {
        self.publish("certificate", &plan.certificate).await;
        if let Some(grant) = &plan.grant {
            let grant = in_host_time(grant, &plan.certificate);
            let accepted = self.purse.escrow().accept(&grant);
            if let Err(error) = accepted {
                tracing::error!(%error, "grant not accepted");
            }
        }
        if let Some(table) = &plan.table {
            self.publish("table", table).await;
            mind.recording = false;
            if let Some((reply, end)) = mind.opening.take() {
                let _gone = reply.send(end);
            }
            if let Some((opening, reply)) = mind.next.take() {
                self.open(mind, opening, reply, me).await;
            }
        }
    }

    async fn publish(&self, what: &str, message: &impl Serialize) {
        match serde_json::to_vec(message) {
            Ok(bytes) => {
                self.bus
                    .publish(&self.subjects.negotiation(self.run, self.side, what), Bytes::from(bytes))
                    .await
            }
            Err(error) => tracing::error!(%error, what, "negotiation message not rendered"),
        }
    }
}

fn verified(plan: &Plan) -> Result<(), check::Violation> {
    match &plan.table {
        Some(table) => check::verify_table(&plan.certificate, table).map(|_| ()),
        None => check::verify(&plan.certificate).map(|_| ()),
    }
}

/// The grant with its lease on the host's clock, which differs from the planner's where the past is replayed.
fn in_host_time(grant: &EscrowGrant, certificate: &Certificate) -> EscrowGrant {
    let lease = grant.expires_at.since(certificate.concluded_at);
    EscrowGrant { expires_at: clock::wall().plus(lease), ..grant.clone() }
}

impl PlannerActor {
    async fn open(
        &self,
        mind: &mut Mind,
        opening: Opening,
        reply: RpcReplyPort<Timestamp>,
        me: &ActorRef<Message>,
    ) {
        if mind.recording || mind.brain.as_ref().is_some_and(Planner::is_negotiating) {
            mind.next = Some((opening, reply));
            return;
        }
        let brain = match &mind.brain {
            Some(last) => self.brain(&opening, last.arrivals().to_vec()),
            None => self.first_brain(&opening),
        };
        self.owe(&opening);
        let table = brain.first_table(opening.window.from);
        self.record_period(&opening, &table);
        for segment in self.segments.iter() {
            let _going_down = segment.send_message(segment::Message::Period(Arc::new(table.clone())));
        }
        mind.brain = Some(brain);
        mind.opening = Some((reply, opening.window.to));
        self.begin(mind, me).await;
    }

    /// What is owed of the program's limits is paid by what comes back on either side: that it may be paid twice errs on the side of
    /// promising less, until the next run.
    fn owe(&self, opening: &Opening) {
        let owed = policy::budgets::by_resource(&self.purse.bundle, |id| opening.owed.get(id).copied());
        let mut owed: Vec<i64> = owed.into_iter().map(|owed| owed.unwrap_or(0)).collect();
        owed.resize(self.layout.len(), 0);
        if let Err(error) = self.purse.escrow().owe(&owed) {
            tracing::error!(%error, "what is owed of the budgets does not fit them");
        }
    }

    /// The first leader of a run goes on where the last one of the run before ended.
    fn first_brain(&self, opening: &Opening) -> Planner {
        let Some(past) = &self.past else { return self.brain(opening, Vec::new()) };
        let bundle = &self.purse.bundle;
        let brain = self.brain(opening, past.last_period(bundle, self.share, opening));
        brain.after(past.taken(bundle, self.share, opening))
    }

    fn brain(&self, opening: &Opening, baseline_arrivals: Vec<u64>) -> Planner {
        let config = policy::plan_config(&self.purse.bundle, self.layout, opening, baseline_arrivals);
        let options = PlannerOptions {
            epoch: policy::epoch(self.run, opening.period),
            batch_events: u32::try_from(self.every_moments).unwrap_or(u32::MAX),
            answer_micros: ANSWER_MICROS,
            time_max_micros: NEGOTIATION_MICROS,
            ..PlannerOptions::for_program(&self.purse.bundle)
        };
        let held = self.purse.escrow().view().clone();
        Planner::new(config, options, Box::new(Simplex), held)
    }

    /// Records the period, with its limits where they are new.
    fn record_period(&self, opening: &Opening, table: &PriceTable) {
        let Opening { window, period, raised, owed, .. } = opening;
        let row = Period {
            v: PLAN_VERSION,
            period: *period,
            from: window.from,
            to: window.to,
            table: table.clone(),
            owed: owed.clone(),
        };
        // Plain integers and text: rendering them cannot fail.
        let body = serde_json::to_string(&row).unwrap_or_default();
        let mut entry = Entry::new(Kind::Budget, Uuid::now_v7().into_bytes(), body);
        entry.bundle = Some(self.purse.bundle.digest());
        entry.debits = raised.iter().map(|(id, limit)| Debit::limit(Arc::clone(id), *limit)).collect();
        self.write(entry, After::Nothing);
    }
}
