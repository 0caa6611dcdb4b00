//! The planner: segments of earlier runs, then new ones until the walk ends.

use std::collections::VecDeque;

use super::committed::{Committed, Complete, SegmentSummary};
use super::draft::Draft;
use super::examine::examine_all;
use super::known::{Known, SopOwners, Standing};
use super::paths::{self, Input, PathAt, stamp};
use super::segment::{self, PlannedInput, Segment};
use super::{SEGMENT_SLICES, complete_name, paths_name, segment_ledger_name, segment_name};
use crate::decode::Examined;
use crate::error::Error;
use crate::identity::SourceId;
use crate::reason::{Fault, Reason};
use crate::recipe::Recipe;
use crate::runner::Cancel;
use crate::sink::dataset::{Dataset, sha256_of_stored};
use crate::sink::ledger::{self, LedgerRow, Tally};
use crate::sink::shard::{KEY_ID, RECIPE_HASH};
use crate::sink::table;
use crate::slice::Bytes;
use crate::source::{Found, Source, Walk, What};

/// Says what an input is, from its header: [`crate::decode::examine`].
pub type Examine<'a> = &'a (dyn Fn(&Bytes) -> Examined + Sync);

/// Inputs that are examined together. The result does not depend on it.
const BATCH: usize = 512;

/// What the planner came across in this run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlanCounts {
    /// Files whose header was read.
    pub examined: u64,
    /// Inputs that earlier segments know, and that are as they were: not opened.
    pub known: u64,
    /// Inputs that earlier segments know, with another size or modification time now: not opened,
    /// their old rows stay; the run ends with exit code 3.
    pub changed: u64,
    /// Folders that could not be listed: each is a row of the ledger, and a warning.
    pub unreadable_folders: u64,
}

/// The plan of a data set, segment by segment. Fused: after an error or the end comes nothing.
///
/// First the segments that earlier runs committed, read back; then new ones, each committed before
/// it is given out. Nothing is walked before the committed ones have been taken.
pub struct Planner<'a> {
    dataset: &'a Dataset,
    sources: &'a [Source],
    examine: Examine<'a>,
    recipe: &'a Recipe,
    segment_slices: u64,
    committed: VecDeque<(u32, u32)>,
    known: Known,
    owners: SopOwners,
    next: Place,
    generation_is_complete: bool,
    segments: Vec<SegmentSummary>,
    walk: Option<Walk<'a>>,
    examined: VecDeque<(Found, Examined)>,
    counts: PlanCounts,
    ended: bool,
    known_only: bool,
    cancels: Vec<Cancel>,
}

/// Where the next segment goes.
#[derive(Clone, Copy, Debug)]
struct Place {
    generation: u32,
    index: u32,
    ordinal: u64,
    shard: u32,
}

impl std::fmt::Debug for Planner<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Planner").field("next", &self.next).field("counts", &self.counts).finish_non_exhaustive()
    }
}

