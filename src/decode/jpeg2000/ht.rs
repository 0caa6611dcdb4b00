//! Code-blocks of the high-throughput coder: cleanup, significance propagation, refinement.
//!
//! # Source
//! T.814 clause 7. A quad is two columns of two rows; its samples count top left, bottom left, top
//! right, bottom right.

use super::failed;
use super::ht_bits::{Backward, Forward, Runs};
use super::ht_tables::{FIRST_ROW, OTHER_ROWS, Quad};
use super::tier1::{Block, NEGATIVE, Segment};
use crate::reason::Fault;

/// Quads of the widest block's row, a margin on both sides.
const QUADS: usize = 512 + 2;

/// Decodes blocks one after the other, in the same memory.
pub(super) struct HighThroughput {
    /// Row by row; sign and twice the magnitude, as [`NEGATIVE`] says.
    samples: Vec<u32>,
    /// Significance with a margin on all sides, for the passes after the cleanup.
    near: Vec<bool>,
    /// Of this row: quad and U.
    quads: [(Quad, u32); QUADS],
    /// Of the row above: which samples are significant, of quad q at q + 1.
    above: [u8; QUADS],
    /// Of the row above: the largest exponent of the bottom right sample of quad q - 1 and the bottom left
    /// one of quad q, at q; two of them, one being written.
    exponents: [[u8; QUADS]; 2],
}

impl Default for HighThroughput {
    fn default() -> HighThroughput {
        HighThroughput {
            samples: Vec::new(),
            near: Vec::new(),
            quads: [(Quad::default(), 0); QUADS],
            above: [0; QUADS],
            exponents: [[0; QUADS]; 2],
        }
    }
}

/// The streams of a cleanup pass.
struct Streams<'a> {
    runs: Runs<'a>,
    codes: Backward<'a>,
    samples: Forward<'a>,
}

impl<'a> Streams<'a> {
    /// The streams out of the pass's bytes (7.1.1): the last two hold the length of all but the
    /// samples.
    fn of(bytes: &'a [u8]) -> Result<Streams<'a>, Fault> {
        let wrong = || failed("the lengths of a high-throughput code-block are wrong");
        let &[.., low, high] = bytes else { return Err(wrong()) };
        let suffix = usize::from(high) << 4 | usize::from(low & 15);
        if !(2..=4079).contains(&suffix) {
            return Err(wrong());
        }
        let at = bytes.len().checked_sub(suffix).ok_or_else(wrong)?;
        let (samples, suffix) = bytes.split_at_checked(at).ok_or_else(wrong)?;
        Ok(Streams { runs: Runs::new(suffix), codes: Backward::of_codes(suffix), samples: Forward::new(samples, 0xFF) })
    }
}

impl HighThroughput {
    /// Decodes one block: `bytes` are those of its segments, the cleanup's and that of the other two
    /// passes. `most` is the bit planes of the subband. Gives the samples row by row.
    ///
    /// # Errors
    /// Reason `decode_failed`.
    pub(super) fn decode(
        &mut self,
        block: Block,
        most: u32,
        is_causal: bool,
        segments: &[Segment],
        bytes: &[u8],
    ) -> Result<&[u32], Fault> {
        let (cleanup, others) = match segments {
            [cleanup] => (cleanup, None),
            [cleanup, others] => (cleanup, Some(others)),
            _ => return Err(failed("a high-throughput code-block without a cleanup pass")),
        };
        if most > 30 {
            return Err(failed(format!("{most} bit planes, at most 30 are taken")));
        }
        let (cleanup, rest) = bytes.split_at_checked(cleanup.length).unwrap_or((bytes, &[]));
        self.clean_up(block, most, cleanup)?;
        let Some(others) = others else { return Ok(&self.samples) };
        if block.planes < 2 {
            return Err(failed("passes below the last plane"));
        }
        // Behind the plane of the cleanup, in the unit of the samples.
        let half = 1 << (block.planes - 2);
        let found = rest.get(..others.length).unwrap_or(rest);
        self.note_significance(block);
        if others.passes > 1 {
            self.refine(block, half, Backward::of_refinement(found));
        }
        self.propagate(block, half, is_causal, Forward::new(found, 0));
        Ok(&self.samples)
    }

    fn clean_up(&mut self, block: Block, most: u32, bytes: &[u8]) -> Result<(), Fault> {
        let mut streams = Streams::of(bytes)?;
        let (width, height) = (block.width, block.height);
        self.samples.clear();
        self.samples.resize(width * height, 0);
        self.above = [0; QUADS];
        self.exponents = [[0; QUADS]; 2];
        let count = width.div_ceil(2).min(QUADS - 2);
        // Planes above the block's, and two.
        let largest = most + 2 - block.planes;
        for (index, rows) in self.samples.chunks_mut(2 * width).enumerate() {
            let mask = if rows.len() == width { 0b0101 } else { 0b1111 };
            let quads = &mut self.quads[..count];
            if index == 0 {
                first_row(quads, &mut streams);
            } else {
                other_row(quads, &self.above, &mut streams);
            }
            check_inside(quads, mask, width % 2 == 1)?;
            for (above, (quad, _)) in self.above[1..].iter_mut().zip(&*quads) {
                *above = quad.significant();
            }
            let [before, after] = &mut self.exponents;
            magnitudes(quads, before, after, &mut streams.samples, rows, (width, block.planes, largest))?;
            before.copy_from_slice(after);
        }
        Ok(())
    }

