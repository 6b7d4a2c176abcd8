//! Running one instance: the day before (unless the program is new), then the day itself.

use std::time::Instant;

use agents::planner::{CalendarWindow, PlanConfig, PlannerOptions, Window};
use agents::segment::{Exploration, Offer, SegmentCarry};
use domain::random::splitmix64;
use domain::{Milli, Timestamp};

use super::generator::{Day, costs};
use super::hindsight;
use super::instance::{Announced, Baseline, Instance, Kind};
use super::market::{Market, MarketOptions, layout, program};
use super::members::{Contacts, PAST_SEED};
use super::report::Report;
use super::world::{COSTS, REWARDS, SEGMENTS};

/// How an instance is run.
#[derive(Clone, Debug, Default)]
pub struct Options {
    pub planner: PlannerOptions,
    pub exploration: Exploration,
    /// Compute the hindsight optimum where it is not known (takes seconds to minutes).
    pub compute_optimum: bool,
}

/// Runs an instance.
pub fn run(instance: &Instance, options: &Options) -> Report {
    let carries = match instance.baseline {
        Baseline::None => Vec::new(),
        Baseline::Day => {
            let before = Instance {
                kind: Kind::Stationary,
                seed: PAST_SEED,
                calendar: Vec::new(),
                budget_cut: None,
                ..instance.clone()
            };
            let mut past = Run::new(&before, options, Vec::new());
            past.live_through();
            past.market.carries()
        }
    };
    let mut run = Run::new(instance, options, carries);
    run.live_through();
    run.report(options)
}

/// A day being lived through.
struct Run<'a> {
    instance: &'a Instance,
    day: Day,
    market: Market,
    contacts: Contacts,
    books: Books,
    batch: usize,
}

/// The host's own account of what was promised, apart from escrow and treasury.
struct Books {
    limits: Vec<Option<i64>>,
    used: Vec<i64>,
    value: i64,
    overspent: u32,
}

