//! Recipe `seed` equals the published Python recipe, number for number.
//!
//! `parity.json` holds what the Python recipe (scipy 1.17.1, scikit-image 0.26.0,
//! opencv-python-headless 5.0.0.93) says of the phantoms drawn with 4 heads, 5 slices, seed 11:
//! figures as it returns them, and the mean of each 64x64 block of its tensor. Where the phantoms
//! change, the file is to be made again with that recipe; it is not printed by this program.

use std::path::Path;

use dcmshard::column::Value;
use dcmshard::identity::SourceId;
use dcmshard::phantom::{PhantomOptions, write_archive};
use dcmshard::pipeline::Pipeline;
use dcmshard::recipe::Recipe;
use dcmshard::slice::{InputRef, Ordinal, Pixels, Slice, SliceRef};
use dcmshard::stage::Scratch;
use serde_json::Value as Json;

use crate::made::key;

fn stored() -> Vec<Json> {
    serde_json::from_str(include_str!("parity.json")).expect("a list")
}

fn row(pipeline: &Pipeline, path: &Path) -> Slice {
    let at = SliceRef { ordinal: Ordinal(0), input: InputRef::file(SourceId([0; 24]), path), frame: 0 };
    pipeline.process(&at, &mut Scratch::default()).expect("the Python recipe makes a tensor of it")
}

fn float(slice: &Slice, name: &str) -> f64 {
    match slice.facts.get(name) {
        Some(Value::Float64(value)) => *value,
        Some(Value::Int32(value)) => f64::from(*value),
        other => panic!("{name} is {other:?}"),
    }
}

fn near(slice: &Slice, name: &str, expected: &Json, tolerance: f64) {
    let (found, expected) = (float(slice, name), expected.as_f64().expect("a number"));
    assert!((found - expected).abs() <= tolerance, "{name}: found {found}, expected {expected} +- {tolerance}");
}

#[test]
fn seed_finds_what_the_python_recipe_finds() {
    let temp = tempfile::tempdir().expect("a temporary folder");
    let options = PhantomOptions { heads: 4, slices_per_head: 5, seed: 11, ..PhantomOptions::default() };
    write_archive(temp.path(), &options).expect("can be written");
    let pipeline = Pipeline::new(&Recipe::seed(), &key());
    for expected in stored() {
        let slice = row(&pipeline, &temp.path().join(expected["path"].as_str().expect("a path")));
        near(&slice, "label_count", &expected["label_count"], 0.0);
        near(&slice, "mask_pixels", &expected["mask_pixels"], 0.0);
        let Some(Value::ListInt32(sizes)) = slice.facts.get("label_sizes") else { panic!("label_sizes") };
        assert_eq!(i64::from(sizes[0]), expected["largest_label_pixels"]);
        for name in ["ellipse_center_column_px", "ellipse_center_row_px", "ellipse_minor_px", "ellipse_major_px"] {
            near(&slice, name, &expected[name], 0.05);
        }
        let rotation = expected["rotation_deg"].as_f64().expect("a number");
        let off = (float(&slice, "tilt_angle_deg") - rotation + 90.0).rem_euclid(180.0) - 90.0;
        assert!(off.abs() <= 0.02, "tilt_angle_deg: {off} off");
        for (n, name) in ["bbox_top", "bbox_left", "bbox_bottom", "bbox_right"].into_iter().enumerate() {
            near(&slice, name, &expected["bbox"][n], 1.0);
        }
        hold_tensor(&slice, &expected["block_means"]);
    }
}

/// Holds the mean of each 64x64 block of the tensor.
fn hold_tensor(slice: &Slice, expected: &Json) {
    let Pixels::U8(tensor) = &slice.pixels else { panic!("seed makes uint8") };
    for block in 0..64 {
        let (top, left) = (block / 8 * 64, block % 8 * 64);
        let block_pixels = tensor.slice(ndarray::s![0, top..top + 64, left..left + 64]);
        let mean = block_pixels.iter().map(|&pixel| f64::from(pixel)).sum::<f64>() / 4096.0;
        let expected = expected[block].as_f64().expect("a number");
        assert!((mean - expected).abs() <= 0.5, "block {block}: mean {mean}, expected {expected}");
    }
}
