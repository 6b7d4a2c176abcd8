//! The condition language against its oracle, the interpreter of the `cel` crate.
//!
//! Random conditions are written twice: as a loyalty team writes them (money and ratios as decimals), and for
//! the oracle with every value as the integer it is held as, since CEL has no exact decimals.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fmt::Write as _;

use cel::{Context, Value};
use domain::Facts;
use domain::facts::{Field, FieldKind, LISTS};
use policies::language::condition;
use proptest::prelude::*;

/// A condition or number in both spellings: ours, and the oracle's.
type Pair = (String, String);

fn fields(is: fn(FieldKind) -> bool) -> impl Strategy<Value = Field> {
    let fields = Field::ALL.iter().copied().filter(|field| is(field.kind()) && !field.is_slot());
    let fields: Vec<Field> = fields.collect();
    prop::sample::select(fields)
}

fn variable(field: Field) -> String {
    field.name().replace('.', "_")
}

fn decimal(millionths: i64) -> String {
    let sign = if millionths < 0 { "-" } else { "" };
    let size = millionths.unsigned_abs();
    format!("{sign}{}.{:06}", size / 1_000_000, size % 1_000_000)
}

/// Sums, differences and products of whole numbers.
fn count() -> impl Strategy<Value = Pair> {
    let fact = fields(|kind| kind == FieldKind::Int).prop_map(|field| (field.name().into(), variable(field)));
    let literal = (-50i64..50).prop_map(|value| (value.to_string(), value.to_string()));
    prop_oneof![3 => fact, 1 => literal].prop_recursive(2, 6, 2, |inner| {
        (inner.clone(), inner, prop::sample::select(vec!["+", "-", "*"])).prop_map(|(left, right, op)| {
            (format!("({} {op} {})", left.0, right.0), format!("({} {op} {})", left.1, right.1))
        })
    })
}

/// Sums and differences of money, and money times a count.
fn money() -> impl Strategy<Value = Pair> {
    let fact =
        fields(|kind| kind == FieldKind::Money).prop_map(|field| (field.name().into(), variable(field)));
    let literal = (-900_000_000i64..900_000_000).prop_map(|value| (decimal(value), value.to_string()));
    let whole = (-900i64..900).prop_map(|value| (value.to_string(), (value * 1_000_000).to_string()));
    let times = (fields(|kind| kind == FieldKind::Money), 0i64..9)
        .prop_map(|(field, by)| (format!("{} * {by}", field.name()), format!("{} * {by}", variable(field))));
    prop_oneof![3 => fact, 1 => literal, 1 => whole, 1 => times].prop_recursive(2, 6, 2, |inner| {
        (inner.clone(), inner, prop::sample::select(vec!["+", "-"])).prop_map(|(left, right, op)| {
            (format!("({} {op} {})", left.0, right.0), format!("({} {op} {})", left.1, right.1))
        })
    })
}

fn ratio() -> impl Strategy<Value = Pair> {
    let fact =
        fields(|kind| kind == FieldKind::Ratio).prop_map(|field| (field.name().into(), variable(field)));
    let literal = (0i64..3_000_000).prop_map(|value| (decimal(value), value.to_string()));
    prop_oneof![2 => fact, 1 => literal]
}

fn compared(number: impl Strategy<Value = Pair> + Clone) -> impl Strategy<Value = Pair> {
    let op = prop::sample::select(vec!["==", "!=", "<", "<=", ">", ">="]);
    (number.clone(), number, op).prop_map(|(left, right, op)| {
        (format!("{} {op} {}", left.0, right.0), format!("{} {op} {}", left.1, right.1))
    })
}

fn word() -> impl Strategy<Value = Pair> {
    let words = fields(|kind| matches!(kind, FieldKind::Word(_)));
    (words, any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..3u8).prop_map(
        |(field, a, b, form)| {
            let FieldKind::Word(words) = field.kind() else { unreachable!("only words were chosen") };
            let (a, b) = (a.index(words.len()), b.index(words.len()));
            let (name, variable) = (field.name(), variable(field));
            match form {
                0 => (format!("{name} == \"{}\"", words[a]), format!("{variable} == {a}")),
                1 => (format!("\"{}\" != {name}", words[a]), format!("{a} != {variable}")),
                _ => (
                    format!("{name} in [\"{}\", '{}']", words[a], words[b]),
                    format!("{variable} in [{a}, {b}]"),
                ),
            }
        },
    )
}

