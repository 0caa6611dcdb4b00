//! What `examine` and `Decoder` promise, on files made here.

use std::path::Path;
use std::sync::Arc;

use dicom_core::Tag;
use dicom_dictionary_std::tags;

use super::syntax::{EXPLICIT_BE, EXPLICIT_LE, Encoding, IMPLICIT_LE};
use super::test_dicom::{Ct, DataSet, file};
use super::{CtInput, Decoder, Examined, examine};
use crate::attributes::Number;
use crate::column::Value;
use crate::identity::{Key, SourceId};
use crate::reason::{Fault, Reason};
use crate::recipe::{Privacy, Recipe};
use crate::slice::{Bytes, InputRef, Ordinal, Pixels, Slice, SliceRef};
use crate::stage::Scratch;

const ITEM: Tag = Tag(0xFFFE, 0xE000);
const CELLS: [u16; 6] = [0, 1, 2, 0x7FFF, 0x8000, 0xFFFF];

pub(super) fn memory(bytes: Vec<u8>) -> Arc<InputRef> {
    InputRef::memory(SourceId([0; 24]), bytes.into())
}

pub(super) fn decode_frame(input: &Arc<InputRef>, frame: u32) -> Result<Slice, Fault> {
    let decoder = Decoder::new(&Recipe::head(), &Key::new([1; 32]));
    decoder.decode(&SliceRef { ordinal: Ordinal(0), input: input.clone(), frame }, &mut Scratch::default())
}

pub(super) fn decode(bytes: Vec<u8>) -> Result<Slice, Fault> {
    decode_frame(&memory(bytes), 0)
}

pub(super) fn values(slice: &Slice) -> Vec<i64> {
    match &slice.pixels {
        Pixels::U8(a) => a.iter().map(|&v| v.into()).collect(),
        Pixels::U16(a) => a.iter().map(|&v| v.into()).collect(),
        Pixels::I16(a) => a.iter().map(|&v| v.into()).collect(),
        Pixels::I32(a) => a.iter().map(|&v| v.into()).collect(),
    }
}

fn look(bytes: &[u8]) -> Examined {
    examine(&Bytes::Memory(bytes.into()), &Recipe::head())
}

pub(super) fn reason(bytes: &[u8]) -> Option<Reason> {
    match look(bytes) {
        Examined::Ct(_) => None,
        Examined::Not(fault) => Some(fault.reason),
    }
}

pub(super) fn ct(bytes: &[u8]) -> CtInput {
    match look(bytes) {
        Examined::Ct(ct) => ct,
        Examined::Not(fault) => panic!("{fault}"),
    }
}

#[test]
fn every_uncompressed_syntax_gives_the_same_values() {
    for encoding in [IMPLICIT_LE, EXPLICIT_LE, EXPLICIT_BE] {
        let bytes = Ct::default().file(encoding, &CELLS);
        let slice = decode(bytes.clone()).expect("decodes");
        assert_eq!(values(&slice), [0, 1, 2, 32767, -32768, -1], "{encoding:?}");
        assert_eq!(slice.pixels.dim(), (1, 2, 3));
        assert_eq!(slice.attributes.rescale_intercept, Number::Value(-1024.0));
        let found = ct(&bytes);
        assert_eq!((found.frames, found.rows, found.columns), (1, 2, 3));
        assert_eq!(found.position, Some(7.5));
        assert_eq!(found.sop_instance_uid.as_deref(), Some("1.2.3.4"));
    }
}

#[test]
fn a_deflated_data_set_gives_the_same_values() {
    use std::io::Write;
    let mut set = Ct::default().data_set(EXPLICIT_LE);
    let cells: Vec<u8> = CELLS.iter().flat_map(|cell| cell.to_le_bytes()).collect();
    set.put(tags::PIXEL_DATA, "OW", &cells);
    let mut deflated = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    deflated.write_all(&set.bytes).expect("to memory");
    let bytes = file("1.2.840.10008.1.2.1.99", &deflated.finish().expect("to memory"));
    assert_eq!(ct(&bytes).rows, 2);
    assert_eq!(values(&decode(bytes).expect("decodes")), [0, 1, 2, 32767, -32768, -1]);
}

