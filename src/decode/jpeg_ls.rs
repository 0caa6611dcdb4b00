//! JPEG-LS, lossless and near-lossless: 2 to 16 bits, one component.
//!
//! # Source
//! T.87: annex A (coding), annex C (preset parameters, C.2.4.1.1.1 for the default thresholds). Names
//! in comments are those of T.87.

use super::codestream::{Claim, failed};
use super::entropy_bits::{Bits, Stuffing};
use super::format::{Cells, Format};
use super::jpeg_ls_line::Decoder;
use super::markers::{self, Segments};
use crate::reason::{Fault, Reason};

/// What a scan is coded with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Parameters {
    /// MAXVAL, largest sample.
    pub(crate) most: i32,
    /// NEAR, largest error.
    pub(crate) near: i32,
    /// T1, T2, T3.
    pub(crate) thresholds: [i32; 3],
    /// RESET.
    pub(crate) reset: i32,
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

/// A codestream up to its entropy-coded data.
struct Scan<'a> {
    parameters: Parameters,
    /// Rows from restart to restart; 0: no restarts.
    restart_rows: usize,
    data: &'a [u8],
}

/// Cells of one frame.
///
/// # Errors
/// Reason `codestream_mismatch` where the frame's header does not agree with the data set,
/// `decode_failed` where the codestream is damaged.
pub(crate) fn decode(frame: &[u8], format: &Format) -> Result<Cells, Fault> {
    let scan = read_header(frame, format)?;
    let columns = format.columns as usize;
    let mut cells = vec![0u16; format.pixels()];
    let mut bits = Bits::new(scan.data, Stuffing::Bit);
    let mut decoder = Decoder::new(scan.parameters, columns);
    for (row, line) in cells.chunks_exact_mut(columns).enumerate() {
        if row > 0 && scan.restart_rows > 0 && row % scan.restart_rows == 0 {
            bits.restart()?;
            decoder.restart();
        }
        decoder.line(&mut bits, line)?;
        bits.check_not_over()?;
    }
    Ok(Cells::Narrow(cells))
}

