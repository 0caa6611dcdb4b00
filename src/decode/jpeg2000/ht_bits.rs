//! Bits of high-throughput code-blocks: four streams, each with a stuffed bit of its own rule.
//!
//! # Source
//! T.814 clause 7.1.

/// Bits, least significant first, of bytes that are read forwards: after a byte of ones the next has 7
/// bits. Behind the end come bytes of `fill`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Forward<'a> {
    bytes: &'a [u8],
    fill: u8,
    window: u64,
    count: u32,
    was_ones: bool,
}

impl<'a> Forward<'a> {
    pub(super) fn new(bytes: &'a [u8], fill: u8) -> Forward<'a> {
        Forward { bytes, fill, window: 0, count: 0, was_ones: false }
    }

    /// The next 32 bits.
    #[inline(always)]
    pub(super) fn peek(&mut self) -> u32 {
        if self.count < 32 {
            *self = self.refilled();
        }
        self.window as u32
    }

    /// Steps over bits that were seen, at most 32.
    #[inline(always)]
    pub(super) fn skip(&mut self, bits: u32) {
        self.window >>= bits & 63;
        self.count = self.count.wrapping_sub(bits);
    }

    #[inline(always)]
    fn refilled(mut self) -> Forward<'a> {
        if let Some((&four, rest)) = self.bytes.split_first_chunk::<4>() {
            let word = u32::from_le_bytes(four);
            // No byte of ones.
            if !self.was_ones && (!word).wrapping_sub(0x0101_0101) & word & 0x8080_8080 == 0 {
                self.window |= u64::from(word) << (self.count & 63);
                self.count = self.count.wrapping_add(32);
                self.bytes = rest;
                return self;
            }
        }
        self.refilled_by_bytes()
    }

    #[inline(never)]
    fn refilled_by_bytes(mut self) -> Forward<'a> {
        while self.count <= 56 {
            let byte = match self.bytes {
                [byte, rest @ ..] => {
                    self.bytes = rest;
                    *byte
                }
                [] => self.fill,
            };
            // The stuffed bit is 0; where it is not, the sum of both is no worse than either.
            self.window |= u64::from(byte) << (self.count & 63);
            self.count = self.count.wrapping_add(if self.was_ones { 7 } else { 8 });
            self.was_ones = byte == 0xFF;
        }
        self
    }
}

/// Bits, least significant first, of bytes that are read backwards: a byte of 7 ones, the top bit aside,
/// has 7 bits where the byte before was above 0x8F. Behind the end come zeros.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backward<'a> {
    bytes: &'a [u8],
    window: u64,
    count: u32,
    was_high: bool,
}

impl<'a> Backward<'a> {
    /// The codes of a cleanup pass: `bytes` end with the two that hold the length; four bits of the
    /// first of these belong to the codes.
    pub(super) fn of_codes(bytes: &'a [u8]) -> Backward<'a> {
        let (last, bytes) = match bytes {
            [rest @ .., last, _] => (*last, rest),
            _ => (0, bytes),
        };
        let window = u64::from(last >> 4);
        Backward { bytes, window, count: if window & 7 == 7 { 3 } else { 4 }, was_high: last | 0x0F > 0x8F }
    }

    /// The refinement bits, at the end of `bytes`.
    pub(super) fn of_refinement(bytes: &'a [u8]) -> Backward<'a> {
        Backward { bytes, window: 0, count: 0, was_high: true }
    }

    /// The next 32 bits.
    #[inline(always)]
    pub(super) fn peek(&mut self) -> u32 {
        if self.count < 32 {
            *self = self.refilled();
        }
        self.window as u32
    }

    /// Steps over bits that were seen, at most 32.
    #[inline(always)]
    pub(super) fn skip(&mut self, bits: u32) {
        self.window >>= bits & 63;
        self.count = self.count.wrapping_sub(bits);
    }

    #[inline(always)]
    fn refilled(mut self) -> Backward<'a> {
        while self.count <= 56 {
            let byte = match self.bytes {
                [rest @ .., byte] => {
                    self.bytes = rest;
                    *byte
                }
                [] => 0,
            };
            self.window |= u64::from(byte) << (self.count & 63);
            let is_stuffed = self.was_high && byte & 0x7F == 0x7F;
            self.count = self.count.wrapping_add(if is_stuffed { 7 } else { 8 });
            self.was_high = byte > 0x8F;
        }
        self
    }
}

/// Exponents of the run lengths (T.814 table 2).
const EXPONENTS: [u32; 13] = [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 4, 5];

/// The adaptive run-length decoder of the events "all four samples are zero" (MEL).
#[derive(Clone, Copy, Debug)]
pub(super) struct Runs<'a> {
    bytes: &'a [u8],
    /// Bits, most significant first.
    window: u64,
    count: u32,
    was_ones: bool,
    state: usize,
    zeros: u32,
    ends_in_one: bool,
}

