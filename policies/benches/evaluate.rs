//! What policies cost: one condition, one whole moment, and checking a bundle.
//!
//! `cargo bench -p largesse-policies`. Each figure is the best of seven runs, so that a busy machine shows less.

#![expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::hint::black_box;
use std::time::Instant;

use domain::facts::{Field, FieldKind};
use domain::random::splitmix64;
use domain::{Facts, Micros, Ppm, RewardIndex, Timestamp, time};
use policies::language::condition;
use policies::source::File;
use policies::{Bundle, Grant, Situation, Sources, Stops, starter};

const ROWS: usize = 1024;
const ROUNDS: usize = 200;
const NOW: Timestamp = Timestamp(1_500_000_000_000_000);

fn rows() -> Vec<Facts> {
    let mut state = 7;
    let mut draw = |bound: i64| {
        state = splitmix64(state);
        i64::try_from(state >> 1).unwrap_or(0) % bound
    };
    (0..ROWS)
        .map(|_| {
            let mut facts = Facts::default();
            for field in Field::ALL {
                let value = match field.kind() {
                    FieldKind::Bool => 0,
                    FieldKind::Int => 30 + draw(100),
                    FieldKind::Ratio => draw(300_000),
                    FieldKind::Money => draw(600_000_000),
                    FieldKind::Word(_) => 0,
                };
                facts.set(*field, value);
            }
            for (field, value) in [
                (Field::MemberConsentMarketing, 1),
                (Field::MemberConsentProfiling, 1),
                (Field::EventSettlement, 1),
                (Field::EventTouchpoint, 5),
                (Field::EventAgeHours, 0),
                (Field::MemberProvisional, 0),
                (Field::MemberHoursSinceOffer, 100),
                (Field::MemberOpenPromises, 0),
                (Field::NowHour, 12),
            ] {
                facts.set(field, value);
            }
            facts
        })
        .collect()
}

/// Nanoseconds per call, best of seven.
fn best(mut call: impl FnMut(&Facts) -> u64, rows: &[Facts]) -> f64 {
    let mut fastest = f64::MAX;
    for _ in 0..7 {
        let start = Instant::now();
        let mut sum = 0u64;
        for _ in 0..ROUNDS {
            for row in rows {
                sum = sum.wrapping_add(call(black_box(row)));
            }
        }
        black_box(sum);
        let nanos = start.elapsed().as_nanos() as f64;
        fastest = fastest.min(nanos / (ROUNDS * rows.len()) as f64);
    }
    fastest
}

/// One moment as the member agent asks it: trigger, gates, segment, every candidate, values.
fn moment(bundle: &Bundle, facts: &Facts, row: &mut Facts, grants: &[Grant]) -> u64 {
    let Some(first) = bundle.triggered(facts) else { return 0 };
    if bundle.gate_before_scores(facts, Stops::default()).is_err() {
        return 1;
    }
    let Ok(found) = bundle.confirmed(first, facts) else { return 2 };
    let asked = Situation { facts, now: NOW, grants, stops: Stops::default() };
    if bundle.gate(found, &asked).is_err() {
        return 3;
    }
    let Ok(segment) = bundle.segment_of(facts, Stops::default()) else { return 4 };
    row.clone_from(facts);
    let mut sum = 0u64;
    for reward in (0u8..).take(bundle.rewards().len()).map(RewardIndex) {
        bundle.put_reward_facts(reward, NOW, grants, row);
        let asked = Situation { facts: row, now: NOW, grants, stops: Stops::default() };
        if bundle.candidate(found, None, reward, &asked).is_ok() {
            let ltv = Micros(facts.get(Field::MemberLtv91d));
            let churn = Ppm(u32::try_from(facts.get(Field::MemberChurn60d)).unwrap_or(0));
            sum = sum.wrapping_add(bundle.value(segment, reward, ltv, churn).levered.0.unsigned_abs());
        }
    }
    sum | 8
}

