//! Packets: which code-blocks get how many passes and bytes.
//!
//! # Source
//! T.800 B.9, B.10; T.814 annex B for the blocks of the high-throughput coder.

use super::layout::{Band, BlockState, Layout};
use super::packet_bits::PacketBits;
use super::parameters::{Parameters, Style};
use super::progression::Packet;
use super::{failed, tag_tree};
use crate::decode::limits;
use crate::reason::Fault;

/// Most bit planes of a code-block that samples of 32 bits hold, with the sign and half a step.
const PLANES: u32 = 30;

/// Bytes of a code-block out of one packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chunk {
    /// Index plus 1 of the block's next chunk.
    pub(super) next: u32,
    /// Where the bytes lie in the codestream.
    pub(super) start: u32,
    pub(super) length: u32,
    /// Passes that end or go on in it, at least 1.
    pub(super) passes: u8,
}

/// Reads the packets of one tile, out of its tile-parts.
pub(super) struct Packets<'a> {
    codestream: &'a [u8],
    /// Where packets of further tile-parts lie, the next one last.
    later: Vec<std::ops::Range<usize>>,
    /// What is left of this tile-part, and where it ends.
    rest: &'a [u8],
    end: usize,
    pub(super) chunks: Vec<Chunk>,
    most_chunks: usize,
    /// Chunks of the packet that is being read, with their block.
    here: Vec<(u32, Chunk)>,
}

fn cut() -> Fault {
    failed("the packets are cut")
}

