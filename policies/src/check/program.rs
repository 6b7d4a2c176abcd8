//! program.toml.

use domain::event::PURPOSE_NAMES;
use domain::{Micros, Purpose, Reason};
use jiff::tz::{TimeZone, TimeZoneDatabase};

use super::{Checker, currency};
use crate::bundle::{Escalation, Program, Purposes, Stops};
use crate::codes::Code;
use crate::documents::{self, Text};
use crate::problem::closest;
use crate::rules::RuleIndex;
use crate::source::File;

const FILE: File = File::Program;

/// Largest limit of a period. Limits add up from period to period, and the negotiation counts to 2^60 micros.
const BUDGET_MAX: Micros = Micros::units(10_000_000_000);

/// The money of program.toml.
pub(super) struct Budget {
    pub global: Micros,
    /// Per segment; absent when only the program's limit holds.
    pub segments: Vec<Option<Micros>>,
    pub period_days: u16,
}

impl Checker<'_> {
    pub(super) fn program(&mut self, document: &documents::program::Program) -> Program {
        let currency = document.currency.get_ref();
        if !currency::is_code(currency) {
            let message = format!("`{currency}` is no currency");
            let problem = self
                .problem(Code::BadCurrency, FILE, document.currency.span(), message)
                .expected("expected the code of ISO 4217, three capital letters such as \"USD\"")
                .help_if(currency::meant(currency).map(|meant| format!("did you mean `{meant}`?")));
            self.report(problem);
        }
        Program {
            name: self.one_line(FILE, &document.name),
            currency: currency.clone(),
            zone: self.zone(&document.timezone),
            zone_name: document.timezone.get_ref().clone(),
            members: document.members,
            consent_at_enrolment: self.purposes(FILE, &document.consent.at_enrolment),
            consent_basis: self.not_empty(FILE, &document.consent.basis),
            escalation: Escalation { negotiations: 0, burn: None },
            approval_from: document
                .approval
                .as_ref()
                .and_then(|approval| self.money(FILE, &approval.unit_cost)),
        }
    }

    /// Zones come from the database that is part of this build, so that two machines read the same hours.
    fn zone(&mut self, name: &Text) -> TimeZone {
        let zones = TimeZoneDatabase::bundled();
        zones.get(name.get_ref()).unwrap_or_else(|_| {
            let message = format!("`{}` is not a time zone", name.get_ref());
            let known: Vec<_> = zones.available().collect();
            let meant = closest(name.get_ref(), known.iter().map(|zone| zone.as_str()));
            let problem = self
                .problem(Code::BadZone, FILE, name.span(), message)
                .expected("expected an IANA name such as \"America/New_York\"")
                .help_if(meant.map(|meant| format!("did you mean `{meant}`?")));
            self.report(problem);
            TimeZone::UTC
        })
    }

    pub(super) fn purposes(&mut self, file: File, names: &[Text]) -> Purposes {
        let mut purposes = Purposes::default();
        for name in names {
            let all = [Purpose::PersonalisedMarketing, Purpose::Profiling];
            match all.into_iter().find(|purpose| purpose.name() == name.get_ref()) {
                Some(purpose) => purposes.insert(purpose),
                None => self.unknown_word(file, name, "a purpose", &PURPOSE_NAMES),
            }
        }
        purposes
    }

    pub(super) fn budget(&mut self, document: &documents::program::Program) -> Budget {
        let budget = &document.budget;
        // An unreadable limit must not make every cost look too large.
        let global = self.money(FILE, &budget.limit).unwrap_or(Micros(i64::MAX));
        if global > BUDGET_MAX && global < Micros(i64::MAX) {
            let message = format!("{global} is more than {BUDGET_MAX}");
            let help = "limits add up over the periods, and must fit the negotiation's integers for decades";
            let problem = self.problem(Code::OutOfRange, FILE, budget.limit.span(), message).help(help);
            self.report(problem);
        }
        let mut segments = vec![None; self.segment_ids.len()];
        for (name, limit) in &budget.segments {
            let amount = self.money(FILE, limit);
            if let Some(amount) = amount.filter(|amount| *amount > global) {
                let message = format!("{amount} is more than the program's {global}");
                let problem = self
                    .problem(Code::SegmentBudget, FILE, limit.span(), message)
                    .help("the surplus could never be spent: lower it, or raise limit under [budget]");
                self.report(problem);
            }
            if let Some(at) = self.segment_ref(FILE, name) {
                segments[at] = amount;
            }
        }
        let why = "a period is a day to a year";
        Budget { global, segments, period_days: self.count(FILE, &budget.period_days, 1..=366, why) }
    }

    pub(super) fn stops(&mut self, document: &documents::program::Program) -> (Stops, RuleIndex) {
        let stop = &document.stop;
        let segments = stop.segments.iter().filter_map(|name| self.segment_ref(FILE, name));
        let segments = segments.filter(|at| *at < 64).fold(0, |mask, at| mask | 1 << at);
        let rewards = self.reward_mask(FILE, &stop.rewards);
        let text = "This part of the program is paused.";
        let rule = self.rule(FILE, &(0..0), "stop".to_owned(), Reason::KillSwitch, text);
        (Stops { program: stop.program, segments, rewards, moments: 0 }, rule)
    }
}
