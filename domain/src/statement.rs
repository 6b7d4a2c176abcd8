//! What people sign: who says what, to which ledger, once.
//!
//! A statement is a step in the life of a policy, a step of a case, or that somebody read personal data. Here are its form,
//! who may make it, and why it is not heard; keys and signatures are the ledger's.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::time::{HOUR, Timestamp};

/// The version of the signed form this build reads and writes.
pub const VERSION: u32 = 1;

/// How far the time of a statement may lie from the node's clock: clocks of people's machines differ, and a
/// statement that was kept back for long should be looked at again.
const SIGNED_WITHIN: i64 = HOUR;

/// What a person may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Writes policies and has their impact assessed.
    Author,
    /// Approves what somebody else wrote or asked for, and puts it in force.
    Approver,
    /// Acts in the safe direction only: stops things, withdraws canaries, and rolls back to what was in force before.
    Operator,
    /// Reads, and keeps cases about decisions.
    Auditor,
}

impl Role {
    /// Every role.
    pub const ALL: [Role; 4] = [Role::Author, Role::Approver, Role::Operator, Role::Auditor];

    /// The word in people.toml.
    pub fn name(self) -> &'static str {
        match self {
            Role::Author => "author",
            Role::Approver => "approver",
            Role::Operator => "operator",
            Role::Auditor => "auditor",
        }
    }
}

/// A person as people.toml knows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    pub name: String,
    pub roles: Vec<Role>,
    /// Public key, base64.
    pub key: String,
}

/// Something that can be said under a signature.
pub trait Said: Serialize {
    /// The first line of the bytes that are signed. Each sort has its own, so that a signature under one is worth nothing
    /// as another.
    const OPENING: &'static str;

    /// How far the time of a statement may lie from the node's clock, in microseconds.
    fn within(&self) -> i64 {
        SIGNED_WITHIN
    }
}

/// What is signed: a step, by whom, for which ledger, once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement<S> {
    pub v: u32,
    /// Identity of the ledger (name and key id), so that a signature for one is worth nothing for another.
    pub ledger: String,
    /// 32 hex digits, never used twice.
    pub id: String,
    pub at: Timestamp,
    /// The person's name in people.toml.
    pub by: String,
    pub step: S,
}

impl<S: Said> Statement<S> {
    /// The bytes that are signed.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = S::OPENING.as_bytes().to_vec();
        // Plain values rendered in declaration order: cannot fail, and always the same bytes.
        bytes.extend(serde_json::to_vec(self).unwrap_or_default());
        bytes
    }
}

/// A signed statement; the body of its ledger row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signed<S> {
    pub statement: Statement<S>,
    /// Public key, base64.
    pub key: String,
    /// Ed25519 over [`Statement::bytes`], base64.
    pub signature: String,
}

/// Whether a character would change how a text looks without being seen: control characters, and those that reorder or join
/// letters; the joiners that some scripts are written with are none. What people sign is shown to other people as it is.
pub fn is_unseen(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Why a statement is not heard, whatever it says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unheard {
    #[error("signed form {0} is unknown to this build")]
    UnknownForm(u32),
    #[error("it was signed for ledger {found}, this is {expected}")]
    OtherLedger { found: String, expected: String },
    #[error("{0:?} is not in people.toml")]
    UnknownPerson(String),
    #[error("the key is not {0}'s key in people.toml")]
    OtherKey(String),
    #[error(
        "the signature does not fit: the statement was changed after it was signed, or another key signed it"
    )]
    Forged,
    #[error("statement {0} was already taken")]
    Replayed(String),
    #[error("it was signed at {signed}, the node's clock says {now}; sign again, or set the clock")]
    WrongTime { signed: Timestamp, now: Timestamp },
    #[error("this takes the role {}, {by} has {}", list(.needed, " or "), list(.has, ", "))]
    NotAllowed { by: String, needed: Vec<Role>, has: Vec<Role> },
}

impl Unheard {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Unheard::UnknownForm(_) => "REG0001",
            Unheard::OtherLedger { .. } => "REG0002",
            Unheard::UnknownPerson(_) => "REG0003",
            Unheard::OtherKey(_) => "REG0004",
            Unheard::Forged => "REG0005",
            Unheard::Replayed(_) => "REG0006",
            Unheard::WrongTime { .. } => "REG0007",
            Unheard::NotAllowed { .. } => "REG0008",
        }
    }
}

