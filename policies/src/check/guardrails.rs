//! guardrails.toml.

use domain::event::RISK_MAX;
use domain::facts::{Field, Scope};
use domain::{Ppm, Purpose, Reason};

use super::Checker;
use super::conditions::Place;
use crate::bundle::{Cap, GuardRule, Guardrails, Purposes, QuietHours, Reward, Suppression};
use crate::codes::Code;
use crate::documents::guardrails::{self, Minors};
use crate::documents::{Count, Text};
use crate::gates::GRANTS_MAX;
use crate::rules::RuleIndex;
use crate::source::File;

const FILE: File = File::Guardrails;
/// Most caps and rules of each sort; all of them are asked at every moment.
const LIST_MAX: usize = 64;
const DAYS_WHY: &str = "windows are a day to two years";

impl Checker<'_> {
    pub(super) fn guardrails(&mut self, document: &guardrails::Guardrails, rewards: &[Reward]) -> Guardrails {
        let consent = self.consent(document);
        let consent_at = document.consent.purposes.span();
        let rule = |checker: &mut Self, id: &str, reason, text| {
            checker.rule(FILE, &consent_at, id.to_owned(), reason, text)
        };
        let consent_rule = rule(self, "consent", Reason::NoConsent, "The member has not agreed to this.");
        let objected_rule = rule(self, "objection", Reason::Objected, "The member objected to profiling.");
        let minors_rule = (document.minors == Minors::Exclude)
            .then(|| rule(self, "minors", Reason::Minor, "Rewards are for adults."));
        let suppress = &document.suppress;
        let guardrails = Guardrails {
            consent,
            consent_rule,
            objected_rule,
            minors_rule,
            complaint: self.suppression(&suppress.complaint_days, "complaint_days", Reason::ComplaintOpen),
            refund: self.suppression(&suppress.refund_days, "refund_days", Reason::RecentRefund),
            sensitive: self.suppression(&suppress.sensitive_days, "sensitive_days", Reason::SensitiveContext),
            quiet_hours: document.quiet_hours.as_ref().map(|quiet| self.quiet_hours(quiet)),
            member_caps: self.member_caps(&document.member_cap),
            reward_caps: self.reward_caps(&document.reward_cap),
            cool_down_hours: self.count(FILE, &document.cool_down_hours, 0..=8_760, "at most a year"),
            cool_down_rule: self.rule(
                FILE,
                &document.cool_down_hours.span(),
                "cool_down_hours".to_owned(),
                Reason::CoolDown,
                "The last reward was only just given.",
            ),
            max_discount: document.max_discount.as_ref().map(|share| {
                let text = "The reward would be too large for this purchase.";
                let rule =
                    self.rule(FILE, &share.span(), "max_discount".to_owned(), Reason::MaxDiscount, text);
                (self.share(FILE, share), rule)
            }),
            margin: document.margin.as_ref().map(|margin| self.margin(margin)),
            risk_max: document.risk_max.as_ref().map(|risk| {
                let text = "We cannot offer anything on this occasion.";
                let rule = self.rule(FILE, &risk.span(), "risk_max".to_owned(), Reason::RiskLimit, text);
                let range = 0..=i64::from(RISK_MAX);
                (self.count(FILE, risk, range, "risk scores are 0 to 100"), rule)
            }),
            rules: self.guard_rules(&document.rule),
        };
        self.grants_bounded(document, &guardrails, rewards);
        guardrails
    }

    fn consent(&mut self, document: &guardrails::Guardrails) -> Purposes {
        let list = &document.consent.purposes;
        let purposes = self.purposes(FILE, list.get_ref());
        let always = [
            (Purpose::PersonalisedMarketing, "rewards are chosen for the member"),
            (Purpose::Profiling, "rewards are valued with scores"),
        ];
        for (purpose, why) in always {
            if purposes.contains(purpose) {
                continue;
            }
            let mut help = format!("add \"{}\": {why}", purpose.name());
            if let Some((_, file, span)) = self.purposes_read.iter().find(|(read, ..)| *read == purpose) {
                let place = self.problem(Code::ConsentMissing, *file, span.clone(), "");
                help = format!("{help}, and {}:{} reads such facts", place.file, place.line);
            }
            let message = format!("`{}` is needed and not asked for", purpose.name());
            let problem = self.problem(Code::ConsentMissing, FILE, list.span(), message).help(help);
            self.report(problem);
        }
        purposes
    }

    /// The highest share of the amount that leaves the least margin.
    fn margin(&mut self, document: &guardrails::Margin) -> (Ppm, RuleIndex) {
        let (gross, min) = (self.share(FILE, &document.gross), self.share(FILE, &document.min));
        if min >= gross && gross > Ppm(0) {
            let message = format!("{} is not less than the gross margin", document.min.get_ref());
            let problem = self.problem(Code::MarginTooHigh, FILE, document.min.span(), message).help(
                "no reward could be promised with a purchase: lower min, or use [stop] to promise nothing",
            );
            self.report(problem);
        }
        let text = "The reward would be too large for this purchase.";
        let rule = self.rule(FILE, &document.min.span(), "margin".to_owned(), Reason::MinMargin, text);
        (Ppm(gross.0.saturating_sub(min.0)), rule)
    }

    fn suppression(&mut self, days: &Count, key: &str, reason: Reason) -> Suppression {
        let text = "The program is holding back for a while.";
        let rule = self.rule(FILE, &days.span(), format!("suppress.{key}"), reason, text);
        Suppression { days: self.count(FILE, days, 0..=3_650, "at most ten years"), rule }
    }

    fn quiet_hours(&mut self, document: &guardrails::QuietHours) -> QuietHours {
        let why = "hours of the day are 0 to 23";
        let from = self.count(FILE, &document.from, 0..=23, why);
        let to = self.count(FILE, &document.to, 0..=23, why);
        let at = document.from.span();
        if document.from.get_ref() == document.to.get_ref() {
            let problem = self
                .problem(Code::AlwaysQuiet, FILE, at.clone(), "quiet hours end when they begin")
                .help("`from` is quiet and `to` is not; leave [quiet_hours] out for none");
            self.report(problem);
        }
        self.list_length(FILE, at.clone(), document.touchpoints.len(), 8, "touchpoints");
        let text = "No messages are sent at this hour.";
        let rule = self.rule(FILE, &at, "quiet_hours".to_owned(), Reason::QuietHours, text);
        QuietHours { from, to, touchpoints: self.touchpoints(FILE, &document.touchpoints), rule }
    }

    fn member_caps(&mut self, caps: &[guardrails::MemberCap]) -> Vec<Cap> {
        self.ids(FILE, caps.iter().map(|cap| &cap.id));
        self.list_length(FILE, 0..0, caps.len(), LIST_MAX, "member caps");
        let text = "Enough rewards for now.";
        caps.iter()
            .map(|cap| {
                let id = format!("member_cap.{}", cap.id.get_ref());
                let rule = self.rule(FILE, &cap.id.span(), id, Reason::MemberCap, text);
                self.cap(&cap.limit, &cap.window_days, u64::MAX, rule)
            })
            .collect()
    }

    fn reward_caps(&mut self, caps: &[guardrails::RewardCap]) -> Vec<Cap> {
        self.ids(FILE, caps.iter().map(|cap| &cap.id));
        if let Some(cap) = caps.get(LIST_MAX) {
            self.list_length(FILE, cap.id.span(), caps.len(), LIST_MAX, "reward caps");
        }
        let text = "Enough of this reward for now.";
        caps.iter()
            .map(|cap| {
                self.list_length(FILE, cap.id.span(), cap.rewards.len(), 64, "rewards");
                let id = format!("reward_cap.{}", cap.id.get_ref());
                let rule = self.rule(FILE, &cap.id.span(), id, Reason::RewardCap, text);
                let rewards = self.reward_mask(FILE, &cap.rewards);
                self.cap(&cap.limit, &cap.window_days, rewards, rule)
            })
            .collect()
    }

    fn cap(&mut self, limit: &Count, days: &Count, rewards: u64, rule: RuleIndex) -> Cap {
        let limit = self.count(FILE, limit, 1..=1_000, "use [stop] in program.toml to promise nothing");
        Cap { limit, window_days: self.count(FILE, days, 1..=730, DAYS_WHY), rewards, rule }
    }

    fn guard_rules(&mut self, rules: &[guardrails::Rule]) -> Vec<GuardRule> {
        self.ids(FILE, rules.iter().map(|rule| &rule.id));
        if let Some(rule) = rules.get(LIST_MAX) {
            self.list_length(FILE, rule.id.span(), rules.len(), LIST_MAX, "rules");
        }
        rules.iter().map(|rule| self.guard_rule(rule)).collect()
    }

    fn guard_rule(&mut self, document: &guardrails::Rule) -> GuardRule {
        let text: &Text = &document.reason;
        let reason = self.not_empty(FILE, text);
        let id = format!("rule.{}", document.id.get_ref());
        let rule = self.rule(FILE, &document.id.span(), id.clone(), Reason::GuardrailDenied, &reason);
        if let Some(rule) = self.rules.last_mut() {
            rule.message.clone_from(&document.message);
        }
        if document.when.is_empty() {
            self.list_length(FILE, document.id.span(), 0, 1, "conditions");
        }
        let place =
            Place { file: FILE, owner: id, reason: Reason::GuardrailDenied, text: &reason, reward: true };
        let when = self.conditions(&place, &document.when);
        let mut per_reward = false;
        for condition in &when {
            let mut visit = |field: Field| per_reward |= field.scope() == Scope::Reward;
            condition.truth.fields(&mut visit);
        }
        GuardRule { rule, action: document.action, when, per_reward }
    }

    /// Exact sliding windows need every promise of the longest one, and a promise that is still open must not be
    /// forgotten, or its money would never come back: some member cap has to bound them.
    fn grants_bounded(
        &mut self,
        document: &guardrails::Guardrails,
        guardrails: &Guardrails,
        rewards: &[Reward],
    ) {
        let caps = guardrails.member_caps.iter().chain(&guardrails.reward_caps);
        if caps.clone().any(|cap| cap.limit == 0 || cap.window_days == 0) {
            // Reported already; nothing can be concluded from it.
            return;
        }
        let windows = caps.map(|cap| cap.window_days).chain(rewards.iter().map(|reward| reward.valid_days));
        let longest = windows.map(u32::from).max().unwrap_or(0);
        let at_most = |cap: &Cap| {
            longest.div_ceil(u32::from(cap.window_days.max(1))).saturating_mul(u32::from(cap.limit))
        };
        let Some(fewest) = guardrails.member_caps.iter().map(at_most).min() else { return };
        if usize::try_from(fewest).is_ok_and(|fewest| fewest > GRANTS_MAX) {
            let at = document.member_cap.first().map_or(0..0, |cap| cap.id.span());
            let message = format!(
                "up to {fewest} promises may fall into {longest} days, the longest window or validity"
            );
            let problem = self
                .problem(Code::UnboundedGrants, FILE, at, message)
                .help(format!("tighten a member cap or shorten that time; {GRANTS_MAX} can be remembered"));
            self.report(problem);
        }
    }
}
