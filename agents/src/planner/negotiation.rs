//! The leader's state machine: one negotiation at a time, each a bounded number of rounds.
//!
//! `begin` quotes, `on_answer` and `on_deadline` move rounds on, and every negotiation ends in one
//! [`Effect::Conclude`] with a certificate (invariant N-1). A negotiation that needs a new anchor first runs
//! one over baseline rows only, ending in [`Effect::Anchored`].

use domain::Timestamp;

use crate::negotiation::{
    Certificate, DemandAnswer, Draw, Envelope, EscrowGrant, EscrowReturn, FallbackReason, Layout, PriceTable,
    Prices, Purpose, RowMix, SCHEMA, SegmentRecord, Status,
};
use crate::segment::EscrowView;

use super::config::{Effect, Escalation, PlanConfig, PlannerOptions, Taken};
use super::forecast::Forecast;
use super::master::MasterSolver;
use super::rounds::{Rounds, Step};
use super::treasury::{Imbalance, Treasury};

/// How often in a row a silent segment's last answer is used before its baseline demand stands in.
const STALE_MAX: u8 = 3;

/// Percent of the money that must be used before its pace means anything.
const BURN_PERCENT_MIN: i128 = 5;

/// The leader of one program's negotiations for one budget window.
pub struct Planner {
    pub(super) config: PlanConfig,
    pub(super) options: PlannerOptions,
    solver: Box<dyn MasterSolver + Send>,
    pub(super) treasury: Treasury,
    pub(super) forecast: Forecast,
    pub(super) batch: u64,
    pub(super) version: u64,
    /// The prices in force, before the corridor.
    published: Prices,
    /// Where the next negotiation starts: the best prices found so far.
    start: Prices,
    pub(super) anchor: Option<Prices>,
    /// What the run before left.
    pub(super) taken: Option<Taken>,
    anchor_due: bool,
    next_edge: Option<Timestamp>,
    /// Per segment: the last answer, and the last answer from baseline rows.
    last: Vec<Option<Remembered>>,
    baseline: Vec<Option<Remembered>>,
    pub(super) certified_once: bool,
    clips: u32,
    pub(super) wide_gaps: u32,
    /// When this leader first negotiated, and the program's money used by then.
    began: Option<(Timestamp, i64)>,
    /// A person was called about the pace, and it has not slowed since.
    burning: bool,
    /// What the node held when the open negotiation began.
    pub(super) held: EscrowView,
    open: Option<Rounds>,
}

/// An answer kept for the day its segment is silent.
#[derive(Clone, Debug)]
struct Remembered {
    answer: SegmentRecord,
    /// Events it answered for, Q16.
    events_q16: i64,
}

impl Planner {
    /// A leader at the start of a budget window, or taking over within one: `held` is what the node's
    /// escrow holds and has spent, all zero at the start.
    pub fn new(
        config: PlanConfig,
        options: PlannerOptions,
        solver: Box<dyn MasterSolver + Send>,
        held: EscrowView,
    ) -> Planner {
        let first = config.first_prices(options.first_price);
        let segments = config.layout.segment_count();
        Planner {
            treasury: Treasury::new(config.limits.clone(), &held),
            forecast: Forecast::new(&config),
            batch: 0,
            version: 0,
            published: first.clone(),
            start: first,
            anchor: None,
            taken: None,
            anchor_due: true,
            next_edge: None,
            last: vec![None; segments],
            baseline: vec![None; segments],
            certified_once: false,
            clips: 0,
            wide_gaps: 0,
            began: None,
            burning: false,
            held,
            open: None,
            config,
            options,
            solver,
        }
    }

    /// This leader with what the run before left, before its first negotiation.
    pub fn after(mut self, taken: Taken) -> Planner {
        self.forecast.take_over(&taken);
        self.taken = Some(taken);
        self
    }

    /// The table segment agents start with, before the first negotiation.
    pub fn first_table(&self, now: Timestamp) -> PriceTable {
        let ground = self.ground(now);
        self.table(&ground, now, &self.published).0
    }

    /// The leader's books.
    pub fn treasury(&self) -> &Treasury {
        &self.treasury
    }

    /// Moments per segment since the window began, as far as heard: what the next window can expect.
    pub fn arrivals(&self) -> &[u64] {
        self.forecast.arrivals()
    }

    /// Whether a negotiation is under way.
    pub fn is_negotiating(&self) -> bool {
        self.open.is_some()
    }

    /// When the present round stops waiting, if one is under way.
    pub fn deadline(&self) -> Option<Timestamp> {
        self.open.as_ref().map(Rounds::deadline)
    }

    /// Checks that pool, escrow, reserved and spent sum to the budgets (B-2).
    ///
    /// # Errors
    /// The first resource that does not add up.
    pub fn audit(&self, held: &EscrowView) -> Result<(), Imbalance> {
        self.treasury.audit(held)
    }

