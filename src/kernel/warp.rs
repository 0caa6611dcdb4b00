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

    /// How far past [`Line::pixel`], 0 to below 1, cut to 24 bits so that f32 holds it exactly.
    #[inline(always)]
    fn fraction(&self, column: usize) -> f32 {
        (self.at(column) as u32 >> 8) as i32 as f32 * (1.0 / (1 << 24) as f32)
    }

    // Wrapping, because the check for overflow costs a fifth of the kernel and `Lookup::of` bounds
    // the terms: 2^44 * 2^16 twice, and 2^60.
    #[inline(always)]
    fn at(&self, column: usize) -> i64 {
        self.start.wrapping_add(self.step.wrapping_mul(column as i64))
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

/// The 16 source pixels around a position, [row][column].
type Taps<T> = [[T; 4]; 4];

/// A type of pixels that [`bicubic`] turns.
trait Sample: Copy {
    fn to_f32(self) -> f32;
    /// Rounds an interpolated value; `taps` are what it was interpolated from.
    fn finish(value: f32, taps: &Taps<Self>) -> Self;
}

impl Sample for u8 {
    #[inline(always)]
    fn to_f32(self) -> f32 {
        f32::from(self)
    }

    #[inline(always)]
    fn finish(value: f32, _: &Taps<u8>) -> u8 {
        // The low bits of the sum's significand are the rounded integer.
        (value.clamp(0.0, 255.0) + ROUNDER).to_bits() as u8
    }
}

impl Sample for i16 {
    #[inline(always)]
    fn to_f32(self) -> f32 {
        f32::from(self)
    }

    #[inline(always)]
    fn finish(value: f32, taps: &Taps<i16>) -> i16 {
        let (mut least, mut most) = (taps[0], taps[0]);
        for row in &taps[1..] {
            for i in 0..4 {
                least[i] = least[i].min(row[i]);
                most[i] = most[i].max(row[i]);
            }
        }
        let least = least[0].min(least[1]).min(least[2].min(least[3]));
        let most = most[0].max(most[1]).max(most[2].max(most[3]));
        let value = value.clamp(f32::from(least), f32::from(most));
        let even = (value + ROUNDER) - ROUNDER;
        let half_up = if value - even == 0.5 { even + 1.0 } else { even };
        (half_up + ROUNDER).to_bits() as i16
    }
}

fn bicubic<T: Sample + PartialEq>(source: ArrayView2<'_, T>, map: &Affine, outside: T) -> Array2<T> {
    if *map == Affine::IDENTITY {
        return source.to_owned();
    }
    let (rows, columns) = source.dim();
    let mut turned = Array2::from_elem((rows, columns), outside);
    let Some(lookup) = Lookup::of(map) else { return turned };
    let source = source.as_standard_layout();
    let (Some(pixels), Some(destination)) = (source.as_slice(), turned.as_slice_mut()) else { return turned };
    let frame = Frame { pixels, rows, columns, outside };
    for (row, line) in destination.chunks_exact_mut(columns.max(1)).enumerate() {
        frame.turn_row(lookup.row(row), line);
    }
    turned
}

/// A source image in standard layout and what lies around it.
struct Frame<'a, T> {
    pixels: &'a [T],
    rows: usize,
    columns: usize,
    outside: T,
}

impl<T: Sample> Frame<'_, T> {
    /// Fills the part of one destination row that has a tap inside the source.
    fn turn_row(&self, walk: Walk, line: &mut [T]) {
        let (rows, columns) = (self.rows as i64, self.columns as i64);
        let touched = walk.within(line.len(), -2..columns + 1, -2..rows + 1);
        let inner = intersection(walk.within(line.len(), 1..columns - 2, 1..rows - 2), touched.clone());
        let inner = if inner.is_empty() { touched.end..touched.end } else { inner };
        for column in (touched.start..inner.start).chain(inner.end..touched.end) {
            let taps = self.taps_with_border(walk.column.pixel(column), walk.row.pixel(column));
            line[column] = interpolate(&taps, walk.column.fraction(column), walk.row.fraction(column));
        }
        for (column, pixel) in (inner.start..).zip(&mut line[inner.clone()]) {
            let taps = self.taps(walk.column.pixel(column), walk.row.pixel(column));
            *pixel = interpolate(&taps, walk.column.fraction(column), walk.row.fraction(column));
        }
    }

    /// The taps of a position whose every tap lies inside.
    #[inline(always)]
    fn taps(&self, column: i64, row: i64) -> Taps<T> {
        let first = (row as usize - 1).wrapping_mul(self.columns).wrapping_add(column as usize - 1);
        let tap = |r: usize| {
            let start = first.wrapping_add(r.wrapping_mul(self.columns));
            let four = &self.pixels[start..start.wrapping_add(4)];
            [four[0], four[1], four[2], four[3]]
        };
        [tap(0), tap(1), tap(2), tap(3)]
    }

    /// The taps of a position anywhere.
    #[cold]
    fn taps_with_border(&self, column: i64, row: i64) -> Taps<T> {
        let mut taps = [[self.outside; 4]; 4];
        for (r, taps) in (row - 1..).zip(&mut taps) {
            for (c, tap) in (column - 1..).zip(taps) {
                if (0..self.rows as i64).contains(&r) && (0..self.columns as i64).contains(&c) {
                    *tap = self.pixels[r as usize * self.columns + c as usize];
                }
            }
        }
        taps
    }
}

/// Down the four columns first, then across.
#[inline(always)]
fn interpolate<T: Sample>(taps: &Taps<T>, column_fraction: f32, row_fraction: f32) -> T {
    let (across, down) = (weights(column_fraction), weights(row_fraction));
    let mut sums = [0.0; 4];
    for i in 0..4 {
        let upper = taps[0][i].to_f32() * down[0] + taps[1][i].to_f32() * down[1];
        let lower = taps[2][i].to_f32() * down[2] + taps[3][i].to_f32() * down[3];
        sums[i] = (upper + lower) * across[i];
    }
    T::finish((sums[0] + sums[2]) + (sums[1] + sums[3]), taps)
}

/// The cubic's weights for the pixels at -1, 0, 1 and 2 around a position `f` past pixel 0; their
/// polynomials in `f` side by side, so that the four are computed at once.
#[inline(always)]
fn weights(f: f32) -> [f32; 4] {
    const CUBIC: [f32; 4] = [A, A + 2.0, -A - 2.0, -A];
    const SQUARE: [f32; 4] = [-2.0 * A, -A - 3.0, 2.0 * A + 3.0, A];
    const LINEAR: [f32; 4] = [A, 0.0, -A, 0.0];
    const CONSTANT: [f32; 4] = [0.0, 1.0, 0.0, 0.0];
    let mut weights = [0.0; 4];
    for i in 0..4 {
        weights[i] = ((CUBIC[i] * f + SQUARE[i]) * f + LINEAR[i]) * f + CONSTANT[i];
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
