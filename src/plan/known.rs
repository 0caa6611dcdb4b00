//! What earlier segments planned or put into their ledgers: it is not opened again.

use std::collections::HashMap;

use super::paths::Input;
use crate::identity::SourceId;

/// What is known of an input that the walk came across.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Never seen: to be examined.
    New,
    /// Could not be read then: to be examined, and to be passed over if it still cannot.
    Unread,
    /// Seen, and its size and modification time are what they were.
    Same,
    /// Seen with another size or modification time; its old rows stay.
    Changed,
}

/// Inputs of earlier segments: 32 bytes for each.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Identity and fingerprint; sorted and without repetition once `sorted`.
    inputs: Vec<(SourceId, u64)>,
    sorted: bool,
}

/// The fingerprint of an input that could not be read.
const UNREAD: u64 = 0;

impl Known {
    /// Adds an input of a segment. Segments are added in plan order; the last word on an input holds.
    pub(super) fn add(&mut self, input: &Input, unread: bool) {
        self.inputs.push((input.source_id, if unread { UNREAD } else { fingerprint(input.stamp) }));
        self.sorted = false;
    }

    /// What is known of an input that has this size and time now.
    pub(super) fn standing(&mut self, source_id: SourceId, stamp: Option<(u64, i64)>) -> Standing {
        if !self.sorted {
            self.sort();
        }
        match self.inputs.binary_search_by_key(&source_id, |(id, _)| *id).map(|at| self.inputs[at].1) {
            Err(_) => Standing::New,
            Ok(UNREAD) => Standing::Unread,
            Ok(then) if then == fingerprint(stamp) => Standing::Same,
            Ok(_) => Standing::Changed,
        }
    }

    fn sort(&mut self) {
        self.inputs.sort_by_key(|(id, _)| *id); // stable: the last of equals is the latest
        self.inputs.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            if same {
                kept.1 = next.1;
            }
            same
        });
        self.sorted = true;
    }
}

/// 64 bits of a hash of size and time, never [`UNREAD`]. In memory only.
fn fingerprint(stamp: Option<(u64, i64)>) -> u64 {
    let Some((size, mtime_ns)) = stamp else { return 1 };
    let mut hasher = blake3::Hasher::new();
    hasher.update(&size.to_le_bytes()).update(&mtime_ns.to_le_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    u64::from_le_bytes(first).max(2)
}

/// 16 bytes of a keyed hash of a UID.
pub(super) type UidKey = [u8; 16];

/// The SOP Instances that are planned, by keyed hash, with the input that holds each: about 60
/// bytes for each input. Looked up only, never iterated.
pub(super) type SopOwners = HashMap<UidKey, SourceId>;

#[cfg(test)]
mod tests {
    use super::super::paths::Paths;
    use super::*;

    #[test]
    fn the_latest_word_on_an_input_holds() -> Result<(), crate::error::Error> {
        let at = Paths::default().push(0, b"", b"f")?;
        let input = |n, stamp| Input { source_id: SourceId([n; 24]), at, stamp };
        let mut known = Known::default();
        known.add(&input(2, Some((10, 5))), false);
        known.add(&input(1, Some((10, 5))), true);
        known.add(&input(3, None), false);
        assert_eq!(known.standing(SourceId([1; 24]), Some((10, 5))), Standing::Unread);
        known.add(&input(1, Some((10, 5))), false);
        assert_eq!(known.standing(SourceId([1; 24]), Some((10, 5))), Standing::Same);
        assert_eq!(known.standing(SourceId([1; 24]), Some((10, 6))), Standing::Changed);
        assert_eq!(known.standing(SourceId([2; 24]), Some((11, 5))), Standing::Changed);
        assert_eq!(known.standing(SourceId([2; 24]), None), Standing::Changed);
        assert_eq!(known.standing(SourceId([3; 24]), None), Standing::Same);
        assert_eq!(known.standing(SourceId([4; 24]), None), Standing::New);
        Ok(())
    }
}
