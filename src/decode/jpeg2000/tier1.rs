//! Coding passes of a code-block: significance propagation, refinement, cleanup.
//!
//! # Source
//! T.800 annex D.

use super::contexts::{
    ALL_SIGNIFICANT, ALL_VISITED, Kind, NEIGHBOURS, REFINED, Rows, SIGNIFICANT, Significance, VISITED, sign_hint,
    significance_of,
};
use super::failed;
use super::mq::{Contexts, Mq, RUN, Raw, Symbols, UNIFORM, initial_contexts};
use super::parameters::Style;
use crate::reason::Fault;

/// Bytes of consecutive passes of a block that were terminated together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Segment {
    pub(super) passes: u32,
    /// Bytes of it.
    pub(super) length: usize,
}

/// The sign of a sample; the other bits are twice its magnitude, with a half where lower bit planes
/// were not coded.
pub(super) const NEGATIVE: u32 = 1 << 31;

/// Decodes blocks one after the other, in the same memory.
#[derive(Default)]
pub(super) struct Tier1 {
    flags: Vec<u32>,
    /// Four rows of each column, stripe by stripe.
    samples: Vec<[u32; 4]>,
}

/// What a pass works with.
struct Pass<'a, S> {
    symbols: S,
    contexts: &'a mut Contexts,
    significance: &'static Significance,
    is_causal: bool,
    /// Half of the bit plane in the unit of the samples.
    half: u32,
}

/// A block's place in its subband and how it was coded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block {
    pub(super) width: usize,
    pub(super) height: usize,
    /// Bit planes, 1 to 30.
    pub(super) planes: u32,
    pub(super) kind: Kind,
}

impl Tier1 {
    /// Decodes one block: `bytes` are those of its segments, one behind the other. Gives stripes of four
    /// rows, column by column (see [`NEGATIVE`]); what lies below the block in the last is 0.
    ///
    /// # Errors
    /// Reason `decode_failed` where a segmentation symbol is not there.
    pub(super) fn decode(
        &mut self,
        block: Block,
        style: Style,
        segments: &[Segment],
        mut bytes: &[u8],
    ) -> Result<&[[u32; 4]], Fault> {
        let stripes = block.height.div_ceil(4);
        self.flags.clear();
        self.flags.resize((block.width + 2) * (stripes + 2), 0);
        self.samples.clear();
        self.samples.resize(block.width * stripes, [0; 4]);
        let mut contexts = initial_contexts();
        // The first plane has a cleanup pass alone.
        let mut pass = 2;
        for segment in segments {
            let (here, rest) = bytes.split_at_checked(segment.length).unwrap_or((bytes, &[]));
            bytes = rest;
            if style.is_lazy && pass >= 12 && pass % 3 != 2 {
                self.segment(block, style, Raw::new(here), &mut contexts, pass, segment.passes)?;
            } else {
                self.segment(block, style, Mq::new(here), &mut contexts, pass, segment.passes)?;
            }
            pass += segment.passes;
        }
        Ok(&self.samples)
    }

    /// The passes of one segment; pass `first` is `3 p + k` for kind k on the plane p below the top.
    fn segment<S: Symbols>(
        &mut self,
        block: Block,
        style: Style,
        symbols: S,
        contexts: &mut Contexts,
        first: u32,
        passes: u32,
    ) -> Result<(), Fault> {
        let significance = significance_of(block.kind);
        let mut pass = Pass { symbols, contexts, significance, is_causal: style.is_causal, half: 0 };
        for index in first..first + passes {
            let plane = block.planes.checked_sub(1 + index / 3).ok_or_else(|| failed("passes below the last plane"))?;
            pass.half = 1 << plane;
            match index % 3 {
                0 => self.stripes(block, |rows, samples, height| pass.propagate(rows, samples, height)),
                1 => self.stripes(block, |rows, samples, height| pass.refine(rows, samples, height)),
                _ => {
                    self.stripes(block, |rows, samples, height| pass.clean_up(rows, samples, height));
                    if style.has_symbols && pass.segmentation_symbol() != 0b1010 {
                        return Err(failed("a code-block without its segmentation symbol"));
                    }
                }
            }
            if style.resets {
                *pass.contexts = initial_contexts();
            }
        }
        Ok(())
    }

