//! The full trace of a moment: what every gate, condition, cap and rule found, and the values it found.
//!
//! For explanations only; it allocates freely and never decides. A test holds it to the gates: the first
//! finding that refuses is the refusal the gate gave.

use domain::facts::{Field, NEVER, Scope};
use domain::{Facts, Reason, RewardIndex, SegmentIndex};
use serde::Serialize;

use crate::bundle::{
    Action, Bundle, Cap, Condition, GuardRule, Moment, MomentIndex, Stops, Suppression, at_touchpoint,
};
use crate::gates::{Situation, all_hold, exceeds, is_risky, rests_on_provisional};
use crate::rules::RuleIndex;

/// What a rule was asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case", tag = "stage", content = "of")]
pub enum Stage {
    /// Law, consent and switches, before scores.
    BeforeScores,
    /// Whether the moment's own conditions hold.
    Moment,
    /// The program's restraint.
    Guardrail,
    /// Whether the member is described by a segment.
    Segment(SegmentIndex),
    /// Whether a reward may be promised.
    Reward(RewardIndex),
}

/// What one rule found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    #[serde(flatten)]
    pub stage: Stage,
    pub rule: RuleIndex,
    pub id: String,
    /// The condition as written; absent for guardrails that are keys.
    pub expr: Option<String>,
    /// Whether what the rule describes is so.
    pub holds: bool,
    /// Whether this finding alone keeps the promise from being made.
    pub refuses: bool,
    /// Set for rules that only warn or audit.
    pub action: Option<Action>,
    /// Member-safe text of why it refuses.
    pub text: String,
    /// What it looked at, with the values found.
    pub values: Vec<(String, String)>,
}

impl Bundle {
    /// Everything the bundle has to say about a moment: with a segment, also about its rewards.
    ///
    /// The `reward.*` facts are filled in here for each reward.
    pub fn findings(
        &self,
        moment: MomentIndex,
        segment: Option<SegmentIndex>,
        situation: &Situation<'_>,
    ) -> Vec<Finding> {
        let mut trace = Trace { bundle: self, situation, stage: Stage::BeforeScores, findings: Vec::new() };
        trace.before_scores();
        trace.moment(self.moment(moment));
        trace.stopped(moment);
        trace.guardrails(self.moment(moment));
        trace.segments(segment);
        let mut findings = trace.findings;
        let Some(segment) = segment else { return findings };
        let mut facts = situation.facts.clone();
        let competing = self.moment(moment).rewards;
        let mut traced = Vec::new();
        let mut open = 0;
        for reward in (0u8..64).filter(|at| competing >> at & 1 == 1).map(RewardIndex) {
            self.put_reward_facts(reward, situation.now, situation.grants, &mut facts);
            let situation = Situation { facts: &facts, ..*situation };
            let stage = Stage::Reward(reward);
            let mut trace = Trace { bundle: self, situation: &situation, stage, findings: Vec::new() };
            trace.reward(segment, reward);
            if trace.findings.iter().all(|finding| !finding.refuses) {
                open |= 1 << reward.0;
            }
            traced.push((reward, trace.findings));
        }
        let (refused, rule) = self.giving_way(open).unwrap_or((0, self.stop_rule));
        for (reward, mut of_reward) in traced {
            if refused >> reward.0 & 1 == 1 {
                let stage = Stage::Reward(reward);
                let mut trace = Trace { bundle: self, situation, stage, findings: of_reward };
                trace.key(rule, true, vec![("open and exclusive".into(), self.exclusive_among(open))]);
                of_reward = trace.findings;
            }
            findings.append(&mut of_reward);
        }
        findings
    }

    /// The names of the exclusive rewards among some (bits).
    fn exclusive_among(&self, open: u64) -> String {
        let exclusive = self.rewards.iter().enumerate().take(64);
        let exclusive = exclusive.filter(|(at, reward)| open >> at & 1 == 1 && reward.exclusive.is_some());
        exclusive.map(|(_, reward)| reward.id.as_str()).collect::<Vec<_>>().join(", ")
    }
}

/// A trace being written.
struct Trace<'a> {
    bundle: &'a Bundle,
    situation: &'a Situation<'a>,
    stage: Stage,
    findings: Vec<Finding>,
}

