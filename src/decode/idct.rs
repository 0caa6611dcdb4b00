//! The inverse DCT of JPEG: from quantized coefficients to samples, in integers.
//!
//! Sample for sample what libjpeg and its descendants give by default (their "islow").
//!
//! # Source
//! T.81 A.3.3, A.3.4; Loeffler, Ligtenberg, Moschytz 1989, with the multiplications of its odd half
//! gathered by input: the sums are the same, and each factor and coefficient has 16 bits.

/// Coefficients of 8x8 samples, in zigzag order.
pub(crate) type Block = [i16; 64];

/// Zigzag order to 8 * row + column.
#[rustfmt::skip]
const PLACES: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5,
    12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21, 28,
    35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51,
    58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
];

/// The first coefficients in zigzag order that are all in the upper left 4x4.
const CORNER: usize = 10;

/// Bits behind the point of a factor.
const FACTOR_BITS: u32 = 13;

/// Of the even half: row by result, column by coefficient 2 and 6. 2^13 sqrt(2) cos(2 pi/16) and
/// cos(6 pi/16), each as libjpeg rounds its three factors.
const EVEN: [[i32; 4]; 2] = [[10703, 4433, 0, 0], [4433, -10704, 0, 0]];

/// Of the odd half: row by result, column by coefficient 1, 3, 5, 7. Sums of the nine that libjpeg
/// rounds.
const ODD: [[i32; 4]; 4] =
    [[11363, 9633, 6437, 2260], [9633, -2259, -11362, -6436], [6437, -11362, 2261, 9633], [2260, -6436, 9633, -11363]];

/// One row of a block.
type Lane = [i16; 8];

/// Coefficients of a block times their steps, on their way in.
pub(crate) struct Spectrum {
    /// By frequency down, then across.
    lanes: [Lane; 8],
    /// Place of the last one, in zigzag order.
    last: usize,
}

/// The inverse DCT behind one quantization table.
pub(crate) struct Idct {
    /// In zigzag order.
    steps: [u16; 64],
    /// Of a sample of 0 before the level shift.
    level: i16,
    /// The largest sample.
    most: i16,
    /// Bits behind the point between the two passes.
    kept_bits: u32,
}

impl Idct {
    /// `quantization` is in zigzag order, `precision` 8 or 12, samples are 0 to `most`.
    pub(crate) fn new(quantization: &[u16; 64], precision: u32, most: u16) -> Idct {
        Idct {
            steps: *quantization,
            level: 1 << (precision - 1),
            most: most.min(i16::MAX as u16) as i16,
            kept_bits: if precision == 8 { 2 } else { 1 },
        }
    }

    /// No coefficients but the first.
    #[inline(always)]
    pub(crate) fn spectrum(&self, dc: i16) -> Spectrum {
        let mut spectrum = Spectrum { lanes: [[0; 8]; 8], last: 0 };
        spectrum.lanes[0][0] = self.dequantized(0, dc);
        spectrum
    }

    /// Sets a coefficient; those of one block come in zigzag order. False: `k` is behind the block.
    #[inline(always)]
    pub(crate) fn set(&self, spectrum: &mut Spectrum, k: usize, coefficient: i16) -> bool {
        let Some(&place) = PLACES.get(k) else { return false };
        let (row, column) = (usize::from(place / 8) % 8, usize::from(place % 8));
        spectrum.lanes[row][column] = self.dequantized(k, coefficient);
        spectrum.last = k;
        true
    }

    /// What is out of range is no coefficient of samples.
    #[inline(always)]
    fn dequantized(&self, k: usize, coefficient: i16) -> i16 {
        let value = i32::from(coefficient).wrapping_mul(self.steps[k % 64].into());
        value.clamp(i16::MIN.into(), i16::MAX.into()) as i16
    }

    /// Rows of 8 samples of a whole block.
    pub(crate) fn block_samples(&self, block: &Block) -> [[u16; 8]; 8] {
        let mut spectrum = self.spectrum(block[0]);
        let last = block.iter().rposition(|&coefficient| coefficient != 0).unwrap_or(0);
        for (k, &coefficient) in block.iter().enumerate().take(last + 1).skip(1) {
            self.set(&mut spectrum, k, coefficient);
        }
        self.samples(&spectrum)
    }

