//! The inverse DCT of JPEG: from quantized coefficients to samples.
//!
//! # Source
//! T.81 A.3.3, A.3.4; Arai, Agui, Nakajima 1988 (the factors of the coefficients that need no
//! multiplication of their own go into the quantization table).

/// Coefficients of 8x8 samples, in zigzag order.
pub(crate) type Block = [i16; 64];

/// Zigzag order to 8 * column + row.
#[rustfmt::skip]
const PLACES: [u8; 64] = [
    0, 8, 1, 2, 9, 16, 24, 17, 10, 3, 4, 11, 18, 25, 32, 40,
    33, 26, 19, 12, 5, 6, 13, 20, 27, 34, 41, 48, 56, 49, 42, 35,
    28, 21, 14, 7, 15, 22, 29, 36, 43, 50, 57, 58, 51, 44, 37, 30,
    23, 31, 38, 45, 52, 59, 60, 53, 46, 39, 47, 54, 61, 62, 55, 63,
];

/// sqrt(2) * cos(k * pi / 16), but 1 for k = 0.
const FACTORS: [f64; 8] = [
    1.0,
    1.3870398453221475,
    1.3065629648763766,
    1.1758756024193588,
    1.0,
    0.7856949583871023,
    0.5411961001461971,
    0.2758993792829431,
];

/// One row of a block: the same step for each of its 8 columns.
type Lane = [f32; 8];

/// The inverse DCT behind one quantization table.
pub(crate) struct Idct {
    /// In zigzag order.
    factors: [f32; 64],
    /// Of a sample of 0 before the level shift, and a half for rounding.
    level: f32,
    /// The largest sample.
    most: f32,
}

impl Idct {
    /// `quantization` is in zigzag order, samples are 0 to `most`.
    pub(crate) fn new(quantization: &[u16; 64], precision: u32, most: u16) -> Idct {
        let factor = |k: usize| {
            let place = usize::from(PLACES[k]);
            (f64::from(quantization[k]) * FACTORS[place / 8] * FACTORS[place % 8] / 8.0) as f32
        };
        Idct {
            factors: std::array::from_fn(factor),
            level: (1u32 << (precision - 1)) as f32 + 0.5,
            most: f32::from(most),
        }
    }

    /// Rows of 8 samples: halves are rounded up, then the range is kept.
    pub(crate) fn samples(&self, block: &Block) -> [[u16; 8]; 8] {
        let sample = |value: f32| (value + self.level).clamp(0.0, self.most) as u16;
        if block[1..].iter().all(|&coefficient| coefficient == 0) {
            return [[sample(f32::from(block[0]) * self.factors[0]); 8]; 8];
        }
        let mut columns = [[0.0; 8]; 8];
        for ((&coefficient, &factor), &place) in block.iter().zip(&self.factors).zip(&PLACES) {
            columns[usize::from(place) / 8][usize::from(place) % 8] = f32::from(coefficient) * factor;
        }
        inverse(&transposed(&inverse(&columns))).map(|row| row.map(sample))
    }
}

fn transposed(lanes: &[Lane; 8]) -> [Lane; 8] {
    std::array::from_fn(|row| std::array::from_fn(|column| lanes[column][row]))
}

fn add(a: Lane, b: Lane) -> Lane {
    std::array::from_fn(|i| a[i] + b[i])
}

fn subtract(a: Lane, b: Lane) -> Lane {
    std::array::from_fn(|i| a[i] - b[i])
}

fn times(a: Lane, factor: f32) -> Lane {
    a.map(|value| value * factor)
}

/// The inverse DCT of 8 values, eight times.
fn inverse(lanes: &[Lane; 8]) -> [Lane; 8] {
    let even = inverse_even(lanes[0], lanes[2], lanes[4], lanes[6]);
    let odd = inverse_odd(lanes[1], lanes[3], lanes[5], lanes[7]);
    std::array::from_fn(|i| if i < 4 { add(even[i], odd[i]) } else { subtract(even[7 - i], odd[7 - i]) })
}

