//! What holds after any fault, as one question (O1 to O6 of the fault matrix):
//!
//! - O1: every file under `data/` opens, and its hash is the one that its ledger part says;
//! - O2: the same command again ends with exit code 0 (whoever asks runs it);
//! - O3: `data/`, `ledger/` and `plan/` have the bytes of an undisturbed run;
//! - O4: no (source_id, frame) twice, none missing;
//! - O5: `.tmp` is empty;
//! - O6: the sources are what they were.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::SystemTime;

use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use dcmshard::reason::Class;
use dcmshard::sink::ledger;
use parquet::file::reader::{FileReader, SerializedFileReader};
use sha2::{Digest, Sha256};

use crate::made::{Ct, key};
use crate::shards::{batches, hashes, parquet_files};

/// Name, length, modification time and hash of every file of a folder.
pub type Tree = BTreeMap<PathBuf, (u64, SystemTime, String)>;

/// An archive, the command that converts it, and what an undisturbed run of it gives.
pub struct Job {
    _folder: tempfile::TempDir,
    pub source: PathBuf,
    settings: Vec<String>,
    source_tree: Tree,
    hashes: BTreeMap<String, String>,
    rows: BTreeSet<(String, i32)>,
}

impl Job {
    /// So many slices of `size` x `size`, so many a shard; beside them a reject and a file that is none.
    /// `more` are arguments of the command.
    pub fn new(slices: u32, size: u16, rows_per_shard: u32, more: &[&str]) -> Job {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let source = folder.path().canonicalize().expect("stands").join("scans");
        let half = f64::from(size) / 2.0;
        for n in 0..slices {
            let ct = Ct::head(size, half * 0.8, half * 0.6, f64::from(n % 30)).with_uid(n);
            ct.write(&source.join(format!("{}/{n}.dcm", n % 3)));
        }
        Ct { slope: "-1e300", ..Ct::empty(size, size) }.with_uid(1 << 20).write(&source.join("rejected.dcm"));
        fs::write(source.join("notes.txt"), "no DICOM").expect("can be written");
        let key_path = folder.path().join("key");
        fs::write(&key_path, key().bytes()).expect("can be written");
        let rows = format!("output.rows_per_shard={rows_per_shard}");
        let fixed = ["--key", &key_path.display().to_string(), "--progress", "none", "--set", &rows];
        let settings = fixed.iter().chain(more).map(|word| (*word).to_owned()).collect();
        let (source_tree, hashes, rows) = (tree(&source), BTreeMap::new(), BTreeSet::new());
        let mut job = Job { _folder: folder, source, settings, source_tree, hashes, rows };
        let out = job.out("undisturbed");
        let output = job.convert(&out);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        (job.hashes, job.rows) = (outcome(&out), rows_of(&out).expect("no row twice"));
        job.check_complete(&out).expect("what it was made of");
        job
    }

    /// A place for a data set.
    pub fn out(&self, name: &str) -> PathBuf {
        self.source.with_file_name(name)
    }

    /// How many shards it comes to.
    pub fn shards(&self) -> usize {
        self.hashes.keys().filter(|name| name.starts_with("data/")).count()
    }

    /// The arguments that convert it into `out` with so many threads.
    pub fn arguments(&self, out: &Path, threads: u32) -> Vec<String> {
        let [source, out] = [&self.source, out].map(|path| path.display().to_string());
        let mut arguments =
            ["convert", &source, "--out", &out, "--threads", &threads.to_string()].map(str::to_owned).to_vec();
        arguments.extend_from_slice(&self.settings);
        arguments
    }

    /// The command with so many threads, to be changed and started.
    pub fn command(&self, out: &Path, threads: u32) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dcmshard"));
        command.args(self.arguments(out, threads)).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    /// The command, with one thread.
    pub fn convert(&self, out: &Path) -> Output {
        self.command(out, 1).output().expect("the program starts")
    }

    /// O1, at any moment: what has its name is whole.
    pub fn check_whole(&self, out: &Path) -> Result<(), String> {
        let data = out.join("data");
        for shard in if data.is_dir() { parquet_files(&data) } else { Vec::new() } {
            let name = shard.strip_prefix(&data).map_err(|e| e.to_string())?;
            let at = |e: &dyn std::fmt::Display| format!("data/{}: {e}", name.display());
            SerializedFileReader::new(File::open(&shard).map_err(|e| at(&e))?).map_err(|e| at(&e))?;
            let ledger = File::open(out.join("ledger").join(name)).map_err(|e| at(&format!("its ledger part: {e}")))?;
            let ledger = SerializedFileReader::new(ledger).map_err(|e| at(&e))?;
            let pairs = ledger.metadata().file_metadata().key_value_metadata().cloned().unwrap_or_default();
            let said = pairs.into_iter().find(|pair| pair.key == "dcmshard.shard_sha256").and_then(|pair| pair.value);
            let found = hex::encode(Sha256::digest(fs::read(&shard).map_err(|e| at(&e))?));
            if said.as_ref() != Some(&found) {
                return Err(at(&format!("its hash is {found}, its ledger part says {said:?}")));
            }
        }
        Ok(())
    }

