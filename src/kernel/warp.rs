//! Resampling under an affine map: bicubic for pixels, nearest neighbour for masks.
//!
//! Every destination pixel is looked up in the source through the inverse map, rounded to 32.32 fixed
//! point once, so that positions are sums of integers; interpolation is f32 in a fixed order. Both
//! are the same on every machine.

use ndarray::{Array2, ArrayView2};

use super::affine::Affine;
use super::lookup::{Lookup, Walk};
use super::mask::Mask;

/// The cubic's free parameter, OpenCV's.
const A: f32 = -0.75;
/// Adding this to an f32 of magnitude below 2^22 rounds it to an integer, ties to even.
const ROUNDER: f32 = 12_582_912.0;

/// Turns an 8-bit image by `map` (source to destination; pixel centres on integers), bicubic with
/// a = -0.75, in the size of the source. (row, column).
///
/// Pixels outside the frame count as `outside`; where no tap lies inside, the result is `outside`.
/// Rounded to the nearest integer, ties to even, saturated to 0..=255: what OpenCV's `warpAffine`
/// does with `INTER_CUBIC` and `BORDER_CONSTANT`, except that sums are rounded in another order,
/// so that a few pixels in ten thousand are 1 apart. The identity gives the source bit for bit; a
/// map that has no inverse gives `outside` everywhere.
///
/// # Source
/// R. Keys, "Cubic convolution interpolation for digital image processing", IEEE Trans. ASSP 29(6),
/// 1981; a = -0.75 is OpenCV's choice.
pub fn bicubic_u8(source: ArrayView2<'_, u8>, map: &Affine, outside: u8) -> Array2<u8> {
    bicubic(source, map, outside)
}

/// Turns an image of HU by `map` (source to destination; pixel centres on integers), bicubic with
/// a = -0.75, in the size of the source. (row, column).
///
/// Pixels outside the frame count as `outside`; where no tap lies inside, the result is `outside`.
/// The result is clamped to the smallest and largest of its 16 source pixels, so that no HU appears
/// that no neighbour comes near, then rounded half up. The identity gives the source bit for bit; a
/// map that has no inverse gives `outside` everywhere.
///
/// # Source
/// As [`bicubic_u8`].
pub fn bicubic_i16(source: ArrayView2<'_, i16>, map: &Affine, outside: i16) -> Array2<i16> {
    bicubic(source, map, outside)
}

/// Turns a mask by `map` (source to destination; pixel centres on integers), nearest neighbour, in
/// the size of the source. Pixels from outside the frame are not set.
///
/// Ties: a position half-way between two pixels takes the one of the larger column, and of the
/// larger row. The identity gives the source; a map that has no inverse gives an empty mask.
pub fn mask(source: &Mask, map: &Affine) -> Mask {
    let (rows, columns) = source.dim();
    let mut turned = Mask::empty(rows, columns);
    let (Some(lookup), Some(set)) = (Lookup::of(map), source.bounding_box()) else { return turned };
    for row in 0..rows {
        let walk = lookup.row(row).moved_by_half();
        let span = walk.within(columns, set.left as i64..set.right as i64, set.top as i64..set.bottom as i64);
        let words = turned.row_mut(row);
        for (index, word) in words.iter_mut().enumerate().take(span.end.div_ceil(64)).skip(span.start / 64) {
            for column in span.start.max(index * 64)..span.end.min(index * 64 + 64) {
                let (from_column, from_row) = (walk.column.pixel(column) as usize, walk.row.pixel(column) as usize);
                *word |= (source.row(from_row)[from_column / 64] >> (from_column % 64) & 1) << (column % 64);
            }
        }
    }
    turned
}

/// Pixels that are interpolated side by side.
const LANES: usize = 8;
/// How far outside the frame a position's taps can lie when at least one of them lies inside.
const PADDING: usize = 3;

/// The taps of [`LANES`] positions: for each of the 4 rows, two words of packed pixels a position.
type Taps = [[[u32; LANES]; 2]; 4];
type Lanes = [f32; LANES];