#[test]
fn preamble_and_meta_may_be_missing() {
    for encoding in [IMPLICIT_LE, EXPLICIT_LE, EXPLICIT_BE] {
        let whole = Ct::default().file(encoding, &CELLS);
        let expected = decode(whole.clone()).expect("decodes").pixels;
        let no_preamble = whole[132..].to_vec();
        let bare_start =
            whole.len() - Ct::default().data_set(encoding).bytes.len() - 12 - if encoding.explicit { 12 } else { 8 };
        let bare = whole[bare_start..].to_vec();
        for bytes in [no_preamble, bare] {
            assert_eq!(ct(&bytes).columns, 3, "{encoding:?}");
            assert_eq!(decode(bytes).expect("decodes").pixels, expected);
        }
    }
}

#[test]
fn a_syntax_that_contradicts_the_first_element_is_overruled() {
    let mut set = Ct::default().data_set(EXPLICIT_LE);
    set.put(tags::PIXEL_DATA, "OW", &[0; 12]);
    let bytes = file("1.2.840.10008.1.2", &set.bytes);
    assert_eq!(values(&decode(bytes).expect("decodes")), [0; 6]);
}

#[test]
fn padding_is_read_with_the_sign_of_the_pixels() {
    let with_padding = |ct: Ct| {
        let mut set = ct.data_set(EXPLICIT_LE);
        set.us(tags::PIXEL_PADDING_VALUE, 63536).us(tags::PIXEL_PADDING_RANGE_LIMIT, 63530);
        set.put(tags::PIXEL_DATA, "OW", &[0; 12]);
        decode(file("1.2.840.10008.1.2.1", &set.bytes)).expect("decodes").attributes.pixel_padding
    };
    assert_eq!(with_padding(Ct::default()), Some((-2006, -2000)));
    assert_eq!(with_padding(Ct { is_signed: false, ..Ct::default() }), Some((63530, 63536)));
    let turned = Ct { photometric: "MONOCHROME1", ..Ct::default() };
    assert_eq!(with_padding(turned), Some((1999, 2005)));
}

#[test]
fn monochrome1_is_turned() {
    let turned = Ct { photometric: "MONOCHROME1", ..Ct::default() };
    let slice = decode(turned.file(EXPLICIT_LE, &CELLS)).expect("decodes");
    assert_eq!(values(&slice), [-1, -2, -3, -32768, 32767, 0]);
}

/// Two frames of 1x2 pixels with their own slope, position and number.
fn enhanced() -> Vec<u8> {
    let image = Ct { rows: 1, columns: 2, frames: Some("2"), ..Ct::default() };
    let mut set = image.data_set(EXPLICIT_LE);
    let group = |tag, values: &[(Tag, &str)]| {
        let mut inner = DataSet::new(EXPLICIT_LE);
        values.iter().for_each(|(tag, text)| {
            inner.text(*tag, "DS", text);
        });
        let mut item = DataSet::new(EXPLICIT_LE);
        item.sequence(tag, &[inner]);
        item
    };
    let shared = group(tags::PIXEL_MEASURES_SEQUENCE, &[(tags::PIXEL_SPACING, "0.5\\0.25")]);
    let frame = |slope, x| {
        let mut item = group(
            tags::PIXEL_VALUE_TRANSFORMATION_SEQUENCE,
            &[(tags::RESCALE_INTERCEPT, "0"), (tags::RESCALE_SLOPE, slope)],
        );
        item.bytes.extend(group(tags::PLANE_POSITION_SEQUENCE, &[(tags::IMAGE_POSITION_PATIENT, x)]).bytes);
        item
    };
    set.sequence(tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE, &[shared]);
    set.sequence(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE, &[frame("2", "1\\2\\3"), frame("3", "4\\5\\6")]);
    set.put(tags::PIXEL_DATA, "OW", &[1, 0, 2, 0, 3, 0, 4, 0]);
    file("1.2.840.10008.1.2.1", &set.bytes)
}

fn check_enhanced(input: &Arc<InputRef>) {
    for (frame, pixels, slope, x) in [(1, [3, 4], 3.0, 4.0), (0, [1, 2], 2.0, 1.0)] {
        let slice = decode_frame(input, frame).expect("decodes");
        assert_eq!(values(&slice), pixels);
        assert_eq!(slice.attributes.rescale_slope, Number::Value(slope));
        assert_eq!(slice.facts.get("frame"), Some(&Value::Int32(frame as i32)));
        assert_eq!(slice.facts.get("pixel_spacing_column_mm"), Some(&Value::Float64(0.25)));
        assert_eq!(slice.facts.get("image_position_patient"), Some(&Value::ListFloat64(vec![x, x + 1.0, x + 2.0])));
    }
    assert_eq!(decode_frame(input, 2).map(|_| ()).expect_err("two frames").reason, Reason::FrameMissing);
}

