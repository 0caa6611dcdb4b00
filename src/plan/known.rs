//! What earlier segments planned or put into their ledgers, and how it was then.

use super::paths::Input;
use crate::identity::SourceId;

/// What a segment did with an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Planned its slices.
    Planned = 0,
    /// Put a row into its ledger: filtered, rejected, duplicate.
    NotPlanned = 1,
    /// The same, for it could not be read.
    Unread = 2,
    /// Remembered its size and time alone: an earlier segment's word on it holds.
    Touched = 3,
}

/// What is known of an input that the walk came across.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Never seen.
    New,
    /// Seen, but it could not be read then.
    Unread,
    /// Seen, and its size and modification time are what they were.
    Same,
    /// Planned, with another size or modification time, by the segment of this number.
    PlannedOtherwise(u32),
    /// In the ledger, with another size or modification time, of the segment of this number.
    ListedOtherwise(u32),
}

/// Inputs of earlier segments: about 36 bytes for each.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Identity and [`Word`]; sorted once `sorted`, then with one entry for each input.
    inputs: Vec<(SourceId, Word)>,
    sorted: bool,
    /// Inputs that could be read then and were met in this run.
    met: u64,
}

/// Segment (22 bits), kind (2 bits), fingerprint (40 bits): so the largest is the latest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Word(u64);

/// Segments that fit into a [`Word`].
pub(super) const MOST_SEGMENTS: usize = 1 << 22;

impl Word {
    fn new(segment: u32, kind: Kind, stamp: Option<(u64, i64)>) -> Word {
        Word(u64::from(segment) << 42 | (kind as u64) << 40 | fingerprint(stamp))
    }

    fn segment(self) -> u32 {
        (self.0 >> 42) as u32
    }

    fn kind(self) -> Kind {
        match self.0 >> 40 & 3 {
            0 => Kind::Planned,
            1 => Kind::NotPlanned,
            2 => Kind::Unread,
            _ => Kind::Touched,
        }
    }

    fn fingerprint(self) -> u64 {
        self.0 & FINGERPRINT
    }

    /// The word on an input that two segments know, `self` the earlier one.
    fn then(self, later: Word) -> Word {
        if later.kind() != Kind::Touched {
            return later;
        }
        Word(self.0 & !FINGERPRINT | later.fingerprint())
    }
}

impl Known {
    /// Adds an input of a segment. It may come again in a later one: then that word holds.
    pub(super) fn add(&mut self, input: &Input, segment: u32, kind: Kind) {
        grow_by_eighths(&mut self.inputs);
        self.inputs.push((input.source_id, Word::new(segment, kind, input.stamp)));
        self.sorted = false;
    }

    /// Its memory, about.
    pub(super) fn bytes(&self) -> u64 {
        36 * self.inputs.len() as u64
    }

    /// What is known of an input that has this size and time now. To be asked once for each.
    pub(super) fn meet(&mut self, source_id: SourceId, stamp: Option<(u64, i64)>) -> Standing {
        let Some(word) = self.word(source_id) else { return Standing::New };
        self.met += u64::from(word.kind() != Kind::Unread);
        match word.kind() {
            Kind::Unread => Standing::Unread,
            _ if word.fingerprint() == fingerprint(stamp) => Standing::Same,
            Kind::NotPlanned => Standing::ListedOtherwise(word.segment()),
            Kind::Planned | Kind::Touched => Standing::PlannedOtherwise(word.segment()),
        }
    }

    /// The segment whose word on an input holds.
    pub(super) fn home(&mut self, source_id: SourceId) -> Option<u32> {
        self.word(source_id).map(Word::segment)
    }

    /// Inputs that could be read then and were not met, once the walk has ended.
    pub(super) fn vanished(&mut self) -> u64 {
        self.sort();
        let readable = self.inputs.iter().filter(|(_, word)| word.kind() != Kind::Unread).count() as u64;
        readable.saturating_sub(self.met)
    }

    fn word(&mut self, source_id: SourceId) -> Option<Word> {
        self.sort();
        let found = self.inputs.binary_search_by_key(&source_id, |(id, _)| *id);
        found.ok().map(|at| self.inputs[at].1)
    }

    fn sort(&mut self) {
        if self.sorted {
            return;
        }
        self.inputs.sort_unstable(); // in place
        self.inputs.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            if same {
                kept.1 = kept.1.then(next.1);
            }
            same
        });
        self.sorted = true;
    }
}

/// Makes room for one more, an eighth at a time: doubling would hold up to three times the memory.
pub(super) fn grow_by_eighths<T>(items: &mut Vec<T>) {
    if items.len() == items.capacity() {
        items.reserve_exact(items.len() / 8 + 4);
    }
}

const FINGERPRINT: u64 = (1 << 40) - 1;

/// 40 bits of a hash of size and time: of 10^12 changed inputs, one is taken for unchanged.
fn fingerprint(stamp: Option<(u64, i64)>) -> u64 {
    let Some((size, mtime_ns)) = stamp else { return 0 };
    let mut hasher = blake3::Hasher::new();
    hasher.update(&size.to_le_bytes()).update(&mtime_ns.to_le_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    (u64::from_le_bytes(first) & FINGERPRINT).max(1)
}

#[cfg(test)]
mod tests {
    use super::super::paths::Paths;
    use super::*;

    #[test]
    fn the_latest_word_on_an_input_holds() -> Result<(), crate::error::Error> {
        let at = Paths::default().push(0, b"", b"f")?;
        let input = |n, stamp| Input { source_id: SourceId([n; 24]), at, stamp };
        let id = |n| SourceId([n; 24]);
        let mut known = Known::default();
        known.add(&input(2, Some((10, 5))), 0, Kind::Planned);
        known.add(&input(1, Some((10, 5))), 0, Kind::Unread);
        known.add(&input(3, None), 1, Kind::NotPlanned);
        assert_eq!(known.meet(id(1), Some((10, 5))), Standing::Unread);
        assert_eq!(known.vanished(), 2);
        known.add(&input(1, Some((10, 5))), 2, Kind::Planned);
        known.add(&input(3, Some((7, 7))), 3, Kind::Touched);
        known.add(&input(3, Some((8, 8))), 4, Kind::Touched);
        assert_eq!(known.meet(id(1), Some((10, 5))), Standing::Same);
        assert_eq!(known.meet(id(1), Some((10, 6))), Standing::PlannedOtherwise(2));
        assert_eq!(known.home(id(2)), Some(0));
        assert_eq!(known.meet(id(3), None), Standing::ListedOtherwise(1));
        assert_eq!(known.meet(id(3), Some((8, 8))), Standing::Same);
        assert_eq!(known.meet(id(4), None), Standing::New);
        Ok(())
    }

    #[test]
    fn a_word_holds_the_last_segment_and_any_time() {
        let last = MOST_SEGMENTS as u32 - 1;
        for kind in [Kind::Planned, Kind::NotPlanned, Kind::Unread, Kind::Touched] {
            let word = Word::new(last, kind, Some((u64::MAX, i64::MIN)));
            assert_eq!((word.segment(), word.kind()), (last, kind));
            assert_eq!(word.fingerprint(), fingerprint(Some((u64::MAX, i64::MIN))));
        }
        assert!(Word::new(1, Kind::Planned, None) > Word::new(0, Kind::Touched, Some((1, 1))));
    }
}
