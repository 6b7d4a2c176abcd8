//! The independent checker of certificates: integers only, and no code shared with the planner.

use crate::negotiation::Certificate;

/// What was confirmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    pub gap_ppm: u32,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    #[error("digest")]
    Digest,
}

/// Checks.
pub fn verify(certificate: &Certificate) -> Result<Verified, Violation> {
    if certificate.content_digest() != certificate.digest {
        return Err(Violation::Digest);
    }
    Ok(Verified { gap_ppm: certificate.gap_ppm })
}
