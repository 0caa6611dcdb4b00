//! Whatever instant the power fails at, and whatever the file system then kept: nothing published is
//! torn, and the same command completes the same bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dcmshard::convert::{Conversion, Summary};
use dcmshard::error::{Error, ExitCode};
use dcmshard::options::Options;
use dcmshard::plan::SEGMENT_SLICES;
use dcmshard::recipe::Recipe;
use dcmshard::runner::Cancel;
use dcmshard::sink::ledger::Tally;
use dcmshard::sink::storage::Storage;

use crate::line::{self, Tested};
use crate::made::{Ct, key};
use crate::simulated_disk::{Image, Lies, SimulatedDisk};

pub const OUT: &str = "/simulated/out";

/// A small archive and what an undisturbed conversion of it gives: three shards, a reject, a
/// duplicate and a file that is none.
pub struct Job {
    folder: tempfile::TempDir,
    recipe: Recipe,
    options: Options,
    segment_slices: u64,
    tally: Tally,
    files: BTreeMap<PathBuf, Arc<Vec<u8>>>,
}

impl Job {
    pub fn new() -> Job {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let source = folder.path().join("scans");
        for n in 0..5 {
            let ct = Ct::head(32, 12.0, 9.0, f64::from(n)).with_uid(n);
            ct.write(&source.join(format!("{n}.dcm")));
            if n == 3 {
                ct.write(&source.join("copy.dcm"));
            }
        }
        Ct { slope: "-1e300", ..Ct::empty(32, 32) }.with_uid(9).write(&source.join("rejected.dcm"));
        std::fs::write(source.join("notes.txt"), "no DICOM").expect("can be written");
        let key_path = folder.path().join("key");
        std::fs::write(&key_path, key().bytes()).expect("can be written");
        let settings = ["output.rows_per_shard=2", "crop_pad.size=16"].map(str::to_owned);
        let recipe = Recipe::from_toml("", &settings).expect("sound");
        let options = Options { key_file: Some(key_path), ..line::options(1, 1, 64) };
        let (tally, files, segment_slices) = (Tally::default(), BTreeMap::new(), SEGMENT_SLICES);
        let mut job = Job { folder, recipe, options, segment_slices, tally, files };
        job.expect_as(&SimulatedDisk::default());
        assert_eq!(job.files.keys().filter(|path| path.starts_with("/simulated/out/data")).count(), 3);
        job
    }

    /// The same with a plan of several segments, and more threads than one.
    fn in_segments() -> Job {
        let mut job = Job { segment_slices: 2, options: Options { ..line::options(3, 1, 64) }, ..Job::new() };
        job.options.key_file = Some(job.folder.path().join("key"));
        job.expect_as(&SimulatedDisk::default());
        let segments = job.files.keys().filter(|path| path.starts_with("/simulated/out/plan")).count() - 1;
        assert!(segments >= 3, "{segments} segments");
        job
    }

    /// A data set, and the same job with an archive that has grown since.
    fn grown() -> (Job, Image) {
        let mut job = Job::new();
        let disk = SimulatedDisk::default();
        job.convert(&disk).expect("an undisturbed run");
        let before = disk.image();
        for n in 20..23 {
            Ct::head(32, 11.0, 8.0, 3.0).with_uid(n).write(&job.folder.path().join(format!("scans/new/{n}.dcm")));
        }
        job.expect_as(&disk);
        (job, before)
    }

    /// What a run on this disk, which nothing disturbs, ends with is what shall be.
    fn expect_as(&mut self, disk: &SimulatedDisk) {
        self.tally = self.convert(disk).expect("an undisturbed run").tally;
        self.files = disk.image().files();
        self.files.retain(|path, _| !is_scratch(path));
    }

    /// The command.
    pub fn convert(&self, disk: &SimulatedDisk) -> Result<Summary, Error> {
        self.convert_on(Arc::new(disk.clone()))
    }

    /// The command on a disk of another kind.
    pub fn convert_on(&self, storage: Arc<dyn Storage>) -> Result<Summary, Error> {
        let source = self.folder.path().join("scans");
        let conversion = Conversion::open_on(storage, &[source], Path::new(OUT), &self.recipe, &self.options)?;
        conversion.with_segment_slices(self.segment_slices).run(&Cancel::default())
    }

    /// The same job without a key: the first run makes it.
    pub fn without_key(mut self) -> Job {
        self.options.key_file = None;
        self
    }

    /// What a reader who comes now may find: every file that has its name is whole.
    pub fn check_whole(&self, image: &Image) -> Result<(), String> {
        for (path, bytes) in image.files() {
            if !is_scratch(&path) && self.files.get(&path) != Some(&bytes) {
                return Err(format!("{} is there and is not whole", path.display()));
            }
        }
        Ok(())
    }

