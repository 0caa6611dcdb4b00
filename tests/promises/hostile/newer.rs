//! Lies inside the codestreams of real encoders: JPEG XL, JPEG 2000 and its high-throughput form,
//! JPEG of 12 bits and progressive, JPEG lossless and JPEG-LS of 16 bits.

use std::panic::catch_unwind;

use dcmshard::reason::{Fault, Reason};
use dicom_dictionary_std::tags;

use super::codestreams::{BASELINE_UID, J2K_UID, LOSSLESS_UID, LS_UID, XL_UID};
use super::draft::{Draft, Encoding, Table};
use super::encoded::{self, SIDE, bytes};
use super::{decode, stored};

pub const HT_UID: &str = "1.2.840.10008.1.2.4.201";
const XL_LOSSY_UID: &str = "1.2.840.10008.1.2.4.112";
const DCT_12_UID: &str = "1.2.840.10008.1.2.4.51";
const PROGRESSIVE_UID: &str = "1.2.840.10008.1.2.4.55";

/// Every sound codestream of the picture: name, syntax, digits, bits, largest error.
pub const SOUND: [(&str, &str, &str, u16, i32); 16] = [
    ("JPEG XL, lossless", XL_UID, encoded::XL_LOSSLESS, 12, 0),
    ("JPEG XL in boxes", XL_UID, encoded::XL_BOXES, 12, 0),
    ("JPEG XL, lossy", XL_LOSSY_UID, encoded::XL_LOSSY, 12, 60),
    ("JPEG XL of 8 bits", XL_LOSSY_UID, encoded::XL_LOSSY_8, 8, 8),
    ("HT", HT_UID, encoded::HT, 12, 0),
    ("HT, lossy", "1.2.840.10008.1.2.4.203", encoded::HT_LOSSY, 12, 2),
    ("HT in tiles", HT_UID, encoded::HT_TILES, 12, 0),
    ("J2K", J2K_UID, encoded::J2K_LOSSLESS, 12, 0),
    ("J2K, lossy", "1.2.840.10008.1.2.4.91", encoded::J2K_LOSSY, 12, 60),
    ("JPEG of 12 bits", DCT_12_UID, encoded::DCT_12, 12, 16),
    ("JPEG, progressive", PROGRESSIVE_UID, encoded::DCT_PROGRESSIVE, 8, 8),
    ("JPEG with restarts", BASELINE_UID, encoded::DCT_RESTART, 8, 8),
    ("JPEG lossless, predictor 4", LOSSLESS_UID, encoded::LOSSLESS_4, 12, 0),
    ("JPEG lossless, predictor 7", LOSSLESS_UID, encoded::LOSSLESS_7, 12, 0),
    ("JPEG-LS of 16 bits", LS_UID, encoded::LS_16, 12, 0),
    ("JPEG-LS, near 2", "1.2.840.10008.1.2.4.81", encoded::LS_NEAR, 12, 2),
];

/// The form of the picture.
pub fn picture(draft: Draft, bits: u16) -> Draft {
    let draft = draft.size(SIDE, SIDE).us(tags::PIXEL_REPRESENTATION, 0);
    if bits > 8 { draft.bits(16, bits, bits - 1) } else { draft.bits(8, bits, bits - 1) }
}

