//! Subjects: lower case, version first, low to high cardinality.

use crate::sides::Side;

/// Default first tokens of every subject.
pub const PREFIX: &str = "largesse.v1";

/// The names a node uses, under one configurable prefix.
#[derive(Clone, Debug)]
pub struct Subjects {
    prefix: String,
}

impl Default for Subjects {
    fn default() -> Subjects {
        Subjects { prefix: PREFIX.to_owned() }
    }
}

/// A prefix that cannot start a subject.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0:?} cannot be a subject prefix: use lower-case letters, digits, '-' and '_' in tokens joined by single dots"
)]
pub struct BadPrefix(pub String);

impl Subjects {
    /// Subjects under `prefix`.
    ///
    /// # Errors
    /// When the prefix has an empty token or characters that could widen a subscription.
    pub fn under(prefix: &str) -> Result<Subjects, BadPrefix> {
        let legal =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
        let token_ok = |token: &str| !token.is_empty() && token.bytes().all(legal);
        if prefix.split('.').all(token_ok) {
            Ok(Subjects { prefix: prefix.to_owned() })
        } else {
            Err(BadPrefix(prefix.to_owned()))
        }
    }

    /// The first tokens of every subject.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    pub fn event(&self, source: &str) -> String {
        format!("{}.event.{}", self.prefix, token(source))
    }

    pub fn events_all(&self) -> String {
        format!("{}.event.>", self.prefix)
    }

    pub fn reward(&self, outcome: &str, segment: &str, member: &domain::MemberId) -> String {
        format!("{}.reward.{outcome}.{}.{member}", self.prefix, token(segment))
    }

    pub fn rewards_all(&self) -> String {
        format!("{}.reward.>", self.prefix)
    }

    pub fn decision(&self, outcome: &str, segment: &str) -> String {
        format!("{}.decision.{outcome}.{}", self.prefix, token(segment))
    }

    pub fn decisions_all(&self) -> String {
        format!("{}.decision.>", self.prefix)
    }

    pub fn dead_letter(&self, source: &str) -> String {
        format!("{}.deadletter.{}", self.prefix, token(source))
    }

    pub fn checkpoint(&self) -> String {
        format!("{}.checkpoint", self.prefix)
    }

    /// Negotiation traffic of one run: `what` is quote, answer, certificate or table; a canary negotiates apart.
    pub fn negotiation(&self, epoch: u64, side: Side, what: &str) -> String {
        let apart = match side {
            Side::InForce => "",
            Side::Canary => "canary.",
        };
        format!("{}.nego.{epoch}.{apart}{what}", self.prefix)
    }
}

/// Any id as one legal token: bytes other than `[A-Za-z0-9_-]` become `=XX`, so the mapping can be reversed.
pub fn token(id: &str) -> String {
    let mut out = String::with_capacity(id.len());
    for byte in id.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_' {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("={byte:02X}"));
        }
    }
    if out.is_empty() { "=".to_owned() } else { out }
}

/// Whether `subject` falls under `pattern` (`*` matches one token, `>` one or more at the end).
pub fn matches(pattern: &str, subject: &str) -> bool {
    let mut tokens = subject.split('.');
    for expected in pattern.split('.') {
        match (expected, tokens.next()) {
            (">", Some(_)) => return true,
            ("*", Some(_)) => {}
            (expected, Some(found)) if expected == found => {}
            (_, _) => return false,
        }
    }
    tokens.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_on_a_nats_server() {
        assert!(matches("a.>", "a.b.c"));
        assert!(!matches("a.>", "a"));
        assert!(matches("a.*.c", "a.b.c"));
        assert!(!matches("a.*", "a.b.c"));
        assert!(!matches("a.b.c", "a.b"));
    }

    #[test]
    fn hostile_ids_cannot_widen_a_subject() {
        assert_eq!(token("a.b>*"), "a=2Eb=3E=2A");
        assert_eq!(token(""), "=");
        assert!(Subjects::under("x.*").is_err());
        assert!(Subjects::under("x..y").is_err());
    }
}
