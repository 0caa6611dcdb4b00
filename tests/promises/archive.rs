//! Every file of the test archive has the class that its description asks for.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use dcmshard::decode::Examined;
use dcmshard::reason::{Class, Reason};
use dcmshard::sink::ledger::{self, LedgerRow};
use dcmshard::slice::Bytes;

use crate::hostile::examined;
use crate::made::real_data;
use crate::runs::convert;
use crate::shards::parquet_files;

/// What becomes of every file of `hard` and `junk`, each converted alone: `written`, or its reason.
const EXPECTED: &[(&str, &str)] = &[
    ("hard/bad-sequence-un.dcm", "written"),
    ("hard/bad-vr.dcm", "not_ct_image"),
    ("hard/charset/arab.dcm", "not_ct_image"),
    ("hard/charset/frenmulti.dcm", "not_ct_image"),
    ("hard/charset/h31.dcm", "not_ct_image"),
    ("hard/charset/japmulti.dcm", "not_ct_image"),
    ("hard/charset/russ.dcm", "not_ct_image"),
    ("hard/charset/sqencoding.dcm", "not_ct_image"),
    ("hard/charset/x2.dcm", "not_ct_image"),
    ("hard/ct-128x128.dcm", "written"),
    ("hard/ct-dose-report-no-pixels.dcm", "not_ct_image"),
    ("hard/ct-sagittal-head-568x652.dcm", "not_ct_image"),
    ("hard/derived/deep/er/and/deeper/ct-copy-same-uid.dcm", "written"),
    ("hard/derived/head-ct-monochrome1.dcm", "written"),
    ("hard/derived/head-ct-no-meta-implicit.dcm", "written"),
    ("hard/derived/head-ct-no-preamble.dcm", "written"),
    ("hard/derived/head-ct-no-rescale.dcm", "written"),
    ("hard/derived/head-ct-truncated-header.dcm", "truncated"),
    ("hard/derived/head-ct-truncated-pixels.dcm", "truncated"),
    ("hard/derived/huge-rows-columns.dcm", "limit_exceeded"),
    ("hard/derived/name with spaces é.dcm", "written"),
    ("hard/derived/odd-high-bit.dcm", "image_geometry"),
    ("hard/derived/preamble-only.dcm", "truncated"),
    ("hard/derived/rescale-slope-text.dcm", "rescale"),
    ("hard/derived/rescale-slope-zero.dcm", "rescale"),
    ("hard/derived/short-pixel-data.dcm", "pixel_length"),
    ("hard/derived/unknown-transfer-syntax.dcm", "transfer_syntax"),
    ("hard/derived/wrong-transfer-syntax.dcm", "written"),
    ("hard/derived/zero-length.dcm", "empty_file"),
    ("hard/derived/zero-rows.dcm", "image_geometry"),
    ("hard/dicomdir", "dicomdir"),
    ("hard/dicomdir-big-endian", "dicomdir"),
    ("hard/double-float-pixel-data.dcm", "not_ct_image"),
    ("hard/empty-charset.dcm", "not_ct_image"),
    ("hard/enhanced-ct-2-frames.dcm", "written"),
    ("hard/film-scan-2487x2048-no-rescale.dcm", "not_ct_image"),
    ("hard/float-pixel-data.dcm", "not_ct_image"),
    ("hard/head-j2k-sign-mismatch-tilt.dcm", "written"),
    ("hard/jp2-header-inside.dcm", "not_ct_image"),
    ("hard/jpeg-extended-bad-scan-header.dcm", "not_ct_image"),
    ("hard/jpeg-lossless-57-signed-bug.dcm", "written"),
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
    ("hard/padding-written-unsigned-tilt.dcm", "written"),
    ("hard/palette-no-preamble.dcm", "not_ct_image"),
    ("hard/palette.dcm", "not_ct_image"),
    ("hard/pancreas-j2k-un-vr.dcm", "written"),
    ("hard/private-sequence-nested.dcm", "not_ct_image"),
    ("hard/private-sequence.dcm", "not_ct_image"),
    ("hard/rgb-freeze-as-ct.dcm", "not_ct_image"),
    ("hard/rgb.dcm", "not_ct_image"),
    ("hard/rle-fragments.dcm", "written"),
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
    ("hard/undefined-length-big-endian-mix.dcm", "written"),
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

/// Those whose header is good, and whose slices are turned down.
const PLANNED: &[&str] = &["hard/derived/odd-high-bit.dcm"];

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = walkdir::WalkDir::new(folder).sort_by_file_name().into_iter().filter_map(Result::ok);
    entries.filter(|entry| entry.file_type().is_file()).map(|entry| entry.into_path()).collect()
}

