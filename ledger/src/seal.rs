//! Sealing of personal parts: a pure function of key, context and plaintext, usable from any thread.
//!
//! XChaCha20-Poly1305 with a synthetic nonce (HMAC-SHA256 of context and plaintext under the key), so that no
//! host needs randomness and two different texts never share a nonce. The context (the record id, or a
//! member's snapshot) is the associated data: a ciphertext moved to another row does not open.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use domain::{Digest, MemberId};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

const NONCE_LEN: usize = 24;

/// A sealed personal part and the digest the Merkle leaf commits to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// Nonce (24 bytes), ciphertext, tag (16 bytes).
    pub ciphertext: Vec<u8>,
    /// SHA-256 of `ciphertext`.
    pub digest: Digest,
}

impl Sealed {
    /// The sealed part with this ciphertext.
    pub fn from_ciphertext(ciphertext: Vec<u8>) -> Sealed {
        let digest = Digest::of(&ciphertext);
        Sealed { ciphertext, digest }
    }
}

/// The ciphertext does not open under this key and context.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the sealed part does not open: it was changed, moved to another row, or sealed under another key")]
pub struct DoesNotOpen;

/// A member's data key. Cheap to copy, wiped when dropped.
#[derive(Clone)]
pub struct DataKey(Zeroizing<[u8; 32]>);

impl std::fmt::Debug for DataKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DataKey(..)")
    }
}

impl DataKey {
    pub(crate) fn from_bytes(bytes: [u8; 32]) -> DataKey {
        DataKey(Zeroizing::new(bytes))
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Seals the personal part of a row.
    pub fn seal(&self, record_id: &[u8; 16], plaintext: &[u8]) -> Sealed {
        Sealed::from_ciphertext(self.seal_bytes(b"record", record_id, plaintext))
    }

    /// Opens the personal part of a row.
    ///
    /// # Errors
    /// When the part was changed, belongs to another row, or was sealed under another key.
    pub fn open(&self, record_id: &[u8; 16], ciphertext: &[u8]) -> Result<Vec<u8>, DoesNotOpen> {
        self.open_bytes(b"record", record_id, ciphertext)
    }

    /// Seals a member's state.
    pub fn seal_state(&self, member: MemberId, plaintext: &[u8]) -> Sealed {
        Sealed::from_ciphertext(self.seal_bytes(b"state", &member.0, plaintext))
    }

    /// Opens a member's state.
    ///
    /// # Errors
    /// As [`DataKey::open`].
    pub fn open_state(&self, member: MemberId, ciphertext: &[u8]) -> Result<Vec<u8>, DoesNotOpen> {
        self.open_bytes(b"state", &member.0, ciphertext)
    }

    pub(crate) fn seal_bytes(&self, purpose: &[u8], context: &[u8], plaintext: &[u8]) -> Vec<u8> {
        let associated = associated(purpose, context);
        let nonce = self.nonce(&associated, plaintext);
        let mut sealed = Vec::with_capacity(NONCE_LEN + plaintext.len() + 16);
        sealed.extend_from_slice(&nonce);
        let payload = Payload { msg: plaintext, aad: &associated };
        // Encryption fails only above 256 GiB, far above every bound on what is sealed.
        let text = self.cipher().encrypt(&XNonce::from(nonce), payload).unwrap_or_default();
        debug_assert_eq!(text.len(), plaintext.len() + 16, "what is sealed is bounded");
        sealed.extend_from_slice(&text);
        sealed
    }

    pub(crate) fn open_bytes(
        &self,
        purpose: &[u8],
        context: &[u8],
        sealed: &[u8],
    ) -> Result<Vec<u8>, DoesNotOpen> {
        let (nonce, text) = sealed.split_first_chunk::<NONCE_LEN>().ok_or(DoesNotOpen)?;
        let payload = Payload { msg: text, aad: &associated(purpose, context) };
        self.cipher().decrypt(&XNonce::from(*nonce), payload).map_err(|_| DoesNotOpen)
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new((&*self.0).into())
    }

    fn nonce(&self, associated: &[u8], plaintext: &[u8]) -> [u8; NONCE_LEN] {
        let tag = hmac(&self.0, &[b"largesse nonce\0", associated, plaintext]);
        let mut nonce = [0; NONCE_LEN];
        nonce.copy_from_slice(&tag[..NONCE_LEN]);
        nonce
    }
}

/// Purpose and context, unambiguous because purposes are fixed words ended by a zero byte.
fn associated(purpose: &[u8], context: &[u8]) -> Vec<u8> {
    [purpose, b"\0", context].concat()
}

/// HMAC-SHA256 over the concatenation of `parts`.
pub(crate) fn hmac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    // HMAC pads a key to its block of 64 bytes with zeros; doing so here leaves no length that could be wrong.
    let mut block = Zeroizing::new([0; 64]);
    block[..32].copy_from_slice(key);
    let mut mac = <Hmac<Sha256> as KeyInit>::new((&*block).into());
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> DataKey {
        DataKey::from_bytes([byte; 32])
    }

    #[test]
    fn a_sealed_part_opens_under_its_key_and_row_only() {
        let sealed = key(1).seal(&[7; 16], b"likes cheese");
        assert_eq!(key(1).open(&[7; 16], &sealed.ciphertext).unwrap(), b"likes cheese");
        assert_eq!(key(2).open(&[7; 16], &sealed.ciphertext), Err(DoesNotOpen));
        assert_eq!(key(1).open(&[8; 16], &sealed.ciphertext), Err(DoesNotOpen));
        assert_eq!(key(1).open_state(MemberId([7; 16]), &sealed.ciphertext), Err(DoesNotOpen));
    }

    #[test]
    fn any_flipped_bit_is_noticed() {
        let sealed = key(1).seal(&[7; 16], b"likes cheese");
        for bit in 0..sealed.ciphertext.len() * 8 {
            let mut changed = sealed.ciphertext.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(key(1).open(&[7; 16], &changed), Err(DoesNotOpen), "bit {bit}");
        }
    }

    #[test]
    fn different_texts_in_one_row_get_different_nonces() {
        let one = key(1).seal(&[7; 16], b"a");
        let two = key(1).seal(&[7; 16], b"b");
        assert_ne!(one.ciphertext[..NONCE_LEN], two.ciphertext[..NONCE_LEN]);
        assert_eq!(one, key(1).seal(&[7; 16], b"a"), "sealing is a pure function");
    }
}