impl Trace<'_> {
    fn before_scores(&mut self) {
        let facts = self.situation.facts;
        let Stops { program, .. } = self.situation.stops;
        let stopped = self.bundle.stops.program || program;
        self.key(self.bundle.stop_rule, stopped, vec![("program".into(), stopped.to_string())]);
        let guardrails = &self.bundle.guardrails;
        let fields = [Field::MemberConsentMarketing, Field::MemberConsentProfiling];
        let needed = [guardrails.consent.personalised_marketing, guardrails.consent.profiling];
        let missing = fields.iter().zip(needed).any(|(field, needed)| needed && facts.get(*field) == 0);
        self.key(guardrails.consent_rule, missing, shown(facts, &fields));
        let objected = facts.get(Field::MemberObjected) != 0;
        self.key(guardrails.objected_rule, objected, shown(facts, &[Field::MemberObjected]));
        if let Some(rule) = guardrails.minors_rule {
            self.key(rule, facts.get(Field::MemberMinor) != 0, shown(facts, &[Field::MemberMinor]));
        }
    }

    fn moment(&mut self, moment: &Moment) {
        self.stage = Stage::Moment;
        self.conditions(&moment.when, true);
    }

    fn stopped(&mut self, moment: MomentIndex) {
        self.stage = Stage::Guardrail;
        if self.situation.stops.moments >> moment.0 & 1 == 1 {
            self.key(self.bundle.stop_rule, true, vec![("moment".into(), "stopped".into())]);
        }
    }

    fn guardrails(&mut self, moment: &Moment) {
        self.stage = Stage::Guardrail;
        let facts = self.situation.facts;
        if let Some(hours) = moment.stale_hours {
            let stale = facts.get(Field::EventAgeHours) >= i64::from(hours);
            let values = with_limit(facts, Field::EventAgeHours, "stale from hour", hours.into());
            self.key(moment.stale_rule, stale, values);
        }
        let guardrails = &self.bundle.guardrails;
        self.complaint(guardrails.complaint);
        self.suppression(guardrails.refund, Field::MemberDaysSinceRefund);
        self.suppression(guardrails.sensitive, Field::MemberDaysSinceSensitive);
        if let Some((most, rule)) = guardrails.risk_max {
            let values = with_limit(facts, Field::EventRisk, "highest", most.into());
            self.key(rule, is_risky(most, facts), values);
        }
        if let Some(quiet) = guardrails.quiet_hours {
            let mut values = shown(facts, &[Field::NowHour, Field::EventTouchpoint]);
            values.push(("quiet hours".into(), format!("{} to {}", quiet.from, quiet.to)));
            self.key(quiet.rule, quiet.covers(facts), values);
        }
        let provisional = rests_on_provisional(moment, facts);
        let fields = [Field::EventSettlement, Field::MemberProvisional];
        self.key(moment.provisional_rule, provisional, shown(facts, &fields));
        guardrails.member_caps.iter().for_each(|cap| self.cap(cap));
        let cooling = facts.get(Field::MemberHoursSinceOffer) < i64::from(guardrails.cool_down_hours);
        let hours = guardrails.cool_down_hours.into();
        let values = with_limit(facts, Field::MemberHoursSinceOffer, "cool-down hours", hours);
        self.key(guardrails.cool_down_rule, cooling, values);
        self.rules(false);
    }

    fn complaint(&mut self, complaint: Suppression) {
        let facts = self.situation.facts;
        let open = facts.get(Field::MemberComplaintOpen) != 0;
        let recent = facts.get(Field::MemberDaysSinceComplaint) < i64::from(complaint.days);
        let days = complaint.days.into();
        let mut values = with_limit(facts, Field::MemberDaysSinceComplaint, "days of silence", days);
        values.extend(shown(facts, &[Field::MemberComplaintOpen]));
        self.key(complaint.rule, open || recent, values);
    }

    fn suppression(&mut self, suppression: Suppression, field: Field) {
        let facts = self.situation.facts;
        let recent = facts.get(field) < i64::from(suppression.days);
        self.key(
            suppression.rule,
            recent,
            with_limit(facts, field, "days of silence", suppression.days.into()),
        );
    }

    /// Every segment up to and with the one found, or all when none was.
    fn segments(&mut self, segment: Option<SegmentIndex>) {
        let last = segment.map_or(usize::MAX, |segment| usize::from(segment.0));
        for (index, segment) in (0u8..).zip(&self.bundle.segments).take(last.saturating_add(1)) {
            self.stage = Stage::Segment(SegmentIndex(index));
            // A segment that does not describe the member refuses nothing: the next one is asked.
            self.conditions(&segment.when, false);
        }
    }

    fn reward(&mut self, segment: SegmentIndex, reward: RewardIndex) {
        let facts = self.situation.facts;
        let bit = 1u64 << reward.0;
        let stopped = (self.bundle.stops.rewards | self.situation.stops.rewards) & bit != 0;
        if stopped {
            self.key(self.bundle.stop_rule, true, vec![("reward".into(), "stopped".into())]);
        }
        let terms = self.bundle.reward(reward);
        let here = at_touchpoint(terms.touchpoints, facts);
        self.key(terms.touchpoint_rule, !here, shown(facts, &[Field::EventTouchpoint]));
        if let Some((ends, rule)) = terms.ends {
            let values = vec![
                ("could be used until".into(), self.situation.now.plus(terms.valid_micros()).to_string()),
                ("agreement ends".into(), ends.to_string()),
            ];
            self.key(rule, terms.outlives(ends, self.situation.now), values);
        }
        if let Some(variant) = self.bundle.experiments.withholding(reward, facts) {
            self.key(variant.rule, true, shown(facts, &[Field::MemberVariant]));
        }
        if let Some((most, rule)) = self.bundle.ceiling(Some(segment)) {
            let values = vec![("cost".into(), terms.cost.to_string()), ("highest".into(), most.to_string())];
            self.key(rule, terms.cost > most, values);
        }
        self.conditions(&terms.eligible, true);
        let guardrails = &self.bundle.guardrails;
        guardrails.reward_caps.iter().filter(|cap| cap.rewards & bit != 0).for_each(|cap| self.cap(cap));
        for (share, rule) in guardrails.max_discount.into_iter().chain(guardrails.margin) {
            let mut values = shown(facts, &[Field::RewardCost, Field::EventAmount]);
            values.push(("highest share".into(), share.to_string()));
            self.key(rule, exceeds(share, facts), values);
        }
        self.rules(true);
    }

    fn cap(&mut self, cap: &Cap) {
        let values = vec![
            (format!("promises in the last {} days", cap.window_days), cap.count(self.situation).to_string()),
            ("allowed".into(), cap.limit.to_string()),
        ];
        self.key(cap.rule, cap.is_used_up(self.situation), values);
    }

    fn rules(&mut self, per_reward: bool) {
        for rule in self.bundle.guardrails.rules.iter().filter(|rule| rule.per_reward == per_reward) {
            self.guard_rule(rule);
        }
    }

    fn guard_rule(&mut self, rule: &GuardRule) {
        let applies = all_hold(&rule.when, self.situation.facts);
        let refuses = applies && rule.action == Action::Deny;
        let action = (rule.action != Action::Deny).then_some(rule.action);
        // The rule speaks for all its conditions: what they say together, and every value they looked at.
        let texts: Vec<&str> =
            rule.when.iter().filter_map(|when| self.bundle.rule(when.rule)?.expr.as_deref()).collect();
        let expr = (!texts.is_empty()).then(|| texts.join(" && "));
        let values = self.values(&rule.when);
        self.add(rule.rule, applies, refuses, action, values);
        if let (Some(finding), Some(expr)) = (self.findings.last_mut(), expr) {
            finding.expr = Some(expr);
        }
        self.conditions(&rule.when, false);
    }

    /// Conditions that must hold; where they are `needed`, one that does not refuses.
    fn conditions(&mut self, conditions: &[Condition], needed: bool) {
        for condition in conditions {
            let holds = condition.truth.holds(self.situation.facts);
            let values = self.values(std::slice::from_ref(condition));
            self.add(condition.rule, holds, needed && !holds, None, values);
        }
    }

    /// Every fact some conditions look at, once.
    fn values(&self, conditions: &[Condition]) -> Vec<(String, String)> {
        let mut fields = Vec::new();
        for condition in conditions {
            condition.truth.fields(&mut |field| {
                if !fields.contains(&field) {
                    fields.push(field);
                }
            });
        }
        shown(self.situation.facts, &fields)
    }

    /// A guardrail that is a key: it refuses when it applies.
    fn key(&mut self, rule: RuleIndex, applies: bool, values: Vec<(String, String)>) {
        self.add(rule, applies, applies, None, values);
    }

    fn add(
        &mut self,
        rule: RuleIndex,
        holds: bool,
        refuses: bool,
        action: Option<Action>,
        values: Vec<(String, String)>,
    ) {
        let Some(named) = self.bundle.rule(rule) else { return };
        self.findings.push(Finding {
            stage: self.stage,
            rule,
            id: named.id.clone(),
            expr: named.expr.clone(),
            holds,
            refuses,
            action,
            text: named.text.clone(),
            values,
        });
    }
}

