//! Why a step is not taken.

use domain::{Digest, Timestamp};

use super::step::{Role, Target};

/// Why a step is not taken. Nothing changes then, and what is in force stays in force.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
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
    #[error("this takes the role {}, {by} has {}", .needed.name(), list(.has))]
    NotAllowed { by: String, needed: Role, has: Vec<Role> },
    #[error("no bundle {0} was submitted here; `largesse policy history` lists them")]
    UnknownBundle(Digest),
    #[error("bundle {0} was already submitted")]
    KnownBundle(Digest),
    #[error("the bundle sent along is not {expected}: {why}")]
    OtherBundle { expected: Digest, why: String },
    #[error("bundle {0} has no impact report yet; `largesse policy impact` makes and records one")]
    NotAssessed(Digest),
    #[error("the newest impact report of this bundle is {newest}, not {approved}: look at that one")]
    StaleApproval { approved: Digest, newest: Digest },
    #[error("{0} submitted this bundle, and nobody approves their own")]
    OwnWork(String),
    #[error("bundle {0} is not approved")]
    NotApproved(Digest),
    #[error("bundle {0} is in force already")]
    InForce(Digest),
    #[error("bundle {0} was not in force just before this one")]
    NotBefore(Digest),
    #[error("{0} lies in the past; activate it, or name a later time")]
    Past(Timestamp),
    #[error("{} is stopped already", describe(.0))]
    Stopped(Target),
    #[error("{} is not stopped", describe(.0))]
    NotStopped(Target),
    #[error("the bundle in force has no {}", describe(.0))]
    UnknownTarget(Target),
}

/// A target as people say it.
pub fn describe(target: &Target) -> String {
    match target {
        Target::Program => "the program".to_owned(),
        Target::Segment(id) => format!("segment {id}"),
        Target::Reward(id) => format!("reward {id}"),
        Target::Kind(kind) => format!("reward kind {}", kind.name()),
        Target::Moment(id) => format!("moment {id}"),
    }
}

fn list(roles: &[Role]) -> String {
    if roles.is_empty() {
        return "none".to_owned();
    }
    roles.iter().map(|role| role.name()).collect::<Vec<_>>().join(", ")
}

impl Refusal {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Refusal::UnknownForm(_) => "REG0001",
            Refusal::OtherLedger { .. } => "REG0002",
            Refusal::UnknownPerson(_) => "REG0003",
            Refusal::OtherKey(_) => "REG0004",
            Refusal::Forged => "REG0005",
            Refusal::Replayed(_) => "REG0006",
            Refusal::WrongTime { .. } => "REG0007",
            Refusal::NotAllowed { .. } => "REG0008",
            Refusal::UnknownBundle(_) => "REG0009",
            Refusal::KnownBundle(_) => "REG0010",
            Refusal::OtherBundle { .. } => "REG0011",
            Refusal::NotAssessed(_) => "REG0012",
            Refusal::StaleApproval { .. } => "REG0013",
            Refusal::OwnWork(_) => "REG0014",
            Refusal::NotApproved(_) => "REG0015",
            Refusal::InForce(_) => "REG0016",
            Refusal::NotBefore(_) => "REG0017",
            Refusal::Past(_) => "REG0018",
            Refusal::Stopped(_) => "REG0019",
            Refusal::NotStopped(_) => "REG0020",
            Refusal::UnknownTarget(_) => "REG0021",
        }
    }
}
