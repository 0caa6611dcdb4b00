//! Stage `hu_window`: stored values to HU, and the guide that `denoise` finds the head in.

use std::ops::RangeInclusive;

use ndarray::{Array2, Array3, Axis};

use super::{Scratch, Stage};
use crate::attributes::{Attributes, Number, Units};
use crate::column::{Column, Kind, Value};
use crate::kernel::intercept::{AddIntercept, Padding, Tally};
use crate::kernel::modality_lut::ModalityLut;
use crate::kernel::plausible::is_plausible;
use crate::kernel::rescale::{Rescale, Rounding, Stored, count_between};
use crate::kernel::window::{self, Guide};
use crate::reason::{Fault, Reason};
use crate::recipe::{Recipe, Steps, Window};
use crate::slice::{Pixels, Slice};

static RESCALE_SLOPE: Column = Column::new(
    "rescale_slope",
    Kind::Float64,
    "Rescale Slope (0028,1053) as used: HU per stored value; null where HU come from a Modality LUT.",
);
static RESCALE_INTERCEPT: Column = Column::new(
    "rescale_intercept",
    Kind::Float64,
    "Rescale Intercept (0028,1052) as used, in HU; null where HU come from a Modality LUT.",
);
static PADDING_PIXELS: Column = Column::required(
    "padding_pixels",
    Kind::Int32,
    "Pixels that hold no tissue and become -1024 HU: those of Pixel Padding (0028,0120) and (0028,0121) where that is \
     not ignored, and those below -1024 HU. (In seed they are counted only.)",
);
/// What was mended in the slice. Closed vocabulary: see [`REPAIRS`].
pub static REPAIR: Column = Column::new(
    "repair",
    Kind::ListText,
    "What was mended, each word once, in this order; null where nothing was. monochrome1_turned = stored values of \
     MONOCHROME1 with a slope above 0 were turned before the rescale; rescale_assumed = slope 1 and intercept 0 for lack \
     of both; hu_assumed = Rescale Type (0028,1054) is US (unspecified) or no term of the standard, or absent in a multi-energy acquisition; \
     modality_lut = HU from a Modality LUT of type HU, for lack of slope and intercept; modality_lut_ignored = there was \
     one beside them; padding_ignored = Pixel Padding covers HU between -1000 and 32767 that pixels have, so it was \
     taken for tissue; below_air = pixels below -1024 HU that Pixel Padding does not cover became -1024.",
);
static HU_PLAUSIBLE: Column = Column::required(
    "hu_plausible",
    Kind::Bool,
    "False where the pixels have the shape of CT numbers that were never rescaled (water near 1000, nothing below \
     -200), or rescaled twice (air near -2000, water near -1000). Judged from every sixteenth row of slices of 256 rows or \
     more; a slice is never rejected for it.",
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
    &[&RESCALE_SLOPE, &RESCALE_INTERCEPT, &PADDING_PIXELS, &REPAIR, &HU_PLAUSIBLE, &WINDOW_CENTER, &WINDOW_WIDTH];

/// The words of [`REPAIR`], in their order.
pub const REPAIRS: &[&str] =
    &[MONOCHROME1_TURNED, RESCALE_ASSUMED, HU_ASSUMED, MODALITY_LUT, MODALITY_LUT_IGNORED, PADDING_IGNORED, BELOW_AIR];
const MONOCHROME1_TURNED: &str = "monochrome1_turned";
const RESCALE_ASSUMED: &str = "rescale_assumed";
const HU_ASSUMED: &str = "hu_assumed";
const MODALITY_LUT: &str = "modality_lut";
const MODALITY_LUT_IGNORED: &str = "modality_lut_ignored";
const PADDING_IGNORED: &str = "padding_ignored";
const BELOW_AIR: &str = "below_air";

/// HU of air. Padding is at most this, or above all HU: what lies between may be tissue.
const AIR_HU: f64 = -1000.0;

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

    /// Pixels, guide and figures from one plane of stored values.
    fn convert<T: Stored>(
        &self,
        stored: Array3<T>,
        attributes: &Attributes,
        map: &Map,
        spare: Array2<u16>,
    ) -> Result<Found, Fault> {
        let declared = attributes.pixel_padding.map(|(first, last)| first..=last);
        let lut = attributes.modality_lut.as_deref();
        let padding = declared.clone().filter(|padding| !may_be_tissue(padding, &map.rescale, lut));
        let is_padding_ignored =
            padding.is_none() && declared.is_some_and(|declared| count_between(stored.view(), &declared) > 0);
        let mut found = Found { is_padding_ignored, ..Found::default() };
        let Some(lut) = lut else { return self.rescale(stored, map.rescale.clone(), padding, spare, found) };
        let padded = padding.as_ref().map_or(0, |padding| count_between(stored.view(), padding));
        found.padding_pixels = padded;
        self.rescale(lut.apply(stored, padding.as_ref()), map.rescale.clone(), None, spare, found)
    }

    fn rescale<T: Stored>(
        &self,
        stored: Array3<T>,
        mut rescale: Rescale,
        padding: Option<RangeInclusive<i64>>,
        spare: Array2<u16>,
        mut found: Found,
    ) -> Result<Found, Fault> {
        rescale.padding = padding;
        found.is_plausible = is_plausible(stored.view(), &rescale);
        // The Python recipe knows nothing of padding.
        let of_padding = if self.steps == Steps::Published { Padding::Kept } else { Padding::Cleared };
        let (hu, guide, tally) = match AddIntercept::of::<T>(&rescale, of_padding) {
            Some(add) => add.apply(stored, &Guide::new(self.guide.0, self.guide.1), spare)?,
            None => self.rescale_any(stored, rescale, spare)?,
        };
        found.is_below_air = tally.below > 0;
        found.padding_pixels += tally.padding + tally.below;
        (found.pixels, found.guide) = (Some(Pixels::I16(hu)), guide);
        Ok(found)
    }

    /// What [`AddIntercept::apply`] does, by any slope and from any type.
    fn rescale_any<T: Stored>(
        &self,
        stored: Array3<T>,
        mut rescale: Rescale,
        spare: Array2<u16>,
    ) -> Result<(Array3<i16>, Array2<u16>, Tally), Fault> {
        let count = |range: &RangeInclusive<i64>| count_between(stored.view(), range);
        let below = rescale.below_lowest();
        let padded = rescale.padding.as_ref().map_or(0, count);
        let both = rescale
            .padding
            .as_ref()
            .map_or(0, |padding| count(&(*padding.start().max(below.start())..=*padding.end().min(below.end()))));
        let tally = Tally { padding: padded, below: count(&below) - both };
        if self.steps == Steps::Published {
            // As np.uint8 cuts.
            rescale = Rescale { padding: None, rounding: Rounding::Down, ..rescale };
        }
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
        Ok((hu, guide, tally))
    }

    /// What the slice's repairs are: those of the map, and those of the pixels where they are mended.
    fn repairs(&self, map: &Map, found: &Found) -> Vec<&'static str> {
        let mut repairs = map.repairs.clone();
        if self.steps == Steps::Corrected {
            let words = [(found.is_padding_ignored, PADDING_IGNORED), (found.is_below_air, BELOW_AIR)];
            repairs.extend(words.iter().filter(|(is, _)| *is).map(|(_, word)| *word));
        }
        repairs
    }
}

