use std::convert::Infallible;

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use domain::digest::unhex;
use proptest::prelude::*;
use sha2::Sha256;

use super::*;

/// Leaves in memory; every full subtree is recomputed from them, so nothing is shared with [`Frontier`].
struct Leaves(Vec<Digest>);

impl Nodes for Leaves {
    type Error = Infallible;
    fn node(&self, level: u32, index: u64) -> Result<Digest, Infallible> {
        if level == 0 {
            return Ok(self.0[usize::try_from(index).unwrap()]);
        }
        Ok(parent(&self.node(level - 1, 2 * index)?, &self.node(level - 1, 2 * index + 1)?))
    }
}

fn grown(leaves: &[Digest]) -> Frontier {
    let mut frontier = Frontier::default();
    for leaf in leaves {
        frontier.push(*leaf, |_, _, _| ());
    }
    frontier
}

fn leaves(count: u64) -> Vec<Digest> {
    (0..count).map(|number| leaf(&number.to_be_bytes())).collect()
}

/// The eight inputs of certificate-transparency's own test (`merkle_tree_test.cc`).
const INPUTS: [&str; 8] =
    ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];

fn published_leaves(count: usize) -> Vec<Digest> {
    let bytes = |input: &&str| -> Vec<u8> {
        (0..input.len() / 2).map(|at| unhex::<1>(&input[2 * at..2 * at + 2]).unwrap()[0]).collect()
    };
    INPUTS.iter().take(count).map(|input| leaf(&bytes(input))).collect()
}

/// Its roots.
#[test]
fn certificate_transparency_vectors_hold() {
    let roots = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    let mut frontier = Frontier::default();
    assert_eq!(frontier.root(), empty_root());
    for (leaf, root) in published_leaves(8).into_iter().zip(roots) {
        frontier.push(leaf, |_, _, _| ());
        assert_eq!(frontier.root().to_string(), root);
    }
}

/// Its audit paths and consistency proofs (index counted from 0).
#[test]
fn certificate_transparency_proofs_hold() {
    let (a, b, c, d) = (
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    );
    let (e, f, g, h, i) = (
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
    );
    let text = |path: Vec<Digest>| path.iter().map(Digest::to_string).collect::<Vec<_>>();
    let paths: [(u64, usize, &[&str]); 5] =
        [(0, 1, &[]), (0, 8, &[a, b, c]), (5, 8, &[d, e, f]), (2, 3, &[g]), (1, 5, &[h, b, d])];
    for (index, size, expected) in paths {
        let path = inclusion(&Leaves(published_leaves(size)), index, size as u64).unwrap();
        assert_eq!(text(path), expected, "leaf {index} of {size}");
    }
    let proofs: [(u64, usize, &[&str]); 4] =
        [(1, 1, &[]), (1, 8, &[a, b, c]), (6, 8, &[i, e, f]), (2, 5, &[b, d])];
    for (old, size, expected) in proofs {
        let path = consistency(&Leaves(published_leaves(size)), old, size as u64).unwrap();
        assert_eq!(text(path), expected, "from {old} to {size}");
    }
}

/// Every leaf and every prefix of every small tree: what we make is what ct-merkle makes and what the C2SP tile library accepts.
#[test]
fn every_proof_of_every_small_tree_is_accepted_by_two_other_libraries() {
    let theirs = |digest: &Digest| tlog_tiles::Hash(digest.0);
    let mut oracle = MemoryBackedTree::<Sha256, [u8; 8]>::new();
    let roots: Vec<Digest> = (0..=96).map(|size| grown(&leaves(size)).root()).collect();
    for size in 1u64..=96 {
        oracle.push((size - 1).to_be_bytes());
        let (tree, root) = (Leaves(leaves(size)), roots[usize::try_from(size).unwrap()]);
        for index in 0..size {
            let at = usize::try_from(index).unwrap();
            let path = inclusion(&tree, index, size).unwrap();
            let bytes: Vec<u8> = path.iter().flat_map(|digest| digest.0).collect();
            assert_eq!(bytes.as_slice(), oracle.prove_inclusion(at).as_bytes());
            let proof = path.iter().map(theirs).collect();
            tlog_tiles::check_record(&proof, size, theirs(&root), index, theirs(&tree.0[at])).unwrap();
        }
        for old in 1..=size {
            let (at, path) = (usize::try_from(old).unwrap(), consistency(&tree, old, size).unwrap());
            let bytes: Vec<u8> = path.iter().flat_map(|digest| digest.0).collect();
            if old < size {
                let grown_by = usize::try_from(size - old).unwrap();
                assert_eq!(bytes.as_slice(), oracle.prove_consistency(grown_by).as_bytes());
            }
            let proof = path.iter().map(theirs).collect();
            tlog_tiles::check_tree(&proof, size, theirs(&root), old, theirs(&roots[at])).unwrap();
            assert!(consistent(old, &roots[at], size, &root, &path));
        }
    }
}

