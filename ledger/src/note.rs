//! Signed checkpoints: C2SP signed notes with Ed25519 keys (c2sp.org/signed-note, c2sp.org/tlog-checkpoint).
//!
//! Pure: text and keys in, text out. Any C2SP tool can check what is written here.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use domain::Digest;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest as _, Sha256};

/// Algorithm byte of Ed25519 in key ids and verifier keys.
const ED25519: u8 = 1;

/// Largest signed note in bytes that is read; ours are about 200, a few witness signatures add 150 each.
pub const NOTE_BYTES_MAX: usize = 16 * 1024;

/// The head of the log: how many rows and their root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Which log, e.g. `largesse/acme/0`.
    pub origin: String,
    /// Number of rows.
    pub size: u64,
    pub root: Digest,
}

/// Why a text is no acceptable signed head.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    #[error("not a signed note: {0}")]
    Malformed(&'static str),
    #[error("the note is about log {found:?}, not {expected:?}")]
    OtherLog { found: String, expected: String },
    #[error("the note carries no signature of key {0}; another key signed it, or nobody")]
    NotSigned(String),
    #[error("a head of {size} rows is signed by key {key}, which was retired at row {seq}")]
    Retired { key: String, seq: u64, size: u64 },
    #[error("a head of {size} rows is signed by key {key}, which came into force at row {seq} only")]
    Early { key: String, seq: u64, size: u64 },
    #[error("the key rotation of row {seq} to {to} does not follow the present key {current}")]
    OtherRotation { seq: u64, to: String, current: String },
    #[error("the signature of key {0} is wrong: the note was changed")]
    BadSignature(String),
    #[error("{0:?} is not a verifier key (name+hash+base64)")]
    NotAKey(String),
}

impl Head {
    /// The unsigned text.
    fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, BASE64.encode(self.root.0))
    }

    /// What a note states, whoever signed it.
    ///
    /// # Errors
    /// When it is no note about a head.
    pub fn claimed(note: &str) -> Result<Head, NoteError> {
        let (text, _) = split(note)?;
        Head::parse(text).ok_or(NoteError::Malformed("no origin, size and root"))
    }

    fn parse(text: &str) -> Option<Head> {
        let mut lines = text.lines();
        let origin = lines.next().filter(|origin| !origin.is_empty())?.to_owned();
        let size = number(lines.next()?)?;
        let root = BASE64.decode(lines.next()?).ok()?.try_into().ok()?;
        Some(Head { origin, size, root: Digest(root) })
    }
}

/// The text and the signature lines of a note.
pub(crate) fn split(note: &str) -> Result<(&str, &str), NoteError> {
    if note.len() > NOTE_BYTES_MAX {
        return Err(NoteError::Malformed("longer than any note"));
    }
    let at = note.rfind("\n\n").ok_or(NoteError::Malformed("no blank line before the signatures"))?;
    Ok((&note[..=at], &note[at + 2..]))
}

/// A number as notes write it: decimal digits without leading zeroes.
pub(crate) fn number(digits: &str) -> Option<u64> {
    digits.parse().ok().filter(|number: &u64| number.to_string() == digits)
}

/// The public key that checks a log's heads; its name is the log's origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verifier {
    name: String,
    key: VerifyingKey,
}

impl Verifier {
    /// First four bytes of SHA-256(name, newline, algorithm, key).
    pub(crate) fn key_id(&self) -> [u8; 4] {
        let digest = Sha256::new()
            .chain_update(&self.name)
            .chain_update([b'\n', ED25519])
            .chain_update(self.key.as_bytes())
            .finalize();
        [digest[0], digest[1], digest[2], digest[3]]
    }

    /// The name in the key, which is the log's origin.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Which log this is, `name+hash`: the start of the text form, short and different for every key.
    pub fn identity(&self) -> String {
        format!("{}+{}", self.name, domain::digest::hex(&self.key_id()))
    }

    /// The text form `name+hash+base64`, to be handed to auditors.
    pub fn to_text(&self) -> String {
        let key = [&[ED25519], self.key.as_bytes().as_slice()].concat();
        format!("{}+{}", self.identity(), BASE64.encode(key))
    }

    /// Reads the text form.
    ///
    /// # Errors
    /// When it is not one, or its hash does not fit its key.
    pub fn from_text(text: &str) -> Result<Verifier, NoteError> {
        let bad = || NoteError::NotAKey(text.chars().take(200).collect());
        let mut parts = text.trim().splitn(3, '+');
        let (name, hash, key) =
            (parts.next().ok_or_else(bad)?, parts.next().ok_or_else(bad)?, parts.next().ok_or_else(bad)?);
        let bytes = BASE64.decode(key).map_err(|_| bad())?;
        let key: [u8; 32] = bytes.strip_prefix(&[ED25519]).ok_or_else(bad)?.try_into().map_err(|_| bad())?;
        let key = VerifyingKey::from_bytes(&key).map_err(|_| bad())?;
        let verifier = Verifier { name: name.to_owned(), key };
        if domain::digest::unhex(hash) == Some(verifier.key_id()) { Ok(verifier) } else { Err(bad()) }
    }

    /// The head a note states, if this key signed it.
    ///
    /// # Errors
    /// What is wrong with the note.
    pub fn open(&self, note: &str) -> Result<Head, NoteError> {
        let (text, signatures) = split(note)?;
        self.check(text, signatures)?;
        let head = Head::parse(text).ok_or(NoteError::Malformed("no origin, size and root"))?;
        if head.origin == self.name {
            Ok(head)
        } else {
            Err(NoteError::OtherLog { found: head.origin, expected: self.name.clone() })
        }
    }

