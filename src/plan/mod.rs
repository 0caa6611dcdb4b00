//! The plan: which slices there are, and the place of each.
//!
//! One header pass over every input decides what is a CT slice. Inputs come in walk order (ascending
//! [`crate::identity::SourceId`]) and fill *segments* of about [`SEGMENT_SLICES`] slices. A segment
//! is committed, then used while the next one is being made. A *generation* is one walk over the
//! sources, with its interruptions; a later run that finds new inputs plans them into the next one.
//!
//! Three files make a segment, published in this order, so that the last one is the commit:
//!
//! 1. `ledger/g000001/seg-00000.parquet`: one row for every input of the segment that is not planned
//!    (filtered, rejected, duplicate), ascending source_id;
//! 2. `OUT.private/paths/g000001-seg-00000.parquet`: path, size and time of every input;
//! 3. `plan/g000001/seg-00000.parquet`: one row for every planned input, in ordinal order.
//!
//! `plan/g000001/complete.json` ends a generation. Files 1 and 3 are a pure function of the inputs,
//! the recipe and the key.
//!
//! **Order in a segment.** `shuffled`: by the second (path) half of source_id, then the first.
//! `series`: by keyed hash of Series Instance UID (none first), position (none last), source_id.
//! Frames of an input follow one another.
//!
//! **Growth.** What a run does with inputs that earlier segments know stands in `growth`. Of an input's
//! rows, those of the latest segment hold; the metadata `dcmshard.superseded` of that segment counts the
//! earlier ones by reason, and tallies leave them out, so that every slice counts once. A segment may plan
//! nothing and list nothing: then its paths remember sizes and times alone.
//!
//! **Duplicates.** Of inputs with the same SOP Instance UID, the first in plan order is planned: one
//! in an earlier segment before one in a later one, and inside a segment the first in the order
//! above. An input without SOP Instance UID has no duplicates. A file whose header is rejected takes
//! no part in this, so a good copy of it is planned. What the header does not tell (damaged pixels) is
//! not known yet: where the planned copy is rejected later, its duplicates stay duplicates, since what
//! belongs into a shard must not depend on what survives. Where it could not be read, the next run opens
//! it and its duplicates again.
//!
//! **Shards.** Ordinals are cut greedily: an input begins a new shard where the shard has slices
//! already and would hold more than `rows_per_shard` with it. So frames of an input are never split,
//! and an input with more frames than `rows_per_shard` has a shard of its own. A segment begins with
//! a new shard. Shards are numbered from 0 in each generation.

mod committed;
mod draft;
mod growth;
mod known;
mod owners;
mod paths;
mod planner;
mod segment;
mod verdict;

pub(crate) use committed::{Committed, Complete, SegmentSummary, is_complete};
pub use planner::{Examine, PlanCounts, Planner};
pub(crate) use segment::{PlannedInput, read_inputs, read_stored, shard_id};
pub use segment::{PlannedSlice, Segment};

/// Slices after which a segment is closed. The same number of inputs that are not planned closes
/// one as well, so that memory is bounded: the one that is converted, the next one and the one in the
/// making hold about 300 bytes for each of these, and the names of the files.
pub const SEGMENT_SLICES: u64 = 50_000;

/// Reads a file as each kind of table that a plan is made of.
#[cfg(any(test, fuzzing))]
pub(crate) fn read_as_each_kind(path: &std::path::Path) {
    drop(read_inputs(path));
    drop(crate::sink::table::on_disk(path).and_then(|file| paths::read_stored(&file, &[])));
}

/// Name below OUT of a plan segment.
pub fn segment_name(generation: u32, index: u32) -> String {
    format!("plan/g{generation:06}/seg-{index:05}.parquet")
}

/// Name below OUT of the ledger of what a segment does not plan.
pub fn segment_ledger_name(generation: u32, index: u32) -> String {
    format!("ledger/g{generation:06}/seg-{index:05}.parquet")
}

/// Name below OUT.private of the paths of a segment's inputs.
pub fn paths_name(generation: u32, index: u32) -> String {
    format!("paths/g{generation:06}-seg-{index:05}.parquet")
}

/// Name below OUT of the mark that a generation is planned to its end.
pub fn complete_name(generation: u32) -> String {
    format!("plan/g{generation:06}/complete.json")
}