    #[inline(always)]
    fn stripes(&mut self, block: Block, mut each: impl FnMut(&mut Rows<'_>, &mut [[u32; 4]], u32)) {
        let wide = block.width + 2;
        let mut flags = self.flags.as_mut_slice();
        let mut left = block.height;
        for samples in self.samples.chunks_exact_mut(block.width) {
            let Some((above, rest)) = flags.split_at_mut_checked(wide) else { return };
            let Some((here, after)) = rest.split_at_mut_checked(wide) else { return };
            let Some(below) = after.get_mut(..wide) else { return };
            each(&mut Rows { above, here, below }, samples, left.min(4) as u32);
            left = left.saturating_sub(4);
            flags = flags.split_at_mut(wide).1;
        }
    }
}

impl<S: Symbols> Pass<'_, S> {
    /// Significance propagation (D.3.1) in a stripe of `height` rows.
    fn propagate(&mut self, rows: &mut Rows<'_>, samples: &mut [[u32; 4]], height: u32) {
        for (at, samples) in samples.iter_mut().enumerate() {
            let at = at + 1;
            let mut flags = rows.here[at];
            if flags == 0 {
                continue;
            }
            for (sample, row) in samples.iter_mut().zip(0..height) {
                let shift = 3 * row;
                let near = flags >> shift;
                if near & (SIGNIFICANT | VISITED) == 0 && near & NEIGHBOURS != 0 {
                    if self.is_significant(near) {
                        *sample = self.first(rows, at, &mut flags, row);
                    }
                    flags |= VISITED << shift;
                }
            }
            rows.here[at] = flags;
        }
    }

    /// Magnitude refinement (D.3.3).
    fn refine(&mut self, rows: &mut Rows<'_>, samples: &mut [[u32; 4]], height: u32) {
        let half = self.half;
        for (flags, samples) in rows.here.iter_mut().skip(1).zip(samples) {
            if *flags & ALL_SIGNIFICANT == 0 {
                continue;
            }
            for (sample, row) in samples.iter_mut().zip(0..height) {
                let shift = 3 * row;
                let near = *flags >> shift;
                if near & (SIGNIFICANT | VISITED) == SIGNIFICANT {
                    let context = match (near & REFINED, near & NEIGHBOURS) {
                        (0, 0) => 14,
                        (0, _) => 15,
                        _ => 16,
                    };
                    let is_upper = self.symbols.symbol(self.contexts, context) == 1;
                    *sample = if is_upper { sample.wrapping_add(half) } else { sample.wrapping_sub(half) };
                    *flags |= REFINED << shift;
                }
            }
        }
    }

    /// Cleanup (D.3.4).
    fn clean_up(&mut self, rows: &mut Rows<'_>, samples: &mut [[u32; 4]], height: u32) {
        for (at, samples) in samples.iter_mut().enumerate() {
            let at = at + 1;
            let mut flags = rows.here[at];
            let mut start = 0;
            if flags == 0 && height == 4 {
                if self.symbols.symbol(self.contexts, RUN) == 0 {
                    continue;
                }
                let row = self.symbols.symbol(self.contexts, UNIFORM) << 1;
                let row = row | self.symbols.symbol(self.contexts, UNIFORM);
                samples[(row & 3) as usize] = self.first(rows, at, &mut flags, row & 3);
                start = row + 1;
            }
            for (sample, row) in samples.iter_mut().zip(0..height) {
                let near = flags >> (3 * row);
                if row >= start && near & (SIGNIFICANT | VISITED) == 0 && self.is_significant(near) {
                    *sample = self.first(rows, at, &mut flags, row);
                }
            }
            rows.here[at] = flags & !ALL_VISITED;
        }
    }

    #[inline(always)]
    fn is_significant(&mut self, near: u32) -> bool {
        let context = self.significance[(near & NEIGHBOURS) as usize];
        self.symbols.symbol(self.contexts, context) == 1
    }

    /// A sample that becomes significant: its sign (D.3.2), its flags; gives its value.
    #[inline(always)]
    fn first(&mut self, rows: &mut Rows<'_>, at: usize, flags: &mut u32, row: u32) -> u32 {
        let hint = sign_hint(*flags, rows.here[at - 1], rows.here[at + 1], row);
        let sign = self.symbols.sign(self.contexts, hint);
        rows.mark(at, flags, row, sign, self.is_causal);
        (sign << 31) | (self.half * 3)
    }

    fn segmentation_symbol(&mut self) -> u32 {
        (0..4).fold(0, |symbol, _| symbol << 1 | self.symbols.symbol(self.contexts, UNIFORM))
    }
}