impl<'a> Planner<'a> {
    /// A planner for `dataset`, whose recipe `recipe` is.
    ///
    /// # Errors
    /// [`Error::OutputIo`]; [`Error::Verify`] where committed segments have a gap.
    pub fn new(
        dataset: &'a Dataset,
        recipe: &'a Recipe,
        sources: &'a [Source],
        examine: Examine<'a>,
    ) -> Result<Planner<'a>, Error> {
        let committed = Committed::list(&dataset.out)?;
        let generation = committed.segments.last().map_or(1, |(generation, _)| *generation);
        Ok(Planner {
            dataset,
            sources,
            examine,
            recipe,
            segment_slices: SEGMENT_SLICES,
            committed: committed.segments.into(),
            known: Known::default(),
            owners: SopOwners::new(),
            next: Place { generation, index: 0, ordinal: 0, shard: 0 },
            generation_is_complete: committed.last_is_complete,
            segments: Vec::new(),
            walk: None,
            examined: VecDeque::new(),
            counts: PlanCounts::default(),
            ended: false,
            known_only: false,
            cancels: Vec::new(),
        })
    }

    /// The same planner with another number of slices in place of [`SEGMENT_SLICES`]; what is
    /// committed stays as it is.
    pub fn with_segment_slices(mut self, slices: u64) -> Planner<'a> {
        self.segment_slices = slices.max(1);
        self
    }

    /// The same planner, which ends after what earlier runs committed: it walks over nothing.
    pub fn known_only(mut self) -> Planner<'a> {
        self.known_only = true;
        self
    }

    /// The same planner, which soon after `cancel` asks for the end has no next segment: what is
    /// not committed then is planned by the next run. It may heed more than one.
    pub fn heeding(mut self, cancel: &Cancel) -> Planner<'a> {
        self.cancels.push(cancel.clone());
        self
    }

    /// What it came across so far; whole once it has ended.
    pub fn counts(&self) -> PlanCounts {
        self.counts
    }

    fn advance(&mut self) -> Result<Option<Segment>, Error> {
        if let Some((generation, index)) = self.committed.pop_front() {
            return self.read_back(generation, index).map(Some);
        }
        if self.known_only {
            return Ok(None);
        }
        if self.walk.is_none() {
            if self.generation_is_complete {
                let (generation, ordinal) = (self.next.generation + 1, self.next.ordinal);
                self.next = Place { generation, index: 0, ordinal, shard: 0 };
                self.segments.clear();
            }
            self.walk = Some(Walk::new(self.sources, &self.dataset.key)?);
        }
        let draft = self.fill()?;
        if self.asked_to_end() {
            return Ok(None);
        }
        if draft.inputs.is_empty() {
            return self.complete().map(|()| None);
        }
        self.commit(draft).map(Some)
    }

    /// Reads a segment that an earlier run committed, and what it says of its inputs.
    fn read_back(&mut self, generation: u32, index: u32) -> Result<Segment, Error> {
        let (out, private) = (&self.dataset.out, &self.dataset.private);
        let file = out.open(&segment_name(generation, index))?;
        let path = file.path();
        let sha256 = sha256_of_stored(&file)?;
        let (planned, metadata) = segment::read_stored(&file)?;
        for (name, ours) in self.stamps() {
            let theirs = metadata.get(name).map_or("nothing", String::as_str);
            if theirs != ours {
                return Err(Error::Verify(format!("{}: {name} is {theirs}, expected {ours}", path.display())));
            }
        }
        let (rows, _) = ledger::read_stored(&out.open(&segment_ledger_name(generation, index))?)?;
        let (name, sources) = (paths_name(generation, index), (self.sources, &self.dataset.key));
        let (paths, inputs) = paths::read_or_find(private, &name, sources, (&planned, &rows))?;
        self.learn(&inputs, &rows);
        let at = |planned: PlannedInput| match inputs.binary_search_by_key(&planned.source_id, |i| i.source_id) {
            Ok(found) => Ok((planned, inputs[found].at)),
            Err(_) => Err(Error::Verify(format!("{}: its private path table lacks an input", path.display()))),
        };
        let planned: Vec<_> = planned.into_iter().map(at).collect::<Result<_, _>>()?;
        for (input, _) in &planned {
            input.sop_key.and_then(|sop| self.owners.claim(sop, input.source_id));
        }
        if index == 0 {
            self.next = Place { generation, index: 0, ordinal: self.next.ordinal, shard: 0 };
            self.segments.clear();
        }
        if planned.first().is_some_and(|(first, _)| first.ordinal != self.next.ordinal) {
            return Err(Error::Verify(format!(
                "{}: expected it to begin at ordinal {}",
                path.display(),
                self.next.ordinal
            )));
        }
        Ok(self.take(paths, planned, &rows, sha256))
    }

    /// Remembers the inputs of a committed segment.
    fn learn(&mut self, inputs: &[Input], rows: &[LedgerRow]) {
        let mut unread: Vec<SourceId> =
            rows.iter().filter(|r| r.reason == Some(Reason::Unreadable)).map(|r| r.source_id).collect();
        unread.sort_unstable();
        for input in inputs {
            self.known.add(input, unread.binary_search(&input.source_id).is_ok());
        }
    }

    /// Gathers new inputs in walk order until the segment is full or the walk has ended.
    fn fill(&mut self) -> Result<Draft, Error> {
        let mut draft = Draft::new(self.sources, self.segment_slices);
        while !draft.is_full(self.segment_slices) && !self.asked_to_end() {
            if self.examined.is_empty() && !self.examine_next()? {
                break;
            }
            if let Some((found, is)) = self.examined.pop_front() {
                draft.add(&found, is, &self.dataset.key, &self.owners)?;
            }
        }
        Ok(draft)
    }

    fn asked_to_end(&self) -> bool {
        self.cancels.iter().any(|cancel| cancel.requested().is_some())
    }

    /// Takes new inputs from the walk and examines them; false when the walk has ended.
    fn examine_next(&mut self) -> Result<bool, Error> {
        let Some(walk) = &mut self.walk else { return Err(Error::Bug("planned before the walk".to_owned())) };
        let mut batch = Vec::new();
        let mut ended = true;
        for found in walk {
            let standing = self.known.standing(found.source_id, stamp(&found.what));
            count(&mut self.counts, &found, standing);
            if matches!(standing, Standing::New | Standing::Unread) {
                batch.push((found, standing));
            }
            if batch.len() == BATCH {
                ended = false;
                break;
            }
        }
        let files = || batch.iter().filter(|(found, _)| matches!(found.what, What::File { .. }));
        let paths: Vec<_> = files().map(|(found, _)| found.path(self.sources)).collect();
        self.counts.examined += paths.len() as u64;
        let mut of_files = examine_all(paths, self.examine).into_iter();
        for (found, standing) in batch {
            let is = match &found.what {
                What::File { .. } => of_files.next().ok_or_else(|| Error::Bug("a file was not examined".to_owned()))?,
                other => Examined::Not(no_file(other)),
            };
            let still_unread = matches!(&is, Examined::Not(fault) if fault.reason == Reason::Unreadable);
            if standing == Standing::New || !still_unread {
                self.examined.push_back((found, is));
            }
        }
        Ok(!ended || !self.examined.is_empty())
    }

    /// Publishes the segment: its ledger, its paths, then itself. What a killed run left under the names
    /// of the first two is replaced where inputs came or went since.
    fn commit(&mut self, mut draft: Draft) -> Result<Segment, Error> {
        let (Place { generation, index, ordinal, shard }, output) = (self.next, &self.recipe.output);
        let planned = draft.settle((output.order, output.rows_per_shard), (ordinal, shard), &mut self.owners);
        let (out, private) = (&self.dataset.out, &self.dataset.private);
        let name = segment_name(generation, index);
        let commit = out.path(&name);
        let mut metadata: Vec<(&str, String)> = self.stamps().into();
        let ledger_name = segment_ledger_name(generation, index);
        let ledger = ledger::publish(&out.until(commit.clone()), &ledger_name, &draft.not_planned, &metadata)?;
        let paths_name = paths_name(generation, index);
        paths::publish(&private.until(commit), &paths_name, &draft.paths, &draft.inputs)?;
        draft.inputs = Vec::new(); // no longer needed while the segment is encoded
        metadata.push(("ledger_sha256", ledger.sha256));
        let mut file = out.begin(&name)?;
        table::write(&planned, segment::batch, &metadata, &mut file, &out.path(&name))?;
        let published = file.publish()?;
        Ok(self.take(draft.paths, planned, &draft.not_planned, published.sha256))
    }

    /// The segment at the next place, which is committed; moves the place on.
    fn take(
        &mut self,
        paths: paths::Paths,
        inputs: Vec<(PlannedInput, PathAt)>,
        rows: &[LedgerRow],
        sha256: String,
    ) -> Segment {
        let slice_count = inputs.iter().map(|(input, _)| u64::from(input.frames)).sum();
        let mut tally = Tally { found: slice_count + rows.len() as u64, ..Tally::default() };
        rows.iter().for_each(|row| tally.count(row));
        let Place { generation, index, ordinal, .. } = self.next;
        let not_planned = rows.len() as u64;
        self.segments.push(SegmentSummary { index, slices: slice_count, not_planned, sha256: sha256.clone() });
        let segment = Segment {
            generation,
            index,
            sha256,
            slice_count,
            tally,
            index_bytes: self.known.bytes() + self.owners.bytes(),
            first_ordinal: ordinal,
            paths,
            inputs,
        };
        self.next.index += 1;
        self.next.ordinal += slice_count;
        self.next.shard = segment.next_shard().unwrap_or(self.next.shard);
        segment
    }

    /// Marks the generation as planned to its end, where it has a segment and is not marked yet. What a
    /// killed run left of a segment that there is not, since its inputs have gone, is removed.
    fn complete(&mut self) -> Result<(), Error> {
        let Place { generation, index, .. } = self.next;
        self.dataset.out.remove(&segment_ledger_name(generation, index))?;
        self.dataset.private.remove(&paths_name(generation, index))?;
        if self.segments.is_empty() {
            return Ok(());
        }
        let complete = Complete {
            generation: self.next.generation,
            slices: self.segments.iter().map(|s| s.slices).sum(),
            not_planned: self.segments.iter().map(|s| s.not_planned).sum(),
            segments: self.segments.clone(),
        };
        let json = serde_json::to_string_pretty(&complete).map_err(|e| Error::Bug(format!("complete.json: {e}")))?;
        self.dataset.out.publish_bytes(&complete_name(complete.generation), format!("{json}\n").as_bytes()).map(|_| ())
    }

    /// What every file of the plan says of the data set it belongs to.
    fn stamps(&self) -> [(&'static str, String); 2] {
        [(RECIPE_HASH, self.dataset.recipe_hash.clone()), (KEY_ID, self.dataset.key.id())]
    }
}

impl Iterator for Planner<'_> {
    type Item = Result<Segment, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let advanced = self.advance();
        self.ended = !matches!(advanced, Ok(Some(_)));
        advanced.transpose()
    }
}

impl std::iter::FusedIterator for Planner<'_> {}

fn count(counts: &mut PlanCounts, found: &Found, standing: Standing) {
    match standing {
        Standing::New | Standing::Unread => {}
        Standing::Same => counts.known += 1,
        Standing::Changed => counts.changed += 1,
    }
    if matches!(found.what, What::Folder(_)) {
        counts.unreadable_folders += 1;
    }
}

/// What the ledger says of something that is no file, or cannot be looked at.
fn no_file(what: &What) -> Fault {
    match what {
        What::File { .. } => Fault::new(Reason::Internal, "a file that was not examined; this is a bug"),
        What::Special(words) => Fault::new(Reason::SpecialFile, *words),
        What::Unreadable(kind) => Fault::new(Reason::Unreadable, format!("its attributes cannot be read: {kind}")),
        What::Folder(kind) => Fault::new(Reason::Unreadable, format!("a folder that cannot be listed: {kind}")),
    }
}
