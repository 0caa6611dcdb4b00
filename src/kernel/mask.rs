//! A binary image as bits: 512x512 fits in 32 KiB.

use ndarray::{Array2, ArrayView2};

use super::dispatch::dispatched;
use super::pack::{Pixel, packed};

/// A half-open rectangle of pixels, (row, column).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rectangle {
    /// First row.
    pub top: usize,
    /// First column.
    pub left: usize,
    /// One past the last row.
    pub bottom: usize,
    /// One past the last column.
    pub right: usize,
}

impl Rectangle {
    /// All of an image of (rows, columns).
    pub const fn whole((rows, columns): (usize, usize)) -> Rectangle {
        Rectangle { top: 0, left: 0, bottom: rows, right: columns }
    }

    /// Rows in it.
    pub const fn height(&self) -> usize {
        self.bottom - self.top
    }

    /// Columns in it.
    pub const fn width(&self) -> usize {
        self.right - self.left
    }
}

/// A binary image, one bit per pixel. Each row starts on a word of 64 bits; bit `c % 64` of word
/// `c / 64` of a row is column `c`; bits past the last column are 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask {
    rows: usize,
    columns: usize,
    words_per_row: usize,
    words: Vec<u64>,
}

impl Mask {
    /// A mask without a pixel set.
    pub fn empty(rows: usize, columns: usize) -> Mask {
        let words_per_row = columns.div_ceil(64);
        Mask { rows, columns, words_per_row, words: vec![0; rows * words_per_row] }
    }

    /// The pixels of `image` that `is_set` says yes to.
    pub fn of<T: Copy>(image: ArrayView2<'_, T>, is_set: impl Fn(T) -> bool) -> Mask {
        let (rows, columns) = image.dim();
        let mut mask = Mask::empty(rows, columns);
        for (row, pixels) in image.outer_iter().enumerate() {
            let words = mask.row_mut(row);
            match pixels.as_slice() {
                Some(pixels) => words.iter_mut().zip(pixels.chunks(64)).for_each(|(w, p)| *w = packed(p, &is_set)),
                None => {
                    for (column, &pixel) in pixels.iter().enumerate() {
                        words[column / 64] |= u64::from(is_set(pixel)) << (column % 64);
                    }
                }
            }
        }
        mask
    }

    /// The pixels of `image` that are not 0.
    pub fn nonzero<T: Pixel>(image: ArrayView2<'_, T>) -> Mask {
        let (rows, columns) = image.dim();
        let mut mask = Mask::empty(rows, columns);
        for (row, pixels) in image.outer_iter().enumerate() {
            let Some(pixels) = pixels.as_slice() else { return Mask::of(image, T::is_set) };
            for (word, pixels) in mask.row_mut(row).iter_mut().zip(pixels.chunks(64)) {
                *word = match pixels.try_into() {
                    Ok(pixels) => T::pack(pixels),
                    Err(_) => packed(pixels, T::is_set),
                };
            }
        }
        mask
    }

    /// (rows, columns).
    pub const fn dim(&self) -> (usize, usize) {
        (self.rows, self.columns)
    }

    /// The words of one row.
    pub fn row(&self, row: usize) -> &[u64] {
        &self.words[row * self.words_per_row..][..self.words_per_row]
    }

    /// The words of one row, to be changed; bits past the last column must stay 0.
    pub fn row_mut(&mut self, row: usize) -> &mut [u64] {
        &mut self.words[row * self.words_per_row..][..self.words_per_row]
    }

    /// Whether the pixel is set.
    pub fn get(&self, row: usize, column: usize) -> bool {
        self.row(row)[column / 64] >> (column % 64) & 1 == 1
    }

    /// Sets or clears the pixel.
    pub fn set(&mut self, row: usize, column: usize, value: bool) {
        assert!(column < self.columns, "column {column} of {}", self.columns);
        let word = &mut self.row_mut(row)[column / 64];
        *word = *word & !(1 << (column % 64)) | u64::from(value) << (column % 64);
    }

