//! What the gates of the starter bundle say, one claim per test, and the trace held to the gates.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use domain::facts::{Field, NEVER};
use domain::{Facts, MemberId, Micros, Milli, Outcome, Ppm, Reason, RewardIndex, Timestamp, time};
use policies::{Bundle, Grant, MomentIndex, Refusal, Situation, Stops, starter};
use proptest::prelude::*;
use support::{edited, edited_all};

const NOON: Timestamp = Timestamp(1_500_000_000_000_000);

fn grocery() -> Bundle {
    starter::grocery().unwrap_or_else(|problems| panic!("{}", problems.render()))
}

/// A regular who bought for 50 dollars at a till at noon, and about whom nothing speaks against a reward.
fn fine() -> Facts {
    let mut facts = Facts::default();
    let mut set =
        |fields: &[(Field, i64)]| fields.iter().for_each(|(field, value)| facts.set(*field, *value));
    set(&[
        (Field::NowHour, 12),
        (Field::NowWeekday, 3),
        (Field::EventType, 0),
        (Field::EventTouchpoint, 5),
        (Field::EventSettlement, 1),
        (Field::EventAmount, 50_000_000),
        (Field::MemberConsentMarketing, 1),
        (Field::MemberConsentProfiling, 1),
        (Field::MemberDaysSinceComplaint, NEVER),
        (Field::MemberDaysSinceRefund, NEVER),
        (Field::MemberDaysSinceSensitive, NEVER),
        (Field::MemberHoursSinceOffer, NEVER),
    ]);
    set(&[
        (Field::MemberTenureDays, 200),
        (Field::MemberTrips, 60),
        (Field::MemberTrips28d, 8),
        (Field::MemberTrips91d, 26),
        (Field::MemberSpend91d, 900_000_000),
        (Field::MemberSpend28d, 250_000_000),
        (Field::MemberBasketMean, 35_000_000),
        (Field::MemberScored, 1),
        (Field::MemberLtv91d, 900_000_000),
        (Field::MemberChurn60d, 30_000),
        (Field::RewardDaysSince, NEVER),
    ]);
    facts
}

fn with(changes: &[(Field, i64)]) -> Facts {
    let mut facts = fine();
    changes.iter().for_each(|(field, value)| facts.set(*field, *value));
    facts
}

fn situation<'a>(facts: &'a Facts, grants: &'a [Grant]) -> Situation<'a> {
    Situation { facts, now: NOON, grants, stops: Stops::default() }
}

fn granted(days_ago: i64, reward: u8) -> Grant {
    Grant { at: NOON.plus(-days_ago * time::DAY), reward: Some(RewardIndex(reward)) }
}

/// The refusal of the purchase moment as (reason, rule id).
fn gate(bundle: &Bundle, changes: &[(Field, i64)], grants: &[Grant]) -> Option<(Reason, String)> {
    let facts = with(changes);
    let moment = bundle.moment_named("purchase").unwrap();
    let refusal = bundle.gate(moment, &situation(&facts, grants)).err()?;
    Some((refusal.reason, bundle.rule(refusal.rule.unwrap()).unwrap().id.clone()))
}

fn check_gate(changes: &[(Field, i64)], reason: Reason, rule: &str) {
    assert_eq!(gate(&grocery(), changes, &[]), Some((reason, rule.to_owned())), "{changes:?}");
}

fn candidate(reward: &str, changes: &[(Field, i64)], grants: &[Grant]) -> Option<(Reason, Option<String>)> {
    let bundle = grocery();
    let mut facts = with(changes);
    let moment = bundle.moment_named("purchase").unwrap();
    let reward = bundle.reward_named(reward).unwrap();
    bundle.put_reward_facts(reward, NOON, grants, &mut facts);
    let (reason, rule) = bundle.candidate(moment, None, reward, &situation(&facts, grants)).err()?;
    Some((reason, rule.map(|rule| bundle.rule(rule).unwrap().id.clone())))
}

fn check_candidate(reward: &str, changes: &[(Field, i64)], reason: Reason, rule: &str) {
    assert_eq!(candidate(reward, changes, &[]), Some((reason, Some(rule.to_owned()))), "{changes:?}");
}

#[test]
fn nothing_refuses_a_member_nothing_speaks_against() {
    let bundle = grocery();
    assert_eq!(bundle.gate_before_scores(&fine(), Stops::default()), Ok(()));
    assert_eq!(gate(&bundle, &[], &[]), None);
    assert_eq!(candidate("points-50", &[], &[]), None);
}

