//! The planner: segments of earlier runs, then new ones until the walk ends.

use std::collections::VecDeque;

use super::committed::{Committed, Complete, SegmentSummary};
use super::draft::Draft;
use super::growth::{Case, Growth};
use super::known::Standing;
use super::owners::SopOwners;
use super::paths::{self, PathAt};
use super::segment::{self, PlannedInput, Segment};
use super::verdict::{Judge, Verdict};
use super::{SEGMENT_SLICES, complete_name, paths_name, segment_ledger_name, segment_name};
use crate::decode::Examined;
use crate::error::Error;
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
    /// Files that were read to their end, to compare them with what was converted.
    pub compared: u64,
    /// Inputs that earlier segments know, and that are as they were: not opened.
    pub known: u64,
    /// Inputs that earlier segments know, with another size or modification time and the same content.
    pub touched: u64,
    /// Inputs that are rows, and hold something else by now: their old rows stay; the run ends with
    /// exit code 3.
    pub changed: u64,
    /// Inputs that earlier segments know and that are in no source any more: their rows stay.
    pub vanished: u64,
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
    growth: Growth,
    owners: SopOwners,
    next: Place,
    generation_is_complete: bool,
    segments: Vec<SegmentSummary>,
    walk: Option<Walk<'a>>,
    judged: VecDeque<(Found, Verdict)>,
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
        let growth = Growth::new(&dataset.out, generation)?;
        Ok(Planner {
            dataset,
            sources,
            examine,
            recipe,
            segment_slices: SEGMENT_SLICES,
            committed: committed.segments.into(),
            growth,
            owners: SopOwners::new(),
            next: Place { generation, index: 0, ordinal: 0, shard: 0 },
            generation_is_complete: committed.last_is_complete,
            segments: Vec::new(),
            walk: None,
            judged: VecDeque::new(),
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
            self.growth.reopen_duplicates(&self.dataset.out)?;
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
        let at = |planned: PlannedInput| match inputs.binary_search_by_key(&planned.source_id, |i| i.source_id) {
            Ok(found) => Ok((planned, inputs[found].at)),
            Err(_) => Err(Error::Verify(format!("{}: its private path table lacks an input", path.display()))),
        };
        let planned: Vec<_> = planned.into_iter().map(at).collect::<Result<_, _>>()?;
        let superseded = Tally::superseded_by(&metadata)
            .map_err(|problem| Error::Verify(format!("{}: {problem}", path.display())))?;
        let said = (&*planned, &*rows, superseded.found > 0);
        self.growth.learn((out, generation, index), &inputs, said, &mut self.owners)?;
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
        Ok(self.take((paths, planned), (&rows, superseded), sha256))
    }

    /// Gathers new inputs in walk order until the segment is full or the walk has ended.
    fn fill(&mut self) -> Result<Draft, Error> {
        let mut draft = Draft::new(self.sources, self.segment_slices);
        while !draft.is_full(self.segment_slices) && !self.asked_to_end() {
            if self.judged.is_empty() && !self.judge_next()? {
                break;
            }
            match self.judged.pop_front() {
                Some((found, Verdict::Anew(is, superseded))) => {
                    draft.superseded += &superseded;
                    draft.add(&found, is, &self.dataset.key, &self.owners)?;
                }
                Some((found, Verdict::Touched)) => drop(draft.touch(&found)?),
                _ => {}
            }
        }
        Ok(draft)
    }

    fn asked_to_end(&self) -> bool {
        self.cancels.iter().any(|cancel| cancel.requested().is_some())
    }

    /// Takes inputs from the walk, opens those that are not passed over, and judges them; false when the
    /// walk has ended and there is nothing more.
    fn judge_next(&mut self) -> Result<bool, Error> {
        let Some(walk) = &mut self.walk else { return Err(Error::Bug("planned before the walk".to_owned())) };
        let mut cases: Vec<Case> = Vec::new();
        let mut ended = true;
        for found in walk {
            self.counts.unreadable_folders += u64::from(matches!(found.what, What::Folder(_)));
            let case = self.growth.meet(found);
            if case.standing == Standing::Same && !case.is_reopened {
                self.counts.known += 1;
                continue;
            }
            cases.push(case);
            if cases.len() == BATCH {
                ended = false;
                break;
            }
        }
        self.growth.tell(&self.dataset.out, &mut cases)?;
        let judge = Judge::new(self.examine, &self.dataset.key, self.sources, &self.owners);
        let verdicts = judge.all(&cases);
        let (examined, compared) = judge.opened();
        self.counts.examined += examined;
        self.counts.compared += compared;
        for (case, verdict) in cases.into_iter().zip(verdicts) {
            self.count(&case, &verdict);
            if let (Verdict::Anew(..), Some(sop)) = (&verdict, case.told.sop_key) {
                self.owners.release(sop, case.found.source_id);
            }
            if matches!(verdict, Verdict::Anew(..) | Verdict::Touched) {
                self.judged.push_back((case.found, verdict));
            }
        }
        Ok(!ended || !self.judged.is_empty())
    }

    fn count(&mut self, case: &Case, verdict: &Verdict) {
        let is_otherwise = matches!(case.standing, Standing::PlannedOtherwise(_) | Standing::ListedOtherwise(_));
        match verdict {
            Verdict::Anew(..) => {}
            Verdict::Touched => self.counts.touched += 1,
            Verdict::Changed => {
                self.counts.changed += 1;
                tracing::warn!("input {} holds something else than when it was converted", case.found.source_id);
            }
            Verdict::AsBefore => self.counts.known += u64::from(is_otherwise && !case.is_reopened),
        }
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
        metadata.extend(draft.superseded.to_metadata());
        let mut file = out.begin(&name)?;
        table::write(&planned, segment::batch, &metadata, &mut file, &out.path(&name))?;
        let published = file.publish()?;
        Ok(self.take((draft.paths, planned), (&draft.not_planned, draft.superseded), published.sha256))
    }

    /// The segment at the next place, which is committed; moves the place on.
    fn take(
        &mut self,
        (paths, inputs): (paths::Paths, Vec<(PlannedInput, PathAt)>),
        (rows, superseded): (&[LedgerRow], Tally),
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
            superseded,
            index_bytes: self.growth.bytes() + self.owners.bytes(),
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
        self.counts.vanished = self.growth.vanished();
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
