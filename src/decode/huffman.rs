//! Huffman codes of JPEG, and the bits they stand in.
//!
//! # Source
//! T.81 annex C and F.2.2 (tables, decoding), B.1.1.5 (stuffed zeros), B.2.4.2 (where tables are kept).

use super::codestream::failed;
use crate::reason::Fault;

/// Codes of up to this length are looked up at once.
const FAST_BITS: u32 = 12;

/// A Huffman table.
#[derive(Clone)]
pub(crate) struct Huffman {
    /// Length << 8 | symbol of the code that these bits begin with; 0 where it is longer.
    fast: Vec<u16>,
    /// By length: one past the largest code, aligned to 16 bits.
    limit: [u32; 17],
    /// By length: what to add to a code for its symbol's index.
    offset: [i32; 17],
    symbols: Vec<u8>,
}

impl Huffman {
    fn new(counts: &[u8; 16], symbols: &[u8]) -> Result<Huffman, Fault> {
        let mut table =
            Huffman { fast: vec![0; 1 << FAST_BITS], limit: [0; 17], offset: [0; 17], symbols: symbols.to_vec() };
        let (mut code, mut index) = (0u32, 0usize);
        for (length, &count) in (1u32..).zip(counts) {
            table.offset[length as usize] = index as i32 - code as i32;
            for &symbol in symbols.get(index..index + usize::from(count)).unwrap_or_default() {
                if code >> length != 0 {
                    return Err(failed("a Huffman table has more codes than its lengths allow"));
                }
                if length <= FAST_BITS {
                    let first = (code << (FAST_BITS - length)) as usize;
                    let entry = (length as u16) << 8 | u16::from(symbol);
                    table.fast[first..first + (1 << (FAST_BITS - length))].fill(entry);
                }
                code += 1;
            }
            index += usize::from(count);
            table.limit[length as usize] = code << (16 - length);
            code <<= 1;
        }
        Ok(table)
    }

    /// What its codes stand for.
    pub(crate) fn symbols(&self) -> &[u8] {
        &self.symbols
    }

    /// Length and symbol of the code at the head of 16 bits.
    #[inline]
    fn look_up(&self, bits: u32) -> Option<(u32, u8)> {
        let entry = self.fast[(bits >> (16 - FAST_BITS)) as usize & ((1 << FAST_BITS) - 1)];
        if entry != 0 {
            return Some((u32::from(entry >> 8), entry as u8));
        }
        let length = (FAST_BITS + 1..=16).find(|&length| bits < self.limit[length as usize])?;
        let index = (bits >> (16 - length)) as i32 + self.offset[length as usize];
        Some((length, *self.symbols.get(usize::try_from(index).ok()?)?))
    }
}

/// The Huffman tables in force.
#[derive(Default)]
pub(crate) struct Tables {
    /// Class 0: DC and lossless.
    dc: [Option<Huffman>; 4],
    /// Class 1.
    ac: [Option<Huffman>; 4],
}

impl Tables {
    /// Takes the tables of a segment.
    ///
    /// # Errors
    /// Reason `decode_failed` where it is cut or impossible.
    pub(crate) fn read(&mut self, mut body: &[u8]) -> Result<(), Fault> {
        while let Some((&class, rest)) = body.split_first() {
            let cut = || failed("a Huffman table is cut");
            let (counts, rest) = rest.split_first_chunk::<16>().ok_or_else(cut)?;
            let symbols = counts.iter().map(|&count| usize::from(count)).sum();
            let (symbols, rest) = rest.split_at_checked(symbols).ok_or_else(cut)?;
            let slot = match class >> 4 {
                0 => self.dc.get_mut(usize::from(class & 15)),
                1 => self.ac.get_mut(usize::from(class & 15)),
                _ => None,
            };
            // No scan can name another.
            if let Some(slot) = slot {
                *slot = Some(Huffman::new(counts, symbols)?);
            }
            body = rest;
        }
        Ok(())
    }

    /// The DC or lossless table of this place.
    ///
    /// # Errors
    /// Reason `decode_failed` where there is none.
    pub(crate) fn dc(&self, place: u8) -> Result<&Huffman, Fault> {
        let table = self.dc.get(usize::from(place)).and_then(Option::as_ref);
        table.ok_or_else(|| failed("a scan without its Huffman table"))
    }

