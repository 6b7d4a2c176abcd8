//! Legal holds: while one lasts, nothing it covers is erased or pruned.

use domain::{MemberId, Timestamp};
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::entry::{Entry, Seq};
use crate::erase::check_purpose;
use crate::error::Error;
use crate::keys::random;
use crate::kind::Kind;
use crate::reader::Reader;
use crate::row::{self, COLUMNS};
use crate::writer::{Appended, Writer};

/// A hold in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// The row that added it.
    pub seq: Seq,
    pub since: Timestamp,
    /// Whom it covers; everybody and everything when absent.
    pub member: Option<MemberId>,
    pub reason: String,
}

impl Reader {
    /// The holds in force, oldest first.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn legal_holds(&self) -> Result<Vec<Hold>, Error> {
        in_force(self.start())
    }
}

impl Writer {
    /// Adds a hold over a member, or over everything.
    ///
    /// # Errors
    /// As [`Writer::append`].
    pub fn add_hold(
        &mut self,
        now: Timestamp,
        member: Option<MemberId>,
        reason: &str,
    ) -> Result<Appended, Error> {
        self.hold(now, member, "add", reason)
    }

    /// Releases the hold over a member, or the one over everything; other holds stay.
    ///
    /// # Errors
    /// As [`Writer::append`].
    pub fn release_hold(
        &mut self,
        now: Timestamp,
        member: Option<MemberId>,
        reason: &str,
    ) -> Result<Appended, Error> {
        self.hold(now, member, "release", reason)
    }

    fn hold(
        &mut self,
        now: Timestamp,
        member: Option<MemberId>,
        step: &str,
        reason: &str,
    ) -> Result<Appended, Error> {
        let raw = member.map(|member| self.keys.identity(member)).transpose()?.flatten();
        check_purpose(reason, raw.as_deref())?;
        let body = json!({ "v": 1, "step": step, "reason": reason });
        let mut entry = Entry::new(Kind::Hold, random()?, body.to_string());
        entry.member = member;
        self.append_signed(now, &[entry])
    }
}

/// Refuses what a hold covers: one over everything, or over this member.
pub(crate) fn refuse_held(connection: &Connection, member: Option<MemberId>) -> Result<(), Error> {
    let covers = |hold: &Hold| hold.member.is_none() || member.is_some() && hold.member == member;
    match in_force(connection)?.iter().find(|hold| covers(hold)) {
        Some(hold) => {
            let what =
                hold.member.map_or_else(|| "the ledger".to_owned(), |member| format!("member {member}"));
            Err(Error::Held { what, row: hold.seq })
        }
        None => Ok(()),
    }
}

/// The holds in force, oldest first.
pub(crate) fn in_force(connection: &Connection) -> Result<Vec<Hold>, Error> {
    // The kind stands in the text, so that the partial index over the rare kinds serves.
    let kind = Kind::Hold.number();
    let sql =
        format!("SELECT {COLUMNS} FROM record WHERE kind = {kind} AND kind NOT IN (10, 11) ORDER BY seq");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([])?;
    let (mut holds, mut scratch): (Vec<Hold>, _) = (Vec::new(), Vec::new());
    while let Some(row) = rows.next()? {
        let (stored, _) = row::intact(row, &mut scratch)?;
        let seq = Seq(stored.seq.unsigned_abs());
        let member = stored.member.map(<[u8; 16]>::try_from).transpose();
        let member = member.map_err(|_| Error::Damaged(format!("row {seq} names no member")))?.map(MemberId);
        let body: Value = serde_json::from_str(stored.body.unwrap_or_default()).unwrap_or_default();
        let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
        // A row that cannot be understood holds: what is destroyed by mistake does not come back.
        holds.retain(|hold| hold.member != member);
        if text("step") != "release" {
            let since = Timestamp(stored.recorded_at);
            holds.push(Hold { seq, since, member, reason: text("reason") });
        }
    }
    Ok(holds)
}
