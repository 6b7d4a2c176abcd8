//! The limits of program.toml and catalog.toml that hold beside the budgets.

use std::ops::Range;
use std::sync::Arc;

use domain::{Micros, Reason, Timestamp};
use jiff::tz::TimeZone;

use super::Checker;
use crate::bundle::{Escalation, Reward};
use crate::codes::Code;
use crate::documents::{Count, Text, catalog, program};
use crate::limits::{Limit, Measure};
use crate::source::File;

const PROGRAM: File = File::Program;
const CATALOG: File = File::Catalog;
/// Most windows, and most partners; every reservation looks at all limits.
const LIST_MAX: usize = 64;
/// A month: longer is what budget periods are for.
const HOURS_MAX: i64 = 744;
/// Negotiations in a row after which a person is called, where the policy does not say: one strange negotiation is
/// noise, three are not.
const NEGOTIATIONS: u32 = 3;
/// Longest name of a partner: it becomes part of an account's name, which the ledger bounds.
const NAME_BYTES_MAX: usize = 64;
/// What a member may be told.
const TEXT: &str = "Enough has been promised for now.";

/// What a limit is about.
struct About<'n> {
    file: File,
    /// Ends its rule's id.
    rule: String,
    name: &'n str,
    segments: u64,
    rewards: u64,
}

impl<'n> About<'n> {
    fn of_program(rule: String, name: &'n str, segments: u64) -> About<'n> {
        About { file: PROGRAM, rule, name, segments, rewards: u64::MAX }
    }
}

impl Checker<'_> {
    /// Limits of program.toml, and when a person is called.
    pub(super) fn program_limits(
        &mut self,
        document: &program::Program,
        rewards: &[Reward],
    ) -> (Vec<Limit>, Escalation) {
        let mut limits = Vec::new();
        if let Some(exposure) = &document.exposure {
            self.exposure(exposure, rewards, &mut limits);
        }
        let windows = &document.budget.window;
        self.ids(PROGRAM, windows.iter().map(|window| &window.id));
        if let Some(window) = windows.get(LIST_MAX) {
            self.list_length(PROGRAM, window.id.span(), windows.len(), LIST_MAX, "windows");
        }
        for window in windows {
            let segments = match &window.segment {
                Some(name) => self.segment_ref(PROGRAM, name).map_or(0, bit),
                None => u64::MAX,
            };
            let name = window.id.get_ref();
            let about = About::of_program(format!("window.{name}"), name, segments);
            limits.extend(self.window(about, &window.limit, &window.hours, rewards));
        }
        let escalation = self.escalation(&document.escalation, &mut limits);
        (limits, escalation)
    }

    fn exposure(&mut self, document: &program::Exposure, rewards: &[Reward], limits: &mut Vec<Limit>) {
        let whole = About::of_program("exposure".to_owned(), "program", u64::MAX);
        limits.extend(self.open(whole, &document.limit, rewards));
        for (segment, limit) in &document.segments {
            let Some(at) = self.segment_ref(PROGRAM, segment) else { continue };
            let id = segment.get_ref();
            let name = format!("segment/{id}");
            let about = About::of_program(format!("exposure.segments.{id}"), &name, bit(at));
            limits.extend(self.open(about, limit, rewards));
        }
    }

    fn escalation(&mut self, document: &program::Escalation, limits: &mut Vec<Limit>) -> Escalation {
        if let Some(waiting) = &document.waiting {
            let why = "leave waiting out for no limit";
            let amount: u32 = self.count(PROGRAM, waiting, 1..=1_000_000, why);
            let about = About::of_program("escalation.waiting".to_owned(), "program", u64::MAX);
            limits.push(self.limit(about, waiting.span(), Measure::Waiting, amount.into(), 0));
        }
        let negotiations = document.negotiations.as_ref().map(|count| {
            let why = "a person is called after one to a hundred negotiations in a row";
            self.count(PROGRAM, count, 1..=100, why)
        });
        Escalation {
            negotiations: negotiations.unwrap_or(NEGOTIATIONS),
            burn: document.burn.as_ref().and_then(|burn| self.pace(burn)),
        }
    }

