//! Retention: old rows lose their sealed part, later their body; never their leaf.
//!
//! What is still needed is kept, whatever its age: rows under a legal hold, promises that have not run out, grants the
//! relay has not passed, rows that the member's stored state does not hold yet, and the negotiations of the present run.
//! Kinds a ledger cannot go on without (bundles, budgets, registry steps, runs) are never pruned: see [`Kind::is_lasting`].

use std::collections::{BTreeMap, BTreeSet};

use domain::{MemberId, Outcome, Timestamp};
use rusqlite::{Connection, OptionalExtension};
use serde_json::{Value, json};

use crate::codes;
use crate::cut::Cut;
use crate::entry::{Entry, Seq};
use crate::error::Error;
use crate::hold::in_force;
use crate::keys::random;
use crate::kind::Kind;
use crate::reader::Reader;
use crate::relay::RELAYS;
use crate::writer::{Checkpoint, Writer};

/// Rows cut in one transaction: about a gigabyte of write-ahead log, and two passes over the cut rows each.
const CUT_ROWS_MAX: usize = 500_000;

/// What is kept for how long. What has no time is kept for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Sealed parts of rows recorded before this time go.
    pub sealed_before: Option<Timestamp>,
    /// Bodies of rows recorded before this time go, with their sealed parts.
    pub bodies_before: Option<Timestamp>,
}

/// Why a row that is old enough stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Needed {
    /// Under a legal hold.
    Held,
    /// A promise that has not run out.
    Promise,
    /// A grant that may not be published yet.
    Unpublished,
    /// Later than the member's stored state.
    State,
    /// A negotiation of the present run.
    PresentRun,
}

impl Needed {
    /// The stable name.
    pub fn name(self) -> &'static str {
        match self {
            Needed::Held => "legal_hold",
            Needed::Promise => "open_promise",
            Needed::Unpublished => "not_published",
            Needed::State => "after_stored_state",
            Needed::PresentRun => "present_run",
        }
    }
}

/// What a retention would take out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prunable {
    /// Rows that lose their sealed part.
    pub sealed: BTreeSet<u64>,
    /// Rows that lose their body.
    pub bodies: BTreeSet<u64>,
    /// Old rows that stay, and why.
    pub needed: BTreeMap<Needed, u64>,
    /// Members whose stored state is older than rows that could go.
    pub behind: BTreeSet<MemberId>,
}

/// What a retention did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pruned {
    /// The rows that record it.
    pub seqs: Vec<Seq>,
    pub sealed: u64,
    pub bodies: u64,
    pub needed: BTreeMap<Needed, u64>,
    /// The last head that became due. Publish it.
    pub checkpoint: Option<Checkpoint>,
}

impl Reader {
    /// What a retention would take out now.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn prunable(&self, retention: Retention, now: Timestamp) -> Result<Prunable, Error> {
        let first_at = |time: Option<Timestamp>| time.map(|time| self.first_at(time)).transpose();
        let (sealed, bodies) = (first_at(retention.sealed_before)?, first_at(retention.bodies_before)?);
        Look::at(self.connection(), now)?.rows(sealed, bodies)
    }
}

impl Writer {
    /// Prunes what is old enough and not needed. Nothing is appended when nothing is.
    ///
    /// # Errors
    /// [`Error::Altered`] when any row is not as it was written: what is cut out of such a row would pass for what was left of it.
    /// [`Error::Held`] when everything is under a legal hold; [`Error::ReadMeanwhile`] when another process keeps the
    /// write-ahead log from being cut.
    pub fn prune(&mut self, now: Timestamp, retention: Retention, days: &Value) -> Result<Pruned, Error> {
        crate::hold::refuse_held(&self.connection, None)?;
        crate::lasting::blame(&self.connection, crate::recovery::last_seq(&self.connection)?)?;
        let Prunable { sealed, bodies, needed, .. } = self.reader()?.prunable(retention, now)?;
        let mut done = Pruned {
            seqs: Vec::new(),
            sealed: sealed.len() as u64,
            bodies: bodies.len() as u64,
            needed,
            checkpoint: None,
        };
        let all: Vec<u64> = sealed.union(&bodies).copied().collect();
        for part in all.chunks(CUT_ROWS_MAX) {
            let of = |rows: &BTreeSet<u64>| part.iter().copied().filter(|seq| rows.contains(seq)).collect();
            let (sealed, bodies): (BTreeSet<u64>, BTreeSet<u64>) = (of(&sealed), of(&bodies));
            let says = json!({ "v": 1, "keeps": days, "sealed": sealed.len(), "bodies": bodies.len() });
            let entry = Entry::new(Kind::Retention, random()?, String::new());
            let event_ids = BTreeSet::new();
            let appended = self.cut(now, &Cut { sealed, event_ids, bodies, state: None, entry, says })?;
            done.seqs.push(appended.first);
            done.checkpoint = appended.checkpoint.or(done.checkpoint);
        }
        if !done.seqs.is_empty() {
            self.wipe()?;
        }
        Ok(done)
    }
}

