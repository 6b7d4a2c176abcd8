//! What was put in force, and that the table says the same.

use crate::negotiation::{Certificate, FallbackReason, PriceTable, Status};

use super::Violation;
use super::answers::unit_price;

/// Posted for a reward that cannot be paid for.
const CLOSED: i128 = 1 << 50;

pub fn check_published(certificate: &Certificate) -> Result<(), Violation> {
    let best = &certificate.rounds[usize::from(certificate.best_round)].prices;
    let from_best = match certificate.status {
        Status::Certified
        | Status::Bounded
        | Status::Fallback(FallbackReason::SolverFailed | FallbackReason::StaleSegment) => true,
        Status::Fallback(
            FallbackReason::GapTooWide | FallbackReason::NoAnswers | FallbackReason::NothingToPlan,
        ) => false,
    };
    if from_best && certificate.published != *best {
        return Err(Violation::Published);
    }
    let (_, clipped) = posted(certificate);
    if clipped != certificate.clipped {
        let (given, computed) = (i128::from(certificate.clipped), i128::from(clipped));
        return Err(Violation::Differs { what: "clipped", given, computed });
    }
    Ok(())
}

pub fn check(certificate: &Certificate, table: &PriceTable) -> Result<(), Violation> {
    let (cert, own) = (&certificate.envelope, &table.envelope);
    let need = |holds: bool, what: &'static str| if holds { Ok(()) } else { Err(Violation::Table(what)) };
    let who = (&cert.program, cert.epoch, cert.batch) == (&own.program, own.epoch, own.batch);
    need(own.schema == cert.schema && who, "it belongs to another negotiation")?;
    need(table.version == certificate.table_version, "version")?;
    need(table.valid_from_batch == cert.batch, "first batch")?;
    need(table.published_at == certificate.concluded_at, "time")?;
    let (rows, _) = posted(certificate);
    need(rows.len() == table.rows.len(), "number of segments")?;
    let equal = |(wanted, given): (&Vec<i128>, &Vec<i64>)| {
        wanted.len() == given.len() && wanted.iter().zip(given).all(|(want, got)| *want == i128::from(*got))
    };
    need(rows.iter().zip(&table.rows).all(equal), "prices")
}

/// Prices per segment and reward after the corridor and what is held, and whether the corridor changed any.
fn posted(certificate: &Certificate) -> (Vec<Vec<i128>>, bool) {
    let mut clipped = false;
    let mut rows = Vec::new();
    for segment in 0..certificate.weights.len() {
        let mut row = Vec::new();
        for reward in 0..certificate.costs.len() {
            let free = unit_price(certificate, &certificate.published, segment, reward);
            let price = free.map_or(CLOSED, |price| price.clamp(-CLOSED, CLOSED));
            let kept = within(certificate, segment, reward, price);
            clipped |= kept != price;
            row.push(at_least_held(certificate, segment, reward, kept));
        }
        rows.push(row);
    }
    (rows, clipped)
}

/// The price, or the one of the run before where that is higher and still holds.
fn at_least_held(certificate: &Certificate, segment: usize, reward: usize, price: i128) -> i128 {
    let held = certificate.held.get(segment).and_then(|row| row.get(reward)).copied().unwrap_or(0);
    if held > 0 { price.max(i128::from(held)) } else { price }
}

/// The price within the corridor; free, subsidised and closed rewards have none.
fn within(certificate: &Certificate, segment: usize, reward: usize, price: i128) -> i128 {
    let Some(corridor) = &certificate.corridor else { return price };
    let Some(anchor) = unit_price(certificate, &corridor.anchor, segment, reward) else { return price };
    if anchor <= 0 || anchor >= CLOSED || price >= CLOSED {
        return price;
    }
    let kappa = i128::from(corridor.kappa.0);
    let (low, high) = (anchor * 1000 / kappa, (anchor * kappa / 1000).min(CLOSED));
    if price < low {
        low
    } else if price > high {
        high
    } else {
        price
    }
}
