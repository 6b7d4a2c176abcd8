use std::sync::Arc;

use domain::{Decision, Reason, Timestamp};
use models::Models;
use models::engine::{Choice, Engine};
use models::scorer::Source;
use policies::{Bundle, starter};

use super::{Host, Options, Report, run};

const DAY: u32 = 24;

fn models() -> Models {
    Models::load(&Engine::start(&Choice::Embedded).unwrap(), &Source::Shipped).unwrap()
}

fn grocery() -> Arc<Bundle> {
    Arc::new(starter::grocery().unwrap())
}

/// The starter program with a part of one of its files replaced.
fn grocery_with(file: &str, from: &str, to: &str) -> Arc<Bundle> {
    let text = |(name, text): &(&'static str, &'static str)| {
        assert!(*name != file || text.contains(from), "{file} does not hold {from:?}");
        (*name, if *name == file { text.replace(from, to) } else { (*text).to_owned() })
    };
    let files: Vec<(&str, String)> = starter::GROCERY.iter().map(text).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
    Arc::new(Bundle::from_files(&files).unwrap())
}

fn start() -> Timestamp {
    "2019-01-01T12:00:00Z".parse().unwrap()
}

fn event(id: &str, member: &str, hour: u32, rest: &str) -> Vec<u8> {
    let time = time_at(hour);
    format!(
        r#"{{"schema":1,"event_id":"{id}","member":"{member}","event_time":"{time}","source":"pos","touchpoint":"pos",{rest}}}"#
    )
    .into_bytes()
}

/// An hour after noon of new year's day 2019, in RFC 3339.
fn time_at(hour: u32) -> String {
    let (day, hour) = ((hour + 12) / DAY, (hour + 12) % DAY);
    let lengths = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let (mut month, mut left) = (0, day);
    while left >= lengths[month] {
        left -= lengths[month];
        month += 1;
    }
    format!("2019-{:02}-{:02}T{hour:02}:00:00Z", month + 1, left + 1)
}

