//! What the fuzzers call of the decoder, and the files they start from.

use dicom_core::Tag;
use dicom_dictionary_std::tags;

use super::format::Format;
use super::syntax::{Codec, EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE};
use super::test_dicom::{Ct, DataSet, deflate, file};
use super::{Decoder, Examined, codestream, examine, wanted};
use crate::column::Value;
use crate::identity::{Key, SourceId};
use crate::pipeline::Pipeline;
use crate::reason::Fault;
use crate::recipe::Recipe;
use crate::slice::{Bytes, InputRef, Ordinal, Slice, SliceRef};
use crate::stage::Scratch;

const DEFLATED_UID: &str = "1.2.840.10008.1.2.1.99";
const ITEM: Tag = Tag(0xFFFE, 0xE000);
/// Value Representations that an attribute is written in, be it the right one or not.
const VRS: [&str; 8] = ["DS", "IS", "LO", "UI", "CS", "US", "FD", "UN"];
/// Codestreams that are wrapped into files, by transfer syntax.
const WRAPPED: [(&str, &str); 7] = [
    ("rle", "1.2.840.10008.1.2.5"),
    ("jpeg_dct", "1.2.840.10008.1.2.4.50"),
    ("jpeg_dct", "1.2.840.10008.1.2.4.51"),
    ("jpeg_lossless", "1.2.840.10008.1.2.4.70"),
    ("jpeg_ls", "1.2.840.10008.1.2.4.80"),
    ("jpeg2000", "1.2.840.10008.1.2.4.90"),
    ("jpeg_xl", "1.2.840.10008.1.2.4.110"),
];

/// The header pass on a whole file.
pub(crate) fn scan(bytes: &[u8]) {
    if let Examined::Ct(ct) = examine(&Bytes::Memory(bytes.into()), &Recipe::head()) {
        assert!(ct.frames > 0 && ct.rows > 0 && ct.columns > 0);
        // Pixels and the file itself at the least.
        assert!(ct.bytes_per_slice > 0);
    }
}

/// Header pass, then the first frames, of images small enough for many runs a second.
pub(crate) fn whole_file(bytes: &[u8]) {
    let settings = ["limits.side_px=128", "limits.inflated_bytes=1048576"].map(str::to_owned);
    let recipe = Recipe::from_toml("", &settings).unwrap_or_else(|errors| panic!("{errors}"));
    let Examined::Ct(ct) = examine(&Bytes::Memory(bytes.into()), &recipe) else { return };
    let decoder = Decoder::new(&recipe, &Key::new([0; 32]));
    let input = InputRef::memory(SourceId([0; 24]), bytes.into());
    for frame in 0..ct.frames.min(3) {
        let at = SliceRef { ordinal: Ordinal(0), input: input.clone(), frame };
        if let Ok(slice) = decoder.decode(&at, &mut Scratch::default()) {
            check(&slice, ct.rows, ct.columns);
        }
    }
}

/// A deflated data set behind the File Meta Information that says so.
pub(crate) fn deflated(bytes: &[u8]) {
    whole_file(&file(DEFLATED_UID, bytes));
}

/// A codestream, behind four bytes that its image's form is made of: rows - 1, columns - 1, Bits
/// Stored - 1, and of the fourth two bits each for Bits Allocated (8, 16, 32) and for the sign and
/// MONOCHROME1, the others for where High Bit is.
pub(crate) fn frame(codec: Codec, bytes: &[u8]) -> Result<(), Fault> {
    let Some(([rows, columns, stored, flags], frame)) = bytes.split_first_chunk() else { return Ok(()) };
    let bits_allocated = [8, 16, 32, 16][usize::from(flags & 3)];
    let bits_stored = (1 + u16::from(*stored)).min(bits_allocated);
    let format = Format {
        rows: 1 + u32::from(*rows & 63),
        columns: 1 + u32::from(*columns & 63),
        frames: 1,
        bits_allocated,
        bits_stored,
        high_bit: (bits_stored - 1 + u16::from(flags >> 4)).min(bits_allocated - 1),
        is_signed: flags & 4 != 0,
        is_turned: flags & 8 != 0,
    };
    let pixels = codestream::decode(frame, codec, &format)?.stored(&format)?;
    assert_eq!(pixels.dim(), (1, format.rows as usize, format.columns as usize));
    Ok(())
}