/// A condition three times: as teams write it, for the `cel` interpreter over the same integers, and in Rust.
struct Thrice {
    ours: &'static str,
    cel: &'static str,
    rust: fn(&Facts) -> bool,
}

const CONDITIONS: [Thrice; 5] = [
    Thrice {
        ours: "member.churn_60d >= 0.08",
        cel: "member_churn_60d >= 80000",
        rust: |facts| facts.get(Field::MemberChurn60d) >= 80_000,
    },
    Thrice {
        ours: "member.churn_60d >= 0.08 || member.overdue >= 3.0",
        cel: "member_churn_60d >= 80000 || member_overdue >= 3000000",
        rust: |facts| {
            facts.get(Field::MemberChurn60d) >= 80_000 || facts.get(Field::MemberOverdue) >= 3_000_000
        },
    },
    Thrice {
        ours: "reward.cost <= event.amount * 4",
        cel: "reward_cost <= event_amount * 4",
        rust: |facts| {
            let most = facts.get(Field::EventAmount).checked_mul(4);
            most.is_some_and(|most| facts.get(Field::RewardCost) <= most)
        },
    },
    Thrice {
        ours: "event.type == \"purchase\" && now.hour in [0, 1, 2, 3, 4] && !member.minor",
        cel: "event_type == 0 && now_hour in [0, 1, 2, 3, 4] && member_minor == 0",
        rust: |facts| {
            facts.get(Field::EventType) == 0
                && [0, 1, 2, 3, 4].contains(&facts.get(Field::NowHour))
                && facts.get(Field::MemberMinor) == 0
        },
    },
    Thrice {
        ours: "(member.spend_28d * 3 > member.spend_91d ? member.trips_28d : member.trips) >= 4 && event.amount < 60",
        cel: "(member_spend_28d * 3 > member_spend_91d ? member_trips_28d : member_trips) >= 4 && event_amount < 60000000",
        rust: |facts| {
            let recent = facts.get(Field::MemberSpend28d).checked_mul(3);
            let recent = recent.is_some_and(|thrice| thrice > facts.get(Field::MemberSpend91d));
            let trips = if recent { Field::MemberTrips28d } else { Field::MemberTrips };
            facts.get(trips) >= 4 && facts.get(Field::EventAmount) < 60_000_000
        },
    },
];

/// Conditions one by one, against the interpreter (its variables bound beforehand) and against compiled Rust.
fn conditions(rows: &[Facts]) {
    println!("      ns    x Rust    x cel  a condition");
    for Thrice { ours, cel, rust } in CONDITIONS {
        let (Ok(truth), Ok(program)) = (condition(ours), cel::Program::compile(cel)) else { continue };
        let context = |row: &Facts| {
            let mut context = cel::Context::default();
            for field in Field::ALL {
                let value = cel::Value::Int(row.get(*field));
                context.add_variable_from_value(field.name().replace('.', "_"), value);
            }
            context
        };
        let contexts: Vec<cel::Context<'_, '_>> = rows.iter().map(context).collect();
        let interpreted =
            |context: &cel::Context<'_, '_>| matches!(program.execute(context), Ok(cel::Value::Bool(true)));
        for (row, context) in rows.iter().zip(&contexts) {
            let answers = [truth.holds(row), rust(row), interpreted(context)];
            assert!(answers == [answers[0]; 3], "the three disagree: {ours}");
        }
        let own = best(|facts| u64::from(truth.holds(facts)), rows);
        let compiled = best(|facts| u64::from(black_box(rust)(facts)), rows);
        let mut oracle = f64::MAX;
        for _ in 0..7 {
            let start = Instant::now();
            black_box(contexts.iter().filter(|context| interpreted(context)).count());
            oracle = oracle.min(start.elapsed().as_nanos() as f64 / rows.len() as f64);
        }
        println!("{own:8.1}  {:8.1}  {:7.4}  {ours}", own / compiled, own / oracle);
    }
}

