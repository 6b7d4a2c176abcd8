//! The rounds of one negotiation: quotes, answers, the two bounds, and when to stop.

use domain::{PriceQ20, Timestamp};

use crate::negotiation::certificate::{BOUNDED_PPM, CERTIFIED_PPM, ROUNDS_MAX, SIGN_ROUNDS_MAX};
use crate::negotiation::integers::CLOSED;
use crate::negotiation::{
    Certificate, Corridor, DemandAnswer, Envelope, FallbackReason, Layout, PriceQuote, Prices, Purpose,
    RewardDemand, RoundRecord, RowMix, SegmentRecord, Status,
};

use super::bounds::{Ground, gap_ppm};
use super::config::PlannerOptions;
use super::master::{MasterSolver, SolverError};
use super::rprop::Rprop;
use super::scaling::{Scale, even_weights, proposed};

/// Every so many rounds the oracle's prices are quoted as they are; otherwise half-way from the best.
///
/// The half-way step damps the swings of early rounds, the full step shows the oracle its own corner.
const FULL_STEP_EVERY: usize = 8;

/// More moments than a window can have; keeps sums over segments within `u64`.
const ARRIVALS_MAX: u64 = 1 << 48;

/// What comes after a round.
pub enum Step {
    Quote(Box<PriceQuote>),
    Done(Status),
}

/// A negotiation under way.
#[derive(Clone, Debug)]
pub struct Rounds {
    purpose: Purpose,
    ground: Ground,
    mix: RowMix,
    envelope: Envelope,
    started_at: Timestamp,
    quoted: Prices,
    arrived: Vec<Option<SegmentRecord>>,
    closed: Vec<RoundRecord>,
    /// What each answer of the closed rounds uses, Q16, in order of rounds and segments.
    uses: Vec<Vec<i128>>,
    best: usize,
    best_upper: i128,
    lower: i128,
    sign_steps: Option<Rprop>,
    stale: bool,
    silent: bool,
}

impl Rounds {
    /// Opens a negotiation that will first quote `start`.
    pub fn new(
        purpose: Purpose,
        ground: Ground,
        mix: RowMix,
        envelope: Envelope,
        start: Prices,
        options: &PlannerOptions,
        now: Timestamp,
    ) -> Rounds {
        let segments = ground.layout.segment_count();
        let envelope = Envelope { deadline: now.plus(options.answer_micros), ..envelope };
        // A plan without promises is worth nothing, and less where promises are owed.
        let lower = ground.lower(&[]);
        let mut rounds = Rounds {
            purpose,
            ground,
            mix,
            envelope,
            started_at: now,
            quoted: start,
            arrived: vec![None; segments],
            closed: Vec::new(),
            uses: Vec::new(),
            best: 0,
            best_upper: i128::MAX,
            lower,
            sign_steps: None,
            stale: false,
            silent: false,
        };
        rounds.free_what_has_no_limit();
        rounds
    }

    /// What the negotiation is for.
    pub fn purpose(&self) -> Purpose {
        self.purpose
    }

    /// What the bounds are computed against.
    pub fn ground(&self) -> &Ground {
        &self.ground
    }

    /// When the present round stops waiting.
    pub fn deadline(&self) -> Timestamp {
        self.envelope.deadline
    }

    /// Whether any round was closed.
    pub fn has_answers(&self) -> bool {
        !self.closed.is_empty()
    }

    /// The prices of the best round; what was quoted while there is none.
    pub fn best_prices(&self) -> Prices {
        self.closed.get(self.best).map_or_else(|| self.quoted.clone(), |round| round.prices.clone())
    }

    /// The present round's question.
    pub fn quote(&self) -> PriceQuote {
        PriceQuote {
            envelope: self.envelope.clone(),
            prices: self.quoted.clone(),
            weights: self.ground.weights.clone(),
            mix: self.mix,
        }
    }

