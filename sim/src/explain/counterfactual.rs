//! The smallest change under which a moment would have ended otherwise: found by search, then executed again.
//!
//! What is executed is the program's own deciding: the gates before scores, every condition, cap and value
//! ([`Considered::propose`]), and the choice of the best net value at the prices the moment was offered. Budgets and
//! prices are taken as they were; a change that leads into another segment, whose prices were others, is not offered.
//! Nothing is said that did not come out of such an execution.

use agents::member::{Considered, Proposed};
use domain::facts::{Field, FieldKind, Scope};
use domain::reason::Class;
use domain::{Decision, Facts, Micros, Outcome, Ppm, Reason, RewardIndex, Scores};
use models::features::{COUNT, FeatureVector};
use policies::findings::{Finding, Stage};
use policies::{Autonomy, Bundle, Grant, MomentIndex, Situation, Stops};
use serde::Serialize;

/// Most facts that are changed together; with more, nobody learns anything from the answer.
const CHANGES_MAX: usize = 3;
/// Largest values that are tried: a life of counts, a million of money, ten times the usual.
const INT_MAX: i64 = 9_999;
const MONEY_MAX: i64 = 1_000_000_000_000;
const RATIO_MAX: i64 = 10_000_000;
/// Where a customer value at stake, ltv x p x (1 - p), is largest.
const CHURN_PEAK: i64 = 500_000;
/// Money is said in hundredths.
const CENT: i64 = 10_000;

/// One thing that would have been otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// A fact by its name, or what was counted.
    pub what: String,
    pub from: String,
    pub to: String,
}

/// A change and what comes of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Counterfactual {
    pub changes: Vec<Change>,
    /// What would have been promised; absent when nothing would have been.
    pub reward: Option<String>,
    /// The net value it would have had.
    pub net: Micros,
}

/// A decision with everything it depended on.
pub struct Scene<'a> {
    pub decision: &'a Decision,
    pub bundle: &'a Bundle,
    pub stops: Stops,
    pub grants: &'a [Grant],
}

/// The member's side as it might have been.
#[derive(Clone)]
struct World {
    facts: Facts,
    scores: Option<Scores>,
    grants: Vec<Grant>,
    /// Budgets cover what they did not.
    covered: bool,
    changes: Vec<Change>,
    /// How far it is from what was, in parts per million of the larger value, over all changes.
    distance: i64,
}

/// What an execution comes to.
enum Ending {
    Promised(RewardIndex, Micros),
    /// Policy was content, but no candidate was worth its price.
    Unworthy,
    /// A budget refused.
    Uncovered,
    Refused,
}

