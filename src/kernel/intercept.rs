//! Stored values of 16 bits to HU where the slope is 1: the intercept added, in one pass that also
//! counts what holds no tissue and fills the guide.

use ndarray::{Array2, Array3};

use super::dispatch::dispatched;
use super::rescale::{LOWEST_HU, Rescale, Stored, above_range};
use super::window::{Guide, sized};
use crate::reason::{Fault, Reason};

/// Pixels that are worked on in one go: few enough to be counted in 16 bits.
const CHUNK: usize = 4096;

/// What becomes of pixels of padding; they are counted either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding {
    /// They become [`LOWEST_HU`].
    Cleared,
    /// They are rescaled like all others.
    Kept,
}

/// Pixels that hold no tissue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Those of padding.
    pub padding: usize,
    /// Those below [`LOWEST_HU`] that are not of padding.
    pub below: usize,
}

/// `HU = stored + intercept` for stored values of 16 bits.
///
/// All arithmetic is in 16 bits and saturates: a vector register holds as many pixels as it can, and
/// no check for overflow keeps the compiler from using one.
#[derive(Clone, Debug)]
pub struct AddIntercept {
    /// What turns the bits of a stored value into an i16 of the same order: 0, or of unsigned ones the
    /// sign bit, which takes 32768 away.
    flip: i16,
    /// Added after the flip, one after the other. Both have one sign, so that what saturates under
    /// the first stays there under the second.
    addends: [i16; 2],
    /// The first and last value of padding, flipped.
    padding: Option<(i16, i16)>,
    is_padding_cleared: bool,
}

impl AddIntercept {
    /// `None` where stored values have more than 16 bits, or `rescale` is not the addition of an
    /// integer of about as many.
    pub fn of<T: Stored>(rescale: &Rescale, padding: Padding) -> Option<AddIntercept> {
        let (flip, intercept) = (T::FLIP?, rescale.integer_intercept()?);
        let sum = if flip == 0 { intercept } else { intercept + 32768 };
        let first = sum.clamp(i16::MIN.into(), i16::MAX.into()) as i16;
        let second = i16::try_from(sum - i32::from(first)).ok()?;
        let range = rescale.padding.as_ref().and_then(T::within);
        Some(AddIntercept {
            flip,
            addends: [first, second],
            padding: range.map(|(first, last)| (first.bits() ^ flip, last.bits() ^ flip)),
            is_padding_cleared: padding == Padding::Cleared,
        })
    }

    /// HU of one plane of stored values, (1, row, column), in their own place; the guide, (row,
    /// column), written over `spare` where that has its size; and what was counted.
    ///
    /// # Errors
    /// `hu_range` where a pixel's HU is above 32767, other than of padding that is cleared.
    pub fn apply<T: Stored>(
        &self,
        stored: Array3<T>,
        guide: &Guide,
        spare: Array2<u16>,
    ) -> Result<(Array3<i16>, Array2<u16>, Tally), Fault> {
        let (channels, rows, columns) = stored.dim();
        let mut hu = bits(stored);
        let mut offsets = sized(spare, (channels * rows, columns));
        let (mut tally, mut highest) = (Tally::default(), i16::MIN);
        for (pixels, offsets) in hu.chunks_mut(CHUNK).zip(offsets.as_slice_mut().unwrap_or_default().chunks_mut(CHUNK))
        {
            let found = match self.padding {
                Some(padding) => chunk_with_padding(self, padding, pixels, guide, offsets),
                None => chunk(self, pixels, guide, offsets),
            };
            tally.padding += usize::from(found.padding);
            tally.below += usize::from(found.below);
            highest = highest.max(found.highest);
        }
        let highest = self.addends.iter().fold(i32::from(highest), |sum, &addend| sum + i32::from(addend));
        if highest > i32::from(i16::MAX) {
            return Err(above_range(f64::from(highest)));
        }
        let hu = Array3::from_shape_vec((channels, rows, columns), hu)
            .map_err(|e| Fault::new(Reason::Internal, e.to_string()))?;
        Ok((hu, offsets, tally))
    }

