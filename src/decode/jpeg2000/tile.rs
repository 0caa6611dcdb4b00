//! Tile-parts, and tiles from packets to samples.
//!
//! # Source
//! T.800 A.4.2 (SOT), annex E (dequantisation), annex H (regions of interest), G.1 (level shift).

use super::failed;
use super::ht::HighThroughput;
use super::layout::{Band, BlockState, Layout, Place, Rect};
use super::packets::{Chunk, Packets, passes_to_end};
use super::parameters::{self, Parameters, SOD, SOT};
use super::progression;
use super::size::Size;
use super::tier1::{Block, NEGATIVE, Segment, Tier1};
use super::wavelet;
use crate::decode::limits;
use crate::reason::Fault;

/// One tile-part.
#[derive(Clone, Debug)]
pub(super) struct TilePart {
    pub(super) tile: u32,
    /// Its header behind SOT, with SOD.
    header: std::ops::Range<usize>,
    /// Its packets.
    packets: std::ops::Range<usize>,
}

/// The tile-parts, tile by tile, from the SOT at `start` on. Every tile has one at least.
///
/// # Errors
/// Reason `decode_failed` where one is cut, out of order or missing, `limit_exceeded` where there are
/// very many.
pub(super) fn tile_parts(codestream: &[u8], start: usize, size: &Size) -> Result<Vec<TilePart>, Fault> {
    let most = 2 * size.tiles() as usize + (size.image.pixels() / 128) as usize + 1_024;
    let mut seen = vec![0u8; size.tiles() as usize];
    let mut parts = Vec::new();
    let mut at = start;
    // The end of codestream is no segment.
    while let Some(&[0xFF, SOT, 0, 10, t1, t2, p1, p2, p3, p4, number, _]) = codestream.get(at..at + 12) {
        let tile = usize::from(u16::from_be_bytes([t1, t2]));
        let seen = seen.get_mut(tile).ok_or_else(|| failed("a tile-part of a tile that is not there"))?;
        if number != *seen {
            return Err(failed(format!("tile-part {number} of a tile, expected {seen}")));
        }
        *seen = seen.checked_add(1).ok_or_else(|| failed("more than 255 tile-parts of a tile"))?;
        let end = match u32::from_be_bytes([p1, p2, p3, p4]) as usize {
            0 => codestream.len(),
            length => at + length,
        };
        let cut = || failed("a tile-part is cut");
        let mut rest = codestream.get(at + 12..end).ok_or_else(cut)?;
        loop {
            let (marker, _, after) = parameters::segment(rest)?;
            rest = after;
            if marker == SOD {
                break;
            }
        }
        let packets = end - rest.len()..end;
        parts.push(TilePart { tile: tile as u32, header: at + 12..packets.start, packets });
        if parts.len() > most {
            return Err(limits::exceeded("tile-parts", parts.len() as u64, most as u64));
        }
        at = end;
    }
    match seen.iter().filter(|&&seen| seen == 0).count() {
        0 => {}
        missing => return Err(failed(format!("{missing} of {} tiles are missing", size.tiles()))),
    }
    // In their order within a tile.
    parts.sort_by_key(|part| part.tile);
    Ok(parts)
}

/// Decodes tiles one after the other, in the same memory.
#[derive(Default)]
pub(super) struct Decoder {
    whole: Vec<i32>,
    real: Vec<f32>,
    blocks: Blocks,
}

