//! A plan segment: planned inputs in final order, cut into shards.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray};

use super::owners::UidKey;
use super::paths::{PathAt, Paths};
use crate::column::Value;
use crate::error::Error;
use crate::identity::SourceId;
use crate::pipeline::DECODE;
use crate::reason::{Fault, Reason};
use crate::sink::dataset::DatasetFile;
use crate::sink::ledger::Tally;
use crate::sink::shard::ShardId;
use crate::sink::storage::Stored;
use crate::sink::table;
use crate::slice::{InputRef, Ordinal, Outcome, Reject, Slice, SliceRef};

/// A committed part of the plan.
///
/// In memory: about 90 bytes for each input, and its name; folders are kept once.
#[derive(Debug)]
pub struct Segment {
    /// The generation, from 1.
    pub generation: u32,
    /// Its place in the generation, from 0.
    pub index: u32,
    /// SHA-256 of its file, 64 lower-case hex digits.
    pub sha256: String,
    /// Slices that it plans.
    pub slice_count: u64,
    /// What was found: `found` counts its slices and the inputs that it does not plan; of these it
    /// holds the classes and reasons. With those of its slices it balances.
    pub tally: Tally,
    /// Rows of earlier segments' ledgers and shards that no longer count: this segment has a new word
    /// on their inputs. To be taken out of a tally with [`Tally::supersede`].
    pub superseded: Tally,
    /// Bytes that the planner holds until the run ends, as of now: they grow with every input.
    pub index_bytes: u64,
    pub(super) first_ordinal: u64,
    pub(super) paths: Paths,
    pub(super) inputs: Vec<(PlannedInput, PathAt)>,
}

/// One planned slice.
#[derive(Clone, Debug)]
pub struct PlannedSlice {
    /// Which slice, and where its bytes are.
    pub at: SliceRef,
    /// The shard that holds it, in the segment's generation.
    pub shard: u32,
    /// Bytes that it holds while it is on the line: [`crate::decode::CtInput::bytes_per_slice`] and
    /// 4 for each pixel (a stored value of 32 bits; later HU and guide of 16 bits each).
    pub weight_bytes: u64,
    /// Keyed hash of its SOP Instance UID, as the column `sop_key`, raw; `None` where there is none.
    pub sop_key: Option<UidKey>,
}

/// A row of a segment's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PlannedInput {
    /// The input.
    pub source_id: SourceId,
    /// Keyed hash of its SOP Instance UID.
    pub sop_key: Option<UidKey>,
    /// The ordinal of its first frame.
    pub ordinal: u64,
    /// Its frames, at least 1.
    pub frames: u32,
    /// The shard of all of them.
    pub shard: u32,
    /// Weight of each.
    pub weight_bytes: u64,
}

/// The shard that `part` makes: all inputs of one shard, in the segment of this generation and SHA-256.
/// `None` where there are none.
pub(crate) fn shard_id(
    dataset: &DatasetFile,
    (generation, plan_sha256): (u32, &str),
    part: &[PlannedInput],
) -> Option<ShardId> {
    let first = part.first()?;
    Some(ShardId {
        generation,
        shard: first.shard,
        plan_sha256: plan_sha256.to_owned(),
        recipe_hash: dataset.recipe_hash.clone(),
        key_id: dataset.key_id.clone(),
        first_ordinal: first.ordinal,
        slices: part.iter().map(|input| u64::from(input.frames)).sum(),
    })
}

/// The column that tells which SOP Instance a slice is of.
const SOP_KEY: &str = "sop_key";

impl PlannedSlice {
    /// `found`, unless the file was replaced since it was planned: by another SOP Instance, which has or
    /// will have a row of its own, in the place that the plan gives it.
    pub(crate) fn check_same(&self, found: Slice) -> Outcome {
        let key = match found.facts.get(SOP_KEY) {
            Some(Value::Text(key)) => Some(key.as_str()),
            _ => None,
        };
        let expected = self.sop_key.map(hex::encode);
        if expected.is_none() || expected.as_deref() == key {
            return Ok(found);
        }
        let fault = Fault::new(Reason::Unreadable, "the file holds another SOP Instance than when it was planned");
        Err(Reject { at: found.at, stage: DECODE, fault })
    }
}

