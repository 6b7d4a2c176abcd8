use proptest::prelude::*;

use super::*;
use crate::canon::Public;
use crate::entry::Seq;
use crate::history::Rotation;
use crate::merkle::{self, Frontier, Nodes};
use crate::note::NoteSigner;

const ORIGIN: &str = "largesse/acme/0";

/// A log of rows in memory.
struct Log {
    records: Vec<Vec<u8>>,
    leaves: Vec<Digest>,
}

impl Nodes for Log {
    type Error = std::convert::Infallible;
    fn node(&self, level: u32, index: u64) -> Result<Digest, Self::Error> {
        if level == 0 {
            return Ok(self.leaves[usize::try_from(index).unwrap()]);
        }
        Ok(merkle::parent(&self.node(level - 1, 2 * index)?, &self.node(level - 1, 2 * index + 1)?))
    }
}

/// Even rows have a sealed part.
fn sealed_digest(seq: u64) -> Option<Digest> {
    seq.is_multiple_of(2).then(|| Digest::of(&seq.to_be_bytes()))
}

impl Log {
    fn of(rows: u64) -> Log {
        let mut log = Log { records: Vec::new(), leaves: Vec::new() };
        for seq in 1..=rows {
            let (id, body) = (Digest::of(&seq.to_be_bytes()), format!("{{\"v\":1,\"row\":{seq}}}"));
            let public = Public {
                seq: seq.cast_signed(),
                record_id: &id.0[..16],
                kind: 11,
                recorded_at: 5,
                event_time: None,
                partition: 0,
                epoch: 1,
                member: Some(&[2; 16]),
                event_id: Some("e-1"),
                outcome: Some(0),
                reason: Some(1),
                segment: Some("vip"),
                reward: None,
                touchpoint: Some(0),
                bundle: None,
                models: None,
                semantics: 1,
                debits: None,
                body: Some(&body),
            };
            let (mut record, sealed) = (Vec::new(), sealed_digest(seq));
            log.leaves.push(public.leaf(sealed.as_ref().map(|digest| digest.0.as_slice()), &mut record));
            log.records.push(record);
        }
        log
    }

    fn root(&self, size: u64) -> Digest {
        let mut frontier = Frontier::default();
        for leaf in &self.leaves[..usize::try_from(size).unwrap()] {
            frontier.push(*leaf, |_, _, _| ());
        }
        frontier.root()
    }

    fn head(&self, key: &NoteSigner, size: u64) -> String {
        key.sign(size, self.root(size))
    }

    fn prove(&self, key: &NoteSigner, seq: u64, size: u64) -> InclusionProof {
        let at = usize::try_from(seq - 1).unwrap();
        InclusionProof {
            seq: Seq(seq),
            record: self.records[at].clone(),
            sealed_digest: sealed_digest(seq),
            leaf: self.leaves[at],
            path: merkle::inclusion(self, seq - 1, size).unwrap(),
            rotations: Vec::new(),
            head: self.head(key, size),
        }
    }
}

fn signer(seed: u8) -> NoteSigner {
    NoteSigner::new(ORIGIN, &[seed; 32])
}

fn key(seed: u8) -> KeyHistory {
    KeyHistory::new(signer(seed).verifier().clone())
}

fn trust(seed: u8) -> Trust {
    Trust { key: Some(key(seed)), head: None }
}

#[test]
fn a_whole_proof_file_satisfies_two_other_libraries() {
    let log = Log::of(37);
    let verifier = signed_note::StandardVerifier::new(&signer(1).verifier().to_text()).unwrap();
    let known = signed_note::VerifierList::new(vec![Box::new(verifier)]);
    for seq in 1..=37 {
        let text = log.prove(&signer(1), seq, 37).to_text();
        let (proof, note) = text.split_once("\n\n").unwrap();
        let note = signed_note::Note::from_bytes(note.as_bytes()).unwrap();
        assert_eq!(note.verify(&known).unwrap().0.len(), 1);
        let head = tlog_tiles::Checkpoint::from_bytes(note.text()).unwrap();
        let mut lines = proof.lines().skip(2);
        let index: u64 = lines.next().unwrap().strip_prefix("index ").unwrap().parse().unwrap();
        let path = lines.map(|line| tlog_tiles::Hash::parse_hash(line).unwrap()).collect();
        let at = usize::try_from(index).unwrap();
        let mut leaf = log.records[at].clone();
        leaf.extend(sealed_digest(index + 1).map_or(Vec::new(), |digest| digest.0.to_vec()));
        let leaf = tlog_tiles::record_hash(&leaf);
        tlog_tiles::check_record(&path, head.size(), *head.hash(), index, leaf).unwrap();
    }
}

#[test]
fn proofs_are_read_back_and_hold_under_key_or_head() {
    let log = Log::of(20);
    for (seq, size) in [(1, 1), (1, 20), (20, 20), (7, 13)] {
        let proof = log.prove(&signer(1), seq, size);
        let read = InclusionProof::from_text(&proof.to_text()).unwrap();
        assert_eq!(read, proof);
        assert_eq!(read.check(&trust(1)).unwrap().size, size);
        let head = Trust { key: None, head: Some(log.head(&signer(1), size)) };
        assert_eq!(read.check(&head).unwrap().root, log.root(size));
    }
}