#[test]
fn frames_have_their_own_values_and_pixels() {
    assert_eq!(ct(&enhanced()).frames, 2);
    check_enhanced(&memory(enhanced()));
}

#[test]
fn files_are_read_as_memory_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a");
    for bytes in [enhanced(), Ct::default().file(EXPLICIT_LE, &CELLS)] {
        std::fs::write(&path, &bytes).expect("written");
        assert_eq!(examine(&Bytes::File(path.clone()), &Recipe::head()), look(&bytes));
        let from_file = decode_frame(&InputRef::file(SourceId([0; 24]), &path), 0).expect("decodes");
        let from_memory = decode(bytes).expect("decodes");
        assert_eq!(from_file.pixels, from_memory.pixels);
        assert_eq!(from_file.facts, from_memory.facts);
    }
    std::fs::write(&path, enhanced()).expect("written");
    check_enhanced(&InputRef::file(SourceId([0; 24]), &path));
}

#[test]
fn a_file_that_changes_between_its_slices_is_unreadable() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a");
    std::fs::write(&path, enhanced()).expect("written");
    let input = InputRef::file(SourceId([0; 24]), &path);
    decode_frame(&input, 0).expect("decodes");
    std::fs::write(&path, [enhanced(), vec![0]].concat()).expect("written");
    assert_eq!(decode_frame(&input, 1).map(|_| ()).expect_err("changed").reason, Reason::Unreadable);
}

#[test]
fn special_files_are_not_opened() {
    let folder = tempfile::tempdir().expect("a folder");
    let link = folder.path().join("link");
    std::os::unix::fs::symlink("nowhere", &link).expect("a link");
    for path in [&link, folder.path(), Path::new("/dev/null")] {
        let Examined::Not(fault) = examine(&Bytes::File(path.to_owned()), &Recipe::head()) else { panic!("no CT") };
        assert_eq!(fault.reason, Reason::SpecialFile);
    }
    let Examined::Not(fault) = examine(&Bytes::File(folder.path().join("missing")), &Recipe::head()) else {
        panic!("no CT")
    };
    assert_eq!(fault.reason, Reason::Unreadable);
    assert!(!fault.detail.contains("missing"), "{}", fault.detail);
}

#[test]
fn what_is_no_ct_slice_is_filtered() {
    let with = |tag, vr, text: &str| {
        let mut set = DataSet::new(EXPLICIT_LE);
        set.text(tag, vr, text).bytes.extend(Ct::default().data_set(EXPLICIT_LE).bytes);
        set.put(tags::PIXEL_DATA, "OW", &[0; 12]);
        file("1.2.840.10008.1.2.1", &set.bytes)
    };
    assert_eq!(reason(b""), Some(Reason::EmptyFile));
    assert_eq!(reason(b"some text, no DICOM at all"), Some(Reason::NotDicom));
    assert_eq!(reason(&with(tags::SOP_CLASS_UID, "UI", "1.2.840.10008.5.1.4.1.1.4")), Some(Reason::NotCtImage));
    assert_eq!(reason(&with(tags::SOP_CLASS_UID, "UI", "1.2.840.10008.1.3.10")), Some(Reason::Dicomdir));
    assert_eq!(reason(&with(tags::IMAGE_TYPE, "CS", "ORIGINAL\\PRIMARY\\LOCALIZER")), Some(Reason::Localizer));
    assert_eq!(reason(&with(tags::PHOTOMETRIC_INTERPRETATION, "CS", "RGB")), Some(Reason::Colour));
    let set = Ct::default().data_set(EXPLICIT_LE);
    assert_eq!(reason(&file("1.2.840.10008.1.2.1", &set.bytes)), Some(Reason::NoPixelData));
}

