//! Lies inside compressed frames.

use dcmshard::reason::Reason;
use dicom_dictionary_std::tags;
use flate2::{Compress, Compression, FlushCompress};

use super::draft::{DEFLATED_UID, Draft, Expected, PRIVATE, RLE_UID, Table, deflate, element, lie, meta};

pub const LOSSLESS_UID: &str = "1.2.840.10008.1.2.4.70";
pub const BASELINE_UID: &str = "1.2.840.10008.1.2.4.50";
pub const LS_UID: &str = "1.2.840.10008.1.2.4.80";
pub const J2K_UID: &str = "1.2.840.10008.1.2.4.90";
pub const XL_UID: &str = "1.2.840.10008.1.2.4.110";

/// 8x8 cells of 16 bits: a segment of two runs, and one of 64 literals.
pub fn rle() -> Vec<u8> {
    let words = [2u32, 64, 68].into_iter().chain([0; 13]).flat_map(u32::to_le_bytes);
    words.chain([225, 0, 225, 0, 63]).chain(0..64).collect()
}

/// 8x8 cells of 16 bits, JPEG lossless: every difference is 0, and has the code 0.
#[rustfmt::skip]
pub fn lossless() -> Vec<u8> {
    let mut bytes = vec![
        0xFF, 0xD8,
        0xFF, 0xC3, 0, 11, 16, 0, 8, 0, 8, 1, 1, 0x11, 0,
        0xFF, 0xC4, 0, 20, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0xFF, 0xDD, 0, 4, 0, 0,
        0xFF, 0xDA, 0, 8, 1, 1, 0, 1, 0, 0,
    ];
    bytes.extend([0; 8]);
    bytes.extend([0xFF, 0xD9]);
    bytes
}

/// 8x8 samples of 100, 8 bits, written by libjpeg.
#[rustfmt::skip]
pub const BASELINE: [u8; 160] = [
    255, 216, 255, 224, 0, 16, 74, 70, 73, 70, 0, 1, 1, 0, 0, 1, 0, 1, 0, 0,
    255, 219, 0, 67, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
    1, 1, 1, 1, 1, 1, 1, 1, 1, 255, 192, 0, 11, 8, 0, 8, 0, 8, 1, 1,
    17, 0, 255, 196, 0, 20, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 8, 255, 196, 0, 20, 16, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 255, 218, 0, 8, 1, 1, 0, 0, 63, 0, 15, 191, 255, 217,
];

/// The example of T.87 annex H.3: 4x4 samples of 8 bits.
#[rustfmt::skip]
pub const LS: [u8; 57] = [
    0xFF, 0xD8, 0xFF, 0xF7, 0x00, 0x0B, 0x08, 0x00, 0x04, 0x00, 0x04, 0x01, 0x01, 0x11, 0x00, 0xFF, 0xDA, 0x00,
    0x08, 0x01, 0x01, 0x00, 0x00, 0x00, 0x00, 0xC0, 0x00, 0x00, 0x6C, 0x80, 0x20, 0x8E, 0x01, 0xC0, 0x00, 0x00,
    0x57, 0x40, 0x00, 0x00, 0x6E, 0xE6, 0x00, 0x00, 0x01, 0xBC, 0x18, 0x00, 0x00, 0x05, 0xD8, 0x00, 0x00, 0x91,
    0x60, 0xFF, 0xD9,
];

/// 32x32 samples of 13 bits, written by OpenJPEG.
#[rustfmt::skip]
pub const J2K: [u8; 190] = [
    255, 79, 255, 81, 0, 41, 0, 0, 0, 0, 0, 32, 0, 0, 0, 32, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 32, 0, 0, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 1, 12, 1, 1, 255, 82, 0, 12, 0, 0, 0, 1, 0, 5, 4, 4, 0, 1, 255,
    92, 0, 19, 64, 104, 112, 112, 120, 112, 112, 120, 112, 112, 120, 112, 112, 120, 112, 112, 120,
    255, 144, 0, 10, 0, 0, 0, 0, 0, 108, 0, 1, 255, 147, 207, 240, 6, 4, 25, 127,
    207, 252, 0, 12, 8, 16, 191, 199, 248, 8, 0, 1, 91, 77, 206, 10, 237, 78, 127, 207,
    252, 0, 56, 23, 216, 117, 130, 113, 23, 64, 102, 21, 35, 207, 106, 21, 111, 207, 252, 0,
    96, 34, 26, 15, 35, 46, 50, 22, 175, 189, 118, 41, 143, 45, 209, 29, 35, 122, 217, 72,
    33, 17, 73, 65, 35, 199, 248, 19, 0, 54, 158, 65, 170, 189, 154, 51, 0, 0, 0, 6,
    82, 164, 191, 146, 17, 161, 21, 131, 255, 217,
];