pub fn cases() -> Table {
    let mut table = Table::default();
    for (name, syntax, digits, bits, _) in SOUND {
        let frame = bytes(digits);
        table.row(&format!("sound: {name}"), |draft| picture(draft, bits).frame(syntax, &frame));
        let wrong = |table: &mut Table, what: &str, reason, change: &dyn Fn(Draft) -> Draft| {
            table.slice(&format!("{name}: {what}"), reason, |draft| change(picture(draft, bits)).frame(syntax, &frame));
        };
        let mismatch = Reason::CodestreamMismatch;
        wrong(&mut table, "a row too few", mismatch, &|draft| draft.us(tags::ROWS, SIDE + 1));
        wrong(&mut table, "a row too many", mismatch, &|draft| draft.us(tags::ROWS, SIDE - 1));
        wrong(&mut table, "4096 by 4096", mismatch, &|draft| draft.size(4096, 4096));
        for end in [1, 2, 12, frame.len() / 4, frame.len() / 2, frame.len() * 3 / 4, frame.len() - 3] {
            let end = &frame[..end];
            table.slice(&format!("{name}: cut after {} bytes", end.len()), Reason::DecodeFailed, |draft| {
                picture(draft, bits).frame(syntax, end)
            });
        }
        for (what, byte) in [("zeros", 0), ("ones", 255)] {
            let flood = [&frame[..2], &[byte; 20_000]].concat();
            let name = format!("{name}: its first two bytes and {what}");
            table.slice(&name, Reason::DecodeFailed, |draft| picture(draft, bits).frame(syntax, &flood));
        }
        table.row(&format!("{name}: zeros behind"), |draft| {
            picture(draft, bits).frame(syntax, &[&frame[..], &[0; 30]].concat())
        });
    }
    xl(&mut table);
    high_throughput(&mut table);
    wavelets(&mut table);
    dct(&mut table);
    losslessly(&mut table);
    table
}

/// Where the first segment of this marker starts: its marker's own place.
fn find(codestream: &[u8], marker: u8) -> usize {
    let mut at = 2;
    while codestream[at + 1] != marker {
        at += 2 + usize::from(u16::from_be_bytes([codestream[at + 2], codestream[at + 3]]));
    }
    at
}

/// The codestream with bytes replaced, `at` counted from the marker.
fn with(codestream: &[u8], marker: u8, at: usize, change: &[u8]) -> Vec<u8> {
    let mut codestream = codestream.to_vec();
    let at = find(&codestream, marker) + at;
    codestream[at..at + change.len()].copy_from_slice(change);
    codestream
}

fn xl(table: &mut Table) {
    let sound = bytes(encoded::XL_LOSSLESS);
    let mut put = |name: &str, reason, frame: &[u8]| {
        table.slice(&format!("JPEG XL: {name}"), reason, |draft| picture(draft, 12).frame(XL_UID, frame));
    };
    // SizeHeader: a bit 0, then twice 2 bits that choose 30 bits, and the bits; 3 bits for the ratio.
    let size = |height: u128, width: u128| {
        let header = 3 << 1 | (height - 1) << 3 | 3 << 36 | (width - 1) << 38;
        [&[0xFF, 0x0A][..], &(header | u128::MAX << 68).to_le_bytes(), &[0xFF; 100]].concat()
    };
    put("2^30 by 2^30", Reason::DecodeFailed, &size(1 << 30, 1 << 30));
    put("1 by 2^30", Reason::DecodeFailed, &size(1, 1 << 30));
    put("65536 by 65536", Reason::DecodeFailed, &size(65536, 65536));
    let boxes = bytes(encoded::XL_BOXES);
    put("a box of length 1 without its long length", Reason::DecodeFailed, &with_box(&boxes, &[0, 0, 0, 1]));
    put("a box of length 7", Reason::DecodeFailed, &with_box(&boxes, &[0, 0, 0, 7]));
    put("boxes without a codestream", Reason::DecodeFailed, &boxes[..32]);
    put("a box called something else", Reason::DecodeFailed, &[&boxes[..36], b"jxlx", &boxes[40..]].concat());
    put("100,000 empty boxes", Reason::DecodeFailed, &[&boxes[..32], &b"\0\0\0\x08free".repeat(100_000)].concat());
    put("two signatures", Reason::DecodeFailed, &[&sound[..2], &sound[..]].concat());
    let inflated: Vec<u8> = [&boxes[..32], &b"\0\0\0\0brobExif"[..], &[0x1B; 1000]].concat();
    put("a box of Brotli to the end", Reason::DecodeFailed, &inflated);
    table.slice("JPEG XL of 12 bits in 8", Reason::CodestreamMismatch, |draft| picture(draft, 8).frame(XL_UID, &sound));
    table.slice("JPEG XL of 12 bits for 16", Reason::CodestreamMismatch, |draft| {
        picture(draft, 16).frame(XL_UID, &sound)
    });
    let past = with_box(&boxes, &[0x7F, 0, 0, 0]);
    table.row("JPEG XL: a box to behind the end", |draft| picture(draft, 12).frame(XL_UID, &past));
    table.row("JPEG XL called recompressed", |draft| picture(draft, 12).frame("1.2.840.10008.1.2.4.111", &sound));
    for uid in ["1.2.840.10008.1.2.4.113", "1.2.840.10008.1.2.4.204", "1.2.840.10008.1.2.4.206"] {
        let name = format!("a syntax of its family that is not known: {uid}");
        table.plan(&name, Reason::TransferSyntax, |draft| picture(draft, 12).frame(uid, &sound));
    }
}

