//! The budgets of a program by their ids in the ledger, and what a promise takes from them.

use std::sync::Arc;

use domain::{Micros, RewardIndex, SegmentIndex};
use policies::Bundle;

use crate::check::AMOUNT_MAX;
use crate::member::Release;

/// The budget of the whole program.
pub const GLOBAL: &str = "global";

/// The budget of a segment.
pub fn segment(id: &str) -> Arc<str> {
    format!("segment/{id}").into()
}

/// The stock of a reward, in units.
pub fn inventory(id: &str) -> Arc<str> {
    format!("inventory/{id}").into()
}

/// Every budget's id, in the order of the negotiation's resources (without exploration).
pub fn ids(bundle: &Bundle) -> Vec<Arc<str>> {
    let segments = bundle.segments().iter().map(|entry| segment(&entry.id));
    let rewards = bundle.rewards().iter().map(|entry| inventory(&entry.id));
    std::iter::once(Arc::from(GLOBAL)).chain(segments).chain(rewards).collect()
}

/// Limits after `periods` periods, per resource of the negotiation; `None` is not limited.
pub fn limits(bundle: &Bundle, periods: u64) -> Vec<Option<i64>> {
    let plan = bundle.plan();
    let periods = i64::try_from(periods).unwrap_or(i64::MAX);
    // Limits stop growing where the negotiation's integers end; until there it takes decades.
    let times = |amount: i64| amount.saturating_mul(periods).min(AMOUNT_MAX);
    let money = std::iter::once(plan.global).chain(plan.segments.iter().copied());
    let stock = plan.inventory.iter().map(|units| units.map(|units| times(i64::from(units))));
    // Exploration has no budget of its own: its share of moments bounds it.
    money.map(|limit| Some(times(limit.0))).chain(stock).chain([None]).collect()
}

/// The limited budgets with their limits after `periods` periods.
pub fn limited(bundle: &Bundle, periods: u64) -> Vec<(Arc<str>, Micros)> {
    let named = ids(bundle).into_iter().zip(limits(bundle, periods));
    named.filter_map(|(id, limit)| Some((id, Micros(limit?)))).collect()
}

/// What a promise takes: micros of money, one unit of a limited stock.
pub fn uses(
    bundle: &Bundle,
    segment_index: SegmentIndex,
    reward: RewardIndex,
    cost: Micros,
) -> Vec<(Arc<str>, Micros)> {
    let terms = bundle.reward(reward);
    let mut uses = vec![(Arc::from(GLOBAL), cost), (segment(&bundle.segment(segment_index).id), cost)];
    if terms.inventory.is_some() {
        uses.push((inventory(&terms.id), Micros(1)));
    }
    uses
}

/// What a promise that ended unused gives back. A reward that left the catalog has no stock to go back to.
pub fn returns(bundle: &Bundle, release: &Release) -> Vec<(Arc<str>, Micros)> {
    let mut returns = vec![(Arc::from(GLOBAL), release.cost), (segment(&release.segment), release.cost)];
    let reward = bundle.reward_named(&release.reward);
    if reward.is_some_and(|reward| bundle.reward(reward).inventory.is_some()) {
        returns.push((inventory(&release.reward), Micros(1)));
    }
    returns
}
