//! JPEG 2000 and high-throughput JPEG 2000, decoded by `openjp2`.
//!
//! # Source
//! T.800 annex A.5.1 (SIZ), annex I (JP2 boxes, which some files have around the codestream).

use jpeg2k::{DecodeParameters, Image};

use super::codestream::{Claim, failed};
use super::format::{Cells, Format};
use super::limits;
use crate::reason::{Fault, Reason};

/// Start of codestream, then SIZ.
const START: &[u8] = &[0xFF, 0x4F, 0xFF, 0x51];

/// Most tiles of a frame: those of 64x64 on the largest image.
const TILES: u64 = 4_096;

/// Cells of one frame: the low bits of each sample, so that the sign is the data set's to say.
///
/// # Errors
/// Reason `codestream_mismatch` where the frame's header does not agree with the data set,
/// `limit_exceeded` for too many tiles, `decode_failed` where the codestream is damaged.
pub(crate) fn decode(frame: &[u8], format: &Format) -> Result<Cells, Fault> {
    let codestream = codestream_of(frame).ok_or_else(|| failed("no JPEG 2000 codestream in the frame"))?;
    check_size(codestream, format)?;
    let image = Image::from_bytes_with(codestream, DecodeParameters::new().strict(true));
    let image = image.map_err(|_| failed("the JPEG 2000 decoder gave up"))?;
    let [component] = image.components() else {
        return Err(failed("the decoded frame has not one component"));
    };
    if (component.width(), component.height()) != (format.columns, format.rows) {
        return Err(failed("the decoded frame has another size than its header"));
    }
    Ok(Cells::Narrow(component.data().iter().map(|&sample| sample as u16).collect()))
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

fn check_size(codestream: &[u8], format: &Format) -> Result<(), Fault> {
    let cut = || failed("the SIZ segment is cut");
    let body = codestream.get(START.len() + 4..).ok_or_else(cut)?;
    let (words, after) = body.split_first_chunk::<32>().ok_or_else(cut)?;
    let mut sizes = [0u32; 8];
    sizes.iter_mut().zip(words.as_chunks().0).for_each(|(size, word)| *size = u32::from_be_bytes(*word));
    let [right, bottom, left, top, tile_width, tile_height, tile_left, tile_top] = sizes;
    let Some(&[c1, c2, depth, step_x, step_y]) = after.first_chunk() else { return Err(cut()) };
    let claim = Claim {
        columns: right.saturating_sub(left),
        rows: bottom.saturating_sub(top),
        components: u16::from_be_bytes([c1, c2]).into(),
        precision: u32::from(depth & 0x7F) + 1,
    };
    claim.check(format)?;
    if (step_x, step_y) != (1, 1) {
        return Err(Fault::new(Reason::CodestreamMismatch, "the codestream is subsampled"));
    }
    if tile_width == 0 || tile_height == 0 {
        return Err(failed("a tile of no size"));
    }
    let across = u64::from(right.saturating_sub(tile_left)).div_ceil(tile_width.into());
    let down = u64::from(bottom.saturating_sub(tile_top)).div_ceil(tile_height.into());
    match across.saturating_mul(down) {
        tiles if tiles > TILES => Err(limits::exceeded("tiles", tiles, TILES)),
        _ => Ok(()),
    }
}