    /// O1 and O3 to O6, of a run that ended well.
    pub fn check_complete(&self, out: &Path) -> Result<(), String> {
        self.check_whole(out)?;
        let found = outcome(out);
        if found != self.hashes {
            let differ = |name: &&String| found.get(*name) != self.hashes.get(*name);
            let all: BTreeSet<&String> = found.keys().chain(self.hashes.keys()).filter(differ).collect();
            return Err(format!("other than in an undisturbed run: {all:?}"));
        }
        if rows_of(out)? != self.rows {
            return Err("other rows than in an undisturbed run".to_owned());
        }
        for tmp in [out.join(".tmp"), private(out).join(".tmp")] {
            let left = fs::read_dir(&tmp).map_err(|e| format!("{}: {e}", tmp.display()))?.flatten();
            if let Some(left) = left.map(|entry| entry.file_name()).find(|name| !is_evidence(name)) {
                return Err(format!("left in .tmp: {}", left.display()));
            }
        }
        if tree(&self.source) != self.source_tree {
            return Err("the sources have changed".to_owned());
        }
        Ok(())
    }

    /// O2 and all the others: the same command completes the data set.
    pub fn check_completes(&self, out: &Path) -> Result<(), String> {
        let again = self.convert(out);
        match again.status.code() {
            Some(0) => self.check_complete(out),
            code => Err(format!("the next run ended with {code:?}: {}", String::from_utf8_lossy(&again.stderr))),
        }
    }
}

/// What was found damaged and made again is kept.
fn is_evidence(name: &std::ffi::OsStr) -> bool {
    name.to_string_lossy().starts_with("bad-")
}

/// OUT.private.
pub fn private(out: &Path) -> PathBuf {
    let mut name = out.as_os_str().to_owned();
    name.push(".private");
    name.into()
}

/// Hashes of all that must be the same in every history. (Manifests say how often there was a run.)
fn outcome(out: &Path) -> BTreeMap<String, String> {
    let of = |folder: &'static str| {
        hashes(&out.join(folder)).into_iter().map(move |(name, sha)| (format!("{folder}/{name}"), sha))
    };
    ["data", "ledger", "plan"].into_iter().flat_map(of).collect()
}

/// The (source_id, frame) of every row of `data/`: those that the ledger calls written, and none twice.
fn rows_of(out: &Path) -> Result<BTreeSet<(String, i32)>, String> {
    let mut rows = BTreeSet::new();
    for batch in parquet_files(&out.join("data")).iter().flat_map(|shard| batches(shard)) {
        let column = |name| batch.column_by_name(name).ok_or_else(|| format!("no column {name}"));
        let (ids, frames) = (column("source_id")?.as_string::<i32>(), column("frame")?.as_primitive::<Int32Type>());
        for (id, frame) in ids.iter().flatten().zip(frames.values()) {
            if !rows.insert((id.to_owned(), *frame)) {
                return Err(format!("a row twice: {id}, frame {frame}"));
            }
        }
    }
    let mut written = BTreeSet::new();
    for part in parquet_files(&out.join("ledger")) {
        for row in ledger::read(&part).map_err(|e| e.to_string())?.iter().filter(|row| row.class == Class::Written) {
            let frame = row.frame.and_then(|frame| i32::try_from(frame).ok()).ok_or("a written row without frame")?;
            written.insert((row.source_id.to_string(), frame));
        }
    }
    if rows == written { Ok(rows) } else { Err("data/ and ledger/ differ in what is written".to_owned()) }
}

/// What stands below a folder.
pub fn tree(folder: &Path) -> Tree {
    let walk = walkdir::WalkDir::new(folder).into_iter().map(|entry| entry.expect("can be listed"));
    let files = walk.filter(|entry| entry.file_type().is_file());
    files
        .map(|entry| {
            let (bytes, about) = (fs::read(entry.path()).expect("can be read"), entry.metadata().expect("has some"));
            let hash = hex::encode(Sha256::digest(bytes));
            (entry.into_path(), (about.len(), about.modified().expect("has one"), hash))
        })
        .collect()
}

/// Copies OUT and OUT.private, as they are, to a place that is free; nothing where there are none.
pub fn copy(from: &Path, to: &Path) {
    for (from, to) in [(from.to_owned(), to.to_owned()), (private(from), private(to))] {
        for entry in walkdir::WalkDir::new(&from).into_iter().flatten().filter(|_| from.exists()) {
            let to = to.join(entry.path().strip_prefix(&from).expect("is below"));
            if entry.file_type().is_dir() {
                fs::create_dir(&to).expect("can be made");
                let mode = entry.metadata().expect("has some").permissions();
                fs::set_permissions(&to, mode).expect("can be set");
            } else {
                fs::copy(entry.path(), &to).expect("can be copied");
            }
        }
    }
}

/// Removes OUT and OUT.private.
pub fn remove(out: &Path) {
    for folder in [out.to_owned(), private(out)] {
        if folder.exists() {
            fs::remove_dir_all(&folder).expect("can be removed");
        }
    }
}
