//! The two bounds, the gap, and whether the ending fits them.

use crate::negotiation::{Certificate, FallbackReason, RoundRecord, Status};

use super::answers::expected_q16;
use super::{Exceeded, Verified, Violation};

const ONE_Q30: i128 = 1 << 30;
const ONE_Q16: i128 = 1 << 16;
const ONE_Q36: i128 = 1 << 36;
const SUBSIDY_MAX: i128 = 2_000_000;
const CERTIFIED_PPM: u32 = 5_000;
const BOUNDED_PPM: u32 = 20_000;
const ROUNDS_MAX: usize = 12;

pub fn check(certificate: &Certificate) -> Result<Verified, Violation> {
    let uppers: Vec<i128> = certificate.rounds.iter().map(|round| upper(certificate, round)).collect();
    for (round, upper) in certificate.rounds.iter().zip(&uppers) {
        same("a round's upper bound", round.upper, *upper)?;
    }
    let best = uppers.iter().enumerate().min_by_key(|(_, upper)| **upper).map_or(0, |(round, _)| round);
    same("best round", i128::from(certificate.best_round), best as i128)?;
    same("upper bound", certificate.upper, uppers[best])?;
    check_plan(certificate)?;
    let lower = plan_value(certificate);
    same("lower bound", certificate.lower, lower)?;
    let gap = gap(uppers[best], lower);
    same("gap", i128::from(certificate.gap_ppm), gap)?;
    let stale = |round: &RoundRecord| round.answers.iter().any(|answer| answer.stale > 0);
    let fresh = !certificate.rounds.iter().any(stale);
    if fresh && lower > uppers[best] {
        return Err(Violation::BoundBelowPlan { lower, upper: uppers[best] });
    }
    let rounds = certificate.rounds.len();
    Ok(Verified { upper: uppers[best], lower, gap_ppm: certificate.gap_ppm, rounds, fresh })
}

/// What the members gain plus what the capacities are worth, micros rounded up.
///
/// Unit prices are rounded to a micro, which may hide up to half a micro per promise.
fn upper(certificate: &Certificate, round: &RoundRecord) -> i128 {
    let segments = certificate.weights.len();
    let prices = &round.prices;
    let left = |resource: usize| i128::from(certificate.capacities[resource].unwrap_or(0));
    let mut money_q20 = i128::from(prices.global.0) * left(0);
    let mut units = 0;
    let mut gains_q16 = 0;
    let mut promises_q16 = 0;
    for segment in 0..segments {
        money_q20 += i128::from(prices.segments[segment].0) * left(1 + segment);
        units -= i128::from(prices.subsidies[segment]) * i128::from(certificate.floors[segment]);
        gains_q16 += round.answers[segment].net_q16;
        promises_q16 += possible_q16(certificate, segment);
    }
    for (reward, price) in prices.rewards.iter().enumerate() {
        units += i128::from(*price) * left(1 + segments + reward);
    }
    let sum_q36 = units * ONE_Q36 + money_q20 * ONE_Q16 + gains_q16 * (1 << 20) + promises_q16 * (1 << 19);
    sum_q36.div_euclid(ONE_Q36) + i128::from(sum_q36.rem_euclid(ONE_Q36) > 0)
}

/// No segment can expect more promises than moments, nor more than the money left pays for.
fn possible_q16(certificate: &Certificate, segment: usize) -> i128 {
    let closed = certificate.weights[segment].closed;
    let open = (0..certificate.costs.len()).filter(|reward| closed & (1 << reward) == 0);
    let Some(cheapest) = open.map(|reward| certificate.costs[reward]).min() else { return 0 };
    let mut possible = expected_q16(certificate, segment);
    for money in [certificate.capacities[0], certificate.capacities[1 + segment]].into_iter().flatten() {
        if cheapest > 0 {
            possible = possible.min(i128::from(money / cheapest) * ONE_Q16);
        }
    }
    possible
}

