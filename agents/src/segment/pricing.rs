//! One moment at a segment agent: price the candidates, take the best one worth its price, reserve it.

use std::collections::VecDeque;

use domain::{Cause, Reason, RewardIndex, SegmentIndex, Timestamp};
use serde::{Deserialize, Serialize};

use crate::negotiation::{DemandAnswer, Layout, PriceQuote, PriceTable, Prices, SCHEMA};

use super::choice::{Choice, Line, Offer, best_open, dearer};
use super::demand::demand;
use super::escrow::{Demand, Reserve};
use super::explore::{CERTAIN, Exploration};
use super::opportunity::OpportunityTable;
use super::rows::{INELIGIBLE, ROWS_MAX, Row, Rows, VALUE_MAX};

/// Candidates tried per moment: a third refusal means the escrow is empty, not that one reward ran out.
pub const ATTEMPTS_MAX: usize = 3;
/// How often a table that outlived its life grows dearer, in microseconds.
const STALE_STEP_MICROS: i64 = 10_000_000;
/// Steps of growing dearer (a quarter each, 14.6-fold in all, two minutes) before nothing is promised at all.
const STALE_STEPS_MAX: i64 = 12;
/// The caution recorded when prices were too old for any promise.
pub const CAUTION_SILENT: u8 = u8::MAX;
/// Table versions between two computations of opportunity prices: they follow prices, which move little in between.
const OPPORTUNITY_EVERY: u64 = 4;

/// What a segment agent is made for.
#[derive(Clone, Debug)]
pub struct SegmentOptions {
    pub segment: SegmentIndex,
    pub layout: Layout,
    /// Face cost per reward, micros.
    pub costs: Vec<i64>,
    /// Rewards whose promises wait for a person, one bit each.
    pub waiting: u64,
    pub exploration: Exploration,
    /// The most contacts any cap allows a member; 0 when there is no cap or contacts shall not be priced.
    pub caps_max: u8,
}

/// What a segment agent hands to the next period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SegmentCarry {
    /// Version of this form, [`SCHEMA`].
    pub schema: u16,
    pub segment: SegmentIndex,
    /// An even sample of the period's rows.
    pub rows: Rows,
    /// Moments in the period.
    pub arrivals: u64,
}

/// Why a quote or a table cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// Made by another version.
    #[error("message schema {0} is not {SCHEMA}")]
    Schema(u16),
    /// For another number of segments or rewards.
    #[error("message is for another number of segments or rewards")]
    Shape,
}

/// A segment agent's brain, the part that prices.
#[derive(Clone, Debug)]
pub struct Segment {
    options: SegmentOptions,
    baseline: Rows,
    recent: Rows,
    /// The whole period, evenly sampled; the next period's baseline.
    period: Rows,
    frozen: Option<Freeze>,
    table: PriceTable,
    opportunity: OpportunityTable,
    /// Epoch and version of the table the opportunity prices follow.
    priced: (u64, u64),
    arrivals: u64,
    /// The opportunity price of the next moment, where it was recorded and cannot be computed again.
    given: Option<i64>,
    scratch: Vec<i64>,
}

/// Rows held still for one negotiation.
#[derive(Clone, Debug)]
struct Freeze {
    negotiation: (u64, u64),
    /// Moments seen when it began.
    arrivals: u64,
    /// Rows of moments since, to be kept when it ends: the newest, as many as the ring can hold.
    pending: VecDeque<Pending>,
    /// Rows of moments since that the ring would have forgotten again.
    passed: u64,
}

#[derive(Clone, Debug)]
struct Pending {
    values: Vec<i64>,
    opportunity: i64,
    scale: i64,
    value_milli: u16,
}

impl Segment {
    /// A segment agent at the start of a period. `table` holds prices to begin with.
    pub fn new(options: SegmentOptions, baseline: Option<SegmentCarry>, table: PriceTable) -> Segment {
        let rewards = options.layout.reward_count();
        let fits = |carry: &SegmentCarry| carry.schema == SCHEMA && carry.rows.rewards() == rewards;
        let baseline = baseline.filter(fits).map_or_else(|| Rows::new(rewards), |carry| carry.rows);
        let mut segment = Segment {
            baseline,
            recent: Rows::new(rewards),
            period: Rows::new(rewards),
            frozen: None,
            table,
            opportunity: OpportunityTable::default(),
            priced: (0, 0),
            arrivals: 0,
            given: None,
            scratch: vec![INELIGIBLE; rewards],
            options,
        };
        segment.price_contacts();
        segment
    }

