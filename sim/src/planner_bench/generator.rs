//! The instance generator, in integers only, so that every port of it makes the same days.
//!
//! `bench/planner/bench_public.json` holds the checksums it must reproduce.

use super::instance::{Instance, Kind};
use super::world::{
    BUDGET_PER_EVENT, COSTS, EFFICACY, EXP2_Q16, INVENTORY, REWARDS, SEGMENT_BUDGET, SEGMENT_CHURN,
    SEGMENT_LTV, SEGMENT_PERCENT, SEGMENTS,
};

const K1: u64 = 0x9E37_79B9_7F4A_7C15;
const K2: u64 = 0xBF58_476D_1CE4_E5B9;
const K3: u64 = 0x94D0_49BB_1331_11EB;

/// The members of a world.
#[derive(Clone, Debug)]
pub struct Members {
    pub segment: Vec<u8>,
    /// Cents.
    pub ltv: Vec<i64>,
    /// Ppm.
    pub churn: Vec<i64>,
}

/// One generated day.
#[derive(Clone, Debug)]
pub struct Day {
    pub members: Members,
    /// Events times rewards, micros; may be negative.
    pub values: Vec<[i64; REWARDS]>,
    pub segment: Vec<u8>,
    pub member: Vec<u32>,
    /// Ticks; an ordinary event takes 1,000, one in a surge 200.
    pub time: Vec<i64>,
    /// Money: global, then per segment.
    pub budgets: [i64; 1 + SEGMENTS],
    /// Units per reward; `None` without a limit.
    pub inventory: [Option<i64>; REWARDS],
}

fn mix(z: u64) -> u64 {
    let z = (z ^ (z >> 30)).wrapping_mul(K2);
    let z = (z ^ (z >> 27)).wrapping_mul(K3);
    z ^ (z >> 31)
}

/// The uniform u64 of a seed's stream at an index.
fn uniform(seed: u64, stream: u64, index: u64) -> u64 {
    let base = mix(seed.wrapping_mul(K1).wrapping_add(stream));
    mix(base.wrapping_add(index.wrapping_mul(K1)))
}

/// A multiplier in Q16 with median about one: four 16-bit lanes, centred, as an exponent.
fn noise(u: u64, scale: i64) -> i64 {
    let lanes = (u & 0xFFFF) + ((u >> 16) & 0xFFFF) + ((u >> 32) & 0xFFFF) + (u >> 48);
    let centred = lanes as i64 - 131_070;
    let knot = 64 + (centred * scale).div_euclid(65_536);
    EXP2_Q16[knot.clamp(0, 128) as usize]
}

impl Members {
    /// The members of a world.
    pub fn of(world: u64, count: usize) -> Members {
        let mut members = Members { segment: Vec::new(), ltv: Vec::new(), churn: Vec::new() };
        for index in 0..count as u64 {
            let percent = uniform(world, 1, index) % 100;
            let mut sum = 0;
            let below = |share: &&u64| {
                sum += **share;
                sum <= percent
            };
            let segment = SEGMENT_PERCENT.iter().take_while(below).count();
            members.segment.push(segment as u8);
            members.ltv.push((SEGMENT_LTV[segment] * noise(uniform(world, 2, index), 24)) >> 16);
            let churn = (SEGMENT_CHURN[segment] * noise(uniform(world, 3, index), 16)) >> 16;
            members.churn.push(churn.clamp(5_000, 900_000));
        }
        members
    }

    /// Churn times retention, ppm.
    pub fn at_stake_ppm(&self, member: usize) -> i64 {
        let churn = self.churn[member];
        churn * (1_000_000 - churn) / 1_000_000
    }

    /// LTV times churn times retention, micros.
    pub fn scale(&self, member: usize) -> i64 {
        self.at_stake_ppm(member) * self.ltv[member] / 100
    }
}

/// The member an ordinary day's event belongs to: frequent members have small numbers.
pub fn visitor(seed: u64, event: u64, members: usize) -> u32 {
    let x = uniform(seed, 7, event) >> 32;
    ((((x * x) >> 32) * members as u64) >> 32) as u32
}

