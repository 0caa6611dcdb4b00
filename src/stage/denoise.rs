//! Stage `denoise`: which pixels are the head.

use ndarray::{Array2, Array3, ArrayView2, Axis};

use super::hu_window::edges;
use super::{Scratch, Stage};
use crate::column::{Column, Kind};
use crate::kernel::crop;
use crate::kernel::label::Components;
use crate::kernel::mask::{Mask, Rectangle};
use crate::kernel::morphology::{dilate_3x3, fill_holes};
use crate::reason::Fault;
use crate::recipe::{Recipe, Steps};
use crate::slice::{Pixels, Slice};

static LABEL_COUNT: Column =
    Column::new("label_count", Kind::Int32, "4-connected components of the pixels above the guide window's low edge.");
static LABEL_SIZES: Column = Column::new(
    "label_sizes",
    Kind::ListInt32,
    "Pixels of those components, largest first, at most 16; equal ones in raster order of their first pixels.",
);
static MASK_PIXELS: Column = Column::new(
    "mask_pixels",
    Kind::Int32,
    "Pixels of the mask: the largest component, holes filled, dilated by 3x3; before any turn.",
);
static MASK_TOUCHES_BORDER: Column = Column::new(
    "mask_touches_border",
    Kind::Bool,
    "Whether the mask, before any turn, has a pixel in the first or last row or column.",
);

static COLUMNS: &[&Column] = &[&LABEL_COUNT, &LABEL_SIZES, &MASK_PIXELS, &MASK_TOUCHES_BORDER];

/// How many of the largest components `label_sizes` tells of.
const SIZES: usize = 16;

/// Stage `denoise`. After it the slice has its mask: empty where no pixel is above the guide's
/// low edge.
///
/// In the published order the pixels become one plane of 8 bits: HU clipped to the guide window,
/// whose low edge is 0 there, times the mask.
#[derive(Debug)]
pub struct Denoise {
    enabled: bool,
    /// The upper edge of the published order's window, HU; at most 255.
    published: Option<i16>,
}

impl Denoise {
    /// The stage as `recipe` wants it.
    pub fn new(recipe: &Recipe) -> Denoise {
        let (_, high) = edges(&recipe.hu_window.guide, recipe.steps);
        let published = (recipe.steps == Steps::Published).then_some(high as i16);
        Denoise { enabled: recipe.denoise.enabled, published }
    }
}

impl Stage for Denoise {
    fn name(&self) -> &'static str {
        "denoise"
    }

    fn columns(&self) -> &'static [&'static Column] {
        COLUMNS
    }

    fn apply(&self, slice: &mut Slice, _scratch: &mut Scratch) -> Result<(), Fault> {
        if !self.enabled {
            return Ok(());
        }
        let components = Components::of(&Mask::nonzero(slice.guide.view()));
        let mask = match components.largest() {
            Some(largest) => dilate_3x3(&fill_holes(&largest)),
            None => Mask::empty(slice.guide.dim().0, slice.guide.dim().1),
        };
        let facts = &mut slice.facts;
        facts.set(&LABEL_COUNT, components.sizes().len() as i32);
        facts.set(&LABEL_SIZES, largest_sizes(components.sizes()));
        facts.set(&MASK_PIXELS, mask.count() as i32);
        facts.set(&MASK_TOUCHES_BORDER, mask.touches_border());
        if let Some(high) = self.published {
            slice.pixels = Pixels::U8(windowed(slice.pixels.hu()?, &mask, high));
        }
        slice.mask = Some(mask);
        Ok(())
    }
}

/// The largest sizes, largest first. (The order of equal sizes is that of their labels, which
/// their numbers do not show.)
fn largest_sizes(sizes: &[u32]) -> Vec<i32> {
    let mut sizes: Vec<i32> = sizes.iter().map(|&size| size as i32).collect();
    if sizes.len() > SIZES {
        sizes.select_nth_unstable_by(SIZES - 1, |a, b| b.cmp(a));
        sizes.truncate(SIZES);
    }
    sizes.sort_unstable_by(|a, b| b.cmp(a));
    sizes
}

