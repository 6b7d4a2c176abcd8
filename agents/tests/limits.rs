//! The limits beside the budgets hold at every step, in any order, over restarts and beside a canary.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::sync::Arc;

use agents::member::{Release, Turn};
use agents::negotiation::{Envelope, EscrowGrant, Layout};
use agents::policy::budgets;
use agents::segment::{Counted, Demand, Escrow, Limits, Refusal, Reserve};
use domain::time::HOUR;
use domain::{Micros, Ppm, RewardIndex, SegmentIndex, Timestamp};
use policies::{Bundle, Measure, starter};
use proptest::prelude::*;

const START: Timestamp = Timestamp(1_500_000_000_000_000);

/// The grocery program with a limit of each sort.
fn limited() -> Arc<Bundle> {
    let edits = [
        (
            "program.toml",
            "[budget.segments]",
            "[[budget.window]]\nid = \"shift\"\nhours = 8\nlimit = \"30.00\"\n\n\
             [[budget.window]]\nid = \"loyal-day\"\nhours = 24\nlimit = \"12.00\"\nsegment = \"loyal\"\n\n[budget.segments]",
        ),
        (
            "program.toml",
            "[approval]",
            "[exposure]\nlimit = \"60.00\"\n[exposure.segments]\nnewcomers = \"20.00\"\n\n[escalation]\nwaiting = 2\n\n[approval]",
        ),
        ("catalog.toml", "id = \"fuel-10c\"\n", "id = \"fuel-10c\"\npartner = \"Harbor Fuel\"\n"),
        (
            "catalog.toml",
            "[[reward]]",
            "[[partner]]\nname = \"Harbor Fuel\"\nexposure = \"4.50\"\nlimit = \"3.00\"\nhours = 1\n\n[[reward]]",
        ),
    ];
    let mut files = starter::GROCERY.map(|(name, text)| (name, text.to_owned()));
    for (file, from, to) in edits {
        let (_, text) = files.iter_mut().find(|(name, _)| *name == file).unwrap();
        assert!(text.contains(from), "{file} does not hold {from:?}");
        *text = text.replacen(from, to, 1);
    }
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
    Arc::new(Bundle::from_files(&files).unwrap_or_else(|problems| panic!("{}", problems.render())))
}

/// An escrow with more than enough of every budget.
fn rich(bundle: &Bundle, limits: Limits) -> Escrow {
    let count = |number: usize| u8::try_from(number).unwrap();
    let layout = Layout::new(count(bundle.segments().len()), count(bundle.rewards().len())).unwrap();
    let mut escrow = Escrow::new(layout, vec![true; layout.len()]).within(limits);
    let envelope = Envelope {
        schema: 1,
        program: "shop".into(),
        epoch: 1,
        batch: 1,
        round: 0,
        price_version: 0,
        deadline: Timestamp(0),
    };
    let plenty = vec![i64::MAX / 4; layout.len()];
    let expires_at = Timestamp(i64::MAX);
    let grant = EscrowGrant { envelope, lease: 1, expires_at, add: plenty.clone(), limit: plenty };
    escrow.accept(&grant).unwrap();
    escrow
}

fn demand(bundle: &Bundle, segment: u8, reward: u8, at: Timestamp) -> Demand {
    let (segment, reward) = (SegmentIndex(segment), RewardIndex(reward));
    let waits = bundle.needs_person(segment, reward);
    Demand { segment, reward, cost: bundle.reward(reward).cost.0, learn: false, waits, at, stocked: true }
}

/// What every row of a ledger would add up to, as its writer counts: the same budgets, from the promises alone.
#[derive(Default)]
struct Ledger(Counted);

impl Ledger {
    fn add(&mut self, bundle: &Bundle, demand: &Demand, sign: i64) {
        let (segment, reward) = (&bundle.segment(demand.segment).id, &bundle.reward(demand.reward).id);
        for id in budgets::exposes(segment, reward) {
            *self.0.entry(id).or_default() += sign * demand.cost;
        }
        if demand.waits {
            *self.0.entry(budgets::WAITING.into()).or_default() += sign;
        }
        if sign > 0 {
            for id in budgets::windows(bundle, demand.segment, demand.reward, demand.at) {
                *self.0.entry(id).or_default() += demand.cost;
            }
        }
    }

    fn of(&self, id: &str) -> i64 {
        self.0.get(id).copied().unwrap_or(0)
    }

