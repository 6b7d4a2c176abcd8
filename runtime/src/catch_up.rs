//! What an earlier run committed but may not have published goes out before anything new is decided.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::record::{MemberRow, PersonalObserved};
use domain::{Digest, EventId, EventKind, Outcome};
use ledger::{Kind, Reader, Seq};
use policies::Bundle;

use crate::actors::loader;
use crate::bus::Bus;
use crate::bus::subject::Subjects;
use crate::node::{NodeError, RELAY};
use crate::opening::recorded_bundle;
use crate::reward::{Promised, publication};

/// Rows read at a time.
const PAGE_ROWS: u32 = 512;

/// Publishes what an earlier run committed but may not have published; returns the last row looked at.
pub async fn catch_up(
    bus: &Bus,
    reader: &Reader,
    keys: &ledger::Keys,
    subjects: &Subjects,
) -> Result<Seq, NodeError> {
    let from = reader.relay_position(RELAY)?;
    let mut last = from;
    let mut stored = None;
    let mut bundles: BTreeMap<Digest, Arc<Bundle>> = BTreeMap::new();
    loop {
        let page = reader.after(last, PAGE_ROWS)?;
        let mut rewards = Vec::new();
        for row in &page {
            last = row.seq;
            let wrong = |why: String| NodeError::Row { seq: row.seq, why };
            let Some(promised) = promised(reader, row, keys).map_err(wrong)? else { continue };
            let bundle = match bundles.get(&promised.public.bundle) {
                Some(bundle) => Arc::clone(bundle),
                None => {
                    let bundle = Arc::new(recorded_bundle(reader, promised.public.bundle)?);
                    bundles.insert(promised.public.bundle, Arc::clone(&bundle));
                    bundle
                }
            };
            rewards.extend(publication(row.seq.0, &promised, &bundle, subjects));
        }
        if !rewards.is_empty() {
            if stored.is_none() {
                stored = Some(bus.rewards_stored_after(from.0).await?);
            }
            rewards
                .retain(|reward| !stored.as_ref().is_some_and(|stored| stored.contains(&reward.message_id)));
            bus.publish_rewards(&rewards).await?;
        }
        if page.len() < PAGE_ROWS as usize {
            return Ok(last);
        }
    }
}

/// What a row promises, if it promises something: a decision that grants, or a person's approval of one that waited.
/// `None`, too, when its member was erased, and nobody is to hear of it any more.
fn promised(reader: &Reader, row: &ledger::Row, keys: &ledger::Keys) -> Result<Option<Promised>, String> {
    let grants = row.kind == Kind::Decision && row.outcome == Some(Outcome::Granted);
    let answers = row.kind == Kind::Observed && row.event_id.as_ref().is_some_and(EventId::is_answer);
    if !grants && !answers {
        return Ok(None);
    }
    let member = row.member.ok_or("it names no member")?;
    let key = match keys.key_for(member) {
        Ok(key) => key,
        Err(ledger::KeyError::Erased(_)) => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    if grants {
        return Promised::of_row(row, &key).map(Some);
    }
    match row.about_member(&key).map_err(|error| error.to_string())? {
        Some(MemberRow::Observed { personal }) => {
            let observed: PersonalObserved =
                serde_json::from_slice(&personal).map_err(|error| error.to_string())?;
            let EventKind::Approved { decision } = observed.event.kind else { return Ok(None) };
            let promised = loader::approved(reader, decision, &key, None);
            promised.map(Some).map_err(|error| error.to_string())
        }
        Some(MemberRow::Decision { .. }) | None => Ok(None),
    }
}