/// Per segment at most one whole, per resource at most its capacity.
fn check_plan(certificate: &Certificate) -> Result<(), Violation> {
    let segments = certificate.weights.len();
    let mut whole = vec![0i128; segments];
    let mut used = vec![0i128; certificate.capacities.len()];
    for (segment, answer) in certificate.rounds.iter().flat_map(|round| round.answers.iter().enumerate()) {
        let theta = i128::from(answer.theta_q30);
        whole[segment] += theta;
        for (reward, demand) in answer.demand.iter().enumerate() {
            let events = theta * i128::from(demand.events_q16);
            let cost = events * i128::from(certificate.costs[reward]);
            used[0] += cost;
            used[1 + segment] += cost;
            used[1 + segments + reward] += events;
        }
    }
    if let Some(segment) = whole.iter().position(|whole| *whole > ONE_Q30) {
        return Err(Violation::Plan(Exceeded::Whole(segment)));
    }
    let over = |(used, capacity): (&i128, &Option<i64>)| {
        capacity.is_some_and(|capacity| *used > i128::from(capacity) * ONE_Q16 * ONE_Q30)
    };
    match used.iter().zip(&certificate.capacities).position(over) {
        Some(resource) => Err(Violation::Plan(Exceeded::Capacity(resource))),
        None => Ok(()),
    }
}

/// The plan's value in micros, rounded down; events short of a floor count as the highest subsidy each.
fn plan_value(certificate: &Certificate) -> i128 {
    let mut value_q46 = 0;
    for (segment, floor) in certificate.floors.iter().enumerate() {
        let mut granted_q46 = 0;
        for answer in certificate.rounds.iter().map(|round| &round.answers[segment]) {
            for demand in &answer.demand {
                value_q46 += i128::from(answer.theta_q30) * demand.value_q16;
                granted_q46 += i128::from(answer.theta_q30) * i128::from(demand.events_q16);
            }
        }
        let owed_q46 = i128::from(*floor) * ONE_Q16 * ONE_Q30;
        value_q46 -= (owed_q46 - granted_q46).max(0) * SUBSIDY_MAX;
    }
    value_q46.div_euclid(ONE_Q16 * ONE_Q30)
}

/// Parts per million of the upper bound, rounded up.
fn gap(upper: i128, lower: i128) -> i128 {
    if upper <= 0 || lower >= upper {
        return 0;
    }
    let scaled = (upper - lower) * 1_000_000;
    (scaled.div_euclid(upper) + i128::from(scaled.rem_euclid(upper) > 0)).min(i128::from(u32::MAX))
}

pub fn check_status(certificate: &Certificate, verified: &Verified) -> Result<(), Violation> {
    let gap = verified.gap_ppm;
    let silent = |round: &RoundRecord| round.answers.iter().any(|answer| answer.stale == u8::MAX);
    let empty = |round: &RoundRecord| round.answers.iter().all(|answer| answer.rows_used == 0);
    let nothing = (0..certificate.weights.len()).all(|segment| possible_q16(certificate, segment) == 0)
        || certificate.rounds.iter().all(empty);
    let fits = match certificate.status {
        Status::Certified => verified.fresh && gap <= CERTIFIED_PPM && verified.rounds <= ROUNDS_MAX,
        Status::Bounded => {
            verified.fresh
                && (CERTIFIED_PPM + 1..=BOUNDED_PPM).contains(&gap)
                && verified.rounds <= ROUNDS_MAX
        }
        Status::Fallback(FallbackReason::GapTooWide) => {
            verified.fresh && gap > BOUNDED_PPM && verified.rounds <= ROUNDS_MAX
        }
        Status::Fallback(FallbackReason::SolverFailed) => verified.fresh,
        Status::Fallback(FallbackReason::StaleSegment) => !verified.fresh,
        Status::Fallback(FallbackReason::NoAnswers) => nothing && certificate.rounds.iter().any(silent),
        Status::Fallback(FallbackReason::NothingToPlan) => nothing,
    };
    if fits && (!nothing || matches!(certificate.status, Status::Fallback(_))) {
        Ok(())
    } else {
        Err(Violation::Status)
    }
}

fn same(what: &'static str, given: i128, computed: i128) -> Result<(), Violation> {
    if given == computed { Ok(()) } else { Err(Violation::Differs { what, given, computed }) }
}
