//! The checked bundle: what the brains evaluate. Positions instead of names, integers instead of texts.
//!
//! It is only ever made by the checker ([`crate::check`]), so every position in it is in range and every
//! condition has the right kind. It never changes; a new policy is a new bundle with a new digest.

use std::sync::Arc;

use domain::facts::Field;
use domain::{Digest, Facts, Level, Micros, Milli, Ppm, Purpose, RewardIndex, SegmentIndex, Timestamp};
use jiff::tz::TimeZone;

use crate::language::Truth;
use crate::rules::{Rule, RuleIndex};

/// Most segments in a bundle: kill switches travel as 64-bit masks, and each segment is an agent.
pub const SEGMENTS_MAX: usize = 64;
/// Most moments in a bundle; one event is matched against all of them.
pub const MOMENTS_MAX: usize = 64;

/// Position of a moment in its bundle, in file order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MomentIndex(pub u8);

/// A named condition, ready to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Its place in [`Bundle::rules`].
    pub rule: RuleIndex,
    /// What must hold.
    pub truth: Truth,
    /// It reads a fact that needs consent.
    pub personal: bool,
}

/// The first condition that does not hold.
pub(crate) fn first_unmet(conditions: &[Condition], facts: &Facts) -> Option<RuleIndex> {
    conditions.iter().find(|condition| !condition.truth.holds(facts)).map(|condition| condition.rule)
}

/// Who may take part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Members {
    /// An unknown member's first event enrols them.
    Enrol,
    /// Events of unknown members are refused (`UNKNOWN_MEMBER`).
    Known,
}

/// How much a segment's agent may do by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Autonomy {
    /// Promises at once.
    Auto,
    /// Every promise waits for a person.
    Approve,
    /// Decides and records, promises nothing.
    Shadow,
}

/// The kind of a reward; the position is the number conditions compare (`reward.kind`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RewardKind {
    Points,
    Voucher,
    Shipping,
    Experience,
    Partner,
}

impl RewardKind {
    /// Every kind, in the order of the numbers conditions compare.
    pub const ALL: [RewardKind; 5] = [
        RewardKind::Points,
        RewardKind::Voucher,
        RewardKind::Shipping,
        RewardKind::Experience,
        RewardKind::Partner,
    ];

    /// The word in catalog.toml.
    pub fn name(self) -> &'static str {
        match self {
            RewardKind::Points => "points",
            RewardKind::Voucher => "voucher",
            RewardKind::Shipping => "shipping",
            RewardKind::Experience => "experience",
            RewardKind::Partner => "partner",
        }
    }

    /// The kind with this word.
    pub fn from_name(name: &str) -> Option<RewardKind> {
        RewardKind::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// The program a bundle belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    pub name: String,
    /// ISO 4217.
    pub currency: String,
    pub zone: TimeZone,
    /// IANA name of `zone`.
    pub zone_name: String,
    pub members: Members,
    /// Purposes assumed consented when a member is enrolled, and the text of the legal basis.
    pub consent_at_enrolment: Purposes,
    pub consent_basis: String,
    /// Unit cost from which a promise waits for a person.
    pub approval_from: Option<Micros>,
    pub escalation: Escalation,
}

/// When a person is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Escalation {
    /// Negotiations in a row whose prices hit their bounds, or whose plan was not proven good.
    pub negotiations: u32,
    /// Pace of spending, in parts per million of the even one; absent for never.
    pub burn: Option<u32>,
}

/// A set of purposes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Purposes {
    pub personalised_marketing: bool,
    pub profiling: bool,
}

impl Purposes {
    /// Whether the set holds a purpose.
    pub fn contains(self, purpose: Purpose) -> bool {
        match purpose {
            Purpose::PersonalisedMarketing => self.personalised_marketing,
            Purpose::Profiling => self.profiling,
        }
    }

    /// Adds a purpose.
    pub fn insert(&mut self, purpose: Purpose) {
        match purpose {
            Purpose::PersonalisedMarketing => self.personalised_marketing = true,
            Purpose::Profiling => self.profiling = true,
        }
    }
}

/// A group of members that one segment agent speaks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    pub id: String,
    pub name: String,
    pub autonomy: Autonomy,
    pub when: Vec<Condition>,
    /// Promises owed to it in each budget period; 0 for none.
    pub floor: u32,
    /// Highest face cost of one promise.
    pub ceiling: Option<(Micros, RuleIndex)>,
    /// Multiplier on value per reward, 500..=1500.
    pub levers: Vec<Milli>,
    /// Probability per reward that it keeps a wavering member of this segment: a declared assumption.
    pub priors: Vec<Ppm>,
}

