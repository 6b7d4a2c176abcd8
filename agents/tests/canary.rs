//! What a canary may spend is lent, never added: both sides together stay within the program's budgets.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use std::collections::BTreeMap;
use std::sync::Arc;

use agents::policy::{Canary, GlobalPolicy, Opening, Periods, Standing, budgets};
use domain::time::DAY;
use domain::{Ppm, Timestamp};
use policies::source::File;
use policies::{Bundle, Sources, Stops};
use proptest::prelude::*;

const START: Timestamp = Timestamp(1_700_000_000_000_000);

fn in_force() -> Arc<Bundle> {
    Arc::new(policies::starter::grocery().unwrap())
}

/// The grocery program with a larger global budget and one more reward, of which there are 40.
fn candidate() -> Arc<Bundle> {
    let sources = Sources::from_canonical(in_force().canonical()).unwrap();
    let mut files: Vec<(&str, String)> =
        File::ALL.iter().map(|file| (file.name(), sources.text(*file).to_owned())).collect();
    for (name, text) in &mut files {
        match *name {
            "program.toml" => *text = text.replace("limit = \"4500.00\"", "limit = \"9000.00\""),
            "catalog.toml" => text.push_str(COFFEE),
            "moments.toml" => *text = text.replacen("rewards = [", "rewards = [\"coffee\", ", 1),
            _ => {}
        }
    }
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let canonical = Sources::from_files(&files).unwrap().canonical();
    Arc::new(Bundle::from_canonical(&canonical).map_err(|problems| problems.render()).unwrap())
}

const COFFEE: &str = r#"
[[reward]]
id = "coffee"
name = "A coffee"
kind = "experience"
cost = "2.00"
valid_days = 14
inventory = 40
touchpoints = ["app", "batch", "pos"]
prior = { default = "3 %", source = "a guess" }
"#;

/// Limits of one side by budget.
fn by_id(bundle: &Bundle, opening: &Opening) -> BTreeMap<Arc<str>, i64> {
    let named = budgets::ids(bundle).into_iter().zip(&opening.limits);
    named.filter_map(|(id, limit)| Some((id, (*limit)?))).collect()
}

fn policy(standing: Standing, periods: Periods, canary: Option<Canary>) -> GlobalPolicy {
    GlobalPolicy::new(in_force(), Stops::default(), periods, standing, canary).unwrap()
}

proptest! {
    /// Whatever was spent before and however many periods follow, the sides' limits add up to the program's.
    #[test]
    fn both_sides_together_may_promise_what_the_program_allows(
        share in 1u32..1_000_000,
        used_ppm in 0u32..=1_000_000,
        days in proptest::collection::vec(0i64..20, 1..8),
    ) {
        let mut alone = policy(Standing::default(), Periods::default(), None);
        let first = alone.open(START).remove(0);
        let used = |limit: i64| budgets::part(limit, Ppm(used_ppm));
        let balances: BTreeMap<Arc<str>, (i64, i64)> =
            first.raised.iter().map(|(id, limit)| (Arc::clone(id), (limit.0, used(limit.0)))).collect();
        let periods = Periods { opened: 1, end: Some(first.window.to) };
        let (stable, candidate) = (in_force(), candidate());
        let canary = Canary::new(Arc::clone(&candidate), Ppm(share));
        let mut standing = Standing { balances: balances.clone(), ..Standing::default() };
        let allowed = budgets::allowances(&stable, Some((&candidate, Ppm(share))));
        let started = standing.reanchor(&budgets::allowances(&stable, None), &allowed);
        let mut both = policy(standing, periods, Some(canary));
        // What the same days allow without a canary.
        let mut without = policy(Standing { balances: balances.clone(), ..Standing::default() }, periods, None);
        let mut allowed: BTreeMap<Arc<str>, i64> =
            balances.iter().map(|(id, (limit, _))| (Arc::clone(id), *limit)).collect();
        let mut recorded: BTreeMap<Arc<str>, i64> =
            balances.iter().map(|(id, (limit, _))| (Arc::clone(id), *limit)).chain(started).collect();
        let mut now = START;
        for step in days {
            now = now.plus(step * DAY);
            let openings = both.open(now);
            if openings.is_empty() {
                continue;
            }
            let [ours, theirs] = openings.as_slice() else { panic!("two sides, two openings") };
            prop_assert!(theirs.raised.is_empty());
            recorded.extend(ours.raised.iter().map(|(id, limit)| (Arc::clone(id), limit.0)));
            let opened = without.open(now).remove(0);
            allowed.extend(opened.raised.iter().map(|(id, limit)| (Arc::clone(id), limit.0)));
            for (id, limit) in &allowed {
                prop_assert_eq!(recorded.get(id), Some(limit), "{} with a canary and without", id);
            }
            let (ours, theirs) = (by_id(&stable, ours), by_id(&candidate, theirs));
            for (id, limit) in &recorded {
                let (a, b) = (ours.get(id).copied(), theirs.get(id).copied());
                prop_assert_eq!(a.unwrap_or(0) + b.unwrap_or(0), *limit, "{}", id);
                // What is promised already counts with the bundle in force.
                let spent = balances.get(id).map_or(0, |(_, used)| *used);
                prop_assert!(a.is_none_or(|a| a >= spent), "{}", id);
                if let (Some(_), Some(b)) = (a, b) {
                    let share = budgets::part(*limit, Ppm(share));
                    prop_assert!(b <= share, "{}: {} of {}", id, b, limit);
                }
            }
        }
    }
}

