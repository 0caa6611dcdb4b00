//! One image in every transfer syntax: the lossless ones have the same stored values, the lossy ones
//! differ by no more than the description of the archive says.

use std::path::Path;

use dcmshard::attributes::Number;
use dcmshard::column::Value;
use dcmshard::decode::Decoder;
use dcmshard::identity::{Key, SourceId};
use dcmshard::reason::Fault;
use dcmshard::recipe::Recipe;
use dcmshard::slice::{InputRef, Ordinal, Pixels, Slice, SliceRef};
use dcmshard::stage::Scratch;

use crate::made::real_data;

fn decode_frame(path: &Path, frame: u32) -> Result<Slice, Fault> {
    let decoder = Decoder::new(&Recipe::head(), &Key::new([1; 32]));
    let input = InputRef::file(SourceId([0; 24]), path);
    decoder.decode(&SliceRef { ordinal: Ordinal(0), input, frame }, &mut Scratch::default())
}

fn decode(path: &Path) -> Slice {
    decode_frame(path, 0).unwrap_or_else(|fault| panic!("{}: {fault}", path.display()))
}

fn stored(slice: &Slice) -> Vec<i32> {
    match &slice.pixels {
        Pixels::U8(a) => a.iter().map(|&v| v.into()).collect(),
        Pixels::U16(a) => a.iter().map(|&v| v.into()).collect(),
        Pixels::I16(a) => a.iter().map(|&v| v.into()).collect(),
        Pixels::I32(a) => a.iter().copied().collect(),
    }
}

fn hu(slice: &Slice) -> Vec<f64> {
    let (Number::Value(slope), Number::Value(intercept)) =
        (slice.attributes.rescale_slope, slice.attributes.rescale_intercept)
    else {
        panic!("no rescale");
    };
    stored(slice).iter().map(|&value| f64::from(value) * slope + intercept).collect()
}