    /// Starts a negotiation; `held` is the node's escrow as it is now. Does nothing while one is open.
    pub fn begin(&mut self, held: &EscrowView, now: Timestamp) -> Vec<Effect> {
        if self.open.is_some() {
            return Vec::new();
        }
        self.held.clone_from(held);
        self.began.get_or_insert((now, used(held)));
        self.batch += 1;
        self.forecast.tick(now);
        if self.next_edge.is_some_and(|edge| now >= edge) {
            self.anchor_due = true;
        }
        if std::mem::take(&mut self.anchor_due) {
            self.next_edge = self.forecast.next_edge(now);
            self.open_rounds(Purpose::Anchor, now)
        } else {
            self.open_rounds(Purpose::Regular, now)
        }
    }

    /// Takes a segment's answer; late, foreign and repeated ones are ignored.
    pub fn on_answer(&mut self, answer: &DemandAnswer, now: Timestamp) -> Vec<Effect> {
        let Some(open) = self.open.as_mut() else { return Vec::new() };
        if !open.accept(answer) {
            return Vec::new();
        }
        self.forecast.arrived(usize::from(answer.segment.0), answer.arrivals);
        if open.complete() { self.close_round(now) } else { Vec::new() }
    }

    /// The round's time is over: silent segments are stood in for, and the round is closed.
    pub fn on_deadline(&mut self, now: Timestamp) -> Vec<Effect> {
        let Some(open) = self.open.as_mut() else { return Vec::new() };
        for segment in open.missing() {
            let events_q16 = open.events_q16(segment);
            let last = self.last[segment].as_mut().filter(|last| last.answer.stale < STALE_MAX);
            let stand_in = last.or(self.baseline[segment].as_mut());
            let record = stand_in.map(|kept| {
                kept.answer.stale = kept.answer.stale.saturating_add(1);
                kept.scaled_to(events_q16)
            });
            open.stand_in(segment, record);
        }
        self.close_round(now)
    }

    /// Counts what a node gave back.
    pub fn on_return(&mut self, back: &EscrowReturn) {
        self.treasury.take_back(back);
    }

    /// Grants more of scarce resources between negotiations, as far as the pool goes; the limiter stays.
    pub fn on_draw(&mut self, draw: &Draw, now: Timestamp) -> Option<EscrowGrant> {
        if draw.amounts.len() != self.config.layout.len() || draw.lease != self.treasury.lease() {
            return None;
        }
        let (add, lease) = self.treasury.grant(&draw.amounts);
        let expires_at = now.plus(self.options.lease_micros);
        Some(EscrowGrant { envelope: self.envelope(0, now), lease, expires_at, add, limit: Vec::new() })
    }

    /// Puts other limits in force and asks for a fresh anchor.
    pub fn change_limits(&mut self, limits: &[Option<i64>]) -> Vec<Effect> {
        self.anchor_due = true;
        if self.treasury.change_limits(limits) { vec![Effect::Recall] } else { Vec::new() }
    }

    /// Asks for a fresh anchor before the next negotiation (catalog or policy change).
    pub fn reanchor(&mut self) {
        self.anchor_due = true;
    }
}

impl Planner {
    fn open_rounds(&mut self, purpose: Purpose, now: Timestamp) -> Vec<Effect> {
        let ground = self.ground(now);
        let mix = match purpose {
            Purpose::Anchor => RowMix::Baseline,
            Purpose::Regular => RowMix::Recent(self.options.recent),
        };
        let envelope = self.envelope(0, now);
        let rounds = Rounds::new(purpose, ground, mix, envelope, self.start.clone(), &self.options, now);
        let quote = rounds.quote();
        self.open = Some(rounds);
        vec![Effect::Quote(quote)]
    }

    fn close_round(&mut self, now: Timestamp) -> Vec<Effect> {
        let Some(mut open) = self.open.take() else { return Vec::new() };
        self.remember(&open);
        match open.close(self.solver.as_mut(), &self.options, now) {
            Step::Quote(quote) => {
                self.open = Some(open);
                vec![Effect::Quote(*quote)]
            }
            Step::Done(status) => match open.purpose() {
                Purpose::Anchor => self.conclude_anchor(&open, status, now),
                Purpose::Regular => self.conclude(&open, status, now),
            },
        }
    }

