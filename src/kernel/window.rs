//! Windows of HU: the guide that finds the head, and 8-bit channels.

use ndarray::{Array2, ArrayView2};

/// HU clipped to `[low, high]`, as offsets from `low` rounded up; (row, column).
///
/// Rounded up so that above 0 means above `low` where an odd width puts `low` between two integers:
/// with `low` = -0.5, HU 0 is 1. The largest value is `high - low` rounded up; offsets above 65535
/// are 65535.
pub fn guide(hu: ArrayView2<'_, i16>, low: f64, high: f64) -> Array2<u16> {
    // For an integer HU, ceil(HU - low) is HU - floor(low).
    let base = low.floor().clamp(-1e9, 1e9) as i32;
    let top = (high - low).ceil().clamp(0.0, f64::from(u16::MAX)) as i32;
    hu.map(|&hu| (i32::from(hu) - base).clamp(0, top) as u16)
}

/// `floor((HU - low) * 255 / (high - low) + 0.5)`, clamped to 0..=255, for every HU there is: a
/// table, so that each of them is rounded exactly once.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantise {
    first: i16,
    values: Vec<u8>,
}

impl Quantise {
    /// The table of a window in HU; `low` is below `high`.
    pub fn new(low: f64, high: f64) -> Quantise {
        let value = |hu: i16| ((f64::from(hu) - low) * 255.0 / (high - low) + 0.5).floor() as u8;
        // Saturating: what lies outside the table's ends has their values.
        let (first, last) = (low.floor() as i16, high.ceil() as i16);
        Quantise { first, values: (first..=last).map(value).collect() }
    }

    /// The 8-bit value of an HU.
    #[inline(always)]
    pub fn of(&self, hu: i16) -> u8 {
        let index = (i32::from(hu) - i32::from(self.first)).max(0) as usize;
        self.values[index.min(self.values.len() - 1)]
    }
}
