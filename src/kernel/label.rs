//! 4-connected labelling on runs of set pixels.

use std::ops::Range;

use super::dispatch::dispatched;
use super::mask::Mask;

/// A horizontal run of set pixels: columns `start..end` of a row.
#[derive(Clone, Copy, Debug)]
struct Run {
    start: u32,
    end: u32,
}

/// The 4-connected components of a mask.
///
/// Labels are numbered from 0 in raster order of each component's first pixel, as
/// `scipy.ndimage.label` numbers them from 1.
#[derive(Debug)]
pub struct Components {
    dim: (usize, usize),
    runs: Vec<Run>,
    /// Where in `runs` each row ends.
    row_ends: Vec<u32>,
    /// The label of each run.
    labels: Vec<u32>,
    sizes: Vec<u32>,
}

dispatched! {
    fn components(mask: &Mask) -> Components = Components::by_runs
}

impl Components {
    /// The components of `mask`: runs of one row after the other, joined where they overlap.
    pub fn of(mask: &Mask) -> Components {
        components(mask)
    }

    #[inline(always)]
    fn by_runs(mask: &Mask) -> Components {
        let (rows, columns) = mask.dim();
        let mut runs = Vec::with_capacity(4 * rows);
        let mut row_ends = Vec::with_capacity(rows);
        // `parents[i]` is a run of the same component, never a later one.
        let mut parents: Vec<u32> = Vec::with_capacity(4 * rows);
        let mut changes = vec![0; columns.next_multiple_of(64) + 2 * AT_ONCE];
        let mut above = 0..0;
        for row in 0..rows {
            let first = runs.len();
            push_runs(mask.row(row), &mut changes, &mut runs);
            parents.extend(first as u32..runs.len() as u32);
            join(&runs, &mut parents, above, first..runs.len());
            above = first..runs.len();
            row_ends.push(runs.len() as u32);
        }
        let sizes = number(&runs, &mut parents);
        Components { dim: mask.dim(), runs, row_ends, labels: parents, sizes }
    }

    /// Pixels of each label, in the order of labels; its length is the number of labels.
    pub fn sizes(&self) -> &[u32] {
        &self.sizes
    }

    /// The largest component; of several, the one with the lowest label. `None` where there is no
    /// label.
    pub fn largest(&self) -> Option<Mask> {
        let size = self.sizes.iter().max()?;
        let label = self.sizes.iter().position(|s| s == size)? as u32;
        let mut mask = Mask::empty(self.dim.0, self.dim.1);
        let mut start = 0;
        for (row, &end) in self.row_ends.iter().enumerate() {
            let (runs, labels) = (&self.runs[start..end as usize], &self.labels[start..end as usize]);
            let words = mask.row_mut(row);
            for (run, &of) in runs.iter().zip(labels) {
                // No branch on the label: in a noisy image no processor foresees it.
                set_run(words, run.start as usize, run.end as usize, 0u64.wrapping_sub(u64::from(of == label)));
            }
            start = end as usize;
        }
        Some(mask)
    }
}

/// How many changes of a word are written down whether there are so many or not: most words have none
/// or a few, and a loop that ends after one turn is one that a processor foresees.
const AT_ONCE: usize = 4;

/// Appends the runs of one row. A word xor itself moved by one column has a bit at every start and
/// at every end. `changes` has room for all of them and twice [`AT_ONCE`] more.
#[inline(always)]
fn push_runs(words: &[u64], changes: &mut [u32], runs: &mut Vec<Run>) {
    let (mut carry, mut found) = (0, 0);
    for (i, &word) in words.iter().enumerate() {
        let mut bits = word ^ (word << 1 | carry);
        carry = word >> 63;
        let mut place = found;
        found += bits.count_ones() as usize;
        while place < found {
            for change in &mut changes[place..place + AT_ONCE] {
                *change = (64 * i as u32).wrapping_add(bits.trailing_zeros());
                bits &= bits.wrapping_sub(1);
            }
            place += AT_ONCE;
        }
    }
    changes[found] = 64 * words.len() as u32;
    let (pairs, _) = changes[..found + carry as usize].as_chunks::<2>();
    runs.extend(pairs.iter().map(|&[start, end]| Run { start, end }));
}

/// Joins the runs `here` of a row with those `above` that share a column with them.
#[inline(always)]
fn join(runs: &[Run], parents: &mut [u32], above: Range<usize>, here: Range<usize>) {
    let (mut a, mut h) = (above.start, here.start);
    while a < above.end && h < here.end {
        let (up, down) = (runs[a], runs[h]);
        if up.start < down.end && down.start < up.end {
            let (i, j) = (root(parents, a as u32), root(parents, h as u32));
            parents[i.max(j) as usize] = i.min(j);
        }
        // Only the one that ends first can meet no other.
        let is_up_first = up.end <= down.end;
        a = a.wrapping_add(usize::from(is_up_first));
        h = h.wrapping_add(usize::from(!is_up_first));
    }
}

