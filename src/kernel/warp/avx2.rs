//! [`super::cubic`] once more in AVX2: the same operations in the same order, so the same bits.
//!
//! The compiler does not find this by itself: the taps of eight positions come as eight times four
//! words side by side and are wanted column by column, which are two transposed squares of 4 x 4.
//! There is no FMA in it.

use std::arch::x86_64::*;
use std::marker::PhantomData;

use super::cubic::{self, A, FRACTION_STEP, LANES, ROUNDER, Sample};
use super::frame::Frame;
use super::lookup::{Line, Walk};

/// Whether this processor has AVX2, and indices into `frame` fit in 31 bits.
pub(super) fn can_turn(frame: &Frame) -> bool {
    is_x86_feature_detected!("avx2") && frame.words.len() < 1 << 31
}

/// As [`cubic::turn_row`].
#[target_feature(enable = "avx2")]
pub(super) fn turn_row<T: Sample>(frame: &Frame, walk: Walk, column: usize, line: &mut [T]) {
    if line.len() < LANES {
        return cubic::turn_row(frame, walk, column, line);
    }
    let source = Source::new(frame);
    let (columns, rows) = (Positions::new(walk.column, column), Positions::new(walk.row, column));
    let last = line.len() - LANES;
    let mut start = 0;
    loop {
        let turned = source.turned(columns.at(start), rows.at(start));
        if let Some(pixels) = line.get_mut(start..start + LANES) {
            pixels.copy_from_slice(&turned);
        }
        if start == last {
            break;
        }
        // What is left over at the end comes with pixels before it once more: the last eight of the line.
        start = last.min(start + LANES);
    }
}

/// One coordinate of the positions along a line, of eight at a time.
struct Positions {
    start: i64,
    step: i64,
    /// Of the first to those in lanes 0, 1, 4, 5 and in lanes 2, 3, 6, 7.
    offsets: [__m256i; 2],
}

/// Pixel, and fraction of 2^-32 px.
type Position = (__m256i, __m256i);

impl Positions {
    #[target_feature(enable = "avx2")]
    #[inline]
    fn new(line: Line, column: usize) -> Positions {
        let times = |n: i64| line.step.wrapping_mul(n);
        let offsets = [
            _mm256_setr_epi64x(times(0), times(1), times(4), times(5)),
            _mm256_setr_epi64x(times(2), times(3), times(6), times(7)),
        ];
        Positions { start: line.at(column), step: line.step, offsets }
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn at(&self, index: usize) -> Position {
        let first = _mm256_set1_epi64x(self.start.wrapping_add(self.step.wrapping_mul(index as i64)));
        let [a, b] = self.offsets.map(|offset| _mm256_castsi256_ps(_mm256_add_epi64(first, offset)));
        // The even 32 bits of both are the fractions, the odd ones the pixels.
        let (pixel, fraction) = (_mm256_shuffle_ps::<0b11_01_11_01>(a, b), _mm256_shuffle_ps::<0b10_00_10_00>(a, b));
        (_mm256_castps_si256(pixel), _mm256_castps_si256(fraction))
    }
}

/// A frame ready for fetching.
struct Source<'a, T> {
    upper: &'a [u32],
    lower: &'a [u32],
    stride: __m256i,
    origin: __m256i,
    /// Each type has its own code of all this, in which everything is called once and so is inlined.
    pixel: PhantomData<T>,
}

/// Four columns of taps; each lane holds two rows as [`Frame`] has them.
type Columns = [__m256i; 4];

impl<'a, T: Sample> Source<'a, T> {
    #[target_feature(enable = "avx2")]
    #[inline]
    fn new(frame: &'a Frame) -> Source<'a, T> {
        let (upper, lower) = frame.upper_and_lower();
        // Cut to 32 bits, as are the sums: what they lose is a multiple of 2^32, and no index is so long.
        let (stride, origin) = (_mm256_set1_epi32(frame.stride as i32), _mm256_set1_epi32(frame.origin() as i32));
        Source { upper, lower, stride, origin, pixel: PhantomData }
    }

    /// Eight pixels.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn turned(&self, columns: Position, rows: Position) -> [T; LANES] {
        let (upper, lower) = self.fetch(columns.0, rows.0);
        let (across, down) = (weights(columns.1), weights(rows.1));
        let mut sums = across;
        for c in 0..4 {
            let above = add(mul(low(upper[c]), down[0]), mul(high(upper[c]), down[1]));
            let below = add(mul(low(lower[c]), down[2]), mul(high(lower[c]), down[3]));
            sums[c] = mul(add(above, below), across[c]);
        }
        let sum = add(add(sums[0], sums[1]), add(sums[2], sums[3]));
        let rounded = match T::CLAMPED_TO_TAPS {
            true => half_up(clamp_to_taps(sum, &upper, &lower)),
            false => {
                let clamped = _mm256_min_ps(_mm256_max_ps(sum, _mm256_setzero_ps()), _mm256_set1_ps(255.0));
                add(clamped, _mm256_set1_ps(ROUNDER))
            }
        };
        lanes(_mm256_castps_si256(rounded)).map(T::from_bits)
    }

