//! Newtype ids, so that one kind of id cannot stand where another belongs.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::digest::{hex, unhex};

/// The pseudonym of a member: 128 random bits. Only keys.db leads to it from the program's own identifier.
///
/// Inside Largesse a member has no other name (invariant P-1). Written as 32 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct MemberId(pub [u8; 16]);

impl MemberId {
    /// The pseudonym as a number, for hashing and routing.
    pub fn as_u128(self) -> u128 {
        u128::from_be_bytes(self.0)
    }
}

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemberId({self})")
    }
}

/// Not 32 lower-case hex digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a member pseudonym (32 lower-case hex digits)")]
pub struct NotAMember(pub String);

impl FromStr for MemberId {
    type Err = NotAMember;
    fn from_str(text: &str) -> Result<MemberId, NotAMember> {
        unhex(text).map(MemberId).ok_or_else(|| NotAMember(text.to_owned()))
    }
}

impl Serialize for MemberId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut buffer = [0; 32];
        serializer.serialize_str(hex_into(&self.0, &mut buffer))
    }
}

impl<'de> Deserialize<'de> for MemberId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<MemberId, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Hex without a heap allocation: pseudonyms are written on every row.
fn hex_into<'a>(bytes: &[u8; 16], buffer: &'a mut [u8; 32]) -> &'a str {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (pair, byte) in buffer.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    std::str::from_utf8(buffer).unwrap_or_default()
}

/// How the ids of people's answers begin.
pub const ANSWER_ID_START: &str = "answered-";

/// The producer's id of an event: 1..=128 bytes of printable ASCII without spaces.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(Arc<str>);

/// A text that cannot be an event id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("event id must be 1 to 128 printable ASCII characters without spaces, got {0:?}")]
pub struct NotAnEventId(pub String);

impl EventId {
    /// Longest id in bytes. 128 holds a UUID with a source prefix; ids are an indexed column, so they stay short.
    pub const LEN_MAX: usize = 128;

    /// The id of the event that says what a person answered about a promise that waited.
    pub fn of_answer(decision: DecisionId) -> EventId {
        EventId(format!("{ANSWER_ID_START}{decision}").into())
    }

    /// Whether it is the id of a person's answer.
    pub fn is_answer(&self) -> bool {
        self.0.starts_with(ANSWER_ID_START)
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// 64 bits of the id (FNV-1a), for draws and in-memory sets.
    pub fn hash64(&self) -> u64 {
        self.0
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    }
}

impl FromStr for EventId {
    type Err = NotAnEventId;
    fn from_str(text: &str) -> Result<EventId, NotAnEventId> {
        let legal =
            (1..=Self::LEN_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        if legal { Ok(EventId(text.into())) } else { Err(NotAnEventId(text.chars().take(160).collect())) }
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EventId({})", self.0)
    }
}

impl Serialize for EventId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for EventId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<EventId, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The id of a decision (UUIDv7 made by the host), also the `Nats-Msg-Id` of its reward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DecisionId(pub uuid::Uuid);

impl fmt::Display for DecisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Position of a segment in its bundle, in file order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SegmentIndex(pub u8);

/// Position of a reward in its bundle's catalog, in file order; at most [`RewardIndex::COUNT_MAX`] rewards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RewardIndex(pub u8);

impl RewardIndex {
    /// Most rewards in one catalog: candidate sets travel as 64-bit masks.
    pub const COUNT_MAX: usize = 64;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_ids_refuse_what_could_break_a_subject_or_a_log() {
        for text in ["", "two words", "tab\there", "naïve", &"x".repeat(129), "line\nbreak"] {
            assert!(text.parse::<EventId>().is_err(), "{text:?} was accepted");
        }
        assert!("31198570044".parse::<EventId>().is_ok());
    }

    #[test]
    fn pseudonyms_round_trip_through_json() {
        let member = MemberId(*b"0123456789abcdef");
        let json = serde_json::to_string(&member).unwrap();
        assert_eq!(json, "\"30313233343536373839616263646566\"");
        assert_eq!(serde_json::from_str::<MemberId>(&json).unwrap(), member);
    }
}