/// Where a day departs from the ordinary: `None`, or the multiplier of values in tenths.
#[derive(Clone, Copy)]
struct Surge {
    from: usize,
    to: usize,
    value_tenths: i64,
    crowd: bool,
}

fn surges(kind: Kind, events: usize) -> Vec<Surge> {
    let surge = |from: usize, to: usize, value_tenths, crowd| Surge {
        from: events * from / 100,
        to: events * to / 100,
        value_tenths,
        crowd,
    };
    match kind {
        Kind::Burst => vec![surge(55, 70, 17, true)],
        Kind::BurstHi => vec![surge(55, 70, 10, true)],
        Kind::BurstLo => vec![surge(55, 70, 5, true)],
        Kind::Double => vec![surge(20, 30, 5, true), surge(75, 95, 17, false)],
        Kind::Stationary
        | Kind::AdvLowFirst
        | Kind::AdvHighFirst
        | Kind::AdvSegment
        | Kind::AdvSegmentRev => Vec::new(),
    }
}

/// What the world likes: affinity by segment and reward, and by event type and reward, Q16.
struct Tastes {
    affinity: Vec<i64>,
    by_type: Vec<i64>,
}

impl Day {
    /// Makes the day of an instance.
    pub fn of(instance: &Instance) -> Day {
        let Instance { kind, seed, world, events, .. } = *instance;
        let members = Members::of(world, instance.members);
        let surges = surges(kind, events);
        let crowd: Vec<u32> =
            (0..instance.members as u32).filter(|member| members.segment[*member as usize] <= 1).collect();
        let tastes = Tastes {
            affinity: (0..SEGMENTS * REWARDS).map(|i| noise(uniform(world, 5, i as u64), 14)).collect(),
            by_type: (0..6 * REWARDS).map(|i| noise(uniform(world, 6, i as u64), 12)).collect(),
        };
        let dog = |member: u32| uniform(world, 4, u64::from(member)) % 100 < 10;
        let mut day = Day::empty(instance, members);
        let mut now = 0;
        for event in 0..events {
            let index = event as u64;
            let surge = surges.iter().find(|surge| (surge.from..surge.to).contains(&event));
            let mut member = visitor(seed, index, instance.members);
            if surge.is_some_and(|surge| surge.crowd) && uniform(seed, 9, index) % 100 < 60 {
                let pick = ((uniform(seed, 8, index) >> 32) * crowd.len() as u64) >> 32;
                member = crowd[pick as usize];
            }
            let tenths = surge.map_or(10, |surge| surge.value_tenths);
            let values = day.members.values(member as usize, &tastes, dog(member), seed, index, tenths);
            now += if surge.is_some() { 200 } else { 1000 };
            day.segment.push(day.members.segment[member as usize]);
            day.member.push(member);
            day.values.push(values);
            day.time.push(now);
        }
        day.reorder(kind);
        day
    }

    fn empty(instance: &Instance, members: Members) -> Day {
        let events = instance.events as i64;
        let global = BUDGET_PER_EVENT * events;
        let mut budgets = [global; 1 + SEGMENTS];
        for (budget, share) in budgets[1..].iter_mut().zip(SEGMENT_BUDGET) {
            *budget = share * global / 1000;
        }
        Day {
            members,
            values: Vec::new(),
            segment: Vec::new(),
            member: Vec::new(),
            time: Vec::new(),
            budgets,
            inventory: INVENTORY.map(|ppm| (ppm > 0).then(|| ppm * events / 1_000_000)),
        }
    }

    /// Number of events.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether the day has no event.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The last tick of the day.
    pub fn end(&self) -> i64 {
        self.time.last().copied().unwrap_or(0)
    }

