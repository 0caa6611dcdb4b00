//! Stored values to Hounsfield units.

use std::ops::RangeInclusive;

use ndarray::{Array3, ArrayView1, ArrayView3};

use crate::reason::{Fault, Reason};

/// The lowest HU there is: air. Whatever lies below was never tissue.
pub const LOWEST_HU: i16 = -1024;

/// A stored value as far from 0 as this has no HU of 16 bits under any integer intercept that
/// [`Rescale::is_integer`] admits.
const FAR: i32 = 1 << 22;

/// The integer that a fractional HU becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// The nearest; half-way, the one above.
    HalfUp,
    /// The next below.
    Down,
    /// The next above.
    Up,
}

impl Rounding {
    /// Rounds a number. Never by adding 0.5, which itself rounds: 0.49999999999999994 is 0.
    fn round(self, value: f64) -> f64 {
        let below = value.floor();
        let up = match self {
            Rounding::HalfUp => value - below >= 0.5,
            Rounding::Down => false,
            Rounding::Up => value > below,
        };
        if up { below + 1.0 } else { below }
    }
}

/// Modality LUT of a CT slice: `HU = stored * slope + intercept`.
///
/// # Source
/// PS3.3 C.11.1, Rescale Slope (0028,1053) and Rescale Intercept (0028,1052); PS3.3 C.7.5.1.1.2,
/// Pixel Padding Value and Range.
#[derive(Clone, Debug, PartialEq)]
pub struct Rescale {
    /// Rescale Slope, finite.
    pub slope: f64,
    /// Rescale Intercept, HU, finite.
    pub intercept: f64,
    /// What a fractional HU becomes.
    pub rounding: Rounding,
    /// Stored values that stand for "no pixel here" and become [`LOWEST_HU`].
    pub padding: Option<RangeInclusive<i64>>,
}

/// A type that stored values come in.
pub trait Stored: Copy + Ord + Into<i32> + 'static {
    /// Of types of 16 bits: what turns the bits into an i16 of the same order by exclusive or.
    const FLIP: Option<i16>;

    /// The low 16 bits.
    fn bits(self) -> i16;

    /// The first and last of the values that lie in a range; `None` where none does.
    fn within(range: &RangeInclusive<i64>) -> Option<(Self, Self)>;
}

macro_rules! stored {
    ($($of:ty, $flip:expr;)+) => {
        $(impl Stored for $of {
            const FLIP: Option<i16> = $flip;

            #[inline(always)]
            fn bits(self) -> i16 {
                self as i16
            }

            fn within(range: &RangeInclusive<i64>) -> Option<($of, $of)> {
                let (least, most) = (i64::from(<$of>::MIN), i64::from(<$of>::MAX));
                let (first, last) = (*range.start().max(&least), *range.end().min(&most));
                (first <= last).then_some((first as $of, last as $of))
            }
        })+
    };
}
stored! { u16, Some(i16::MIN); i16, Some(0); i32, None; }

impl Rescale {
    /// Stored values that are HU already.
    pub fn identity() -> Rescale {
        Rescale { slope: 1.0, intercept: 0.0, rounding: Rounding::HalfUp, padding: None }
    }

    /// Whether every stored value has an integer HU that integer addition finds.
    pub fn is_integer(&self) -> bool {
        self.integer_intercept().is_some()
    }

    /// HU of stored values, (channel, row, column), in their own place where the type is the same.
    /// Padding and everything below become [`LOWEST_HU`].
    ///
    /// `stored * slope + intercept` is worked out in f64 (two roundings, as every f64 program does
    /// it), then rounded once to an integer. Slope 1 with an integer intercept is integer addition.
    ///
    /// # Errors
    /// `hu_range` where a pixel's HU is above 32767.
    pub fn apply<T: Stored>(&self, stored: Array3<T>) -> Result<Array3<i16>, Fault> {
        if let Some(intercept) = self.integer_intercept() {
            return self.add(stored, intercept);
        }
        let (least, most) = extent(stored.view());
        // Linear: if no end is too high, nothing between them is.
        if self.rounded(least).max(self.rounded(most)) > f64::from(i16::MAX) {
            self.check_highest(stored.view())?;
        }
        // A table of what occurs: a CT has a few thousand distinct values in a quarter million pixels.
        let mut table = Vec::new();
        if most - least < 1 << 16 {
            table.extend((least..=most).map(|value| self.hu(value)));
        }
        let of = |value: T| {
            let value = i64::from(value.into());
            table.get((value - least) as usize).copied().unwrap_or_else(|| self.hu(value))
        };
        Ok(stored.mapv_into_any(of))
    }

