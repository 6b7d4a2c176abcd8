//! What windows of time have taken already when another policy takes over, or one with other windows decides beside it.
//!
//! While the policies in force count the same windows, the rows of promises do. What a new window has taken is counted from the
//! rows, once, and recorded with the run; so no change of a window's name, length or reach lets its limit be spent anew.

use std::collections::BTreeMap;
use std::sync::Arc;

use agents::policy::budgets;
use agents::segment::Counted;
use domain::{Digest, Micros, Timestamp};
use ledger::{Promises, Reader};
use policies::Bundle;

use crate::node::NodeError;
use crate::opening::recorded_bundle;

/// By window under way at `now`: what `counted` lacks of what was promised since it began.
///
/// `before` are the policies of the last run, `now_in_force` those of the one that begins.
///
/// # Errors
/// When the ledger cannot be read.
pub fn lacking(
    reader: &Reader,
    before: &[Bundle],
    now_in_force: &[&Bundle],
    counted: &Counted,
    now: Timestamp,
) -> Result<BTreeMap<Arc<str>, Micros>, NodeError> {
    let mut lacking = BTreeMap::new();
    let everybody = || before.iter().chain(now_in_force.iter().copied());
    let Some(first) = before.first() else { return Ok(lacking) };
    if everybody().all(|bundle| budgets::same_windows(first, bundle)) {
        return Ok(lacking);
    }
    let mut known = Known::default();
    for bundle in now_in_force {
        for window in budgets::under_way(bundle, now) {
            let mut taken = 0i64;
            for (promises, cost) in known.since(reader, window.began)? {
                if window.covers(bundle, &promises.segment, &promises.reward) {
                    taken = taken.saturating_add(*cost);
                }
            }
            let missing = taken - counted.get(&window.id).copied().unwrap_or(0);
            if missing > 0 {
                let most = lacking.entry(window.id).or_insert(Micros::ZERO);
                *most = Micros(missing).max(*most);
            }
        }
    }
    Ok(lacking)
}

/// What was read: promises with what they cost, by since when; and the policies they were made by.
#[derive(Default)]
struct Known {
    since: BTreeMap<Timestamp, Vec<(Promises, i64)>>,
    costs: BTreeMap<Digest, BTreeMap<String, i64>>,
}

impl Known {
    fn since(&mut self, reader: &Reader, began: Timestamp) -> Result<&[(Promises, i64)], NodeError> {
        if !self.since.contains_key(&began) {
            let mut found = Vec::new();
            for promises in reader.promised_since(began)? {
                let each = self.cost(reader, &promises)?;
                let count = i64::try_from(promises.count).unwrap_or(i64::MAX);
                found.push((promises, each.saturating_mul(count)));
            }
            self.since.insert(began, found);
        }
        Ok(&self.since[&began])
    }

    fn cost(&mut self, reader: &Reader, promises: &Promises) -> Result<i64, NodeError> {
        if !self.costs.contains_key(&promises.bundle) {
            let bundle = recorded_bundle(reader, promises.bundle)?;
            let rewards = bundle.rewards().iter();
            let costs = rewards.map(|reward| (reward.id.to_string(), reward.cost.0)).collect();
            self.costs.insert(promises.bundle, costs);
        }
        Ok(self.costs[&promises.bundle].get(&promises.reward).copied().unwrap_or(0))
    }
}