/// The box of the codestream with another length.
fn with_box(boxes: &[u8], length: &[u8; 4]) -> Vec<u8> {
    let at = boxes.windows(4).position(|word| word == b"jxlc").expect("has one") - 4;
    [&boxes[..at], length, &boxes[at + 4..]].concat()
}

fn high_throughput(table: &mut Table) {
    let sound = bytes(encoded::HT);
    let mut put = |name: &str, reason, frame: &[u8]| {
        table.slice(&format!("HT: {name}"), reason, |draft| picture(draft, 12).frame(HT_UID, frame));
    };
    let failed = Reason::DecodeFailed;
    for (name, marker, at, change) in [
        ("33 decompositions", 0x52, 9, &[33][..]),
        ("255 decompositions", 0x52, 9, &[255]),
        ("code blocks of 2^259", 0x52, 10, &[255, 255]),
        ("a tile part of 3 bytes", 0x90, 6, &[0, 0, 0, 3]),
        ("a tile part to behind the end", 0x90, 6, &[127, 255, 255, 255]),
        ("tile 1 of 1", 0x90, 4, &[0, 1]),
        ("no quantization", 0x5C, 1, &[0x64]),
        ("no coding style", 0x52, 1, &[0x64]),
        ("tiles of 0 by 0", 0x51, 22, &[0; 8]),
        ("tiles behind the image", 0x51, 30, &[0, 0, 0, 40, 0, 0, 0, 40]),
    ] {
        put(name, failed, &with(&sound, marker, at, change));
    }
    for (name, at, change) in [
        ("a huge size", 6, &[255; 8][..]),
        ("a huge offset", 14, &[127, 255, 255, 255]),
        ("16384 components", 38, &[64, 0]),
        ("38 bits", 40, &[37]),
        ("128 bits", 40, &[127]),
        ("subsampled", 41, &[2, 2]),
    ] {
        put(name, Reason::CodestreamMismatch, &with(&sound, 0x51, at, change));
    }
    let body = find(&sound, 0x90) + 14;
    let packets = sound.len() - body - 2;
    put("nothing for packets", failed, &[&sound[..body], &[0xFF, 0xD9]].concat());
    let packets_of = |byte| [&sound[..body], &vec![byte; packets], &[0xFF, 0xD9]].concat();
    put("ones for packets", failed, &packets_of(0xFF));
    // Packets may be empty, and what is behind the last one is of no meaning.
    table.row("HT: empty packets", |draft| picture(draft, 12).frame(HT_UID, &packets_of(0)));
    table.row("HT called JPEG 2000", |draft| picture(draft, 12).frame(J2K_UID, &sound));
    table.row("HT called HT with RPCL", |draft| picture(draft, 12).frame("1.2.840.10008.1.2.4.202", &sound));
}

