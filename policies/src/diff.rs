//! What differs between two bundles, in words and numbers.
//!
//! Each bundle is laid out as lines of place and value, named by ids; the lines are compared. So a difference is
//! what a person would look for, and moving a file's paragraphs around is none, except where order decides.

use std::collections::BTreeMap;

use domain::event::{EVENT_KIND_NAMES, TOUCHPOINT_NAMES};
use domain::{Micros, Ppm, Purpose};
use serde::Serialize;

use crate::bundle::{Bundle, Cap, Condition, Purposes, Trigger};
use crate::limits::{Limit, Measure};
use crate::rules::RuleIndex;

/// One difference; a side without the place has no value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Where, e.g. `reward voucher-5: cost`.
    pub place: String,
    pub before: Option<String>,
    pub after: Option<String>,
}

/// Everything that differs, by place.
pub fn diff(before: &Bundle, after: &Bundle) -> Vec<Difference> {
    let (mut old, new) = (Lines::of(before).0, Lines::of(after).0);
    let mut differences = Vec::new();
    for (place, value) in new {
        let before = old.remove(&place);
        if before.as_ref() != Some(&value) {
            differences.push(Difference { place, before, after: Some(value) });
        }
    }
    let gone = old.into_iter().map(|(place, value)| Difference { place, before: Some(value), after: None });
    differences.extend(gone);
    differences.extend(other_order(before, after));
    differences.sort_by(|a, b| a.place.cmp(&b.place));
    differences
}

/// The order of the rewards that both have, which decides between those that are worth the same; `None` where it is the same.
fn other_order(before: &Bundle, after: &Bundle) -> Option<Difference> {
    let order = |of: &Bundle, other: &Bundle| -> Vec<String> {
        let rewards = of.rewards.iter().filter(|reward| other.reward_named(&reward.id).is_some());
        rewards.map(|reward| reward.id.clone()).collect()
    };
    let (before, after) = (order(before, after), order(after, before));
    (before != after).then(|| Difference {
        place: "catalog: the first of rewards that are worth the same".to_owned(),
        before: Some(before.join(", ")),
        after: Some(after.join(", ")),
    })
}

/// A bundle as lines of place and value.
struct Lines(BTreeMap<String, String>);

impl Lines {
    fn of(bundle: &Bundle) -> Lines {
        let mut lines = Lines(BTreeMap::new());
        lines.program(bundle);
        lines.segments(bundle);
        lines.rewards(bundle);
        lines.moments(bundle);
        lines.guardrails(bundle);
        lines.words(bundle);
        lines
    }

    fn add(&mut self, place: &str, value: impl ToString) {
        self.0.insert(place.to_owned(), value.to_string());
    }

    fn program(&mut self, bundle: &Bundle) {
        let program = &bundle.program;
        self.add("program: name", &program.name);
        self.add("program: currency", &program.currency);
        self.add("program: time zone", &program.zone_name);
        self.add("program: members", word(program.members));
        self.add("program: consent at enrolment", purposes(program.consent_at_enrolment));
        self.add("program: legal basis of that consent", &program.consent_basis);
        if let Some(cost) = program.approval_from {
            self.add("program: a person approves from a unit cost of", cost);
        }
        self.add("program: negotiations in a row before a person is called", program.escalation.negotiations);
        if let Some(burn) = program.escalation.burn {
            self.add("program: a person is called at a pace of", percent(Ppm(burn)));
        }
        for limit in &bundle.limits {
            self.limit(bundle, limit);
        }
        self.add("budget: program, a period", bundle.plan.global);
        self.add("budget: days of a period", bundle.plan.period_days);
        for (segment, limit) in bundle.segments.iter().zip(&bundle.plan.segments) {
            self.add(&format!("budget: segment {}", segment.id), limit);
        }
        let experiments = &bundle.experiments;
        self.add(
            "experiments: control group",
            format!("{}, {}", percent(experiments.holdout), word(experiments.sticky)),
        );
        self.add("experiments: exploration", percent(experiments.exploration));
        for (position, variant) in (1..).zip(&experiments.variants) {
            let place = |what: &str| format!("experiments: variant {}: {what}", variant.id);
            self.add(&place("position"), position);
            self.add(&place("share"), percent(variant.share));
            self.add(&place("not offered"), named_rewards(bundle, variant.withhold));
        }
        self.add("experiments: salt", &experiments.salt);
        self.add("stop: program", bundle.stops.program);
    }

