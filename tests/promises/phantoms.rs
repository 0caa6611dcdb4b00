//! Phantoms: what is known of them is what the line finds.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use dcmshard::phantom::{FileTruth, PhantomOptions, Truth, write_archive};
use tempfile::TempDir;

use crate::cli::dcmshard;
use crate::shards::{Row, rows};

/// 200 slices of 10 heads, with tilt in -25..25 degrees, converted with recipe `head`.
struct Converted {
    folder: TempDir,
    truth: Truth,
}

fn converted() -> &'static Converted {
    static CONVERTED: OnceLock<Converted> = OnceLock::new();
    CONVERTED.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let options = PhantomOptions { heads: 10, slices_per_head: 20, ..PhantomOptions::default() };
        assert_eq!(options.max_tilt_deg, 25.0);
        let truth = write_archive(&folder.path().join("src"), &options).expect("can be written");
        convert(folder.path(), "src", "head", &["--set", "privacy=uids"]);
        Converted { folder, truth }
    })
}

fn convert(root: &Path, src: &str, recipe: &str, more: &[&str]) {
    let path = |name: &str| root.join(name).display().to_string();
    let (src, out) = (path(src), path(recipe));
    let output = dcmshard(&[&["convert", &src, "--out", &out, "--recipe", recipe], more].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Every row of the shards of `recipe` with its truth.
fn pairs() -> Vec<(Row, &'static FileTruth)> {
    let Converted { folder, truth } = converted();
    let rows = rows(&folder.path().join("head")).into_iter();
    let pairs = rows.map(|row| {
        let uid = row.text("sop_instance_uid").expect("privacy is uids").to_owned();
        let truth = truth.files.iter().find(|file| file.sop_instance_uid == uid).expect("a slice of the archive");
        (row, truth)
    });
    pairs.collect()
}

#[test]
fn every_slice_is_a_row() {
    assert_eq!((pairs().len(), converted().truth.files.len()), (200, 200));
}

#[test]
fn the_tilt_is_found() {
    let mut errors: Vec<f64> = pairs()
        .iter()
        .map(|(row, truth)| (row.float("tilt_angle_deg").expect("an ellipse fits") - truth.tilt_deg).abs())
        .collect();
    errors.sort_by(f64::total_cmp);
    let (median, worst) = (errors[errors.len() / 2], errors[errors.len() - 1]);
    eprintln!("tilt error: median {median:.4}, worst {worst:.4} degrees");
    assert!(median <= 0.05 && worst <= 0.3, "median {median}, worst {worst}");
    assert!(pairs().iter().all(|(row, _)| row.bool("tilt_applied") == Some(true)));
}

#[test]
fn bounding_boxes_are_those_of_the_outline_turned_upright() {
    for (row, truth) in pairs() {
        let found = ["bbox_top", "bbox_left", "bbox_bottom", "bbox_right"].map(|name| row.int(name).expect("cropped"));
        for (found, expected) in found.iter().zip(truth.upright_box_px) {
            let off = (f64::from(*found) - expected).abs();
            assert!(off <= 2.0, "{}: found {found}, expected {expected:.2}", truth.path);
        }
    }
}

#[test]
fn the_holder_is_gone_from_every_tensor() {
    for (row, truth) in pairs() {
        // What stands outside the head's own outline, grown by 2 px, is background.
        let map = row.floats("source_to_image").expect("required");
        let tensor = row.image();
        let (sin, cos) = truth.tilt_deg.to_radians().sin_cos();
        let inverse = invert(&map);
        for at in (0..512 * 512).filter(|&at| tensor[at] != 0) {
            let (column, row_px) = apply(&inverse, (at % 512) as f64, (at / 512) as f64);
            let (x, y) = (column - truth.center_column_px, row_px - truth.center_row_px);
            let (along, across) = (y * cos - x * sin, y * sin + x * cos);
            let radius =
                (along / (truth.major_px / 2.0 + 2.0)).powi(2) + (across / (truth.minor_px / 2.0 + 2.0)).powi(2);
            assert!(radius <= 1.0, "{}: a bright pixel outside the head at {}, {}", truth.path, at / 512, at % 512);
        }
    }
}

fn apply(map: &[f64], column: f64, row: f64) -> (f64, f64) {
    (map[0] * column + map[1] * row + map[2], map[3] * column + map[4] * row + map[5])
}

fn invert(map: &[f64]) -> Vec<f64> {
    let map: [f64; 6] = map.try_into().expect("six numbers");
    dcmshard::kernel::affine::Affine(map).inverse().0.to_vec()
}

#[test]
fn an_archive_as_archives_are_is_classed_to_the_last_file() {
    let temp = tempfile::tempdir().expect("a temporary folder");
    let options = PhantomOptions { heads: 2, slices_per_head: 3, extras: true, ..PhantomOptions::default() };
    let truth = write_archive(&temp.path().join("src"), &options).expect("can be written");
    convert(temp.path(), "src", "head", &[]);
    let ledgers = crate::shards::parquet_files(&temp.path().join("head/ledger"));
    let rows: Vec<_> = ledgers.iter().flat_map(|path| dcmshard::sink::ledger::read(path).expect("a ledger")).collect();
    assert_eq!(
        rows.len(),
        truth.files.len()
            + truth.extras.len()
            + usize::from(fs::exists(temp.path().join("src/truth.json")).expect("can be asked"))
    );
    for reason in ["localizer", "not_dicom", "duplicate_sop_instance"] {
        let found = rows.iter().filter(|row| row.reason.is_some_and(|r| r.as_str() == reason)).count();
        assert!(found >= 1, "no ledger row with reason {reason}");
    }
}
