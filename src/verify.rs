//! Verification: every promise about OUT, checked on disk. Needs neither the sources, nor the key,
//! nor the private folder, and changes nothing.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use arrow_array::{Array, Int32Array, StringArray};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use sha2::{Digest, Sha256};

use crate::error::Error;
use crate::identity::SourceId;
use crate::plan::{self, Complete, PlannedInput, SegmentSummary};
use crate::reason::Class;
use crate::sink::dataset::{DATASET_NAME, DatasetFile, sha256_of};
use crate::sink::ledger::{self, LedgerRow, Tally};
use crate::sink::shard::{KEY_ID, RECIPE_HASH, ROWS, SHARD_BYTES, SHARD_SHA256, ShardId};
use crate::sink::table;

/// What verification found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// One line each: the file below OUT, what was found, what was expected. Empty if all is well.
    pub problems: Vec<String>,
    /// Shards that the plan asks for.
    pub shards: u64,
    /// Rows in the shards that are there.
    pub rows: u64,
    /// Bytes of the shards that are there.
    pub bytes: u64,
    /// All ledgers together, and what the plan found.
    pub tally: Tally,
}

/// How far verification has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Shards checked.
    pub checked: u64,
    /// Shards known so far; grows from generation to generation.
    pub shards: u64,
}

/// Checks OUT: structure and counts; with `read_data` also the sha256 of every shard, and that
/// every page of it decodes. `report` is called after every shard.
///
/// - `dataset.json`: the recipe hashes to `recipe_hash`;
/// - plan: segments without gap, complete, of this recipe and key; ordinals dense; no input and no
///   SOP Instance twice; the segment's ledger has the hash that the segment names;
/// - each planned shard and its ledger part are there, agree with the plan and with one another:
///   one ledger row for each planned slice, one shard row (source_id, frame, sop_key) for each
///   written one, in the same order;
/// - the newest manifest lists these shards; there is no shard beside them;
/// - found = written + rejected + duplicate + filtered.
///
/// # Errors
/// [`Error::Usage`] where `out` is no data set; [`Error::Verify`] where its `dataset.json` is
/// damaged; [`Error::OutputIo`] where something that is there cannot be read. Everything else is
/// among the findings.
pub fn verify(out: &Path, read_data: bool, report: &mut dyn FnMut(Progress)) -> Result<Findings, Error> {
    let Some(dataset) = DatasetFile::read(out)? else {
        return Err(Error::Usage(format!("{} is no data set: there is no {DATASET_NAME} in it", out.display())));
    };
    let mut check = Check {
        out,
        dataset: &dataset,
        read_data,
        findings: Findings::default(),
        inputs: HashSet::new(),
        sop_keys: HashSet::new(),
        next_ordinal: 0,
        checked: 0,
        manifest: BTreeMap::new(),
    };
    if hex::encode(Sha256::digest(dataset.recipe.to_string())) != dataset.recipe_hash {
        check.problem(DATASET_NAME, "recipe_hash is not the hash of its recipe");
    }
    check.read_manifest()?;
    for generation in (1..).take_while(|g| check.name_of_generation_exists("plan", *g)) {
        check.generation(generation, report)?;
    }
    let unplanned: Vec<String> = check.manifest.keys().cloned().collect();
    for name in unplanned {
        check.problem(&name, "is in the manifest, but not in the plan");
    }
    if let Err(error) = check.findings.tally.check() {
        check.findings.problems.push(format!("conservation: {error}"));
    }
    Ok(check.findings)
}

/// A manifest's entry: what it says of a shard.
type Listed = (String, u64, String);

struct Check<'a> {
    out: &'a Path,
    dataset: &'a DatasetFile,
    read_data: bool,
    findings: Findings,
    /// Planned inputs. Looked up only, as `sop_keys`.
    inputs: HashSet<SourceId>,
    sop_keys: HashSet<[u8; 16]>,
    next_ordinal: u64,
    checked: u64,
    /// Shards of the newest manifest that were not met yet.
    manifest: BTreeMap<String, Listed>,
}

/// What a ledger part says of its shard.
struct Expected {
    written: Vec<(SourceId, u32)>,
    sha256: String,
    bytes: u64,
}