fn largest_difference(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

#[test]
fn a_chest_slice_is_the_same_in_every_syntax() {
    let Some(folder) = real_data("").map(|data| data.join("syntax/chest-slice")) else { return };
    let reference = decode(&folder.join("explicit-le.dcm"));
    for name in [
        "implicit-le",
        "explicit-be",
        "deflated",
        "rle",
        "jpeg-lossless-57",
        "jpeg-lossless-sv1-70",
        "jpeg-ls-lossless-80",
        "jpeg2000-lossless-90",
    ] {
        let slice = decode(&folder.join(format!("{name}.dcm")));
        assert_eq!(slice.pixels, reference.pixels, "{name}");
        assert_eq!(slice.facts.get("lossy"), Some(&Value::Bool(false)), "{name}");
    }
    for (name, most) in [
        ("jpeg-baseline-50", 64.5),
        ("jpeg-extended-51", 36.5),
        ("jpeg-spectral-53", 36.5),
        ("jpeg-progressive-55", 36.5),
        ("jpeg-ls-near-lossless-81", 1.0),
        ("jpeg2000-lossy-91", 5.0),
    ] {
        let slice = decode(&folder.join(format!("{name}.dcm")));
        let difference = largest_difference(&hu(&slice), &hu(&reference));
        assert!(difference <= most, "{name}: {difference} HU");
        assert_eq!(slice.facts.get("lossy"), Some(&Value::Bool(true)), "{name}");
    }
}

#[test]
fn a_chest_slice_has_the_same_coefficients_in_three_jpeg_processes() {
    let Some(folder) = real_data("").map(|data| data.join("syntax/chest-slice")) else { return };
    let sequential = decode(&folder.join("jpeg-extended-51.dcm"));
    for name in ["jpeg-spectral-53", "jpeg-progressive-55"] {
        assert_eq!(decode(&folder.join(format!("{name}.dcm"))).pixels, sequential.pixels, "{name}");
    }
}

#[test]
fn twelve_bit_jpeg_with_and_without_a_proper_scan_header() {
    let Some(data) = real_data("") else { return };
    let proper = stored(&decode(&data.join("syntax/jpeg-extended-12bit-nm-51.dcm")));
    // What libjpeg finds in it, too.
    assert_eq!((proper.iter().min(), proper.iter().max()), (Some(&0), Some(&264)));
    assert_eq!(stored(&decode(&data.join("hard/jpeg-extended-bad-scan-header.dcm"))), proper);
    let grey = stored(&decode(&data.join("syntax/jpeg-baseline-grey-8bit-50.dcm")));
    assert_eq!((grey.iter().min(), grey.iter().max()), (Some(&0), Some(&255)));
}

#[test]
fn the_wg04_sample_is_the_same_in_every_syntax() {
    let Some(folder) = real_data("").map(|data| data.join("syntax/wg04-ct1")) else { return };
    let reference = stored(&decode(&folder.join("explicit-le.dcm")));
    for name in ["rle", "jpeg-lossless-sv1-70", "jpeg-ls-lossless-80", "jpeg2000-lossless-90"] {
        assert_eq!(stored(&decode(&folder.join(format!("{name}.dcm")))), reference, "{name}");
    }
    for name in ["rle-fragments", "undefined-length-big-endian-mix"] {
        assert_eq!(stored(&decode(&folder.join(format!("../../hard/{name}.dcm")))), reference, "{name}");
    }
    for (name, most) in [("jpeg-ls-near-lossless-81", 4), ("jpeg2000-lossy-91", 352)] {
        let slice = stored(&decode(&folder.join(format!("{name}.dcm"))));
        let difference = slice.iter().zip(&reference).map(|(a, b)| (a - b).abs()).max();
        assert!(difference <= Some(most), "{name}: {difference:?}");
    }
}

#[test]
fn newer_codecs_give_their_source_slices_back() {
    let Some(data) = real_data("") else { return };
    let head = decode(&data.join("series/head-ct-tilt/0018.dcm"));
    let phantom = decode(&data.join("series/head-phantom-study/S21570/S2010/I120"));
    assert_eq!(decode(&data.join("syntax/ct-htj2k-lossless-201.dcm")).pixels, head.pixels);
    assert_eq!(decode(&data.join("syntax/ct-jpegxl-lossless-110.dcm")).pixels, phantom.pixels);
    for (name, most) in [("ct-htj2k-lossy-203", 200.0), ("ct-jpegxl-lossy-112", 200.0)] {
        let slice = decode(&data.join(format!("syntax/{name}.dcm")));
        let difference = largest_difference(&hu(&slice), &hu(&phantom));
        assert!(difference <= most, "{name}: {difference} HU");
    }
}

#[test]
fn repaired_copies_give_their_source_slice() {
    let Some(data) = real_data("") else { return };
    let head = decode(&data.join("series/head-ct-tilt/0018.dcm"));
    for name in ["monochrome1", "no-meta-implicit", "no-preamble", "no-rescale"] {
        let slice = decode(&data.join(format!("hard/derived/head-ct-{name}.dcm")));
        assert_eq!(slice.pixels, head.pixels, "{name}");
    }
    let small = decode(&data.join("hard/ct-128x128.dcm"));
    assert_eq!(decode(&data.join("hard/derived/wrong-transfer-syntax.dcm")).pixels, small.pixels);
}

#[test]
fn traps_of_real_scanners() {
    let Some(data) = real_data("") else { return };
    let mismatch = stored(&decode(&data.join("hard/head-j2k-sign-mismatch-tilt.dcm")));
    assert!(mismatch.iter().any(|&value| value < 0) && mismatch.iter().all(|value| (-4096..4096).contains(value)));
    let padding = decode(&data.join("hard/padding-written-unsigned-tilt.dcm"));
    assert_eq!(padding.attributes.pixel_padding, Some((-2000, -2000)));
    assert!(stored(&padding).contains(&-2000));
    for name in ["bad-sequence-un", "pancreas-j2k-un-vr", "jpeg-lossless-57-signed-bug"] {
        decode(&data.join(format!("hard/{name}.dcm")));
    }
}

#[test]
fn frames_of_multi_frame_files() {
    let Some(data) = real_data("") else { return };
    let path = data.join("hard/enhanced-ct-2-frames.dcm");
    let (first, second) = (decode_frame(&path, 0).expect("decodes"), decode_frame(&path, 1).expect("decodes"));
    assert_ne!(first.pixels, second.pixels);
    assert!(matches!(first.attributes.rescale_slope, Number::Value(_)));
    assert!(second.facts.get("image_position_patient").is_some());
    assert_eq!(first.facts.get("content_id"), second.facts.get("content_id"));
    for frame in 0..10 {
        let rle = decode_frame(&data.join("syntax/rle-16bit-multiframe.dcm"), frame).expect("decodes");
        let big_endian = decode_frame(&data.join("syntax/explicit-be-multiframe.dcm"), frame).expect("decodes");
        assert_eq!(rle.pixels, big_endian.pixels, "frame {frame}");
    }
}
