//! The MQ arithmetic decoder and the raw bits of the lazy mode.
//!
//! # Source
//! T.800 annex C (C.3, table C.2); the decoder keeps the distance to the next renormalisation, as
//! Taubman and Marcellin, JPEG2000, section 17.1.1, have it.

/// Contexts of a code-block (T.800 table D.1 to D.5): 9 of significance, 5 of signs, 3 of refinement, the
/// run, the uniform one.
pub(super) const RUN: u8 = 17;
/// The context without adaption.
pub(super) const UNIFORM: u8 = 18;

/// States of the contexts: the probability in bits 32 to 47, the state after the less probable symbol
/// in bits 16 to 22, after the more probable in bits 8 to 14, the more probable symbol in bit 0. The
/// array is longer than the contexts are so that an index needs no check.
pub(super) type Contexts = [u64; 32];

/// Probability, next state after MPS, after LPS, whether LPS switches (table C.2).
#[rustfmt::skip]
const STATES: [(u16, u8, u8, bool); 47] = [
    (0x5601, 1, 1, true), (0x3401, 2, 6, false), (0x1801, 3, 9, false), (0x0AC1, 4, 12, false),
    (0x0521, 5, 29, false), (0x0221, 38, 33, false), (0x5601, 7, 6, true), (0x5401, 8, 14, false),
    (0x4801, 9, 14, false), (0x3801, 10, 14, false), (0x3001, 11, 17, false), (0x2401, 12, 18, false),
    (0x1C01, 13, 20, false), (0x1601, 29, 21, false), (0x5601, 15, 14, true), (0x5401, 16, 14, false),
    (0x5101, 17, 15, false), (0x4801, 18, 16, false), (0x3801, 19, 17, false), (0x3401, 20, 18, false),
    (0x3001, 21, 19, false), (0x2801, 22, 19, false), (0x2401, 23, 20, false), (0x2201, 24, 21, false),
    (0x1C01, 25, 22, false), (0x1801, 26, 23, false), (0x1601, 27, 24, false), (0x1401, 28, 25, false),
    (0x1201, 29, 26, false), (0x1101, 30, 27, false), (0x0AC1, 31, 28, false), (0x09C1, 32, 29, false),
    (0x08A1, 33, 30, false), (0x0521, 34, 31, false), (0x0441, 35, 32, false), (0x02A1, 36, 33, false),
    (0x0221, 37, 34, false), (0x0141, 38, 35, false), (0x0111, 39, 36, false), (0x0085, 40, 37, false),
    (0x0049, 41, 38, false), (0x0025, 42, 39, false), (0x0015, 43, 40, false), (0x0009, 44, 41, false),
    (0x0005, 45, 42, false), (0x0001, 45, 43, false), (0x5601, 46, 46, false),
];

const PROBABILITY: u64 = 0xFFFF << 32;

/// State `2 * i + mps` of table C.2, as [`Contexts`] hold it.
static WORDS: [u64; 128] = words();

const fn words() -> [u64; 128] {
    let mut words = [0; 128];
    let mut i = 0;
    while i < 2 * STATES.len() {
        let (probability, after_mps, after_lps, switches) = STATES[i / 2];
        let mps = (i % 2) as u64;
        let lps_symbol = if switches { 1 - mps } else { mps };
        let (mps_next, lps_next) = (2 * after_mps as u64 + mps, 2 * after_lps as u64 + lps_symbol);
        words[i] = (probability as u64) << 32 | lps_next << 16 | mps_next << 8 | mps;
        i += 1;
    }
    words
}

/// The contexts at the start of a code-block (table D.7).
pub(super) fn initial_contexts() -> Contexts {
    let mut contexts = [WORDS[0]; 32];
    contexts[0] = WORDS[2 * 4];
    contexts[usize::from(RUN)] = WORDS[2 * 3];
    contexts[usize::from(UNIFORM)] = WORDS[2 * 46];
    contexts
}

/// Where the passes of a code-block get their decisions from.
pub(super) trait Symbols {
    /// A decision in this context.
    fn symbol(&mut self, contexts: &mut Contexts, context: u8) -> u32;
    /// A sign: `hint` has the context in its low bits and what to turn the decision by in bit 7.
    fn sign(&mut self, contexts: &mut Contexts, hint: u8) -> u32;
}

/// The decoder's registers: real A is `a + d`, real C is `c + d`, both with the 16 bits of T.800 above
/// 32 bits of bytes ahead. While `d` stays positive a decision is the more probable one and nothing
/// else changes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mq<'a> {
    bytes: &'a [u8],
    a: i64,
    c: i64,
    d: i64,
    /// Bits of bytes ahead.
    ahead: i32,
    was_ones: bool,
}