impl Check<'_> {
    fn problem(&mut self, name: &str, what: impl AsRef<str>) {
        self.findings.problems.push(format!("{name}: {}", what.as_ref()));
    }

    fn expect(&mut self, holds: bool, name: &str, what: impl FnOnce() -> String) {
        if !holds {
            self.problem(name, what());
        }
    }

    /// What was read; or a problem noted, where the file is missing or damaged.
    fn read<T>(&mut self, name: &str, read: impl FnOnce(&Path) -> Result<T, Error>) -> Result<Option<T>, Error> {
        match read(&self.out.join(name)) {
            Ok(value) => return Ok(Some(value)),
            Err(Error::Verify(problem)) => self.findings.problems.push(problem),
            Err(Error::OutputIo { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                self.problem(name, "is missing");
            }
            Err(error) => return Err(error),
        }
        Ok(None)
    }

    fn name_of_generation_exists(&self, folder: &str, generation: u32) -> bool {
        self.out.join(generation_folder(folder, generation)).is_dir()
    }

    fn generation(&mut self, generation: u32, report: &mut dyn FnMut(Progress)) -> Result<(), Error> {
        let complete = self.read(&plan::complete_name(generation), read_json::<Complete>)?;
        let names = self.files(&generation_folder("plan", generation))?;
        let count = names.iter().filter(|name| name.ends_with(".parquet")).count();
        let mut shard = 0;
        let mut summaries = Vec::new();
        for index in 0..u32::try_from(count).unwrap_or(u32::MAX) {
            let name = plan::segment_name(generation, index);
            let Some((inputs, metadata)) = self.read(&name, plan::read_inputs)? else { continue };
            let Some(sha256) = self.read(&name, sha256_of)? else { continue };
            self.segment(&name, &inputs, &metadata);
            let rows = self.segment_ledger(generation, index, &metadata)?;
            let slices = inputs.iter().map(|input| u64::from(input.frames)).sum();
            self.findings.tally.found += slices + rows;
            summaries.push(SegmentSummary { index, slices, not_planned: rows, sha256: sha256.clone() });
            self.shards(generation, &inputs, &sha256, &mut shard, report)?;
        }
        let slices = summaries.iter().map(|s| s.slices).sum();
        let not_planned = summaries.iter().map(|s| s.not_planned).sum();
        let found = Complete { generation, slices, not_planned, segments: summaries };
        self.expect(complete.is_none_or(|complete| complete == found), &plan::complete_name(generation), || {
            "does not list the segments that are there".to_owned()
        });
        self.no_shard_beside(generation, shard)
    }

    fn segment(&mut self, name: &str, inputs: &[PlannedInput], metadata: &BTreeMap<String, String>) {
        for (key, expected) in [("recipe_hash", &self.dataset.recipe_hash), ("key_id", &self.dataset.key_id)] {
            let found = metadata.get(key);
            if found != Some(expected) {
                self.findings.problems.push(format!("{name}: {key} is {found:?}, expected {expected}"));
            }
        }
        if let Some(first) = inputs.first() {
            let (found, expected) = (first.ordinal, self.next_ordinal);
            self.expect(found == expected, name, || format!("begins at ordinal {found}, expected {expected}"));
        }
        for input in inputs {
            let new = self.inputs.insert(input.source_id);
            self.expect(new, name, || format!("input {} is planned twice", input.source_id));
            let new = input.sop_key.is_none_or(|sop| self.sop_keys.insert(sop));
            self.expect(new, name, || format!("the SOP Instance of input {} is planned twice", input.source_id));
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
        let Some(rows) = self.read(&name, ledger::read)? else { return Ok(0) };
        let Some(sha256) = self.read(&name, sha256_of)? else { return Ok(0) };
        self.expect(metadata.get("ledger_sha256") == Some(&sha256), &name, || {
            format!("sha256 is {sha256}, the segment names another")
        });
        for row in &rows {
            let whole = row.ordinal.is_none() && row.frame.is_none() && row.class != Class::Written;
            self.expect(whole, &name, || format!("input {}: expected a row of an input not planned", row.source_id));
            let won = match row.class {
                Class::Duplicate => row.winner.is_some_and(|winner| self.inputs.contains(&winner)),
                _ => row.winner.is_none(),
            };
            self.expect(won, &name, || format!("input {}: the input that is the row instead is not planned", row.source_id));
            self.findings.tally.count(row);
        }
        Ok(rows.len() as u64)
    }

    /// The shards of a segment; `shard` is the next number.
    fn shards(
        &mut self,
        generation: u32,
        inputs: &[PlannedInput],
        plan_sha256: &str,
        shard: &mut u32,
        report: &mut dyn FnMut(Progress),
    ) -> Result<(), Error> {
        let parts: Vec<&[PlannedInput]> = inputs.chunk_by(|a, b| a.shard == b.shard).collect();
        self.findings.shards += parts.len() as u64;
        for part in parts {
            let Some(first) = part.first() else { continue };
            let id = ShardId {
                generation,
                shard: first.shard,
                plan_sha256: plan_sha256.to_owned(),
                recipe_hash: self.dataset.recipe_hash.clone(),
                key_id: self.dataset.key_id.clone(),
                first_ordinal: first.ordinal,
                slices: part.iter().map(|input| u64::from(input.frames)).sum(),
            };
            let expected = *shard;
            self.expect(id.shard == expected, &id.data_name(), || format!("expected shard {expected} at this place"));
            *shard = id.shard + 1;
            if let Some(expected) = self.ledger_part(&id, part)? {
                self.data(&id, part, &expected)?;
            }
            self.checked += 1;
            report(Progress { checked: self.checked, shards: self.findings.shards });
        }
        Ok(())
    }

    /// A shard's ledger part: one row for each planned slice, in order.
    fn ledger_part(&mut self, id: &ShardId, part: &[PlannedInput]) -> Result<Option<Expected>, Error> {
        let name = id.ledger_name();
        let Some(rows) = self.read(&name, ledger::read)? else { return Ok(None) };
        let Some(metadata) = self.read(&name, |path| Ok(table::read(path)?.metadata))? else { return Ok(None) };
        self.metadata(&name, id, &metadata);
        let slices = part.iter().flat_map(|input| (0..input.frames).map(move |frame| (input, frame)));
        let planned = slices.map(|(input, frame)| (Some(input.ordinal + u64::from(frame)), input.source_id, Some(frame)));
        let found = rows.iter().map(|row: &LedgerRow| (row.ordinal, row.source_id, row.frame));
        self.expect(planned.eq(found), &name, || "its rows are not the planned slices in their order".to_owned());
        rows.iter().for_each(|row| self.findings.tally.count(row));
        let written = rows.iter().filter(|row| row.class == Class::Written);
        let written: Vec<_> = written.map(|row| (row.source_id, row.frame.unwrap_or_default())).collect();
        let count = |key: &str| metadata.get(key).and_then(|n| n.parse::<u64>().ok());
        self.expect(count(ROWS) == Some(written.len() as u64), &name, || {
            format!("{ROWS} is {:?}, but {} of its rows are written", metadata.get(ROWS), written.len())
        });
        match (metadata.get(SHARD_SHA256), count(SHARD_BYTES)) {
            (Some(sha256), Some(bytes)) => Ok(Some(Expected { written, sha256: sha256.clone(), bytes })),
            _ => {
                self.problem(&name, "says neither hash nor length of its shard");
                Ok(None)
            }
        }
    }

    /// A shard against the plan and its ledger part.
    fn data(&mut self, id: &ShardId, part: &[PlannedInput], expected: &Expected) -> Result<(), Error> {
        let name = id.data_name();
        let Some(bytes) = self.read(&name, length)? else { return Ok(()) };
        self.expect(bytes == expected.bytes, &name, || format!("holds {bytes} bytes, expected {}", expected.bytes));
        self.findings.bytes += bytes;
        self.listed(&name, expected);
        let Some(shard) = self.read(&name, |path| read_shard(path, self.read_data))? else { return Ok(()) };
        self.metadata(&name, id, &shard.metadata);
        let rows = shard.rows.len();
        self.findings.rows += rows as u64;
        let says = shard.metadata.get(ROWS).and_then(|n| n.parse().ok());
        self.expect(says == Some(rows), &name, || format!("{ROWS} is {says:?}, but it holds {rows} rows"));
        let found = shard.rows.iter().map(|row| (row.source_id, row.frame));
        self.expect(expected.written.iter().copied().eq(found), &name, || {
            "its rows are not those that its ledger part says are written".to_owned()
        });
        let sop_keys: BTreeMap<_, _> = part.iter().map(|input| (input.source_id, input.sop_key.map(hex::encode))).collect();
        let same = shard.rows.iter().all(|row| sop_keys.get(&row.source_id) == Some(&row.sop_key));
        self.expect(same, &name, || "sop_key of a row is not that of the plan".to_owned());
        if self.read_data && let Some(sha256) = self.read(&name, sha256_of)? {
            self.expect(sha256 == expected.sha256, &name, || format!("sha256 is {sha256}, expected {}", expected.sha256));
        }
        Ok(())
    }

    fn metadata(&mut self, name: &str, id: &ShardId, metadata: &BTreeMap<String, String>) {
        for (key, expected) in id.metadata() {
            let found = metadata.get(key).map_or("nothing", String::as_str);
            self.expect(found == expected, name, || format!("{key} is {found}, expected {expected}"));
        }
    }

    /// What the newest manifest says of a shard.
    fn listed(&mut self, name: &str, expected: &Expected) {
        match self.manifest.remove(name) {
            None => self.problem(name, "is not in the newest manifest"),
            Some((sha256, rows, ledger_sha256)) => {
                let same = sha256 == expected.sha256 && rows == expected.written.len() as u64;
                self.expect(same, name, || "the newest manifest says another hash or number of rows".to_owned());
                let ledger = sha256_of(&self.out.join(name.replacen("data/", "ledger/", 1)));
                let same = ledger.is_ok_and(|sha256| sha256 == ledger_sha256);
                self.expect(same, name, || "the newest manifest says another hash of its ledger part".to_owned());
            }
        }
    }

    fn read_manifest(&mut self) -> Result<(), Error> {
        let Some(newest) = self.files("manifest")?.into_iter().next_back() else {
            self.problem("manifest", "there is none; the run that makes this data set has not ended");
            return Ok(());
        };
        let name = format!("manifest/{newest}");
        let Some(manifest) = self.read(&name, read_json::<Manifest>)? else { return Ok(()) };
        for (key, found, expected) in [
            (RECIPE_HASH, &manifest.recipe_hash, &self.dataset.recipe_hash),
            (KEY_ID, &manifest.key_id, &self.dataset.key_id),
        ] {
            if found != expected {
                self.findings.problems.push(format!("{name}: {key} is {found}, expected {expected}"));
            }
        }
        let listed = manifest.shards.into_iter().map(|s| (s.name, (s.sha256, s.rows, s.ledger_sha256)));
        self.manifest = listed.collect();
        Ok(())
    }

    /// Shards and ledger parts that the plan does not ask for.
    fn no_shard_beside(&mut self, generation: u32, shards: u32) -> Result<(), Error> {
        let planned: BTreeSet<String> = (0..shards).map(|shard| format!("part-{shard:08}.parquet")).collect();
        for folder in ["data", "ledger"] {
            let folder = generation_folder(folder, generation);
            for name in self.files(&folder)? {
                let segment = folder.starts_with("ledger") && name.starts_with("seg-");
                self.expect(segment || planned.contains(&name), &format!("{folder}/{name}"), || {
                    "is not in the plan".to_owned()
                });
            }
        }
        Ok(())
    }

    /// Names of the files of a folder, sorted; none where there is no such folder.
    fn files(&self, folder: &str) -> Result<BTreeSet<String>, Error> {
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

/// What verification needs of a manifest.
#[derive(serde::Deserialize)]
struct Manifest {
    recipe_hash: String,
    key_id: String,
    shards: Vec<ListedShard>,
}

#[derive(serde::Deserialize)]
struct ListedShard {
    name: String,
    sha256: String,
    rows: u64,
    ledger_sha256: String,
}

/// What verification needs of a shard.
struct Shard {
    metadata: BTreeMap<String, String>,
    rows: Vec<ShardRow>,
}

struct ShardRow {
    source_id: SourceId,
    frame: u32,
    sop_key: Option<String>,
}

/// Reads the identity columns of a shard; with `every_page`, decodes all others as well.
fn read_shard(path: &Path, every_page: bool) -> Result<Shard, Error> {
    let damaged = |e: &dyn std::fmt::Display| Error::Verify(format!("{} is damaged: {e}", path.display()));
    let file = File::open(path).map_err(|source| open_failed(path, source))?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| damaged(&e))?;
    let pairs = builder.metadata().file_metadata().key_value_metadata().into_iter().flatten();
    let metadata = pairs.filter_map(|kv| Some((kv.key.clone(), kv.value.clone()?))).collect();
    let identity = ProjectionMask::columns(builder.parquet_schema(), ["source_id", "frame", "sop_key"]);
    let mask = if every_page { ProjectionMask::all() } else { identity };
    // 16 tensors at a time: the size of a row group.
    let batches = builder.with_projection(mask).with_batch_size(16).build().map_err(|e| damaged(&e))?;
    let mut rows = Vec::new();
    for batch in batches {
        let batch = batch.map_err(|e| damaged(&e))?;
        let text = |name: &str| batch.column_by_name(name).and_then(|c| c.as_any().downcast_ref::<StringArray>());
        let frames = batch.column_by_name("frame").and_then(|c| c.as_any().downcast_ref::<Int32Array>());
        let (Some(ids), Some(frames), Some(sops)) = (text("source_id"), frames, text("sop_key")) else {
            return Err(damaged(&"source_id, frame or sop_key is missing or of another type"));
        };
        for row in 0..batch.num_rows() {
            rows.push(ShardRow {
                source_id: ids.value(row).parse().map_err(|e: String| damaged(&e))?,
                frame: frames.value(row).cast_unsigned(),
                sop_key: sops.is_valid(row).then(|| sops.value(row).to_owned()),
            });
        }
    }
    Ok(Shard { metadata, rows })
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, Error> {
    let bytes = fs::read(path).map_err(|source| open_failed(path, source))?;
    serde_json::from_slice(&bytes).map_err(|e| Error::Verify(format!("{} is damaged: {e}", path.display())))
}

fn length(path: &Path) -> Result<u64, Error> {
    path.metadata().map(|metadata| metadata.len()).map_err(|source| open_failed(path, source))
}

fn open_failed(path: &Path, source: io::Error) -> Error {
    Error::OutputIo { doing: "open", path: PathBuf::from(path), source }
}

fn generation_folder(folder: &str, generation: u32) -> String {
    format!("{folder}/g{generation:06}")
}
