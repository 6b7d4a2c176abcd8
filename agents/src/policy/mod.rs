//! The global policy agent: what is in force for the whole program.
//!
//! It owns the bundle, the kill switches and the calendar of budget periods, and says what every other agent
//! is made for. It never looks at a member, never prices and never spends: it opens budgets, the planner
//! shares them out.
//!
//! Start at [`GlobalPolicy::open`]; [`budgets`] names the budgets a promise draws on.

pub mod budgets;
mod canary;
mod past;

pub use budgets::Standing;
pub use canary::Canary;
pub use past::Past;

use std::sync::Arc;

use domain::time::DAY;
use domain::{Micros, RewardIndex, SegmentIndex, Timestamp};
use policies::{Bundle, Stops};

use crate::negotiation::{Envelope, Layout, PriceTable, SCHEMA};
use crate::planner::{PlanConfig, Window};
use crate::segment::{Exploration, Segment, SegmentOptions};

/// The budget periods opened so far; a cache of the ledger's budget rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Periods {
    /// How many limits have been opened.
    pub opened: u64,
    /// When the last period ends.
    pub end: Option<Timestamp>,
}

/// A budget period that begins, or that a restarted node takes up again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    pub window: Window,
    /// Periods opened so far, this one included.
    pub period: u64,
    /// What this side may promise with all periods so far, per resource of its negotiation.
    pub limits: Vec<Option<i64>>,
    /// New limits of the program's budgets, to be recorded; empty when an earlier run, or the other side, did.
    pub raised: Vec<(Arc<str>, Micros)>,
    /// What of the program's limits later allowances count against: see [`Standing::owed`].
    pub owed: budgets::Allowances,
}

/// The brain of the global policy agent.
#[derive(Clone, Debug)]
pub struct GlobalPolicy {
    bundle: Arc<Bundle>,
    stops: Stops,
    layout: Layout,
    periods: Periods,
    standing: Standing,
    canary: Option<Canary>,
    window: Option<Window>,
}

impl GlobalPolicy {
    /// The agent of a program; `None` when the bundle has more segments or rewards than can be negotiated.
    ///
    /// `stops` are the operators' kill switches, `standing` and `periods` what earlier runs left.
    pub fn new(
        bundle: Arc<Bundle>,
        stops: Stops,
        periods: Periods,
        standing: Standing,
        canary: Option<Canary>,
    ) -> Option<GlobalPolicy> {
        let segments = u8::try_from(bundle.segments().len()).ok()?;
        let layout = Layout::new(segments, u8::try_from(bundle.rewards().len()).ok()?)?;
        Some(GlobalPolicy { bundle, stops, layout, periods, standing, canary, window: None })
    }

    /// The agent of a program that has no past and no kill switch on.
    pub fn fresh(bundle: Arc<Bundle>) -> Option<GlobalPolicy> {
        GlobalPolicy::new(bundle, Stops::default(), Periods::default(), Standing::default(), None)
    }

    /// The bundle in force.
    pub fn bundle(&self) -> &Arc<Bundle> {
        &self.bundle
    }

    /// What operators stopped.
    pub fn stops(&self) -> Stops {
        self.stops
    }

    /// The shape of every vector of the negotiation.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// The period this run has open.
    pub fn window(&self) -> Option<Window> {
        self.window
    }

    /// The candidate that decides for a share of the members.
    pub fn canary(&self) -> Option<&Canary> {
        self.canary.as_ref()
    }

