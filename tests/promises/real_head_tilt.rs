//! A real head is turned where its outline tells how, and only there.
//!
//! Runs on the series `head-ct-tilt` where the test images stand beside the checkout. Its head lies
//! turned by about -10.9 degrees (3-D plane of symmetry), and its vault is round.

use std::path::Path;
use std::sync::Arc;

use dcmshard::attributes::{Attributes, Number};
use dcmshard::column::Value;
use dcmshard::identity::SourceId;
use dcmshard::kernel::affine::Affine;
use dcmshard::kernel::warp::bicubic_i16;
use dcmshard::recipe::Recipe;
use dcmshard::slice::{InputRef, Ordinal, Pixels, Slice, SliceRef};
use dcmshard::stage::{self, Scratch};
use ndarray::{Array2, Axis};

/// Rows and columns of the series.
const SIDE: usize = 512;

/// What `tilt` says of a slice.
struct Told {
    angle_deg: f64,
    stderr_deg: f64,
    applied: bool,
}

/// The HU of the series in the order of its file names; empty where it is not there. Its files end
/// with 512x512 signed 16-bit HU, little-endian.
fn series() -> Vec<Array2<i16>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/series/head-ct-tilt");
    let Ok(entries) = std::fs::read_dir(&folder) else { return Vec::new() };
    let mut paths: Vec<_> = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    paths.sort();
    let hu = |path: &Path| {
        let bytes = std::fs::read(path).expect("a readable file");
        let pixels = &bytes[bytes.len() - 2 * SIDE * SIDE..];
        let (pairs, _) = pixels.as_chunks::<2>();
        let hu = pairs.iter().map(|&pair| i16::from_le_bytes(pair).max(-1024)).collect();
        Array2::from_shape_vec((SIDE, SIDE), hu).expect("512x512")
    };
    paths.iter().map(|path| hu(path)).collect()
}

/// Recipe `head` up to and with `tilt`.
fn through_tilt(hu: &Array2<i16>) -> Told {
    let one_to_one = Attributes {
        rescale_slope: Number::Value(1.0),
        rescale_intercept: Number::Value(0.0),
        ..Attributes::default()
    };
    let input = InputRef::memory(SourceId([0; 24]), [].into());
    let mut slice = Slice {
        at: SliceRef { ordinal: Ordinal(0), input, frame: 0 },
        attributes: Arc::new(one_to_one),
        pixels: Pixels::I16(hu.clone().insert_axis(Axis(0))),
        guide: Array2::default((0, 0)),
        mask: None,
        placement: Affine::IDENTITY,
        facts: Default::default(),
    };
    for stage in stage::list(&Recipe::head()).iter().take_while(|stage| stage.name() != "crop_pad") {
        stage.apply(&mut slice, &mut Scratch::default()).expect("no reject in this series");
    }
    let number = |name| match slice.facts.get(name) {
        Some(Value::Float64(value)) => *value,
        other => panic!("{name} is {other:?}"),
    };
    let applied = slice.facts.get("tilt_applied") == Some(&Value::Bool(true));
    assert_eq!(applied, slice.placement != Affine::IDENTITY);
    assert_eq!(applied, slice.pixels.hu().expect("HU") != hu.view());
    Told { angle_deg: number("tilt_angle_deg"), stderr_deg: number("tilt_stderr_deg"), applied }
}

#[test]
#[allow(clippy::print_stderr, reason = "a test that skips says so")]
fn a_real_head_is_turned_only_where_its_outline_tells_how() {
    let series = series();
    if series.is_empty() {
        eprintln!("skipped: ../shared/data/series/head-ct-tilt is not there");
        return;
    }
    let middle = (SIDE as f64 - 1.0) / 2.0;
    let mut follows = Vec::new();
    for (index, hu) in series.iter().enumerate() {
        let told = through_tilt(hu);
        if told.applied {
            assert!((told.angle_deg + 10.9).abs() < 4.0, "slice {index} turned by {}", told.angle_deg);
        }
        // From here on the outline is round.
        if index >= 20 {
            assert!(!told.applied && told.stderr_deg > 1.0, "slice {index}: {}", told.stderr_deg);
        }
        for turn in [-10.0, 10.0] {
            let turned = bicubic_i16(hu.view(), &Affine::turn_clockwise(turn, middle, middle), -1024);
            let then = through_tilt(&turned);
            if told.applied && then.applied {
                follows.push((then.angle_deg - told.angle_deg - turn).abs());
            }
        }
    }
    follows.sort_by(f64::total_cmp);
    assert!(follows.len() >= 6, "{} pairs", follows.len());
    assert!(follows[follows.len() / 2] <= 0.3, "median of {follows:?}");
    assert!(follows[follows.len() - 1] <= 3.0, "worst of {follows:?}");
}
