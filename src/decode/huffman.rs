//! Huffman codes of JPEG, and the bits they stand in.
//!
//! # Source
//! T.81 annex C and F.2.2 (tables, decoding), B.1.1.5 (stuffed zeros), B.2.4.2 (where tables are kept).

use super::codestream::failed;
use crate::reason::Fault;

/// Codes of up to this length are looked up at once.
const FAST_BITS: u32 = 12;

/// Bytes from which the stuffed zeros are taken out at once.
const BLOCK_BYTES: usize = 4096;

/// Bytes that are looked at together for one that is all ones.
const PIECE_BYTES: usize = 16;

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

/// Entropy-coded bytes up to a marker, a block at a time.
struct Source<'a> {
    /// With its stuffed zeros.
    rest: &'a [u8],
    /// Without them; 8 bytes can be read from wherever a block has one.
    block: [u8; BLOCK_BYTES + 8],
}

/// Entropy-coded bits: stuffed zeros taken out, zeros behind the end.
pub(crate) struct Bits<'a> {
    source: Box<Source<'a>>,
    /// First byte of the block of which not every bit is in the window.
    at: usize,
    /// End of the block.
    end: usize,
    /// The next bits, from the top; below the counted ones, some of those behind them or zeros.
    window: u64,
    count: u32,
    /// How many bits, at the end of the block, are not in the file.
    made_up: usize,
}
impl Source<'_> {
    /// The rest of the block, from `at` to `end`, moves to its front, and behind it what follows it in
    /// the file. Gives the new end and how many bytes before it are not in the file: 8 or none.
    #[cold]
    #[inline(never)]
    fn next_block(&mut self, at: usize, end: usize) -> (usize, usize) {
        self.block.copy_within(at..end, 0);
        let end = self.unstuff(end - at);
        if end >= 8 {
            return (end, 0);
        }
        self.block[end..end + 8].fill(0);
        (end + 8, 8)
    }

    /// Fills the block from `end` on, up to a marker. Gives the new end.
    fn unstuff(&mut self, mut end: usize) -> usize {
        let block = &mut self.block[..BLOCK_BYTES];
        loop {
            while let Some((bytes, rest)) = self.rest.split_first_chunk::<PIECE_BYTES>()
                && let Some(place) = block.get_mut(end..end + PIECE_BYTES)
                && !bytes.iter().fold(false, |any, &byte| any | (byte == 0xFF))
            {
                place.copy_from_slice(bytes);
                (self.rest, end) = (rest, end + PIECE_BYTES);
            }
            for _ in 0..PIECE_BYTES {
                let Some(place) = block.get_mut(end) else { return end };
                (*place, self.rest) = match self.rest {
                    [0xFF, 0, rest @ ..] => (0xFF, rest),
                    [] | [0xFF, ..] => return end,
                    [byte, rest @ ..] => (*byte, rest),
                };
                end += 1;
            }
        }
    }
}

