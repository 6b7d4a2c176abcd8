//! Promises that wait for a person, and what people answered.
//!
//! An answer is a signed row. What it does is an event of the member, whose id follows from the decision: however often a
//! node starts between the two, the event is taken once.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use domain::decision::PublicDecision;
use domain::time::DAY;
use domain::{DecisionId, Event, EventId, Outcome, RewardIndex, SegmentIndex, Timestamp};
use ledger::{Filter, KeyError, Keys, Kind, Reader, Row};
use policies::registry::{Refusal, Registry};
use policies::{Bundle, MomentIndex, VALID_DAYS_MAX};

use super::followed::{Answered, Followed};
use crate::actors::loader;
use crate::node::NodeError;
use crate::opening::recorded_bundle;
use crate::requests::JudgeError;

/// Rows read at a time.
const PAGE_ROWS: u32 = 256;

/// A promise that waits for a person.
#[derive(Clone, Debug)]
pub struct Waiting {
    pub row: Row,
    pub public: PublicDecision,
}

/// The decisions whose promises wait at `now`, oldest first.
///
/// # Errors
/// When the ledger cannot be read, or a row is not in its form.
pub fn waiting(
    reader: &Reader,
    registry: &Registry,
    keys: &Keys,
    now: Timestamp,
) -> Result<Vec<Waiting>, NodeError> {
    let (mut found, mut bundles) = (Vec::new(), BTreeMap::new());
    // No promise holds longer, so what is older waits for nobody.
    let since = now.plus(-i64::from(VALID_DAYS_MAX) * DAY);
    let mut filter = Filter {
        kind: Some(Kind::Decision),
        outcome: Some(Outcome::Pending),
        since: Some(since),
        limit: PAGE_ROWS,
        ..Filter::default()
    };
    loop {
        let page = reader.list(&filter)?;
        let full = page.len() == PAGE_ROWS as usize;
        filter.after = page.last().map(|row| row.seq);
        for row in page {
            let public = public(&row)?;
            if ended(reader, registry, &public, now)?.is_some() {
                continue;
            }
            let bundle = match bundles.entry(public.bundle) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => new.insert(recorded_bundle(reader, public.bundle)?),
            };
            if still_held(reader, keys, &row, public.decision, bundle)? {
                found.push(Waiting { row, public });
            }
        }
        if !full {
            return Ok(found);
        }
    }
}

/// Whether the member's own state still holds the promise: a service may have cancelled it, and an erased member has none.
pub(crate) fn still_held(
    reader: &Reader,
    keys: &Keys,
    row: &Row,
    decision: DecisionId,
    bundle: &Bundle,
) -> Result<bool, NodeError> {
    let Some(member) = row.member else { return Ok(false) };
    let wrong = |why: String| NodeError::Row { seq: row.seq, why };
    let key = match keys.find(member) {
        Ok(Some(key)) => key,
        Ok(None) | Err(KeyError::Erased(_)) => return Ok(false),
        Err(error) => return Err(wrong(error.to_string())),
    };
    let known = loader::load(reader, member, &key, bundle).map_err(|error| wrong(error.to_string()))?;
    Ok(known.state.open_promises().any(|promise| promise.decision == decision))
}

/// Why a promise waits for nobody any more; `None` while it waits.
fn ended(
    reader: &Reader,
    registry: &Registry,
    public: &PublicDecision,
    now: Timestamp,
) -> Result<Option<String>, ledger::Error> {
    let decision = public.decision;
    if public.outcome != Outcome::Pending {
        return Ok(Some(format!("its outcome is {}", public.outcome.name())));
    }
    if public.valid_until.is_none_or(|until| until <= now) {
        return Ok(Some("its time has run out".to_owned()));
    }
    let answered = registry.is_answered(decision) || reader.contains_event(&EventId::of_answer(decision))?;
    Ok(answered.then(|| "it was answered".to_owned()))
}

/// Whether somebody may answer about a promise now.
///
/// # Errors
/// Why not: it is none that waits, or what it promises is stopped.
pub(super) fn may_be_answered(
    reader: &Reader,
    keys: &Keys,
    registry: &Registry,
    decision: DecisionId,
    approve: bool,
    now: Timestamp,
) -> Result<(), JudgeError> {
    let not = |why: String| Refusal::NotWaiting { decision, why };
    let row = reader.record(decision.0.as_bytes())?;
    let row =
        row.filter(|row| row.kind == Kind::Decision).ok_or_else(|| not("no such decision".to_owned()))?;
    let public = public(&row)?;
    if let Some(why) = ended(reader, registry, &public, now)? {
        return Err(not(why).into());
    }
    let bundle = recorded_bundle(reader, public.bundle)?;
    if !still_held(reader, keys, &row, decision, &bundle)? {
        return Err(not("it was cancelled, or its member erased".to_owned()).into());
    }
    let stopped = if approve { stopped(registry, &bundle, &public) } else { None };
    match stopped {
        Some(stopped) => Err(Refusal::StoppedPromise(stopped).into()),
        None => Ok(()),
    }
}

/// What a kill switch stops of a promise.
pub(crate) fn stopped(registry: &Registry, bundle: &Bundle, public: &PublicDecision) -> Option<String> {
    let stops = registry.stops(bundle);
    let on = |mask: u64, at: Option<u8>| at.is_some_and(|at| mask >> at & 1 == 1);
    let (segment, reward) = (public.segment, public.reward);
    if stops.program {
        Some("the program".to_owned())
    } else if on(stops.rewards, reward.map(|RewardIndex(at)| at)) {
        reward.map(|reward| format!("reward {}", bundle.reward(reward).id))
    } else if on(stops.segments, segment.map(|SegmentIndex(at)| at)) {
        segment.map(|segment| format!("segment {}", bundle.segment(segment).id))
    } else if on(stops.moments, Some(public.moment)) {
        Some(format!("moment {}", bundle.moment(MomentIndex(public.moment)).id))
    } else {
        None
    }
}

fn public(row: &Row) -> Result<PublicDecision, NodeError> {
    let body = row.body.as_deref().unwrap_or_default();
    serde_json::from_str(body).map_err(|error| NodeError::Row { seq: row.seq, why: error.to_string() })
}

/// The answers no node has taken yet, as events, in the order they were given. A member who was erased since is promised
/// nothing any more, and what was stopped since waits until it runs again. What was carried out is not looked up again.
///
/// # Errors
/// When the ledger cannot be read, or a row is not in its form.
pub(crate) fn outstanding(
    reader: &Reader,
    keys: &Keys,
    followed: &mut Followed,
) -> Result<Vec<Event>, NodeError> {
    followed.now(reader)?;
    let (mut events, mut open) = (Vec::new(), Vec::new());
    for answered in &followed.answers {
        let Answered { decision, approve, at } = *answered;
        if reader.contains_event(&EventId::of_answer(decision))? {
            continue;
        }
        let Some(promised) = reader.record(decision.0.as_bytes())? else { continue };
        let Some(member) = promised.member else { continue };
        if approve && !followed.registry.stopped().is_empty() {
            let public = public(&promised)?;
            let bundle = recorded_bundle(reader, public.bundle)?;
            if stopped(&followed.registry, &bundle, &public).is_some() {
                open.push(*answered);
                continue;
            }
        }
        match keys.find(member) {
            Ok(Some(_)) => events.push(Event::answered(decision, approve, member, at)),
            Ok(None) | Err(KeyError::Erased(_)) => continue,
            Err(error) => return Err(ledger::Error::from(error).into()),
        }
        open.push(*answered);
    }
    followed.answers = open;
    Ok(events)
}