/// `all` or `exists` over a list, its element compared with a literal and with facts outside.
fn listed_elements() -> impl Strategy<Value = Pair> {
    let op = || prop::sample::select(vec!["==", "!=", "<", "<=", ">", ">="]);
    let every = prop::sample::select(vec!["all", "exists"]);
    let amounts = (op(), money(), op(), money()).prop_map(|(one, left, other, right)| {
        let either = |a: &str, b: &str| format!("a {one} {a} || {b} {other} a * 2");
        (0usize, either(&left.0, &right.0), either(&left.1, &right.1))
    });
    let days = (op(), count(), -3i64..40).prop_map(|(op, count, day)| {
        let both = |count: &str| format!("a {op} {count} && a + 1 != {day}");
        (1usize, both(&count.0), both(&count.1))
    });
    (every, prop_oneof![amounts, days]).prop_map(|(every, (list, ours, theirs))| {
        let name = LISTS[list].name;
        (format!("{name}.{every}(a, {ours})"), format!("{}.{every}(a, {theirs})", name.replace('.', "_")))
    })
}

fn truth() -> impl Strategy<Value = Pair> {
    let flag = fields(|kind| kind == FieldKind::Bool)
        .prop_map(|field| (field.name().to_owned(), format!("({} != 0)", variable(field))));
    let listed = (fields(|kind| kind == FieldKind::Int), prop::collection::vec(-3i64..30, 1..5)).prop_map(
        |(field, values)| {
            (format!("{} in {values:?}", field.name()), format!("{} in {values:?}", variable(field)))
        },
    );
    let leaf = prop_oneof![
        3 => compared(count().boxed()),
        3 => compared(money().boxed()),
        2 => compared(ratio().boxed()),
        2 => word(),
        1 => flag,
        1 => listed,
        1 => listed_elements(),
    ];
    leaf.prop_recursive(3, 10, 3, |inner| {
        let two = (inner.clone(), inner.clone());
        prop_oneof![
            (two.clone(), prop::sample::select(vec!["&&", "||", "==", "!="])).prop_map(|((a, b), op)| {
                (format!("({}) {op} ({})", a.0, b.0), format!("({}) {op} ({})", a.1, b.1))
            }),
            inner.clone().prop_map(|a| (format!("!({})", a.0), format!("!({})", a.1))),
            (inner, two).prop_map(|(a, (b, c))| {
                (format!("({}) ? ({}) : ({})", a.0, b.0, c.0), format!("({}) ? ({}) : ({})", a.1, b.1, c.1))
            }),
        ]
    })
}

/// Facts near each other and near the literals, so that comparisons go both ways.
fn facts() -> impl Strategy<Value = Facts> {
    prop::collection::vec(any::<u32>(), Field::COUNT).prop_map(|draws| {
        let mut facts = Facts::default();
        for (field, draw) in Field::ALL.iter().zip(draws) {
            let draw = i64::from(draw);
            let value = match field.kind() {
                FieldKind::Bool => draw % 2,
                FieldKind::Int => draw % 40,
                FieldKind::Ratio => draw % 3_000_000,
                FieldKind::Money => draw % 900_000_000,
                FieldKind::Word(words) => draw % i64::try_from(words.len()).unwrap(),
            };
            facts.set(*field, value);
        }
        let held = facts.get(Field::MemberRecentPurchases) % 9;
        facts.set(Field::MemberRecentPurchases, held);
        facts
    })
}

