//! The gates of a moment, in the order of precedence: hard guardrails, then the program, then the segment.
//!
//! Each gate can only narrow. The same functions are asked when a member is scored and again when the promise
//! is made (invariant E-1); they read nothing but their arguments.

use domain::facts::Field;
use domain::{Facts, Micros, Milli, Reason, RewardIndex, SegmentIndex, Timestamp, time};

use crate::bundle::{
    Action, Bundle, Cap, Condition, Experiments, Moment, MomentIndex, Reward, Stops, Suppression, Trigger,
    Variant, at_touchpoint, first_unmet,
};
use crate::rules::{Refusal, RuleIndex};

/// Longest list of a member's promises a bundle may need to remember. With two a week it covers seven months;
/// the list is part of the member state that is sealed and written on every event, so it stays short. The
/// checker refuses bundles whose caps could need more.
pub const GRANTS_MAX: usize = 64;
/// Most days a promise may hold.
pub const VALID_DAYS_MAX: u16 = 730;

/// A promise a member received, for frequency caps. Cancelled promises are not listed.
///
/// `reward` is a position in the bundle that is asked; a host that activates another bundle translates by id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Grant {
    /// When it was promised.
    pub at: Timestamp,
    /// Absent when the reward has left the catalog: the promise counts for caps over all rewards.
    pub reward: Option<RewardIndex>,
}

/// What gates read about one member at one instant.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    pub facts: &'a Facts,
    /// The host's time, against which cap windows slide.
    pub now: Timestamp,
    /// Promises within [`Bundle::longest_window`], in any order.
    pub grants: &'a [Grant],
    /// What operators stopped; the bundle's own switches are added.
    pub stops: Stops,
}

impl Bundle {
    /// The first moment, in file order, that this event starts. Reads no personal fact: conditions that do
    /// wait for [`Bundle::confirmed`].
    pub fn triggered(&self, facts: &Facts) -> Option<MomentIndex> {
        self.indexed_moments()
            .find(|(_, moment)| {
                starts(&moment.trigger, facts)
                    && moment
                        .when
                        .iter()
                        .filter(|condition| !condition.personal)
                        .all(|condition| condition.truth.holds(facts))
            })
            .map(|(index, _)| index)
    }

    /// The moment this is, once the member is scored: the first from `first` on, in file order, that is
    /// started by the event and whose conditions all hold.
    ///
    /// Returns the first condition of `first` that does not hold when none is confirmed.
    pub fn confirmed(&self, first: MomentIndex, facts: &Facts) -> Result<MomentIndex, RuleIndex> {
        let mut refused_by = None;
        for (index, moment) in self.indexed_moments().skip(usize::from(first.0)) {
            if !starts(&moment.trigger, facts) {
                continue;
            }
            match first_unmet(&moment.when, facts) {
                None => return Ok(index),
                Some(rule) => refused_by = refused_by.or(Some(rule)),
            }
        }
        Err(refused_by.unwrap_or(self.stop_rule))
    }

    /// Law, consent and kill switches: asked before a model runs or a personal fact is read (invariant E-3).
    pub fn gate_before_scores(&self, facts: &Facts, stops: Stops) -> Result<(), Refusal> {
        if self.stops.program {
            return refuse(Reason::KillSwitch, self.stop_rule);
        }
        if stops.program {
            return Err(Refusal::new(Reason::KillSwitch, None));
        }
        let guardrails = &self.guardrails;
        let missing = |needed: bool, field| needed && facts.get(field) == 0;
        if missing(guardrails.consent.personalised_marketing, Field::MemberConsentMarketing)
            || missing(guardrails.consent.profiling, Field::MemberConsentProfiling)
        {
            return refuse(Reason::NoConsent, guardrails.consent_rule);
        }
        if facts.get(Field::MemberObjected) != 0 {
            return refuse(Reason::Objected, guardrails.objected_rule);
        }
        match guardrails.minors_rule {
            Some(rule) if facts.get(Field::MemberMinor) != 0 => refuse(Reason::Minor, rule),
            Some(_) | None => Ok(()),
        }
    }

