//! The independent checker of certificates: is the plan possible, is the bound a bound, is the gap what it says?
//!
//! It works in integers, trusts no linear program, and shares no code with the planner: only the message forms
//! are common. Whoever reads a ledger can run it years later. It does not judge whether the forecast came true.
//!
//! Start reading at [`verify`]: first shapes, then each answer, then the two bounds, then what was published.

mod answers;
mod bounds;
mod shape;
mod table;

pub use shape::AMOUNT_MAX;

use crate::negotiation::{Certificate, PriceTable};

/// What a certificate proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// No plan for the forecast within the capacities is worth more, micros. Rests on every answer being fresh.
    pub upper: i128,
    /// A plan worth this much exists, micros.
    pub lower: i128,
    pub gap_ppm: u32,
    pub rounds: usize,
    /// Whether every answer was given in its round; otherwise `upper` is an estimate.
    pub fresh: bool,
}

/// What is wrong with a certificate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// Made by another version of the protocol.
    #[error("certificate schema {0} is unknown to this checker")]
    Schema(u16),
    /// The content is not what was sealed.
    #[error("certificate content does not have the digest it carries")]
    Digest,
    /// A list has another length than the layout says, or a number is outside its range.
    #[error("{0} is out of shape or range")]
    Shape(&'static str),
    /// A reward is closed that could be paid for, or open that could not.
    #[error("segment {segment}: the closed rewards are not those that no capacity can pay for")]
    Closed { segment: usize },
    /// An answer that no set of rows can have given.
    #[error("round {round}, segment {segment}: {what}")]
    Answer { round: usize, segment: usize, what: &'static str },
    /// Another answer of the same segment would have gained more at the quoted prices.
    #[error("round {round}, segment {segment}: its own answer of round {better} gains more at these prices")]
    NotBest { round: usize, segment: usize, better: usize },
    /// The weights are no convex mix, or use more than there is.
    #[error("the weighted plan exceeds {0}")]
    Plan(Exceeded),
    /// A number that follows from others was given as something else.
    #[error("{what} is {given}, but {computed} follows from the answers")]
    Differs { what: &'static str, given: i128, computed: i128 },
    /// Weak duality is broken: some answer is not what the rows said.
    #[error("the plan is worth {lower}, more than the bound {upper}")]
    BoundBelowPlan { lower: i128, upper: i128 },
    /// The named ending does not fit the numbers.
    #[error("the status does not fit the gap, the rounds or the answers")]
    Status,
    /// The published prices are not those of the best round.
    #[error("published prices are not those of the best round")]
    Published,
    /// The table does not follow from the certificate.
    #[error("price table does not follow from the certificate: {0}")]
    Table(&'static str),
}

/// What a plan exceeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Exceeded {
    #[error("one whole of segment {0}")]
    Whole(usize),
    #[error("the capacity of resource {0}")]
    Capacity(usize),
}

/// Verifies a certificate.
///
/// # Errors
/// The first violation found.
pub fn verify(certificate: &Certificate) -> Result<Verified, Violation> {
    if certificate.content_digest() != certificate.digest {
        return Err(Violation::Digest);
    }
    shape::check(certificate)?;
    shape::check_closed(certificate)?;
    answers::check(certificate)?;
    answers::check_revealed_preference(certificate)?;
    let verified = bounds::check(certificate)?;
    bounds::check_status(certificate, &verified)?;
    table::check_published(certificate)?;
    Ok(verified)
}

/// Verifies that a price table is the one a certificate leads to.
///
/// # Errors
/// The first violation found, in the certificate itself or between the two.
pub fn verify_table(certificate: &Certificate, prices: &PriceTable) -> Result<Verified, Violation> {
    let verified = verify(certificate)?;
    table::check(certificate, prices)?;
    Ok(verified)
}