/// Whether the attributes say how stored values become HU: what the stage asks first, and the header
/// pass of the plan too.
///
/// # Errors
/// Reason `rescale`, `not_hounsfield`.
pub(crate) fn check(attributes: &Attributes, steps: Steps) -> Result<(), Fault> {
    map_of(attributes, steps).map(|_| ())
}

fn map_of(attributes: &Attributes, steps: Steps) -> Result<Map, Fault> {
    if attributes.units == Units::Other {
        return Err(Fault::new(Reason::NotHounsfield, "Rescale Type or Image Type is not that of Hounsfield units"));
    }
    let mut map = Map { columns: None, rescale: Rescale::identity(), repairs: Vec::new() };
    if attributes.modality_lut.is_some() {
        // The Python recipe knows no table.
        if steps == Steps::Published {
            return Err(Fault::new(Reason::Rescale, "a Modality LUT Sequence, expected Rescale Slope and Intercept"));
        }
        map.repairs.push(MODALITY_LUT);
        return Ok(map);
    }
    let (slope, intercept, is_assumed) = rescale_of(attributes, steps)?;
    map.columns = Some((slope, intercept));
    map.rescale = Rescale { slope, intercept, ..map.rescale };
    match attributes.turned_about {
        // The slope turns them itself: as stored they are what it is for.
        Some(sum) if slope < 0.0 => {
            map.rescale = Rescale { slope: -slope, intercept: intercept + slope * sum as f64, ..map.rescale };
        }
        Some(_) => map.repairs.push(MONOCHROME1_TURNED),
        None => {}
    }
    let is_open = attributes.units == Units::Unspecified;
    let words =
        [(is_assumed, RESCALE_ASSUMED), (is_open, HU_ASSUMED), (attributes.has_needless_lut, MODALITY_LUT_IGNORED)];
    map.repairs.extend(words.iter().filter(|(is, _)| *is).map(|(_, word)| *word));
    Ok(map)
}

/// Slope and intercept, and whether they are assumed.
fn rescale_of(attributes: &Attributes, steps: Steps) -> Result<(f64, f64, bool), Fault> {
    let fault = |what: &str| Err(Fault::new(Reason::Rescale, what));
    match (attributes.rescale_slope, attributes.rescale_intercept) {
        (Number::Invalid, _) => fault("Rescale Slope is not a finite number"),
        (_, Number::Invalid) => fault("Rescale Intercept is not a finite number"),
        (Number::Value(0.0), _) => fault("Rescale Slope is 0, expected any other number"),
        (Number::Value(slope), Number::Value(intercept)) => Ok((slope, intercept, false)),
        (Number::Missing, Number::Missing) if steps == Steps::Corrected => Ok((1.0, 0.0, true)),
        (Number::Missing, Number::Missing) => fault("Rescale Slope and Rescale Intercept are missing"),
        (Number::Missing, _) => fault("Rescale Slope is missing, Rescale Intercept is not"),
        (_, Number::Missing) => fault("Rescale Intercept is missing, Rescale Slope is not"),
    }
}

