//! Every file of the test archive has the class that its description asks for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use dcmshard::decode::{Examined, examine};
use dcmshard::recipe::Recipe;
use dcmshard::slice::Bytes;

use crate::made::real_data;

/// Expected reason of every file of `hard` and `junk`; `ct` is a CT slice to be planned.
const EXPECTED: &[(&str, &str)] = &[
    ("hard/bad-sequence-un.dcm", "ct"),
    ("hard/bad-vr.dcm", "not_ct_image"),
    ("hard/charset/arab.dcm", "not_ct_image"),
    ("hard/charset/frenmulti.dcm", "not_ct_image"),
    ("hard/charset/h31.dcm", "not_ct_image"),
    ("hard/charset/japmulti.dcm", "not_ct_image"),
    ("hard/charset/russ.dcm", "not_ct_image"),
    ("hard/charset/sqencoding.dcm", "not_ct_image"),
    ("hard/charset/x2.dcm", "not_ct_image"),
    ("hard/ct-128x128.dcm", "ct"),
    ("hard/ct-dose-report-no-pixels.dcm", "not_ct_image"),
    ("hard/ct-sagittal-head-568x652.dcm", "not_ct_image"),
    ("hard/derived/deep/er/and/deeper/ct-copy-same-uid.dcm", "ct"),
    ("hard/derived/head-ct-monochrome1.dcm", "ct"),
    ("hard/derived/head-ct-no-meta-implicit.dcm", "ct"),
    ("hard/derived/head-ct-no-preamble.dcm", "ct"),
    ("hard/derived/head-ct-no-rescale.dcm", "ct"),
    ("hard/derived/head-ct-truncated-header.dcm", "truncated"),
    ("hard/derived/head-ct-truncated-pixels.dcm", "truncated"),
    ("hard/derived/huge-rows-columns.dcm", "limit_exceeded"),
    ("hard/derived/name with spaces é.dcm", "ct"),
    ("hard/derived/odd-high-bit.dcm", "ct"),
    ("hard/derived/preamble-only.dcm", "truncated"),
    ("hard/derived/rescale-slope-text.dcm", "ct"),
    ("hard/derived/rescale-slope-zero.dcm", "ct"),
    ("hard/derived/short-pixel-data.dcm", "pixel_length"),
    ("hard/derived/unknown-transfer-syntax.dcm", "transfer_syntax"),
    ("hard/derived/wrong-transfer-syntax.dcm", "ct"),
    ("hard/derived/zero-length.dcm", "empty_file"),
    ("hard/derived/zero-rows.dcm", "image_geometry"),
    ("hard/dicomdir", "dicomdir"),
    ("hard/dicomdir-big-endian", "dicomdir"),
    ("hard/double-float-pixel-data.dcm", "not_ct_image"),
    ("hard/empty-charset.dcm", "not_ct_image"),
    ("hard/enhanced-ct-2-frames.dcm", "ct"),
    ("hard/film-scan-2487x2048-no-rescale.dcm", "not_ct_image"),
    ("hard/float-pixel-data.dcm", "not_ct_image"),
    ("hard/head-j2k-sign-mismatch-tilt.dcm", "ct"),
    ("hard/jp2-header-inside.dcm", "not_ct_image"),
    ("hard/jpeg-extended-bad-scan-header.dcm", "not_ct_image"),
    ("hard/jpeg-lossless-57-signed-bug.dcm", "ct"),
    ("hard/jpeg2000-delimiter-inside.dcm", "not_ct_image"),
    ("hard/meta-without-transfer-syntax.dcm", "not_ct_image"),
    ("hard/monochrome1-no-preamble.dcm", "not_ct_image"),
    ("hard/monochrome1-small.dcm", "not_ct_image"),
    ("hard/no-meta-explicit-be.dcm", "not_ct_image"),
    ("hard/no-meta-explicit-le.dcm", "not_ct_image"),
    ("hard/no-meta-group-length.dcm", "not_ct_image"),
    ("hard/one-bit-seg.dcm", "not_ct_image"),
    ("hard/overlay.dcm", "not_ct_image"),
    ("hard/packed-12-bit-no-meta.dcm", "not_ct_image"),
    ("hard/padding-written-unsigned-tilt.dcm", "ct"),
    ("hard/palette-no-preamble.dcm", "not_ct_image"),
    ("hard/palette.dcm", "not_ct_image"),
    ("hard/pancreas-j2k-un-vr.dcm", "ct"),
    ("hard/private-sequence-nested.dcm", "not_ct_image"),
    ("hard/private-sequence.dcm", "not_ct_image"),
    ("hard/rgb-freeze-as-ct.dcm", "not_ct_image"),
    ("hard/rgb.dcm", "not_ct_image"),
    ("hard/rle-fragments.dcm", "ct"),
    ("hard/rtdose-32-bit.dcm", "not_ct_image"),
    ("hard/rtplan.dcm", "not_ct_image"),
    ("hard/rtstruct-no-meta.dcm", "not_ct_image"),
    ("hard/secondary-capture-rgb-3x3.dcm", "not_ct_image"),
    ("hard/signed-16-full-range.dcm", "not_ct_image"),
    ("hard/sr-report.dcm", "not_ct_image"),
    ("hard/sr-test.dcm", "not_ct_image"),
    ("hard/trailing-padding.dcm", "not_ct_image"),
    ("hard/truncated-pixel-data.dcm", "not_ct_image"),
    ("hard/un-sequence.dcm", "no_pixel_data"),
    ("hard/undefined-length-big-endian-mix.dcm", "ct"),
    ("junk/.DS_Store", "not_dicom"),
    ("junk/._0001.dcm", "not_dicom"),
    ("junk/Thumbs.db", "not_dicom"),
    ("junk/dicm-then-random.dcm", "malformed_header"),
    ("junk/notes.txt", "not_dicom"),
    ("junk/photo.jpg", "not_dicom"),
    ("junk/random-bytes.dcm", "not_dicom"),
    ("junk/slice.dcm.gz", "not_dicom"),
    ("junk/text-named.dcm", "not_dicom"),
    ("junk/thumbnail.png", "not_dicom"),
];

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = walkdir::WalkDir::new(folder).sort_by_file_name().into_iter().filter_map(Result::ok);
    entries.filter(|entry| entry.file_type().is_file()).map(|entry| entry.into_path()).collect()
}

