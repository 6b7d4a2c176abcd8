//! The host: one planner, its segment agents and a node's escrow, on virtual time, messages delivered at once.

use std::sync::Arc;
use std::time::Instant;

use agents::negotiation::{Certificate, Layout, Purpose, Status};
use agents::planner::{Effect, PlanConfig, Planner, PlannerOptions, Simplex};
use agents::segment::{Choice, Escrow, Exploration, Offer, Segment, SegmentCarry, SegmentOptions};
use domain::{SegmentIndex, Timestamp};

use super::report::Tally;

/// A program's negotiating parts.
pub struct Market {
    planner: Planner,
    segments: Vec<Segment>,
    pub escrow: Escrow,
    pub tally: Tally,
}

/// What a market is made for.
pub struct MarketOptions {
    pub config: PlanConfig,
    pub planner: PlannerOptions,
    pub exploration: Exploration,
    /// 0 when contacts are not priced.
    pub caps_max: u8,
    /// The day before, one entry per segment, or nothing.
    pub carries: Vec<SegmentCarry>,
}

impl Market {
    /// A market at the start of its budget window.
    pub fn new(options: MarketOptions, now: Timestamp) -> Market {
        let MarketOptions { config, planner, exploration, caps_max, carries } = options;
        let layout = config.layout;
        let limited = config.limits.iter().map(Option::is_some).collect();
        let escrow = Escrow::new(layout, limited);
        let costs = config.costs.clone();
        let planner = Planner::new(config, planner, Box::new(Simplex), escrow.view().clone());
        let table = planner.first_table(now);
        let mut carries = carries.into_iter();
        let segment = |segment: u8| {
            let segment = SegmentIndex(segment);
            let costs = costs.clone();
            let options = SegmentOptions { segment, layout, costs, waiting: 0, exploration, caps_max };
            Segment::new(options, carries.next(), table.clone())
        };
        let segments = (0..layout.segments).map(segment).collect();
        Market { planner, segments, escrow, tally: Tally::default() }
    }

    /// Runs one negotiation to its end.
    pub fn negotiate(&mut self, now: Timestamp) {
        let started = Instant::now();
        let back = self.escrow.give_back(false);
        self.planner.on_return(&back);
        let view = self.escrow.view().clone();
        let effects = self.planner.begin(&view, now);
        let certificates = self.apply(effects, now);
        self.tally.negotiation_times.push(started.elapsed().as_nanos() as u64);
        for certificate in &certificates {
            self.count(certificate);
        }
        if self.planner.audit(self.escrow.view()).is_err() {
            self.tally.imbalances += 1;
        }
    }

    /// Decides one moment in its segment.
    pub fn decide(&mut self, segment: usize, offer: &Offer<'_>) -> Choice {
        self.segments[segment].decide(offer, &mut self.escrow)
    }

    /// Puts new limits in force.
    pub fn change_limits(&mut self, limits: &[Option<i64>], now: Timestamp) {
        let effects = self.planner.change_limits(limits);
        self.apply(effects, now);
    }

    /// What every segment hands to the next day.
    pub fn carries(&self) -> Vec<SegmentCarry> {
        self.segments.iter().map(Segment::carry).collect()
    }

    /// Does what the planner asks until it asks nothing more.
    fn apply(&mut self, effects: Vec<Effect>, now: Timestamp) -> Vec<Certificate> {
        let mut certificates = Vec::new();
        let mut queue = std::collections::VecDeque::from(effects);
        while let Some(effect) = queue.pop_front() {
            match effect {
                Effect::Quote(quote) => {
                    for segment in &mut self.segments {
                        if let Ok(answer) = segment.answer(&quote) {
                            queue.extend(self.planner.on_answer(&answer, now));
                        }
                    }
                }
                Effect::Anchored(certificate) => certificates.push(*certificate),
                Effect::Conclude { certificate, table, grant } => {
                    certificates.push(*certificate);
                    let granted = self.escrow.accept(&grant).is_ok();
                    let installed = self.segments.iter_mut().all(|segment| segment.install(&table).is_ok());
                    debug_assert!(granted && installed, "the planner's own messages fit");
                }
                Effect::Recall => {
                    let back = self.escrow.give_back(true);
                    self.planner.on_return(&back);
                }
                // Nobody is there to be asked; the negotiation has already chosen the safe side.
                Effect::Escalate(_) => {}
            }
        }
        certificates
    }

    fn count(&mut self, certificate: &Certificate) {
        self.tally.certificates += 1;
        self.tally.verified += u32::from(agents::check::verify(certificate).is_ok());
        if certificate.purpose == Purpose::Anchor {
            return;
        }
        self.tally.rounds.push(certificate.rounds.len() as u32);
        match certificate.status {
            Status::Certified => self.tally.certified += 1,
            Status::Bounded => self.tally.bounded += 1,
            Status::Fallback(_) => self.tally.fallbacks += 1,
        }
    }
}

/// The name the benchmark's program has in messages.
pub fn program() -> Arc<str> {
    Arc::from("bench")
}

/// The benchmark's layout.
pub fn layout() -> Layout {
    Layout { segments: super::world::SEGMENTS as u8, rewards: super::world::REWARDS as u8 }
}