/// What decides whether an old row is still needed.
struct Look<'c> {
    connection: &'c Connection,
    now: Timestamp,
    everything_held: bool,
    held: BTreeSet<MemberId>,
    /// The row that began the present run.
    run: u64,
    /// The relay of rewards has passed this row.
    relayed: u64,
    /// The last row in each member's stored state.
    states: BTreeMap<MemberId, u64>,
}

/// The columns of a row that decide about it.
struct Candidate {
    seq: u64,
    kind: i64,
    member: Option<MemberId>,
    outcome: Option<i64>,
    has_sealed: bool,
    valid_until: Option<i64>,
}

impl<'c> Look<'c> {
    fn at(connection: &'c Connection, now: Timestamp) -> Result<Look<'c>, Error> {
        let number = |sql: &str| -> Result<u64, Error> {
            let found: Option<i64> = connection.query_row(sql, [], |row| row.get(0))?;
            Ok(found.unwrap_or(0).unsigned_abs())
        };
        let holds = in_force(connection)?;
        let start = Kind::Start.number();
        Ok(Look {
            connection,
            now,
            everything_held: holds.iter().any(|hold| hold.member.is_none()),
            held: holds.iter().filter_map(|hold| hold.member).collect(),
            run: number(&format!(
                "SELECT max(seq) FROM record WHERE kind = {start} AND kind NOT IN (10, 11)"
            ))?,
            relayed: number(&format!("SELECT max(seq) FROM relay_position WHERE name = '{}'", RELAYS[0]))?,
            states: BTreeMap::new(),
        })
    }

    /// Looks at every row before the later of two rows.
    fn rows(mut self, sealed: Option<Seq>, bodies: Option<Seq>) -> Result<Prunable, Error> {
        let (sealed, bodies) = (sealed.map_or(0, |seq| seq.0), bodies.map_or(0, |seq| seq.0));
        let mut found = Prunable::default();
        let mut statement = self.connection.prepare(&format!(
            "SELECT seq, kind, member, outcome, sealed IS NOT NULL, body IS NOT NULL,
                    CASE WHEN kind = 11 AND outcome IN (0, 5) THEN body ->> '$.valid_until' END
               FROM record WHERE seq < ?1 AND kind IN ({}) ORDER BY seq",
            Kind::PASSING.map(|kind| kind.number().to_string()).join(", ")
        ))?;
        let mut rows = statement.query([sealed.max(bodies).cast_signed()])?;
        while let Some(row) = rows.next()? {
            let seq = row.get::<_, i64>(0)?.unsigned_abs();
            let (has_sealed, has_body): (bool, bool) = (row.get(4)?, row.get(5)?);
            let body = seq < bodies && has_body;
            if !body && !has_sealed {
                continue;
            }
            let member = row.get::<_, Option<[u8; 16]>>(2)?.map(MemberId);
            let candidate = Candidate {
                seq,
                kind: row.get(1)?,
                member,
                outcome: row.get(3)?,
                has_sealed,
                valid_until: row.get(6)?,
            };
            match self.needed(&candidate)? {
                Some(needed) => {
                    *found.needed.entry(needed).or_default() += 1;
                    found.behind.extend(member.filter(|_| needed == Needed::State));
                }
                // A body that goes takes the sealed part along: without it nothing says what it belongs to.
                None => {
                    found.sealed.extend(has_sealed.then_some(seq));
                    found.bodies.extend(body.then_some(seq));
                }
            }
        }
        Ok(found)
    }

    fn needed(&mut self, row: &Candidate) -> Result<Option<Needed>, Error> {
        let is = |kind: Kind| row.kind == i64::from(kind.number());
        let held = match row.member {
            Some(member) => self.held.contains(&member),
            // Whom a refused event is about is sealed.
            None => is(Kind::DeadLetter) && !self.held.is_empty(),
        };
        if held || self.everything_held {
            return Ok(Some(Needed::Held));
        }
        if is(Kind::Certificate) {
            return Ok((row.seq > self.run).then_some(Needed::PresentRun));
        }
        let made = |outcome| row.outcome == Some(codes::outcome(outcome));
        if is(Kind::Decision) && (made(Outcome::Granted) || made(Outcome::Pending)) {
            if row.seq > self.relayed {
                return Ok(Some(Needed::Unpublished));
            }
            // A promise without an end has not run out.
            if row.valid_until.is_none_or(|until| until >= self.now.0) {
                return Ok(Some(Needed::Promise));
            }
        }
        let tells = is(Kind::Observed) || is(Kind::Decision);
        match row.member.filter(|_| tells && row.has_sealed) {
            Some(member) if self.state(member)? < row.seq => Ok(Some(Needed::State)),
            Some(_) | None => Ok(None),
        }
    }

    /// The last row in a member's stored state; before the first one when there is none.
    fn state(&mut self, member: MemberId) -> Result<u64, Error> {
        if let Some(known) = self.states.get(&member) {
            return Ok(*known);
        }
        let sql = "SELECT as_of FROM member_state WHERE member = ?1";
        let found: Option<i64> =
            self.connection.prepare_cached(sql)?.query_row([member.0], |row| row.get(0)).optional()?;
        let as_of = found.unwrap_or(0).unsigned_abs();
        self.states.insert(member, as_of);
        Ok(as_of)
    }
}