    /// Whether one of the signature lines is this key's, and right for the text.
    pub(crate) fn check(&self, text: &str, signatures: &str) -> Result<(), NoteError> {
        for line in signatures.lines() {
            let line = line.strip_prefix("\u{2014} ").ok_or(NoteError::Malformed("bad signature line"))?;
            let (name, encoded) = line.split_once(' ').ok_or(NoteError::Malformed("bad signature line"))?;
            let bytes =
                BASE64.decode(encoded).map_err(|_| NoteError::Malformed("signature is not base64"))?;
            let Some(signature) = bytes.strip_prefix(&self.key_id()).filter(|_| name == self.name) else {
                continue;
            };
            let wrong = || NoteError::BadSignature(self.identity());
            let signature = Signature::from_slice(signature).map_err(|_| wrong())?;
            return self.key.verify_strict(text.as_bytes(), &signature).map_err(|_| wrong());
        }
        Err(NoteError::NotSigned(self.identity()))
    }
}

/// The secret key that signs a log's heads. Wiped when dropped.
pub struct NoteSigner {
    key: SigningKey,
    verifier: Verifier,
}

impl NoteSigner {
    /// The signer of log `origin` with this secret seed.
    pub fn new(origin: &str, seed: &[u8; 32]) -> NoteSigner {
        let key = SigningKey::from_bytes(seed);
        let verifier = Verifier { name: origin.to_owned(), key: key.verifying_key() };
        NoteSigner { key, verifier }
    }

    /// The key that checks this signer's notes.
    pub fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// The signed note for the head with this size and root.
    pub fn sign(&self, size: u64, root: Digest) -> String {
        let text = Head { origin: self.verifier.name.clone(), size, root }.text();
        format!("{text}\n{}", self.signature(&text))
    }

    /// The signature line for a text.
    pub(crate) fn signature(&self, text: &str) -> String {
        let signature = self.key.sign(text.as_bytes());
        let bytes = [self.verifier.key_id().as_slice(), &signature.to_bytes()].concat();
        format!("\u{2014} {} {}\n", self.verifier.name, BASE64.encode(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The verifier key and note of golang.org/x/mod/sumdb/note's documentation (its text is no log head).
    const PETER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    const PETER_TEXT: &str = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
    const PETER_SIGNATURE: &str = "\u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

    #[test]
    fn go_sumdb_notes_are_accepted() {
        let verifier = Verifier::from_text(PETER).unwrap();
        assert_eq!(verifier.to_text(), PETER);
        assert_eq!(verifier.check(PETER_TEXT, PETER_SIGNATURE), Ok(()));
        let changed = PETER_TEXT.replace("your problem is", "my problem is");
        assert_eq!(
            verifier.check(&changed, PETER_SIGNATURE),
            Err(NoteError::BadSignature("PeterNeumann+c74f20a3".into()))
        );
    }

    #[test]
    fn a_signed_head_opens_under_its_key_only() {
        let signer = NoteSigner::new("largesse/acme/0", &[3; 32]);
        let note = signer.sign(42, Digest::of(b"root"));
        let head = signer.verifier().open(&note).unwrap();
        assert_eq!((head.size, head.root), (42, Digest::of(b"root")));
        let other = NoteSigner::new("largesse/acme/0", &[4; 32]);
        let missing = NoteError::NotSigned(other.verifier().identity());
        assert_eq!(other.verifier().open(&note), Err(missing));
        let larger = note.replace("\n42\n", "\n43\n");
        let bad = NoteError::BadSignature(signer.verifier().identity());
        assert_eq!(signer.verifier().open(&larger), Err(bad));
    }

    /// What the C2SP library of another house says about a note: the text, when it accepts it.
    fn accepted_elsewhere(verifier: &Verifier, note: &str) -> Option<Vec<u8>> {
        let verifier = signed_note::StandardVerifier::new(&verifier.to_text()).unwrap();
        let known = signed_note::VerifierList::new(vec![Box::new(verifier)]);
        let note = signed_note::Note::from_bytes(note.as_bytes()).ok()?;
        note.verify(&known).ok()?;
        Some(note.text().to_vec())
    }

    #[test]
    fn another_library_accepts_the_same_notes_and_refuses_the_same() {
        let signer = NoteSigner::new("largesse/acme/0", &[3; 32]);
        let note = signer.sign(42, Digest::of(b"root"));
        let text = accepted_elsewhere(signer.verifier(), &note).unwrap();
        let head = tlog_tiles::Checkpoint::from_bytes(&text).unwrap();
        assert_eq!(
            (head.origin(), head.size(), head.hash().0),
            ("largesse/acme/0", 42, Digest::of(b"root").0)
        );
        let stranger = NoteSigner::new("witness.example", &[4; 32]);
        let witnessed = format!("{note}{}", stranger.signature(std::str::from_utf8(&text).unwrap()));
        assert!(signer.verifier().open(&witnessed).is_ok());
        assert!(accepted_elsewhere(signer.verifier(), &witnessed).is_some());
        for at in 0..note.len() {
            let mut changed = note.clone().into_bytes();
            changed[at] = if changed[at] == b'x' { b'y' } else { b'x' };
            let Ok(changed) = String::from_utf8(changed) else { continue };
            assert!(signer.verifier().open(&changed).is_err(), "byte {at}");
            assert!(accepted_elsewhere(signer.verifier(), &changed).is_none(), "byte {at}");
        }
    }

    #[test]
    fn verifier_keys_round_trip_and_refuse_a_changed_name() {
        let signer = NoteSigner::new("largesse/acme/0", &[3; 32]);
        let text = signer.verifier().to_text();
        assert_eq!(&Verifier::from_text(&text).unwrap(), signer.verifier());
        assert!(Verifier::from_text(&text.replace("acme", "evil")).is_err());
        assert!(Verifier::from_text("nonsense").is_err());
    }
}
