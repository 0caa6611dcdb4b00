//! Resampling under an affine map: bicubic for pixels, nearest neighbour for masks.
//!
//! Every destination pixel is looked up in the source through the inverse map, rounded to 32.32 fixed
//! point once, so that positions are sums of integers; interpolation is f32 in a fixed order. Both
//! are the same on every machine.
//!
//! A turn touches what it must: `Spans` name one stretch of columns for each destination row, and
//! of the source only the rectangle that those stretches come from is copied, into a `Frame`.

#[cfg(target_arch = "x86_64")]
mod avx2;
mod cubic;
mod frame;
mod hull;
mod lookup;
mod nearest;
mod spans;
#[cfg(test)]
mod tests;

use ndarray::{Array2, ArrayView2};

use super::affine::Affine;
pub(crate) use cubic::Sample;
pub(crate) use frame::Frame;
pub(crate) use hull::reach;
use lookup::{Lookup, Walk};
pub use nearest::mask;
pub(crate) use spans::Spans;

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

fn bicubic<T: Sample>(source: ArrayView2<'_, T>, map: &Affine, outside: T) -> Array2<T> {
    let dim = source.dim();
    let mut turned = source.as_standard_layout().into_owned();
    if let Some(pixels) = turned.as_slice_mut() {
        bicubic_in_place(pixels, dim, map, outside, &Spans::whole(dim), &mut Frame::default());
    }
    turned
}

/// What [`bicubic_u8`] and [`bicubic_i16`] make of the image `pixels` of `dim` (rows, columns), in
/// the `spans` of the destination; `outside` beside them. `frame` is memory to use again.
///
/// The identity leaves the image as it is, beside the spans too; a map that moves by whole pixels
/// copies them.
pub(crate) fn bicubic_in_place<T: Sample>(
    pixels: &mut [T],
    dim: (usize, usize),
    map: &Affine,
    outside: T,
    spans: &Spans,
    frame: &mut Frame,
) {
    let Some(lookup) = Lookup::of(map) else { return pixels.fill(outside) };
    if *map == Affine::IDENTITY {
        return;
    }
    frame.fill(pixels, dim, &lookup, spans, outside);
    let whole_pixels = lookup.is_move_by_whole_pixels();
    for (row, line) in pixels.chunks_exact_mut(dim.1.max(1)).enumerate() {
        let (walk, columns) = (lookup.row(row), frame.columns(row));
        line[..columns.start].fill(outside);
        line[columns.end..].fill(outside);
        match whole_pixels {
            true => frame.copy_row(walk, columns.start, &mut line[columns]),
            false => turn_row(frame, walk, columns.start, &mut line[columns]),
        }
    }
}

/// Fills the part of one destination row that begins at `column`. Every processor gives the same
/// bits; one with AVX2 gives them sooner.
fn turn_row<T: Sample>(frame: &Frame, walk: Walk, column: usize, line: &mut [T]) {
    #[cfg(target_arch = "x86_64")]
    if avx2::can_turn(frame) {
        // SAFETY: the only thing asked for is a processor with AVX2, which `can_turn` saw.
        #[expect(unsafe_code, reason = "the turn is most of the time of a slice, and 3 times faster with AVX2")]
        return unsafe { avx2::turn_row(frame, walk, column, line) };
    }
    cubic::turn_row(frame, walk, column, line);
}
