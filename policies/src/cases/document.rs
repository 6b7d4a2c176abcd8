//! How a case is written, and what it expects.

use std::collections::BTreeMap;

use domain::Reason;
use serde::Deserialize;
use toml::{Spanned, Value};

use super::Said;
use crate::bundle::Bundle;
use crate::problem::did_you_mean;

/// A file of cases.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    pub case: Vec<Written>,
}

/// One case as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Written {
    /// What the policy promises.
    pub name: Spanned<String>,
    /// Local time in the program's time zone.
    pub at: Option<String>,
    /// Facts of the event, without `event.`.
    pub event: BTreeMap<String, Value>,
    /// Facts of the member, without `member.`.
    #[serde(default)]
    pub member: BTreeMap<String, Value>,
    #[serde(default)]
    pub promised: Vec<Promised>,
    pub expect: Expect,
}

/// An earlier promise that counts for caps.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Promised {
    pub reward: String,
    pub days_ago: u16,
}

/// What the policy must say; what is left out is not looked at.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// A moment's id, or `none`.
    moment: Option<String>,
    denied: Option<String>,
    held: Option<String>,
    /// A segment's id, or `none`.
    segment: Option<String>,
    #[serde(default)]
    may: Vec<String>,
    #[serde(default)]
    refused: BTreeMap<String, String>,
}

impl Expect {
    /// Whether everything it names exists.
    pub fn check(&self, bundle: &Bundle) -> Result<(), String> {
        let nothing = self.moment.is_none()
            && self.denied.is_none()
            && self.held.is_none()
            && self.segment.is_none()
            && self.may.is_empty()
            && self.refused.is_empty();
        if nothing {
            return Err("it expects nothing: say moment, denied, held, segment, may or refused".to_owned());
        }
        let known = |what: &str, id: &str, ids: Vec<&str>| {
            if id == "none" || ids.contains(&id) {
                return Ok(());
            }
            Err(format!("`{id}` is not a {what} of this bundle; {}", did_you_mean(id, ids)))
        };
        let moments = || bundle.moments().iter().map(|moment| moment.id.as_str()).collect();
        let segments = || bundle.segments().iter().map(|segment| segment.id.as_str()).collect();
        let rewards = || bundle.rewards().iter().map(|reward| reward.id.as_str()).collect();
        self.moment.iter().try_for_each(|id| known("moment", id, moments()))?;
        self.segment.iter().try_for_each(|id| known("segment", id, segments()))?;
        self.may.iter().chain(self.refused.keys()).try_for_each(|id| known("reward", id, rewards()))?;
        for reason in self.denied.iter().chain(&self.held).chain(self.refused.values()) {
            if Reason::from_name(reason).is_none() {
                let names: Vec<&str> = Reason::ALL.iter().map(|reason| reason.name()).collect();
                return Err(format!("`{reason}` is not a reason; {}", did_you_mean(reason, names)));
            }
        }
        Ok(())
    }

    /// Where what was said differs from what was expected.
    pub(super) fn differences(&self, said: &Said) -> Vec<String> {
        let mut differences = Vec::new();
        let name = |reason: Option<Reason>| reason.map_or("nothing", Reason::name).to_owned();
        let mut compare = |what: &str, wanted: Option<&String>, found: String| {
            if let Some(wanted) = wanted.filter(|wanted| **wanted != found) {
                differences.push(format!("{what}: expected {wanted}, the policy says {found}"));
            }
        };
        compare("moment", self.moment.as_ref(), said.moment.clone().unwrap_or_else(|| "none".to_owned()));
        compare("denied", self.denied.as_ref(), name(said.denied));
        compare("held", self.held.as_ref(), name(said.held));
        compare("segment", self.segment.as_ref(), said.segment.clone().unwrap_or_else(|| "none".to_owned()));
        let rewards = (!self.may.is_empty() || !self.refused.is_empty()) && self.held.is_none();
        if rewards && said.rewards.is_empty() {
            let why = said.denied.or(said.held).map_or("it is no moment", Reason::name);
            differences.push(format!("no reward was looked at: {why}"));
            return differences;
        }
        let answer =
            |id: &String| said.rewards.iter().find(|(reward, _)| reward == id).and_then(|(_, why)| *why);
        for id in &self.may {
            if let Some(reason) = answer(id) {
                differences.push(format!(
                    "{id}: expected that it may be promised, the policy says {}",
                    reason.name()
                ));
            }
        }
        for (id, reason) in &self.refused {
            let found = answer(id).map_or("it may be promised", Reason::name);
            if found != reason {
                differences.push(format!("{id}: expected {reason}, the policy says {found}"));
            }
        }
        differences
    }
}