#[test]
fn without_consent_for_every_purpose_nobody_is_considered() {
    let bundle = grocery();
    for field in [Field::MemberConsentMarketing, Field::MemberConsentProfiling] {
        let refusal = bundle.gate_before_scores(&with(&[(field, 0)]), Stops::default()).unwrap_err();
        assert_eq!((refusal.reason, refusal.outcome), (Reason::NoConsent, Outcome::Denied));
    }
}

#[test]
fn objection_and_minority_are_asked_before_scores() {
    let bundle = grocery();
    let reason = |changes: &[(Field, i64)]| {
        bundle.gate_before_scores(&with(changes), Stops::default()).unwrap_err().reason
    };
    assert_eq!(reason(&[(Field::MemberObjected, 1)]), Reason::Objected);
    assert_eq!(reason(&[(Field::MemberMinor, 1)]), Reason::Minor);
}

#[test]
fn minors_are_members_where_the_bundle_includes_them() {
    let bundle = edited("guardrails.toml", "minors = \"exclude\"", "minors = \"include\"").unwrap();
    assert_eq!(bundle.gate_before_scores(&with(&[(Field::MemberMinor, 1)]), Stops::default()), Ok(()));
}

#[test]
fn kill_switches_come_before_everything_else() {
    let bundle = grocery();
    let program = Stops { program: true, ..Stops::default() };
    let nothing_else_right = with(&[(Field::MemberConsentMarketing, 0), (Field::MemberMinor, 1)]);
    let refusal = bundle.gate_before_scores(&nothing_else_right, program).unwrap_err();
    assert_eq!(refusal, Refusal { reason: Reason::KillSwitch, rule: None, outcome: Outcome::Denied });
    let stopped = edited("program.toml", "program = false", "program = true").unwrap();
    let refusal = stopped.gate_before_scores(&fine(), Stops::default()).unwrap_err();
    assert_eq!(stopped.rule(refusal.rule.unwrap()).unwrap().id, "program.stop");
}

#[test]
fn segments_moments_and_rewards_can_be_stopped_alone() {
    let bundle = grocery();
    let loyal = bundle.segment_named("loyal").unwrap();
    assert_eq!(bundle.segment_of(&fine(), Stops::default()), Ok(loyal));
    let stops = Stops { segments: 1 << loyal.0, rewards: 1, ..Stops::default() };
    assert_eq!(bundle.segment_of(&fine(), stops).unwrap_err().reason, Reason::KillSwitch);
    let facts = fine();
    let moment = bundle.moment_named("purchase").unwrap();
    let stopped = Situation { stops, ..situation(&facts, &[]) };
    assert_eq!(bundle.candidate(moment, None, RewardIndex(0), &stopped), Err((Reason::KillSwitch, None)));
    let stops = Stops { moments: 1 << moment.0, ..Stops::default() };
    let stopped = Situation { stops, ..situation(&facts, &[]) };
    assert_eq!(bundle.gate(moment, &stopped).unwrap_err().reason, Reason::KillSwitch);
    assert_eq!(bundle.gate(moment, &situation(&facts, &[])), Ok(()));
    let in_bundle = edited_all(&[
        ("program.toml", "segments = []", "segments = [\"loyal\"]"),
        ("program.toml", "rewards = []", "rewards = [\"points-50\"]"),
    ])
    .unwrap();
    assert_eq!(in_bundle.segment_of(&fine(), Stops::default()).unwrap_err().reason, Reason::KillSwitch);
    let refused = in_bundle.candidate(moment, None, RewardIndex(0), &situation(&facts, &[])).unwrap_err();
    assert_eq!(refused.0, Reason::KillSwitch);
}

#[test]
fn complaints_silence_until_resolved_and_for_fourteen_days() {
    let rule = "guardrails.suppress.complaint_days";
    check_gate(&[(Field::MemberComplaintOpen, 1)], Reason::ComplaintOpen, rule);
    check_gate(&[(Field::MemberDaysSinceComplaint, 13)], Reason::ComplaintOpen, rule);
    assert_eq!(gate(&grocery(), &[(Field::MemberDaysSinceComplaint, 14)], &[]), None);
}

