//! catalog.toml.

use domain::{Micros, Reason, RewardIndex};

use super::Checker;
use super::conditions::Place;
use super::program::Budget;
use crate::bundle::Reward;
use crate::codes::Code;
use crate::documents::catalog;
use crate::gates::VALID_DAYS_MAX;
use crate::source::File;

const FILE: File = File::Catalog;

impl Checker<'_> {
    pub(super) fn rewards(&mut self, document: &catalog::Catalog, budget: Option<&Budget>) -> Vec<Reward> {
        self.ids(FILE, document.reward.iter().map(|reward| &reward.id));
        self.list_length(FILE, 0..0, document.reward.len(), RewardIndex::COUNT_MAX, "rewards");
        document.reward.iter().map(|reward| self.reward(reward, budget)).collect()
    }

    fn reward(&mut self, document: &catalog::Reward, budget: Option<&Budget>) -> Reward {
        let id = document.id.get_ref();
        let cost = self.money(FILE, &document.cost).unwrap_or(Micros::ZERO);
        if let Some(budget) = budget.filter(|budget| cost > budget.global) {
            let message = format!("{cost} is more than the program's budget of {}", budget.global);
            let problem = self
                .problem(Code::NeverAffordable, FILE, document.cost.span(), message)
                .help("one promise takes its whole cost: lower it, or raise limit under [budget]");
            self.report(problem);
        }
        self.list_length(FILE, document.id.span(), document.touchpoints.len(), 8, "touchpoints");
        let touchpoint_text = "This reward is not available here.";
        let touchpoint_rule = self.rule(
            FILE,
            &document.id.span(),
            format!("{id}.touchpoints"),
            Reason::NotEligible,
            touchpoint_text,
        );
        let place = Place {
            file: FILE,
            owner: format!("{id}.eligible"),
            reason: Reason::NotEligible,
            text: "This reward is meant for other occasions.",
            reward: true,
        };
        Reward {
            id: id.clone(),
            name: self.not_empty(FILE, &document.name),
            kind: document.kind,
            partner: document.partner.as_ref().map(|partner| self.not_empty(FILE, partner)),
            ends: None,
            exclusive: document.exclusive.then(|| {
                let text = "Something else is open to you here.";
                self.rule(FILE, &document.id.span(), format!("{id}.exclusive"), Reason::ExclusiveReward, text)
            }),
            cost,
            valid_days: self.count(
                FILE,
                &document.valid_days,
                1..=VALID_DAYS_MAX.into(),
                "promises hold a day to two years",
            ),
            inventory: document.inventory.as_ref().map(|units| {
                self.count(
                    FILE,
                    units,
                    1..=1_000_000_000,
                    "leave inventory out for no limit; use [stop] to pause",
                )
            }),
            touchpoints: self.touchpoints(FILE, &document.touchpoints),
            touchpoint_rule,
            eligible: self.conditions(&place, &document.eligible),
            prior_source: self.not_empty(FILE, &document.prior.source),
        }
    }
}
