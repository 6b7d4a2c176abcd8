//! Rows of a batch, one after the other, inside the writer's transaction.

use std::collections::HashMap;

use domain::{Digest, Timestamp};
use rusqlite::{Connection, params};

use crate::budget::Balances;
use crate::canon::Public;
use crate::codes;
use crate::columns::Columns;
use crate::counter::Added;
use crate::entry::{BODY_BYTES_MAX, Entry, NAME_BYTES_MAX, SEALED_BYTES_MAX, Seq, State};
use crate::error::Error;
use crate::index::{self, Hashes, Index};
use crate::tree::LEVEL_STEP;
use crate::writer::{BATCH_MAX, Checkpoint, Head};

/// Refuses what is larger than its bound.
pub(crate) fn check_sizes(batch: &[Entry]) -> Result<(), Error> {
    let check =
        |what, found, max| if found > max { Err(Error::TooLarge { what, found, max }) } else { Ok(()) };
    check("a batch", batch.len(), BATCH_MAX)?;
    for entry in batch {
        check("a body", entry.body.len(), BODY_BYTES_MAX)?;
        check(
            "a sealed part",
            entry.sealed.as_ref().map_or(0, |sealed| sealed.ciphertext.len()),
            SEALED_BYTES_MAX,
        )?;
        for name in [&entry.segment, &entry.reward].into_iter().flatten() {
            check("a segment or reward name", name.len(), NAME_BYTES_MAX)?;
        }
        if let Some(State { sealed, .. }) = &entry.snapshot {
            check("a member state", sealed.ciphertext.len(), SEALED_BYTES_MAX)?;
        }
    }
    Ok(())
}

/// Refuses events that already have a row, here or in the ledger (invariant D-2).
pub(crate) fn check_events(
    connection: &Connection,
    index: &Index,
    first: Seq,
    batch: &[Entry],
) -> Result<(), Error> {
    let tail = index.tail.read();
    let mut fresh = HashMap::new();
    for (seq, entry) in (first.0..).zip(batch) {
        let Some(event_id) = &entry.event_id else { continue };
        let known = match fresh.insert(event_id, Seq(seq)) {
            Some(seq) => Some(seq),
            None => index::find_event(connection, &tail, event_id)?,
        };
        if let Some(seq) = known {
            return Err(Error::DuplicateEvent { event_id: event_id.clone(), seq });
        }
    }
    Ok(())
}

pub(crate) fn write_checkpoint(connection: &Connection, checkpoint: &Checkpoint) -> Result<(), Error> {
    let Checkpoint { size, root, time, note } = checkpoint;
    let mut insert = connection
        .prepare_cached("INSERT INTO checkpoint (size, root, time, note) VALUES (?1, ?2, ?3, ?4)")?;
    insert.execute(params![size.cast_signed(), root.0, time.0, note])?;
    Ok(())
}

pub(crate) fn write_state(
    connection: &Connection,
    member: domain::MemberId,
    as_of: Seq,
    state: &State,
) -> Result<(), Error> {
    let mut upsert = connection.prepare_cached(
        "INSERT INTO member_state (member, as_of, next_due, state) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (member) DO UPDATE SET as_of = excluded.as_of, next_due = excluded.next_due, state = excluded.state
             WHERE excluded.as_of >= member_state.as_of",
    )?;
    let due = state.next_due.map(|due| due.0);
    upsert.execute(params![member.0, as_of.0.cast_signed(), due, state.sealed.ciphertext])?;
    Ok(())
}

/// Inserts rows, one after the other.
pub(crate) struct Rows<'a> {
    pub(crate) connection: &'a Connection,
    pub(crate) balances: &'a mut Balances,
    pub(crate) scratch: &'a mut Vec<u8>,
    pub(crate) counts: Added,
    pub(crate) index: &'a mut Index,
    pub(crate) columns: &'a mut Columns,
    pub(crate) partition: u16,
    pub(crate) epoch: u32,
}

