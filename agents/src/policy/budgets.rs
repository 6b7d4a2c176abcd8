//! The budgets of a program by their ids in the ledger, and what a promise takes from them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use domain::{Micros, Ppm, RewardIndex, SegmentIndex, Timestamp};
use policies::{Bundle, Limit, Measure};

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

/// What is promised and not yet used, run out or cancelled, of the whole program.
pub const EXPOSURE: &str = "exposure";
/// How many promises wait for a person.
pub const WAITING: &str = "waiting";

/// What is promised in a segment and not yet used, run out or cancelled.
pub fn exposed_segment(id: &str) -> Arc<str> {
    format!("exposure/segment/{id}").into()
}

/// What is promised of a reward and not yet used, run out or cancelled.
pub fn exposed_reward(id: &str) -> Arc<str> {
    format!("exposure/reward/{id}").into()
}

/// What is promised and not yet used of rewards that a limit covered and that left the catalog. No account of the ledger: the host
/// counts it when a run begins.
pub fn exposed_formerly(limit: &str) -> Arc<str> {
    format!("exposure/former/{limit}").into()
}

/// What a window of time has taken of a limit.
pub fn window(limit: &str, number: i64) -> Arc<str> {
    format!("window/{limit}/{number}").into()
}

/// Whether this counts for a limit and is nothing that is granted.
pub fn is_count(id: &str) -> bool {
    id == WAITING || id == EXPOSURE || id.starts_with("exposure/") || id.starts_with("window/")
}

/// What is counted for every promise until it ends, whether or not the present policy limits it: a later one may.
pub fn exposes(segment: &str, reward: &str) -> [Arc<str>; 3] {
    [EXPOSURE.into(), exposed_segment(segment), exposed_reward(reward)]
}

/// The windows that take a promise made at `at`.
pub fn windows(
    bundle: &Bundle,
    segment: SegmentIndex,
    reward: RewardIndex,
    at: Timestamp,
) -> impl Iterator<Item = Arc<str>> {
    let limits = bundle.limits().iter();
    let windows =
        limits.filter(move |limit| limit.measure == Measure::Window && limit.covers(segment, reward));
    windows.map(move |limit| window(&limit.name, bundle.window_at(limit.hours, at)))
}

/// The name of the limits of a partner's agreement.
pub fn of_partner(name: &str) -> String {
    format!("partner/{name}")
}

/// A window of a limit that is under way, and since when.
#[derive(Clone, Debug)]
pub struct UnderWay<'b> {
    pub id: Arc<str>,
    pub began: Timestamp,
    limit: &'b Limit,
}

impl UnderWay<'_> {
    /// Whether what was promised of a reward in a segment counts. What a policy has no name for counts where everything does, and a
    /// reward that left the catalog where its partner's do.
    pub fn covers(&self, bundle: &Bundle, segment: &str, reward: &str, partner: Option<&str>) -> bool {
        let on = |mask: u64, at: Option<u8>| mask == u64::MAX || at.is_some_and(|at| mask >> at & 1 == 1);
        let reward = bundle.reward_named(reward).map(|RewardIndex(at)| at);
        let of_partner =
            || reward.is_none() && partner.is_some_and(|name| *self.limit.name == *of_partner(name));
        on(self.limit.segments, bundle.segment_named(segment).map(|SegmentIndex(at)| at))
            && (on(self.limit.rewards, reward) || of_partner())
    }
}

/// The windows of a bundle that are under way.
pub fn under_way(bundle: &Bundle, at: Timestamp) -> Vec<UnderWay<'_>> {
    let limits = bundle.limits().iter().filter(|limit| limit.measure == Measure::Window);
    let windows = limits.map(|limit| UnderWay {
        id: window(&limit.name, bundle.window_at(limit.hours, at)),
        began: bundle.window_began(limit.hours, at),
        limit,
    });
    windows.collect()
}

