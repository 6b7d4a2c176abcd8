//! What windows of time have taken already when another policy takes over, or one with other windows decides beside it.
//!
//! While the policies in force count the same windows, the rows of promises do. What a new window has taken is counted from the
//! rows, once, and recorded with the run; so no change of a window's name, length or reach lets its limit be spent anew.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use agents::policy::budgets;
use agents::segment::Counted;
use domain::{Digest, Micros, Timestamp};
use ledger::{Promises, Reader};
use policies::Bundle;
use policies::bundle::Reward;

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
            for Taken { promises, cost, partner } in known.since(reader, window.began)? {
                if window.covers(bundle, &promises.segment, &promises.reward, partner.as_deref()) {
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

/// What was read of promises, and of the policies they were made by.
#[derive(Default)]
struct Known {
    since: BTreeMap<Timestamp, Vec<Taken>>,
    terms: BTreeMap<Digest, BTreeMap<String, Terms>>,
}

/// Promises of one reward, and what they cost together.
struct Taken {
    promises: Promises,
    cost: i64,
    partner: Option<String>,
}

/// What a policy says of a reward.
#[derive(Clone, Default)]
struct Terms {
    cost: i64,
    partner: Option<String>,
}

impl Known {
    fn since(&mut self, reader: &Reader, began: Timestamp) -> Result<&[Taken], NodeError> {
        if let Entry::Vacant(new) = self.since.entry(began) {
            let mut found = Vec::new();
            for promises in reader.promised_since(began)? {
                let Terms { cost, partner } = terms(&mut self.terms, reader, &promises)?;
                let count = i64::try_from(promises.count).unwrap_or(i64::MAX);
                found.push(Taken { promises, cost: cost.saturating_mul(count), partner });
            }
            new.insert(found);
        }
        Ok(&self.since[&began])
    }
}

/// What one promise cost, and whose reward it was.
fn terms(
    known: &mut BTreeMap<Digest, BTreeMap<String, Terms>>,
    reader: &Reader,
    promises: &Promises,
) -> Result<Terms, NodeError> {
    let rewards = match known.entry(promises.bundle) {
        Entry::Occupied(rewards) => rewards.into_mut(),
        Entry::Vacant(new) => {
            let bundle = recorded_bundle(reader, promises.bundle)?;
            let terms = |reward: &Reward| Terms { cost: reward.cost.0, partner: reward.partner.clone() };
            let rewards = bundle.rewards().iter();
            new.insert(rewards.map(|reward| (reward.id.to_string(), terms(reward))).collect())
        }
    };
    Ok(rewards.get(&promises.reward).cloned().unwrap_or_default())
}

/// Adds to what is counted what is open of rewards that left the catalog, for the limits of their partners.
///
/// # Errors
/// When the ledger cannot be read.
pub fn formerly(reader: &Reader, bundle: &Bundle, counted: &mut Counted) -> Result<(), NodeError> {
    let prefix = budgets::exposed_reward("");
    let open = counted.iter().filter(|(_, held)| **held > 0);
    let open = open.filter_map(|(id, held)| Some((id.strip_prefix(&*prefix)?.to_owned(), *held)));
    let gone: Vec<(String, i64)> = open.filter(|(reward, _)| bundle.reward_named(reward).is_none()).collect();
    if gone.is_empty() || bundle.rewards().iter().all(|reward| reward.partner.is_none()) {
        return Ok(());
    }
    let mut partners = BTreeMap::new();
    // Newest first: whose a reward was last.
    for row in reader.of_kinds(&[ledger::Kind::Bundle])?.iter().rev() {
        let Some(digest) = row.bundle else { continue };
        for reward in recorded_bundle(reader, digest)?.rewards() {
            let partner = reward.partner.as_deref().map(str::to_owned);
            partners.entry(reward.id.to_string()).or_insert(partner);
        }
    }
    for (reward, held) in gone {
        if let Some(Some(partner)) = partners.get(&reward) {
            *counted.entry(budgets::exposed_formerly(&budgets::of_partner(partner))).or_default() += held;
        }
    }
    Ok(())
}