const HALF: i64 = 0x8000 << 32;

impl<'a> Mq<'a> {
    /// A decoder of one segment (INITDEC).
    pub(super) fn new(bytes: &'a [u8]) -> Mq<'a> {
        let mut mq = Mq { bytes, a: 0, c: 0, d: 0, ahead: -15, was_ones: false };
        let c = mq.filled(0);
        mq.set(HALF, c);
        mq
    }

    /// C with bytes ahead (BYTEIN): behind the end, or before a marker, come ones.
    #[inline(always)]
    fn filled(&mut self, mut c: i64) -> i64 {
        while self.ahead <= 16 {
            let (byte, bits) = match (self.bytes, self.was_ones) {
                ([byte @ 0..=0x8F, rest @ ..], true) => {
                    self.bytes = rest;
                    self.was_ones = false;
                    (*byte, 7)
                }
                ([byte, rest @ ..], false) => {
                    self.bytes = rest;
                    self.was_ones = *byte == 0xFF;
                    (*byte, 8)
                }
                _ => (0xFF, 8),
            };
            c = c.wrapping_add(i64::from(byte) << ((32 - bits - self.ahead) & 63));
            self.ahead = self.ahead.wrapping_add(bits);
        }
        c
    }

    #[inline(always)]
    fn set(&mut self, a: i64, c: i64) {
        self.d = a.wrapping_sub(HALF).min(c);
        self.a = a.wrapping_sub(self.d);
        self.c = c.wrapping_sub(self.d);
    }

    /// A decision after which A is below 0x8000, or the less probable one (MPS_EXCHANGE, LPS_EXCHANGE,
    /// RENORMD).
    #[inline(always)]
    fn exchange(mut self, word: u64) -> (Mq<'a>, u64) {
        let probability = (word & PROBABILITY) as i64;
        let mut a = self.a.wrapping_add(self.d);
        let mut c = self.c.wrapping_add(self.d);
        let mut is_less = a < probability;
        if c < 0 {
            is_less = !is_less;
            c = c.wrapping_add(probability);
            a = probability;
        }
        let shift = (a as u64).leading_zeros().wrapping_sub(16) & 15;
        self.ahead = self.ahead.wrapping_sub(shift as i32);
        c <<= shift;
        if self.ahead < 0 {
            c = self.filled(c);
        }
        self.set(a << shift, c);
        (self, u64::from(is_less))
    }
}

impl Symbols for Mq<'_> {
    #[inline(always)]
    fn symbol(&mut self, contexts: &mut Contexts, context: u8) -> u32 {
        let slot = &mut contexts[usize::from(context & 31)];
        let word = *slot;
        self.d = self.d.wrapping_sub((word & PROBABILITY) as i64);
        if self.d >= 0 {
            return (word & 1) as u32;
        }
        let (next, less) = self.exchange(word);
        *self = next;
        *slot = WORDS[(word >> (8 + 8 * less) & 127) as usize];
        ((word ^ less) & 1) as u32
    }

    #[inline(always)]
    fn sign(&mut self, contexts: &mut Contexts, hint: u8) -> u32 {
        self.symbol(contexts, hint & 31) ^ u32::from(hint >> 7)
    }
}

/// Bits without arithmetic coding: after a byte of ones the next has 7 bits; ones behind the end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Raw<'a> {
    bytes: &'a [u8],
    byte: u8,
    left: u32,
}

impl<'a> Raw<'a> {
    /// A reader of one segment.
    pub(super) fn new(bytes: &'a [u8]) -> Raw<'a> {
        Raw { bytes, byte: 0, left: 0 }
    }

    #[inline]
    fn bit(&mut self) -> u32 {
        if self.left == 0 {
            self.left = if self.byte == 0xFF { 7 } else { 8 };
            match (self.bytes, self.byte) {
                // A marker: the segment is over.
                ([0x90..=0xFF, ..], 0xFF) | ([], _) => (self.byte, self.left) = (0xFF, 8),
                ([byte, rest @ ..], _) => (self.byte, self.bytes) = (*byte, rest),
            }
        }
        self.left -= 1;
        u32::from(self.byte >> self.left & 1)
    }
}

impl Symbols for Raw<'_> {
    #[inline]
    fn symbol(&mut self, _: &mut Contexts, _: u8) -> u32 {
        self.bit()
    }

