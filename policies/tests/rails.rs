//! Value rails, exclusive rewards, variants, partners' terms and limits: what they refuse, and what is refused of them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use domain::facts::Field;
use domain::random::splitmix64;
use domain::{Facts, MemberId, Reason, RewardIndex, SegmentIndex, Timestamp, time};
use policies::analysis::usual;
use policies::{Bundle, Measure, Situation, Sources, Stops, analyse, starter};
use support::{edited, edited_all};

const NOON: Timestamp = Timestamp(1_500_000_000_000_000);

/// A purchase of 50 dollars at a till by somebody about whom nothing speaks against a reward.
fn purchase(changes: &[(Field, i64)]) -> Facts {
    let mut facts = usual();
    changes.iter().for_each(|(field, value)| facts.set(*field, *value));
    facts
}

fn at<'a>(facts: &'a Facts, now: Timestamp) -> Situation<'a> {
    Situation { facts, now, grants: &[], stops: Stops::default() }
}

/// Why a reward is refused to a member of a segment at a purchase, if it is, and the rule that says so.
fn refused(
    bundle: &Bundle,
    segment: Option<&str>,
    reward: &str,
    facts: &Facts,
    now: Timestamp,
) -> Option<(Reason, String)> {
    let moment = bundle.moment_named("purchase").unwrap();
    let reward = bundle.reward_named(reward).unwrap();
    let segment = segment.map(|segment| bundle.segment_named(segment).unwrap());
    let mut facts = facts.clone();
    bundle.put_reward_facts(reward, now, &[], &mut facts);
    let (reason, rule) = bundle.candidate(moment, segment, reward, &at(&facts, now)).err()?;
    Some((reason, bundle.rule(rule.unwrap()).unwrap().id.clone()))
}

fn named(reason: Reason, rule: &str) -> Option<(Reason, String)> {
    Some((reason, rule.to_owned()))
}

#[test]
fn nothing_is_promised_on_an_event_riskier_than_the_limit() {
    let bundle = edited("guardrails.toml", "cool_down_hours", "risk_max = 70\ncool_down_hours").unwrap();
    let moment = bundle.moment_named("purchase").unwrap();
    let gate = |risk| {
        let facts = purchase(&[(Field::EventRisk, risk)]);
        bundle.gate(moment, &at(&facts, NOON)).err().map(|refusal| refusal.reason)
    };
    assert_eq!((gate(0), gate(70), gate(71)), (None, None, Some(Reason::RiskLimit)));
}

#[test]
fn the_least_margin_is_left_of_a_purchase() {
    // Of 50 dollars 28 % are earned and 20 % have to be left: four dollars are free.
    let margin = "[margin]\ngross = \"28 %\"\nmin = \"20 %\"\n\n[consent]";
    let bundle = edited("guardrails.toml", "[consent]", margin).unwrap();
    let of =
        |amount: i64| refused(&bundle, None, "voucher-3", &purchase(&[(Field::EventAmount, amount)]), NOON);
    assert_eq!(of(37_500_000), None);
    assert_eq!(of(37_499_999), named(Reason::MinMargin, "guardrails.margin"));
    assert_eq!(of(0), None, "a moment without an amount has no margin");
}

#[test]
fn a_promise_costs_at_most_the_segments_ceiling() {
    let ceiling = "id = \"newcomers\"\nceiling = \"2.99\"";
    let bundle = edited("segments.toml", "id = \"newcomers\"", ceiling).unwrap();
    let facts = purchase(&[]);
    let told = |segment| refused(&bundle, Some(segment), "voucher-3", &facts, NOON);
    assert_eq!(told("newcomers"), named(Reason::SegmentCeiling, "segments.newcomers.ceiling"));
    assert_eq!(told("loyal"), None);
    let bundle = edited("segments.toml", "id = \"newcomers\"", &ceiling.replace("2.99", "3.00")).unwrap();
    assert_eq!(
        refused(&bundle, Some("newcomers"), "voucher-3", &facts, NOON),
        None,
        "as much as it costs is enough"
    );
}

#[test]
fn nothing_is_promised_that_outlives_the_partners_agreement() {
    let terms = "[[partner]]\nname = \"Harbor Fuel\"\nuntil = \"2017-07-31\"\n";
    let bundle = edited_all(&[
        ("catalog.toml", "id = \"fuel-10c\"\n", "id = \"fuel-10c\"\npartner = \"Harbor Fuel\"\n"),
        ("catalog.toml", "[[reward]]", &format!("{terms}\n[[reward]]")),
    ])
    .unwrap();
    let facts = purchase(&[]);
    // The last of July ends at four in the morning of the first of August, UTC; fuel is valid for 14 days.
    let last: Timestamp = "2017-07-18T04:00:00Z".parse().unwrap();
    assert_eq!(refused(&bundle, None, "fuel-10c", &facts, last), None);
    let told = refused(&bundle, None, "fuel-10c", &facts, last.plus(1));
    assert_eq!(told, named(Reason::PartnerTerms, "catalog.partner.Harbor Fuel.until"));
    assert_eq!(refused(&bundle, None, "cinema", &facts, last.plus(1)), None);
}