fn oracle(expr: &str, facts: &Facts) -> Result<bool, String> {
    let program = cel::parser::Parser::new().parse(expr).map_err(|error| error.to_string())?;
    let mut context = Context::default();
    for field in Field::ALL.iter().filter(|field| !field.is_slot()) {
        context.add_variable_from_value(variable(*field), Value::Int(facts.get(*field)));
    }
    for list in LISTS {
        let held = usize::try_from(facts.get(list.length)).unwrap();
        let elements = list.slots.iter().take(held).map(|slot| Value::Int(facts.get(*slot)));
        let elements = Value::List(std::sync::Arc::new(elements.collect()));
        context.add_variable_from_value(list.name.replace('.', "_"), elements);
    }
    match Value::resolve(&program, &context) {
        Ok(Value::Bool(truth)) => Ok(truth),
        other => Err(format!("{other:?}")),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn conditions_agree_with_the_cel_interpreter((ours, theirs) in truth(), facts in facts()) {
        let truth = match condition(&ours) {
            Ok(truth) => truth,
            // Large conditions and conditions of literals only are refused by design.
            Err(faults) => {
                let by_design = ["POL0037", "POL0039"];
                prop_assert!(faults.iter().all(|fault| by_design.contains(&fault.code.name())), "{ours}: {faults:?}");
                return Err(TestCaseError::reject("refused by design"));
            }
        };
        prop_assert_eq!(Ok(truth.holds(&facts)), oracle(&theirs, &facts), "{} / {}", ours, theirs);
    }

    #[test]
    fn no_text_makes_the_checker_panic(text in "[a-z_.0-9 ()<>=!&|+*\\-'\"\\[\\],?:]{0,60}") {
        let _ = condition(&text);
    }

    #[test]
    fn every_fault_points_into_its_condition((ours, _) in truth(), at: prop::sample::Index, with in "[a-z0-9 ()=<.\"]") {
        let mut text = ours;
        let at = at.index(text.len());
        text.replace_range(at..at + 1, &with);
        for fault in condition(&text).err().into_iter().flatten() {
            prop_assert!(fault.span.start <= fault.span.end && fault.span.end <= text.len(), "{text}: {fault:?}");
        }
    }
}

fn check(expr: &str, set: &[(Field, i64)], expected: bool) {
    let mut facts = Facts::default();
    set.iter().for_each(|(field, value)| facts.set(*field, *value));
    let truth = condition(expr).unwrap_or_else(|faults| panic!("{expr}: {faults:?}"));
    assert_eq!(truth.holds(&facts), expected, "{expr} of {set:?}");
}

#[test]
fn shares_of_money_round_half_up_and_stay_exact() {
    let amounts = |cost, amount| [(Field::RewardCost, cost), (Field::EventAmount, amount)];
    // 0.000003 x 0.5 is 0.0000015, which rounds to 0.000002.
    check("reward.cost == event.amount * 0.5", &amounts(2, 3), true);
    check("reward.cost == 0.5 * event.amount", &amounts(2, 3), true);
    check("reward.cost <= event.amount * 0.4", &amounts(5_000_000, 12_500_000), true);
    check("reward.cost <= event.amount * 0.4", &amounts(5_000_001, 12_500_000), false);
    // 0.1 + 0.2 is 0.3 here.
    check("member.churn_60d == 0.1 + 0.2", &[(Field::MemberChurn60d, 300_000)], true);
    check(
        "event.amount * member.churn_60d == 1.00",
        &[(Field::EventAmount, 4_000_000), (Field::MemberChurn60d, 250_000)],
        true,
    );
}

#[test]
fn literals_take_the_kind_of_their_neighbour() {
    check("event.amount >= 25", &[(Field::EventAmount, 25_000_000)], true);
    check("25 <= event.amount", &[(Field::EventAmount, 24_999_999)], false);
    check("member.churn_60d < 1", &[(Field::MemberChurn60d, 999_999)], true);
    check("event.amount > 2 * 3", &[(Field::EventAmount, 6_000_001)], true);
    check("-event.amount < -5.5", &[(Field::EventAmount, 5_500_001)], true);
    check("member.trips >= (member.minor ? 10 : 3)", &[(Field::MemberTrips, 4)], true);
}

#[test]
fn lists_are_asked_as_far_as_they_are_filled() {
    let bought = |held: i64| {
        let [amounts, days] = LISTS.map(|list| list.slots);
        [
            (Field::MemberRecentPurchases, held),
            (amounts[0], 5_000_000),
            (amounts[1], 90_000_000),
            (days[1], 9),
        ]
    };
    check("member.recent_amounts.exists(a, a >= 50)", &bought(2), true);
    check("member.recent_amounts.exists(a, a >= 50.00)", &bought(1), false);
    check("member.recent_amounts.all(a, a < 50.00)", &bought(1), true);
    check("member.recent_amounts.all(a, a < 50.00)", &bought(2), false);
    check("member.recent_days.all(d, d > 1000)", &bought(0), true);
    check("member.recent_days.exists(d, d == 9) && member.recent_purchases == 2", &bought(2), true);
    check("member.recent_amounts.exists(a, a > event.amount * 2)", &bought(2), true);
}

#[test]
fn absurd_numbers_saturate_instead_of_failing() {
    check("member.spend * 1000000 > 0.00", &[(Field::MemberSpend, i64::MAX / 2)], true);
    check("-member.spend - member.spend < 0.00", &[(Field::MemberSpend, i64::MAX)], true);
    let spend = [(Field::MemberSpend, 9_000_000_000), (Field::MemberOverdue, 9_000_000_000)];
    let huge = "-9000000000000";
    check(&format!("member.spend * {huge} * (member.overdue * {huge}) > 0.00"), &spend, true);
}

#[test]
fn size_and_depth_are_bounded() {
    let code = |text: &str| condition(text).unwrap_err()[0].code.name();
    let mut long = String::from("member.trips > 0");
    for index in 0..63 {
        let _ = write!(long, "||now.day>{index}");
    }
    assert_eq!(condition(&long).map(|truth| truth.cost()), Ok(policies::language::cost::COST_MAX - 1));
    long.push_str("||now.day>3");
    assert_eq!(code(&long), "POL0037");
    let words = vec!["member.trips > 3"; 120].join("||");
    assert!(words.len() > policies::language::check::EXPR_BYTES_MAX);
    assert_eq!(code(&words), "POL0037");
    let deep = format!("{}now.day > 1{}", "(".repeat(40), ")".repeat(40));
    assert_eq!(code(&deep), "POL0037");
    let nots = format!("{}member.minor", "!".repeat(300));
    assert!(condition(&nots).is_ok() || code(&nots) == "POL0037");
    assert_eq!(code("member.trips in []"), "POL0037");
}

#[test]
fn what_is_not_in_the_language_is_refused_by_code() {
    for (text, expected) in [
        ("size(member.trips) > 1", "POL0034"),
        ("member.trips.size() > 1", "POL0034"),
        ("has(member.trips)", "POL0034"),
        ("[1].exists(x, x == 1)", "POL0034"),
        ("member.recent_days.map(d, d + 1).exists(d, d > 3)", "POL0034"),
        ("member.recent_days.exists_one(d, d > 3)", "POL0034"),
        ("member.recent_days.exists(member, member > 3)", "POL0034"),
        ("member.recent_days[0] > 3", "POL0034"),
        ("member.recent_days > 3", "POL0032"),
        ("member.recent_dates.exists(d, d > 3)", "POL0031"),
        ("member.recent_days.exists(d, d)", "POL0032"),
        ("member.recent_days.exists(d, d > 3.50)", "POL0032"),
        ("member.recent_amounts.all(a, b > 3.50)", "POL0031"),
        ("member.recent_days.exists(a, member.recent_days.all(b, a >= b))", "POL0037"),
        ("{1: 2}[1] == 2", "POL0034"),
        ("member.trips % 2 == 0", "POL0034"),
        ("member.trips == null", "POL0034"),
        ("member.trips == 3u", "POL0036"),
        ("event.amount > 1e3", "POL0036"),
        ("event.amount > 99999999999999", "POL0036"),
        ("member.trips in [member.trips_28d]", "POL0034"),
        ("event.type in [\"purchase\", \"bought\"]", "POL0033"),
        ("event.type > \"purchase\"", "POL0032"),
        ("member.minor > 1", "POL0032"),
        ("member.trips && member.minor", "POL0032"),
        ("event.amount * event.amount > 1.00", "POL0032"),
        ("event.amount > member.churn_60d", "POL0032"),
        ("weather.rain", "POL0031"),
        ("member", "POL0031"),
        ("", "POL0030"),
        ("member.trips >", "POL0030"),
        ("müller == 3", "POL0030"),
    ] {
        let faults = condition(text).expect_err(text);
        assert_eq!(faults[0].code.name(), expected, "{text}: {faults:?}");
    }
}

#[test]
fn every_mistake_of_a_condition_is_reported() {
    let faults = condition("member.chrun_60d > 0.5 && event.type == \"bougth\" || foo.bar").unwrap_err();
    let codes: Vec<&str> = faults.iter().map(|fault| fault.code.name()).collect();
    assert_eq!(codes, ["POL0031", "POL0033", "POL0031"]);
}