impl<'a> Runs<'a> {
    /// The events of a cleanup pass: `bytes` end with the two that hold the length, of the first of
    /// which four bits are ones here.
    pub(super) fn new(bytes: &'a [u8]) -> Runs<'a> {
        Runs { bytes, window: 0, count: 0, was_ones: false, state: 0, zeros: 0, ends_in_one: false }
    }

    /// The next event.
    #[inline(always)]
    pub(super) fn event(&mut self) -> bool {
        if self.zeros == 0 && !self.ends_in_one {
            *self = self.with_run();
        }
        if self.zeros > 0 {
            self.zeros -= 1;
            return false;
        }
        std::mem::take(&mut self.ends_in_one)
    }

    fn with_run(mut self) -> Runs<'a> {
        if self.count < 8 {
            self.refill();
        }
        let exponent = EXPONENTS.get(self.state).copied().unwrap_or_default();
        let is_full = self.window >> 63 == 1;
        if is_full {
            self.zeros = 1 << exponent;
            self.state = (self.state + 1).min(EXPONENTS.len() - 1);
        } else {
            self.zeros = (self.window << 1 >> 32 >> (32 - exponent)) as u32;
            self.ends_in_one = true;
            self.state = self.state.saturating_sub(1);
        }
        let used = if is_full { 1 } else { 1 + exponent };
        self.window <<= used;
        self.count = self.count.wrapping_sub(used);
        self
    }

    fn refill(&mut self) {
        while self.count <= 48 {
            let byte = match self.bytes {
                [] | [_] => 0xFF,
                [byte, _] => *byte | 0x0F,
                [byte, ..] => *byte,
            };
            self.bytes = self.bytes.get(1..).unwrap_or_default();
            let bits = if self.was_ones { 7 } else { 8 };
            let value = if self.was_ones { byte & 0x7F } else { byte };
            self.window |= u64::from(value) << (64 - bits - self.count);
            self.count += bits;
            self.was_ones = byte == 0xFF;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The bits one by one, first read first; `bits_of` gives how many bits a byte has after the one before.
    fn plain(bytes: impl Iterator<Item = u8>, before: u8, bits_of: impl Fn(u8, u8) -> u32) -> Vec<u8> {
        let mut before = before;
        let mut bits = Vec::new();
        for byte in bytes {
            bits.extend((0..bits_of(before, byte)).map(|bit| byte >> bit & 1));
            before = byte;
        }
        bits
    }

    fn number(bits: &[u8]) -> u32 {
        bits.iter().rev().fold(0, |number, &bit| number << 1 | u32::from(bit))
    }

    fn byte() -> impl Strategy<Value = u8> {
        prop_oneof![any::<u8>(), Just(0xFF), Just(0x7F), Just(0x90)]
    }

    /// Bytes of which none breaks the rule that a byte after one of ones is at most 0x7F.
    fn legal(bytes: &[u8]) -> Vec<u8> {
        let mut before = 0;
        let mask = |&byte: &u8| {
            before = if before == 0xFF { byte & 0x7F } else { byte };
            before
        };
        bytes.iter().map(mask).collect()
    }

    #[test]
    fn runs_of_events() {
        // 1: a run of one 0; again, twice; then state 3, 0 and one bit 1: a run of one 0 and a 1.
        let mut runs = Runs::new(&[0b1110_1000, 0, 0, 0]);
        let events: Vec<bool> = (0..5).map(|_| runs.event()).collect();
        assert_eq!(events, [false, false, false, false, true]);
    }

    proptest! {
        #[test]
        fn forward_bits_agree_with_the_plain_ones(
            bytes in proptest::collection::vec(byte(), 0..40), lengths in proptest::collection::vec(0u32..=32, 1..20),
        ) {
            let bytes = legal(&bytes);
            let stuffed = |before, _| if before == 0xFF { 7 } else { 8 };
            let mut expected = plain(bytes.iter().copied(), 0, stuffed);
            expected.resize(expected.len().max(32 * 21), 0);
            let (mut bits, mut at) = (Forward::new(&bytes, 0), 0);
            for length in lengths {
                let found = u64::from(bits.peek()) & ((1 << length) - 1);
                bits.skip(length);
                prop_assert_eq!(found as u32, number(&expected[at..at + length as usize]));
                at += length as usize;
            }
        }

        #[test]
        fn backward_bits_agree_with_the_plain_ones(
            bytes in proptest::collection::vec(byte(), 0..40), lengths in proptest::collection::vec(0u32..=32, 1..20),
        ) {
            // A byte of which the rule takes the top bit away has none.
            let mut before = 0xFF;
            let mut bytes: Vec<u8> = bytes;
            for byte in bytes.iter_mut().rev() {
                if before > 0x8F && *byte & 0x7F == 0x7F {
                    *byte = 0x7F;
                }
                before = *byte;
            }
            let stuffed = |before, byte: u8| if before > 0x8F && byte & 0x7F == 0x7F { 7 } else { 8 };
            let mut expected = plain(bytes.iter().rev().copied(), 0xFF, stuffed);
            expected.resize(expected.len().max(32 * 21), 0);
            let (mut bits, mut at) = (Backward::of_refinement(&bytes), 0);
            for length in lengths {
                let found = u64::from(bits.peek()) & ((1 << length) - 1);
                bits.skip(length);
                prop_assert_eq!(found as u32, number(&expected[at..at + length as usize]));
                at += length as usize;
            }
        }
    }
}
