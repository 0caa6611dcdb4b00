//! The end of a data set that many workers made: is everything there? Then the manifest.

use std::path::Path;
use std::sync::Arc;

use crate::error::Error;
use crate::plan::{self, Committed, PlannedInput};
use crate::sink::dataset::{self, DATASET_NAME, DatasetFile, OUT_MODE, sha256_of_stored};
use crate::sink::disk::Disk;
use crate::sink::ledger::{self, Tally};
use crate::sink::manifest;
use crate::sink::publish::OutputFolder;
use crate::sink::shard::{self, KEY_ID, RECIPE_HASH, ShardRecord};
use crate::sink::storage::{Share, Storage};

/// What there is of a data set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Finalized {
    /// What is missing or damaged, or not planned to its end: a line each. If there is none, the manifest
    /// is written.
    pub missing: Vec<String>,
    /// Shards that the plan asks for.
    pub shards: u64,
    /// Every slice and input by class and reason, as far as it is there.
    pub tally: Tally,
}

/// Looks for every planned shard as a run at its start does: by its ledger part, its length and its footer.
/// Where all are there, publishes the manifest that one run over everything would have. Needs neither
/// the sources nor the key. Workers may be at work meanwhile.
///
/// # Errors
/// [`Error::Usage`] where `out` is no data set; [`Error::Locked`] where a run works alone on it;
/// [`Error::Verify`] where the plan is damaged; [`Error::OutputIo`].
pub fn finalize(out: &Path) -> Result<Finalized, Error> {
    finalize_on(Arc::new(Disk::default()), out)
}

/// As [`finalize`], on another file system than the machine's.
///
/// # Errors
/// As [`finalize`].
pub fn finalize_on(storage: Arc<dyn Storage>, out: &Path) -> Result<Finalized, Error> {
    let Some(dataset) = DatasetFile::read_on(&*storage, out)? else {
        return Err(Error::Usage(format!("{} is no data set: there is no {DATASET_NAME} in it", out.display())));
    };
    let folder = OutputFolder::create_on(storage.clone(), out, OUT_MODE)?;
    let _lock = dataset::lock(&*storage, &folder, Share::Together)?;
    let mut look = Look {
        folder: &folder,
        dataset: &dataset,
        found: Finalized::default(),
        superseded: Tally::default(),
        records: Vec::new(),
    };
    let committed = Committed::list(&folder)?;
    for (generation, index) in &committed.segments {
        look.at_segment(*generation, *index)?;
    }
    let Look { mut found, superseded, records, .. } = look;
    found.tally.supersede(&superseded);
    match committed.segments.last() {
        None => found.missing.push("plan: there is none".to_owned()),
        Some((generation, _)) if !committed.last_is_complete => {
            let name = plan::complete_name(*generation);
            found.missing.push(format!("{name} is missing: generation {generation} is not planned to its end"));
        }
        Some(_) => {}
    }
    if found.missing.is_empty() {
        found.tally.check()?;
        manifest::publish(&folder, &dataset.recipe_hash, &dataset.key_id, records)?;
    }
    Ok(found)
}

struct Look<'a> {
    folder: &'a OutputFolder,
    dataset: &'a DatasetFile,
    found: Finalized,
    /// Rows that no longer count.
    superseded: Tally,
    records: Vec<ShardRecord>,
}

impl Look<'_> {
    fn at_segment(&mut self, generation: u32, index: u32) -> Result<(), Error> {
        let file = self.folder.open(&plan::segment_name(generation, index))?;
        let sha256 = sha256_of_stored(&file)?;
        let (inputs, metadata) = plan::read_stored(&file)?;
        for (name, ours) in [(RECIPE_HASH, &self.dataset.recipe_hash), (KEY_ID, &self.dataset.key_id)] {
            if metadata.get(name) != Some(ours) {
                let theirs = metadata.get(name).map_or("nothing", String::as_str);
                return Err(Error::Verify(format!("{}: {name} is {theirs}, expected {ours}", file.path().display())));
            }
        }
        let wrong = |problem| Error::Verify(format!("{}: {problem}", file.path().display()));
        self.superseded += &Tally::superseded_by(&metadata).map_err(wrong)?;
        let (rows, _) = ledger::read_stored(&self.folder.open(&plan::segment_ledger_name(generation, index))?)?;
        self.found.tally.found += rows.len() as u64;
        rows.iter().for_each(|row| self.found.tally.count(row));
        inputs.chunk_by(|a, b| a.shard == b.shard).try_for_each(|part| self.at_shard(generation, &sha256, part))
    }

    fn at_shard(&mut self, generation: u32, plan_sha256: &str, part: &[PlannedInput]) -> Result<(), Error> {
        let Some(id) = plan::shard_id(self.dataset, (generation, plan_sha256), part) else { return Ok(()) };
        self.found.shards += 1;
        match shard::look(self.folder, &id)? {
            Ok((record, tally)) => {
                self.found.tally += &tally;
                self.records.push(record);
            }
            Err(problem) => self.found.missing.push(problem),
        }
        Ok(())
    }
}