    /// The stored values whose HU, rounded, lie below [`LOWEST_HU`].
    pub fn below_lowest(&self) -> RangeInclusive<i64> {
        self.where_below(|stored| self.rounded(stored) < f64::from(LOWEST_HU))
    }

    /// The stored values of which `is_below` holds, which is true of what lies below some HU.
    pub(super) fn where_below(&self, is_below: impl Fn(i64) -> bool) -> RangeInclusive<i64> {
        let (least, most) = (i64::from(i32::MIN), i64::from(i32::MAX));
        // Linear: they are all at one end.
        let (mut below, mut above) = if self.slope < 0.0 { (most + 1, least - 1) } else { (least - 1, most + 1) };
        while below.abs_diff(above) > 1 {
            let middle = below + (above - below) / 2;
            *(if is_below(middle) { &mut below } else { &mut above }) = middle;
        }
        if self.slope < 0.0 { below..=most } else { least..=below }
    }

    /// The HU of one stored value, not rounded and not clipped.
    pub fn exact(&self, stored: i64) -> f64 {
        stored as f64 * self.slope + self.intercept
    }

    /// The exact HU of one stored value, rounded, or [`LOWEST_HU`]; saturated at 32767.
    fn hu(&self, stored: i64) -> i16 {
        match &self.padding {
            Some(padding) if padding.contains(&stored) => LOWEST_HU,
            _ => self.rounded(stored).max(f64::from(LOWEST_HU)) as i16,
        }
    }

    fn rounded(&self, stored: i64) -> f64 {
        self.rounding.round(self.exact(stored))
    }

    fn check_highest<T: Stored>(&self, stored: ArrayView3<'_, T>) -> Result<(), Fault> {
        let is_padding = |value: &i64| self.padding.as_ref().is_some_and(|padding| padding.contains(value));
        let values = stored.iter().map(|&value| i64::from(value.into())).filter(|value| !is_padding(value));
        let highest = values.map(|value| self.rounded(value)).fold(f64::MIN, f64::max);
        if highest > f64::from(i16::MAX) { Err(above_range(highest)) } else { Ok(()) }
    }

    /// The intercept where slope is 1 and the intercept an integer of a size that cannot overflow.
    pub(super) fn integer_intercept(&self) -> Option<i32> {
        let ordinary = |value: &i64| value.abs() < i64::from(FAR);
        let fits = self.slope == 1.0
            && self.intercept.fract() == 0.0
            && self.intercept.abs() <= f64::from(FAR / 4)
            && self.padding.as_ref().is_none_or(|padding| ordinary(padding.start()) && ordinary(padding.end()));
        fits.then_some(self.intercept as i32)
    }

    // Plain arithmetic in 32 bits, which the compiler vectorises: for that nothing in it may panic,
    // and `FAR` rules an overflow out anyway.
    fn add<T: Stored>(&self, stored: Array3<T>, intercept: i32) -> Result<Array3<i16>, Fault> {
        let (first, last) = self.padding.as_ref().and_then(i32::within).unwrap_or(NO_VALUE);
        let of = move |value: T| {
            let value = value.into().clamp(-FAR, FAR);
            let hu = value.wrapping_add(intercept).max(i32::from(LOWEST_HU));
            if (first <= value) & (value <= last) { i32::from(LOWEST_HU) } else { hu }
        };
        let mut highest = i32::MIN;
        let hu = stored.mapv_into_any(|value| {
            let hu = of(value);
            highest = highest.max(hu);
            hu.min(i32::from(i16::MAX)) as i16
        });
        if highest > i32::from(i16::MAX) { Err(above_range(f64::from(highest))) } else { Ok(hu) }
    }
}

pub(super) fn above_range(highest: f64) -> Fault {
    Fault::new(Reason::HuRange, format!("the highest pixel is {highest} HU, expected at most {}", i16::MAX))
}

/// The smallest and largest value; (0, 0) of an empty image.
fn extent<T: Stored>(stored: ArrayView3<'_, T>) -> (i64, i64) {
    let mut values = stored.iter().map(|&value| i64::from(value.into()));
    let first = values.next().unwrap_or(0);
    values.fold((first, first), |(least, most), value| (least.min(value), most.max(value)))
}