impl Decoder {
    /// Decodes one tile out of its `parts` into `cells`, the image row by row.
    ///
    /// # Errors
    /// Reason `decode_failed`, `limit_exceeded`.
    pub(super) fn tile(
        &mut self,
        codestream: &[u8],
        size: &Size,
        main: &Parameters,
        parts: &[TilePart],
        cells: &mut [u16],
    ) -> Result<(), Fault> {
        let Some(first) = parts.first() else { return Ok(()) };
        let tile = size.tile(first.tile);
        if tile.is_empty() {
            return Ok(());
        }
        let parameters = of_tile(codestream, main, parts)?;
        let order = parameters.check()?;
        let mut layout = Layout::of(&tile, &parameters)?;
        let bytes: usize = parts.iter().map(|part| part.packets.len()).sum();
        // A packet has one byte at least.
        if layout.precincts() as u64 * u64::from(parameters.layers) > bytes as u64 {
            return Err(failed("the packets are cut"));
        }
        let ranges = parts.iter().map(|part| part.packets.clone()).collect();
        let mut packets = Packets::new(codestream, ranges, tile.pixels());
        progression::each(&mut layout, &parameters, order, |layout, packet| packets.read(layout, &parameters, packet))?;
        let coded = Coded { codestream, chunks: &packets.chunks, parameters: &parameters, layout: &layout };
        let rects: Vec<Rect> = layout.resolutions.iter().map(|resolution| resolution.rect).collect();
        let (stride, pixels) = (tile.width() as usize, tile.pixels() as usize);
        let target = cells.get_mut(size.offset(&tile)..).unwrap_or_default();
        let rows = target.chunks_mut(size.image.width() as usize);
        if parameters.is_reversible {
            self.whole.clear();
            self.whole.resize(pixels, 0);
            self.blocks.decode(&coded, &mut self.whole, stride, |_| |sample| signed(sample) / 2)?;
            wavelet::inverse(&mut self.whole, stride, &rects, wavelet::lift_5_3);
            for (cells, samples) in rows.zip(self.whole.chunks_exact(stride)) {
                cells.iter_mut().zip(samples).for_each(|(cell, &sample)| *cell = size.cell(sample.into()));
            }
        } else {
            self.real.clear();
            self.real.resize(pixels, 0.0);
            self.blocks.decode(&coded, &mut self.real, stride, |band| {
                let step = 0.5 * step(band, size.precision);
                move |sample| signed(sample) as f32 * step
            })?;
            wavelet::inverse(&mut self.real, stride, &rects, wavelet::lift_9_7);
            for (cells, samples) in rows.zip(self.real.chunks_exact(stride)) {
                cells.iter_mut().zip(samples).for_each(|(cell, &sample)| {
                    *cell = size.cell(sample.round_ties_even() as i64);
                });
            }
        }
        Ok(())
    }
}

/// The main header's parameters with those of the tile-parts' headers.
fn of_tile(codestream: &[u8], main: &Parameters, parts: &[TilePart]) -> Result<Parameters, Fault> {
    let mut parameters = main.of_tile();
    let mut own_changes = false;
    for part in parts {
        let mut rest = codestream.get(part.header.clone()).unwrap_or_default();
        while !rest.is_empty() {
            let (marker, body, after) = parameters::segment(rest)?;
            if marker == parameters::POC && !own_changes {
                own_changes = true;
                parameters.changes.clear();
            }
            parameters.take(marker, body)?;
            rest = after;
        }
    }
    Ok(parameters)
}

/// The quantisation step of a subband (equation E-3), without the gain of its filters: the transform has
/// that.
fn step(band: &Band, precision: u32) -> f32 {
    let exponent = precision as i32 - band.step.exponent as i32;
    ((1.0 + f64::from(band.step.mantissa) / 2048.0) * f64::from(2f32.powi(exponent))) as f32
}

/// A sample out of sign and magnitude.
#[inline(always)]
fn signed(sample: u32) -> i32 {
    let magnitude = (sample & !NEGATIVE) as i32;
    if sample & NEGATIVE != 0 { -magnitude } else { magnitude }
}

/// A tile whose packets are read.
struct Coded<'a> {
    codestream: &'a [u8],
    chunks: &'a [Chunk],
    parameters: &'a Parameters,
    layout: &'a Layout,
}

