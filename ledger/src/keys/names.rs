//! From the program's own identifiers to pseudonyms and back.
//!
//! A pseudonym is 128 random bits. What leads to it is a row of keys.db, found by the keyed hash of the identifier: once
//! that row is destroyed, nobody who knows the identifier finds the pseudonym, not even with every key that is left. The
//! same identifier then gets another pseudonym, which has nothing in common with the first.

use domain::MemberId;
use rusqlite::{Connection, OptionalExtension};

use super::{Handle, KeyError, Keys, NAMES_FORMAT, NAMES_SCHEMA, Pending, lock, random, unusable};
use crate::seal::{DataKey, hmac};

/// Members remembered without asking keys.db; beyond it all are forgotten. About 5 MB.
const MET_MAX: usize = 65_536;

/// Adds what a keys.db of format 1 lacks.
pub(super) fn upgrade(connection: &Connection) -> Result<(), KeyError> {
    let format: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if format >= NAMES_FORMAT {
        return Ok(());
    }
    let transaction = connection.unchecked_transaction()?;
    transaction.execute_batch(NAMES_SCHEMA)?;
    transaction.pragma_update(None, "user_version", NAMES_FORMAT)?;
    Ok(transaction.commit()?)
}

impl Keys {
    fn handle(&self, raw: &str) -> Handle {
        let tag = hmac(&self.0.pseudonym, &[raw.as_bytes()]);
        let mut handle = Handle::default();
        handle.copy_from_slice(&tag[..16]);
        handle
    }

    /// The pseudonym of the member whom the program's own identifier names, if one is enrolled under it.
    ///
    /// An identifier whose member was erased names nobody.
    ///
    /// # Errors
    /// Trouble with keys.db.
    pub fn member(&self, raw: &str) -> Result<Option<MemberId>, KeyError> {
        let handle = self.handle(raw);
        if let Some(member) = lock(&self.0.met).get(&handle) {
            return Ok(Some(*member));
        }
        let fresh = lock(&self.0.pending).names.get(&handle).copied();
        let found = match fresh {
            Some(member) => Some(member),
            None => self.stored_name(handle)?,
        };
        if let Some(member) = found {
            self.meet(handle, member);
        }
        Ok(found)
    }

    fn meet(&self, handle: Handle, member: MemberId) {
        let mut met = lock(&self.0.met);
        if met.len() >= MET_MAX {
            met.clear();
        }
        met.insert(handle, member);
    }

    fn stored_name(&self, handle: Handle) -> Result<Option<MemberId>, KeyError> {
        let reading = lock(&self.0.reading);
        // A file that was never opened for writing by this build has no names yet.
        let named = match reading.prepare_cached("SELECT member FROM member_name WHERE handle = ?1") {
            Ok(mut statement) => statement.query_row([handle], |row| row.get(0)).optional()?,
            Err(_) if format(&reading)? < NAMES_FORMAT => None,
            Err(error) => return Err(error.into()),
        };
        if let Some(member) = named {
            return Ok(Some(MemberId(member)));
        }
        // Members enrolled under format 1: the hash was the pseudonym.
        let sql = "SELECT 1 FROM member_key WHERE member = ?1 AND wrapped IS NOT NULL";
        let old = reading.prepare_cached(sql)?.query_row([handle], |_| Ok(())).optional()?;
        Ok(old.map(|()| MemberId(handle)))
    }

    /// The pseudonym and data key of a member known by the program's own identifier, both made on first use. The
    /// identifier is kept sealed under that key so that it can be resolved again.
    ///
    /// # Errors
    /// As [`Keys::key_for`].
    pub fn enrol(&self, raw: &str) -> Result<(MemberId, DataKey), KeyError> {
        if let Some(member) = self.member(raw)? {
            return Ok((member, self.key_for(member)?));
        }
        let handle = self.handle(raw);
        let mut pending = lock(&self.0.pending);
        // Somebody else may have been faster.
        let known = match pending.names.get(&handle) {
            Some(member) => Some(*member),
            None => self.stored_name(handle)?,
        };
        if let Some(member) = known {
            drop(pending);
            return Ok((member, self.key_for(member)?));
        }
        let (member, key) = (MemberId(random()?), DataKey::from_bytes(random()?));
        let identity = Some(key.seal_bytes(b"identity", &member.0, raw.as_bytes()));
        pending.names.insert(handle, member);
        pending.keys.insert(member, Pending { key: key.clone(), handle: Some(handle), identity });
        self.flush_full(pending)?;
        self.meet(handle, member);
        Ok((member, key))
    }

    /// The program's own identifier of a member. Callers record the unmasking first.
    ///
    /// # Errors
    /// As [`Keys::key_for`].
    pub fn identity(&self, member: MemberId) -> Result<Option<String>, KeyError> {
        let Some(key) = self.find(member)? else { return Ok(None) };
        let reading = lock(&self.0.reading);
        let sealed: Option<Vec<u8>> =
            reading.query_row("SELECT identity FROM member_key WHERE member = ?1", [member.0], |row| {
                row.get(0)
            })?;
        let Some(sealed) = sealed else { return Ok(None) };
        let raw = key.open_bytes(b"identity", &member.0, &sealed).ok();
        let raw = raw.and_then(|raw| String::from_utf8(raw).ok());
        raw.map(Some).ok_or_else(|| unusable("keys.db", format!("the identity of {member} does not open")))
    }
}

fn format(connection: &Connection) -> Result<i64, KeyError> {
    Ok(connection.pragma_query_value(None, "user_version", |row| row.get(0))?)
}