/// A type of pixels that [`bicubic`] turns. Four neighbours travel packed in words, so that
/// unpacking and interpolating are plain arithmetic on lanes, which the compiler vectorises.
trait Sample: Copy {
    /// Whether [`Sample::finish`] looks at the taps' range.
    const CLAMPED: bool;
    /// Packs four neighbours of one row.
    fn pack(four: [Self; 4]) -> u64;
    /// Unpacks neighbour `i`.
    fn unpack(first: u32, second: u32, i: usize) -> f32;
    /// Rounds an interpolated value; `least` and `most` of its taps. The low bits are the pixel's.
    fn finish(value: f32, least: f32, most: f32) -> u32;
    /// The pixel of these low bits.
    fn from_bits(bits: u32) -> Self;
}

impl Sample for u8 {
    const CLAMPED: bool = false;

    #[inline(always)]
    fn pack(four: [u8; 4]) -> u64 {
        u64::from(u32::from_le_bytes(four))
    }

    #[inline(always)]
    fn unpack(word: u32, _: u32, i: usize) -> f32 {
        (word >> (8 * i) & 0xff) as i32 as f32
    }

    #[inline(always)]
    fn finish(value: f32, _: f32, _: f32) -> u32 {
        (clamp(value, 0.0, 255.0) + ROUNDER).to_bits()
    }

    #[inline(always)]
    fn from_bits(bits: u32) -> u8 {
        bits as u8
    }
}

impl Sample for i16 {
    const CLAMPED: bool = true;

    #[inline(always)]
    fn pack(four: [i16; 4]) -> u64 {
        let [a, b, c, d] = four.map(|pixel| u64::from(pixel as u16));
        a | b << 16 | c << 32 | d << 48
    }

    #[inline(always)]
    fn unpack(first: u32, second: u32, i: usize) -> f32 {
        let pair = if i < 2 { first } else { second };
        let pair = if i.is_multiple_of(2) { pair << 16 } else { pair };
        (pair as i32 >> 16) as f32
    }

    #[inline(always)]
    fn finish(value: f32, least: f32, most: f32) -> u32 {
        let value = clamp(value, least, most);
        let even = (value + ROUNDER) - ROUNDER;
        let half_up = even + if value - even == 0.5 { 1.0 } else { 0.0 };
        (half_up + ROUNDER).to_bits()
    }

    #[inline(always)]
    fn from_bits(bits: u32) -> i16 {
        bits as i16
    }
}

// Not `f32::min`, `max` and `clamp`: their rules for NaN cost instructions, and there is no NaN.
#[inline(always)]
fn least_of(a: f32, b: f32) -> f32 {
    if a < b { a } else { b }
}

