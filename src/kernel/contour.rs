//! Outer borders of a binary image, as OpenCV's `findContours` with `RETR_EXTERNAL` lists them.

use super::mask::Mask;

/// A pixel on a contour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// Its row.
    pub row: i32,
    /// Its column.
    pub column: i32,
}

/// Which pixels of a border are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Each one, once for every time the border passes it (`CHAIN_APPROX_NONE`).
    All,
    /// Those where the border turns, which are the corners of the same polygon
    /// (`CHAIN_APPROX_SIMPLE`).
    Corners,
}

/// The outer border of an 8-connected component, as a closed polygon through pixel centres.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contour {
    /// Its points, counter-clockwise on the screen, from the first pixel in raster order.
    pub points: Vec<Point>,
}

impl Contour {
    /// The area that the polygon encloses, in square pixels, as `cv2.contourArea`.
    ///
    /// It runs through pixel centres, so that one pixel and a line have none.
    pub fn area(&self) -> f64 {
        // Of 32-bit coordinates no product overflows, nor any sum of as many as there are pixels.
        let cross = |a: &Point, b: &Point| {
            let product = |a: i32, b: i32| i64::from(a).wrapping_mul(i64::from(b));
            product(a.column, b.row).wrapping_sub(product(a.row, b.column))
        };
        let (Some(first), Some(last)) = (self.points.first(), self.points.last()) else { return 0.0 };
        let sides = self.points.iter().zip(&self.points[1..]);
        let twice = sides.fold(cross(last, first), |sum, (a, b)| sum.wrapping_add(cross(a, b)));
        twice.unsigned_abs() as f64 / 2.0
    }
}

/// The outer borders of all 8-connected components that lie in no hole of another, in raster
/// order of their first pixels. (OpenCV lists the same ones last to first.)
pub fn external(mask: &Mask, keep: Keep) -> Vec<Contour> {
    let mut contours = Vec::new();
    let mut points = Vec::new();
    trace(mask, |step| match step {
        Step::Pixel { at, turns } if turns || keep == Keep::All => points.push(at),
        Step::Pixel { .. } => (),
        Step::Closed => contours.push(Contour { points: std::mem::take(&mut points) }),
    });
    contours
}

/// Of [`external`], the contour with the largest area; of equal ones the last in raster order,
/// which is the first of OpenCV's list and hence what `max(contours, key=cv2.contourArea)` gives.
/// `None` where no pixel is set.
pub fn largest_external(mask: &Mask, keep: Keep) -> Option<Contour> {
    let (mut best, mut best_area) = (None, 0.0);
    let mut contour = Contour { points: Vec::with_capacity(USUAL_POINTS) };
    // How many of the contour's points are kept: the one after them is written over. That way no
    // branch depends on whether a border turns, which no processor can foresee.
    let mut kept = 0;
    trace(mask, |step| match step {
        Step::Pixel { at, turns } => {
            contour.points.truncate(kept);
            contour.points.push(at);
            kept += usize::from(turns | (keep == Keep::All));
        }
        Step::Closed => {
            contour.points.truncate(kept);
            let area = contour.area();
            if best.is_none() || area >= best_area {
                // The points of the one that is beaten serve the next.
                let beaten = best.replace(std::mem::take(&mut contour)).unwrap_or_default();
                (contour, best_area) = (beaten, area);
            }
            contour.points.clear();
            kept = 0;
        }
    });
    best
}

/// More points than the outline of a head has in most slices.
const USUAL_POINTS: usize = 2048;

/// What a walk along the borders meets.
pub(super) enum Step {
    /// A pixel of the border; `turns` where the border does not go straight on.
    Pixel { at: Point, turns: bool },
    /// The border is closed; what follows belongs to the next one.
    Closed,
}

