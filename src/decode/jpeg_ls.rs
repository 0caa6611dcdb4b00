//! JPEG-LS, lossless and near-lossless: 2 to 16 bits, one component.
//!
//! # Source
//! T.87: annex A (coding), annex C (preset parameters, C.2.4.1.1.1 for the default thresholds). Names
//! in comments are those of T.87.

use super::codestream::{Claim, failed};
use super::format::{Cells, Format};
use super::markers::{self, Segments};
use crate::reason::{Fault, Reason};

/// Run lengths' orders, J (A.2.1).
const RUN_ORDERS: [u32; 32] =
    [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 9, 10, 11, 12, 13, 14, 15];

/// Entropy-coded bits: after a byte of ones the next one has 7 bits; zeros behind the end.
struct Bits<'a> {
    rest: &'a [u8],
    window: u64,
    count: u32,
    made_up: u32,
    after_ones: bool,
}

impl Bits<'_> {
    /// At least 32 bits in the window.
    #[inline]
    fn refill(&mut self) {
        if let Some((&four, rest)) = self.rest.split_first_chunk::<4>()
            && self.count <= 32
            && !self.after_ones
            && !four.contains(&0xFF)
        {
            self.window |= u64::from(u32::from_be_bytes(four)) << (32 - self.count);
            self.count += 32;
            self.rest = rest;
            return;
        }
        self.refill_by_bytes();
    }

    fn refill_by_bytes(&mut self) {
        while self.count <= 56 {
            let (byte, bits) = match (self.rest, self.after_ones) {
                ([byte @ 0..0x80, rest @ ..], true) => {
                    self.rest = rest;
                    (*byte, 7)
                }
                ([byte, rest @ ..], false) => {
                    self.rest = rest;
                    (*byte, 8)
                }
                // The end, or a marker.
                _ => {
                    self.made_up += 8;
                    (0, 8)
                }
            };
            self.after_ones = byte == 0xFF || (bits == 8 && self.made_up > 0 && self.after_ones);
            self.window |= u64::from(byte) << (64 - bits - self.count);
            self.count += bits;
        }
    }

    #[inline]
    fn take(&mut self, bits: u32) -> u32 {
        if bits == 0 {
            return 0;
        }
        if self.count < 32 {
            self.refill();
        }
        let value = (self.window >> (64 - bits)) as u32;
        self.window <<= bits;
        self.count -= bits;
        value
    }

    /// Zeros before the next one, which is taken too; at most `most`.
    #[inline]
    fn zeros(&mut self, most: u32) -> Option<u32> {
        let mut zeros = 0;
        loop {
            if self.count < 32 {
                self.refill();
            }
            let here = self.window.leading_zeros();
            if here < self.count {
                self.window <<= here;
                self.window <<= 1;
                self.count -= here + 1;
                return Some(zeros + here).filter(|&zeros| zeros <= most);
            }
            zeros += self.count;
            (self.window, self.count) = (0, 0);
            if zeros > most || self.made_up > 64 {
                return None;
            }
        }
    }

    fn check_not_over(&self) -> Result<(), Fault> {
        if self.count < self.made_up { Err(failed("the entropy-coded data ends early")) } else { Ok(()) }
    }
}

/// What a scan is coded with.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Parameters {
    /// MAXVAL, largest sample.
    most: i32,
    /// NEAR, largest error.
    near: i32,
    /// T1, T2, T3.
    thresholds: [i32; 3],
    /// RESET.
    reset: i32,
}

impl Parameters {
    /// C.2.4.1.1.1.
    fn default(most: i32, near: i32) -> Parameters {
        let clamp = |value: i32, low: i32| if value > most || value < low { low } else { value };
        let t = if most >= 128 {
            let factor = (most.min(4095) + 128) >> 8;
            [factor + 2 + 3 * near, 4 * factor + 3 + 5 * near, 17 * factor + 4 + 7 * near]
        } else {
            let factor = 256 / (most + 1);
            [(3 / factor + 3 * near).max(2), (7 / factor + 5 * near).max(3), (21 / factor + 7 * near).max(4)]
        };
        let t1 = clamp(t[0], near + 1);
        let t2 = clamp(t[1], t1);
        Parameters { most, near, thresholds: [t1, t2, clamp(t[2], t2)], reset: 64 }
    }
}

