//! Stored values to HU by a table.

use std::ops::RangeInclusive;

use ndarray::Array3;

use super::rescale::{LOWEST_HU, Stored};

/// A table from stored values to HU.
///
/// # Source
/// PS3.3 C.11.1.1: entries are unsigned; stored values below the first one mapped have the first
/// entry, those above the last one mapped the last.
#[derive(Clone, Debug, PartialEq)]
pub struct ModalityLut {
    /// The stored value that the first entry is for.
    pub first: i32,
    /// HU, at least one.
    pub entries: Vec<u16>,
}

impl ModalityLut {
    /// The entry of a stored value.
    ///
    /// # Source
    /// PS3.3 C.11.1.1: below the first value mapped the first entry, above the last the last.
    pub fn entry(&self, stored: i64) -> u16 {
        let last = self.entries.len().saturating_sub(1) as i64;
        let place = (stored - i64::from(self.first)).clamp(0, last) as usize;
        self.entries.get(place).copied().unwrap_or(0)
    }

    /// The least and the largest entry of a range of stored values.
    pub fn extent(&self, stored: &RangeInclusive<i64>) -> (u16, u16) {
        let first = i64::from(self.first);
        let ends = [*stored.start(), *stored.end()].map(|end| self.entry(end));
        let (low, high) = ((stored.start() - first).max(0), (stored.end() - first + 1).max(0));
        let high = (high as usize).min(self.entries.len());
        let between = self.entries.get((low as usize).min(high)..high).unwrap_or_default();
        let all = || between.iter().chain(&ends).copied();
        (all().min().unwrap_or(0), all().max().unwrap_or(0))
    }

    /// HU of stored values, (channel, row, column); padding becomes [`LOWEST_HU`].
    pub fn apply<T: Stored>(&self, stored: Array3<T>, padding: Option<&RangeInclusive<i64>>) -> Array3<i32> {
        stored.mapv(|value| {
            let value = i64::from(value.into());
            match padding {
                Some(padding) if padding.contains(&value) => LOWEST_HU.into(),
                _ => self.entry(value).into(),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    /// The rule of the standard, one value at a time.
    fn plain(lut: &ModalityLut, stored: i64) -> u16 {
        let last = i64::from(lut.first) + lut.entries.len() as i64 - 1;
        let place = match stored {
            stored if stored < i64::from(lut.first) => 0,
            stored if stored > last => lut.entries.len() - 1,
            stored => (stored - i64::from(lut.first)) as usize,
        };
        lut.entries[place]
    }

    proptest! {
        #[test]
        fn entries_agree_with_the_plain_rule(
            entries in vec(any::<u16>(), 1..9), first in -5i32..5, stored in vec(any::<i16>(), 1..9), a in -12i64..12, more in 0i64..12,
        ) {
            let lut = ModalityLut { first, entries };
            for value in stored.iter().map(|&value| i64::from(value)).chain(-12..12) {
                prop_assert_eq!(lut.entry(value), plain(&lut, value));
            }
            let all = || (a..=a + more).map(|value| plain(&lut, value));
            prop_assert_eq!(Some(lut.extent(&(a..=a + more))), all().min().zip(all().max()));
            let image = Array3::from_shape_vec((1, 1, stored.len()), stored.clone()).expect("one row");
            let hu = lut.apply(image, Some(&(a..=a + more)));
            for (&hu, &value) in hu.iter().zip(&stored) {
                let value = i64::from(value);
                let expected = if (a..=a + more).contains(&value) { -1024 } else { i32::from(plain(&lut, value)) };
                prop_assert_eq!(hu, expected);
            }
        }
    }
}