    /// A pace in parts per million of the even one.
    fn pace(&mut self, text: &Text) -> Option<u32> {
        let number = text.get_ref().trim().strip_suffix('%').map(str::trim_end);
        let millionths_of_percent = number.and_then(|number| number.parse::<Micros>().ok());
        let ppm = millionths_of_percent.map(|Micros(millionths)| millionths / 100);
        let fits = ppm.filter(|ppm| (1_000_000..=100_000_000).contains(ppm));
        if fits.is_none() {
            let problem = self
                .problem(Code::BadShare, PROGRAM, text.span(), format!("{:?} is no pace", text.get_ref()))
                .expected("expected a percentage of the even pace from 100 % to 10000 %, such as \"200 %\"");
            self.report(problem);
        }
        fits.and_then(|ppm| u32::try_from(ppm).ok())
    }

    /// Limits of the partners; rewards learn when their partner's agreement ends.
    pub(super) fn partners(
        &mut self,
        document: &catalog::Catalog,
        rewards: &mut [Reward],
        zone: &TimeZone,
    ) -> Vec<Limit> {
        let partners = &document.partner;
        if let Some(partner) = partners.get(LIST_MAX) {
            self.list_length(CATALOG, partner.name.span(), partners.len(), LIST_MAX, "partners");
        }
        self.partners_named(document);
        let mut limits = Vec::new();
        for partner in partners {
            self.partner(partner, rewards, zone, &mut limits);
        }
        limits
    }

    /// Whether a partner's name can stand in records, accounts and messages.
    fn partner_name(&mut self, name: &Text) {
        let text = name.get_ref();
        if text.len() > NAME_BYTES_MAX || text.chars().any(char::is_control) {
            let message = format!("a partner's name of {} bytes", text.len());
            let problem = self
                .problem(Code::BadId, CATALOG, name.span(), message)
                .expected(format!("expected at most {NAME_BYTES_MAX} bytes without control characters"));
            self.report(problem);
        }
    }

    /// Every partner once and with a reward, and every reward's partner among them.
    fn partners_named(&mut self, document: &catalog::Catalog) {
        let names: Vec<&str> =
            document.partner.iter().map(|partner| partner.name.get_ref().as_str()).collect();
        for (at, partner) in document.partner.iter().enumerate() {
            let name = self.not_empty(CATALOG, &partner.name);
            if names[..at].contains(&name.as_str()) {
                let message = format!("`{name}` is listed twice");
                let problem = self.problem(Code::DuplicateId, CATALOG, partner.name.span(), message);
                self.report(problem);
            }
            let mut named = document.reward.iter().filter_map(|reward| reward.partner.as_ref());
            // Where a reward names somebody unknown, that one may be meant.
            let meant =
                |partner: &Text| *partner.get_ref() == name || !names.contains(&partner.get_ref().as_str());
            if !named.any(meant) {
                let message = format!("no reward names `{name}` as its partner");
                let help = "give a reward `partner`, or take the terms out";
                let problem = self.problem(Code::Unused, CATALOG, partner.name.span(), message).help(help);
                self.report(problem);
            }
        }
        let of_rewards = document.reward.iter().filter_map(|reward| reward.partner.as_ref());
        let named = document.partner.iter().map(|partner| &partner.name);
        named.chain(of_rewards).for_each(|name| self.partner_name(name));
        for partner in document.reward.iter().filter_map(|reward| reward.partner.as_ref()) {
            if !names.is_empty() && !names.contains(&partner.get_ref().as_str()) {
                self.unknown_word(CATALOG, partner, "a partner of this catalog", &names);
            }
        }
    }

