//! The canonical public bytes of a row, version 1, and its Merkle leaf.
//!
//! ```text
//! bytes = "largesse/record/1\n" field*
//! field = length (u32, big endian) bytes        absent: length 0xFFFFFFFF and no bytes
//! order = seq record_id kind recorded_at event_time partition epoch member event_id outcome reason segment
//!         reward touchpoint bundle models semantics debits body
//! leaf  = SHA-256(0x00 || bytes || sealed_digest)     sealed_digest: 32 bytes, or none without a sealed part
//! ```
//! Numbers are eight bytes, big endian two's complement; texts are UTF-8. Every column but `sealed` (whose digest is
//! in the leaf) and `leaf` is there, so no column can change unnoticed. The bytes end themselves, so a row
//! without a sealed part cannot be read as another one with it.

use domain::Digest;
use sha2::{Digest as _, Sha256};

const PREFIX: &[u8] = b"largesse/record/1\n";
const ABSENT: u32 = u32::MAX;

/// The public columns of one row, as they are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Public<'a> {
    pub seq: i64,
    pub record_id: &'a [u8],
    pub kind: i64,
    pub recorded_at: i64,
    pub event_time: Option<i64>,
    pub partition: i64,
    pub epoch: i64,
    pub member: Option<&'a [u8]>,
    pub event_id: Option<&'a str>,
    pub outcome: Option<i64>,
    pub reason: Option<i64>,
    pub segment: Option<&'a str>,
    pub reward: Option<&'a str>,
    pub touchpoint: Option<i64>,
    pub bundle: Option<&'a [u8]>,
    pub models: Option<&'a [u8]>,
    pub semantics: i64,
    pub debits: Option<&'a str>,
    pub body: Option<&'a str>,
}

impl Public<'_> {
    /// Replaces `out` by the canonical bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(PREFIX);
        number(out, Some(self.seq));
        bytes(out, Some(self.record_id));
        number(out, Some(self.kind));
        number(out, Some(self.recorded_at));
        number(out, self.event_time);
        number(out, Some(self.partition));
        number(out, Some(self.epoch));
        bytes(out, self.member);
        bytes(out, self.event_id.map(str::as_bytes));
        number(out, self.outcome);
        number(out, self.reason);
        bytes(out, self.segment.map(str::as_bytes));
        bytes(out, self.reward.map(str::as_bytes));
        number(out, self.touchpoint);
        bytes(out, self.bundle);
        bytes(out, self.models);
        number(out, Some(self.semantics));
        bytes(out, self.debits.map(str::as_bytes));
        bytes(out, self.body.map(str::as_bytes));
    }

    /// The Merkle leaf. `scratch` is overwritten with the canonical bytes.
    pub fn leaf(&self, sealed_digest: Option<&[u8]>, scratch: &mut Vec<u8>) -> Digest {
        self.encode(scratch);
        let mut hasher = Sha256::new_with_prefix([0]);
        hasher.update(scratch);
        hasher.update(sealed_digest.unwrap_or_default());
        Digest(hasher.finalize().into())
    }
}

impl<'a> Public<'a> {
    /// Reads canonical bytes; `None` unless they are those of one row and nothing else.
    pub fn decode(bytes: &'a [u8]) -> Option<Public<'a>> {
        let mut fields = Fields(bytes.strip_prefix(PREFIX)?);
        let public = Public {
            seq: fields.number()??,
            record_id: fields.bytes()??,
            kind: fields.number()??,
            recorded_at: fields.number()??,
            event_time: fields.number()?,
            partition: fields.number()??,
            epoch: fields.number()??,
            member: fields.bytes()?,
            event_id: fields.text()?,
            outcome: fields.number()?,
            reason: fields.number()?,
            segment: fields.text()?,
            reward: fields.text()?,
            touchpoint: fields.number()?,
            bundle: fields.bytes()?,
            models: fields.bytes()?,
            semantics: fields.number()??,
            debits: fields.text()?,
            body: fields.text()?,
        };
        fields.0.is_empty().then_some(public)
    }
}

/// What is left of canonical bytes. The outer `None` is damage, the inner one an absent value.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn bytes(&mut self) -> Option<Option<&'a [u8]>> {
        let (length, rest) = self.0.split_first_chunk()?;
        let length = u32::from_be_bytes(*length);
        if length == ABSENT {
            self.0 = rest;
            return Some(None);
        }
        let (value, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
        self.0 = rest;
        Some(Some(value))
    }