    fn segments(&mut self, bundle: &Bundle) {
        for (position, segment) in (1..).zip(&bundle.segments) {
            let place = |what: &str| format!("segment {}: {what}", segment.id);
            self.add(&place("position"), position);
            self.add(&place("name"), &segment.name);
            self.add(&place("autonomy"), word(segment.autonomy));
            self.add(&place("promises owed a period"), segment.floor);
            if let Some((ceiling, _)) = segment.ceiling {
                self.add(&place("highest cost of a promise"), ceiling);
            }
            self.add(&place("stopped"), bundle.stops.segments >> (position - 1) & 1 == 1);
            self.conditions(bundle, &place("when"), &segment.when);
            for ((reward, lever), prior) in bundle.rewards.iter().zip(&segment.levers).zip(&segment.priors) {
                self.add(&place(&format!("lever of {}", reward.id)), lever.0);
                self.add(&place(&format!("assumed effect of {}", reward.id)), percent(*prior));
            }
        }
    }

    fn rewards(&mut self, bundle: &Bundle) {
        for (position, reward) in bundle.rewards.iter().enumerate() {
            let place = |what: &str| format!("reward {}: {what}", reward.id);
            self.add(&place("name"), &reward.name);
            self.add(&place("kind"), reward.kind.name());
            self.add(&place("partner"), reward.partner.as_deref().unwrap_or("none"));
            self.add(&place("cost"), reward.cost);
            self.add(&place("exclusive"), reward.exclusive.is_some());
            if let Some((ends, _)) = reward.ends {
                self.add(&place("partner's agreement ends"), ends);
            }
            self.add(&place("valid days"), reward.valid_days);
            self.add(
                &place("pieces a period"),
                reward.inventory.map_or("unlimited".to_owned(), |units| units.to_string()),
            );
            self.add(&place("touchpoints"), touchpoints(reward.touchpoints));
            self.add(&place("stopped"), bundle.stops.rewards >> position & 1 == 1);
            self.add(&place("source of the assumed effects"), &reward.prior_source);
            self.conditions(bundle, &place("eligible"), &reward.eligible);
        }
    }

    fn moments(&mut self, bundle: &Bundle) {
        for (position, moment) in (1..).zip(&bundle.moments) {
            let place = |what: &str| format!("moment {}: {what}", moment.id);
            self.add(&place("position"), position);
            self.add(&place("level"), format!("{:?}", moment.level));
            let trigger = match moment.trigger {
                Trigger::Quiet { days } => format!("{days} days without a purchase"),
                Trigger::Event { kind, touchpoints: bits } => {
                    let kind = usize::try_from(kind).ok().and_then(|kind| EVENT_KIND_NAMES.get(kind));
                    format!("{} at {}", kind.copied().unwrap_or_default(), touchpoints(bits))
                }
            };
            self.add(&place("trigger"), trigger);
            for (at, reward) in bundle.rewards.iter().enumerate() {
                if moment.rewards >> at & 1 == 1 {
                    self.add(&place(&format!("may promise {}", reward.id)), "yes");
                }
            }
            self.add(&place("may rest on provisional facts"), moment.provisional);
            if moment.provisional {
                self.add(&place("words beside such a promise"), &moment.wording);
            }
            if let Some(hours) = moment.stale_hours {
                self.add(&place("passed after hours"), hours);
            }
            self.conditions(bundle, &place("when"), &moment.when);
        }
    }