    fn conclude_anchor(&mut self, open: &Rounds, status: Status, now: Timestamp) -> Vec<Effect> {
        let best = open.best_prices();
        let certificate = open.certificate(status, best.clone(), None, false, self.version, now);
        match status {
            Status::Certified | Status::Bounded | Status::Fallback(FallbackReason::SolverFailed) => {
                if self.certified_once {
                    self.published = best.clone();
                }
                self.start = best.clone();
                self.anchor = Some(best);
                self.certified_once = true;
            }
            // Without a usable anchor there is no corridor: one around wrong prices would do harm.
            Status::Fallback(_) => self.anchor = None,
        }
        let mut effects = vec![Effect::Anchored(Box::new(certificate))];
        // A negotiation of its own: a late answer from baseline rows must not pass for one from recent rows.
        self.batch += 1;
        effects.extend(self.open_rounds(Purpose::Regular, now));
        effects
    }

    fn conclude(&mut self, open: &Rounds, status: Status, now: Timestamp) -> Vec<Effect> {
        let keep = match status {
            Status::Certified
            | Status::Bounded
            | Status::Fallback(FallbackReason::SolverFailed | FallbackReason::StaleSegment) => false,
            Status::Fallback(
                FallbackReason::GapTooWide | FallbackReason::NoAnswers | FallbackReason::NothingToPlan,
            ) => true,
        };
        if !keep {
            self.published = open.best_prices();
            self.certified_once = true;
        }
        self.start = if open.has_answers() { open.best_prices() } else { self.start.clone() };
        let gap_too_wide = status == Status::Fallback(FallbackReason::GapTooWide);
        self.wide_gaps = if gap_too_wide { self.wide_gaps + 1 } else { 0 };
        self.version += 1;
        let (table, clipped) = self.table(open.ground(), now, &self.published);
        self.clips = if clipped { self.clips + 1 } else { 0 };
        let corridor = self.corridor();
        let published = self.published.clone();
        let mut certificate = open.certificate(status, published, corridor, clipped, self.version, now);
        let held = self.held_prices(now);
        if !held.is_empty() {
            certificate = Certificate { held, ..certificate }.sealed();
        }
        let grant = self.grant(open.ground(), now);
        let mut effects = vec![Effect::Conclude { certificate: Box::new(certificate), table, grant }];
        if self.clips > self.options.escalate_after {
            self.clips = 0;
            effects.push(Effect::Escalate(Escalation::CorridorClips));
        }
        if self.wide_gaps == self.options.escalate_after {
            effects.push(Effect::Escalate(Escalation::GapTooWide));
        }
        let (burns, before) = (self.burns(now), self.burning);
        self.burning = burns;
        if burns && !before {
            effects.push(Effect::Escalate(Escalation::Burn));
        }
        effects
    }

    /// Whether the program's money goes faster than the policy lets pass, since this leader began.
    fn burns(&self, now: Timestamp) -> bool {
        let (Some(burn), Some(limit)) = (self.options.burn_ppm, self.treasury.limits()[Layout::GLOBAL])
        else {
            return false;
        };
        let Some((began, used_before)) = self.began else { return false };
        let available = i128::from(limit) - i128::from(used_before);
        let used = i128::from(used(&self.held)) - i128::from(used_before);
        let (passed, whole) = (now.since(began), self.config.window.to.since(began));
        used * 100 >= available * BURN_PERCENT_MIN
            && used * i128::from(whole) * 1_000_000 > available * i128::from(passed) * i128::from(burn)
    }

    /// Keeps this round's answers for the day a segment is silent.
    fn remember(&mut self, open: &Rounds) {
        let kept = match open.purpose() {
            Purpose::Anchor => &mut self.baseline,
            Purpose::Regular => &mut self.last,
        };
        for (segment, slot) in kept.iter_mut().enumerate() {
            if let Some(answer) = open.answer_of(segment).filter(|answer| answer.stale == 0) {
                *slot = Some(Remembered { answer: answer.clone(), events_q16: open.events_q16(segment) });
            }
        }
    }

    pub(super) fn envelope(&self, round: u8, now: Timestamp) -> Envelope {
        Envelope {
            schema: SCHEMA,
            program: self.config.program.clone(),
            epoch: self.options.epoch,
            batch: self.batch,
            round,
            price_version: self.version,
            deadline: now.plus(self.options.answer_micros),
        }
    }
}

/// The program's money that is promised or spent.
fn used(held: &EscrowView) -> i64 {
    let at = |amounts: &Vec<i64>| amounts.get(Layout::GLOBAL).copied().unwrap_or(0);
    at(&held.reserved) + at(&held.spent)
}

impl Remembered {
    /// The answer as it would be for another number of events.
    fn scaled_to(&self, events_q16: i64) -> SegmentRecord {
        let mut answer = self.answer.clone();
        let (to, from) = (i128::from(events_q16), i128::from(self.events_q16.max(1)));
        for demand in &mut answer.demand {
            demand.events_q16 = i64::try_from(i128::from(demand.events_q16) * to / from).unwrap_or(0);
            demand.value_q16 = demand.value_q16 * to / from;
        }
        answer
    }
}
