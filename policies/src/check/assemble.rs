//! The parts of a bundle in the order they need each other, and what only shows when they are together.

use domain::facts::Field;
use domain::{Digest, Micros, Ppm, Reason};
use jiff::tz::TimeZone;

use super::{Checker, Documents};
use crate::bundle::{Bundle, Experiments, Moment, Reward, Segment, Trigger, Variant};
use crate::codes::Code;
use crate::documents::{experiments, segments};
use crate::plan::Plan;
use crate::registry::percent;
use crate::source::File;

/// Most variants of an experiment: each needs a share of members large enough to tell something.
const VARIANTS_MAX: usize = 16;

/// Builds the bundle; `None` when a file could not be read at all. Mistakes are left in the checker.
pub(super) fn assemble(checker: &mut Checker<'_>, documents: &Documents) -> Option<Bundle> {
    let program = documents
        .program
        .as_ref()
        .map(|document| (checker.program(document), checker.budget(document), checker.stops(document)));
    let budget = program.as_ref().map(|(_, budget, _)| budget);
    let mut rewards = documents.catalog.as_ref().map(|document| checker.rewards(document, budget));
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
    let own = documents.program.as_ref();
    let own = own.map(|document| checker.program_limits(document, rewards.as_deref().unwrap_or_default()));
    let zone = program.as_ref().map_or(TimeZone::UTC, |(program, ..)| program.zone.clone());
    let partners = match (&documents.catalog, &mut rewards) {
        (Some(document), Some(rewards)) => checker.partners(document, rewards, &zone),
        (_, _) => Vec::new(),
    };
    if let (Some(rewards), Some(moments)) = (&rewards, &moments) {
        checker.every_reward_competes(documents, rewards, moments);
    }
    let (mut program, budget, (stops, stop_rule)) = program?;
    let (mut limits, escalation) = own?;
    limits.extend(partners);
    program.escalation = escalation;
    let (rewards, priors, mut segments, moments) = (rewards?, priors?, segments?, moments?);
    for (segment, priors) in segments.iter_mut().zip(priors) {
        segment.priors = priors;
    }
    let plan = Plan {
        global: budget.global,
        segments: budget.segments.iter().map(|limit| limit.unwrap_or(budget.global)).collect(),
        costs: rewards.iter().map(|reward| reward.cost).collect(),
        inventory: rewards.iter().map(|reward| reward.inventory).collect(),
        floors: segments.iter().map(|segment| segment.floor).collect(),
        period_days: budget.period_days,
    };
    if let Some(document) = &documents.segments {
        checker.floors_payable(document, &segments, &plan);
    }
    let canonical = checker.sources.canonical();
    let guardrails = guardrails?;
    let lists = segments.iter().map(|segment| &segment.when);
    let lists = lists.chain(moments.iter().map(|moment| &moment.when));
    let lists = lists.chain(rewards.iter().map(|reward| &reward.eligible));
    let mut conditions = lists.chain(guardrails.rules.iter().map(|rule| &rule.when)).flatten();
    let reads_last_promise = conditions.any(|condition| {
        let mut reads = false;
        condition.truth.fields(&mut |field| reads |= field == Field::RewardDaysSince);
        reads
    });
    Some(Bundle {
        digest: Digest::of(&canonical),
        canonical: canonical.into(),
        plan,
        limits,
        timers: timers(&moments),
        program,
        segments,
        rewards,
        moments,
        guardrails,
        reads_last_promise,
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
            variants: self.variants(&document.variant),
            salt,
            seed: u64::from_be_bytes([a, b, c, d, e, f, g, h]),
        }
    }

    fn variants(&mut self, documents: &[experiments::Variant]) -> Vec<Variant> {
        let file = File::Experiments;
        self.ids(file, documents.iter().map(|variant| &variant.id));
        if let Some(variant) = documents.get(VARIANTS_MAX) {
            self.list_length(file, variant.id.span(), documents.len(), VARIANTS_MAX, "variants");
        }
        let mut left = 1_000_000;
        let mut variants = Vec::new();
        for document in documents {
            let share = self.share(file, &document.share);
            if share.0 > left {
                let message = "the variants together have more than all members";
                let problem = self
                    .problem(Code::OutOfRange, file, document.share.span(), message)
                    .help(format!("{} is left for this one", percent(Ppm(left))));
                self.report(problem);
            }
            left = left.saturating_sub(share.0);
            self.list_length(file, document.id.span(), document.withhold.len(), 64, "rewards");
            let id = format!("variant.{}", document.id.get_ref());
            let text = "This reward is not available to you at the moment.";
            let rule = self.rule(file, &document.id.span(), id, Reason::VariantWithheld, text);
            let withhold = self.reward_mask(file, &document.withhold);
            variants.push(Variant { id: document.id.get_ref().clone(), share, withhold, rule });
        }
        variants
    }

    /// Promises owed to segments that no budget could pay.
    fn floors_payable(&mut self, document: &segments::Segments, segments: &[Segment], plan: &Plan) {
        let Some(cheapest) = plan.costs.iter().filter(|cost| **cost > Micros::ZERO).min() else { return };
        let owed = |segment: &Segment| Micros(cheapest.0.saturating_mul(i64::from(segment.floor)));
        let mut together = Micros::ZERO;
        for ((segment, limit), document) in segments.iter().zip(&plan.segments).zip(&document.segment) {
            let Some(floor) = &document.floor else { continue };
            together = together.saturating_add(owed(segment));
            let bound = if owed(segment) > *limit {
                Some(format!("the segment's budget is {limit}"))
            } else {
                (together > plan.global).then(|| {
                    format!("with the floors before it that is {together} of the program's {}", plan.global)
                })
            };
            if let Some(bound) = bound {
                let cost = owed(segment);
                let message =
                    format!("{} promises cost at least {cost} at {cheapest} each; {bound}", segment.floor);
                let problem = self
                    .problem(Code::FloorTooHigh, File::Segments, floor.span(), message)
                    .help("lower the floor, or raise the budget");
                self.report(problem);
            }
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