    /// This agent at the start of the next period, with what this one taught.
    pub fn next_period(&mut self, table: PriceTable) -> Segment {
        // Moments since an unfinished negotiation froze the rows belong to this period, too.
        self.thaw();
        Segment::new(self.options.clone(), Some(self.carry()), table)
    }

    /// Decides one moment and remembers it. The reservation it makes is the only thing it changes outside.
    pub fn decide(&mut self, offer: &Offer<'_>, reserve: &mut impl Reserve) -> Choice {
        self.arrivals += 1;
        self.follow_prices();
        let computed = self.opportunity.price(offer.scale, offer.caps_left, offer.visits_q16);
        let opportunity = self.given.take().unwrap_or(computed);
        self.remember(offer, opportunity);
        let mut choice = self.price(offer, opportunity);
        match (self.steps_stale(offer.now), offer.caps_left) {
            (None, _) => choice.give_up(Reason::LeaderSilent, Cause::Fallback),
            (Some(_), 0) => choice.give_up(Reason::MemberCap, Cause::Policy),
            (Some(_), _) => {
                let first = self.drawn(offer, &choice);
                self.take_best(&mut choice, first, reserve, offer);
            }
        }
        choice
    }

    /// Goes on after moments that cannot be replayed: the next is the `seq`-th, and its opportunity price, which rests on
    /// the rows of earlier moments, is taken as recorded.
    pub fn resume(&mut self, seq: u64, opportunity: i64) {
        self.arrivals = seq.saturating_sub(1);
        self.given = Some(opportunity);
    }

    /// What a contact of a member of this size costs at the prices in force, micros.
    pub fn contact_price(&self, scale: i64, caps_left: u8, visits_q16: u32) -> i64 {
        self.opportunity.price(scale, caps_left, visits_q16)
    }

    /// Remembers a moment without deciding it: members of the control group show what would have been wanted.
    pub fn observe(&mut self, offer: &Offer<'_>) {
        self.follow_prices();
        let opportunity = self.opportunity.price(offer.scale, offer.caps_left, offer.visits_q16);
        fill(&mut self.scratch, offer, opportunity);
        let value_milli = self.table.value_milli;
        self.period.push_sample(Row { values: &self.scratch, opportunity, scale: offer.scale, value_milli });
    }

    /// Holds the rows still, so that every round of a negotiation sees the same ones; returns the moments
    /// seen when they were. Messages may overtake each other on the bus, so the negotiation is what counts,
    /// not the order in which its messages arrive.
    fn freeze_for(&mut self, negotiation: (u64, u64)) -> u64 {
        match &self.frozen {
            Some(freeze) if freeze.negotiation == negotiation => freeze.arrivals,
            Some(_) | None => {
                self.thaw();
                let arrivals = self.arrivals;
                self.frozen = Some(Freeze { negotiation, arrivals, pending: VecDeque::new(), passed: 0 });
                arrivals
            }
        }
    }

    /// Lets rows move again; those of moments since the freeze are kept now.
    fn thaw(&mut self) {
        let Some(freeze) = self.frozen.take() else { return };
        self.recent.pass(freeze.passed);
        for row in freeze.pending {
            let Pending { values, opportunity, scale, value_milli } = row;
            self.recent.push_ring(Row { values: &values, opportunity, scale, value_milli });
        }
    }

    /// The answer to a quote. The first quote heard of a negotiation freezes the rows.
    ///
    /// # Errors
    /// A quote of another schema or shape is refused and changes nothing.
    pub fn answer(&mut self, quote: &PriceQuote) -> Result<DemandAnswer, MessageError> {
        self.check_quote(quote)?;
        let frozen_at = self.freeze_for(quote.envelope.negotiation());
        let segment = usize::from(self.options.segment.0);
        let prices = quote.prices.row(segment, &self.options.costs, quote.weights[segment].closed);
        let demanded = demand(&self.baseline, &self.recent, quote, segment, &prices);
        Ok(DemandAnswer {
            envelope: quote.envelope.clone(),
            segment: self.options.segment,
            demand: demanded.demand,
            net_q16: demanded.net_q16,
            rows_used: demanded.rows_used,
            rows_digest: self.baseline.digest() ^ self.recent.digest().rotate_left(1),
            arrivals: self.arrivals,
            frozen_at,
        })
    }

