//! The walk over the plan: generations, segments, and their own ledgers.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::condemned::Amendments;
use super::findings::{Findings, Problem, Remedy};
use super::inputs::Inputs;
use super::listed::Listed;
use super::read::read_json;
use super::sample::Sample;
use super::{Options, Progress, ReadData};
use crate::error::Error;
use crate::plan::{self, Complete, PlannedInput, SegmentSummary};
use crate::reason::Class;
use crate::sink::dataset::{DATASET_NAME, DatasetFile, sha256_of};
use crate::sink::ledger::{self, Tally};
use crate::sink::shard::{KEY_ID, RECIPE_HASH, ShardRecord};

/// A verification under way.
pub(super) struct Check<'a> {
    pub(super) out: &'a Path,
    pub(super) dataset: DatasetFile,
    pub(super) read_data: ReadData,
    pub(super) findings: Findings,
    pub(super) inputs: Inputs,
    /// Rows that no longer count, as the segments say.
    superseded: Tally,
    next_ordinal: u64,
    pub(super) progress: Progress,
    pub(super) listed: Listed,
    /// Shards, as their ledger parts have it.
    pub(super) records: Vec<ShardRecord>,
    pub(super) sample: Sample,
}

/// Where in the plan a shard is looked for.
pub(super) struct Place<'p> {
    generation: u32,
    /// The next shard of the generation.
    shard: u32,
    amendments: Amendments,
    report: &'p mut dyn FnMut(Progress),
}