/// A codestream with some of its bytes replaced.
fn with(codestream: &[u8], at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut codestream = codestream.to_vec();
    codestream[at..at + bytes.len()].copy_from_slice(bytes);
    codestream
}

/// The form that each codestream asks of the data set.
pub fn form(draft: Draft, syntax: &str) -> Draft {
    match syntax {
        BASELINE_UID => draft.bits(8, 8, 7),
        LS_UID => draft.bits(8, 8, 7).size(4, 4),
        J2K_UID => draft.bits(16, 13, 12).size(32, 32),
        _ => draft,
    }
}

pub fn cases() -> Table {
    let mut table = Table::default();
    run_lengths(&mut table);
    jpeg_lossless(&mut table);
    jpeg_baseline(&mut table);
    jpeg_ls(&mut table);
    jpeg_2000(&mut table);
    deflated(&mut table);
    for (name, frame) in [("nothing", vec![]), ("zeros", vec![0; 999]), ("ones", vec![255; 999])] {
        for (syntax, reason) in [
            (RLE_UID, if name == "nothing" { Reason::DecodeFailed } else { Reason::CodestreamMismatch }),
            (LOSSLESS_UID, Reason::DecodeFailed),
            (BASELINE_UID, Reason::DecodeFailed),
            (LS_UID, Reason::DecodeFailed),
            (J2K_UID, Reason::DecodeFailed),
            (XL_UID, Reason::DecodeFailed),
        ] {
            let name = format!("{name} for a frame of {syntax}");
            table.slice(&name, reason, |draft| form(draft, syntax).frame(syntax, &frame));
        }
    }
    for syntax in [LOSSLESS_UID, BASELINE_UID, LS_UID, J2K_UID, XL_UID] {
        table.plan(&format!("32 bits in {syntax}"), Reason::PixelFormat, |draft| {
            draft.bits(32, 32, 31).frame(syntax, b"ab")
        });
    }
    table.slice("RLE called JPEG", Reason::DecodeFailed, |draft| draft.frame(LOSSLESS_UID, &rle()));
    table.slice("JPEG called RLE", Reason::CodestreamMismatch, |draft| {
        draft.frame(RLE_UID, &[lossless(), lossless()].concat())
    });
    table
}

fn run_lengths(table: &mut Table) {
    let frame = rle();
    for segments in [0u32, 1, 3, 16, u32::MAX] {
        let changed = with(&frame, 0, &segments.to_le_bytes());
        let name = format!("{segments} RLE segments");
        table.slice(&name, Reason::CodestreamMismatch, |draft| draft.frame(RLE_UID, &changed));
    }
    for (name, at, offset) in [
        ("first offset 0", 4, 0u32),
        ("first offset 63", 4, 63),
        ("first offset behind the second", 4, 140),
        ("first offset the largest", 4, u32::MAX),
        ("second offset 0", 8, 0),
        ("second offset behind the end", 8, 4000),
        ("second offset the largest", 8, u32::MAX),
        ("second offset at the end", 8, 133),
    ] {
        let changed = with(&frame, at, &offset.to_le_bytes());
        table.slice(&format!("RLE {name}"), Reason::DecodeFailed, |draft| draft.frame(RLE_UID, &changed));
    }
    for end in [63, 64, 70, frame.len() - 1] {
        let name = format!("RLE cut after {end} bytes");
        table.slice(&name, Reason::DecodeFailed, |draft| draft.frame(RLE_UID, &frame[..end]));
    }
    table.slice("RLE of void bytes", Reason::DecodeFailed, |draft| {
        draft.frame(RLE_UID, &[&frame[..68], &[128; 100_000]].concat())
    });
    table.row("RLE and more behind", |draft| draft.frame(RLE_UID, &[&frame[..], &[7; 1000]].concat()));
    table.slice("RLE of 4096 by 4096 that is not there", Reason::DecodeFailed, |draft| {
        draft.size(4096, 4096).frame(RLE_UID, &frame)
    });
    table.slice("RLE of 2 segments for 8 bits", Reason::CodestreamMismatch, |draft| {
        draft.bits(8, 8, 7).frame(RLE_UID, &frame)
    });
}