    /// Rows of 8 samples: halves are rounded up in both passes, columns first, then the range is kept.
    pub(crate) fn samples(&self, spectrum: &Spectrum) -> [[u16; 8]; 8] {
        let Spectrum { lanes, last } = spectrum;
        if *last == 0 {
            // As the passes do it, each in turn.
            let value = rounded(i32::from(lanes[0][0]) << self.kept_bits, self.kept_bits + 3);
            return [[self.sample(saturated(value)); 8]; 8];
        }
        let (first, second) = (FACTOR_BITS - self.kept_bits, FACTOR_BITS + self.kept_bits + 3);
        const ZEROS: Lane = [0; 8];
        let is_corner = *last < CORNER;
        let columns = if is_corner {
            inverse([lanes[0], lanes[1], lanes[2], lanes[3], ZEROS, ZEROS, ZEROS, ZEROS], first)
        } else {
            inverse(*lanes, first)
        };
        let samples = match transposed(columns) {
            _ if is_saturated(&columns) => return self.rows(inverse_wide(*lanes, first, second)),
            [a, b, c, d, ..] if is_corner => inverse([a, b, c, d, ZEROS, ZEROS, ZEROS, ZEROS], second),
            columns => inverse(columns, second),
        };
        self.rows(transposed(samples))
    }

    #[inline(always)]
    fn rows(&self, lanes: [Lane; 8]) -> [[u16; 8]; 8] {
        lanes.map(|row| row.map(|value| self.sample(value)))
    }

    #[inline(always)]
    fn sample(&self, value: i16) -> u16 {
        value.saturating_add(self.level).max(0).min(self.most) as u16
    }
}

#[inline(always)]
fn is_saturated(lanes: &[Lane; 8]) -> bool {
    let ends = lanes.as_flattened().iter().fold((0, 0), |(low, high), &value| (value.min(low), value.max(high)));
    ends.0 == i16::MIN || ends.1 == i16::MAX
}

#[inline(always)]
fn transposed(lanes: [Lane; 8]) -> [Lane; 8] {
    shuffled(shuffled(shuffled(lanes)))
}

/// The even places from the first half and the odd ones from the second: a third of the way to columns
/// in the place of rows. Not inlined, three of them become one permutation that is slow.
#[inline(never)]
fn shuffled(lanes: [Lane; 8]) -> [Lane; 8] {
    let mut pairs = [[0; 8]; 8];
    let (first, second) = lanes.as_flattened().split_at(32);
    let pair = pairs.as_flattened_mut().as_chunks_mut::<2>().0.iter_mut();
    pair.zip(first).zip(second).for_each(|((pair, &a), &b)| *pair = [a, b]);
    pairs
}

#[inline(always)]
fn saturated(value: i32) -> i16 {
    value.clamp(i16::MIN.into(), i16::MAX.into()) as i16
}

/// Rounded to whole 2^bits, halves up.
#[inline(always)]
fn rounded(value: i32, bits: u32) -> i32 {
    value.wrapping_add(1 << (bits - 1)) >> bits
}

/// The inverse DCT of 8 values, eight times; of the results, `bits` are rounded away. No result out of
/// values of 16 bits needs more than 32 bits; sums on the way to it may wrap. A plain loop is what the compiler
/// makes eight lanes of.
#[inline(never)]
fn inverse(lanes: [Lane; 8], bits: u32) -> [Lane; 8] {
    let mut samples = [[0; 8]; 8];
    for i in 0..8 {
        let [a, b, c, d] = [lanes[0][i], lanes[1][i], lanes[2][i], lanes[3][i]].map(i32::from);
        let [e, f, g, h] = [lanes[4][i], lanes[5][i], lanes[6][i], lanes[7][i]].map(i32::from);
        let [a, b, c, d, e, f, g, h] = inverse_of_8([a, b, c, d, e, f, g, h], bits);
        samples[0][i] = saturated(a);
        samples[1][i] = saturated(b);
        samples[2][i] = saturated(c);
        samples[3][i] = saturated(d);
        samples[4][i] = saturated(e);
        samples[5][i] = saturated(f);
        samples[6][i] = saturated(g);
        samples[7][i] = saturated(h);
    }
    samples
}

/// Both passes with 32 bits between them: 12-bit samples that ring below black or above white need 17.
#[cold]
fn inverse_wide(lanes: [Lane; 8], first: u32, second: u32) -> [Lane; 8] {
    let columns: [[i32; 8]; 8] =
        std::array::from_fn(|column| inverse_of_8(lanes.map(|lane| lane[column].into()), first));
    std::array::from_fn(|row| inverse_of_8(columns.map(|column| column[row]), second).map(saturated))
}