    /// The program's own restraint: lateness, suppression, quiet hours, provisional facts, caps, cool-down and
    /// deny rules that do not look at a reward.
    pub fn gate(&self, moment: MomentIndex, situation: &Situation<'_>) -> Result<(), Refusal> {
        let facts = situation.facts;
        if situation.stops.moments >> moment.0 & 1 == 1 {
            return Err(Refusal::new(Reason::KillSwitch, None));
        }
        let moment = self.moment(moment);
        let guardrails = &self.guardrails;
        if moment.stale_hours.is_some_and(|hours| facts.get(Field::EventAgeHours) >= i64::from(hours)) {
            return refuse(Reason::StaleMoment, moment.stale_rule);
        }
        if facts.get(Field::MemberComplaintOpen) != 0 {
            return refuse(Reason::ComplaintOpen, guardrails.complaint.rule);
        }
        let recent = |suppression: Suppression, field| facts.get(field) < i64::from(suppression.days);
        if recent(guardrails.complaint, Field::MemberDaysSinceComplaint) {
            return refuse(Reason::ComplaintOpen, guardrails.complaint.rule);
        }
        if recent(guardrails.refund, Field::MemberDaysSinceRefund) {
            return refuse(Reason::RecentRefund, guardrails.refund.rule);
        }
        if recent(guardrails.sensitive, Field::MemberDaysSinceSensitive) {
            return refuse(Reason::SensitiveContext, guardrails.sensitive.rule);
        }
        if let Some((_, rule)) = guardrails.risk_max.filter(|(most, _)| is_risky(*most, facts)) {
            return refuse(Reason::RiskLimit, rule);
        }
        if let Some(quiet) = guardrails.quiet_hours.filter(|quiet| quiet.covers(facts)) {
            return refuse(Reason::QuietHours, quiet.rule);
        }
        if rests_on_provisional(moment, facts) {
            return refuse(Reason::ProvisionalFact, moment.provisional_rule);
        }
        if let Some(cap) = guardrails.member_caps.iter().find(|cap| cap.is_used_up(situation)) {
            return refuse(Reason::MemberCap, cap.rule);
        }
        if facts.get(Field::MemberHoursSinceOffer) < i64::from(guardrails.cool_down_hours) {
            return refuse(Reason::CoolDown, guardrails.cool_down_rule);
        }
        match self.denying_rule(facts, false) {
            Some(rule) => refuse(Reason::GuardrailDenied, rule),
            None => Ok(()),
        }
    }

    /// The member's segment: the first in file order whose conditions all hold.
    pub fn segment_of(&self, facts: &Facts, stops: Stops) -> Result<SegmentIndex, Refusal> {
        let Some(found) =
            self.segments.iter().position(|segment| first_unmet(&segment.when, facts).is_none())
        else {
            return Err(Refusal::new(Reason::NoSegment, None));
        };
        let segment = SegmentIndex(u8::try_from(found).unwrap_or(u8::MAX));
        if self.stops.segments >> found & 1 == 1 {
            return refuse(Reason::KillSwitch, self.stop_rule);
        }
        if stops.segments >> found & 1 == 1 {
            return Err(Refusal::new(Reason::KillSwitch, None));
        }
        Ok(segment)
    }

    /// Fills the `reward.*` facts for one candidate.
    pub fn put_reward_facts(&self, reward: RewardIndex, now: Timestamp, grants: &[Grant], facts: &mut Facts) {
        let terms = self.reward(reward);
        facts.set(Field::RewardKind, terms.kind as i64);
        facts.set(Field::RewardCost, terms.cost.0);
        let last = grants.iter().filter(|grant| grant.reward == Some(reward)).map(|grant| grant.at).max();
        let days = last.map_or(domain::facts::NEVER, |at| {
            now.since(at).div_euclid(time::DAY).clamp(0, domain::facts::NEVER)
        });
        facts.set(Field::RewardDaysSince, days);
    }

