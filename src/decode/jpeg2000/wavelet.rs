//! The inverse wavelet transforms, 5/3 and 9/7.
//!
//! A lifting step changes every sample of one parity by its two neighbours of the other. Both parities
//! lie apart, so a step is the same for a row and for a strip of columns side by side: the neighbours
//! are one or [`STRIP`] places away.
//!
//! # Source
//! T.800 annex F. The scaling of the 9/7 is the one of OpenJPEG (high-pass by 2/K, where the
//! quantisation steps have no gain), in its order of operations, so that results agree to the bit.

use super::layout::Rect;

/// Columns that are transformed together: a line of the cache.
const STRIP: usize = 16;

const ALPHA: f32 = -1.586_134_3;
const BETA: f32 = -0.052_980_118;
const GAMMA: f32 = 0.882_911_1;
const DELTA: f32 = 0.443_506_87;
const LOW_GAIN: f32 = 1.230_174_1;
const HIGH_GAIN: f32 = 1.625_732_4;

/// Low-pass and high-pass samples of lines side by side, and whether the lines start with a low-pass
/// one.
type Lift<T> = fn(&mut [T], &mut [T], usize, bool);

/// From subbands to samples, in place: `plane` has rows of `stride`, the subbands of each resolution of
/// `resolutions` (lowest first) below and right of the one before.
pub(super) fn inverse<T: Copy + Default>(plane: &mut [T], stride: usize, resolutions: &[Rect], lift: Lift<T>) {
    let (mut line, mut strip) = (Vec::new(), Vec::new());
    for (below, rect) in resolutions.iter().zip(resolutions.iter().skip(1)) {
        rows(plane, stride, below, rect, lift, &mut line);
        columns(plane, stride, below, rect, lift, &mut strip);
    }
}

fn rows<T: Copy + Default>(
    plane: &mut [T],
    stride: usize,
    below: &Rect,
    rect: &Rect,
    lift: Lift<T>,
    line: &mut Vec<T>,
) {
    let (width, low) = (rect.width() as usize, below.width() as usize);
    let starts_low = rect.left.is_multiple_of(2);
    for row in plane.chunks_mut(stride.max(1)).take(rect.height() as usize) {
        let Some(row) = row.get_mut(..width) else { return };
        line.clear();
        line.extend_from_slice(row);
        let (low, high) = line.split_at_mut(low.min(width));
        lift(low, high, 1, starts_low);
        let (first, second) = if starts_low { (&*low, &*high) } else { (&*high, &*low) };
        let (pairs, odd) = row.as_chunks_mut();
        for ((pair, &first), &second) in pairs.iter_mut().zip(first).zip(second) {
            *pair = [first, second];
        }
        if let ([odd], Some(&last)) = (odd, first.last()) {
            *odd = last;
        }
    }
}

fn columns<T: Copy + Default>(
    plane: &mut [T],
    stride: usize,
    below: &Rect,
    rect: &Rect,
    lift: Lift<T>,
    strip: &mut Vec<T>,
) {
    let (width, height, low) = (rect.width() as usize, rect.height() as usize, below.height() as usize);
    let starts_low = rect.top.is_multiple_of(2);
    strip.clear();
    strip.resize(height * STRIP, T::default());
    for left in (0..width).step_by(STRIP) {
        let wide = STRIP.min(width - left);
        for (to, row) in strip.chunks_exact_mut(STRIP).zip(plane.chunks(stride.max(1))) {
            if let (Some(to), Some(from)) = (to.get_mut(..wide), row.get(left..left + wide)) {
                to.copy_from_slice(from);
            }
        }
        let (low, high) = strip.split_at_mut((low * STRIP).min(height * STRIP));
        lift(low, high, STRIP, starts_low);
        let (first, second) = if starts_low { (&*low, &*high) } else { (&*high, &*low) };
        for (index, row) in plane.chunks_mut(stride.max(1)).take(height).enumerate() {
            let half = if index % 2 == 0 { first } else { second };
            let from = half.get(index / 2 * STRIP..).and_then(|half| half.get(..wide));
            if let (Some(to), Some(from)) = (row.get_mut(left..left + wide), from) {
                to.copy_from_slice(from);
            }
        }
    }
}

/// Changes each sample of `target` by its neighbours, `lanes` lines side by side. At the ends of a line
/// the one neighbour stands for both (whole-sample symmetric extension).
#[inline(always)]
fn step<T: Copy>(target: &mut [T], other: &[T], lanes: usize, starts: bool, change: impl Fn(T, T, T) -> T) {
    let (Some(next), Some(last)) = (other.get(lanes..), other.len().checked_sub(lanes).and_then(|at| other.get(at..)))
    else {
        return;
    };
    let (first, rest) = target.split_at_mut(if starts { lanes.min(target.len()) } else { 0 });
    for (sample, &near) in first.iter_mut().zip(other) {
        *sample = change(*sample, near, near);
    }
    let (inner, end) = rest.split_at_mut(next.len().min(rest.len()));
    for ((sample, &before), &after) in inner.iter_mut().zip(other).zip(next) {
        *sample = change(*sample, before, after);
    }
    for (sample, &near) in end.iter_mut().zip(last) {
        *sample = change(*sample, near, near);
    }
}

/// The reversible transform (F.3.8.2.1.1). Sums wrap, as only damaged streams make them.
pub(super) fn lift_5_3(low: &mut [i32], high: &mut [i32], lanes: usize, starts_low: bool) {
    if low.is_empty() {
        // A single sample.
        high.iter_mut().for_each(|sample| *sample /= 2);
        return;
    }
    step(low, high, lanes, starts_low, |sample, before: i32, after: i32| {
        sample.wrapping_sub(before.wrapping_add(after).wrapping_add(2) >> 2)
    });
    step(high, low, lanes, !starts_low, |sample, before: i32, after: i32| {
        sample.wrapping_add(before.wrapping_add(after) >> 1)
    });
}

/// The irreversible transform (F.3.8.2.1.2).
pub(super) fn lift_9_7(low: &mut [f32], high: &mut [f32], lanes: usize, starts_low: bool) {
    if low.is_empty() || high.is_empty() {
        return;
    }
    low.iter_mut().for_each(|sample| *sample *= LOW_GAIN);
    high.iter_mut().for_each(|sample| *sample *= HIGH_GAIN);
    let by = |factor: f32| move |sample: f32, before: f32, after: f32| sample + (before + after) * factor;
    step(low, high, lanes, starts_low, by(-DELTA));
    step(high, low, lanes, !starts_low, by(-GAMMA));
    step(low, high, lanes, starts_low, by(-BETA));
    step(high, low, lanes, !starts_low, by(-ALPHA));
}