    /// Puts a price table in force; an older or equal version of the same epoch is ignored.
    ///
    /// # Errors
    /// A table of another schema or shape is refused and the one in force stays.
    pub fn install(&mut self, table: &PriceTable) -> Result<(), MessageError> {
        if table.envelope.schema != SCHEMA {
            return Err(MessageError::Schema(table.envelope.schema));
        }
        if table.row(self.options.segment).len() != self.options.layout.reward_count() {
            return Err(MessageError::Shape);
        }
        // A table that was overtaken by the next negotiation's first quote must not move that one's rows.
        if self.frozen.as_ref().is_some_and(|freeze| freeze.negotiation <= table.envelope.negotiation()) {
            self.thaw();
        }
        if order(table) > order(&self.table) {
            self.table.clone_from(table);
        }
        Ok(())
    }

    /// The table in force.
    pub fn table(&self) -> &PriceTable {
        &self.table
    }

    /// Moments seen in this period.
    pub fn arrivals(&self) -> u64 {
        self.arrivals
    }

    /// What the next period starts from: this period's sample, or the old baseline when nothing happened.
    pub fn carry(&self) -> SegmentCarry {
        let rows = if self.period.is_empty() { &self.baseline } else { &self.period };
        SegmentCarry {
            schema: SCHEMA,
            segment: self.options.segment,
            rows: rows.clone(),
            arrivals: self.arrivals,
        }
    }

    fn check_quote(&self, quote: &PriceQuote) -> Result<(), MessageError> {
        let layout = self.options.layout;
        let Prices { global: _, segments, rewards, subsidies } = &quote.prices;
        let segment_counts = [quote.weights.len(), segments.len(), subsidies.len()];
        if quote.envelope.schema != SCHEMA {
            return Err(MessageError::Schema(quote.envelope.schema));
        }
        let fits = segment_counts.iter().all(|count| *count == layout.segment_count())
            && rewards.len() == layout.reward_count();
        if fits { Ok(()) } else { Err(MessageError::Shape) }
    }

    /// Brings opportunity prices up to date. Done when a moment needs them, not when a table arrives, so that
    /// a table nobody decided by leaves no trace and a replay need not know that it was missed.
    fn follow_prices(&mut self) {
        let ((epoch, version), (priced_epoch, priced)) = (order(&self.table), self.priced);
        let due =
            epoch != priced_epoch || version >= priced + OPPORTUNITY_EVERY || priced == 0 && version > 0;
        if due {
            self.price_contacts();
        }
    }

    fn price_contacts(&mut self) {
        self.priced = order(&self.table);
        let caps = self.options.caps_max;
        if caps > 0 {
            let prices = self.table.row(self.options.segment);
            self.opportunity = OpportunityTable::compute(&self.baseline, &self.recent, prices, caps);
        }
    }

    fn remember(&mut self, offer: &Offer<'_>, opportunity: i64) {
        fill(&mut self.scratch, offer, opportunity);
        let (scale, value_milli) = (offer.scale, self.table.value_milli);
        let row = Row { values: &self.scratch, opportunity, scale, value_milli };
        // The sample is no part of an answer, so it follows the order of moments whatever is frozen.
        self.period.push_sample(row);
        match &mut self.frozen {
            None => self.recent.push_ring(row),
            Some(freeze) => {
                if freeze.pending.len() == ROWS_MAX {
                    freeze.pending.pop_front();
                    freeze.passed += 1;
                }
                let values = self.scratch.clone();
                freeze.pending.push_back(Pending { values, opportunity, scale, value_milli });
            }
        }
    }

    /// Every candidate with its price and net value; none chosen yet.
    fn price(&self, offer: &Offer<'_>, opportunity: i64) -> Choice {
        let prices = self.table.row(self.options.segment);
        let steps = self.steps_stale(offer.now).unwrap_or(STALE_STEPS_MAX);
        let mut lines = Vec::with_capacity(offer.mask.count_ones() as usize);
        let mut best_net = 0;
        for (reward, (value, price)) in offer.values.iter().zip(prices).enumerate() {
            if offer.mask >> reward & 1 == 0 {
                continue;
            }
            let price = dearer(*price, steps);
            let net = value.saturating_sub(price).saturating_sub(opportunity);
            best_net = best_net.max(net);
            let reason = match (net > 0, *value > 0) {
                (true, _) => Reason::Outbid,
                (false, true) => Reason::PricedOut,
                (false, false) => Reason::NoValue,
            };
            lines.push(Line { reward: RewardIndex(reward as u8), reason, rule: None, price, net });
        }
        Choice {
            chosen: None,
            lines,
            opportunity,
            best_net,
            chosen_net: 0,
            cause: Cause::Nothing,
            explored: false,
            propensity: CERTAIN,
            table: self.table.version,
            seq: self.arrivals,
        }
    }

