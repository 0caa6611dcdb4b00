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
        let fit = Fit::new(bbox.unwrap_or(whole(hu.dim())), self.size);
        let mask = slice.mask.as_ref();
        let (channels, size) = (&self.channels, self.size);
        let pixels = if channels.is_empty() {
            Pixels::I16(squares(1, size, &fit, LOWEST_HU, |_, part| place(hu, mask, &fit, LOWEST_HU, part, |hu| hu)))
        } else {
            Pixels::U8(squares(channels.len(), size, &fit, 0, |index, part| {
                let Channel { background, quantise } = &channels[index];
                place(hu, mask, &fit, *background, part, |hu| quantise.of(hu));
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
        let from = bbox.unwrap_or(whole(image.dim()));
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

fn whole((rows, columns): (usize, usize)) -> Rectangle {
    Rectangle { top: 0, left: 0, bottom: rows, right: columns }
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
fn place<T>(
    hu: ArrayView2<'_, i16>,
    mask: Option<&Mask>,
    fit: &Fit,
    background: i16,
    part: ArrayViewMut2<'_, T>,
    convert: impl Fn(i16) -> T,
) {
    if fit.scale == 1.0 {
        return crop::paste(hu, mask, fit.from, part, convert);
    }
    let longer = fit.to.height().max(fit.to.width());
    let shrunk = crop::shrink(crop::masked(hu, mask, fit.from, background).view(), longer);
    crop::paste(shrunk.view(), None, whole(shrunk.dim()), part, convert);
}

impl Stage for CropPad {
    fn name(&self) -> &'static str {
        "crop_pad"
    }

    fn columns(&self) -> &'static [&'static Column] {
        COLUMNS
    }

    fn apply(&self, slice: &mut Slice, _scratch: &mut Scratch) -> Result<(), Fault> {
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
        Ok(())
    }
}
