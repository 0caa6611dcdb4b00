//! Placing a part of an image in the middle of a square.

use std::borrow::Cow;
use std::ops::Range;

use ndarray::{Array1, Array2, ArrayView1, ArrayView2, ArrayViewMut2, s};

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
    // Down first, because that runs along whole rows. Nothing overflows: the weights of a pixel add
    // up to the longer side in each direction, so that no sum is above 2^15 * 2^16 * 2^16.
    let mut sums = vec![0i64; width];
    for (row, mut line) in result.outer_iter_mut().enumerate() {
        let rows = Cover::new(row, height, size, longer);
        sums.fill(0);
        for (source_row, weight) in rows.weights() {
            for (sum, &pixel) in sums.iter_mut().zip(source.row(source_row)) {
                *sum = sum.wrapping_add(i64::from(pixel).wrapping_mul(weight));
            }
        }
        for (pixel, columns) in line.iter_mut().zip(&columns) {
            let sum: i64 = columns.weights().map(|(column, weight)| sums[column] * weight).sum();
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
    paste(image, mask, from, result.view_mut(), |pixels, places| places.copy_from_slice(pixels));
    result
}

/// Has `convert` turn runs of pixels of `image` in `from` into as many of `square`, which has the size
/// of `from`; pixels that are not in the mask are left as they are. (row, column)
pub fn paste<T: Copy>(
    image: ArrayView2<'_, i16>,
    mask: Option<&Mask>,
    from: Rectangle,
    mut square: ArrayViewMut2<'_, T>,
    convert: impl Fn(&[i16], &mut [T]),
) {
    let image = image.slice_move(s![from.top..from.bottom, from.left..from.right]);
    for ((row, source), mut line) in (from.top..).zip(image.outer_iter()).zip(square.outer_iter_mut()) {
        let source = match source.as_slice() {
            Some(source) => Cow::Borrowed(source),
            None => Cow::Owned(source.to_vec()),
        };
        let fill = |line: &mut [T]| match mask {
            Some(mask) => for_each_run(mask.row(row), |run| {
                let (start, end) = (run.start.max(from.left), run.end.min(from.right));
                if start < end {
                    let run = start - from.left..end - from.left;
                    convert(&source[run.clone()], &mut line[run]);
                }
            }),
            None => convert(&source, line),
        };
        match line.as_slice_mut() {
            Some(line) => fill(line),
            None => {
                let mut copy = line.to_vec();
                fill(&mut copy);
                line.assign(&ArrayView1::from(&copy));
            }
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
    let mut any = Array1::zeros(image.dim().1);
    let mut rows = None;
    for (index, row) in image.outer_iter().enumerate() {
        if row.iter().fold(0, |any, pixel| any | pixel) != 0 {
            any |= &row;
            rows = Some((rows.map_or(index, |(first, _)| first), index + 1));
        }
    }
    let (top, bottom) = rows?;
    let left = any.iter().position(|&pixel: &u8| pixel != 0)?;
    let right = any.iter().rposition(|&pixel| pixel != 0)? + 1;
    Some(Rectangle { top, left, bottom, right })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn rectangle(top: usize, left: usize, bottom: usize, right: usize) -> Rectangle {
        Rectangle { top, left, bottom, right }
    }

    #[test]
    fn a_fit_is_centred_and_leaves_the_odd_pixel_below_and_right() {
        let fit = Fit::new(rectangle(10, 20, 13, 24), 8);
        assert_eq!((fit.to, fit.scale), (rectangle(2, 2, 5, 6), 1.0));
        assert_eq!(fit.map().apply(20.0, 10.0), (2.0, 2.0));
    }

    #[test]
    fn a_fit_shrinks_both_directions_by_one_scale() {
        // 16 rows become 8; 5 columns 2.5, rounded half up.
        let fit = Fit::new(rectangle(0, 0, 16, 5), 8);
        assert_eq!((fit.to, fit.scale), (rectangle(0, 2, 8, 5), 0.5));
        // The corner of the first pixel stays a corner.
        assert_eq!(fit.map().apply(-0.5, -0.5), (1.5, -0.5));
        assert_eq!(Fit::new(rectangle(0, 0, 1000, 1), 8).to, rectangle(0, 3, 8, 4));
    }

    #[test]
    fn shrink_by_eye() {
        let image = array![[0i16, 10, 20, 30], [2, 10, 20, 31]];
        // Means 5.5 and 25.25.
        assert_eq!(shrink(image.view(), 2), array![[6, 25]]);
        // Three to two: each covers one pixel and a half.
        assert_eq!(shrink(array![[0i16, 30, 60], [0, 30, 60], [0, 30, 60]].view(), 2), array![[10, 50], [10, 50]]);
        assert_eq!(shrink(array![[-1i16, -2]].view(), 1), array![[-1]]);
    }

    /// The plain version: area mean of one pixel in f64, every source pixel tried.
    fn plain(source: &Array2<i16>, scale: f64, row: usize, column: usize) -> f64 {
        let overlap = |i: usize, at: usize| {
            let (start, end) = (at as f64 / scale, (at + 1) as f64 / scale);
            (end.min((i + 1) as f64) - start.max(i as f64)).max(0.0)
        };
        let (mut sum, mut area) = (0.0, 0.0);
        for ((r, c), &pixel) in source.indexed_iter() {
            let weight = overlap(r, row) * overlap(c, column);
            (sum, area) = (sum + weight * f64::from(pixel), area + weight);
        }
        sum / area
    }

    proptest! {
        #[test]
        fn shrink_is_the_plain_area_mean(
            (rows, columns, pixels) in (1usize..30, 1usize..30)
                .prop_flat_map(|(rows, columns)| (Just(rows), Just(columns), vec(any::<i16>(), rows * columns))),
            size in 1usize..30,
        ) {
            let longer = rows.max(columns);
            let size = size.min(longer);
            let image = Array2::from_shape_vec((rows, columns), pixels).expect("rows * columns pixels");
            let got = shrink(image.view(), size);
            let fit = Fit::new(rectangle(0, 0, rows, columns), size);
            prop_assert_eq!(got.dim(), (fit.to.height(), fit.to.width()));
            for ((row, column), &pixel) in got.indexed_iter() {
                let want = plain(&image, size as f64 / longer as f64, row, column);
                prop_assert!((f64::from(pixel) - want).abs() < 0.500_001, "({row}, {column}): {pixel}, expected {want}");
            }
        }

        #[test]
        fn paste_copies_what_the_mask_holds(
            (columns, set) in (1usize..200).prop_flat_map(|columns| (Just(columns), vec(any::<bool>(), 3 * columns))),
            left in 0usize..100, right in 0usize..200,
        ) {
            let image = Array2::from_shape_fn((3, columns), |(r, c)| (1 + 1000 * r + c) as i16);
            let set = Array2::from_shape_vec((3, columns), set).expect("3 rows");
            let mask = Mask::of(set.view(), |set| set);
            let left = left.min(columns);
            let from = rectangle(1, left, 3, right.clamp(left, columns));
            let got = masked(image.view(), Some(&mask), from, -7);
            let want = Array2::from_shape_fn((2, from.width()), |(r, c)| match set[(r + 1, c + left)] {
                true => image[(r + 1, c + left)],
                false => -7,
            });
            prop_assert_eq!(got, want);
            let all = masked(image.view(), None, from, -7);
            prop_assert_eq!(all.view(), image.slice(s![1..3, from.left..from.right]));
        }
    }

    #[test]
    fn a_dot_in_a_shrunk_image_lies_where_the_map_says() {
        let mut image = Array2::zeros((700, 601));
        image.slice_mut(s![300..302, 450..452]).fill(1000);
        let fit = Fit::new(rectangle(0, 0, 700, 601), 512);
        let (mut mass, mut x, mut y) = (0.0, 0.0, 0.0);
        for ((row, column), &pixel) in shrink(image.view(), 512).indexed_iter() {
            let weight = f64::from(pixel);
            (mass, x, y) = (mass + weight, x + weight * column as f64, y + weight * row as f64);
        }
        let (column, row) = fit.map().apply(450.5, 300.5);
        assert!((x / mass + fit.to.left as f64 - column).abs() < 0.25, "{}, expected {column}", x / mass);
        assert!((y / mass + fit.to.top as f64 - row).abs() < 0.25, "{}, expected {row}", y / mass);
    }

    proptest! {
        #[test]
        fn nonzero_box_is_that_of_the_mask(rows in 1usize..6, columns in 1usize..9, set in vec(0usize..54, 0..4)) {
            let image = Array2::from_shape_fn((rows, columns), |(r, c)| u8::from(set.contains(&(r * columns + c))));
            prop_assert_eq!(nonzero_box(image.view()), Mask::of(image.view(), |pixel| pixel != 0).bounding_box());
        }
    }

    #[test]
    fn nonzero_box_is_half_open() {
        let image = array![[0u8, 0, 0], [0, 3, 0], [0, 0, 1]];
        assert_eq!(nonzero_box(image.view()), Some(rectangle(1, 1, 3, 3)));
        assert_eq!(nonzero_box(Array2::zeros((2, 2)).view()), None);
    }
}
