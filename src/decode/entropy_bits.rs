//! The bits of entropy-coded data, out of the stuffing that keeps markers apart from it.
//!
//! # Source
//! T.81 B.1.1.5 (JPEG: a byte of zeros behind one of ones), T.87 A.1 (JPEG-LS: a zero bit).

use super::codestream::failed;
use crate::reason::Fault;

/// Bytes out of which the stuffing is taken at once.
const BLOCK_BYTES: usize = 4096;

/// Bytes that are looked at together for one that is all ones.
const PIECE_BYTES: usize = 16;

/// What stands behind a byte of ones.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Stuffing {
    /// A byte of zeros: JPEG.
    Byte,
    /// A byte whose top bit is a zero that does not count: JPEG-LS.
    Bit,
}

/// Entropy-coded bytes up to a marker, a block at a time.
struct Source<'a> {
    stuffing: Stuffing,
    /// With its stuffing.
    rest: &'a [u8],
    /// Without it; 8 bytes can be read from wherever a block has one.
    block: [u8; BLOCK_BYTES + 8],
    /// Bits behind the block that do not make a byte, from the top, and how many: 0 to 7.
    carry: u64,
    carried: u32,
    /// The byte before `rest` is one of ones, and the bit stuffed behind it still there.
    after_ones: bool,
}

