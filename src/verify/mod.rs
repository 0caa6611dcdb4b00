//! Verification: every promise about OUT, checked on disk. Needs neither the sources, nor the key,
//! nor the private folder, and changes nothing.

mod read;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::io;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::error::Error;
use crate::identity::SourceId;
use crate::plan::{self, Complete, PlannedInput, SegmentSummary};
use crate::reason::Class;
use crate::sink::dataset::{DATASET_NAME, DatasetFile, sha256_of};
use crate::sink::ledger::{self, LedgerRow, Tally};
use crate::sink::shard::{KEY_ID, RECIPE_HASH, ROWS, SHARD_BYTES, SHARD_SHA256, ShardId};

use self::read::{Manifest, length, read_json, read_shard};

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
        unwritten: HashSet::new(),
        superseded: Tally::default(),
        next_ordinal: 0,
        checked: 0,
        manifest: BTreeMap::new(),
    };
    if hex::encode(Sha256::digest(dataset.recipe.to_string())) != dataset.recipe_hash {
        check.problem(DATASET_NAME, "recipe_hash is not the hash of its recipe");
    }
    check.read_manifest()?;
    let mut generation = 1;
    while out.join(generation_folder("plan", generation)).is_dir() {
        check.generation(generation, report)?;
        generation += 1;
    }
    check.no_generation_beside(generation - 1)?;
    let unplanned: Vec<String> = check.manifest.keys().cloned().collect();
    for name in unplanned {
        check.problem(&name, "is in the manifest, but not in the plan");
    }
    check.findings.tally.supersede(&check.superseded);
    // Where a file is missing the counts cannot balance, and the file has been named.
    if check.findings.problems.is_empty()
        && let Err(error) = check.findings.tally.check()
    {
        check.findings.problems.push(format!("conservation: {error}"));
    }
    Ok(check.findings)
}