#[test]
fn roots_equal_those_of_ct_merkle_for_every_small_size() {
    let mut oracle = MemoryBackedTree::<Sha256, [u8; 8]>::new();
    let mut frontier = Frontier::default();
    for number in 0u64..700 {
        oracle.push(number.to_be_bytes());
        frontier.push(leaf(&number.to_be_bytes()), |_, _, _| ());
        assert_eq!(frontier.root().0.as_slice(), oracle.root().as_bytes().as_slice(), "size {}", number + 1);
    }
}

proptest! {
    #[test]
    fn a_loaded_frontier_equals_the_grown_one(count in 0u64..600) {
        let all = leaves(count);
        prop_assert_eq!(Frontier::load(&Leaves(all.clone()), count).unwrap(), grown(&all));
    }

    #[test]
    fn completed_nodes_are_the_full_subtrees(count in 1u64..300) {
        let all = leaves(count);
        let (mut frontier, mut nodes) = (Frontier::default(), Vec::new());
        for leaf in &all {
            frontier.push(*leaf, |level, index, hash| nodes.push((level, index, hash)));
        }
        let tree = Leaves(all);
        for (level, index, hash) in &nodes {
            prop_assert_eq!(tree.node(*level, *index).unwrap(), *hash);
        }
        prop_assert_eq!(nodes.len() as u64, count - u64::from(count.count_ones()));
    }

    #[test]
    fn inclusion_proofs_equal_those_of_ct_merkle(count in 1u64..400, at in any::<prop::sample::Index>()) {
        let at = at.index(usize::try_from(count).unwrap());
        let mut oracle = MemoryBackedTree::<Sha256, [u8; 8]>::new();
        (0..count).for_each(|number| oracle.push(number.to_be_bytes()));
        let path = inclusion(&Leaves(leaves(count)), at as u64, count).unwrap();
        let bytes: Vec<u8> = path.iter().flat_map(|digest| digest.0).collect();
        let theirs = oracle.prove_inclusion(at);
        prop_assert_eq!(bytes.as_slice(), theirs.as_bytes());
    }

    #[test]
    fn an_inclusion_proof_holds_for_its_leaf_place_and_root_only(count in 1u64..300, at in any::<prop::sample::Index>(), flip in 0usize..256) {
        let at = at.index(usize::try_from(count).unwrap()) as u64;
        let all = leaves(count);
        let root = grown(&all).root();
        let leaf = all[usize::try_from(at).unwrap()];
        let path = inclusion(&Leaves(all), at, count).unwrap();
        prop_assert!(included(&leaf, at, count, &path, &root));
        let mut wrong = leaf;
        wrong.0[flip / 8] ^= 1 << (flip % 8);
        prop_assert!(!included(&wrong, at, count, &path, &root));
        prop_assert!(!included(&leaf, at, count, &path, &wrong));
        prop_assert!(!included(&leaf, at + 1, count, &path, &root) || at + 1 == count && count == 1);
        let mut longer = path.clone();
        longer.push(leaf);
        prop_assert!(!included(&leaf, at, count, &longer, &root));
        for step in 0..path.len() {
            let mut broken = path.clone();
            broken[step].0[flip / 8] ^= 1 << (flip % 8);
            prop_assert!(!included(&leaf, at, count, &broken, &root));
        }
    }

    #[test]
    fn a_consistency_proof_holds_for_prefixes_only(count in 1u64..300, old in any::<prop::sample::Index>(), flip in 0usize..256) {
        let old = old.index(usize::try_from(count).unwrap()) + 1;
        let all = leaves(count);
        let (root, old_root) = (grown(&all).root(), grown(&all[..old]).root());
        let path = consistency(&Leaves(all), old as u64, count).unwrap();
        prop_assert!(consistent(old as u64, &old_root, count, &root, &path));
        let mut wrong = old_root;
        wrong.0[flip / 8] ^= 1 << (flip % 8);
        prop_assert!(!consistent(old as u64, &wrong, count, &root, &path));
        prop_assert!(!consistent(old as u64, &old_root, count, &wrong, &path));
        let mut oracle = MemoryBackedTree::<Sha256, [u8; 8]>::new();
        (0..count).for_each(|number| oracle.push(number.to_be_bytes()));
        if old as u64 != count {
            let bytes: Vec<u8> = path.iter().flat_map(|digest| digest.0).collect();
            let theirs = oracle.prove_consistency(usize::try_from(count).unwrap() - old);
            prop_assert_eq!(bytes.as_slice(), theirs.as_bytes());
        }
    }
}
