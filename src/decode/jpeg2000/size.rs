//! The size of the image and its tiles (SIZ).
//!
//! # Source
//! T.800 A.5.1, B.2, B.3.

use super::failed;
use super::layout::Rect;
use crate::decode::codestream::Claim;
use crate::decode::format::Format;
use crate::decode::limits;
use crate::reason::{Fault, Reason};

/// Most tiles of a frame: those of 64x64 on the largest image.
const TILES: u64 = 4_096;

/// The size of the image and its tiles, on the reference grid.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    pub(super) image: Rect,
    tile_width: u32,
    tile_height: u32,
    tile_left: u32,
    tile_top: u32,
    /// Bits per sample.
    pub(super) precision: u32,
    is_signed: bool,
}

impl Size {
    /// Reads the segment's body, and checks it against the data set before all else.
    ///
    /// # Errors
    /// Reason `codestream_mismatch`, `decode_failed`, `limit_exceeded`.
    pub(super) fn of(body: &[u8], format: &Format) -> Result<Size, Fault> {
        let cut = || failed("the SIZ segment is cut");
        let body = body.get(2..).ok_or_else(cut)?;
        let (words, after) = body.split_first_chunk::<32>().ok_or_else(cut)?;
        let mut sizes = [0u32; 8];
        sizes.iter_mut().zip(words.as_chunks().0).for_each(|(size, word)| *size = u32::from_be_bytes(*word));
        let [right, bottom, left, top, tile_width, tile_height, tile_left, tile_top] = sizes;
        let Some(&[c1, c2, depth, step_x, step_y]) = after.first_chunk() else { return Err(cut()) };
        let image = Rect { left, top, right, bottom };
        let precision = u32::from(depth & 0x7F) + 1;
        let components = u16::from_be_bytes([c1, c2]).into();
        Claim { columns: image.width(), rows: image.height(), components, precision }.check(format)?;
        if (step_x, step_y) != (1, 1) {
            return Err(Fault::new(Reason::CodestreamMismatch, "the codestream is subsampled"));
        }
        let size =
            Size { image, tile_width, tile_height, tile_left, tile_top, precision, is_signed: depth & 0x80 != 0 };
        if tile_width == 0 || tile_height == 0 {
            return Err(failed("a tile of no size"));
        }
        let reaches =
            |start: u32, size: u32, first: u32| start <= first && u64::from(start) + u64::from(size) > first.into();
        if !reaches(tile_left, tile_width, left) || !reaches(tile_top, tile_height, top) {
            return Err(failed("the first tile lies outside the image"));
        }
        match size.tiles() {
            tiles if tiles > TILES => Err(limits::exceeded("tiles", tiles, TILES)),
            _ => Ok(size),
        }
    }

    fn across(&self) -> u64 {
        u64::from(self.image.right - self.tile_left).div_ceil(self.tile_width.into())
    }

    /// Number of tiles.
    pub(super) fn tiles(&self) -> u64 {
        let down = u64::from(self.image.bottom - self.tile_top).div_ceil(self.tile_height.into());
        self.across().saturating_mul(down)
    }

    /// What a tile covers of the image (equations B-7 to B-10).
    pub(super) fn tile(&self, index: u32) -> Rect {
        let (row, column) = (u64::from(index) / self.across(), u64::from(index) % self.across());
        let at = |start: u32, size: u32, count: u64| {
            u32::try_from(u64::from(start) + u64::from(size) * count).unwrap_or(u32::MAX)
        };
        let tile = Rect {
            left: at(self.tile_left, self.tile_width, column),
            top: at(self.tile_top, self.tile_height, row),
            right: at(self.tile_left, self.tile_width, column + 1),
            bottom: at(self.tile_top, self.tile_height, row + 1),
        };
        tile.meet(&self.image)
    }

    /// Index of a tile's first cell, the image row by row.
    pub(super) fn offset(&self, tile: &Rect) -> usize {
        (tile.top - self.image.top) as usize * self.image.width() as usize + (tile.left - self.image.left) as usize
    }

    /// The low bits of a sample as it comes out of the transform: shifted by half the range where there
    /// is no sign, limited to the range.
    #[inline(always)]
    pub(super) fn cell(&self, sample: i64) -> u16 {
        let half = 1i64 << (self.precision - 1);
        let limited = sample.clamp(-half, half - 1);
        (if self.is_signed { limited } else { limited + half }) as u16
    }
}
