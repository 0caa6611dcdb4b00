//! Where the pixels of a turned image come from: the inverse of an affine map in fixed point.
//!
//! Source positions are 32.32 fixed point: the inverse is rounded to 2^-32 px once, and from there a
//! position is a sum of integers, the same on every machine.

use std::ops::Range;

use crate::kernel::affine::Affine;

/// 1 px in fixed point.
pub(super) const ONE: i64 = 1 << 32;

/// The inverse of a map in fixed point.
pub(super) struct Lookup([i64; 6]);

impl Lookup {
    /// `None` where the map has no inverse, or one that scales by more than 2^12 or moves by more
    /// than 2^28 px: farther than any image reaches.
    pub(super) fn of(map: &Affine) -> Option<Lookup> {
        let inverse = map.inverse().0;
        let mut fixed = [0; 6];
        for (i, (fixed, value)) in fixed.iter_mut().zip(inverse).enumerate() {
            let limit = if i % 3 == 2 { (1 << 28) as f64 } else { 4096.0 };
            if !value.is_finite() || value.abs() > limit {
                return None;
            }
            *fixed = (value * ONE as f64 + 0.5).floor() as i64;
        }
        Some(Lookup(fixed))
    }

    /// Whether every position is a pixel, and its neighbour's the next pixel.
    pub(super) fn is_move_by_whole_pixels(&self) -> bool {
        let [a, b, c, d, e, f] = self.0;
        [a, b, d, e] == [ONE, 0, 0, ONE] && c % ONE == 0 && f % ONE == 0
    }

    /// Where the pixels of one destination row come from.
    pub(super) fn row(&self, row: usize) -> Walk {
        let [a, b, c, d, e, f] = self.0;
        let row = row as i64;
        Walk { column: Line { start: b * row + c, step: a }, row: Line { start: e * row + f, step: d } }
    }
}

/// Source positions along one destination row.
#[derive(Clone, Copy)]
pub(super) struct Walk {
    pub(super) column: Line,
    pub(super) row: Line,
}

impl Walk {
    /// So that [`Line::pixel`] rounds half up instead of down.
    pub(super) fn moved_by_half(self) -> Walk {
        let moved = |line: Line| Line { start: line.start + ONE / 2, ..line };
        Walk { column: moved(self.column), row: moved(self.row) }
    }

    /// So that a position is the upper left corner of those of `columns` columns from its own.
    pub(super) fn moved_to_corner(self, columns: i64) -> Walk {
        let moved = |line: Line| Line { start: line.start + (line.step * (columns - 1)).min(0), ..line };
        Walk { column: moved(self.column), row: moved(self.row) }
    }

    /// The source pixel (column, row), rounded down, of a destination column.
    #[inline(always)]
    pub(super) fn pixel(&self, column: usize) -> (i64, i64) {
        (self.column.pixel(column), self.row.pixel(column))
    }

    /// The columns of `span` whose source pixel (rounded down) lies in the half-open ranges of source
    /// columns and rows.
    pub(super) fn clip(&self, span: Range<usize>, from_columns: Range<i64>, from_rows: Range<i64>) -> Range<usize> {
        let is_inside = |column| {
            let (column, row) = self.pixel(column);
            from_columns.contains(&column) && from_rows.contains(&row)
        };
        // Between two positions in a rectangle lie no others: a few divisions saved.
        match span.is_empty() || is_inside(span.start) && is_inside(span.end - 1) {
            true => span,
            false => intersection(span.clone(), self.within(span.end, from_columns, from_rows)),
        }
    }

    /// The destination columns, of `columns`, whose source pixel (rounded down) lies in the half-open
    /// ranges of source columns and rows.
    fn within(&self, columns: usize, from_columns: Range<i64>, from_rows: Range<i64>) -> Range<usize> {
        intersection(
            self.column.within(columns, from_columns.start, from_columns.end),
            self.row.within(columns, from_rows.start, from_rows.end),
        )
    }
}

/// One coordinate along a destination row: `start + step * column`, in 2^-32 px.
#[derive(Clone, Copy)]
pub(super) struct Line {
    pub(super) start: i64,
    pub(super) step: i64,
}

impl Line {
    /// The source pixel, rounded down.
    #[inline(always)]
    fn pixel(&self, column: usize) -> i64 {
        self.at(column) >> 32
    }

    // Wrapping, because the check for overflow costs a fifth of the kernel and `Lookup::of` bounds
    // the terms: 2^44 * 2^16 twice, and 2^60.
    #[inline(always)]
    pub(super) fn at(&self, column: usize) -> i64 {
        self.start.wrapping_add(self.step.wrapping_mul(column as i64))
    }

    /// The positions of `N` columns from `column`.
    #[inline(always)]
    pub(super) fn positions<const N: usize>(&self, column: usize) -> [i64; N] {
        let mut position = self.at(column);
        let mut positions = [0; N];
        for lane in &mut positions {
            *lane = position;
            position = position.wrapping_add(self.step);
        }
        positions
    }

    /// The columns of `0..columns` whose pixel is in `low..high`.
    fn within(&self, columns: usize, low: i64, high: i64) -> Range<usize> {
        let (low, high) = (low * ONE, high * ONE);
        let (low, high, step) = match self.step {
            0 if (low..high).contains(&self.start) => return 0..columns,
            0 => return 0..0,
            step if step > 0 => (low - self.start, high - self.start, step),
            // Mirrored: low <= at < high is 1 - high <= -at < 1 - low.
            step => (1 - high + self.start, 1 - low + self.start, -step),
        };
        let first_at_least = |bound: i64| (bound.div_euclid(step) + i64::from(bound.rem_euclid(step) > 0)).max(0);
        let clip = |bound: i64| first_at_least(bound).min(columns as i64) as usize;
        clip(low)..clip(high).max(clip(low))
    }
}

/// What two ranges share.
fn intersection(a: Range<usize>, b: Range<usize>) -> Range<usize> {
    let start = a.start.max(b.start);
    start..a.end.min(b.end).max(start)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_singular_map_has_no_lookup() {
        assert!(Lookup::of(&Affine([1.0, 1.0, 0.0, 1.0, 1.0, 0.0])).is_none());
        assert!(Lookup::of(&Affine([f64::NAN; 6])).is_none());
        assert!(Lookup::of(&Affine::translation(1e300, 0.0)).is_none());
    }

    #[test]
    fn a_position_is_the_inverse_of_the_map() {
        let walk = Lookup::of(&Affine::translation(1.25, -2.0)).expect("a move has an inverse").row(3);
        assert_eq!((walk.column.pixel(0), walk.row.pixel(0)), (-2, 5));
        assert_eq!(walk.column.positions(4), [2 * ONE + 3 * ONE / 4, 3 * ONE + 3 * ONE / 4]);
    }

    proptest! {
        #[test]
        fn within_finds_the_same_columns_as_trying_each(
            start in -20 * ONE..20 * ONE, step in -3 * ONE..3 * ONE, whole in any::<bool>(),
            low in -5i64..5, length in 0i64..20,
        ) {
            let cut = |value: i64| if whole { value / ONE * ONE } else { value };
            let line = Line { start: cut(start), step: cut(step) };
            let tried: Vec<usize> = (0..30).filter(|&c| (low..low + length).contains(&line.pixel(c))).collect();
            prop_assert_eq!(line.within(30, low, low + length).collect::<Vec<_>>(), tried);
        }
    }
}
