//! What a slice holds after each stage: one test per row of the README's table, for each recipe.

use dcmshard::kernel::affine::Affine;
use dcmshard::pipeline::Pipeline;
use dcmshard::recipe::{Recipe, SHIPPED};
use dcmshard::slice::{Pixels, Slice};
use dcmshard::stage::Scratch;
use ndarray::s;

use crate::made::{Ct, key};

const RECIPES: [&str; 4] = ["head", "head-hu", "head-3win", "seed"];
const SIZE: u16 = 128;

fn recipe(name: &str) -> Recipe {
    Recipe::shipped(name).expect("it ships")
}

/// The tilted head after `steps` steps.
fn after(name: &str, steps: usize) -> Slice {
    let pipeline = Pipeline::new(&recipe(name), &key());
    let scratch = &mut Scratch::default();
    let at = Ct::head(SIZE, 50.0, 36.0, 12.0).slice_ref();
    let decoded = pipeline.decode(&at, scratch);
    (1..=steps).fold(decoded, |outcome, step| pipeline.step(step, outcome, scratch)).expect("a sound slice")
}

fn hu(slice: &Slice) -> ndarray::ArrayView2<'_, i16> {
    slice.pixels.hu().expect("one plane of HU")
}

#[test]
fn the_line_is_the_one_of_the_table() {
    for shipped in SHIPPED {
        let pipeline = Pipeline::new(&recipe(shipped.name), &key());
        let names: Vec<&str> = (0..pipeline.steps()).map(|step| pipeline.step_name(step)).collect();
        assert_eq!(names, ["decode", "hu_window", "denoise", "tilt", "crop_pad"]);
    }
}

#[test]
fn after_decode_stored_values_and_nothing_else() {
    for name in RECIPES {
        let slice = after(name, 0);
        let stored = Ct::head(SIZE, 50.0, 36.0, 12.0).stored;
        let Pixels::I16(pixels) = &slice.pixels else { panic!("signed 16-bit stored values") };
        assert_eq!(pixels.iter().copied().collect::<Vec<_>>(), stored);
        assert_eq!(slice.guide.dim(), (0, 0));
        assert_eq!(slice.mask, None);
        assert_eq!(slice.placement, Affine::IDENTITY);
    }
}

#[test]
fn after_hu_window_hu_and_the_guide_as_offsets_from_its_low_edge() {
    for name in RECIPES {
        let slice = after(name, 1);
        for (&hu, &guide) in hu(&slice).iter().zip(&slice.guide) {
            assert_eq!(i32::from(guide), i32::from(hu).clamp(0, 80));
        }
        assert_eq!(slice.mask, None);
        assert_eq!(slice.placement, Affine::IDENTITY);
    }
}

#[test]
fn after_denoise_the_mask_is_the_head_and_hu_are_as_they_were() {
    for name in RECIPES {
        let (before, slice) = (after(name, 1), after(name, 2));
        let mask = slice.mask.as_ref().expect("denoise is on");
        let half = usize::from(SIZE / 2);
        assert!(mask.get(half, half) && !mask.get(0, 0));
        assert!(!mask.get(usize::from(SIZE) - 2, half), "the holder is not in the mask");
        match name {
            "seed" => assert!(matches!(&slice.pixels, Pixels::U8(_)), "seed: window times mask, as uint8"),
            _ => assert_eq!(slice.pixels, before.pixels),
        }
        assert_eq!(slice.guide, before.guide);
        assert_eq!(slice.placement, Affine::IDENTITY);
    }
}

#[test]
fn after_tilt_the_long_axis_is_vertical_and_the_placement_is_the_turn() {
    for name in RECIPES {
        let slice = after(name, 3);
        let half = f64::from(SIZE) / 2.0 - 0.5;
        // A point on the head's axis, 40 px above the centre, tilted by 12 degrees clockwise.
        let (sin, cos) = 12f64.to_radians().sin_cos();
        let (column, row) = slice.placement.apply(half + 40.0 * sin, half - 40.0 * cos);
        assert!((column - half).abs() < 0.5 && (row - (half - 40.0)).abs() < 0.5, "{name}: {column}, {row}");
        if name != "seed" {
            let bounds = slice.mask.as_ref().and_then(|mask| mask.bounding_box()).expect("a head");
            assert!(bounds.height() > 95 && bounds.width() < 80, "{name}: {bounds:?}");
            let (low, high) = (hu(&slice).iter().min().copied(), hu(&slice).iter().max().copied());
            assert!(
                low >= Some(-1024) && high <= Some(60),
                "{name}: clamped to the neighbours, found {low:?} {high:?}"
            );
        }
    }
}

#[test]
fn after_crop_pad_a_square_tensor_with_the_head_in_the_middle() {
    for name in RECIPES {
        let recipe = recipe(name);
        let slice = after(name, 4);
        assert_eq!(slice.pixels.dim(), (recipe.channels(), 512, 512));
        let background = if name == "head-hu" { -1024 } else { 0 };
        let value = |row: usize, column: usize| match &slice.pixels {
            Pixels::U8(tensor) => i32::from(tensor[[0, row, column]]),
            Pixels::I16(tensor) => i32::from(tensor[[0, row, column]]),
            other => panic!("a tensor is uint8 or int16, found {:?}", other.dim()),
        };
        assert_eq!(value(0, 0), background);
        assert_eq!(value(511, 256), background, "the holder is gone");
        assert!(value(256, 256) > background);
    }
}

#[test]
fn source_to_image_maps_every_source_pixel_to_its_place() {
    // Without a turn and a shrink every source pixel has exactly one place.
    let settings = ["tilt.enabled=false".to_owned()];
    let recipe = Recipe::from_toml(include_str!("../../examples/recipes/head-hu.toml"), &settings).expect("sound");
    let pipeline = Pipeline::new(&recipe, &key());
    let ct = Ct::head(SIZE, 50.0, 36.0, 12.0);
    let slice = pipeline.process(&ct.slice_ref(), &mut Scratch::default()).expect("a sound slice");
    let Pixels::I16(tensor) = &slice.pixels else { panic!("int16") };
    let (column, row) = slice.placement.apply(64.0, 64.0);
    assert_eq!((column.fract(), row.fract()), (0.0, 0.0));
    assert_eq!(tensor[[0, row as usize, column as usize]], ct.stored[64 * usize::from(SIZE) + 64]);
}

#[test]
fn head_hu_with_every_step_off_is_the_source_in_the_middle_of_the_square() {
    let settings = ["denoise.enabled=false", "tilt.enabled=false", "crop_pad.crop=false"].map(str::to_owned);
    let recipe = Recipe::from_toml(include_str!("../../examples/recipes/head-hu.toml"), &settings).expect("sound");
    let pipeline = Pipeline::new(&recipe, &key());
    let ct = Ct::head(SIZE, 50.0, 36.0, 12.0);
    let slice = pipeline.process(&ct.slice_ref(), &mut Scratch::default()).expect("a sound slice");
    let Pixels::I16(tensor) = &slice.pixels else { panic!("int16") };
    let inside = tensor.slice(s![0, 192..320, 192..320]);
    assert_eq!(inside.iter().copied().collect::<Vec<_>>(), ct.stored);
    let outside = tensor.len() - inside.len();
    assert!(tensor.iter().filter(|&&hu| hu == -1024).count() >= outside);
}