/// Walks every external border, in raster order of their first pixels, and gives the mask with its
/// holes filled.
///
/// Going down the rows, the first set pixel that lies in no filled component begins a new one: an
/// enclosing component begins further up, so it would be filled here already.
///
/// # Source
/// Suzuki, Abe: Topological structural analysis of digitized binary images by border following,
/// CVGIP 30(1), 1985, algorithm 2.
pub(super) fn trace(mask: &Mask, mut step: impl FnMut(Step)) -> Mask {
    let (rows, columns) = mask.dim();
    let mut walk = Walk::over(mask);
    let mut filled = Mask::empty(rows, columns);
    let is_used = |row: &usize| mask.row(*row).iter().any(|&word| word != 0);
    let (Some(top), Some(bottom)) = ((0..rows).find(is_used), (0..rows).rfind(is_used)) else { return filled };
    for row in top..=bottom {
        while walk.fill_row(row, mask.row(row), filled.row_mut(row)) {
            let mut new = mask.row(row).iter().zip(filled.row(row)).map(|(set, filled)| set & !filled).enumerate();
            let Some((word, bits)) = new.find(|(_, bits)| *bits != 0) else { break };
            walk.border(row, 64 * word + bits.trailing_zeros() as usize, &mut step);
        }
    }
    filled
}

/// Bit i of the result is set where bits 0 to i are odd in number.
#[inline(always)]
fn parity(bits: u64) -> u64 {
    if bits == 0 {
        return 0;
    }
    [1, 2, 4, 8, 16, 32].iter().fold(bits, |word, by| word ^ word << by)
}

/// Directions as OpenCV numbers them: 0 to the right, then counter-clockwise on the screen.
/// (rows, columns) to add.
const DIRECTIONS: [(i32, i32); 8] = [(0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1), (1, 0), (1, 1)];
const RIGHT: u32 = 0;
const LEFT: u32 = 4;

/// For nine bits of a 3x3 neighbourhood in raster order: bit d is the neighbour in direction d.
const NEIGHBOURS: [u8; 512] = {
    let mut table = [0; 512];
    let mut square = 0;
    while square < 512 {
        let mut direction = 0;
        while direction < 8 {
            let (row, column) = DIRECTIONS[direction];
            let bit = 3 * (row + 1) + column + 1;
            table[square] |= ((square >> bit & 1) as u8) << direction;
            direction += 1;
        }
        square += 1;
    }
    table
};

/// The next step of a walk, by 3x3 neighbourhood (nine bits in raster order) and, from bit 9 on, the
/// direction back to where the walk came from. Bits 0 to 2: the direction to go; bit 3: whether the
/// pixel to the left is clear and outside; bit 4: whether the one to the right is.
static STEPS: [u8; 4096] = {
    let mut table = [0; 4096];
    let mut index = 0;
    while index < 4096 {
        let (neighbours, first) = (NEIGHBOURS[index % 512], index as u32 / 512 + 1);
        // Looked at counter-clockwise from the one after `back`; clear ones on the way lie outside.
        let looked_at = neighbours.rotate_right(first).trailing_zeros();
        let left = ((LEFT + 8 - first) % 8 < looked_at) as u8;
        let right = ((RIGHT + 8 - first) % 8 < looked_at) as u8;
        table[index] = ((first + looked_at) % 8) as u8 | left << 3 | right << 4;
        index += 1;
    }
    table
};

/// The mask with a margin of clear pixels, and the vertical edges of the borders walked so far.
struct Walk {
    /// Words per row: one more to the left and one to the right.
    stride: usize,
    /// The bits as bytes, in which any three neighbours lie in a pair.
    bytes: Vec<u8>,
    /// Bit (row, column) is set where, going right along the row, the filled components begin or
    /// end.
    edges: Vec<u64>,
    /// Pixels from a pixel to its neighbour in each direction, modulo 2^64.
    moves: [usize; 8],
}

impl Walk {
    fn over(mask: &Mask) -> Walk {
        let (rows, columns) = mask.dim();
        let words = columns.div_ceil(64);
        let stride = words + 2;
        let mut bytes = vec![0; 8 * (rows + 2) * stride];
        for (row, line) in bytes.chunks_exact_mut(8 * stride).skip(1).take(rows).enumerate() {
            let (eights, _) = line.as_chunks_mut::<8>();
            for (eight, word) in eights.iter_mut().skip(1).zip(mask.row(row)) {
                *eight = word.to_le_bytes();
            }
        }
        let moves =
            DIRECTIONS.map(|(rows, columns)| (rows as isize * 64 * stride as isize + columns as isize) as usize);
        Walk { stride, bytes, edges: vec![0; (rows + 2) * stride], moves }
    }

