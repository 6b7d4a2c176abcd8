//! Findings of meaning held to every member and event there could be.
//!
//! Small bundles read a few facts and compare them with small numbers, so every row that differs for them can be
//! listed. The engine is asked about each; what it never does must be reported, what it does must not, and every
//! witness must be answered as the finding says.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::wildcard_enum_match_arm, reason = "few of the codes are told apart here")]

#[path = "support/small.rs"]
mod small;

use std::collections::BTreeSet;

use domain::facts::Field;
use domain::{Facts, Milli, Reason, RewardIndex, SegmentIndex, Timestamp};
use policies::analysis::usual;
use policies::{
    Bundle, Code, Insight, MomentIndex, Situation, Sources, Stops, Witness, analyse, bundle::Action,
    bundle::Condition,
};
use proptest::prelude::*;
use small::Small;

const NOW: Timestamp = Timestamp(0);

fn op() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["<", "<=", ">", ">=", "==", "!="])
}

/// Facts that are compared with each other, in either order.
fn trips() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["member.trips_28d", "member.trips_91d", "member.trips"])
}

/// A comparison; with `sums` also of several facts added up, which may end without an answer.
fn leaf(sums: bool) -> BoxedStrategy<String> {
    let simple = prop_oneof![
        3 => (op(), 0..9i64).prop_map(|(op, day)| format!("now.weekday {op} {day}")),
        3 => (op(), 0..4i64).prop_map(|(op, trips)| format!("member.trips {op} {trips}")),
        3 => (op(), 0..3i64).prop_map(|(op, amount)| format!("event.amount {op} {amount}.00")),
        2 => (op(), trips(), trips()).prop_map(|(op, left, right)| format!("{left} {op} {right}")),
        1 => (op(), 0..3i64).prop_map(|(op, trips)| format!("member.trips_28d + 1 {op} {trips}")),
        1 => Just("member.minor".to_owned()),
        1 => Just("!member.minor".to_owned()),
        1 => (op(), 0..3i64).prop_map(|(op, variant)| format!("member.variant {op} {variant}")),
        2 => prop::sample::select(vec!["pos", "app"]).prop_map(|at| format!("event.touchpoint == \"{at}\"")),
        1 => prop::collection::vec(1..8i64, 1..4).prop_map(|days| format!("now.weekday in {days:?}")),
    ];
    if !sums {
        return simple.boxed();
    }
    prop_oneof![
        4 => simple,
        1 => (op(), 0..3i64).prop_map(|(op, trips)| format!("{trips} {op} member.trips - member.trips_28d")),
        1 => op().prop_map(|op| format!("member.trips_28d * 2 {op} member.trips + 1")),
    ]
    .boxed()
}

fn condition(sums: bool) -> impl Strategy<Value = String> {
    prop_oneof![
        5 => leaf(sums),
        1 => (leaf(sums), leaf(sums)).prop_map(|(a, b)| format!("({a}) || ({b})")),
        1 => (leaf(sums), leaf(sums)).prop_map(|(a, b)| format!("!(({a}) && ({b}))")),
        1 => (leaf(sums), leaf(sums), leaf(sums)).prop_map(|(a, b, c)| format!("({a}) ? ({b}) : ({c})")),
    ]
}

fn list(sums: bool) -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(condition(sums), 0..=2)
}

fn rule(sums: bool) -> impl Strategy<Value = (String, Vec<String>)> {
    let kind = prop::sample::select(vec!["", "voucher", "points", "partner"]);
    let action = prop::sample::select(vec!["deny", "deny", "deny", "warn", "audit"]);
    (action, kind, prop::collection::vec(condition(sums), 1..3)).prop_map(|(action, kind, mut when)| {
        if !kind.is_empty() {
            when.insert(0, format!("reward.kind == \"{kind}\""));
        }
        (action.to_owned(), when)
    })
}

