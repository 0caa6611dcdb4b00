//! Lines of JPEG-LS samples out of their bits.
//!
//! # Source
//! T.87 annex A. Names in comments are those of T.87.

use super::codestream::failed;
use super::entropy_bits::Bits;
use super::jpeg_ls::Parameters;
use crate::reason::Fault;
use std::hint;

/// Run lengths' orders, J (A.2.1).
const RUN_ORDERS: [u32; 32] =
    [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 9, 10, 11, 12, 13, 14, 15];

/// Zeros of a Golomb code that are looked for at once, with what follows them.
const SHORT: u32 = 32;

/// State of one context.
#[derive(Clone, Copy, Debug)]
struct Context {
    /// A, sum of error magnitudes.
    magnitudes: i32,
    /// B, bias.
    bias: i32,
    /// N, occurrences.
    count: i32,
    /// C, prediction correction.
    correction: i16,
    /// k, which the two above make.
    order: u8,
    /// -1 where errors stand inverted (A.5.2), else 0.
    inversion: i8,
}

/// State of one of the two contexts of a sample behind a run.
#[derive(Clone, Copy, Debug)]
struct RunContext {
    magnitudes: i32,
    count: i32,
    /// Nn, negative errors.
    negatives: i32,
}

/// What does not change in a scan.
struct Constants {
    parameters: Parameters,
    /// RANGE.
    range: i32,
    /// 2 NEAR + 1.
    step: i32,
    /// qbpp.
    error_bits: u32,
    /// Zeros in front of an error as it is: LIMIT - qbpp - 1.
    zeros: u32,
    /// Level of a gradient (A.3.3), by the gradient and `most`.
    levels: Vec<i8>,
}

/// Decodes line after line.
pub(crate) struct Decoder {
    constants: Constants,
    /// By 81 Q1 + 9 Q2 + Q3 without its sign, below 365.
    contexts: Box<[Context; 512]>,
    runs: [RunContext; 2],
    run_index: usize,
    /// The line before; sample `column` is at `column + 1`, and there is one more on both sides.
    above: Vec<i32>,
    /// This line.
    line: Vec<i32>,
    /// 81 Q1 + 9 Q2 of each of its samples.
    gradients: Vec<i32>,
}

/// Bits that hold 0 to `values - 1`.
fn bits_for(values: i32) -> u32 {
    32 - (values - 1).leading_zeros()
}

impl Constants {
    fn new(parameters: Parameters) -> Constants {
        let Parameters { most, near, thresholds, .. } = parameters;
        let range = (most + 2 * near) / (2 * near + 1) + 1;
        let sample_bits = bits_for(most + 1).max(2);
        Constants {
            parameters,
            range,
            step: 2 * near + 1,
            error_bits: bits_for(range),
            zeros: 2 * (sample_bits + sample_bits.max(8)) - bits_for(range) - 1,
            levels: (-most..=most).map(|gradient| level(gradient, near, thresholds)).collect(),
        }
    }

    /// Of a difference of two samples.
    #[inline(always)]
    fn level(&self, gradient: i32) -> i32 {
        self.levels.get(gradient.wrapping_add(self.parameters.most) as usize).map_or(0, |&level| level.into())
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

    /// Whether the samples are exact and RANGE is a power of two, as it always is then but for a MAXVAL
    /// of the file's own.
    fn is_plain(&self) -> bool {
        self.parameters.near == 0 && self.range.count_ones() == 1
    }
}

/// A.3.3.
fn level(gradient: i32, near: i32, [t1, t2, t3]: [i32; 3]) -> i8 {
    let size = gradient.abs();
    let level = if size <= near { 0 } else { 1 + i8::from(size >= t1) + i8::from(size >= t2) + i8::from(size >= t3) };
    if gradient < 0 { -level } else { level }
}

impl Decoder {
    pub(crate) fn new(parameters: Parameters, columns: usize) -> Decoder {
        let constants = Constants::new(parameters);
        let magnitudes = constants.first_magnitudes();
        let above = vec![0; columns + 2];
        Decoder {
            contexts: Box::new([Context::new(magnitudes); 512]),
            runs: [RunContext { magnitudes, count: 1, negatives: 0 }; 2],
            run_index: 0,
            line: above.clone(),
            gradients: above.clone(),
            above,
            constants,
        }
    }

    /// As in front of the first line.
    pub(crate) fn restart(&mut self) {
        let magnitudes = self.constants.first_magnitudes();
        self.contexts.fill(Context::new(magnitudes));
        self.runs = [RunContext { magnitudes, count: 1, negatives: 0 }; 2];
        self.run_index = 0;
        self.above.fill(0);
    }

