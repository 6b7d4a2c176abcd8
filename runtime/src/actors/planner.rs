//! The planner actor: the leader's brain, its clock, and the order in which its plans take effect.
//!
//! A plan is verified by the independent checker, recorded in the ledger, and only then put in force: the
//! grant at the node's escrow, the table at every segment agent. A plan that does not verify is dropped and
//! the prices in force stay.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use agents::check;
use agents::negotiation::{
    Certificate, DemandAnswer, EscrowGrant, Layout, PriceTable, Status,
};
use agents::planner::{Effect, Simplex, PlanConfig, Planner, PlannerOptions, Window};
use agents::segment::{Escrow, EscrowView};
use bytes::Bytes;
use domain::Timestamp;
use domain::time::DAY;
use ledger::{Debit, Entry, Kind};
use policies::Bundle;
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::segment;
use crate::bus::Bus;
use crate::bus::subject::Subjects;
use crate::clock::{self, Clock};
use crate::metrics::{Metrics, Stamps};
use crate::rows;
use crate::writer::{After, Row, WriterHandle};

/// After this long without a negotiation one is held anyway, so that tables (30 s) and leases stay alive.
const RENEW_AFTER: Duration = Duration::from_secs(20);
/// Time a segment agent has for one answer. No moment waits for a negotiation, so a busy node may take its time.
const ANSWER_MICROS: i64 = 100_000;
/// Time for one negotiation of the live node.
const NEGOTIATION_MICROS: i64 = 500_000;
/// Budget periods one run may open: the epoch of a negotiation holds the run above and the period below.
const PERIODS_PER_RUN: u64 = 1 << 16;

/// The mailbox.
pub enum Message {
    /// Look at the clock.
    Tick,
    /// Make sure a budget period is open at this time and that the node may spend; answers with its end.
    Open { now: Timestamp, reply: RpcReplyPort<Timestamp> },
    /// A segment agent's answer.
    Answer(Box<DemandAnswer>),
    /// A plan is in the ledger.
    Recorded(Box<Plan>),
}

/// What a negotiation led to; also the body of its ledger row, schema 1.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Plan {
    pub v: u32,
    pub certificate: Certificate,
    pub table: Option<PriceTable>,
    pub grant: Option<EscrowGrant>,
    /// Moments each segment had seen when its rows were frozen for this negotiation.
    pub seen: Vec<u64>,
}

/// The body of a row that opens a budget period, schema 1.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PeriodRow {
    pub v: u32,
    pub period: u64,
    pub from: Timestamp,
    pub to: Timestamp,
    /// The first table of the period, in force until the first negotiation ends.
    pub table: PriceTable,
}

/// The actor.
pub struct PlannerActor {
    pub bundle: Arc<Bundle>,
    pub escrow: Arc<Mutex<Escrow>>,
    pub writer: WriterHandle,
    pub bus: Bus,
    pub subjects: Subjects,
    pub clock: Clock,
    pub metrics: Arc<Metrics>,
    pub segments: Arc<[ActorRef<segment::Message>]>,
    /// The run of this node.
    pub run: u64,
    pub every: Duration,
    pub every_moments: u64,
}

/// What the leader knows of earlier runs.
#[derive(Clone, Debug)]
pub struct Inherited {
    /// Budget periods opened so far, and when the last one ends.
    pub periods: u64,
    pub period_end: Option<Timestamp>,
}

/// The actor's state.
pub struct Mind {
    brain: Option<Planner>,
    inherited: Inherited,
    /// Period opened by this run.
    window: Option<Window>,
    seen: Vec<u64>,
    /// A plan is on its way to the ledger.
    recording: bool,
    moments_before: u64,
    begun: Instant,
    /// Program time when the negotiation began; host time passes on top of it.
    begun_at: Timestamp,
    opening: Option<RpcReplyPort<Timestamp>>,
}

impl Actor for PlannerActor {
    type Msg = Message;
    type State = Mind;
    type Arguments = Inherited;

    async fn pre_start(&self, me: ActorRef<Message>, inherited: Inherited) -> Result<Mind, ActorProcessingErr> {
        // A fifth of the shortest interval between two negotiations.
        me.send_interval((self.every / 5).max(Duration::from_millis(1)), || Message::Tick);
        Ok(Mind {
            brain: None,
            inherited,
            window: None,
            seen: vec![0; self.bundle.segments().len()],
            recording: false,
            moments_before: 0,
            begun: Instant::now(),
            begun_at: Timestamp(0),
            opening: None,
        })
    }