    /// Makes sure a period is open at `now`: one opening for each side, the bundle in force first, and none when a
    /// period already is open.
    ///
    /// Periods are counted from the program's first event; [`Standing::begin`] says what each adds.
    pub fn open(&mut self, now: Timestamp) -> Vec<Opening> {
        if self.window.is_some_and(|window| now < window.to) {
            return Vec::new();
        }
        let length = i64::from(self.bundle.plan().period_days) * DAY;
        let (from, passed) = match self.periods.end {
            None => (now, 1),
            // Within the last period an earlier run opened.
            Some(end) if now < end => (end.plus(-length), 0),
            Some(end) => {
                let skipped = now.since(end).div_euclid(length);
                (end.plus(skipped * length), u64::try_from(skipped).unwrap_or(0) + 1)
            }
        };
        let window = Window { from, to: from.plus(length) };
        self.periods = Periods { opened: self.periods.opened + passed, end: Some(window.to) };
        self.window = Some(window);
        let candidate = self.canary.as_ref().map(|canary| (&*canary.bundle, canary.share));
        let before = self.standing.clone();
        let limits = self.standing.begin(&budgets::allowances(&self.bundle, candidate), passed);
        if let Some(canary) = &mut self.canary {
            canary.lend(&self.bundle, &before, &limits);
        }
        let is_new = |id: &Arc<str>, limit: i64| {
            before.balances.get(id).is_none_or(|(recorded, _)| *recorded != limit)
        };
        let raised = limits.iter().filter(|(id, limit)| is_new(id, **limit));
        let raised = raised.map(|(id, limit)| (Arc::clone(id), Micros(*limit))).collect();
        let owed = self.standing.owed.clone();
        let period = self.periods.opened;
        let lent = |id: &str| self.canary.as_ref().and_then(|canary| canary.lent(id));
        let own = |id: &str| Some(limits.get(id)? - lent(id).unwrap_or(0));
        let mut openings = vec![Opening {
            window,
            period,
            limits: budgets::by_resource(&self.bundle, own),
            raised,
            owed: owed.clone(),
        }];
        if let Some(canary) = &self.canary {
            let own = |id: &str| lent(id).or_else(|| limits.get(id).copied());
            let limits = budgets::by_resource(&canary.bundle, own);
            openings.push(Opening { window, period, limits, raised: Vec::new(), owed });
        }
        openings
    }

    /// What a segment agent is made for.
    pub fn segment_options(&self, segment: SegmentIndex) -> SegmentOptions {
        let caps = self.bundle.guardrails().member_caps.iter().map(|cap| cap.limit).max().unwrap_or(0);
        SegmentOptions {
            segment,
            layout: self.layout,
            costs: self.bundle.plan().costs.iter().map(|cost| cost.0).collect(),
            waiting: self.waiting(segment),
            exploration: Exploration {
                share: self.bundle.experiments().exploration,
                ..Exploration::default()
            },
            caps_max: u8::try_from(caps).unwrap_or(u8::MAX),
        }
    }

    /// Rewards whose promises in a segment wait for a person, one bit each.
    fn waiting(&self, segment: SegmentIndex) -> u64 {
        let rewards = (0..self.layout.rewards).map(RewardIndex);
        let waiting = rewards.filter(|reward| self.bundle.needs_person(segment, *reward));
        waiting.fold(0, |mask, reward| mask | 1 << reward.0)
    }

    /// Every segment agent before its first period; prices come with the period.
    pub fn segments(&self) -> Vec<Segment> {
        let table = self.blank_table();
        let indices = (0..self.layout.segments).map(SegmentIndex);
        indices.map(|segment| Segment::new(self.segment_options(segment), None, table.clone())).collect()
    }

    /// A table nobody may spend by: it was never published.
    fn blank_table(&self) -> PriceTable {
        let envelope = Envelope {
            schema: SCHEMA,
            program: self.bundle.program().name.as_str().into(),
            epoch: 0,
            batch: 0,
            round: 0,
            price_version: 0,
            deadline: Timestamp(0),
        };
        PriceTable {
            envelope,
            version: 0,
            valid_from_batch: 0,
            published_at: Timestamp(0),
            ttl_micros: 0,
            value_milli: 1000,
            rows: vec![vec![0; self.layout.reward_count()]; self.layout.segment_count()],
        }
    }
}

/// What the planner of a budget period is made from. `arrivals` are the moments per segment of the last period,
/// empty in the first.
pub fn plan_config(bundle: &Bundle, layout: Layout, opening: &Opening, arrivals: Vec<u64>) -> PlanConfig {
    let plan = bundle.plan();
    PlanConfig {
        program: bundle.program().name.as_str().into(),
        layout,
        costs: plan.costs.iter().map(|cost| cost.0).collect(),
        limits: opening.limits.clone(),
        floors: plan.floors.iter().map(|floor| i64::from(*floor)).collect(),
        window: opening.window,
        // The last period is the best plan for this one; the first is lived through without one.
        expected_events: Some(arrivals.iter().sum()).filter(|moments| *moments > 0),
        baseline_arrivals: arrivals,
        calendar: Vec::new(),
    }
}

/// The epoch of a negotiation: the run of the node above, the budget period below, so that it rises over both.
pub fn epoch(run: u64, period: u64) -> u64 {
    // 65,536 periods are centuries of weeks.
    run << 16 | period & 0xFFFF
}
