//! Stage `crop_pad`: the head in the middle of a square, windowed and quantised.

use ndarray::{Array3, ArrayView2, ArrayViewMut2, Axis, CowArray, Ix2, s};

use super::hu_window::edges;
use super::{Scratch, Stage};
use crate::column::{Column, Kind};
use crate::kernel::crop::{self, Fit};
use crate::kernel::mask::{Mask, Rectangle};
use crate::kernel::rescale::LOWEST_HU;
use crate::kernel::window::Quantise;
use crate::reason::{Fault, Reason};
use crate::recipe::{Recipe, Steps};
use crate::slice::{Pixels, Slice};

static BBOX_TOP: Column = Column::new(
    "bbox_top",
    Kind::Int32,
    "First row of the crop, in the turned source grid; null where nothing is cropped.",
);
static BBOX_LEFT: Column =
    Column::new("bbox_left", Kind::Int32, "First column of the crop, in the turned source grid.");
static BBOX_BOTTOM: Column =
    Column::new("bbox_bottom", Kind::Int32, "One past the last row of the crop, in the turned source grid.");
static BBOX_RIGHT: Column =
    Column::new("bbox_right", Kind::Int32, "One past the last column of the crop, in the turned source grid.");
static SCALE: Column =
    Column::new("scale", Kind::Float64, "Image pixels per source pixel: 1 unless the crop was shrunk to fit.");
static SOURCE_TO_IMAGE: Column = Column::required(
    "source_to_image",
    Kind::ListFloat64,
    "Six numbers, row-major 2x3: maps (column, row) of the source to (column, row) of the image; pixel centres on integers.",
);
static IMAGE_DTYPE: Column =
    Column::required("image_dtype", Kind::Text, "Type of the image's elements: uint8 or int16.");
static IMAGE_SHAPE: Column =
    Column::required("image_shape", Kind::ListInt32, "Shape of the image: channels, rows, columns.");

static COLUMNS: &[&Column] =
    &[&BBOX_TOP, &BBOX_LEFT, &BBOX_BOTTOM, &BBOX_RIGHT, &SCALE, &SOURCE_TO_IMAGE, &IMAGE_DTYPE, &IMAGE_SHAPE];

/// Stage `crop_pad`. After it the pixels are the tensor.
#[derive(Debug)]
pub struct CropPad {
    steps: Steps,
    crop: bool,
    size: usize,
    /// One per window; none means that the image is HU.
    channels: Vec<Channel>,
    /// Edges of the only window of the published order, HU.
    published: (f64, f64),
}

/// One window of the image.
#[derive(Debug)]
struct Channel {
    /// The low edge rounded down, HU: what the area mean takes pixels outside the mask for.
    background: i16,
    quantise: Quantise,
}

impl CropPad {
    /// The stage as `recipe` wants it.
    pub fn new(recipe: &Recipe) -> CropPad {
        let windows = recipe.hu_window.windows.iter().map(|window| edges(window, recipe.steps));
        let channel =
            |(low, high): (f64, f64)| Channel { background: low.floor() as i16, quantise: Quantise::new(low, high) };
        CropPad {
            steps: recipe.steps,
            crop: recipe.crop_pad.crop,
            size: recipe.crop_pad.size as usize,
            channels: windows.map(channel).collect(),
            published: edges(&recipe.hu_window.guide, recipe.steps),
        }
    }

    /// Background outside the mask, crop to the mask, shrink to fit, centre; window and quantise
    /// last. An empty mask leaves background alone; where it lies is then told of the whole frame.
    fn corrected(&self, slice: &Slice) -> Result<Placed, Fault> {
        let hu = slice.pixels.hu()?;
        let bbox = match &slice.mask {
            Some(mask) if self.crop => mask.bounding_box(),
            _ => None,
        };
        let fit = Fit::new(bbox.unwrap_or(Rectangle::whole(hu.dim())), self.size);
        let mask = slice.mask.as_ref();
        let (channels, size) = (&self.channels, self.size);
        let pixels = if channels.is_empty() {
            let copy = |hu: &[i16], places: &mut [i16]| places.copy_from_slice(hu);
            Pixels::I16(squares(1, size, &fit, LOWEST_HU, |_, part| place(hu, mask, &fit, LOWEST_HU, part, copy)))
        } else {
            Pixels::U8(squares(channels.len(), size, &fit, 0, |index, part| {
                let Channel { background, quantise } = &channels[index];
                place(hu, mask, &fit, *background, part, |hu, values| quantise.convert(hu, values));
            }))
        };
        Ok(Placed { pixels, bbox, fit })
    }

