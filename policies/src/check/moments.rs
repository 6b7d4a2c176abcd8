//! moments.toml.

use domain::event::EVENT_KIND_NAMES;
use domain::{Reason, Touchpoint};

use super::Checker;
use super::conditions::Place;
use crate::bundle::{MOMENTS_MAX, Moment, Reward, Trigger};
use crate::codes::Code;
use crate::documents::moments;
use crate::source::File;

const FILE: File = File::Moments;
/// What a member reads beside a promise on provisional facts where the moment has no words of its own.
const WORDING: &str = "This reward depends on a purchase that may still change.";

impl Checker<'_> {
    pub(super) fn moments(&mut self, document: &moments::Moments, rewards: &[Reward]) -> Vec<Moment> {
        self.ids(FILE, document.moment.iter().map(|moment| &moment.id));
        self.list_length(FILE, 0..0, document.moment.len(), MOMENTS_MAX, "moments");
        document.moment.iter().map(|moment| self.moment(moment, rewards)).collect()
    }

    fn moment(&mut self, document: &moments::Moment, rewards: &[Reward]) -> Moment {
        let (id, at) = (document.id.get_ref(), document.id.span());
        let trigger = self.trigger(document);
        let place = Place {
            file: FILE,
            owner: format!("{id}.when"),
            reason: Reason::NoCandidate,
            text: "This is not an occasion for a reward.",
            reward: false,
        };
        self.list_length(FILE, at.clone(), document.rewards.len(), 64, "rewards");
        self.meets(document, trigger, rewards);
        let stale_text = "The occasion has passed.";
        let provisional_text = "The purchase is not final yet.";
        Moment {
            id: id.clone(),
            level: document.level,
            trigger,
            when: self.conditions(&place, &document.when),
            rewards: self.reward_mask(FILE, &document.rewards),
            provisional: document.provisional == moments::Provisional::Allow,
            wording: self.wording(document),
            stale_hours: document
                .stale_hours
                .as_ref()
                .map(|hours| self.count(FILE, hours, 1..=8_760, "a moment passes within an hour to a year")),
            stale_rule: self.rule(FILE, &at, format!("{id}.stale_hours"), Reason::StaleMoment, stale_text),
            provisional_rule: self.rule(
                FILE,
                &at,
                format!("{id}.provisional"),
                Reason::ProvisionalFact,
                provisional_text,
            ),
        }
    }

    /// What the member reads beside a promise that rests on provisional facts.
    fn wording(&mut self, document: &moments::Moment) -> String {
        let Some(wording) = &document.wording else { return WORDING.to_owned() };
        if document.provisional == moments::Provisional::Deny {
            let problem = self
                .problem(Code::IdleWording, FILE, wording.span(), "this moment allows no provisional facts")
                .help("take the wording out, or write provisional = \"allow\"");
            self.report(problem);
        }
        self.not_empty(FILE, wording)
    }

    fn trigger(&mut self, document: &moments::Moment) -> Trigger {
        let trigger = &document.trigger;
        let everywhere = Trigger::Event { kind: 0, touchpoints: u16::MAX };
        match (&trigger.event, &trigger.quiet_days) {
            (Some(event), None) => {
                let touchpoints = match &trigger.touchpoints {
                    Some(names) => {
                        self.list_length(FILE, event.span(), names.len(), 8, "touchpoints");
                        self.touchpoints(FILE, names)
                    }
                    None => u16::MAX,
                };
                let accepted = moments::accepted_events();
                let found = EVENT_KIND_NAMES.iter().position(|name| name == event.get_ref());
                match found.filter(|_| accepted.contains(&event.get_ref().as_str())) {
                    Some(kind) => Trigger::Event { kind: i64::try_from(kind).unwrap_or(0), touchpoints },
                    None => {
                        self.unknown_word(FILE, event, "an event that starts moments", &accepted);
                        everywhere
                    }
                }
            }
            (None, Some(days)) if trigger.touchpoints.is_none() => {
                Trigger::Quiet { days: self.count(FILE, days, 1..=730, "quiet times are a day to two years") }
            }
            // What stood there was not understood and reported.
            (None, None) if self.incomplete.contains(&FILE) => everywhere,
            (_, _) => {
                let problem = self
                    .problem(
                        Code::WrongShape,
                        FILE,
                        document.id.span(),
                        "the trigger of this moment is unclear",
                    )
                    .help("write { event = \"purchase\", touchpoints = [\"pos\"] } or { quiet_days = 45 }");
                self.report(problem);
                everywhere
            }
        }
    }

    /// Reports rewards that cannot be handed out where the moment happens.
    fn meets(&mut self, document: &moments::Moment, trigger: Trigger, rewards: &[Reward]) {
        let (here, place) = match trigger {
            Trigger::Event { touchpoints, .. } => (touchpoints, "the touchpoints of this moment"),
            Trigger::Quiet { .. } => {
                (1 << (Touchpoint::Batch as u16), "a timer, whose touchpoint is `batch`")
            }
        };
        for name in &document.rewards {
            let reward = rewards.iter().find(|reward| reward.id == *name.get_ref());
            let Some(reward) = reward.filter(|reward| reward.touchpoints != 0 && here != 0) else { continue };
            if reward.touchpoints & here == 0 {
                let message = format!("`{}` cannot be handed out at {place}", reward.id);
                let problem = self.problem(Code::NeverTogether, FILE, name.span(), message);
                self.report(problem);
            }
        }
    }
}
