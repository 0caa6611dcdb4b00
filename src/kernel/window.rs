//! Windows of HU: the guide that finds the head, and 8-bit channels.

use ndarray::{Array2, ArrayView2, Zip};

use super::dispatch::dispatched;

/// HU clipped to `[low, high]`, as offsets from `low` rounded up.
///
/// Rounded up so that above 0 means above `low` where an odd width puts `low` between two integers:
/// with `low` = -0.5, HU 0 is 1. The largest value is `high - low` rounded up; offsets above 65535
/// are 65535.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Guide {
    least: i16,
    most: i16,
    /// The low 16 bits of what is taken away.
    base: u16,
}

impl Guide {
    /// The guide of a window in HU; `low` is at most `high`.
    pub fn new(low: f64, high: f64) -> Guide {
        // For an integer HU, ceil(HU - low) is HU - floor(low).
        let base = low.floor().clamp(-1e9, 1e9) as i32; // so that no difference overflows
        let top = (high - low).ceil().clamp(0.0, f64::from(u16::MAX)) as i32;
        let in_16_bits = |hu: i32| hu.clamp(i16::MIN.into(), i16::MAX.into()) as i16;
        let (least, most) = (in_16_bits(base), in_16_bits(base + top));
        // Where all HU lie on one side, they all become 0, or `top`.
        let base = base.clamp(i32::from(i16::MIN) - top, i16::MAX.into());
        Guide { least, most, base: base as u16 }
    }

    /// The offset of an HU.
    #[inline(always)]
    pub fn of(&self, hu: i16) -> u16 {
        (hu.max(self.least).min(self.most) as u16).wrapping_sub(self.base)
    }
}

/// The [`Guide`] of an image; (row, column). Written over `spare` where that has the size of `hu`,
/// whatever it holds.
pub fn guide(hu: ArrayView2<'_, i16>, low: f64, high: f64, spare: Array2<u16>) -> Array2<u16> {
    let (of, mut guide) = (Guide::new(low, high), sized(spare, hu.dim()));
    Zip::from(&mut guide).and(hu).for_each(|guide, &hu| *guide = of.of(hu));
    guide
}

/// `spare` where it has this size and its pixels are in order, else a new image.
pub(super) fn sized(spare: Array2<u16>, dim: (usize, usize)) -> Array2<u16> {
    if spare.dim() == dim && spare.is_standard_layout() { spare } else { Array2::zeros(dim) }
}

/// `floor((HU - low) * 255 / (high - low) + 0.5)`, clamped to 0..=255, for every HU there is: a
/// table, so that each of them is rounded exactly once.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantise {
    first: i16,
    values: Vec<u8>,
    /// Arithmetic that gives the table's value for every HU.
    line: Option<Line>,
}

impl Quantise {
    /// The table of a window in HU; `low` is below `high`.
    pub fn new(low: f64, high: f64) -> Quantise {
        let value = |hu: i16| ((f64::from(hu) - low) * 255.0 / (high - low) + 0.5).floor() as u8;
        // Saturating: what lies outside the table's ends has their values.
        let (first, last) = (low.floor() as i16, high.ceil() as i16);
        let mut quantise = Quantise { first, values: (first..=last).map(value).collect(), line: None };
        quantise.line = Line::through(&quantise, low, high);
        quantise
    }

    /// The 8-bit value of an HU.
    #[inline(always)]
    pub fn of(&self, hu: i16) -> u8 {
        let index = (i32::from(hu) - i32::from(self.first)).max(0) as usize;
        self.values[index.min(self.values.len() - 1)]
    }

    /// Writes the values of `hu` to `values`, which is as long.
    pub fn convert(&self, hu: &[i16], values: &mut [u8]) {
        match &self.line {
            Some(line) => along_line(line, hu, values),
            None => values.iter_mut().zip(hu).for_each(|(value, &hu)| *value = self.of(hu)),
        }
    }
}

/// A window's rule as an f32 product and sum, which the compiler vectorises, where a table's look-up
/// takes pixel by pixel.
#[derive(Clone, Debug, PartialEq)]
struct Line {
    first: i16,
    last: i16,
    slope: f32,
    offset: f32,
}

/// Adding this to an f32 from 0 to below 2^22 rounds it to an integer, which the low bits then are.
const ROUNDER: f32 = 8_388_608.0;

impl Line {
    /// The line that has the table's value at every HU, tried one by one; `None` where rounding to f32
    /// lets none, as in very wide windows.
    fn through(table: &Quantise, low: f64, high: f64) -> Option<Line> {
        let (first, last) = (table.first, table.first.saturating_add((table.values.len() - 1) as i16));
        let slope = 255.0 / (high - low);
        // A bit more, so that half-way goes up and not to the even integer.
        let offset = (f64::from(first) - low) * slope;
        let line = |bits: i32| Line { first, last, slope: slope as f32, offset: (offset + 0.5f64.powi(bits)) as f32 };
        (8..20).map(line).find(|line| (first..=last).all(|hu| line.of(hu) == table.of(hu)))
    }

    #[inline(always)]
    fn of(&self, hu: i16) -> u8 {
        let above = hu.max(self.first).min(self.last).wrapping_sub(self.first) as u16;
        let value = f32::from(above) * self.slope + self.offset;
        let value = if value < 0.0 { 0.0 } else { value };
        let value = if value > 255.0 { 255.0 } else { value };
        (value + ROUNDER).to_bits() as u8
    }

