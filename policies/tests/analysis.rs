//! Findings of meaning: every kind once, in words people read.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "support/small.rs"]
mod small;
mod support;

use policies::{Bundle, Insight, Sources, analyse, starter};
use small::Small;
use support::{edited, edited_all};

fn insights(bundle: &Bundle) -> Vec<Insight> {
    analyse(bundle, &Sources::from_canonical(bundle.canonical()).unwrap())
}

/// The findings of a bundle as a terminal shows them.
fn told(bundle: &Bundle) -> String {
    insights(bundle).iter().map(|insight| format!("{insight}\n")).collect()
}

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

/// One segment for all, a purchase moment, a voucher for 5.00 and points for 1.00.
fn plain() -> Small {
    Small {
        segments: vec![(vec![], 1000)],
        moments: vec![("{ event = \"purchase\" }".to_owned(), vec![], vec![0, 1])],
        rewards: vec![
            ("voucher".to_owned(), "5.00".to_owned(), vec![]),
            ("points".to_owned(), "1.00".to_owned(), vec![]),
        ],
        ..Small::default()
    }
}

fn deny(when: &[&str]) -> (String, Vec<String>) {
    ("deny".to_owned(), texts(when))
}

fn small(change: impl FnOnce(&mut Small)) -> String {
    let mut small = plain();
    change(&mut small);
    told(&small.bundle().unwrap_or_else(|problems| panic!("{}", problems.render())))
}

#[test]
fn the_starter_bundle_and_a_plain_one_contradict_themselves_nowhere() {
    assert_eq!(told(&starter::grocery().unwrap()), "");
    assert_eq!(small(|_| ()), "");
}

#[test]
fn guardrail_that_refuses_a_reward_whenever_it_is_eligible() {
    let bundle = edited_all(&[
        ("guardrails.toml", "member.trips_28d >= 20", "member.trips >= 2"),
        ("guardrails.toml", "member.churn_60d < 0.02", "member.churn_60d < 0.99"),
        ("catalog.toml", "expr = '''member.churn_60d >= 0.05'''", "expr = '''member.churn_60d < 0.5'''"),
        ("catalog.toml", "expr = '''member.ltv_91d >= 150.00'''", "expr = '''member.trips >= 7'''"),
    ]);
    insta::assert_snapshot!(told(&bundle.unwrap()));
}

#[test]
fn guardrail_that_refuses_a_reward_in_one_moment() {
    insta::assert_snapshot!(small(|small| {
        small.moments[0].1 = texts(&["event.amount < 20.00", "now.weekday <= 5"]);
        small.moments.push(("{ event = \"visit\" }".to_owned(), vec![], vec![0]));
        small.rules.push(deny(&[
            "reward.kind == \"voucher\"",
            "event.amount < 30.00",
            "event.type == \"purchase\"",
        ]));
    }));
}

#[test]
fn discount_limit_that_refuses_a_reward_in_a_moment_of_small_baskets() {
    insta::assert_snapshot!(small(|small| {
        small.moments[0].1 = texts(&["event.amount > 0.00", "event.amount < 10.00"]);
        small.max_discount = Some("50 %".to_owned());
    }));
}

#[test]
fn reward_of_exactly_the_highest_discount_is_no_contradiction() {
    let at = |amount: &str| {
        small(|small| {
            small.moments[0].1 = texts(&[&format!("event.amount == {amount}")]);
            small.max_discount = Some("50 %".to_owned());
        })
    };
    assert_eq!(at("10.00"), "");
    assert!(at("9.999999").contains("`guardrails.max_discount` refuses it"));
    assert_eq!(at("0.00"), "", "events without an amount have no discount");
}

#[test]
fn moment_in_which_guardrails_refuse_everything() {
    insta::assert_snapshot!(small(|small| small.moments[0].1 = texts(&["member.minor"])));
}

#[test]
fn reward_recently_promised_is_shown_with_the_promise() {
    insta::assert_snapshot!(small(|small| {
        small.rewards[0].2 = texts(&["reward.days_since < 10"]);
        small.rules.push(deny(&["reward.days_since < 28"]));
    }));
}

#[test]
fn conditions_that_never_hold_together() {
    insta::assert_snapshot!(small(|small| {
        let never = texts(&["member.trips > 0", "now.hour >= 22", "now.hour < 6"]);
        small.segments.insert(0, (never.clone(), 1000));
        small.moments.push(("{ event = \"visit\" }".to_owned(), texts(&["event.amount > 5.00"]), vec![0]));
        small.rewards[0].2 = texts(&["reward.cost > 5.00"]);
        small.rewards[1].2 = texts(&["member.trips_28d > member.trips_91d"]);
        small.rules.push(deny(&[
            "member.trips >= 10",
            "member.trips_28d * 2 > 40",
            "member.trips_91d <= 20",
        ]));
    }));
}

