//! The fast turns beside plain ones, and beside other libraries.

use super::*;
use crate::kernel::mask::Mask;
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

/// Masks of up to 90 x 150 pixels of a few rectangles, some of them holes.
fn shapes() -> impl Strategy<Value = Mask> {
    let rectangle = (0usize..90, 0usize..150, 0usize..60, 0usize..90, prop_oneof![3 => Just(1u8), 1 => Just(0)]);
    (1usize..90, 1usize..150, vec(rectangle, 0..5)).prop_map(|(rows, columns, rectangles)| {
        let mut image = Array2::zeros((rows, columns));
        for (top, left, height, width, value) in rectangles {
            let (top, left) = (top.min(rows), left.min(columns));
            image.slice_mut(s![top..rows.min(top + height), left..columns.min(left + width)]).fill(value);
        }
        Mask::of(image.view(), |pixel| pixel > 0)
    })
}

/// The same in f32, in the order of operations that the result is defined by.
fn plain_f32<T: Sample>(source: &Array2<T>, map: &Affine, outside: T, row: usize, column: usize) -> T {
    let Some(lookup) = Lookup::of(map) else { return outside };
    let walk = lookup.row(row);
    let weights = |position: i64| {
        let f = (position as u32 >> 8) as f32 / (1 << 24) as f32;
        let g = 1.0 - f;
        let outer = -0.75 * f * g;
        [outer * g, (1.25 * f - 2.25) * f * f + 1.0, (1.25 * g - 2.25) * g * g + 1.0, outer * f]
    };
    let (across, down) = (weights(walk.column.at(column)), weights(walk.row.at(column)));
    let (left, top) = walk.pixel(column);
    let tap = |r: i64, c: i64| match (usize::try_from(r), usize::try_from(c)) {
        (Ok(r), Ok(c)) => f32::from((*source.get((r, c)).unwrap_or(&outside)).into()),
        _ => f32::from(outside.into()),
    };
    let (mut sums, mut least, mut most) = ([0.0; 4], f32::MAX, f32::MIN);
    for (c, sum) in sums.iter_mut().enumerate() {
        let t = [0, 1, 2, 3].map(|r| tap(top - 1 + r, left - 1 + c as i64));
        (least, most) = t.iter().fold((least, most), |(least, most), &t| (least.min(t), most.max(t)));
        *sum = ((t[0] * down[0] + t[1] * down[1]) + (t[2] * down[2] + t[3] * down[3])) * across[c];
    }
    let sum = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    match T::CLAMPED_TO_TAPS {
        true => T::from_bits((sum.clamp(least, most) + 0.5).floor() as i32 as u32),
        false => T::from_bits(sum.clamp(0.0, 255.0).round_ties_even() as u32),
    }
}

/// One row with the arithmetic of `turn`, from column `from` to `to`; the rest 0.
fn row_by<T: Sample>(
    image: &Array2<T>,
    map: &Affine,
    row: usize,
    span: std::ops::Range<usize>,
    turn: impl Fn(&Frame, Walk, usize, &mut [T]),
) -> Vec<T> {
    let mut line = vec![T::from_bits(0); image.dim().1];
    let Some(lookup) = Lookup::of(map) else { return line };
    let (mut frame, mut spans) = (Frame::default(), Spans(vec![0..0; image.dim().0]));
    spans.0[row] = span;
    let pixels = image.as_slice().expect("standard layout");
    frame.fill(pixels, image.dim(), &lookup, &spans, T::from_bits(3));
    let columns = frame.columns(row);
    turn(&frame, lookup.row(row), columns.start, &mut line[columns]);
    line
}