    /// The taps of positions in these columns and rows; they may be anything where one of a pair of
    /// positions, four apart, lies outside the frame.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn fetch(&self, columns: __m256i, rows: __m256i) -> (Columns, Columns) {
        let starts = _mm256_add_epi32(_mm256_mullo_epi32(rows, self.stride), _mm256_add_epi32(columns, self.origin));
        let starts = lanes(starts).map(|start| start as usize);
        let (mut upper, mut lower) = ([_mm256_setzero_si256(); 4], [_mm256_setzero_si256(); 4]);
        for i in 0..4 {
            let (a, b) = (starts[i]..starts[i] + 4, starts[i + 4]..starts[i + 4] + 4);
            if let (Some(upper_a), Some(upper_b), Some(lower_a), Some(lower_b)) =
                (self.upper.get(a.clone()), self.upper.get(b.clone()), self.lower.get(a), self.lower.get(b))
            {
                (upper[i], lower[i]) = (two_fours(upper_a, upper_b), two_fours(lower_a, lower_b));
            }
        }
        (transposed(upper), transposed(lower))
    }
}

#[target_feature(enable = "avx2")]
#[inline]
fn add(a: __m256, b: __m256) -> __m256 {
    _mm256_add_ps(a, b)
}

#[target_feature(enable = "avx2")]
#[inline]
fn mul(a: __m256, b: __m256) -> __m256 {
    _mm256_mul_ps(a, b)
}

/// Four words in the lower half and four in the upper.
#[target_feature(enable = "avx2")]
#[inline]
fn two_fours(a: &[u32], b: &[u32]) -> __m256i {
    let four = |w: &[u32]| _mm_setr_epi32(w[0] as i32, w[1] as i32, w[2] as i32, w[3] as i32);
    _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(four(a)), four(b))
}

/// From the four columns of each of eight positions (0 and 4, 1 and 5, 2 and 6, 3 and 7) to each
/// column of all.
#[target_feature(enable = "avx2")]
#[inline]
fn transposed([p, q, r, s]: [__m256i; 4]) -> Columns {
    let (pq_01, pq_23) = (_mm256_unpacklo_epi32(p, q), _mm256_unpackhi_epi32(p, q));
    let (rs_01, rs_23) = (_mm256_unpacklo_epi32(r, s), _mm256_unpackhi_epi32(r, s));
    [
        _mm256_unpacklo_epi64(pq_01, rs_01),
        _mm256_unpackhi_epi64(pq_01, rs_01),
        _mm256_unpacklo_epi64(pq_23, rs_23),
        _mm256_unpackhi_epi64(pq_23, rs_23),
    ]
}

#[target_feature(enable = "avx2")]
#[inline]
fn low(words: __m256i) -> __m256 {
    high(_mm256_slli_epi32::<16>(words))
}

#[target_feature(enable = "avx2")]
#[inline]
fn high(words: __m256i) -> __m256 {
    _mm256_cvtepi32_ps(_mm256_srai_epi32::<16>(words))
}

#[target_feature(enable = "avx2")]
#[inline]
fn weights(fractions: __m256i) -> [__m256; 4] {
    let one = _mm256_set1_ps(1.0);
    let f = mul(_mm256_cvtepi32_ps(_mm256_srli_epi32::<8>(fractions)), _mm256_set1_ps(FRACTION_STEP));
    let g = _mm256_sub_ps(one, f);
    let outer = mul(mul(_mm256_set1_ps(A), f), g);
    [mul(outer, g), inner_weight(f), inner_weight(g), mul(outer, f)]
}

#[target_feature(enable = "avx2")]
#[inline]
fn inner_weight(f: __m256) -> __m256 {
    let line = _mm256_sub_ps(mul(_mm256_set1_ps(A + 2.0), f), _mm256_set1_ps(A + 3.0));
    add(mul(mul(line, f), f), _mm256_set1_ps(1.0))
}

#[target_feature(enable = "avx2")]
#[inline]
fn clamp_to_taps(value: __m256, [a, b, c, d]: &Columns, [e, f, g, h]: &Columns) -> __m256 {
    let min = |a: __m256i, b: __m256i| _mm256_min_epi16(a, b);
    let max = |a: __m256i, b: __m256i| _mm256_max_epi16(a, b);
    let least = min(min(min(*a, *b), min(*c, *d)), min(min(*e, *f), min(*g, *h)));
    let most = max(max(max(*a, *b), max(*c, *d)), max(max(*e, *f), max(*g, *h)));
    let least = _mm256_min_ps(low(least), high(least));
    let most = _mm256_max_ps(low(most), high(most));
    _mm256_min_ps(_mm256_max_ps(value, least), most)
}

/// Rounded half up, plus [`ROUNDER`].
#[target_feature(enable = "avx2")]
#[inline]
fn half_up(value: __m256) -> __m256 {
    let rounder = _mm256_set1_ps(ROUNDER);
    let even = _mm256_sub_ps(add(value, rounder), rounder);
    let is_half = _mm256_cmp_ps::<_CMP_EQ_OQ>(_mm256_sub_ps(value, even), _mm256_set1_ps(0.5));
    add(add(even, _mm256_and_ps(is_half, _mm256_set1_ps(1.0))), rounder)
}

/// The eight words, lane 0 first.
#[target_feature(enable = "avx2")]
#[inline]
fn lanes(words: __m256i) -> [u32; LANES] {
    let (low, high) = (_mm256_castsi256_si128(words), _mm256_extracti128_si256::<1>(words));
    let two = |pair: i64| [pair as u32, (pair >> 32) as u32];
    let [a, b] = two(_mm_cvtsi128_si64(low));
    let [c, d] = two(_mm_extract_epi64::<1>(low));
    let [e, f] = two(_mm_cvtsi128_si64(high));
    let [g, h] = two(_mm_extract_epi64::<1>(high));
    [a, b, c, d, e, f, g, h]
}
