//! What a turn needs of its source, laid out for fetching.

use std::ops::Range;

use super::cubic::Sample;
use super::lookup::{Lookup, Walk};
use super::spans::Spans;

/// The rectangle of a source image that the destination's stretches look at, with the outside where
/// it reaches past the image: one copy, instead of a test for the border at each of sixteen taps.
///
/// Each word holds two pixels: its own in the low half, the one below in the high half. So the
/// sixteen taps of a position are two times four words side by side.
#[derive(Debug, Default)]
pub(crate) struct Frame {
    pub(super) words: Vec<u32>,
    pub(super) stride: usize,
    /// The source row and column of the first word.
    pub(super) top: i64,
    pub(super) left: i64,
    columns: Vec<Range<usize>>,
}

/// Taps of a position before its pixel, and behind it.
const TAPS_BEFORE: i64 = 1;
const TAPS_BEHIND: i64 = 2;

impl Frame {
    /// Takes from `source` of `dim` (rows, columns) what the `spans` of the destination look at.
    pub(super) fn fill<T: Sample>(
        &mut self,
        source: &[T],
        dim: (usize, usize),
        lookup: &Lookup,
        spans: &Spans,
        outside: T,
    ) {
        let (rows, columns) = self.find_columns(dim, lookup, spans);
        (self.top, self.left) = (rows.start, columns.start);
        self.stride = (columns.end - columns.start) as usize;
        // Not cleared: every word is written below.
        self.words.resize(self.stride * (rows.end - rows.start - 1) as usize, 0);
        let line = |row: i64| {
            let row = usize::try_from(row).ok().filter(|&row| row < dim.0)?;
            source.get(row * dim.1..(row + 1) * dim.1)
        };
        let inside = columns.start.max(0)..columns.end.min(dim.1 as i64);
        let from = inside.start as usize..inside.end.max(inside.start) as usize;
        let outsides = vec![outside; from.len()];
        let part = |row| line(row).map_or(&outsides[..], |line| &line[from.clone()]);
        let left = (inside.start - columns.start) as usize;
        for (row, words) in (rows.start..).zip(self.words.chunks_exact_mut(self.stride.max(1))) {
            let (before, rest) = words.split_at_mut(left);
            let (middle, behind) = rest.split_at_mut(from.len());
            before.fill(pair(outside, outside));
            behind.fill(pair(outside, outside));
            for ((word, &upper), &lower) in middle.iter_mut().zip(part(row)).zip(part(row + 1)) {
                *word = pair(upper, lower);
            }
        }
    }

    /// Cuts the spans to positions that have a tap inside the source; finds the source's rows and
    /// columns of all their taps.
    fn find_columns(&mut self, dim: (usize, usize), lookup: &Lookup, spans: &Spans) -> (Range<i64>, Range<i64>) {
        let touching = |size: usize| -TAPS_BEHIND..size as i64 + TAPS_BEFORE;
        // First and last.
        let (mut rows, mut columns) = ([i64::MAX, i64::MIN], [i64::MAX, i64::MIN]);
        self.columns.clear();
        for row in 0..dim.0 {
            let walk = lookup.row(row);
            let span = walk.clip(spans.row(row), touching(dim.1), touching(dim.0));
            if !span.is_empty() {
                for (column, row) in [walk.pixel(span.start), walk.pixel(span.end - 1)] {
                    columns = [columns[0].min(column), columns[1].max(column)];
                    rows = [rows[0].min(row), rows[1].max(row)];
                }
            }
            self.columns.push(span);
        }
        let taps = |[first, last]: [i64; 2]| match first <= last {
            true => first - TAPS_BEFORE..last + TAPS_BEHIND + 1,
            false => 0..1,
        };
        (taps(rows), taps(columns))
    }

    /// The destination's columns of one row that have a tap inside the source.
    pub(super) fn columns(&self, row: usize) -> Range<usize> {
        self.columns.get(row).cloned().unwrap_or(0..0)
    }

    /// The words of the upper and of the lower two rows of taps, equally long: the four of a position
    /// begin at the same index in both.
    pub(super) fn upper_and_lower(&self) -> (&[u32], &[u32]) {
        let reach = self.words.len().saturating_sub(2 * self.stride);
        (&self.words[..reach], &self.words[self.words.len() - reach..])
    }

    /// What to add to row * stride + column of a source pixel for the index of its first tap.
    pub(super) fn origin(&self) -> i64 {
        (-TAPS_BEFORE - self.top) * self.stride as i64 - TAPS_BEFORE - self.left
    }

    /// The part of one destination row that begins at `column`, where positions are whole pixels.
    pub(super) fn copy_row<T: Sample>(&self, walk: Walk, column: usize, line: &mut [T]) {
        let (from_column, from_row) = walk.pixel(column);
        let start = (from_row - self.top) * self.stride as i64 + from_column - self.left;
        let words = usize::try_from(start).ok().and_then(|start| self.words.get(start..)).unwrap_or_default();
        line.iter_mut().zip(words).for_each(|(pixel, &word)| *pixel = T::from_bits(word));
    }
}

#[inline(always)]
fn pair<T: Sample>(upper: T, lower: T) -> u32 {
    let (upper, lower): (i16, i16) = (upper.into(), lower.into());
    u32::from(upper as u16) | u32::from(lower as u16) << 16
}
