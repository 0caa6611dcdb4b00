//! Stage `hu_window`: stored values to HU, and the guide that `denoise` finds the head in.

use std::ops::RangeInclusive;

use ndarray::{Array2, Array3, Axis};

use super::{Scratch, Stage};
use crate::attributes::{Attributes, Number};
use crate::column::{Column, Kind, Value};
use crate::kernel::rescale::{Rescale, Rounding, Stored, count_padding};
use crate::kernel::window;
use crate::reason::{Fault, Reason};
use crate::recipe::{Recipe, Steps, Window};
use crate::slice::{Pixels, Slice};

static RESCALE_SLOPE: Column =
    Column::new("rescale_slope", Kind::Float64, "Rescale Slope (0028,1053) as used: HU per stored value.");
static RESCALE_INTERCEPT: Column =
    Column::new("rescale_intercept", Kind::Float64, "Rescale Intercept (0028,1052) as used, in HU.");
static PADDING_PIXELS: Column = Column::required(
    "padding_pixels",
    Kind::Int32,
    "Pixels whose stored value is in the range of Pixel Padding (0028,0120) and (0028,0121).",
);
/// What was mended in the slice. Closed vocabulary: see [`REPAIRS`].
pub static REPAIR: Column = Column::new(
    "repair",
    Kind::Text,
    "What was mended, joined by + in the order of the steps: rescale_assumed = slope 1 and intercept 0 for lack of both.",
);
static WINDOW_CENTER: Column = Column::new(
    "window_center",
    Kind::ListFloat64,
    "Centre of each channel's window, HU; null where the channel is HU itself.",
);
static WINDOW_WIDTH: Column = Column::new(
    "window_width",
    Kind::ListFloat64,
    "Width of each channel's window, HU; null where the channel is HU itself.",
);

static COLUMNS: &[&Column] =
    &[&RESCALE_SLOPE, &RESCALE_INTERCEPT, &PADDING_PIXELS, &REPAIR, &WINDOW_CENTER, &WINDOW_WIDTH];

/// The words of [`REPAIR`] that this stage sets.
pub const REPAIRS: &[&str] = &[RESCALE_ASSUMED];
/// Both rescale attributes are absent: slope 1 and intercept 0 were assumed.
const RESCALE_ASSUMED: &str = "rescale_assumed";

/// The edges of a window, (low, high) in HU: center - width / 2 and center + width / 2; in the
/// published order half the width is rounded down.
pub(crate) fn edges(window: &Window, steps: Steps) -> (f64, f64) {
    match steps {
        Steps::Corrected => (window.low(), window.high()),
        Steps::Published => {
            let half = (window.width / 2.0).floor();
            (window.center - half, window.center + half)
        }
    }
}

/// Stage `hu_window`. After it the pixels are HU and the guide is filled.
#[derive(Debug)]
pub struct HuWindow {
    steps: Steps,
    guide: (f64, f64),
    centers: Vec<f64>,
    widths: Vec<f64>,
}

impl HuWindow {
    /// The stage as `recipe` wants it.
    pub fn new(recipe: &Recipe) -> HuWindow {
        let windows = &recipe.hu_window.windows;
        HuWindow {
            steps: recipe.steps,
            guide: edges(&recipe.hu_window.guide, recipe.steps),
            centers: windows.iter().map(|window| window.center).collect(),
            widths: windows.iter().map(|window| window.width).collect(),
        }
    }