fn jpeg_lossless(table: &mut Table) {
    let frame = lossless();
    table.row("JPEG lossless", |draft| draft.frame(LOSSLESS_UID, &frame));
    table.row("a flood of fill bytes", |draft| {
        draft.frame(LOSSLESS_UID, &[&frame[..2], &[0xFF; 100_000], &frame[2..]].concat())
    });
    table.row("a comment", |draft| {
        draft.frame(LOSSLESS_UID, &[&frame[..2], &[0xFF, 0xFE, 0, 4, 65, 65], &frame[2..]].concat())
    });
    let mut lie = |name: &str, reason, frame: Vec<u8>| {
        table.slice(&format!("JPEG lossless: {name}"), reason, |draft| draft.frame(LOSSLESS_UID, &frame));
    };
    for (name, at, bytes) in [
        ("7 rows", 7, &[0, 7][..]),
        ("9 rows", 7, &[0, 9]),
        ("65535 by 65535", 7, &[255; 4]),
        ("0 columns", 9, &[0, 0]),
        ("3 components", 11, &[3]),
        ("0 components", 11, &[0]),
        ("12 bits", 6, &[12]),
        ("17 bits", 6, &[17]),
        ("255 bits", 6, &[255]),
        ("baseline", 3, &[0xC0]),
        ("progressive", 3, &[0xC2]),
        ("arithmetic", 3, &[0xC9]),
        ("arithmetic lossless", 3, &[0xCB]),
    ] {
        lie(name, Reason::CodestreamMismatch, with(&frame, at, bytes));
    }
    let scan = frame.len() - 20;
    for (name, at, bytes) in [
        ("no start of image", 0, &[0xFF, 0xD7][..]),
        ("no start of frame", 3, &[0xFE]),
        ("no Huffman table", 16, &[0xFE]),
        ("a category of 17", 36, &[17]),
        ("a category of 255", 36, &[255]),
        ("more codes than bits", 20, &[3]),
        ("a table of 4080 symbols", 20, &[255; 16]),
        ("a segment of length 0", 17, &[0, 0]),
        ("a segment of length 1", 17, &[0, 1]),
        ("a segment to behind the end", 17, &[255, 255]),
        ("restarts inside a row", 41, &[0, 3]),
        ("restarts without markers", 41, &[0, 8]),
        ("predictor 0", scan + 7, &[0]),
        ("predictor 8", scan + 7, &[8]),
        ("point transform 16", scan + 9, &[16]),
        ("point transform 255", scan + 9, &[255]),
        ("a scan of 3 components", scan + 4, &[3]),
        ("table 15", scan + 6, &[0xF0]),
        ("ones for pixels", scan + 10, &[0xFF; 8]),
        ("codes that are not in the table", scan + 10, &[0xFE; 8]),
    ] {
        lie(name, Reason::DecodeFailed, with(&frame, at, bytes));
    }
    for end in [1, 2, 3, 14, 30, scan, scan + 9, scan + 10, scan + 17] {
        lie(&format!("cut after {end} bytes"), Reason::DecodeFailed, frame[..end].to_vec());
    }
    lie("restart markers only", Reason::DecodeFailed, [&frame[..scan + 10], &[0xFF, 0xD0].repeat(5000)].concat());
    lie("a scan before its frame", Reason::DecodeFailed, [&frame[..2], &frame[scan..]].concat());
    lie("a flood of ones", Reason::DecodeFailed, [&frame[..2], &[0xFF; 100_000][..]].concat());
}

fn jpeg_baseline(table: &mut Table) {
    let put = |draft: Draft, frame: &[u8]| form(draft, BASELINE_UID).frame(BASELINE_UID, frame);
    table.row("JPEG baseline", |draft| put(draft, &BASELINE));
    table.row("JPEG extended of 8 bits", |draft| put(draft, &with(&BASELINE, 90, &[0xC1])));
    for (name, at, bytes) in [
        ("lossless", 90, &[0xC3][..]),
        ("arithmetic", 90, &[0xC9]),
        ("12 bits", 93, &[12]),
        ("16 rows", 94, &[0, 16]),
        ("4 columns", 96, &[0, 4]),
        ("65500 by 65500", 94, &[255, 220, 255, 220]),
        ("3 components", 98, &[3]),
    ] {
        let frame = with(&BASELINE, at, bytes);
        table.slice(&format!("JPEG baseline: {name}"), Reason::CodestreamMismatch, |draft| put(draft, &frame));
    }
    for (name, at, bytes) in [
        ("sequential, called progressive", 90, &[0xC2][..]),
        ("sampling 0", 100, &[0][..]),
        ("quantization table 9", 101, &[9]),
        ("no Huffman table", 103, &[0xFE]),
        ("no pixels", 150, &[0xFF, 0xD9]),
    ] {
        let frame = with(&BASELINE, at, bytes);
        table.slice(&format!("JPEG baseline: {name}"), Reason::DecodeFailed, |draft| put(draft, &frame));
    }
    for end in [2, 20, 89, 120, 145] {
        let name = format!("JPEG baseline cut after {end} bytes");
        table.slice(&name, Reason::DecodeFailed, |draft| put(draft, &BASELINE[..end]));
    }
}

