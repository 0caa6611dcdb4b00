//! Huffman codes of JPEG.
//!
//! # Source
//! T.81 annex C and F.2.2 (tables, decoding), B.2.4.2 (where tables are kept).

use super::codestream::failed;
use super::entropy_bits::Bits;
use crate::reason::Fault;

/// Codes of up to this length are looked up at once.
const FAST_BITS: u32 = 12;

/// A Huffman table.
#[derive(Clone)]
pub(crate) struct Huffman {
    /// Length << 8 | symbol of the code that these bits begin with; 0 where it is longer.
    fast: Box<[u16; 1 << FAST_BITS]>,
    /// By length: one past the largest code, aligned to 16 bits.
    limit: [u32; 17],
    /// By length: what to add to a code for its symbol's index.
    offset: [i32; 17],
    symbols: Vec<u8>,
}

impl Huffman {
    fn new(counts: &[u8; 16], symbols: &[u8]) -> Result<Huffman, Fault> {
        let mut table =
            Huffman { fast: Box::new([0; 1 << FAST_BITS]), limit: [0; 17], offset: [0; 17], symbols: symbols.to_vec() };
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

    /// The table of lossless differences or DC coefficients, whose symbols are categories.
    pub(crate) fn differences(&self) -> Values<'_> {
        self.values(0xFF)
    }

    /// The table of AC coefficients, whose symbols have the category below a number of zeros.
    pub(crate) fn coefficients(&self) -> Values<'_> {
        self.values(0x0F)
    }

    fn values(&self, category: u8) -> Values<'_> {
        let mut fast = Box::new([0; 1 << FAST_BITS]);
        for ((bits, entry), code) in (0u32..).zip(&mut *fast).zip(&*self.fast) {
            let (length, symbol) = (u32::from(code >> 8), *code as u8);
            let category = u32::from(symbol & category);
            if length == 0 || length + category > FAST_BITS {
                continue;
            }
            let behind = bits >> (FAST_BITS - length - category) & ((1 << category) - 1);
            let value = if category == 0 { 0 } else { extended(behind, category) };
            *entry = (value as u32) << 16 | u32::from(symbol) << 8 | (length + category);
        }
        Values { codes: self, fast }
    }

    /// What its codes stand for.
    pub(crate) fn symbols(&self) -> &[u8] {
        &self.symbols
    }

    /// Length and symbol of the code at the head of 16 bits.
    #[inline]
    fn look_up(&self, bits: u32) -> Option<(u32, u8)> {
        let entry = self.fast[(bits >> (16 - FAST_BITS)) as usize % (1 << FAST_BITS)];
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

/// A table in force, with the value behind its symbol at once wherever both are in the next few bits.
pub(crate) struct Values<'a> {
    codes: &'a Huffman,
    /// By the next bits: value << 16 | symbol << 8 | bits of code and value; 0 where they are more.
    fast: Box<[u32; 1 << FAST_BITS]>,
}

impl<'a> Values<'a> {
    /// The table without the values.
    pub(crate) fn codes(&self) -> &'a Huffman {
        self.codes
    }
}

impl Bits<'_> {
    /// The symbol of the next code; 16 bits behind it are in the window.
    ///
    /// # Errors
    /// Reason `decode_failed` where the table does not have the code.
    #[inline(always)]
    pub(crate) fn symbol(&mut self, table: &Huffman) -> Result<u8, Fault> {
        self.refill();
        let (length, symbol) =
            table.look_up((self.window() >> 48) as u32).ok_or_else(|| failed("a code that is not in the table"))?;
        self.consume(length);
        Ok(symbol)
    }

    /// Symbol and value of the next code, where both are in the next few bits; else nothing is taken.
    /// Needs `refill` before it; after that, one in four is enough.
    #[inline(always)]
    pub(crate) fn symbol_and_value(&mut self, table: &Values<'_>) -> Option<(u8, i16)> {
        let entry = table.fast[(self.window() >> (64 - FAST_BITS)) as usize];
        if entry == 0 {
            return None;
        }
        self.consume(entry & 0xFF);
        Some(((entry >> 8) as u8, (entry >> 16) as i16))
    }

    /// The value of a category of 1 to 16 bits behind its symbol.
    #[inline(always)]
    pub(crate) fn value(&mut self, category: u32) -> i32 {
        extended(self.plain(category), category)
    }

    /// The difference of a DC coefficient from the one before, behind its symbol (T.81 table F.1).
    ///
    /// # Errors
    /// Reason `decode_failed` where there is no such category.
    #[inline(always)]
    pub(crate) fn dc_difference(&mut self, category: u8) -> Result<i32, Fault> {
        match category {
            0 => Ok(0),
            1..=15 => Ok(self.value(category.into())),
            _ => Err(failed("a DC category above 15")),
        }
    }
}