    async fn handle(&self, me: ActorRef<Message>, message: Message, mind: &mut Mind) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Tick => self.tick(mind, &me).await,
            Message::Open { now, reply } => self.open(mind, now, reply, &me).await,
            Message::Answer(answer) => self.answer(mind, &answer, &me).await,
            Message::Recorded(plan) => self.recorded(mind, *plan).await,
        }
        Ok(())
    }
}

impl PlannerActor {
    fn layout(&self) -> Option<Layout> {
        let segments = u8::try_from(self.bundle.segments().len()).ok()?;
        Layout::new(segments, u8::try_from(self.bundle.rewards().len()).ok()?)
    }

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
            let mut escrow = self.escrow.lock().unwrap_or_else(PoisonError::into_inner);
            brain.on_return(&escrow.give_back(false));
            escrow.view().clone()
        };
        if let Err(imbalance) = brain.audit(&held) {
            tracing::error!(%imbalance, invariant = "B-2", "budget does not add up");
        }
        let effects = brain.begin(&held, now);
        self.perform(mind, effects, me).await;
    }

    async fn answer(&self, mind: &mut Mind, answer: &DemandAnswer, me: &ActorRef<Message>) {
        let now = self.planner_now(mind);
        let Some(brain) = &mut mind.brain else { return };
        if answer.envelope.round == 0
            && let Some(seen) = mind.seen.get_mut(usize::from(answer.segment.0))
        {
            *seen = answer.arrivals;
        }
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
                    let seen = mind.seen.clone();
                    let plan = Plan { v: 1, certificate: *certificate, table: None, grant: None, seen };
                    self.record(mind, plan, me);
                }
                Effect::Conclude { certificate, table, grant } => {
                    let (table, grant) = in_host_time(table, grant);
                    let seen = mind.seen.clone();
                    let plan =
                        Plan { v: 1, certificate: *certificate, table: Some(table), grant: Some(grant), seen };
                    self.count(&plan.certificate);
                    mind.recording = true;
                    self.record(mind, plan, me);
                }
                Effect::Recall => self.recall(mind),
                Effect::Escalate(escalation) => {
                    tracing::warn!(?escalation, "the planner asks for a person's attention");
                }
            }
        }
    }

    fn recall(&self, mind: &mut Mind) {
        let back = self.escrow.lock().unwrap_or_else(PoisonError::into_inner).give_back(true);
        if let Some(brain) = &mut mind.brain {
            brain.on_return(&back);
        }
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
    fn record(&self, mind: &mut Mind, plan: Plan, me: &ActorRef<Message>) {
        if let Err(violation) = check::verify(&plan.certificate) {
            tracing::error!(%violation, "a certificate does not verify; the plan is dropped and prices stay");
            mind.recording = false;
            return;
        }
        let Ok(body) = serde_json::to_string(&plan) else { return };
        let entry = Entry::new(Kind::Certificate, Uuid::now_v7().into_bytes(), body);
        let me = me.clone();
        let then = move |_seq| {
            // The planner may be restarting; its successor negotiates anew.
            let _restarting = me.send_message(Message::Recorded(Box::new(plan)));
        };
        let after = After::Then(Box::new(then));
        self.writer.row(Row { entry, work: None, stamps: Stamps::at(Instant::now()), after });
    }

    async fn recorded(&self, mind: &mut Mind, plan: Plan) {
        self.publish("certificate", &plan.certificate).await;
        if let Some(grant) = &plan.grant {
            let accepted = self.escrow.lock().unwrap_or_else(PoisonError::into_inner).accept(grant);
            if let Err(error) = accepted {
                tracing::error!(%error, "grant not accepted");
            }
        }
        if let Some(table) = &plan.table {
            self.publish("table", table).await;
            mind.recording = false;
            if let (Some(reply), Some(window)) = (mind.opening.take(), mind.window) {
                let _gone = reply.send(window.to);
            }
        }
    }

    async fn publish(&self, what: &str, message: &impl Serialize) {
        match serde_json::to_vec(message) {
            Ok(bytes) => self.bus.publish(&self.subjects.negotiation(self.run, what), Bytes::from(bytes)).await,
            Err(error) => tracing::error!(%error, what, "negotiation message not rendered"),
        }
    }
}

/// Leases and the life of tables run on the host's clock, also where program time is replayed.
fn in_host_time(mut table: PriceTable, mut grant: EscrowGrant) -> (PriceTable, EscrowGrant) {
    let host = clock::wall();
    let lease = grant.expires_at.since(table.published_at);
    table.published_at = host;
    grant.expires_at = host.plus(lease);
    (table, grant)
}

