//! Placing a part of an image in the middle of a square.

use std::ops::Range;

use ndarray::{Array2, ArrayView2, ArrayViewMut2, s};

use super::affine::Affine;
use super::mask::{Mask, Rectangle};

/// How a rectangle of an image comes to lie in a square.
///
/// Larger than the square, it shrinks by `size` / (its longer side), the same in both directions,
/// until it fits; never does it grow. Then it is centred: half of what is left over, rounded down,
/// goes above and to the left.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fit {
    /// What of the image.
    pub from: Rectangle,
    /// Where in the square.
    pub to: Rectangle,
    /// Square pixels per image pixel, at most 1.
    pub scale: f64,
}

impl Fit {
    /// Fits `from` into a square of `size` rows and columns.
    ///
    /// The shorter side becomes `side * scale` rounded half up, at least 1, so that its last pixel
    /// may cover a little more or less than the image has; the scale is the same exact number there
    /// and in [`Fit::map`].
    pub fn new(from: Rectangle, size: usize) -> Fit {
        let (height, width) = (from.height(), from.width());
        let longer = height.max(width);
        let (scale, height, width) = match longer <= size {
            true => (1.0, height, width),
            false => (size as f64 / longer as f64, shrunk(height, size, longer), shrunk(width, size, longer)),
        };
        let (top, left) = ((size - height) / 2, (size - width) / 2);
        Fit { from, to: Rectangle { top, left, bottom: top + height, right: left + width }, scale }
    }

    /// Maps a point (column, row) of the image to the square.
    pub fn map(&self) -> Affine {
        let cut = Affine::translation(-(self.from.left as f64), -(self.from.top as f64));
        let placed = Affine::translation(self.to.left as f64, self.to.top as f64);
        match self.scale == 1.0 {
            true => cut.then(&placed),
            false => cut.then(&Affine::scaling_of_pixels(self.scale)).then(&placed),
        }
    }
}

fn shrunk(side: usize, size: usize, longer: usize) -> usize {
    ((2 * side * size + longer) / (2 * longer)).max(1)
}

/// Shrinks an image so that its longer side becomes `size`, by area mean: each pixel of the result
/// is the mean of the square of source that it covers, source pixels counted by the part that is
/// covered, what lies past the edge not counted. Rounded half up; exact, in integers. (row, column)
///
/// The result has the size that [`Fit::new`] gives; pixel (r, c) covers the source's rows
/// `r / scale` to `(r + 1) / scale` and columns alike, measured from its corner.
pub fn shrink(source: ArrayView2<'_, i16>, size: usize) -> Array2<i16> {
    let (height, width) = source.dim();
    let longer = height.max(width);
    let dim = (shrunk(height, size, longer), shrunk(width, size, longer));
    let columns: Vec<Cover> = (0..dim.1).map(|column| Cover::new(column, width, size, longer)).collect();
    let mut result = Array2::zeros(dim);
    let mut sums = vec![0; dim.1];
    for (row, mut line) in result.outer_iter_mut().enumerate() {
        let rows = Cover::new(row, height, size, longer);
        sums.fill(0);
        for (source_row, row_weight) in rows.weights() {
            let source = source.row(source_row);
            for (sum, columns) in sums.iter_mut().zip(&columns) {
                let across = columns.weights().map(|(column, weight)| i64::from(source[column]) * weight);
                *sum += across.sum::<i64>() * row_weight;
            }
        }
        for ((pixel, sum), columns) in line.iter_mut().zip(&sums).zip(&columns) {
            let area = columns.total() * rows.total();
            *pixel = (2 * sum + area).div_euclid(2 * area) as i16;
        }
    }
    result
}

/// What one pixel of a shrunk image covers of the source in one direction. A source pixel is `unit`
/// long, a shrunk pixel as long as the source's longer side: all integers.
struct Cover {
    /// From where to where, in those units.
    span: Range<usize>,
    unit: usize,
}

impl Cover {
    fn new(index: usize, side: usize, size: usize, longer: usize) -> Cover {
        Cover { span: index * longer..((index + 1) * longer).min(side * size), unit: size }
    }

    /// The source pixels and how much of each is covered.
    fn weights(&self) -> impl Iterator<Item = (usize, i64)> {
        let Range { start, end } = self.span;
        let unit = self.unit;
        (start / unit..end.div_ceil(unit)).map(move |i| (i, (end.min((i + 1) * unit) - start.max(i * unit)) as i64))
    }

    fn total(&self) -> i64 {
        self.span.len() as i64
    }
}

/// `image` with `background` wherever the mask is not set; both cut to `from`. (row, column)
pub fn masked(image: ArrayView2<'_, i16>, mask: Option<&Mask>, from: Rectangle, background: i16) -> Array2<i16> {
    let mut result = Array2::from_elem((from.height(), from.width()), background);
    paste(image, mask, from, result.view_mut(), |pixel| pixel);
    result
}

/// Writes `convert(pixel)` of the pixels of `image` in `from` to `square`, which has the size of
/// `from`; pixels that are not in the mask are left as they are. (row, column)
pub fn paste<T>(
    image: ArrayView2<'_, i16>,
    mask: Option<&Mask>,
    from: Rectangle,
    mut square: ArrayViewMut2<'_, T>,
    convert: impl Fn(i16) -> T,
) {
    let image = image.slice_move(s![from.top..from.bottom, from.left..from.right]);
    for ((row, source), mut line) in (from.top..).zip(image.outer_iter()).zip(square.outer_iter_mut()) {
        let mut copy = |run: Range<usize>| {
            let (source, mut line) = (source.slice(s![run.clone()]), line.slice_mut(s![run]));
            line.zip_mut_with(&source, |pixel, &source| *pixel = convert(source));
        };
        match mask {
            Some(mask) => for_each_run(mask.row(row), |run| {
                let (start, end) = (run.start.max(from.left), run.end.min(from.right));
                if start < end {
                    copy(start - from.left..end - from.left);
                }
            }),
            None => copy(0..from.width()),
        }
    }
}

/// The runs of set bits, from left to right.
fn for_each_run(words: &[u64], mut each: impl FnMut(Range<usize>)) {
    let mut start = None;
    for (index, &word) in words.iter().enumerate() {
        // A bit at each pixel that differs from the one before it.
        let before = if start.is_some() { 1 } else { 0 };
        let mut changes = word ^ (word << 1 | before);
        while changes != 0 {
            let column = index * 64 + changes.trailing_zeros() as usize;
            match start.take() {
                Some(start) => each(start..column),
                None => start = Some(column),
            }
            changes &= changes - 1;
        }
    }
    if let Some(start) = start {
        each(start..words.len() * 64);
    }
}

/// The rows and columns from the first to the last pixel that is not 0; `None` where all are 0.
pub fn nonzero_box(image: ArrayView2<'_, u8>) -> Option<Rectangle> {
    Mask::of(image, |pixel| pixel != 0).bounding_box()
}