/// The starter with twelve rewards, and so many more guardrails that each look at member, event and reward.
fn grown(more: usize) -> Result<Bundle, String> {
    let starter = starter::grocery().map_err(|problems| problems.render())?;
    let sources = Sources::from_canonical(starter.canonical()).map_err(|_| "unreadable".to_owned())?;
    let mut files: Vec<(&str, String)> =
        File::ALL.iter().map(|file| (file.name(), sources.text(*file).to_owned())).collect();
    for (name, text) in &mut files {
        match *name {
            "catalog.toml" => {
                for id in ["more-1", "more-2"] {
                    text.push_str(&REWARD.replace("ID", id));
                }
            }
            "moments.toml" => *text = text.replace("rewards = [", r#"rewards = ["more-1", "more-2", "#),
            "guardrails.toml" => {
                for number in 0..more {
                    let (times, trips) = ((number % 7 + 2).to_string(), (number % 5 + 1).to_string());
                    let rule = RULE.replace("ID", &format!("r{number}"));
                    text.push_str(&rule.replace("TIMES", &times).replace("TRIPS", &trips));
                }
            }
            _ => {}
        }
    }
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let sources = Sources::from_files(&files).map_err(|_| "unreadable".to_owned())?;
    Bundle::from_canonical(&sources.canonical()).map_err(|problems| problems.render())
}

const REWARD: &str = r#"
[[reward]]
id = "ID"
name = "More"
kind = "points"
cost = "1.00"
valid_days = 28
touchpoints = ["app", "batch", "pos", "checkout"]
prior = { default = "4 %", source = "none" }
"#;

const RULE: &str = r#"
[[rule]]
id = "ID"
action = "deny"
reason = "No."
when = [
  { id = "dear", expr = '''reward.cost > event.amount * TIMES''' },
  { id = "seldom", expr = '''member.trips_28d < TRIPS''' },
]
"#;

/// One moment under a bundle.
fn one_moment(bundle: &Bundle, rows: &[Facts]) {
    let grants = [Grant { at: NOW.plus(-20 * time::DAY), reward: Some(RewardIndex(0)) }];
    let mut row = Facts::default();
    let reached = rows.iter().filter(|facts| moment(bundle, facts, &mut row, &grants) >= 8).count();
    let nanos = best(|facts| moment(bundle, facts, &mut row, &grants), rows);
    let (rules, rewards) = (bundle.guardrails().rules.len(), bundle.rewards().len());
    println!(
        "{:8.3} us  one moment: {rules} guardrails, {rewards} rewards ({reached} of {ROWS} reach the candidates)",
        nanos / 1e3
    );
}

/// Milliseconds, the best of seven.
fn fastest(mut call: impl FnMut()) -> f64 {
    let mut fastest = f64::MAX;
    for _ in 0..7 {
        let start = Instant::now();
        call();
        fastest = fastest.min(start.elapsed().as_secs_f64() * 1e3);
    }
    fastest
}

/// Checking, compiling and searching a bundle.
fn checking(bundle: &Bundle) {
    let (canonical, rules) = (bundle.canonical(), bundle.rules().len());
    let check = fastest(|| {
        let _ = black_box(Bundle::from_canonical(canonical));
    });
    println!("{check:8.3} ms  checking and compiling {rules} rules");
    let Ok(sources) = Sources::from_canonical(canonical) else { return };
    let search = fastest(|| {
        let _ = black_box(policies::analyse(bundle, &sources));
    });
    println!("{search:8.3} ms  searching them for contradictions");
}

fn main() -> Result<(), String> {
    let rows = rows();
    conditions(&rows);
    let bundle = starter::grocery().map_err(|problems| problems.render())?;
    one_moment(&bundle, &rows);
    one_moment(&grown(50 - bundle.guardrails().rules.len())?, &rows);
    checking(&bundle);
    let each = grown(1)?.rules().len() - grown(0)?.rules().len();
    checking(&grown((200 - grown(0)?.rules().len()).div_ceil(each))?);
    Ok(())
}