    /// Some pixels and their offsets in the guide.
    #[inline(always)]
    fn plain<const PADDED: bool>(
        &self,
        (first, last): (i16, i16),
        pixels: &mut [i16],
        guide: &Guide,
        offsets: &mut [u16],
    ) -> Found {
        let (flip, [a, b], clears) = (self.flip, self.addends, self.is_padding_cleared);
        let mut found = Found { padding: 0, below: 0, highest: i16::MIN };
        for (pixel, offset) in pixels.iter_mut().zip(offsets) {
            let value = *pixel ^ flip;
            let sum = value.saturating_add(a).saturating_add(b);
            let is_padding = PADDED & (first <= value) & (value <= last);
            let is_below = (sum < LOWEST_HU) & !is_padding;
            found.padding = found.padding.wrapping_add(u16::from(is_padding));
            found.below = found.below.wrapping_add(u16::from(is_below));
            let is_cleared = is_padding & clears;
            found.highest = found.highest.max(if is_cleared { i16::MIN } else { value });
            *pixel = if is_cleared { LOWEST_HU } else { sum.max(LOWEST_HU) };
            *offset = guide.of(*pixel);
        }
        found
    }
}

dispatched! {
    /// Pixels of an image with padding.
    fn chunk_with_padding(add: &AddIntercept, padding: (i16, i16), pixels: &mut [i16], guide: &Guide, offsets: &mut [u16]) -> Found
        = AddIntercept::plain::<true>
}
dispatched! {
    /// Pixels of an image without padding.
    fn chunk(add: &AddIntercept, pixels: &mut [i16], guide: &Guide, offsets: &mut [u16]) -> Found
        = |add: &AddIntercept, pixels, guide, offsets| add.plain::<false>((0, 0), pixels, guide, offsets)
}

/// What [`AddIntercept::plain`] finds.
#[derive(Debug, PartialEq)]
struct Found {
    padding: u16,
    below: u16,
    /// The highest value that is not cleared, flipped.
    highest: i16,
}

