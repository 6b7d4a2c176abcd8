//! One row is in the tree of a signed head: the file of c2sp.org/tlog-proof.
//!
//! ```text
//! c2sp.org/tlog-proof@v1
//! extra <base64 of {"v":1,"record":base64,"sealed_digest":hex or null,"leaf":hex,"rotations":[note, ...]}>
//! index <row - 1>
//! <base64 hash> ...          from the leaf's sibling up
//!
//! <the signed head>
//! ```
//! `record` is what [`crate::Public::encode`] writes. The leaf, `SHA-256(0x00 || record || sealed_digest)`, is stated too, so
//! that a changed record is told from a changed path; nobody need believe it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use domain::Digest;
use domain::digest::unhex;
use serde_json::{Value, json};

use super::{ProofError, Trust, halves, path_lines, read_path};
use crate::canon::Public;
use crate::entry::Seq;
use crate::merkle;
use crate::note::{Head, number};

const FIRST_LINE: &str = "c2sp.org/tlog-proof@v1";

/// That one row is in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InclusionProof {
    pub seq: Seq,
    /// The row's canonical public bytes.
    pub record: Vec<u8>,
    /// The digest of the row's sealed part, when it has one.
    pub sealed_digest: Option<Digest>,
    /// The row's leaf, as stated.
    pub leaf: Digest,
    /// From the leaf's sibling up to the root's child.
    pub path: Vec<Digest>,
    /// Notes of all key rotations up to this head, oldest first.
    pub rotations: Vec<String>,
    /// The signed head.
    pub head: String,
}

impl InclusionProof {
    /// The file.
    pub fn to_text(&self) -> String {
        let extra = json!({
            "v": 1,
            "record": BASE64.encode(&self.record),
            "sealed_digest": self.sealed_digest.map(|digest| digest.to_string()),
            "leaf": self.leaf.to_string(),
            "rotations": self.rotations,
        });
        let (extra, index) = (BASE64.encode(extra.to_string()), self.seq.0.saturating_sub(1));
        format!("{FIRST_LINE}\nextra {extra}\nindex {index}\n{}\n{}", path_lines(&self.path), self.head)
    }

    /// Reads a file. Nothing in it is to be believed before [`InclusionProof::check`].
    ///
    /// # Errors
    /// When it is no such file.
    pub fn from_text(text: &str) -> Result<InclusionProof, ProofError> {
        let bad = |what: &'static str| move || ProofError::Malformed(what);
        let (proof, head) = halves(text)?;
        let mut lines = proof.split('\n');
        if lines.next() != Some(FIRST_LINE) {
            return Err(bad("its first line is not that of c2sp.org/tlog-proof@v1")());
        }
        let extra = lines.next().and_then(|line| line.strip_prefix("extra "));
        let extra = extra.ok_or_else(bad("it does not carry the record"))?;
        let extra = BASE64.decode(extra).ok().and_then(|extra| serde_json::from_slice::<Value>(&extra).ok());
        let extra = Extra::read(&extra.unwrap_or_default()).ok_or_else(bad("its record is unreadable"))?;
        let index = lines.next().and_then(|line| line.strip_prefix("index ")).and_then(number);
        let index = index.filter(|index| *index < u64::MAX).ok_or_else(bad("it has no index"))?;
        let Extra { record, sealed_digest, leaf, rotations } = extra;
        let path = read_path(lines)?;
        Ok(InclusionProof {
            seq: Seq(index + 1),
            record,
            sealed_digest,
            leaf,
            path,
            rotations,
            head: head.to_owned(),
        })
    }

    /// The row's columns.
    ///
    /// # Errors
    /// When the bytes are not those of a row, or of another row.
    pub fn columns(&self) -> Result<Public<'_>, ProofError> {
        let public = Public::decode(&self.record);
        let public = public.ok_or(ProofError::Malformed("its record is not a row's canonical bytes"))?;
        match public.seq.unsigned_abs() {
            found if found == self.seq.0 => Ok(public),
            found => Err(ProofError::OtherRow { found, expected: self.seq.0 }),
        }
    }

    /// Checks record, path and head, and returns the head the row is proven to be under.
    ///
    /// # Errors
    /// The first thing that does not hold.
    pub fn check(&self, trust: &Trust) -> Result<Head, ProofError> {
        let sealed = self.sealed_digest.as_ref().map(|digest| digest.0.as_slice());
        let found = self.columns()?.leaf(sealed, &mut Vec::new());
        if found != self.leaf {
            return Err(ProofError::OtherLeaf { found, claimed: self.leaf });
        }
        let head = trust.open(&self.head, &self.rotations)?;
        if merkle::included(&found, self.seq.0 - 1, head.size, &self.path, &head.root) {
            Ok(head)
        } else {
            Err(ProofError::NoPath { row: self.seq.0, size: head.size })
        }
    }
}

/// What the extra line holds.
struct Extra {
    record: Vec<u8>,
    sealed_digest: Option<Digest>,
    leaf: Digest,
    rotations: Vec<String>,
}

impl Extra {
    fn read(extra: &Value) -> Option<Extra> {
        let digest = |value: &Value| value.as_str().and_then(unhex).map(Digest);
        let note = |value: &Value| value.as_str().map(str::to_owned);
        // A field that nobody reads could tell another reader something else.
        if extra["v"] != 1 || extra.as_object()?.len() != 5 {
            return None;
        }
        Some(Extra {
            record: BASE64.decode(extra["record"].as_str()?).ok()?,
            sealed_digest: match &extra["sealed_digest"] {
                stated if stated.is_null() => None,
                stated => Some(digest(stated)?),
            },
            leaf: digest(&extra["leaf"])?,
            rotations: extra["rotations"].as_array()?.iter().map(note).collect::<Option<_>>()?,
        })
    }
}