impl Scene<'_> {
    /// The smallest change under which something else would have come of the moment; `None` when none of at most
    /// [`CHANGES_MAX`] facts was found, or the member was in the control group.
    pub fn smallest(&self) -> Option<Counterfactual> {
        let now = World {
            facts: self.decision.facts.clone(),
            scores: self.decision.scores,
            grants: self.grants.to_vec(),
            covered: false,
            changes: Vec::new(),
            distance: 0,
        };
        match self.decision.outcome {
            Outcome::Control => None,
            Outcome::Granted | Outcome::Pending => self.less_likely_to_leave(&now),
            Outcome::None | Outcome::Suppressed | Outcome::Denied | Outcome::Fallback => {
                let moment = self.bundle.moment(MomentIndex(self.decision.moment));
                let competing = (0u8..64).filter(|reward| moment.rewards >> reward & 1 == 1);
                let found = competing.filter_map(|reward| self.towards(RewardIndex(reward), now.clone()));
                let (world, reward, net) =
                    found.min_by_key(|(world, _, _)| (world.changes.len(), world.distance))?;
                Some(self.said(world, Some(reward), net))
            }
        }
    }

    fn said(&self, world: World, reward: Option<RewardIndex>, net: Micros) -> Counterfactual {
        let reward = reward.map(|reward| self.bundle.reward(reward).id.clone());
        Counterfactual { changes: world.changes, reward, net }
    }

    /// Changes one thing after another until something is promised.
    fn towards(&self, target: RewardIndex, mut world: World) -> Option<(World, RewardIndex, Micros)> {
        for _ in 0..=CHANGES_MAX {
            let next = match self.execute(&world, Some(target)) {
                Ending::Promised(..) => {
                    // Whatever wins with all candidates in the race.
                    return match self.execute(&world, None) {
                        Ending::Promised(reward, net) if !world.changes.is_empty() => {
                            Some((world, reward, net))
                        }
                        Ending::Promised(..) | Ending::Unworthy | Ending::Uncovered | Ending::Refused => None,
                    };
                }
                Ending::Unworthy => self.more_likely_to_leave(&world, target),
                Ending::Uncovered => Some(covered(&world, self.decision, target)),
                Ending::Refused => {
                    let finding = self.refusals(&world, target).into_iter().next()?;
                    self.lifted(&world, &finding, target)
                }
            };
            world = next.filter(|next| next.changes.len() <= CHANGES_MAX)?;
        }
        None
    }

    /// Decides the moment again in another world; with a target, only for that reward.
    fn execute(&self, world: &World, target: Option<RewardIndex>) -> Ending {
        if self.bundle.gate_before_scores(&world.facts, self.stops).is_err() {
            return Ending::Refused;
        }
        let Some(moment) = self.bundle.triggered(&world.facts) else { return Ending::Refused };
        let considered = Considered {
            event: self.decision.event.clone(),
            now: self.decision.considered_at,
            moment,
            facts: world.facts.clone(),
            features: FeatureVector([0.0; COUNT]),
            grants: world.grants.clone(),
            control: false,
            weekly_visits_q16: 0,
            used: None,
        };
        let Proposed::Proposal(proposal) = considered.propose(world.scores, self.bundle, self.stops) else {
            return Ending::Refused;
        };
        let Ok(segment) = proposal.segment else { return Ending::Refused };
        let shadow = self.bundle.segment(segment).autonomy == Autonomy::Shadow;
        if proposal.held.is_some() || shadow || self.decision.segment.is_some_and(|was| was != segment) {
            return Ending::Refused;
        }
        let mut ending = Ending::Refused;
        for candidate in &proposal.candidates {
            let asked = target.is_none_or(|target| target == candidate.reward);
            let recorded = self.decision.candidates.iter().find(|was| was.reward == candidate.reward);
            let (true, Reason::Chosen, Some(recorded)) = (asked, candidate.reason, recorded) else {
                continue;
            };
            let net = candidate.value - recorded.price - self.decision.opportunity;
            if net <= Micros::ZERO {
                if matches!(ending, Ending::Refused) {
                    ending = Ending::Unworthy;
                }
            } else if !world.covered && was_uncovered(recorded.reason) {
                if !matches!(ending, Ending::Promised(..)) {
                    ending = Ending::Uncovered;
                }
            } else if !matches!(ending, Ending::Promised(_, best) if best >= net) {
                ending = Ending::Promised(candidate.reward, net);
            }
        }
        ending
    }

    /// What refuses the moment or the target, moment first.
    fn refusals(&self, world: &World, target: RewardIndex) -> Vec<Finding> {
        let situation = Situation {
            facts: &world.facts,
            now: self.decision.considered_at,
            grants: &world.grants,
            stops: self.stops,
        };
        let moment = MomentIndex(self.decision.moment);
        let segment = self.bundle.segment_of(&world.facts, self.stops).ok();
        let mut findings = self.bundle.findings(moment, segment, &situation);
        findings.retain(|finding| {
            let about_target = finding.stage == Stage::Reward(target);
            finding.refuses && (about_target || !matches!(finding.stage, Stage::Reward(_)))
        });
        findings
    }

    /// The nearest world in which one finding no longer refuses.
    fn lifted(&self, world: &World, finding: &Finding, target: RewardIndex) -> Option<World> {
        let is_lifted = |world: &World| {
            let left = self.refusals(world, target);
            left.iter().all(|other| (other.stage, other.rule) != (finding.stage, finding.rule))
        };
        let fields = finding.values.iter().filter_map(|(name, _)| Field::from_name(name));
        let nearest = fields
            .filter(|field| {
                !matches!(field.scope(), Scope::Now | Scope::Reward) && *field != Field::EventType
            })
            .flat_map(|field| values_to_try(world, field, &is_lifted))
            .min_by_key(|world| world.distance);
        nearest.or_else(|| fewer_promises(world, finding, &is_lifted))
    }

    /// The least probability of leaving, or else the least spend to lose, at which the target is worth its price.
    fn more_likely_to_leave(&self, world: &World, target: RewardIndex) -> Option<World> {
        let worth = |world: &World| {
            matches!(self.execute(world, Some(target)), Ending::Promised(..) | Ending::Uncovered)
        };
        for (field, most) in [(Field::MemberChurn60d, CHURN_PEAK), (Field::MemberLtv91d, MONEY_MAX)] {
            let found = nearest(world, field, most, &worth);
            if found.is_some() {
                return found;
            }
        }
        None
    }

    /// The greatest probability of leaving at which the promise would not have been made.
    fn less_likely_to_leave(&self, world: &World) -> Option<Counterfactual> {
        let chosen = self.decision.chosen?;
        let recorded = matches!(self.execute(world, None), Ending::Promised(reward, _) if reward == chosen);
        let otherwise = |world: &World| !matches!(self.execute(world, None), Ending::Promised(reward, _) if reward == chosen);
        let other =
            if recorded { nearest(world, Field::MemberChurn60d, 0, &otherwise)? } else { return None };
        let (reward, net) = match self.execute(&other, None) {
            Ending::Promised(reward, net) => (Some(reward), net),
            Ending::Unworthy | Ending::Uncovered | Ending::Refused => (None, Micros::ZERO),
        };
        Some(self.said(other, reward, net))
    }
}