    fn guardrails(&mut self, bundle: &Bundle) {
        let guardrails = &bundle.guardrails;
        self.add("guardrails: consent", purposes(guardrails.consent));
        self.add(
            "guardrails: minors",
            if guardrails.minors_rule.is_some() { "excluded" } else { "included" },
        );
        self.add("guardrails: silence after a complaint, days", guardrails.complaint.days);
        self.add("guardrails: silence after a refund, days", guardrails.refund.days);
        self.add("guardrails: silence after a sensitive context, days", guardrails.sensitive.days);
        self.add("guardrails: cool-down, hours", guardrails.cool_down_hours);
        if let Some(quiet) = guardrails.quiet_hours {
            let text = format!("{} to {} at {}", quiet.from, quiet.to, touchpoints(quiet.touchpoints));
            self.add("guardrails: quiet hours", text);
        }
        if let Some((share, _)) = guardrails.max_discount {
            self.add("guardrails: highest share of the amount", percent(share));
        }
        if let Some((share, _)) = guardrails.margin {
            self.add("guardrails: highest share of the amount that leaves the least margin", percent(share));
        }
        if let Some((most, _)) = guardrails.risk_max {
            self.add("guardrails: highest risk score", most);
        }
        for cap in guardrails.member_caps.iter().chain(&guardrails.reward_caps) {
            self.cap(bundle, cap);
        }
        for rule in &guardrails.rules {
            let Some(named) = bundle.rule(rule.rule) else { continue };
            let place = format!("rule {}", named.id);
            self.add(&format!("{place}: action"), word(rule.action));
            self.conditions(bundle, &format!("{place}: when"), &rule.when);
        }
    }

    /// What members are told when a rule refuses, and what its author noted for operators.
    fn words(&mut self, bundle: &Bundle) {
        for rule in &bundle.rules {
            self.add(&format!("rule {}: reason", rule.id), &rule.text);
            if let Some(message) = &rule.message {
                self.add(&format!("rule {}: message", rule.id), message);
            }
        }
    }

    fn cap(&mut self, bundle: &Bundle, cap: &Cap) {
        let Some(rule) = bundle.rule(cap.rule) else { return };
        let rewards = if cap.rewards == u64::MAX {
            "any reward".to_owned()
        } else {
            named_rewards(bundle, cap.rewards)
        };
        let text = format!("{} in {} days of {rewards}", cap.limit, cap.window_days);
        self.add(&format!("cap {}", rule.id), text);
    }

    fn limit(&mut self, bundle: &Bundle, limit: &Limit) {
        let Some(rule) = bundle.rule(limit.rule) else { return };
        let amount = Micros(limit.amount);
        let text = match limit.measure {
            Measure::Open => format!("{amount} promised and not yet used"),
            Measure::Window => format!("{amount} promised in {} hours", limit.hours),
            Measure::Waiting => format!("{} waiting", limit.amount),
        };
        let named = bundle.segments.iter().enumerate().take(64);
        let named = named.filter(|(at, _)| limit.segments != u64::MAX && limit.segments >> at & 1 == 1);
        let segments: String = named.map(|(_, segment)| format!(", in {}", segment.id)).collect();
        self.add(&format!("limit {}", rule.id), text + &segments);
    }

    fn conditions(&mut self, bundle: &Bundle, place: &str, conditions: &[Condition]) {
        for condition in conditions {
            let Some(rule) = bundle.rule(condition.rule) else { continue };
            let id = rule.id.rsplit('.').next().unwrap_or_default();
            self.add(&format!("{place} {id}"), expr(bundle, condition.rule));
        }
    }
}

fn named_rewards(bundle: &Bundle, rewards: u64) -> String {
    let named = bundle.rewards.iter().enumerate().take(64).filter(|(at, _)| rewards >> at & 1 == 1);
    named.map(|(_, reward)| reward.id.as_str()).collect::<Vec<_>>().join(", ")
}

fn expr(bundle: &Bundle, rule: RuleIndex) -> String {
    bundle.rule(rule).and_then(|rule| rule.expr.clone()).unwrap_or_default()
}

