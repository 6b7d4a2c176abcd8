//! A purchase file as the commands replay it: in order of time, behind what a program needs before purchases.

use std::collections::BTreeSet;
use std::path::Path;

use domain::{Purpose, Timestamp};
use policies::Bundle;
use policies::bundle::Members;
use serde::Serialize;

use crate::exit::{Failure, Result};
use crate::output::grouped;

/// Who sends what is assumed; no purchase is from there.
const SOURCE: &str = "assumed";

/// The events of a purchase file, as an outside system would send them.
pub struct Purchases {
    pub events: Vec<Vec<u8>>,
    /// The first purchase of each household.
    firsts: Vec<First>,
    /// The time of the middle purchase: neither a wrong date at the start nor one at the end moves it far.
    pub middle: Timestamp,
    /// Whether the file was in another order.
    pub reordered: bool,
}

/// The first purchase of a household.
struct First {
    household: String,
    /// As the file writes it, with the offset.
    time: String,
    /// Position in the events.
    at: usize,
}

/// What a purchase file does not say and the program asks for, so that it was made up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Assumed {
    pub events: u64,
    pub members: u64,
    /// Each member was announced with `enrolled`, because the program takes known members only.
    pub enrolled: bool,
    /// What each member consented to beyond what the program assumes at enrolment.
    pub consents: Vec<&'static str>,
}

impl Purchases {
    /// Reads a file. A shop's events come as they happen, an export may come by household, so they are put in
    /// order of time; a line that is no purchase has none and stays behind the one before it.
    ///
    /// # Errors
    /// When the file cannot be read or lacks a column.
    pub fn read(path: &Path) -> Result<Purchases> {
        let mut timed = Vec::new();
        let mut last = Timestamp(i64::MIN);
        for line in models::csv::open(path).map_err(Failure::usage)? {
            let line = line.map_err(Failure::usage)?;
            last = line.row.as_ref().map_or(last, |row| row.time);
            let event = line.wire();
            timed.push((last, event, line.row.ok().map(|row| (row.household, row.local_time))));
        }
        let reordered = !timed.is_sorted_by_key(|(time, ..)| *time);
        timed.sort_by_key(|(time, ..)| *time);
        let middle = timed.get(timed.len() / 2).map_or(Timestamp(0), |(time, ..)| *time);
        let mut known = BTreeSet::new();
        let (mut events, mut firsts) = (Vec::new(), Vec::new());
        for (at, (_, event, who)) in timed.into_iter().enumerate() {
            events.push(event);
            let first = who.filter(|(household, _)| known.insert(household.clone()));
            firsts.extend(first.map(|(household, time)| First { household, time, at }));
        }
        Ok(Purchases { events, firsts, middle, reordered })
    }

    /// Puts before each household's first purchase what the program asks for and a purchase file cannot say:
    /// who is enrolled, and the consents that its guardrails need. `None` when it asks for nothing.
    pub fn assume(&mut self, bundle: &Bundle) -> Option<Assumed> {
        let program = bundle.program();
        let enrolled = program.members == Members::Known;
        let needed = |purpose: &Purpose| {
            bundle.guardrails().consent.contains(*purpose) && !program.consent_at_enrolment.contains(*purpose)
        };
        let purposes = [Purpose::PersonalisedMarketing, Purpose::Profiling].into_iter().filter(needed);
        let consents: Vec<_> = purposes.map(Purpose::name).collect();
        if !enrolled && consents.is_empty() {
            return None;
        }
        let purchases = std::mem::take(&mut self.events);
        let given = purchases.len();
        let mut firsts = self.firsts.iter().enumerate().peekable();
        for (at, purchase) in purchases.into_iter().enumerate() {
            while let Some((number, first)) = firsts.next_if(|(_, first)| first.at == at) {
                if enrolled {
                    self.events.push(first.event(number, "enrolled", serde_json::json!({})));
                }
                for purpose in &consents {
                    let data = serde_json::json!({ "purpose": purpose, "granted": true });
                    self.events.push(first.event(number, "consent", data));
                }
            }
            self.events.push(purchase);
        }
        let events = u64::try_from(self.events.len() - given).unwrap_or(u64::MAX);
        let members = u64::try_from(self.firsts.len()).unwrap_or(u64::MAX);
        Some(Assumed { events, members, enrolled, consents })
    }
}

impl First {
    /// What is said about the household at the time of its first purchase. The id has the household's number,
    /// because its name may be as long as an id.
    fn event(&self, number: usize, kind: &str, data: serde_json::Value) -> Vec<u8> {
        let about = data["purpose"].as_str().map_or_else(String::new, |purpose| format!("-{purpose}"));
        let event = serde_json::json!({
            "schema": domain::event::wire::SCHEMA,
            "event_id": format!("{SOURCE}-{kind}{about}-{number}"),
            "member": self.household,
            "type": kind,
            "event_time": self.time,
            "source": SOURCE,
            "touchpoint": "batch",
            "data": data,
        });
        event.to_string().into_bytes()
    }
}

impl Assumed {
    /// The lines for people.
    pub fn text(&self) -> String {
        let consents = self.consents.join(" and ");
        let what = match (self.enrolled, self.consents.is_empty()) {
            (true, true) => "each was enrolled".to_owned(),
            (true, false) => format!("each was enrolled and consented to {consents}"),
            (false, _) => format!("each consented to {consents}"),
        };
        format!(
            "Assumed, because a purchase file does not say it and the program asks for it: {} members, {what} just \
             before the first purchase ({} events). Live, these events come from your systems.",
            grouped(self.members),
            grouped(self.events),
        )
    }
}
