//! The budgets of a program by their ids in the ledger, and what a promise takes from them.

use std::collections::BTreeMap;
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

/// What one period allows, per resource of the negotiation; `None` is not limited.
pub fn per_period(bundle: &Bundle) -> Vec<Option<i64>> {
    let plan = bundle.plan();
    let money = std::iter::once(plan.global).chain(plan.segments.iter().copied());
    let stock = plan.inventory.iter().map(|units| units.map(i64::from));
    // Exploration has no budget of its own: its share of moments bounds it.
    money.map(|limit| Some(limit.0)).chain(stock).chain([None]).collect()
}

/// The limited budgets with their limits, given per resource of the negotiation.
pub fn limited(bundle: &Bundle, limits: &[Option<i64>]) -> Vec<(Arc<str>, Micros)> {
    let named = ids(bundle).into_iter().zip(limits);
    named.filter_map(|(id, limit)| Some((id, Micros((*limit)?)))).collect()
}

/// What a ledger knows of a program's budgets when a node takes it up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Per budget: its limit so far, and what of it is promised or held.
    pub balances: BTreeMap<Arc<str>, (i64, i64)>,
    /// What one period allowed under the bundle that was in force before, when that was another one.
    pub former: Option<BTreeMap<Arc<str>, i64>>,
}

impl Standing {
    /// The standing of a program whose last run had `former` in force.
    pub fn after(former: &Bundle, balances: BTreeMap<Arc<str>, (i64, i64)>) -> Standing {
        let allowed = ids(former).into_iter().zip(per_period(former));
        Standing { balances, former: Some(allowed.filter_map(|(id, limit)| Some((id, limit?))).collect()) }
    }

    /// Limits once `passed` more periods have begun, per resource of the negotiation.
    ///
    /// Each period adds what the bundle in force allows; what was not spent carries over. A new bundle changes the
    /// period under way by the difference between what the two allow, never below what is already promised.
    pub fn limits(&self, bundle: &Bundle, passed: u64) -> Vec<Option<i64>> {
        let passed = i64::try_from(passed).unwrap_or(i64::MAX);
        let total = |(id, allowed): (Arc<str>, Option<i64>)| {
            let allowed = allowed?;
            let Some((limit, used)) = self.balances.get(&id) else {
                return Some(allowed.saturating_mul(passed.max(1)).min(AMOUNT_MAX));
            };
            let before = self.former.as_ref().filter(|_| passed == 0);
            let change = before.map_or(0, |former| allowed - former.get(&id).copied().unwrap_or(0));
            let total = limit.saturating_add(allowed.saturating_mul(passed)).saturating_add(change);
            // Limits stop growing where the negotiation's integers end; until there it takes decades.
            Some(total.min(AMOUNT_MAX).max(*used))
        };
        let ids = ids(bundle).into_iter().map(Some).chain([None]);
        ids.zip(per_period(bundle)).map(|(id, allowed)| total((id?, allowed))).collect()
    }

    /// Takes the limits of a period that was opened.
    pub fn opened(&mut self, bundle: &Bundle, limits: &[Option<i64>]) {
        for (id, limit) in limited(bundle, limits) {
            self.balances.entry(id).or_default().0 = limit.0;
        }
        self.former = None;
    }
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