/// State of one context.
#[derive(Clone, Copy, Debug)]
struct Context {
    /// A, sum of error magnitudes.
    magnitudes: i32,
    /// B, bias.
    bias: i32,
    /// C, prediction correction.
    correction: i32,
    /// N, occurrences.
    count: i32,
    /// Nn, negative errors (run interruption only).
    negatives: i32,
}

struct Decoder<'a> {
    bits: Bits<'a>,
    parameters: Parameters,
    /// RANGE.
    range: i32,
    /// 2 NEAR + 1.
    step: i32,
    /// qbpp.
    error_bits: u32,
    /// LIMIT.
    limit: u32,
    contexts: Vec<Context>,
    run_index: usize,
}

/// Cells of one frame.
///
/// # Errors
/// Reason `codestream_mismatch` where the frame's header does not agree with the data set,
/// `decode_failed` where the codestream is damaged.
pub(crate) fn decode(frame: &[u8], format: &Format) -> Result<Cells, Fault> {
    let (parameters, data) = read_header(frame, format)?;
    let mut decoder = Decoder::new(parameters, data);
    let columns = format.columns as usize;
    let mut cells = vec![0u16; format.pixels()];
    // Lines with a margin on both sides: left of the first sample, right of the last one.
    let (mut above, mut line) = (vec![0i32; columns + 2], vec![0i32; columns + 2]);
    for row in cells.chunks_exact_mut(columns) {
        if let Some(last) = above.get(columns).copied() {
            above[columns + 1] = last;
        }
        line[0] = above[1];
        decoder.line(&above, &mut line)?;
        row.iter_mut().zip(&line[1..]).for_each(|(cell, &sample)| *cell = sample as u16);
        std::mem::swap(&mut above, &mut line);
    }
    Ok(Cells::Narrow(cells))
}

fn read_header<'a>(frame: &'a [u8], format: &Format) -> Result<(Parameters, &'a [u8]), Fault> {
    let mut segments = Segments::of(frame)?;
    let mut claim: Option<Claim> = None;
    let mut preset = None;
    loop {
        let (marker, body) = segments.next()?;
        match (marker, body) {
            (markers::SOF55, body) => {
                let found = markers::claim(body)?;
                found.check(format)?;
                claim = Some(found);
            }
            (marker, _) if markers::is_frame(marker) => {
                return Err(Fault::new(Reason::CodestreamMismatch, "the frame is not JPEG-LS"));
            }
            (markers::LSE, [1, values @ ..]) => {
                let words = values.first_chunk::<10>().ok_or_else(|| failed("preset parameters are cut"))?;
                let mut preset_values = [0; 5];
                let words = words.as_chunks().0.iter().map(|word| i32::from(u16::from_be_bytes(*word)));
                preset_values.iter_mut().zip(words).for_each(|(value, word)| *value = word);
                preset = Some(preset_values);
            }
            (markers::LSE, _) => return Err(failed("mapping tables and oversize images are not taken")),
            (markers::DRI, &[0, 0]) => {}
            (markers::DRI, _) => return Err(failed("restart intervals are not taken")),
            (markers::SOS, &[1, _, 0, near, 0, 0, ..]) => {
                let claim = claim.ok_or_else(|| failed("a scan before its frame"))?;
                return Ok((parameters(claim.precision, near.into(), preset)?, segments.rest()));
            }
            (markers::SOS, _) => return Err(failed("a scan header that is not of one component")),
            _ => {}
        }
    }
}

fn parameters(precision: u32, near: i32, preset: Option<[i32; 5]>) -> Result<Parameters, Fault> {
    if !(2..=16).contains(&precision) {
        return Err(failed(format!("{precision} bits, expected 2 to 16")));
    }
    let [most, t1, t2, t3, reset] = preset.unwrap_or_default();
    let largest = (1 << precision) - 1;
    let or = |value, default| if value == 0 { default } else { value };
    let most = or(most, largest);
    let default = Parameters::default(most, near);
    let [d1, d2, d3] = default.thresholds;
    let [t1, t2, t3] = [or(t1, d1), or(t2, d2), or(t3, d3)];
    let reset = or(reset, default.reset);
    let is_sound =
        most <= largest && near <= 255.min(most / 2) && near < t1 && t1 <= t2 && t2 <= t3 && t3 <= most.max(t1);
    if !is_sound || reset < 3 {
        return Err(failed("preset parameters are impossible"));
    }
    Ok(Parameters { most, near, thresholds: [t1, t2, t3], reset })
}

