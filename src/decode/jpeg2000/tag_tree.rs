//! Tag trees: the smallest value of each block of four, level by level, coded in steps.
//!
//! # Source
//! T.800 B.10.2.

use super::packet_bits::PacketBits;
use crate::reason::Fault;

/// Most levels: a grid of 2^32 by 2^32.
const LEVELS: usize = 33;

/// One node: what is known of its value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Node {
    /// The value is at least this.
    least: u16,
    /// The value, where `is_known`.
    is_known: bool,
}

/// A node of which nothing is known.
pub(super) const UNKNOWN: Node = Node { least: 0, is_known: false };

/// Nodes of a tree over `wide` by `high` leaves.
pub(super) fn nodes(wide: u32, high: u32) -> usize {
    levels(wide, high).map(|(wide, high)| wide as usize * high as usize).sum()
}

/// Sizes of the levels, leaves first, the root last; none for a grid without leaves.
fn levels(wide: u32, high: u32) -> impl Iterator<Item = (u32, u32)> {
    let first = (wide > 0 && high > 0).then_some((wide, high));
    std::iter::successors(first, |&(wide, high)| {
        ((wide, high) != (1, 1)).then_some((wide.div_ceil(2), high.div_ceil(2)))
    })
}

/// Whether the value of the leaf at (`row`, `column`) is below `limit`, reading the bits that this
/// takes. `tree` holds [`nodes`] nodes, level by level from the leaves.
///
/// # Errors
/// Reason `decode_failed` where the bits end.
pub(super) fn is_below(
    tree: &mut [Node],
    (wide, high): (u32, u32),
    (row, column): (u32, u32),
    limit: u16,
    bits: &mut PacketBits<'_>,
) -> Result<bool, Fault> {
    let mut path = [0usize; LEVELS];
    let mut depth = 0;
    let mut start = 0;
    for ((wide, high), level) in levels(wide, high).zip(0u32..) {
        if let Some(at) = path.get_mut(depth) {
            *at = start + (row >> level) as usize * wide as usize + (column >> level) as usize;
        }
        depth += 1;
        start += wide as usize * high as usize;
    }
    let mut least = 0;
    let mut is_known = false;
    for &at in path.iter().take(depth).rev() {
        let Some(node) = tree.get_mut(at) else { continue };
        node.least = node.least.max(least);
        while !node.is_known && node.least < limit {
            match bits.bit()? {
                1 => node.is_known = true,
                _ => node.least += 1,
            }
        }
        Node { least, is_known } = *node;
    }
    Ok(is_known && least < limit)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The bits of an encoder: for each leaf in turn, what tells whether its value is below `limit`.
    fn coded(values: &[u16], (wide, high): (u32, u32), limits: &[u16]) -> Vec<u8> {
        let mut trees = vec![((wide, high), values.to_vec())];
        while let Some(&((wide, high), ref below)) = trees.last()
            && (wide, high) != (1, 1)
        {
            let (half, rows) = (wide.div_ceil(2), high.div_ceil(2));
            let mut above = vec![u16::MAX; (half * rows) as usize];
            for (at, &value) in (0u32..).zip(below) {
                let to = &mut above[(at / wide / 2 * half + at % wide / 2) as usize];
                *to = (*to).min(value);
            }
            trees.push(((half, rows), above));
        }
        let mut told: Vec<Vec<(u16, bool)>> = trees.iter().map(|(_, tree)| vec![(0, false); tree.len()]).collect();
        let mut bits = Vec::new();
        for (leaf, &limit) in (0u32..).zip(limits) {
            let mut least = 0;
            for level in (0..trees.len()).rev() {
                let ((width, _), tree) = &trees[level];
                let at = (((leaf / wide) >> level) * width + ((leaf % wide) >> level)) as usize;
                let (known, is_known) = &mut told[level][at];
                *known = (*known).max(least);
                while !*is_known && *known < limit {
                    *is_known = tree[at] == *known;
                    *known += u16::from(!*is_known);
                    bits.push(*is_known);
                }
                least = *known;
            }
        }
        stuffed(&bits)
    }

    fn stuffed(bits: &[bool]) -> Vec<u8> {
        let (mut bytes, mut rest) = (vec![0u8], bits.iter());
        loop {
            let count = if bytes.last() == Some(&0xFF) { 7 } else { 8 };
            let byte = (0..count).fold(0, |byte, _| byte << 1 | u8::from(rest.next().copied().unwrap_or(false)));
            bytes.push(byte);
            if rest.len() == 0 && byte != 0xFF {
                return bytes.split_off(1);
            }
        }
    }

    #[test]
    fn two_leaves_share_their_smallest_value() {
        // 1 and 3: the root is 1 (bits 0 1), the first leaf is 1 (1), the second 3 (0 0 1).
        let bytes = [0b0110_0100];
        let (mut tree, mut bits) = (vec![UNKNOWN; nodes(2, 1)], PacketBits::new(&bytes));
        assert_eq!(is_below(&mut tree, (2, 1), (0, 0), 2, &mut bits), Ok(true));
        assert_eq!(is_below(&mut tree, (2, 1), (0, 1), 3, &mut bits), Ok(false));
        assert_eq!(is_below(&mut tree, (2, 1), (0, 1), 4, &mut bits), Ok(true));
    }

    proptest! {
        #[test]
        fn what_is_coded_is_decoded(
            wide in 1u32..9, high in 1u32..9, values in proptest::collection::vec((0u16..12, 0u16..14), 64),
        ) {
            let count = (wide * high) as usize;
            let (values, limits): (Vec<u16>, Vec<u16>) = values.into_iter().take(count).unzip();
            let bytes = coded(&values, (wide, high), &limits);
            let (mut tree, mut bits) = (vec![UNKNOWN; nodes(wide, high)], PacketBits::new(&bytes));
            for (at, (&value, &limit)) in (0u32..).zip(values.iter().zip(&limits)) {
                let found = is_below(&mut tree, (wide, high), (at / wide, at % wide), limit, &mut bits);
                prop_assert_eq!(found, Ok(value < limit));
            }
        }
    }
}
