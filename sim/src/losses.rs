//! What restraint cost: the net value that was forgone, by what kept it back.
//!
//! Each decision records what its best candidate would have been worth and what was chosen. The difference is a loss
//! only by the policy's own estimates; it says what a veto, cap or budget costs if those are right. It needs no key:
//! the public part of the rows has it.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::decision::PublicDecision;
use domain::{Cause, Digest, Micros};
use ledger::{Filter, Kind, Reader, Seq};
use policies::{Bundle, RuleIndex};
use serde::Serialize;

use crate::explain;

/// Rows read at a time.
const PAGE_ROWS: u32 = 1_000;

/// Why the losses cannot be counted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Ledger(#[from] ledger::Error),
    #[error(transparent)]
    Explain(#[from] explain::Error),
    #[error("row {seq}: {why}")]
    Row { seq: Seq, why: String },
}

/// What one cause kept back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Loss {
    pub cause: Cause,
    /// The decision's reason.
    pub reason: &'static str,
    /// The rule behind it, where one was.
    pub rule: Option<String>,
    pub segment: Option<String>,
    pub decisions: u64,
    pub forgone_micros: i64,
}

/// What kept something back: cause, reason, rule, segment.
type Kept = (Cause, &'static str, Option<String>, Option<String>);

/// Sums up what was forgone, most first. `progress(row)` is called once per page.
///
/// # Errors
/// When the ledger cannot be read or a row is not in its form.
pub fn losses(reader: &Reader, filter: &Filter, mut progress: impl FnMut(u64)) -> Result<Vec<Loss>, Error> {
    let mut bundles: BTreeMap<Digest, Arc<Bundle>> = BTreeMap::new();
    let mut sums: BTreeMap<Kept, (u64, Micros)> = BTreeMap::new();
    let mut after = filter.after;
    loop {
        let page = Filter { kind: Some(Kind::Decision), after, limit: PAGE_ROWS, ..filter.clone() };
        let rows = reader.list(&page)?;
        for row in &rows {
            // A pruned row has no numbers any more.
            let Some(body) = &row.body else { continue };
            let wrong = |why: String| Error::Row { seq: row.seq, why };
            let public: PublicDecision =
                serde_json::from_str(body).map_err(|error| wrong(error.to_string()))?;
            let forgone = public.best_net - public.chosen_net;
            if forgone <= Micros::ZERO || public.cause == Cause::Nothing {
                continue;
            }
            if let std::collections::btree_map::Entry::Vacant(place) = bundles.entry(public.bundle) {
                place.insert(explain::bundle(reader, row.seq, public.bundle)?);
            }
            let rule = public.rule.and_then(|rule| bundles[&public.bundle].rule(RuleIndex(rule)));
            let key =
                (public.cause, public.reason.name(), rule.map(|rule| rule.id.clone()), row.segment.clone());
            let sum = sums.entry(key).or_default();
            *sum = (sum.0 + 1, Micros(sum.1.0.saturating_add(forgone.0)));
        }
        after = rows.last().map(|row| row.seq);
        let Some(last) = after.filter(|_| rows.len() == PAGE_ROWS as usize) else { break };
        progress(last.0);
    }
    let mut losses: Vec<Loss> = sums
        .into_iter()
        .map(|((cause, reason, rule, segment), (decisions, forgone))| Loss {
            cause,
            reason,
            rule,
            segment,
            decisions,
            forgone_micros: forgone.0,
        })
        .collect();
    losses.sort_by_key(|loss| std::cmp::Reverse(loss.forgone_micros));
    Ok(losses)
}