/// HU clipped to 0..=`high` in the mask, 0 outside, (1, row, column).
fn windowed(hu: ArrayView2<'_, i16>, mask: &Mask, high: i16) -> Array3<u8> {
    let mut image = Array2::zeros(hu.dim());
    let clip = |hu: &[i16], clipped: &mut [u8]| {
        clipped.iter_mut().zip(hu).for_each(|(clipped, &hu)| *clipped = hu.min(high).max(0) as u8);
    };
    crop::paste(hu, Some(mask), Rectangle::whole(hu.dim()), image.view_mut(), clip);
    image.insert_axis(Axis(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::column::Value;
    use crate::stage::tests_on::slice_of;
    use ndarray::array;

    fn applied(recipe: &Recipe, hu: Array2<i16>) -> Slice {
        let mut slice = slice_of(hu);
        Denoise::new(recipe).apply(&mut slice, &mut Scratch::default()).expect("denoise");
        slice
    }

    /// A ring of brain around air, a holder of two pixels, and air around.
    fn ring() -> Array2<i16> {
        let mut hu = Array2::from_elem((9, 12), -1000);
        hu.slice_mut(ndarray::s![2..7, 2..7]).fill(35);
        hu[(4, 4)] = -900;
        hu[(4, 10)] = 900;
        hu[(5, 10)] = 900;
        hu
    }

    #[test]
    fn the_mask_is_the_largest_component_filled_and_dilated() {
        let slice = applied(&Recipe::head(), ring());
        let mask = slice.mask.expect("a mask");
        assert_eq!(mask.count(), 49);
        assert!(mask.get(1, 1) && mask.get(4, 4) && !mask.get(4, 10));
        assert_eq!(slice.facts.get("label_count"), Some(&Value::Int32(2)));
        assert_eq!(slice.facts.get("label_sizes"), Some(&Value::ListInt32(vec![24, 2])));
        assert_eq!(slice.facts.get("mask_pixels"), Some(&Value::Int32(49)));
        assert_eq!(slice.facts.get("mask_touches_border"), Some(&Value::Bool(false)));
        assert_eq!(slice.pixels.hu().expect("HU"), ring(), "HU stay as they are");
    }

    #[test]
    fn nothing_above_the_low_edge_is_a_row_with_an_empty_mask() {
        let slice = applied(&Recipe::head(), Array2::from_elem((4, 70), 0));
        assert_eq!(slice.mask, Some(Mask::empty(4, 70)));
        assert_eq!(slice.facts.get("label_count"), Some(&Value::Int32(0)));
        assert_eq!(slice.facts.get("label_sizes"), Some(&Value::ListInt32(vec![])));
    }

    #[test]
    fn switched_off_it_leaves_everything() {
        let mut recipe = Recipe::head();
        recipe.denoise.enabled = false;
        let slice = applied(&recipe, ring());
        assert!(slice.mask.is_none() && slice.facts.iter().next().is_none());
    }

    #[test]
    fn the_published_order_multiplies_the_windowed_image_by_the_mask() {
        let mut hu = ring();
        (hu[(2, 2)], hu[(3, 3)]) = (81, 79);
        let slice = applied(&Recipe::seed(), hu);
        let Pixels::U8(image) = slice.pixels else { panic!("8 bits expected") };
        assert_eq!(
            image.slice(ndarray::s![0, 1..5, 1..5]),
            array![[0, 0, 0, 0], [0, 80, 35, 35], [0, 35, 79, 35], [0, 35, 35, 0]]
        );
        assert_eq!(image[(0, 4, 10)], 0, "the holder lies outside the mask");
    }

    #[test]
    fn of_many_labels_the_sixteen_largest_are_told() {
        let sizes: Vec<u32> = (1..=40).collect();
        assert_eq!(largest_sizes(&sizes), (25..=40).rev().collect::<Vec<i32>>());
    }
}
