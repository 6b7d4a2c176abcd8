//! Rows as they are read: typed, and as stored columns for re-hashing.

use domain::record::MemberRow;
use domain::{Digest, EventId, MemberId, Outcome, Reason, Timestamp, Touchpoint};

use crate::canon::Public;
use crate::codes;
use crate::entry::Seq;
use crate::error::Error;
use crate::kind::Kind;
use crate::posting::{Posting, read_postings};
use crate::seal::{DataKey, DoesNotOpen};

/// The columns of [`Public`], then the sealed part and the leaf; read by position below.
pub(crate) const COLUMNS: &str = "seq, record_id, kind, recorded_at, event_time, partition, epoch, member, event_id, \
     outcome, reason, segment, reward, touchpoint, bundle, models, semantics, debits, body, sealed_digest, leaf, sealed";

/// One row of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub seq: Seq,
    pub record_id: [u8; 16],
    pub kind: Kind,
    pub recorded_at: Timestamp,
    pub event_time: Option<Timestamp>,
    pub partition: u16,
    /// The run of the node that wrote it.
    pub epoch: u32,
    pub member: Option<MemberId>,
    pub event_id: Option<EventId>,
    pub outcome: Option<Outcome>,
    pub reason: Option<Reason>,
    pub segment: Option<String>,
    pub reward: Option<String>,
    pub touchpoint: Option<Touchpoint>,
    pub bundle: Option<Digest>,
    pub models: Option<Digest>,
    /// The meaning of decisions the row was written under; replay under another is refused.
    pub semantics: u32,
    pub debits: Vec<Posting>,
    /// Absent when it was pruned.
    pub body: Option<String>,
    /// Ciphertext of the personal part; absent when there was none or it was pruned.
    pub sealed: Option<Vec<u8>>,
    pub sealed_digest: Option<Digest>,
    pub leaf: Digest,
}

impl Row {
    /// Whether it told something about a member that retention, or an erasure, took out.
    pub fn is_pruned(&self) -> bool {
        let tells = self.kind == Kind::Observed || self.kind == Kind::Decision;
        tells && (self.body.is_none() || self.sealed.is_none() && self.sealed_digest.is_some())
    }

    /// The row opened with its member's key, when it tells something about a member and has not been pruned.
    ///
    /// # Errors
    /// When the sealed part does not open under this key.
    pub fn about_member(&self, key: &DataKey) -> Result<Option<MemberRow<'_>>, DoesNotOpen> {
        let tells = self.kind == Kind::Observed || self.kind == Kind::Decision;
        let (Some(body), Some(sealed)) = (&self.body, &self.sealed) else { return Ok(None) };
        if !tells {
            return Ok(None);
        }
        let personal = key.open(&self.record_id, sealed)?;
        if self.kind == Kind::Observed {
            return Ok(Some(MemberRow::Observed { personal }));
        }
        let (reward, segment) = (self.reward.as_deref(), self.segment.as_deref());
        let budgets = self.debits.iter().map(|posting| &*posting.budget).collect();
        Ok(Some(MemberRow::Decision { public: body.as_bytes(), personal, reward, segment, budgets }))
    }
}

/// What is wrong where the columns that lists and counts are answered from were changed.
pub(crate) const NOT_AS_COLUMNS_SAY: &str =
    "it is another one than the columns say that lists are answered from";
/// What is wrong with a row whose columns were changed.
pub(crate) const NOT_ITS_LEAF: &str = "it does not hash to its leaf";

/// The stored columns and the stored leaf of a row that hashes to it, or of which something was taken out: what is left of such a
/// row is compared by `verify` with what the cut left.
///
/// # Errors
/// [`Error::Altered`] for any other.
pub(crate) fn intact<'r>(
    row: &'r rusqlite::Row<'_>,
    scratch: &mut Vec<u8>,
) -> Result<(Public<'r>, Digest), Error> {
    let public = public(row)?;
    let blob = |at| row.get_ref(at)?.as_blob_or_null().map_err(rusqlite::Error::from);
    let leaf = Digest(row.get(LEAF)?);
    let (digest, sealed) = (blob(SEALED_DIGEST)?, blob(SEALED)?);
    if public.leaf(digest, scratch) != leaf && !is_cut(&public, digest.is_some() && sealed.is_none()) {
        return Err(Error::Altered { seq: Seq(public.seq.unsigned_abs()), why: NOT_ITS_LEAF });
    }
    Ok((public, leaf))
}

/// Whether what a row hashes to was taken out of it: the body, or the event id of an erased member, with the sealed part.
fn is_cut(public: &Public<'_>, lacks_sealed: bool) -> bool {
    let kind = u8::try_from(public.kind).ok().and_then(Kind::from_number);
    let is_erased = lacks_sealed && public.event_id.is_none() && public.member.is_some();
    kind.is_some_and(|kind| !kind.is_lasting()) && (public.body.is_none() || is_erased)
}