#[test]
fn what_cannot_become_a_row_is_rejected() {
    let rejected = |image: Ct| reason(&image.file(EXPLICIT_LE, &CELLS));
    assert_eq!(rejected(Ct { rows: 0, ..Ct::default() }), Some(Reason::ImageGeometry));
    assert_eq!(rejected(Ct { rows: 65535, columns: 65535, ..Ct::default() }), Some(Reason::LimitExceeded));
    assert_eq!(rejected(Ct { rows: 3, ..Ct::default() }), Some(Reason::PixelLength));
    assert_eq!(rejected(Ct { bits: (12, 12, 11), ..Ct::default() }), Some(Reason::PixelFormat));
    assert_eq!(rejected(Ct { bits: (16, 0, 0), ..Ct::default() }), Some(Reason::ImageGeometry));
    assert_eq!(rejected(Ct { bits: (16, 17, 16), ..Ct::default() }), Some(Reason::ImageGeometry));
    assert_eq!(rejected(Ct { bits: (16, 12, 3), ..Ct::default() }), Some(Reason::ImageGeometry));
    for frames in ["0", "-1", "1A", "1\\2", "1.5"] {
        assert_eq!(rejected(Ct { frames: Some(frames), ..Ct::default() }), Some(Reason::ImageGeometry), "{frames}");
    }
    assert_eq!(rejected(Ct { frames: Some("2147483648"), ..Ct::default() }), Some(Reason::LimitExceeded));
    let whole = Ct::default().file(EXPLICIT_LE, &CELLS);
    assert_eq!(reason(&whole[..whole.len() - 1]), Some(Reason::Truncated));
    assert_eq!(reason(&whole[..300]), Some(Reason::Truncated));
    let set = Ct::default().data_set(EXPLICIT_LE);
    for syntax in ["1.2.840.10008.1.2.4.92", "1.2.3"] {
        let mut set = set.clone();
        set.fragments(&[], &[b"ab"]);
        assert_eq!(reason(&file(syntax, &set.bytes)), Some(Reason::TransferSyntax));
    }
}

#[test]
fn zeros_behind_the_last_element_end_the_data_set_in_every_encoding() {
    for encoding in [IMPLICIT_LE, EXPLICIT_LE, EXPLICIT_BE] {
        let mut set = Ct::default().data_set(encoding);
        set.bytes.extend([0; 100]);
        assert_eq!(reason(&file(super::syntax::native(encoding).uid, &set.bytes)), Some(Reason::NoPixelData));
    }
}

#[test]
fn the_icon_is_not_the_image() {
    let mut icon = DataSet::new(EXPLICIT_LE);
    icon.us(tags::ROWS, 1).put(tags::PIXEL_DATA, "OW", &[9; 2]);
    let mut set = Ct::default().data_set(EXPLICIT_LE);
    set.sequence(tags::ICON_IMAGE_SEQUENCE, &[icon]).put(tags::PIXEL_DATA, "OW", &[0; 12]);
    assert_eq!(values(&decode(file("1.2.840.10008.1.2.1", &set.bytes)).expect("decodes")), [0; 6]);
}

#[test]
fn un_of_undefined_length_is_an_implicit_sequence() {
    let mut inner = DataSet::new(IMPLICIT_LE);
    inner.us(tags::ROWS, 77);
    let mut set = Ct::default().data_set(EXPLICIT_LE);
    set.head(Tag(0x7001, 0x1000), "UN", u32::MAX).put(ITEM, "", &inner.bytes).head(Tag(0xFFFE, 0xE0DD), "", 0);
    set.put(tags::PIXEL_DATA, "OW", &[0; 12]);
    assert_eq!(ct(&file("1.2.840.10008.1.2.1", &set.bytes)).rows, 2);
}

fn nested(levels: usize, encoding: Encoding) -> Vec<u8> {
    let mut set = DataSet::new(encoding);
    set.text(tags::SOP_CLASS_UID, "UI", "1.2.840.10008.5.1.4.1.1.2");
    for _ in 0..levels {
        set.head(Tag(0x0040, 0xA730), "SQ", u32::MAX).head(ITEM, "", u32::MAX);
    }
    file(super::syntax::native(encoding).uid, &set.bytes)
}

#[test]
fn deeply_nested_sequences_are_refused_and_nothing_else() {
    for encoding in [IMPLICIT_LE, EXPLICIT_LE] {
        assert_eq!(reason(&nested(17, encoding)), Some(Reason::LimitExceeded));
        assert_eq!(reason(&nested(100_000, encoding)), Some(Reason::LimitExceeded));
        assert_eq!(reason(&nested(16, encoding)), Some(Reason::Truncated));
    }
}

#[test]
fn hostile_lengths_are_refused_before_anything_is_read() {
    let lie = |vr: &str, length: u32| {
        let mut set = DataSet::new(EXPLICIT_LE);
        set.text(tags::SOP_CLASS_UID, "UI", "1.2.840.10008.5.1.4.1.1.2").head(Tag(0x0009, 0x1001), vr, length);
        reason(&file("1.2.840.10008.1.2.1", &set.bytes))
    };
    for vr in ["UC", "UN", "OB", "SQ", "UT"] {
        let reason = lie(vr, 0xE000_0000).expect("rejected");
        assert!(matches!(reason, Reason::Truncated | Reason::LimitExceeded), "{vr}: {reason}");
    }
    // Pixel Data as long as the header says, and bytes that are not there.
    let image = Ct { rows: 4096, columns: 4096, frames: Some("100"), ..Ct::default() };
    let mut set = image.data_set(EXPLICIT_LE);
    set.head(tags::PIXEL_DATA, "OW", 4096 * 4096 * 2 * 100);
    let bytes = file("1.2.840.10008.1.2.1", &set.bytes);
    assert_eq!(decode(bytes).map(|_| ()).expect_err("no pixels").reason, Reason::Truncated);
}

