//! Erasing a member: everything that tells about the person goes, the proof that it was there stays.
//!
//! One transaction takes the sealed parts, event ids and the stored state out of the file and appends the row that says
//! so; then the key and the name are destroyed. A crash in between is finished by the next start, which finds the row and
//! a key that should be gone.

use std::collections::BTreeSet;

use domain::{MemberId, Timestamp};
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::cut::Cut;
use crate::entry::{Entry, Seq};
use crate::error::Error;
use crate::hold;
use crate::keys::{KeyError, Keys, random};
use crate::kind::Kind;
use crate::lasting;
use crate::recovery::last_seq;
use crate::writer::{Checkpoint, Writer};

/// Longest purpose or reason in bytes: a sentence or two, kept for ever.
pub const PURPOSE_BYTES_MAX: usize = 1_000;

/// What an erasure did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Erased {
    pub member: MemberId,
    /// The row that records it.
    pub seq: Seq,
    /// Rows about the member that were emptied.
    pub rows: u64,
    /// Refused events of the member whose text was taken out.
    pub dead_letters: u64,
    /// Rows that hold the member's identifier as a word where it stays: the event id of somebody else, which is the publishing
    /// service's, or what people wrote in a purpose, a reason or a case. A short identifier is part of many.
    pub mentions: u64,
    /// A head that became due. Publish it.
    pub checkpoint: Option<Checkpoint>,
}

impl Writer {
    /// Erases a member for a stated purpose.
    ///
    /// Rows about the member keep what says nothing about a person: outcome, reason, segment, reward, time, debits and the
    /// pseudonym, which leads nowhere any more. What is promised stays committed.
    ///
    /// # Errors
    /// [`Error::Altered`] when any row of the log is not as it was written: whose it is could not be told, and what is cut out of an
    /// altered row would pass for what was left of it. [`KeyError::Erased`] when it was done before, [`Error::UnknownMember`] when there is no such member, [`Error::Held`]
    /// under a legal hold. [`Error::ReadMeanwhile`] and [`KeyError::Busy`] when all is recorded and destroyed, but another
    /// process keeps a write-ahead log from being cut.
    pub fn erase(&mut self, now: Timestamp, member: MemberId, purpose: &str) -> Result<Erased, Error> {
        let raw = self.may_erase(member, purpose)?;
        lasting::blame(&self.connection, last_seq(&self.connection)?)?;
        let about = rows_about(&self.connection, member)?;
        let (letters, mentions) = match raw {
            Some(raw) => (
                letters_of(&self.connection, &self.keys, &raw)?,
                mentions_of(&self.connection, member, &raw)?,
            ),
            None => (BTreeSet::new(), 0),
        };
        let (rows, dead_letters) = (about.len() as u64, letters.difference(&about).count() as u64);
        let mut entry = Entry::new(Kind::Erasure, random()?, String::new());
        entry.member = Some(member);
        let says = json!({ "v": 1, "purpose": purpose, "rows": rows, "dead_letters": dead_letters });
        let sealed = about.union(&letters).copied().collect();
        let cut = Cut { sealed, event_ids: about, bodies: BTreeSet::new(), state: Some(member), entry, says };
        let appended = self.cut(now, &cut)?;
        let destroyed = self.keys.destroy(member, now);
        self.wipe()?;
        destroyed?;
        Ok(Erased {
            member,
            seq: appended.first,
            rows,
            dead_letters,
            mentions,
            checkpoint: appended.checkpoint,
        })
    }

    /// Whether a member may be erased for this purpose: to be asked before anything of theirs is deleted elsewhere. Returns the
    /// program's identifier of the member, where it is known.
    ///
    /// # Errors
    /// As [`Writer::erase`].
    pub fn may_erase(&self, member: MemberId, purpose: &str) -> Result<Option<String>, Error> {
        self.keys.flush()?;
        if self.keys.find(member)?.is_none() {
            return Err(Error::UnknownMember(member.to_string()));
        }
        hold::refuse_held(&self.connection, Some(member))?;
        let raw = self.keys.identity(member)?;
        check_purpose(purpose, raw.as_deref())?;
        Ok(raw)
    }

    /// Destroys the keys of members whose erasure is recorded and was cut short.
    pub(crate) fn finish_erasures(&self, now: Timestamp) -> Result<(), Error> {
        let kind = Kind::Erasure.number();
        let mut statement = self.connection.prepare(&format!(
            "SELECT member FROM record WHERE kind = {kind} AND kind NOT IN (10, 11) AND member IS NOT NULL"
        ))?;
        let members = statement.query_map([], |row| row.get(0).map(MemberId))?;
        let mut destroyed = false;
        for member in members.collect::<Result<Vec<_>, _>>()? {
            match self.keys.find(member) {
                Err(KeyError::Erased(_)) | Ok(None) => {}
                Ok(Some(_)) => {
                    self.keys.destroy(member, now)?;
                    destroyed = true;
                }
                Err(error) => return Err(error.into()),
            }
        }
        if destroyed {
            // Somebody who reads the ledger meanwhile is no reason not to start.
            let _read_meanwhile = self.wipe();
        }
        Ok(())
    }
}

/// Refuses a purpose or reason that says too much: it stays for ever, and so would the identifier of whom it is about.
pub(crate) fn check_purpose(purpose: &str, raw: Option<&str>) -> Result<(), Error> {
    let (found, max) = (purpose.len(), PURPOSE_BYTES_MAX);
    if found > max {
        return Err(Error::TooLarge { what: "a purpose", found, max });
    }
    match raw {
        Some(raw) if has_word(purpose, raw) => Err(Error::NamesMember),
        _ => Ok(()),
    }
}

