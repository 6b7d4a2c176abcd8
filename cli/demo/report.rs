//! The demo's summary: as JSON a contract, as text for people.

use std::path::Path;

use domain::{Micros, Outcome};
use runtime::metrics::Quantiles;
use serde::Serialize;
use sim::explain::Explanation;

use super::Ran;
use crate::output::{grouped, money, percent, plain_table, trimmed};
use crate::purchases::Assumed;

/// Decisions by outcome.
#[derive(Debug, Serialize)]
pub struct Outcomes {
    pub granted: u64,
    pub none: u64,
    pub suppressed: u64,
    pub denied: u64,
    pub control: u64,
    pub pending: u64,
    pub fallback: u64,
}

/// One budget at the end: micros of money, or pieces for the inventory of a reward.
#[derive(Debug, Serialize)]
pub struct Budget {
    pub id: String,
    /// `micros` of money, or `pieces`.
    pub unit: &'static str,
    pub limit_micros: i64,
    pub committed_micros: i64,
    pub reserved_micros: i64,
}

#[derive(Debug, Serialize)]
pub struct LedgerSummary {
    pub rows: u64,
    pub root: domain::Digest,
    pub verified: bool,
}

#[derive(Debug, Serialize)]
pub struct ReplaySummary {
    pub decisions: u64,
    pub mismatches: u64,
    pub certificates: u64,
    pub answers: u64,
}

/// The summary; its JSON keys are a contract.
#[derive(Debug, Serialize)]
pub struct Summary {
    pub events: u64,
    /// Part of the events; absent when nothing had to be assumed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assumed: Option<Assumed>,
    pub dead_letters: u64,
    pub moments: u64,
    pub decisions: u64,
    pub outcomes: Outcomes,
    pub negotiations: u64,
    pub certified_share: f64,
    pub max_gap_ppm: u64,
    pub budgets: Vec<Budget>,
    pub overspend: u64,
    pub ledger: LedgerSummary,
    pub replay: ReplaySummary,
    pub throughput_per_s: f64,
    pub latency_us: Quantiles,
    pub stages_us: std::collections::BTreeMap<&'static str, Quantiles>,
    pub engine: String,
    pub seconds: f64,
}

impl Summary {
    /// Everything the run and the checks after it say.
    pub fn of(
        ran: &Ran,
        verified: &ledger::Report,
        replayed: &sim::replay::Report,
        budgets: &[(String, ledger::Balance)],
    ) -> Summary {
        let counted = ran.metrics.counters.snapshot();
        let stages: std::collections::BTreeMap<_, _> = ran.metrics.quantiles().into_iter().collect();
        let budget = |(id, balance): &(String, ledger::Balance)| Budget {
            unit: if id.starts_with("inventory/") { "pieces" } else { "micros" },
            id: id.clone(),
            limit_micros: balance.limit.0,
            committed_micros: balance.committed.0,
            reserved_micros: balance.reserved.0,
        };
        let granted = budgets.iter().filter(|(id, _)| !agents::policy::budgets::is_count(id));
        let budgets: Vec<Budget> = granted.map(budget).collect();
        let over = |budget: &&Budget| budget.committed_micros + budget.reserved_micros > budget.limit_micros;
        Summary {
            events: ran.sent,
            assumed: ran.assumed.clone(),
            dead_letters: counted.dead_letters,
            moments: counted.moments,
            decisions: [
                counted.granted,
                counted.none,
                counted.suppressed,
                counted.denied,
                counted.control,
                counted.pending,
                counted.fallback,
            ]
            .iter()
            .sum(),
            outcomes: Outcomes {
                granted: counted.granted,
                none: counted.none,
                suppressed: counted.suppressed,
                denied: counted.denied,
                control: counted.control,
                pending: counted.pending,
                fallback: counted.fallback,
            },
            negotiations: counted.negotiations,
            certified_share: counted.certified as f64 / counted.negotiations.max(1) as f64,
            max_gap_ppm: counted.max_gap_ppm,
            overspend: budgets.iter().filter(over).count() as u64,
            budgets,
            ledger: LedgerSummary {
                rows: verified.rows,
                root: verified.root,
                verified: verified.is_verified(),
            },
            replay: ReplaySummary {
                decisions: replayed.decisions,
                mismatches: replayed.mismatches,
                certificates: replayed.certificates,
                answers: replayed.answers,
            },
            throughput_per_s: (counted.moments as f64 / ran.seconds * 10.0).round() / 10.0,
            latency_us: stages.get("total").copied().unwrap_or_default(),
            stages_us: stages,
            engine: ran.engine.clone(),
            seconds: (ran.seconds * 1000.0).round() / 1000.0,
        }
    }