#[test]
fn segment_whose_members_belong_to_earlier_ones() {
    let bundle = edited("segments.toml", "member.churn_60d >= 0.15", "member.churn_60d >= 0.00");
    insta::assert_snapshot!(told(&bundle.unwrap()));
    insta::assert_snapshot!(small(|small| {
        small.segments = vec![
            (texts(&["member.trips >= 5"]), 1000),
            (texts(&["member.spend > 100.00"]), 1000),
            (texts(&["member.trips < 8"]), 1000),
            (texts(&["member.trips_28d >= 2"]), 1000),
            (vec![], 1000),
        ];
    }));
}

#[test]
fn moment_whose_events_are_earlier_ones() {
    insta::assert_snapshot!(small(|small| {
        let pos = "{ event = \"purchase\", touchpoints = [\"pos\"] }".to_owned();
        small.moments.push((pos, texts(&["event.amount >= 60.00"]), vec![0, 1]));
    }));
}

#[test]
fn reward_favoured_and_denied_for_the_same_members() {
    insta::assert_snapshot!(small(|small| {
        small.segments.insert(0, (texts(&["member.trips_28d >= 12"]), 1300));
        small.rules.push(deny(&["reward.kind == \"voucher\"", "member.trips_91d >= 10"]));
    }));
    // Some members of the segment may have it: the rule only narrows.
    assert_eq!(
        small(|small| {
            small.segments.insert(0, (texts(&["member.trips_28d >= 12"]), 1300));
            small.rules.push(deny(&["reward.kind == \"voucher\"", "member.trips_91d >= 15"]));
        }),
        ""
    );
}

#[test]
fn rules_that_say_the_same() {
    insta::assert_snapshot!(small(|small| {
        small.rules = vec![
            deny(&["member.trips >= 3", "now.hour < 6"]),
            ("warn".to_owned(), texts(&["now.hour <= 5", "!(member.trips < 3)"])),
            ("audit".to_owned(), texts(&["member.trips >= 3", "now.hour < 6"])),
        ];
    }));
}

#[test]
fn conditions_that_say_nothing() {
    insta::assert_snapshot!(small(|small| {
        small.segments.insert(0, (texts(&["member.trips >= 3", "member.spend >= 0.00"]), 1000));
        small.moments[0].1 = texts(&["event.type == \"purchase\""]);
        small.rewards[0].2 = texts(&["reward.cost <= 5.00"]);
        small.rules.push(deny(&["now.weekday in [1, 2, 3, 4, 5, 6, 7]", "member.trips > 900"]));
    }));
}

#[test]
fn rule_that_no_reward_meets_and_budget_that_no_segment_may_spend() {
    insta::assert_snapshot!(small(|small| small.rules.push(deny(&["reward.kind == \"partner\""]))));
    let bundle = edited_all(&[
        ("program.toml", "lapsing-high-value = \"1400.00\"", "lapsing-high-value = \"100.00\""),
        ("program.toml", "occasional = \"1400.00\"", "occasional = \"100.00\""),
    ]);
    insta::assert_snapshot!(told(&bundle.unwrap()));
}

#[test]
fn what_cannot_be_proven_is_said_to_be_open_and_nothing_else() {
    // True of every member, but only by the arithmetic of two facts.
    insta::assert_snapshot!(small(|small| {
        let texts = texts(&["member.spend * 3 >= member.spend_91d * 2 + member.spend_28d"]);
        small.segments.insert(0, (texts, 1000));
    }));
}

#[test]
fn facts_are_compared_the_same_in_either_direction() {
    let denied = |when: &str| small(|small| small.rules.push(deny(&[when])));
    let nothing = "nothing is ever promised: `guardrails.rule.g0` refuses it";
    assert!(denied("member.spend_28d <= member.spend").contains(nothing));
    assert!(denied("member.spend >= member.spend_28d").contains(nothing));
    assert!(denied("!(member.spend < member.spend_28d)").contains(nothing));
    let never = "this rule can never act";
    assert!(denied("member.trips < member.trips_91d").contains(never));
    assert!(denied("member.spend_28d > event.amount && event.amount > member.spend_28d").contains(never));
    assert!(
        denied("member.trips * 2 > member.offers_28d && member.offers_28d >= member.trips * 2")
            .contains(never)
    );
    let twins = small(|small| {
        small.rules.push(deny(&["member.trips > member.offers_28d"]));
        small.rules.push(deny(&["member.offers_28d < member.trips"]));
    });
    assert!(twins.contains("this rule applies exactly where `guardrails.rule.g0` does"), "{twins}");
}

#[test]
fn orders_of_facts_follow_from_each_other() {
    let denied = |when: &[&str]| small(|small| small.rules.push(deny(when)));
    let circle = ["member.trips < member.offers_28d", "member.offers_28d < member.open_promises"];
    let [first, second] = circle;
    assert!(
        denied(&[first, second, "member.open_promises < member.trips"]).contains("this rule can never act")
    );
    assert!(
        denied(&[first, second, "member.open_promises == member.trips"]).contains("this rule can never act")
    );
    assert_eq!(denied(&[first, second, "member.open_promises > member.trips"]), "");
    assert!(denied(&[first, second, "member.open_promises < 2"]).contains("this rule can never act"));
    assert_eq!(denied(&[first, second, "member.open_promises < 3"]), "");
}