fn jpeg_ls(table: &mut Table) {
    let put = |draft: Draft, frame: &[u8]| form(draft, LS_UID).frame(LS_UID, frame);
    table.row("JPEG-LS", |draft| put(draft, &LS));
    for (name, at, bytes) in [
        ("5 rows", 7, &[0, 5][..]),
        ("3 columns", 9, &[0, 3]),
        ("2 bits", 6, &[2]),
        ("16 bits", 6, &[16]),
        ("3 components", 11, &[3]),
        ("JPEG lossless", 3, &[0xC3]),
    ] {
        let frame = with(&LS, at, bytes);
        table.slice(&format!("JPEG-LS: {name}"), Reason::CodestreamMismatch, |draft| put(draft, &frame));
    }
    let preset = |values: [u16; 5]| {
        let body: Vec<u8> = values.into_iter().flat_map(u16::to_be_bytes).collect();
        [&LS[..15], &[0xFF, 0xF8, 0, 13, 1], &body, &LS[15..]].concat()
    };
    for (name, frame) in [
        ("near 128", with(&LS, 22, &[128])),
        ("near 255", with(&LS, 22, &[255])),
        ("interleaved", with(&LS, 23, &[1])),
        ("a scan of 2 components", with(&LS, 19, &[2])),
        ("reset 1", preset([255, 3, 7, 21, 1])),
        ("thresholds that descend", preset([255, 21, 7, 3, 64])),
        ("a largest value of 16 bits", preset([65535, 3, 7, 21, 64])),
        ("a mapping table", [&LS[..15], &[0xFF, 0xF8, 0, 6, 2, 1, 1, 1], &LS[15..]].concat()),
        ("preset parameters cut", [&LS[..15], &[0xFF, 0xF8, 0, 5, 1, 0, 0], &LS[15..]].concat()),
        ("restarts without markers", [&LS[..15], &[0xFF, 0xDD, 0, 4, 0, 2], &LS[15..]].concat()),
        ("zeros for pixels", [&LS[..25], &[0; 500]].concat()),
        ("nothing for pixels", LS[..25].to_vec()),
        ("cut", LS[..40].to_vec()),
    ] {
        table.slice(&format!("JPEG-LS: {name}"), Reason::DecodeFailed, |draft| put(draft, &frame));
    }
}

fn jpeg_2000(table: &mut Table) {
    let put = |draft: Draft, frame: &[u8]| form(draft, J2K_UID).frame(J2K_UID, frame);
    table.row("JPEG 2000", |draft| put(draft, &J2K));
    table.row("JPEG 2000 called high-throughput", |draft| form(draft, J2K_UID).frame("1.2.840.10008.1.2.4.201", &J2K));
    for (name, at, bytes) in [
        ("33 columns", 8, &[0, 0, 0, 33][..]),
        ("a huge size", 8, &[255; 8]),
        ("a huge offset", 16, &[127, 255, 255, 255]),
        ("4 components", 40, &[0, 4]),
        ("0 components", 40, &[0, 0]),
        ("16384 components", 40, &[64, 0]),
        ("38 bits", 42, &[37]),
        ("12 bits", 42, &[11]),
        ("subsampled", 43, &[2, 2]),
        ("steps of 0", 43, &[0, 0]),
    ] {
        let frame = with(&J2K, at, bytes);
        table.slice(&format!("JPEG 2000: {name}"), Reason::CodestreamMismatch, |draft| put(draft, &frame));
    }
    for (name, at, bytes) in [
        ("tiles of 1 by 1", 24, &[0, 0, 0, 1, 0, 0, 0, 1][..]),
        ("tiles of 0 by 0", 24, &[0; 8]),
        ("tiles behind the image", 32, &[0, 0, 0, 40, 0, 0, 0, 40]),
        ("33 decompositions", 54, &[33]),
        ("255 decompositions", 54, &[255]),
        ("code blocks of 2^259", 55, &[255, 255]),
        ("no coding style", 46, &[100]),
        ("a second tile that is not there", 24, &[0, 0, 0, 16]),
        ("tile 65535", 84, &[255, 255]),
        ("a tile part to behind the end", 86, &[127, 255, 255, 255]),
    ] {
        let frame = with(&J2K, at, bytes);
        table.slice(&format!("JPEG 2000: {name}"), Reason::DecodeFailed, |draft| put(draft, &frame));
    }
    let empty = with(&with(&J2K, 86, &[0, 0, 0, 14]), 94, &[0xFF, 0xD9]);
    table.slice("JPEG 2000: a tile of no data", Reason::DecodeFailed, |draft| put(draft, &empty));
    table.slice("JPEG 2000: a tile of no data, cut", Reason::DecodeFailed, |draft| put(draft, &empty[..96]));
    let tiny = with(&with(&J2K, 8, &[0, 0, 16, 0, 0, 0, 16, 0]), 24, &[0, 0, 0, 1, 0, 0, 0, 1]);
    table.slice("JPEG 2000: 16 million tiles", Reason::LimitExceeded, |draft| {
        form(draft, J2K_UID).size(4096, 4096).frame(J2K_UID, &tiny)
    });
    for end in [4, 30, 60, 100, 150] {
        let name = format!("JPEG 2000 cut after {end} bytes");
        table.slice(&name, Reason::DecodeFailed, |draft| put(draft, &J2K[..end]));
    }
    for (name, length) in [("0", [0u8; 4]), ("3", [0, 0, 0, 3]), ("4 GB", [255; 4])] {
        let frame = [&length, &b"jp2h"[..], &J2K].concat();
        let name = format!("JPEG 2000 behind a box of {name}");
        table.slice(&name, Reason::DecodeFailed, |draft| put(draft, &frame));
    }
}

