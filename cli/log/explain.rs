//! `largesse log explain`.

use std::path::PathBuf;

use ledger::{Keys, Reader};
use policies::findings::Finding;
use sim::explain::counterfactual::{Change, Counterfactual};
use sim::explain::member::MemberAnswer;
use sim::explain::reversal::ReversalAnswer;
use sim::explain::{self, CandidateAnswer, Explanation, FeatureAnswer};

use crate::exit::{Failure, Result, Verdict};
use crate::output::{self, Document, money};
use crate::reading::{self, Who, Whose};

/// Say why a decision was made, and why not each losing candidate
#[derive(clap::Args)]
#[command(after_help = "\
An explanation is made of the member's own data. Before it is shown, a row of the ledger says who
asked and why (`largesse log readings` lists them); a running node records it. Where it cannot be
recorded nothing is shown. Exit codes: 3 the member was erased, the row pruned, or whoever signed is
not heard; 4 it cannot be recorded.")]
pub struct Args {
    /// Folder the demo or the node wrote
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Decision id, event id or sequence number
    id: String,
    /// Also list every fact the policy could read, and what the models saw with the rows it came from
    #[arg(long)]
    facts: bool,
    /// For whom: an analyst, or the member it is about (plain words; no values, prices or predictions)
    #[arg(long = "for", value_enum, default_value = "analyst", value_name = "WHOM")]
    whom: Whom,
    /// Why you look, for the record; never name the person here
    #[arg(long, value_name = "TEXT")]
    purpose: String,
    #[command(flatten)]
    who: Who,
    /// Table or JSON
    #[arg(long, value_enum, default_value = "table")]
    output: Document,
}

/// Who reads the explanation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Whom {
    Analyst,
    Member,
}

pub fn run(args: &Args) -> Result {
    let reader = Reader::open(&args.dir).map_err(crate::ledger_errors)?;
    let keys = Keys::open_in(&args.dir, None).map_err(Failure::unavailable)?;
    let row = super::find(&reader, &args.id)?;
    let explanation = explain::explain(&reader, &keys, &row).map_err(|error| match error {
        explain::Error::NotADecision(_) => Failure::usage(error),
        explain::Error::Erased(_) | explain::Error::Pruned(_) => Failure::found_bad(error),
        explain::Error::Ledger(error) => crate::ledger_errors(error),
        explain::Error::Row { .. } => Failure::runtime(error),
    })?;
    let plan = explanation.negotiation.iter().map(|plan| ledger::Seq(plan.seq));
    reader.vouch(plan).map_err(crate::ledger_errors)?;
    let whose = Whose { member: row.member, row: Some(row.seq.0) };
    reading::record(&args.dir, &args.who, "log explain", &args.purpose, whose)?;
    match (args.whom, args.output) {
        (Whom::Analyst, Document::Table) => output::line(&text(&explanation, args.facts))?,
        (Whom::Analyst, Document::Json) => output::json(&explanation)?,
        (Whom::Member, Document::Table) => output::line(&to_member(&explanation.for_member()))?,
        (Whom::Member, Document::Json) => output::json(&explanation.for_member())?,
    }
    Ok(Verdict::Ok)
}

/// The answer as the member reads it.
fn to_member(answer: &MemberAnswer) -> String {
    let mut lines = answer.said.clone();
    let rule = answer.rule.as_ref().map(|rule| format!(" (rule {rule})")).unwrap_or_default();
    lines.push(format!("{}{rule}", answer.because));
    if !answer.looked_at.is_empty() {
        lines.push("What we looked at:".to_owned());
        lines.extend(answer.looked_at.iter().map(|fact| format!("  {fact}")));
    }
    lines.extend(answer.otherwise.clone());
    lines.push(answer.rights.clone());
    lines.join("\n")
}

/// The explanation as people read it.
pub fn text(explanation: &Explanation, with_facts: bool) -> String {
    let mut lines = head(explanation);
    lines.push(String::new());
    lines.push(candidates(explanation));
    for candidate in &explanation.candidates {
        lines.extend(against(&candidate.against, &candidate.reward));
    }
    lines.extend(against(&explanation.against, "the moment"));
    lines.push(String::new());
    lines.extend(tail(explanation));
    if with_facts {
        lines.push(String::new());
        lines.extend(explanation.facts.iter().map(|(name, value)| format!("  {name:<28} {value}")));
        lines.extend(sources(&explanation.features));
    }
    lines.join("\n")
}

/// When it was decided, where that was not at once: an event that came late, or was sent again.
fn decided_late(explanation: &Explanation) -> String {
    let (happened, decided) = (explanation.event.event_time, explanation.decided_at);
    if decided.since(happened) < 1_000_000 { String::new() } else { format!(", decided at {decided}") }
}

fn head(explanation: &Explanation) -> Vec<String> {
    let rule = explanation.rule.as_ref().map(|rule| format!(" (rule {rule})")).unwrap_or_default();
    let promised = explanation.reward.as_ref().map(|reward| format!(" {reward}")).unwrap_or_default();
    let mut lines = vec![
        format!("decision {}, row {}", explanation.decision, explanation.seq),
        format!(
            "  {} at {} for event {} ({}){}",
            explanation.moment,
            explanation.event.event_time,
            explanation.event.event_id,
            explanation.event.kind.name(),
            decided_late(explanation)
        ),
        format!("  {}{promised}: {}{rule}", explanation.outcome, explanation.text),
    ];
    lines.extend(explanation.reversal.as_ref().map(reversed));
    if let Some(segment) = &explanation.segment {
        lines.push(format!("  segment {segment}"));
    }
    if let Some(scores) = &explanation.scores {
        lines.push(format!(
            "  predicted spend in 91 days {}, probability of no purchase in 60 days {}",
            money(scores.ltv_91d, &explanation.currency),
            scores.churn_60d
        ));
    }
    lines
}