#[test]
fn many_elements_and_items_are_refused() {
    let mut set = Ct::default().data_set(EXPLICIT_LE);
    for _ in 0..70_000 {
        set.head(Tag(0x0029, 0x1010), "LO", 0);
    }
    assert_eq!(reason(&file("1.2.840.10008.1.2.1", &set.bytes)), Some(Reason::LimitExceeded));
    let mut set = Ct::default().data_set(EXPLICIT_LE);
    set.head(Tag(0x0029, 0x1010), "SQ", u32::MAX);
    for _ in 0..5_000 {
        set.head(ITEM, "", 0);
    }
    assert_eq!(reason(&file("1.2.840.10008.1.2.1", &set.bytes)), Some(Reason::LimitExceeded));
}

#[test]
fn a_long_header_is_found_by_reading_on() {
    let mut set = Ct::default().data_set(EXPLICIT_LE);
    for _ in 0..10 {
        set.put(Tag(0x0029, 0x1010), "OB", &[0; 100_000]);
    }
    set.put(tags::PIXEL_DATA, "OW", &[0; 12]);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a");
    std::fs::write(&path, file("1.2.840.10008.1.2.1", &set.bytes)).expect("written");
    let Examined::Ct(found) = examine(&Bytes::File(path.clone()), &Recipe::head()) else { panic!("a CT") };
    assert!(found.bytes_per_slice > 1_000_000);
    assert_eq!(values(&decode_frame(&InputRef::file(SourceId([0; 24]), &path), 0).expect("decodes")), [0; 6]);
}

#[test]
fn no_cut_and_no_changed_byte_panics() {
    let whole = enhanced();
    for end in 0..whole.len() {
        let _ = look(&whole[..end]);
        let _ = decode(whole[..end].to_vec());
    }
    for at in 128..whole.len() {
        for value in [0, 0xFF, whole[at] ^ 0x80] {
            let mut bytes = whole.clone();
            bytes[at] = value;
            let _ = look(&bytes);
            let _ = decode(bytes);
        }
    }
}

#[test]
fn identifiers_leave_as_pseudonyms_unless_asked_for() {
    let bytes = Ct::default().file(EXPLICIT_LE, &CELLS);
    let slice = decode(bytes.clone()).expect("decodes");
    let key = Key::new([1; 32]);
    let text = |name: &str| slice.facts.get(name).cloned();
    assert_eq!(text("patient_key"), Some(Value::Text(key.pseudonym("patient", &[b"P1", b""]))));
    assert_eq!(text("sop_key"), Some(Value::Text(key.pseudonym("sop", &[b"1.2.3.4"]))));
    let hash = blake3::hash(&bytes);
    assert_eq!(text("content_id"), Some(Value::Text(key.pseudonym("content", &[hash.as_bytes()]))));
    assert_eq!(text("sop_instance_uid"), None);
    assert_eq!(text("study_key"), None);
    let uids = Decoder::new(&Recipe { privacy: Privacy::Uids, ..Recipe::head() }, &key);
    let at = SliceRef { ordinal: Ordinal(0), input: memory(bytes), frame: 0 };
    let slice = uids.decode(&at, &mut Scratch::default()).expect("decodes");
    assert_eq!(slice.facts.get("sop_instance_uid"), Some(&Value::Text("1.2.3.4".into())));
    assert_eq!(uids.columns().len(), 11 + 14 + 17);
}

#[test]
fn every_value_has_its_column_and_every_required_column_a_value() {
    let decoder = Decoder::new(&Recipe::head(), &Key::new([1; 32]));
    let slice = decode(Ct::default().file(EXPLICIT_LE, &CELLS)).expect("decodes");
    for (name, value) in slice.facts.iter() {
        let column = decoder.columns().iter().find(|column| column.name == name).expect(name);
        assert_eq!(column.kind, value.kind(), "{name}");
    }
    for column in decoder.columns().iter().filter(|column| !column.nullable) {
        assert!(slice.facts.get(column.name).is_some(), "{}", column.name);
    }
}