#[test]
fn refunds_and_sensitive_contexts_silence() {
    check_gate(&[(Field::MemberDaysSinceRefund, 6)], Reason::RecentRefund, "guardrails.suppress.refund_days");
    check_gate(
        &[(Field::MemberDaysSinceSensitive, 29)],
        Reason::SensitiveContext,
        "guardrails.suppress.sensitive_days",
    );
    let over = [(Field::MemberDaysSinceRefund, 7), (Field::MemberDaysSinceSensitive, 30)];
    assert_eq!(gate(&grocery(), &over, &[]), None);
}

#[test]
fn no_message_leaves_at_night_but_a_till_may_print() {
    let bundle = grocery();
    let timer = bundle.moment_named("inactive-45").unwrap();
    for (hour, quiet) in [(20, false), (21, true), (23, true), (0, true), (7, true), (8, false)] {
        let facts = with(&[(Field::NowHour, hour), (Field::EventTouchpoint, 7)]);
        let refusal = bundle.gate(timer, &situation(&facts, &[]));
        assert_eq!(refusal.is_err_and(|refusal| refusal.reason == Reason::QuietHours), quiet, "{hour} h");
        assert_eq!(gate(&bundle, &[(Field::NowHour, hour)], &[]), None, "till at {hour} h");
    }
}

#[test]
fn no_promise_rests_on_a_provisional_fact_unless_the_moment_says_so() {
    check_gate(&[(Field::EventSettlement, 0)], Reason::ProvisionalFact, "moments.purchase.provisional");
    check_gate(&[(Field::MemberProvisional, 1)], Reason::ProvisionalFact, "moments.purchase.provisional");
    let bundle = grocery();
    let order = bundle.moment_named("online-order").unwrap();
    let facts =
        with(&[(Field::EventSettlement, 0), (Field::EventTouchpoint, 3), (Field::MemberProvisional, 1)]);
    assert_eq!(bundle.gate(order, &situation(&facts, &[])), Ok(()));
}

#[test]
fn a_late_event_is_no_occasion_any_more() {
    check_gate(&[(Field::EventAgeHours, 2)], Reason::StaleMoment, "moments.purchase.stale_hours");
    assert_eq!(gate(&grocery(), &[(Field::EventAgeHours, 1)], &[]), None);
}

#[test]
fn second_offer_within_cool_down_is_refused() {
    check_gate(&[(Field::MemberHoursSinceOffer, 47)], Reason::CoolDown, "guardrails.cool_down_hours");
    assert_eq!(gate(&grocery(), &[(Field::MemberHoursSinceOffer, 48)], &[]), None);
}

#[test]
fn member_caps_slide_to_the_microsecond() {
    let bundle = grocery();
    let twice = [granted(27, 0), granted(3, 1)];
    let rule = "guardrails.member_cap.two-in-four-weeks".to_owned();
    assert_eq!(gate(&bundle, &[], &twice), Some((Reason::MemberCap, rule.clone())));
    let exactly_left = [granted(28, 0), granted(3, 1)];
    assert_eq!(gate(&bundle, &[], &exactly_left), None);
    let almost_left = [Grant { at: granted(28, 0).at.plus(1), ..granted(28, 0) }, granted(3, 1)];
    assert_eq!(gate(&bundle, &[], &almost_left), Some((Reason::MemberCap, rule)));
}

#[test]
fn promises_from_a_clock_that_jumped_back_count() {
    let ahead = [granted(-1, 0), granted(-2, 1)];
    assert_eq!(gate(&grocery(), &[], &ahead).map(|refusal| refusal.0), Some(Reason::MemberCap));
}

#[test]
fn vouchers_share_one_cap() {
    let bundle = grocery();
    let voucher = bundle.reward_named("voucher-5").unwrap().0;
    let cap = Some((Reason::RewardCap, Some("guardrails.reward_cap.one-voucher-in-four-weeks".to_owned())));
    assert_eq!(candidate("voucher-3", &[], &[granted(20, voucher)]), cap);
    assert_eq!(candidate("points-50", &[], &[granted(20, voucher)]), None);
    assert_eq!(candidate("voucher-3", &[], &[granted(28, voucher)]), None);
}

