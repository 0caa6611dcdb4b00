//! Stored values to Hounsfield units.

use std::ops::RangeInclusive;

use ndarray::{Array3, ArrayView3};

use crate::reason::{Fault, Reason};

/// The lowest HU there is: air. Whatever lies below was never tissue.
pub const LOWEST_HU: i16 = -1024;

/// A stored value of this size has no HU of 16 bits under any integer intercept that
/// [`Rescale::integer_intercept`] accepts.
const FAR: i64 = 1 << 22;

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
pub trait Stored: Copy + Into<i64> {}
impl Stored for u16 {}
impl Stored for i16 {}
impl Stored for i32 {}

impl Rescale {
    /// Whether every stored value has an integer HU that integer addition finds.
    pub fn is_integer(&self) -> bool {
        self.integer_intercept().is_some()
    }

    /// HU of stored values, (channel, row, column). Padding and everything below become
    /// [`LOWEST_HU`].
    ///
    /// `stored * slope + intercept` is worked out in f64 (two roundings, as every f64 program does
    /// it), then rounded once to an integer. Slope 1 with an integer intercept is integer addition.
    ///
    /// # Errors
    /// `hu_range` where a pixel's HU is above 32767.
    pub fn apply<T: Stored>(&self, stored: ArrayView3<'_, T>) -> Result<Array3<i16>, Fault> {
        if let Some(intercept) = self.integer_intercept() {
            return self.add(stored, intercept);
        }
        let (least, most) = extent(stored);
        // A table of what occurs: a CT has a few thousand distinct values in a quarter million pixels.
        let mut table = Vec::new();
        if most - least < 1 << 16 {
            table.extend((least..=most).map(|value| self.hu(value)));
        }
        let of = |value: T| {
            let value: i64 = value.into();
            table.get((value - least) as usize).copied().unwrap_or_else(|| self.hu(value))
        };
        let hu = stored.map(|&value| of(value));
        // Saturated: only where the largest stored values saturate can a pixel be too high.
        match hu.iter().any(|&hu| hu == i16::MAX) {
            true => self.check_highest(stored).map(|()| hu),
            false => Ok(hu),
        }
    }

    /// The exact HU of one stored value, rounded, or [`LOWEST_HU`]; saturated at 32767.
    fn hu(&self, stored: i64) -> i16 {
        match &self.padding {
            Some(padding) if padding.contains(&stored) => LOWEST_HU,
            _ => self.rounded(stored).max(f64::from(LOWEST_HU)) as i16,
        }
    }

    fn rounded(&self, stored: i64) -> f64 {
        self.rounding.round(stored as f64 * self.slope + self.intercept)
    }

    fn check_highest<T: Stored>(&self, stored: ArrayView3<'_, T>) -> Result<(), Fault> {
        let is_padding = |value: &i64| self.padding.as_ref().is_some_and(|padding| padding.contains(value));
        let values = stored.iter().map(|&value| value.into()).filter(|value| !is_padding(value));
        let highest = values.map(|value| self.rounded(value)).fold(f64::MIN, f64::max);
        if highest > f64::from(i16::MAX) { Err(above_range(highest)) } else { Ok(()) }
    }

    /// The intercept where slope is 1 and the intercept an integer of a size that cannot overflow.
    fn integer_intercept(&self) -> Option<i32> {
        let ordinary = |&(first, last): &(i64, i64)| first.abs().max(last.abs()) < FAR;
        let fits = self.slope == 1.0
            && self.intercept.fract() == 0.0
            && self.intercept.abs() <= (FAR / 4) as f64
            && self.padding.as_ref().is_none_or(|padding| ordinary(&(*padding.start(), *padding.end())));
        fits.then_some(self.intercept as i32)
    }

    fn add<T: Stored>(&self, stored: ArrayView3<'_, T>, intercept: i32) -> Result<Array3<i16>, Fault> {
        // Whatever the intercept, values as far off as this are out of range, so that i32 is enough.
        let narrow = |value: i64| value.clamp(-FAR, FAR) as i32;
        let (first, last) = match &self.padding {
            Some(padding) => (narrow(*padding.start()), narrow(*padding.end())),
            None => (i32::MAX, i32::MIN),
        };
        let mut highest = i32::MIN;
        let hu = stored.map(|&value| {
            let value = narrow(value.into());
            let hu = (value + intercept).max(i32::from(LOWEST_HU));
            let hu = if first <= value && value <= last { i32::from(LOWEST_HU) } else { hu };
            highest = highest.max(hu);
            hu as i16
        });
        if highest > i32::from(i16::MAX) { Err(above_range(f64::from(highest))) } else { Ok(hu) }
    }
}

fn above_range(highest: f64) -> Fault {
    Fault::new(Reason::HuRange, format!("the highest pixel is {highest} HU, expected at most {}", i16::MAX))
}

/// The smallest and largest value; (0, 0) of an empty image.
fn extent<T: Stored>(stored: ArrayView3<'_, T>) -> (i64, i64) {
    let mut values = stored.iter().map(|&value| value.into());
    let first = values.next().unwrap_or(0);
    values.fold((first, first), |(least, most), value| (least.min(value), most.max(value)))
}

/// How many stored values lie in the range of padding.
pub fn count_padding<T: Stored>(stored: ArrayView3<'_, T>, padding: &RangeInclusive<i64>) -> usize {
    stored.iter().filter(|&&value| padding.contains(&value.into())).count()
}