    /// The place of the line that exploration draws, `Some(None)` when it draws "nothing", and its odds.
    fn drawn(&self, offer: &Offer<'_>, choice: &Choice) -> Option<(Option<usize>, u32)> {
        let rule = self.options.exploration;
        if choice.lines.is_empty() || !rule.explores(offer.draw) {
            return None;
        }
        let may = |(_, line): &(usize, &Line)| line.net >= rule.floor_micros;
        let places: Vec<usize> =
            choice.lines.iter().enumerate().filter(may).map(|(place, _)| place).collect();
        let nets: Vec<i64> = places.iter().map(|place| choice.lines[*place].net).chain([0]).collect();
        let drawn = rule.draw(&nets, offer.draw)?;
        Some((places.get(drawn.option).copied(), drawn.propensity))
    }

    /// Reserves the drawn line, else the best positive one, else the next best, and so on.
    fn take_best(
        &self,
        choice: &mut Choice,
        first: Option<(Option<usize>, u32)>,
        reserve: &mut impl Reserve,
        offer: &Offer<'_>,
    ) {
        let (now, at) = (offer.now, offer.at);
        if let Some((place, propensity)) = first {
            let best = best_open(&choice.lines);
            let other = place != best;
            let taken = match place {
                None => Ok(()),
                Some(place) => reserve.reserve(&self.demand_of(&choice.lines[place], other, at), now),
            };
            if taken.is_ok() {
                choice.explored = true;
                choice.propensity = propensity;
                choice.take(place, if other { Cause::Exploration } else { Cause::Nothing });
                return;
            }
            // The draw could not be paid: decide as if this moment did not explore, so its odds stay honest.
        }
        for _ in 0..ATTEMPTS_MAX {
            let Some(place) = best_open(&choice.lines) else { break };
            match reserve.reserve(&self.demand_of(&choice.lines[place], false, at), now) {
                Ok(()) => {
                    let refused = choice.best_net > choice.lines[place].net;
                    choice.take(Some(place), if refused { Cause::Capacity } else { Cause::Nothing });
                    return;
                }
                Err(refusal) => choice.refuse(place, refusal),
            }
        }
        choice.leave_untried();
    }

    fn demand_of(&self, line: &Line, learn: bool, at: Timestamp) -> Demand {
        let cost = self.options.costs[usize::from(line.reward.0)];
        let waits = self.options.waiting >> line.reward.0 & 1 == 1;
        Demand { segment: self.options.segment, reward: line.reward, cost, learn, waits, at, stocked: true }
    }

    /// How often prices have been raised for want of a newer table; [`CAUTION_SILENT`] once nothing is promised.
    pub fn caution(&self, now: Timestamp) -> u8 {
        self.steps_stale(now).and_then(|steps| u8::try_from(steps).ok()).unwrap_or(CAUTION_SILENT)
    }

    /// A time at which this segment's table has that caution, for replays of recorded decisions.
    pub fn time_of_caution(&self, caution: u8) -> Timestamp {
        match caution {
            0 => self.table.published_at,
            CAUTION_SILENT => Timestamp(i64::MAX),
            steps => self
                .table
                .published_at
                .plus(self.table.ttl_micros + (i64::from(steps) - 1) * STALE_STEP_MICROS),
        }
    }

    /// The choice of a moment that is not decided here (control group): nothing, at the prices in force.
    pub fn idle(&self) -> Choice {
        Choice {
            chosen: None,
            lines: Vec::new(),
            opportunity: 0,
            best_net: 0,
            chosen_net: 0,
            cause: Cause::Nothing,
            explored: false,
            propensity: CERTAIN,
            table: self.table.version,
            seq: 0,
        }
    }

    /// How often the table has grown dearer, or `None` when it may not be used any more.
    fn steps_stale(&self, now: Timestamp) -> Option<i64> {
        let late = now.since(self.table.published_at).saturating_sub(self.table.ttl_micros);
        let steps = if late < 0 { 0 } else { late / STALE_STEP_MICROS + 1 };
        (steps <= STALE_STEPS_MAX).then_some(steps)
    }
}

/// Later tables are greater.
fn order(table: &PriceTable) -> (u64, u64) {
    (table.envelope.epoch, table.version)
}

/// The offer's values net of the opportunity price, with everything else ineligible.
fn fill(slots: &mut [i64], offer: &Offer<'_>, opportunity: i64) {
    let mask = if offer.caps_left == 0 { 0 } else { offer.mask };
    for (reward, slot) in slots.iter_mut().enumerate() {
        let value = offer.values.get(reward).filter(|_| mask >> reward & 1 == 1);
        let net = |value: &i64| value.saturating_sub(opportunity).clamp(-VALUE_MAX, VALUE_MAX);
        *slot = value.map_or(INELIGIBLE, net);
    }
}
