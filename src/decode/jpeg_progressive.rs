//! Scans of a progressive JPEG frame: each brings a band of coefficients, or one more bit of them.
//!
//! # Source
//! T.81 annex G.1.2 (coding), G.1.1.1 (which scans may follow each other).

use super::codestream::failed;
use super::entropy_bits::{Bits, Stuffing};
use super::huffman::Huffman;
use super::idct::Block;
use super::jpeg_dct::{Definitions, Scan, check_fits, is_restart};
use crate::reason::Fault;

/// Blocks from one look at the end of the data to the next.
const BLOCKS_AT_ONCE: usize = 512;

/// The coefficients of a frame as far as its scans have come.
pub(crate) struct Coefficients {
    blocks: Vec<Block>,
    /// By coefficient: its lowest bit that is known; `None`: nothing is.
    low: [Option<u8>; 64],
}

/// One scan on its way through the blocks.
struct Pass<'a, 't> {
    bits: Bits<'a>,
    /// Of what the scan codes; a scan that refines DC needs none.
    table: Option<&'t Huffman>,
    start: usize,
    end: usize,
    low: u8,
    prediction: i32,
    /// Blocks left in which nothing more becomes nonzero, this one with them.
    run: u32,
}

impl Coefficients {
    pub(crate) fn new(blocks: usize) -> Coefficients {
        Coefficients { blocks: vec![[0; 64]; blocks], low: [None; 64] }
    }

    /// The blocks, in reading order.
    ///
    /// # Errors
    /// Reason `decode_failed` where no scan had the DC coefficients.
    pub(crate) fn blocks(&self) -> Result<&[Block], Fault> {
        if self.low[0].is_none() { Err(failed("no scan has the DC coefficients")) } else { Ok(&self.blocks) }
    }

    /// Takes in one scan; gives what is left of its data.
    ///
    /// # Errors
    /// Reason `decode_failed` where the scan may not follow those before it, or is damaged.
    pub(crate) fn take<'a>(
        &mut self,
        scan: &Scan,
        definitions: &Definitions,
        data: &'a [u8],
    ) -> Result<&'a [u8], Fault> {
        self.check_order(scan)?;
        let table = match (scan.start, scan.high) {
            (0, 0) => Some(definitions.huffman.dc(scan.dc_table)?),
            (0, _) => None,
            _ => Some(definitions.huffman.ac(scan.ac_table)?),
        };
        let (start, end) = (usize::from(scan.start), usize::from(scan.end));
        let mut pass =
            Pass { bits: Bits::new(data, Stuffing::Byte), table, start, end, low: scan.low, prediction: 0, run: 0 };
        for (index, block) in self.blocks.iter_mut().enumerate() {
            if is_restart(definitions.restart, index) {
                pass.bits.restart()?;
                (pass.prediction, pass.run) = (0, 0);
            }
            match (scan.start, scan.high) {
                (0, 0) => pass.dc_first(block)?,
                (0, _) => pass.dc_refine(block),
                (_, 0) => pass.ac_first(block)?,
                _ => pass.ac_refine(block)?,
            }
            if index % BLOCKS_AT_ONCE == 0 {
                pass.bits.check_not_over()?;
            }
        }
        pass.bits.check_not_over()?;
        Ok(pass.bits.rest())
    }

    /// Each coefficient comes first without its low bits and then bit by bit. This also bounds the
    /// number of scans that are ever decoded.
    fn check_order(&mut self, scan: &Scan) -> Result<(), Fault> {
        let band = match (scan.start, scan.end) {
            (0, 0) => 0..=0,
            (1..=63, 1..=63) if scan.start <= scan.end => usize::from(scan.start)..=usize::from(scan.end),
            _ => return Err(failed("a progressive scan of an impossible band")),
        };
        let is_first = scan.high == 0;
        if scan.low > 13 || !(is_first || scan.high == scan.low + 1) {
            return Err(failed("a progressive scan of impossible bits"));
        }
        let known = if is_first { None } else { Some(scan.high) };
        for low in &mut self.low[band] {
            if *low != known {
                return Err(failed("a progressive scan out of order"));
            }
            *low = Some(scan.low);
        }
        Ok(())
    }
}

impl Pass<'_, '_> {
    fn symbol(&mut self) -> Result<u8, Fault> {
        let table = self.table.ok_or_else(|| failed("a scan without its Huffman table"))?;
        self.bits.symbol(table)
    }

    fn dc_first(&mut self, block: &mut Block) -> Result<(), Fault> {
        let category = self.symbol()?;
        self.prediction = i32::from(check_fits(self.prediction + self.bits.dc_difference(category)?)?);
        block[0] = check_fits(self.prediction << self.low)?;
        Ok(())
    }

    fn dc_refine(&mut self, block: &mut Block) {
        if self.bits.bit() {
            block[0] |= 1 << self.low;
        }
    }

    /// Blocks of an end-of-band run: this one and those behind it.
    fn run_of(&mut self, length: u8) -> u32 {
        (1 << length) + if length > 0 { self.bits.plain(length.into()) } else { 0 }
    }

    fn ac_first(&mut self, block: &mut Block) -> Result<(), Fault> {
        if self.run > 0 {
            self.run -= 1;
            return Ok(());
        }
        let mut k = self.start;
        while k <= self.end {
            let symbol = self.symbol()?;
            match (symbol >> 4, symbol & 15) {
                (15, 0) => k += 16,
                (length, 0) => {
                    self.run = self.run_of(length) - 1;
                    return Ok(());
                }
                (zeros, category) => {
                    k += usize::from(zeros);
                    let value = check_fits(self.bits.value(category.into()) << self.low)?;
                    let slot = block.get_mut(k).filter(|_| k <= self.end);
                    *slot.ok_or_else(|| failed("a coefficient behind the band"))? = value;
                    k += 1;
                }
            }
        }
        Ok(())
    }

    fn ac_refine(&mut self, block: &mut Block) -> Result<(), Fault> {
        let mut k = self.start;
        while self.run == 0 && k <= self.end {
            let symbol = self.symbol()?;
            let (zeros, new) = match (symbol >> 4, symbol & 15) {
                (15, 0) => (15, 0),
                (length, 0) => {
                    self.run = self.run_of(length);
                    break;
                }
                (zeros, 1) => (zeros, if self.bits.bit() { 1 << self.low } else { -1 << self.low }),
                _ => return Err(failed("a refined coefficient of more than one bit")),
            };
            k = self.refine(block, k, zeros.into());
            if new != 0 {
                let slot = block.get_mut(k).filter(|_| k <= self.end);
                *slot.ok_or_else(|| failed("a coefficient behind the band"))? = new;
            }
            k += 1;
        }
        if self.run > 0 {
            self.refine(block, k, u32::MAX);
            self.run -= 1;
        }
        Ok(())
    }

    /// Adds a bit to each nonzero coefficient up to the zero behind `zeros` zeros; gives its place, or
    /// the one behind the band.
    fn refine(&mut self, block: &mut Block, from: usize, mut zeros: u32) -> usize {
        for (k, coefficient) in block.iter_mut().enumerate().take(self.end + 1).skip(from) {
            if *coefficient != 0 {
                if self.bits.bit() {
                    *coefficient = coefficient.saturating_add(coefficient.signum() << self.low);
                }
            } else if zeros == 0 {
                return k;
            } else {
                zeros -= 1;
            }
        }
        self.end + 1
    }
}
