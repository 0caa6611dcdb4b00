//! Slices chosen to be made again: those with the smallest hashes, so that memory holds no more than
//! are asked for, and the same ones are chosen whatever their shards.

use std::collections::BTreeSet;

use crate::identity::SourceId;
use crate::reason::{Class, Reason};
use crate::sink::ledger::LedgerRow;
use crate::sink::shard::ShardId;

/// Rejects that tell of the machine rather than of the file, or whose file must not be opened: they
/// are not made again.
const NOT_REMADE: [&str; 2] = [Reason::Unreadable.as_str(), "decoder_crash"];

/// A slice that is to be made again, or an input that its header rejected.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Chosen {
    /// By which it was chosen.
    hash: [u8; 32],
    pub(super) source_id: SourceId,
    /// `None` for an input that was not planned.
    pub(super) slice: Option<ChosenSlice>,
    /// What it was rejected for; `None` for a row.
    pub(super) reject: Option<ChosenReject>,
}

/// Where a chosen slice is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ChosenSlice {
    pub(super) shard: String,
    pub(super) ordinal: u64,
    pub(super) frame: u32,
    /// Its place in its shard, where it is a row.
    pub(super) row: u64,
}

/// A reject, as the ledger has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ChosenReject {
    pub(super) reason: Reason,
    /// `None` for an input as a whole.
    pub(super) stage: Option<String>,
    pub(super) detail: Option<String>,
}

/// The slices chosen so far.
#[derive(Debug, Default)]
pub(super) struct Sample {
    most: usize,
    seed: u64,
    chosen: BTreeSet<Chosen>,
}

impl Sample {
    /// At most `most` slices.
    pub(super) fn of(most: usize, seed: u64) -> Sample {
        Sample { most, seed, chosen: BTreeSet::new() }
    }

    /// Offers all slices of a shard; `rows` are those of its ledger part.
    pub(super) fn offer_shard(&mut self, id: &ShardId, rows: &[LedgerRow]) {
        let mut written = 0;
        for row in rows {
            let place = || {
                let (ordinal, frame) = (row.ordinal.unwrap_or(0), row.frame.unwrap_or(0));
                Some(ChosenSlice { shard: id.data_name(), ordinal, frame, row: written })
            };
            self.offer(row, place);
            written += u64::from(row.class == Class::Written);
        }
    }

    /// Offers an input that was not planned.
    pub(super) fn offer_input(&mut self, row: &LedgerRow) {
        self.offer(row, || None);
    }

    /// Takes a slice if it is among those with the smallest hashes. Of what is no row and was never meant
    /// to be, nothing is taken.
    fn offer(&mut self, row: &LedgerRow, place: impl FnOnce() -> Option<ChosenSlice>) {
        let meant = matches!(row.class, Class::Written | Class::Rejected);
        if self.most == 0 || !meant || row.reason.is_some_and(|reason| NOT_REMADE.contains(&reason.as_str())) {
            return;
        }
        let hash = hash(self.seed, row);
        if self.chosen.len() == self.most && self.chosen.last().is_some_and(|last| last.hash < hash) {
            return;
        }
        let reject = row.reason.map(|reason| ChosenReject {
            reason,
            stage: row.frame.and(row.stage.as_deref()).map(str::to_owned),
            detail: row.detail.clone(),
        });
        self.chosen.insert(Chosen { hash, source_id: row.source_id, slice: place(), reject });
        if self.chosen.len() > self.most {
            self.chosen.pop_last();
        }
    }

    /// The chosen ones, in plan order: frames of an input follow one another.
    pub(super) fn take(&mut self) -> Vec<Chosen> {
        let mut chosen: Vec<Chosen> = std::mem::take(&mut self.chosen).into_iter().collect();
        chosen.sort_by_key(|chosen| (chosen.slice.as_ref().map(|slice| slice.ordinal), chosen.source_id));
        chosen
    }
}

/// BLAKE3 of the seed, the source_id and the frame (all ones for an input as a whole).
fn hash(seed: u64, row: &LedgerRow) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes()).update(&row.source_id.0);
    hasher.update(&row.frame.unwrap_or(u32::MAX).to_le_bytes());
    *hasher.finalize().as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<LedgerRow> {
        let row = |n: u64| LedgerRow::written(n, SourceId([(n % 50) as u8; 24]), (n / 50) as u32);
        let mut rows: Vec<LedgerRow> = (0..200).map(row).collect();
        for (at, reason) in [(3, Reason::Unreadable), (5, Reason::NotDicom), (7, Reason::Rescale)] {
            (rows[at].class, rows[at].reason) = (reason.class(), Some(reason));
        }
        rows
    }

    fn ordinals(sample: &mut Sample) -> Vec<u64> {
        sample.take().iter().filter_map(|chosen| Some(chosen.slice.as_ref()?.ordinal)).collect()
    }

    fn id(shard: u32) -> ShardId {
        let (plan_sha256, recipe_hash, key_id) = Default::default();
        ShardId { generation: 1, shard, plan_sha256, recipe_hash, key_id, first_ordinal: 0, slices: 1 }
    }

    #[test]
    fn the_same_slices_are_chosen_however_they_come_and_others_for_another_seed() {
        let chosen = |seed, shards: usize| {
            let mut sample = Sample::of(20, seed);
            rows().rchunks(shards).for_each(|rows| sample.offer_shard(&id(0), rows));
            ordinals(&mut sample)
        };
        assert_eq!(chosen(0, 7).len(), 20);
        assert_eq!(chosen(0, 7), chosen(0, 200));
        assert_ne!(chosen(0, 7), chosen(1, 7));
    }

    #[test]
    fn rows_and_rejects_of_the_file_are_chosen_with_their_place_in_the_shard() {
        let mut sample = Sample::of(1000, 0);
        sample.offer_shard(&id(4), &rows());
        let chosen = sample.take();
        assert_eq!(chosen.len(), 198, "not what could not be read, nor what is no slice");
        let reject = chosen.iter().find(|c| c.slice.as_ref().is_some_and(|s| s.ordinal == 7)).expect("chosen");
        assert_eq!(reject.reject.as_ref().map(|r| r.reason), Some(Reason::Rescale));
        let last = chosen.last().and_then(|c| c.slice.clone()).expect("a slice");
        assert_eq!((last.ordinal, last.row), (199, 196), "behind three that are no rows");
    }
}