    /// Slope, intercept, and whether they are assumed.
    fn rescale_of(&self, attributes: &Attributes) -> Result<(f64, f64, bool), Fault> {
        let fault = |what: &str| Err(Fault::new(Reason::Rescale, what));
        match (attributes.rescale_slope, attributes.rescale_intercept) {
            (Number::Invalid, _) => fault("Rescale Slope is not a finite number"),
            (_, Number::Invalid) => fault("Rescale Intercept is not a finite number"),
            (Number::Value(0.0), _) => fault("Rescale Slope is 0, expected any other number"),
            (Number::Value(slope), Number::Value(intercept)) => Ok((slope, intercept, false)),
            (Number::Missing, Number::Missing) if self.steps == Steps::Corrected => Ok((1.0, 0.0, true)),
            (Number::Missing, Number::Missing) => fault("Rescale Slope and Rescale Intercept are missing"),
            (Number::Missing, _) => fault("Rescale Slope is missing, Rescale Intercept is not"),
            (_, Number::Missing) => fault("Rescale Intercept is missing, Rescale Slope is not"),
        }
    }

    /// Pixels, guide and `padding_pixels` from one plane of stored values.
    fn convert<T: Stored>(
        &self,
        stored: Array3<T>,
        attributes: &Attributes,
        rescale: Rescale,
        spare: Array2<u16>,
    ) -> Result<Found, Fault> {
        let padding_pixels = padding_of(attributes).map_or(0, |padding| count_padding(stored.view(), &padding));
        // The published order windows the exact HU and cuts to an integer later; the guide has to
        // know of the fraction, because 0.3 HU is foreground there.
        let above = match self.steps {
            Steps::Published if !rescale.is_integer() => {
                Some(Rescale { rounding: Rounding::Up, ..rescale.clone() }.apply(stored.clone())?)
            }
            _ => None,
        };
        let hu = rescale.apply(stored)?;
        let (low, high) = self.guide;
        let guide = window::guide(above.as_ref().unwrap_or(&hu).index_axis(Axis(0), 0), low, high, spare);
        Ok(Found { pixels: Pixels::I16(hu), guide, padding_pixels })
    }
}

/// What [`HuWindow::convert`] finds.
struct Found {
    pixels: Pixels,
    guide: Array2<u16>,
    padding_pixels: usize,
}

fn padding_of(attributes: &Attributes) -> Option<RangeInclusive<i64>> {
    attributes.pixel_padding.map(|(first, last)| first..=last)
}

