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
    /// Reason `decode_failed` where there are more passes than bit planes have.
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
                    if style.has_symbols {
                        pass.segmentation_symbol();
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

    /// Steps over the segmentation symbol (D.5). That it is the right one is not asked: OpenJPEG cuts it
    /// off with the passes behind when it cuts to a rate.
    fn segmentation_symbol(&mut self) {
        for _ in 0..4 {
            self.symbols.symbol(self.contexts, UNIFORM);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A block sample by sample, by the tables of T.800 annex D.
    struct Plain {
        block: Block,
        style: Style,
        magnitudes: Vec<u32>,
        negative: Vec<bool>,
        significant: Vec<bool>,
        refined: Vec<bool>,
        visited: Vec<bool>,
    }

    impl Plain {
        /// The index of the neighbour where it is significant, as seen from row `row`.
        fn near(&self, row: usize, column: usize, down: i32, right: i32) -> Option<usize> {
            let (to_row, to_column) = (row as i32 + down, column as i32 + right);
            let is_inside =
                (0..self.block.height as i32).contains(&to_row) && (0..self.block.width as i32).contains(&to_column);
            let is_hidden = self.style.is_causal && down == 1 && row % 4 == 3;
            let at = || to_row as usize * self.block.width + to_column as usize;
            (is_inside && !is_hidden).then(at).filter(|&at| self.significant[at])
        }

        fn count(&self, row: usize, column: usize, of: &[(i32, i32)]) -> usize {
            of.iter().filter(|&&(down, right)| self.near(row, column, down, right).is_some()).count()
        }

        fn context(&self, row: usize, column: usize) -> u8 {
            let (mut h, mut v) =
                (self.count(row, column, &[(0, -1), (0, 1)]), self.count(row, column, &[(-1, 0), (1, 0)]));
            let d = self.count(row, column, &[(-1, -1), (-1, 1), (1, -1), (1, 1)]);
            if self.block.kind == Kind::Hl {
                (h, v) = (v, h);
            }
            if self.block.kind == Kind::Hh {
                return [[0, 1, 2], [3, 4, 5], [6, 7, 7], [8, 8, 8]][d.min(3)][(h + v).min(2)];
            }
            match (h, v) {
                (2, _) => 8,
                (1, 0) => 5 + u8::from(d > 0),
                (1, _) => 7,
                (_, 0) => d.min(2) as u8,
                (_, v) => 2 + v as u8,
            }
        }

        fn sign<S: Symbols>(&self, row: usize, column: usize, symbols: &mut S, contexts: &mut Contexts) -> bool {
            let of = |down: i32, right: i32| {
                self.near(row, column, down, right).map_or(0, |at| if self.negative[at] { -1 } else { 1 })
            };
            let (h, v) = ((of(0, -1) + of(0, 1)).clamp(-1, 1), (of(-1, 0) + of(1, 0)).clamp(-1, 1));
            let turns = h < 0 || (h == 0 && v < 0);
            let (h, v): (i32, i32) = if turns { (-h, -v) } else { (h, v) };
            let context = if h == 1 { 12 + v } else { 9 + v } as u8;
            symbols.sign(contexts, context | if turns { 0x80 } else { 0 }) == 1
        }

        fn becomes<S: Symbols>(
            &mut self,
            row: usize,
            column: usize,
            half: u32,
            symbols: &mut S,
            contexts: &mut Contexts,
        ) {
            let at = row * self.block.width + column;
            self.negative[at] = self.sign(row, column, symbols, contexts);
            self.significant[at] = true;
            self.magnitudes[at] = 3 * half;
        }

        fn pass<S: Symbols>(&mut self, kind: u32, half: u32, symbols: &mut S, contexts: &mut Contexts) {
            let all = [(-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1)];
            for top in (0..self.block.height).step_by(4) {
                for column in 0..self.block.width {
                    let rows = top..self.block.height.min(top + 4);
                    let mut skipped = 0;
                    let is_quiet = |row: usize| {
                        let at = row * self.block.width + column;
                        !self.significant[at] && !self.visited[at] && self.count(row, column, &all) == 0
                    };
                    if kind == 2 && rows.len() == 4 && rows.clone().all(is_quiet) {
                        if symbols.symbol(contexts, RUN) == 0 {
                            continue;
                        }
                        let row = symbols.symbol(contexts, UNIFORM) * 2 + symbols.symbol(contexts, UNIFORM);
                        self.becomes(top + row as usize, column, half, symbols, contexts);
                        skipped = row as usize + 1;
                    }
                    for row in rows.skip(skipped) {
                        let at = row * self.block.width + column;
                        let near = self.count(row, column, &all);
                        match kind {
                            0 if !self.significant[at] && near > 0 => {
                                self.visited[at] = true;
                                if symbols.symbol(contexts, self.context(row, column)) == 1 {
                                    self.becomes(row, column, half, symbols, contexts);
                                }
                            }
                            1 if self.significant[at] && !self.visited[at] => {
                                let context = if self.refined[at] { 16 } else { 14 + u8::from(near > 0) };
                                let bit = symbols.symbol(contexts, context);
                                self.magnitudes[at] = self.magnitudes[at] - half * 2 + bit * 2 * half + half;
                                self.refined[at] = true;
                            }
                            2 if !self.significant[at]
                                && !self.visited[at]
                                && symbols.symbol(contexts, self.context(row, column)) == 1 =>
                            {
                                self.becomes(row, column, half, symbols, contexts);
                            }
                            _ => {}
                        }
                    }
                }
            }
            if kind == 2 {
                self.visited.fill(false);
            }
        }
    }

    /// Samples row by row.
    fn plain(block: Block, style: Style, segments: &[Segment], mut bytes: &[u8]) -> Vec<u32> {
        let none = vec![false; block.width * block.height];
        let mut plain = Plain {
            block,
            style,
            magnitudes: vec![0; none.len()],
            negative: none.clone(),
            significant: none.clone(),
            refined: none.clone(),
            visited: none,
        };
        let mut contexts = initial_contexts();
        let mut number = 2;
        for segment in segments {
            let (here, rest) = bytes.split_at(segment.length);
            bytes = rest;
            let (mut mq, mut raw) = (Mq::new(here), Raw::new(here));
            for _ in 0..segment.passes {
                let half = 1 << (block.planes - 1 - number / 3);
                if style.is_lazy && number >= 12 && number % 3 != 2 {
                    plain.pass(number % 3, half, &mut raw, &mut contexts);
                } else {
                    plain.pass(number % 3, half, &mut mq, &mut contexts);
                }
                if style.has_symbols && number % 3 == 2 {
                    (0..4).for_each(|_| {
                        mq.symbol(&mut contexts, UNIFORM);
                    });
                }
                if style.resets {
                    contexts = initial_contexts();
                }
                number += 1;
            }
        }
        plain.magnitudes.iter().zip(&plain.negative).map(|(&size, &sign)| size | u32::from(sign) << 31).collect()
    }

    #[test]
    fn nothing_coded_is_all_zero() {
        let block = Block { width: 3, height: 5, planes: 1, kind: Kind::Ll };
        let mut tier1 = Tier1::default();
        // No segment at all.
        let samples = tier1.decode(block, Style::default(), &[], &[]).expect("decodes");
        assert_eq!(samples, [[0; 4]; 6]);
    }

    #[test]
    fn more_passes_than_planes_are_a_fault() {
        let block = Block { width: 1, height: 1, planes: 1, kind: Kind::Ll };
        let segments = [Segment { passes: 2, length: 0 }];
        assert!(Tier1::default().decode(block, Style::default(), &segments, &[]).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]
        #[test]
        fn any_bytes_decode_as_the_plain_decoder_has_them(
            (width, height) in (1usize..20, 1usize..20), planes in 1u32..12, kind in 0usize..4,
            (is_lazy, resets, terminates) in any::<(bool, bool, bool)>(),
            (is_causal, has_symbols) in any::<(bool, bool)>(),
            bytes in proptest::collection::vec(prop_oneof![3 => any::<u8>(), 1 => Just(0xFF), 1 => Just(0)], 0..400),
        ) {
            let kind = [Kind::Ll, Kind::Hl, Kind::Lh, Kind::Hh][kind];
            let block = Block { width, height, planes, kind };
            let style = Style { is_lazy, resets, terminates, is_causal, has_symbols, is_fast: false };
            let (mut segments, mut done, all) = (Vec::new(), 0, 3 * planes - 2);
            while done < all {
                let passes = super::super::packets::passes_to_end(style, done).min(all - done);
                segments.push(Segment { passes, length: bytes.len() * passes as usize / all as usize });
                done += passes;
            }
            let expected = plain(block, style, &segments, &bytes);
            let mut tier1 = Tier1::default();
            let stripes = tier1.decode(block, style, &segments, &bytes).expect("decodes");
            let found: Vec<u32> =
                (0..width * height).map(|at| stripes[at / width / 4 * width + at % width][at / width % 4]).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