#[test]
fn stock_that_only_the_candidate_has_counts_for_its_share_and_in_full_once_it_is_in_force() {
    let (stable, candidate) = (in_force(), candidate());
    let canary = Canary::new(Arc::clone(&candidate), Ppm(250_000));
    let mut both = policy(Standing::default(), Periods::default(), Some(canary));
    let opening = both.open(START).remove(0);
    let coffee = |raised: &[(Arc<str>, domain::Micros)]| {
        raised.iter().find(|(id, _)| &**id == "inventory/coffee").map(|(_, limit)| limit.0)
    };
    assert_eq!(coffee(&opening.raised), Some(10));
    // The candidate goes into force in the same period.
    let balances = opening.raised.iter().map(|(id, limit)| (Arc::clone(id), (limit.0, 0))).collect();
    let last = budgets::allowances(&stable, Some((&candidate, Ppm(250_000))));
    let mut standing = Standing { balances, ..Standing::default() };
    let changed = standing.reanchor(&last, &budgets::allowances(&candidate, None));
    assert_eq!(changed.get("inventory/coffee"), Some(&40));
}

#[test]
fn shares_that_pay_for_no_reward_are_named() {
    let candidate = candidate();
    let named = |ppm| budgets::pays_for_nothing(&candidate, Ppm(ppm));
    assert_eq!(named(1_000_000), [""; 0]);
    // A fortieth of forty coffees is one, less than that none.
    assert!(!named(25_000).contains(&"budget inventory/coffee".to_owned()));
    assert!(named(24_999).contains(&"budget inventory/coffee".to_owned()));
    // The cheapest reward costs 0.35: of the 9,000 of the program that takes a share of 39 millionths.
    let least = candidate.rewards().iter().map(|reward| reward.cost.0).min().unwrap();
    let share = u32::try_from(least / 9_000 + i64::from(least % 9_000 > 0)).unwrap();
    assert!(!named(share).contains(&"budget global".to_owned()));
    assert!(named(share - 1).contains(&"budget global".to_owned()));
}

/// Policies that come and go within one period leave each budget at what the one in force allows, or at what is
/// promised already.
#[test]
fn limits_follow_the_policy_in_force_however_often_it_changes() {
    let id: Arc<str> = Arc::from("global");
    let allowed = |amount: i64| BTreeMap::from([(Arc::clone(&id), amount)]);
    let with = |limit: i64, used: i64| Standing {
        balances: BTreeMap::from([(Arc::clone(&id), (limit, used))]),
        ..Standing::default()
    };
    let mut standing = with(4_500, 800);
    // Down to less than is promised, and back: what was promised above the limit is not allowed once more.
    for (last, now, limit) in [
        (4_500, 3_000, 3_000),
        (3_000, 5_000, 5_000),
        (5_000, 500, 800),
        (500, 700, 800),
        (700, 5_000, 5_000),
    ] {
        standing.reanchor(&allowed(last), &allowed(now));
        assert_eq!(standing.balances[&id].0, limit);
    }
    assert!(standing.owed.is_empty());
    // A period's allowance counts against it first, too.
    standing.reanchor(&allowed(5_000), &allowed(500));
    assert_eq!(standing.begin(&allowed(500), 1)[&id], 1_000);
    // A policy without the budget, and back: nothing is added, nothing is lost.
    let mut standing = with(60, 7);
    standing.reanchor(&allowed(60), &BTreeMap::new());
    standing.reanchor(&allowed(60), &allowed(60));
    assert_eq!(standing.balances[&id], (60, 7));
}

proptest! {
    /// Whatever takes over in whatever order, and whatever is promised and given back meanwhile: a limit is what the one in
    /// force allows, or what was promised before it took over.
    #[test]
    fn no_order_of_policies_allows_more_than_the_one_in_force(
        steps in proptest::collection::vec((0i64..10_000, 0u32..=1_000_000), 1..12),
    ) {
        let id: Arc<str> = Arc::from("global");
        let allowed = |amount: i64| BTreeMap::from([(Arc::clone(&id), amount)]);
        let mut standing = Standing::default();
        standing.begin(&allowed(5_000), 1);
        let mut last = 5_000;
        for (now, used_ppm) in steps {
            let entry = standing.balances.get_mut(&id).unwrap();
            entry.1 = budgets::part(entry.0, Ppm(used_ppm));
            let used = entry.1;
            standing.reanchor(&allowed(last), &allowed(now));
            prop_assert_eq!(standing.balances[&id].0, now.max(used));
            last = now;
        }
    }
}
