//! How far a mask reaches once it is turned.

use super::spans::Spans;
use crate::kernel::affine::Affine;
use crate::kernel::mask::Mask;

/// For each destination row, columns that hold every pixel whose source position lies less than
/// `margin` pixels, in both directions, from a set pixel of `mask`; `map` is from source to
/// destination. They are those of the convex hull, and may be a little more.
///
/// With `margin` 2 these are the pixels of which a bicubic turn looks at a set pixel.
pub(crate) fn reach(mask: &Mask, map: &Affine, margin: u32) -> Spans {
    let (rows, columns) = mask.dim();
    let corners: Vec<(f64, f64)> =
        outline(mask, i64::from(margin)).iter().map(|&(column, row)| map.apply(column as f64, row as f64)).collect();
    // Farther than any image, where rounding would matter.
    if corners.iter().any(|&(column, row)| !(column.abs() < 1e9 && row.abs() < 1e9)) {
        return Spans::whole((rows, columns));
    }
    let mut reached = vec![(f64::MAX, f64::MIN); rows];
    for (i, &corner) in corners.iter().enumerate() {
        mark(corner, corners[(i + 1) % corners.len()], &mut reached);
    }
    // A pixel more on each side than the edges say: rounding of positions is 2^-32 px at most.
    let column = |value: f64| value.clamp(0.0, columns as f64) as usize;
    Spans(
        reached.iter().map(|&(left, right)| column(left - 1.0)..column(right + 2.0).max(column(left - 1.0))).collect(),
    )
}

/// Widens (left, right) of each row that the edge from `a` to `b` crosses.
fn mark(a: (f64, f64), b: (f64, f64), reached: &mut [(f64, f64)]) {
    let (upper, lower) = if a.1 <= b.1 { (a, b) } else { (b, a) };
    let slope = match lower.1 - upper.1 {
        height if height > 0.0 => (lower.0 - upper.0) / height,
        _ => 0.0,
    };
    let last = lower.1.clamp(-1.0, reached.len() as f64 - 1.0).floor() + 1.0;
    let first = upper.1.max(0.0).ceil().min(last);
    for (row, (left, right)) in (first as usize..).zip(&mut reached[first as usize..last as usize]) {
        let column = upper.0 + (row as f64 - upper.1) * slope;
        (*left, *right) = (left.min(column), right.max(column));
    }
}

/// Corners (column, row) of the convex hull of the mask's pixels, each grown to a square that
/// reaches `margin` pixels to all sides, in order around it. Empty for an empty mask.
fn outline(mask: &Mask, margin: i64) -> Vec<(i64, i64)> {
    let (spans, rows) = (Spans::of(mask), mask.dim().0 as i64);
    let (mut left, mut right) = (Vec::new(), Vec::new());
    for row in -margin..rows + margin {
        let from = [row - margin, row + margin].map(|row| usize::try_from(row).map_or(0..0, |row| spans.row(row)));
        let ends = from.iter().filter(|span| !span.is_empty());
        let first = ends.clone().map(|span| span.start as i64 - margin).min();
        let last = ends.map(|span| span.end as i64 - 1 + margin).max();
        if let (Some(first), Some(last)) = (first, last) {
            push(&mut left, (first, row), 1);
            push(&mut right, (last, row), -1);
        }
    }
    left.extend(right.into_iter().rev());
    left
}

/// Adds a lower point to a chain of corners and takes away those that are corners no more. `side` is
/// 1 for the chain on the left and -1 for that on the right.
fn push(chain: &mut Vec<(i64, i64)>, point: (i64, i64), side: i64) {
    while let [.., a, b] = chain[..]
        && ((b.0 - a.0) * (point.1 - a.1) - (point.0 - a.0) * (b.1 - a.1)) * side >= 0
    {
        chain.pop();
    }
    chain.push(point);
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn the_outline_is_convex() {
        let image = array![[0, 1, 1, 0], [0, 1, 0, 0], [0, 1, 1, 1], [0, 0, 0, 0]];
        let mask = Mask::of(image.view(), |pixel| pixel > 0);
        assert_eq!(outline(&mask, 0), [(1, 0), (1, 2), (3, 2), (2, 0)]);
        assert_eq!(outline(&mask, 1), [(0, -1), (0, 3), (4, 3), (4, 1), (3, -1)]);
        assert_eq!(outline(&Mask::empty(3, 3), 2), []);
    }

    #[test]
    fn an_empty_mask_reaches_nowhere() {
        let spans = reach(&Mask::empty(3, 9), &Affine::IDENTITY, 2);
        assert!((0..3).all(|row| spans.row(row).is_empty()), "{spans:?}");
    }
}