fn some_bundle(sums: bool) -> impl Strategy<Value = Small> {
    let lever = prop::sample::select(vec![900i64, 1000, 1200]);
    let trigger = prop::sample::select(vec![
        "{ event = \"purchase\" }",
        "{ event = \"purchase\", touchpoints = [\"pos\"] }",
        "{ event = \"visit\" }",
        "{ quiet_days = 14 }",
    ]);
    let kind = prop::sample::select(vec!["voucher", "points"]);
    let bounds = (
        prop::collection::vec((0..3usize, prop::sample::select(vec!["0.50", "1.00", "2.00"])), 0..3),
        prop::collection::btree_set(0..2usize, 0..3),
        prop::sample::select(vec![
            vec![],
            vec![("20 %", vec![0])],
            vec![("100 %", vec![0])],
            vec![("30 %", vec![0]), ("70 %", vec![1])],
            vec![("30 %", vec![0, 1]), ("60 %", vec![1])],
        ]),
        prop::option::weighted(0.3, Just((11u8, 14u8))),
    );
    (
        prop::collection::vec((list(sums), lever), 1..4),
        prop::collection::vec((trigger, list(sums), any::<bool>()), 1..4),
        prop::collection::vec((kind, 1..3i64, list(sums)), 1..3),
        prop::collection::vec(rule(sums), 0..4),
        prop::option::of(Just("50 %".to_owned())),
        bounds,
    )
        .prop_map(
            |(segments, moments, rewards, rules, max_discount, (ceilings, exclusive, variants, quiet))| {
                let every: Vec<usize> = (0..rewards.len()).collect();
                let moments = moments.into_iter().enumerate().map(|(at, (trigger, when, few))| {
                    let listed = if few && at > 0 { vec![0] } else { every.clone() };
                    (trigger.to_owned(), when, listed)
                });
                Small {
                    segments,
                    moments: moments.collect(),
                    rewards: rewards
                        .into_iter()
                        .map(|(kind, cost, eligible)| (kind.to_owned(), format!("{cost}.00"), eligible))
                        .collect(),
                    rules,
                    max_discount,
                    ceilings: ceilings.into_iter().map(|(at, most)| (at, most.to_owned())).collect(),
                    exclusive: exclusive.into_iter().collect(),
                    variants: variants
                        .into_iter()
                        .map(|(share, withheld)| (share.to_owned(), withheld))
                        .collect(),
                    quiet,
                }
                .trimmed()
            },
        )
}

impl Small {
    /// Without what is about segments and rewards that are not there, and one ceiling per segment.
    fn trimmed(mut self) -> Small {
        let (segments, rewards) = (self.segments.len(), self.rewards.len());
        let mut seen = BTreeSet::new();
        self.ceilings.retain(|(at, _)| *at < segments && seen.insert(*at));
        self.exclusive.retain(|at| *at < rewards);
        self.variants.iter_mut().for_each(|(_, withheld)| withheld.retain(|at| *at < rewards));
        if self.variants.iter().any(|(_, withheld)| withheld.is_empty()) {
            self.variants.clear();
        }
        self
    }
}

/// Every row that the conditions of a bundle can tell apart, and that can be.
fn everyone(small: &Small) -> Vec<Facts> {
    let mut rows = vec![usual()];
    let mut vary = |fields: &[Field], values: &[Vec<i64>]| {
        rows = rows
            .iter()
            .flat_map(|row| {
                values.iter().map(move |values| {
                    let mut row = row.clone();
                    fields.iter().zip(values).for_each(|(field, value)| row.set(*field, *value));
                    row
                })
            })
            .collect();
    };
    let weekdays: Vec<Vec<i64>> = (1..=7).map(|day| vec![day]).collect();
    vary(&[Field::NowWeekday], &weekdays);
    vary(&[Field::MemberMinor], &[vec![0], vec![1]]);
    let shares: u64 =
        small.variants.iter().map(|(share, _)| share[..share.len() - 2].parse::<u64>().unwrap()).sum();
    let variants: Vec<Vec<i64>> = (0..).take(small.variants.len() + 1).map(|variant| vec![variant]).collect();
    vary(&[Field::MemberVariant], &variants[usize::from(shares == 100)..]);
    if small.quiet.is_some() {
        vary(&[Field::NowHour], &[vec![12], vec![20]]);
    }
    let below = |all: i64| (0..=all).flat_map(move |some| (0..=some).map(move |few| vec![few, some, all]));
    let trips: Vec<Vec<i64>> = (0..=6).flat_map(below).collect();
    vary(&[Field::MemberTrips28d, Field::MemberTrips91d, Field::MemberTrips], &trips);
    let mut events = Vec::new();
    for touchpoint in [2, 5, 7] {
        let around = [0, 1_000_000, 2_000_000, 4_000_000].into_iter().flat_map(|at| [at - 1, at, at + 1]);
        events.extend(around.filter(|amount| *amount >= 0).map(|amount| vec![0, touchpoint, amount, 10, 0]));
        events.push(vec![3, touchpoint, 0, 0, 0]);
    }
    events.push(vec![12, 7, 0, 0, 14]);
    let fields = [
        Field::EventType,
        Field::EventTouchpoint,
        Field::EventAmount,
        Field::EventItems,
        Field::EventQuietDays,
    ];
    vary(&fields, &events);
    rows
}