    /// The Python recipe's crop and pad: `img[top:bottom, left:right]` with the last row and column
    /// that are not 0 as exclusive ends, which loses them; zeros around.
    fn published(&self, slice: &Slice) -> Result<Placed, Fault> {
        let image = self.windowed(&slice.pixels)?;
        let bbox = match (self.crop, crop::nonzero_box(image.view())) {
            (false, _) => None,
            (true, Some(all)) => Some(Rectangle { bottom: all.bottom - 1, right: all.right - 1, ..all }),
            (true, None) => return Err(Fault::new(Reason::EmptyAfterTilt, "every pixel of the turned image is 0")),
        };
        let from = bbox.unwrap_or(Rectangle::whole(image.dim()));
        let (height, width, size) = (from.height(), from.width(), self.size);
        if height > size || width > size {
            let what = format!("the crop has {height} rows and {width} columns, expected at most {size} of each");
            return Err(Fault::new(Reason::CropTooLarge, what));
        }
        let fit = Fit::new(from, size);
        let image = image.slice(s![from.top..from.bottom, from.left..from.right]);
        let pixels = Pixels::U8(squares(1, size, &fit, 0, |_, mut part| part.assign(&image)));
        Ok(Placed { pixels, bbox, fit })
    }

    /// The windowed image in 8 bits: what `denoise` and `tilt` made, or where both are off, HU
    /// clipped to the window.
    fn windowed<'a>(&self, pixels: &'a Pixels) -> Result<CowArray<'a, u8, Ix2>, Fault> {
        match pixels {
            Pixels::U8(image) if image.dim().0 == 1 => Ok(image.index_axis(Axis(0), 0).into()),
            pixels => {
                let (low, high) = self.published;
                Ok(pixels.hu()?.map(|&hu| f64::from(hu).clamp(low, high) as u8).into())
            }
        }
    }
}

/// What became of the pixels.
struct Placed {
    pixels: Pixels,
    bbox: Option<Rectangle>,
    fit: Fit,
}