#[test]
fn a_variant_takes_rewards_from_its_share_of_members_and_keeps_them() {
    let variant = "[[variant]]\nid = \"no-vouchers\"\nshare = \"10 %\"\nwithhold = [\"voucher-3\"]\n\
                   [[variant]]\nid = \"no-coffee\"\nshare = \"5 %\"\nwithhold = [\"welcome-coffee\"]\n\n[holdout]";
    let bundle = edited("experiments.toml", "[holdout]", variant).unwrap();
    let in_first = purchase(&[(Field::MemberVariant, 1)]);
    let told = refused(&bundle, None, "voucher-3", &in_first, NOON);
    assert_eq!(told, named(Reason::VariantWithheld, "experiments.variant.no-vouchers"));
    assert_eq!(refused(&bundle, None, "voucher-3", &purchase(&[(Field::MemberVariant, 2)]), NOON), None);
    assert_eq!(refused(&bundle, None, "points-50", &in_first, NOON), None);
    let member = |number: u64| {
        let [high, low] = [number, !number].map(splitmix64);
        MemberId((u128::from(high) << 64 | u128::from(low)).to_be_bytes())
    };
    let mut members = [0u32; 3];
    (0..20_000).for_each(|number| members[usize::from(bundle.variant_of(member(number)))] += 1);
    assert!((1_850..2_150).contains(&members[1]) && (880..1_120).contains(&members[2]), "{members:?}");
    // A later policy with the same salt and order leaves everybody where they were.
    let more = edited("experiments.toml", "[holdout]", &variant.replace("5 %", "9 %")).unwrap();
    for number in 0..1_000 {
        let before = bundle.variant_of(member(number));
        assert!(before == 0 || more.variant_of(member(number)) == before);
    }
}

fn exclusive(rewards: &[&str]) -> Bundle {
    let edits: Vec<(String, String)> = rewards
        .iter()
        .map(|reward| (format!("id = \"{reward}\"\n"), format!("id = \"{reward}\"\nexclusive = true\n")))
        .collect();
    let edits: Vec<(&str, &str, &str)> =
        edits.iter().map(|(from, to)| ("catalog.toml", from.as_str(), to.as_str())).collect();
    edited_all(&edits).unwrap()
}

#[test]
fn where_an_exclusive_reward_is_open_nothing_else_competes() {
    let bundle = exclusive(&["cinema"]);
    let bit = |reward: &str| 1u64 << bundle.reward_named(reward).unwrap().0;
    let (cinema, points, fuel) = (bit("cinema"), bit("points-50"), bit("fuel-10c"));
    let (refused, rule) = bundle.giving_way(cinema | points | fuel).unwrap();
    assert_eq!(refused, points | fuel);
    assert_eq!(bundle.rule(rule).unwrap().id, "catalog.cinema.exclusive");
    assert_eq!(bundle.giving_way(points | fuel), None);
    assert_eq!(bundle.giving_way(cinema), None);
}

#[test]
fn two_exclusive_rewards_that_are_open_at_once_fail_closed() {
    let bundle = exclusive(&["cinema", "voucher-3"]);
    let bit = |reward: &str| 1u64 << bundle.reward_named(reward).unwrap().0;
    let open = bit("cinema") | bit("voucher-3") | bit("points-50");
    assert_eq!(bundle.giving_way(open).unwrap().0, open);
}

fn insights(edits: &[(&str, &str, &str)]) -> String {
    let mut files = starter::GROCERY.map(|(name, text)| (name, text.to_owned()));
    for (file, from, to) in edits {
        let (_, text) = files.iter_mut().find(|(name, _)| name == file).unwrap();
        assert!(text.contains(from), "{file} does not contain {from:?}");
        *text = text.replacen(from, to, 1);
    }
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let sources = Sources::from_files(&files).unwrap();
    let bundle = policies::check::check(&sources).unwrap_or_else(|problems| panic!("{}", problems.render()));
    analyse(&bundle, &sources).iter().map(ToString::to_string).collect()
}

