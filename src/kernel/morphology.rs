//! Filling holes and dilating, on bits.

use super::contour;
use super::dispatch::dispatched;
use super::mask::Mask;

/// The mask with its holes filled: clear pixels that no 4-connected path of clear pixels links to
/// the image's edge. A clear pixel on the edge is never in a hole. The same as
/// `scipy.ndimage.binary_fill_holes` with its default structure.
///
/// Only the outer borders are walked, so the cost does not grow with noise inside.
pub fn fill_holes(mask: &Mask) -> Mask {
    contour::trace(mask, |_| ())
}

dispatched! {
    /// The mask dilated by 3x3: a pixel is set where it or one of its eight neighbours is. Pixels past
    /// the edge count as clear.
    pub fn dilate_3x3(mask: &Mask) -> Mask = |mask| sweep(mask, 0, |a, b| a | b)
}

dispatched! {
    /// The mask eroded by 3x3: a pixel stays set where its eight neighbours are set, too. Pixels past
    /// the edge count as set, so that eroding what [`dilate_3x3`] made loses no pixel it came from.
    pub fn erode_3x3(mask: &Mask) -> Mask = |mask| sweep(mask, !0, |a, b| a & b)
}

/// Joins each pixel with its eight neighbours; those past the edge are the bits of `outside`.
#[inline(always)]
fn sweep(mask: &Mask, outside: u64, join: impl Fn(u64, u64) -> u64) -> Mask {
    let (rows, columns) = mask.dim();
    let words = columns.div_ceil(64);
    // The bits of the last word that are columns.
    let used = !0 >> (64 * words - columns);
    let edge = vec![outside; words];
    // A row joined with those above and below it, with a word to each side.
    let mut down = vec![outside; words + 2];
    let mut joined = Mask::empty(rows, columns);
    for row in 0..rows {
        let above = if row > 0 { mask.row(row - 1) } else { &edge };
        let below = if row + 1 < rows { mask.row(row + 1) } else { &edge };
        for (((place, &a), &b), &c) in down.iter_mut().skip(1).zip(above).zip(mask.row(row)).zip(below) {
            *place = join(join(a, b), c);
        }
        if let Some(last) = down.get_mut(words) {
            *last = *last & used | outside & !used;
        }
        let places = joined.row_mut(row);
        for (place, three) in places.iter_mut().zip(down.windows(3)) {
            let &[left, word, right] = three else { continue };
            *place = join(word, join(word << 1 | left >> 63, word >> 1 | right << 63));
        }
        if let Some(last) = places.last_mut() {
            *last &= used;
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::mask::drawn::{arbitrary, grey, mask};
    use proptest::prelude::*;

    /// The plain way: flood the clear pixels from outside the image; what stays dry is filled.
    fn flooded(mask: &Mask) -> Mask {
        let (rows, columns) = mask.dim();
        let mut dry = ndarray::Array2::from_elem((rows + 2, columns + 2), true);
        let mut queue = vec![(0, 0)];
        while let Some((row, column)) = queue.pop() {
            let inside = (1..=rows).contains(&row) && (1..=columns).contains(&column);
            if dry.get((row, column)) == Some(&true) && !(inside && mask.get(row - 1, column - 1)) {
                dry[(row, column)] = false;
                queue.extend([(row + 1, column), (row, column + 1)]);
                queue.extend([(row.wrapping_sub(1), column), (row, column.wrapping_sub(1))]);
            }
        }
        Mask::of(dry.slice(ndarray::s![1..=rows, 1..=columns]), |dry| dry)
    }

    #[test]
    fn a_hole_is_filled_but_not_one_that_a_corner_closes_only() {
        // Set pixels that touch by a corner do close a hole: clear pixels connect by sides.
        let open = [".###.", ".#..#", ".#.#.", "..#.."];
        assert_eq!(fill_holes(&mask(&open)), mask(&[".###.", ".####", ".###.", "..#.."]));
        let leak = ["###", "#.#", "#.#"];
        assert_eq!(fill_holes(&mask(&leak)), mask(&leak));
    }

    #[test]
    fn an_island_in_a_hole_is_filled_over() {
        assert_eq!(fill_holes(&mask(&["#####", "#...#", "#.#.#", "#...#", "#####"])).count(), 25);
    }

    #[test]
    fn dilation_grows_by_one_in_eight_directions_and_stops_at_the_edge() {
        assert_eq!(
            dilate_3x3(&mask(&["#....", ".....", ".....", "....."])),
            mask(&["##...", "##...", ".....", "....."])
        );
        assert_eq!(
            dilate_3x3(&mask(&[".....", "..#..", ".....", "....."])),
            mask(&[".###.", ".###.", ".###.", "....."])
        );
    }

    #[test]
    fn erosion_undoes_dilation_of_a_solid_shape_up_to_the_edge() {
        let solid = mask(&["###....", "###....", "####...", ".......", "......."]);
        assert_eq!(erode_3x3(&dilate_3x3(&solid)), solid);
        assert_eq!(erode_3x3(&mask(&["###", "#.#", "###"])).count(), 0);
    }

    #[test]
    fn dilation_crosses_words_and_keeps_the_bits_past_the_last_column_clear() {
        let mut drawn = Mask::empty(1, 130);
        drawn.set(0, 63, true);
        drawn.set(0, 129, true);
        let dilated = dilate_3x3(&drawn);
        let set: Vec<usize> = (0..130).filter(|&column| dilated.get(0, column)).collect();
        assert_eq!(set, [62, 63, 64, 128, 129]);
        assert_eq!(dilated.count(), 5);
    }

    proptest! {
        #[test]
        fn filling_agrees_with_flooding(mask in arbitrary()) {
            prop_assert_eq!(fill_holes(&mask), flooded(&mask));
        }

        #[test]
        fn dilation_agrees_with_looking_at_nine_pixels(mask in arbitrary()) {
            let (rows, columns) = mask.dim();
            let near = |i: usize, n: usize| i.saturating_sub(1)..=(i + 1).min(n - 1);
            let plain = ndarray::Array2::from_shape_fn((rows, columns), |(row, column)| {
                near(row, rows).any(|r| near(column, columns).any(|c| mask.get(r, c)))
            });
            prop_assert_eq!(dilate_3x3(&mask), Mask::of(plain.view(), |p| p));
        }

        #[test]
        fn erosion_agrees_with_looking_at_nine_pixels(mask in arbitrary()) {
            let (rows, columns) = mask.dim();
            let near = |i: usize, n: usize| i.saturating_sub(1)..=(i + 1).min(n - 1);
            let plain = ndarray::Array2::from_shape_fn((rows, columns), |(row, column)| {
                near(row, rows).all(|r| near(column, columns).all(|c| mask.get(r, c)))
            });
            prop_assert_eq!(erode_3x3(&mask), Mask::of(plain.view(), |p| p));
        }

        #[test]
        fn wide_and_plain_code_give_the_same_bits(mask in arbitrary()) {
            prop_assert_eq!(dilate_3x3(&mask), sweep(&mask, 0, |a, b| a | b));
            prop_assert_eq!(erode_3x3(&mask), sweep(&mask, !0, |a, b| a & b));
        }

        #[test]
        fn dilation_agrees_with_imageproc(mask in arbitrary()) {
            let other = imageproc::morphology::dilate(&grey(&mask), imageproc::distance_transform::Norm::LInf, 1);
            prop_assert_eq!(grey(&dilate_3x3(&mask)), other);
        }
    }
}
