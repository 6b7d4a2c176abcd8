//! A small program driven without any host: one planner, its segments, an escrow, made-up members.

use std::collections::VecDeque;
use std::sync::Arc;

use agents::negotiation::{Certificate, DemandAnswer, Layout, PriceTable};
use agents::planner::{
    Effect, Escalation, MasterSolver, PlanConfig, Planner, PlannerOptions, Simplex, Window,
};
use agents::segment::{Choice, Escrow, Exploration, Offer, Segment, SegmentCarry, SegmentOptions};
use domain::random::splitmix64;
use domain::{SegmentIndex, Timestamp};

pub const SEGMENTS: usize = 3;
pub const REWARDS: usize = 4;
pub const COSTS: [i64; REWARDS] = [500_000, 1_000_000, 3_000_000, 5_000_000];
pub const EVENTS: u64 = 4_000;
/// Microseconds between two moments.
pub const STEP: i64 = 1_000;

pub fn layout() -> Layout {
    Layout::new(SEGMENTS as u8, REWARDS as u8).unwrap()
}

pub fn config() -> PlanConfig {
    let money = [900_000_000, 500_000_000, 400_000_000, 250_000_000].map(Some);
    let inventory = [None, None, Some(60), Some(20)];
    PlanConfig {
        program: Arc::from("shop"),
        layout: layout(),
        costs: COSTS.to_vec(),
        limits: money.into_iter().chain(inventory).chain([Some(5_000_000)]).collect(),
        floors: vec![0; SEGMENTS],
        window: Window { from: Timestamp(0), to: Timestamp(EVENTS as i64 * STEP) },
        expected_events: Some(EVENTS),
        baseline_arrivals: Vec::new(),
        calendar: Vec::new(),
    }
}

/// What the host does with a segment's answer.
pub type Post = fn(round: u8, DemandAnswer) -> Option<DemandAnswer>;

pub struct Program {
    pub planner: Planner,
    pub segments: Vec<Segment>,
    pub escrow: Escrow,
    pub certificates: Vec<Certificate>,
    pub tables: Vec<PriceTable>,
    pub escalations: Vec<Escalation>,
    pub post: Post,
    pub event: u64,
}

pub struct Setup {
    pub config: PlanConfig,
    pub options: PlannerOptions,
    pub solver: Box<dyn MasterSolver + Send>,
    pub exploration: Exploration,
    pub caps_max: u8,
    pub carries: Vec<SegmentCarry>,
}

impl Default for Setup {
    fn default() -> Setup {
        Setup {
            config: config(),
            options: PlannerOptions { batch_events: 200, ..PlannerOptions::default() },
            solver: Box::new(Simplex),
            exploration: Exploration::default(),
            caps_max: 0,
            carries: Vec::new(),
        }
    }
}

impl Program {
    pub fn new(setup: Setup) -> Program {
        let limited = setup.config.limits.iter().map(Option::is_some).collect();
        let escrow = Escrow::new(layout(), limited);
        let planner = Planner::new(setup.config, setup.options, setup.solver, escrow.view().clone());
        let table = planner.first_table(Timestamp(0));
        let mut carries = setup.carries.into_iter();
        let segments = (0..SEGMENTS as u8).map(|segment| {
            let options = SegmentOptions {
                segment: SegmentIndex(segment),
                layout: layout(),
                costs: COSTS.to_vec(),
                waiting: 0,
                exploration: setup.exploration,
                caps_max: setup.caps_max,
            };
            Segment::new(options, carries.next(), table.clone())
        });
        Program {
            planner,
            segments: segments.collect(),
            escrow,
            certificates: Vec::new(),
            tables: Vec::new(),
            escalations: Vec::new(),
            post: |_, answer| Some(answer),
            event: 0,
        }
    }

    pub fn now(&self) -> Timestamp {
        Timestamp(self.event as i64 * STEP)
    }

    pub fn negotiate(&mut self) {
        let back = self.escrow.give_back(false);
        self.planner.on_return(&back);
        let view = self.escrow.view().clone();
        let effects = self.planner.begin(&view, self.now());
        self.apply(effects);
        assert!(!self.planner.is_negotiating(), "a negotiation did not end");
        self.planner.audit(self.escrow.view()).unwrap();
    }

    pub fn apply(&mut self, effects: Vec<Effect>) {
        let now = self.now();
        let mut queue = VecDeque::from(effects);
        while let Some(effect) = queue.pop_front() {
            match effect {
                Effect::Quote(quote) => {
                    for segment in &mut self.segments {
                        let answer = segment.answer(&quote).unwrap();
                        if let Some(answer) = (self.post)(quote.envelope.round, answer) {
                            queue.extend(self.planner.on_answer(&answer, now));
                        }
                    }
                    let waiting = self.planner.is_negotiating()
                        && !queue.iter().any(|effect| matches!(effect, Effect::Quote(_)));
                    if waiting {
                        queue.extend(self.planner.on_deadline(now));
                    }
                }
                Effect::Anchored(certificate) => self.certificates.push(*certificate),
                Effect::Conclude { certificate, table, grant } => {
                    self.escrow.accept(&grant).unwrap();
                    self.segments.iter_mut().for_each(|segment| segment.install(&table).unwrap());
                    self.certificates.push(*certificate);
                    self.tables.push(table);
                }
                Effect::Recall => {
                    let back = self.escrow.give_back(true);
                    self.planner.on_return(&back);
                }
                Effect::Escalate(escalation) => self.escalations.push(escalation),
            }
        }
    }

    /// One moment of a made-up member.
    pub fn moment(&mut self) -> Choice {
        self.event += 1;
        let segment = (splitmix64(self.event) % 6).min(2) as usize;
        let values = values(self.event, segment);
        let offer = Offer {
            mask: (1 << REWARDS) - 1,
            values: &values,
            caps_left: 1,
            visits_q16: 2 << 16,
            scale: 10_000_000,
            draw: splitmix64(self.event ^ 0xD4A3),
            now: self.now(),
            at: self.now(),
        };
        self.segments[segment].decide(&offer, &mut self.escrow)
    }

    pub fn moments(&mut self, count: u64) -> Vec<Choice> {
        (0..count).map(|_| self.moment()).collect()
    }

    /// Negotiates every 200 moments until `until`.
    pub fn run_to(&mut self, until: u64) {
        while self.event < until {
            self.negotiate();
            self.moments(200.min(until - self.event));
        }
    }

    pub fn carries(&self) -> Vec<SegmentCarry> {
        self.segments.iter().map(Segment::carry).collect()
    }
}

/// Values that rise with cost, less than in proportion, and differ between moments.
pub fn values(event: u64, segment: usize) -> Vec<i64> {
    let base = [700_000, 1_300_000, 3_300_000, 4_700_000];
    let tilt = [600, 1_000, 1_700][segment];
    base.iter()
        .enumerate()
        .map(|(reward, value)| {
            let noise = 300 + (splitmix64(event * 31 + reward as u64) % 1_700) as i64;
            value * tilt / 1_000 * noise / 1_000
        })
        .collect()
}