    /// The mask with set and clear exchanged.
    pub fn complement(&self) -> Mask {
        let mut mask = self.clone();
        mask.words.iter_mut().for_each(|word| *word = !*word);
        if !self.columns.is_multiple_of(64) {
            let used = !(!0 << (self.columns % 64));
            mask.words.iter_mut().skip(self.words_per_row - 1).step_by(self.words_per_row).for_each(|w| *w &= used);
        }
        mask
    }

    /// How many pixels are set.
    pub fn count(&self) -> usize {
        ones(&self.words)
    }

    /// Whether a set pixel lies in the first or last row or column.
    pub fn touches_border(&self) -> bool {
        let Some(last) = self.columns.checked_sub(1) else { return false };
        let ends = |words: &[u64]| words[0] & 1 | words[last / 64] >> (last % 64) & 1;
        let is_used = |row: usize| row < self.rows && self.row(row).iter().any(|&word| word != 0);
        is_used(0)
            || is_used(self.rows.wrapping_sub(1))
            || self.words.chunks_exact(self.words_per_row).any(|words| ends(words) != 0)
    }

    /// The smallest rectangle that holds every set pixel; `None` where there is none.
    pub fn bounding_box(&self) -> Option<Rectangle> {
        let used = |row: &usize| self.row(*row).iter().any(|&word| word != 0);
        let top = (0..self.rows).find(used)?;
        let bottom = (0..self.rows).rfind(used)? + 1;
        let mut any = vec![0u64; self.words_per_row];
        for row in top..bottom {
            any.iter_mut().zip(self.row(row)).for_each(|(any, word)| *any |= word);
        }
        let first = any.iter().position(|&word| word != 0)?;
        let last = any.iter().rposition(|&word| word != 0)?;
        let left = first * 64 + any[first].trailing_zeros() as usize;
        let right = last * 64 + 64 - any[last].leading_zeros() as usize;
        Some(Rectangle { top, left, bottom, right })
    }

    /// The mask as an image of 0 and 1, (row, column): for pictures and tests.
    pub fn to_array(&self) -> Array2<u8> {
        Array2::from_shape_fn(self.dim(), |(row, column)| u8::from(self.get(row, column)))
    }
}

dispatched! {
    /// How many bits are set.
    fn ones(words: &[u64]) -> usize = ones_one_by_one
}