fn hold(conditions: &[Condition], facts: &Facts) -> bool {
    conditions.iter().all(|condition| condition.truth.holds(facts))
}

fn moment_of(bundle: &Bundle, facts: &Facts) -> Option<usize> {
    bundle.confirmed(bundle.triggered(facts)?, facts).ok().map(|moment| usize::from(moment.0))
}

fn segment_of(bundle: &Bundle, facts: &Facts) -> Option<usize> {
    bundle.segment_of(facts, Stops::default()).ok().map(|segment| usize::from(segment.0))
}

/// Why a reward is not promised; `None` when it is.
fn refusal(bundle: &Bundle, facts: &Facts, moment: usize, reward: usize) -> Option<Reason> {
    let (moment, reward) =
        (MomentIndex(u8::try_from(moment).unwrap()), RewardIndex(u8::try_from(reward).unwrap()));
    let mut facts = facts.clone();
    bundle.put_reward_facts(reward, NOW, &[], &mut facts);
    let asked = Situation { facts: &facts, now: NOW, grants: &[], stops: Stops::default() };
    let held = bundle.gate_before_scores(&facts, Stops::default()).and_then(|()| bundle.gate(moment, &asked));
    match held.and_then(|()| bundle.segment_of(&facts, Stops::default())) {
        Err(refusal) => Some(refusal.reason),
        Ok(segment) => {
            bundle.candidate(moment, Some(segment), reward, &asked).err().map(|(reason, _)| reason)
        }
    }
}

/// What the engine does over all rows.
#[derive(Debug, Default)]
struct Seen {
    described: BTreeSet<usize>,
    members: BTreeSet<usize>,
    could_be: BTreeSet<usize>,
    happened: BTreeSet<usize>,
    eligible: BTreeSet<usize>,
    promised: BTreeSet<(usize, usize)>,
    /// Exclusive rewards that were open to one member in one moment.
    together: BTreeSet<(usize, usize)>,
    /// Segment and reward: promised to a member; refused only by a rule.
    promised_to: BTreeSet<(usize, usize)>,
    only_denied: BTreeSet<(usize, usize, usize)>,
    acting: BTreeSet<usize>,
    /// Conditions that failed somewhere, by name.
    failed: BTreeSet<String>,
    /// Rules that differed somewhere.
    differed: BTreeSet<(usize, usize)>,
    met: BTreeSet<usize>,
}

fn look(bundle: &Bundle, rows: &[Facts]) -> Seen {
    let mut seen = Seen::default();
    for facts in rows {
        look_at_segments(bundle, facts, &mut seen);
        look_at_moments(bundle, facts, &mut seen);
        look_at_rewards(bundle, facts, &mut seen);
        look_at_rules(bundle, facts, &mut seen);
    }
    seen
}

fn note_failed(bundle: &Bundle, conditions: &[Condition], facts: &Facts, seen: &mut Seen) {
    for condition in conditions.iter().filter(|condition| !condition.truth.holds(facts)) {
        seen.failed.insert(bundle.rule(condition.rule).unwrap().id.clone());
    }
}

fn look_at_segments(bundle: &Bundle, facts: &Facts, seen: &mut Seen) {
    for (at, segment) in bundle.segments().iter().enumerate() {
        note_failed(bundle, &segment.when, facts, seen);
        if hold(&segment.when, facts) {
            seen.described.insert(at);
        }
    }
    seen.members.extend(segment_of(bundle, facts));
}

/// Whether an event starts a moment: the first of a bundle that has only this one.
fn starts(bundle: &Bundle, at: usize, facts: &Facts) -> bool {
    use policies::Trigger;
    match bundle.moments()[at].trigger {
        Trigger::Event { kind, touchpoints } => {
            facts.get(Field::EventType) == kind && touchpoints >> facts.get(Field::EventTouchpoint) & 1 == 1
        }
        Trigger::Quiet { days } => facts.get(Field::EventQuietDays) == i64::from(days),
    }
}

fn look_at_moments(bundle: &Bundle, facts: &Facts, seen: &mut Seen) {
    for (at, moment) in bundle.moments().iter().enumerate() {
        if starts(bundle, at, facts) {
            note_failed(bundle, &moment.when, facts, seen);
            if hold(&moment.when, facts) {
                seen.could_be.insert(at);
            }
        }
    }
    seen.happened.extend(moment_of(bundle, facts));
}