#[inline(always)]
fn inverse_of_8([a, b, c, d, e, f, g, h]: [i32; 8], bits: u32) -> [i32; 8] {
    let (sum, difference) = (a.wrapping_add(e) << FACTOR_BITS, a.wrapping_sub(e) << FACTOR_BITS);
    let (outer, inner) = (weighed([c, g, 0, 0], EVEN[0]), weighed([c, g, 0, 0], EVEN[1]));
    let (even0, even1) = (sum.wrapping_add(outer), difference.wrapping_add(inner));
    let (even2, even3) = (difference.wrapping_sub(inner), sum.wrapping_sub(outer));
    let odd = [b, d, f, h];
    let (odd0, odd1) = (weighed(odd, ODD[0]), weighed(odd, ODD[1]));
    let (odd2, odd3) = (weighed(odd, ODD[2]), weighed(odd, ODD[3]));
    [
        rounded(even0.wrapping_add(odd0), bits),
        rounded(even1.wrapping_add(odd1), bits),
        rounded(even2.wrapping_add(odd2), bits),
        rounded(even3.wrapping_add(odd3), bits),
        rounded(even3.wrapping_sub(odd3), bits),
        rounded(even2.wrapping_sub(odd2), bits),
        rounded(even1.wrapping_sub(odd1), bits),
        rounded(even0.wrapping_sub(odd0), bits),
    ]
}