impl Segment {
    /// Its slices in ordinal order. Frames of one input follow one another and share one
    /// [`InputRef`], which is made when the first of them is reached.
    pub fn slices(&self) -> impl Iterator<Item = PlannedSlice> + '_ {
        self.inputs.iter().flat_map(|(planned, at)| {
            let input = InputRef::file(planned.source_id, &self.paths.real(*at));
            (0..planned.frames).map(move |frame| PlannedSlice {
                at: SliceRef { ordinal: Ordinal(planned.ordinal + u64::from(frame)), input: Arc::clone(&input), frame },
                shard: planned.shard,
                weight_bytes: planned.weight_bytes,
                sop_key: planned.sop_key,
            })
        })
    }

    /// The numbers of its shards, ascending.
    pub fn shards(&self) -> impl Iterator<Item = u32> + '_ {
        self.inputs
            .chunk_by(|a, b| a.0.shard == b.0.shard)
            .filter_map(|part| part.first())
            .map(|(input, _)| input.shard)
    }

    /// The same segment with some of its shards alone. The others, and what is not planned, are
    /// somebody else's to make and to count.
    pub(crate) fn with_shards(mut self, are_ours: impl Fn(u32) -> bool) -> Segment {
        self.inputs.retain(|(input, _)| are_ours(input.shard));
        self.slice_count = self.inputs.iter().map(|(input, _)| u64::from(input.frames)).sum();
        self.tally = Tally { found: self.slice_count, ..Tally::default() };
        self
    }

    /// The ordinal of its first slice.
    pub fn first_ordinal(&self) -> Ordinal {
        Ordinal(self.first_ordinal)
    }

    /// The shard after its last one.
    pub(super) fn next_shard(&self) -> Option<u32> {
        self.inputs.last().map(|(planned, _)| planned.shard + 1)
    }
}

/// Cuts inputs, given as frames each, into shards from `shard` on. The rule stands in the module's
/// documentation.
pub(super) fn cut(frames: impl Iterator<Item = u32>, rows_per_shard: u32, mut shard: u32) -> Vec<u32> {
    let mut held: u64 = 0;
    let place = |frames: u32| {
        if held > 0 && held + u64::from(frames) > u64::from(rows_per_shard) {
            shard += 1;
            held = 0;
        }
        held += u64::from(frames);
        shard
    };
    frames.map(place).collect()
}

/// The table of planned inputs.
pub(super) fn batch(inputs: &[(PlannedInput, PathAt)]) -> Result<RecordBatch, Error> {
    let rows = || inputs.iter().map(|(planned, _)| planned);
    let count = |n: u32| i32::try_from(n).map_err(|_| Error::Bug(format!("{n} in a plan: expected below 2^31")));
    let ordinals = rows().map(|row| wide(row.ordinal)).collect::<Result<Vec<_>, _>>()?;
    let weights = rows().map(|row| wide(row.weight_bytes)).collect::<Result<Vec<_>, _>>()?;
    let frames = rows().map(|row| count(row.frames)).collect::<Result<Vec<_>, _>>()?;
    let shards = rows().map(|row| count(row.shard)).collect::<Result<Vec<_>, _>>()?;
    let sop_keys: StringArray = rows().map(|row| row.sop_key.map(hex::encode)).collect();
    RecordBatch::try_from_iter_with_nullable([
        ("ordinal", Arc::new(Int64Array::from(ordinals)) as ArrayRef, false),
        ("source_id", source_ids(rows().map(|row| row.source_id)), false),
        ("sop_key", Arc::new(sop_keys) as ArrayRef, true),
        ("frames", Arc::new(Int32Array::from(frames)) as ArrayRef, false),
        ("shard", Arc::new(Int32Array::from(shards)) as ArrayRef, false),
        ("weight_bytes", Arc::new(Int64Array::from(weights)) as ArrayRef, false),
    ])
    .map_err(|e| Error::Bug(format!("columns of a plan segment: {e}")))
}

/// Reads a segment's file: its rows and its metadata. Ordinals are checked to be dense.
///
/// # Errors
/// As [`table::read`]; [`Error::Verify`] also where it is no segment.
pub(crate) fn read_inputs(path: &Path) -> Result<(Vec<PlannedInput>, BTreeMap<String, String>), Error> {
    read_stored(&table::on_disk(path)?)
}

/// As [`read_inputs`], of a file that is open.
pub(crate) fn read_stored(file: &Stored) -> Result<(Vec<PlannedInput>, BTreeMap<String, String>), Error> {
    let table = table::read_stored(file)?;
    let wrong = |problem: String| Error::Verify(format!("{} is no plan segment: {problem}", file.path().display()));
    let inputs = from_batch(&table.rows).map_err(wrong)?;
    for pair in inputs.windows(2) {
        if let [a, b] = pair
            && b.ordinal != a.ordinal + u64::from(a.frames)
        {
            return Err(wrong(format!("ordinal {} follows {} frames from {}", b.ordinal, a.frames, a.ordinal)));
        }
    }
    Ok((inputs, table.metadata))
}

