//! What earlier segments planned or put into their ledgers: it is not opened again.

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

/// Inputs of earlier segments: about 36 bytes for each.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Identity and fingerprint; sorted once `sorted`.
    inputs: Vec<(SourceId, u64)>,
    sorted: bool,
}

/// The fingerprint of an input that could not be read.
const UNREAD: u64 = 0;

impl Known {
    /// Adds an input of a segment. One that could not be read may come again in a later segment; then
    /// that word holds.
    pub(super) fn add(&mut self, input: &Input, unread: bool) {
        grow_by_eighths(&mut self.inputs);
        self.inputs.push((input.source_id, if unread { UNREAD } else { fingerprint(input.stamp) }));
        self.sorted = false;
    }

    /// Its memory, about.
    pub(super) fn bytes(&self) -> u64 {
        36 * self.inputs.len() as u64
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
        self.inputs.sort_unstable(); // in place; of equals, what could not be read comes first
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

/// Makes room for one more, an eighth at a time: doubling would hold up to three times the memory.
fn grow_by_eighths<T>(items: &mut Vec<T>) {
    if items.len() == items.capacity() {
        items.reserve_exact(items.len() / 8 + 4);
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
pub(crate) type UidKey = [u8; 16];

/// The SOP Instances that are planned, by keyed hash, with the input that holds each: about 45
/// bytes for each, which is all that a run keeps of an input when its segment is done.
#[derive(Debug)]
pub(super) struct SopOwners {
    /// Sorted; the one for a key is chosen by its first bits (a keyed hash is spread evenly).
    buckets: Vec<Vec<(UidKey, SourceId)>>,
    len: usize,
}

/// Few enough to cost nothing when empty; with 10 million inputs a bucket has 2,400.
const BUCKETS: usize = 4096;

impl SopOwners {
    /// No owner yet.
    pub(super) fn new() -> SopOwners {
        SopOwners { buckets: vec![Vec::new(); BUCKETS], len: 0 }
    }

    /// Whether some input holds this SOP Instance.
    pub(super) fn holds(&self, sop: &UidKey) -> bool {
        self.buckets[bucket(sop)].binary_search_by(|(key, _)| key.cmp(sop)).is_ok()
    }

    /// Makes `input` the owner of `sop`, unless it has one: that one is given back then.
    pub(super) fn claim(&mut self, sop: UidKey, input: SourceId) -> Option<SourceId> {
        let owners = &mut self.buckets[bucket(&sop)];
        match owners.binary_search_by(|(key, _)| key.cmp(&sop)) {
            Ok(at) => Some(owners[at].1),
            Err(at) => {
                grow_by_eighths(owners);
                owners.insert(at, (sop, input));
                self.len += 1;
                None
            }
        }
    }

    /// Its memory, about.
    pub(super) fn bytes(&self) -> u64 {
        45 * self.len as u64
    }
}

fn bucket(sop: &UidKey) -> usize {
    (usize::from(u16::from_be_bytes([sop[0], sop[1]])) * BUCKETS) >> 16
}

#[cfg(test)]
mod tests {
    use super::super::paths::Paths;
    use super::*;

    #[test]
    fn the_first_claim_of_a_sop_instance_holds() {
        let mut owners = SopOwners::new();
        let sop = |n: u32| *blake3::hash(&n.to_le_bytes()).as_bytes().first_chunk().expect("16 of 32 bytes");
        for n in 0..20_000 {
            assert!(!owners.holds(&sop(n)));
            assert_eq!(owners.claim(sop(n), SourceId([n as u8; 24])), None);
        }
        for n in 0..20_000 {
            assert!(owners.holds(&sop(n)));
            assert_eq!(owners.claim(sop(n), SourceId([255; 24])), Some(SourceId([n as u8; 24])));
        }
        assert_eq!(owners.bytes(), 20_000 * 45);
    }

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