impl PlannerActor {
    async fn open(&self, mind: &mut Mind, now: Timestamp, reply: RpcReplyPort<Timestamp>, me: &ActorRef<Message>) {
        if let Some(window) = mind.window.filter(|window| now < window.to) {
            let _gone = reply.send(window.to);
            return;
        }
        let Some(layout) = self.layout() else { return };
        let (from, periods) = self.next_window(mind, now);
        let window = Window { from, to: from.plus(self.period_micros()) };
        let brain = self.brain(layout, window, periods);
        let mut table = brain.first_table(from);
        table.published_at = clock::wall();
        self.open_budgets(mind, window, periods, &table);
        for segment in self.segments.iter() {
            let _going_down = segment.send_message(segment::Message::Period(Arc::new(table.clone())));
        }
        mind.inherited = Inherited { periods, period_end: Some(window.to) };
        mind.window = Some(window);
        mind.brain = Some(brain);
        mind.opening = Some(reply);
        self.begin(mind, me).await;
    }

    fn period_micros(&self) -> i64 {
        i64::from(self.bundle.plan().period_days) * DAY
    }

    /// When the period that holds `now` begins, and how many will have been opened with it.
    fn next_window(&self, mind: &Mind, now: Timestamp) -> (Timestamp, u64) {
        let length = self.period_micros();
        match mind.inherited.period_end {
            None => (now, 1),
            // Within the last period an earlier run opened.
            Some(end) if now < end => (end.plus(-length), mind.inherited.periods),
            Some(end) => {
                let passed = now.since(end).div_euclid(length);
                let opened = u64::try_from(passed).unwrap_or(0) + 1;
                (end.plus(passed * length), mind.inherited.periods + opened)
            }
        }
    }

    fn brain(&self, layout: Layout, window: Window, periods: u64) -> Planner {
        let plan = self.bundle.plan();
        let config = PlanConfig {
            program: self.bundle.program().name.as_str().into(),
            layout,
            costs: plan.costs.iter().map(|cost| cost.0).collect(),
            limits: limits(&self.bundle, periods),
            floors: vec![0; plan.segment_count()],
            window,
            expected_events: None,
            baseline_arrivals: Vec::new(),
            calendar: Vec::new(),
        };
        let options = PlannerOptions {
            epoch: self.run * PERIODS_PER_RUN + periods,
            batch_events: u32::try_from(self.every_moments).unwrap_or(u32::MAX),
            answer_micros: ANSWER_MICROS,
            time_max_micros: NEGOTIATION_MICROS,
            ..PlannerOptions::default()
        };
        let held = self.escrow.lock().unwrap_or_else(PoisonError::into_inner).view().clone();
        Planner::new(config, options, Box::new(Simplex), held)
    }

    /// Raises every limit to what all periods so far allow; unspent money and stock carry over.
    fn open_budgets(&self, mind: &Mind, window: Window, periods: u64, table: &PriceTable) {
        let row = PeriodRow { v: 1, period: periods, from: window.from, to: window.to, table: table.clone() };
        let Ok(body) = serde_json::to_string(&row) else { return };
        let mut entry = Entry::new(Kind::Budget, Uuid::now_v7().into_bytes(), body);
        entry.bundle = Some(self.bundle.digest());
        if periods > mind.inherited.periods {
            entry.debits = budget_limits(&self.bundle, periods);
        }
        self.writer.row(Row {
            entry,
            work: None,
            stamps: Stamps::at(Instant::now()),
            after: After::Nothing,
        });
    }
}

/// Limits of every resource after `periods` periods, in layout order.
pub fn limits(bundle: &Bundle, periods: u64) -> Vec<Option<i64>> {
    let plan = bundle.plan();
    let times = |amount: i64| amount.saturating_mul(i64::try_from(periods).unwrap_or(i64::MAX));
    let money = std::iter::once(plan.global).chain(plan.segments.iter().copied());
    let stock = plan.inventory.iter().map(|units| units.map(|units| times(i64::from(units))));
    // Exploration has no budget of its own here: its share of moments bounds it.
    money.map(|limit| Some(times(limit.0))).chain(stock).chain([None]).collect()
}

fn budget_limits(bundle: &Bundle, periods: u64) -> Vec<Debit> {
    let limits = limits(bundle, periods);
    let names = std::iter::once(Arc::from(rows::GLOBAL))
        .chain(bundle.segments().iter().map(|segment| rows::segment_budget(&segment.id)))
        .chain(bundle.rewards().iter().map(|reward| rows::inventory_budget(&reward.id)));
    let named = names.zip(limits);
    named.filter_map(|(name, limit)| Some(Debit::limit(name, domain::Micros(limit?)))).collect()
}
