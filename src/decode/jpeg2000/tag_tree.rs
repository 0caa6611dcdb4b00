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
