//! The RFC 6962 SHA-256 Merkle tree: an incremental frontier, roots of any prefix, proofs and their checks.
//!
//! Pure. Where node hashes are kept is the caller's affair ([`Nodes`]). Start reading at [`Frontier`].

use domain::Digest;
use sha2::{Digest as _, Sha256};

/// Root of the empty tree: SHA-256 of nothing.
pub fn empty_root() -> Digest {
    Digest(Sha256::digest([]).into())
}

/// Hash of an interior node.
pub fn parent(left: &Digest, right: &Digest) -> Digest {
    let mut block = [1; 65];
    block[1..33].copy_from_slice(&left.0);
    block[33..].copy_from_slice(&right.0);
    Digest(Sha256::digest(block).into())
}

/// Hash of a leaf over its bytes.
pub fn leaf(bytes: &[u8]) -> Digest {
    Digest(Sha256::new_with_prefix([0]).chain_update(bytes).finalize().into())
}

/// The right edge of a growing tree: the roots of its full subtrees, largest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    /// One per set bit of `size`, so at most 64.
    peaks: Vec<Digest>,
}

impl Frontier {
    /// The frontier of the first `size` leaves.
    ///
    /// # Errors
    /// Those of `nodes`.
    pub fn load<N: Nodes>(nodes: &N, size: u64) -> Result<Frontier, N::Error> {
        let mut begin = 0;
        let mut peaks = Vec::new();
        for level in (0..64).rev().filter(|level| size >> level & 1 == 1) {
            peaks.push(nodes.node(level, begin >> level)?);
            begin += 1 << level;
        }
        Ok(Frontier { size, peaks })
    }

    /// Number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf; calls `completed(level, index, hash)` for each interior node that is now full.
    pub fn push(&mut self, leaf: Digest, mut completed: impl FnMut(u32, u64, Digest)) {
        let (mut node, mut level, mut index) = (leaf, 0, self.size);
        while index & 1 == 1 {
            // A set low bit of `size` is a peak, so the stack holds the left sibling.
            let left = self.peaks.pop().unwrap_or_else(empty_root);
            node = parent(&left, &node);
            level += 1;
            index >>= 1;
            completed(level, index, node);
        }
        self.peaks.push(node);
        self.size += 1;
    }

    /// The Merkle tree hash.
    pub fn root(&self) -> Digest {
        let mut peaks = self.peaks.iter().rev().copied();
        let Some(last) = peaks.next() else { return empty_root() };
        peaks.fold(last, |right, left| parent(&left, &right))
    }
}

/// Where the hashes of full subtrees are kept.
pub trait Nodes {
    /// What can go wrong with reading a hash.
    type Error;

    /// The root of the full subtree over leaves `index << level .. (index + 1) << level`.
    ///
    /// # Errors
    /// When the hash cannot be read.
    fn node(&self, level: u32, index: u64) -> Result<Digest, Self::Error>;
}

/// The root over leaves `begin..end`, where `begin` is a multiple of the smallest power of two that covers them.
fn range_root<N: Nodes>(nodes: &N, begin: u64, end: u64) -> Result<Digest, N::Error> {
    let count = end - begin;
    if count.is_power_of_two() {
        let level = count.trailing_zeros();
        return nodes.node(level, begin >> level);
    }
    let middle = begin + split(count);
    Ok(parent(&range_root(nodes, begin, middle)?, &range_root(nodes, middle, end)?))
}

/// The largest power of two below `count`, for `count >= 2`.
fn split(count: u64) -> u64 {
    1 << (63 - (count - 1).leading_zeros())
}

/// RFC 6962 audit path of leaf `index` in the tree of `size` leaves, from the leaf upwards; empty when there is
/// no such leaf.
///
/// # Errors
/// Those of `nodes`.
pub fn inclusion<N: Nodes>(nodes: &N, index: u64, size: u64) -> Result<Vec<Digest>, N::Error> {
    let mut path = Vec::new();
    let (mut begin, mut end) = (0, size);
    if index >= size {
        return Ok(path);
    }
    while end - begin > 1 {
        let middle = begin + split(end - begin);
        if index < middle {
            path.push(range_root(nodes, middle, end)?);
            end = middle;
        } else {
            path.push(range_root(nodes, begin, middle)?);
            begin = middle;
        }
    }
    path.reverse();
    Ok(path)
}

/// RFC 6962 consistency proof that the tree of `old` leaves is a prefix of the tree of `size` leaves.
///
/// # Errors
/// Those of `nodes`.
pub fn consistency<N: Nodes>(nodes: &N, old: u64, size: u64) -> Result<Vec<Digest>, N::Error> {
    let mut path = Vec::new();
    let (mut begin, mut end) = (0, size);
    if old == 0 || old >= size {
        return Ok(path);
    }
    while end != old {
        let middle = begin + split(end - begin);
        if old <= middle {
            path.push(range_root(nodes, middle, end)?);
            end = middle;
        } else {
            path.push(range_root(nodes, begin, middle)?);
            begin = middle;
        }
    }
    if begin > 0 {
        path.push(range_root(nodes, begin, end)?);
    }
    path.reverse();
    Ok(path)
}

/// Whether `path` proves that `leaf` is at `index` of the tree with this size and root (RFC 9162, 2.1.3.2).
pub fn included(leaf: &Digest, index: u64, size: u64, path: &[Digest], root: &Digest) -> bool {
    if index >= size {
        return false;
    }
    let (mut node_at, mut last, mut hash) = (index, size - 1, *leaf);
    for sibling in path {
        if last == 0 {
            return false;
        }
        if node_at & 1 == 1 || node_at == last {
            hash = parent(sibling, &hash);
            while node_at & 1 == 0 && node_at != 0 {
                node_at >>= 1;
                last >>= 1;
            }
        } else {
            hash = parent(&hash, sibling);
        }
        node_at >>= 1;
        last >>= 1;
    }
    last == 0 && hash == *root
}

/// Whether `path` proves that the tree (old, old_root) is a prefix of (size, root) (RFC 9162, 2.1.4.2).
pub fn consistent(old: u64, old_root: &Digest, size: u64, root: &Digest, path: &[Digest]) -> bool {
    if old == 0 || old >= size {
        return path.is_empty() && (old == size && old_root == root || old == 0 && *old_root == empty_root());
    }
    let mut path = path.iter();
    let first = if old.is_power_of_two() { Some(old_root) } else { path.next() };
    let Some(first) = first else { return false };
    let shift = (old - 1).trailing_ones();
    let (mut node_at, mut last) = ((old - 1) >> shift, (size - 1) >> shift);
    let (mut old_hash, mut hash) = (*first, *first);
    for sibling in path {
        if last == 0 {
            return false;
        }
        if node_at & 1 == 1 || node_at == last {
            old_hash = parent(sibling, &old_hash);
            hash = parent(sibling, &hash);
            while node_at & 1 == 0 && node_at != 0 {
                node_at >>= 1;
                last >>= 1;
            }
        } else {
            hash = parent(&hash, sibling);
        }
        node_at >>= 1;
        last >>= 1;
    }
    last == 0 && old_hash == *old_root && hash == *root
}

#[cfg(test)]
mod tests;
