//! Resampling under an affine map: bicubic for pixels, nearest neighbour for masks.
//!
//! Every destination pixel is looked up in the source through the inverse map. Source positions are
//! 32.32 fixed point: the inverse is rounded to 2^-32 px once, and from there a position is a sum
//! of integers, the same on every machine. Interpolation is f32 in a fixed order.

use std::ops::Range;

use ndarray::{Array2, ArrayView2};

use super::affine::Affine;
use super::mask::Mask;

/// The cubic's free parameter, OpenCV's.
const A: f32 = -0.75;
/// 1 px in fixed point.
const ONE: i64 = 1 << 32;
/// Adding this to an f32 of magnitude below 2^22 rounds it to an integer, ties to even.
const ROUNDER: f32 = 12_582_912.0;

/// Turns an 8-bit image by `map` (source to destination; pixel centres on integers), bicubic with
/// a = -0.75, in the size of the source. (row, column).
///
/// Pixels outside the frame count as `outside`; where no tap lies inside, the result is `outside`.
/// Rounded to the nearest integer, ties to even, saturated to 0..=255: what OpenCV's `warpAffine`
/// does with `INTER_CUBIC` and `BORDER_CONSTANT`, except that sums are rounded in another order,
/// so that a few pixels in ten thousand are 1 apart. The identity gives the source bit for bit; a
/// map that has no inverse gives `outside` everywhere.
///
/// # Source
/// R. Keys, "Cubic convolution interpolation for digital image processing", IEEE Trans. ASSP 29(6),
/// 1981; a = -0.75 is OpenCV's choice.
pub fn bicubic_u8(source: ArrayView2<'_, u8>, map: &Affine, outside: u8) -> Array2<u8> {
    bicubic(source, map, outside)
}

/// Turns an image of HU by `map` (source to destination; pixel centres on integers), bicubic with
/// a = -0.75, in the size of the source. (row, column).
///
/// Pixels outside the frame count as `outside`; where no tap lies inside, the result is `outside`.
/// The result is clamped to the smallest and largest of its 16 source pixels, so that no HU appears
/// that no neighbour comes near, then rounded half up. The identity gives the source bit for bit; a
/// map that has no inverse gives `outside` everywhere.
///
/// # Source
/// As [`bicubic_u8`].
pub fn bicubic_i16(source: ArrayView2<'_, i16>, map: &Affine, outside: i16) -> Array2<i16> {
    bicubic(source, map, outside)
}

/// Turns a mask by `map` (source to destination; pixel centres on integers), nearest neighbour, in
/// the size of the source. Pixels from outside the frame are not set.
///
/// Ties: a position half-way between two pixels takes the one of the larger column, and of the
/// larger row. The identity gives the source; a map that has no inverse gives an empty mask.
pub fn mask(source: &Mask, map: &Affine) -> Mask {
    let (rows, columns) = source.dim();
    let mut turned = Mask::empty(rows, columns);
    let (Some(lookup), Some(set)) = (Lookup::of(map), source.bounding_box()) else { return turned };
    for row in 0..rows {
        let walk = lookup.row(row).moved_by_half();
        let span = intersection(
            walk.column.within(columns, set.left as i64, set.right as i64),
            walk.row.within(columns, set.top as i64, set.bottom as i64),
        );
        let words = turned.row_mut(row);
        for column in span {
            let (from_column, from_row) = (walk.column.pixel(column) as usize, walk.row.pixel(column) as usize);
            let bit = source.row(from_row)[from_column / 64] >> (from_column % 64) & 1;
            words[column / 64] |= bit << (column % 64);
        }
    }
    turned
}

/// The inverse of a map in fixed point.
struct Lookup([i64; 6]);

impl Lookup {
    /// `None` where the map has no inverse, or one that scales by more than 2^12 or moves by more
    /// than 2^28 px: farther than any image reaches.
    fn of(map: &Affine) -> Option<Lookup> {
        let inverse = map.inverse().0;
        let mut fixed = [0; 6];
        for (i, (fixed, value)) in fixed.iter_mut().zip(inverse).enumerate() {
            let limit = if i % 3 == 2 { (1 << 28) as f64 } else { 4096.0 };
            if !value.is_finite() || value.abs() > limit {
                return None;
            }
            *fixed = (value * ONE as f64 + 0.5).floor() as i64;
        }
        Some(Lookup(fixed))
    }