/// Bits that hold 0 to `values - 1`.
fn bits_for(values: i32) -> u32 {
    32 - (values - 1).leading_zeros()
}

impl<'a> Decoder<'a> {
    fn new(parameters: Parameters, data: &'a [u8]) -> Decoder<'a> {
        let Parameters { most, near, .. } = parameters;
        let range = (most + 2 * near) / (2 * near + 1) + 1;
        let sample_bits = bits_for(most + 1).max(2);
        let start = Context { magnitudes: ((range + 32) / 64).max(2), bias: 0, correction: 0, count: 1, negatives: 0 };
        Decoder {
            bits: Bits { rest: data, window: 0, count: 0, made_up: 0, after_ones: false },
            parameters,
            range,
            step: 2 * near + 1,
            error_bits: bits_for(range),
            limit: 2 * (sample_bits + sample_bits.max(8)),
            contexts: vec![start; 367],
            run_index: 0,
        }
    }

    /// One line; sample `column` is at `column + 1`.
    fn line(&mut self, above: &[i32], line: &mut [i32]) -> Result<(), Fault> {
        let end = line.len() - 1;
        let near = self.parameters.near;
        let mut at = 1;
        while at < end {
            let (left, up, up_left, up_right) = (line[at - 1], above[at], above[at - 1], above[at + 1]);
            let gradients = [up_right - up, up - up_left, up_left - left];
            if gradients.iter().all(|gradient| gradient.abs() <= near) {
                at = self.run(above, line, at, end)?;
            } else {
                line[at] = self.regular(gradients, left, up, up_left)?;
                at += 1;
            }
        }
        self.bits.check_not_over()
    }

    /// A.3.3.
    #[inline]
    fn quantized(&self, gradient: i32) -> i32 {
        let [t1, t2, t3] = self.parameters.thresholds;
        let size = gradient.abs();
        let level = if size <= self.parameters.near {
            0
        } else {
            1 + i32::from(size >= t1) + i32::from(size >= t2) + i32::from(size >= t3)
        };
        if gradient < 0 { -level } else { level }
    }

    /// A sample in regular mode (A.4, A.5, A.6).
    #[inline]
    fn regular(&mut self, gradients: [i32; 3], left: i32, up: i32, up_left: i32) -> Result<i32, Fault> {
        let [q1, q2, q3] = gradients.map(|gradient| self.quantized(gradient));
        let index = 81 * q1 + 9 * q2 + q3;
        let sign = if index < 0 { -1 } else { 1 };
        let at = index.unsigned_abs() as usize;
        let context = self.contexts[at];
        let edge = if up_left >= left.max(up) {
            left.min(up)
        } else if up_left <= left.min(up) {
            left.max(up)
        } else {
            left + up - up_left
        };
        let prediction = (edge + sign * context.correction).clamp(0, self.parameters.most);
        let order = golomb_order(context.count, context.magnitudes);
        let mapped = self.golomb(order, self.limit)?;
        let is_inverted = self.parameters.near == 0 && order == 0 && 2 * context.bias <= -context.count;
        let error = match (mapped & 1 == 1, is_inverted) {
            (false, false) => mapped / 2,
            (true, false) => -(mapped / 2) - 1,
            (false, true) => -(mapped / 2) - 1,
            (true, true) => mapped / 2,
        };
        self.contexts[at].update(error, self.step, self.parameters.reset);
        Ok(self.reconstruct(prediction, sign * error))
    }

    /// A run from `at`, and the sample that interrupts it (A.7). Gives where to go on.
    fn run(&mut self, above: &[i32], line: &mut [i32], mut at: usize, end: usize) -> Result<usize, Fault> {
        let value = line[at - 1];
        while self.bits.take(1) == 1 {
            let length = 1usize << RUN_ORDERS[self.run_index];
            let filled = length.min(end - at);
            line[at..at + filled].fill(value);
            at += filled;
            if filled == length && self.run_index < 31 {
                self.run_index += 1;
            }
            if at == end {
                return Ok(at);
            }
            self.bits.check_not_over()?;
        }
        let length = self.bits.take(RUN_ORDERS[self.run_index]) as usize;
        if length >= end - at {
            return Err(failed("a run is longer than its line"));
        }
        line[at..at + length].fill(value);
        at += length;
        line[at] = self.interruption(value, above[at])?;
        self.run_index = self.run_index.saturating_sub(1);
        Ok(at + 1)
    }

    /// The sample after a run (A.7.2).
    fn interruption(&mut self, left: i32, up: i32) -> Result<i32, Fault> {
        let is_flat = (left - up).abs() <= self.parameters.near;
        let flat = i32::from(is_flat);
        let at = 365 + usize::from(is_flat);
        let context = self.contexts[at];
        let sum = context.magnitudes.saturating_add(if is_flat { context.count >> 1 } else { 0 });
        let order = golomb_order(context.count, sum);
        let mapped = self.golomb(order, self.limit - RUN_ORDERS[self.run_index] - 1)?;
        let folded = mapped + flat;
        let is_odd = folded & 1 == 1;
        let size = (folded + 1) / 2;
        let error = if (order != 0 || 2 * context.negatives >= context.count) == is_odd { -size } else { size };
        self.contexts[at].update_run(error, (mapped + 1 - flat) >> 1, self.parameters.reset);
        let (prediction, sign) = if is_flat { (left, 1) } else { (up, if left > up { -1 } else { 1 }) };
        Ok(self.reconstruct(prediction, sign * error))
    }

    /// A limited-length Golomb code of this order (A.5.3).
    #[inline]
    fn golomb(&mut self, order: u32, limit: u32) -> Result<i32, Fault> {
        let long = limit - self.error_bits - 1;
        match self.bits.zeros(long) {
            Some(zeros) if zeros < long => Ok((zeros << order | self.bits.take(order)) as i32),
            Some(_) => Ok(self.bits.take(self.error_bits) as i32 + 1),
            None => Err(failed("a code is longer than its limit")),
        }
    }

    /// Prediction and error modulo RANGE (A.4.4, A.6).
    #[inline]
    fn reconstruct(&self, prediction: i32, error: i32) -> i32 {
        let Parameters { most, near, .. } = self.parameters;
        let mut sample = prediction + error * self.step;
        if sample < -near {
            sample += self.range * self.step;
        } else if sample > most + near {
            sample -= self.range * self.step;
        }
        sample.clamp(0, most)
    }
}

/// Smallest k with count * 2^k >= sum, at most 16 (A.5.1).
#[inline]
fn golomb_order(count: i32, sum: i32) -> u32 {
    let (count, sum) = (count as u32, sum as u32);
    let order = count.leading_zeros().saturating_sub(sum.leading_zeros());
    (order + u32::from(count << order < sum)).min(16)
}

impl Context {
    /// A.6.1 and A.6.2.
    #[inline]
    fn update(&mut self, error: i32, step: i32, reset: i32) {
        self.bias += error * step;
        // A hostile RESET could let it grow without end.
        self.magnitudes = self.magnitudes.saturating_add(error.abs());
        if self.count == reset {
            self.magnitudes >>= 1;
            self.bias >>= 1;
            self.count >>= 1;
        }
        self.count += 1;
        if self.bias <= -self.count {
            self.bias = (self.bias + self.count).max(1 - self.count);
            self.correction = (self.correction - 1).max(-128);
        } else if self.bias > 0 {
            self.bias = (self.bias - self.count).min(0);
            self.correction = (self.correction + 1).min(127);
        }
    }