    #[inline(always)]
    fn convert(&self, hu: &[i16], values: &mut [u8]) {
        values.iter_mut().zip(hu).for_each(|(value, &hu)| *value = self.of(hu));
    }
}

dispatched! {
    /// Writes the values of `hu` to `values`.
    fn along_line(line: &Line, hu: &[i16], values: &mut [u8]) = Line::convert
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;
    use proptest::prelude::*;

    fn guide(hu: ArrayView2<'_, i16>, low: f64, high: f64) -> Array2<u16> {
        super::guide(hu, low, high, Array2::zeros((0, 0)))
    }

    #[test]
    fn a_spare_of_the_same_size_is_written_over_and_any_other_dropped() {
        let hu = array![[-1024i16, 40], [0, 7]];
        for spare in [Array2::from_elem((2, 2), 9), Array2::from_elem((3, 1), 9)] {
            assert_eq!(super::guide(hu.view(), 0.0, 80.0, spare), array![[0, 40], [0, 7]]);
        }
    }

    #[test]
    fn guide_by_eye() {
        let hu = array![[-1024i16, 0, 1, 40, 80, 81, 32767]];
        assert_eq!(guide(hu.view(), 0.0, 80.0), array![[0, 0, 1, 40, 80, 80, 80]]);
        // Width 81 about 40: -0.5 to 80.5. HU 0 is above -0.5.
        assert_eq!(guide(hu.view(), -0.5, 80.5), array![[0, 1, 2, 41, 81, 81, 81]]);
        assert_eq!(guide(hu.view(), -40000.0, 40000.0)[(0, 6)], 65535);
    }

    #[test]
    fn quantise_by_eye() {
        let brain = Quantise::new(0.0, 80.0);
        // 1 * 255 / 80 = 3.19; 8 is 25.5, half up; 40 is 127.5.
        assert!(brain.line.is_some());
        let got = [-1024, -1, 0, 1, 8, 40, 79, 80, 81, 32767].map(|hu| brain.of(hu));
        assert_eq!(got, [0, 0, 0, 3, 26, 128, 252, 255, 255, 255]);
        let wide = Quantise::new(-40000.0, 40000.0);
        assert_eq!([i16::MIN, 0, i16::MAX].map(|hu| wide.of(hu)), [23, 128, 232]);
    }

    /// The rule with integers of twice the value, so that half HU are integers too.
    fn plain(hu: i16, low_twice: i64, high_twice: i64) -> u8 {
        let (above, width) = (2 * i64::from(hu) - low_twice, high_twice - low_twice);
        ((2 * above * 255 + width).div_euclid(2 * width)).clamp(0, 255) as u8
    }

    proptest! {
        #[test]
        fn quantise_is_the_exact_rule(low_twice in -4000i64..4000, width_twice in 2i64..9000, hu in -3000i16..6000) {
            let (low, high) = (low_twice as f64 / 2.0, (low_twice + width_twice) as f64 / 2.0);
            prop_assert_eq!(Quantise::new(low, high).of(hu), plain(hu, low_twice, low_twice + width_twice));
        }

        #[test]
        fn a_line_is_the_table_at_every_hu_there_is(low_twice in -4000i64..4000, width_twice in 2i64..9000) {
            let quantise = Quantise::new(low_twice as f64 / 2.0, (low_twice + width_twice) as f64 / 2.0);
            let hu: Vec<i16> = (i16::MIN..=i16::MAX).collect();
            let want: Vec<u8> = hu.iter().map(|&hu| quantise.of(hu)).collect();
            let convert = |by: &dyn Fn(&mut [u8])| {
                let mut values = vec![0; hu.len()];
                by(&mut values);
                values
            };
            prop_assert!(convert(&|values| quantise.convert(&hu, values)) == want);
            if let Some(line) = &quantise.line {
                prop_assert!(convert(&|values| line.convert(&hu, values)) == want);
            }
        }

        #[test]
        fn guide_is_the_offset_rounded_up(low in -8000i32..8000, width in 1i32..12000, hu in any::<i16>()) {
            // Quarters of an HU are exact.
            let (low, high) = (f64::from(low) / 4.0, f64::from(low + width) / 4.0);
            let want = (f64::from(hu).clamp(low, high) - low).ceil() as u16;
            let got = guide(array![[hu]].view(), low, high)[(0, 0)];
            prop_assert_eq!(got, want);
            prop_assert_eq!(got > 0, f64::from(hu) > low);
        }

        #[test]
        fn guide_of_any_window_is_the_offset_in_32_bits(
            low in prop_oneof![-200_000.0..200_000.0, -1e300..1e300], width in prop_oneof![0.0..200_000.0, 0.0..1e300],
            hu in any::<i16>(),
        ) {
            let base = f64::floor(low).clamp(-1e9, 1e9) as i32;
            let top = f64::ceil((low + width) - low).clamp(0.0, 65535.0) as i32;
            prop_assert_eq!(i32::from(Guide::new(low, low + width).of(hu)), (i32::from(hu) - base).clamp(0, top));
        }
    }
}