/// Rows about a member that hold something to take out: by the rows themselves, for nothing less proves that none is left.
fn rows_about(connection: &Connection, member: MemberId) -> Result<BTreeSet<u64>, Error> {
    let sql = "SELECT seq FROM record WHERE member = ?1 AND (event_id IS NOT NULL OR sealed IS NOT NULL)";
    let mut statement = connection.prepare(sql)?;
    let seqs = statement.query_map([member.0], |row| row.get::<_, i64>(0))?;
    Ok(seqs.map(|seq| seq.map(i64::unsigned_abs)).collect::<Result<_, _>>()?)
}

/// How many rows hold an identifier as a word where it stays: in the event id of somebody else, or in what people wrote.
fn mentions_of(connection: &Connection, member: MemberId, raw: &str) -> Result<u64, Error> {
    let sql = "SELECT event_id FROM record
               WHERE event_id IS NOT NULL AND instr(event_id, ?1) > 0 AND member IS NOT ?2
               UNION ALL SELECT body FROM record NOT INDEXED
               WHERE kind NOT IN (10, 11) AND instr(body, ?1) > 0";
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query((raw, member.0))?;
    let mut found = 0;
    while let Some(row) = rows.next()? {
        found += u64::from(has_word(&row.get::<_, String>(0)?, raw));
    }
    Ok(found)
}

/// Refused events that name a member: they are sealed under the program's key, for nobody knew whose they were. By the rows
/// themselves, as above.
fn letters_of(connection: &Connection, keys: &Keys, raw: &str) -> Result<BTreeSet<u64>, Error> {
    let (mut found, key) = (BTreeSet::new(), keys.program_key());
    let mut statement = connection.prepare(&format!(
        "SELECT seq, record_id, sealed FROM record NOT INDEXED WHERE kind = {} AND member IS NULL AND sealed IS NOT NULL",
        Kind::DeadLetter.number()
    ))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        // One that does not open tells nobody anything.
        let sealed: Vec<u8> = row.get(2)?;
        if key.open(&row.get(1)?, &sealed).is_ok_and(|text| named(&text, raw).is_some()) {
            found.insert(row.get::<_, i64>(0)?.unsigned_abs());
        }
    }
    Ok(found)
}

/// How the text of an event names a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// It is about them: in its field, or it cannot be read as an event and holds them as a word.
    About,
    /// It is an event of somebody else and holds them as a word in another field.
    Mentioned,
}

/// Whether the text of an event names a member, and how.
pub fn named(text: &[u8], raw: &str) -> Option<Named> {
    let event = serde_json::from_slice(text).ok().filter(Value::is_object);
    let member = event.as_ref().and_then(|event| event["member"].as_str()).map(str::trim);
    let words = || match &event {
        // Read, so that it does not matter how a letter was written.
        Some(event) => holds(event, raw),
        None => has_word(&String::from_utf8_lossy(text), raw),
    };
    match member {
        Some(member) if member == raw.trim() => Some(Named::About),
        Some(_) => words().then_some(Named::Mentioned),
        None => words().then_some(Named::About),
    }
}

/// Whether any text in a value holds a word.
fn holds(value: &Value, raw: &str) -> bool {
    match value {
        Value::String(text) => has_word(text, raw),
        Value::Array(values) => values.iter().any(|value| holds(value, raw)),
        Value::Object(fields) => fields.iter().any(|(name, value)| has_word(name, raw) || holds(value, raw)),
        Value::Number(number) => number.to_string() == raw,
        Value::Null | Value::Bool(_) => false,
    }
}

/// Whether a text holds a word, not as a part of a longer one.
pub fn has_word(text: &str, raw: &str) -> bool {
    let is_letter = |letter: Option<char>| letter.is_some_and(char::is_alphanumeric);
    !raw.is_empty()
        && text.match_indices(raw).any(|(at, _)| {
            !is_letter(text[..at].chars().next_back()) && !is_letter(text[at + raw.len()..].chars().next())
        })
}

#[cfg(test)]
mod tests {
    use super::Named::{About, Mentioned};
    use super::named;

    #[test]
    fn an_event_names_its_member_and_nobody_else() {
        assert_eq!(named(br#"{"member":"M-7","event_id":"e"}"#, "M-7"), Some(About));
        assert_eq!(named(br#"{"member":"M\u002d7"}"#, "M-7"), Some(About), "however it is written");
        assert_eq!(
            named(br#"{"member":"  M-7 "}"#, "M-7"),
            Some(About),
            "also where the event is refused for it"
        );
        for text in [
            r#"{"member":"M-71","note":"M-7"}"#,
            r#"{"member":"other","event_id":"order/M-7/1"}"#,
            r#"{"member":"other","lines":[{"M\u002d7":true}]}"#,
        ] {
            assert_eq!(named(text.as_bytes(), "M-7"), Some(Mentioned), "{text}");
        }
        assert_eq!(named(br#"{"member":"M-71","event_id":"M-72"}"#, "M-7"), None);
        assert_eq!(named(b"member=M-7;amount=3", "M-7"), Some(About), "also in what is no event");
        assert_eq!(named(br#"{"members":["M-7"]}"#, "M-7"), Some(About));
        assert_eq!(named(b"member=M-71;amount=3", "M-7").or(named(b"anything", "")), None);
    }
}