    /// Whether one reward may be promised now to a member of a segment, whatever else competes; `situation.facts` must
    /// hold its `reward.*` facts ([`Bundle::put_reward_facts`]).
    ///
    /// Returns the reason and, where a rule of the bundle said it, the rule.
    pub fn candidate(
        &self,
        moment: MomentIndex,
        segment: Option<SegmentIndex>,
        reward: RewardIndex,
        situation: &Situation<'_>,
    ) -> Result<(), (Reason, Option<RuleIndex>)> {
        let facts = situation.facts;
        let terms = self.reward(reward);
        let bit = 1u64 << reward.0;
        if self.moment(moment).rewards & bit == 0 {
            return Err((Reason::NotInMoment, None));
        }
        if self.stops.rewards & bit != 0 {
            return Err((Reason::KillSwitch, Some(self.stop_rule)));
        }
        if situation.stops.rewards & bit != 0 {
            return Err((Reason::KillSwitch, None));
        }
        if !at_touchpoint(terms.touchpoints, facts) {
            return Err((Reason::NotEligible, Some(terms.touchpoint_rule)));
        }
        if let Some((_, rule)) = terms.ends.filter(|(ends, _)| terms.outlives(*ends, situation.now)) {
            return Err((Reason::PartnerTerms, Some(rule)));
        }
        if let Some(variant) = self.experiments.withholding(reward, facts) {
            return Err((Reason::VariantWithheld, Some(variant.rule)));
        }
        if let Some((_, rule)) = self.ceiling(segment).filter(|(most, _)| terms.cost > *most) {
            return Err((Reason::SegmentCeiling, Some(rule)));
        }
        if let Some(rule) = first_unmet(&terms.eligible, facts) {
            return Err((Reason::NotEligible, Some(rule)));
        }
        let caps = &self.guardrails.reward_caps;
        if let Some(cap) = caps.iter().find(|cap| cap.rewards & bit != 0 && cap.is_used_up(situation)) {
            return Err((Reason::RewardCap, Some(cap.rule)));
        }
        if let Some((share, rule)) = self.guardrails.max_discount
            && exceeds(share, facts)
        {
            return Err((Reason::MaxDiscount, Some(rule)));
        }
        if let Some((share, rule)) = self.guardrails.margin
            && exceeds(share, facts)
        {
            return Err((Reason::MinMargin, Some(rule)));
        }
        match self.denying_rule(facts, true) {
            Some(rule) => Err((Reason::GuardrailDenied, Some(rule))),
            None => Ok(()),
        }
    }

    /// What gives way to an exclusive reward: of the `open` rewards (bits) those that may not be promised, and the rule
    /// that says so. Where several exclusive ones are open at once, none is promised and nothing else either.
    pub fn giving_way(&self, open: u64) -> Option<(u64, RuleIndex)> {
        let open_ones = (0u8..64).filter(|at| open >> at & 1 == 1);
        let mut exclusive =
            open_ones.filter_map(|at| Some((at, self.rewards.get(usize::from(at))?.exclusive?)));
        let (first, rule) = exclusive.next()?;
        let kept = if exclusive.next().is_none() { 1u64 << first } else { 0 };
        Some((open & !kept, rule)).filter(|(refused, _)| *refused != 0)
    }

    /// The highest face cost of one promise in a segment, and who says so.
    pub(crate) fn ceiling(&self, segment: Option<SegmentIndex>) -> Option<(Micros, RuleIndex)> {
        self.segment(segment?).ceiling
    }

    /// How far back promises matter, in microseconds: the longest window of any cap, and for ever where a condition reads when a
    /// reward was last promised.
    pub fn longest_window(&self) -> i64 {
        if self.reads_last_promise {
            return i64::MAX;
        }
        let caps = self.guardrails.member_caps.iter().chain(&self.guardrails.reward_caps);
        let days = caps.map(|cap| i64::from(cap.window_days)).max().unwrap_or(0);
        days * time::DAY
    }

    /// The segment's multiplier on a reward's value.
    pub fn lever(&self, segment: SegmentIndex, reward: RewardIndex) -> Milli {
        self.segment(segment).levers[usize::from(reward.0)]
    }