    /// Takes an answer to the present round; says whether it was one.
    pub fn accept(&mut self, answer: &DemandAnswer) -> bool {
        let segment = usize::from(answer.segment.0);
        let fits = self.envelope.same_round(&answer.envelope)
            && answer.demand.len() == self.ground.layout.reward_count()
            && self.is_possible(segment, answer);
        match self.arrived.get_mut(segment) {
            Some(slot @ None) if fits => {
                *slot = Some(SegmentRecord {
                    segment: answer.segment,
                    demand: answer.demand.clone(),
                    net_q16: answer.net_q16,
                    rows_used: answer.rows_used,
                    rows_digest: answer.rows_digest,
                    frozen_at: answer.frozen_at,
                    stale: 0,
                    theta_q30: 0,
                });
                true
            }
            Some(_) | None => false,
        }
    }

    /// Whether a segment can have answered so. Answers come over the bus, and the checker ends the node on a
    /// certificate with an impossible one, so what it would refuse is taken for silence here: more events than
    /// were announced, a reward below its price or out of stock, a misstated net sum, other rows than in an
    /// earlier round, or less than another of the segment's own answers would have gained.
    fn is_possible(&self, segment: usize, answer: &DemandAnswer) -> bool {
        if segment >= self.ground.weights.len() {
            return false;
        }
        let prices = self.row(segment, &self.quoted);
        let sane = answer.arrivals <= ARRIVALS_MAX
            && answer.demand.iter().zip(&prices).all(|(demand, price)| {
                let paid = i128::from(demand.events_q16) * i128::from(*price);
                match demand.events_q16 {
                    0 => demand.value_q16 == 0,
                    wanted => wanted > 0 && *price != CLOSED && demand.value_q16 >= paid,
                }
            });
        let events: i128 = answer.demand.iter().map(|demand| i128::from(demand.events_q16)).sum();
        sane && events <= i128::from(self.events_q16(segment))
            && answer.net_q16 == net_q16(&prices, &answer.demand)
            && self.is_consistent(segment, answer, &prices)
    }

    /// Whether the answer and the segment's earlier ones can come from the same rows.
    fn is_consistent(&self, segment: usize, answer: &DemandAnswer, prices: &[i64]) -> bool {
        let earlier = self.closed.iter().flat_map(|round| {
            let own = round.answers.iter().filter(|own| usize::from(own.segment.0) == segment);
            own.filter(|own| own.stale == 0).map(|own| (&round.prices, own))
        });
        earlier.into_iter().all(|(then, own)| {
            (own.rows_digest, own.rows_used, own.frozen_at)
                == (answer.rows_digest, answer.rows_used, answer.frozen_at)
                && net_q16(prices, &own.demand) <= answer.net_q16
                && net_q16(&self.row(segment, then), &answer.demand) <= own.net_q16
        })
    }

    /// Whether every segment has answered.
    pub fn complete(&self) -> bool {
        self.arrived.iter().all(Option::is_some)
    }

    /// Segments that have not answered.
    pub fn missing(&self) -> Vec<usize> {
        let silent = self.arrived.iter().enumerate().filter(|(_, answer)| answer.is_none());
        silent.map(|(segment, _)| segment).collect()
    }

    /// This round's answer of a segment, while the round is open.
    pub fn answer_of(&self, segment: usize) -> Option<&SegmentRecord> {
        self.arrived.get(segment)?.as_ref()
    }

    /// Events announced to a segment, Q16.
    pub fn events_q16(&self, segment: usize) -> i64 {
        self.ground.weights[segment].phases.iter().map(|phase| phase.events_q16).sum()
    }

    /// Puts an older answer (already scaled) in a silent segment's place, or no demand at all. What has run out
    /// since cannot be wanted any more, nor what scaling left less than a single count of.
    pub fn stand_in(&mut self, segment: usize, older: Option<SegmentRecord>) {
        self.stale = true;
        self.silent |= older.is_none();
        let mut record = older.unwrap_or_else(|| SegmentRecord {
            segment: domain::SegmentIndex(segment as u8),
            demand: vec![RewardDemand::default(); self.ground.layout.reward_count()],
            net_q16: 0,
            rows_used: 0,
            rows_digest: 0,
            frozen_at: 0,
            stale: u8::MAX,
            theta_q30: 0,
        });
        record.theta_q30 = 0;
        let prices = self.row(segment, &self.quoted);
        for (demand, price) in record.demand.iter_mut().zip(&prices) {
            if *price == CLOSED || demand.events_q16 == 0 {
                *demand = RewardDemand::default();
            }
        }
        record.net_q16 = net_q16(&prices, &record.demand);
        self.arrived[segment] = Some(record);
    }