    /// The adverse orders; times stay where they are.
    fn reorder(&mut self, kind: Kind) {
        let mut order: Vec<usize> = (0..self.len()).collect();
        let best = |event: &usize| self.values[*event].iter().copied().max();
        match kind {
            Kind::AdvLowFirst => order.sort_by_key(best),
            Kind::AdvHighFirst => {
                order.sort_by_key(best);
                order.reverse();
            }
            Kind::AdvSegment => order.sort_by_key(|event| self.segment[*event]),
            Kind::AdvSegmentRev => order.sort_by_key(|event| std::cmp::Reverse(self.segment[*event])),
            Kind::Stationary | Kind::Burst | Kind::BurstHi | Kind::BurstLo | Kind::Double => return,
        }
        self.values = order.iter().map(|event| self.values[*event]).collect();
        self.segment = order.iter().map(|event| self.segment[*event]).collect();
        self.member = order.iter().map(|event| self.member[*event]).collect();
    }

    /// The 64-bit digest by which ports of the generator are compared.
    pub fn checksum(&self) -> u64 {
        let mut digest = 0;
        for event in 0..self.len() {
            let row = mix(event as u64 + 1);
            let mut add = |column: u64, value: u64| {
                let place = row.wrapping_add(column.wrapping_mul(K2));
                digest ^= mix(place.wrapping_add(value.wrapping_mul(K1)));
            };
            for (reward, value) in self.values[event].iter().enumerate() {
                add(reward as u64 + 1, *value as u64);
            }
            add(101, u64::from(self.segment[event]));
            add(102, u64::from(self.member[event]));
            add(103, self.time[event] as u64);
        }
        digest
    }
}

impl Members {
    fn values(
        &self,
        member: usize,
        tastes: &Tastes,
        dog: bool,
        seed: u64,
        event: u64,
        tenths: i64,
    ) -> [i64; REWARDS] {
        let at_stake = self.at_stake_ppm(member);
        let segment = usize::from(self.segment[member]);
        let event_type = (uniform(seed, 10, event) % 6) as usize;
        std::array::from_fn(|reward| {
            let mut uplift = at_stake * EFFICACY[reward] / 1_000_000;
            uplift = (uplift * tastes.affinity[segment * REWARDS + reward]) >> 16;
            uplift = (uplift * tastes.by_type[event_type * REWARDS + reward]) >> 16;
            uplift = (uplift * noise(uniform(seed, 100 + reward as u64, event), 10)) >> 16;
            // Sleeping dogs: being approached with a mid-sized reward reminds them that they could leave.
            if dog && (3..=7).contains(&reward) {
                uplift = -(uplift / 2);
            }
            if tenths != 10 {
                uplift = (uplift * tenths).div_euclid(10);
            }
            (uplift * self.ltv[member]).div_euclid(100)
        })
    }
}

/// Face cost per reward, as a list.
pub fn costs() -> Vec<i64> {
    COSTS.to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_public_instance_is_reproduced_bit_for_bit() {
        let public: serde_json::Value =
            serde_json::from_str(include_str!("../../bench/planner/bench_public.json")).unwrap();
        for entry in public["instances"].as_array().unwrap() {
            let kind: Kind = serde_json::from_value(entry["kind"].clone()).unwrap();
            let seed = entry["seed"].as_u64().unwrap();
            let day = Day::of(&Instance::public(kind, seed, entry["cap"].as_u64().unwrap() as u8));
            assert_eq!(format!("{:016x}", day.checksum()), entry["checksum"], "{kind:?} seed {seed}");
        }
    }

    #[test]
    fn the_constants_are_those_of_the_published_specification() {
        let public: serde_json::Value =
            serde_json::from_str(include_str!("../../bench/planner/bench_public.json")).unwrap();
        let list = |key: &str| -> Vec<i64> { serde_json::from_value(public["spec"][key].clone()).unwrap() };
        assert_eq!(list("cost_micros"), COSTS);
        assert_eq!(list("eff_ppm"), EFFICACY);
        assert_eq!(list("seg_ltv_cents"), SEGMENT_LTV);
        assert_eq!(list("seg_churn_ppm"), SEGMENT_CHURN);
        assert_eq!(list("seg_budget_milli"), SEGMENT_BUDGET);
        assert_eq!(list("inv_ppm"), INVENTORY);
        assert_eq!(list("exp2_q16"), EXP2_Q16);
    }
}