/// How stored values become HU.
#[derive(Debug)]
struct Map {
    /// Slope and intercept as the data set has them; `None`: a table does it.
    columns: Option<(f64, f64)>,
    /// What is left to do, or all there is.
    rescale: Rescale,
    repairs: Vec<&'static str>,
}

/// What [`HuWindow::convert`] finds.
#[derive(Debug, Default)]
struct Found {
    pixels: Option<Pixels>,
    guide: Array2<u16>,
    padding_pixels: usize,
    is_padding_ignored: bool,
    is_below_air: bool,
    is_plausible: bool,
}

/// Whether a range of padding holds HU that tissue, or metal, may have: then what is of such a value is
/// no padding, whatever the attribute says. Scanners write 0 there, where 0 is water.
fn may_be_tissue(padding: &RangeInclusive<i64>, rescale: &Rescale, lut: Option<&ModalityLut>) -> bool {
    let (a, b) = match lut {
        Some(lut) => {
            let (least, most) = lut.extent(padding);
            (f64::from(least), f64::from(most))
        }
        None => (rescale.exact(*padding.start()), rescale.exact(*padding.end())),
    };
    a.max(b) > AIR_HU && a.min(b) <= f64::from(i16::MAX)
}

impl Stage for HuWindow {
    fn name(&self) -> &'static str {
        "hu_window"
    }

    fn columns(&self) -> &'static [&'static Column] {
        COLUMNS
    }

    fn apply(&self, slice: &mut Slice, scratch: &mut Scratch) -> Result<(), Fault> {
        let map = map_of(&slice.attributes, self.steps)?;
        let (attributes, spare) = (&slice.attributes, std::mem::take(&mut scratch.guide));
        // HU take the place of stored values of the same type.
        let found = match std::mem::replace(&mut slice.pixels, Pixels::U8(Array3::zeros((0, 0, 0)))) {
            Pixels::U16(stored) if stored.dim().0 == 1 => self.convert(stored, attributes, &map, spare)?,
            Pixels::I16(stored) if stored.dim().0 == 1 => self.convert(stored, attributes, &map, spare)?,
            Pixels::I32(stored) if stored.dim().0 == 1 => self.convert(stored, attributes, &map, spare)?,
            other => {
                let what = format!("pixels are {:?}, expected one plane of stored values", other.dim());
                return Err(Fault::new(Reason::Internal, what));
            }
        };
        let repairs = self.repairs(&map, &found);
        let facts = &mut slice.facts;
        facts.set_some(&RESCALE_SLOPE, map.columns.map(|(slope, _)| slope));
        facts.set_some(&RESCALE_INTERCEPT, map.columns.map(|(_, intercept)| intercept));
        facts.set(&PADDING_PIXELS, found.padding_pixels as i32);
        facts.set(&HU_PLAUSIBLE, found.is_plausible);
        if !repairs.is_empty() {
            let repairs = repairs.into_iter().map(str::to_owned);
            let earlier = match facts.get(REPAIR.name) {
                Some(Value::ListText(earlier)) => earlier.clone(),
                _ => Vec::new(),
            };
            facts.set(&REPAIR, earlier.into_iter().chain(repairs).collect::<Vec<String>>());
        }
        if let Some(pixels) = found.pixels {
            slice.pixels = pixels;
        }
        (slice.guide, slice.mask) = (found.guide, None);
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
        assert_eq!(fact("hu_plausible"), Some(Value::Bool(true)));
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
        let attributes = Attributes { pixel_padding: Some((3, 24)), ..ct() };
        let of = |recipe| run(&recipe, slice_of(stored(&[2, 3, 24, 25]), attributes.clone())).expect("HU");
        let (corrected, published) = (of(Recipe::head()), of(Recipe::seed()));
        assert_eq!(hu(&corrected), [-1022, -1024, -1024, -999]);
        assert_eq!(hu(&published), [-1022, -1021, -1000, -999]);
        for slice in [corrected, published] {
            assert_eq!(slice.facts.get("padding_pixels"), Some(&Value::Int32(2)));
        }
    }

    #[test]
    fn rescale_that_both_lack_is_assumed_and_recorded() {
        let both = rescaled(Number::Missing, Number::Missing);
        let slice = run(&Recipe::head(), slice_of(stored(&[40]), both.clone())).expect("HU");
        assert_eq!(hu(&slice), [40]);
        assert_eq!(slice.facts.get("repair"), Some(&Value::ListText(vec!["rescale_assumed".into()])));
        assert_eq!(slice.facts.get("rescale_slope"), Some(&Value::Float64(1.0)));
        let mut earlier = slice_of(stored(&[40]), both.clone());
        earlier.facts.set(&REPAIR, vec!["other".to_owned()]);
        let slice = run(&Recipe::head(), earlier).expect("HU");
        let words = ["other", "rescale_assumed"].map(str::to_owned).to_vec();
        assert_eq!(slice.facts.get("repair"), Some(&Value::ListText(words)));
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