impl<'a> Bits<'a> {
    pub(crate) fn new(rest: &'a [u8]) -> Bits<'a> {
        let source = Box::new(Source { rest, block: [0; BLOCK_BYTES + 8] });
        Bits { source, at: 0, end: 0, window: 0, count: 0, made_up: 0 }
    }

    /// At least 56 bits in the window.
    #[inline(always)]
    pub(crate) fn refill(&mut self) {
        if self.end - self.at < 8 {
            let (end, made_up) = self.source.next_block(self.at, self.end);
            (self.at, self.end, self.made_up) = (0, end, self.made_up + 8 * made_up);
        }
        let at = self.at % BLOCK_BYTES;
        let eight = self.source.block[at..at + 8].first_chunk().map_or(0, |&bytes| u64::from_be_bytes(bytes));
        // Bits that are there already are the same ones.
        self.window |= eight.wrapping_shr(self.count);
        self.at = self.at.wrapping_add((63 ^ self.count as usize) / 8);
        self.count |= 56;
    }

    /// Takes at most 56 bits, which are in the window.
    #[inline(always)]
    fn consume(&mut self, bits: u32) {
        self.window = self.window.wrapping_shl(bits);
        self.count = self.count.wrapping_sub(bits);
    }

    /// The symbol of the next code; 16 bits behind it are in the window.
    ///
    /// # Errors
    /// Reason `decode_failed` where the table does not have the code.
    #[inline(always)]
    pub(crate) fn symbol(&mut self, table: &Huffman) -> Result<u8, Fault> {
        self.refill();
        let (length, symbol) =
            table.look_up((self.window >> 48) as u32).ok_or_else(|| failed("a code that is not in the table"))?;
        self.consume(length);
        Ok(symbol)
    }

    /// Symbol and value of the next code, where both are in the next few bits; else nothing is taken.
    /// Needs `refill` before it; after that, one in four is enough.
    #[inline(always)]
    pub(crate) fn symbol_and_value(&mut self, table: &Values<'_>) -> Option<(u8, i16)> {
        let entry = table.fast[(self.window >> (64 - FAST_BITS)) as usize];
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

    /// 1 to 16 bits behind a symbol, as they are.
    #[inline(always)]
    pub(crate) fn plain(&mut self, count: u32) -> u32 {
        let bits = (self.window >> (64 - count)) as u32;
        self.consume(count);
        bits
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

    /// One bit, anywhere.
    #[inline(always)]
    pub(crate) fn bit(&mut self) -> bool {
        if self.count == 0 {
            self.refill();
        }
        self.plain(1) == 1
    }

    /// Bits that are left before the marker, as far as they were looked at; those made up count too.
    #[inline(always)]
    fn left(&self) -> usize {
        self.count as usize + 8 * (self.end - self.at)
    }

    /// Whether more was taken than there is.
    ///
    /// # Errors
    /// Reason `decode_failed`.
    #[inline(always)]
    pub(crate) fn check_not_over(&self) -> Result<(), Fault> {
        if self.left() < self.made_up { Err(failed("the entropy-coded data ends early")) } else { Ok(()) }
    }

    /// Steps over a restart marker. What stands before it is less than a byte.
    ///
    /// # Errors
    /// Reason `decode_failed` where there is none.
    #[inline(always)]
    pub(crate) fn restart(&mut self) -> Result<(), Fault> {
        self.check_not_over()?;
        match self.source.rest {
            [0xFF, 0xD0..=0xD7, rest @ ..] if self.left() - self.made_up < 8 => {
                self.source.rest = rest;
                (self.at, self.end, self.window, self.count, self.made_up) = (0, 0, 0, 0, 0);
                Ok(())
            }
            _ => Err(failed("no restart marker where one is due")),
        }
    }

    /// The bytes from the next marker or earlier.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.source.rest
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
    use super::*;
    use proptest::prelude::*;

    /// Bits one by one: stuffed zeros taken out, zeros behind the end.
    struct PlainBits {
        bits: Vec<bool>,
        at: usize,
    }

    impl PlainBits {
        fn new(bytes: &[u8]) -> PlainBits {
            let (mut bits, mut at) = (Vec::new(), 0);
            while let Some(&byte) = bytes.get(at) {
                if byte == 0xFF && bytes.get(at + 1) != Some(&0) {
                    break;
                }
                bits.extend((0..8).rev().map(|bit| byte >> bit & 1 == 1));
                at += if byte == 0xFF { 2 } else { 1 };
            }
            PlainBits { bits, at: 0 }
        }

        fn bit(&mut self) -> u32 {
            self.at += 1;
            self.bits.get(self.at - 1).map_or(0, |&bit| bit.into())
        }

        fn plain(&mut self, count: u32) -> u32 {
            (0..count).fold(0, |bits, _| bits << 1 | self.bit())
        }

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

    /// Bytes with many of ones, most of them stuffed.
    fn entropy_coded(most: usize) -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![
            8 => any::<u8>().prop_map(|byte| vec![byte]),
            1 => Just(vec![0xFF, 0]),
            1 => Just(vec![0x12; 40]),
        ];
        (prop::collection::vec(byte, 0..most), any::<bool>()).prop_map(|(bytes, has_markers)| {
            let bytes = bytes.concat();
            if has_markers {
                return bytes;
            }
            let stuffed = |byte| if byte == 0xFF { vec![0xFF, 0] } else { vec![byte] };
            bytes.into_iter().flat_map(stuffed).collect()
        })
    }

    proptest! {
        #[test]
        fn symbols_and_values_are_those_read_bit_by_bit(
            (counts, symbols) in tables(), bytes in entropy_coded(300), is_ac: bool,
        ) {
            let table = Huffman::new(&counts, &symbols).expect("the codes have room");
            let values = if is_ac { table.coefficients() } else { table.differences() };
            let (mut bits, mut plain) = (Bits::new(&bytes), PlainBits::new(&bytes));
            while bits.check_not_over().is_ok() {
                prop_assert!(plain.at <= plain.bits.len());
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
            prop_assert!(plain.at > plain.bits.len());
        }

        #[test]
        fn stuffed_zeros_are_out_across_blocks(bytes in entropy_coded(6000), counts in prop::collection::vec(1u32..=16, 1..50)) {
            let (mut bits, mut plain) = (Bits::new(&bytes), PlainBits::new(&bytes));
            for &count in counts.iter().cycle() {
                bits.refill();
                prop_assert_eq!(bits.plain(count), plain.plain(count));
                prop_assert_eq!(bits.check_not_over().is_err(), plain.at > plain.bits.len());
                if plain.at > plain.bits.len() {
                    break;
                }
            }
        }
    }

    #[test]
    fn a_restart_is_due_within_the_last_byte() {
        let bytes = [0b1010_1010, 0xFF, 0, 0x12, 0xFF, 0xD3, 0x80];
        for (taken, is_due) in [(16, false), (17, true), (24, true), (25, false)] {
            let mut bits = Bits::new(&bytes);
            (0..taken).for_each(|_| _ = bits.bit());
            assert_eq!(bits.restart().is_ok(), is_due, "{taken} bits");
            if is_due {
                assert!(bits.bit() && !bits.bit());
            }
        }
    }

    #[test]
    fn more_codes_than_there_is_room_for_are_a_fault() {
        assert!(Huffman::new(&[3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], &[1, 2, 3]).is_err());
    }
}