/// The ends of a range that holds no value.
const NO_VALUE: (i32, i32) = (i32::MAX, i32::MIN);

/// How many stored values lie in a range.
pub fn count_between<T: Stored>(stored: ArrayView3<'_, T>, range: &RangeInclusive<i64>) -> usize {
    stored.rows().into_iter().map(|row| count_in_row(row, range)).sum()
}

/// How many stored values of a row lie in a range.
pub(super) fn count_in_row<T: Stored>(row: ArrayView1<'_, T>, range: &RangeInclusive<i64>) -> usize {
    let Some((first, last)) = T::within(range) else { return 0 };
    let is_within = |&value: &T| (first <= value) & (value <= last);
    let Some(values) = row.as_slice() else { return row.iter().filter(|value| is_within(value)).count() };
    // Counted in 16 bits, so that a vector register holds as many counters as pixels.
    let few = |values: &[T]| values.iter().fold(0, |count: u16, value| count.wrapping_add(u16::from(is_within(value))));
    values.chunks(1 << 15).map(|values| usize::from(few(values))).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array1;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn rescale(slope: f64, intercept: f64, rounding: Rounding) -> Rescale {
        Rescale { slope, intercept, rounding, padding: None }
    }

    fn row<T: Clone>(stored: &[T]) -> Array3<T> {
        let row = Array1::from(stored.to_vec());
        row.into_shape_with_order((1, 1, stored.len())).expect("one row")
    }

    fn hu_of<T: Stored>(rescale: &Rescale, stored: &[T]) -> Result<Vec<i16>, Fault> {
        rescale.apply(row(stored)).map(|hu| hu.into_iter().collect())
    }

    /// The plain version: one pixel in f64, its HU by searching.
    fn plain(rescale: &Rescale, stored: i64) -> Option<i16> {
        if rescale.padding.as_ref().is_some_and(|padding| padding.contains(&stored)) {
            return Some(-1024);
        }
        let exact = stored as f64 * rescale.slope + rescale.intercept;
        let near = |hu: &i32| match rescale.rounding {
            Rounding::HalfUp => exact - f64::from(*hu) >= -0.5 && exact - f64::from(*hu) < 0.5,
            Rounding::Down => f64::from(*hu) <= exact && exact - f64::from(*hu) < 1.0,
            Rounding::Up => f64::from(*hu) >= exact && f64::from(*hu) - exact < 1.0,
        };
        let guess = exact.clamp(-1e6, 1e6) as i32;
        let hu = if exact < -2000.0 { -2000 } else { (guess - 2..=guess + 2).find(near)? };
        i16::try_from(hu.max(-1024)).ok()
    }

    #[test]
    fn integers_by_eye() {
        let ct = rescale(1.0, -1024.0, Rounding::HalfUp);
        assert!(ct.is_integer());
        assert_eq!(hu_of(&ct, &[0u16, 1024, 1064, 4095]), Ok(vec![-1024, 0, 40, 3071]));
        assert_eq!(hu_of(&ct, &[-2000i16, 33]), Ok(vec![-1024, -991]));
    }

    #[test]
    fn fractions_by_eye() {
        // 0.5 * 1 - 0.5 = 0, then 0.5, 1, 1.5; and -1.0, -1.5.
        for (rounding, want) in [
            (Rounding::HalfUp, vec![0, 1, 1, 2, -1, -1]),
            (Rounding::Down, vec![0, 0, 1, 1, -1, -2]),
            (Rounding::Up, vec![0, 1, 1, 2, -1, -1]),
        ] {
            assert_eq!(hu_of(&rescale(0.5, -0.5, rounding), &[1i16, 2, 3, 4, -1, -2]), Ok(want), "{rounding:?}");
        }
        assert_eq!(Rounding::HalfUp.round(0.499_999_999_999_999_94), 0.0);
    }

    #[test]
    fn padding_is_air_and_cannot_be_out_of_range() {
        for slope in [1.0, 2.0] {
            let padded = Rescale { padding: Some(63536..=65535), ..rescale(slope, -1024.0, Rounding::HalfUp) };
            let stored = [63535u16 - 50000, 63536, 65535, 1024];
            assert_eq!(hu_of(&padded, &stored).map(|hu| hu[1..3].to_vec()), Ok(vec![-1024, -1024]), "slope {slope}");
            assert_eq!(count_between(row(&stored).view(), &(63536..=65535)), 2);
        }
    }

    #[test]
    fn above_16_bits_is_a_fault_with_the_value() {
        for (slope, intercept, highest) in [(1.0, 0.0, "40000"), (2.0, 1.0, "80001"), (1.5, 0.5, "60001")] {
            let fault = hu_of(&rescale(slope, intercept, Rounding::HalfUp), &[0u16, 40000, 7]);
            let Err(fault) = fault else { panic!("slope {slope}: {fault:?}, expected a fault") };
            assert_eq!(fault.reason, Reason::HuRange);
            assert!(fault.detail.contains(highest), "{fault}");
        }
        let most = rescale(2.0, 1.0, Rounding::HalfUp);
        assert_eq!(hu_of(&most, &[16383u16]), Ok(vec![32767]));
    }

    #[test]
    fn values_of_32_bits_do_not_wrap() {
        let ct = rescale(1.0, -1024.0, Rounding::HalfUp);
        assert!(hu_of(&ct, &[i32::MAX]).is_err());
        assert_eq!(hu_of(&ct, &[i32::MIN, 1064]), Ok(vec![-1024, 40]));
        let far = Rescale { padding: Some(5_000_000..=6_000_000), ..ct };
        assert_eq!(hu_of(&far, &[5_500_000, 1064]), Ok(vec![-1024, 40]));
        assert!(hu_of(&far, &[7_000_000, 1064]).is_err());
        let fraction = rescale(1e-6, 0.0, Rounding::HalfUp);
        assert_eq!(hu_of(&fraction, &[i32::MIN, 40_000_000]), Ok(vec![-1024, 40]));
    }

    fn check<T: Stored + std::fmt::Debug>(rescale: &Rescale, stored: &[T]) -> Result<(), TestCaseError> {
        let want: Option<Vec<i16>> = stored.iter().map(|&value| plain(rescale, i64::from(value.into()))).collect();
        prop_assert_eq!(hu_of(rescale, stored).ok(), want, "{:?}", stored);
        Ok(())
    }

    proptest! {
        #[test]
        fn below_the_lowest_is_every_value_that_rounds_to_less(
            stored in any::<i32>(), near in -4000i64..4000,
            slope in prop_oneof![Just(1.0), Just(0.5), Just(-1.0), Just(1e300), Just(-1e-300), -2.0..2.0],
            intercept in prop_oneof![Just(0.0), Just(-1024.0), Just(-1e300), -5000.0..5000.0],
            rounding in prop_oneof![Just(Rounding::HalfUp), Just(Rounding::Down), Just(Rounding::Up)],
        ) {
            let rescale = rescale(slope, intercept, rounding);
            let below = rescale.below_lowest();
            for value in [i64::from(stored), near, i64::from(i32::MIN), i64::from(i32::MAX)] {
                prop_assert_eq!(below.contains(&value), rescale.rounded(value) < -1024.0, "{}", value);
            }
        }

        #[test]
        fn values_in_a_range_are_counted_one_by_one(stored in vec(any::<i32>(), 1..9), wide in any::<(i64, i64)>(), near in any::<(i32, i32)>()) {
            for (first, last) in [wide, (i64::from(near.0), i64::from(near.1))] {
                let want = stored.iter().filter(|&&value| first <= i64::from(value) && i64::from(value) <= last).count();
                prop_assert_eq!(count_between(row(&stored).view(), &(first..=last)), want);
            }
        }

        #[test]
        fn every_type_is_the_plain_value(
            unsigned in vec(any::<u16>(), 1..40), signed in vec(any::<i16>(), 1..40), wide in vec(-70000i32..70000, 1..40),
            slope in prop_oneof![Just(1.0), Just(0.5), Just(-1.0), -2.0..2.0],
            intercept in prop_oneof![Just(0.0), Just(-1024.0), Just(-8192.5), -2000.0..2000.0],
            rounding in prop_oneof![Just(Rounding::HalfUp), Just(Rounding::Down), Just(Rounding::Up)],
            padding in proptest::option::of((-3000i64..3000, 0i64..3000)),
        ) {
            let padding = padding.map(|(first, more)| first..=first + more);
            let rescale = Rescale { slope, intercept, rounding, padding };
            check(&rescale, &unsigned)?;
            check(&rescale, &signed)?;
            check(&rescale, &wide)?;
        }
    }
}