    /// Fills one row from its edges: a pixel is inside where the edges up to it are odd in number. Says
    /// whether a pixel that is set is not.
    fn fill_row(&self, row: usize, set: &[u64], fill: &mut [u64]) -> bool {
        let edges = &self.edges[(row + 1) * self.stride + 1..];
        // All ones where the pixel before the word is inside.
        let (mut inside, mut outside) = (0u64, 0);
        for ((fill, &set), &edges) in fill.iter_mut().zip(set).zip(edges) {
            *fill = inside ^ parity(edges);
            outside |= set & !*fill;
            inside = 0u64.wrapping_sub(*fill >> 63);
        }
        outside != 0
    }

    /// The nine pixels around the one at bit `place`, in raster order.
    #[inline(always)]
    fn square(&self, place: usize) -> usize {
        // The margin keeps all of them inside.
        let three = |first: usize| match self.bytes.get(first / 8..first / 8 + 2) {
            Some(&[low, high]) => usize::from(u16::from_le_bytes([low, high]) >> (first % 8)) & 7,
            _ => 0,
        };
        let (row, here) = (64 * self.stride, place.wrapping_sub(1));
        three(here.wrapping_sub(row)) | three(here) << 3 | three(here.wrapping_add(row)) << 6
    }

    /// Adds an edge at bit `place` where `is_edge`.
    #[inline(always)]
    fn toggle(&mut self, place: usize, is_edge: bool) {
        if let Some(word) = self.edges.get_mut(place / 64) {
            *word ^= u64::from(is_edge) << (place % 64);
        }
    }