    #[inline]
    fn sign(&mut self, _: &mut Contexts, _: u8) -> u32 {
        self.bit()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The encoder of T.800 C.2, step by step, with one flush at the end.
    struct Encoder {
        a: u32,
        c: u32,
        left: u32,
        /// The first byte is none.
        bytes: Vec<u8>,
        /// Index into table C.2 and more probable symbol.
        states: [(usize, bool); 19],
    }

    impl Encoder {
        fn code(&mut self, context: usize, bit: bool) {
            let (state, mps) = self.states[context];
            let (probability, after_mps, after_lps, switches) = STATES[state];
            let probability = u32::from(probability);
            self.a -= probability;
            if bit == mps {
                if self.a & 0x8000 != 0 {
                    self.c += probability;
                    return;
                }
                if self.a < probability {
                    self.a = probability
                } else {
                    self.c += probability
                }
                self.states[context] = (after_mps.into(), mps);
            } else {
                if self.a < probability {
                    self.c += probability
                } else {
                    self.a = probability
                }
                self.states[context] = (after_lps.into(), mps ^ switches);
            }
            while self.a & 0x8000 == 0 {
                self.a <<= 1;
                self.c <<= 1;
                self.left -= 1;
                if self.left == 0 {
                    self.byte_out();
                }
            }
        }

        fn byte_out(&mut self) {
            let last = self.bytes.last_mut().expect("a byte");
            if *last != 0xFF && self.c & 0x800_0000 != 0 {
                *last += 1;
                self.c &= 0x7FF_FFFF;
            }
            let (shift, left) = if *last == 0xFF { (20, 7) } else { (19, 8) };
            self.bytes.push((self.c >> shift) as u8);
            self.c &= (1 << shift) - 1;
            self.left = left;
        }

        fn flushed(mut self) -> Vec<u8> {
            let most = self.c + self.a;
            self.c |= 0xFFFF;
            if self.c >= most {
                self.c -= 0x8000;
            }
            for _ in 0..2 {
                self.c <<= self.left;
                self.byte_out();
            }
            self.bytes.split_off(1)
        }
    }

    fn encoder() -> Encoder {
        let mut states = [(0, false); 19];
        (states[0], states[usize::from(RUN)], states[usize::from(UNIFORM)]) = ((4, false), (3, false), (46, false));
        Encoder { a: 0x8000, c: 0, left: 12, bytes: vec![0], states }
    }

    #[test]
    fn the_test_sequence_of_t_88() {
        // T.88 H.2: one context that starts in state 0.
        let coded = [
            0x84, 0xC7, 0x3B, 0xFC, 0xE1, 0xA1, 0x43, 0x04, 0x02, 0x20, 0x00, 0x00, 0x41, 0x0D, 0xBB, 0x86, 0xF4, 0x31,
            0x7F, 0xFF, 0x88, 0xFF, 0x37, 0x47, 0x1A, 0xDB, 0x6A, 0xDF, 0xFF, 0xAC,
        ];
        let plain = [
            0x00, 0x02, 0x00, 0x51, 0x00, 0x00, 0x00, 0xC0, 0x03, 0x52, 0x87, 0x2A, 0xAA, 0xAA, 0xAA, 0xAA, 0x82, 0xC0,
            0x20, 0x00, 0xFC, 0xD7, 0x9E, 0xF6, 0xBF, 0x7F, 0xED, 0x90, 0x4F, 0x46, 0xA3, 0xBF,
        ];
        let (mut mq, mut contexts) = (Mq::new(&coded), initial_contexts());
        let decoded = plain.map(|_| (0..8).fold(0, |byte, _| byte << 1 | mq.symbol(&mut contexts, 1)));
        assert_eq!(decoded, plain);
    }

    #[test]
    fn raw_bits_after_a_byte_of_ones_are_seven() {
        let mut raw = Raw::new(&[0xFF, 0b0101_0101, 0x80]);
        let mut bits = || (0..8).fold(0, |byte, _| byte << 1 | raw.bit());
        assert_eq!([bits(), bits(), bits()], [0xFF, 0b1010_1011, 0b0000_0001]);
    }

    proptest! {
        #[test]
        fn what_is_coded_is_decoded(
            decisions in proptest::collection::vec((0u8..19, 0u8..10), 0..3_000), rare in 0u8..10,
        ) {
            let decisions: Vec<(u8, bool)> = decisions.iter().map(|&(context, bit)| (context, bit < rare)).collect();
            let mut encoder = encoder();
            decisions.iter().for_each(|&(context, bit)| encoder.code(context.into(), bit));
            let bytes = encoder.flushed();
            let (mut mq, mut contexts) = (Mq::new(&bytes), initial_contexts());
            for (context, bit) in decisions {
                prop_assert_eq!(mq.symbol(&mut contexts, context), u32::from(bit));
            }
        }
    }
}