fn list(roles: &[Role], between: &str) -> String {
    if roles.is_empty() {
        return "none".to_owned();
    }
    roles.iter().map(|role| role.name()).collect::<Vec<_>>().join(between)
}

/// The statements of one sort a ledger has taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken(BTreeSet<String>);

impl Taken {
    /// Remembers a statement.
    pub fn take(&mut self, id: &str) {
        self.0.insert(id.to_owned());
    }

    /// Whether the ledger hears this statement now, from a person whose signature was verified.
    ///
    /// # Errors
    /// Why not: another form or ledger, taken before, too old, or the wrong role.
    pub fn admit<S: Said>(
        &self,
        statement: &Statement<S>,
        person: &Person,
        allowed: &[Role],
        ledger: &str,
        now: Timestamp,
    ) -> Result<(), Unheard> {
        if statement.v != VERSION {
            return Err(Unheard::UnknownForm(statement.v));
        }
        if statement.ledger != ledger {
            let found = statement.ledger.clone();
            return Err(Unheard::OtherLedger { found, expected: ledger.to_owned() });
        }
        if self.0.contains(&statement.id) {
            return Err(Unheard::Replayed(statement.id.clone()));
        }
        if now.since(statement.at).abs() > statement.step.within() {
            return Err(Unheard::WrongTime { signed: statement.at, now });
        }
        if !allowed.iter().any(|role| person.roles.contains(role)) {
            let (by, has) = (person.name.clone(), person.roles.clone());
            return Err(Unheard::NotAllowed { by, needed: allowed.to_vec(), has });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Word(&'static str);

    impl Said for Word {
        const OPENING: &'static str = "word 1\n";
    }

    const NOW: Timestamp = Timestamp(1_700_000_000_000_000);

    fn statement() -> Statement<Word> {
        let (ledger, id, by) = ("log+0".to_owned(), "1".to_owned(), "anna".to_owned());
        Statement { v: VERSION, ledger, id, at: NOW, by, step: Word("yes") }
    }

    fn admit(statement: &Statement<Word>, taken: &Taken, roles: &[Role], now: Timestamp) -> &'static str {
        let person = Person { name: "anna".to_owned(), roles: roles.to_vec(), key: "k".to_owned() };
        taken
            .admit(statement, &person, &[Role::Auditor], "log+0", now)
            .map_or_else(|no| no.code(), |()| "heard")
    }

    #[test]
    fn the_signed_bytes_are_the_opening_and_the_fields_in_order() {
        let text = String::from_utf8(statement().bytes()).unwrap();
        let fields = r#"{"v":1,"ledger":"log+0","id":"1","at":1700000000000000,"by":"anna","step":"yes"}"#;
        assert_eq!(text, format!("word 1\n{fields}"));
    }

    #[test]
    fn a_statement_is_heard_once_in_time_by_its_ledger_from_somebody_with_the_role() {
        let (nothing, auditor) = (Taken::default(), [Role::Auditor]);
        assert_eq!(admit(&statement(), &nothing, &auditor, NOW), "heard");
        let mut taken = Taken::default();
        taken.take("1");
        assert_eq!(admit(&statement(), &taken, &auditor, NOW), "REG0006");
        assert_eq!(admit(&statement(), &nothing, &[Role::Author, Role::Approver], NOW), "REG0008");
        assert_eq!(admit(&statement(), &nothing, &[], NOW), "REG0008");
        assert_eq!(admit(&statement(), &nothing, &auditor, NOW.plus(SIGNED_WITHIN + 1)), "REG0007");
        assert_eq!(admit(&statement(), &nothing, &auditor, NOW.plus(-SIGNED_WITHIN - 1)), "REG0007");
        let other = Statement { ledger: "log+1".to_owned(), ..statement() };
        assert_eq!(admit(&other, &nothing, &auditor, NOW), "REG0002");
        assert_eq!(admit(&Statement { v: 2, ..statement() }, &nothing, &auditor, NOW), "REG0001");
    }
}