/// Decodes code-blocks, in the same memory.
#[derive(Default)]
struct Blocks {
    tier1: Tier1,
    high_throughput: HighThroughput,
    segments: Vec<Segment>,
    bytes: Vec<u8>,
}

impl Blocks {
    /// Decodes all code-blocks of a tile into its coefficients `plane`, in rows of `stride`. `convert`
    /// makes a coefficient of a subband out of sign and twice the magnitude.
    fn decode<T: Copy, F: Fn(u32) -> T>(
        &mut self,
        coded: &Coded<'_>,
        plane: &mut [T],
        stride: usize,
        convert: impl Fn(&Band) -> F,
    ) -> Result<(), Fault> {
        for part in coded.layout.parts() {
            let Some(band) = coded.layout.band_of(part) else { continue };
            let states = coded.layout.blocks.get(part.first_block as usize..).unwrap_or_default();
            let convert = convert(band);
            for (place, state) in part.places(band).zip(states) {
                if state.passes > 0 {
                    self.gather(coded, state);
                    let plane = plane.get_mut(place.row * stride + place.column..).unwrap_or_default();
                    self.block(coded.parameters, band, place, state, plane.chunks_mut(stride), &convert)?;
                }
            }
        }
        Ok(())
    }

    /// Puts the bytes of a block one behind the other and finds its segments.
    fn gather(&mut self, coded: &Coded<'_>, state: &BlockState) {
        self.bytes.clear();
        self.segments.clear();
        let mut done = 0;
        let mut left = 0;
        let mut next = state.first_chunk;
        while let Some(chunk) = next.checked_sub(1).and_then(|index| coded.chunks.get(index as usize)) {
            if left == 0 {
                left = passes_to_end(coded.parameters.style, done);
                self.segments.push(Segment { passes: 0, length: 0 });
            }
            let passes = u32::from(chunk.passes);
            let bytes = coded.codestream.get(chunk.start as usize..).unwrap_or_default();
            let bytes = bytes.get(..chunk.length as usize).unwrap_or(bytes);
            self.bytes.extend_from_slice(bytes);
            if let Some(segment) = self.segments.last_mut() {
                segment.passes += passes;
                segment.length += bytes.len();
            }
            done += passes;
            left = left.saturating_sub(passes);
            next = chunk.next;
        }
    }

    fn block<'p, T: Copy + 'p>(
        &mut self,
        parameters: &Parameters,
        band: &Band,
        place: Place,
        state: &BlockState,
        rows: impl Iterator<Item = &'p mut [T]>,
        convert: &impl Fn(u32) -> T,
    ) -> Result<(), Fault> {
        let Place { width, height, .. } = place;
        let block = Block { width, height, planes: state.planes.into(), kind: band.kind };
        let shift = parameters.region_shift;
        let convert = |sample: u32| convert(if shift == 0 { sample } else { without_region(sample, shift) });
        if parameters.style.is_fast {
            let causal = parameters.style.is_causal;
            let samples = self.high_throughput.decode(block, band.planes, causal, &self.segments, &self.bytes)?;
            for (row, samples) in rows.zip(samples.chunks_exact(width)) {
                row.iter_mut().zip(samples).for_each(|(to, &sample)| *to = convert(sample));
            }
            return Ok(());
        }
        let stripes = self.tier1.decode(block, parameters.style, &self.segments, &self.bytes)?;
        for (index, row) in rows.take(height).enumerate() {
            let stripe = stripes.get(index / 4 * width..).unwrap_or_default();
            let row = row.iter_mut().zip(stripe).take(width);
            row.for_each(|(to, samples)| *to = convert(samples[index % 4]));
        }
        Ok(())
    }
}

/// A sample whose region of interest is shifted back: those of the region are the ones of at least
/// `2^shift` (H.1).
fn without_region(sample: u32, shift: u32) -> u32 {
    let magnitude = sample & !NEGATIVE;
    if magnitude >> 1 >> shift == 0 { sample } else { sample & NEGATIVE | magnitude >> shift }
}
