//! The name of a case: short enough to be said on the telephone.

use std::fmt;
use std::str::FromStr;

use domain::Digest;
use domain::digest::{hex, unhex};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Eight hex digits. They follow from the statement that opened the case; a second case of the same id is refused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CaseId([u8; 4]);

impl CaseId {
    /// The id of the case a statement opens.
    pub fn of(statement: &str) -> CaseId {
        let digest = Digest::of(format!("largesse-case-id 1\n{statement}").as_bytes());
        let [first, second, third, fourth, ..] = digest.0;
        CaseId([first, second, third, fourth])
    }
}

/// Not eight lower-case hex digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no case id (8 lower-case hex digits)")]
pub struct NotACase(pub String);

impl FromStr for CaseId {
    type Err = NotACase;

    fn from_str(text: &str) -> Result<CaseId, NotACase> {
        unhex(text).map(CaseId).ok_or_else(|| NotACase(text.chars().take(40).collect()))
    }
}

impl fmt::Display for CaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&hex(&self.0))
    }
}

impl fmt::Debug for CaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CaseId({self})")
    }
}

impl Serialize for CaseId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for CaseId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<CaseId, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