fn deflated(table: &mut Table) {
    let file = |content: &[u8]| [&[0; 128][..], b"DICM", &meta(DEFLATED_UID), content].concat();
    table.file("deflated", Expected::Row, |draft| draft.deflated());
    table.file("deflated and more behind", Expected::Row, |draft| [draft.deflated(), vec![7; 500]].concat());
    table.file("deflated and 1 GB of zeros behind the pixels", Expected::Row, |draft| file(&bomb(&draft.data_set())));
    table.file("deflated with a value of 1 GB", Expected::Plan(Reason::LimitExceeded), |draft| {
        file(&bomb(
            &draft.without(tags::PIXEL_DATA).tail(&lie(tags::PIXEL_DATA_PROVIDER_URL, "UT", 1 << 30, b"")).data_set(),
        ))
    });
    table.file("deflated with 1 GB in a sequence", Expected::Plan(Reason::LimitExceeded), |draft| {
        file(&bomb(
            &draft.without(tags::PIXEL_DATA).tail(&lie(tags::PIXEL_DATA_PROVIDER_URL, "SQ", 1 << 30, b"")).data_set(),
        ))
    });
    table.file("deflated with 17 MiB of header", Expected::Plan(Reason::LimitExceeded), |draft| {
        draft.raw(PRIVATE, element(PRIVATE, "OB", &vec![0; 1 << 20]).repeat(17)).deflated()
    });
    table.file("called deflated", Expected::Plan(Reason::MalformedHeader), |draft| file(&draft.data_set()));
    table.file("deflated, pixels short", Expected::Plan(Reason::PixelLength), |draft| {
        draft.pixels(&[0; 127]).deflated()
    });
    table.file("deflated, cut behind its header", Expected::Slice(Reason::Truncated), |draft| {
        let all = draft.data_set();
        file(&deflate(&all[..all.len() - 64]))
    });
    table.file("deflated, 512 MiB that are not there", Expected::Slice(Reason::LimitExceeded), |draft| {
        let draft = draft.size(4096, 4096).text(tags::NUMBER_OF_FRAMES, "IS", "16");
        draft.lie(tags::PIXEL_DATA, "OW", 1 << 29, &[0; 1000]).deflated()
    });
}

/// These bytes and 1000 times 1 MB of zeros, deflated.
fn bomb(start: &[u8]) -> Vec<u8> {
    let piece = |bytes: &[u8], flush| {
        let mut out = Vec::with_capacity(bytes.len() + 1000);
        let mut compress = Compress::new(Compression::best(), false);
        compress.compress_vec(bytes, &mut out, flush).expect("to memory");
        out
    };
    // After a full flush nothing refers to what came before: pieces can be strung together.
    let zeros = piece(&vec![0; 1_000_000], FlushCompress::Full);
    [piece(start, FlushCompress::Full), zeros.repeat(1000), piece(b"", FlushCompress::Finish)].concat()
}