    /// Whether every check passed.
    pub fn is_good(&self) -> bool {
        // Decisions that are not in this ledger would mean that somebody else's was looked at.
        let same = self.replay.decisions == self.decisions;
        self.ledger.verified && self.replay.mismatches == 0 && self.overspend == 0 && same
    }
}

/// The summary as people read it.
pub fn text(summary: &Summary, currency: &str, explained: Option<&Explanation>, dir: &Path) -> String {
    let mut lines = vec![
        format!(
            "{} purchases in {:.1} s: {} moments decided, {:.0} decisions/s, engine {}",
            grouped(summary.events - summary.assumed.as_ref().map_or(0, |assumed| assumed.events)),
            summary.seconds,
            grouped(summary.moments),
            summary.throughput_per_s,
            summary.engine
        ),
        format!("{} dead letters", grouped(summary.dead_letters)),
    ];
    lines.extend(summary.assumed.as_ref().map(Assumed::text));
    lines.extend([
        String::new(),
        "Decisions".to_owned(),
        outcomes(summary),
        String::new(),
        "Budgets".to_owned(),
        budgets(summary, currency),
        String::new(),
        format!(
            "Negotiation: {} plans, {:.1} % certified, largest gap of a certified or bounded plan {}",
            grouped(summary.negotiations),
            summary.certified_share * 100.0,
            percent(summary.max_gap_ppm)
        ),
        String::new(),
        "Latency (us)".to_owned(),
        latencies(summary),
        String::new(),
        format!(
            "Ledger: {} rows, root {}, {}",
            grouped(summary.ledger.rows),
            summary.ledger.root.short(),
            if summary.ledger.verified { "verified" } else { "NOT VERIFIED" }
        ),
        format!(
            "Replay: {} decisions, {} demand answers and {} certificates recomputed, {}",
            grouped(summary.replay.decisions),
            grouped(summary.replay.answers),
            grouped(summary.replay.certificates),
            if summary.replay.mismatches == 0 {
                "identical".to_owned()
            } else {
                format!("{} DIFFER", grouped(summary.replay.mismatches))
            }
        ),
    ]);
    if let Some(explanation) = explained {
        lines.extend([String::new(), "One decision, explained".to_owned()]);
        lines.push(crate::log::explain_text(explanation));
    }
    lines.extend([String::new(), "Next".to_owned()]);
    lines.extend(next(dir, explained));
    lines.join("\n")
}

fn outcomes(summary: &Summary) -> String {
    let counts = &summary.outcomes;
    let mut table = plain_table();
    for (outcome, count) in [
        (Outcome::Granted, counts.granted),
        (Outcome::None, counts.none),
        (Outcome::Suppressed, counts.suppressed),
        (Outcome::Denied, counts.denied),
        (Outcome::Control, counts.control),
        (Outcome::Pending, counts.pending),
        (Outcome::Fallback, counts.fallback),
    ] {
        table.add_row([format!("  {outcome}"), format!("{:>9}", grouped(count))]);
    }
    trimmed(&table)
}

fn budgets(summary: &Summary, currency: &str) -> String {
    let mut table = plain_table();
    table.set_header(["  budget", "promised", "held", "limit", "used"]);
    for budget in &summary.budgets {
        let units = budget.id.starts_with("inventory/");
        let show = |amount: i64| {
            if units { grouped(amount.unsigned_abs()) } else { money(Micros(amount), currency) }
        };
        let used = i128::from(budget.committed_micros + budget.reserved_micros) * 1_000_000;
        let ppm = u64::try_from(used / i128::from(budget.limit_micros.max(1))).unwrap_or(0);
        table.add_row([
            format!("  {}", budget.id),
            show(budget.committed_micros),
            show(budget.reserved_micros),
            show(budget.limit_micros),
            percent(ppm),
        ]);
    }
    trimmed(&table)
}

fn latencies(summary: &Summary) -> String {
    let mut table = plain_table();
    table.set_header(["  stage", "p50", "p99"]);
    for stage in runtime::metrics::STAGES {
        let quantiles = summary.stages_us.get(stage).copied().unwrap_or_default();
        table.add_row([format!("  {stage}"), grouped(quantiles.p50), grouped(quantiles.p99)]);
    }
    trimmed(&table)
}

fn next(dir: &Path, explained: Option<&Explanation>) -> Vec<String> {
    let dir = dir.display();
    let id = explained.map_or_else(|| "ID".to_owned(), |explanation| explanation.decision.to_string());
    vec![
        format!("  largesse log list --dir {dir} --outcome suppressed"),
        format!("  largesse log explain --dir {dir} {id} --facts --purpose 'the first look'"),
        format!("  largesse log verify --dir {dir}"),
        format!("  largesse replay --dir {dir} --all"),
        "  largesse model evaluate --events FILE --as-of 2017-10-01".to_owned(),
    ]
}