#[test]
fn rle_frames_in_any_grouping_of_fragments() {
    // Each frame: two segments of one literal run of 2 bytes (2 pixels of 16 bits).
    let frame = |high: [u8; 2], low: [u8; 2]| {
        let mut words = [0u32; 16];
        (words[0], words[1], words[2]) = (2, 64, 68);
        let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        bytes.extend([1, high[0], high[1], 128, 1, low[0], low[1], 128]);
        bytes
    };
    let (a, b) = (frame([0, 0], [1, 2]), frame([1, 1], [0, 1]));
    let image = Ct { rows: 1, columns: 2, frames: Some("2"), ..Ct::default() };
    let make = |table: &[u32], fragments: &[&[u8]]| {
        let mut set = image.data_set(EXPLICIT_LE);
        set.fragments(table, fragments);
        memory(file("1.2.840.10008.1.2.5", &set.bytes))
    };
    let second = (8 + a.len()) as u32;
    let (b1, b2) = b.split_at(10);
    for input in [make(&[], &[&a, &b]), make(&[0, second], &[&a, &b]), make(&[0, second], &[&a, b1, b2])] {
        assert_eq!(values(&decode_frame(&input, 0).expect("decodes")), [1, 2]);
        assert_eq!(values(&decode_frame(&input, 1).expect("decodes")), [256, 257]);
    }
    let three = make(&[], &[&a, b1, b2]);
    assert_eq!(decode_frame(&three, 0).map(|_| ()).expect_err("unparted").reason, Reason::MalformedHeader);
}

#[test]
fn threads_share_an_input() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a");
    std::fs::write(&path, enhanced()).expect("written");
    let input = InputRef::file(SourceId([0; 24]), &path);
    let frames = std::thread::scope(|scope| {
        let decode = |frame| {
            let input = &input;
            scope.spawn(move || values(&decode_frame(input, frame).expect("decodes")))
        };
        let threads: Vec<_> = (0..8).map(|thread| decode(thread % 2)).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect::<Vec<_>>()
    });
    for (thread, frame) in frames.iter().enumerate() {
        assert_eq!(*frame, if thread % 2 == 0 { [1, 2] } else { [3, 4] });
    }
}

#[test]
fn a_frame_cut_off_leaves_its_siblings() {
    let whole = enhanced();
    let cut = memory(whole[..whole.len() - 1].to_vec());
    assert_eq!(values(&decode_frame(&cut, 0).expect("decodes")), [1, 2]);
    assert_eq!(decode_frame(&cut, 1).map(|_| ()).expect_err("cut").reason, Reason::Truncated);
}

#[test]
fn a_deflated_input_of_frames_has_them_all() {
    use std::io::Write;
    let whole = enhanced();
    let data_set = whole.windows(4).position(|tag| tag == [8, 0, 8, 0]).expect("Image Type");
    let mut deflated = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    deflated.write_all(&whole[data_set..]).expect("to memory");
    check_enhanced(&memory(file("1.2.840.10008.1.2.1.99", &deflated.finish().expect("to memory"))));
}

fn fault(bytes: Vec<u8>) -> Fault {
    decode(bytes).map(|_| ()).expect_err("no slice")
}

#[test]
fn a_modality_lut_in_the_place_of_rescale_is_not_ignored() {
    let with_table = |encoding, keep: &[Tag]| {
        let mut table = DataSet::new(encoding);
        table.put(Tag(0x0028, 0x3006), "OW", &[0; 8]);
        let mut set = without(&Ct::default().data_set(encoding), keep);
        set.sequence(tags::MODALITY_LUT_SEQUENCE, &[table]).put(tags::PIXEL_DATA, "OW", &[0; 12]);
        file(super::syntax::native(encoding).uid, &set.bytes)
    };
    for encoding in [EXPLICIT_LE, IMPLICIT_LE] {
        let found = fault(with_table(encoding, &[tags::RESCALE_SLOPE, tags::RESCALE_INTERCEPT]));
        assert_eq!((found.reason, found.detail.contains("Modality LUT Sequence")), (Reason::Rescale, true));
        // A linear rescale beside it is the one that counts.
        assert_eq!(decode(with_table(encoding, &[])).expect("decodes").attributes.rescale_slope, Number::Value(1.0));
    }
    // Nothing says anything: that is for hu_window to judge.
    let mut set = without(&Ct::default().data_set(EXPLICIT_LE), &[tags::RESCALE_SLOPE, tags::RESCALE_INTERCEPT]);
    set.sequence(tags::MODALITY_LUT_SEQUENCE, &[]).put(tags::PIXEL_DATA, "OW", &[0; 12]);
    let slice = decode(file("1.2.840.10008.1.2.1", &set.bytes)).expect("decodes");
    assert_eq!(slice.attributes.rescale_slope, Number::Missing);
}