#[inline(always)]
fn weighed([a, b, c, d]: [i32; 4], [k, l, m, n]: [i32; 4]) -> i32 {
    (a.wrapping_mul(k).wrapping_add(b.wrapping_mul(l))).wrapping_add(c.wrapping_mul(m).wrapping_add(d.wrapping_mul(n)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// T.81 A.3.3 as it is written, before the level shift.
    fn reference(block: &Block, quantization: &[u16; 64]) -> [[f64; 8]; 8] {
        let c = |k: usize| if k == 0 { std::f64::consts::FRAC_1_SQRT_2 } else { 1.0 };
        let cosine = |x: usize, u: usize| libm::cos((2 * x + 1) as f64 * u as f64 * std::f64::consts::PI / 16.0);
        let mut samples = [[0.0; 8]; 8];
        for (y, row) in samples.iter_mut().enumerate() {
            for (x, sample) in row.iter_mut().enumerate() {
                for k in 0..64 {
                    let (u, v) = (usize::from(PLACES[k]) % 8, usize::from(PLACES[k]) / 8);
                    let value = f64::from(block[k]) * f64::from(quantization[k]);
                    *sample += c(u) * c(v) / 4.0 * value * cosine(x, u) * cosine(y, v);
                }
            }
        }
        samples
    }

    /// As libjpeg's `jidctint.c` does it, one value after the other.
    fn islow(block: &Block, quantization: &[u16; 64], precision: u32) -> [[u16; 8]; 8] {
        let kept = if precision == 8 { 2 } else { 1 };
        let mut values = [[0; 8]; 8];
        for k in 0..64 {
            values[usize::from(PLACES[k]) / 8][usize::from(PLACES[k]) % 8] =
                i64::from(block[k]) * i64::from(quantization[k]);
        }
        let columns: [[i64; 8]; 8] = std::array::from_fn(|column| islow_of_8(values.map(|row| row[column]), 13 - kept));
        let rows: [[i64; 8]; 8] =
            std::array::from_fn(|row| islow_of_8(columns.map(|column| column[row]), 13 + kept + 3));
        let level = 1 << (precision - 1);
        rows.map(|row| row.map(|value| (value + level).clamp(0, 2 * level - 1) as u16))
    }

    fn islow_of_8(c: [i64; 8], bits: u32) -> [i64; 8] {
        let z1 = (c[2] + c[6]) * 4433;
        let (t2, t3) = (z1 - c[6] * 15137, z1 + c[2] * 6270);
        let (t0, t1) = ((c[0] + c[4]) << 13, (c[0] - c[4]) << 13);
        let even = [t0 + t3, t1 + t2, t1 - t2, t0 - t3];
        let (z1, z2, z3, z4) = (c[7] + c[1], c[5] + c[3], c[7] + c[3], c[5] + c[1]);
        let z5 = (z3 + z4) * 9633;
        let (z1, z2, z3, z4) = (-z1 * 7373, -z2 * 20995, z5 - z3 * 16069, z5 - z4 * 3196);
        let odd = [c[1] * 12299 + z1 + z4, c[3] * 25172 + z2 + z3, c[5] * 16819 + z2 + z4, c[7] * 2446 + z1 + z3];
        let wide = |i: usize| if i < 4 { even[i] + odd[i] } else { even[7 - i] - odd[7 - i] };
        std::array::from_fn(|i| (wide(i) + (1 << (bits - 1))) >> bits)
    }

    #[test]
    fn zigzag_begins_and_ends_as_in_the_standard() {
        let row_column: Vec<(u8, u8)> = PLACES.iter().map(|place| (place / 8, place % 8)).collect();
        assert_eq!(row_column[..6], [(0, 0), (0, 1), (1, 0), (2, 0), (1, 1), (0, 2)]);
        assert_eq!(row_column[61..], [(6, 7), (7, 6), (7, 7)]);
        let mut sorted = PLACES;
        sorted.sort_unstable();
        assert!((0..64).eq(sorted));
    }

    #[test]
    fn a_lone_dc_lifts_every_sample_by_an_eighth() {
        let mut block = [0; 64];
        block[0] = 12;
        assert_eq!(Idct::new(&[2; 64], 8, 255).block_samples(&block), [[131; 8]; 8]);
        block[0] = 30000;
        assert_eq!(Idct::new(&[2; 64], 8, 255).block_samples(&block), [[255; 8]; 8]);
        block[0] = -30000;
        assert_eq!(Idct::new(&[2; 64], 8, 255).block_samples(&block), [[0; 8]; 8]);
    }

    #[test]
    fn ringing_below_black_needs_17_bits_between_the_passes() {
        let mut block = [0; 64];
        (block[0], block[1], block[2]) = (-15464, -24, -672);
        let (steps, found) = ([1; 64], Idct::new(&[1; 64], 12, 4095).block_samples(&block));
        assert_eq!(found, islow(&block, &steps, 12));
        assert_eq!(found[0], [0, 0, 0, 0, 0, 1, 2, 3]);
    }

    #[test]
    fn the_second_coefficient_is_a_wave_along_a_row() {
        let mut block = [0; 64];
        block[1] = 100;
        // 128 + 100 * cos((2x + 1) pi / 16) / (4 sqrt 2)
        let row = [145, 143, 138, 131, 125, 118, 113, 111];
        assert_eq!(Idct::new(&[1; 64], 8, 255).block_samples(&block), [row; 8]);
    }

    proptest! {
        #[test]
        fn samples_are_those_of_libjpeg_and_next_to_the_plain_sum(
            coefficients in prop::collection::vec((0usize..64, -1000i16..1000), 0..30), reach in 1usize..=64,
            dc in -2000i16..2000, step in 1u16..40, is_deep: bool,
        ) {
            let mut block = [0; 64];
            coefficients.iter().for_each(|&(k, value)| block[k % reach] = value / (1 + k as i16 / 8));
            block[0] = dc;
            let quantization: [u16; 64] = std::array::from_fn(|k| if k == 0 { 8 } else { 1 + step / (1 + k as u16 % 7) });
            let (precision, most) = if is_deep { (12, 4095) } else { (8, 255) };
            let found = Idct::new(&quantization, precision, most).block_samples(&block);
            let plain = reference(&block, &quantization);
            // A coefficient of more than 16 bits is none of samples, and cut.
            let is_whole = |(&value, &step): (&i16, &u16)| i16::try_from(i32::from(value) * i32::from(step)).is_ok();
            prop_assume!(block.iter().zip(&quantization).all(is_whole));
            // Sums of 32 bits hold samples far out of range, but not any.
            prop_assume!(plain.iter().flatten().all(|sample| sample.abs() < 8000.0));
            prop_assert_eq!(found, islow(&block, &quantization, precision));
            for (found, plain) in found.iter().flatten().zip(plain.iter().flatten()) {
                let plain = (plain + f64::from(1 << (precision - 1))).clamp(0.0, most.into());
                prop_assert!((f64::from(*found) - plain).abs() < 1.0, "{} {}", found, plain);
            }
        }

        #[test]
        fn no_coefficients_panic(block in prop::array::uniform32(any::<(i16, i16)>()), step: u16) {
            let block: Block = std::array::from_fn(|k| if k % 2 == 0 { block[k / 2].0 } else { block[k / 2].1 });
            let samples = Idct::new(&[step; 64], 12, 4095).block_samples(&block);
            prop_assert!(samples.iter().flatten().all(|&sample| sample <= 4095));
        }
    }
}
