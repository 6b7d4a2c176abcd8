//! Everything that must hold for a promise, as conditions, each with the rule that says so.
//!
//! This says again, as data, what [`crate::gates`] does; a property test holds the two to each other.

use domain::facts::Field;
use domain::{Micros, Ppm};

use super::search::Claim;
use super::world::{BATCH, is};
use crate::bundle::{Action, Bundle, Condition, Moment, QuietHours, Reward, Segment, Suppression, Trigger};
use crate::gates::{PROVISIONAL, QUIET_KIND};
use crate::language::{Compare, Number, Truth};
use crate::rules::RuleIndex;

/// Who says that something must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// What is being talked about: a trigger, the facts of a reward.
    Nobody,
    /// An earlier moment, which would take the event.
    Moment(usize),
    /// An earlier segment, which would take the member.
    Segment(usize),
    /// A condition of a segment, moment or reward.
    Condition(RuleIndex),
    /// A guardrail that is a key.
    Key(RuleIndex),
    /// A rule that denies.
    Deny(RuleIndex),
    /// The segments that may have this reward, by position.
    Segments(usize),
}

/// Something that must hold (or must not), and who says so.
#[derive(Clone, Debug)]
pub(super) struct Term {
    pub truth: Truth,
    pub holds: bool,
    pub by: By,
}

impl Term {
    fn new(truth: Truth, by: By) -> Term {
        Term { truth, holds: true, by }
    }

    pub(super) fn claim(&self) -> Claim<'_> {
        Claim { truth: &self.truth, holds: self.holds }
    }
}

/// The terms of one moment.
pub(super) struct MomentTerms {
    pub trigger: Term,
    pub when: Vec<Term>,
    /// That it does not take the event.
    pub not_taken: Term,
    /// Lateness and provisional facts.
    pub keys: Vec<Term>,
}

/// The terms of one reward.
pub(super) struct RewardTerms {
    pub facts: Vec<Term>,
    pub touchpoint: Term,
    pub eligible: Vec<Term>,
    /// Value rails, and that no variant leaves it out.
    pub rails: Vec<Term>,
    /// That the member is in a segment that may have it; absent where everybody is.
    pub segment: Option<Term>,
}

/// The terms of one segment.
pub(super) struct SegmentTerms {
    pub when: Vec<Term>,
    /// That the member does not belong to it.
    pub not_member: Term,
}

/// The terms of a bundle, by position.
pub(super) struct Terms {
    pub segments: Vec<SegmentTerms>,
    pub moments: Vec<MomentTerms>,
    pub rewards: Vec<RewardTerms>,
    /// Guardrails that are keys and hold at every moment.
    pub keys: Vec<Term>,
    /// That no rule denies, first those that do not look at the reward.
    pub denies: Vec<Term>,
    /// How many of `denies` do not look at the reward.
    pub moment_denies: usize,
}

impl Terms {
    pub(super) fn of(bundle: &Bundle) -> Terms {
        let segments = bundle.segments.iter().enumerate().map(|(at, segment)| SegmentTerms {
            when: conditions(&segment.when),
            not_member: Term { truth: all(&segment.when), holds: false, by: By::Segment(at) },
        });
        let denies = |per_reward: bool| {
            let rules = bundle.guardrails.rules.iter();
            rules
                .filter(move |rule| rule.action == Action::Deny && rule.per_reward == per_reward)
                .map(|rule| Term { truth: all(&rule.when), holds: false, by: By::Deny(rule.rule) })
        };
        Terms {
            segments: segments.collect(),
            moments: bundle.moments.iter().enumerate().map(|(at, moment)| moment_terms(at, moment)).collect(),
            rewards: bundle
                .rewards
                .iter()
                .enumerate()
                .map(|(at, reward)| reward_terms(bundle, at, reward))
                .collect(),
            keys: keys(bundle),
            moment_denies: denies(false).count(),
            denies: denies(false).chain(denies(true)).collect(),
        }
    }
}

fn moment_terms(at: usize, moment: &Moment) -> MomentTerms {
    let trigger = trigger(&moment.trigger);
    let taken = std::iter::once(trigger.clone()).chain(moment.when.iter().map(|when| when.truth.clone()));
    let mut keys = Vec::new();
    if let Some(hours) = moment.stale_hours {
        let fresh = is(Field::EventAgeHours, Compare::Less, hours.into());
        keys.push(Term::new(fresh, By::Key(moment.stale_rule)));
    }
    if !moment.provisional {
        let final_event = is(Field::EventSettlement, Compare::NotEqual, PROVISIONAL);
        let final_facts = is(Field::MemberProvisional, Compare::LessOrEqual, 0);
        keys.push(Term::new(both(final_event, final_facts), By::Key(moment.provisional_rule)));
    }
    MomentTerms {
        not_taken: Term { truth: Truth::All(taken.collect()), holds: false, by: By::Moment(at) },
        trigger: Term::new(trigger, By::Nobody),
        when: conditions(&moment.when),
        keys,
    }
}

fn reward_terms(bundle: &Bundle, at_reward: usize, reward: &Reward) -> RewardTerms {
    let guardrails = &bundle.guardrails;
    let rails = guardrails.max_discount.into_iter().chain(guardrails.margin);
    let rails = rails.map(|(share, rule)| Term::new(not_too_large(reward.cost, share), By::Key(rule)));
    let variants = (1..).zip(&bundle.experiments.variants);
    let offered =
        variants.filter(|(_, variant)| variant.withhold >> at_reward & 1 == 1).map(|(position, variant)| {
            Term::new(is(Field::MemberVariant, Compare::NotEqual, position), By::Key(variant.rule))
        });
    let facts = [(Field::RewardKind, reward.kind as i64), (Field::RewardCost, reward.cost.0)];
    let segment = in_segment(bundle, reward.cost);
    RewardTerms {
        facts: facts.map(|(field, value)| Term::new(is(field, Compare::Equal, value), By::Nobody)).into(),
        segment: segment.map(|truth| Term::new(truth, By::Segments(at_reward))),
        touchpoint: Term::new(at(reward.touchpoints), By::Condition(reward.touchpoint_rule)),
        eligible: conditions(&reward.eligible),
        rails: rails.chain(offered).collect(),
    }
}