/// The stored columns, borrowed from a statement.
pub(crate) fn public<'r>(row: &'r rusqlite::Row<'_>) -> rusqlite::Result<Public<'r>> {
    let number = |at: usize| row.get::<_, Option<i64>>(at);
    let text = |at: usize| -> rusqlite::Result<Option<&'r str>> { Ok(row.get_ref(at)?.as_str_or_null()?) };
    let blob = |at: usize| -> rusqlite::Result<Option<&'r [u8]>> { Ok(row.get_ref(at)?.as_blob_or_null()?) };
    Ok(Public {
        seq: row.get(0)?,
        record_id: row.get_ref(1)?.as_blob()?,
        kind: row.get(2)?,
        recorded_at: row.get(3)?,
        event_time: number(4)?,
        partition: row.get(5)?,
        epoch: row.get(6)?,
        member: blob(7)?,
        event_id: text(8)?,
        outcome: number(9)?,
        reason: number(10)?,
        segment: text(11)?,
        reward: text(12)?,
        touchpoint: number(13)?,
        bundle: blob(14)?,
        models: blob(15)?,
        semantics: row.get(16)?,
        debits: text(17)?,
        body: text(18)?,
    })
}

/// Positions after the public columns.
pub(crate) const SEALED_DIGEST: usize = 19;
pub(crate) const LEAF: usize = 20;
pub(crate) const SEALED: usize = 21;

impl Row {
    /// Reads the columns of [`COLUMNS`], of a row that hashes to its leaf or had something taken out.
    ///
    /// # Errors
    /// [`Error::Altered`] for any other: nobody is answered from a row that somebody changed.
    pub(crate) fn read(row: &rusqlite::Row<'_>) -> Result<Row, Error> {
        intact(row, &mut Vec::new())?;
        Row::read_as_found(row)
    }

    /// The same, whether the row is as it was written or not.
    pub(crate) fn read_as_found(row: &rusqlite::Row<'_>) -> Result<Row, Error> {
        let stored = public(row)?;
        let seq = Seq(stored.seq.unsigned_abs());
        let unknown = |what: &'static str, found: i64| Error::UnknownCode { seq, what, found };
        let known = |what, found: Option<i64>| Code { seq, what, found };
        Ok(Row {
            seq,
            record_id: bytes(stored.record_id, seq)?,
            kind: known("kind", Some(stored.kind))
                .read(|number| u8::try_from(number).ok().and_then(Kind::from_number))?
                .ok_or_else(|| unknown("kind", stored.kind))?,
            recorded_at: Timestamp(stored.recorded_at),
            event_time: stored.event_time.map(Timestamp),
            partition: u16::try_from(stored.partition).map_err(|_| unknown("partition", stored.partition))?,
            epoch: u32::try_from(stored.epoch).map_err(|_| unknown("epoch", stored.epoch))?,
            member: stored.member.map(|member| bytes(member, seq).map(MemberId)).transpose()?,
            event_id: stored
                .event_id
                .map(|id| id.parse())
                .transpose()
                .map_err(|_| unreadable("event id", seq))?,
            outcome: known("outcome", stored.outcome).read(codes::outcome_of)?,
            reason: known("reason", stored.reason)
                .read(|number| u8::try_from(number).ok().and_then(Reason::from_number))?,
            segment: stored.segment.map(str::to_owned),
            reward: stored.reward.map(str::to_owned),
            touchpoint: known("touchpoint", stored.touchpoint).read(codes::touchpoint_of)?,
            bundle: stored.bundle.map(|digest| bytes(digest, seq).map(Digest)).transpose()?,
            models: stored.models.map(|digest| bytes(digest, seq).map(Digest)).transpose()?,
            semantics: u32::try_from(stored.semantics).map_err(|_| unknown("semantics", stored.semantics))?,
            debits: match stored.debits {
                None => Vec::new(),
                Some(text) => read_postings(text).ok_or_else(|| unreadable("debits", seq))?,
            },
            body: stored.body.map(str::to_owned),
            sealed: row.get(SEALED)?,
            sealed_digest: row.get::<_, Option<[u8; 32]>>(SEALED_DIGEST)?.map(Digest),
            leaf: Digest(row.get(LEAF)?),
        })
    }
}

/// A stored number that stands for a word.
struct Code {
    seq: Seq,
    what: &'static str,
    found: Option<i64>,
}

impl Code {
    fn read<T>(self, of: impl Fn(i64) -> Option<T>) -> Result<Option<T>, Error> {
        let Code { seq, what, found } = self;
        found.map(|found| of(found).ok_or(Error::UnknownCode { seq, what, found })).transpose()
    }
}

fn bytes<const N: usize>(bytes: &[u8], seq: Seq) -> Result<[u8; N], Error> {
    bytes.try_into().map_err(|_| unreadable("a digest or id", seq))
}

fn unreadable(what: &str, seq: Seq) -> Error {
    Error::Damaged(format!("{what} of row {seq} is unreadable"))
}