impl Run<'_> {
    fn new<'a>(instance: &'a Instance, options: &Options, carries: Vec<SegmentCarry>) -> Run<'a> {
        let day = Day::of(instance);
        let limits = limits(&day);
        let known = instance.baseline == Baseline::Day;
        let contacts = Contacts::new(instance.members, instance.events, instance.cap, known);
        let config = PlanConfig {
            program: program(),
            layout: layout(),
            costs: costs(),
            limits: limits.clone(),
            floors: vec![0; SEGMENTS],
            window: Window { from: Timestamp(0), to: Timestamp(day.end()) },
            expected_events: Some(instance.events as u64),
            baseline_arrivals: carries.iter().map(|carry| carry.arrivals).collect(),
            calendar: instance.calendar.iter().map(|entry| announced(&day, entry)).collect(),
        };
        let caps_max = if instance.member_price { instance.cap } else { 0 };
        let market = MarketOptions {
            config,
            planner: options.planner.clone(),
            exploration: options.exploration,
            caps_max: if caps_max > 8 { 0 } else { caps_max },
            carries,
        };
        Run {
            instance,
            day,
            market: Market::new(market, Timestamp(0)),
            contacts,
            books: Books { used: vec![0; limits.len()], limits, value: 0, overspent: 0 },
            batch: options.planner.batch_events as usize,
        }
    }

    fn live_through(&mut self) {
        let cut = self.instance.budget_cut;
        for from in (0..self.day.len()).step_by(self.batch.max(1)) {
            let to = (from + self.batch).min(self.day.len());
            let before = from.checked_sub(1).map_or(0, |event| self.day.time[event]);
            self.market.negotiate(Timestamp(before));
            match cut.map(|cut| cut.at_event).filter(|at| (from..to).contains(at)) {
                None => self.decide_all(from, to),
                Some(at) => {
                    self.decide_all(from, at);
                    self.cut(at);
                    self.decide_all(at, to);
                }
            }
        }
    }

    fn decide_all(&mut self, from: usize, to: usize) {
        let started = Instant::now();
        for event in from..to {
            self.decide(event);
        }
        self.market.tally.decision_nanos += started.elapsed().as_nanos() as u64;
        self.market.tally.decisions += (to - from) as u64;
    }

    fn decide(&mut self, event: usize) {
        let (member, now, end) = (self.day.member[event] as usize, self.day.time[event], self.day.end());
        self.contacts.visit(member);
        let caps_left = self.contacts.left(member);
        let offer = Offer {
            mask: if caps_left == 0 { 0 } else { (1 << REWARDS) - 1 },
            values: &self.day.values[event],
            caps_left,
            visits_q16: self.contacts.expected_q16(member, end - now, end),
            scale: self.day.members.scale(member),
            draw: splitmix64(event as u64 ^ splitmix64(self.instance.seed)),
            now: Timestamp(now),
            at: Timestamp(now),
        };
        let segment = usize::from(self.day.segment[event]);
        let choice = self.market.decide(segment, &offer);
        if let Some(reward) = choice.chosen {
            let reward = usize::from(reward.0);
            self.contacts.grant(member);
            self.books.grant(segment, reward, self.day.values[event][reward]);
        }
    }

    /// Puts the cut in force at once; the next negotiation prices it.
    fn cut(&mut self, event: usize) {
        let Some(cut) = self.instance.budget_cut else { return };
        for limit in self.books.limits[..=SEGMENTS].iter_mut().flatten() {
            *limit = *limit * cut.to_permille / 1000;
        }
        let now = Timestamp(event.checked_sub(1).map_or(0, |event| self.day.time[event]));
        self.market.change_limits(&self.books.limits, now);
        self.market.negotiate(now);
    }

    fn report(&self, options: &Options) -> Report {
        let tally = &self.market.tally;
        let (rounds_mean, rounds_max) = tally.rounds();
        let (ms_per_negotiation, ms_per_negotiation_p99) = tally.negotiation_ms();
        let optimum = hindsight::known(self.instance)
            .or_else(|| options.compute_optimum.then(|| hindsight::optimum(self.instance, &self.day)));
        let global = self.books.limits[0].unwrap_or(0).max(1);
        Report {
            value_micros: self.books.value,
            pct_of_optimum: optimum.map(|optimum| self.books.value as f64 / 1e4 / optimum),
            spend_share: self.books.used[0] as f64 / global as f64,
            rounds_mean,
            rounds_max,
            certified_share: f64::from(tally.certified) / tally.rounds.len().max(1) as f64,
            overspend_count: self.books.overspent + tally.imbalances,
            ns_per_decision: tally.decision_nanos as f64 / tally.decisions.max(1) as f64,
            ms_per_negotiation,
            ms_per_negotiation_p99,
            negotiations: tally.rounds.len() as u32,
            bounded: tally.bounded,
            fallbacks: tally.fallbacks,
            certificates: tally.certificates,
            certificates_verified: tally.verified,
        }
    }
}

impl Books {
    fn grant(&mut self, segment: usize, reward: usize, value: i64) {
        self.value += value;
        let layout = layout();
        let uses = [(0, COSTS[reward]), (layout.segment(segment), COSTS[reward]), (layout.reward(reward), 1)];
        for (resource, amount) in uses {
            self.used[resource] += amount;
            let over = self.limits[resource].is_some_and(|limit| self.used[resource] > limit);
            self.overspent += u32::from(over);
        }
    }
}

/// The day's limits in layout order; exploration is bounded by a hundredth of the budget.
fn limits(day: &Day) -> Vec<Option<i64>> {
    let money = day.budgets.iter().copied().map(Some);
    money.chain(day.inventory).chain([Some(day.budgets[0] / 100)]).collect()
}

fn announced(day: &Day, entry: &Announced) -> CalendarWindow {
    let at = |event: usize| Timestamp(event.checked_sub(1).map_or(0, |event| day.time[event]));
    CalendarWindow {
        window: Window { from: at(entry.from_event), to: at(entry.to_event) },
        volume: Milli(entry.volume_milli),
        value: Milli(entry.value_milli),
    }
}