/// What people did about the promise afterwards.
fn reversed(reversal: &ReversalAnswer) -> String {
    let ReversalAnswer { case, asked_by, confirmed_by, taken_back } = reversal;
    let confirmed = confirmed_by.as_ref().map_or_else(String::new, |by| format!(", confirmed by {by}"));
    let taken = match taken_back {
        Some(row) => format!("taken back in row {row}"),
        None => "no node has taken it back".to_owned(),
    };
    format!("  case {case}: a reversal was asked by {asked_by}{confirmed}; {taken}")
}

fn candidates(explanation: &Explanation) -> String {
    let mut table = output::plain_table();
    table.set_header(["reward", "cost", "value", "price", "net", "forgone", "why"]);
    for candidate in &explanation.candidates {
        table.add_row(cells(candidate));
    }
    output::trimmed(&table)
}

fn cells(candidate: &CandidateAnswer) -> [String; 7] {
    let rule = candidate.rule.as_ref().map(|rule| format!(" ({rule})")).unwrap_or_default();
    [
        candidate.reward.clone(),
        candidate.cost.to_string(),
        candidate.value.to_string(),
        candidate.price.to_string(),
        candidate.net.to_string(),
        candidate.forgone.to_string(),
        format!("{}: {}{rule}", candidate.reason, candidate.text),
    ]
}

/// Each condition that speaks against something, with what it requires and what was found.
fn against(findings: &[Finding], what: &str) -> Vec<String> {
    let show = |finding: &Finding| {
        let said = match (&finding.expr, finding.holds) {
            // A condition that had to hold.
            (Some(expr), false) => format!("wants {expr}"),
            (Some(expr), true) => format!("refuses when {expr} ({})", finding.text),
            (None, _) => format!("refuses ({})", finding.text),
        };
        let values: Vec<String> =
            finding.values.iter().map(|(name, value)| format!("{name} = {value}")).collect();
        let found = if values.is_empty() { String::new() } else { format!("; found {}", values.join(", ")) };
        format!("  {what}: {} {said}{found}", finding.id)
    };
    findings.iter().map(show).collect()
}

/// What would have led to another answer.
fn otherwise(counterfactual: &Counterfactual) -> String {
    let change =
        |change: &Change| format!("{} had been {} instead of {}", change.what, change.to, change.from);
    let changes: Vec<String> = counterfactual.changes.iter().map(change).collect();
    let came = counterfactual.reward.as_ref().map_or_else(
        || "nothing would have been promised".to_owned(),
        |reward| format!("{reward} would have been promised, at a net value of {}", counterfactual.net),
    );
    format!("  otherwise: if {}, {came}", changes.join(" and "))
}

/// Most rows of one feature that are named; JSON has all of them.
const ROWS_NAMED: usize = 4;

fn sources(features: &[FeatureAnswer]) -> Vec<String> {
    if features.is_empty() {
        return vec![String::new(), "  no model ran".to_owned()];
    }
    let mut table = output::plain_table();
    table.set_header(["model input", "value", "from purchases of rows"]);
    for feature in features {
        let newest = feature.rows.iter().rev().take(ROWS_NAMED).map(u64::to_string);
        let more = feature.rows.len().saturating_sub(ROWS_NAMED) as u64 + feature.folded;
        let more = (more > 0).then(|| format!("and {more} older"));
        table.add_row([
            feature.feature.to_owned(),
            feature.value.to_string(),
            newest.chain(more).collect::<Vec<_>>().join(", "),
        ]);
    }
    vec![String::new(), output::trimmed(&table)]
}

fn tail(explanation: &Explanation) -> Vec<String> {
    let currency = &explanation.currency;
    let mut lines = vec![format!(
        "  best net value {}, chosen {}; the member's own price for a contact {}",
        money(explanation.best_net, currency),
        money(explanation.chosen_net, currency),
        money(explanation.opportunity, currency)
    )];
    if explanation.explored {
        let odds = output::percent(u64::from(explanation.propensity) / 1_000);
        lines.push(format!(
            "  a moment of exploration: chance drew this, and would in {odds} of such moments"
        ));
    }
    lines.extend(explanation.counterfactual.as_ref().map(otherwise));
    match &explanation.negotiation {
        Some(plan) => lines.push(format!(
            "  prices of row {}: {} in {} rounds, at most {} from the best possible plan",
            plan.seq,
            plan.status,
            plan.rounds,
            output::percent(u64::from(plan.gap_ppm))
        )),
        None if explanation.negotiation_pruned => {
            lines.push("  prices: the negotiation they came from was pruned".to_owned())
        }
        None => {
            lines.push("  prices: the first table of the period, before its first negotiation".to_owned())
        }
    }
    if explanation.rows_pruned > 0 {
        lines.push(format!(
            "  {} earlier rows of the member were pruned: conditions and model inputs are not computed again",
            explanation.rows_pruned
        ));
    }
    lines.push(format!("  policy {}", explanation.bundle));
    if let Some(models) = &explanation.models {
        lines.push(format!("  models {models}"));
    }
    lines
}