fn look_at_rewards(bundle: &Bundle, facts: &Facts, seen: &mut Seen) {
    let moment = moment_of(bundle, facts);
    let segment = segment_of(bundle, facts);
    let mut exclusive = Vec::new();
    for (at, reward) in bundle.rewards().iter().enumerate() {
        let mut facts = facts.clone();
        bundle.put_reward_facts(RewardIndex(u8::try_from(at).unwrap()), NOW, &[], &mut facts);
        if reward.touchpoints >> facts.get(Field::EventTouchpoint) & 1 == 1 {
            note_failed(bundle, &reward.eligible, &facts, seen);
            if hold(&reward.eligible, &facts) {
                seen.eligible.insert(at);
            }
        }
        let Some(moment) = moment else { continue };
        let refused = refusal(bundle, &facts, moment, at);
        if refused.is_none() {
            seen.promised.insert((moment, at));
            seen.promised_to.extend(segment.map(|segment| (segment, at)));
            if reward.exclusive.is_some() {
                seen.together.extend(exclusive.iter().map(|first| (*first, at)));
                exclusive.push(at);
            }
        }
    }
}

fn look_at_rules(bundle: &Bundle, facts: &Facts, seen: &mut Seen) {
    let rules = &bundle.guardrails().rules;
    for kind in 0..5 {
        let mut facts = facts.clone();
        facts.set(Field::RewardKind, kind);
        let holds: Vec<bool> = rules.iter().map(|rule| hold(&rule.when, &facts)).collect();
        for (at, rule) in rules.iter().enumerate() {
            note_failed(bundle, &rule.when, &facts, seen);
            if holds[at] {
                seen.acting.insert(at);
                if bundle.rewards().iter().any(|reward| reward.kind as i64 == kind) {
                    seen.met.insert(at);
                }
            }
            seen.differed.extend((0..at).filter(|other| holds[*other] != holds[at]).map(|other| (other, at)));
        }
    }
}

/// The favours that no member gets only because a rule denies them.
fn look_at_favours(bundle: &Bundle, without_denies: &Bundle, rows: &[Facts], seen: &mut Seen) {
    for facts in rows {
        let (Some(moment), Some(segment)) = (moment_of(bundle, facts), segment_of(bundle, facts)) else {
            continue;
        };
        for reward in 0..bundle.rewards().len() {
            if refusal(without_denies, facts, moment, reward).is_none() {
                seen.only_denied.insert((segment, reward, moment));
            }
        }
    }
}

/// What must be reported, as (code, what it is about); what need not be proven dead to be reported besides, unless
/// `exact`.
fn expected(small: &Small, bundle: &Bundle, seen: &Seen, exact: bool) -> BTreeSet<(Code, String)> {
    let mut all = BTreeSet::new();
    let mut add = |code: Code, about: String| all.insert((code, about));
    for at in 0..bundle.segments().len() {
        if !seen.described.contains(&at) {
            add(Code::UnreachableSegment, format!("segments.s{at}"));
        }
        if (seen.described.contains(&at) || !exact) && !seen.members.contains(&at) {
            add(Code::ShadowedSegment, format!("segments.s{at}"));
        }
    }
    for at in 0..bundle.moments().len() {
        if !seen.could_be.contains(&at) {
            add(Code::DeadMoment, format!("moments.m{at}"));
        }
        if (seen.could_be.contains(&at) || !exact) && !seen.happened.contains(&at) {
            add(Code::ShadowedMoment, format!("moments.m{at}"));
        }
    }
    for at in (0..bundle.rewards().len()).filter(|at| !seen.eligible.contains(at)) {
        add(Code::NeverEligible, format!("catalog.r{at}"));
    }
    for rule in bundle.rules().iter().filter(|rule| rule.expr.is_some() && !seen.failed.contains(&rule.id)) {
        add(Code::AlwaysHolds, rule.id.clone());
    }
    for (at, rule) in bundle.guardrails().rules.iter().enumerate() {
        let name = format!("guardrails.rule.g{at}");
        if !seen.acting.contains(&at) {
            add(Code::DeadRule, name.clone());
            if exact {
                continue;
            }
        }
        if rule.per_reward && !seen.met.contains(&at) {
            add(Code::RuleWithoutReward, name.clone());
        }
        let audits = |at: usize| bundle.guardrails().rules[at].action == Action::Audit;
        let twin = (0..at).find(|other| {
            (seen.acting.contains(other) || !exact)
                && !seen.differed.contains(&(*other, at))
                && !audits(*other)
                && !audits(at)
        });
        if twin.is_some() {
            add(Code::DuplicateRule, name);
        }
    }
    for (first, second) in &seen.together {
        add(Code::TwoExclusive, format!("catalog.r{first} catalog.r{second}"));
    }
    for (segment, (_, lever)) in small.segments.iter().enumerate().filter(|(_, (_, lever))| *lever > 1000) {
        assert!(*lever > i64::from(Milli::ONE.0));
        for (reward, (kind, ..)) in small.rewards.iter().enumerate() {
            let somewhere = (0..bundle.moments().len()).any(|moment| {
                (seen.promised.contains(&(moment, reward)) || !exact)
                    && seen.only_denied.contains(&(segment, reward, moment))
            });
            if kind == "voucher" && somewhere && !seen.promised_to.contains(&(segment, reward)) {
                add(Code::FavouredAndDenied, format!("segments.s{segment} catalog.r{reward}"));
            }
        }
    }
    all
}

