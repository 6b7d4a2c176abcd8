//! The stored form of a history: a short byte string, because it is written with every event of a member.
//!
//! Layout (version 1): version byte; newest; old totals; held purchases as time deltas, ids and amounts;
//! waiting changes. Integers are LEB128 (zigzag when signed), ids eight bytes little endian. In JSON the bytes
//! stand as unpadded base64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::held::{Early, Held, Old};
use super::history::{HELD_MAX, History, WAITING_MAX};

const VERSION: u8 = 1;

/// Bytes that are no history of this version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Corrupt {
    /// Another version, or none.
    #[error("history of version {0}, this build reads {VERSION}")]
    Version(u8),
    /// Ends early, holds too much, or is out of order.
    #[error("history is damaged at byte {0}")]
    At(usize),
}

impl History {
    /// The stored form.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(32 + 20 * self.held.len());
        bytes.push(VERSION);
        signed(&mut bytes, self.newest);
        write_old(&mut bytes, &self.old);
        unsigned(&mut bytes, self.held.len() as u128);
        let mut previous = self.newest;
        for held in self.held.iter().rev() {
            write_held(&mut bytes, previous, *held);
            previous = held.time;
        }
        unsigned(&mut bytes, self.waiting.len() as u128);
        for early in &self.waiting {
            bytes.extend_from_slice(&early.id.to_le_bytes());
            bytes.push(u8::from(early.reversed));
        }
        bytes
    }

    /// The history with this stored form.
    ///
    /// # Errors
    /// Bytes of another version, or damaged ones; nothing is guessed.
    pub fn from_bytes(bytes: &[u8]) -> Result<History, Corrupt> {
        let mut reader = Reader { bytes, at: 0 };
        match reader.byte() {
            Ok(VERSION) => {}
            Ok(other) => return Err(Corrupt::Version(other)),
            Err(error) => return Err(error),
        }
        let newest = reader.signed()?;
        let old = reader.old()?;
        let held = reader.all_held(newest)?;
        let waiting = reader.all_waiting()?;
        let history = History { newest, old, held, waiting };
        if reader.at != bytes.len() || !history.is_sound() {
            return Err(Corrupt::At(reader.at));
        }
        Ok(history)
    }
}

fn write_old(bytes: &mut Vec<u8>, old: &Old) {
    unsigned(bytes, u128::from(old.trips));
    if let Some(last) = old.last {
        signed(bytes, old.spend);
        unsigned(bytes, old.squares);
        signed(bytes, old.max);
        signed(bytes, old.first);
        write_held(bytes, old.first, last);
    }
}

fn write_held(bytes: &mut Vec<u8>, base: i64, held: Held) {
    signed(bytes, held.time.wrapping_sub(base));
    bytes.extend_from_slice(&held.id.to_le_bytes());
    signed(bytes, held.packed);
}

fn unsigned(bytes: &mut Vec<u8>, mut value: u128) {
    while value >= 128 {
        bytes.push((value & 127) as u8 | 128);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn signed(bytes: &mut Vec<u8>, value: i64) {
    let zigzag = (value << 1) ^ (value >> 63);
    let mut rest = zigzag as u64;
    while rest >= 128 {
        bytes.push((rest & 127) as u8 | 128);
        rest >>= 7;
    }
    bytes.push(rest as u8);
}

struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl Reader<'_> {
    fn byte(&mut self) -> Result<u8, Corrupt> {
        let byte = self.bytes.get(self.at).ok_or(Corrupt::At(self.at))?;
        self.at += 1;
        Ok(*byte)
    }

    fn id(&mut self) -> Result<u64, Corrupt> {
        let eight = self.bytes.get(self.at..self.at + 8).and_then(|slice| slice.try_into().ok());
        let eight = eight.ok_or(Corrupt::At(self.at))?;
        self.at += 8;
        Ok(u64::from_le_bytes(eight))
    }

    fn unsigned(&mut self) -> Result<u128, Corrupt> {
        let mut value = 0_u128;
        for shift in (0..128).step_by(7) {
            let byte = self.byte()?;
            value |= u128::from(byte & 127) << shift;
            if byte < 128 {
                return Ok(value);
            }
        }
        Err(Corrupt::At(self.at))
    }

    fn signed(&mut self) -> Result<i64, Corrupt> {
        let zigzag = u64::try_from(self.unsigned()?).map_err(|_| Corrupt::At(self.at))?;
        Ok((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64))
    }

    /// A length that memory may be reserved for.
    fn count(&mut self, most: usize) -> Result<usize, Corrupt> {
        let count = self.unsigned()?;
        usize::try_from(count).ok().filter(|count| *count <= most).ok_or(Corrupt::At(self.at))
    }

    fn held(&mut self, base: i64) -> Result<Held, Corrupt> {
        let time = self.signed()?.wrapping_add(base);
        Ok(Held { time, id: self.id()?, packed: self.signed()? })
    }

    /// The held purchases, which are written newest first, each as a delta from the one before.
    fn all_held(&mut self, newest: i64) -> Result<Vec<Held>, Corrupt> {
        let count = self.count(HELD_MAX)?;
        let mut held = Vec::with_capacity(count);
        let mut previous = newest;
        for _ in 0..count {
            let next = self.held(previous)?;
            previous = next.time;
            held.push(next);
        }
        held.reverse();
        Ok(held)
    }

    fn all_waiting(&mut self) -> Result<Vec<Early>, Corrupt> {
        let count = self.count(WAITING_MAX)?;
        (0..count).map(|_| Ok(Early { id: self.id()?, reversed: self.byte()? == 1 })).collect()
    }

    fn old(&mut self) -> Result<Old, Corrupt> {
        let trips = u64::try_from(self.unsigned()?).map_err(|_| Corrupt::At(self.at))?;
        if trips == 0 {
            return Ok(Old::default());
        }
        let (spend, squares) = (self.signed()?, self.unsigned()?);
        let (max, first) = (self.signed()?, self.signed()?);
        Ok(Old { trips, spend, squares, max, first, last: Some(self.held(first)?) })
    }
}

impl Serialize for History {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD_NO_PAD.encode(self.to_bytes()))
    }
}

impl<'de> Deserialize<'de> for History {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<History, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        let bytes = STANDARD_NO_PAD.decode(text.as_bytes()).map_err(serde::de::Error::custom)?;
        History::from_bytes(&bytes).map_err(serde::de::Error::custom)
    }
}