    fn note_significance(&mut self, block: Block) {
        let wide = block.width + 2;
        self.near.clear();
        self.near.resize(wide * (block.height + 2), false);
        for (near, samples) in self.near.chunks_exact_mut(wide).skip(1).zip(self.samples.chunks_exact(block.width)) {
            for (near, &sample) in near.iter_mut().skip(1).zip(samples) {
                *near = sample != 0;
            }
        }
    }

    /// Magnitude refinement of what the cleanup found (7.4).
    fn refine(&mut self, block: Block, half: u32, mut bits: Backward<'_>) {
        for top in (0..block.height).step_by(4) {
            for column in 0..block.width {
                for row in top..block.height.min(top + 4) {
                    let Some(sample) = self.samples.get_mut(row * block.width + column) else { continue };
                    if *sample != 0 {
                        let bit = bits.peek() & 1;
                        bits.skip(1);
                        *sample = (*sample ^ ((1 - bit) * 2 * half)) | half;
                    }
                }
            }
        }
    }

    /// Significance propagation (7.3): stripes of four rows, groups of four columns; the signs of a group
    /// follow its decisions.
    fn propagate(&mut self, block: Block, half: u32, is_causal: bool, mut bits: Forward<'_>) {
        let wide = block.width + 2;
        for top in (0..block.height).step_by(4) {
            let bottom = block.height.min(top + 4);
            for left in (0..block.width).step_by(4) {
                let mut found = [0usize; 16];
                let mut count = 0;
                for column in left..block.width.min(left + 4) {
                    for row in top..bottom {
                        let at = row * block.width + column;
                        let sees_below = !is_causal || row + 1 < top + 4;
                        if self.samples.get(at) != Some(&0) || !self.has_neighbour(wide, row, column, sees_below) {
                            continue;
                        }
                        let is_significant = bits.peek() & 1 == 1;
                        bits.skip(1);
                        let near = self.near.get_mut((row + 1) * wide + column + 1);
                        if let (true, Some(found), Some(near)) = (is_significant, found.get_mut(count), near) {
                            *found = at;
                            *near = true;
                            count += 1;
                        }
                    }
                }
                for &at in found.iter().take(count) {
                    let sign = bits.peek() & 1;
                    bits.skip(1);
                    if let Some(sample) = self.samples.get_mut(at) {
                        *sample = (sign * NEGATIVE) | (3 * half);
                    }
                }
            }
        }
    }