    /// The command once more ends well, with the same bytes, which are durable.
    pub fn check_completes(&self, disk: &SimulatedDisk) -> Result<(), String> {
        let summary = self.convert(disk).map_err(|error| format!("the next run: {error}"))?;
        self.check_complete(disk, &summary)
    }

    /// The state after a run that ended well.
    pub fn check_complete(&self, disk: &SimulatedDisk, summary: &Summary) -> Result<(), String> {
        if summary.exit_code() != ExitCode::Done || summary.tally != self.tally {
            return Err(format!("ended with {:?}, {:?}", summary.exit_code(), summary.tally));
        }
        let image = disk.image();
        let mut files = image.files();
        files.retain(|path, _| !path.ends_with(".lock"));
        if files != self.files {
            let differ = |path: &&PathBuf| files.get(*path) != self.files.get(*path);
            let names: BTreeSet<&PathBuf> = files.keys().chain(self.files.keys()).filter(differ).collect();
            return Err(format!("other than in an undisturbed run: {names:?}"));
        }
        match image.unsafe_names(is_scratch).as_slice() {
            [] => Ok(()),
            names => Err(format!("a run ended well, and a loss of power takes {names:?}")),
        }
    }
}

/// Files that no reader looks at.
fn is_scratch(path: &Path) -> bool {
    path.ends_with(".lock") || path.components().any(|part| part.as_os_str() == ".tmp")
}

/// What was tried, and what was wrong.
#[derive(Debug, Default)]
struct Found {
    prefixes: usize,
    states: usize,
    deviations: Vec<String>,
    seen: BTreeSet<u64>,
}

impl Found {
    /// Every state, one of `every`, that a loss of power may leave of each image; gives the disks on
    /// which the command then was completed.
    fn lose_power(&mut self, job: &Job, images: &[Image], every: usize, what: &str) -> Vec<SimulatedDisk> {
        let mut recovered = Vec::new();
        for (at, image) in images.iter().enumerate() {
            self.prefixes += 1;
            for state in image.after_any_power_loss() {
                if !self.seen.insert(state.fingerprint()) || !self.seen.len().is_multiple_of(every) {
                    continue;
                }
                self.states += 1;
                let disk = SimulatedDisk::of(state).remembering();
                let checked = job.check_whole(&disk.image()).and_then(|()| job.check_completes(&disk));
                if let Err(deviation) = checked {
                    self.deviations.push(format!("{what}, power lost before operation {at}: {deviation}"));
                }
                recovered.push(disk);
            }
        }
        recovered
    }
}

/// Of the cases, every n-th is tried: `usually`, and in a run with DCMSHARD_ALL_FAULTS set.
pub fn every(usually: usize, of_all: usize) -> usize {
    if std::env::var_os("DCMSHARD_ALL_FAULTS").is_some() { of_all } else { usually }
}

/// P01, P02
#[test]
fn power_may_fail_at_any_operation_of_a_run() -> Tested {
    let job = Job::new();
    let disk = SimulatedDisk::default().remembering();
    job.convert(&disk)?;
    let mut found = Found::default();
    found.lose_power(&job, &disk.images(), every(8, 1), "first run");
    eprintln!("{} prefixes, {} states of {}", found.prefixes, found.states, found.seen.len());
    assert_eq!(found.deviations, [""; 0]);
    Ok(())
}

/// P01, P02
#[test]
fn power_may_fail_at_any_operation_of_a_run_with_several_plan_segments_and_threads() -> Tested {
    let job = Job::in_segments();
    let disk = SimulatedDisk::default().remembering();
    job.convert(&disk)?;
    let mut found = Found::default();
    found.lose_power(&job, &disk.images(), every(24, 2), "first run");
    eprintln!("{} prefixes, {} states of {}", found.prefixes, found.states, found.seen.len());
    assert_eq!(found.deviations, [""; 0]);
    Ok(())
}

/// P03: a disk that says to have written a shard, and has not. The next run finds out and makes it again.
#[test]
fn a_shard_that_a_lying_disk_has_lost_is_made_again() -> Tested {
    let job = Job::new();
    for file in ["data-g000001-part", "ledger-g000001-part"] {
        let disk = SimulatedDisk::default().lying(Lies { no_sync_of: Some(file), ..Lies::default() });
        job.convert(&disk)?;
        let (mut damaged, mut states) = (0, 0);
        for state in disk.image().after_any_power_loss().into_iter().step_by(every(5, 1)) {
            let is_whole = job.check_whole(&state).is_ok();
            let disk = SimulatedDisk::of(state);
            let summary = job.convert(&disk)?;
            let aside = |path: &Path| path.to_string_lossy().contains("/.tmp/bad-");
            let found = disk.image().files().keys().filter(|path| aside(path)).count();
            assert_eq!(found == 0, is_whole, "{file}: set aside");
            job.check_complete(&SimulatedDisk::of(disk.image().without(aside)), &summary)?;
            (damaged, states) = (damaged + usize::from(!is_whole), states + 1);
        }
        eprintln!("{file}: {damaged} of {states} states were damaged");
        assert!(damaged > 4, "{file}");
    }
    Ok(())
}