#[test]
fn days_that_no_month_has() {
    let denied = |when: &str| small(|small| small.rules.push(deny(&[when])));
    assert!(denied("now.month == 2 && now.day == 30").contains("this rule can never act"));
    assert!(denied("now.day > 30 && now.month in [2, 4, 6, 9, 11]").contains("this rule can never act"));
    assert_eq!(denied("now.month == 2 && now.day == 29"), "");
}

/// Rules of many comparisons of facts with each other, drawn at random.
fn tangled(rules: usize, clauses: usize) -> Small {
    let facts = [
        "member.spend",
        "member.spend_28d",
        "member.spend_91d",
        "member.ltv_91d",
        "member.basket_mean",
        "event.amount",
        "reward.cost",
    ];
    let mut state = 11;
    let mut draw = |most: usize| {
        state = domain::random::splitmix64(state);
        usize::try_from(state >> 33).unwrap() % most
    };
    let mut comparison = || {
        let left = draw(facts.len());
        let right = (left + 1 + draw(facts.len() - 1)) % facts.len();
        format!("{} {} {}", facts[left], ["<", "<=", ">", ">=", "!="][draw(5)], facts[right])
    };
    let mut small = plain();
    for _ in 0..rules {
        let clauses: Vec<String> =
            (0..clauses).map(|_| format!("({} || {})", comparison(), comparison())).collect();
        small.rules.push(deny(&[&clauses.join(" && ")]));
    }
    small
}

#[test]
fn rules_that_compare_facts_hide_no_contradiction_and_are_not_blamed_for_it() {
    for clauses in [2, 6] {
        for rules in [1, 4, 12, 30] {
            let mut small = tangled(rules, clauses);
            small.rules.push(deny(&["member.spend_28d <= member.spend"]));
            let bundle = small.bundle().unwrap_or_else(|problems| panic!("{}", problems.render()));
            let told = told(&bundle);
            let never = format!("nothing is ever promised: `guardrails.rule.g{rules}` refuses it");
            assert!(told.contains(&never), "{told}");
        }
    }
}

#[test]
fn rules_that_were_not_searched_to_the_end_are_not_blamed() {
    let told = small(|small| {
        for at in 0..3 {
            let product = format!("member.trips * member.offers_28d != {}", 2_000_003 + at);
            small.rules.push(deny(&[&product]));
        }
        small.rules.push(deny(&["member.spend_28d <= member.spend"]));
    });
    assert!(told.contains("nothing is ever promised: `guardrails.rule.g3` refuses it"), "{told}");
}

#[test]
fn what_no_rule_reads_is_moved_along_with_what_rules_ask_for() {
    let told = small(|small| {
        small.rules.push(deny(&["member.trips_28d <= member.tenure_days"]));
        small.rules.push(deny(&["member.trips_28d <= member.trips"]));
    });
    assert!(told.contains("nothing is ever promised: `guardrails.rule.g1` refuses it"), "{told}");
}

#[test]
fn a_search_that_ends_at_its_bound_says_where() {
    let products = |rules: usize| {
        small(|small| {
            for at in 0..rules {
                let when = format!("member.trips * member.offers_28d != {}", 2_000_003 + at);
                small.rules.push(deny(&[&when, "member.tenure_days * member.recency_days > 7"]));
                small.rules.push(deny(&[&when, "member.tenure_days * member.recency_days <= 7"]));
            }
        })
    };
    insta::assert_snapshot!(products(3));
    assert!(!small(|small| *small = tangled(12, 2)).contains("POL0083"), "the bound was not reached");
}

#[test]
fn kill_switches_are_no_contradiction() {
    let stopped = edited_all(&[
        ("program.toml", "program = false", "program = true"),
        ("program.toml", "segments = []", "segments = [\"loyal\"]"),
        ("program.toml", "rewards = []", "rewards = [\"points-50\"]"),
    ]);
    assert_eq!(told(&stopped.unwrap()), "");
}

#[test]
fn a_large_bundle_is_analysed_within_the_bound() {
    let mut small = plain();
    small.segments = (0..64)
        .map(|at| {
            (texts(&[&format!("member.spend_28d * {} > member.spend_91d + member.ltv_91d", at + 2)]), 1200)
        })
        .collect();
    small.rules = (0..64)
        .map(|at| {
            deny(&[&format!("member.spend_28d * {} > member.ltv_91d * 7", at + 2), "reward.cost > 1.00"])
        })
        .collect();
    let bundle = small.bundle().unwrap();
    assert_eq!(insights(&bundle), insights(&bundle));
}