impl Stage for HuWindow {
    fn name(&self) -> &'static str {
        "hu_window"
    }

    fn columns(&self) -> &'static [&'static Column] {
        COLUMNS
    }

    fn apply(&self, slice: &mut Slice, scratch: &mut Scratch) -> Result<(), Fault> {
        let (slope, intercept, assumed) = self.rescale_of(&slice.attributes)?;
        let (rounding, padding) = match self.steps {
            Steps::Corrected => (Rounding::HalfUp, padding_of(&slice.attributes)),
            // The Python recipe knows nothing of padding, and np.uint8 cuts.
            Steps::Published => (Rounding::Down, None),
        };
        let rescale = Rescale { slope, intercept, rounding, padding };
        let (attributes, spare) = (&slice.attributes, std::mem::take(&mut scratch.guide));
        // HU take the place of stored values of the same type.
        let found = match std::mem::replace(&mut slice.pixels, Pixels::U8(Array3::zeros((0, 0, 0)))) {
            Pixels::U16(stored) if stored.dim().0 == 1 => self.convert(stored, attributes, rescale, spare)?,
            Pixels::I16(stored) if stored.dim().0 == 1 => self.convert(stored, attributes, rescale, spare)?,
            Pixels::I32(stored) if stored.dim().0 == 1 => self.convert(stored, attributes, rescale, spare)?,
            other => {
                let what = format!("pixels are {:?}, expected one plane of stored values", other.dim());
                return Err(Fault::new(Reason::Internal, what));
            }
        };
        (slice.pixels, slice.guide, slice.mask) = (found.pixels, found.guide, None);
        let facts = &mut slice.facts;
        facts.set(&RESCALE_SLOPE, slope);
        facts.set(&RESCALE_INTERCEPT, intercept);
        facts.set(&PADDING_PIXELS, found.padding_pixels as i32);
        if assumed {
            let repair = match facts.get(REPAIR.name) {
                Some(Value::Text(earlier)) => format!("{earlier}+{RESCALE_ASSUMED}"),
                _ => RESCALE_ASSUMED.to_owned(),
            };
            facts.set(&REPAIR, repair);
        }
        if !self.centers.is_empty() {
            facts.set(&WINDOW_CENTER, self.centers.clone());
            facts.set(&WINDOW_WIDTH, self.widths.clone());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ndarray::array;

    use super::*;
    use crate::identity::SourceId;
    use crate::kernel::affine::Affine;
    use crate::slice::{InputRef, Ordinal, SliceRef};

    fn slice_of(pixels: Pixels, attributes: Attributes) -> Slice {
        let input = InputRef::memory(SourceId([0; 24]), Arc::new([]));
        Slice {
            at: SliceRef { ordinal: Ordinal(0), input, frame: 0 },
            attributes: Arc::new(attributes),
            pixels,
            guide: Array2::zeros((0, 0)),
            mask: None,
            placement: Affine::IDENTITY,
            facts: Default::default(),
        }
    }

    fn rescaled(slope: Number, intercept: Number) -> Attributes {
        Attributes { rescale_slope: slope, rescale_intercept: intercept, ..Attributes::default() }
    }

    fn ct() -> Attributes {
        rescaled(Number::Value(1.0), Number::Value(-1024.0))
    }

    fn stored(values: &[u16]) -> Pixels {
        Pixels::U16(Array3::from_shape_vec((1, 1, values.len()), values.to_vec()).expect("one row"))
    }

    fn run(recipe: &Recipe, mut slice: Slice) -> Result<Slice, Fault> {
        HuWindow::new(recipe).apply(&mut slice, &mut Scratch::default()).map(|()| slice)
    }

    fn hu(slice: &Slice) -> Vec<i16> {
        slice.pixels.hu().expect("HU").iter().copied().collect()
    }

    #[test]
    fn after_it_pixels_are_hu_and_the_guide_is_filled() {
        let slice = run(&Recipe::head(), slice_of(stored(&[0, 1024, 1025, 1064, 2000]), ct())).expect("HU");
        assert_eq!(hu(&slice), [-1024, 0, 1, 40, 976]);
        assert_eq!(slice.guide, array![[0, 0, 1, 40, 80]]);
        assert!(slice.mask.is_none());
        assert_eq!(slice.placement, Affine::IDENTITY);
        let fact = |name| slice.facts.get(name).cloned();
        assert_eq!(fact("rescale_slope"), Some(Value::Float64(1.0)));
        assert_eq!(fact("rescale_intercept"), Some(Value::Float64(-1024.0)));
        assert_eq!(fact("padding_pixels"), Some(Value::Int32(0)));
        assert_eq!(fact("repair"), None);
        assert_eq!(fact("window_center"), Some(Value::ListFloat64(vec![40.0])));
        assert_eq!(fact("window_width"), Some(Value::ListFloat64(vec![80.0])));
    }

    #[test]
    fn hu_channels_have_no_windows() {
        let mut recipe = Recipe::head();
        recipe.hu_window.windows.clear();
        let slice = run(&recipe, slice_of(stored(&[7]), ct())).expect("HU");
        assert_eq!(slice.facts.get("window_center"), None);
        assert_eq!(slice.facts.get("window_width"), None);
    }

    #[test]
    fn padding_is_counted_always_and_becomes_air_where_the_recipe_knows_of_it() {
        let attributes = Attributes { pixel_padding: Some((1100, 1200)), ..ct() };
        let of = |recipe| run(&recipe, slice_of(stored(&[1099, 1100, 1200, 1201]), attributes.clone())).expect("HU");
        let (corrected, published) = (of(Recipe::head()), of(Recipe::seed()));
        assert_eq!(hu(&corrected), [75, -1024, -1024, 177]);
        assert_eq!(hu(&published), [75, 76, 176, 177]);
        for slice in [corrected, published] {
            assert_eq!(slice.facts.get("padding_pixels"), Some(&Value::Int32(2)));
        }
    }

    #[test]
    fn rescale_that_both_lack_is_assumed_and_recorded() {
        let both = rescaled(Number::Missing, Number::Missing);
        let slice = run(&Recipe::head(), slice_of(stored(&[40]), both.clone())).expect("HU");
        assert_eq!(hu(&slice), [40]);
        assert_eq!(slice.facts.get("repair"), Some(&Value::Text("rescale_assumed".into())));
        assert_eq!(slice.facts.get("rescale_slope"), Some(&Value::Float64(1.0)));
        let mut earlier = slice_of(stored(&[40]), both.clone());
        earlier.facts.set(&REPAIR, "other");
        let slice = run(&Recipe::head(), earlier).expect("HU");
        assert_eq!(slice.facts.get("repair"), Some(&Value::Text("other+rescale_assumed".into())));
        let fault = run(&Recipe::seed(), slice_of(stored(&[40]), both)).map(|_| ()).expect_err("Python raises");
        assert_eq!(fault.reason, Reason::Rescale);
    }

    #[test]
    fn rescale_is_never_guessed() {
        let (one, none) = (Number::Value(1.0), Number::Missing);
        for (slope, intercept) in
            [(one, none), (none, one), (Number::Value(0.0), one), (Number::Invalid, one), (one, Number::Invalid)]
        {
            for recipe in [Recipe::head(), Recipe::seed()] {
                let fault = run(&recipe, slice_of(stored(&[1]), rescaled(slope, intercept))).map(|_| ());
                assert_eq!(fault.expect_err("no HU").reason, Reason::Rescale, "{slope:?} {intercept:?}");
            }
        }
    }

    #[test]
    fn published_guide_keeps_fractions_that_published_hu_cuts() {
        let half = rescaled(Number::Value(0.5), Number::Value(-1.0));
        // -1, -0.5, 0, 0.5, 80.5
        let slice = run(&Recipe::seed(), slice_of(stored(&[0, 1, 2, 3, 163]), half.clone())).expect("HU");
        assert_eq!(hu(&slice), [-1, -1, 0, 0, 80]);
        assert_eq!(slice.guide, array![[0, 0, 0, 1, 80]]);
        let slice = run(&Recipe::head(), slice_of(stored(&[0, 1, 2, 3, 163]), half)).expect("HU");
        assert_eq!(hu(&slice), [-1, 0, 0, 1, 81]);
        assert_eq!(slice.guide, array![[0, 0, 0, 1, 80]]);
    }

    #[test]
    fn published_edges_round_half_the_width_down() {
        let odd = Window { center: 40.0, width: 81.0 };
        assert_eq!(edges(&odd, Steps::Published), (0.0, 80.0));
        assert_eq!(edges(&odd, Steps::Corrected), (-0.5, 80.5));
    }

    #[test]
    fn every_type_of_stored_values_works_and_tensors_do_not() {
        let zero = rescaled(Number::Value(1.0), Number::Value(0.0));
        let signed = Pixels::I16(array![[[-7i16, 5]]]);
        let wide = Pixels::I32(array![[[-7i32, 5]]]);
        for pixels in [signed, wide] {
            assert_eq!(hu(&run(&Recipe::head(), slice_of(pixels, zero.clone())).expect("HU")), [-7, 5]);
        }
        let fault = run(&Recipe::head(), slice_of(Pixels::U8(array![[[1u8]]]), zero)).map(|_| ());
        assert_eq!(fault.expect_err("a tensor").reason, Reason::Internal);
    }

    #[test]
    fn above_16_bits_is_a_reject() {
        let fault = run(&Recipe::head(), slice_of(stored(&[65535]), ct())).map(|_| ()).expect_err("64511 HU");
        assert_eq!(fault.reason, Reason::HuRange);
    }
}