/// The first run of the component of `run`, shortening the way there.
#[inline(always)]
fn root(parents: &mut [u32], mut run: u32) -> u32 {
    while parents[run as usize] != run {
        let up = parents[parents[run as usize] as usize];
        parents[run as usize] = up;
        run = up;
    }
    run
}

/// Turns parents into labels, in one pass forward, and counts pixels per label.
#[inline(always)]
fn number(runs: &[Run], parents: &mut [u32]) -> Vec<u32> {
    let mut sizes = Vec::new();
    for (i, run) in runs.iter().enumerate() {
        let parent = parents[i] as usize;
        if parent == i {
            parents[i] = sizes.len() as u32;
            sizes.push(0);
        } else {
            parents[i] = parents[parent];
        }
        sizes[parents[i] as usize] += run.end - run.start;
    }
    sizes
}

/// Sets those columns `start..end` of a row that `which` has: all ones or none.
#[inline(always)]
fn set_run(words: &mut [u64], start: usize, end: usize, which: u64) {
    let (low, high) = (!0 << (start % 64), !0 >> (end.wrapping_neg() % 64));
    let last = (end - 1) / 64;
    let Some((first, more)) = words.get_mut(start / 64..=last).and_then(|words| words.split_first_mut()) else {
        return;
    };
    let Some((last, between)) = more.split_last_mut() else {
        *first |= low & high & which;
        return;
    };
    *first |= low & which;
    between.iter_mut().for_each(|word| *word |= which);
    *last |= high & which;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::mask::drawn::{arbitrary, grey_with_margin, mask};
    use proptest::prelude::*;

    /// The plain way: flood from every pixel in raster order that no flood has reached yet.
    fn flooded(mask: &Mask) -> (Vec<u32>, Option<Mask>) {
        let (rows, columns) = mask.dim();
        let mut left = mask.to_array();
        let (mut sizes, mut best) = (Vec::new(), None);
        for at in ndarray::indices((rows, columns)) {
            let (mut queue, mut component) = (vec![at], Mask::empty(rows, columns));
            while let Some((row, column)) = queue.pop() {
                if left.get((row, column)) == Some(&1) {
                    left[(row, column)] = 0;
                    component.set(row, column, true);
                    queue.extend([(row + 1, column), (row, column + 1)]);
                    queue.extend([(row.wrapping_sub(1), column), (row, column.wrapping_sub(1))]);
                }
            }
            let size = component.count() as u32;
            if size > 0 {
                if sizes.iter().all(|&s| s < size) {
                    best = Some(component);
                }
                sizes.push(size);
            }
        }
        (sizes, best)
    }

    #[test]
    fn corners_do_not_connect() {
        let drawn = mask(&["##..", "..##", "#.#.", "#..."]);
        let components = Components::of(&drawn);
        assert_eq!(components.sizes(), [2, 3, 2]);
        assert_eq!(components.largest(), Some(mask(&["....", "..##", "..#.", "...."])));
    }

    #[test]
    fn a_component_that_joins_late_is_one() {
        assert_eq!(Components::of(&mask(&["#.#.#", "#.#.#", "###.#", "..###"])).sizes(), [13]);
    }

    #[test]
    fn of_equal_components_the_first_in_raster_order_is_the_largest() {
        let components = Components::of(&mask(&[".#.", "...", "#.#"]));
        assert_eq!(components.largest(), Some(mask(&[".#.", "...", "..."])));
    }

    #[test]
    fn nothing_set_has_no_label() {
        let components = Components::of(&Mask::empty(3, 70));
        assert!(components.sizes().is_empty() && components.largest().is_none());
    }

    #[test]
    fn a_run_across_words_up_to_the_last_column_is_one_run() {
        let mut drawn = Mask::empty(2, 192);
        (3..192).for_each(|column| drawn.set(0, column, true));
        let components = Components::of(&drawn);
        assert_eq!(components.sizes(), [189]);
        assert_eq!(components.largest(), Some(drawn));
    }

    proptest! {
        #[test]
        fn runs_agree_with_flooding(mask in arbitrary()) {
            let components = Components::of(&mask);
            let (sizes, largest) = flooded(&mask);
            prop_assert_eq!(components.sizes(), &sizes[..]);
            prop_assert_eq!(components.largest(), largest);
            let plain = Components::by_runs(&mask);
            prop_assert_eq!((plain.sizes(), plain.largest()), (components.sizes(), components.largest()));
        }

        #[test]
        fn imageproc_finds_as_many_labels_of_the_same_sizes(mask in arbitrary()) {
            use imageproc::region_labelling::{Connectivity, connected_components};
            let labelled = connected_components(&grey_with_margin(&mask), Connectivity::Four, image::Luma([0]));
            let mut sizes = vec![0u32; labelled.pixels().map(|p| p.0[0] as usize).max().unwrap_or(0)];
            labelled.pixels().filter(|p| p.0[0] > 0).for_each(|p| sizes[p.0[0] as usize - 1] += 1);
            prop_assert_eq!(Components::of(&mask).sizes.clone(), sizes);
        }
    }
}