/// Pairs of moment and reward that the findings say are never promised.
fn never_promised(small: &Small, insights: &[Insight]) -> BTreeSet<(usize, usize)> {
    let mut pairs = BTreeSet::new();
    let nobody = insights.iter().filter(|insight| insight.problem.code == Code::UnreachableSegment).count();
    for (moment, (_, _, rewards)) in small.moments.iter().enumerate() {
        for reward in rewards {
            let (moment_name, reward_name) = (format!("moments.m{moment}"), format!("catalog.r{reward}"));
            let covers = |insight: &&Insight| {
                let first = insight.rules.first().is_some_and(|name| *name == reward_name);
                let second = insight.rules.get(1).is_some_and(|name| *name == moment_name);
                let any_moment = !insight.rules.get(1).is_some_and(|name| is_moment(name));
                match insight.problem.code {
                    Code::DeadMoment | Code::ShadowedMoment => insight.rules[0] == moment_name,
                    Code::Conflict if insight.rules[0].starts_with("guardrails.") => true,
                    Code::Conflict | Code::NeverEligible | Code::OutsideSegments => {
                        (first && (second || any_moment)) || insight.rules[0] == moment_name
                    }
                    _ => false,
                }
            };
            if nobody == small.segments.len() || insights.iter().any(|insight| covers(&insight)) {
                pairs.insert((moment, *reward));
            }
        }
    }
    pairs
}

fn is_moment(name: &str) -> bool {
    name.strip_prefix("moments.").is_some_and(|id| !id.contains('.'))
}

/// The engine's answer to a witness is what its finding says.
fn reproduces(bundle: &Bundle, insight: &Insight, witness: &Witness) -> Result<(), TestCaseError> {
    let facts = witness.row().unwrap();
    let own = |prefix: &str| -> Option<usize> {
        insight.rules.iter().find_map(|rule| rule.strip_prefix(prefix)?.parse().ok())
    };
    match insight.problem.code {
        Code::ShadowedSegment => {
            let at = own("segments.s").unwrap();
            prop_assert!(hold(&bundle.segments()[at].when, &facts));
            prop_assert!(segment_of(bundle, &facts).is_some_and(|found| found < at));
        }
        Code::ShadowedMoment => {
            let at = own("moments.m").unwrap();
            prop_assert!(starts(bundle, at, &facts) && hold(&bundle.moments()[at].when, &facts));
            prop_assert!(moment_of(bundle, &facts).is_some_and(|found| found < at));
        }
        Code::Conflict | Code::FavouredAndDenied => {
            let moment = bundle.moment_named(witness.moment.as_deref().unwrap()).unwrap();
            prop_assert_eq!(moment_of(bundle, &facts), Some(usize::from(moment.0)));
            let grants = witness.grants(bundle);
            let asked = Situation { facts: &facts, now: NOW, grants: &grants, stops: Stops::default() };
            let before = bundle.gate_before_scores(&facts, Stops::default());
            let rule = match before.and_then(|()| bundle.gate(moment, &asked)) {
                Err(refusal) => refusal.rule,
                Ok(()) => {
                    let reward = bundle.reward_named(witness.reward.as_deref().unwrap()).unwrap();
                    let segment = bundle.segment_of(&facts, Stops::default()).unwrap();
                    bundle.candidate(moment, Some(segment), reward, &asked).err().and_then(|(_, rule)| rule)
                }
            };
            let rule = bundle.rule(rule.unwrap()).unwrap();
            prop_assert!(insight.rules.contains(&rule.id), "{} refused", rule.id);
            if insight.problem.code == Code::FavouredAndDenied {
                prop_assert_eq!(rule.reason, Reason::GuardrailDenied);
                let segment = SegmentIndex(u8::try_from(own("segments.s").unwrap()).unwrap());
                prop_assert_eq!(bundle.segment_of(&facts, Stops::default()), Ok(segment));
            }
        }
        Code::TwoExclusive => {
            let moment = bundle.moment_named(witness.moment.as_deref().unwrap()).unwrap();
            prop_assert_eq!(moment_of(bundle, &facts), Some(usize::from(moment.0)));
            for reward in &insight.rules[..2] {
                let at: usize = reward.strip_prefix("catalog.r").unwrap().parse().unwrap();
                prop_assert!(bundle.rewards()[at].exclusive.is_some());
                prop_assert_eq!(refusal(bundle, &facts, moment.0.into(), at), None, "{}", reward);
            }
        }
        code => prop_assert!(false, "{code} has a witness and no check"),
    }
    Ok(())
}