    fn indexed_moments(&self) -> impl Iterator<Item = (MomentIndex, &Moment)> {
        (0u8..).map(MomentIndex).zip(&self.moments)
    }

    fn denying_rule(&self, facts: &Facts, per_reward: bool) -> Option<RuleIndex> {
        let rules = self.guardrails.rules.iter();
        let mut denying = rules.filter(|rule| rule.action == Action::Deny && rule.per_reward == per_reward);
        denying.find(|rule| all_hold(&rule.when, facts)).map(|rule| rule.rule)
    }
}

pub(crate) fn all_hold(conditions: &[Condition], facts: &Facts) -> bool {
    conditions.iter().all(|condition| condition.truth.holds(facts))
}

fn refuse<T>(reason: Reason, rule: RuleIndex) -> Result<T, Refusal> {
    Err(Refusal::new(reason, Some(rule)))
}

/// Position of `quiet` and `provisional` in their word lists; a test holds them to the names.
pub(crate) const QUIET_KIND: i64 = 12;
pub(crate) const PROVISIONAL: i64 = 0;

/// Whether an event starts a moment.
fn starts(trigger: &Trigger, facts: &Facts) -> bool {
    match *trigger {
        Trigger::Event { kind, touchpoints } => {
            facts.get(Field::EventType) == kind && at_touchpoint(touchpoints, facts)
        }
        Trigger::Quiet { days } => {
            facts.get(Field::EventType) == QUIET_KIND && facts.get(Field::EventQuietDays) == i64::from(days)
        }
    }
}

/// Whether the event or any purchase behind the member's facts may still be taken back, against the moment's
/// wish (invariant E-2).
pub(crate) fn rests_on_provisional(moment: &Moment, facts: &Facts) -> bool {
    !moment.provisional && facts.rest_on_provisional()
}

/// Whether the reward's face cost is above a share of the event's amount; events without an amount have no
/// discount.
pub(crate) fn exceeds(share: domain::Ppm, facts: &Facts) -> bool {
    let amount = facts.get(Field::EventAmount);
    let cost = i128::from(facts.get(Field::RewardCost));
    amount > 0 && cost * 1_000_000 > i128::from(amount) * i128::from(share.0)
}

/// Whether the event's risk score is above a limit.
pub(crate) fn is_risky(most: u8, facts: &Facts) -> bool {
    facts.get(Field::EventRisk) > i64::from(most)
}

impl Reward {
    /// Whether a promise made now could still be used at `ends`.
    pub(crate) fn outlives(&self, ends: Timestamp, now: Timestamp) -> bool {
        now.plus(self.valid_micros()) > ends
    }

    /// How long a promise holds, in microseconds.
    pub fn valid_micros(&self) -> i64 {
        i64::from(self.valid_days) * time::DAY
    }
}

impl Experiments {
    /// The member's variant, where it leaves a reward out.
    pub(crate) fn withholding(&self, reward: RewardIndex, facts: &Facts) -> Option<&Variant> {
        let position = usize::try_from(facts.get(Field::MemberVariant)).ok()?.checked_sub(1)?;
        self.variants.get(position).filter(|variant| variant.withhold >> reward.0 & 1 == 1)
    }
}

impl Cap {
    /// Whether the window that ends now holds as many promises as allowed.
    pub fn is_used_up(&self, situation: &Situation<'_>) -> bool {
        self.count(situation) >= usize::from(self.limit)
    }

    /// Promises that count against it. One exactly a window old no longer counts; one from the future (a clock
    /// that jumped back) does.
    pub fn count(&self, situation: &Situation<'_>) -> usize {
        let window = i64::from(self.window_days) * time::DAY;
        let counts = |grant: &&Grant| self.covers(grant.reward) && situation.now.since(grant.at) < window;
        situation.grants.iter().filter(counts).count()
    }

    fn covers(&self, reward: Option<RewardIndex>) -> bool {
        let among = |RewardIndex(at): RewardIndex| self.rewards.checked_shr(at.into()).unwrap_or(0) & 1 == 1;
        self.rewards == u64::MAX || reward.is_some_and(among)
    }
}