fn read_header<'a>(frame: &'a [u8], format: &Format) -> Result<Scan<'a>, Fault> {
    let mut segments = Segments::of(frame)?;
    let mut claim: Option<Claim> = None;
    let mut preset = None;
    let mut restart_rows = 0;
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
            // Of 2 to 4 bytes (C.2.5).
            (markers::DRI, interval @ [_, _] | interval @ [_, _, _] | interval @ [_, _, _, _]) => {
                restart_rows = interval.iter().fold(0, |rows, &byte| rows << 8 | usize::from(byte));
            }
            (markers::DRI, _) => return Err(failed("a restart interval is not of 2 to 4 bytes")),
            (markers::SOS, &[1, _, 0, near, 0, 0, ..]) => {
                let claim = claim.ok_or_else(|| failed("a scan before its frame"))?;
                let parameters = parameters(claim.precision, near.into(), preset)?;
                return Ok(Scan { parameters, restart_rows, data: segments.rest() });
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

    /// T.87 annex A as it is written, the other way round.
    struct Encoder {
        near: i32,
        most: i32,
        range: i32,
        error_bits: usize,
        limit: usize,
        thresholds: [i32; 3],
        a: [i32; 367],
        b: [i32; 365],
        c: [i32; 365],
        n: [i32; 367],
        negatives: [i32; 2],
        run_index: usize,
        bits: String,
    }

    const J: [usize; 32] =
        [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 9, 10, 11, 12, 13, 14, 15];

    impl Encoder {
        fn new(most: i32, near: i32) -> Encoder {
            let range = (most + 2 * near) / (2 * near + 1) + 1;
            let bits_of = |values: i32| (0..).find(|&bits| 1 << bits >= values).expect("a number of bits");
            let bits = 2.max(bits_of(most + 1));
            Encoder {
                near,
                most,
                range,
                error_bits: bits_of(range),
                limit: 2 * (bits + bits.max(8)),
                thresholds: Parameters::default(most, near).thresholds,
                a: [2.max((range + 32) / 64); 367],
                b: [0; 365],
                c: [0; 365],
                n: [1; 367],
                negatives: [0; 2],
                run_index: 0,
                bits: String::new(),
            }
        }

        fn level(&self, gradient: i32) -> i32 {
            let size = gradient.abs();
            let level = if size <= self.near { 0 } else { 1 + self.thresholds.iter().filter(|&&t| size >= t).count() };
            gradient.signum() * level as i32
        }

        /// Quantizes an error; gives it modulo RANGE, and the sample that it makes of the prediction.
        fn error(&self, error: i32, prediction: i32, sign: i32) -> (i32, i32) {
            let step = 2 * self.near + 1;
            let error = if error > 0 { (error + self.near) / step } else { -(self.near - error) / step };
            let sample = (prediction + sign * error * step).clamp(0, self.most);
            let error = if error < 0 { error + self.range } else { error };
            (if error >= (self.range + 1) / 2 { error - self.range } else { error }, sample)
        }

        fn golomb(&mut self, order: usize, value: i32, limit: usize) {
            let long = limit - self.error_bits - 1;
            let zeros = (value >> order) as usize;
            self.bits.extend(std::iter::repeat_n('0', zeros.min(long)));
            self.bits.push('1');
            let (value, count) =
                if zeros < long { (value & ((1 << order) - 1), order) } else { (value - 1, self.error_bits) };
            self.bits.extend((0..count).rev().map(|bit| if value >> bit & 1 == 1 { '1' } else { '0' }));
        }

        fn order(&self, context: usize, sum: i32) -> usize {
            (0..).find(|&order| self.n[context] << order >= sum).expect("an order")
        }

        fn regular(&mut self, sample: i32, [a, b, c]: [i32; 3], levels: [i32; 3]) -> i32 {
            let index = 81 * levels[0] + 9 * levels[1] + levels[2];
            let (q, sign) = (index.unsigned_abs() as usize, index.signum());
            let edge = if c >= a.max(b) {
                a.min(b)
            } else if c <= a.min(b) {
                a.max(b)
            } else {
                a + b - c
            };
            let prediction = (edge + sign * self.c[q]).clamp(0, self.most);
            let (error, sample) = self.error(sign * (sample - prediction), prediction, sign);
            let order = self.order(q, self.a[q]);
            let is_inverted = self.near == 0 && order == 0 && 2 * self.b[q] <= -self.n[q];
            let turned = if is_inverted { -error - 1 } else { error };
            self.golomb(order, if turned >= 0 { 2 * turned } else { -2 * turned - 1 }, self.limit);
            self.b[q] += error * (2 * self.near + 1);
            self.a[q] += error.abs();
            if self.n[q] == 64 {
                (self.a[q], self.b[q], self.n[q]) = (self.a[q] >> 1, self.b[q] >> 1, self.n[q] >> 1);
            }
            self.n[q] += 1;
            if self.b[q] <= -self.n[q] {
                self.b[q] = (self.b[q] + self.n[q]).max(1 - self.n[q]);
                self.c[q] = (self.c[q] - 1).max(-128);
            } else if self.b[q] > 0 {
                self.b[q] = (self.b[q] - self.n[q]).min(0);
                self.c[q] = (self.c[q] + 1).min(127);
            }
            sample
        }

        fn run(&mut self, mut length: usize, is_whole: bool) {
            while length >= 1 << J[self.run_index] {
                self.bits.push('1');
                length -= 1 << J[self.run_index];
                self.run_index = 31.min(self.run_index + 1);
            }
            if !is_whole {
                let order = J[self.run_index];
                self.bits.push('0');
                self.bits.extend((0..order).rev().map(|bit| if length >> bit & 1 == 1 { '1' } else { '0' }));
            } else if length > 0 {
                self.bits.push('1');
            }
        }

        fn interruption(&mut self, sample: i32, a: i32, b: i32) -> i32 {
            let is_flat = (a - b).abs() <= self.near;
            let (flat, q) = (usize::from(is_flat), 365 + usize::from(is_flat));
            let prediction = if is_flat { a } else { b };
            let sign = if !is_flat && a > b { -1 } else { 1 };
            let (error, sample) = self.error(sign * (sample - prediction), prediction, sign);
            let order = self.order(q, self.a[q] + if is_flat { self.n[q] >> 1 } else { 0 });
            let is_mostly_negative = 2 * self.negatives[flat] >= self.n[q];
            let map = (order == 0 && error > 0 && !is_mostly_negative)
                || (error < 0 && is_mostly_negative)
                || (error < 0 && order != 0);
            let mapped = 2 * error.abs() - flat as i32 - i32::from(map);
            self.golomb(order, mapped, self.limit - J[self.run_index] - 1);
            self.negatives[flat] += i32::from(error < 0);
            self.a[q] += (mapped + 1 - flat as i32) >> 1;
            if self.n[q] == 64 {
                (self.a[q], self.n[q]) = (self.a[q] >> 1, self.n[q] >> 1);
                self.negatives[flat] >>= 1;
            }
            self.n[q] += 1;
            self.run_index = self.run_index.saturating_sub(1);
            sample
        }

        /// Codes one line; gives its samples as they will come back. `above` has one more in front, which
        /// is to the left of the first.
        fn line(&mut self, above: &[i32], samples: &[i32]) -> Vec<i32> {
            let mut line = vec![above[1]];
            while line.len() <= samples.len() {
                let at = line.len();
                let (a, b, c) = (line[at - 1], above[at], above[at - 1]);
                let d = above.get(at + 1).copied().unwrap_or(b);
                let levels = [d - b, b - c, c - a].map(|gradient| self.level(gradient));
                if levels != [0; 3] {
                    line.push(self.regular(samples[at - 1], [a, b, c], levels));
                    continue;
                }
                let length = samples[at - 1..].iter().take_while(|&&sample| (sample - a).abs() <= self.near).count();
                line.extend(std::iter::repeat_n(a, length));
                let at = line.len();
                self.run(length, at > samples.len());
                if at <= samples.len() {
                    line.push(self.interruption(samples[at - 1], a, above[at]));
                }
            }
            line
        }

        /// The bits so far, a zero stuffed behind every byte of ones.
        fn flushed(&mut self) -> Vec<u8> {
            let (mut out, mut bits) = (Vec::new(), std::mem::take(&mut self.bits));
            while !bits.is_empty() || out.last() == Some(&0xFF) {
                let count = if out.last() == Some(&0xFF) { 7 } else { 8 };
                bits.extend(std::iter::repeat_n('0', count - bits.len().min(count)));
                let rest = bits.split_off(count);
                out.push(u8::from_str_radix(&bits, 2).expect("bits"));
                bits = rest;
            }
            out
        }
    }

    /// A frame, and its samples as they will come back.
    fn encode(samples: &[u16], columns: usize, precision: u8, near: u8, restart_rows: u8) -> (Vec<u8>, Vec<u16>) {
        let rows = samples.len() / columns;
        let mut frame = EXAMPLE[..25].to_vec();
        (frame[6], frame[8], frame[10], frame[22]) = (precision, rows as u8, columns as u8, near);
        frame.splice(15..15, [0xFF, 0xDD, 0, 5, 0, 0, restart_rows]);
        let new = || Encoder::new((1 << precision) - 1, near.into());
        let (mut encoder, mut above, mut back) = (new(), vec![0; columns + 1], Vec::new());
        for (row, samples) in samples.chunks(columns).enumerate() {
            if row > 0 && restart_rows > 0 && row % usize::from(restart_rows) == 0 {
                frame.extend(encoder.flushed());
                frame.extend([0xFF, 0xD0 + ((row / usize::from(restart_rows) - 1) % 8) as u8]);
                (encoder, above) = (new(), vec![0; columns + 1]);
            }
            above = encoder.line(&above, &samples.iter().map(|&sample| sample.into()).collect::<Vec<_>>());
            back.extend(above[1..].iter().map(|&sample| sample as u16));
        }
        frame.extend(encoder.flushed());
        frame.extend([0xFF, 0xD9]);
        (frame, back)
    }

    #[test]
    fn a_lost_restart_marker_is_a_fault() {
        let (mut frame, back) = encode(&[7, 9, 8, 250], 1, 8, 0, 2);
        assert_eq!(decode(&frame, &format(1, 4, 8)), Ok(Cells::Narrow(back)));
        let marker = frame.windows(2).position(|pair| pair == [0xFF, 0xD0]).expect("a marker");
        frame.drain(marker..marker + 2);
        assert_eq!(decode(&frame, &format(1, 4, 8)).expect_err("no marker").reason, Reason::DecodeFailed);
    }

    proptest! {
        #[test]
        fn what_the_standard_encodes_comes_back(
            values in prop::collection::vec((any::<u16>(), 0u16..40, 1usize..60), 1..40), columns in 1usize..40,
            precision in 2u8..=16, near in prop_oneof![Just(0u8), 0u8..5], restart_rows in 0u8..4, is_smooth: bool,
        ) {
            let most = u16::MAX >> (16 - precision);
            let near = near.min((most / 2) as u8);
            // Noise, with runs in it; or a slope with a little noise on it.
            let noisy = |(at, &(value, small, run)): (usize, &(u16, u16, usize))| match (is_smooth, run % 3) {
                (true, _) => vec![(40 * at as u16 + small) & most; 1],
                (false, 0) => vec![value & most; 1],
                _ => vec![value & most; run],
            };
            let mut samples: Vec<u16> = values.iter().cycle().take(400).enumerate().flat_map(noisy).collect();
            samples.truncate(2000.min(samples.len() / columns * columns).min(200 * columns));
            samples.truncate(samples.len() / columns * columns);
            let (frame, back) = encode(&samples, columns, precision, near, restart_rows);
            prop_assert!(samples.iter().zip(&back).all(|(a, b)| a.abs_diff(*b) <= near.into()));
            let format = format(columns as u32, (samples.len() / columns) as u32, precision.into());
            prop_assert_eq!(decode(&frame, &format), Ok(Cells::Narrow(back)));
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