/// What the engine does of a bundle, held to what the analysis says of it.
fn compare(small: &Small, exact: bool) -> Result<(), TestCaseError> {
    let bundle = small.bundle().map_err(|problems| TestCaseError::fail(problems.render()))?;
    let rows = everyone(small);
    let mut seen = look(&bundle, &rows);
    let audited = small.rules.iter().map(|(_, when)| ("audit".to_owned(), when.clone()));
    let harmless = Small { rules: audited.collect(), ..small.clone() };
    look_at_favours(&bundle, &harmless.bundle().unwrap(), &rows, &mut seen);
    let insights = analyse(&bundle, &Sources::from_canonical(bundle.canonical()).unwrap());
    let text: String = insights.iter().map(ToString::to_string).collect();

    let (found, expected) = (found(&insights, exact), expected(small, &bundle, &seen, exact));
    let listed = small.moments.iter().enumerate();
    let listed =
        listed.flat_map(|(moment, (_, _, rewards))| rewards.iter().map(move |reward| (moment, *reward)));
    let never: BTreeSet<(usize, usize)> = listed.filter(|pair| !seen.promised.contains(pair)).collect();
    let said = never_promised(small, &insights);
    if exact {
        prop_assert_eq!(found, expected, "{}", text);
        prop_assert_eq!(said, never, "{}", text);
    } else {
        prop_assert!(found.is_subset(&expected), "{:?}\n{}", expected, text);
        prop_assert!(said.is_subset(&never), "{:?}\n{}", never, text);
    }
    for insight in &insights {
        match (&insight.witness, insight.problem.code) {
            (Some(witness), _) => reproduces(&bundle, insight, witness)?,
            (
                None,
                Code::ShadowedSegment | Code::ShadowedMoment | Code::FavouredAndDenied | Code::TwoExclusive,
            ) if exact => {
                return Err(TestCaseError::fail(format!("no witness: {text}")));
            }
            (None, _) => {}
        }
    }
    Ok(())
}

/// The findings that are not about a pair of moment and reward, as (code, what they are about).
fn found(insights: &[Insight], exact: bool) -> BTreeSet<(Code, String)> {
    let alone = insights.iter().filter(|insight| match insight.problem.code {
        // It says of the search how far it came, and nothing of the bundle.
        Code::NotSearched if !exact => false,
        // It comes with a member, who may have more trips than the rows here.
        Code::TwoExclusive if !exact => false,
        Code::Conflict | Code::OutsideSegments => false,
        Code::NeverEligible => !insight.rules.get(1).is_some_and(|name| is_moment(name)),
        _ => true,
    });
    alone
        .map(|insight| match insight.problem.code {
            Code::FavouredAndDenied | Code::TwoExclusive => {
                (insight.problem.code, insight.rules[..2].join(" "))
            }
            code => (code, insight.rules[0].clone()),
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 160, ..ProptestConfig::default() })]

    #[test]
    fn findings_are_what_nobody_meets_and_nothing_else(small in some_bundle(false)) {
        compare(&small, true)?;
    }

    #[test]
    fn with_sums_of_facts_nothing_is_reported_that_somebody_meets(small in some_bundle(true)) {
        compare(&small, false)?;
    }
}
