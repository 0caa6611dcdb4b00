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
    // So near are a group's positions to its first: never farther than in the next block.
    let is_near = [walk.column, walk.row].iter().all(|line| line.step.unsigned_abs() <= ONE as u64);
    for group in span.start / BLOCK..span.end.div_ceil(BLOCK) {
        let columns = span.start.max(group * BLOCK)..span.end.min((group + 1) * BLOCK);
        let (column, row) = walk.pixel(columns.start);
        let bits = match blocks.around(row as usize, column as usize) {
            State::Clear if is_near => continue,
            State::Set if is_near => !0 >> (64 - columns.len()),
            _ => bits_of(source, walk, columns.clone()),
        };
        words[columns.start / 64] |= bits << (columns.start % 64);
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

/// For each block of 8 x 8 pixels, what it and the eight blocks around it hold. Beyond the mask
/// nothing is set.
struct Blocks {
    columns: usize,
    /// Bits [`CLEAR`] and [`SET`], with a ring of blocks around the mask.
    states: Vec<u8>,
}

const CLEAR: u8 = 1;
const SET: u8 = 2;

impl Blocks {
    fn of(mask: &Mask) -> Blocks {
        let rows = mask.dim().0;
        let (block_rows, columns) = (rows.div_ceil(BLOCK) + 2, 8 * mask.dim().1.div_ceil(64) + 2);
        let mut own = vec![CLEAR; block_rows * columns];
        for (row, own) in own.chunks_exact_mut(columns).skip(1).take(block_rows - 2).enumerate() {
            let lines = (row * BLOCK..rows.min((row + 1) * BLOCK)).map(|row| mask.row(row));
            let is_whole = lines.len() == BLOCK;
            for (word, own) in own[1..columns - 1].chunks_exact_mut(8).enumerate() {
                let (any, all) = lines.clone().fold((0, !0), |(any, all), line| (any | line[word], all & line[word]));
                for ((state, any), all) in own.iter_mut().zip(any.to_le_bytes()).zip(all.to_le_bytes()) {
                    *state = u8::from(any == 0) * CLEAR | u8::from(all == 0xff && is_whole) * SET;
                }
            }
        }
        // Down and across: a state holds around a block where it holds in all nine.
        let mut states = own.clone();
        let last = own.len().saturating_sub(columns);
        for (i, state) in states.iter_mut().enumerate().take(last).skip(columns) {
            *state &= own[i - columns] & own[i + columns];
        }
        let down = states.clone();
        for (state, three) in states.iter_mut().skip(1).zip(down.windows(3)) {
            *state = three[0] & three[1] & three[2];
        }
        Blocks { columns, states }
    }

    /// What the block of a pixel and those around it hold.
    fn around(&self, row: usize, column: usize) -> State {
        match self.states.get((row / BLOCK + 1) * self.columns + column / BLOCK + 1) {
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
    fn around_a_block_all_nine_count() {
        let mut mask = Mask::empty(40, 100);
        for row in 0..24 {
            for column in 40..64 {
                mask.set(row, column, true);
            }
        }
        let blocks = Blocks::of(&mask);
        assert_eq!(blocks.around(15, 48), State::Set);
        assert_eq!(blocks.around(15, 56), State::Mixed);
        assert_eq!(blocks.around(7, 48), State::Mixed, "above the first row nothing is set");
        assert_eq!(blocks.around(39, 99), State::Clear);
        mask.set(23, 63, false);
        assert_eq!(Blocks::of(&mask).around(15, 48), State::Mixed);
    }
}