/// Whether two bundles count the same promises in the same windows, under the same names.
pub fn same_windows(one: &Bundle, other: &Bundle) -> bool {
    let of = |bundle: &Bundle| -> Vec<_> {
        let windows = bundle.limits().iter().filter(|limit| limit.measure == Measure::Window);
        let names = |limit: &Limit| {
            let bits = |mask: u64, at: usize| mask >> at & 1 == 1;
            let segments = bundle.segments().iter().enumerate().filter(|(at, _)| bits(limit.segments, *at));
            let rewards = bundle.rewards().iter().enumerate().filter(|(at, _)| bits(limit.rewards, *at));
            let segments: BTreeSet<_> = segments.map(|(_, segment)| segment.id.to_string()).collect();
            let rewards: BTreeSet<_> = rewards.map(|(_, reward)| reward.id.to_string()).collect();
            (Arc::clone(&limit.name), limit.hours, segments, rewards)
        };
        let mut windows: Vec<_> = windows.map(names).collect();
        windows.sort();
        windows
    };
    one.program().zone == other.program().zone && of(one) == of(other)
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

/// What one period allows, by budget; what is not limited is absent.
pub type Allowances = BTreeMap<Arc<str>, i64>;

/// What one period allows under a bundle, and under a candidate of which a share of the members is decided by.
///
/// The bundle in force says what its own budgets allow; budgets only the candidate has count for its share.
pub fn allowances(in_force: &Bundle, candidate: Option<(&Bundle, Ppm)>) -> Allowances {
    let of = |bundle| {
        ids(bundle).into_iter().zip(per_period(bundle)).filter_map(|(id, allowed)| Some((id, allowed?)))
    };
    let mut allowances = Allowances::new();
    if let Some((candidate, share)) = candidate {
        allowances.extend(of(candidate).map(|(id, allowed)| (id, part(allowed, share))));
    }
    allowances.extend(of(in_force));
    allowances
}

/// A share of an amount, rounded down.
pub fn part(amount: i64, share: Ppm) -> i64 {
    i64::try_from(i128::from(amount) * i128::from(share.0) / 1_000_000).unwrap_or(i64::MAX)
}

/// The budgets and limits of a bundle of which a share pays for no reward at all, as people know them: under a canary of
/// that share they hold back whatever counts for them.
pub fn pays_for_nothing(bundle: &Bundle, share: Ppm) -> Vec<String> {
    let costs = || bundle.rewards().iter().map(|reward| reward.cost.0);
    let stocks_from = 1 + bundle.segments().len();
    let mut found = Vec::new();
    for (at, (id, amount)) in ids(bundle).into_iter().zip(per_period(bundle)).enumerate() {
        let least = if at < stocks_from { costs().min().unwrap_or(0) } else { 1 };
        if amount.is_some_and(|amount| part(amount, share) < least) {
            found.push(format!("budget {id}"));
        }
    }
    for limit in bundle.limits() {
        let covered = costs().enumerate().filter(|(at, _)| limit.rewards >> at & 1 == 1);
        let least = if limit.measure == Measure::Waiting {
            1
        } else {
            covered.map(|(_, cost)| cost).min().unwrap_or(0)
        };
        if part(limit.amount, share) < least {
            found.extend(bundle.rule(limit.rule).map(|rule| rule.id.to_string()));
        }
    }
    found
}

/// What a ledger knows of a program's budgets when a node takes it up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Per budget: its limit so far, and what of it is promised or held.
    pub balances: BTreeMap<Arc<str>, (i64, i64)>,
    /// By how much a limit lies above what the policies so far allow, because that much was promised already when one
    /// with less took over. What is allowed later counts against it first.
    pub owed: Allowances,
}

impl Standing {
    /// Changes limits when another policy takes over within a period, never to below what is already promised; returns
    /// those that changed.
    ///
    /// `last` is what one period allowed when each budget was last in force: the period under way changes by the
    /// difference. A budget that comes back after a policy without it starts with what it had.
    pub fn reanchor(&mut self, last: &Allowances, now: &Allowances) -> Allowances {
        let mut changed = Allowances::new();
        for (id, allowed) in now {
            let before = self.balances.get(id).map(|(limit, _)| *limit);
            let limit = match before {
                None => *allowed,
                Some(limit) => limit.saturating_add(allowed - last.get(id).unwrap_or(allowed)),
            };
            let limit = self.set(id, limit);
            if before != Some(limit) {
                changed.insert(Arc::clone(id), limit);
            }
        }
        changed
    }

    /// Limits once `passed` more periods have begun: each adds what is allowed now, and what was not spent carries
    /// over. A budget without a past has at least one period's. Returns all of them.
    pub fn begin(&mut self, allowances: &Allowances, passed: u64) -> Allowances {
        let passed = i64::try_from(passed).unwrap_or(i64::MAX);
        let limit = |(id, allowed): (&Arc<str>, &i64)| {
            let limit = match self.balances.get(id) {
                None => allowed.saturating_mul(passed.max(1)),
                Some((limit, _)) => limit.saturating_add(allowed.saturating_mul(passed)),
            };
            (Arc::clone(id), self.set(id, limit))
        };
        allowances.iter().map(limit).collect()
    }

    /// Sets a limit that counts what is owed as allowed; what is promised already stays allowed, and is owed.
    fn set(&mut self, id: &Arc<str>, limit: i64) -> i64 {
        let used = self.balances.get(id).map_or(0, |(_, used)| *used);
        // Limits stop growing where the negotiation's integers end; until there it takes decades.
        let due = limit.saturating_sub(self.owed.remove(id).unwrap_or(0)).min(AMOUNT_MAX);
        let limit = due.max(used);
        if limit > due {
            self.owed.insert(Arc::clone(id), limit - due);
        }
        self.balances.entry(Arc::clone(id)).or_default().0 = limit;
        limit
    }
}

/// Amounts by budget as one per resource of a bundle's negotiation; `None` is not limited under that bundle.
pub fn by_resource(bundle: &Bundle, amount: impl Fn(&str) -> Option<i64>) -> Vec<Option<i64>> {
    let ids = ids(bundle).into_iter().map(Some).chain([None]);
    ids.zip(per_period(bundle)).map(|(id, allowed)| allowed.and_then(|_| amount(&id?))).collect()
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

/// What a promise that ended unused gives back: what it took, whatever the policy of that day limits.
pub fn returns(release: &Release) -> Vec<(Arc<str>, Micros)> {
    let mut returns = vec![(Arc::from(GLOBAL), release.cost), (segment(&release.segment), release.cost)];
    if release.stocked {
        returns.push((inventory(&release.reward), Micros(1)));
    }
    returns
}
