//! What a planner is made from, and what it asks its host to do.

use std::sync::Arc;

use domain::{Milli, PriceQ20, Timestamp};

use crate::negotiation::{Certificate, EscrowGrant, Layout, PriceQuote, PriceTable, Prices};

/// A stretch of time, `from` included, `to` excluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub from: Timestamp,
    pub to: Timestamp,
}

/// An announced change of volume and value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CalendarWindow {
    pub window: Window,
    /// Multiplier of the arrival rate, thousandths.
    pub volume: Milli,
    /// Multiplier of values, thousandths.
    pub value: Milli,
}

/// A program's resources and expectations for one budget window, built from its policy bundle.
#[derive(Clone, Debug)]
pub struct PlanConfig {
    pub program: Arc<str>,
    pub layout: Layout,
    /// Face cost per reward, micros, not negative.
    pub costs: Vec<i64>,
    /// Limit per resource in layout order (global, segments, rewards, learn); `None` has no limit.
    pub limits: Vec<Option<i64>>,
    /// Rewarded events owed to each segment in the window; zero without an exposure floor.
    pub floors: Vec<i64>,
    /// The budget window.
    pub window: Window,
    /// Moments expected in the whole window, announced surges included; `None` when nobody knows.
    pub expected_events: Option<u64>,
    /// Moments per segment in the comparable past period; empty when there was none.
    pub baseline_arrivals: Vec<u64>,
    /// Announced surges and lulls, not overlapping, in time order.
    pub calendar: Vec<CalendarWindow>,
}

/// What the run before knew of the same program: a new leader starts from there, not from nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// When it last knew it.
    pub at: Timestamp,
    /// Its posted prices per segment and reward, not negative; zero where there was none.
    pub prices: Vec<Vec<i64>>,
    /// Moments per segment after which the new run knows as much: until then it posts no lower price.
    pub enough: Vec<u64>,
    /// Moments per segment in this window before the new run.
    pub arrivals: Vec<u64>,
    /// Moments expected in the whole window, if there was a plan for it.
    pub expected_events: Option<u64>,
}

/// How the planner negotiates. The defaults are the measured reference.
#[derive(Clone, Debug)]
pub struct PlannerOptions {
    /// Term of this leader; must exceed every earlier one's.
    pub epoch: u64,
    /// Moments between two negotiations, for the limiter.
    pub batch_events: u32,
    /// Time for one negotiation, microseconds.
    pub time_max_micros: i64,
    /// Time a segment agent has for one answer, microseconds.
    pub answer_micros: i64,
    /// The gap at which a negotiation stops at once, ppm; at most the certified one. Half the certified gap
    /// costs half a round more and steadies prices, worth 0.07 % of value.
    pub target_ppm: u32,
    /// Rounds after which the certified gap is good enough.
    pub target_rounds: u8,
    /// Share of recent rows in answers once enough are known, thousandths.
    pub recent: Milli,
    /// Corridor around the anchor, thousandths; `None` without corridor.
    pub kappa: Option<Milli>,
    /// Most that may be spent in one batch, in multiples of the even share.
    pub limiter: i64,
    /// The same while there is neither a baseline nor a certificate yet.
    pub limiter_cold: i64,
    /// Price of money before anything is known.
    pub first_price: PriceQ20,
    /// Negotiations in a row with a clipped corridor, or a gap above 2 %, before a person is called.
    pub escalate_after: u32,
    /// Pace of spending at which a person is called, ppm of the even one; `None` for never.
    pub burn_ppm: Option<u32>,
    /// Life of a price table, microseconds.
    pub ttl_micros: i64,
    /// Life of a lease, microseconds: longer than a table grows dearer, so caution comes before refusal.
    pub lease_micros: i64,
}

impl PlannerOptions {
    /// The defaults, with what a policy says about when a person is called.
    pub fn for_program(bundle: &policies::Bundle) -> PlannerOptions {
        let escalation = bundle.program().escalation;
        PlannerOptions {
            escalate_after: escalation.negotiations,
            burn_ppm: escalation.burn,
            ..PlannerOptions::default()
        }
    }
}

impl Default for PlannerOptions {
    fn default() -> PlannerOptions {
        PlannerOptions {
            epoch: 1,
            batch_events: 500,
            time_max_micros: 20_000,
            answer_micros: 5_000,
            target_ppm: 2_500,
            target_rounds: 6,
            recent: Milli(300),
            kappa: Some(Milli(1500)),
            limiter: 8,
            limiter_cold: 4,
            first_price: PriceQ20::ONE,
            escalate_after: 3,
            burn_ppm: None,
            ttl_micros: PriceTable::TTL_MICROS,
            lease_micros: 5 * PriceTable::TTL_MICROS,
        }
    }
}

/// What a person should be asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Escalation {
    /// The corridor has clipped prices in several negotiations in a row: the day is unlike its anchor.
    CorridorClips,
    /// Several negotiations in a row ended above 2 %.
    GapTooWide,
    /// Money goes faster than the policy lets pass without a word.
    Burn,
}

impl Escalation {
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Escalation::CorridorClips => "corridor_clips",
            Escalation::GapTooWide => "gap_too_wide",
            Escalation::Burn => "burn",
        }
    }

    /// What happened and what to look at, for people.
    pub fn text(self) -> &'static str {
        match self {
            Escalation::CorridorClips => {
                "prices wanted to leave their corridor in several negotiations in a row: demand is unlike the \
                 period's plan; look for a burst, a mistake in the events, or budgets that no longer fit"
            }
            Escalation::GapTooWide => {
                "several negotiations in a row could not prove their plan within 2 % of the best; decisions go on \
                 under the last good prices; `largesse log list --kind certificate` has the negotiations"
            }
            Escalation::Burn => {
                "money is promised faster than the period's budget can bear at an even pace; nothing was stopped, \
                 and budgets stay hard; look for a burst of events, or stop a segment or reward"
            }
        }
    }
}

/// What the planner asks its host to do, in order.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Send the quote to every segment agent and deliver their answers.
    Quote(PriceQuote),
    /// Record the certificate of a fresh anchor; the negotiation itself goes on.
    Anchored(Box<Certificate>),
    /// Record all three in the ledger first, then apply the grant at the node and send the table to all.
    Conclude { certificate: Box<Certificate>, table: PriceTable, grant: EscrowGrant },
    /// Have the node give back everything it has not reserved.
    Recall,
    /// Ask a person.
    Escalate(Escalation),
}

impl PlanConfig {
    /// The prices before anything is known: money at `price`, everything else free.
    pub fn first_prices(&self, price: PriceQ20) -> Prices {
        Prices::flat(self.layout, price)
    }
}
