//! What the syntaxes without a codec of their own give, and what those without a decoder say.

use std::io::Write;

use dicom_dictionary_std::tags;

use super::deflated_frame;
use super::fragments::{Encapsulated, Fragments};
use super::frames::Frames;
use super::header::PixelData;
use super::input::Input;
use super::load;
use super::starts::Starts;
use super::syntax::{self, Codec, EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE};
use super::test_dicom::{Ct, DataSet, file};
use super::tests::{ct, decode, decode_frame, memory, reason, values};
use super::{Examined, examine};
use crate::reason::{Fault, Reason};
use crate::recipe::Recipe;
use crate::slice::Bytes;

const ENCAPSULATED: &str = "1.2.840.10008.1.2.1.98";
const DEFLATED_FRAME: &str = "1.2.840.10008.1.2.8.1";

fn examined(bytes: &[u8]) -> Fault {
    match examine(&Bytes::Memory(bytes.into()), &Recipe::head()) {
        Examined::Not(fault) => fault,
        Examined::Ct(_) => panic!("a CT slice"),
    }
}

fn fault(bytes: Vec<u8>, frame: u32) -> Fault {
    decode_frame(&memory(bytes), frame).map(|_| ()).expect_err("no slice")
}

/// A raw deflate stream, made even.
fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut stream = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    stream.write_all(bytes).expect("to memory");
    let mut deflated = stream.finish().expect("to memory");
    deflated.resize(deflated.len().next_multiple_of(2), 0);
    deflated
}

fn fragments(syntax: &str, image: &Ct, table: &[u32], fragments: &[&[u8]]) -> Vec<u8> {
    let mut set = image.data_set(EXPLICIT_LE);
    set.fragments(table, fragments);
    file(syntax, &set.bytes)
}

/// Bits Allocated, Bits Stored and High Bit; the bytes of three pixels; their stored values.
type ThreePixels = ((u16, u16, u16), Vec<u8>, [i64; 3]);

fn three_pixels() -> [ThreePixels; 4] {
    let bytes32 = [[1, 0, 0, 0], [0, 0, 1, 0], [0xFF; 4]].concat();
    [
        ((8, 8, 7), vec![1, 127, 255], [1, 127, -1]),
        ((16, 16, 15), vec![1, 0, 0, 0x80, 0xFF, 0xFF], [1, -32768, -1]),
        // Overlay bits above Bits Stored.
        ((16, 12, 11), vec![1, 0xF0, 0, 0xF8, 0xFF, 0x0F], [1, -2048, -1]),
        ((32, 32, 31), bytes32, [1, 65536, -1]),
    ]
}

#[test]
fn frames_of_cells_in_fragments_are_exact() {
    for (bits, bytes, expected) in three_pixels() {
        let image = Ct { rows: 1, columns: 3, bits, frames: Some("2"), ..Ct::default() };
        let zeros = vec![0; bytes.len()];
        let even = |cells: &[u8]| [cells, &vec![0; cells.len() % 2]].concat();
        let plain = [even(&zeros), even(&bytes)];
        let deflated = [deflate(&zeros), deflate(&bytes)];
        for (syntax, [first, second]) in [(ENCAPSULATED, plain), (DEFLATED_FRAME, deflated)] {
            for table in [&[][..], &[0, 8 + first.len() as u32]] {
                let bytes = fragments(syntax, &image, table, &[&first, &second]);
                assert_eq!(ct(&bytes).frames, 2);
                let input = memory(bytes);
                assert_eq!(values(&decode_frame(&input, 0).expect("decodes")), [0; 3]);
                let slice = decode_frame(&input, 1).expect("decodes");
                assert_eq!(values(&slice), expected, "{syntax} {bits:?}");
                assert_eq!(slice.facts.get("lossy"), Some(&crate::column::Value::Bool(false)));
            }
            // Against the standard, but nothing is guessed: a frame in two fragments, and a table.
            let (a, b) = second.split_at(2);
            let input = memory(fragments(syntax, &image, &[0, 8 + first.len() as u32], &[&first, a, b]));
            assert_eq!(values(&decode_frame(&input, 1).expect("decodes")), expected, "{syntax} {bits:?}");
        }
    }
}