/// Reads a file as each kind that verification knows beside plan and ledger.
#[cfg(any(test, fuzzing))]
pub(crate) fn read_as_each_kind(path: &Path) {
    drop(read_json::<Manifest>(path));
    drop(read_json::<Complete>(path));
    drop(read_shard(path, true));
    drop(read_shard(path, false));
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
    /// Planned inputs without a row: these may be planned once more, and their SOP Instances too.
    unwritten: HashSet<SourceId>,
    /// Rows that no longer count, as the segments say.
    superseded: Tally,
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
        for (key, expected) in [(RECIPE_HASH, &self.dataset.recipe_hash), (KEY_ID, &self.dataset.key_id)] {
            let found = metadata.get(key);
            if found != Some(expected) {
                self.findings.problems.push(format!("{name}: {key} is {found:?}, expected {expected}"));
            }
        }
        match Tally::superseded_by(metadata) {
            Ok(superseded) => self.superseded += &superseded,
            Err(problem) => self.problem(name, problem),
        }
        if let Some(first) = inputs.first() {
            let (found, expected) = (first.ordinal, self.next_ordinal);
            self.expect(found == expected, name, || format!("begins at ordinal {found}, expected {expected}"));
        }
        for input in inputs {
            let new = self.inputs.insert(input.source_id) || self.unwritten.remove(&input.source_id);
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
            self.expect(won, &name, || {
                format!("input {}: the input that is the row instead is not planned", row.source_id)
            });
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
            match self.ledger_part(&id, part)? {
                Some(expected) => self.data(&id, part, &expected)?,
                // Its ledger part has been named; the shard itself is planned all the same.
                None => drop(self.manifest.remove(&id.data_name())),
            }
            self.checked += 1;
            report(Progress { checked: self.checked, shards: self.findings.shards });
        }
        Ok(())
    }

    /// A shard's ledger part: one row for each planned slice, in order.
    fn ledger_part(&mut self, id: &ShardId, part: &[PlannedInput]) -> Result<Option<Expected>, Error> {
        let name = id.ledger_name();
        let Some((rows, metadata)) = self.read(&name, ledger::read_part)? else { return Ok(None) };
        self.metadata(&name, id, &metadata);
        let slices = part.iter().flat_map(|input| (0..input.frames).map(move |frame| (input, frame)));
        let planned =
            slices.map(|(input, frame)| (Some(input.ordinal + u64::from(frame)), input.source_id, Some(frame)));
        let found = rows.iter().map(|row: &LedgerRow| (row.ordinal, row.source_id, row.frame));
        self.expect(planned.eq(found), &name, || "its rows are not the planned slices in their order".to_owned());
        rows.iter().for_each(|row| self.findings.tally.count(row));
        self.note_unwritten(part, &rows);
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

    fn note_unwritten(&mut self, part: &[PlannedInput], rows: &[LedgerRow]) {
        let written: HashSet<SourceId> =
            rows.iter().filter(|row| row.class == Class::Written).map(|row| row.source_id).collect();
        for input in part.iter().filter(|input| !written.contains(&input.source_id)) {
            self.unwritten.insert(input.source_id);
            if let Some(sop) = input.sop_key {
                self.sop_keys.remove(&sop);
            }
        }
    }

    /// A shard against the plan and its ledger part.
    fn data(&mut self, id: &ShardId, part: &[PlannedInput], expected: &Expected) -> Result<(), Error> {
        let name = id.data_name();
        self.listed(&name, expected);
        let Some(bytes) = self.read(&name, length)? else { return Ok(()) };
        self.expect(bytes == expected.bytes, &name, || format!("holds {bytes} bytes, expected {}", expected.bytes));
        self.findings.bytes += bytes;
        let every_page = self.read_data;
        let Some(shard) = self.read(&name, |path| read_shard(path, every_page))? else { return Ok(()) };
        self.metadata(&name, id, &shard.metadata);
        let rows = shard.rows.len();
        self.findings.rows += rows as u64;
        let says = shard.metadata.get(ROWS).and_then(|n| n.parse().ok());
        self.expect(says == Some(rows), &name, || format!("{ROWS} is {says:?}, but it holds {rows} rows"));
        let found = shard.rows.iter().map(|row| (row.source_id, row.frame));
        self.expect(expected.written.iter().copied().eq(found), &name, || {
            "its rows are not those that its ledger part says are written".to_owned()
        });
        let sop_keys: BTreeMap<_, _> =
            part.iter().map(|input| (input.source_id, input.sop_key.map(hex::encode))).collect();
        let same = shard.rows.iter().all(|row| sop_keys.get(&row.source_id) == Some(&row.sop_key));
        self.expect(same, &name, || "sop_key of a row is not that of the plan".to_owned());
        if self.read_data
            && let Some(sha256) = self.read(&name, sha256_of)?
        {
            self.expect(sha256 == expected.sha256, &name, || {
                format!("sha256 is {sha256}, expected {}", expected.sha256)
            });
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
            ("recipe_hash", &manifest.recipe_hash, &self.dataset.recipe_hash),
            ("key_id", &manifest.key_id, &self.dataset.key_id),
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

    /// What a reader of `data/**/*.parquet` would take for ours.
    fn no_generation_beside(&mut self, generations: u32) -> Result<(), Error> {
        for folder in ["data", "ledger"] {
            for name in self.files(folder)? {
                let planned = (1..=generations).any(|n| generation_folder(folder, n) == format!("{folder}/{name}"));
                self.expect(planned, &format!("{folder}/{name}"), || "is not in the plan".to_owned());
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

fn generation_folder(folder: &str, generation: u32) -> String {
    format!("{folder}/g{generation:06}")
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::Arc;

    use ndarray::{Array2, Array3};

    use super::*;
    use crate::column::{Column, Kind};
    use crate::decode::{CtInput, Examined};
    use crate::kernel::affine::Affine;
    use crate::plan::{PlannedSlice, Planner};
    use crate::reason::{Fault, Reason};
    use crate::recipe::Recipe;
    use crate::sink::dataset::Dataset;
    use crate::sink::manifest;
    use crate::sink::rows::{Row, RowEncoder};
    use crate::sink::shard::ShardFile;
    use crate::slice::{Bytes, Pixels, Slice};
    use crate::source;

    type Tested = Result<(), Box<dyn std::error::Error>>;

    static SOURCE_ID: Column = Column::required("source_id", Kind::Text, "");
    static FRAME: Column = Column::required("frame", Kind::Int32, "");
    static SOP_KEY: Column = Column::new("sop_key", Kind::Text, "");

    /// A data set of 12 slices in 4 shards, of which ordinal 5 is rejected; a duplicate and two junk
    /// files.
    fn data_set(dir: &Path) -> Result<PathBuf, Error> {
        let scans = dir.join("scans");
        fs::create_dir(&scans).expect("a source");
        for n in 0..12 {
            fs::write(scans.join(format!("im{n}")), format!("CT {n}")).expect("a file");
        }
        fs::write(scans.join("copy"), "CT 3").expect("a file");
        fs::write(scans.join("junk1"), "").expect("a file");
        fs::write(scans.join("junk2"), "").expect("a file");
        let mut recipe = Recipe::head();
        (recipe.output.rows_per_shard, recipe.crop_pad.size) = (3, 4);
        let out = dir.join("out");
        let dataset = Dataset::open(&out, &recipe, None)?;
        let sources = source::resolve(&[scans])?;
        let encoder = RowEncoder::new(&recipe, vec![&SOURCE_ID, &FRAME, &SOP_KEY])?;
        let mut records = Vec::new();
        for segment in Planner::new(&dataset, &recipe, &sources, &examine)?.with_segment_slices(6) {
            let segment = segment?;
            let slices: Vec<PlannedSlice> = segment.slices().collect();
            for part in slices.chunk_by(|a, b| a.shard == b.shard) {
                records.push(make(&dataset, &encoder, &segment.sha256, part)?);
            }
        }
        manifest::publish(&dataset.out, &dataset.recipe_hash, &dataset.key.id(), records)?;
        Ok(out)
    }

    fn examine(bytes: &Bytes) -> Examined {
        let Bytes::File(path) = bytes else { panic!("only files here") };
        let text = fs::read_to_string(path).expect("a file");
        match text.strip_prefix("CT ") {
            None => Examined::Not(Fault::new(Reason::EmptyFile, "no bytes")),
            Some(n) => Examined::Ct(CtInput {
                frames: 1,
                rows: 4,
                columns: 4,
                bytes_per_slice: 10,
                sop_instance_uid: Some(n.to_owned()),
                series_instance_uid: None,
                position: None,
            }),
        }
    }

    fn make(
        dataset: &Dataset,
        encoder: &RowEncoder,
        plan_sha256: &str,
        part: &[PlannedSlice],
    ) -> Result<crate::sink::shard::ShardRecord, Error> {
        let id = ShardId {
            generation: 1,
            shard: part[0].shard,
            plan_sha256: plan_sha256.to_owned(),
            recipe_hash: dataset.recipe_hash.clone(),
            key_id: dataset.key.id(),
            first_ordinal: part[0].at.ordinal.0,
            slices: part.len() as u64,
        };
        let (mut rows, mut ledger) = (Vec::new(), Vec::new());
        for planned in part {
            let at = &planned.at;
            let mut row = LedgerRow::written(at.ordinal.0, at.input.source_id, at.frame);
            if at.ordinal.0 == 5 {
                (row.class, row.reason) = (Class::Rejected, Some(Reason::Rescale));
            } else {
                rows.push(Row::from(slice(dataset, planned)));
            }
            ledger.push(row);
        }
        let mut file = ShardFile::begin(&dataset.out, &id, encoder)?;
        let count = rows.len();
        file.append(&dataset.out, count, encoder.encode(rows)?)?;
        Ok(file.finish(&dataset.out, ledger)?.publish(&dataset.out)?.0)
    }

    fn slice(dataset: &Dataset, planned: &PlannedSlice) -> Slice {
        let Examined::Ct(ct) = examine(&planned.at.input.bytes) else { panic!("planned, so CT") };
        let mut facts = crate::column::Facts::default();
        facts.set(&SOURCE_ID, planned.at.input.source_id.to_string());
        facts.set(&FRAME, 0);
        facts.set_some(&SOP_KEY, ct.sop_instance_uid.map(|uid| dataset.key.pseudonym("sop", &[uid.as_bytes()])));
        Slice {
            at: planned.at.clone(),
            attributes: Arc::default(),
            pixels: Pixels::U8(Array3::from_elem((1, 4, 4), planned.at.ordinal.0 as u8)),
            guide: Array2::default((0, 0)),
            mask: None,
            placement: Affine::IDENTITY,
            facts,
        }
    }

    const SHARD: &str = "data/g000001/part-00000001.parquet";
    const PART: &str = "ledger/g000001/part-00000001.parquet";

    /// The problems after `damage` was done to a data set.
    fn problems(read_data: bool, damage: impl FnOnce(&Path) -> io::Result<()>) -> Vec<String> {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let out = data_set(dir.path()).expect("a data set");
        damage(&out).expect("damage");
        verify(&out, read_data, &mut |_| {}).expect("findings").problems
    }

    fn edit(path: PathBuf, change: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        let mut bytes = fs::read(&path)?;
        change(&mut bytes);
        fs::write(path, bytes)
    }

    #[test]
    fn a_whole_data_set_has_no_problems() -> Tested {
        let dir = tempfile::tempdir()?;
        let out = data_set(dir.path())?;
        for read_data in [false, true] {
            let mut progress = Vec::new();
            let findings = verify(&out, read_data, &mut |p| progress.push((p.checked, p.shards)))?;
            assert_eq!(findings.problems, Vec::<String>::new());
            assert_eq!((findings.shards, findings.rows, findings.tally.found), (4, 11, 15));
            let of = |class| findings.tally.of(class);
            let classes = [Class::Written, Class::Rejected, Class::Duplicate, Class::Filtered].map(of);
            assert_eq!(classes, [11, 1, 1, 2]);
            assert_eq!(progress.last(), Some(&(4, 4)));
        }
        Ok(())
    }

    #[test]
    fn what_is_missing_is_named() {
        for name in [SHARD, PART, "plan/g000001/complete.json", "ledger/g000001/seg-00000.parquet"] {
            let problems = problems(false, |out| fs::remove_file(out.join(name)));
            assert!(problems.contains(&format!("{name}: is missing")), "{problems:?}");
            let misleading =
                problems.iter().any(|problem| problem.contains("not in the plan") || problem.contains("report it"));
            assert!(!misleading, "{problems:?}");
        }
        let problems = problems(false, |out| fs::remove_dir_all(out.join("manifest")));
        assert!(problems[0].starts_with("manifest: there is none"), "{problems:?}");
    }

    #[test]
    fn what_is_not_planned_is_named() {
        let more = "data/g000001/part-00000009.parquet";
        let problems = problems(false, |out| fs::copy(out.join(SHARD), out.join(more)).map(|_| ()));
        assert_eq!(problems, [format!("{more}: is not in the plan")]);
        for beside in ["data/copy.parquet", "data/g000007"] {
            let found = self::problems(false, |out| fs::copy(out.join(SHARD), out.join(beside)).map(|_| ()));
            assert_eq!(found, [format!("{beside}: is not in the plan")]);
        }
    }

    #[test]
    fn a_shard_in_the_place_of_another_is_found_by_its_footer() {
        let other = "data/g000001/part-00000002.parquet";
        let problems = problems(false, |out| fs::copy(out.join(other), out.join(SHARD)).map(|_| ()));
        assert!(problems.contains(&format!("{SHARD}: dcmshard.shard is 2, expected 1")), "{problems:?}");
        assert!(problems.contains(&format!("{SHARD}: its rows are not those that its ledger part says are written")));
    }

    #[test]
    fn one_turned_bit_of_a_shard_is_found_by_read_data() {
        let turn = |out: &Path| edit(out.join(SHARD), |bytes| bytes[30] ^= 1);
        assert!(problems(true, turn).iter().any(|problem| problem.contains(SHARD)));
    }

    #[test]
    fn a_cut_shard_a_changed_ledger_and_a_changed_recipe_are_found() {
        let problems_of =
            |name: &'static str, change: fn(&mut Vec<u8>)| problems(false, move |out| edit(out.join(name), change));
        let cut = problems_of(SHARD, |bytes| bytes.truncate(bytes.len() / 2));
        assert!(cut.iter().any(|problem| problem.contains("is damaged")), "{cut:?}");
        let ledger = problems_of("ledger/g000001/seg-00001.parquet", |bytes| bytes[5] ^= 1);
        assert!(ledger.iter().any(|problem| problem.contains("seg-00001")), "{ledger:?}");
        let recipe = problems_of(DATASET_NAME, |bytes| {
            let text = String::from_utf8_lossy(bytes).replace("\"max_angle_deg\": 45", "\"max_angle_deg\": 46");
            *bytes = text.into_bytes();
        });
        assert_eq!(recipe, [format!("{DATASET_NAME}: recipe_hash is not the hash of its recipe")]);
    }

    #[test]
    fn a_folder_that_is_no_data_set_is_a_usage_error() -> Tested {
        let dir = tempfile::tempdir()?;
        assert!(matches!(verify(dir.path(), false, &mut |_| {}), Err(Error::Usage(_))));
        Ok(())
    }
}