fn inverse_even(a: Lane, b: Lane, c: Lane, d: Lane) -> [Lane; 4] {
    let (sum, difference) = (add(a, c), subtract(a, c));
    let outer = add(b, d);
    let inner = subtract(times(subtract(b, d), std::f32::consts::SQRT_2), outer);
    [add(sum, outer), add(difference, inner), subtract(difference, inner), subtract(sum, outer)]
}

fn inverse_odd(a: Lane, b: Lane, c: Lane, d: Lane) -> [Lane; 4] {
    // 2 cos(pi / 8), and the difference and the sum of it and 2 cos(3 pi / 8).
    const TURN: f32 = 1.847_759_1;
    const MINUS: f32 = 1.082_392_2;
    const PLUS: f32 = 2.613_126;
    let (plus, minus) = (add(c, b), subtract(c, b));
    let (outer, inner) = (add(a, d), subtract(a, d));
    let turned = times(add(minus, inner), TURN);
    let first = add(outer, plus);
    let second = subtract(subtract(turned, times(minus, PLUS)), first);
    let third = subtract(times(subtract(outer, plus), std::f32::consts::SQRT_2), second);
    let fourth = subtract(subtract(turned, times(inner, MINUS)), third);
    [first, second, third, fourth]
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
                    let (u, v) = (usize::from(PLACES[k]) / 8, usize::from(PLACES[k]) % 8);
                    let value = f64::from(block[k]) * f64::from(quantization[k]);
                    *sample += c(u) * c(v) / 4.0 * value * cosine(x, u) * cosine(y, v);
                }
            }
        }
        samples
    }

    #[test]
    fn zigzag_begins_and_ends_as_in_the_standard() {
        let row_column: Vec<(u8, u8)> = PLACES.iter().map(|place| (place % 8, place / 8)).collect();
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
        assert_eq!(Idct::new(&[2; 64], 8, 255).samples(&block), [[131; 8]; 8]);
        block[0] = 30000;
        assert_eq!(Idct::new(&[2; 64], 8, 255).samples(&block), [[255; 8]; 8]);
        block[0] = -30000;
        assert_eq!(Idct::new(&[2; 64], 8, 255).samples(&block), [[0; 8]; 8]);
    }

    #[test]
    fn the_second_coefficient_is_a_wave_along_a_row() {
        let mut block = [0; 64];
        block[1] = 100;
        // 128 + 100 * cos((2x + 1) pi / 16) / (4 sqrt 2)
        let row = [145, 143, 138, 131, 125, 118, 113, 111];
        assert_eq!(Idct::new(&[1; 64], 8, 255).samples(&block), [row; 8]);
    }

    proptest! {
        #[test]
        fn samples_are_those_of_the_plain_sum(
            coefficients in prop::collection::vec((0usize..64, -1000i16..1000), 0..12),
            dc in -2000i16..2000, step in 1u16..40, is_deep: bool,
        ) {
            let mut block = [0; 64];
            coefficients.iter().for_each(|&(k, value)| block[k] = value / (1 + k as i16 / 8));
            block[0] = dc;
            let quantization: [u16; 64] = std::array::from_fn(|k| if k == 0 { 8 } else { 1 + step / (1 + k as u16 % 7) });
            let (precision, most) = if is_deep { (12, 4095) } else { (8, 255) };
            let found = Idct::new(&quantization, precision, most).samples(&block);
            for (found, plain) in found.iter().flatten().zip(reference(&block, &quantization).iter().flatten()) {
                let plain = (plain + f64::from(1 << (precision - 1))).clamp(0.0, most.into());
                // A half, and the error of f32 where the sum is next to one.
                prop_assert!((f64::from(*found) - plain).abs() < 0.51, "{} {}", found, plain);
            }
        }

        #[test]
        fn no_coefficients_panic(block in prop::array::uniform32(any::<(i16, i16)>()), step: u16) {
            let block: Block = std::array::from_fn(|k| if k % 2 == 0 { block[k / 2].0 } else { block[k / 2].1 });
            let samples = Idct::new(&[step; 64], 12, 4095).samples(&block);
            prop_assert!(samples.iter().flatten().all(|&sample| sample <= 4095));
        }
    }
}
