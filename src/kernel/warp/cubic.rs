//! Bicubic interpolation of eight pixels side by side, in plain arithmetic on lanes.

use super::frame::Frame;
use super::lookup::Walk;

/// The cubic's free parameter, OpenCV's.
pub(super) const A: f32 = -0.75;
/// Adding this to an f32 of magnitude below 2^22 rounds it to an integer, ties to even.
pub(super) const ROUNDER: f32 = 12_582_912.0;
/// One step of a position's fraction, which is cut to 24 bits so that f32 holds it exactly.
pub(super) const FRACTION_STEP: f32 = 1.0 / (1 << 24) as f32;
/// Pixels that are interpolated side by side.
pub(super) const LANES: usize = 8;

pub(super) type Lanes = [f32; LANES];
/// The taps of [`LANES`] positions: the upper and the lower two rows, for each the four columns; each
/// word holds two rows as [`Frame`] has them.
type Taps = [[[u32; LANES]; 4]; 2];

/// A type of pixels that can be turned: one whose values fit in 16 bits.
pub(crate) trait Sample: Copy + Into<i16> {
    /// Whether a result is clamped to the smallest and largest of its taps and rounded half up, or to
    /// 0..=255 and rounded to even.
    const CLAMPED_TO_TAPS: bool;
    /// The pixel of these low bits.
    fn from_bits(bits: u32) -> Self;
}

impl Sample for u8 {
    const CLAMPED_TO_TAPS: bool = false;

    #[inline(always)]
    fn from_bits(bits: u32) -> u8 {
        bits as u8
    }
}

impl Sample for i16 {
    const CLAMPED_TO_TAPS: bool = true;

    #[inline(always)]
    fn from_bits(bits: u32) -> i16 {
        bits as i16
    }
}

/// Fills the part of one destination row that begins at `column`.
pub(super) fn turn_row<T: Sample>(frame: &Frame, walk: Walk, column: usize, line: &mut [T]) {
    let mut column = column;
    for pixels in line.chunks_mut(LANES) {
        let (columns, rows) = (walk.column.positions(column), walk.row.positions(column));
        let taps = fetch(frame, &columns, &rows);
        let turned = interpolate::<T>(&taps, &fractions(&columns), &fractions(&rows));
        pixels.iter_mut().zip(turned).for_each(|(pixel, bits)| *pixel = T::from_bits(bits));
        column += LANES;
    }
}

/// The taps of [`LANES`] positions; of those that lie outside the frame, they may be anything.
#[inline(always)]
fn fetch(frame: &Frame, columns: &[i64; LANES], rows: &[i64; LANES]) -> Taps {
    let (upper, lower) = frame.upper_and_lower();
    let (stride, origin) = (frame.stride as i64, frame.origin());
    let mut taps: Taps = [[[0; LANES]; 4]; 2];
    for lane in 0..LANES {
        let start = (rows[lane] >> 32).wrapping_mul(stride).wrapping_add(columns[lane] >> 32).wrapping_add(origin);
        let (start, end) = (start as usize, (start as usize).wrapping_add(4));
        if let (Some(upper), Some(lower)) = (upper.get(start..end), lower.get(start..end)) {
            for c in 0..4 {
                (taps[0][c][lane], taps[1][c][lane]) = (upper[c], lower[c]);
            }
        }
    }
    taps
}

/// How far positions lie past their pixels, 0 to below 1.
#[inline(always)]
fn fractions(positions: &[i64; LANES]) -> Lanes {
    let mut fractions = [0.0; LANES];
    for (fraction, &position) in fractions.iter_mut().zip(positions) {
        *fraction = (position as u32 >> 8) as i32 as f32 * FRACTION_STEP;
    }
    fractions
}

/// Down the four columns first, then across; (a + b) + (c + d) both times. The low bits are a pixel's.
#[inline(always)]
fn interpolate<T: Sample>(taps: &Taps, column_fractions: &Lanes, row_fractions: &Lanes) -> [u32; LANES] {
    let (across, down) = (weights(column_fractions), weights(row_fractions));
    let mut sums = [[0.0; LANES]; 4];
    let (mut least, mut most) = ([f32::MAX; LANES], [f32::MIN; LANES]);
    for c in 0..4 {
        for lane in 0..LANES {
            let [upper, lower] = [taps[0][c][lane], taps[1][c][lane]];
            let t = [low(upper), high(upper), low(lower), high(lower)];
            if T::CLAMPED_TO_TAPS {
                least[lane] = least_of(least[lane], least_of(least_of(t[0], t[1]), least_of(t[2], t[3])));
                most[lane] = most_of(most[lane], most_of(most_of(t[0], t[1]), most_of(t[2], t[3])));
            }
            let upper = t[0] * down[0][lane] + t[1] * down[1][lane];
            let lower = t[2] * down[2][lane] + t[3] * down[3][lane];
            sums[c][lane] = (upper + lower) * across[c][lane];
        }
    }
    let mut bits = [0; LANES];
    for lane in 0..LANES {
        let sum = (sums[0][lane] + sums[1][lane]) + (sums[2][lane] + sums[3][lane]);
        bits[lane] = match T::CLAMPED_TO_TAPS {
            true => half_up(least_of(most_of(sum, least[lane]), most[lane])),
            false => least_of(most_of(sum, 0.0), 255.0) + ROUNDER,
        }
        .to_bits();
    }
    bits
}

#[inline(always)]
fn low(word: u32) -> f32 {
    ((word << 16) as i32 >> 16) as f32
}

#[inline(always)]
fn high(word: u32) -> f32 {
    (word as i32 >> 16) as f32
}

/// Rounded half up, plus [`ROUNDER`].
#[inline(always)]
fn half_up(value: f32) -> f32 {
    let even = (value + ROUNDER) - ROUNDER;
    let half_up = even + if value - even == 0.5 { 1.0 } else { 0.0 };
    half_up + ROUNDER
}

// Not `f32::min` and `max`: their rules for NaN cost instructions, and there is no NaN.
#[inline(always)]
fn least_of(a: f32, b: f32) -> f32 {
    if a < b { a } else { b }
}

#[inline(always)]
fn most_of(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
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