    /// The next line.
    ///
    /// # Errors
    /// Reason `decode_failed`.
    pub(crate) fn line(&mut self, bits: &mut Bits<'_>, cells: &mut [u16]) -> Result<(), Fault> {
        let columns = cells.len();
        self.above[columns + 1] = self.above[columns];
        self.line[0] = self.above[1];
        let mut before = self.constants.level(self.above[1] - self.above[0]);
        for (gradients, pair) in self.gradients[1..].iter_mut().zip(self.above[1..].windows(2)) {
            let level = self.constants.level(pair[1] - pair[0]);
            (*gradients, before) = (81 * level + 9 * before, level);
        }
        let mut at = 1;
        while at <= columns {
            at = if self.constants.is_plain() {
                self.samples::<true>(bits, at)?
            } else {
                self.samples::<false>(bits, at)?
            };
            if at <= columns {
                at = self.run(bits, at)?;
            }
        }
        cells.iter_mut().zip(&self.line[1..]).for_each(|(cell, &sample)| *cell = sample as u16);
        std::mem::swap(&mut self.above, &mut self.line);
        Ok(())
    }

    /// Samples in regular mode up to the next run; gives where it begins.
    fn samples<const PLAIN: bool>(&mut self, bits: &mut Bits<'_>, from: usize) -> Result<usize, Fault> {
        let Decoder { constants, contexts, above, line, gradients, .. } = self;
        let end = line.len() - 1;
        let (before, line) = line.split_at_mut(from);
        let mut left = before.last().copied().unwrap_or(0);
        let lines = line[..end - from].iter_mut().zip(&gradients[from..end]).zip(above[from - 1..end].array_windows());
        for (n, ((sample, gradients), &[up_left, up])) in lines.enumerate() {
            let index = gradients.wrapping_add(constants.level(up_left.wrapping_sub(left)));
            if index == 0 {
                return Ok(from + n);
            }
            let context = &mut contexts[index.unsigned_abs() as usize % 512];
            left = constants.regular::<PLAIN>(bits, context, index >> 31, [left, up, up_left])?;
            *sample = left;
        }
        Ok(end)
    }

    /// A run from `at`, and the sample that interrupts it (A.7). Gives where to go on.
    fn run(&mut self, bits: &mut Bits<'_>, mut at: usize) -> Result<usize, Fault> {
        let end = self.line.len() - 1;
        let value = self.line[at - 1];
        while bits.bit() {
            let length = 1usize << RUN_ORDERS[self.run_index];
            let filled = length.min(end - at);
            self.line[at..at + filled].fill(value);
            at += filled;
            if filled == length && self.run_index < 31 {
                self.run_index += 1;
            }
            if at == end {
                return Ok(at);
            }
            bits.check_not_over()?;
        }
        bits.refill();
        let length = taken(bits, RUN_ORDERS[self.run_index]) as usize;
        if length >= end - at {
            return Err(failed("a run is longer than its line"));
        }
        self.line[at..at + length].fill(value);
        at += length;
        self.line[at] = self.interruption(bits, value, self.above[at])?;
        self.run_index = self.run_index.saturating_sub(1);
        Ok(at + 1)
    }

    /// The sample after a run (A.7.2).
    fn interruption(&mut self, bits: &mut Bits<'_>, left: i32, up: i32) -> Result<i32, Fault> {
        let constants = &self.constants;
        let is_flat = (left - up).abs() <= constants.parameters.near;
        let flat = i32::from(is_flat);
        let context = &mut self.runs[usize::from(is_flat)];
        let sum = context.magnitudes.saturating_add(if is_flat { context.count >> 1 } else { 0 });
        let order = golomb_order(context.count, sum);
        let mapped = constants.golomb(bits, order, constants.zeros - RUN_ORDERS[self.run_index] - 1)?;
        let folded = mapped + flat;
        let is_odd = folded & 1 == 1;
        let size = (folded + 1) / 2;
        let error = if (order != 0 || 2 * context.negatives >= context.count) == is_odd { -size } else { size };
        context.update(error, (mapped + 1 - flat) >> 1, constants.parameters.reset);
        let (prediction, sign) = if is_flat { (left, 1) } else { (up, if left > up { -1 } else { 1 }) };
        Ok(constants.reconstruct(prediction, sign * error))
    }
}

impl Constants {
    fn first_magnitudes(&self) -> i32 {
        ((self.range + 32) / 64).max(2)
    }

