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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Index mirrored at both ends of `start..end` (F.3.7).
    fn mirrored(mut at: i64, start: i64, end: i64) -> i64 {
        while !(start..end).contains(&at) {
            at = if at < start { 2 * start - at } else { 2 * (end - 1) - at };
        }
        at
    }

    /// The forward transforms of one line whose first sample is at `start`, by the equations of F.4.8, with
    /// the scaling of the inverse: low-pass samples first.
    fn forward(line: &[f64], start: i64, is_reversible: bool) -> Vec<f64> {
        let end = start + line.len() as i64;
        let mut line = line.to_vec();
        if line.len() == 1 {
            return if is_reversible && start % 2 == 1 { vec![2.0 * line[0]] } else { line };
        }
        let mut step = |parity: i64, change: &dyn Fn(f64, f64) -> f64| {
            let before = line.clone();
            let near = |at: i64| before[(mirrored(at, start, end) - start) as usize];
            for at in (start..end).filter(|at| at % 2 == parity) {
                line[(at - start) as usize] = change(near(at), near(at - 1) + near(at + 1));
            }
        };
        if is_reversible {
            step(1, &|sample, near| sample - (near / 2.0).floor());
            step(0, &|sample, near| sample + ((near + 2.0) / 4.0).floor());
        } else {
            for (parity, factor) in [(1, ALPHA), (0, BETA), (1, GAMMA), (0, DELTA)] {
                step(parity, &|sample, near| sample + f64::from(factor) * near);
            }
            step(0, &|sample, _| sample / f64::from(LOW_GAIN));
            step(1, &|sample, _| sample / f64::from(HIGH_GAIN));
        }
        let of = |parity: i64| (start..end).filter(move |at| at % 2 == parity).map(|at| line[(at - start) as usize]);
        of(0).chain(of(1)).collect()
    }

    /// All levels of the forward transform, in place, columns first.
    fn plain(plane: &mut [f64], stride: usize, rects: &[Rect], is_reversible: bool) {
        for rect in rects.iter().skip(1).rev() {
            let (width, height) = (rect.width() as usize, rect.height() as usize);
            for column in 0..width {
                let line: Vec<f64> = (0..height).map(|row| plane[row * stride + column]).collect();
                let line = forward(&line, rect.top.into(), is_reversible);
                line.iter().enumerate().for_each(|(row, &sample)| plane[row * stride + column] = sample);
            }
            for row in plane.chunks_mut(stride).take(height) {
                let line = forward(&row[..width], rect.left.into(), is_reversible);
                row[..width].copy_from_slice(&line);
            }
        }
    }

    /// Resolutions of `levels` decompositions, lowest first.
    fn rects(full: Rect, levels: u32) -> Vec<Rect> {
        let half = |rect: &Rect| Rect {
            left: rect.left.div_ceil(2),
            top: rect.top.div_ceil(2),
            right: rect.right.div_ceil(2),
            bottom: rect.bottom.div_ceil(2),
        };
        let mut rects: Vec<Rect> =
            std::iter::successors(Some(full), |rect| Some(half(rect))).take(levels as usize + 1).collect();
        rects.reverse();
        rects
    }

    #[test]
    fn a_step_edge_comes_back() {
        // Low 0 0 10 (the last raised by the edge), high 0 0.
        let mut line = [0, 0, 10, 0, 0];
        let rects = rects(Rect { left: 0, top: 0, right: 5, bottom: 1 }, 1);
        inverse(&mut line, 5, &rects, lift_5_3);
        assert_eq!(line, [0, 0, 0, 5, 10]);
    }

    proptest! {
        #[test]
        fn inverse_of_the_plain_forward_transforms(
            (left, top) in (0u32..5, 0u32..5), (width, height) in (1u32..40, 1u32..40), levels in 0u32..6,
            seed in proptest::collection::vec(-4096i32..4096, 1600),
        ) {
            let full = Rect { left, top, right: left + width, bottom: top + height };
            let (rects, stride) = (rects(full, levels), width as usize);
            let source = &seed[..(width * height) as usize];
            let mut plane: Vec<f64> = source.iter().map(|&sample| sample.into()).collect();
            plain(&mut plane, stride, &rects, true);
            let mut whole: Vec<i32> = plane.iter().map(|&sample| sample as i32).collect();
            inverse(&mut whole, stride, &rects, lift_5_3);
            prop_assert_eq!(&whole, source);

            let mut plane: Vec<f64> = source.iter().map(|&sample| sample.into()).collect();
            plain(&mut plane, stride, &rects, false);
            let mut real: Vec<f32> = plane.iter().map(|&sample| sample as f32).collect();
            inverse(&mut real, stride, &rects, lift_9_7);
            for (&found, &expected) in real.iter().zip(source) {
                prop_assert!((f64::from(found) - f64::from(expected)).abs() < 0.05, "{found} {expected}");
            }
        }
    }
}
