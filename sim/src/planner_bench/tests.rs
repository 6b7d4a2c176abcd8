//! What the benchmark must show on instances small enough for every test run.

use super::instance::BudgetCut;
use super::{Announced, Baseline, Instance, Kind, Options, Report, run};

/// A tenth of the public size, in a world the protocol was never tuned on.
fn small(kind: Kind, cap: u8) -> Instance {
    let size = Instance { events: 20_000, members: 6_000, world: 7, ..Instance::public(kind, 41, cap) };
    Instance { calendar: Vec::new(), ..size }
}

fn checked(instance: &Instance) -> Report {
    let report = run(instance, &Options { compute_optimum: true, ..Options::default() });
    assert_eq!(report.overspend_count, 0, "{instance:?}: {report:?}");
    assert_eq!(report.certificates_verified, report.certificates, "{instance:?}: {report:?}");
    report
}

fn percent(report: &Report) -> f64 {
    report.pct_of_optimum.unwrap()
}

#[test]
fn warm_negotiation_realises_almost_all_of_the_optimum_and_certifies_every_batch() {
    for (kind, floor) in [(Kind::Stationary, 97.5), (Kind::Burst, 96.5), (Kind::BurstLo, 96.5)] {
        let report = checked(&small(kind, 63));
        assert!(percent(&report) >= floor, "{kind:?}: {report:?}");
        assert!(report.certified_share >= 0.99 && report.rounds_max <= 12, "{kind:?}: {report:?}");
        assert!(report.spend_share <= 1.0 && report.spend_share > 0.99, "{kind:?}: {report:?}");
    }
}

#[test]
fn a_first_day_without_any_baseline_does_well_too() {
    let report = checked(&Instance { baseline: Baseline::None, ..small(Kind::Stationary, 63) });
    assert!(percent(&report) >= 95.0, "{report:?}");
}

#[test]
fn pricing_scarce_contacts_is_worth_at_least_five_points() {
    let on = checked(&small(Kind::Stationary, 2));
    let off = checked(&Instance { member_price: false, ..small(Kind::Stationary, 2) });
    assert!(percent(&on) >= percent(&off) + 5.0, "on {on:?}, off {off:?}");
    assert!(percent(&on) >= 90.0, "{on:?}");
}

#[test]
fn an_announced_surge_does_better_than_a_surprise() {
    let surprise = small(Kind::Double, 63);
    let window = |from_event, to_event, value_milli| Announced {
        from_event,
        to_event,
        volume_milli: 5_000,
        value_milli,
    };
    let calendar = vec![window(4_000, 6_000, 500), window(15_000, 19_000, 1_700)];
    let announced = Instance { calendar, ..surprise.clone() };
    let (told, untold) = (checked(&announced), checked(&surprise));
    assert!(percent(&told) > percent(&untold) + 5.0, "told {told:?}, untold {untold:?}");
}

#[test]
fn a_budget_cut_is_kept_to_the_cent_and_the_rest_of_the_day_is_priced_anew() {
    let cut = Some(BudgetCut { at_event: 10_000, to_permille: 700 });
    let report = checked(&Instance { budget_cut: cut, ..small(Kind::Stationary, 63) });
    assert!(report.spend_share <= 1.0 && report.spend_share > 0.98, "{report:?}");
    let below_what_is_spent = Some(BudgetCut { at_event: 10_000, to_permille: 300 });
    let stopped = checked(&Instance { budget_cut: below_what_is_spent, ..small(Kind::Stationary, 63) });
    assert!(stopped.spend_share > 1.0, "promises already made are kept: {stopped:?}");
}

#[test]
fn equal_instances_give_equal_days() {
    let instance = small(Kind::Burst, 2);
    let value = || run(&instance, &Options::default()).value_micros;
    assert_eq!(value(), value());
}

#[test]
fn instances_that_make_no_sense_are_refused() {
    let good = r#"{"kind":"burst","seed":1,"cap":2,"T":1000,"M":500}"#;
    assert!(Instance::from_json(good).is_ok());
    for bad in [
        r#"{"kind":"bursts","seed":1,"cap":2,"T":1000,"M":500}"#,
        r#"{"kind":"burst","seed":1,"cap":0,"T":1000,"M":500}"#,
        r#"{"kind":"burst","seed":1,"cap":2,"T":1000}"#,
        r#"{"kind":"burst","seed":1,"cap":2,"T":1000,"M":500,"worlds":2}"#,
        r#"{"kind":"burst","seed":1,"cap":2,"T":1000,"M":500,"calendar":[{"from_event":9,"to_event":9,"volume_milli":1,"value_milli":1}]}"#,
    ] {
        assert!(Instance::from_json(bad).is_err(), "{bad} was accepted");
    }
}