#[test]
fn what_does_not_hold_is_named() {
    let log = Log::of(20);
    let proof = log.prove(&signer(1), 6, 20);
    let check = |proof: &InclusionProof, trust: &Trust| proof.check(trust).unwrap_err();
    let other = log.prove(&signer(1), 8, 20);
    let row = InclusionProof { record: other.record.clone(), ..proof.clone() };
    assert_eq!(check(&row, &trust(1)), ProofError::OtherRow { found: 8, expected: 6 });
    let sealed = InclusionProof { sealed_digest: None, ..proof.clone() };
    assert!(matches!(check(&sealed, &trust(1)), ProofError::OtherLeaf { .. }));
    let path = InclusionProof { path: other.path, ..proof.clone() };
    assert_eq!(check(&path, &trust(1)), ProofError::NoPath { row: 6, size: 20 });
    let not_signed = NoteError::NotSigned(signer(2).verifier().identity());
    assert_eq!(check(&proof, &trust(2)), ProofError::Head(not_signed));
    assert_eq!(check(&proof, &Trust::default()), ProofError::NothingTrusted);
    let fork = Trust { head: Some(signer(1).sign(20, Digest::of(b"fork"))), ..trust(1) };
    assert!(matches!(check(&proof, &fork), ProofError::HeadDiffers { size: 20, .. }));
    let older = Trust { head: Some(log.head(&signer(1), 13)), ..trust(1) };
    assert_eq!(check(&proof, &older), ProofError::OtherSize { found: 20, pinned: 13 });
    let strange = Trust { head: Some(log.head(&signer(2), 20)), ..trust(1) };
    assert!(matches!(check(&proof, &strange), ProofError::PinnedHead(_)));
}

#[test]
fn a_proof_carries_the_way_from_an_old_key_to_its_own() {
    let log = Log::of(20);
    let rotation = Rotation::sign(Seq(10), &signer(1), &signer(2));
    let proof = InclusionProof { rotations: vec![rotation.note.clone()], ..log.prove(&signer(2), 6, 20) };
    let read = InclusionProof::from_text(&proof.to_text()).unwrap();
    assert_eq!(read.check(&trust(1)).unwrap().size, 20);
    assert_eq!(read.check(&trust(2)).unwrap().size, 20);
    assert!(matches!(read.check(&trust(3)).unwrap_err(), ProofError::Head(NoteError::NotSigned(_))));
    // The retired key signs on, which whoever was told of the rotation refuses.
    let mut told = key(1);
    told.follow(&[rotation.note]).unwrap();
    let late = log.prove(&signer(1), 6, 20).check(&Trust { key: Some(told), head: None });
    assert!(matches!(late.unwrap_err(), ProofError::Head(NoteError::Retired { seq: 10, size: 20, .. })));
}

#[test]
fn a_consistency_proof_holds_from_the_head_it_starts_from() {
    let log = Log::of(20);
    for (old, size) in [(1, 20), (8, 20), (13, 19), (20, 20)] {
        let path = merkle::consistency(&log, old, size).unwrap();
        let proof = ConsistencyProof { old, path, head: log.head(&signer(1), size) };
        let read = ConsistencyProof::from_text(&proof.to_text()).unwrap();
        assert_eq!(read, proof);
        let from = |note| Trust { key: Some(key(1)), head: Some(note) };
        let (older, newer) = read.check(&from(log.head(&signer(1), old))).unwrap();
        assert_eq!((older.size, newer.size), (old, size));
        let fork = read.check(&from(signer(1).sign(old, Digest::of(b"fork"))));
        assert_eq!(fork, Err(ProofError::NotAPrefix { old, size }));
        let elsewhere = read.check(&from(log.head(&signer(1), 3)));
        assert_eq!(elsewhere, Err(ProofError::OtherStart { found: old, pinned: 3 }));
        assert_eq!(read.check(&trust(1)), Err(ProofError::NothingTrusted));
    }
}

proptest! {
    #[test]
    fn no_changed_byte_of_a_proof_file_proves_anything_else(rows in 1u64..40, pick in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), bit in 0u8..7) {
        let log = Log::of(rows);
        let proof = log.prove(&signer(1), pick.index(usize::try_from(rows).unwrap()) as u64 + 1, rows);
        let mut bytes = proof.to_text().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let Ok(text) = String::from_utf8(bytes) else { return Ok(()) };
        let Ok(read) = InclusionProof::from_text(&text) else { return Ok(()) };
        // A change that leaves what is proven as it is (white space in the unsigned part) may pass.
        if read.check(&trust(1)).is_ok() {
            prop_assert_eq!((read.seq, &read.record, read.sealed_digest), (proof.seq, &proof.record, proof.sealed_digest));
            prop_assert_eq!(Head::claimed(&read.head), Head::claimed(&proof.head));
        }
    }
}