/// A share as the files write it: `5 %`, `0.25 %`.
fn percent(share: Ppm) -> String {
    let text = format!("{}.{:04}", share.0 / 10_000, share.0 % 10_000);
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

/// A choice by its word in the files.
fn word(choice: impl Serialize) -> String {
    let word = serde_json::to_value(choice).unwrap_or_default();
    word.as_str().unwrap_or_default().to_owned()
}

fn purposes(purposes: Purposes) -> String {
    let all = [Purpose::PersonalisedMarketing, Purpose::Profiling];
    let held: Vec<&str> = all.into_iter().filter(|one| purposes.contains(*one)).map(Purpose::name).collect();
    if held.is_empty() { "none".to_owned() } else { held.join(", ") }
}

fn touchpoints(bits: u16) -> String {
    let named = TOUCHPOINT_NAMES.iter().enumerate().filter(|(at, _)| bits >> at & 1 == 1);
    named.map(|(_, name)| *name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_does_not_differ_from_itself() {
        let bundle = crate::starter::grocery().unwrap();
        assert!(diff(&bundle, &bundle).is_empty());
        assert!(Lines::of(&bundle).0.len() > 300);
    }

    #[test]
    fn an_order_that_decides_between_equals_is_a_difference() {
        let before = crate::starter::grocery().unwrap();
        let mut files = crate::starter::GROCERY.map(|(name, text)| (name, text.to_owned()));
        let catalog = &mut files.iter_mut().find(|(name, _)| *name == "catalog.toml").unwrap().1;
        let (head, rewards) = catalog.split_once("[[reward]]").unwrap();
        let (first, others) = rewards.split_once("[[reward]]").unwrap();
        *catalog = format!("{head}[[reward]]{others}\n[[reward]]{first}");
        let after = Bundle::from_files(&files.each_ref().map(|(name, text)| (*name, text.as_str()))).unwrap();
        let said = diff(&before, &after);
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].place.contains("worth the same"), "{said:?}");
        let (before, after) = (said[0].before.as_ref().unwrap(), said[0].after.as_ref().unwrap());
        assert!(after.ends_with(before.split(", ").next().unwrap()) && before != after);
    }

    #[test]
    fn differences_use_the_words_of_the_files() {
        let mut files = crate::starter::GROCERY.map(|(name, text)| (name, text.to_owned()));
        let program = &mut files.iter_mut().find(|(name, _)| *name == "program.toml").unwrap().1;
        let (head, rest) = program.split_once("basis = \"").unwrap();
        *program = format!("{head}basis = \"By letter.\"{}", rest.split_once('"').unwrap().1);
        let bundle = |files: &[(&str, String)]| {
            let files: Vec<_> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
            Bundle::from_files(&files).unwrap()
        };
        let before = bundle(&files);
        let changed = [
            ("program.toml", "members = \"enrol\"", "members = \"known\""),
            (
                "program.toml",
                "at_enrolment = [\"personalised_marketing\", \"profiling\"]",
                "at_enrolment = []",
            ),
            ("program.toml", "basis = \"By letter.\"", "basis = \"By word of mouth.\""),
            ("experiments.toml", "salt = \"northgate-2017\"", "salt = \"ours\""),
            ("experiments.toml", "share = \"5 %\"", "share = \"0.25 %\""),
            ("experiments.toml", "sticky = \"quarter\"", "sticky = \"always\""),
            ("catalog.toml", "For members with larger baskets.", "For large baskets."),
            ("guardrails.toml", "More offers on top of unused ones train members to ignore them.", "Enough."),
        ];
        for (file, from, to) in changed {
            let text = &mut files.iter_mut().find(|(name, _)| *name == file).unwrap().1;
            assert!(text.contains(from), "{from} is not in {file}");
            *text = text.replace(from, to);
        }
        let after = bundle(&files);
        let said: Vec<String> = diff(&before, &after)
            .into_iter()
            .map(|line| {
                format!(
                    "{}: {} -> {}",
                    line.place,
                    line.before.unwrap_or_default(),
                    line.after.unwrap_or_default()
                )
            })
            .collect();
        assert_eq!(
            said,
            [
                "experiments: control group: 5 %, quarter -> 0.25 %, always",
                "experiments: salt: northgate-2017 -> ours",
                "program: consent at enrolment: personalised_marketing, profiling -> none",
                "program: legal basis of that consent: By letter. -> By word of mouth.",
                "program: members: enrol -> known",
                "rule catalog.free-delivery.eligible.basket-over-20: reason: For members with larger baskets. -> For large baskets.",
                "rule catalog.voucher-5.eligible.basket-over-15: reason: For members with larger baskets. -> For large baskets.",
                "rule guardrails.rule.unused-rewards-first: message: More offers on top of unused ones train members to ignore them. -> Enough.",
            ]
        );
    }
}
