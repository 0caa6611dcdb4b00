//! Verification: every promise about OUT, checked on disk; with sources, some of its rows made again.
//!
//! What it takes to find a changed byte:
//!
//! | file | found by |
//! |---|---|
//! | `dataset.json` (its recipe), `plan/`, `ledger/`, the newest manifest | every run |
//! | a shard that is missing, cut, empty, in the place of another, or whose footer or identity columns are damaged | every run |
//! | any bit of a shard | `--read-data`: SHA-256 of the file, every page decoded, rows digest |
//! | a row that is not what its input gives | `--source`: rows made again, compared bit by bit |
//!
//! Nothing is changed, but where [`verify_and_set_aside`] is asked for.

mod check;
mod condemned;
mod findings;
mod inputs;
mod listed;
mod read;
mod remake;
mod sample;
mod shards;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::sink::dataset;
use crate::sink::disk::Disk;
use crate::sink::publish::OutputFolder;
use crate::sink::storage::Share;
use crate::source::Source;

pub use self::findings::{Compared, Findings, Problem, Remedy};

use self::check::Check;

/// Which shards are read whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReadData {
    /// None: of each only its length, its footer and its identity columns.
    #[default]
    None,
    /// One in `of`: shard k, counted from 0 over all generations in plan order, where k mod `of` is
    /// `part` - 1. The parts 1 to `of` together are every shard once.
    Subset {
        /// From 1 to `of`.
        part: u64,
        /// Parts.
        of: u64,
    },
    /// Every shard.
    All,
}

impl ReadData {
    /// Whether shard `k` is read whole.
    pub fn reads(self, k: u64) -> bool {
        match self {
            ReadData::None => false,
            ReadData::Subset { part, of } => k % of.max(1) + 1 == part,
            ReadData::All => true,
        }
    }
}

/// The sources of a data set, of which some slices are made again.
#[derive(Clone, Debug)]
pub struct Against {
    /// Where the inputs are now: those of a label are looked for in the source that has it.
    pub sources: Vec<Source>,
    /// The key's file; `None`: `OUT.private/key`.
    pub key_file: Option<PathBuf>,
    /// Slices that are made again.
    pub rows: usize,
    /// Chooses them: the same slices of the same data set for the same seed.
    pub seed: u64,
}

/// What is verified beside the structure.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Shards to be read whole.
    pub read_data: ReadData,
    /// Rows to be made again.
    pub against: Option<Against>,
}

/// How far verification has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Shards checked.
    pub checked: u64,
    /// Shards known so far; grows from generation to generation.
    pub shards: u64,
    /// Slices made again, or found not to be comparable.
    pub remade: u64,
    /// Slices to be made again; 0 until all shards are checked.
    pub to_remake: u64,
}

/// Checks OUT. `report` is called after every shard, and after every slice that is made again.
///
/// - `dataset.json`: the recipe hashes to `recipe_hash`;
/// - plan: segments without gap, complete, of this recipe and key; ordinals dense; no input and no
///   SOP Instance twice (but for an input that could not be read before); the segment's ledger has the
///   hash that the segment names; a condemned slice is a reject with the reason of its amendment;
/// - each planned shard and its ledger part are there, agree with the plan and with one another:
///   one ledger row for each planned slice, one shard row (source_id, frame, sop_key) for each
///   written one, in the same order;
/// - the newest manifest is, byte for byte, the one of these shards; there is no shard beside them;
/// - found = written + rejected + duplicate + filtered, where of an input the latest word counts;
/// - of the shards in `options.read_data`: the SHA-256, that every page decodes, the rows digest;
/// - with `options.against`: slices made again give the same row, bit by bit, or the same reject.
///
/// # Errors
/// [`Error::Usage`] where `out` is no data set; [`Error::Verify`] where its `dataset.json` is
/// damaged; [`Error::OutputIo`] where something that is there cannot be read; [`Error::OtherRecipe`]
/// where the key is not OUT's. Everything else is among the findings.
pub fn verify(out: &Path, options: &Options, report: &mut dyn FnMut(Progress)) -> Result<Findings, Error> {
    let mut check = Check::open(out, options)?;
    check.structure(report)?;
    if let Some(against) = &options.against {
        check.remake(against, report)?;
    }
    Ok(check.findings)
}

/// As [`verify`], with OUT's lock held alone; then moves every damaged file that `convert` can make
/// again ([`Remedy::SetAside`]) to `.tmp/bad-*`. Gives back the names of those too.
///
/// # Errors
/// As [`verify`]; [`Error::Locked`] where a run is at work on OUT.
pub fn verify_and_set_aside(
    out: &Path,
    options: &Options,
    report: &mut dyn FnMut(Progress),
) -> Result<(Findings, Vec<String>), Error> {
    Check::open(out, options)?; // before anything is made there
    let folder = OutputFolder::create(out, dataset::OUT_MODE)?;
    let _lock = dataset::lock(&Disk::default(), &folder, Share::Alone)?;
    let findings = verify(out, options, report)?;
    let mut moved = Vec::new();
    for name in findings.to_set_aside() {
        if folder.set_aside(name)? {
            moved.push(name.to_owned());
        }
    }
    Ok((findings, moved))
}

/// Reads a file as each kind that verification knows beside plan and ledger.
#[cfg(any(test, fuzzing))]
pub(crate) fn read_as_each_kind(path: &Path) {
    drop(read::read_json::<crate::sink::manifest::Manifest>(path));
    drop(read::read_json::<crate::plan::Complete>(path));
    drop(read::read_json::<condemned::Condemned>(path));
    drop(read::read_shard(path, true));
    drop(read::read_shard(path, false));
    drop(read::read_row(path, 0));
    drop(remake::read_paths(path, &mut |_, _, _, _| {}));
}
