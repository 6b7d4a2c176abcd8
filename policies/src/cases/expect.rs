//! Where what a policy said differs from what a case expects.

use domain::Reason;

use super::Said;
use crate::documents::Text;
use crate::documents::cases::Expect;

/// Each difference: what was expected, what the policy said.
pub(super) fn differences(expect: &Expect, said: &Said) -> Vec<String> {
    let mut differences = Vec::new();
    let name = |reason: Option<Reason>| reason.map_or("nothing", Reason::name).to_owned();
    let mut compare = |what: &str, wanted: Option<&Text>, found: String| {
        if let Some(wanted) = wanted.map(Text::get_ref).filter(|wanted| **wanted != found) {
            differences.push(format!("{what}: expected {wanted}, the policy says {found}"));
        }
    };
    compare("moment", expect.moment.as_ref(), said.moment.clone().unwrap_or_else(|| "none".to_owned()));
    compare("denied", expect.denied.as_ref(), name(said.denied));
    compare("held", expect.held.as_ref(), name(said.held));
    compare("segment", expect.segment.as_ref(), said.segment.clone().unwrap_or_else(|| "none".to_owned()));
    let rewards = (!expect.may.is_empty() || !expect.refused.is_empty()) && expect.held.is_none();
    if rewards && said.rewards.is_empty() {
        let why = said.denied.or(said.held).map_or("it is no moment", Reason::name);
        differences.push(format!("no reward was looked at: {why}"));
        return differences;
    }
    let answer =
        |id: &Text| said.rewards.iter().find(|(reward, _)| reward == id.get_ref()).and_then(|(_, why)| *why);
    for id in &expect.may {
        if let Some(reason) = answer(id) {
            let (id, reason) = (id.get_ref(), reason.name());
            differences.push(format!("{id}: expected that it may be promised, the policy says {reason}"));
        }
    }
    for (id, reason) in &expect.refused {
        let found = answer(id).map_or("it may be promised", Reason::name);
        if found != reason.get_ref() {
            let (id, reason) = (id.get_ref(), reason.get_ref());
            differences.push(format!("{id}: expected {reason}, the policy says {found}"));
        }
    }
    differences
}