#[test]
fn deny_rules_deny_and_warnings_do_not() {
    check_gate(
        &[(Field::MemberOpenPromises, 3)],
        Reason::GuardrailDenied,
        "guardrails.rule.unused-rewards-first",
    );
    let daily = [(Field::MemberTrips28d, 20), (Field::MemberChurn60d, 19_999)];
    let rule = "guardrails.rule.no-vouchers-for-our-regulars";
    check_candidate("voucher-3", &daily, Reason::GuardrailDenied, rule);
    assert_eq!(candidate("points-50", &daily, &[]), None);
    // Over a quarter of the purchase: a warning only; over 40 %: refused.
    assert_eq!(candidate("voucher-5", &[(Field::EventAmount, 12_500_000)], &[]), None);
    check_candidate(
        "voucher-5",
        &[(Field::EventAmount, 12_499_999)],
        Reason::MaxDiscount,
        "guardrails.max_discount",
    );
}

#[test]
fn moments_without_an_amount_have_no_highest_discount() {
    assert_eq!(candidate("voucher-5", &[(Field::EventAmount, 0)], &[]), None);
}

#[test]
fn rewards_are_refused_with_the_condition_that_failed() {
    check_candidate(
        "cinema",
        &[(Field::MemberTrips91d, 4)],
        Reason::NotEligible,
        "catalog.cinema.eligible.regular",
    );
    check_candidate("free-delivery", &[], Reason::NotEligible, "catalog.free-delivery.touchpoints");
    assert_eq!(candidate("chefs-table", &[], &[]), Some((Reason::NotInMoment, None)));
}

#[test]
fn an_event_is_the_first_moment_it_starts_whose_conditions_hold() {
    let bundle = grocery();
    let id = |facts: &Facts| bundle.triggered(facts).map(|moment| bundle.moment(moment).id.as_str());
    assert_eq!(id(&with(&[(Field::EventAmount, 60_000_000)])), Some("big-basket"));
    assert_eq!(id(&with(&[(Field::EventAmount, 59_990_000)])), Some("purchase"));
    assert_eq!(id(&with(&[(Field::EventTouchpoint, 2)])), Some("online-order"));
    assert_eq!(id(&with(&[(Field::EventTouchpoint, 1)])), None);
    assert_eq!(id(&with(&[(Field::EventType, 4)])), None);
    let quiet =
        |days| with(&[(Field::EventType, 12), (Field::EventTouchpoint, 7), (Field::EventQuietDays, days)]);
    assert_eq!(id(&quiet(45)), Some("inactive-45"));
    assert_eq!(id(&quiet(44)), None);
}

#[test]
fn a_churn_warning_needs_the_score_and_is_triggered_without_it() {
    let bundle = grocery();
    let mut facts = with(&[(Field::EventType, 12), (Field::EventTouchpoint, 7), (Field::EventQuietDays, 14)]);
    // Before scores: personal facts are not filled and must not matter.
    for field in Field::ALL.iter().filter(|field| field.purpose().is_some()) {
        facts.set(*field, 0);
    }
    let first = bundle.triggered(&facts).unwrap();
    assert_eq!(bundle.moment(first).id, "churn-warning-14");
    facts.set(Field::MemberTrips, 10);
    facts.set(Field::MemberChurn60d, 79_999);
    let rule = bundle.confirmed(first, &facts).unwrap_err();
    assert_eq!(bundle.rule(rule).unwrap().id, "moments.churn-warning-14.when.wavering");
    facts.set(Field::MemberChurn60d, 80_000);
    assert_eq!(bundle.confirmed(first, &facts), Ok(first));
}

#[test]
fn members_nobody_describes_have_no_segment() {
    let bundle = edited("segments.toml", "name = \"Everyone else\"\nautonomy = \"auto\"", "name = \"Everyone else\"\nautonomy = \"auto\"\nwhen = [{ id = \"nobody\", expr = '''member.trips < 0''' }]").unwrap();
    let facts = with(&[(Field::MemberTrips91d, 12)]);
    let refusal = bundle.segment_of(&facts, Stops::default()).unwrap_err();
    assert_eq!(refusal, Refusal { reason: Reason::NoSegment, rule: None, outcome: Outcome::None });
    assert!(grocery().segment_of(&facts, Stops::default()).is_ok());
}

