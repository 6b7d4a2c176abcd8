//! Could some rows have answered so, and would they have answered otherwise?

use crate::negotiation::{Certificate, Prices, SegmentRecord};

use super::Violation;

/// The price of one unit in micros, rounded half up; `None` for a closed reward.
pub fn unit_price(certificate: &Certificate, prices: &Prices, segment: usize, reward: usize) -> Option<i128> {
    if certificate.weights[segment].closed & (1 << reward) != 0 {
        return None;
    }
    let per_micro = i128::from(prices.global.0) + i128::from(prices.segments[segment].0);
    let money_q20 = per_micro * i128::from(certificate.costs[reward]);
    let money = (money_q20 + 524_288).div_euclid(1_048_576);
    Some(money + i128::from(prices.rewards[reward]) - i128::from(prices.subsidies[segment]))
}

/// What an answer gains at some prices, Q16 micros.
fn gain(certificate: &Certificate, prices: &Prices, segment: usize, answer: &SegmentRecord) -> i128 {
    let mut gain = 0;
    for (reward, demand) in answer.demand.iter().enumerate() {
        if let Some(price) = unit_price(certificate, prices, segment, reward) {
            gain += demand.value_q16 - i128::from(demand.events_q16) * price;
        }
    }
    gain
}

/// Events expected in a segment, Q16.
pub fn expected_q16(certificate: &Certificate, segment: usize) -> i128 {
    certificate.weights[segment].phases.iter().map(|phase| i128::from(phase.events_q16)).sum()
}

pub fn check(certificate: &Certificate) -> Result<(), Violation> {
    for (round, record) in certificate.rounds.iter().enumerate() {
        for (segment, answer) in record.answers.iter().enumerate() {
            if let Some(what) = fault(certificate, &record.prices, segment, answer) {
                return Err(Violation::Answer { round, segment, what });
            }
        }
    }
    Ok(())
}

fn fault(
    certificate: &Certificate,
    prices: &Prices,
    segment: usize,
    answer: &SegmentRecord,
) -> Option<&'static str> {
    let mut events = 0;
    for (reward, demand) in answer.demand.iter().enumerate() {
        let wanted = i128::from(demand.events_q16);
        events += wanted;
        if wanted == 0 && demand.value_q16 != 0 {
            return Some("value without events");
        }
        match unit_price(certificate, prices, segment, reward) {
            None if wanted > 0 => return Some("a closed reward is wanted"),
            Some(price) if answer.stale == 0 && demand.value_q16 < wanted * price => {
                return Some("more is paid than it is worth");
            }
            None | Some(_) => {}
        }
    }
    if events > expected_q16(certificate, segment) {
        return Some("more events are wanted than were announced");
    }
    if answer.net_q16 != gain(certificate, prices, segment, answer) {
        return Some("the net sum does not follow from the demand");
    }
    None
}

/// Every fresh answer is the best its segment could give: no other answer of its own gains more at its prices.
///
/// All answers of a segment within a negotiation come from the same frozen rows, so an answer that overstates
/// or understates what the rows want is beaten by, or beats, the answers of other rounds.
pub fn check_revealed_preference(certificate: &Certificate) -> Result<(), Violation> {
    for segment in 0..certificate.weights.len() {
        let answer_of = |round: usize| &certificate.rounds[round].answers[segment];
        let fresh: Vec<usize> =
            (0..certificate.rounds.len()).filter(|round| answer_of(*round).stale == 0).collect();
        for round in &fresh {
            let own = answer_of(*round);
            let first = answer_of(fresh[0]);
            let rows = |answer: &SegmentRecord| (answer.rows_digest, answer.rows_used, answer.frozen_at);
            if rows(own) != rows(first) {
                let what = "the rows changed within the negotiation";
                return Err(Violation::Answer { round: *round, segment, what });
            }
            let prices = &certificate.rounds[*round].prices;
            let better = fresh
                .iter()
                .find(|other| gain(certificate, prices, segment, answer_of(**other)) > own.net_q16);
            if let Some(better) = better {
                return Err(Violation::NotBest { round: *round, segment, better: *better });
            }
        }
    }
    Ok(())
}
