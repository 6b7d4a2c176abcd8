//! What a negotiation is about, and what it puts in force: capacities and forecast in, table and grant out.

use domain::Timestamp;

use crate::negotiation::{Corridor, EscrowGrant, PriceTable, Prices, SegmentWeights};

use super::bounds::Ground;
use super::corridor::posted;
use super::negotiation::Planner;
use super::treasury::largest_units;

impl Planner {
    pub(super) fn corridor(&self) -> Option<Corridor> {
        let (anchor, kappa) = (self.anchor.clone()?, self.options.kappa?);
        Some(Corridor { anchor, kappa })
    }

    /// What is left, what is expected, and what can still be paid for.
    pub(super) fn ground(&self, now: Timestamp) -> Ground {
        let layout = self.config.layout;
        let capacity = |resource| self.treasury.capacity(resource, &self.held);
        let capacities: Vec<Option<i64>> = (0..layout.priced()).map(capacity).collect();
        let short = |resource: usize, need: i64| capacities[resource].is_some_and(|left| left < need);
        let closed = |segment: usize| {
            let shut = |(reward, cost): (usize, &i64)| {
                let out = short(0, *cost)
                    || short(layout.segment(segment), *cost)
                    || short(layout.reward(reward), 1);
                u64::from(out) << reward
            };
            self.config.costs.iter().enumerate().map(shut).sum()
        };
        let phases = self.forecast.remaining(now).into_iter().enumerate();
        let weights = phases.map(|(segment, phases)| SegmentWeights { phases, closed: closed(segment) });
        Ground {
            layout,
            costs: self.config.costs.clone(),
            weights: weights.collect(),
            floors: self.config.floors.iter().map(|floor| self.still_owed(*floor, now)).collect(),
            capacities,
        }
    }

    /// What of a floor falls into the rest of the window, spread evenly, rounded up. A stretch that could not be served
    /// is not made up for later: that would take from other segments what this one did not want when it was there.
    fn still_owed(&self, floor: i64, now: Timestamp) -> i64 {
        let window = self.config.window;
        let (left, whole) = (window.to.since(now).max(0), window.to.since(window.from).max(1));
        let owed = (i128::from(floor) * i128::from(left) + i128::from(whole) - 1) / i128::from(whole);
        i64::try_from(owed).unwrap_or(floor).min(floor)
    }

    pub(super) fn table(&self, ground: &Ground, now: Timestamp, prices: &Prices) -> (PriceTable, bool) {
        let held = self.held_prices(now);
        let (rows, clipped) = posted(ground, prices, self.corridor().as_ref(), &held);
        let table = PriceTable {
            envelope: self.envelope(0, now),
            version: self.version,
            valid_from_batch: self.batch,
            published_at: now,
            ttl_micros: self.options.ttl_micros,
            value_milli: self.forecast.value_at(now).0,
            rows,
        };
        (table, clipped)
    }

    /// What no posted price is below: the prices of the run before, in segments that have not yet seen as many
    /// moments as it had. A few rows tell what their own members would pay, not what the next would.
    ///
    /// They fall evenly to nothing by the end of the window, so that money nobody asked for is not kept for ever,
    /// however often a run ends before it knows enough.
    pub(super) fn held_prices(&self, now: Timestamp) -> Vec<Vec<i64>> {
        let Some(taken) = &self.taken else { return Vec::new() };
        let window = self.config.window;
        let whole = i128::from(window.to.since(taken.at.max(window.from)).max(1));
        let left = i128::from(window.to.since(now)).clamp(0, whole);
        let row = |segment: usize| -> Vec<i64> {
            let knows = self.forecast.own(segment) >= taken.enough.get(segment).copied().unwrap_or(0);
            let price = |reward: usize| {
                let price = taken.prices.get(segment).and_then(|row| row.get(reward)).filter(|_| !knows);
                let held = i128::from(price.copied().unwrap_or(0)) * left / whole;
                i64::try_from(held).unwrap_or(0)
            };
            (0..self.config.layout.reward_count()).map(price).collect()
        };
        let rows: Vec<Vec<i64>> = (0..self.config.layout.segment_count()).map(row).collect();
        if rows.iter().flatten().all(|price| *price == 0) { Vec::new() } else { rows }
    }

    /// Tops the node's escrow up to what the limiter lets it spend before the next grant.
    pub(super) fn grant(&mut self, ground: &Ground, now: Timestamp) -> EscrowGrant {
        let limit = self.limits_per_batch(ground);
        let missing = |(limit, balance): (&i64, &i64)| (limit - balance).max(0);
        let want: Vec<i64> = limit.iter().zip(&self.held.balance).map(missing).collect();
        let (add, lease) = self.treasury.grant(&want);
        let expires_at = now.plus(self.options.lease_micros);
        EscrowGrant { envelope: self.envelope(0, now), lease, expires_at, add, limit }
    }

    /// Most that may be reserved of each resource until the next grant.
    pub(super) fn limits_per_batch(&self, ground: &Ground) -> Vec<i64> {
        let events = (ground.events_q16() >> 16).max(i128::from(self.options.batch_events));
        let multiple = if self.wide_gaps > 0 {
            1
        } else if self.certified_once {
            self.options.limiter
        } else {
            self.options.limiter_cold
        };
        let units = largest_units(self.config.layout, &self.config.costs);
        let limit = |(resource, unit): (usize, &i64)| {
            let Some(left) = self.treasury.capacity(resource, &self.held) else { return 0 };
            let share =
                i128::from(left) * i128::from(self.options.batch_events) * i128::from(multiple) / events;
            i64::try_from(share).unwrap_or(left).max(2 * unit).min(left)
        };
        units.iter().enumerate().map(limit).collect()
    }
}