    /// Whether one of the eight neighbours is significant.
    fn has_neighbour(&self, wide: usize, row: usize, column: usize, sees_below: bool) -> bool {
        let rows = if sees_below { 3 } else { 2 };
        let near = self.near.get(row * wide..).unwrap_or_default();
        near.chunks_exact(wide)
            .take(rows)
            .any(|near| near.get(column..column + 3).is_some_and(|three| three.contains(&true)))
    }
}

/// Quads and u of the first row of quads (7.3.5, 7.3.6).
fn first_row(quads: &mut [(Quad, u32)], streams: &mut Streams<'_>) {
    let Streams { runs, codes, .. } = streams;
    let mut context = 0;
    for pair in quads.chunks_mut(2) {
        for (quad, _) in pair.iter_mut() {
            *quad = next_quad(&FIRST_ROW, context, runs, codes);
            let found = u32::from(quad.significant());
            context = found & 1 | found >> 1;
        }
        let has = [pair.first(), pair.get(1)].map(|of| of.is_some_and(|(quad, _)| quad.has_offset()));
        let u = match has {
            [true, true] if runs.event() => {
                let [first, second] = two_offsets(codes);
                [first + 2, second + 2]
            }
            [true, true] => late_offsets(codes),
            has => offsets(has, codes),
        };
        pair.iter_mut().zip(u).for_each(|((_, to), u)| *to = u + 1);
    }
}

/// Quads and u of the other rows.
fn other_row(quads: &mut [(Quad, u32)], above: &[u8; QUADS], streams: &mut Streams<'_>) {
    let Streams { runs, codes, .. } = streams;
    let mut west = 0;
    // North-west, north, north-east quads of each.
    let mut north = above.windows(3);
    for pair in quads.chunks_mut(2) {
        for (quad, _) in pair.iter_mut() {
            let &[nw, n, ne] = north.next().and_then(|three| three.first_chunk()).unwrap_or(&[0; 3]);
            let context = u32::from((nw >> 3 | n >> 1) & 1) | west | u32::from((n >> 3 | ne >> 1) & 1) << 2;
            *quad = next_quad(&OTHER_ROWS, context, runs, codes);
            west = u32::from(quad.significant() >> 2 & 1 | quad.significant() >> 3) << 1;
        }
        let has = [pair.first(), pair.get(1)].map(|of| of.is_some_and(|(quad, _)| quad.has_offset()));
        let u = if has == [true, true] { two_offsets(codes) } else { offsets(has, codes) };
        pair.iter_mut().zip(u).for_each(|((_, to), u)| *to = u + 1);
    }
}

/// A quad by its context; without significant neighbours an event tells whether there is a code.
#[inline(always)]
fn next_quad(table: &[Quad; 1024], context: u32, runs: &mut Runs<'_>, codes: &mut Backward<'_>) -> Quad {
    if context == 0 && !runs.event() {
        return Quad::default();
    }
    let quad = table[((context << 7 | codes.peek() & 0x7F) & 1023) as usize];
    codes.skip(quad.code_length());
    quad
}

/// Length of the prefix, length of the suffix, value of the prefix of u (T.814 table 3).
fn prefix(bits: u32) -> (u32, u32, u32) {
    match bits & 7 {
        0 => (3, 5, 5),
        4 => (3, 1, 3),
        2 | 6 => (2, 0, 2),
        _ => (1, 0, 1),
    }
}

fn suffix(length: u32, codes: &mut Backward<'_>) -> u32 {
    let value = codes.peek() & ((1 << length) - 1);
    codes.skip(length);
    value
}

/// u of a pair of which at most one has an offset.
fn offsets(has: [bool; 2], codes: &mut Backward<'_>) -> [u32; 2] {
    if has == [false, false] {
        return [0, 0];
    }
    let (length, more, value) = prefix(codes.peek());
    codes.skip(length);
    let u = value + suffix(more, codes);
    if has[0] { [u, 0] } else { [0, u] }
}

/// u of a pair of which both have an offset.
fn two_offsets(codes: &mut Backward<'_>) -> [u32; 2] {
    let (length, first_more, first) = prefix(codes.peek());
    codes.skip(length);
    let (length, second_more, second) = prefix(codes.peek());
    codes.skip(length);
    let first = first + suffix(first_more, codes);
    [first, second + suffix(second_more, codes)]
}

/// u of a pair of the first row of which both have an offset and one is at most 2.
fn late_offsets(codes: &mut Backward<'_>) -> [u32; 2] {
    let (length, first_more, first) = prefix(codes.peek());
    if length < 3 {
        return two_offsets(codes);
    }
    codes.skip(length);
    let second = 1 + suffix(1, codes);
    [first + suffix(first_more, codes), second]
}

/// Whether no sample outside the block is significant: `mask` is that of the rows of these quads.
fn check_inside(quads: &[(Quad, u32)], mask: u8, is_odd: bool) -> Result<(), Fault> {
    let all = quads.iter().fold(0, |all, (quad, _)| all | quad.significant());
    let last = quads.last().map_or(0, |(quad, _)| quad.significant());
    if all & !mask != 0 || (is_odd && last & 0b1100 != 0) {
        return Err(failed("significant samples outside a code-block"));
    }
    Ok(())
}

/// Signs and magnitudes of one row of quads (7.3.3, 7.3.7, 7.3.8) into one or two `rows` of samples.
fn magnitudes(
    quads: &[(Quad, u32)],
    before: &[u8; QUADS],
    after: &mut [u8; QUADS],
    bits: &mut Forward<'_>,
    rows: &mut [u32],
    (width, planes, largest): (usize, u32, u32),
) -> Result<(), Fault> {
    let (top, bottom) = rows.split_at_mut(width);
    let shift = planes - 1;
    *after = [0; QUADS];
    let mut bits_here = *bits;
    for (index, &(quad, u)) in quads.iter().enumerate() {
        let significant = quad.significant();
        if significant == 0 {
            continue;
        }
        let mut bound = u;
        if significant & significant.wrapping_sub(1) != 0 {
            let exponent = before[index].max(before[index + 1]);
            bound += u32::from(exponent.saturating_sub(2));
        }
        if bound > largest {
            return Err(failed("a magnitude of more bit planes than there are"));
        }
        let mut exponents = [0u8; 4];
        let mut values = [0u32; 4];
        for (number, (value, exponent)) in values.iter_mut().zip(&mut exponents).enumerate() {
            if significant >> number & 1 == 0 {
                continue;
            }
            let length = bound.wrapping_sub(quad.known_bit(number));
            let found = bits_here.peek();
            bits_here.skip(length);
            let magnitude = found & (1u32.wrapping_shl(length)).wrapping_sub(1);
            let magnitude = magnitude | quad.top_bit(number).wrapping_shl(length) | 1;
            *value = found << 31 | magnitude.wrapping_add(2).wrapping_shl(shift);
            *exponent = (32 - magnitude.leading_zeros()) as u8;
        }
        after[index] = after[index].max(exponents[1]);
        after[index + 1] = exponents[3];
        let column = 2 * index;
        for (row, values) in [(&mut *top, [values[0], values[2]]), (&mut *bottom, [values[1], values[3]])] {
            match row.get_mut(column..) {
                Some([first, second, ..]) => (*first, *second) = (values[0], values[1]),
                Some([first]) => *first = values[0],
                _ => {}
            }
        }
    }
    *bits = bits_here;
    Ok(())
}