impl<'a> Packets<'a> {
    /// A reader of the packets in `parts` of the codestream, for a tile of so many pixels.
    pub(super) fn new(codestream: &'a [u8], mut parts: Vec<std::ops::Range<usize>>, pixels: u64) -> Packets<'a> {
        parts.reverse();
        let most_chunks = usize::try_from(pixels / 4 + 2_048).unwrap_or(usize::MAX);
        Packets { codestream, later: parts, rest: &[], end: 0, chunks: Vec::new(), most_chunks, here: Vec::new() }
    }

    /// Reads one packet.
    ///
    /// # Errors
    /// Reason `decode_failed` where it is damaged or cut, `limit_exceeded` where the code-blocks get
    /// more pieces than their pixels are good for.
    pub(super) fn read(&mut self, layout: &mut Layout, parameters: &Parameters, packet: Packet) -> Result<(), Fault> {
        while self.rest.is_empty() {
            let part = self.later.pop().ok_or_else(cut)?;
            self.end = part.end;
            self.rest = self.codestream.get(part).ok_or_else(cut)?;
        }
        if parameters.may_have_sop && self.rest.starts_with(&[0xFF, 0x91, 0, 4]) {
            self.rest = self.rest.get(6..).ok_or_else(cut)?;
        }
        let mut bits = PacketBits::new(self.rest);
        self.here.clear();
        if bits.bit()? == 1 {
            self.header(layout, parameters, packet, &mut bits)?;
        }
        self.rest = bits.finish()?;
        if parameters.may_have_eph {
            self.rest = self.rest.strip_prefix(&[0xFF, 0x92]).unwrap_or(self.rest);
        }
        self.body(layout)
    }

    fn header(
        &mut self,
        layout: &mut Layout,
        parameters: &Parameters,
        packet: Packet,
        bits: &mut PacketBits<'_>,
    ) -> Result<(), Fault> {
        let bands = if packet.resolution == 0 { 1 } else { 3 };
        for index in 0..bands {
            let Some(&part) = layout.parts_of(packet.resolution, packet.precinct).get(index) else { continue };
            let Some(&band) = layout.band_of(&part) else { continue };
            let (wide, high) = part.blocks(&band);
            let nodes = tag_tree::nodes(wide, high);
            let mut block = part.first_block;
            for row in 0..high {
                for column in 0..wide {
                    let Some(trees) = layout.nodes.get_mut(part.first_node as usize..) else { return Err(cut()) };
                    let (inclusion, zeros) = trees.split_at_mut_checked(nodes).ok_or_else(cut)?;
                    let state = layout.blocks.get_mut(block as usize).ok_or_else(cut)?;
                    let is_included = match state.planes {
                        0 => tag_tree::is_below(inclusion, (wide, high), (row, column), packet.layer as u16 + 1, bits)?,
                        _ => bits.bit()? == 1,
                    };
                    if is_included {
                        if state.planes == 0 {
                            let mut most = 1;
                            while !tag_tree::is_below(zeros, (wide, high), (row, column), most, bits)? {
                                most += 1;
                            }
                            state.planes = planes(&band, u32::from(most) - 1)?;
                        }
                        contribution(block, state, parameters.style, bits, &mut self.here)?;
                    }
                    block += 1;
                }
            }
        }
        Ok(())
    }

    /// Gives the blocks of this packet their bytes.
    fn body(&mut self, layout: &mut Layout) -> Result<(), Fault> {
        if self.chunks.len() + self.here.len() > self.most_chunks {
            let found = self.chunks.len() + self.here.len();
            return Err(limits::exceeded("pieces of code-blocks", found as u64, self.most_chunks as u64));
        }
        for (block, mut chunk) in self.here.drain(..) {
            let start = self.end - self.rest.len();
            self.rest = self.rest.get(chunk.length as usize..).ok_or_else(cut)?;
            chunk.start = u32::try_from(start).map_err(|_| cut())?;
            self.chunks.push(chunk);
            let number = self.chunks.len() as u32;
            let Some(state) = layout.blocks.get_mut(block as usize) else { continue };
            match state.last_chunk.checked_sub(1) {
                Some(last) => {
                    if let Some(last) = self.chunks.get_mut(last as usize) {
                        last.next = number;
                    }
                }
                None => state.first_chunk = number,
            }
            state.last_chunk = number;
        }
        Ok(())
    }
}

/// Bit planes of a block of which so many are zero.
fn planes(band: &Band, zeros: u32) -> Result<u8, Fault> {
    match band.planes.checked_sub(zeros) {
        Some(planes @ 1..=PLANES) => Ok(planes as u8),
        Some(planes @ 1..) => Err(failed(format!("a code-block of {planes} bit planes, at most {PLANES} are taken"))),
        _ => Err(failed("a code-block of no bit plane")),
    }
}

/// Passes and lengths of one block (B.10.6, B.10.7).
fn contribution(
    block: u32,
    state: &mut BlockState,
    style: Style,
    bits: &mut PacketBits<'_>,
    here: &mut Vec<(u32, Chunk)>,
) -> Result<(), Fault> {
    let mut passes = pass_count(bits)?;
    let most = if style.is_fast { 3 } else { 3 * u32::from(state.planes) - 2 };
    if style.is_fast && passes > 3 {
        return Err(failed("several sets of high-throughput passes are not taken"));
    }
    if u32::from(state.passes) + passes > most {
        return Err(failed(format!("a code-block of more than {most} passes")));
    }
    while bits.bit()? == 1 {
        state.length_bits += 1;
        if state.length_bits > 31 {
            return Err(failed("a length of more than 31 bits"));
        }
    }
    while passes > 0 {
        let of_segment = passes.min(passes_to_end(style, u32::from(state.passes)));
        let length_bits = u32::from(state.length_bits) + of_segment.ilog2();
        if length_bits > 32 {
            return Err(failed("a length of more than 32 bits"));
        }
        let length = bits.number(length_bits)?;
        here.push((block, Chunk { next: 0, start: 0, length, passes: of_segment as u8 }));
        state.passes += of_segment as u8;
        passes -= of_segment;
    }
    Ok(())
}

/// Passes until the segment ends in which pass `done` lies (B.10.7, D.4.2, D.6).
pub(super) fn passes_to_end(style: Style, done: u32) -> u32 {
    match done {
        _ if style.is_fast => {
            if done == 0 {
                1
            } else {
                3 - done.min(2)
            }
        }
        _ if style.terminates => 1,
        _ if !style.is_lazy => u32::MAX,
        0..10 => 10 - done,
        _ => [2, 1, 1][(done as usize - 10) % 3],
    }
}

/// The number of new passes (table B.4).
fn pass_count(bits: &mut PacketBits<'_>) -> Result<u32, Fault> {
    if bits.bit()? == 0 {
        return Ok(1);
    }
    if bits.bit()? == 0 {
        return Ok(2);
    }
    match bits.number(2)? {
        3 => {}
        few => return Ok(3 + few),
    }
    match bits.number(5)? {
        31 => Ok(37 + bits.number(7)?),
        some => Ok(6 + some),
    }
}