/// Whether a budget, and not worth or policy, kept a candidate from being promised.
fn was_uncovered(reason: Reason) -> bool {
    match reason.class() {
        Class::Economic => !matches!(reason, Reason::PricedOut | Reason::Outbid),
        Class::Fallback => true,
        Class::Chosen | Class::Suppressed | Class::Ineligible | Class::Denied | Class::DeadLetter => false,
    }
}

fn covered(world: &World, decision: &Decision, target: RewardIndex) -> World {
    let reason = decision.candidates.iter().find(|candidate| candidate.reward == target);
    let reason = reason.map_or(Reason::GlobalBudget, |candidate| candidate.reason);
    let mut covered = World { covered: true, ..world.clone() };
    covered.changes.push(Change {
        what: "budget".to_owned(),
        from: reason.text().to_owned(),
        to: "enough for one more".to_owned(),
    });
    covered
}

/// The worlds with another value of one fact in which something holds: the nearest above and below, or every word.
fn values_to_try(world: &World, field: Field, holds: &impl Fn(&World) -> bool) -> Vec<World> {
    match field.kind() {
        FieldKind::Bool => {
            let flipped = with(world, field, i64::from(world.facts.get(field) == 0));
            Vec::from_iter(Some(flipped).filter(|world| holds(world)))
        }
        FieldKind::Word(words) => {
            let others = (0..words.len()).filter_map(|word| i64::try_from(word).ok());
            let others = others.filter(|word| *word != world.facts.get(field));
            others.map(|word| with(world, field, word)).filter(|world| holds(world)).collect()
        }
        FieldKind::Int => ends(world, field, INT_MAX, holds),
        FieldKind::Money => ends(world, field, MONEY_MAX, holds),
        FieldKind::Ratio => ends(world, field, RATIO_MAX, holds),
    }
}

fn ends(world: &World, field: Field, most: i64, holds: &impl Fn(&World) -> bool) -> Vec<World> {
    [0, most].into_iter().filter_map(|end| nearest(world, field, end, holds)).collect()
}

/// The value nearest to the present one, on the way to `end`, from which on something holds; found by bisection, so
/// it is the nearest where the way is crossed once.
fn nearest(world: &World, field: Field, end: i64, holds: &impl Fn(&World) -> bool) -> Option<World> {
    let (mut without, mut within) = (world.facts.get(field), end);
    if without == within || !holds(&with(world, field, within)) {
        return None;
    }
    let grain = if field.kind() == FieldKind::Money { CENT } else { 1 };
    while (within - without).abs() > grain {
        let middle = without + (within - without) / 2;
        let middle = if within > without { middle.div_euclid(grain) * grain } else { middle };
        if middle == without || middle == within {
            break;
        }
        if holds(&with(world, field, middle)) {
            within = middle;
        } else {
            without = middle;
        }
    }
    Some(with(world, field, within))
}

/// A world in which one fact has another value; predictions are facts too.
fn with(world: &World, field: Field, value: i64) -> World {
    let (mut next, was) = (world.clone(), world.facts.get(field));
    next.facts.set(field, value);
    if let Some(scores) = &mut next.scores {
        if field == Field::MemberLtv91d {
            scores.ltv_91d = Micros(value);
        }
        if field == Field::MemberChurn60d {
            scores.churn_60d = Ppm(u32::try_from(value).unwrap_or(u32::MAX));
        }
    }
    let larger = was.abs().max(value.abs()).max(1);
    next.distance +=
        i64::try_from(i128::from((value - was).abs()) * 1_000_000 / i128::from(larger)).unwrap_or(i64::MAX);
    let to = domain::facts::show(field.kind(), value);
    match next.changes.iter_mut().find(|change| change.what == field.name()) {
        Some(change) => change.to = to,
        None => {
            let change = Change { what: field.name().to_owned(), from: world.facts.show(field), to };
            next.changes.push(change);
        }
    }
    next
}

/// The world in which the member had been promised less lately.
fn fewer_promises(world: &World, finding: &Finding, holds: &impl Fn(&World) -> bool) -> Option<World> {
    let (counted, from) = finding.values.iter().find(|(name, _)| name.starts_with("promises in the last"))?;
    let mut fewer = world.clone();
    while !holds(&fewer) {
        let newest = (0..fewer.grants.len()).max_by_key(|index| fewer.grants[*index].at)?;
        fewer.grants.remove(newest);
        // Each promise less weighs as much as a whole fact.
        fewer.distance += 1_000_000;
    }
    let less = world.grants.len() - fewer.grants.len();
    let to = from
        .parse::<usize>()
        .map_or_else(|_| format!("{less} fewer"), |from| from.saturating_sub(less).to_string());
    fewer.changes.push(Change { what: counted.clone(), from: from.clone(), to });
    Some(fewer)
}