/// The data set without these elements, found by their bytes.
fn without(set: &DataSet, tags: &[Tag]) -> DataSet {
    let mut set = set.clone();
    for tag in tags {
        let head = [set.u16(tag.0), set.u16(tag.1)].concat();
        let at = set.bytes.windows(4).position(|bytes| bytes == head).expect("is there");
        let length = usize::from(set.bytes[at + if set.encoding.explicit { 6 } else { 4 }]);
        set.bytes.drain(at..at + 8 + length);
    }
    set
}

/// Frames of one pixel, each with its own rescale and position where `item` gives one.
fn frames_of(count: usize, item: impl Fn(usize) -> Option<[&'static str; 2]>) -> Vec<u8> {
    let frames = count.to_string();
    let image = Ct { rows: 1, columns: 1, frames: Some(&frames), ..Ct::default() };
    let mut set = without(&image.data_set(EXPLICIT_LE), &[tags::RESCALE_SLOPE, tags::RESCALE_INTERCEPT]);
    let items = (0..count).map_while(|frame| {
        let mut group = DataSet::new(EXPLICIT_LE);
        if let Some([slope, intercept]) = item(frame) {
            let mut rescale = DataSet::new(EXPLICIT_LE);
            rescale.text(tags::RESCALE_INTERCEPT, "DS", intercept).text(tags::RESCALE_SLOPE, "DS", slope);
            group.sequence(tags::PIXEL_VALUE_TRANSFORMATION_SEQUENCE, &[rescale]);
        }
        let mut plane = DataSet::new(EXPLICIT_LE);
        plane.text(tags::IMAGE_POSITION_PATIENT, "DS", &format!("0\\0\\{frame}"));
        // As many elements as scanners write into an item.
        (0..100).for_each(|n| {
            plane.put(Tag(0x0021, 0x1000 + n), "LO", b"");
        });
        group.sequence(tags::PLANE_POSITION_SEQUENCE, &[plane]);
        Some(group)
    });
    let items: Vec<DataSet> = items.collect();
    set.sequence(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE, &items);
    set.put(tags::PIXEL_DATA, "OW", &vec![0; 2 * count]);
    file("1.2.840.10008.1.2.1", &set.bytes)
}

#[test]
fn a_frame_without_the_rescale_that_its_siblings_have_is_not_guessed() {
    let input = memory(frames_of(3, |frame| (frame != 1).then_some(["2", "-1000"])));
    for frame in [0, 2] {
        let slice = decode_frame(&input, frame).expect("decodes");
        assert_eq!(slice.attributes.rescale_intercept, Number::Value(-1000.0));
    }
    let found = decode_frame(&input, 1).map(|_| ()).expect_err("no rescale");
    assert_eq!((found.reason, found.detail.contains("other frames")), (Reason::Rescale, true));
}

#[test]
fn several_rescale_values_are_no_number() {
    let slice = decode(frames_of(1, |_| Some(["1\\1", "0"]))).expect("decodes");
    assert_eq!(slice.attributes.rescale_slope, Number::Invalid);
}

#[test]
fn thousands_of_frames_with_their_own_groups_are_no_attack() {
    let input = memory(frames_of(5_000, |_| Some(["1", "-1024"])));
    let slice = decode_frame(&input, 4_999).expect("decodes");
    assert_eq!(slice.facts.get("image_position_patient"), Some(&Value::ListFloat64(vec![0.0, 0.0, 4999.0])));
}

#[test]
fn values_written_many_times_are_kept_once() {
    let mut plane = DataSet::new(EXPLICIT_LE);
    plane.text(tags::IMAGE_POSITION_PATIENT, "DS", "1\\2\\3");
    (0..50_000).for_each(|_| {
        plane.text(tags::IMAGE_POSITION_PATIENT, "DS", "9\\9\\9");
    });
    let mut group = DataSet::new(EXPLICIT_LE);
    group.sequence(tags::PLANE_POSITION_SEQUENCE, &[plane]);
    let mut set = Ct::default().data_set(EXPLICIT_LE);
    set.sequence(tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE, &[group]).put(tags::PIXEL_DATA, "OW", &[0; 12]);
    let bytes = file("1.2.840.10008.1.2.1", &set.bytes);
    assert!(ct(&bytes).bytes_per_slice < 200_000 + bytes.len() as u64);
    let slice = decode(bytes).expect("decodes");
    assert_eq!(slice.facts.get("image_position_patient"), Some(&Value::ListFloat64(vec![1.0, 2.0, 3.0])));
}

#[test]
fn frames_without_items_of_their_own_have_the_shared_values() {
    let mut bytes = enhanced();
    // Their rescales would have to be in each of them.
    for element in [0x52, 0x53] {
        let is_element = |at: &usize| bytes[*at..at + 4] == [0x28, 0, element, 0x10];
        for at in (0..bytes.len() - 4).filter(is_element).skip(1).collect::<Vec<_>>() {
            bytes[at + 2] = element + 6;
        }
    }
    let frames = bytes.windows(6).position(|head| head == [0x28, 0, 8, 0, b'I', b'S']).expect("Number of Frames");
    bytes[frames + 8] = b'3';
    let at = bytes.len() - 12;
    assert_eq!(bytes[at..at + 4], [8, 0, 0, 0]);
    bytes[at] = 12;
    bytes.extend([5, 0, 6, 0]);
    let slice = decode_frame(&memory(bytes), 2).map(|slice| (values(&slice), slice)).expect("decodes");
    assert_eq!(slice.0, [5, 6]);
    assert_eq!(slice.1.attributes.rescale_slope, Number::Value(1.0));
    assert_eq!(slice.1.facts.get("pixel_spacing_column_mm"), Some(&Value::Float64(0.25)));
    assert_eq!(slice.1.facts.get("image_position_patient"), Some(&Value::ListFloat64(vec![1.0, 2.0, 7.5])));
}

#[test]
fn a_cut_file_of_compressed_frames_gives_the_whole_ones() {
    let frame = |low: u8| {
        let words: Vec<u8> = [2u32, 64, 68].into_iter().chain([0; 13]).flat_map(u32::to_le_bytes).collect();
        [&words[..], &[1, 0, 0, 128, 1, low, low, 128]].concat()
    };
    let (a, b, c) = (frame(1), frame(2), frame(3));
    let image = Ct { rows: 1, columns: 2, frames: Some("3"), ..Ct::default() };
    let starts = [0, 8 + a.len() as u32, 24 + (a.len() + b.len()) as u32];
    let mut set = image.data_set(EXPLICIT_LE);
    let (b1, b2) = b.split_at(10);
    set.fragments(&starts, &[&a, b1, b2, &c]);
    let whole = file("1.2.840.10008.1.2.5", &set.bytes);
    // Inside the last frame; at its end; inside the frame before; between the two fragments of that.
    let tail = 8 + c.len() + 8;
    for (cut, good) in [(12, 2), (8, 3), (tail, 2), (tail + 3, 1), (tail + b2.len() + 8, 1)] {
        let input = memory(whole[..whole.len() - cut].to_vec());
        for frame in 0..3 {
            match decode_frame(&input, frame) {
                Ok(slice) => assert_eq!((values(&slice)[0], frame < good), (i64::from(frame) + 1, true), "cut {cut}"),
                Err(fault) => {
                    let expected = matches!(fault.reason, Reason::Truncated | Reason::FrameMissing);
                    assert!(frame >= good && expected, "cut {cut}, frame {frame}: {fault}");
                }
            }
        }
    }
}

#[test]
fn details_tell_places_and_not_the_bytes_there() {
    // Reading has lost its way in somebody's name: its bytes stand where a tag, a VR or a length should.
    for name in [&b"DOE^JOHN"[..], b"DOE^LOHN", b"\xFE\xFFDOE^JOHN", b"DO\xFF\xFFUN  JOHNJOHN", b"DOE^UT\0\0JOHN"] {
        for vr in ["SQ", "LO"] {
            let mut set = Ct::default().data_set(EXPLICIT_LE);
            set.head(Tag(0x0029, 0x1001), vr, if vr == "SQ" { u32::MAX } else { 0 });
            set.bytes.extend(name);
            set.bytes.extend([0; 40]);
            let Examined::Not(fault) = look(&file("1.2.840.10008.1.2.1", &set.bytes)) else { panic!("no CT") };
            let detail = fault.detail.to_ascii_uppercase();
            let number = u32::from_le_bytes(*b"JOHN").to_string();
            for leak in ["4F44", "DOE", "JOHN", "4A4F", "4F4A", &number] {
                assert!(!detail.contains(leak), "{detail}");
            }
        }
    }
}