#[test]
fn a_frame_of_cells_has_its_exact_length() {
    let image = Ct { rows: 1, columns: 3, bits: (16, 16, 15), ..Ct::default() };
    for length in [0, 2, 5, 7, 8, 12] {
        let bytes = vec![1; length];
        assert_eq!(fault(fragments(ENCAPSULATED, &image, &[], &[&bytes]), 0).reason, Reason::PixelLength, "{length}");
        let deflated = fragments(DEFLATED_FRAME, &image, &[], &[&deflate(&bytes)]);
        assert_eq!(fault(deflated, 0).reason, Reason::PixelLength, "{length}");
    }
    let (odd, pixels) = (Ct { bits: (8, 8, 7), ..image }, [1, 2, 3, 0]);
    assert_eq!(values(&decode(fragments(ENCAPSULATED, &odd, &[], &[&pixels])).expect("decodes")), [1, 2, 3]);
    assert_eq!(values(&decode(fragments(ENCAPSULATED, &odd, &[], &[&pixels[..3]])).expect("decodes")), [1, 2, 3]);
    assert_eq!(fault(fragments(DEFLATED_FRAME, &odd, &[], &[b"no deflate"]), 0).reason, Reason::DecodeFailed);
    let one_bit = Ct { bits: (1, 1, 0), is_signed: false, ..Ct::default() };
    assert_eq!(reason(&fragments(DEFLATED_FRAME, &one_bit, &[], &[&deflate(&[0])])), Some(Reason::PixelFormat));
}

#[test]
fn another_high_bit_is_read_where_frames_are_cells() {
    let image = Ct { rows: 1, columns: 1, bits: (16, 12, 15), is_signed: false, ..Ct::default() };
    let deflated = deflate(&[0xF0, 0x12]);
    for (syntax, frame) in [(ENCAPSULATED, &[0xF0, 0x12][..]), (DEFLATED_FRAME, &deflated)] {
        assert_eq!(values(&decode(fragments(syntax, &image, &[], &[frame])).expect("decodes")), [0x12F]);
    }
    let jpeg = fragments("1.2.840.10008.1.2.4.70", &image, &[], &[b"ab"]);
    assert_eq!(reason(&jpeg), Some(Reason::ImageGeometry));
}

#[test]
fn a_syntax_without_a_decoder_is_rejected_with_its_name() {
    for (uid, name) in [
        ("1.2.840.10008.1.2.4.52", "JPEG Extended (Process 3 and 5)"),
        ("1.2.840.10008.1.2.4.66", "JPEG Lossless, Hierarchical (Process 29)"),
        ("1.2.840.10008.1.2.4.92", "JPEG 2000 Part 2 Multi-component Image Compression (Lossless Only)"),
        ("1.2.840.10008.1.2.4.100.1", "Fragmentable MPEG2 Main Profile / Main Level"),
        ("1.2.840.10008.1.2.4.107", "HEVC/H.265 Main Profile / Level 5.1"),
        ("1.2.840.10008.1.2.7.1", "SMPTE ST 2110-20 Uncompressed Progressive Active Video"),
        ("1.2.840.10008.1.20", "Papyrus 3 Implicit VR Little Endian"),
    ] {
        let fault = examined(&fragments(uid, &Ct::default(), &[], &[b"ab"]));
        assert_eq!(fault.detail, format!("no decoder for transfer syntax {uid} ({name})"));
        assert_eq!(fault.reason, Reason::TransferSyntax);
    }
    // What is in none of the tables may be anything.
    let fault = examined(&fragments("1.2.3.4", &Ct::default(), &[], &[b"ab"]));
    assert_eq!(fault.detail, "the transfer syntax is not in the table");
}

