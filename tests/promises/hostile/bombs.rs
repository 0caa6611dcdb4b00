//! Small files that ask for much: of memory, of time, of both.

use dcmshard::reason::Reason;
use dicom_dictionary_std::tags;
use flate2::{Compress, Compression, FlushCompress};

use super::codestreams::{BASELINE_UID, J2K_UID, LOSSLESS_UID, LS_UID, XL_UID};
use super::draft::{DEFLATED_UID, Draft, Expected, ITEM, PRIVATE, RLE_UID, Table, deflate, element, lie, meta};
use super::encoded::{J2K_LARGE, XL_LARGE, bytes};

/// The largest side that is taken.
const SIDE: u16 = 4096;
const CELLS: usize = SIDE as usize * SIDE as usize;

pub fn cases() -> Table {
    let mut table = Table::default();
    large_frames(&mut table);
    scans_without_end(&mut table);
    deflated(&mut table);
    table
}

/// A data set that asks for as much as any may.
fn large(draft: Draft) -> Draft {
    draft.size(SIDE, SIDE).us(tags::PIXEL_REPRESENTATION, 0)
}

/// A marker segment.
pub fn segment(marker: u8, body: &[u8]) -> Vec<u8> {
    [&[0xFF, marker][..], &(body.len() as u16 + 2).to_be_bytes(), body].concat()
}

/// A start of frame of one component.
fn frame_header(marker: u8, bits: u8, side: u16) -> Vec<u8> {
    let [high, low] = side.to_be_bytes();
    segment(marker, &[bits, high, low, high, low, 1, 1, 0x11, 0])
}

/// A Huffman table of one code of one bit.
fn one_code(class: u8, symbol: u8) -> Vec<u8> {
    segment(0xC4, &[&[class, 1][..], &[0; 15], &[symbol]].concat())
}

fn scan(data: &[u8], band: [u8; 3]) -> Vec<u8> {
    [segment(0xDA, &[&[1, 1, 0][..], &band].concat()), data.to_vec()].concat()
}

fn jpeg(parts: &[&[u8]]) -> Vec<u8> {
    [&[0xFF, 0xD8], parts.concat().as_slice(), &[0xFF, 0xD9]].concat()
}

/// Zeros of 4096 by 4096, packed as small as each codec can.
fn large_frames(table: &mut Table) {
    let run = [129u8, 0].repeat(CELLS / 128);
    let offsets = [2, 64, 64 + run.len() as u32].into_iter().chain([0; 13]).flat_map(u32::to_le_bytes);
    let rle: Vec<u8> = offsets.chain(run.repeat(2)).collect();
    table.row("RLE of 4096 by 4096", |draft| large(draft).frame(RLE_UID, &rle));

    let zero_bits = vec![0; CELLS / 8];
    let lossless = jpeg(&[&frame_header(0xC3, 16, SIDE), &one_code(0, 0), &scan(&zero_bits, [1, 0, 0])]);
    table.row("JPEG lossless of 4096 by 4096", |draft| large(draft).frame(LOSSLESS_UID, &lossless));

    let steps = segment(0xDB, &[&[0][..], &[1; 64]].concat());
    let codes = [one_code(0, 0), one_code(0x10, 0)].concat();
    let blocks = vec![0; CELLS / 64 * 2 / 8];
    let baseline = jpeg(&[&steps, &frame_header(0xC0, 8, SIDE), &codes, &scan(&blocks, [0, 63, 0])]);
    table.row("JPEG baseline of 4096 by 4096", |draft| large(draft).bits(8, 8, 7).frame(BASELINE_UID, &baseline));

    let ones = [0xFF, 0x7F].repeat(279);
    let ls = jpeg(&[&frame_header(0xF7, 16, SIDE), &segment(0xDA, &[1, 1, 0, 0, 0, 0]), &ones]);
    table.row("JPEG-LS of 4096 by 4096", |draft| large(draft).frame(LS_UID, &ls));

    table.row("JPEG 2000 of 4096 by 4096", |draft| large(draft).frame(J2K_UID, &bytes(J2K_LARGE)));
    table.row("JPEG XL of 4096 by 4096", |draft| large(draft).frame(XL_UID, &bytes(XL_LARGE)));
    table.file("deflated, 4096 by 4096", Expected::Row, |draft| {
        let draft = large(draft).lie(tags::PIXEL_DATA, "OW", 2 * CELLS as u32, b"");
        deflated_file(&zeros_behind(&draft.data_set(), 2 * CELLS))
    });
}