    /// No count is above its limit.
    fn holds(&self, bundle: &Bundle) -> Result<(), TestCaseError> {
        let fuel = bundle.reward_named("fuel-10c").unwrap();
        prop_assert!(self.of("exposure") <= 60_000_000);
        prop_assert!(self.of("exposure/segment/newcomers") <= 20_000_000);
        prop_assert!(self.of(&budgets::exposed_reward(&bundle.reward(fuel).id)) <= 4_500_000);
        prop_assert!(self.of("waiting") <= 2);
        let window = |name: &'static str, most: i64| {
            let of = move |id: &&Arc<str>| id.starts_with(&format!("window/{name}/"));
            self.0.keys().filter(of).all(|id| self.of(id) <= most)
        };
        prop_assert!(window("shift", 30_000_000) && window("loyal-day", 12_000_000));
        prop_assert!(window("partner/Harbor Fuel", 3_000_000));
        Ok(())
    }

    /// Whether a promise would fit, by what is counted.
    fn fits(&self, bundle: &Bundle, demand: &Demand) -> bool {
        let mut after = Ledger(self.0.clone());
        after.add(bundle, demand, 1);
        after.holds(bundle).is_ok()
    }
}

#[derive(Clone, Debug)]
enum Act {
    Promise {
        segment: u8,
        reward: u8,
        minutes: i64,
    },
    /// The promise at this place is used, or ends unused.
    End {
        place: usize,
        used: bool,
    },
    /// A person approves the promise at this place, where it waits.
    Approve(usize),
    Restart,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        12 => (0u8..7, 0u8..10, 0i64..90)
            .prop_map(|(segment, reward, minutes)| Act::Promise { segment, reward, minutes }),
        6 => (0usize..100, any::<bool>()).prop_map(|(place, used)| Act::End { place, used }),
        4 => (0usize..100).prop_map(Act::Approve),
        1 => Just(Act::Restart),
    ];
    prop::collection::vec(act, 1..150)
}

proptest! {
    /// Exactly what fits is promised, no limit is ever exceeded, and a restart changes nothing.
    #[test]
    fn limits_hold_at_every_step_and_over_restarts(acts in acts()) {
        let bundle = limited();
        let mut escrow = rich(&bundle, Limits::new(Arc::clone(&bundle), Counted::new()));
        let (mut ledger, mut open, mut now) = (Ledger::default(), Vec::new(), START);
        // Budgets of a restarted escrow come from the ledger, too; here it holds none, so money is not given back.
        let mut restarted = false;
        for act in acts {
            match act {
                Act::Promise { segment, reward, minutes } => {
                    now = now.plus(minutes * HOUR / 60);
                    let demand = demand(&bundle, segment, reward, now);
                    let fits = ledger.fits(&bundle, &demand);
                    let reserved = escrow.reserve(&demand, now);
                    prop_assert_eq!(reserved.is_ok(), fits, "{:?} {:?}", reserved, ledger.0);
                    if fits {
                        ledger.add(&bundle, &demand, 1);
                        open.push((demand, false));
                    } else {
                        prop_assert!(matches!(reserved, Err(Refusal::Limit { .. })), "{reserved:?}");
                    }
                }
                Act::End { place, used } if !open.is_empty() => {
                    let (demand, approved) = open.remove(place % open.len());
                    ledger.add(&bundle, &demand, -1);
                    if used || restarted {
                        escrow.end(&demand);
                    } else if approved {
                        escrow.refund(&demand).unwrap();
                    } else {
                        escrow.release(&demand).unwrap();
                    }
                }
                Act::Approve(place) if !open.is_empty() && !restarted => {
                    let at = place % open.len();
                    let (demand, approved) = &mut open[at];
                    if demand.waits {
                        let before = escrow.view().clone();
                        escrow.approve(demand).unwrap();
                        prop_assert_eq!(&before.returned, &escrow.view().returned);
                        *ledger.0.entry(budgets::WAITING.into()).or_default() -= 1;
                        (demand.waits, *approved) = (false, true);
                    }
                }
                Act::End { .. } | Act::Approve(_) => {}
                Act::Restart => {
                    escrow = rich(&bundle, Limits::new(Arc::clone(&bundle), ledger.0.clone()));
                    restarted = true;
                }
            }
            ledger.holds(&bundle)?;
        }
    }

    /// The sides of a run together never exceed what one may, however often runs begin: with each kill switch one does.
    #[test]
    fn a_canary_and_the_bundle_in_force_share_every_limit(
        share in 1u32..1_000_000,
        promises in prop::collection::vec((any::<bool>(), 0u8..7, 0u8..10, 0u8..8), 1..150),
    ) {
        let (bundle, share) = (limited(), Ppm(share));
        let mut ledger = Ledger::default();
        let sides = |ledger: &Ledger| {
            let counted = || ledger.0.clone();
            let in_force = Limits::beside_canary(Arc::clone(&bundle), counted(), share);
            let canary = Limits::of_canary(Arc::clone(&bundle), &bundle, counted(), share);
            [in_force, canary].map(|limits| rich(&bundle, limits))
        };
        let mut run = sides(&ledger);
        for (on_canary, segment, reward, restart) in promises {
            if restart == 0 {
                run = sides(&ledger);
            }
            let demand = demand(&bundle, segment, reward, START);
            if run[usize::from(on_canary)].reserve(&demand, START).is_ok() {
                ledger.add(&bundle, &demand, 1);
            }
            ledger.holds(&bundle)?;
        }
    }
}