/// Attributes of a sound slice, each a byte for the attribute, one for its VR, one for its length, then
/// the value; a VR byte above 127 puts it into the frame's functional groups.
pub(crate) fn attributes(bytes: &[u8]) {
    let Some((&first, mut rest)) = bytes.split_first() else { return };
    let encoding = [IMPLICIT_LE, EXPLICIT_LE, EXPLICIT_BE][usize::from(first % 3)];
    let (mut top, mut group) = (DataSet::new(encoding), DataSet::new(encoding));
    top.text(tags::SOP_CLASS_UID, "UI", "1.2.840.10008.5.1.4.1.1.2");
    while let Some(([tag, vr, length], behind)) = rest.split_first_chunk() {
        let (value, behind) = behind.split_at(usize::from(*length).min(behind.len()));
        let tag = wanted::WANTED[usize::from(*tag) % wanted::WANTED.len()];
        let place = if *vr > 127 { &mut group } else { &mut top };
        place.put(tag, VRS[usize::from(*vr) % VRS.len()], value);
        rest = behind;
    }
    // Of an attribute that comes twice the first one counts.
    let sound = Ct { rows: 1, columns: 2, ..Ct::default() }.data_set(encoding);
    top.bytes.extend(&sound.bytes);
    let mut macros = DataSet::new(encoding);
    macros.sequence(tags::UNASSIGNED_PER_FRAME_CONVERTED_ATTRIBUTES_SEQUENCE, &[group]);
    top.sequence(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE, &[macros]);
    top.put(tags::PIXEL_DATA, "OW", &[1, 2, 3, 4]);
    let bytes = file(super::syntax::native(encoding).uid, &top.bytes);

    let Examined::Ct(ct) = examine(&Bytes::Memory(bytes[..].into()), &Recipe::head()) else { return };
    let pipeline = Pipeline::new(&Recipe::head(), &Key::new([0; 32]));
    let input = InputRef::memory(SourceId([0; 24]), bytes.into());
    let scratch = &mut Scratch::default();
    let decoded = pipeline.decode(&SliceRef { ordinal: Ordinal(0), input, frame: 0 }, scratch);
    if let Ok(slice) = &decoded {
        check(slice, ct.rows, ct.columns);
    }
    let internal = |outcome: &crate::slice::Outcome| {
        outcome.as_ref().is_err_and(|reject| reject.fault.reason == crate::reason::Reason::Internal)
    };
    assert!(!internal(&decoded));
    assert!(!internal(&pipeline.step(1, decoded, scratch)));
}

/// What holds of every decoded slice.
fn check(slice: &Slice, rows: u32, columns: u32) {
    assert_eq!(slice.pixels.dim(), (1, rows as usize, columns as usize));
    for (name, value) in slice.facts.iter() {
        match value {
            Value::Float64(number) => assert!(number.is_finite(), "{name}"),
            Value::ListFloat64(numbers) => assert!(numbers.iter().all(|number| number.is_finite()), "{name}"),
            Value::Text(text) => assert!(text.len() <= 256, "{name}"),
            _ => {}
        }
    }
}

/// Files to start from, by target: small sound ones in every encoding, and the `codestreams` (target and
/// bytes) in files of their own.
pub(crate) fn seeds(codestreams: &[(String, Vec<u8>)]) -> Vec<(&'static str, Vec<u8>)> {
    let cells: Vec<u16> = (0..64).map(|n| n * 517).collect();
    let ct = Ct { rows: 8, columns: 8, ..Ct::default() };
    let mut files: Vec<Vec<u8>> =
        [IMPLICIT_LE, EXPLICIT_LE, EXPLICIT_BE].map(|encoding| ct.file(encoding, &cells)).to_vec();
    files.push(files[1][132..].to_vec());
    let mut set = ct.data_set(EXPLICIT_LE);
    set.put(tags::PIXEL_DATA, "OW", &[7; 128]);
    let packed = deflate(&set.bytes);
    files.push(file(DEFLATED_UID, &packed));
    files.push(multi_frame());
    for (target, uid) in WRAPPED {
        let of_target = codestreams.iter().filter(|(of, _)| of == target);
        files.extend(of_target.filter_map(|(_, bytes)| wrapped(uid, bytes)));
    }
    let mut seeds: Vec<(&str, Vec<u8>)> = vec![("deflated", packed)];
    for (tag, _) in wanted::WANTED.iter().enumerate() {
        let value = [b"1.5", &b"1\\2\\3"[..], b"ORIGINAL\\AXIAL", b"\xC4\xD6\x1B$B", b"1e-5", b"\0\0"][tag % 6];
        let head = [1, tag as u8, (tag % 8) as u8 + 128 * (tag % 2) as u8, value.len() as u8];
        seeds.push(("attributes", [&head, value].concat()));
    }
    files.iter().for_each(|bytes| seeds.extend([("scan", bytes.clone()), ("file", bytes.clone())]));
    seeds
}

/// Two frames with functional groups of defined and of undefined length.
fn multi_frame() -> Vec<u8> {
    let mut set = Ct { rows: 4, columns: 4, frames: Some("2"), ..Ct::default() }.data_set(EXPLICIT_LE);
    let mut rescale = DataSet::new(EXPLICIT_LE);
    rescale.text(tags::RESCALE_INTERCEPT, "DS", "-1000").text(tags::RESCALE_SLOPE, "DS", "2");
    let mut group = DataSet::new(EXPLICIT_LE);
    group.sequence(tags::PIXEL_VALUE_TRANSFORMATION_SEQUENCE, &[rescale]);
    set.sequence(tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE, &[group.clone()]);
    set.head(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE, "SQ", u32::MAX);
    for _ in 0..2 {
        set.head(ITEM, "", u32::MAX);
        set.bytes.extend(&group.bytes);
        set.head(Tag(0xFFFE, 0xE00D), "", 0);
    }
    set.head(Tag(0xFFFE, 0xE0DD), "", 0);
    set.put(tags::PIXEL_DATA, "OW", &[3; 64]);
    file("1.2.840.10008.1.2.1", &set.bytes)
}

/// A codestream with its four bytes of form, as a file.
fn wrapped(uid: &str, bytes: &[u8]) -> Option<Vec<u8>> {
    let ([rows, columns, stored, flags], codestream) = bytes.split_first_chunk()?;
    let (stored, allocated) = (u16::from(*stored) + 1, if flags & 3 == 0 { 8 } else { 16 });
    let ct = Ct {
        rows: u16::from(*rows) + 1,
        columns: u16::from(*columns) + 1,
        bits: (allocated, stored, stored - 1),
        is_signed: false,
        ..Ct::default()
    };
    let mut set = ct.data_set(EXPLICIT_LE);
    set.fragments(&[], &[codestream]);
    Some(file(uid, &set.bytes))
}
