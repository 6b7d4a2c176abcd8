//! The parts of a bundle in the order they need each other, and what only shows when they are together.

use domain::Digest;

use super::{Checker, Documents};
use crate::bundle::{Bundle, Experiments, Moment, Reward, Trigger};
use crate::codes::Code;
use crate::documents::experiments;
use crate::plan::Plan;
use crate::source::File;

/// Builds the bundle; `None` when a file could not be read at all. Mistakes are left in the checker.
pub(super) fn assemble(checker: &mut Checker<'_>, documents: &Documents) -> Option<Bundle> {
    let program = documents
        .program
        .as_ref()
        .map(|document| (checker.program(document), checker.budget(document), checker.stops(document)));
    let budget = program.as_ref().map(|(_, budget, _)| budget);
    let rewards = documents.catalog.as_ref().map(|document| checker.rewards(document, budget));
    let priors = documents.catalog.as_ref().map(|document| checker.priors(document));
    let segments =
        documents.segments.as_ref().map(|document| checker.segments(document, documents.catalog.as_ref()));
    let moments = documents
        .moments
        .as_ref()
        .map(|document| checker.moments(document, rewards.as_deref().unwrap_or_default()));
    let guardrails = documents
        .guardrails
        .as_ref()
        .map(|document| checker.guardrails(document, rewards.as_deref().unwrap_or_default()));
    let experiments = documents.experiments.as_ref().map(|document| checker.experiments(document));
    if let (Some(rewards), Some(moments)) = (&rewards, &moments) {
        checker.every_reward_competes(documents, rewards, moments);
    }
    let (program, budget, (stops, stop_rule)) = program?;
    let (rewards, priors, mut segments, moments) = (rewards?, priors?, segments?, moments?);
    for (segment, priors) in segments.iter_mut().zip(priors) {
        segment.priors = priors;
    }
    let canonical = checker.sources.canonical();
    Some(Bundle {
        digest: Digest::of(&canonical),
        canonical: canonical.into(),
        plan: Plan {
            global: budget.global,
            segments: budget.segments.iter().map(|limit| limit.unwrap_or(budget.global)).collect(),
            costs: rewards.iter().map(|reward| reward.cost).collect(),
            inventory: rewards.iter().map(|reward| reward.inventory).collect(),
            period_days: budget.period_days,
        },
        timers: timers(&moments),
        program,
        segments,
        rewards,
        moments,
        guardrails: guardrails?,
        experiments: experiments?,
        stops,
        stop_rule,
        rules: checker.rules.clone(),
    })
}

fn timers(moments: &[Moment]) -> Vec<u16> {
    let mut days: Vec<u16> = moments
        .iter()
        .filter_map(|moment| match moment.trigger {
            Trigger::Quiet { days } => Some(days),
            Trigger::Event { .. } => None,
        })
        .collect();
    days.sort_unstable();
    days.dedup();
    days
}

impl Checker<'_> {
    fn experiments(&mut self, document: &experiments::Experiments) -> Experiments {
        let file = File::Experiments;
        let salt = self.not_empty(file, &document.salt);
        let [a, b, c, d, e, f, g, h, ..] = Digest::of(salt.as_bytes()).0;
        Experiments {
            holdout: self.share(file, &document.holdout.share),
            sticky: document.holdout.sticky,
            exploration: self.share(file, &document.exploration.share),
            seed: u64::from_be_bytes([a, b, c, d, e, f, g, h]),
        }
    }

    fn every_reward_competes(&mut self, documents: &Documents, rewards: &[Reward], moments: &[Moment]) {
        if self.unsure.contains(&File::Moments) || self.unsure.contains(&File::Catalog) {
            return;
        }
        let used = moments.iter().fold(0, |mask, moment| mask | moment.rewards);
        let ids =
            documents.catalog.iter().flat_map(|document| &document.reward).map(|reward| reward.id.span());
        for ((at, reward), span) in rewards.iter().enumerate().take(64).zip(ids) {
            if used >> at & 1 == 0 {
                let message = format!("`{}` competes in no moment", reward.id);
                let problem = self
                    .problem(Code::Unused, File::Catalog, span, message)
                    .help("list it under `rewards` of a moment, or take it out of the catalog");
                self.report(problem);
            }
        }
    }
}
