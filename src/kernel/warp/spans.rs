//! Of each row of an image, one stretch of columns.

use std::ops::Range;

use crate::kernel::mask::Mask;

/// One half-open range of columns for each row, empty where nothing of the row is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Spans(pub(super) Vec<Range<usize>>);

impl Spans {
    /// All of an image of (rows, columns).
    pub(crate) fn whole((rows, columns): (usize, usize)) -> Spans {
        Spans(vec![0..columns; rows])
    }

    /// From the first to the last set pixel of each row.
    pub(crate) fn of(mask: &Mask) -> Spans {
        let span = |words: &[u64]| {
            let (Some(first), Some(last)) = (words.iter().position(|&w| w != 0), words.iter().rposition(|&w| w != 0))
            else {
                return 0..0;
            };
            let end = 64 * last + 64 - words[last].leading_zeros() as usize;
            64 * first + words[first].trailing_zeros() as usize..end
        };
        Spans((0..mask.dim().0).map(|row| span(mask.row(row))).collect())
    }

    /// The columns of one row.
    pub(super) fn row(&self, row: usize) -> Range<usize> {
        self.0.get(row).cloned().unwrap_or(0..0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_reaches_from_the_first_to_the_last_set_pixel() {
        let mut mask = Mask::empty(3, 200);
        for (row, column) in [(0, 63), (2, 1), (2, 64), (2, 199)] {
            mask.set(row, column, true);
        }
        assert_eq!(Spans::of(&mask), Spans(vec![63..64, 0..0, 1..200]));
    }
}