fn class_of(path: &Path) -> &'static str {
    match examine(&Bytes::File(path.to_owned()), &Recipe::head()) {
        Examined::Ct(_) => "ct",
        Examined::Not(fault) => fault.reason.as_str(),
    }
}

#[test]
fn every_hard_and_junk_file_has_its_class() {
    let Some(data) = real_data("") else { return };
    let expected: BTreeMap<&str, &str> = EXPECTED.iter().copied().collect();
    let mut wrong = Vec::new();
    let mut seen = 0;
    for path in ["hard", "junk"].iter().flat_map(|folder| files_below(&data.join(folder))) {
        let name = path.strip_prefix(&data).expect("below").to_string_lossy().into_owned();
        seen += 1;
        let (found, expected) = (class_of(&path), expected.get(name.as_str()).copied().unwrap_or("(not in the table)"));
        if found != expected {
            wrong.push(format!("{name}: found {found}, expected {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(seen, EXPECTED.len(), "files of the table");
}

#[test]
fn the_series_hold_what_their_description_says() {
    let Some(data) = real_data("") else { return };
    let mut counts: BTreeMap<(String, &str), usize> = BTreeMap::new();
    for path in files_below(&data.join("series")) {
        let name = path.strip_prefix(data.join("series")).expect("below");
        let folder = name.parent().unwrap_or(Path::new("")).to_string_lossy().into_owned();
        *counts.entry((folder, class_of(&path))).or_default() += 1;
    }
    let count = |folder: &str, class| counts.get(&(folder.to_owned(), class)).copied().unwrap_or(0);
    assert_eq!(count("head-ct-tilt", "ct"), 28);
    assert_eq!(count("chest-ct", "ct"), 40);
    assert_eq!(count("ct-tilt-noise", "ct"), 4);
    assert_eq!(count("head-phantom-study/S21570/S2010", "ct"), 28);
    assert_eq!(count("head-phantom-study/S21570/S1000", "localizer"), 1);
    assert_eq!(count("head-phantom-study/S21570/S4010", "ct"), 0);
    assert_eq!(count("head-phantom-study", "dicomdir"), 1);
}