    /// A.7.2, step 6.
    fn update_run(&mut self, error: i32, size: i32, reset: i32) {
        self.negatives += i32::from(error < 0);
        self.magnitudes = self.magnitudes.saturating_add(size);
        if self.count == reset {
            self.magnitudes >>= 1;
            self.count >>= 1;
            self.negatives >>= 1;
        }
        self.count += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn format(columns: u32, rows: u32, bits: u16) -> Format {
        Format::unsigned(rows, columns, bits)
    }

    /// The example of T.87 annex H.3: 4x4 samples of 8 bits, lossless.
    const EXAMPLE: [u8; 44] = [
        0xFF, 0xD8, 0xFF, 0xF7, 0x00, 0x0B, 0x08, 0x00, 0x04, 0x00, 0x04, 0x01, 0x01, 0x11, 0x00, 0xFF, 0xDA, 0x00,
        0x08, 0x01, 0x01, 0x00, 0x00, 0x00, 0x00, 0xC0, 0x00, 0x00, 0x6C, 0x80, 0x20, 0x8E, 0x01, 0xC0, 0x00, 0x00,
        0x57, 0x40, 0x00, 0x00, 0x6E, 0xE6, 0x00, 0x00,
    ];

    #[test]
    fn the_example_of_the_standard() {
        let expected = [0, 0, 90, 74, 68, 50, 43, 205, 64, 145, 145, 145, 100, 145, 145, 145];
        let frame =
            [&EXAMPLE[..], &[0x01, 0xBC, 0x18, 0x00, 0x00, 0x05, 0xD8, 0x00, 0x00, 0x91, 0x60, 0xFF, 0xD9]].concat();
        assert_eq!(decode(&frame, &format(4, 4, 8)), Ok(Cells::Narrow(expected.to_vec())));
        assert_eq!(decode(&frame, &format(5, 4, 8)).expect_err("4 columns").reason, Reason::CodestreamMismatch);
        assert_eq!(decode(&EXAMPLE, &format(4, 4, 8)).expect_err("cut").reason, Reason::DecodeFailed);
    }

    /// 4 rows of 6 samples of 12 bits with runs, written by CharLS: lossless, and with NEAR 2.
    #[rustfmt::skip]
    const RUNS: [&[u8]; 2] = [
        &[
            255, 216, 255, 247, 0, 11, 12, 0, 4, 0, 6, 1, 1, 17, 0, 255, 218, 0, 8, 1,
            1, 0, 0, 0, 0, 142, 103, 53, 138, 188, 230, 0, 0, 15, 0, 0, 0, 243, 1, 64,
            160, 0, 0, 0, 0, 3, 31, 160, 0, 0, 240, 0, 0, 0, 0, 55, 74, 182, 90, 28,
            213, 228, 0, 0, 30, 32, 16, 16, 16, 16, 4, 255, 217,
        ],
        &[
            255, 216, 255, 247, 0, 11, 12, 0, 4, 0, 6, 1, 1, 17, 0, 255, 218, 0, 8, 1,
            1, 0, 2, 0, 0, 137, 147, 38, 132, 152, 0, 3, 0, 0, 12, 192, 64, 132, 0, 0,
            0, 30, 0, 0, 96, 0, 0, 0, 0, 25, 84, 162, 66, 104, 184, 0, 3, 16, 65, 4,
            16, 0, 255, 217,
        ],
    ];
    #[rustfmt::skip]
    const RUN_SAMPLES: [[u16; 24]; 2] = [
        [
            0, 90, 180, 270, 360, 450, 700, 4095, 4095, 4095, 4095, 1150,
            1400, 1490, 1580, 1670, 1760, 1850, 2100, 2100, 2100, 2100, 2100, 2100,
        ],
        [
            0, 90, 180, 271, 358, 448, 700, 4095, 4094, 4093, 4095, 1150,
            1400, 1490, 1579, 1669, 1761, 1849, 2100, 2100, 2100, 2100, 2100, 2101,
        ],
    ];

    #[test]
    fn runs_and_near_lossless_frames() {
        for (frame, samples) in RUNS.iter().zip(RUN_SAMPLES) {
            assert_eq!(decode(frame, &format(6, 4, 12)), Ok(Cells::Narrow(samples.to_vec())));
        }
        let largest = RUN_SAMPLES[0].iter().zip(RUN_SAMPLES[1]).map(|(a, b)| a.abs_diff(b)).max();
        assert_eq!(largest, Some(2));
    }

    #[test]
    fn default_thresholds_are_those_of_the_standard() {
        assert_eq!(Parameters::default(255, 0).thresholds, [3, 7, 21]);
        assert_eq!(Parameters::default(4095, 0).thresholds, [18, 67, 276]);
        assert_eq!(Parameters::default(65535, 0).thresholds, [18, 67, 276]);
    }

    proptest! {
        #[test]
        fn the_order_is_the_smallest(count in 1i32..70_000, sum in 0i32..=i32::MAX) {
            let plain = (0..16).find(|order| i64::from(count) << order >= i64::from(sum)).unwrap_or(16);
            prop_assert_eq!(golomb_order(count, sum), plain);
        }

        #[test]
        fn any_bytes_give_cells_or_a_fault(
            mut data in prop::collection::vec(any::<u8>(), 0..200), near in 0u8..4, bits in 2u16..=16,
        ) {
            let mut frame = EXAMPLE[..25].to_vec();
            frame[6] = bits as u8;
            frame[22] = near;
            frame.append(&mut data);
            let _ = decode(&frame, &format(4, 4, bits));
        }
    }
}