#[inline(always)]
fn ones_one_by_one(words: &[u64]) -> usize {
    words.iter().fold(0, |count: usize, word| count.wrapping_add(word.count_ones() as usize))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;
    use proptest::collection::vec;
    use proptest::prelude::*;

    #[test]
    fn bounding_box_is_half_open() {
        let mask = Mask::of(array![[0, 0, 0], [0, 1, 1], [0, 0, 0]].view(), |p| p > 0);
        assert_eq!(mask.bounding_box(), Some(Rectangle { top: 1, left: 1, bottom: 2, right: 3 }));
        assert_eq!(mask.count(), 2);
        assert!(mask.touches_border());
        assert_eq!(Mask::empty(3, 3).bounding_box(), None);
    }

    proptest::proptest! {
        #[test]
        fn packing_keeps_every_pixel(mask in drawn::arbitrary()) {
            let image = mask.to_array();
            proptest::prop_assert_eq!(&Mask::of(image.view(), |p| p > 0), &mask);
            let turned = Mask::of(image.t(), |p| p > 0);
            proptest::prop_assert_eq!(turned.to_array().reversed_axes(), image);
        }
    }

    proptest::proptest! {
        #[test]
        fn nonzero_is_every_pixel_that_is_not_0(
            (columns, pixels) in (1usize..200).prop_flat_map(|columns| (Just(columns), vec(prop_oneof![Just(0u16), any::<u16>()], 3 * columns))),
        ) {
            let image = Array2::from_shape_vec((3, columns), pixels).expect("3 rows");
            let want = Mask::of(image.view(), |pixel| pixel != 0);
            prop_assert_eq!(&Mask::nonzero(image.view()), &want);
            prop_assert_eq!(Mask::nonzero(image.t()).to_array(), want.to_array().reversed_axes());
            let bytes = image.mapv(|pixel| pixel as u8);
            prop_assert_eq!(Mask::nonzero(bytes.view()), Mask::of(bytes.view(), |pixel| pixel != 0));
        }

        #[test]
        fn counts_and_borders_agree_with_looking_at_every_pixel(mask in drawn::arbitrary(), clear in any::<[bool; 4]>()) {
            let mut mask = mask;
            let (rows, columns) = mask.dim();
            for (row, column) in ndarray::indices((rows, columns)) {
                let edges = [row == 0, row + 1 == rows, column == 0, column + 1 == columns];
                if edges.iter().zip(clear).any(|(edge, clear)| *edge && clear) {
                    mask.set(row, column, false);
                }
            }
            let image = mask.to_array();
            let set = || image.indexed_iter().filter(|&(_, &pixel)| pixel != 0).map(|(at, _)| at);
            prop_assert_eq!(mask.count(), set().count());
            let touches = set().any(|(r, c)| r == 0 || c == 0 || r + 1 == rows || c + 1 == columns);
            prop_assert_eq!(mask.touches_border(), touches);
            prop_assert_eq!(ones(&mask.words), ones_one_by_one(&mask.words));
        }
    }

    #[test]
    fn a_row_longer_than_a_word_keeps_its_columns() {
        let mut mask = Mask::empty(2, 130);
        mask.set(1, 64, true);
        mask.set(1, 129, true);
        assert!(mask.get(1, 64) && mask.get(1, 129) && !mask.get(1, 65));
        assert_eq!(mask.bounding_box(), Some(Rectangle { top: 1, left: 64, bottom: 2, right: 130 }));
        mask.set(1, 129, false);
        assert_eq!(mask.count(), 1);
    }
}

/// Masks for the tests of the kernels.
#[cfg(test)]
pub(crate) mod drawn {
    use super::Mask;
    use proptest::prelude::*;

    /// A mask drawn with `#` for set pixels, one string per row.
    pub(crate) fn mask(rows: &[&str]) -> Mask {
        let mut mask = Mask::empty(rows.len(), rows[0].len());
        for (row, line) in rows.iter().enumerate() {
            line.bytes().enumerate().for_each(|(column, byte)| mask.set(row, column, byte == b'#'));
        }
        mask
    }

    /// Masks from sparse to dense, up to two words and a bit wide.
    pub(crate) fn arbitrary() -> impl Strategy<Value = Mask> {
        (1usize..24, prop_oneof![1usize..24, 60usize..140], 1u8..10).prop_flat_map(|(rows, columns, tenths)| {
            proptest::collection::vec(0u8..10, rows * columns).prop_map(move |pixels| {
                let mut mask = Mask::empty(rows, columns);
                for (i, pixel) in pixels.into_iter().enumerate() {
                    mask.set(i / columns, i % columns, pixel < tenths);
                }
                mask
            })
        })
    }

    /// The mask as an image of 0 and 255.
    pub(crate) fn grey(mask: &Mask) -> image::GrayImage {
        let (rows, columns) = mask.dim();
        image::GrayImage::from_fn(columns as u32, rows as u32, |column, row| {
            image::Luma([if mask.get(row as usize, column as usize) { 255 } else { 0 }])
        })
    }

    /// The same with a margin of one clear pixel, which imageproc's contours and labels need.
    pub(crate) fn grey_with_margin(mask: &Mask) -> image::GrayImage {
        let (rows, columns) = mask.dim();
        let mut image = image::GrayImage::new(columns as u32 + 2, rows as u32 + 2);
        image::imageops::replace(&mut image, &grey(mask), 1, 1);
        image
    }
}
