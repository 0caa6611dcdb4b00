//! Whether numbers can be Hounsfield units at all.

use std::ops::RangeInclusive;

use ndarray::{ArrayView1, ArrayView3};

use super::rescale::{Rescale, Stored, count_in_row};

/// HU are compared as numbers of bins of this width, HU.
const BIN_HU: f64 = 10.0;
/// Where the first bin begins, HU.
const LOWEST: f64 = -2210.0;

/// From so many rows on, every sixteenth is looked at.
const MANY_ROWS: usize = 256;

/// Whether the pixels of a slice can be HU: false where they have the shape that CT numbers take when
/// they were never rescaled, or rescaled twice by an intercept of about -1000.
///
/// Never rescaled: nothing is below -200 HU (at most a thousandth), a tenth or more is within 750 to 1250,
/// where water comes to lie, and that is more than three times of what is within 250 to 750: bone of a
/// patient fills both. Rescaled twice: a twentieth or more is within -2200 to -1800, where air comes to
/// lie, and is noise, not one value (of 10 HU, none holds half: padding is one value); a twentieth or more
/// is within -1300 to -850, where water comes to lie, and ten times of what is within -200 to 200. A slice
/// that is all air, all water, all bone or all metal, one without air, and one with rings of padding can
/// be HU. `rescale.padding` is left out.
pub fn is_plausible<T: Stored>(stored: ArrayView3<'_, T>, rescale: &Rescale) -> bool {
    let pixels = Pixels { stored, rescale };
    let total = pixels.all() - rescale.padding.as_ref().map_or(0, |padding| pixels.count(padding));
    !pixels.are_never_rescaled(total) && !pixels.are_rescaled_twice(total)
}

/// The pixels that are looked at. Counting a range of HU is a loop that the compiler vectorises; that
/// nothing has to be counted of ordinary slices but what is below -200 HU and, mostly, what is within
/// -2200 to -1800, makes it faster than a histogram.
struct Pixels<'a, T> {
    stored: ArrayView3<'a, T>,
    rescale: &'a Rescale,
}

impl<T: Stored> Pixels<'_, T> {
    fn rows(&self) -> impl Iterator<Item = ArrayView1<'_, T>> {
        let step = if self.stored.dim().1 >= MANY_ROWS { 16 } else { 1 };
        self.stored.rows().into_iter().step_by(step)
    }

    fn all(&self) -> usize {
        self.rows().map(|row| row.len()).sum()
    }

    /// Pixels of stored values in a range.
    fn count(&self, stored: &RangeInclusive<i64>) -> usize {
        self.rows().map(|row| count_in_row(row, stored)).sum()
    }

    /// Pixels below an HU that are not of padding.
    fn below(&self, hu: i32) -> usize {
        let is_below = |stored| (self.rescale.exact(stored) - LOWEST) / BIN_HU < (f64::from(hu) - LOWEST) / BIN_HU;
        let range = self.rescale.where_below(is_below);
        let shared =
            |padding: &RangeInclusive<i64>| *padding.start().max(range.start())..=*padding.end().min(range.end());
        self.count(&range) - self.rescale.padding.as_ref().map_or(0, |padding| self.count(&shared(padding)))
    }

    /// Pixels from `low` HU to below `high` HU that are not of padding.
    fn between(&self, low: i32, high: i32) -> usize {
        self.below(high) - self.below(low)
    }

    fn are_never_rescaled(&self, total: usize) -> bool {
        self.below(-200) <= total / 1000 && {
            let water = self.between(750, 1250);
            water > 0 && water >= total / 10 && water > 3 * self.between(250, 750)
        }
    }

    fn are_rescaled_twice(&self, total: usize) -> bool {
        let is_much = |pixels: usize| pixels > 0 && pixels >= total / 20;
        let air = self.between(-2200, -1800);
        is_much(air) && {
            let water = self.between(-1300, -850);
            is_much(water) && 10 * self.between(-200, 200) < water && 2 * self.most_of_air() < air
        }
    }

    /// Pixels in that bin of 10 HU, of those from -2200 to -1800 HU, that holds most.
    fn most_of_air(&self) -> usize {
        (-220..-180).map(|tens| self.between(10 * tens, 10 * tens + 10)).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array3;
    use proptest::collection::vec;
    use proptest::prelude::*;

    /// The rule as the documentation has it, pixel by pixel.
    fn plain(hu: &[i16]) -> bool {
        let count = |low: i16, high: i16| hu.iter().filter(|&&hu| low <= hu && hu < high).count();
        let below = count(i16::MIN, -200);
        let water = count(750, 1250);
        let never = below <= hu.len() / 1000 && water > 0 && water >= hu.len() / 10 && water > 3 * count(250, 750);
        let (air, water) = (count(-2200, -1800), count(-1300, -850));
        let most = (0..40).map(|bin| count(-2200 + 10 * bin, -2190 + 10 * bin)).max().unwrap_or(0);
        let both = air > 0 && water > 0 && air >= hu.len() / 20 && water >= hu.len() / 20;
        let twice = both && 2 * most < air && 10 * count(-200, 200) < water;
        !never && !twice
    }

    proptest! {
        #[test]
        fn the_histogram_agrees_with_the_plain_rule(
            hu in vec(prop_oneof![any::<i16>(), -2210i16..-1790, -1310i16..-840, -210i16..260, 240i16..760, 740i16..1260], 1..60),
            first in prop_oneof![-2200i16..-1800, 750i16..1250], more in 0usize..60,
        ) {
            let hu: Vec<i16> = hu.into_iter().chain((0..more).map(|n| first + (n % 30) as i16)).collect();
            let image = Array3::from_shape_vec((1, 1, hu.len()), hu.clone()).expect("one row");
            prop_assert_eq!(is_plausible(image.view(), &Rescale::identity()), plain(&hu));
        }
    }

    #[test]
    fn padding_is_left_out() {
        let image = Array3::from_shape_vec((1, 1, 4), vec![1000i16, 1024, 1048, -2000]).expect("one row");
        let rescale = Rescale { padding: Some(-2000..=-2000), ..Rescale::identity() };
        assert!(is_plausible(image.view(), &Rescale::identity()));
        assert!(!is_plausible(image.view(), &rescale));
    }
}