fn wavelets(table: &mut Table) {
    let sound = bytes(encoded::J2K_LOSSLESS);
    let mut put = |name: &str, reason, frame: &[u8]| {
        table.slice(&format!("J2K: {name}"), reason, |draft| picture(draft, 12).frame(J2K_UID, frame));
    };
    let failed = Reason::DecodeFailed;
    for (name, marker, at, change) in [
        ("a progression that is none", 0x52, 5, &[9][..]),
        ("0 layers", 0x52, 6, &[0, 0]),
        ("wavelet 7", 0x52, 13, &[7]),
        ("32 decompositions", 0x52, 9, &[32]),
        ("a tile part index of 255", 0x90, 10, &[255, 1]),
    ] {
        put(name, failed, &with(&sound, marker, at, change));
    }
    put("two size segments", failed, &[&sound[..45], &sound[2..]].concat());
    put("a component of quantization that is not there", failed, &inserted(&sound, 0x5D, &[7, 0x40, 0x60]));
    put("a region of shift 255", failed, &inserted(&sound, 0x5E, &[0, 0, 255]));
    put("packed headers", failed, &inserted(&sound, 0x60, &[0, 0, 0, 0, 9, 1, 2]));
    put("65535 layers", failed, &with(&sound, 0x52, 6, &[255, 255]));
    put("fewer steps than bands", failed, &with(&sound, 0x52, 9, &[5]));
    let comments = super::bombs::segment(0x64, &[0; 10]).repeat(50_000);
    let at = find(&sound, 0x90);
    table.row("J2K: 50,000 comments", |draft| {
        picture(draft, 12).frame(J2K_UID, &[&sound[..at], &comments, &sound[at..]].concat())
    });
    // Precincts of 1 by 1: 16 million of them, each with trees and lists of its own.
    let large = bytes(encoded::J2K_LARGE);
    let at = find(&large, 0x52);
    let precincts = [&large[at + 5..at + 14], &[0; 6]].concat();
    let style = super::bombs::segment(0x52, &[&[1], &precincts[..]].concat());
    let frame = [&large[..at], &style, &large[at + 14..]].concat();
    table.slice("J2K: precincts of 1 by 1 in 4096 by 4096", failed, |draft| {
        picture(draft, 16).size(4096, 4096).frame(J2K_UID, &frame)
    });
    let layers = with(&large, 0x52, 6, &[255, 255]);
    table.slice("J2K: 65535 layers of 4096 by 4096", failed, |draft| {
        picture(draft, 16).size(4096, 4096).frame(J2K_UID, &layers)
    });
}

/// The codestream with one more segment in front of its first tile-part.
fn inserted(codestream: &[u8], marker: u8, body: &[u8]) -> Vec<u8> {
    let at = find(codestream, 0x90);
    [&codestream[..at], &super::bombs::segment(marker, body), &codestream[at..]].concat()
}

fn dct(table: &mut Table) {
    let failed = Reason::DecodeFailed;
    let mut put = |name: &str, digits: &str, change: &dyn Fn(Vec<u8>) -> Vec<u8>| {
        let (_, syntax, _, bits, _) = SOUND.into_iter().find(|sound| sound.2 == digits).expect("in the table");
        let frame = change(bytes(digits));
        table.slice(&format!("DCT: {name}"), failed, |draft| picture(draft, bits).frame(syntax, &frame));
    };
    // Categories: behind the class and 16 counts of a table.
    put("a DC category of 16", encoded::DCT_12, &|frame| with(&frame, 0xC4, 21, &[16, 16, 16]));
    put("a DC category of 255", encoded::DCT_12, &|frame| with(&frame, 0xC4, 21, &[255, 255, 255]));
    put("no quantization table", encoded::DCT_12, &|frame| with(&frame, 0xDB, 1, &[0xFE]));
    put("an AC table that is not there", encoded::DCT_12, &|frame| with(&frame, 0xDA, 6, &[0x03]));
    put("a band that runs backwards", encoded::DCT_PROGRESSIVE, &|frame| with(&frame, 0xDA, 7, &[5, 1]));
    put("bit 14", encoded::DCT_PROGRESSIVE, &|frame| with(&frame, 0xDA, 9, &[0x0E]));
    put("a refinement of nothing", encoded::DCT_PROGRESSIVE, &|frame| with(&frame, 0xDA, 9, &[0x21]));
    put("AC before DC", encoded::DCT_PROGRESSIVE, &|frame| with(&frame, 0xDA, 7, &[1, 5]));
    put("a restart too few", encoded::DCT_RESTART, &|frame| replaced(&frame, &[0xFF, 0xD1], &[]));
    put("restarts where there is none", encoded::DCT_RESTART, &|frame| with(&frame, 0xDD, 4, &[0, 3]));
    put("5000 restarts in one place", encoded::DCT_RESTART, &|frame| {
        replaced(&frame, &[0xFF, 0xD0], &[0xFF, 0xD0].repeat(5000))
    });
    let misnumbered = replaced(&bytes(encoded::DCT_RESTART), &[0xFF, 0xD1], &[0xFF, 0xD5]);
    table.row("DCT: a restart of another number", |draft| picture(draft, 8).frame(BASELINE_UID, &misnumbered));
}

