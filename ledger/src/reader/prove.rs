//! Proofs from the stored tree. Each is checked before it is handed out, so a changed ledger cannot give one that fails
//! elsewhere.

use domain::Digest;
use rusqlite::OptionalExtension;

use super::{Reader, read_checkpoint};
use crate::cut::is_shaped;
use crate::entry::Seq;
use crate::error::Error;
use crate::filter::Filter;
use crate::head_file::HeadFile;
use crate::history::KeyHistory;
use crate::merkle::{self, Frontier};
use crate::note::{Head, NoteError};
use crate::proof::{ConsistencyProof, InclusionProof};
use crate::recovery::last_seq;
use crate::row::{self, COLUMNS, NOT_AS_COLUMNS_SAY, NOT_ITS_LEAF};
use crate::tree::{LEVEL_STEP, StoredNodes};
use crate::writer::Checkpoint;

impl Reader {
    /// The keys of this log, as its own rows tell them.
    ///
    /// # Errors
    /// When a row about keys is not what it was.
    pub fn key_history(&self) -> Result<KeyHistory, Error> {
        crate::rotate::recorded(self.start())
    }

    /// The signed head over exactly `size` rows, if one was made.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn checkpoint(&self, size: u64) -> Result<Option<Checkpoint>, Error> {
        let sql = "SELECT size, root, time, note FROM checkpoint WHERE size = ?1";
        self.one(sql, [size.cast_signed()], read_checkpoint)
    }

    /// The root over the first `size` rows.
    ///
    /// # Errors
    /// [`Error::Truncated`] when there are fewer; when the file cannot be read.
    pub fn root_at(&self, size: u64) -> Result<Digest, Error> {
        let found = last_seq(self.start())?.0;
        if found < size {
            return Err(Error::Truncated { found, published: size });
        }
        Ok(Frontier::load(&StoredNodes(self.start()), size)?.root())
    }

    /// Whether a head is one of this log.
    ///
    /// # Errors
    /// [`Error::Truncated`] when the log is shorter, [`Error::Forked`] when its rows are others.
    pub fn holds(&self, head: &Head) -> Result<(), Error> {
        if self.root_at(head.size)? == head.root { Ok(()) } else { Err(Error::Forked { size: head.size }) }
    }

    /// Proves that a row is under a signed head of this log.
    ///
    /// # Errors
    /// [`Error::NotYetSigned`] when the head is of fewer rows; otherwise what is wrong with the ledger.
    pub fn prove(&self, seq: Seq, head: &Head, note: &str) -> Result<InclusionProof, Error> {
        if seq.0 == 0 || seq.0 > head.size {
            return Err(Error::NotYetSigned { seq, signed: head.size });
        }
        self.holds(head)?;
        let (record, sealed_digest, leaf) = self.leaf(seq)?;
        let path = self.inclusion(seq, head.size)?;
        if !merkle::included(&leaf, seq.0 - 1, head.size, &path, &head.root) {
            return Err(Error::Damaged(format!("row {seq} is not under the head of {} rows", head.size)));
        }
        let keys = self.key_history()?;
        let rotations = keys.rotations().iter().filter(|rotation| rotation.seq.0 <= head.size);
        let rotations = rotations.map(|rotation| rotation.note.clone()).collect();
        Ok(InclusionProof { seq, record, sealed_digest, leaf, path, rotations, head: note.to_owned() })
    }

    /// Vouches for rows, in their order: each is there and hashes to its leaf, and those under the newest signed head are in its
    /// tree. What answers people or leaves the ledger is asked for here first.
    ///
    /// # Errors
    /// [`Error::Altered`] with a row that is not as it was written; what is wrong with the newest head otherwise.
    pub fn vouch(&self, seqs: impl IntoIterator<Item = Seq>) -> Result<(), Error> {
        self.vouch_as(&Filter::default(), seqs)
    }

    /// The same of rows that are said to be what a filter lets through.
    ///
    /// # Errors
    /// As [`Reader::vouch`]; [`Error::Altered`], too, with a row that is not.
    pub fn vouch_as(&self, filter: &Filter, seqs: impl IntoIterator<Item = Seq>) -> Result<(), Error> {
        let keys = self.key_history()?;
        let unreadable =
            |error: NoteError| Error::Damaged(format!("the newest signed head is none of this log: {error}"));
        let stored = self.last_checkpoint()?.map(|newest| keys.open(&newest.note)).transpose();
        // A database of before it was put back, or one without its heads, is told by the file.
        let filed = HeadFile::read(&self.heads)?.map(|mut filed| filed.last(&keys)).transpose()?.flatten();
        let heads = [stored.map_err(unreadable)?, filed];
        let newest = heads.into_iter().flatten().max_by_key(|head| head.size);
        newest.as_ref().map_or(Ok(()), |head| self.holds(head))?;
        let (mut proven, mut cuts_known) = (None, false);
        for seq in seqs {
            let row = self.row(seq)?.ok_or(Error::Altered { seq, why: "it is missing" })?;
            if !filter.is_met_by(&row) {
                return Err(Error::Altered { seq, why: NOT_AS_COLUMNS_SAY });
            }
            match self.leaf(seq) {
                Ok(_) => {}
                // What was cut by a row that says so; any other that only looks so was altered, and what is left of it proves nothing.
                Err(Error::Cut { .. }) if cuts_known => {}
                Err(Error::Cut { .. }) => {
                    self.cuts_are_recorded()?;
                    cuts_known = true;
                }
                Err(error) => return Err(error),
            }
            // The path of one row holds what all others of its tile hash to.
            let tile = (seq.0 - 1) >> LEVEL_STEP;
            let Some(head) = newest.as_ref().filter(|head| seq.0 <= head.size && proven != Some(tile)) else {
                continue;
            };
            let path = self.inclusion(seq, head.size)?;
            if !merkle::included(&row.leaf, seq.0 - 1, head.size, &path, &head.root) {
                let why = "it, or a row beside it, is another one than under the newest signed head";
                return Err(Error::Altered { seq, why });
            }
            proven = Some(tile);
        }
        Ok(())
    }

    /// Whether what is left of every row that lost a part is what the log says was left: asked before many rows are handed out, some of
    /// which may only look cut.
    ///
    /// # Errors
    /// When it is not.
    pub fn cuts_are_recorded(&self) -> Result<(), Error> {
        let claimed = crate::cut::newest(self.start())?.map(|(_, claim)| claim);
        let found = crate::cut::kept(self.start())?.claim(last_seq(self.start())?);
        match found.is_same_as(claimed.as_ref()) {
            true => Ok(()),
            false => Err(Error::Damaged(
                "rows that lack a part are not what was left when parts were taken out".to_owned(),
            )),
        }
    }

    /// The canonical bytes of a row, the digest of its sealed part, and the leaf recomputed from both.
    fn leaf(&self, seq: Seq) -> Result<(Vec<u8>, Option<Digest>, Digest), Error> {
        let mut statement =
            self.start().prepare_cached(&format!("SELECT {COLUMNS} FROM record WHERE seq = ?1"))?;
        let read = |stored: &rusqlite::Row<'_>| {
            let (mut record, public) = (Vec::new(), row::public(stored)?);
            let digest = stored.get::<_, Option<[u8; 32]>>(row::SEALED_DIGEST)?.map(Digest);
            let leaf = public.leaf(digest.as_ref().map(|digest| digest.0.as_slice()), &mut record);
            let cut = is_shaped(&public, false, false);
            Ok((record, digest, leaf, Digest(stored.get(row::LEAF)?), cut))
        };
        let found = statement.query_row([seq.0.cast_signed()], read).optional();
        let found = found.map_err(|error| self.fail(error))?;
        let (record, digest, leaf, stored, cut) =
            found.ok_or_else(|| Error::Damaged(format!("row {seq} is missing")))?;
        if leaf != stored
            && cut
            && crate::cut::newest(self.start())?.is_some_and(|(_, claim)| seq.0 <= claim.through)
        {
            return Err(Error::Cut { seq });
        }
        if leaf != stored {
            return Err(Error::Altered { seq, why: NOT_ITS_LEAF });
        }
        Ok((record, digest, leaf))
    }

    /// Proves that the first `old` rows are those of the log at a newer signed head.
    ///
    /// # Errors
    /// [`Error::Truncated`] and [`Error::Forked`] when `head` is not of this log; [`Error::Damaged`] when the stored tree
    /// contradicts itself.
    pub fn prove_consistency(&self, old: u64, head: &Head, note: &str) -> Result<ConsistencyProof, Error> {
        self.holds(head)?;
        let (path, root) = (self.consistency(old, head.size)?, self.root_at(old)?);
        if old > head.size || !merkle::consistent(old, &root, head.size, &head.root, &path) {
            return Err(Error::Damaged(format!("no path leads from {old} to {} rows", head.size)));
        }
        Ok(ConsistencyProof { old, path, head: note.to_owned() })
    }
}
