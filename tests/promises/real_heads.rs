//! Real heads, where `../shared/data` stands beside the checkout.

use std::path::PathBuf;

use dcmshard::identity::SourceId;
use dcmshard::kernel::affine::Affine;
use dcmshard::kernel::warp;
use dcmshard::pipeline::Pipeline;
use dcmshard::recipe::Recipe;
use dcmshard::slice::{InputRef, Ordinal, Pixels, Slice, SliceRef};
use dcmshard::stage::Scratch;
use ndarray::Axis;

use crate::made::{key, real_data};

fn files(folder: &str) -> Vec<PathBuf> {
    let Some(folder) = real_data(folder) else { return Vec::new() };
    let entries = std::fs::read_dir(folder).expect("can be listed");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("can be listed").path()).collect();
    files.sort();
    files
}

/// One slice up to and including `tilt`; with `turn_deg`, its HU are turned before the mask is made.
fn tilted(pipeline: &Pipeline, file: &std::path::Path, turn_deg: Option<f64>) -> Slice {
    let input = InputRef::file(SourceId([0; 24]), file);
    let at = SliceRef { ordinal: Ordinal(0), input, frame: 0 };
    let scratch = &mut Scratch::default();
    let mut slice = pipeline.step(1, pipeline.decode(&at, scratch), scratch).expect("a sound slice");
    if let Some(turn_deg) = turn_deg {
        let hu = slice.pixels.hu().expect("HU");
        let (rows, columns) = hu.dim();
        let map = Affine::turn_clockwise(turn_deg, columns as f64 / 2.0 - 0.5, rows as f64 / 2.0 - 0.5);
        let turned = warp::bicubic_i16(hu, &map, -1024);
        slice.guide = turned.mapv(|hu| hu.clamp(0, 80) as u16);
        slice.pixels = Pixels::I16(turned.insert_axis(Axis(0)));
    }
    (2..4).try_fold(slice, |slice, step| pipeline.step(step, Ok(slice), scratch)).expect("a sound slice")
}

fn angle(slice: &Slice) -> Option<f64> {
    match slice.facts.get("tilt_angle_deg") {
        Some(dcmshard::column::Value::Float64(angle)) => Some(*angle),
        _ => None,
    }
}

fn applied(slice: &Slice) -> bool {
    slice.facts.get("tilt_applied") == Some(&true.into())
}

#[test]
fn a_head_turned_by_ten_degrees_is_found_turned_by_ten_degrees() {
    let pipeline = Pipeline::new(&Recipe::head(), &key());
    let mut errors = Vec::new();
    let files = files("series/head-ct-tilt");
    for file in &files {
        let still = tilted(&pipeline, file, None);
        for turn in [-10.0, 10.0] {
            let turned = tilted(&pipeline, file, Some(turn));
            if let (true, true, Some(a), Some(b)) = (applied(&still), applied(&turned), angle(&still), angle(&turned)) {
                errors.push(((b - a - turn + 90.0).rem_euclid(180.0) - 90.0).abs());
            }
        }
    }
    if files.is_empty() {
        return;
    }
    errors.sort_by(f64::total_cmp);
    let (median, worst) = (errors[errors.len() / 2], errors[errors.len() - 1]);
    eprintln!("{} pairs: median {median:.3}, worst {worst:.3} degrees", errors.len());
    assert!(median <= 0.3 && worst <= 3.0, "median {median}, worst {worst}");
    assert!(errors.len() >= 6, "{} of 56 pairs are applied both times", errors.len());
}

#[test]
fn round_outlines_are_left_as_they_lie_and_say_so() {
    let pipeline = Pipeline::new(&Recipe::head(), &key());
    for (index, file) in files("series/head-ct-tilt").iter().enumerate() {
        let slice = tilted(&pipeline, file, None);
        let stderr = match slice.facts.get("tilt_stderr_deg") {
            Some(dcmshard::column::Value::Float64(stderr)) => *stderr,
            _ => f64::INFINITY,
        };
        assert_eq!(applied(&slice), stderr <= 1.0 && angle(&slice).is_some_and(|angle| angle.abs() <= 45.0));
        if applied(&slice) {
            let angle = angle(&slice).unwrap_or(0.0);
            // Its 3-D plane of symmetry lies at -10.9 degrees; slice by slice it is at -14.6 to -8.9.
            assert!((-14.9..=-8.9).contains(&angle), "slice {index} turned by {angle}");
            assert!(index < 20, "slice {index}: from the 21st on the outline is round");
        } else {
            assert_eq!(slice.placement, Affine::IDENTITY);
        }
    }
}
