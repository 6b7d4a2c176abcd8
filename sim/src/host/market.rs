//! Prices and money: policy agent, planner, segment agents and escrow, their messages delivered at once.
//!
//! The order is the live node's: books audited, quotes and answers, the certificate verified by the independent
//! checker, and only then the grant and the table in force.

use std::collections::VecDeque;
use std::sync::Arc;

use agents::check;
use agents::member::{Proposal, Release};
use agents::negotiation::{Certificate, PriceTable, Status};
use agents::planner::{Effect, Planner, PlannerOptions, Simplex};
use agents::policy::{self, GlobalPolicy, Opening, budgets};
use agents::segment::{Counted, Demand, Escrow, Limits, Segment, verdict};
use domain::{Decision, SegmentIndex, Timestamp};
use policies::{Bundle, Stops};

use super::report::Negotiations;
use super::{Error, Options};

/// There is one leader, and it never changes.
const RUN: u64 = 1;
/// The corridor is anchored anew when a tenth of a period's money has come back, as in the live node.
const REANCHOR_PART: i64 = 10;

/// The negotiating parts of a program.
pub struct Market {
    bundle: Arc<Bundle>,
    policy: GlobalPolicy,
    segments: Vec<Segment>,
    escrow: Escrow,
    planner: Option<Planner>,
    every_moments: u64,
    every_micros: i64,
    /// Virtual time of the last negotiation.
    negotiated_at: Timestamp,
    /// Moments decided since.
    pub moments: u64,
    /// Money that came back since the corridor was anchored, micros.
    returned: i64,
    pub tally: Negotiations,
}

impl Market {
    /// A market nobody may spend in yet; the first period opens it.
    pub fn new(bundle: &Arc<Bundle>, options: &Options) -> Result<Market, Error> {
        let policy = GlobalPolicy::fresh(Arc::clone(bundle)).ok_or_else(|| Error::Shape {
            segments: bundle.segments().len(),
            rewards: bundle.rewards().len(),
        })?;
        let limited = budgets::per_period(bundle).iter().map(Option::is_some).collect();
        Ok(Market {
            segments: policy.segments(),
            escrow: Escrow::new(policy.layout(), limited)
                .within(Limits::new(Arc::clone(bundle), Counted::new())),
            policy,
            planner: None,
            every_moments: options.negotiate_moments,
            every_micros: options.negotiate_every_micros,
            negotiated_at: Timestamp(i64::MIN),
            moments: 0,
            returned: 0,
            tally: Negotiations::default(),
            bundle: Arc::clone(bundle),
        })
    }

    /// What operators stopped.
    pub fn stops(&self) -> Stops {
        self.policy.stops()
    }

    /// The time prices and leases are looked at.
    pub fn negotiated_at(&self) -> Timestamp {
        self.negotiated_at
    }

    /// Before anything is decided at `now`: opens the period where a new one begins, and negotiates where that
    /// is due. Returns the period that began.
    pub fn stand_ready(&mut self, now: Timestamp) -> Result<Option<Opening>, Error> {
        // This host decides by one bundle.
        let opening = self.policy.open(now).into_iter().next();
        if let Some(opening) = &opening {
            self.open(opening, now);
        }
        let late = self.moments > 0 && now.since(self.negotiated_at) >= self.every_micros;
        if opening.is_some() || late || self.moments >= self.every_moments {
            self.negotiate(now)?;
        }
        Ok(opening)
    }

    /// Decides a proposal in its segment.
    pub fn decide(
        &mut self,
        segment: SegmentIndex,
        proposal: &Proposal,
        seal: &verdict::Seal<'_>,
    ) -> Decision {
        verdict::decide(&mut self.segments[usize::from(segment.0)], proposal, seal, &mut self.escrow)
    }

    /// A promise was made: what it reserved is spent.
    pub fn settle(&mut self, demand: &Demand) -> Result<(), Error> {
        Ok(self.escrow.settle(demand)?)
    }

    /// A promise ended, or a person approved it. What goes back reaches the pool with the next negotiation.
    pub fn turn(&mut self, release: &Release, bundle: &Bundle) -> Result<(), Error> {
        Ok(self.escrow.turn(release, bundle)?)
    }

    fn open(&mut self, opening: &Opening, now: Timestamp) {
        let arrivals = self.planner.as_ref().map(|planner| planner.arrivals().to_vec());
        let layout = self.policy.layout();
        let config = policy::plan_config(&self.bundle, layout, opening, arrivals.unwrap_or_default());
        let options = PlannerOptions {
            epoch: policy::epoch(RUN, opening.period),
            batch_events: u32::try_from(self.every_moments).unwrap_or(u32::MAX),
            ..PlannerOptions::for_program(&self.bundle)
        };
        let planner = Planner::new(config, options, Box::new(Simplex), self.escrow.view().clone());
        let table = planner.first_table(now);
        for segment in &mut self.segments {
            *segment = segment.next_period(table.clone());
        }
        self.planner = Some(planner);
        self.tally.periods += 1;
    }

    fn negotiate(&mut self, now: Timestamp) -> Result<(), Error> {
        (self.negotiated_at, self.moments) = (now, 0);
        let Some(planner) = &mut self.planner else { return Ok(()) };
        let back = self.escrow.give_back(false);
        self.returned += back.amounts.first().copied().unwrap_or(0);
        planner.on_return(&back);
        if self.returned > self.bundle.plan().global.0 / REANCHOR_PART {
            self.returned = 0;
            planner.reanchor();
        }
        let held = self.escrow.view().clone();
        planner.audit(&held)?;
        let effects = planner.begin(&held, now);
        self.perform(effects, now)
    }

    /// Does what the planner asks until it asks nothing more.
    fn perform(&mut self, effects: Vec<Effect>, now: Timestamp) -> Result<(), Error> {
        let Some(planner) = &mut self.planner else { return Ok(()) };
        let mut queue = VecDeque::from(effects);
        while let Some(effect) = queue.pop_front() {
            match effect {
                Effect::Quote(quote) => {
                    for segment in &mut self.segments {
                        queue.extend(planner.on_answer(&segment.answer(&quote)?, now));
                    }
                }
                Effect::Anchored(certificate) => self.tally.verified(&certificate, None)?,
                Effect::Conclude { certificate, table, grant } => {
                    self.tally.verified(&certificate, Some(&table))?;
                    self.escrow.accept(&grant)?;
                    for segment in &mut self.segments {
                        segment.install(&table)?;
                    }
                }
                Effect::Recall => {
                    let back = self.escrow.give_back(true);
                    planner.on_return(&back);
                }
                // Nobody is there to be asked; the negotiation has already chosen the safe side.
                Effect::Escalate(_) => {}
            }
        }
        Ok(())
    }
}

impl Negotiations {
    /// Verifies a certificate with the independent checker and counts it.
    fn verified(&mut self, certificate: &Certificate, table: Option<&PriceTable>) -> Result<(), Error> {
        match table {
            Some(table) => check::verify_table(certificate, table)?,
            None => check::verify(certificate)?,
        };
        self.certificates += 1;
        if table.is_none() {
            return Ok(());
        }
        self.negotiations += 1;
        match certificate.status {
            Status::Certified => {
                self.certified += 1;
                self.max_gap_ppm = self.max_gap_ppm.max(certificate.gap_ppm);
            }
            Status::Bounded => self.max_gap_ppm = self.max_gap_ppm.max(certificate.gap_ppm),
            Status::Fallback(_) => self.fallbacks += 1,
        }
        Ok(())
    }
}