/// The bytes with the last `what` replaced.
fn replaced(bytes: &[u8], what: &[u8], by: &[u8]) -> Vec<u8> {
    let at = bytes.windows(what.len()).rposition(|window| window == what).expect("is there");
    [&bytes[..at], by, &bytes[at + what.len()..]].concat()
}

fn losslessly(table: &mut Table) {
    let failed = Reason::DecodeFailed;
    let sound = bytes(encoded::LOSSLESS_7);
    let mut put = |name: &str, syntax: &'static str, frame: &[u8]| {
        table.slice(&format!("16 bits: {name}"), failed, |draft| picture(draft, 12).frame(syntax, frame));
    };
    put("a category of 17", LOSSLESS_UID, &with(&sound, 0xC4, 21, &[17, 17, 17]));
    put("point transform 16", LOSSLESS_UID, &with(&sound, 0xDA, 9, &[16]));
    put("predictor 8", LOSSLESS_UID, &with(&sound, 0xDA, 7, &[8]));
    let sound = bytes(encoded::LS_16);
    put("a largest value of 3", LS_UID, &with(&sound, 0xF8, 5, &[0, 3]));
    put("a reset of 2", LS_UID, &with(&sound, 0xF8, 13, &[0, 2]));
    put("near above half of the largest value", LS_UID, &{
        let frame = with(&sound, 0xF8, 5, &[0, 100]);
        with(&frame, 0xDA, 7, &[51])
    });
    put("a mapping table", LS_UID, &with(&sound, 0xDA, 6, &[1]));
    put("ones for pixels", LS_UID, &[&sound[..84], &[0xFF; 500]].concat());
}

/// Stored values of the picture's file with this codestream.
fn decoded(syntax: &'static str, bits: u16, frame: &[u8]) -> Result<Vec<i32>, Fault> {
    let file = picture(Draft::new("2.25.1", Encoding::Explicit), bits).frame(syntax, frame).bytes();
    decode(&file, 0).map(|slice| stored(&slice.pixels))
}

#[test]
fn every_encoder_draws_the_same_picture() {
    for (name, syntax, digits, bits, most) in SOUND {
        let found = decoded(syntax, bits, &bytes(digits)).unwrap_or_else(|fault| panic!("{name}: {fault}"));
        let side = usize::from(SIDE);
        let sample = if bits > 8 { encoded::sample } else { encoded::sample_8 };
        let expected = (0..side).flat_map(|row| (0..side).map(move |column| sample(row, column)));
        let error = found.iter().zip(expected).map(|(found, expected)| (found - expected).abs()).max();
        eprintln!("{name}: largest error {error:?}, at most {most}");
        assert!(error <= Some(most), "{name}: {error:?}");
    }
}

/// What is cut out of a codestream is never made up.
#[test]
fn a_codestream_cut_anywhere_is_turned_down_or_the_same_picture() {
    let mut wrong = Vec::new();
    for (name, syntax, digits, bits, _) in SOUND {
        let frame = bytes(digits);
        let whole = decoded(syntax, bits, &frame).expect("decodes");
        let mut same = 0;
        for end in 0..frame.len() {
            match catch_unwind(|| decoded(syntax, bits, &frame[..end])) {
                Ok(Ok(found)) if found == whole => same += 1,
                Ok(Ok(_)) => wrong.push(format!("{name}, cut after {end} of {} bytes: another picture", frame.len())),
                Ok(Err(fault)) if fault.reason == Reason::Internal => wrong.push(format!("{name}, {end}: {fault}")),
                Ok(Err(_)) => {}
                Err(_) => wrong.push(format!("{name}, cut after {end} bytes: a panic")),
            }
        }
        eprintln!("{name}: {} cuts, {same} of them behind what matters", frame.len());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