/// P01: with nothing lost but the process the first time.
#[test]
fn power_may_fail_in_the_run_after_a_kill() -> Tested {
    let job = Job::new();
    let disk = SimulatedDisk::default().remembering();
    job.convert(&disk)?;
    let mut found = Found::default();
    for (at, image) in disk.images().into_iter().enumerate().step_by(every(9, 1)) {
        let disk = SimulatedDisk::of(image).remembering();
        job.check_completes(&disk).map_err(|deviation| format!("killed before operation {at}: {deviation}"))?;
        found.lose_power(&job, &disk.images(), every(100, 20), &format!("killed before operation {at}"));
    }
    eprintln!("{} prefixes, {} states of {}", found.prefixes, found.states, found.seen.len());
    assert_eq!(found.deviations, [""; 0]);
    Ok(())
}

#[test]
fn power_may_fail_while_a_grown_archive_is_converted() -> Tested {
    let (job, before) = Job::grown();
    let disk = SimulatedDisk::of(before.clone()).remembering();
    job.convert(&disk)?;
    assert!(job.files.keys().any(|path| path.starts_with("/simulated/out/data/g000002")));
    // Before the growth, the old manifest is the newest: what it says is whole and stays.
    let mut found = Found::default();
    found.lose_power(&job, &disk.images(), every(40, 4), "grown");
    eprintln!("{} prefixes, {} states of {}", found.prefixes, found.states, found.seen.len());
    assert_eq!(found.deviations, [""; 0]);
    Ok(())
}

/// The key that the first run makes is safe before anything tells of it.
#[test]
fn power_may_fail_while_the_key_is_made() -> Tested {
    let mut job = Job::new();
    job.options.key_file = None;
    let disk = SimulatedDisk::default().remembering();
    job.expect_as(&disk);
    let key_path = Path::new("/simulated/out.private/key");
    let key = job.files.get(key_path).cloned().ok_or("a key")?;
    let is_told =
        |image: &Image| image.files().contains_key(Path::new("/simulated/out/plan/g000001/seg-00000.parquet"));
    let mut seen = BTreeSet::new();
    for (at, image) in disk.images().iter().enumerate().take_while(|(_, image)| !is_told(image)) {
        for state in image.after_any_power_loss() {
            if !seen.insert(state.fingerprint()) || !seen.len().is_multiple_of(every(4, 1)) {
                continue;
            }
            let disk = SimulatedDisk::of(state);
            let summary = job.convert(&disk).map_err(|e| format!("power lost before operation {at}: {e}"))?;
            assert_eq!(summary.tally, job.tally);
            if disk.image().files().get(key_path) == Some(&key) {
                job.check_complete(&disk, &summary).map_err(|e| format!("power lost before operation {at}: {e}"))?;
            }
        }
    }
    eprintln!("{} states", seen.len());
    Ok(())
}

#[test]
fn a_lost_table_of_paths_is_made_again_from_the_sources() -> Tested {
    let job = Job::new();
    let disk = SimulatedDisk::default();
    job.convert(&disk)?;
    let image = disk.image();
    let is_paths = |path: &Path| path.starts_with("/simulated/out.private/paths");
    job.check_completes(&SimulatedDisk::of(image.without(is_paths)))?;
    let with_a_shard = |path: &Path| is_paths(path) || path.starts_with("/simulated/out/data");
    job.check_completes(&SimulatedDisk::of(image.without(with_a_shard)))?;

    std::fs::remove_file(job.folder.path().join("scans/2.dcm"))?;
    let error = job.convert(&SimulatedDisk::of(image.without(is_paths))).expect_err("an input is gone");
    assert_eq!(error.exit_code(), ExitCode::Verify);
    assert!(error.to_string().ends_with("1 of 6 planned inputs are in no source any more"), "{error}");
    Ok(())
}

/// P04, P05: the promise can be broken, and these tests would see it.
#[test]
fn a_run_that_does_not_sync_is_caught() -> Tested {
    let job = Job::new();
    let mutants = [
        ("no sync before the rename", Lies { no_file_sync: true, ..Lies::default() }),
        ("no sync of the folder after it", Lies { no_folder_sync: true, ..Lies::default() }),
    ];
    for (what, lies) in mutants {
        let disk = SimulatedDisk::default().lying(lies).remembering();
        let summary = job.convert(&disk)?;
        assert!(job.check_complete(&disk, &summary).is_err(), "{what}: the end of the run");
        let mut found = Found::default();
        found.lose_power(&job, &disk.images(), 40, what);
        eprintln!("{what}: {} of {} states", found.deviations.len(), found.states);
        assert!(!found.deviations.is_empty(), "{what}: while it runs");
    }
    Ok(())
}