    /// A sample in regular mode (A.4, A.5, A.6). `sign` is -1 or 0.
    #[inline(always)]
    fn regular<const PLAIN: bool>(
        &self,
        bits: &mut Bits<'_>,
        context: &mut Context,
        sign: i32,
        [left, up, up_left]: [i32; 3],
    ) -> Result<i32, Fault> {
        let Parameters { most, reset, .. } = self.parameters;
        let edge = left.wrapping_add(up).wrapping_sub(up_left).max(left.min(up)).min(left.max(up));
        let correction = (i32::from(context.correction) ^ sign).wrapping_sub(sign);
        let prediction = edge.wrapping_add(correction).max(0).min(most);
        let mapped = self.golomb(bits, context.order.into(), self.zeros)?;
        let error =
            (mapped >> 1) ^ -(mapped & 1) ^ if PLAIN { i32::from(context.inversion) } else { self.inversion(context) };
        context.update(error, if PLAIN { 1 } else { self.step }, reset);
        let error = (error ^ sign).wrapping_sub(sign);
        // Errors as an encoder makes them; of others the remainder would not do.
        if PLAIN && mapped < self.range {
            return Ok(prediction.wrapping_add(error) & most);
        }
        Ok(self.reconstruct(prediction, error))
    }

    fn inversion(&self, context: &Context) -> i32 {
        if self.parameters.near == 0 { context.inversion.into() } else { 0 }
    }

    /// A limited-length Golomb code of this order, at most 16 (A.5.3). Behind `most` zeros the value
    /// stands as it is.
    #[inline(always)]
    fn golomb(&self, bits: &mut Bits<'_>, order: u32, most: u32) -> Result<i32, Fault> {
        bits.refill();
        let zeros = (bits.window() | 1).leading_zeros();
        if zeros < SHORT.min(most) {
            let behind = bits.window() << 1 << zeros;
            bits.consume(zeros + 1 + order);
            // Two shifts: there may be no bits behind the zeros, and none is 64 of them.
            return Ok((zeros << (order % 32)) as i32 | (behind >> 1 >> (63 ^ (order % 64))) as i32);
        }
        if zeros > most {
            return Err(failed("a code is longer than its limit"));
        }
        bits.consume(zeros + 1);
        bits.refill();
        Ok(if zeros < most {
            (zeros << order | taken(bits, order)) as i32
        } else {
            taken(bits, self.error_bits) as i32 + 1
        })
    }
}

/// 0 to 16 bits, which are in the window.
#[inline(always)]
fn taken(bits: &mut Bits<'_>, count: u32) -> u32 {
    if count == 0 { 0 } else { bits.plain(count) }
}

/// Smallest k with count * 2^k >= sum, at most 16 (A.5.1).
#[inline(always)]
fn golomb_order(count: i32, sum: i32) -> u32 {
    let (count, sum) = (count as u32, sum as u32);
    let order = (count | 1).leading_zeros().saturating_sub((sum | 1).leading_zeros());
    (order + u32::from(count << order < sum)).min(16)
}

impl Context {
    fn new(magnitudes: i32) -> Context {
        let order = golomb_order(1, magnitudes) as u8;
        Context { magnitudes, bias: 0, count: 1, correction: 0, order, inversion: 0 }
    }

    /// A.6.1 and A.6.2, and what the next sample of the context needs of it.
    #[inline(always)]
    fn update(&mut self, error: i32, step: i32, reset: i32) {
        let mut bias = self.bias.wrapping_add(error.wrapping_mul(step));
        // A hostile RESET could let it grow without end.
        let mut magnitudes = (self.magnitudes as u32).wrapping_add(error.unsigned_abs()).min(i32::MAX as u32) as i32;
        let mut count = self.count;
        if count == reset {
            hint::cold_path();
            (magnitudes, bias, count) = (magnitudes >> 1, bias >> 1, count >> 1);
        }
        count = count.wrapping_add(1);
        let (is_low, is_high) = (bias <= -count, bias > 0);
        let raised = bias.wrapping_add(count).max(1 - count);
        let lowered = bias.wrapping_sub(count).min(0);
        let correction = i32::from(self.correction) - i32::from(is_low) + i32::from(is_high);
        bias = if is_low { raised } else { bias };
        bias = if is_high { lowered } else { bias };
        (self.magnitudes, self.bias, self.count) = (magnitudes, bias, count);
        self.correction = correction.clamp(-128, 127) as i16;
        // Mostly it stays.
        let most = count.wrapping_shl(self.order.into());
        if most < magnitudes || (self.order > 0 && most >> 1 >= magnitudes) {
            self.order = golomb_order(count, magnitudes) as u8;
        }
        self.inversion = -i8::from(self.order == 0 && 2 * bias <= -count);
    }
}

impl RunContext {
    /// A.7.2, step 6.
    fn update(&mut self, error: i32, size: i32, reset: i32) {
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

    proptest! {
        #[test]
        fn the_order_is_the_smallest(count in 1i32..70_000, sum in 0i32..=i32::MAX) {
            let plain = (0..16).find(|order| i64::from(count) << order >= i64::from(sum)).unwrap_or(16);
            prop_assert_eq!(golomb_order(count, sum), plain);
        }
    }
}
