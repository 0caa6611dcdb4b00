//! Whether numbers can be Hounsfield units at all.

use ndarray::ArrayView3;

use super::rescale::{Rescale, Stored};

/// Width of a bin of the histogram, HU.
const BIN_HU: i32 = 10;
/// The first bin's low edge; what is below counts into it.
const LOWEST: i32 = -2210;
/// The last bin's low edge; what is above counts into it.
const HIGHEST: i32 = 1250;
const BINS: usize = ((HIGHEST - LOWEST) / BIN_HU + 1) as usize;

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
    let histogram = Histogram::of(stored, rescale);
    !histogram.is_never_rescaled() && !histogram.is_rescaled_twice()
}

struct Histogram {
    bins: [u32; BINS],
    total: u32,
}

impl Histogram {
    fn of<T: Stored>(stored: ArrayView3<'_, T>, rescale: &Rescale) -> Histogram {
        let mut bins = [0; BINS];
        let mut total = 0;
        let step = if stored.dim().1 >= MANY_ROWS { 16 } else { 1 };
        for row in stored.rows().into_iter().step_by(step) {
            for &value in row {
                let value = i64::from(value.into());
                if rescale.padding.as_ref().is_some_and(|padding| padding.contains(&value)) {
                    continue;
                }
                // From 0 on, a cast is the floor, and needs no call of one.
                let place = (rescale.exact(value) - f64::from(LOWEST)) / f64::from(BIN_HU);
                if let Some(bin) = bins.get_mut(place.clamp(0.0, (BINS - 1) as f64) as usize) {
                    *bin += 1;
                    total += 1;
                }
            }
        }
        Histogram { bins, total }
    }

    /// The bins from `low` HU to below `high` HU.
    fn bins(&self, low: i32, high: i32) -> &[u32] {
        let [low, high] = [low, high].map(|hu| ((hu - LOWEST) / BIN_HU) as usize);
        self.bins.get(low..high).unwrap_or_default()
    }

    /// Pixels from `low` HU to below `high` HU.
    fn count(&self, low: i32, high: i32) -> u32 {
        self.bins(low, high).iter().sum()
    }

    fn is_never_rescaled(&self) -> bool {
        let water = self.count(750, HIGHEST);
        self.count(LOWEST, -200) <= self.total / 1000
            && water > 0
            && water >= self.total / 10
            && water > 3 * self.count(250, 750)
    }

    fn is_rescaled_twice(&self) -> bool {
        let (air, water) = (self.count(-2200, -1800), self.count(-1300, -850));
        let most = self.bins(-2200, -1800).iter().max().copied().unwrap_or(0);
        air.min(water) > 0
            && air >= self.total / 20
            && water >= self.total / 20
            && 2 * most < air
            && 10 * self.count(-200, 200) < water
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
