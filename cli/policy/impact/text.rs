//! The impact report as people read it.

use sim::impact::{Affected, Change, Impact, Slice};

use crate::output::{self, grouped, money};

/// Kinds of changed decisions that are shown; JSON has all of them.
const FLIPS_SHOWN: usize = 12;

/// So that nobody takes the first side for what members were told.
const COMPUTED: &str = "both sides are computed from the events; what a live node decided can differ, as its negotiation \
                        depends on when messages arrive";

/// The report as people read it.
pub fn text(report: &Impact) -> String {
    let currency = report.currency.as_str();
    let amount = |change: Change| {
        format!(
            "{} -> {}",
            money(domain::Micros(change.from), currency),
            money(domain::Micros(change.to), currency)
        )
    };
    if is_nothing_recorded(report) {
        return nothing_recorded(report);
    }
    let mut lines = vec![
        format!("{}, from {} to {}", covered(report), report.from.short(), report.to.short()),
        format!(
            "{} of {} decisions come out differently; promises {}, cost {}, net value {}, most promised and unused at \
             once {}",
            grouped(report.flipped),
            number(report.decisions.from.max(report.decisions.to)),
            numbers(report.promises),
            amount(report.cost_micros),
            amount(report.net_micros),
            amount(report.exposed_micros)
        ),
    ];
    lines.push(COMPUTED.to_owned());
    lines.extend(erased(report));
    lines.extend(left_out(report));
    if !report.flips.is_empty() {
        let mut table = output::plain_table();
        table.set_header(["decisions", "now", "under the draft", "its reason"]);
        for flip in report.flips.iter().take(FLIPS_SHOWN) {
            table.add_row([&grouped(flip.decisions), &flip.from, &flip.to, &flip.reason]);
        }
        lines.extend([String::new(), output::trimmed(&table)]);
        if report.flips.len() > FLIPS_SHOWN {
            lines.push(format!(" and {} more kinds", report.flips.len() - FLIPS_SHOWN));
        }
    }
    let tables = [
        affected(&report.affected),
        slices(["segment", "promises of decisions"], &report.segments, &amount, promises_of_decisions),
        slices(["reward", "promises"], &report.rewards, &amount, |slice| numbers(slice.promises)),
        budgets(report, &amount),
        reasons(report),
        guardrails(report),
    ];
    for table in tables.into_iter().flatten() {
        lines.extend([String::new(), table]);
    }
    lines.join("\n")
}

/// Which events a report is about.
pub fn covered(report: &Impact) -> String {
    format!(
        "{} recorded events{}{}",
        grouped(report.events),
        report.since.map_or_else(String::new, |since| format!(" since {since}")),
        report.until.map_or_else(String::new, |until| format!(" up to row {}", grouped(until)))
    )
}

/// Whether there is nothing to compare: as for the first policy of a ledger, before any event.
pub fn is_nothing_recorded(report: &Impact) -> bool {
    report.events == 0
}

fn nothing_recorded(report: &Impact) -> String {
    let since = report.since.map_or_else(String::new, |since| format!(" since {since}"));
    let lines = [format!(
        "nothing to compare: this ledger holds no events{since} that could be decided again, so the report says \
         nothing about what {} would change against {}",
        report.to.short(),
        report.from.short()
    )];
    lines.into_iter().chain(erased(report)).collect::<Vec<_>>().join("\n")
}

fn erased(report: &Impact) -> Option<String> {
    let text = || format!("{} rows belong to erased members and were left out", grouped(report.erased));
    (report.erased > 0).then(text)
}

fn left_out(report: &Impact) -> Option<String> {
    let Change { from, to } = report.left_out;
    let text = || {
        format!(
            "uses, cancellations and answers about a promise that a side did not make were left out there: {}",
            numbers(report.left_out)
        )
    };
    (from.max(to) > 0).then(text)
}

/// Whom it concerns, segment by segment.
pub fn affected(affected: &[Affected]) -> Option<String> {
    let mut table = output::plain_table();
    table.set_header([
        "members of",
        "members",
        "decided otherwise",
        "promised only by the new",
        "promised only by the old",
    ]);
    for of in affected {
        let segment = of.segment.clone().unwrap_or_else(|| "no segment".to_owned());
        let numbers = [of.members, of.decided_otherwise, of.gain, of.lose].map(grouped);
        table.add_row(std::iter::once(segment).chain(numbers));
    }
    filled(&table)
}

fn budgets(report: &Impact, amount: &dyn Fn(Change) -> String) -> Option<String> {
    let mut table = output::plain_table();
    table.set_header(["budget", "limit so far", "taken and not given back"]);
    for burn in &report.budgets {
        let shown =
            |change: Change| if burn.id.starts_with("inventory/") { numbers(change) } else { amount(change) };
        table.add_row([burn.id.clone(), shown(burn.limit), shown(burn.promised)]);
    }
    filled(&table)
}

fn reasons(report: &Impact) -> Option<String> {
    let mut table = output::plain_table();
    table.set_header(["no promise because of", "decisions"]);
    for (reason, change) in report.reasons.iter().filter(|(_, change)| change.from != change.to) {
        table.add_row([reason.clone(), numbers(*change)]);
    }
    filled(&table)
}

fn guardrails(report: &Impact) -> Option<String> {
    let mut table = output::plain_table();
    table.set_header(["guardrail", "decisions in which it refused something"]);
    for (id, change) in &report.guardrails {
        table.add_row([id.clone(), numbers(*change)]);
    }
    filled(&table)
}

fn slices(
    [what, promises]: [&str; 2],
    slices: &[Slice],
    amount: &dyn Fn(Change) -> String,
    promised: fn(&Slice) -> String,
) -> Option<String> {
    let mut table = output::plain_table();
    table.set_header([what, promises, "members", "cost", "net value", "most unused at once"]);
    for slice in slices {
        table.add_row([
            slice.id.clone(),
            promised(slice),
            numbers(slice.members),
            amount(slice.cost_micros),
            amount(slice.net_micros),
            amount(slice.exposed_micros),
        ]);
    }
    filled(&table)
}

/// How often a segment is promised something, so that one that is passed over stands out.
fn promises_of_decisions(slice: &Slice) -> String {
    let side = |promises, decisions| format!("{} of {}", number(promises), number(decisions));
    let Slice { promises, decisions, .. } = slice;
    format!("{} -> {}", side(promises.from, decisions.from), side(promises.to, decisions.to))
}

/// The table's text; `None` for one without rows.
fn filled(table: &comfy_table::Table) -> Option<String> {
    (!table.is_empty()).then(|| output::trimmed(table))
}

pub fn number(number: i64) -> String {
    grouped(u64::try_from(number).unwrap_or(0))
}

pub fn numbers(change: Change) -> String {
    format!("{} -> {}", number(change.from), number(change.to))
}