/// The bits of stored values in the order of the image, in their own place.
fn bits<T: Stored>(stored: Array3<T>) -> Vec<i16> {
    let length = stored.len();
    let stored = if stored.is_standard_layout() { stored } else { stored.as_standard_layout().into_owned() };
    let (mut values, offset) = stored.into_raw_vec_and_offset();
    values.drain(..offset.unwrap_or(0));
    values.truncate(length);
    values.into_iter().map(T::bits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::rescale::{Rounding, count_between};
    use crate::kernel::window;
    use ndarray::{Axis, s};
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn row<T: Clone>(stored: &[T]) -> Array3<T> {
        Array3::from_shape_vec((1, 1, stored.len()), stored.to_vec()).expect("one row")
    }

    fn rescale(intercept: f64, padding: Option<(i64, i64)>) -> Rescale {
        let padding = padding.map(|(first, last)| first..=last);
        Rescale { slope: 1.0, intercept, rounding: Rounding::HalfUp, padding }
    }

    fn spare() -> Array2<u16> {
        Array2::zeros((0, 0))
    }

    #[test]
    fn by_eye() {
        let of = |padding| AddIntercept::of::<u16>(&rescale(-1024.0, Some((3, 24))), padding).expect("16 bits");
        let guide = Guide::new(0.0, 80.0);
        let stored = [2u16, 3, 24, 25, 1064, 4000];
        let cleared = of(Padding::Cleared).apply(row(&stored), &guide, spare()).expect("HU");
        assert_eq!(cleared.0, row(&[-1022i16, -1024, -1024, -999, 40, 2976]));
        assert_eq!(cleared.1, ndarray::array![[0, 0, 0, 0, 40, 80]]);
        assert_eq!(cleared.2, Tally { padding: 2, below: 0 });
        let kept = of(Padding::Kept).apply(row(&stored), &guide, spare()).expect("HU");
        assert_eq!(kept.0, row(&[-1022i16, -1021, -1000, -999, 40, 2976]));
        assert_eq!(kept.2, Tally { padding: 2, below: 0 });
    }

    #[test]
    fn what_is_not_16_bits_has_none() {
        let of = |rescale| AddIntercept::of::<i16>(&rescale, Padding::Cleared).is_some();
        assert!(of(rescale(-1024.0, None)) && of(rescale(65534.0, None)));
        assert!(!of(rescale(65535.0, None)) && !of(rescale(0.5, None)));
        assert!(!of(Rescale { slope: 2.0, ..rescale(0.0, None) }));
        assert!(AddIntercept::of::<i32>(&rescale(0.0, None), Padding::Cleared).is_none());
    }

    #[test]
    fn a_plane_that_is_not_in_the_order_of_memory_is_put_in_order() {
        let stored = Array3::from_shape_fn((1, 4, 6), |(_, r, c)| (10 * r + c) as i16);
        let add = AddIntercept::of::<i16>(&rescale(1.0, None), Padding::Cleared).expect("16 bits");
        let part = stored.clone().slice_move(s![.., 1..3, 2..5]);
        let (hu, _, _) = add.apply(part.clone(), &Guide::new(0.0, 80.0), spare()).expect("HU");
        assert_eq!(hu, &part + 1);
        let turned = stored.permuted_axes([0, 2, 1]);
        let (hu, guide, _) = add.apply(turned.clone(), &Guide::new(0.0, 80.0), spare()).expect("HU");
        assert_eq!(hu, &turned + 1);
        assert_eq!(guide, hu.index_axis(Axis(0), 0).mapv(|hu| hu as u16));
    }

    /// The plain way: a pass for each thing.
    fn agrees<T: Stored>(stored: &[T], rescale: &Rescale, padding: Padding) -> Result<(), TestCaseError> {
        let Some(add) = AddIntercept::of::<T>(rescale, padding) else { return Ok(()) };
        let (low, high) = (-40.5, 120.0);
        let got = add.apply(row(stored), &Guide::new(low, high), Array2::from_elem((1, stored.len()), 7));
        let kept = Rescale { padding: None, ..rescale.clone() };
        let applied = if padding == Padding::Cleared { rescale } else { &kept };
        let hu = match (applied.apply(row(stored)), got) {
            (Ok(hu), Ok(got)) => {
                prop_assert_eq!(&got.0, &hu);
                prop_assert_eq!(got.1, window::guide(hu.index_axis(Axis(0), 0), low, high, spare()));
                got.2
            }
            (Err(plain), Err(got)) => {
                prop_assert_eq!(plain.detail, got.detail);
                return Ok(());
            }
            (plain, got) => return Err(TestCaseError::fail(format!("{plain:?}, {got:?}"))),
        };
        let count = |range: &std::ops::RangeInclusive<i64>| count_between(row(stored).view(), range);
        let below = rescale.below_lowest();
        let (padded, both) = rescale.padding.as_ref().map_or((0, 0), |padding| {
            let both = *padding.start().max(below.start())..=*padding.end().min(below.end());
            (count(padding), count(&both))
        });
        prop_assert_eq!(hu, Tally { padding: padded, below: count(&below) - both });
        Ok(())
    }

    proptest! {
        #[test]
        fn one_pass_agrees_with_one_for_each_thing(
            unsigned in vec(prop_oneof![any::<u16>(), 0u16..4096], 1..40), signed in vec(prop_oneof![any::<i16>(), -1500i16..3000], 1..40),
            intercept in prop_oneof![Just(0), Just(-1024), -70000i32..70000, -3000i32..3000],
            padding in proptest::option::of((-40000i64..70000, prop_oneof![0i64..3000, 0i64..70000])), clears in any::<bool>(),
        ) {
            let rescale = rescale(intercept.into(), padding.map(|(first, more)| (first, first + more)));
            let padding = if clears { Padding::Cleared } else { Padding::Kept };
            agrees(&unsigned, &rescale, padding)?;
            agrees(&signed, &rescale, padding)?;
        }

        #[test]
        fn wide_and_plain_code_give_the_same_bits(pixels in vec(any::<i16>(), 1..200), first in any::<i16>(), more in 0i16..3000) {
            let add = AddIntercept::of::<u16>(&rescale(-1024.0, None), Padding::Cleared).expect("16 bits");
            let padding = (first, first.saturating_add(more));
            let guide = Guide::new(0.0, 80.0);
            let run = |chunk: &dyn Fn(&mut [i16], &mut [u16]) -> Found| {
                let (mut hu, mut offsets) = (pixels.clone(), vec![0; pixels.len()]);
                (chunk(&mut hu, &mut offsets), hu, offsets)
            };
            prop_assert_eq!(
                run(&|hu, offsets| chunk_with_padding(&add, padding, hu, &guide, offsets)),
                run(&|hu, offsets| add.plain::<true>(padding, hu, &guide, offsets))
            );
            prop_assert_eq!(
                run(&|hu, offsets| chunk(&add, hu, &guide, offsets)),
                run(&|hu, offsets| add.plain::<false>((0, 0), hu, &guide, offsets))
            );
        }

        #[test]
        fn many_pixels_are_counted_across_chunks(length in 1usize..20000, value in -1030i16..-1020) {
            agrees(&vec![value; length], &rescale(0.0, None), Padding::Cleared)?;
            agrees(&vec![value; length], &rescale(0.0, Some((-1026, -1022))), Padding::Cleared)?;
        }
    }
}