fn class_of(path: &Path) -> &'static str {
    match examined(&Bytes::File(path.to_owned())) {
        Examined::Ct(_) => "ct",
        Examined::Not(fault) => fault.reason.as_str(),
    }
}

/// The files of `hard` and `junk` by their names below the test archive.
fn hard_and_junk(data: &Path) -> BTreeMap<String, PathBuf> {
    let files = ["hard", "junk"].into_iter().flat_map(|folder| files_below(&data.join(folder)));
    let name = |path: &Path| path.strip_prefix(data).expect("below").to_string_lossy().into_owned();
    files.map(|path| (name(&path), path)).collect()
}

fn ledger_rows(out: &Path) -> Vec<LedgerRow> {
    let parts = parquet_files(&out.join("ledger"));
    parts.iter().flat_map(|part| ledger::read(part).expect("a ledger part")).collect()
}

#[test]
fn every_hard_and_junk_file_has_its_class() {
    let Some(data) = real_data("") else { return };
    let expected: BTreeMap<&str, &str> = EXPECTED.iter().copied().collect();
    let files = hard_and_junk(&data);
    let mut wrong = Vec::new();
    for (name, path) in &files {
        let class = match expected.get(name.as_str()).copied().unwrap_or("(not in the table)") {
            "written" => "ct",
            _ if PLANNED.contains(&name.as_str()) => "ct",
            reason => reason,
        };
        let found = class_of(path);
        if found != class {
            wrong.push(format!("{name}: found {found}, expected {class}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(files.len(), EXPECTED.len(), "files of the table");
}

/// Many share their SOP Instance UID, so that together most would be duplicates of a few.
#[test]
fn every_hard_and_junk_file_alone_ends_in_its_class() {
    let Some(data) = real_data("") else { return };
    let files = hard_and_junk(&data);
    let mut wrong = Vec::new();
    for (name, expected) in EXPECTED {
        let temp = tempfile::tempdir().expect("a temporary folder");
        let out = temp.path().join("out");
        let ended = convert(&[&files[*name]], &out, &["--threads", "1"]);
        let rows = ledger_rows(&out);
        let frames = if name.contains("enhanced-ct-2-frames") { 2 } else { 1 };
        let words: Vec<&str> = rows.iter().map(|row| row.reason.map_or(row.class.as_str(), Reason::as_str)).collect();
        if words != vec![*expected; frames] {
            wrong.push(format!("{name}: found {words:?}, expected {expected}"));
        }
        if rows.iter().any(|row| row.reason.map_or(Class::Written, Reason::class) != row.class) {
            wrong.push(format!("{name}: a class that is not its reason's"));
        }
        if let Err(problem) = ended.check_balance() {
            wrong.push(format!("{name}: {problem}"));
        }
        if ended.code != Some(0) || ended.peak_bytes() > 128 << 20 {
            wrong.push(format!("{name}: exit code {:?}, peak {} MiB", ended.code, ended.peak_bytes() >> 20));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn all_hard_and_junk_files_together_are_counted_once_each() {
    let Some(data) = real_data("") else { return };
    let temp = tempfile::tempdir().expect("a temporary folder");
    let key_file = temp.path().join("key");
    std::fs::write(&key_file, [7; 32]).expect("can be written");
    let (mut slices, mut uids, mut rejected) = (0, BTreeSet::new(), BTreeMap::<Reason, u64>::new());
    for path in hard_and_junk(&data).into_values() {
        match examined(&Bytes::File(path)) {
            Examined::Not(fault) => *rejected.entry(fault.reason).or_default() += 1,
            Examined::Ct(ct) => {
                slices += u64::from(ct.frames);
                uids.insert((ct.sop_instance_uid, ct.frames));
            }
        }
    }
    let key_file = key_file.display().to_string();
    let sources = [&data.join("hard"), &data.join("junk")];
    let ended = convert(&sources.map(PathBuf::as_path), &temp.path().join("out"), &["--key", &key_file]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    ended.check_balance().expect("balanced");
    assert_eq!(ended.count("found"), slices + rejected.values().sum::<u64>());
    let kept: u64 = uids.iter().map(|(_, frames)| u64::from(*frames)).sum();
    assert_eq!(ended.reason("duplicate_sop_instance"), slices - kept);
    for (reason, count) in rejected {
        assert_eq!(ended.reason(reason.as_str()), count, "{reason}");
    }
    assert!(ended.peak_bytes() <= 128 << 20, "peak {} MiB", ended.peak_bytes() >> 20);
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