#[test]
fn exclusive_rewards_that_overlap_are_shown_with_a_member_who_may_have_both() {
    let cinema = ("catalog.toml", "id = \"cinema\"\n", "id = \"cinema\"\nexclusive = true\n");
    let coffee = ("catalog.toml", "id = \"welcome-coffee\"\n", "id = \"welcome-coffee\"\nexclusive = true\n");
    insta::assert_snapshot!(insights(&[cinema, coffee]));
    // Conditions that exclude each other are no overlap, also where they read the reward.
    let never_new = (
        "catalog.toml",
        "expr = '''member.trips_91d >= 5'''",
        "expr = '''member.trips_91d >= 5 && member.tenure_days > 91 && member.overdue < 2.0 && reward.cost >= 6.00'''",
    );
    assert_eq!(insights(&[cinema, coffee, never_new]), "");
    assert_eq!(insights(&[cinema]), "");
    // Nor are they open where no segment pays for both.
    let pays_little = ("segments.toml", "autonomy = \"auto\"", "autonomy = 'auto'\nceiling = \"1.00\"");
    let said = insights(&[&[cinema, coffee][..], &[pays_little; 7]].concat());
    assert!(!said.contains("POL0082"), "{said}");
    // Nor where everybody is in a variant that leaves one of them out.
    let variants = (
        "experiments.toml",
        "[holdout]",
        "[[variant]]\nid = \"a\"\nshare = \"50 %\"\nwithhold = [\"cinema\"]\n\n[[variant]]\nid = \"b\"\nshare = \"50 %\"\nwithhold = [\"welcome-coffee\"]\n\n[holdout]",
    );
    let said = insights(&[cinema, coffee, variants]);
    assert!(!said.contains("POL0082"), "{said}");
}

#[test]
fn limits_say_what_they_count_and_of_whom() {
    let bundle = edited_all(&[
        ("program.toml", "[approval]", "[exposure]\nlimit = \"900.00\"\n[exposure.segments]\nnewcomers = \"100.00\"\n\n[escalation]\nwaiting = 3\n\n[approval]"),
        ("program.toml", "[budget.segments]", "[[budget.window]]\nid = \"day\"\nhours = 24\nlimit = \"80.00\"\nsegment = \"loyal\"\n\n[budget.segments]"),
        ("catalog.toml", "id = \"fuel-10c\"\n", "id = \"fuel-10c\"\npartner = \"Harbor Fuel\"\n"),
        ("catalog.toml", "[[reward]]", "[[partner]]\nname = \"Harbor Fuel\"\nexposure = \"60.00\"\nlimit = \"9.00\"\nhours = 1\n\n[[reward]]"),
    ])
    .unwrap();
    let (fuel, points) = (bundle.reward_named("fuel-10c").unwrap(), RewardIndex(0));
    let (loyal, other) = (bundle.segment_named("loyal").unwrap(), SegmentIndex(0));
    let told: Vec<(Measure, &str, i64, u16, [bool; 3])> = bundle
        .limits()
        .iter()
        .map(|limit| {
            let covers =
                [limit.covers(loyal, points), limit.covers(other, fuel), limit.covers(other, points)];
            (limit.measure, &*bundle.rule(limit.rule).unwrap().id, limit.amount, limit.hours, covers)
        })
        .collect();
    assert_eq!(
        told,
        [
            (Measure::Open, "program.exposure", 900_000_000, 0, [true; 3]),
            (Measure::Open, "program.exposure.segments.newcomers", 100_000_000, 0, [false; 3]),
            (Measure::Window, "program.window.day", 80_000_000, 24, [true, false, false]),
            (Measure::Waiting, "program.escalation.waiting", 3, 0, [true; 3]),
            (Measure::Open, "catalog.partner.Harbor Fuel.exposure", 60_000_000, 0, [false, true, false]),
            (Measure::Window, "catalog.partner.Harbor Fuel.limit", 9_000_000, 1, [false, true, false]),
        ]
    );
}

#[test]
fn windows_begin_at_midnight_of_the_program_and_follow_one_another() {
    let bundle = starter::grocery().unwrap();
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let day = |text| bundle.window_at(24, at(text));
    assert_eq!(day("2017-07-18T03:59:59Z") + 1, day("2017-07-18T04:00:00Z"));
    assert_eq!(day("2017-07-18T04:00:00Z"), day("2017-07-19T03:59:59Z"));
    // In winter the zone is an hour further away.
    assert_eq!(day("2017-12-18T04:59:59Z") + 1, day("2017-12-18T05:00:00Z"));
    // The hour that is repeated in November is one window.
    let hour = |text| bundle.window_at(1, at(text));
    assert_eq!(hour("2017-11-05T05:30:00Z"), hour("2017-11-05T06:30:00Z"));
    assert_eq!(bundle.window_at(24, Timestamp(-time::DAY)), -2, "the evening before the day before 1970");
    let began = |hours, text| bundle.window_began(hours, at(text));
    assert_eq!(began(24, "2017-07-18T15:20:00Z"), at("2017-07-18T04:00:00Z"));
    assert_eq!(began(1, "2017-07-18T15:20:00Z"), at("2017-07-18T15:00:00Z"));
    // The day on which the clock is turned back began by summer time.
    assert_eq!(began(24, "2017-11-05T20:00:00Z"), at("2017-11-05T04:00:00Z"));
}
