//! The best possible value in hindsight: known for the public instances, computed for others.
//!
//! The computation knows the whole day and solves the linear program exactly (cap included: each member's best
//! events at the given prices are a matroid's best basis). It is a bound no online policy can pass. It shares no
//! code with the protocol.

use microlp::{ComparisonOp, LinearExpr, OptimizationDirection, Problem, Variable};

use super::generator::Day;
use super::instance::{Instance, Kind};
use super::world::{COSTS, REWARDS, SEGMENTS};

const RESOURCES: usize = 1 + SEGMENTS + REWARDS;
/// Relative gap at which the bound is good enough for a percentage with two decimals.
const TOLERANCE: f64 = 2e-5;
/// Rounds before the best bound so far is taken.
const ROUNDS_MAX: usize = 150;

/// The published optimum of a public instance, in currency units.
pub fn known(instance: &Instance) -> Option<f64> {
    let public: serde_json::Value =
        serde_json::from_str(include_str!("../../bench/planner/bench_public.json")).ok()?;
    let size = instance.events == 200_000 && instance.members == 60_000 && instance.budget_cut.is_none();
    let same = |entry: &&serde_json::Value| {
        let kind: Option<Kind> = serde_json::from_value(entry["kind"].clone()).ok();
        kind == Some(instance.kind)
            && entry["seed"].as_u64() == Some(instance.seed)
            && entry["world"].as_u64() == Some(instance.world)
            && entry["cap"].as_u64() == Some(u64::from(instance.cap))
    };
    let entry = public["instances"].as_array()?.iter().find(same)?;
    entry["opt"].as_f64().filter(|_| size)
}

/// What the members would take at some prices, by segment.
#[derive(Clone, Default)]
struct Taken {
    net: [f64; SEGMENTS],
    value: [f64; SEGMENTS],
    /// Cost in micros, and units per reward.
    cost: [f64; SEGMENTS],
    units: [[f64; REWARDS]; SEGMENTS],
}

/// The hindsight optimum in currency units, by cutting planes with in-out steps.
pub fn optimum(instance: &Instance, day: &Day) -> f64 {
    let capacities = capacities(instance, day);
    let visits = by_member(day);
    let mut prices = [0.0; RESOURCES];
    prices[0] = 1.0;
    let (mut best, mut centre) = (f64::INFINITY, prices);
    let mut cuts: Vec<Taken> = Vec::new();
    for round in 0..ROUNDS_MAX {
        let taken = take(day, &visits, instance.cap, &prices);
        let worth: f64 =
            prices.iter().zip(&capacities).map(|(price, left)| price * left.unwrap_or(0.0)).sum();
        let upper = taken.net.iter().sum::<f64>() + worth;
        if upper < best {
            (best, centre) = (upper, prices);
        }
        cuts.push(taken);
        let Some((lower, found)) = master(&cuts, &capacities) else { break };
        if best - lower <= TOLERANCE * best {
            break;
        }
        let step = if round % 8 == 7 { 1.0 } else { 0.5 };
        prices = std::array::from_fn(|k| centre[k] + step * (found[k] - centre[k]));
    }
    best / 1e6
}

/// Limits in micros and units; a budget cut counts as in force all day, which bounds what was possible after it.
fn capacities(instance: &Instance, day: &Day) -> Vec<Option<f64>> {
    let cut = instance.budget_cut.map_or(1.0, |cut| cut.to_permille as f64 / 1000.0);
    let money = day.budgets.iter().map(|budget| Some(*budget as f64 * cut));
    money.chain(day.inventory.iter().map(|units| units.map(|units| units as f64))).collect()
}

fn by_member(day: &Day) -> Vec<Vec<u32>> {
    let mut visits = vec![Vec::new(); day.members.ltv.len()];
    for (event, member) in day.member.iter().enumerate() {
        visits[*member as usize].push(event as u32);
    }
    visits
}

fn take(day: &Day, visits: &[Vec<u32>], cap: u8, prices: &[f64; RESOURCES]) -> Taken {
    let mut taken = Taken::default();
    let mut wanted: Vec<(f64, u32, usize)> = Vec::new();
    for events in visits {
        wanted.clear();
        for event in events {
            let segment = usize::from(day.segment[*event as usize]);
            let net = |reward: usize| {
                let price = (prices[0] + prices[1 + segment]) * COSTS[reward] as f64;
                let unit = prices[1 + SEGMENTS + reward];
                day.values[*event as usize][reward] as f64 - price - unit
            };
            let best = (0..REWARDS)
                .map(|reward| (net(reward), reward))
                .fold((0.0, REWARDS), |best, next| if next.0 > best.0 { next } else { best });
            if best.1 < REWARDS {
                wanted.push((best.0, *event, best.1));
            }
        }
        wanted.sort_by(|left, right| right.0.total_cmp(&left.0));
        for (net, event, reward) in wanted.iter().take(usize::from(cap)) {
            let segment = usize::from(day.segment[*event as usize]);
            taken.net[segment] += net;
            taken.value[segment] += day.values[*event as usize][*reward] as f64;
            taken.cost[segment] += COSTS[*reward] as f64;
            taken.units[segment][*reward] += 1.0;
        }
    }
    taken
}

/// The cutting-plane model's minimum (micros) and where it is; amounts are scaled to capacities.
fn master(cuts: &[Taken], capacities: &[Option<f64>]) -> Option<(f64, [f64; RESOURCES])> {
    let unit = 1e9;
    let mut program = Problem::new(OptimizationDirection::Minimize);
    let price = |left: &Option<f64>, program: &mut Problem| {
        let left = left.filter(|left| *left > 0.0)?;
        Some((program.add_var(1.0, (0.0, 200.0 * left / unit * 1e6)), left))
    };
    let prices: Vec<Option<(Variable, f64)>> =
        capacities.iter().map(|left| price(left, &mut program)).collect();
    let profits: Vec<Variable> = (0..SEGMENTS).map(|_| program.add_var(1.0, (0.0, f64::INFINITY))).collect();
    for cut in cuts {
        for (segment, profit) in profits.iter().enumerate() {
            let mut expr = LinearExpr::empty();
            expr.add(*profit, 1.0);
            let mut charge = |resource: usize, used: f64| {
                if let Some((price, left)) = prices[resource].filter(|_| used > 0.0) {
                    expr.add(price, used / left);
                }
            };
            charge(0, cut.cost[segment]);
            charge(1 + segment, cut.cost[segment]);
            for (reward, units) in cut.units[segment].iter().enumerate() {
                charge(1 + SEGMENTS + reward, *units);
            }
            program.add_constraint(expr, ComparisonOp::Ge, cut.value[segment] / unit);
        }
    }
    let solution = program.solve().ok()?.into_solution().ok()?;
    let value = |entry: &Option<(Variable, f64)>| {
        entry.map_or(0.0, |(price, left)| solution.var_value(price) * unit / left)
    };
    let found: Vec<f64> = prices.iter().map(value).collect();
    Some((solution.objective() * unit, found.try_into().ok()?))
}