/// Somewhere in an image of this size: a row, and a stretch of it.
fn somewhere<T>(image: &Array2<T>, at: (usize, usize, usize)) -> (usize, std::ops::Range<usize>) {
    let (rows, columns) = image.dim();
    let start = at.1 % columns;
    (at.0 % rows, start..start + at.2 % (columns + 1 - start))
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
    fn both_types_are_the_plain_f32_value_bit_for_bit(
        bytes in images(any::<u8>()), hu in images(any::<i16>()), map in maps(), outside in any::<u8>(),
    ) {
        for ((row, column), &got) in bicubic_u8(bytes.view(), &map, outside).indexed_iter() {
            prop_assert_eq!(got, plain_f32(&bytes, &map, outside, row, column), "({}, {})", row, column);
        }
        let outside = i16::from(outside) * 9 - 1024;
        for ((row, column), &got) in bicubic_i16(hu.view(), &map, outside).indexed_iter() {
            prop_assert_eq!(got, plain_f32(&hu, &map, outside, row, column), "({}, {})", row, column);
        }
    }

    #[test]
    fn with_and_without_avx2_the_bits_are_the_same(
        bytes in images(any::<u8>()), hu in images(any::<i16>()), map in maps(), at in any::<(usize, usize, usize)>(),
    ) {
        let (row, span) = somewhere(&bytes, at);
        prop_assert_eq!(
            row_by(&bytes, &map, row, span.clone(), turn_row::<u8>),
            row_by(&bytes, &map, row, span, cubic::turn_row::<u8>)
        );
        let (row, span) = somewhere(&hu, at);
        prop_assert_eq!(
            row_by(&hu, &map, row, span.clone(), turn_row::<i16>),
            row_by(&hu, &map, row, span, cubic::turn_row::<i16>)
        );
    }

    #[test]
    fn in_spans_the_image_is_the_same_and_beside_them_the_outside(
        image in images(any::<i16>()), map in maps(), starts in vec(any::<(usize, usize, usize)>(), 24),
    ) {
        prop_assume!(map != Affine::IDENTITY);
        let spans = Spans(starts[..image.dim().0].iter().map(|&at| somewhere(&image, at).1).collect());
        let mut got = image.clone();
        let pixels = got.as_slice_mut().expect("standard layout");
        // What a frame held before is nothing to the next image.
        let mut frame = Frame::default();
        frame.words = vec![77; 3000];
        bicubic_in_place(pixels, image.dim(), &map, 5, &spans, &mut frame);
        let mut want = bicubic_i16(image.view(), &map, 5);
        for ((row, column), pixel) in want.indexed_iter_mut() {
            if !spans.row(row).contains(&column) {
                *pixel = 5;
            }
        }
        prop_assert_eq!(got, want);
    }

    #[test]
    fn beyond_the_reach_of_its_pixels_an_image_is_0(
        image in images(prop_oneof![4 => Just(0u8), 1 => any::<u8>()]), map in maps(),
    ) {
        let spans = reach(&Mask::of(image.view(), |pixel| pixel != 0), &map, 2);
        let mut got = image.clone();
        let pixels = got.as_slice_mut().expect("standard layout");
        bicubic_in_place(pixels, image.dim(), &map, 0, &spans, &mut Frame::default());
        prop_assert_eq!(got, bicubic_u8(image.view(), &map, 0));
    }

    #[test]
    fn a_mask_is_turned_as_pixel_by_pixel(drawn in shapes(), map in maps()) {
        let turned = mask(&drawn, &map);
        let lookup = Lookup::of(&map).expect("it has an inverse");
        for ((row, column), &got) in turned.to_array().indexed_iter() {
            let (c, r) = lookup.row(row).moved_by_half().pixel(column);
            let inside = (0..drawn.dim().0 as i64).contains(&r) && (0..drawn.dim().1 as i64).contains(&c);
            let want = inside && drawn.get(r as usize, c as usize);
            prop_assert_eq!(got == 1, want, "({}, {})", row, column);
        }
    }

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
fn a_move_by_whole_pixels_copies_them() {
    let image = Array2::from_shape_fn((9, 30), |(r, c)| (1000 * r + c) as i16);
    let moved = bicubic_i16(image.view(), &Affine::translation(2.0, -1.0), -1);
    assert_eq!(moved.slice(s![..8, 2..]), image.slice(s![1.., ..28]));
    assert!(moved.slice(s![8, ..]).iter().chain(moved.slice(s![.., ..2])).all(|&pixel| pixel == -1));
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