#[test]
fn value_is_largest_for_members_who_waver() {
    let bundle = grocery();
    let everyone = bundle.segment_named("everyone").unwrap();
    let voucher = bundle.reward_named("voucher-5").unwrap();
    let value = |churn| bundle.value(everyone, voucher, Micros::units(700), Ppm(churn)).levered;
    // 700 x 0.5 x 0.5 x 0.39
    assert_eq!(value(500_000), "68.25".parse().unwrap());
    assert!(value(10_000) < value(100_000) && value(990_000) < value(500_000));
    assert_eq!(value(0), Micros::ZERO);
    assert_eq!(value(1_000_000), Micros::ZERO);
    assert_eq!(value(4_000_000), Micros::ZERO, "probabilities above one count as one");
    let loyal = bundle.segment_named("loyal").unwrap();
    let levered = bundle.value(loyal, voucher, Micros::units(700), Ppm(500_000));
    assert_eq!((levered.raw, levered.lever), ("68.25".parse().unwrap(), Milli(700)));
    assert_eq!(levered.levered, "47.775".parse().unwrap());
}

#[test]
fn levers_of_a_reward_come_before_those_of_its_kind() {
    let bundle = grocery();
    let lever = |segment: &str, reward: &str| {
        bundle.lever(bundle.segment_named(segment).unwrap(), bundle.reward_named(reward).unwrap())
    };
    assert_eq!(lever("newcomers", "welcome-coffee"), Milli(1300));
    assert_eq!(lever("newcomers", "points-50"), Milli(1200));
    assert_eq!(lever("everyone", "points-50"), Milli::ONE);
}

#[test]
fn control_group_keeps_its_share_and_lasts_a_quarter() {
    let bundle = grocery();
    let member = |number: u128| MemberId((number * 0x9E37_79B9_7F4A_7C15).to_be_bytes());
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let count = (0..20_000).filter(|n| bundle.is_control(member(*n), at("2017-02-03T12:00:00Z"))).count();
    assert!((900..1_100).contains(&count), "{count} of 20,000 are 5 %");
    // Midnight in New York separates quarters, not midnight in London.
    let same = |a: &str, b: &str| {
        (0..2_000).all(|n| bundle.is_control(member(n), at(a)) == bundle.is_control(member(n), at(b)))
    };
    assert!(same("2017-01-01T05:00:00Z", "2017-04-01T03:59:59Z"));
    assert!(!same("2017-04-01T03:59:59Z", "2017-04-01T04:00:00Z"));
    let comment = edited("catalog.toml", "# --- delivery", "# --- deliveries").unwrap();
    assert_ne!(comment.digest(), bundle.digest());
    let (a, b) = (at("2017-02-03T12:00:00Z"), at("2017-02-03T12:00:00Z"));
    assert!((0..2_000).all(|n| bundle.is_control(member(n), a) == comment.is_control(member(n), b)));
}

#[test]
fn timers_wait_for_the_end_of_the_quiet_hours() {
    let bundle = grocery();
    assert_eq!(bundle.timers(), [14, 21, 45]);
    let due = |text: &str| bundle.timer_due(text.parse().unwrap(), 14);
    assert_eq!(due("2017-06-01T16:20:00-04:00"), "2017-06-15T16:20:00-04:00".parse().unwrap());
    assert_eq!(due("2017-06-01T22:20:00-04:00"), "2017-06-16T08:20:00-04:00".parse().unwrap());
    // Across the change to daylight saving time the timer stays out of the quiet hours.
    assert_eq!(due("2017-03-01T06:30:00-05:00"), "2017-03-15T08:30:00-04:00".parse().unwrap());
}

#[test]
fn the_plan_has_a_number_for_every_segment_and_reward() {
    let bundle = grocery();
    let plan = bundle.plan();
    assert_eq!((plan.segment_count(), plan.reward_count()), (7, 10));
    assert_eq!(plan.global, Micros::units(4_500));
    assert!(plan.segments.iter().all(|limit| *limit <= plan.global));
    assert_eq!(plan.inventory[usize::from(bundle.reward_named("cinema").unwrap().0)], Some(60));
    let unlisted = edited("program.toml", "everyone = \"900.00\"\n", "").unwrap();
    assert_eq!(unlisted.plan().segments[6], unlisted.plan().global);
}

#[test]
fn numbers_of_words_match_the_names_they_stand_for() {
    let facts = with(&[(Field::EventType, 12), (Field::EventSettlement, 0)]);
    assert_eq!(
        (facts.show(Field::EventType), facts.show(Field::EventSettlement)),
        ("quiet".into(), "provisional".into())
    );
    for reward in grocery().rewards() {
        let mut facts = Facts::default();
        facts.set(Field::RewardKind, reward.kind as i64);
        assert_eq!(facts.show(Field::RewardKind), format!("{:?}", reward.kind).to_lowercase());
    }
}