#[test]
fn pixels_at_a_server_are_a_reject_not_an_image_without_pixels() {
    let set = Ct::default().data_set(EXPLICIT_LE);
    for (uid, bytes) in [("94", set.bytes.clone()), ("95", deflate(&set.bytes)), ("205", deflate(&set.bytes))] {
        let fault = examined(&file(&format!("1.2.840.10008.1.2.4.{uid}"), &bytes));
        assert_eq!((fault.reason, fault.detail.contains("JPIP")), (Reason::TransferSyntax, true), "{fault}");
    }
    assert_eq!(reason(&file("1.2.840.10008.1.2.1", &set.bytes)), Some(Reason::NoPixelData));
}

#[test]
fn ge_pixels_are_swapped_and_nothing_else() {
    let image = Ct { rows: 1, columns: 3, ..Ct::default() };
    let mut set = image.data_set(IMPLICIT_LE);
    set.put(tags::PIXEL_DATA, "OW", &[0, 1, 0x7F, 0xFF, 0x80, 0]);
    let bytes = file(syntax::GE_BIG_ENDIAN_PIXELS, &set.bytes);
    assert_eq!(ct(&bytes).columns, 3);
    assert_eq!(values(&decode(bytes).expect("decodes")), [1, 32767, -32768]);
    let explicit = file(syntax::GE_BIG_ENDIAN_PIXELS, &image.file(EXPLICIT_LE, &[0; 3])[160..]);
    assert!(matches!(reason(&explicit), Some(Reason::TransferSyntax | Reason::NotCtImage)));
    for (bits, pixels) in [((8, 8, 7), &[0; 4][..]), ((32, 32, 31), &[0; 12])] {
        let mut set = Ct { bits, rows: 1, columns: 3, ..Ct::default() }.data_set(IMPLICIT_LE);
        set.put(tags::PIXEL_DATA, "OW", pixels);
        assert_eq!(reason(&file(syntax::GE_BIG_ENDIAN_PIXELS, &set.bytes)), Some(Reason::TransferSyntax));
    }
    let mut set = image.data_set(EXPLICIT_LE);
    set.put(tags::PIXEL_DATA, "OW", &[0; 6]);
    assert_eq!(reason(&file(syntax::GE_BIG_ENDIAN_PIXELS, &set.bytes)), Some(Reason::TransferSyntax));
}

#[test]
fn only_the_two_monochromes_are_grey() {
    for (photometric, expected) in [
        ("MONOCHROME1", None),
        ("MONOCHROME2", None),
        ("MONOCHROME3", Some(Reason::PixelFormat)),
        ("MONOCHROME", Some(Reason::PixelFormat)),
        ("MONOCHROME12", Some(Reason::PixelFormat)),
        ("RGB", Some(Reason::Colour)),
    ] {
        let bytes = Ct { photometric, ..Ct::default() }.file(EXPLICIT_LE, &[0; 6]);
        assert_eq!(reason(&bytes), expected, "{photometric}");
    }
}

#[test]
fn bits_that_are_no_whole_bytes_are_named() {
    for (bits, word) in [(1, "1 (a bit map)"), (12, "12 (packed)"), (24, "24"), (64, "64")] {
        let image = Ct { bits: (bits, bits, bits - 1), ..Ct::default() };
        let fault = examined(&image.file(EXPLICIT_LE, &[0; 6]));
        assert_eq!(fault.reason, Reason::PixelFormat);
        assert_eq!(fault.detail, format!("Bits Allocated is {word}, expected 8, 16 or 32"));
    }
}

#[test]
fn signed_jpeg_xl_is_read_only_where_its_bits_are_the_cells() {
    let frames = |syntax: &str, is_signed| {
        let image = Ct { is_signed, ..Ct::default() };
        reason(&fragments(&format!("1.2.840.10008.1.2.4.{syntax}"), &image, &[], &[b"\xFF\x0A"]))
    };
    assert_eq!((frames("110", true), frames("112", false)), (None, None));
    assert_eq!(frames("112", true), Some(Reason::PixelFormat));
}

/// Three frames of 3 pixels of 8 bits, from uncompressed Pixel Data of this VR.
fn odd_frames(encoding: syntax::Encoding, vr: &str, bytes: &[u8]) -> Vec<u8> {
    let image = Ct { rows: 1, columns: 3, bits: (8, 8, 7), frames: Some("3"), is_signed: false, ..Ct::default() };
    let mut set = image.data_set(encoding);
    set.put(tags::PIXEL_DATA, vr, bytes);
    file(syntax::native(encoding).uid, &set.bytes)
}