    /// Closes the round: bounds, then stop or the next quote.
    pub fn close(
        &mut self,
        solver: &mut (dyn MasterSolver + Send),
        options: &PlannerOptions,
        now: Timestamp,
    ) -> Step {
        self.record_round();
        let nothing = !self.ground.is_open() || self.closed[0].answers.iter().all(|a| a.rows_used == 0);
        if nothing {
            let reason = if self.silent { FallbackReason::NoAnswers } else { FallbackReason::NothingToPlan };
            return Step::Done(Status::Fallback(reason));
        }
        let proposal = self.propose(solver);
        let enough = self.closed.len() >= usize::from(options.target_rounds);
        let target = if enough { CERTIFIED_PPM } else { options.target_ppm.min(CERTIFIED_PPM) };
        if self.gap_ppm() <= target {
            return Step::Done(self.status());
        }
        let over_time = now.since(self.started_at) >= options.time_max_micros;
        if over_time || self.closed.len() >= self.rounds_max() {
            return Step::Done(self.status());
        }
        self.quoted = match proposal {
            Some(prices) => prices,
            None => self.sign_step(),
        };
        self.free_what_has_no_limit();
        self.envelope.round += 1;
        self.envelope.deadline = now.plus(options.answer_micros);
        Step::Quote(Box::new(self.quote()))
    }

    /// The certificate of this negotiation.
    pub fn certificate(
        &self,
        status: Status,
        published: Prices,
        corridor: Option<Corridor>,
        clipped: bool,
        table_version: u64,
        now: Timestamp,
    ) -> Certificate {
        let upper = if self.closed.is_empty() { 0 } else { self.best_upper };
        let certificate = Certificate {
            envelope: self.envelope.clone(),
            purpose: self.purpose,
            concluded_at: now,
            layout: self.ground.layout,
            costs: self.ground.costs.clone(),
            capacities: self.ground.capacities.clone(),
            floors: self.ground.floors.clone(),
            weights: self.ground.weights.clone(),
            mix: self.mix,
            rounds: self.closed.clone(),
            best_round: self.best as u8,
            upper,
            lower: self.lower,
            gap_ppm: gap_ppm(upper, self.lower),
            status,
            published,
            corridor,
            clipped,
            held: Vec::new(),
            table_version,
            digest: domain::Digest::default(),
        };
        certificate.sealed()
    }

    fn record_round(&mut self) {
        let answers = self.arrived.iter_mut().filter_map(Option::take).collect();
        let mut round = RoundRecord { prices: self.quoted.clone(), answers, upper: 0 };
        let upper = self.ground.upper(&round);
        round.upper = upper;
        let uses = |answer: &SegmentRecord| self.ground.uses(usize::from(answer.segment.0), &answer.demand);
        self.uses.extend(round.answers.iter().map(uses));
        self.closed.push(round);
        if upper < self.best_upper {
            (self.best, self.best_upper) = (self.closed.len() - 1, upper);
        }
    }

    /// Asks the oracle for a plan and new prices; `None` when it fails (then sign steps take over).
    fn propose(&mut self, solver: &mut (dyn MasterSolver + Send)) -> Option<Prices> {
        if self.sign_steps.is_none() {
            let scale = Scale::of(&self.ground, &self.closed);
            let problem = scale.problem(&self.ground, &self.closed, &self.uses);
            match solver.solve(&problem).and_then(|solution| solution.checked(&problem)) {
                Ok(solution) => {
                    self.adopt(&proposed(&solution, &self.closed));
                    return Some(self.towards(&scale.prices(&self.ground, &solution)));
                }
                Err(SolverError(_)) => {
                    let best = self.best_prices();
                    self.sign_steps = Some(Rprop::new(&self.ground, &best));
                }
            }
        }
        self.adopt(&even_weights(&self.closed));
        None
    }