fn purchase(id: &str, member: &str, hour: u32, amount: u32) -> Vec<u8> {
    event(id, member, hour, &format!(r#""type":"purchase","data":{{"amount":"{amount}.50","items":3}}"#))
}

/// Households that shop every few days for most of a year, in order of time.
fn purchases(households: u32) -> Vec<Vec<u8>> {
    let mut timed = Vec::new();
    for household in 0..households {
        let gap = (2 + household % 11) * DAY;
        for visit in 0..(200 * DAY / gap) {
            let hour = visit * gap + (household * 5 + visit) % 10;
            let amount = 20 + (household * 7 + visit * 13) % 140;
            let id = format!("b{household}-{visit}");
            timed.push((hour, id.clone(), purchase(&id, &format!("m{household}"), hour, amount)));
        }
    }
    timed.sort();
    timed.into_iter().map(|(_, _, event)| event).collect()
}

fn ran(bundle: Arc<Bundle>, events: Vec<Vec<u8>>) -> Report {
    run(bundle, models(), &Options::around(start()), events, |_| {}).unwrap()
}

#[test]
fn the_same_events_give_the_same_report_and_every_certificate_verifies() {
    let first = ran(grocery(), purchases(80));
    let second = ran(grocery(), purchases(80));
    assert_eq!(first, second);
    assert!(first.rewards_promised > 0 && first.timers > 0 && first.negotiations > 0, "{first:?}");
    assert_eq!(first.moments, first.decisions.values().sum::<u64>());
    assert_eq!((first.overspend, first.fallback_scores), (0, 0));
    assert!(first.certificates_verified >= first.negotiations);
    assert!(first.periods >= 2, "budget periods follow the virtual clock: {first:?}");
    assert!(first.dead_letters.is_empty());
    for budget in &first.budgets {
        assert!(budget.committed_micros + budget.reserved_micros <= budget.limit_micros, "{budget:?}");
    }
}

#[test]
fn one_event_more_another_policy_or_another_seed_gives_another_digest() {
    let usual = ran(grocery(), purchases(30));
    let mut more = purchases(30);
    let late = format!("{}", 201 * DAY);
    more.push(purchase(&late, "m1", 201 * DAY, 90));
    let more = ran(grocery(), more);
    assert_eq!(more.events, usual.events + 1);
    assert_ne!(more.digest, usual.digest);
    let poorer = grocery_with("program.toml", "limit = \"4500.00\"", "limit = \"1500.00\"");
    assert_ne!(ran(poorer, purchases(30)).digest, usual.digest);
    let options = Options { seed: 1, ..Options::around(start()) };
    let reseeded = run(grocery(), models(), &options, purchases(30), |_| {}).unwrap();
    assert_eq!(reseeded.decisions, usual.decisions);
    assert_ne!(reseeded.digest, usual.digest);
}

#[test]
fn a_budget_that_is_too_small_is_never_overspent() {
    // Every budget a hundredth of the usual.
    let poor = ran(grocery_with("program.toml", "00.00\"", ".00\""), purchases(80));
    let usual = ran(grocery(), purchases(80));
    assert_eq!(poor.overspend, 0);
    assert!(poor.rewards_promised > 0, "{poor:?}");
    assert!(poor.rewards_promised < usual.rewards_promised, "the budgets were not scarce: {poor:?}");
    for budget in &poor.budgets {
        assert!(budget.committed_micros + budget.reserved_micros <= budget.limit_micros, "{budget:?}");
    }
}

#[test]
fn bad_and_repeated_events_are_refused_with_their_reason() {
    let good = purchase("a", "m", 0, 30);
    let events = vec![
        good.clone(),
        good,
        purchase("a", "other", 5, 30),
        b"short,line".to_vec(),
        event("b", "m", 1, r#""type":"wizard""#),
        event("c", "m", 1, r#""type":"purchase","data":{"amount":"-4.00"}"#),
        event("d", "m", 1, r#""type":"redeemed","data":{"decision":"00000000-0000-8000-8000-000000000000"}"#),
        purchase("e", "m", 2, 30),
        String::from_utf8(purchase("f", "m", 2, 30)).unwrap().replace("2019-", "1919-").into_bytes(),
        String::from_utf8(purchase("g", "m", 2, 30)).unwrap().replace("2019-", "2919-").into_bytes(),
    ];
    let report = ran(grocery(), events);
    let expected = [
        ("AMOUNT_OUT_OF_RANGE", 1),
        ("DUPLICATE_EVENT", 2),
        ("MALFORMED_JSON", 1),
        ("TIME_IN_FUTURE", 1),
        ("TIME_TOO_OLD", 1),
        ("UNKNOWN_REFERENCE", 1),
        ("UNKNOWN_TYPE", 1),
    ];
    assert_eq!(report.dead_letters, expected.into());
    assert_eq!(report.events, 10);
}

#[test]
fn a_promise_that_ends_unused_gives_its_money_back() {
    let mut host = Host::new(grocery(), models(), &Options::around(start())).unwrap();
    for event in purchases(40) {
        host.event(&event).unwrap();
    }
    let open = host.report();
    let held = |report: &Report| {
        report.budgets.iter().find(|budget| budget.id == "global").unwrap().committed_micros
    };
    assert!(held(&open) > 0);
    // Nobody shops for months: every promise ends, also those that the last timers lead to.
    host.event(&event("much-later", "stranger", 360 * DAY, r#""type":"complaint""#)).unwrap();
    let later = host.report();
    assert!(later.rewards_ended_unused > open.rewards_ended_unused);
    assert_eq!(later.rewards_promised, later.rewards_ended_unused, "{later:?}");
    assert_eq!(held(&later), 0);
    assert!(later.budgets.iter().all(|budget| budget.committed_micros == 0), "{later:?}");
}

#[test]
fn a_timer_fires_at_its_time_and_not_when_the_next_event_comes() {
    let mut host = Host::new(grocery(), models(), &Options::around(start())).unwrap();
    for visit in 0..6 {
        host.event(&purchase(&format!("v{visit}"), "m", visit * 4 * DAY, 80)).unwrap();
    }
    let before = host.report();
    host.event(&purchase("other", "stranger", 20 * DAY + 7 * DAY, 80)).unwrap();
    assert_eq!(host.report().timers, before.timers, "nothing is due after a quiet week");
    host.event(&purchase("other-2", "stranger", 20 * DAY + 17 * DAY, 80)).unwrap();
    assert!(host.report().timers > before.timers, "two quiet weeks have passed");
}

/// Every decision of a run.
fn decisions(bundle: &Arc<Bundle>, events: Vec<Vec<u8>>) -> Vec<Decision> {
    let mut host = Host::new(Arc::clone(bundle), models(), &Options::around(start())).unwrap();
    host.made = Some(Vec::new());
    for event in events {
        host.event(&event).unwrap();
    }
    host.made.take().unwrap()
}

fn promised(decisions: &[Decision]) -> impl Iterator<Item = &Decision> {
    decisions.iter().filter(|decision| decision.chosen.is_some())
}

/// Whether some candidate was refused for this reason.
fn met(decisions: &[Decision], reason: Reason) -> bool {
    decisions.iter().any(|decision| decision.candidates.iter().any(|candidate| candidate.reason == reason))
}

#[test]
fn no_window_of_time_takes_more_than_its_budget() {
    let window = "[[budget.window]]\nid = \"day\"\nhours = 24\nlimit = \"6.00\"\n\n[budget.segments]";
    let bundle = grocery_with("program.toml", "[budget.segments]", window);
    let decisions = decisions(&bundle, purchases(80));
    let mut days = std::collections::BTreeMap::new();
    for decision in promised(&decisions) {
        *days.entry(bundle.window_at(24, decision.decided_at)).or_insert(0) += decision.cost.0;
    }
    assert!(days.values().all(|spent| *spent <= 6_000_000), "{days:?}");
    assert!(days.values().any(|spent| *spent > 4_000_000), "the limit was never near: {days:?}");
    assert!(met(&decisions, Reason::WindowBudget));
}

#[test]
fn no_more_is_promised_and_unused_at_a_time_than_the_exposure_allows() {
    let exposure = "[exposure]\nlimit = \"25.00\"\n\n[approval]";
    let bundle = grocery_with("program.toml", "[approval]", exposure);
    let decisions = decisions(&bundle, purchases(80));
    let promises: Vec<&Decision> = promised(&decisions).collect();
    let mut most = 0;
    for decision in &promises {
        let open = promises.iter().filter(|earlier| {
            earlier.decided_at <= decision.decided_at && earlier.valid_until > Some(decision.decided_at)
        });
        most = most.max(open.map(|earlier| earlier.cost.0).sum());
    }
    assert!(most <= 25_000_000 && most > 20_000_000, "{most}");
    assert!(met(&decisions, Reason::ExposureLimit));
    // What ends makes room: more than ever fits at once is promised over the year.
    assert!(promises.iter().map(|decision| decision.cost.0).sum::<i64>() > 100_000_000);
}

#[test]
fn a_used_promise_makes_room_at_once() {
    let exposure = "[exposure]\nlimit = \"2.00\"\n\n[approval]";
    let bundle = grocery_with("program.toml", "[approval]", exposure);
    let mut host = Host::new(Arc::clone(&bundle), models(), &Options::around(start())).unwrap();
    let (mut used, mut promises, mut spent) = (0, 0, 0);
    for event in purchases(60) {
        host.made = Some(Vec::new());
        host.event(&event).unwrap();
        for decision in promised(&host.made.take().unwrap()) {
            promises += 1;
            spent += decision.cost.0;
            // Used within the hour, at the same till.
            let rest = format!(r#""type":"redeemed","data":{{"decision":"{}"}}"#, decision.id);
            let event = redeemed(&decision.event, &format!("u{promises}"), &rest, &host);
            host.handle(&event).unwrap();
            used += 1;
        }
    }
    assert!(promises > 20 && used == promises && spent > 20_000_000, "{promises} promises, {spent}");
}

/// The event of a promise's use, by the pseudonym the promise was made under.
fn redeemed(of: &domain::Event, id: &str, rest: &str, host: &Host) -> domain::Event {
    let wire = event(id, "anybody", 0, rest);
    let limits = &Options::around(start()).limits;
    let event = domain::event::wire::parse(&wire, limits).unwrap().under(of.member);
    domain::Event { event_time: host.clock, ..event }
}

#[test]
fn a_floor_brings_promises_to_a_segment_that_others_outbid() {
    // Every budget a hundredth of the usual, so that segments outbid each other.
    let poor = |floor: &str| {
        let file = |(name, text): &(&'static str, &'static str)| {
            let text = match *name {
                "program.toml" => text.replace("00.00\"", ".00\""),
                "segments.toml" => text.replace("id = \"growing\"\n", &format!("id = \"growing\"\n{floor}")),
                _ => (*text).to_owned(),
            };
            (*name, text)
        };
        let files: Vec<(&str, String)> = starter::GROCERY.iter().map(file).collect();
        let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
        Arc::new(Bundle::from_files(&files).unwrap())
    };
    let count = |bundle: &Arc<Bundle>| {
        let growing = bundle.segment_named("growing").unwrap();
        let decisions = decisions(bundle, purchases(80));
        let of = |decision: &&Decision| decision.segment == Some(growing);
        (promised(&decisions).filter(of).count(), decisions.iter().filter(of).count())
    };
    let ((few, _), (more, moments)) = (count(&poor("")), count(&poor("floor = 8\n")));
    assert!(more > few, "{few} promises without a floor, {more} with one, at {moments} moments");
}

#[test]
fn members_of_a_variant_are_not_offered_what_it_withholds_and_say_so() {
    let variant = "[[variant]]\nid = \"no-vouchers\"\nshare = \"40 %\"\nwithhold = [\"voucher-3\", \"voucher-5\"]\n\n[holdout]";
    let bundle = grocery_with("experiments.toml", "[holdout]", variant);
    let vouchers = ["voucher-3", "voucher-5"].map(|reward| bundle.reward_named(reward));
    let decisions = decisions(&bundle, purchases(80));
    let (within, outside): (Vec<_>, Vec<_>) =
        promised(&decisions).partition(|decision| decision.public().variant == Some(1));
    assert!(within.iter().all(|decision| !vouchers.contains(&decision.chosen)));
    assert!(outside.iter().any(|decision| vouchers.contains(&decision.chosen)));
    assert!(within.len() > 20 && met(&decisions, Reason::VariantWithheld));
}
