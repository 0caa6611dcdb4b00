//! JPEG 2000 and high-throughput JPEG 2000, one component of 1 to 16 bits.
//!
//! ```text
//! boxes -> size, parameters -> tile-parts -> progression -> packets -> code-blocks -> transform -> cells
//! ```
//!
//! A codestream of which a packet is missing is a fault: no sample is made up. Memory is bounded by the
//! pixels, whatever the codestream says (see `codestream::working_bytes`), time by pixels and bytes.
//!
//! Not taken: packet headers apart from their packets (PPM, PPT), tiles whose code-blocks are of both
//! coders, several sets of high-throughput passes, and more than 30 bit planes of a code-block.
//!
//! # Source
//! T.800, T.814; annex I of T.800 for the JP2 boxes that some files have around the codestream.

mod contexts;
mod ht;
mod ht_bits;
mod ht_tables;
mod layout;
mod mq;
mod packet_bits;
mod packets;
mod parameters;
mod progression;
mod size;
mod tag_tree;
mod tier1;
mod tile;
mod wavelet;

use parameters::{Parameters, SOT};
use size::Size;

use super::codestream::failed;
use super::format::{Cells, Format};
use crate::reason::Fault;

/// Start of codestream, then SIZ.
const START: &[u8] = &[0xFF, 0x4F, 0xFF, 0x51];

/// Cells of one frame: the low bits of each sample, so that the sign is the data set's to say.
///
/// # Errors
/// Reason `codestream_mismatch` where the frame's header does not agree with the data set,
/// `limit_exceeded` for too many tiles, precincts or code-blocks, `decode_failed` where the codestream is
/// damaged.
pub(crate) fn decode(frame: &[u8], format: &Format) -> Result<Cells, Fault> {
    let codestream = codestream_of(frame).ok_or_else(|| failed("no JPEG 2000 codestream in the frame"))?;
    let (_, body, mut rest) = parameters::segment(codestream.get(2..).unwrap_or_default())?;
    let size = Size::of(body, format)?;
    let mut main = Parameters::default();
    while rest.get(1) != Some(&SOT) {
        let (marker, body, after) = parameters::segment(rest)?;
        main.take(marker, body)?;
        rest = after;
    }
    let parts = tile::tile_parts(codestream, codestream.len() - rest.len(), &size)?;
    let mut cells = vec![0; format.pixels()];
    let mut decoder = tile::Decoder::default();
    for parts in parts.chunk_by(|a, b| a.tile == b.tile) {
        decoder.tile(codestream, &size, &main, parts, &mut cells)?;
    }
    Ok(Cells::Narrow(cells))
}

/// The codestream, out of its JP2 boxes where it has some.
fn codestream_of(frame: &[u8]) -> Option<&[u8]> {
    let mut rest = frame;
    while !rest.starts_with(START) {
        let (&length, after) = rest.split_first_chunk::<4>()?;
        let (&kind, after) = after.split_first_chunk::<4>()?;
        let (length, content) = match u32::from_be_bytes(length) {
            0 => (rest.len(), after),
            1 => {
                let (&long, after) = after.split_first_chunk::<8>()?;
                (usize::try_from(u64::from_be_bytes(long)).ok()?, after)
            }
            length => (length as usize, after),
        };
        if length < 8 {
            return None;
        }
        rest = if kind == *b"jp2c" { content } else { rest.get(length..)? };
        if kind == *b"jp2c" && !rest.starts_with(START) {
            return None;
        }
    }
    Some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reason::Reason;
    use crate::slice::Pixels;

    /// 32x32 unsigned samples of 13 bits, lossless, written by OpenJPEG: the left half 8191, the right
    /// half 100.
    #[rustfmt::skip]
    const FRAME: [u8; 190] = [
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

    fn format(columns: u32, is_signed: bool) -> Format {
        Format {
            rows: 32,
            columns,
            frames: 1,
            bits_allocated: 16,
            bits_stored: 13,
            high_bit: 12,
            is_signed,
            is_turned: false,
        }
    }

    fn samples() -> Vec<u16> {
        [[8191; 16], [100; 16]].concat().repeat(32)
    }

    #[test]
    fn samples_are_the_stored_bits_whatever_sign_the_codestream_has() {
        let cells = decode(&FRAME, &format(32, false)).expect("decodes");
        assert_eq!(cells, Cells::Narrow(samples()));
        let Ok(Pixels::I16(values)) = cells.stored(&format(32, true)) else { panic!("signed values") };
        assert_eq!((values[[0, 0, 0]], values[[0, 31, 31]]), (-1, 100));
    }

    #[test]
    fn boxes_around_the_codestream_are_stepped_over() {
        let boxed = [&[0, 0, 0, 12][..], b"jP  \r\n\x87\n", &[0, 0, 0, 0], b"jp2c", &FRAME].concat();
        assert_eq!(decode(&boxed, &format(32, false)), Ok(Cells::Narrow(samples())));
        assert_eq!(codestream_of(&[0, 0, 0, 3, 1, 2, 3, 4]), None);
        assert_eq!(codestream_of(&[0, 0, 0, 1, b'j', b'p', b'2', b'c', 255, 255, 255, 255, 255, 255, 255, 255]), None);
    }

    #[test]
    fn another_size_is_refused_before_decoding() {
        assert_eq!(decode(&FRAME, &format(33, false)).expect_err("32 columns").reason, Reason::CodestreamMismatch);
        // An image of 4096x4096 that the data set agrees with, in tiles of 1x1.
        let mut tiny_tiles = FRAME;
        tiny_tiles[8..16].copy_from_slice(&[0, 0, 16, 0, 0, 0, 16, 0]);
        tiny_tiles[24..32].copy_from_slice(&[0, 0, 0, 1, 0, 0, 0, 1]);
        let large = Format { rows: 4096, ..format(4096, false) };
        assert_eq!(decode(&tiny_tiles, &large).expect_err("tiles").reason, Reason::LimitExceeded);
    }

    #[test]
    fn a_tile_without_a_tile_part_is_a_fault_not_zeros() {
        let mut tiles = FRAME;
        tiles[24..32].copy_from_slice(&[0, 0, 0, 16, 0, 0, 0, 32]);
        let fault = decode(&tiles, &format(32, false)).expect_err("the right half has no tile-part");
        assert_eq!(fault.detail, "1 of 2 tiles are missing");
    }

    #[test]
    fn a_cut_codestream_is_a_fault() {
        for end in 0..FRAME.len() - 8 {
            assert!(decode(&FRAME[..end], &format(32, false)).is_err(), "{end}");
        }
    }
}
