//! What is left of rows that were cut, as the rows that record cuts commit to it.

use domain::Digest;
use domain::digest::unhex;
use rusqlite::{Connection, OptionalExtension};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::claim_json;
use crate::canon::Public;
use crate::entry::Seq;
use crate::error::Error;
use crate::kind::Kind;
use crate::row::{self, COLUMNS};

/// The rows that can be cut rows: something is missing in them that such rows have.
const SHAPE: &str = "body IS NULL OR (sealed IS NULL AND sealed_digest IS NOT NULL) OR (event_id IS NULL AND member IS NOT NULL)";

/// Folds cut rows in order: position, stored leaf, hash of all that is left, and whether the sealed part is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kept {
    hasher: Sha256,
    rows: u64,
    /// The first and the last row folded.
    pub(crate) first: Option<Seq>,
    pub(crate) last: Option<Seq>,
}

/// What a row that records a cut says about every row cut so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    /// No later row was cut.
    pub(crate) through: u64,
    pub(crate) rows: u64,
    digest: Digest,
}

/// Whether something is missing in a row that rows of its kind have.
pub(crate) fn is_shaped(public: &Public<'_>, has_digest: bool, has_sealed: bool) -> bool {
    public.body.is_none() || has_digest && !has_sealed || public.event_id.is_none() && public.member.is_some()
}

impl Kept {
    /// Folds one row, when it is one that was cut: `leaf` is the hash of what it holds, `stored` what the tree holds.
    pub(crate) fn fold(&mut self, seq: Seq, stored: &Digest, leaf: &Digest, lacks_sealed: bool) -> bool {
        if stored == leaf && !lacks_sealed {
            return false;
        }
        self.hasher.update(seq.0.to_be_bytes());
        self.hasher.update(stored.0);
        self.hasher.update(leaf.0);
        self.hasher.update([u8::from(lacks_sealed)]);
        self.rows += 1;
        self.first = self.first.or(Some(seq));
        self.last = Some(seq);
        true
    }

    /// The claim over everything folded.
    pub(crate) fn claim(self, through: Seq) -> Claim {
        Claim { through: through.0, rows: self.rows, digest: Digest(self.hasher.finalize().into()) }
    }
}

impl Claim {
    pub(super) fn to_json(&self) -> Value {
        claim_json(self.through, self.rows, &self.digest)
    }

    fn read(body: &str) -> Option<Claim> {
        let body: Value = serde_json::from_str(body).ok()?;
        let kept = &body["kept"];
        Some(Claim {
            through: kept["through"].as_u64()?,
            rows: kept["rows"].as_u64()?,
            digest: Digest(unhex(kept["digest"].as_str()?)?),
        })
    }

    /// Whether what was found is what was claimed; without a claim nothing may have been cut.
    pub(crate) fn is_same_as(&self, claimed: Option<&Claim>) -> bool {
        match claimed {
            Some(claimed) => (self.rows, self.digest) == (claimed.rows, claimed.digest),
            None => self.rows == 0,
        }
    }
}

/// The newest claim, with the row that makes it.
pub(crate) fn newest(connection: &Connection) -> Result<Option<(Seq, Claim)>, Error> {
    // The kinds stand in the text, so that the partial index over the rare kinds serves.
    let (erasure, retention) = (Kind::Erasure.number(), Kind::Retention.number());
    let sql = format!(
        "SELECT seq, body FROM record WHERE kind IN ({erasure}, {retention}) AND kind NOT IN (10, 11) ORDER BY seq DESC LIMIT 1"
    );
    let found: Option<(i64, Option<String>)> =
        connection.query_row(&sql, [], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    Ok(found.and_then(|(seq, body)| Some((Seq(seq.unsigned_abs()), Claim::read(&body?)?))))
}

/// Everything that was cut so far, as the rows show it.
pub(crate) fn of(connection: &Connection) -> Result<Kept, Error> {
    let mut statement =
        connection.prepare(&format!("SELECT {COLUMNS} FROM record WHERE {SHAPE} ORDER BY seq"))?;
    let mut rows = statement.query([])?;
    let (mut kept, mut scratch) = (Kept::default(), Vec::new());
    while let Some(stored) = rows.next()? {
        let public = row::public(stored)?;
        let blob = |at| stored.get_ref(at)?.as_blob_or_null().map_err(rusqlite::Error::from);
        let (digest, sealed) = (blob(row::SEALED_DIGEST)?, blob(row::SEALED)?);
        let leaf = public.leaf(digest, &mut scratch);
        let lacks_sealed = digest.is_some() && sealed.is_none();
        kept.fold(Seq(public.seq.unsigned_abs()), &Digest(stored.get(row::LEAF)?), &leaf, lacks_sealed);
    }
    Ok(kept)
}
