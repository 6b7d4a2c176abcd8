//! How the right to spend moves between the leader's pool and a node's escrow.
//!
//! Grants are written to the ledger before a node may use them, returns before the leader may count them.
//! Vectors have one entry per resource ([`super::Layout`]); a resource without limit is never counted and
//! its entries are zero.

use domain::Timestamp;
use serde::{Deserialize, Serialize};

use super::Envelope;

/// Leader to node: more to spend, and how fast.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EscrowGrant {
    pub envelope: Envelope,
    /// Number of the lease; rises with every grant, so a grant is applied once.
    pub lease: u64,
    /// The node refuses to reserve from here on, until another grant arrives.
    pub expires_at: Timestamp,
    /// What the node's escrow gains.
    pub add: Vec<i64>,
    /// Most that may be reserved until the next negotiation (the limiter); empty in a reply to a [`Draw`],
    /// which leaves the limiter as it is.
    pub limit: Vec<i64>,
}

/// Node to leader: spending rights given back (refunds, surplus, recall).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EscrowReturn {
    /// The lease in force at the node.
    pub lease: u64,
    /// Number of the return at this node; rises by one, so that a return is counted once.
    pub sequence: u64,
    pub amounts: Vec<i64>,
}

/// Node to leader: a request for more of scarce resources between negotiations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Draw {
    /// The lease in force at the node.
    pub lease: u64,
    pub amounts: Vec<i64>,
}