impl Rows<'_> {
    pub(crate) fn insert(&mut self, state: &mut Head, at: usize, entry: &Entry) -> Result<(), Error> {
        let seq = Seq(state.tree.size() + 1);
        let debits = self.balances.stage(entry, at, seq)?;
        let public = self.public(seq, state.recorded_at, entry, debits.as_deref());
        let digest = entry.sealed.as_ref().map(|sealed| sealed.digest.0);
        let leaf = public.leaf(digest.as_ref().map(<[u8; 32]>::as_slice), self.scratch);
        self.insert_row(&public, leaf, digest, entry)?;
        self.columns.add(self.connection, &public)?;
        self.insert_nodes(state, leaf)?;
        if entry.kind.is_lasting() {
            debug_assert!(
                entry.event_id.is_none(),
                "an erasure takes event ids out, and nothing out of such a row"
            );
            state.lasting.push(seq, &leaf);
        }
        self.counts.add(entry);
        self.index.add(Hashes::of(entry));
        debug_assert!(entry.snapshot.is_none() || entry.member.is_some(), "a state belongs to a member");
        if let (Some(member), Some(snapshot)) = (entry.member, &entry.snapshot) {
            write_state(self.connection, member, seq, snapshot)?;
        }
        Ok(())
    }

    fn public<'e>(
        &self,
        seq: Seq,
        recorded_at: Timestamp,
        entry: &'e Entry,
        debits: Option<&'e str>,
    ) -> Public<'e> {
        Public {
            seq: seq.0.cast_signed(),
            record_id: &entry.record_id,
            kind: i64::from(entry.kind.number()),
            recorded_at: recorded_at.0,
            event_time: entry.event_time.map(|time| time.0),
            partition: i64::from(self.partition),
            epoch: i64::from(self.epoch),
            member: entry.member.as_ref().map(|member| member.0.as_slice()),
            event_id: entry.event_id.as_ref().map(domain::EventId::as_str),
            outcome: entry.outcome.map(codes::outcome),
            reason: entry.reason.map(|reason| i64::from(reason.number())),
            segment: entry.segment.as_deref(),
            reward: entry.reward.as_deref(),
            touchpoint: entry.touchpoint.map(codes::touchpoint),
            bundle: entry.bundle.as_ref().map(|digest| digest.0.as_slice()),
            models: entry.models.as_ref().map(|digest| digest.0.as_slice()),
            semantics: i64::from(domain::SEMANTICS_VERSION),
            debits,
            body: Some(&entry.body),
        }
    }

    fn insert_row(
        &self,
        row: &Public<'_>,
        leaf: Digest,
        sealed_digest: Option<[u8; 32]>,
        entry: &Entry,
    ) -> Result<(), Error> {
        let mut insert = self.connection.prepare_cached(
            "INSERT INTO record (seq, record_id, kind, recorded_at, event_time, partition, epoch, member, event_id, outcome, reason,
                 segment, reward, touchpoint, bundle, models, semantics, debits, body, sealed_digest, leaf, sealed)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22)",
        )?;
        insert.execute(params![
            row.seq,
            row.record_id,
            row.kind,
            row.recorded_at,
            row.event_time,
            row.partition,
            row.epoch,
            row.member,
            row.event_id,
            row.outcome,
            row.reason,
            row.segment,
            row.reward,
            row.touchpoint,
            row.bundle,
            row.models,
            row.semantics,
            row.debits,
            row.body,
            sealed_digest,
            leaf.0,
            entry.sealed.as_ref().map(|sealed| sealed.ciphertext.as_slice()),
        ])?;
        Ok(())
    }

    fn insert_nodes(&self, state: &mut Head, leaf: Digest) -> Result<(), Error> {
        let mut result = Ok(());
        state.tree.push(leaf, |level, index, hash| {
            if level.is_multiple_of(LEVEL_STEP) && result.is_ok() {
                result = insert_node(self.connection, level, index, hash);
            }
        });
        result
    }
}

fn insert_node(connection: &Connection, level: u32, index: u64, hash: Digest) -> Result<(), Error> {
    let mut insert =
        connection.prepare_cached("INSERT INTO log_node (level, idx, hash) VALUES (?1, ?2, ?3)")?;
    insert.execute(params![level, index.cast_signed(), hash.0])?;
    Ok(())
}