    fn number(&mut self) -> Option<Option<i64>> {
        let Some(value) = self.bytes()? else { return Some(None) };
        Some(Some(i64::from_be_bytes(value.try_into().ok()?)))
    }

    fn text(&mut self) -> Option<Option<&'a str>> {
        let Some(value) = self.bytes()? else { return Some(None) };
        Some(Some(std::str::from_utf8(value).ok()?))
    }
}

fn number(out: &mut Vec<u8>, value: Option<i64>) {
    bytes(out, value.map(i64::to_be_bytes).as_ref().map(<[u8; 8]>::as_slice));
}

fn bytes(out: &mut Vec<u8>, value: Option<&[u8]>) {
    let Some(value) = value else {
        return out.extend_from_slice(&ABSENT.to_be_bytes());
    };
    // SQLite holds at most 2^31 - 1 bytes in one value, so the length always fits and never equals ABSENT.
    let length = u32::try_from(value.len()).unwrap_or(ABSENT - 1);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: Public<'static> = Public {
        seq: 1,
        record_id: &[1; 16],
        kind: 11,
        recorded_at: 5,
        event_time: None,
        partition: 0,
        epoch: 1,
        member: Some(&[2; 16]),
        event_id: Some("e-1"),
        outcome: Some(0),
        reason: Some(1),
        segment: Some("vip"),
        reward: None,
        touchpoint: Some(0),
        bundle: None,
        models: None,
        semantics: 1,
        debits: None,
        body: Some("{}"),
    };

    fn leaf(row: Public<'_>, sealed: Option<&[u8]>) -> Digest {
        row.leaf(sealed, &mut Vec::new())
    }

    #[test]
    fn the_leaf_is_pinned() {
        // Changing this value breaks every proof ever given out: it needs a new format version.
        assert_eq!(
            leaf(ROW, None).to_string(),
            "39d28b2f96e4aa41ecd4c7c87d7a6bdc2f52da3bd8912237f21562b01035690d"
        );
    }

    #[test]
    fn canonical_bytes_are_read_back_and_nothing_else_is() {
        let mut bytes = Vec::new();
        ROW.encode(&mut bytes);
        assert_eq!(Public::decode(&bytes), Some(ROW));
        for cut in 0..bytes.len() {
            assert_eq!(Public::decode(&bytes[..cut]), None, "cut at {cut}");
        }
        bytes.push(0);
        assert_eq!(Public::decode(&bytes), None);
    }

    #[test]
    fn every_column_changes_the_leaf() {
        let changed = [
            Public { seq: 2, ..ROW },
            Public { record_id: &[9; 16], ..ROW },
            Public { kind: 10, ..ROW },
            Public { recorded_at: 6, ..ROW },
            Public { event_time: Some(0), ..ROW },
            Public { partition: 1, ..ROW },
            Public { epoch: 2, ..ROW },
            Public { member: None, ..ROW },
            Public { event_id: Some("e-2"), ..ROW },
            Public { outcome: None, ..ROW },
            Public { reason: Some(2), ..ROW },
            Public { segment: None, reward: Some("vip"), ..ROW },
            Public { touchpoint: None, ..ROW },
            Public { bundle: Some(&[0; 32]), ..ROW },
            Public { models: Some(&[0; 32]), ..ROW },
            Public { semantics: 2, ..ROW },
            Public { debits: Some("[]"), ..ROW },
            Public { body: Some("{ }"), ..ROW },
            Public { body: None, ..ROW },
        ];
        let mut leaves: Vec<Digest> = changed.into_iter().map(|row| leaf(row, None)).collect();
        leaves.push(leaf(ROW, None));
        leaves.push(leaf(ROW, Some(&[0; 32])));
        let count = leaves.len();
        leaves.sort();
        leaves.dedup();
        assert_eq!(leaves.len(), count);
    }
}