/// Squares of background, one per channel, in whose place for the image `fill` writes.
fn squares<T: Copy>(
    channels: usize,
    size: usize,
    fit: &Fit,
    background: T,
    mut fill: impl FnMut(usize, ArrayViewMut2<'_, T>),
) -> Array3<T> {
    let mut image = Array3::from_elem((channels, size, size), background);
    let Rectangle { top, left, bottom, right } = fit.to;
    for (index, mut square) in image.outer_iter_mut().enumerate() {
        fill(index, square.slice_mut(s![top..bottom, left..right]));
    }
    image
}

/// Puts one channel in its place: straight from the HU, or by way of a shrunk copy.
fn place<T: Copy>(
    hu: ArrayView2<'_, i16>,
    mask: Option<&Mask>,
    fit: &Fit,
    background: i16,
    part: ArrayViewMut2<'_, T>,
    convert: impl Fn(&[i16], &mut [T]),
) {
    if fit.scale == 1.0 {
        return crop::paste(hu, mask, fit.from, part, convert);
    }
    let longer = fit.to.height().max(fit.to.width());
    let shrunk = crop::shrink(crop::masked(hu, mask, fit.from, background).view(), longer);
    crop::paste(shrunk.view(), None, Rectangle::whole(shrunk.dim()), part, convert);
}

impl Stage for CropPad {
    fn name(&self) -> &'static str {
        "crop_pad"
    }

    fn columns(&self) -> &'static [&'static Column] {
        COLUMNS
    }

    fn apply(&self, slice: &mut Slice, scratch: &mut Scratch) -> Result<(), Fault> {
        let Placed { pixels, bbox, fit } = match self.steps {
            Steps::Corrected => self.corrected(slice)?,
            Steps::Published => self.published(slice)?,
        };
        slice.placement = slice.placement.then(&fit.map());
        let facts = &mut slice.facts;
        if let Some(Rectangle { top, left, bottom, right }) = bbox {
            facts.set(&BBOX_TOP, top as i32);
            facts.set(&BBOX_LEFT, left as i32);
            facts.set(&BBOX_BOTTOM, bottom as i32);
            facts.set(&BBOX_RIGHT, right as i32);
        }
        let (channels, rows, columns) = pixels.dim();
        facts.set(&SCALE, fit.scale);
        facts.set(&SOURCE_TO_IMAGE, slice.placement.0.to_vec());
        facts.set(&IMAGE_DTYPE, if matches!(pixels, Pixels::U8(_)) { "uint8" } else { "int16" });
        facts.set(&IMAGE_SHAPE, vec![channels as i32, rows as i32, columns as i32]);
        slice.pixels = pixels;
        // No stage reads it any more, and a tensor that waits for the sink need not hold it.
        scratch.guide = std::mem::take(&mut slice.guide);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ndarray::{Array2, array};

    use super::*;
    use crate::attributes::Attributes;
    use crate::column::Value;
    use crate::identity::SourceId;
    use crate::kernel::affine::Affine;
    use crate::kernel::warp;
    use crate::recipe::Window;
    use crate::slice::{InputRef, Ordinal, SliceRef};

    fn slice_of(pixels: Pixels, mask: Option<Mask>) -> Slice {
        let input = InputRef::memory(SourceId([0; 24]), Arc::new([]));
        Slice {
            at: SliceRef { ordinal: Ordinal(0), input, frame: 0 },
            attributes: Arc::new(Attributes::default()),
            pixels,
            guide: Array2::zeros((0, 0)),
            mask,
            placement: Affine::IDENTITY,
            facts: Default::default(),
        }
    }

    fn hu(image: Array2<i16>) -> Pixels {
        Pixels::I16(image.insert_axis(Axis(0)))
    }

    fn sized(recipe: Recipe, size: u32) -> Recipe {
        let mut recipe = recipe;
        recipe.crop_pad.size = size;
        recipe
    }

    fn hu_recipe(size: u32) -> Recipe {
        let mut recipe = sized(Recipe::head(), size);
        recipe.hu_window.windows.clear();
        recipe
    }

    fn run(recipe: &Recipe, mut slice: Slice) -> Result<Slice, Fault> {
        CropPad::new(recipe).apply(&mut slice, &mut Scratch::default()).map(|()| slice)
    }

    fn bytes(slice: &Slice, channel: usize) -> Array2<u8> {
        match &slice.pixels {
            Pixels::U8(image) => image.index_axis(Axis(0), channel).to_owned(),
            other => panic!("{other:?}, expected uint8"),
        }
    }

    fn bbox(slice: &Slice) -> Option<Vec<i32>> {
        let names = ["bbox_top", "bbox_left", "bbox_bottom", "bbox_right"];
        let int = |name| match slice.facts.get(name) {
            Some(Value::Int32(value)) => Some(*value),
            _ => None,
        };
        names.into_iter().map(int).collect()
    }

    #[test]
    fn the_head_is_cut_out_centred_and_windowed() {
        let image = array![[80i16, 80, 80, 80], [80, 40, 8, 80], [80, 80, 1000, 80]];
        let mask = Mask::of(array![[0u8, 0, 0, 0], [0, 1, 1, 0], [0, 0, 1, 0]].view(), |set| set > 0);
        let slice = run(&sized(Recipe::head(), 5), slice_of(hu(image), Some(mask))).expect("a tensor");
        let want = array![[0u8, 0, 0, 0, 0], [0, 128, 26, 0, 0], [0, 0, 255, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]];
        assert_eq!(bytes(&slice, 0), want);
        assert_eq!(bbox(&slice), Some(vec![1, 1, 3, 3]));
        let fact = |name| slice.facts.get(name).cloned();
        assert_eq!(fact("scale"), Some(Value::Float64(1.0)));
        assert_eq!(fact("source_to_image"), Some(Value::ListFloat64(vec![1.0, 0.0, 0.0, 0.0, 1.0, 0.0])));
        assert_eq!(fact("image_dtype"), Some(Value::Text("uint8".into())));
        assert_eq!(fact("image_shape"), Some(Value::ListInt32(vec![1, 5, 5])));
    }

    #[test]
    fn one_channel_per_window() {
        let mut recipe = sized(Recipe::head(), 2);
        recipe.hu_window.windows = vec![Window { center: 40.0, width: 80.0 }, Window { center: 600.0, width: 2800.0 }];
        let slice = run(&recipe, slice_of(hu(array![[40, 600]]), None)).expect("a tensor");
        assert_eq!(bytes(&slice, 0), array![[128, 255], [0, 0]]);
        // (40 + 800) * 255 / 2800 = 76.5, half up; background is 0 in each channel.
        assert_eq!(bytes(&slice, 1), array![[77, 128], [0, 0]]);
        assert_eq!(slice.facts.get("image_shape"), Some(&Value::ListInt32(vec![2, 2, 2])));
    }

    #[test]
    fn hu_without_mask_is_the_source_exactly() {
        let source = Array2::from_shape_fn((512, 512), |(r, c)| (r * 31 + c * 7) as i16 - 1024);
        let mut recipe = hu_recipe(512);
        recipe.crop_pad.crop = false;
        let slice = run(&recipe, slice_of(hu(source.clone()), None)).expect("a tensor");
        assert_eq!(slice.pixels, hu(source));
        assert_eq!(bbox(&slice), None);
        assert_eq!(slice.placement, Affine::IDENTITY);
        assert_eq!(slice.facts.get("image_dtype"), Some(&Value::Text("int16".into())));
    }

    #[test]
    fn a_smaller_frame_is_centred_in_air() {
        let slice = run(&hu_recipe(4), slice_of(hu(array![[7, 8, 9]]), None)).expect("a tensor");
        let air = [-1024; 4];
        assert_eq!(slice.pixels, hu(array![air, [7, 8, 9, -1024], air, air]));
        assert_eq!(slice.placement, Affine::translation(0.0, 1.0));
    }

    #[test]
    fn an_empty_mask_is_all_background() {
        let empty = || Some(Mask::empty(2, 3));
        let slice = run(&hu_recipe(3), slice_of(hu(Array2::from_elem((2, 3), 50)), empty())).expect("a row");
        assert_eq!(slice.pixels, hu(Array2::from_elem((3, 3), -1024)));
        assert_eq!(bbox(&slice), None);
        let slice =
            run(&sized(Recipe::head(), 2), slice_of(hu(Array2::from_elem((2, 3), 50)), empty())).expect("a row");
        assert_eq!(bytes(&slice, 0), Array2::<u8>::zeros((2, 2)));
    }

    #[test]
    fn crop_off_keeps_the_frame_and_still_clears_the_background() {
        let mut recipe = hu_recipe(2);
        recipe.crop_pad.crop = false;
        let mask = Mask::of(array![[0u8, 1], [0, 0]].view(), |set| set > 0);
        let slice = run(&recipe, slice_of(hu(array![[5, 6], [7, 8]]), Some(mask))).expect("a tensor");
        assert_eq!(slice.pixels, hu(array![[-1024, 6], [-1024, -1024]]));
        assert_eq!(bbox(&slice), None);
    }

    #[test]
    fn what_is_too_large_shrinks_after_the_background_is_cleared() {
        let image = Array2::from_shape_fn((4, 2), |(row, _)| 100 * row as i16);
        let mask = Mask::of(array![[1u8, 1], [1, 0], [1, 1], [1, 1]].view(), |set| set > 0);
        let slice = run(&hu_recipe(2), slice_of(hu(image), Some(mask))).expect("a tensor");
        // (0 + 0 + 100 - 1024) / 4 and (200 + 200 + 300 + 300) / 4; one column, centred.
        assert_eq!(slice.pixels, hu(array![[-231, -1024], [250, -1024]]));
        assert_eq!(slice.facts.get("scale"), Some(&Value::Float64(0.5)));
        assert_eq!(slice.placement, Affine::scaling_of_pixels(0.5));
    }

    #[test]
    fn a_dot_turned_cropped_and_shrunk_lies_where_source_to_image_says() {
        let mut image = Array2::from_elem((120, 100), -1000i16);
        image.slice_mut(s![40..43, 60..63]).fill(2000);
        let turn = Affine::turn_clockwise(21.0, 50.0, 60.0);
        let mask =
            Mask::of(Array2::from_shape_fn((120, 100), |(r, c)| r.abs_diff(60) + c.abs_diff(50) < 45).view(), |m| m);
        for (size, scale) in [(128, 1.0), (60, 60.0 / 89.0)] {
            let mut slice = slice_of(hu(warp::bicubic_i16(image.view(), &turn, -1000)), Some(mask.clone()));
            slice.placement = turn;
            let slice = run(&hu_recipe(size), slice).expect("a tensor");
            assert_eq!(slice.facts.get("scale"), Some(&Value::Float64(scale)));
            let (mut mass, mut x, mut y) = (0.0, 0.0, 0.0);
            for ((row, column), &hu) in slice.pixels.hu().expect("HU").indexed_iter() {
                let weight = (f64::from(hu) + 1000.0).max(0.0);
                (mass, x, y) = (mass + weight, x + weight * column as f64, y + weight * row as f64);
            }
            let (column, row) = slice.placement.apply(61.0, 41.0);
            assert!((x / mass - column).abs() < 0.5, "column {}, expected {column}", x / mass);
            assert!((y / mass - row).abs() < 0.5, "row {}, expected {row}", y / mass);
        }
    }

    #[test]
    fn published_crop_loses_the_last_row_and_column() {
        let image = array![[0u8, 0, 0, 0], [0, 1, 2, 3], [0, 4, 5, 6], [0, 0, 0, 7]];
        let slice = slice_of(Pixels::U8(image.insert_axis(Axis(0))), None);
        let slice = run(&sized(Recipe::seed(), 5), slice).expect("a tensor");
        let want = array![[0u8, 0, 0, 0, 0], [0, 1, 2, 0, 0], [0, 4, 5, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]];
        assert_eq!(bytes(&slice, 0), want);
        assert_eq!(bbox(&slice), Some(vec![1, 1, 3, 3]));
        assert_eq!(slice.placement, Affine::IDENTITY);
    }

    #[test]
    fn published_crop_of_one_pixel_is_an_image_of_zeros() {
        let slice = slice_of(Pixels::U8(array![[[0u8, 0], [0, 9]]]), None);
        let slice = run(&sized(Recipe::seed(), 2), slice).expect("a tensor");
        assert_eq!(bytes(&slice, 0), Array2::<u8>::zeros((2, 2)));
        assert_eq!(bbox(&slice), Some(vec![1, 1, 1, 1]));
    }

    #[test]
    fn published_rejects_what_python_cannot_do() {
        let reason = |recipe: &Recipe, image: Array2<u8>| {
            let slice = slice_of(Pixels::U8(image.insert_axis(Axis(0))), None);
            run(recipe, slice).map(|_| ()).expect_err("no tensor").reason
        };
        let seed = sized(Recipe::seed(), 2);
        assert_eq!(reason(&seed, Array2::zeros((2, 2))), Reason::EmptyAfterTilt);
        assert_eq!(reason(&seed, Array2::ones((4, 4))), Reason::CropTooLarge);
        let mut whole = seed;
        whole.crop_pad.crop = false;
        assert_eq!(reason(&whole, Array2::ones((3, 2))), Reason::CropTooLarge);
    }

    #[test]
    fn published_without_denoise_cuts_hu_to_the_window() {
        let mut recipe = sized(Recipe::seed(), 2);
        recipe.crop_pad.crop = false;
        let slice = run(&recipe, slice_of(hu(array![[-5, 0], [40, 500]]), None)).expect("a tensor");
        assert_eq!(bytes(&slice, 0), array![[0, 0], [40, 80]]);
    }
}