/// That the first segment that describes the member has no ceiling below a cost; `None` where that holds of everybody.
fn in_segment(bundle: &Bundle, cost: Micros) -> Option<Truth> {
    let pays = |segment: &Segment| segment.ceiling.is_none_or(|(most, _)| cost <= most);
    let mut segments = bundle.segments.iter();
    if bundle.segments.iter().all(pays) {
        let everybody = segments.any(|segment| segment.when.is_empty());
        return (!everybody).then(|| Truth::Any(bundle.segments.iter().map(|one| all(&one.when)).collect()));
    }
    let choose = |rest, segment: &Segment| {
        Truth::Choose(Box::new((all(&segment.when), Truth::Always(pays(segment)), rest)))
    };
    Some(bundle.segments.iter().rev().fold(Truth::Always(false), choose))
}

/// That a cost is at most a share of the event's amount, or the event has none.
fn not_too_large(cost: Micros, share: Ppm) -> Truth {
    let without = is(Field::EventAmount, Compare::LessOrEqual, 0);
    let (cost, share) = (i128::from(cost.0) * 1_000_000, i128::from(share.0));
    let Some(least) = (share > 0).then(|| (cost + share - 1) / share) else { return without };
    let least = i64::try_from(least).unwrap_or(i64::MAX);
    Truth::Any(Box::new([without, is(Field::EventAmount, Compare::GreaterOrEqual, least)]))
}

/// The guardrails that are keys and do not depend on the moment or reward.
fn keys(bundle: &Bundle) -> Vec<Term> {
    let guardrails = &bundle.guardrails;
    let mut keys = Vec::new();
    let mut key = |truth, rule| keys.push(Term::new(truth, By::Key(rule)));
    let no = |field| Truth::Not(Box::new(Truth::Flag(field)));
    if guardrails.consent.personalised_marketing {
        key(Truth::Flag(Field::MemberConsentMarketing), guardrails.consent_rule);
    }
    if guardrails.consent.profiling {
        key(Truth::Flag(Field::MemberConsentProfiling), guardrails.consent_rule);
    }
    key(no(Field::MemberObjected), guardrails.objected_rule);
    if let Some(rule) = guardrails.minors_rule {
        key(no(Field::MemberMinor), rule);
    }
    let long_ago =
        |suppression: Suppression, field| is(field, Compare::GreaterOrEqual, suppression.days.into());
    let calm =
        both(no(Field::MemberComplaintOpen), long_ago(guardrails.complaint, Field::MemberDaysSinceComplaint));
    key(calm, guardrails.complaint.rule);
    key(long_ago(guardrails.refund, Field::MemberDaysSinceRefund), guardrails.refund.rule);
    key(long_ago(guardrails.sensitive, Field::MemberDaysSinceSensitive), guardrails.sensitive.rule);
    if let Some((most, rule)) = guardrails.risk_max {
        key(is(Field::EventRisk, Compare::LessOrEqual, most.into()), rule);
    }
    if let Some(quiet) = &guardrails.quiet_hours {
        key(awake(quiet), quiet.rule);
    }
    let hours = guardrails.cool_down_hours.into();
    key(is(Field::MemberHoursSinceOffer, Compare::GreaterOrEqual, hours), guardrails.cool_down_rule);
    keys
}

fn awake(quiet: &QuietHours) -> Truth {
    let hours: Vec<i64> = (0..24).filter(|hour| quiet.contains(*hour)).collect();
    Truth::Not(Box::new(both(at(quiet.touchpoints), one_of(Field::NowHour, hours))))
}

fn trigger(trigger: &Trigger) -> Truth {
    match *trigger {
        Trigger::Event { kind, touchpoints } => {
            both(is(Field::EventType, Compare::Equal, kind), at(touchpoints))
        }
        Trigger::Quiet { days } => Truth::All(Box::new([
            is(Field::EventType, Compare::Equal, QUIET_KIND),
            is(Field::EventQuietDays, Compare::Equal, days.into()),
            is(Field::EventTouchpoint, Compare::Equal, BATCH),
        ])),
    }
}

/// That the event happens at one of these touchpoints (bits).
fn at(touchpoints: u16) -> Truth {
    one_of(Field::EventTouchpoint, (0..16).filter(|bit| touchpoints >> bit & 1 == 1).collect())
}

pub(super) fn one_of(field: Field, values: Vec<i64>) -> Truth {
    Truth::OneOf { number: Box::new(Number::Fact(field)), values: values.into() }
}

fn both(left: Truth, right: Truth) -> Truth {
    Truth::All(Box::new([left, right]))
}

/// That every condition of a list holds.
pub(super) fn all(conditions: &[Condition]) -> Truth {
    Truth::All(conditions.iter().map(|condition| condition.truth.clone()).collect())
}

/// The conditions of a list, one by one.
pub(super) fn conditions(conditions: &[Condition]) -> Vec<Term> {
    let term = |condition: &Condition| Term::new(condition.truth.clone(), By::Condition(condition.rule));
    conditions.iter().map(term).collect()
}