    /// Where the pixels of one destination row come from.
    fn row(&self, row: usize) -> Walk {
        let [a, b, c, d, e, f] = self.0;
        let row = row as i64;
        Walk { column: Line { start: b * row + c, step: a }, row: Line { start: e * row + f, step: d } }
    }
}

/// Source positions along one destination row.
#[derive(Clone, Copy)]
struct Walk {
    column: Line,
    row: Line,
}

impl Walk {
    /// So that [`Line::pixel`] rounds half up instead of down.
    fn moved_by_half(self) -> Walk {
        let moved = |line: Line| Line { start: line.start + ONE / 2, ..line };
        Walk { column: moved(self.column), row: moved(self.row) }
    }

    /// The destination columns, of `columns`, whose source pixel (rounded down) lies in the half-open
    /// ranges of source columns and rows.
    fn within(&self, columns: usize, from_columns: Range<i64>, from_rows: Range<i64>) -> Range<usize> {
        intersection(
            self.column.within(columns, from_columns.start, from_columns.end),
            self.row.within(columns, from_rows.start, from_rows.end),
        )
    }
}

/// One coordinate along a destination row: `start + step * column`, in 2^-32 px.
#[derive(Clone, Copy)]
struct Line {
    start: i64,
    step: i64,
}

impl Line {
    /// The source pixel, rounded down.
    #[inline(always)]
    fn pixel(&self, column: usize) -> i64 {
        self.at(column) >> 32
    }

    // Wrapping, because the check for overflow costs a fifth of the kernel and `Lookup::of` bounds
    // the terms: 2^44 * 2^16 twice, and 2^60.
    #[inline(always)]
    fn at(&self, column: usize) -> i64 {
        self.start.wrapping_add(self.step.wrapping_mul(column as i64))
    }

    /// [`LANES`] positions from `column`.
    #[inline(always)]
    fn lanes(&self, column: usize) -> [i64; LANES] {
        let mut position = self.at(column);
        let mut positions = [0; LANES];
        for lane in &mut positions {
            *lane = position;
            position = position.wrapping_add(self.step);
        }
        positions
    }

    /// The columns of `0..columns` whose pixel is in `low..high`.
    fn within(&self, columns: usize, low: i64, high: i64) -> Range<usize> {
        let (low, high) = (low * ONE, high * ONE);
        let (low, high, step) = match self.step {
            0 if (low..high).contains(&self.start) => return 0..columns,
            0 => return 0..0,
            step if step > 0 => (low - self.start, high - self.start, step),
            // Mirrored: low <= at < high is 1 - high <= -at < 1 - low.
            step => (1 - high + self.start, 1 - low + self.start, -step),
        };
        let first_at_least = |bound: i64| (bound.div_euclid(step) + i64::from(bound.rem_euclid(step) > 0)).max(0);
        let clip = |bound: i64| first_at_least(bound).min(columns as i64) as usize;
        clip(low)..clip(high).max(clip(low))
    }
}

fn intersection(a: Range<usize>, b: Range<usize>) -> Range<usize> {
    let start = a.start.max(b.start);
    start..a.end.min(b.end).max(start)
}

/// Pixels that are interpolated side by side.
const LANES: usize = 8;
/// Pixels around the frame that taps of a position with at least one tap inside may reach.
const PADDING: usize = 3;

/// The taps of [`LANES`] positions: for each of the 4 rows, two words of packed pixels a position.
type Taps = [[[u32; LANES]; 2]; 4];
type Lanes = [f32; LANES];

/// A type of pixels that [`bicubic`] turns. Four neighbours travel packed in words, so that
/// unpacking and interpolating are plain arithmetic on lanes, which the compiler vectorises.
trait Sample: Copy {
    /// Whether [`Sample::finish`] looks at the taps' range.
    const CLAMPED: bool;
    /// Packs four neighbours of one row.
    fn pack(four: [Self; 4]) -> [u32; 2];
    /// Unpacks neighbour `i`.
    fn unpack(first: u32, second: u32, i: usize) -> f32;
    /// Rounds an interpolated value; `least` and `most` of its taps. The low bits are the pixel's.
    fn finish(value: f32, least: f32, most: f32) -> u32;
    /// The pixel of these low bits.
    fn from_bits(bits: u32) -> Self;
}