    /// Walks the outer border whose first pixel in raster order is (row, column).
    // Apart from the rows' loop, which it would rob of its registers.
    #[inline(never)]
    fn border(&mut self, row: usize, column: usize, step: &mut impl FnMut(Step)) {
        let mut at = Point { row: row as i32, column: column as i32 };
        let start = 64 * ((row + 1) * self.stride + 1) + column;
        let neighbours = NEIGHBOURS[self.square(start)];
        if neighbours == 0 {
            self.toggle(start, true);
            self.toggle(start + 1, true);
            step(Step::Pixel { at, turns: true });
            return step(Step::Closed);
        }
        // The walk ends by coming from the first neighbour clockwise of the left one. None lies
        // to the left or above: to the right, or below.
        let last = (1..8).map(|turn| (LEFT + 8 - turn) % 8).find(|d| neighbours >> d & 1 == 1).unwrap_or(RIGHT);
        let end = start.wrapping_add(self.moves[last as usize]);
        let (mut place, mut back, mut straight) = (start, last as usize, (last as usize + 4) % 8);
        loop {
            let found = usize::from(STEPS[self.square(place) | back << 9]);
            let out = found % 8;
            self.toggle(place, found & 8 != 0);
            self.toggle(place + 1, found & 16 != 0);
            step(Step::Pixel { at, turns: out != straight });
            let next = place.wrapping_add(self.moves[out]);
            if next == start && place == end {
                return step(Step::Closed);
            }
            let (rows, columns) = DIRECTIONS[out];
            at = Point { row: at.row.wrapping_add(rows), column: at.column.wrapping_add(columns) };
            (place, back, straight) = (next, (out + 4) % 8, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::mask::drawn::{arbitrary, grey_with_margin, mask};
    use proptest::prelude::*;

    /// (column, row), as OpenCV prints points.
    fn xy(contour: &Contour) -> Vec<(i32, i32)> {
        contour.points.iter().map(|p| (p.column, p.row)).collect()
    }

    #[test]
    fn a_square_has_four_corners_counter_clockwise_from_the_first_pixel() {
        let drawn = mask(&["....", ".###", ".###", ".###"]);
        let corners = external(&drawn, Keep::Corners);
        assert_eq!(corners.len(), 1);
        assert_eq!(xy(&corners[0]), [(1, 1), (1, 3), (3, 3), (3, 1)]);
        assert_eq!(corners[0].area(), 4.0);
        assert_eq!(external(&drawn, Keep::All)[0].points.len(), 8);
    }

    #[test]
    fn what_lies_in_a_hole_is_not_external_even_where_a_ring_surrounds_the_largest_label() {
        let drawn = mask(&["#######", "#.....#", "#.###.#", "#.###.#", "#.###.#", "#.....#", "#######"]);
        let contours = external(&drawn, Keep::Corners);
        assert_eq!(contours.len(), 1);
        assert_eq!(contours[0].area(), 36.0);
    }

    #[test]
    fn of_equal_areas_the_last_in_raster_order_is_the_largest() {
        let drawn = mask(&["##.##", "##.##", ".....", "#...."]);
        let largest = largest_external(&drawn, Keep::Corners);
        assert_eq!(largest.map(|c| c.points[0]), Some(Point { row: 0, column: 3 }));
        assert_eq!(largest_external(&Mask::empty(2, 2), Keep::All), None);
    }

    #[test]
    fn without_area_the_last_pixel_is_the_largest() {
        let largest = largest_external(&mask(&["#.", "..", ".#"]), Keep::Corners);
        assert_eq!(largest.map(|c| xy(&c)), Some(vec![(1, 2)]));
    }

    /// An 8-connected component by flooding, removed from `left`.
    fn flood(left: &mut Mask, row: usize, column: usize) -> Mask {
        let (rows, columns) = left.dim();
        let mut component = Mask::empty(rows, columns);
        let mut queue = vec![(row, column)];
        while let Some((row, column)) = queue.pop() {
            if row < rows && column < columns && left.get(row, column) {
                left.set(row, column, false);
                component.set(row, column, true);
                for (dr, dc) in DIRECTIONS {
                    queue.push((row.wrapping_add_signed(dr as isize), column.wrapping_add_signed(dc as isize)));
                }
            }
        }
        component
    }

    proptest! {
        /// The plain rule: a component's contour pixels are those of its filled self that have a
        /// clear pixel or the edge beside them (4 neighbours).
        #[test]
        fn every_border_pixel_is_walked_and_no_other(mask in arbitrary()) {
            let filled = trace(&mask, |_| ());
            let (rows, columns) = mask.dim();
            let (mut left, mut plain) = (filled.clone(), Vec::new());
            for row in 0..rows {
                for column in 0..columns {
                    if left.get(row, column) {
                        let component = flood(&mut left, row, column);
                        let inside = |r: usize, c: usize| r < rows && c < columns && component.get(r, c);
                        let is_border = |&(r, c): &(usize, usize)| {
                            inside(r, c) && !(inside(r.wrapping_sub(1), c) && inside(r + 1, c) && inside(r, c.wrapping_sub(1)) && inside(r, c + 1))
                        };
                        plain.push(ndarray::indices((rows, columns)).into_iter().filter(is_border).collect::<Vec<_>>());
                    }
                }
            }
            let walked: Vec<Vec<(usize, usize)>> = external(&mask, Keep::All).iter().map(|contour| {
                let mut pixels: Vec<_> = contour.points.iter().map(|p| (p.row as usize, p.column as usize)).collect();
                pixels.sort_unstable();
                pixels.dedup();
                pixels
            }).collect();
            prop_assert_eq!(walked, plain);
        }

        #[test]
        fn imageproc_finds_the_same_outer_borders(mask in arbitrary()) {
            use imageproc::contours::{BorderType, find_contours};
            let pixels = |contour: &[(i32, i32)]| {
                let mut pixels = contour.to_vec();
                pixels.sort_unstable();
                pixels.dedup();
                pixels
            };
            let all = find_contours::<i32>(&grey_with_margin(&mask));
            let outer = all.iter().filter(|c| c.border_type == BorderType::Outer && c.parent.is_none());
            let mut theirs: Vec<_> = outer.map(|c| pixels(&c.points.iter().map(|p| (p.x - 1, p.y - 1)).collect::<Vec<_>>())).collect();
            let mut ours: Vec<_> = external(&mask, Keep::All).iter().map(|c| pixels(&xy(c))).collect();
            theirs.sort();
            ours.sort();
            prop_assert_eq!(ours, theirs);
        }

        #[test]
        fn corners_enclose_what_all_points_enclose(mask in arbitrary()) {
            let areas = |keep| external(&mask, keep).iter().map(Contour::area).collect::<Vec<_>>();
            prop_assert_eq!(areas(Keep::All), areas(Keep::Corners));
        }

        #[test]
        fn the_largest_is_the_last_of_the_largest_areas(mask in arbitrary()) {
            let all = external(&mask, Keep::Corners);
            let best = all.iter().rev().fold(None::<&Contour>, |best, c| match best {
                Some(b) if b.area() >= c.area() => Some(b),
                _ => Some(c),
            });
            prop_assert_eq!(largest_external(&mask, Keep::Corners), best.cloned());
        }
    }
}
