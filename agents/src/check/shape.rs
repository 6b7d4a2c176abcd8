//! Lengths, ranges, and which rewards are closed.

use crate::negotiation::{Certificate, Prices, Purpose, RowMix};

use super::Violation;

const SCHEMA: u16 = 1;
const COUNT_MAX: u8 = 64;
const PHASES_MAX: usize = 4;
const ROUNDS_MAX: usize = 12 + 20;
/// 64.0 in Q20.
const MONEY_PRICE_MAX: i64 = 64 << 20;
const UNIT_PRICE_MAX: i64 = 1_000_000_000_000;
const SUBSIDY_MAX: i64 = 2_000_000;
/// Largest amount, count or sum that keeps every product below `i128::MAX`.
pub const AMOUNT_MAX: i64 = 1 << 60;

pub fn check(certificate: &Certificate) -> Result<(), Violation> {
    let layout = certificate.layout;
    let (segments, rewards) = (usize::from(layout.segments), usize::from(layout.rewards));
    let need = |holds: bool, what: &'static str| if holds { Ok(()) } else { Err(Violation::Shape(what)) };
    if certificate.envelope.schema != SCHEMA {
        return Err(Violation::Schema(certificate.envelope.schema));
    }
    let counts = [layout.segments, layout.rewards];
    need(counts.iter().all(|count| (1..=COUNT_MAX).contains(count)), "layout")?;
    need(certificate.costs.len() == rewards && amounts(certificate.costs.iter()), "costs")?;
    let capacities = &certificate.capacities;
    need(capacities.len() == 1 + segments + rewards && amounts(capacities.iter().flatten()), "capacities")?;
    need(certificate.floors.len() == segments && amounts(certificate.floors.iter()), "floors")?;
    need(certificate.weights.len() == segments, "weights")?;
    for weights in &certificate.weights {
        let events = weights.phases.iter().map(|phase| &phase.events_q16);
        need(weights.phases.len() <= PHASES_MAX && amounts(events), "phases")?;
    }
    let rounds = certificate.rounds.len();
    need((1..=ROUNDS_MAX).contains(&rounds), "rounds")?;
    need(usize::from(certificate.envelope.round) + 1 == rounds, "last round")?;
    need(usize::from(certificate.best_round) < rounds, "best round")?;
    for round in &certificate.rounds {
        need(priced(certificate, &round.prices), "quoted prices")?;
        need(round.answers.len() == segments, "answers")?;
        for (segment, answer) in round.answers.iter().enumerate() {
            need(usize::from(answer.segment.0) == segment, "segment of an answer")?;
            need(answer.demand.len() == rewards, "demand")?;
            need(amounts(answer.demand.iter().map(|demand| &demand.events_q16)), "demanded events")?;
            need((0..=1 << 30).contains(&answer.theta_q30), "theta")?;
        }
    }
    need(in_range(certificate, &certificate.published), "published prices")?;
    need(certificate.corridor.iter().all(|corridor| in_range(certificate, &corridor.anchor)), "anchor")?;
    need(certificate.corridor.iter().all(|corridor| corridor.kappa.0 >= 1000), "kappa")?;
    let held = &certificate.held;
    let is_price = |price: &i64| (0..1 << 50).contains(price);
    let prices = |row: &Vec<i64>| row.len() == rewards && row.iter().all(is_price);
    need(held.is_empty() || held.len() == segments && held.iter().all(prices), "held prices")?;
    let mix_fits = match (certificate.purpose, certificate.mix) {
        (Purpose::Anchor, RowMix::Baseline) => certificate.corridor.is_none(),
        (Purpose::Regular, RowMix::Recent(share)) => share.0 <= 1000,
        (Purpose::Anchor, RowMix::Recent(_)) | (Purpose::Regular, RowMix::Baseline) => false,
    };
    need(mix_fits, "row mix")
}

/// A reward is closed exactly when a single unit of it cannot be paid for any more.
pub fn check_closed(certificate: &Certificate) -> Result<(), Violation> {
    let segments = usize::from(certificate.layout.segments);
    let left = |resource: usize| certificate.capacities[resource].unwrap_or(i64::MAX);
    for (segment, weights) in certificate.weights.iter().enumerate() {
        let mut closed = 0u64;
        for (reward, cost) in certificate.costs.iter().enumerate() {
            let money = left(0).min(left(1 + segment));
            if *cost > money || left(1 + segments + reward) < 1 {
                closed |= 1 << reward;
            }
        }
        if closed != weights.closed {
            return Err(Violation::Closed { segment });
        }
    }
    Ok(())
}

fn amounts<'a>(mut numbers: impl Iterator<Item = &'a i64>) -> bool {
    numbers.all(|number| (0..=AMOUNT_MAX).contains(number))
}

/// The right number of prices, each within its range.
fn in_range(certificate: &Certificate, prices: &Prices) -> bool {
    let layout = certificate.layout;
    let (segments, rewards) = (usize::from(layout.segments), usize::from(layout.rewards));
    let lengths = prices.segments.len() == segments
        && prices.rewards.len() == rewards
        && prices.subsidies.len() == segments;
    let mut money = std::iter::once(&prices.global).chain(&prices.segments);
    lengths
        && money.all(|price| (0..=MONEY_PRICE_MAX).contains(&price.0))
        && prices.rewards.iter().all(|price| (0..=UNIT_PRICE_MAX).contains(price))
        && prices.subsidies.iter().all(|subsidy| (0..=SUBSIDY_MAX).contains(subsidy))
}

/// In range, and nothing without a limit has a price.
fn priced(certificate: &Certificate, prices: &Prices) -> bool {
    if !in_range(certificate, prices) {
        return false;
    }
    let money = std::iter::once(prices.global.0).chain(prices.segments.iter().map(|price| price.0));
    let mut all = money.chain(prices.rewards.iter().copied()).zip(&certificate.capacities);
    let mut floors = prices.subsidies.iter().zip(&certificate.floors);
    all.all(|(price, capacity)| capacity.is_some() || price == 0)
        && floors.all(|(subsidy, floor)| *floor > 0 || *subsidy == 0)
}