impl Sample for u8 {
    const CLAMPED: bool = false;

    #[inline(always)]
    fn pack(four: [u8; 4]) -> [u32; 2] {
        [u32::from_le_bytes(four), 0]
    }

    #[inline(always)]
    fn unpack(word: u32, _: u32, i: usize) -> f32 {
        (word >> (8 * i) & 0xff) as i32 as f32
    }

    #[inline(always)]
    fn finish(value: f32, _: f32, _: f32) -> u32 {
        (clamp(value, 0.0, 255.0) + ROUNDER).to_bits()
    }

    #[inline(always)]
    fn from_bits(bits: u32) -> u8 {
        bits as u8
    }
}

impl Sample for i16 {
    const CLAMPED: bool = true;

    #[inline(always)]
    fn pack([a, b, c, d]: [i16; 4]) -> [u32; 2] {
        let pair = |low: i16, high: i16| u32::from(low as u16) | u32::from(high as u16) << 16;
        [pair(a, b), pair(c, d)]
    }

    #[inline(always)]
    fn unpack(first: u32, second: u32, i: usize) -> f32 {
        let pair = if i < 2 { first } else { second };
        let pair = if i.is_multiple_of(2) { pair << 16 } else { pair };
        (pair as i32 >> 16) as f32
    }

    #[inline(always)]
    fn finish(value: f32, least: f32, most: f32) -> u32 {
        let value = clamp(value, least, most);
        let even = (value + ROUNDER) - ROUNDER;
        let half_up = even + if value - even == 0.5 { 1.0 } else { 0.0 };
        (half_up + ROUNDER).to_bits()
    }

    #[inline(always)]
    fn from_bits(bits: u32) -> i16 {
        bits as i16
    }
}

// Not `f32::min`, `max` and `clamp`: their rules for NaN cost instructions, and there is no NaN.
#[inline(always)]
fn least_of(a: f32, b: f32) -> f32 {
    if a < b { a } else { b }
}

