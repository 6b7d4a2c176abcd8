//! Blocks as they are read: codes with their values, and numbers.

use super::block::ABSENT;
use crate::error::Error;

/// Where the distances of numbers begin: after the least and their width.
const DISTANCES: usize = 9;

/// A column of few different values.
#[derive(Debug)]
pub(crate) struct Codes {
    bytes: Vec<u8>,
    /// Where each value lies in `bytes`.
    values: Vec<Option<(usize, usize)>>,
    width: usize,
    /// Where the codes begin.
    codes: usize,
}

/// A column of numbers.
#[derive(Debug)]
pub(crate) struct Numbers {
    /// The distances, and eight bytes more, so that each is read as one word.
    bytes: Vec<u8>,
    least: i64,
    width: usize,
    /// The bits of a word that are the distance.
    bits: u64,
}

fn broken() -> Error {
    Error::Damaged("a block of columns cannot be read".to_owned())
}

impl Codes {
    /// Reads a block of `rows` rows.
    pub(crate) fn read(bytes: Vec<u8>, rows: usize) -> Result<Codes, Error> {
        let number = |at: usize| {
            let two = bytes.get(at..at + 2).ok_or_else(broken)?;
            Ok::<u16, Error>(u16::from_le_bytes([two[0], two[1]]))
        };
        let (mut values, mut at) = (Vec::new(), 2);
        for _ in 0..number(0)? {
            let length = number(at)?;
            at += 2;
            values.push((length != ABSENT).then_some((at, at + usize::from(length))));
            at += if length == ABSENT { 0 } else { usize::from(length) };
        }
        let width = usize::from(*bytes.get(at).ok_or_else(broken)?);
        let codes = at + 1;
        let known = |code: u16| usize::from(code) < values.len();
        let whole = width <= 2 && bytes.len() == codes + width * rows;
        let all_known = match width {
            0 => values.len() <= 1 && (rows == 0 || values.len() == 1),
            1 => bytes[codes.min(bytes.len())..].iter().all(|code| known(u16::from(*code))),
            _ => bytes[codes.min(bytes.len())..]
                .chunks_exact(2)
                .all(|two| known(u16::from_le_bytes([two[0], two[1]]))),
        };
        if whole && all_known { Ok(Codes { bytes, values, width, codes }) } else { Err(broken()) }
    }

    /// The values of the block, by code.
    pub(crate) fn values(&self) -> impl Iterator<Item = Option<&[u8]>> {
        self.values.iter().map(|place| place.map(|(from, to)| &self.bytes[from..to]))
    }

    /// The value a code stands for.
    pub(crate) fn value(&self, code: usize) -> Option<&[u8]> {
        self.values[code].map(|(from, to)| &self.bytes[from..to])
    }

    /// The code of a row of the block.
    pub(crate) fn code(&self, at: usize) -> usize {
        let codes = &self.bytes[self.codes..];
        match self.width {
            0 => 0,
            1 => usize::from(codes[at]),
            _ => usize::from(u16::from_le_bytes([codes[2 * at], codes[2 * at + 1]])),
        }
    }

    /// Takes rows out of the mask that have another value. Returns whether any row may be left.
    pub(crate) fn keep(&self, value: &[u8], mask: &mut [bool]) -> bool {
        let Some(wanted) = self.values().position(|known| known == Some(value)) else {
            return false;
        };
        match self.width {
            0 => {}
            1 => {
                let codes = &self.bytes[self.codes..];
                mask.iter_mut().zip(codes).for_each(|(kept, code)| *kept &= usize::from(*code) == wanted);
            }
            _ => {
                let codes = self.bytes[self.codes..].chunks_exact(2);
                let codes = codes.map(|two| usize::from(u16::from_le_bytes([two[0], two[1]])));
                mask.iter_mut().zip(codes).for_each(|(kept, code)| *kept &= code == wanted);
            }
        }
        true
    }

    /// How many rows of the mask have each value, by code.
    pub(crate) fn count(&self, mask: &[bool]) -> Vec<u64> {
        let mut counts = vec![0; self.values.len()];
        match self.width {
            0 => {
                if let Some(count) = counts.first_mut() {
                    *count = mask.iter().map(|kept| u64::from(*kept)).sum();
                }
            }
            1 => {
                for (kept, code) in mask.iter().zip(&self.bytes[self.codes..]) {
                    counts[usize::from(*code)] += u64::from(*kept);
                }
            }
            _ => {
                for (kept, two) in mask.iter().zip(self.bytes[self.codes..].chunks_exact(2)) {
                    counts[usize::from(u16::from_le_bytes([two[0], two[1]]))] += u64::from(*kept);
                }
            }
        }
        counts
    }
}

impl Numbers {
    /// Reads a block of `rows` rows.
    pub(crate) fn read(mut bytes: Vec<u8>, rows: usize) -> Result<Numbers, Error> {
        let least = bytes.first_chunk::<8>().map(|eight| i64::from_le_bytes(*eight)).ok_or_else(broken)?;
        let width = usize::from(*bytes.get(8).ok_or_else(broken)?);
        if width > 8 || bytes.len() != DISTANCES + width * rows {
            return Err(broken());
        }
        bytes.extend([0; 8]);
        let bits = if width == 8 { u64::MAX } else { (1 << (8 * width)) - 1 };
        Ok(Numbers { bytes, least, width, bits })
    }

    /// The number of a row of the block.
    pub(crate) fn get(&self, at: usize) -> i64 {
        let from = DISTANCES + at * self.width;
        let word = self.bytes[from..].first_chunk::<8>().map_or(0, |eight| u64::from_le_bytes(*eight));
        self.least.wrapping_add((word & self.bits).cast_signed())
    }

    /// Takes rows out of the mask whose number is not in the range.
    pub(crate) fn keep(&self, range: &std::ops::Range<i64>, mask: &mut [bool]) {
        if self.least >= range.end {
            return mask.fill(false);
        }
        for (at, kept) in mask.iter_mut().enumerate() {
            *kept &= range.contains(&self.get(at));
        }
    }
}