/// A catalog entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reward {
    pub id: String,
    pub name: String,
    pub kind: RewardKind,
    /// Who hands it out, when that is somebody else.
    pub partner: Option<String>,
    /// When the partner's agreement ends: no promise holds longer.
    pub ends: Option<(Timestamp, RuleIndex)>,
    /// Present when nothing competes with it where a member may have it.
    pub exclusive: Option<RuleIndex>,
    /// Face cost: what is reserved for one promise.
    pub cost: Micros,
    /// How long a promise holds.
    pub valid_days: u16,
    /// Units per budget period; absent when unlimited.
    pub inventory: Option<u32>,
    /// Bit per [`domain::Touchpoint`] where it can be handed out.
    pub touchpoints: u16,
    pub(crate) touchpoint_rule: RuleIndex,
    pub eligible: Vec<Condition>,
    /// Where its response priors come from.
    pub prior_source: String,
}

/// What starts a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// An event of this kind (position in [`domain::event::EVENT_KIND_NAMES`]) at one of these touchpoints (bits).
    Event { kind: i64, touchpoints: u16 },
    /// The member's own timer after so many days without a purchase.
    Quiet { days: u16 },
}

/// A reason to consider a reward.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    pub id: String,
    pub level: Level,
    pub trigger: Trigger,
    pub when: Vec<Condition>,
    /// Bit per reward that competes.
    pub rewards: u64,
    /// Whether a promise may rest on facts that may still be taken back (invariant E-2).
    pub provisional: bool,
    /// What the member reads beside a promise that does.
    pub wording: String,
    /// From this age of the event on the moment has passed.
    pub stale_hours: Option<u16>,
    pub(crate) stale_rule: RuleIndex,
    pub(crate) provisional_rule: RuleIndex,
}

/// Days of holding back after something happened, with its rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suppression {
    pub days: u16,
    pub rule: RuleIndex,
}

/// Hours in which nothing is sent, at the touchpoints (bits) that send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuietHours {
    pub from: u8,
    pub to: u8,
    pub touchpoints: u16,
    pub rule: RuleIndex,
}

/// At most `limit` promises of any of `rewards` (bits) to one member within `window_days`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cap {
    pub limit: u16,
    pub window_days: u16,
    pub rewards: u64,
    pub rule: RuleIndex,
}

/// What a rule does when all its conditions hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Refuses.
    Deny,
    /// Shown to operators; never changes an outcome.
    Warn,
    /// Logged; never changes an outcome.
    Audit,
}

/// A named rule of guardrails.toml: acts when every condition holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuardRule {
    pub rule: RuleIndex,
    pub action: Action,
    pub when: Vec<Condition>,
    /// Reads facts of the reward, so it is asked per candidate instead of per moment.
    pub per_reward: bool,
}

/// Everything that holds the program back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guardrails {
    pub consent: Purposes,
    pub(crate) consent_rule: RuleIndex,
    pub(crate) objected_rule: RuleIndex,
    /// Present when minors are excluded.
    pub minors_rule: Option<RuleIndex>,
    pub complaint: Suppression,
    pub refund: Suppression,
    pub sensitive: Suppression,
    pub quiet_hours: Option<QuietHours>,
    pub member_caps: Vec<Cap>,
    pub reward_caps: Vec<Cap>,
    pub cool_down_hours: u16,
    pub(crate) cool_down_rule: RuleIndex,
    /// Highest face cost as a share of the event's amount, for events with an amount.
    pub max_discount: Option<(Ppm, RuleIndex)>,
    /// Highest face cost as a share of the event's amount, so that the least margin is left.
    pub margin: Option<(Ppm, RuleIndex)>,
    /// Highest risk score of an event.
    pub risk_max: Option<(u8, RuleIndex)>,
    pub rules: Vec<GuardRule>,
}

/// How long a control group assignment lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sticky {
    /// Drawn anew each calendar quarter in the program's time zone.
    Quarter,
    /// For good.
    Always,
}

/// Shares of members and events set aside for learning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Experiments {
    pub holdout: Ppm,
    pub sticky: Sticky,
    pub exploration: Ppm,
    /// In file order; a member is in one at most.
    pub variants: Vec<Variant>,
    pub salt: String,
    /// From the salt; the same salt gives the same groups under every later bundle.
    pub seed: u64,
}

/// Members who are not offered something, so that its effect can be measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variant {
    pub id: String,
    pub share: Ppm,
    /// Bit per reward.
    pub withhold: u64,
    pub(crate) rule: RuleIndex,
}

/// Stops of the whole program, of segments or of rewards, from the bundle or from an operator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Stops {
    pub program: bool,
    /// Bit per segment.
    pub segments: u64,
    /// Bit per reward.
    pub rewards: u64,
    /// Bit per moment; only operators stop those.
    #[serde(default)]
    pub moments: u64,
}

