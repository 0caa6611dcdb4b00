//! Which input holds each SOP Instance.

use super::known::grow_by_eighths;
use crate::identity::SourceId;

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

    /// The input that holds this SOP Instance.
    pub(super) fn holder(&self, sop: &UidKey) -> Option<SourceId> {
        let owners = &self.buckets[bucket(sop)];
        owners.binary_search_by(|(key, _)| key.cmp(sop)).ok().map(|at| owners[at].1)
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

    /// Makes `sop` nobody's, where `input` holds it.
    pub(super) fn release(&mut self, sop: UidKey, input: SourceId) {
        let owners = &mut self.buckets[bucket(&sop)];
        if let Ok(at) = owners.binary_search_by(|(key, _)| key.cmp(&sop))
            && owners[at].1 == input
        {
            owners.remove(at);
            self.len -= 1;
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
    use super::*;

    #[test]
    fn the_first_claim_of_a_sop_instance_holds_until_it_is_released() {
        let mut owners = SopOwners::new();
        let sop = |n: u32| *blake3::hash(&n.to_le_bytes()).as_bytes().first_chunk().expect("16 of 32 bytes");
        let owner = |n: u32| SourceId([n as u8; 24]);
        for n in 0..20_000 {
            assert_eq!(owners.holder(&sop(n)), None);
            assert_eq!(owners.claim(sop(n), owner(n)), None);
        }
        for n in 0..20_000 {
            assert_eq!(owners.holder(&sop(n)), Some(owner(n)));
            assert_eq!(owners.claim(sop(n), SourceId([255; 24])), Some(owner(n)));
        }
        assert_eq!(owners.bytes(), 20_000 * 45);
        owners.release(sop(5), owner(6));
        assert_eq!(owners.holder(&sop(5)), Some(owner(5)));
        owners.release(sop(5), owner(5));
        assert_eq!((owners.holder(&sop(5)), owners.bytes()), (None, 19_999 * 45));
    }
}