/// Facts with their values as policies write them; facts that never happened say so.
fn shown(facts: &Facts, fields: &[Field]) -> Vec<(String, String)> {
    let value = |field: &Field| {
        let since = field.name().contains("since") || field.name().ends_with("recency_days");
        let never = facts.get(*field) == NEVER && since && field.scope() != Scope::Now;
        if never { "never".to_owned() } else { facts.show(*field) }
    };
    fields.iter().map(|field| (field.name().to_owned(), value(field))).collect()
}

fn with_limit(facts: &Facts, field: Field, name: &str, limit: i64) -> Vec<(String, String)> {
    let mut values = shown(facts, &[field]);
    values.push((name.to_owned(), limit.to_string()));
    values
}

impl Finding {
    /// The reason its rule is recorded with.
    pub fn reason(&self, bundle: &Bundle) -> Option<Reason> {
        bundle.rule(self.rule).map(|rule| rule.reason)
    }
}

/// One line of an explanation: a mark, the rule, its condition, and the values found.
///
/// `x` refuses, `!` is a warning or audit that applies, `+` holds, `-` does not hold.
impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mark = match (self.refuses, self.holds, self.action) {
            (true, _, _) => 'x',
            (false, true, Some(_)) => '!',
            (false, true, None) => '+',
            (false, false, _) => '-',
        };
        write!(f, "{mark} {}", self.id)?;
        if let Some(expr) = &self.expr {
            write!(f, ": {expr}")?;
        }
        let values: Vec<String> =
            self.values.iter().map(|(name, value)| format!("{name} = {value}")).collect();
        if values.is_empty() { Ok(()) } else { write!(f, "  [{}]", values.join(", ")) }
    }
}
