//! What an earlier run committed but may not have published goes out before anything new is decided.
//!
//! What a kill switch stops by then is held back instead: it goes out when the switch is off again and the promise still
//! stands, and until then the row that starts each run says which rows these are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use domain::record::{MemberRow, PersonalObserved};
use domain::{Digest, EventId, EventKind, Outcome, Timestamp};
use ledger::{Keys, Kind, Reader, Row, Seq};
use policies::Bundle;
use policies::registry::Registry;
use serde::Deserialize;

use crate::actors::loader;
use crate::bus::subject::Subjects;
use crate::bus::{Bus, Publication};
use crate::node::{NodeError, RELAY};
use crate::opening::{newest, recorded_bundle};
use crate::registry::{still_held, stopped};
use crate::reward::{Promised, publication};

/// Rows read at a time.
const PAGE_ROWS: u32 = 512;

/// Promises of earlier runs, as their rows say.
pub struct Committed<'l> {
    reader: &'l Reader,
    keys: &'l Keys,
    bundles: BTreeMap<Digest, Arc<Bundle>>,
}

/// What became of promises that a kill switch stops, or stopped when an earlier run began.
#[derive(Debug, Default)]
pub struct HeldBack {
    /// Stopped: they are not published now.
    pub rows: BTreeSet<Seq>,
    /// Nothing stops them any more: they go out.
    free: BTreeSet<Seq>,
    /// They ended meanwhile, and never go out.
    over: BTreeSet<Seq>,
}

impl<'l> Committed<'l> {
    pub fn new(reader: &'l Reader, keys: &'l Keys) -> Committed<'l> {
        Committed { reader, keys, bundles: BTreeMap::new() }
    }

    /// Sorts what may not have been published by the kill switches that are on.
    ///
    /// # Errors
    /// As [`Committed::publish`].
    pub async fn sort(
        &mut self,
        bus: &Bus,
        subjects: &Subjects,
        registry: &Registry,
        now: Timestamp,
    ) -> Result<HeldBack, NodeError> {
        let mut sorted = HeldBack::default();
        for seq in held_by_last_run(self.reader)? {
            let Some(row) = self.reader.row(seq)? else { continue };
            let promise = self.promise(&row)?;
            let stands = match &promise {
                // Erased: nobody is to hear of it any more.
                None => false,
                Some((promised, bundle)) => {
                    let public = &promised.public;
                    public.valid_until.is_none_or(|until| until > now)
                        && still_held(self.reader, self.keys, &row, public.decision, bundle)?
                }
            };
            let is_stopped = promise
                .is_some_and(|(promised, bundle)| stopped(registry, &bundle, &promised.public).is_some());
            let place = match (stands, is_stopped) {
                (false, _) => &mut sorted.over,
                (true, true) => &mut sorted.rows,
                (true, false) => &mut sorted.free,
            };
            place.insert(seq);
        }
        if !registry.stopped().is_empty() {
            let mut stopped_now = BTreeMap::new();
            self.unpublished(|seq, promised, bundle| {
                if stopped(registry, bundle, &promised.public).is_some() && !sorted.over.contains(&seq) {
                    stopped_now.extend(Some(seq).zip(publication(seq.0, promised, bundle, subjects)));
                }
            })?;
            // The server may have taken some of them, and only the word of it was lost.
            sorted.rows.extend(missing(bus, stopped_now).await?.into_keys());
        }
        let HeldBack { rows, free, over } = &sorted;
        if !rows.is_empty() || !free.is_empty() || !over.is_empty() {
            let (held, free, over) = (rows.len(), free.len(), over.len());
            tracing::warn!(
                held,
                free,
                over,
                "promises that a kill switch keeps, or kept, from being published"
            );
        }
        Ok(sorted)
    }

    /// Publishes what an earlier run committed but may not have published, but for what is held back; returns the last row
    /// looked at.
    ///
    /// # Errors
    /// When the ledger cannot be read, a row is not in its form, or the bus does not confirm.
    pub async fn publish(
        &mut self,
        bus: &Bus,
        subjects: &Subjects,
        held_back: &HeldBack,
    ) -> Result<Seq, NodeError> {
        let HeldBack { rows, free, over } = held_back;
        let mut rewards = BTreeMap::new();
        for seq in free {
            let Some(row) = self.reader.row(*seq)? else { continue };
            if let Some((promised, bundle)) = self.promise(&row)? {
                rewards.extend(Some(*seq).zip(publication(seq.0, &promised, &bundle, subjects)));
            }
        }
        let last = self.unpublished(|seq, promised, bundle| {
            if !rows.contains(&seq) && !over.contains(&seq) {
                rewards.extend(Some(seq).zip(publication(seq.0, promised, bundle, subjects)));
            }
        })?;
        let missing: Vec<_> = missing(bus, rewards).await?.into_values().collect();
        for page in missing.chunks(PAGE_ROWS as usize) {
            bus.publish_rewards(page).await?;
        }
        Ok(last)
    }

    /// Looks at each promise after the position that the relay reached; returns the last row looked at.
    fn unpublished(&mut self, mut look: impl FnMut(Seq, &Promised, &Bundle)) -> Result<Seq, NodeError> {
        let mut last = self.reader.relay_position(RELAY)?;
        loop {
            let page = self.reader.after(last, PAGE_ROWS)?;
            for row in &page {
                last = row.seq;
                if let Some((promised, bundle)) = self.promise(row)? {
                    look(row.seq, &promised, &bundle);
                }
            }
            if page.len() < PAGE_ROWS as usize {
                return Ok(last);
            }
        }
    }

    /// What a row promises, and the bundle it does by.
    fn promise(&mut self, row: &Row) -> Result<Option<(Promised, Arc<Bundle>)>, NodeError> {
        let wrong = |why: String| NodeError::Row { seq: row.seq, why };
        let Some(promised) = promised(self.reader, row, self.keys).map_err(wrong)? else { return Ok(None) };
        let digest = promised.public.bundle;
        let bundle = match self.bundles.get(&digest) {
            Some(bundle) => Arc::clone(bundle),
            None => {
                let bundle = Arc::new(recorded_bundle(self.reader, digest)?);
                self.bundles.insert(digest, Arc::clone(&bundle));
                bundle
            }
        };
        Ok(Some((promised, bundle)))
    }
}

/// The rewards that the bus does not have, by row.
async fn missing(
    bus: &Bus,
    mut rewards: BTreeMap<Seq, Publication>,
) -> Result<BTreeMap<Seq, Publication>, NodeError> {
    if let Some((first, _)) = rewards.first_key_value() {
        let stored = bus.rewards_stored_after(first.0 - 1).await?;
        rewards.retain(|_, reward| !stored.contains(&reward.message_id));
    }
    Ok(rewards)
}

/// The rows whose promises the last run held back, as its start says.
fn held_by_last_run(reader: &Reader) -> Result<Vec<Seq>, NodeError> {
    #[derive(Deserialize)]
    struct Held {
        #[serde(default)]
        held_back: Vec<u64>,
    }
    let Some(start) = newest(reader, Kind::Start)? else { return Ok(Vec::new()) };
    let held: Held = serde_json::from_str(start.body.as_deref().unwrap_or_default())
        .map_err(|error| NodeError::Row { seq: start.seq, why: error.to_string() })?;
    Ok(held.held_back.into_iter().map(Seq).collect())
}

/// What a row promises, if it promises something: a decision that grants, or a person's approval of one that waited.
/// `None`, too, when its member was erased, and nobody is to hear of it any more.
fn promised(reader: &Reader, row: &Row, keys: &Keys) -> Result<Option<Promised>, String> {
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