/// Entropy-coded bits without their stuffing, zeros behind the end.
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
    /// the file. Gives the new end and how many bits before it are not in the file.
    #[cold]
    #[inline(never)]
    fn next_block(&mut self, at: usize, end: usize) -> (usize, usize) {
        self.block.copy_within(at..end, 0);
        let mut end = match self.stuffing {
            Stuffing::Byte => self.without_bytes(end - at),
            Stuffing::Bit => self.without_bits(end - at),
        };
        if end >= 8 {
            return (end, 0);
        }
        // The data is over.
        let mut made_up = 64;
        if self.carried > 0 {
            self.block[end] = self.carry.to_be_bytes()[0];
            end += 1;
            made_up += 8 - self.carried as usize;
            (self.carry, self.carried) = (0, 0);
        }
        self.block[end..end + 8].fill(0);
        (end + 8, made_up)
    }

    /// Fills the block from `end` on, up to a marker. Gives the new end.
    fn without_bytes(&mut self, mut end: usize) -> usize {
        let block = &mut self.block[..BLOCK_BYTES];
        loop {
            while let Some((bytes, rest)) = self.rest.split_first_chunk::<PIECE_BYTES>()
                && let Some(place) = block.get_mut(end..end + PIECE_BYTES)
                && !has_ones(bytes)
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

    /// The same with bits stuffed: those of a byte may go to two.
    fn without_bits(&mut self, mut end: usize) -> usize {
        let block = &mut self.block[..BLOCK_BYTES];
        loop {
            while let Some((bytes, rest)) = self.rest.split_first_chunk::<8>()
                && let Some(place) = block.get_mut(end..end + 8)
                && !self.after_ones
                && !has_ones(bytes)
            {
                let bits = u64::from_be_bytes(*bytes);
                place.copy_from_slice(&(self.carry | bits >> self.carried).to_be_bytes());
                // Two shifts: there may be no bits to carry, and none is 64 of them.
                self.carry = bits << 1 << (63 - self.carried);
                (self.rest, end) = (rest, end + 8);
            }
            for _ in 0..8 {
                let Some(place) = block.get_mut(end) else { return end };
                let (byte, bits, rest) = match self.rest {
                    [byte @ 0..0x80, rest @ ..] if self.after_ones => (*byte, 7, rest),
                    [] | [0xFF, 0x80..=0xFF, ..] => return end,
                    [_, ..] if self.after_ones => return end,
                    [byte, rest @ ..] => (*byte, 8, rest),
                };
                self.carry |= u64::from(byte) << (64 - bits) >> self.carried;
                self.carried += bits;
                (self.rest, self.after_ones) = (rest, byte == 0xFF);
                if self.carried >= 8 {
                    *place = self.carry.to_be_bytes()[0];
                    (self.carry, self.carried, end) = (self.carry << 8, self.carried - 8, end + 1);
                }
            }
        }
    }
}

/// Whether one of the bytes is all ones.
#[inline(always)]
fn has_ones<const N: usize>(bytes: &[u8; N]) -> bool {
    bytes.iter().fold(false, |any, &byte| any | (byte == 0xFF))
}

impl<'a> Bits<'a> {
    /// The bits up to the next marker.
    pub(crate) fn new(rest: &'a [u8], stuffing: Stuffing) -> Bits<'a> {
        let block = [0; BLOCK_BYTES + 8];
        let source = Box::new(Source { stuffing, rest, block, carry: 0, carried: 0, after_ones: false });
        Bits { source, at: 0, end: 0, window: 0, count: 0, made_up: 0 }
    }

    /// At least 56 bits in the window.
    #[inline(always)]
    pub(crate) fn refill(&mut self) {
        if self.end.wrapping_sub(self.at) < 8 {
            let (end, made_up) = self.source.next_block(self.at, self.end);
            (self.at, self.end, self.made_up) = (0, end, self.made_up + made_up);
        }
        let at = self.at % BLOCK_BYTES;
        let eight = self.source.block[at..at + 8].first_chunk().map_or(0, |&bytes| u64::from_be_bytes(bytes));
        // Bits that are there already are the same ones.
        self.window |= eight.wrapping_shr(self.count);
        self.at = self.at.wrapping_add((63 ^ self.count as usize) / 8);
        self.count |= 56;
    }

    /// The next bits, from the top; what is counted, 56 after a refill, and then whatever.
    #[inline(always)]
    pub(crate) fn window(&self) -> u64 {
        self.window
    }

    /// Takes at most 56 bits, which are in the window.
    #[inline(always)]
    pub(crate) fn consume(&mut self, bits: u32) {
        self.window = self.window.wrapping_shl(bits);
        self.count = self.count.wrapping_sub(bits);
    }

    /// 1 to 32 bits, which are in the window.
    #[inline(always)]
    pub(crate) fn plain(&mut self, count: u32) -> u32 {
        let bits = (self.window >> (64 - count)) as u32;
        self.consume(count);
        bits
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
        self.count as usize + 8 * (self.end - self.at) + self.source.carried as usize
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
                let source = &mut *self.source;
                (source.rest, source.carry, source.carried, source.after_ones) = (rest, 0, 0, false);
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

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Bits one by one: stuffing taken out, zeros behind the end.
    pub(crate) struct PlainBits {
        bits: Vec<bool>,
        at: usize,
    }

    impl PlainBits {
        pub(crate) fn new(bytes: &[u8], stuffing: Stuffing) -> PlainBits {
            let (mut bits, mut before) = (Vec::new(), 0);
            for (at, &byte) in bytes.iter().enumerate() {
                let next = bytes.get(at + 1).copied();
                let has_all = match (stuffing, before, byte) {
                    // The stuffed byte.
                    (Stuffing::Byte, 0xFF, _) => None,
                    (Stuffing::Byte, _, 0xFF) if next != Some(0) => break,
                    (Stuffing::Bit, 0xFF, 0x80..) => break,
                    (Stuffing::Bit, 0xFF, _) => Some(false),
                    (Stuffing::Bit, _, 0xFF) if next.is_some_and(|next| next >= 0x80) => break,
                    _ => Some(true),
                };
                let first = has_all.map(|has_all| if has_all { 8 } else { 7 });
                bits.extend((0..first.unwrap_or(0)).rev().map(|bit| byte >> bit & 1 == 1));
                before = byte;
            }
            PlainBits { bits, at: 0 }
        }

        pub(crate) fn is_over(&self) -> bool {
            self.at > self.bits.len()
        }

        pub(crate) fn bit(&mut self) -> u32 {
            self.at += 1;
            self.bits.get(self.at - 1).map_or(0, |&bit| bit.into())
        }

        pub(crate) fn plain(&mut self, count: u32) -> u32 {
            (0..count).fold(0, |bits, _| bits << 1 | self.bit())
        }
    }

    /// Bytes with many of ones, some or all of them with what is stuffed behind them.
    pub(crate) fn entropy_coded(most: usize, stuffing: Stuffing) -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![
            8 => any::<u8>().prop_map(|byte| vec![byte]),
            1 => Just(vec![0xFF, 0]),
            1 => Just(vec![0x12; 40]),
        ];
        let stuffed = move |byte| match (byte, stuffing) {
            (0xFF, Stuffing::Byte) => vec![0xFF, 0],
            (0xFF, Stuffing::Bit) => vec![0xFF, 0x5A],
            _ => vec![byte],
        };
        (prop::collection::vec(byte, 0..most), any::<bool>()).prop_map(move |(bytes, has_markers)| {
            let bytes = bytes.concat();
            if has_markers { bytes } else { bytes.into_iter().flat_map(stuffed).collect() }
        })
    }

    /// Takes bits from both until they are over.
    fn compare(bytes: &[u8], counts: &[u32], stuffing: Stuffing) -> Result<(), TestCaseError> {
        let (mut bits, mut plain) = (Bits::new(bytes, stuffing), PlainBits::new(bytes, stuffing));
        for &count in counts.iter().cycle() {
            bits.refill();
            prop_assert_eq!(bits.plain(count), plain.plain(count));
            prop_assert_eq!(bits.check_not_over().is_err(), plain.is_over());
            if plain.is_over() {
                break;
            }
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn stuffed_bytes_are_out_across_blocks(
            bytes in entropy_coded(4000, Stuffing::Byte), counts in prop::collection::vec(1u32..=16, 1..50),
        ) {
            compare(&bytes, &counts, Stuffing::Byte)?;
        }

        #[test]
        fn stuffed_bits_are_out_across_blocks(
            bytes in entropy_coded(4000, Stuffing::Bit), counts in prop::collection::vec(1u32..=16, 1..50),
        ) {
            compare(&bytes, &counts, Stuffing::Bit)?;
        }
    }

    fn has_restart_after(bytes: &[u8], taken: u32, stuffing: Stuffing) -> bool {
        let mut bits = Bits::new(bytes, stuffing);
        (0..taken).for_each(|_| _ = bits.bit());
        let is_due = bits.restart().is_ok();
        // What is behind the marker, 0x80, is read from its start.
        is_due && bits.bit() && !bits.bit()
    }

    #[test]
    fn a_restart_is_due_within_the_last_byte() {
        let of_bytes = [0b1010_1010, 0xFF, 0, 0x12, 0xFF, 0xD3, 0x80];
        for (taken, is_due) in [(16, false), (17, true), (24, true), (25, false)] {
            assert_eq!(has_restart_after(&of_bytes, taken, Stuffing::Byte), is_due, "{taken} bits");
        }
        let of_bits = [0b1010_1010, 0xFF, 0x12, 0xFF, 0xD3, 0x80];
        for (taken, is_due) in [(15, false), (16, true), (23, true), (24, false)] {
            assert_eq!(has_restart_after(&of_bits, taken, Stuffing::Bit), is_due, "{taken} bits");
        }
    }
}