impl Stops {
    /// What either stops.
    pub fn and(self, other: Stops) -> Stops {
        Stops {
            program: self.program || other.program,
            segments: self.segments | other.segments,
            rewards: self.rewards | other.rewards,
            moments: self.moments | other.moments,
        }
    }
}

/// A checked, content-addressed policy.
#[derive(Clone, Debug)]
pub struct Bundle {
    pub(crate) digest: Digest,
    pub(crate) canonical: Arc<[u8]>,
    pub(crate) program: Program,
    pub(crate) segments: Vec<Segment>,
    pub(crate) rewards: Vec<Reward>,
    pub(crate) moments: Vec<Moment>,
    pub(crate) guardrails: Guardrails,
    pub(crate) experiments: Experiments,
    pub(crate) plan: crate::plan::Plan,
    pub(crate) limits: Vec<crate::limits::Limit>,
    pub(crate) stops: Stops,
    pub(crate) stop_rule: RuleIndex,
    pub(crate) rules: Vec<Rule>,
    pub(crate) timers: Vec<u16>,
    /// Some condition reads when a reward was last promised.
    pub(crate) reads_last_promise: bool,
}

impl Bundle {
    /// SHA-256 over [`Bundle::canonical`].
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The bytes the ledger stores; [`Bundle::from_canonical`] rebuilds the same bundle from them.
    pub fn canonical(&self) -> &Arc<[u8]> {
        &self.canonical
    }

    pub fn program(&self) -> &Program {
        &self.program
    }

    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    pub fn rewards(&self) -> &[Reward] {
        &self.rewards
    }

    pub fn moments(&self) -> &[Moment] {
        &self.moments
    }

    /// The ids of the variants, in the order that `member.variant` counts.
    pub fn variants(&self) -> impl Iterator<Item = &str> {
        self.experiments.variants.iter().map(|variant| variant.id.as_str())
    }

    pub fn guardrails(&self) -> &Guardrails {
        &self.guardrails
    }

    pub fn experiments(&self) -> &Experiments {
        &self.experiments
    }

    /// Budgets, costs and inventories for the planner.
    pub fn plan(&self) -> &crate::plan::Plan {
        &self.plan
    }

    /// Everything that can say no, by [`RuleIndex`].
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The rule with this number.
    pub fn rule(&self, index: RuleIndex) -> Option<&Rule> {
        self.rules.get(usize::from(index.0))
    }

    /// Days without a purchase after which a member's timer must fire: sorted, distinct.
    pub fn timers(&self) -> &[u16] {
        &self.timers
    }

    /// A moment of this bundle.
    pub fn moment(&self, index: MomentIndex) -> &Moment {
        &self.moments[usize::from(index.0)]
    }

    /// A segment of this bundle.
    pub fn segment(&self, index: SegmentIndex) -> &Segment {
        &self.segments[usize::from(index.0)]
    }

    /// A reward of this bundle.
    pub fn reward(&self, index: RewardIndex) -> &Reward {
        &self.rewards[usize::from(index.0)]
    }

    /// Whether a promise of this reward in this segment waits for a person.
    pub fn needs_person(&self, segment: SegmentIndex, reward: RewardIndex) -> bool {
        let dear = self.program.approval_from.is_some_and(|limit| self.reward(reward).cost >= limit);
        dear || self.segment(segment).autonomy == Autonomy::Approve
    }

    /// The reward with this id.
    pub fn reward_named(&self, id: &str) -> Option<RewardIndex> {
        position(&self.rewards, |reward| reward.id == id).map(RewardIndex)
    }

    /// The segment with this id.
    pub fn segment_named(&self, id: &str) -> Option<SegmentIndex> {
        position(&self.segments, |segment| segment.id == id).map(SegmentIndex)
    }

    /// The moment with this id.
    pub fn moment_named(&self, id: &str) -> Option<MomentIndex> {
        position(&self.moments, |moment| moment.id == id).map(MomentIndex)
    }
}

/// Position as the `u8` of an index; lists in a bundle are at most 64 long.
fn position<T>(items: &[T], is: impl FnMut(&T) -> bool) -> Option<u8> {
    items.iter().position(is).and_then(|index| u8::try_from(index).ok())
}

/// Whether the bit of a touchpoint fact is in a set.
pub(crate) fn at_touchpoint(touchpoints: u16, facts: &Facts) -> bool {
    let bit = u32::try_from(facts.get(Field::EventTouchpoint)).ok().and_then(|bit| 1u16.checked_shl(bit));
    bit.is_some_and(|bit| touchpoints & bit != 0)
}