#[test]
fn a_refusal_names_the_limit_and_its_rule() {
    let bundle = limited();
    let mut escrow = rich(&bundle, Limits::new(Arc::clone(&bundle), Counted::new()));
    let fuel = bundle.reward_named("fuel-10c").unwrap().0;
    let mut told = Vec::new();
    for hours in [0, 0, 0, 1, 1] {
        let at = START.plus(hours * HOUR);
        told.push(escrow.reserve(&demand(&bundle, 0, fuel, at), at).map_err(|refusal| {
            (refusal.reason().name(), bundle.rule(refusal.rule().unwrap()).unwrap().id.clone())
        }));
    }
    let refused = |reason, rule: &str| Err((reason, format!("catalog.partner.Harbor Fuel.{rule}")));
    assert_eq!(
        told,
        [Ok(()), Ok(()), refused("WINDOW_BUDGET", "limit"), Ok(()), refused("EXPOSURE_LIMIT", "exposure"),]
    );
}

#[test]
fn what_is_above_a_lowered_limit_holds_up_nothing_the_limit_is_not_about() {
    let bundle = limited();
    let counted = Counted::from([(budgets::exposed_reward("fuel-10c"), 50_000_000)]);
    let mut escrow = rich(&bundle, Limits::new(Arc::clone(&bundle), counted));
    let index = |reward: &str| bundle.reward_named(reward).unwrap().0;
    let refused = escrow.reserve(&demand(&bundle, 0, index("fuel-10c"), START), START);
    assert!(matches!(refused, Err(Refusal::Limit { measure: Measure::Open, .. })), "{refused:?}");
    assert_eq!(escrow.reserve(&demand(&bundle, 0, index("points-50"), START), START), Ok(()));
}

#[test]
fn what_is_open_of_a_partners_former_rewards_counts_against_its_agreement() {
    let bundle = limited();
    let former = budgets::exposed_formerly(&budgets::of_partner("Harbor Fuel"));
    let fuel = bundle.reward_named("fuel-10c").unwrap().0;
    let reserve = |counted: Counted| {
        let mut escrow = rich(&bundle, Limits::new(Arc::clone(&bundle), counted));
        escrow.reserve(&demand(&bundle, 0, fuel, START), START)
    };
    assert_eq!(reserve(Counted::new()), Ok(()));
    let refused = reserve(Counted::from([(former, 4_500_000)]));
    assert!(matches!(refused, Err(Refusal::Limit { measure: Measure::Open, .. })), "{refused:?}");
}

#[test]
fn a_clock_that_jumps_back_opens_no_window_again() {
    let bundle = limited();
    let mut escrow = rich(&bundle, Limits::new(Arc::clone(&bundle), Counted::new()));
    let fuel = bundle.reward_named("fuel-10c").unwrap().0;
    for at in [START, START] {
        escrow.reserve(&demand(&bundle, 0, fuel, at), at).unwrap();
    }
    let before = START.plus(-2 * HOUR);
    let refused = escrow.reserve(&demand(&bundle, 0, fuel, before), before);
    assert!(matches!(refused, Err(Refusal::Limit { measure: Measure::Window, .. })), "{refused:?}");
}

#[test]
fn what_a_used_promise_held_is_found_by_its_ids() {
    let bundle = limited();
    let fuel = bundle.reward_named("fuel-10c").unwrap();
    let release = Release {
        reward: "fuel-10c".into(),
        segment: "loyal".into(),
        cost: Micros(1_500_000),
        pending: false,
        turn: Turn::Used,
        promised_at: START,
        stocked: false,
    };
    let demand = Demand::of_release(&release, &bundle).unwrap();
    assert_eq!((demand.reward, demand.cost, demand.waits), (fuel, 1_500_000, false));
    let mut named = BTreeMap::new();
    budgets::exposes("loyal", "fuel-10c").into_iter().for_each(|id| *named.entry(id).or_insert(0) += 1);
    assert!(named.keys().all(|id| budgets::is_count(id)) && named.len() == 3);
}