#[inline(always)]
fn most_of(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

#[inline(always)]
fn clamp(value: f32, least: f32, most: f32) -> f32 {
    least_of(most_of(value, least), most)
}

fn bicubic<T: Sample>(source: ArrayView2<'_, T>, map: &Affine, outside: T) -> Array2<T> {
    if *map == Affine::IDENTITY {
        return source.to_owned();
    }
    let (rows, columns) = source.dim();
    let mut turned = Array2::from_elem((rows, columns), outside);
    let Some(lookup) = Lookup::of(map) else { return turned };
    let frame = Frame::pad(source, outside);
    for (row, mut line) in turned.outer_iter_mut().enumerate() {
        if let Some(line) = line.as_slice_mut() {
            frame.turn_row(lookup.row(row), line);
        }
    }
    turned
}

/// A source image with [`PADDING`] pixels of the outside around it: one copy, instead of a test for
/// the border at each of sixteen taps.
struct Frame<T> {
    pixels: Vec<T>,
    rows: usize,
    columns: usize,
    stride: usize,
}

impl<T: Sample> Frame<T> {
    fn pad(source: ArrayView2<'_, T>, outside: T) -> Frame<T> {
        let (rows, columns) = source.dim();
        let stride = columns + 2 * PADDING;
        let mut pixels = Vec::with_capacity(stride * (rows + 2 * PADDING));
        pixels.resize(stride * PADDING + PADDING, outside);
        for line in source.outer_iter() {
            match line.as_slice() {
                Some(line) => pixels.extend_from_slice(line),
                None => pixels.extend(line.iter()),
            }
            pixels.resize(pixels.len() + 2 * PADDING, outside);
        }
        pixels.resize(stride * (rows + 2 * PADDING), outside);
        Frame { pixels, rows, columns, stride }
    }

    /// Fills the part of one destination row that has a tap inside the source.
    fn turn_row(&self, walk: Walk, line: &mut [T]) {
        let touched = walk.within(line.len(), -2..self.columns as i64 + 1, -2..self.rows as i64 + 1);
        // The same stretch of pixels, moved by 0 to 3 rows: one bounds check serves four rows of taps.
        let reach = self.pixels.len().saturating_sub(3 * self.stride);
        let moved = [0, 1, 2, 3].map(|rows| &self.pixels[rows * self.stride..][..reach]);
        let mut column = touched.start;
        for pixels in line[touched].chunks_mut(LANES) {
            let (columns, rows) = (walk.column.positions(column), walk.row.positions(column));
            let mut taps: Taps = [[[0; LANES]; 2]; 4];
            let turned = match self.fetch(&moved, &columns, &rows, &mut taps) {
                Some(pixel) => [pixel; LANES],
                None => interpolate(&taps, &fractions(&columns), &fractions(&rows)),
            };
            pixels.copy_from_slice(&turned[..pixels.len()]);
            column += LANES;
        }
    }

    /// Fills in the taps of [`LANES`] positions; of those that have no tap inside, they may be
    /// anything. Says so where all taps are the same pixel, because then the result is too: half of
    /// a masked image is background, a fifth of any CT lies outside the circle of reconstruction.
    #[inline(always)]
    fn fetch(&self, moved: &[&[T]; 4], columns: &[i64; LANES], rows: &[i64; LANES], taps: &mut Taps) -> Option<T> {
        let mut starts = [0; LANES];
        for lane in 0..LANES {
            let row = ((rows[lane] >> 32) as usize).wrapping_add(PADDING - 1);
            let column = ((columns[lane] >> 32) as usize).wrapping_add(PADDING - 1);
            starts[lane] = row.wrapping_mul(self.stride).wrapping_add(column);
        }
        let any = *moved[0].get(starts[0])?;
        let same = T::pack([any; 4]);
        let mut differences = 0;
        for (lane, &start) in starts.iter().enumerate() {
            for r in 0..4 {
                let Some(&[a, b, c, d]) = moved[r].get(start..start.wrapping_add(4)) else { continue };
                let word = T::pack([a, b, c, d]);
                (taps[r][0][lane], taps[r][1][lane]) = (word as u32, (word >> 32) as u32);
                differences |= word ^ same;
            }
        }
        (differences == 0).then_some(any)
    }
}

/// How far positions lie past their pixels, 0 to below 1, cut to 24 bits so that f32 holds it exactly.
#[inline(always)]
fn fractions(positions: &[i64; LANES]) -> Lanes {
    let mut fractions = [0.0; LANES];
    for (fraction, &position) in fractions.iter_mut().zip(positions) {
        *fraction = (position as u32 >> 8) as i32 as f32 * (1.0 / (1 << 24) as f32);
    }
    fractions
}

/// Down the four columns first, then across; (a + b) + (c + d) both times.
#[inline(always)]
fn interpolate<T: Sample>(taps: &Taps, column_fractions: &Lanes, row_fractions: &Lanes) -> [T; LANES] {
    let (across, down) = (weights(column_fractions), weights(row_fractions));
    let mut sums = [[0.0; LANES]; 4];
    let (mut least, mut most) = ([f32::MAX; LANES], [f32::MIN; LANES]);
    for c in 0..4 {
        for lane in 0..LANES {
            let mut t = [0.0; 4];
            for r in 0..4 {
                t[r] = T::unpack(taps[r][0][lane], taps[r][1][lane], c);
                if T::CLAMPED {
                    least[lane] = least_of(least[lane], t[r]);
                    most[lane] = most_of(most[lane], t[r]);
                }
            }
            let upper = t[0] * down[0][lane] + t[1] * down[1][lane];
            let lower = t[2] * down[2][lane] + t[3] * down[3][lane];
            sums[c][lane] = (upper + lower) * across[c][lane];
        }
    }
    let mut values = [0; LANES];
    for lane in 0..LANES {
        let sum = (sums[0][lane] + sums[1][lane]) + (sums[2][lane] + sums[3][lane]);
        values[lane] = T::finish(sum, least[lane], most[lane]);
    }
    values.map(T::from_bits)
}

/// The cubic's weights for the pixels at -1, 0, 1 and 2 around positions `fractions` past pixel 0.
#[inline(always)]
fn weights(fractions: &Lanes) -> [Lanes; 4] {
    let mut weights = [[0.0; LANES]; 4];
    for (lane, &f) in fractions.iter().enumerate() {
        let g = 1.0 - f;
        let outer = A * f * g;
        weights[0][lane] = outer * g;
        weights[1][lane] = ((A + 2.0) * f - (A + 3.0)) * f * f + 1.0;
        weights[2][lane] = ((A + 2.0) * g - (A + 3.0)) * g * g + 1.0;
        weights[3][lane] = outer * f;
    }
    weights
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{array, s};
    use proptest::collection::vec;
    use proptest::prelude::*;

    /// The cubic as the paper has it, at distance `d`.
    fn cubic(d: f64) -> f64 {
        let (a, d) = (-0.75, d.abs());
        match d {
            d if d <= 1.0 => ((a + 2.0) * d - (a + 3.0)) * d * d + 1.0,
            d if d < 2.0 => ((a * d - 5.0 * a) * d + 8.0 * a) * d - 4.0 * a,
            _ => 0.0,
        }
    }

    /// The plain version: value, smallest and largest tap of one destination pixel.
    fn plain(source: &Array2<f64>, map: &Affine, outside: f64, row: usize, column: usize) -> (f64, f64, f64) {
        let (x, y) = map.inverse().apply(column as f64, row as f64);
        let tap = |r: i64, c: i64| match (usize::try_from(r), usize::try_from(c)) {
            (Ok(r), Ok(c)) => *source.get((r, c)).unwrap_or(&outside),
            _ => outside,
        };
        let (left, top) = (x.floor() as i64, y.floor() as i64);
        let (mut value, mut least, mut most) = (0.0, f64::MAX, f64::MIN);
        for r in top - 1..=top + 2 {
            for c in left - 1..=left + 2 {
                let tap = tap(r, c);
                value += tap * cubic(x - c as f64) * cubic(y - r as f64);
                (least, most) = (least.min(tap), most.max(tap));
            }
        }
        (value, least, most)
    }

    /// Images up to 24 x 24, of values of any range.
    fn images<T: Copy + std::fmt::Debug + 'static>(
        pixel: impl Strategy<Value = T> + Clone + 'static,
    ) -> impl Strategy<Value = Array2<T>> {
        (1usize..24, 1usize..24).prop_flat_map(move |(rows, columns)| {
            vec(pixel.clone(), rows * columns)
                .prop_map(move |pixels| Array2::from_shape_vec((rows, columns), pixels).expect("rows * columns pixels"))
        })
    }

    fn maps() -> impl Strategy<Value = Affine> {
        let fraction = || prop_oneof![Just(0.0), Just(0.5), -0.9..0.9];
        let angle = prop_oneof![Just(0.0), Just(90.0), Just(180.0), -180.0..180.0];
        (angle, 0.0..24.0, 0.0..24.0, fraction(), fraction(), prop_oneof![Just(1.0), 0.5..2.0]).prop_map(
            |(angle, column, row, columns, rows, scale)| {
                let turn = Affine::turn_clockwise(angle, column, row);
                turn.then(&Affine::translation(columns, rows)).then(&Affine::scaling_of_pixels(scale))
            },
        )
    }

    proptest! {
        #[test]
        fn u8_is_the_plain_value_rounded(image in images(any::<u8>()), map in maps(), outside in any::<u8>()) {
            let source = image.map(|&pixel| f64::from(pixel));
            for ((row, column), &got) in bicubic_u8(image.view(), &map, outside).indexed_iter() {
                let want = plain(&source, &map, f64::from(outside), row, column).0.clamp(0.0, 255.0);
                prop_assert!((f64::from(got) - want).abs() < 0.502, "({row}, {column}): {got}, expected {want}");
            }
        }

        #[test]
        fn hu_is_the_plain_value_clamped_and_rounded(
            image in images(-1024i16..4000), map in maps(), outside in -1024i16..100,
        ) {
            let source = image.map(|&pixel| f64::from(pixel));
            for ((row, column), &got) in bicubic_i16(image.view(), &map, outside).indexed_iter() {
                let (value, least, most) = plain(&source, &map, f64::from(outside), row, column);
                let want = value.clamp(least, most);
                prop_assert!((f64::from(got) - want).abs() < 0.52, "({row}, {column}): {got}, expected {want}");
            }
        }

        #[test]
        fn hu_at_the_ends_of_16_bits_does_not_wrap(
            image in images(prop_oneof![Just(i16::MIN), Just(i16::MAX)]), map in maps(),
        ) {
            let source = image.map(|&pixel| f64::from(pixel));
            for ((row, column), &got) in bicubic_i16(image.view(), &map, 0).indexed_iter() {
                let (value, least, most) = plain(&source, &map, 0.0, row, column);
                prop_assert!((f64::from(got) - value.clamp(least, most)).abs() < 0.6);
            }
        }

        #[test]
        fn mask_is_the_nearest_source_pixel(image in images(any::<bool>()), map in maps()) {
            let inverse = map.inverse();
            let turned = mask(&Mask::of(image.view(), |set| set), &map);
            for ((row, column), &got) in turned.to_array().indexed_iter() {
                let (x, y) = inverse.apply(column as f64, row as f64);
                let (c, r) = ((x + 0.5).floor(), (y + 0.5).floor());
                // Where rounding of the position decides, either neighbour is right.
                if (x + 0.5 - c).min(c + 0.5 - x).min(y + 0.5 - r).min(r + 0.5 - y) < 1e-6 {
                    continue;
                }
                let inside = c >= 0.0 && r >= 0.0;
                let want = inside && image.get((r as usize, c as usize)).copied().unwrap_or(false);
                prop_assert_eq!(got == 1, want, "({}, {})", row, column);
            }
        }

        #[test]
        fn the_identity_gives_the_source(image in images(any::<i16>()), bytes in images(any::<u8>())) {
            prop_assert_eq!(bicubic_i16(image.view(), &Affine::IDENTITY, 3), image);
            let set = Mask::of(bytes.view(), |byte| byte > 99);
            prop_assert_eq!(mask(&set, &Affine::IDENTITY), set);
            prop_assert_eq!(bicubic_u8(bytes.view(), &Affine::IDENTITY, 3), bytes);
        }
    }

    #[test]
    fn a_move_by_one_column_is_exact() {
        let image = array![[10u8, 20, 30], [40, 50, 60]];
        let moved = bicubic_u8(image.view(), &Affine::translation(1.0, 0.0), 7);
        assert_eq!(moved, array![[7, 10, 20], [7, 40, 50]]);
    }

    #[test]
    fn a_uniform_image_stays_as_it_is() {
        for value in [i16::MIN, -1024, 0, 77, i16::MAX] {
            let image = Array2::from_elem((20, 30), value);
            let mut dotted = image.clone();
            dotted[(0, 0)] ^= 1;
            let map = Affine::turn_clockwise(33.0, 14.0, 9.0);
            assert_eq!(bicubic_i16(image.view(), &map, value), image);
            let far = s![5..15, 15..25];
            assert_eq!(bicubic_i16(dotted.view(), &map, value).slice(far), image.slice(far));
        }
        let white = Array2::from_elem((20, 30), 255u8);
        assert_eq!(bicubic_u8(white.view(), &Affine::turn_clockwise(33.0, 14.0, 9.0), 255), white);
    }

    #[test]
    fn a_quarter_turn_clockwise_is_exact() {
        let image = array![[1i16, 2, 3], [4, 5, 6], [7, 8, -9]];
        let map = Affine::turn_clockwise(90.0, 1.0, 1.0);
        assert_eq!(bicubic_i16(image.view(), &map, 0), array![[7, 4, 1], [8, 5, 2], [-9, 6, 3]]);
        let turned = mask(&Mask::of(image.view(), |pixel| pixel < 3), &map);
        assert_eq!(turned.to_array(), array![[0, 0, 1], [0, 0, 1], [1, 0, 0]]);
    }

    #[test]
    fn half_a_pixel_is_the_cubic_at_half() {
        // Weights at 0.5: -3/32, 19/32, 19/32, -3/32.
        let image = array![[0i16, 0, 32, 0, 0, 0, 0]];
        let moved = bicubic_i16(image.view(), &Affine::translation(0.5, 0.0), 0);
        // -3 is clamped to the neighbours' range.
        assert_eq!(moved, array![[0, 0, 19, 19, 0, 0, 0]]);
        // 10.5 - 0.5: half up in HU, to even in 8 bits.
        let image = array![[0i16, 0, 1, 1, 0, 0, 1]];
        assert_eq!(bicubic_i16(image.view(), &Affine::translation(0.5, 0.0), 0)[(0, 2)], 1);
        let tie = array![[4u8, 4, 5, 5, 4, 4]];
        assert_eq!(bicubic_u8(tie.view(), &Affine::translation(0.5, 0.0), 4)[(0, 2)], 4);
        let tie = array![[5u8, 5, 6, 6, 5, 5]];
        assert_eq!(bicubic_u8(tie.view(), &Affine::translation(0.5, 0.0), 5)[(0, 2)], 6);
    }

    #[test]
    fn ties_of_the_mask_go_to_the_larger_column_and_row() {
        let source = Mask::of(array![[1u8, 0, 1, 0, 0]].view(), |pixel| pixel > 0);
        // Column c comes from c - 0.5, which is half-way between c - 1 and c.
        assert_eq!(mask(&source, &Affine::translation(0.5, 0.0)).to_array(), array![[1, 0, 1, 0, 0]]);
        assert_eq!(mask(&source, &Affine::translation(-0.5, 0.0)).to_array(), array![[0, 1, 0, 0, 0]]);
    }

    #[test]
    fn a_singular_map_gives_the_outside() {
        let image = array![[1u8, 2], [3, 4]];
        assert_eq!(bicubic_u8(image.view(), &Affine([0.0; 6]), 9), array![[9, 9], [9, 9]]);
        let empty = Array2::<u8>::zeros((0, 5));
        assert_eq!(bicubic_u8(empty.view(), &Affine::translation(1.0, 0.0), 9).dim(), (0, 5));
    }

    #[test]
    fn a_view_that_is_not_in_standard_layout_is_the_same_image() {
        let image = Array2::from_shape_fn((9, 7), |(r, c)| (31 * r * r + 17 * c) as u8);
        let map = Affine::turn_clockwise(20.0, 3.0, 4.0);
        let transposed = image.t().to_owned();
        assert_eq!(bicubic_u8(transposed.t(), &map, 1), bicubic_u8(image.view(), &map, 1));
    }

    /// What OpenCV made of an image; `a` and the map are in the comment above each figure:
    /// `a = np.array([[(31*r*r + 57*c + 13*r*c) % 256 for c in range(10)] for r in range(8)], np.uint8)`,
    /// `cv2.warpAffine(a, m, (10, 8), flags=cv2.INTER_CUBIC, borderValue=9)`,
    /// opencv-python-headless 5.0.0.93.
    #[test]
    fn u8_is_within_1_of_opencv_and_nearly_always_equal() {
        let image = Array2::from_shape_fn((8, 10), |(r, c)| ((31 * r * r + 57 * c + 13 * r * c) % 256) as u8);
        for (map, opencv) in OPENCV {
            let opencv = Array2::from(opencv.to_vec());
            let got = bicubic_u8(image.view(), &Affine(map), 9);
            let apart = |(a, b): (&u8, &u8)| a.abs_diff(*b);
            assert!(got.iter().zip(&opencv).map(apart).max() <= Some(1), "{got}, expected {opencv}");
            assert!(got.iter().zip(&opencv).filter(|(a, b)| a != b).count() <= 1, "{got}, expected {opencv}");
        }
    }

    const OPENCV: [([f64; 6], [[u8; 10]; 8]); 3] = [
        (
            [0.9659258, -0.258819, 1.3, 0.258819, 0.9659258, -1.2],
            [
                [12, 59, 97, 170, 229, 225, 46, 35, 65, 41],
                [21, 151, 173, 65, 195, 54, 135, 168, 96, 201],
                [77, 72, 189, 101, 135, 151, 36, 157, 36, 99],
                [152, 112, 190, 80, 103, 234, 133, 165, 97, 55],
                [13, 150, 255, 79, 196, 16, 94, 223, 54, 109],
                [203, 194, 157, 196, 211, 120, 218, 173, 127, 194],
                [149, 41, 131, 157, 175, 227, 81, 73, 186, 50],
                [0, 9, 40, 38, 143, 129, 178, 157, 80, 8],
            ],
        ),
        (
            [1.0, 0.0, 0.5, 0.0, 1.0, 0.0],
            [
                [0, 22, 86, 142, 224, 128, 34, 114, 196, 105],
                [13, 62, 136, 230, 148, 66, 184, 102, 20, 134],
                [59, 192, 120, 52, 182, 114, 44, 176, 106, 54],
                [7, 63, 191, 135, 79, 223, 167, 135, 103, 66],
                [138, 178, 148, 128, 110, 90, 48, 204, 162, 146],
                [0, 56, 214, 184, 178, 172, 166, 160, 154, 166],
                [38, 179, 166, 174, 180, 188, 218, 50, 80, 102],
                [134, 217, 53, 97, 117, 137, 157, 177, 221, 81],
            ],
        ),
        (
            [0.0, -1.0, 7.0, 1.0, 0.0, 0.0],
            [
                [239, 92, 7, 240, 23, 124, 31, 0, 9, 9],
                [131, 227, 129, 93, 119, 207, 101, 57, 9, 9],
                [23, 106, 251, 202, 215, 34, 171, 114, 9, 9],
                [171, 241, 117, 55, 55, 117, 241, 171, 9, 9],
                [63, 120, 239, 164, 151, 200, 55, 228, 9, 9],
                [211, 255, 105, 17, 247, 27, 125, 29, 9, 9],
                [103, 134, 227, 126, 87, 110, 195, 86, 9, 9],
                [251, 13, 93, 235, 183, 193, 9, 143, 9, 9],
            ],
        ),
    ];

    #[test]
    fn imageproc_turns_masks_and_smooth_images_the_same_way() {
        use image::{GrayImage, Luma};
        use imageproc::geometric_transformations::{Border, Interpolation, Projection, warp};
        let smooth = |r: usize, c: usize| 120.0 + 60.0 * (r as f64 / 7.0).sin() + 50.0 * (c as f64 / 9.0).cos();
        let source = Array2::from_shape_fn((40, 50), |(r, c)| smooth(r, c) as u8);
        let theirs = GrayImage::from_fn(50, 40, |x, y| Luma([source[(y as usize, x as usize)]]));
        let map = Affine::turn_clockwise(17.3, 21.2, 19.1);
        let [a, b, c, d, e, f] = map.0.map(|value| value as f32);
        let projection = Projection::from_matrix([a, b, c, d, e, f, 0.0, 0.0, 1.0]).expect("a turn has an inverse");
        let turned = |how| warp(&theirs, projection, how, Border::Constant(Luma([0])));
        let (nearest, cubic) = (turned(Interpolation::Nearest), turned(Interpolation::Bicubic));
        let (ours, set) = (bicubic_u8(source.view(), &map, 0), mask(&Mask::of(source.view(), |p| p > 120), &map));
        // Its cubic has a = -0.5, so that only smooth images look alike; 3 px inside the frame.
        let inside = |x: f64, y: f64| (3.0..46.0).contains(&x) && (3.0..36.0).contains(&y);
        let mut compared = 0;
        for ((r, c), &pixel) in ours.indexed_iter() {
            let (x, y) = map.inverse().apply(c as f64, r as f64);
            if inside(x, y) {
                assert!(pixel.abs_diff(cubic[(c as u32, r as u32)].0[0]) <= 2, "({r}, {c})");
                assert_eq!(set.get(r, c), nearest[(c as u32, r as u32)].0[0] > 120, "({r}, {c})");
                compared += 1;
            }
        }
        assert!(compared > 1000);
    }

    #[test]
    fn a_bright_dot_goes_where_the_map_says() {
        let mut image = Array2::from_elem((64, 64), -1000i16);
        image[(20, 41)] = 3000;
        for angle in [-37.0, 3.0, 12.5, 90.0] {
            let map = Affine::turn_clockwise(angle, 30.0, 33.0).then(&Affine::translation(1.3, -2.2));
            let turned = bicubic_i16(image.view(), &map, -1000);
            let (mut mass, mut x, mut y) = (0.0, 0.0, 0.0);
            for ((row, column), &pixel) in turned.indexed_iter() {
                let weight = f64::from(pixel) + 1000.0;
                (mass, x, y) = (mass + weight, x + weight * column as f64, y + weight * row as f64);
            }
            let (want_x, want_y) = map.apply(41.0, 20.0);
            assert!((x / mass - want_x).abs() < 0.2 && (y / mass - want_y).abs() < 0.2, "{angle} deg");
        }
    }
}