/// Facts around the values that rules of the starter bundle compare with.
fn some_facts() -> impl Strategy<Value = Facts> {
    prop::collection::vec(any::<(u8, u32)>(), Field::COUNT).prop_map(|draws| {
        let mut facts = fine();
        for (field, (keep, draw)) in Field::ALL.iter().zip(draws) {
            if keep < 200 {
                continue;
            }
            let draw = i64::from(draw);
            facts.set(
                *field,
                match field.kind() {
                    domain::facts::FieldKind::Bool => draw % 2,
                    domain::facts::FieldKind::Int => draw % 60,
                    domain::facts::FieldKind::Ratio => draw % 400_000,
                    domain::facts::FieldKind::Money => draw % 900_000_000,
                    domain::facts::FieldKind::Word(words) => draw % i64::try_from(words.len()).unwrap(),
                },
            );
        }
        facts
    })
}

fn some_grants() -> impl Strategy<Value = Vec<Grant>> {
    prop::collection::vec((0i64..200, 0u8..10).prop_map(|(days, reward)| granted(days, reward)), 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn the_trace_tells_what_the_gates_decided(facts in some_facts(), grants in some_grants(), at in 0u8..7, stopped: bool) {
        use policies::Stage;
        let bundle = grocery_once();
        let moment = MomentIndex(at);
        let stops = Stops { program: stopped, rewards: 4, ..Stops::default() };
        let asked = Situation { facts: &facts, now: NOON, grants: &grants, stops };
        let segment = bundle.segment_of(&facts, stops).unwrap();
        let findings = bundle.findings(moment, Some(segment), &asked);
        let first = |stage: Stage| findings.iter().find(|finding| finding.stage == stage && finding.refuses);
        let before = bundle.gate_before_scores(&facts, stops).err().map(|refusal| refusal.reason);
        prop_assert_eq!(before, first(Stage::BeforeScores).and_then(|finding| finding.reason(bundle)));
        let gate = bundle.gate(moment, &asked).err().and_then(|refusal| refusal.rule);
        prop_assert_eq!(gate, first(Stage::Guardrail).map(|finding| finding.rule));
        let mut row = facts.clone();
        for reward in (0u8..10).map(RewardIndex) {
            bundle.put_reward_facts(reward, NOON, &grants, &mut row);
            let answer = bundle.candidate(moment, None, reward, &Situation { facts: &row, ..asked });
            let told = first(Stage::Reward(reward));
            match answer {
                Ok(()) => prop_assert!(told.is_none(), "{told:?}"),
                Err((Reason::NotInMoment, _)) => prop_assert!(told.is_none(), "{told:?}"),
                Err((reason, rule)) => {
                    prop_assert_eq!(told.and_then(|finding| finding.reason(bundle)), Some(reason));
                    prop_assert!(rule.is_none() || rule == told.map(|finding| finding.rule));
                }
            }
        }
    }

    #[test]
    fn more_promises_never_allow_more(facts in some_facts(), grants in some_grants(), reward in 0u8..10) {
        let bundle = grocery_once();
        let moment = bundle.moment_named("purchase").unwrap();
        let allowed = |grants: &[Grant]| {
            let mut row = facts.clone();
            bundle.put_reward_facts(RewardIndex(reward), NOON, grants, &mut row);
            let asked = Situation { facts: &row, now: NOON, grants, stops: Stops::default() };
            bundle.gate(moment, &asked).is_ok() && bundle.candidate(moment, None, RewardIndex(reward), &asked).is_ok()
        };
        for kept in 0..grants.len() {
            prop_assert!(allowed(&grants[..kept]) || !allowed(&grants));
        }
    }
}

/// Checking a bundle takes milliseconds; property tests check it once.
fn grocery_once() -> &'static Bundle {
    static BUNDLE: std::sync::OnceLock<Bundle> = std::sync::OnceLock::new();
    BUNDLE.get_or_init(grocery)
}

#[test]
fn an_explanation_shows_every_condition_with_the_values_found() {
    let bundle = grocery();
    let grants = [granted(20, bundle.reward_named("voucher-5").unwrap().0)];
    let facts = with(&[(Field::MemberHoursSinceOffer, 480), (Field::MemberOffers28d, 1)]);
    let moment = bundle.moment_named("big-basket").unwrap();
    let loyal = bundle.segment_named("loyal").unwrap();
    let findings = bundle.findings(moment, Some(loyal), &situation(&facts, &grants));
    let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(lines.join("\n"));
}