    /// The AC table of this place.
    ///
    /// # Errors
    /// Reason `decode_failed` where there is none.
    pub(crate) fn ac(&self, place: u8) -> Result<&Huffman, Fault> {
        let table = self.ac.get(usize::from(place)).and_then(Option::as_ref);
        table.ok_or_else(|| failed("a scan without its Huffman table"))
    }
}

/// Entropy-coded bits: stuffed zeros taken out, zeros behind the end.
pub(crate) struct Bits<'a> {
    rest: &'a [u8],
    /// The next bits, from the top.
    window: u64,
    count: u32,
    /// How many of them, at the bottom, are not in the file.
    made_up: u32,
}

impl<'a> Bits<'a> {
    pub(crate) fn new(rest: &'a [u8]) -> Bits<'a> {
        Bits { rest, window: 0, count: 0, made_up: 0 }
    }

    /// At least 32 bits in the window.
    #[inline]
    fn refill(&mut self) {
        if self.count >= 32 {
            return;
        }
        if let Some((&four, rest)) = self.rest.split_first_chunk::<4>()
            && !four.contains(&0xFF)
        {
            self.window |= u64::from(u32::from_be_bytes(four)) << (32 - self.count);
            self.count += 32;
            self.rest = rest;
            return;
        }
        while self.count <= 56 {
            let byte = match self.rest {
                [0xFF, 0, rest @ ..] => {
                    self.rest = rest;
                    0xFF
                }
                [] | [0xFF, ..] => {
                    self.made_up += 8;
                    0
                }
                [byte, rest @ ..] => {
                    self.rest = rest;
                    *byte
                }
            };
            self.window |= u64::from(byte) << (56 - self.count);
            self.count += 8;
        }
    }

    #[inline]
    fn consume(&mut self, bits: u32) {
        self.window <<= bits;
        self.count -= bits;
    }

    /// The symbol of the next code.
    ///
    /// # Errors
    /// Reason `decode_failed` where the table does not have the code.
    #[inline]
    pub(crate) fn symbol(&mut self, table: &Huffman) -> Result<u8, Fault> {
        self.refill();
        let (length, symbol) =
            table.look_up((self.window >> 48) as u32).ok_or_else(|| failed("a code that is not in the table"))?;
        self.consume(length);
        Ok(symbol)
    }

    /// The value of a category of 1 to 16 bits behind its symbol (T.81 F.2.2.1, EXTEND).
    #[inline]
    pub(crate) fn value(&mut self, category: u32) -> i32 {
        let bits = self.plain(category) as i32;
        if bits < 1 << (category - 1) { bits + 1 - (1 << category) } else { bits }
    }

    /// 1 to 16 bits behind a symbol, as they are.
    #[inline]
    pub(crate) fn plain(&mut self, count: u32) -> u32 {
        let bits = (self.window >> (64 - count)) as u32;
        self.consume(count);
        bits
    }

    /// The difference of a DC coefficient from the one before, behind its symbol (T.81 table F.1).
    ///
    /// # Errors
    /// Reason `decode_failed` where there is no such category.
    #[inline]
    pub(crate) fn dc_difference(&mut self, category: u8) -> Result<i32, Fault> {
        match category {
            0 => Ok(0),
            1..=15 => Ok(self.value(category.into())),
            _ => Err(failed("a DC category above 15")),
        }
    }

    /// One bit, anywhere.
    #[inline]
    pub(crate) fn bit(&mut self) -> bool {
        self.refill();
        self.plain(1) == 1
    }

    /// Whether more was taken than there is.
    ///
    /// # Errors
    /// Reason `decode_failed`.
    pub(crate) fn check_not_over(&self) -> Result<(), Fault> {
        if self.count < self.made_up { Err(failed("the entropy-coded data ends early")) } else { Ok(()) }
    }

    /// Steps over a restart marker.
    ///
    /// # Errors
    /// Reason `decode_failed` where there is none.
    pub(crate) fn restart(&mut self) -> Result<(), Fault> {
        self.check_not_over()?;
        match self.rest {
            [0xFF, 0xD0..=0xD7, rest @ ..] => {
                *self = Bits::new(rest);
                Ok(())
            }
            _ => Err(failed("no restart marker where one is due")),
        }
    }

    /// The bytes not yet in the window, from the next marker or earlier.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }
}
