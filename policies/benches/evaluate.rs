//! What evaluation costs: one condition, and one whole moment of the starter bundle with its ten rewards.
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
use policies::{Bundle, Grant, Situation, Stops, starter};

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

/// One moment as the member agent asks it: trigger, gates, segment, ten candidates, values.
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
    for reward in (0..10).map(RewardIndex) {
        bundle.put_reward_facts(reward, NOW, grants, row);
        let asked = Situation { facts: row, now: NOW, grants, stops: Stops::default() };
        if bundle.candidate(found, reward, &asked).is_ok() {
            let ltv = Micros(facts.get(Field::MemberLtv91d));
            let churn = Ppm(u32::try_from(facts.get(Field::MemberChurn60d)).unwrap_or(0));
            sum = sum.wrapping_add(bundle.value(segment, reward, ltv, churn).levered.0.unsigned_abs());
        }
    }
    sum | 8
}

fn main() {
    let rows = rows();
    for text in [
        "member.churn_60d >= 0.08",
        "member.churn_60d >= 0.08 || member.overdue >= 3.0",
        "reward.cost <= event.amount * 0.4",
        "event.type == \"purchase\" && now.hour in [0, 1, 2, 3, 4] && !member.minor",
        "(member.spend_28d * 3 > member.spend_91d ? member.trips_28d : member.trips) >= 4 && event.amount < 60",
    ] {
        let Ok(truth) = condition(text) else { continue };
        println!("{:8.1} ns  {text}", best(|facts| u64::from(truth.holds(facts)), &rows));
    }
    let Ok(bundle) = starter::grocery() else { return };
    let grants = [Grant { at: NOW.plus(-20 * time::DAY), reward: RewardIndex(0) }];
    let mut row = Facts::default();
    let reached = rows.iter().filter(|facts| moment(&bundle, facts, &mut row, &grants) >= 8).count();
    let nanos = best(|facts| moment(&bundle, facts, &mut row, &grants), &rows);
    println!(
        "{:8.3} us  one moment of the starter bundle ({reached} of {ROWS} reach the candidates)",
        nanos / 1e3
    );
    let start = Instant::now();
    for _ in 0..20 {
        let _ = black_box(starter::grocery());
    }
    println!("{:8.3} ms  checking the starter bundle", start.elapsed().as_secs_f64() * 1e3 / 20.0);
}