fn from_batch(rows: &RecordBatch) -> Result<Vec<PlannedInput>, String> {
    let ids = array::<StringArray>(rows, "source_id")?;
    let sop_keys = array::<StringArray>(rows, "sop_key")?;
    let ordinals = array::<Int64Array>(rows, "ordinal")?;
    let frames = array::<Int32Array>(rows, "frames")?;
    let shards = array::<Int32Array>(rows, "shard")?;
    let weights = array::<Int64Array>(rows, "weight_bytes")?;
    let sop_key = |row: usize| {
        let mut bytes = [0; 16];
        let decoded = hex::decode_to_slice(sop_keys.value(row), &mut bytes);
        decoded.map(|()| bytes).map_err(|_| "a sop_key that is not 32 hex digits".to_owned())
    };
    (0..rows.num_rows())
        .map(|row| {
            Ok(PlannedInput {
                source_id: ids.value(row).parse()?,
                sop_key: sop_keys.is_valid(row).then(|| sop_key(row)).transpose()?,
                ordinal: whole("ordinal", ordinals.value(row))?,
                frames: whole("frames", frames.value(row))?,
                shard: whole("shard", shards.value(row))?,
                weight_bytes: whole("weight_bytes", weights.value(row))?,
            })
        })
        .collect()
}

/// Below 2^63, or 2^31: so no sum of an ordinal and the frames behind it can overflow.
fn whole<A, B>(name: &str, found: A) -> Result<B, String>
where
    A: Copy + std::fmt::Display,
    B: TryFrom<A>,
{
    B::try_from(found).map_err(|_| format!("{name} is {found}, expected 0 or above"))
}

/// A column of a small table.
pub(super) fn array<'a, T: 'static>(rows: &'a RecordBatch, name: &str) -> Result<&'a T, String> {
    let found = rows.column_by_name(name).and_then(|column| column.as_any().downcast_ref());
    found.ok_or_else(|| format!("column {name} is missing or of another type"))
}

pub(super) fn source_ids(ids: impl Iterator<Item = SourceId>) -> ArrayRef {
    Arc::new(ids.map(|id| Some(id.to_string())).collect::<StringArray>())
}

pub(super) fn wide(n: u64) -> Result<i64, Error> {
    i64::try_from(n).map_err(|_| Error::Bug(format!("{n} in a plan: expected below 2^63")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn negative_numbers_are_no_plan() {
        let planned = PlannedInput {
            source_id: SourceId([1; 24]),
            sop_key: None,
            ordinal: 0,
            frames: 1,
            shard: 0,
            weight_bytes: 1,
        };
        let at = super::super::paths::Paths::default().push(0, b"", b"f").expect("room");
        let sound = batch(&[(planned, at)]).expect("a table");
        assert!(from_batch(&sound).is_ok());
        for (name, column) in [
            ("ordinal", Arc::new(Int64Array::from(vec![-1])) as ArrayRef),
            ("frames", Arc::new(Int32Array::from(vec![-1]))),
            ("shard", Arc::new(Int32Array::from(vec![i32::MIN]))),
            ("weight_bytes", Arc::new(Int64Array::from(vec![i64::MIN]))),
        ] {
            let mut columns = sound.columns().to_vec();
            columns[sound.schema().index_of(name).expect("there")] = column;
            let wrong = RecordBatch::try_new(sound.schema(), columns).expect("the same types");
            let problem = from_batch(&wrong).expect_err(name);
            assert!(problem.starts_with(&format!("{name} is -")), "{problem}");
        }
    }

    #[test]
    fn shards_are_cut_before_they_are_too_full_and_never_inside_an_input() {
        let cut = |frames: &[u32]| cut(frames.iter().copied(), 4, 7);
        assert_eq!(cut(&[1, 1, 1, 1, 1]), [7, 7, 7, 7, 8]);
        assert_eq!(cut(&[3, 2, 2, 1]), [7, 8, 8, 9]);
        assert_eq!(cut(&[1, 9, 1, 3]), [7, 8, 9, 9]);
        assert_eq!(cut(&[9, 9]), [7, 8]);
        assert_eq!(cut(&[]), [0; 0]);
    }

    proptest! {
        #[test]
        fn every_shard_is_full_or_holds_one_input(frames in prop::collection::vec(1_u32..20, 0..200), rows in 1_u32..16) {
            let shards = cut(frames.iter().copied(), rows, 0);
            let mut held = BTreeMap::<u32, Vec<u32>>::new();
            for (frames, shard) in frames.iter().zip(&shards) {
                held.entry(*shard).or_default().push(*frames);
            }
            prop_assert!(held.keys().copied().eq(0..held.len() as u32));
            for (shard, inputs) in &held {
                let slices: u32 = inputs.iter().sum();
                prop_assert!(slices <= rows || inputs.len() == 1);
                if let Some(next) = held.get(&(shard + 1)) {
                    prop_assert!(slices + next[0] > rows);
                }
            }
        }
    }
}