    fn partner(
        &mut self,
        document: &catalog::Partner,
        rewards: &mut [Reward],
        zone: &TimeZone,
        limits: &mut Vec<Limit>,
    ) {
        let partner = document.name.get_ref();
        let of = |reward: &Reward| reward.partner.as_deref() == Some(partner.as_str());
        if let Some(until) = &document.until
            && let Some(ends) = self.end_of_day(until, zone)
        {
            let text = "The partner no longer offers this.";
            let id = format!("partner.{partner}.until");
            let rule = self.rule(CATALOG, &until.span(), id, Reason::PartnerTerms, text);
            rewards
                .iter_mut()
                .filter(|reward| of(reward))
                .for_each(|reward| reward.ends = Some((ends, rule)));
        }
        let handed = rewards.iter().enumerate().take(64).filter(|(_, reward)| of(reward));
        let mask = handed.fold(0, |mask, (at, _)| mask | bit(at));
        let name = format!("partner/{partner}");
        let about = |what: &str| About {
            file: CATALOG,
            rule: format!("partner.{partner}.{what}"),
            name: &name,
            segments: u64::MAX,
            rewards: mask,
        };
        if let Some(exposure) = &document.exposure {
            limits.extend(self.open(about("exposure"), exposure, rewards));
        }
        match (&document.limit, &document.hours) {
            (Some(limit), Some(hours)) => {
                limits.extend(self.window(about("limit"), limit, hours, rewards));
            }
            (None, None) => {}
            (limit, hours) => {
                let at = limit.as_ref().map(Text::span).or(hours.as_ref().map(Count::span));
                let message = "`limit` and `hours` of a partner belong together";
                let help = "write both, such as limit = \"200.00\" and hours = 24";
                let problem = self.problem(Code::MissingKey, CATALOG, at.unwrap_or(0..0), message).help(help);
                self.report(problem);
            }
        }
    }

    /// The end of a day in the program's time zone; `None` when a mistake was reported.
    fn end_of_day(&mut self, text: &Text, zone: &TimeZone) -> Option<Timestamp> {
        let day = text.get_ref().parse::<jiff::civil::Date>().ok();
        // The last day there is has no tomorrow: that is for ever.
        let end = day.map(|day| {
            let end = day.tomorrow().ok().and_then(|next| next.to_zoned(zone.clone()).ok());
            Timestamp(end.map_or(i64::MAX, |end| end.timestamp().as_microsecond()))
        });
        if end.is_none() {
            let problem = self
                .problem(Code::WrongShape, CATALOG, text.span(), format!("`{}` is no day", text.get_ref()))
                .expected("expected a date such as \"2027-03-31\"");
            self.report(problem);
        }
        end
    }

    fn open(&mut self, about: About<'_>, limit: &Text, rewards: &[Reward]) -> Option<Limit> {
        let amount = self.reachable(&about, limit, rewards)?;
        Some(self.limit(about, limit.span(), Measure::Open, amount.0, 0))
    }

    fn window(&mut self, about: About<'_>, limit: &Text, hours: &Count, rewards: &[Reward]) -> Option<Limit> {
        let why = "a window is an hour to a month; longer is what budget periods are for";
        let length: u16 = self.count(about.file, hours, 1..=HOURS_MAX, why);
        let amount = self.reachable(&about, limit, rewards)?;
        Some(self.limit(about, limit.span(), Measure::Window, amount.0, length))
    }

    /// An amount that at least one of the rewards it is about fits into.
    fn reachable(&mut self, about: &About<'_>, limit: &Text, rewards: &[Reward]) -> Option<Micros> {
        let amount = self.money(about.file, limit)?;
        let covered = rewards.iter().enumerate().take(64).filter(|(at, _)| about.rewards >> at & 1 == 1);
        let cheapest = covered.map(|(_, reward)| reward.cost).filter(|cost| *cost > Micros::ZERO).min();
        if let Some(cheapest) = cheapest.filter(|cheapest| *cheapest > amount) {
            let message = format!("{amount} is less than the cheapest reward it is about, {cheapest}");
            let problem = self
                .problem(Code::NeverAffordable, about.file, limit.span(), message)
                .help("nothing could be promised under it: raise it, or use [stop] to promise nothing");
            self.report(problem);
        }
        Some(amount)
    }

    fn limit(
        &mut self,
        about: About<'_>,
        at: Range<usize>,
        measure: Measure,
        amount: i64,
        hours: u16,
    ) -> Limit {
        let About { file, rule, name, segments, rewards } = about;
        let rule = self.rule(file, &at, rule, measure.reason(), TEXT);
        Limit { measure, rule, name: Arc::from(name), segments, rewards, amount, hours }
    }
}

/// The bit of a position; lists that are longer than 64 are refused elsewhere.
fn bit(at: usize) -> u64 {
    1u64.checked_shl(u32::try_from(at).unwrap_or(u32::MAX)).unwrap_or(0)
}