#[inline(always)]
fn most_of(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

#[inline(always)]
fn clamp(value: f32, least: f32, most: f32) -> f32 {
    least_of(most_of(value, least), most)
}

fn bicubic<T: Sample>(source: ArrayView2<'_, T>, map: &Affine, outside: T) -> Array2<T> {
    if *map == Affine::IDENTITY {
        return source.to_owned();
    }
    let (rows, columns) = source.dim();
    let mut turned = Array2::from_elem((rows, columns), outside);
    let Some(lookup) = Lookup::of(map) else { return turned };
    let frame = Frame::pad(source, outside);
    for (row, mut line) in turned.outer_iter_mut().enumerate() {
        if let Some(line) = line.as_slice_mut() {
            frame.turn_row(lookup.row(row), line);
        }
    }
    turned
}

/// A source image with [`PADDING`] pixels of the outside around it: one copy, instead of a test for
/// the border at each of sixteen taps.
struct Frame<T> {
    pixels: Vec<T>,
    rows: usize,
    columns: usize,
    stride: usize,
}

impl<T: Sample> Frame<T> {
    fn pad(source: ArrayView2<'_, T>, outside: T) -> Frame<T> {
        let (rows, columns) = source.dim();
        let stride = columns + 2 * PADDING;
        let mut pixels = Vec::with_capacity(stride * (rows + 2 * PADDING));
        pixels.resize(stride * PADDING + PADDING, outside);
        for line in source.outer_iter() {
            match line.as_slice() {
                Some(line) => pixels.extend_from_slice(line),
                None => pixels.extend(line.iter()),
            }
            pixels.resize(pixels.len() + 2 * PADDING, outside);
        }
        pixels.resize(stride * (rows + 2 * PADDING), outside);
        Frame { pixels, rows, columns, stride }
    }

    /// Fills the part of one destination row that has a tap inside the source.
    fn turn_row(&self, walk: Walk, line: &mut [T]) {
        let touched = walk.within(line.len(), -2..self.columns as i64 + 1, -2..self.rows as i64 + 1);
        let mut column = touched.start;
        for pixels in line[touched].chunks_mut(LANES) {
            let turned = self.turn_lanes(&walk, column);
            pixels.copy_from_slice(&turned[..pixels.len()]);
            column += LANES;
        }
    }

    /// The pixels of [`LANES`] columns from `column`. Those past the part of the row that has a tap
    /// inside may have any value.
    #[inline(always)]
    fn turn_lanes(&self, walk: &Walk, column: usize) -> [T; LANES] {
        let (columns, rows) = (walk.column.lanes(column), walk.row.lanes(column));
        let mut taps: Taps = [[[0; LANES]; 2]; 4];
        for lane in 0..LANES {
            let row = ((rows[lane] >> 32) as usize).wrapping_add(PADDING - 1);
            let column = ((columns[lane] >> 32) as usize).wrapping_add(PADDING - 1);
            let mut start = row.wrapping_mul(self.stride).wrapping_add(column);
            for taps in &mut taps {
                if let Some(&four) = self.pixels.get(start..).and_then(|rest| rest.first_chunk()) {
                    [taps[0][lane], taps[1][lane]] = T::pack(four);
                }
                start = start.wrapping_add(self.stride);
            }
        }
        // Half of a masked image is 0, and 0 interpolates to 0.
        if taps.as_flattened().as_flattened().iter().fold(0, |any, word| any | word) == 0 {
            return [T::from_bits(0); LANES];
        }
        interpolate(&taps, &fractions(&columns), &fractions(&rows))
    }
}

/// How far positions lie past their pixels, 0 to below 1, cut to 24 bits so that f32 holds it exactly.
#[inline(always)]
fn fractions(positions: &[i64; LANES]) -> Lanes {
    let mut fractions = [0.0; LANES];
    for (fraction, &position) in fractions.iter_mut().zip(positions) {
        *fraction = (position as u32 >> 8) as i32 as f32 * (1.0 / (1 << 24) as f32);
    }
    fractions
}

/// Down the four columns first, then across; (a + b) + (c + d) both times.
#[inline(always)]
fn interpolate<T: Sample>(taps: &Taps, column_fractions: &Lanes, row_fractions: &Lanes) -> [T; LANES] {
    let (across, down) = (weights(column_fractions), weights(row_fractions));
    let mut sums = [[0.0; LANES]; 4];
    let (mut least, mut most) = ([f32::MAX; LANES], [f32::MIN; LANES]);
    for c in 0..4 {
        for lane in 0..LANES {
            let mut t = [0.0; 4];
            for r in 0..4 {
                t[r] = T::unpack(taps[r][0][lane], taps[r][1][lane], c);
                if T::CLAMPED {
                    least[lane] = least_of(least[lane], t[r]);
                    most[lane] = most_of(most[lane], t[r]);
                }
            }
            let upper = t[0] * down[0][lane] + t[1] * down[1][lane];
            let lower = t[2] * down[2][lane] + t[3] * down[3][lane];
            sums[c][lane] = (upper + lower) * across[c][lane];
        }
    }
    let mut values = [0; LANES];
    for lane in 0..LANES {
        let sum = (sums[0][lane] + sums[1][lane]) + (sums[2][lane] + sums[3][lane]);
        values[lane] = T::finish(sum, least[lane], most[lane]);
    }
    values.map(T::from_bits)
}

/// The cubic's weights for the pixels at -1, 0, 1 and 2 around positions `fractions` past pixel 0.
#[inline(always)]
fn weights(fractions: &Lanes) -> [Lanes; 4] {
    let mut weights = [[0.0; LANES]; 4];
    for (lane, &f) in fractions.iter().enumerate() {
        let g = 1.0 - f;
        let outer = A * f * g;
        weights[0][lane] = outer * g;
        weights[1][lane] = ((A + 2.0) * f - (A + 3.0)) * f * f + 1.0;
        weights[2][lane] = ((A + 2.0) * g - (A + 3.0)) * g * g + 1.0;
        weights[3][lane] = outer * f;
    }
    weights
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn a_move_by_one_column_is_exact() {
        let image = array![[10u8, 20, 30], [40, 50, 60]];
        let moved = bicubic_u8(image.view(), &Affine::translation(1.0, 0.0), 7);
        assert_eq!(moved, array![[7, 10, 20], [7, 40, 50]]);
    }
}
