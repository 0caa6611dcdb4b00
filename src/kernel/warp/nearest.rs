//! Turning a mask: nearest neighbour, eight pixels at a time where all are alike.

use std::ops::Range;

use super::hull;
use super::lookup::{Lookup, ONE, Walk};
use crate::kernel::affine::Affine;
use crate::kernel::mask::Mask;

/// Turns a mask by `map` (source to destination; pixel centres on integers), nearest neighbour, in
/// the size of the source. Pixels from outside the frame are not set.
///
/// Ties: a position half-way between two pixels takes the one of the larger column, and of the
/// larger row. The identity gives the source; a map that has no inverse gives an empty mask.
pub fn mask(source: &Mask, map: &Affine) -> Mask {
    let (rows, columns) = source.dim();
    let mut turned = Mask::empty(rows, columns);
    let Some(lookup) = Lookup::of(map) else { return turned };
    let (spans, blocks) = (hull::reach(source, map, 1), Blocks::of(source));
    for row in 0..rows {
        let walk = lookup.row(row).moved_by_half();
        let span = walk.clip(spans.row(row), 0..columns as i64, 0..rows as i64);
        if !span.is_empty() {
            turn_row(source, &blocks, walk, span, turned.row_mut(row));
        }
    }
    turned
}

/// Pixels of a group in the destination, and rows and columns of a block in the source.
const BLOCK: usize = 8;

/// Fills the pixels of `span`, whose positions lie in the mask, in the words of one destination row.
fn turn_row(source: &Mask, blocks: &Blocks, walk: Walk, span: Range<usize>, words: &mut [u64]) {
    // Then the positions of a group lie in four blocks, of which the upper left one is their corner's.
    let is_near = [walk.column, walk.row].iter().all(|line| line.step.unsigned_abs() <= ONE as u64);
    let corner = walk.moved_to_corner(BLOCK as i64);
    for group in span.start / BLOCK..span.end.div_ceil(BLOCK) {
        let (column, row) = corner.pixel(group * BLOCK);
        let columns = span.start.max(group * BLOCK)..span.end.min((group + 1) * BLOCK);
        let (word, shift) = (&mut words[group * BLOCK / 64], columns.start % 64);
        match blocks.four_from(row as usize, column as usize) {
            State::Clear if is_near => {}
            State::Set if is_near => *word |= !0 >> (64 - columns.len()) << shift,
            _ => *word |= bits_of(source, walk, columns) << shift,
        }
    }
}

/// At most [`BLOCK`] pixels of the destination, the first in bit 0.
fn bits_of(source: &Mask, walk: Walk, columns: Range<usize>) -> u64 {
    let (from_columns, from_rows) =
        (walk.column.positions::<BLOCK>(columns.start), walk.row.positions::<BLOCK>(columns.start));
    let mut bits = 0;
    for lane in 0..columns.len().min(BLOCK) {
        let (column, row) = ((from_columns[lane] >> 32) as usize, (from_rows[lane] >> 32) as usize);
        bits |= (source.row(row)[column / 64] >> (column % 64) & 1) << lane;
    }
    bits
}

/// What is known of the pixels of some blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Clear,
    Set,
    Mixed,
}

/// For each block of 8 x 8 pixels, what it and its three neighbours to the right and below hold. Beyond
/// the mask nothing is set.
struct Blocks {
    columns: usize,
    /// Bits [`CLEAR`] and [`SET`], with a row and a column of blocks beyond the mask.
    states: Vec<u8>,
}

const CLEAR: u8 = 1;
const SET: u8 = 2;

impl Blocks {
    fn of(mask: &Mask) -> Blocks {
        let rows = mask.dim().0;
        let (block_rows, columns) = (rows.div_ceil(BLOCK), 8 * mask.dim().1.div_ceil(64) + 1);
        let mut states = vec![CLEAR; (block_rows + 1) * columns];
        for (row, states) in states.chunks_exact_mut(columns).take(block_rows).enumerate() {
            let lines = (row * BLOCK..rows.min((row + 1) * BLOCK)).map(|row| mask.row(row));
            let is_whole = lines.len() == BLOCK;
            for (word, states) in states[..columns - 1].chunks_exact_mut(8).enumerate() {
                let (any, all) = lines.clone().fold((0, !0), |(any, all), line| (any | line[word], all & line[word]));
                for ((state, any), all) in states.iter_mut().zip(any.to_le_bytes()).zip(all.to_le_bytes()) {
                    *state = match any == 0 {
                        true => CLEAR,
                        false => u8::from(all == 0xff && is_whole) * SET,
                    };
                }
            }
        }
        // Each with what is right of it, then below; both are still as they were when they are looked at.
        for i in 1..states.len() {
            states[i - 1] &= states[i];
        }
        for i in columns..states.len() {
            states[i - columns] &= states[i];
        }
        Blocks { columns, states }
    }

    /// What four blocks hold, of which the upper left one is that of this pixel. Nothing is known of a
    /// pixel left of the mask or above it (as which row and column have wrapped) or far beyond it.
    fn four_from(&self, row: usize, column: usize) -> State {
        match self.states.get((row / BLOCK).wrapping_mul(self.columns).wrapping_add(column / BLOCK)) {
            Some(&state) if state & SET != 0 => State::Set,
            Some(&state) if state & CLEAR != 0 => State::Clear,
            _ => State::Mixed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_blocks_count() {
        let mut mask = Mask::empty(40, 100);
        for row in 0..24 {
            for column in 40..64 {
                mask.set(row, column, true);
            }
        }
        let blocks = Blocks::of(&mask);
        assert_eq!(blocks.four_from(15, 48), State::Set);
        assert_eq!(blocks.four_from(15, 56), State::Mixed);
        assert_eq!(blocks.four_from(16, 48), State::Mixed);
        assert_eq!(blocks.four_from(39, 99), State::Clear);
        mask.set(23, 63, false);
        assert_eq!(Blocks::of(&mask).four_from(15, 48), State::Mixed);
        assert_eq!(Blocks::of(&mask).four_from(7, 48), State::Set);
    }
}