/// The value of a category by its bits (T.81 F.2.2.1, EXTEND).
#[inline(always)]
fn extended(bits: u32, category: u32) -> i32 {
    let bits = bits as i32;
    if bits < 1 << (category - 1) { bits + 1 - (1 << category) } else { bits }
}

#[cfg(test)]
mod tests {
    use super::super::entropy_bits::Stuffing;
    use super::super::entropy_bits::tests::{PlainBits, entropy_coded};
    use super::*;
    use proptest::prelude::*;

    impl PlainBits {
        /// T.81 F.2.2.3, DECODE.
        fn symbol(&mut self, counts: &[u8; 16], symbols: &[u8]) -> Option<u8> {
            let (mut code, mut first, mut index) = (0, 0, 0);
            for &count in counts {
                code = code << 1 | self.bit();
                first <<= 1;
                if code < first + u32::from(count) {
                    return symbols.get(index + (code - first) as usize).copied();
                }
                first += u32::from(count);
                index += usize::from(count);
            }
            None
        }

        /// T.81 F.2.2.1, RECEIVE and EXTEND.
        fn value(&mut self, category: u32) -> i32 {
            let bits = self.plain(category) as i32;
            if category > 0 && bits < 1 << (category - 1) { bits + (-1 << category) + 1 } else { bits }
        }
    }

    /// Lengths of codes, each as long as those before leave room for it.
    fn tables() -> impl Strategy<Value = ([u8; 16], Vec<u8>)> {
        let codes = prop::collection::vec((1usize..=16, any::<u8>()), 1..60);
        codes.prop_map(|mut codes| {
            codes.sort_unstable();
            let (mut counts, mut symbols, mut room) = ([0; 16], Vec::new(), 1u32 << 16);
            for (length, symbol) in codes {
                if room >= 1 << (16 - length) {
                    room -= 1 << (16 - length);
                    counts[length - 1] += 1;
                    symbols.push(symbol);
                }
            }
            (counts, symbols)
        })
    }

    proptest! {
        #[test]
        fn symbols_and_values_are_those_read_bit_by_bit(
            (counts, symbols) in tables(), bytes in entropy_coded(300, Stuffing::Byte), is_ac: bool,
        ) {
            let table = Huffman::new(&counts, &symbols).expect("the codes have room");
            let values = if is_ac { table.coefficients() } else { table.differences() };
            let (mut bits, mut plain) = (Bits::new(&bytes, Stuffing::Byte), PlainBits::new(&bytes, Stuffing::Byte));
            while bits.check_not_over().is_ok() {
                prop_assert!(!plain.is_over());
                bits.refill();
                if let Some((symbol, value)) = bits.symbol_and_value(&values) {
                    prop_assert_eq!(plain.symbol(&counts, &symbols), Some(symbol));
                    let category = if is_ac { symbol & 15 } else { symbol };
                    prop_assert_eq!(plain.value(category.into()), i32::from(value));
                    continue;
                }
                let symbol = bits.symbol(&table).ok();
                prop_assert_eq!(plain.symbol(&counts, &symbols), symbol);
                let Some(symbol) = symbol else { return Ok(()) };
                match symbol % 20 {
                    category @ 1..=16 => prop_assert_eq!(plain.value(category.into()), bits.value(category.into())),
                    17 => prop_assert_eq!(plain.bit() == 1, bits.bit()),
                    _ => {}
                }
            }
            prop_assert!(plain.is_over());
        }
    }

    #[test]
    fn more_codes_than_there_is_room_for_are_a_fault() {
        assert!(Huffman::new(&[3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], &[1, 2, 3]).is_err());
    }
}