    fn adopt(&mut self, weights: &[Vec<f64>]) {
        self.ground.settle_weights(&mut self.closed, &self.uses, weights);
        self.lower = self.ground.lower(&self.closed);
    }

    fn sign_step(&mut self) -> Prices {
        let last = &self.closed[self.closed.len() - 1];
        let ground = &self.ground;
        self.sign_steps.get_or_insert_with(|| Rprop::new(ground, &last.prices)).step(ground, last)
    }

    /// In-out step: half-way from the best prices so far to the oracle's, or all the way.
    fn towards(&self, oracle: &Prices) -> Prices {
        if self.closed.len() % FULL_STEP_EVERY == FULL_STEP_EVERY - 1 {
            return oracle.clone();
        }
        let best = &self.closed[self.best].prices;
        let half = |from: i64, to: i64| from + (to - from) / 2;
        let money = |from: PriceQ20, to: PriceQ20| PriceQ20(half(from.0, to.0));
        let each =
            |from: &[i64], to: &[i64]| from.iter().zip(to).map(|(from, to)| half(*from, *to)).collect();
        Prices {
            global: money(best.global, oracle.global),
            segments: best
                .segments
                .iter()
                .zip(&oracle.segments)
                .map(|(from, to)| money(*from, *to))
                .collect(),
            rewards: each(&best.rewards, &oracle.rewards),
            subsidies: each(&best.subsidies, &oracle.subsidies),
        }
    }

    fn gap_ppm(&self) -> u32 {
        gap_ppm(self.best_upper, self.lower)
    }

    fn rounds_max(&self) -> usize {
        let extra = self.sign_steps.as_ref().map_or(0, |_| SIGN_ROUNDS_MAX);
        usize::from(ROUNDS_MAX) + usize::from(extra)
    }

    fn status(&self) -> Status {
        let gap = self.gap_ppm();
        if self.stale {
            Status::Fallback(FallbackReason::StaleSegment)
        } else if self.sign_steps.is_some() {
            Status::Fallback(FallbackReason::SolverFailed)
        } else if gap <= CERTIFIED_PPM {
            Status::Certified
        } else if gap <= BOUNDED_PPM {
            Status::Bounded
        } else {
            Status::Fallback(FallbackReason::GapTooWide)
        }
    }

    /// A segment's unit prices at some prices of resources.
    fn row(&self, segment: usize, prices: &Prices) -> Vec<i64> {
        prices.row(segment, &self.ground.costs, self.ground.weights[segment].closed)
    }

    /// A resource without limit has no price, a segment without floor no subsidy.
    fn free_what_has_no_limit(&mut self) {
        let (ground, prices) = (&self.ground, &mut self.quoted);
        let free = |resource: usize| ground.capacities[resource].is_none();
        if free(Layout::GLOBAL) {
            prices.global = PriceQ20(0);
        }
        for (segment, price) in prices.segments.iter_mut().enumerate() {
            if free(ground.layout.segment(segment)) {
                *price = PriceQ20(0);
            }
        }
        for (reward, price) in prices.rewards.iter_mut().enumerate() {
            if free(ground.layout.reward(reward)) {
                *price = 0;
            }
        }
        for (subsidy, floor) in prices.subsidies.iter_mut().zip(&ground.floors) {
            if *floor == 0 {
                *subsidy = 0;
            }
        }
    }
}

/// What demand gains at unit prices, micros, Q16.
fn net_q16(prices: &[i64], demand: &[RewardDemand]) -> i128 {
    let net = |(demand, price): (&RewardDemand, &i64)| {
        demand.value_q16 - i128::from(demand.events_q16) * i128::from(*price)
    };
    demand.iter().zip(prices).map(net).sum()
}
