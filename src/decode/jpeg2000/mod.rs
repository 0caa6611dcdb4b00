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
#[cfg(test)]
mod tests;
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