/// Progressive frames whose scans cost a few bytes and pass over every block.
fn scans_without_end(table: &mut Table) {
    let steps = segment(0xDB, &[&[0][..], &[1; 64]].concat());
    let start = [steps, frame_header(0xC2, 8, 2048), one_code(0, 0)].concat();
    let blocks = 2048 * 2048 / 64;
    let dc = scan(&vec![0; blocks / 8], [0, 0, 0]);
    // The code 0 ends 32767 blocks at once; two of them and one of the rest end all 65,536.
    let runs = one_code(0x10, 0xE0);
    let run_bits = format!("0{:014b}", 16383).repeat(2) + &format!("0{:014b}", 0);
    let all: Vec<u8> = run_bits.as_bytes().chunks(8).flat_map(|bits| stuffed(byte(bits))).collect();
    let put = |draft: Draft, parts: &[&[u8]]| {
        large(draft).size(2048, 2048).bits(8, 8, 7).frame("1.2.840.10008.1.2.4.55", &jpeg(parts))
    };
    let bits_of = |band: u8| {
        let first = scan(&all, [band, band, 13]);
        let refined = (0..13u8).rev().map(|low| scan(&all, [band, band, (low + 1) << 4 | low]));
        [first].into_iter().chain(refined).collect::<Vec<_>>().concat()
    };
    let every: Vec<u8> = (1..64).flat_map(bits_of).collect();
    table.row("progressive, as many scans as there may be", |draft| put(draft, &[&start, &dc, &runs, &every]));
    let again = scan(&all, [1, 63, 0]).repeat(10_000);
    table.slice("progressive, one scan 10,000 times", Reason::DecodeFailed, |draft| {
        put(draft, &[&start, &dc, &runs, &again])
    });
    let tables = one_code(0x10, 0xE0).repeat(50_000);
    table.row("50,000 Huffman tables", |draft| put(draft, &[&start, &tables, &dc, &runs, &scan(&all, [1, 63, 0])]));
    let many = dc.repeat(3);
    table.slice("progressive, DC three times", Reason::DecodeFailed, |draft| put(draft, &[&start, &many]));
}

/// The byte of up to eight bits, filled up with ones.
fn byte(bits: &[u8]) -> u8 {
    let ones = bits.iter().copied().chain([b'1'; 8]).take(8);
    ones.fold(0, |byte, bit| byte << 1 | (bit - b'0'))
}

fn stuffed(byte: u8) -> Vec<u8> {
    if byte == 0xFF { vec![byte, 0] } else { vec![byte] }
}

fn deflated_file(content: &[u8]) -> Vec<u8> {
    [&[0; 128][..], b"DICM", &meta(DEFLATED_UID), content].concat()
}

/// These bytes and zeros behind them, deflated.
fn zeros_behind(start: &[u8], zeros: usize) -> Vec<u8> {
    let mut compress = Compress::new(Compression::best(), false);
    let mut out = Vec::new();
    let pieces = std::iter::repeat_n(vec![0; 1 << 20], zeros >> 20).chain([vec![0; zeros % (1 << 20)]]);
    for piece in std::iter::once(start.to_vec()).chain(pieces) {
        out.reserve(piece.len() + 1000);
        compress.compress_vec(&piece, &mut out, FlushCompress::None).expect("to memory");
    }
    out.reserve(1000);
    compress.compress_vec(&[], &mut out, FlushCompress::Finish).expect("to memory");
    out
}

fn deflated(table: &mut Table) {
    table.file("deflated, 8 frames of 4096 by 4096", Expected::Slice(Reason::LimitExceeded), |draft| {
        let draft = large(draft).text(tags::NUMBER_OF_FRAMES, "IS", "8");
        let draft = draft.lie(tags::PIXEL_DATA, "OW", 16 * CELLS as u32, b"");
        deflated_file(&zeros_behind(&draft.data_set(), 16 * CELLS))
    });
    table.file("deflated five times", Expected::Plan(Reason::Truncated), |draft| {
        let inner = (0..5).fold(zeros_behind(&draft.data_set(), 64 << 20), |bytes, _| deflate(&bytes));
        deflated_file(&inner)
    });
    table.file("deflated with a million empty elements", Expected::Plan(Reason::LimitExceeded), |draft| {
        draft.raw(PRIVATE, element(PRIVATE, "LO", b"").repeat(1_000_000)).deflated()
    });
    table.file("deflated with a million items", Expected::Plan(Reason::LimitExceeded), |draft| {
        let items = element(ITEM, "", b"").repeat(1_000_000);
        draft.raw(PRIVATE, lie(PRIVATE, "SQ", u32::MAX, &items)).deflated()
    });
    table.file("deflated with 100,000 levels", Expected::Plan(Reason::LimitExceeded), |draft| {
        let level = [lie(PRIVATE, "SQ", u32::MAX, b""), lie(ITEM, "", u32::MAX, b"")].concat();
        draft.raw(PRIVATE, level.repeat(100_000)).deflated()
    });
    table.file("deflated, one flipped bit", Expected::Plan(Reason::MalformedHeader), |draft| {
        let mut content = deflate(&draft.data_set());
        content[0] |= 6; // a block of the type that is none
        deflated_file(&content)
    });
    table.file("deflated into nothing", Expected::Plan(Reason::NotCtImage), |_| deflated_file(&deflate(b"")));
    table.file("deflated, no stream", Expected::Plan(Reason::MalformedHeader), |_| deflated_file(b""));
}
