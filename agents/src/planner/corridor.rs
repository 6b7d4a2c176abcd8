//! From prices to the table that is posted: closed rewards, the corridor around the anchor, and what is held.
//!
//! The corridor keeps one strange hour from moving prices arbitrarily far from what a whole comparable period
//! supports. It is re-anchored on every change of budget, catalog, policy or calendar: a fixed corridor
//! starved a program after a budget cut.

use crate::negotiation::integers::CLOSED;
use crate::negotiation::{Corridor, Prices};

use super::bounds::Ground;

/// The posted prices per segment and reward, and whether the corridor changed any of them.
///
/// `held` has the prices no posted one is below, per segment and reward; zero, or nothing at all, holds nothing.
pub fn posted(
    ground: &Ground,
    prices: &Prices,
    corridor: Option<&Corridor>,
    held: &[Vec<i64>],
) -> (Vec<Vec<i64>>, bool) {
    let mut clipped = false;
    let row = |(segment, weights): (usize, &crate::negotiation::SegmentWeights)| {
        let mut row = prices.row(segment, &ground.costs, weights.closed);
        if let Some(corridor) = corridor {
            let anchors = corridor.anchor.row(segment, &ground.costs, weights.closed);
            for (price, anchor) in row.iter_mut().zip(anchors) {
                let within = clamp(*price, anchor, i64::from(corridor.kappa.0));
                clipped |= within != *price;
                *price = within;
            }
        }
        for (price, held) in row.iter_mut().zip(held.get(segment).into_iter().flatten()) {
            if *held > 0 {
                *price = (*price).max(*held);
            }
        }
        row
    };
    let rows = ground.weights.iter().enumerate().map(row).collect();
    (rows, clipped)
}

/// The price within `anchor / kappa ..= anchor * kappa`; free, subsidised and closed rewards are left alone.
fn clamp(price: i64, anchor: i64, kappa_milli: i64) -> i64 {
    if anchor <= 0 || anchor >= CLOSED || price >= CLOSED {
        return price;
    }
    let scale = |numerator: i64, denominator: i64| {
        let scaled = i128::from(anchor) * i128::from(numerator) / i128::from(denominator.max(1));
        i64::try_from(scaled).unwrap_or(CLOSED)
    };
    price.clamp(scale(1000, kappa_milli), scale(kappa_milli, 1000))
}