impl<'a> Check<'a> {
    pub(super) fn open(out: &'a Path, options: &Options) -> Result<Check<'a>, Error> {
        let Some(dataset) = DatasetFile::read(out)? else {
            return Err(Error::Usage(format!("{} is no data set: there is no {DATASET_NAME} in it", out.display())));
        };
        let sample = options.against.as_ref().map_or_else(Sample::default, |a| Sample::of(a.rows, a.seed));
        Ok(Check {
            out,
            dataset,
            read_data: options.read_data,
            findings: Findings::default(),
            inputs: Inputs::default(),
            superseded: Tally::default(),
            next_ordinal: 0,
            progress: Progress::default(),
            listed: Listed::default(),
            records: Vec::new(),
            sample,
        })
    }

    /// Everything but the sources.
    pub(super) fn structure(&mut self, report: &mut dyn FnMut(Progress)) -> Result<(), Error> {
        if hex::encode(Sha256::digest(self.dataset.recipe.to_string())) != self.dataset.recipe_hash {
            self.problem(DATASET_NAME, Remedy::Restore, "recipe_hash is not the hash of its recipe");
        }
        self.read_manifest()?;
        let mut generation = 1;
        while self.out.join(generation_folder("plan", generation)).is_dir() {
            self.generation(generation, report)?;
            generation += 1;
        }
        self.no_generation_beside(generation - 1)?;
        self.check_manifest()?;
        // Where a file is missing the counts cannot balance, and the file has been named.
        if self.findings.problems.is_empty()
            && let Err(error) = self.findings.tally.check()
        {
            self.problem("ledger", Remedy::Look, format!("conservation: {error}"));
        }
        let (said, found) = (self.superseded.found, self.inputs.superseded.found);
        let agrees = !self.findings.problems.is_empty() || self.superseded == self.inputs.superseded;
        self.expect(agrees, "plan", Remedy::Look, || {
            format!("its segments say that {said} ledger rows no longer count, expected {found}")
        });
        Ok(())
    }

    pub(super) fn problem(&mut self, file: &str, remedy: Remedy, what: impl AsRef<str>) {
        let line = format!("{file}: {}", what.as_ref());
        self.findings.problems.push(Problem { file: file.to_owned(), line, remedy });
    }

    pub(super) fn expect(&mut self, holds: bool, file: &str, remedy: Remedy, what: impl FnOnce() -> String) {
        if !holds {
            self.problem(file, remedy, what());
        }
    }

    /// What was read; or a problem noted, where the file is missing or damaged. `remedy` is that of a
    /// damaged one; what could be set aside is made again where it is missing.
    pub(super) fn read<T>(
        &mut self,
        name: &str,
        remedy: Remedy,
        read: impl FnOnce(&Path) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        let path = self.out.join(name);
        match read(&path) {
            Ok(value) => return Ok(Some(value)),
            Err(Error::Verify(line)) => {
                let line =
                    line.strip_prefix(&*path.to_string_lossy()).map_or(line.clone(), |what| format!("{name}{what}"));
                self.findings.problems.push(Problem { file: name.to_owned(), line, remedy });
            }
            Err(Error::OutputIo { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                let remedy = if remedy == Remedy::SetAside { Remedy::Convert } else { remedy };
                self.problem(name, remedy, "is missing");
            }
            Err(error) => return Err(error),
        }
        Ok(None)
    }

    fn generation(&mut self, generation: u32, report: &mut dyn FnMut(Progress)) -> Result<(), Error> {
        let last = !self.out.join(generation_folder("plan", generation + 1)).is_dir();
        let complete_name = plan::complete_name(generation);
        // Of an earlier generation it tells that there are later ones: without it they would be planned again.
        let remedy = if last { Remedy::SetAside } else { Remedy::Restore };
        let complete = self.read(&complete_name, remedy, read_json::<Complete>)?;
        let names = self.files(&generation_folder("plan", generation))?;
        let count = names.iter().filter(|name| name.ends_with(".parquet")).count();
        let amendments = self.amendments(generation, names.iter())?;
        let mut place = Place { generation, shard: 0, amendments, report };
        let mut summaries = Vec::new();
        for index in 0..u32::try_from(count).unwrap_or(u32::MAX) {
            summaries.extend(self.segment(index, &mut place)?);
        }
        let unseen = summaries.len() < count;
        let slices = summaries.iter().map(|s| s.slices).sum();
        let not_planned = summaries.iter().map(|s| s.not_planned).sum();
        let found = Complete { generation, slices, not_planned, segments: summaries };
        if let Some(complete) = complete {
            self.compare_segments(&complete, &found, remedy);
        }
        self.no_amendment_beside(&place.amendments, unseen);
        self.no_shard_beside(generation, place.shard)
    }

    /// What `complete.json` says of its generation, against what was read of it.
    fn compare_segments(&mut self, complete: &Complete, found: &Complete, remedy: Remedy) {
        let name = plan::complete_name(found.generation);
        let mut named = false;
        for segment in &found.segments {
            let Some(said) = complete.segments.iter().find(|said| said.index == segment.index) else { continue };
            if said.sha256 != segment.sha256 {
                let segment_name = plan::segment_name(found.generation, segment.index);
                let what = format!("sha256 is {}, {name} says {}", segment.sha256, said.sha256);
                self.problem(&segment_name, Remedy::Restore, what);
                named = true;
            }
        }
        self.expect(named || complete == found, &name, remedy, || {
            "does not list the segments that are there".to_owned()
        });
    }

    /// A segment, its ledger and its shards; `None` where it cannot be read.
    fn segment(&mut self, index: u32, place: &mut Place<'_>) -> Result<Option<SegmentSummary>, Error> {
        let name = plan::segment_name(place.generation, index);
        let Some((inputs, metadata)) = self.read(&name, Remedy::Restore, plan::read_inputs)? else { return Ok(None) };
        let Some(sha256) = self.read(&name, Remedy::Restore, sha256_of)? else { return Ok(None) };
        self.planned(&name, &inputs, &metadata);
        let not_planned = self.segment_ledger(place.generation, index, &metadata)?;
        let slices = inputs.iter().map(|input| u64::from(input.frames)).sum();
        self.findings.tally.found += slices;
        self.shards(&name, (&inputs, &sha256), place)?;
        Ok(Some(SegmentSummary { index, slices, not_planned, sha256 }))
    }

    fn planned(&mut self, name: &str, inputs: &[PlannedInput], metadata: &BTreeMap<String, String>) {
        let expected = [(RECIPE_HASH, self.dataset.recipe_hash.clone()), (KEY_ID, self.dataset.key_id.clone())];
        for (key, expected) in expected {
            let found = metadata.get(key).map_or("nothing", String::as_str);
            self.expect(found == expected, name, Remedy::Restore, || format!("{key} is {found}, expected {expected}"));
        }
        if let Some(first) = inputs.first() {
            let (found, expected) = (first.ordinal, self.next_ordinal);
            self.expect(found == expected, name, Remedy::Restore, || {
                format!("begins at ordinal {found}, expected {expected}")
            });
        }
        match Tally::superseded_by(metadata) {
            Ok(superseded) => self.superseded += &superseded,
            Err(what) => self.problem(name, Remedy::Restore, what),
        }
        for input in inputs {
            if let Err(what) = self.inputs.plan(input, &mut self.findings.tally) {
                self.problem(name, Remedy::Restore, format!("input {} {what}", input.source_id));
            }
            self.next_ordinal = input.ordinal + u64::from(input.frames);
        }
    }

    /// The ledger of what a segment does not plan; gives back its number of rows.
    fn segment_ledger(
        &mut self,
        generation: u32,
        index: u32,
        metadata: &BTreeMap<String, String>,
    ) -> Result<u64, Error> {
        let name = plan::segment_ledger_name(generation, index);
        let Some(rows) = self.read(&name, Remedy::Restore, ledger::read)? else { return Ok(0) };
        let Some(sha256) = self.read(&name, Remedy::Restore, sha256_of)? else { return Ok(0) };
        self.expect(metadata.get("ledger_sha256") == Some(&sha256), &name, Remedy::Restore, || {
            format!("sha256 is {sha256}, the segment names another")
        });
        for row in &rows {
            let whole = row.ordinal.is_none() && row.frame.is_none() && row.class != Class::Written;
            self.expect(whole, &name, Remedy::Restore, || {
                format!("input {}: expected a row of an input not planned", row.source_id)
            });
            let won = match row.class {
                Class::Duplicate => row.winner.is_some_and(|winner| self.inputs.plans(&winner)),
                _ => row.winner.is_none(),
            };
            self.expect(won, &name, Remedy::Restore, || {
                format!("input {}: the input that is the row instead is not planned", row.source_id)
            });
            if let Err(what) = self.inputs.leave_out(row, &mut self.findings.tally) {
                self.problem(&name, Remedy::Restore, format!("input {} {what}", row.source_id));
            }
            self.findings.tally.count(row);
            self.findings.tally.found += 1;
            self.sample.offer_input(row);
        }
        Ok(rows.len() as u64)
    }

    /// The shards of a segment.
    fn shards(
        &mut self,
        segment: &str,
        (inputs, plan_sha256): (&[PlannedInput], &str),
        place: &mut Place<'_>,
    ) -> Result<(), Error> {
        let parts: Vec<&[PlannedInput]> = inputs.chunk_by(|a, b| a.shard == b.shard).collect();
        self.findings.shards += parts.len() as u64;
        self.progress.shards = self.findings.shards;
        for part in parts {
            let Some(id) = plan::shard_id(&self.dataset, (place.generation, plan_sha256), part) else { continue };
            let expected = place.shard;
            self.expect(id.shard == expected, segment, Remedy::Restore, || {
                format!("plans shard {} where {expected} is expected", id.shard)
            });
            place.shard = id.shard + 1;
            self.shard(&id, part, &mut place.amendments)?;
            self.progress.checked += 1;
            (place.report)(self.progress);
        }
        Ok(())
    }

    /// Shards and ledger parts that the plan does not ask for.
    fn no_shard_beside(&mut self, generation: u32, shards: u32) -> Result<(), Error> {
        let planned: BTreeSet<String> = (0..shards).map(|shard| format!("part-{shard:08}.parquet")).collect();
        for folder in ["data", "ledger"] {
            let folder = generation_folder(folder, generation);
            for name in self.files(&folder)? {
                let segment = folder.starts_with("ledger") && name.starts_with("seg-");
                let expected = segment || planned.contains(&name);
                self.expect(expected, &format!("{folder}/{name}"), Remedy::Look, not_in_the_plan);
            }
        }
        Ok(())
    }

    /// What a reader of `data/**/*.parquet` would take for ours.
    fn no_generation_beside(&mut self, generations: u32) -> Result<(), Error> {
        for folder in ["data", "ledger"] {
            for name in self.files(folder)? {
                let planned = (1..=generations).any(|n| generation_folder(folder, n) == format!("{folder}/{name}"));
                self.expect(planned, &format!("{folder}/{name}"), Remedy::Look, not_in_the_plan);
            }
        }
        Ok(())
    }

    /// Names of the files of a folder, sorted; none where there is no such folder.
    pub(super) fn files(&self, folder: &str) -> Result<BTreeSet<String>, Error> {
        let path = self.out.join(folder);
        let failed = |source| Error::OutputIo { doing: "list", path: path.clone(), source };
        match fs::read_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeSet::new()),
            Err(error) => Err(failed(error)),
            Ok(entries) => entries
                .map(|entry| entry.map(|e| e.file_name().to_string_lossy().into_owned()).map_err(failed))
                .collect(),
        }
    }
}

fn not_in_the_plan() -> String {
    "is not in the plan".to_owned()
}

pub(super) fn generation_folder(folder: &str, generation: u32) -> String {
    format!("{folder}/g{generation:06}")
}