#[test]
fn odd_frames_of_bytes_are_read_from_words_of_either_order() {
    let straight = [1, 2, 3, 4, 5, 6, 7, 8, 9, 0];
    let swapped = [2, 1, 4, 3, 6, 5, 8, 7, 0, 9];
    for (encoding, vr, bytes) in [
        (EXPLICIT_LE, "OB", &straight[..]),
        (EXPLICIT_LE, "OB", &straight[..9]),
        (EXPLICIT_LE, "OW", &straight),
        (IMPLICIT_LE, "OW", &straight),
        (EXPLICIT_BE, "OB", &straight),
        (EXPLICIT_BE, "OW", &swapped),
    ] {
        let input = memory(odd_frames(encoding, vr, bytes));
        for (frame, expected) in [(0, [1, 2, 3]), (1, [4, 5, 6]), (2, [7, 8, 9])] {
            assert_eq!(values(&decode_frame(&input, frame).expect("decodes")), expected, "{encoding:?} {vr}");
        }
    }
    // The last byte of swapped words is not there.
    assert_eq!(reason(&odd_frames(EXPLICIT_BE, "OW", &swapped[..9])), Some(Reason::PixelLength));
    let mut cut = odd_frames(EXPLICIT_BE, "OW", &swapped);
    cut.pop();
    assert_eq!(fault(cut.clone(), 2).reason, Reason::Truncated);
    assert_eq!(values(&decode_frame(&memory(cut), 1).expect("decodes")), [4, 5, 6]);
}

#[test]
fn words_of_32_bits_have_the_order_of_their_representation() {
    let image = Ct { rows: 1, columns: 2, bits: (32, 32, 31), ..Ct::default() };
    let with = |vr: &str, bytes: &[u8; 8]| {
        let mut set = DataSet { encoding: EXPLICIT_BE, ..image.data_set(EXPLICIT_BE) };
        set.put(tags::PIXEL_DATA, vr, bytes);
        values(&decode(file(syntax::native(EXPLICIT_BE).uid, &set.bytes)).expect("decodes"))
    };
    assert_eq!(with("OW", &[0, 2, 0, 1, 0xFF, 0xFE, 0xFF, 0xFF]), [0x0001_0002, -2]);
    assert_eq!(with("OB", &[0, 1, 0, 2, 0xFF, 0xFF, 0xFF, 0xFE]), [0x0001_0002, -2]);
}

#[test]
fn the_first_frame_of_a_real_file_inflates_to_its_bits() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/syntax/deflated-frames-seg.dcm");
    let Ok(bytes) = std::fs::read(&path) else {
        use std::io::stderr;
        writeln!(stderr(), "skipped: no test images beside the checkout").expect("to stderr");
        return;
    };
    let input = Input::Memory(&bytes);
    let loaded = load::load(&input, &mut Vec::new(), &Recipe::head(), |_, _| false).expect("reads").expect("DICOM");
    assert_eq!(loaded.syntax.map(|syntax| syntax.codec), Some(Codec::DeflatedFrame));
    let Some(PixelData::Encapsulated { offset }) = loaded.header.pixel_data else { panic!("fragments") };
    let starts = Starts::of(Codec::DeflatedFrame, 1);
    let pixel_data = Encapsulated { offset, frames: 3, extended_table: None, starts };
    let frames =
        Frames::Encapsulated(Fragments::walk(&input, &pixel_data, &Recipe::head().limits).expect("three frames"));
    let format = super::format::Format::unsigned(512, 512, 1);
    for frame in 0..3 {
        let mut buffer = Vec::new();
        let bytes = frames.read(&input, &format, frame, &mut buffer).expect("is there");
        let bits = deflated_frame::inflate(bytes, 512 * 512 / 8).expect("inflates");
        assert!(bits.iter().any(|&byte| byte != 0), "frame {frame} is not empty");
    }
}
