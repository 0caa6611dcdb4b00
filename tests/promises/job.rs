//! A small archive and what one undisturbed conversion of it gives, for runs as processes of their own
//! that are disturbed.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use tempfile::TempDir;

use crate::cli::dcmshard;
use crate::made::{Ct, key};
use crate::shards::hashes;

/// Shards of [`Job::new`], two slices each.
pub const SHARDS: usize = 12;

/// Path, attributes, bytes.
type SourceFile = (PathBuf, fs::Metadata, Vec<u8>);

pub struct Job {
    folder: TempDir,
    pub source: PathBuf,
    pub key: PathBuf,
    source_before: Vec<SourceFile>,
    expected: BTreeMap<String, String>,
}

impl Job {
    /// The archive: 24 slices, a reject, a duplicate and a file that is none; converted once.
    pub fn new() -> Job {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let source = folder.path().join("scans");
        for n in 0..2 * SHARDS as u32 - 1 {
            let ct = Ct::head(48, 18.0, 13.0, f64::from(n)).with_uid(n);
            ct.write(&source.join(format!("{}/{n}.dcm", n % 3)));
            if n == 3 {
                ct.write(&source.join("copy.dcm"));
            }
        }
        Ct { slope: "-1e300", ..Ct::empty(32, 32) }.with_uid(999).write(&source.join("rejected.dcm"));
        fs::write(source.join("notes.txt"), "no DICOM").expect("can be written");
        let key_path = folder.path().join("key");
        fs::write(&key_path, key().bytes()).expect("can be written");
        let source_before = state(&source);
        let mut job = Job { folder, source, key: key_path, source_before, expected: BTreeMap::new() };
        let out = job.out("undisturbed");
        let ended = job.convert(&out).output().expect("the program starts");
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
        job.expected = tree(&out);
        assert_eq!(published(&out), SHARDS);
        job
    }

    /// A folder beside the archive.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn out(&self, name: impl AsRef<str>) -> PathBuf {
        self.path(name.as_ref()).join("out")
    }

    /// `convert` of the archive into `out`.
    pub fn convert(&self, out: &Path) -> Command {
        self.command("convert", out, &["--threads", "1"])
    }

    /// Worker `worker` of the job.
    pub fn worker(&self, out: &Path, worker: &str) -> Command {
        self.command("convert", out, &["--threads", "1", "--worker", worker])
    }

    /// A command of the program on the archive; its output is kept.
    pub fn command(&self, command: &str, out: &Path, more: &[&str]) -> Command {
        let mut program = Command::new(env!("CARGO_BIN_EXE_dcmshard"));
        program.arg(command).arg(&self.source).arg("--out").arg(out).arg("--key").arg(&self.key).args(more);
        program.args(["--set", "output.rows_per_shard=2", "--set", "crop_pad.size=16", "--progress", "none"]);
        program.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        program
    }

    /// The library of `preloaded.c`; none where there is no C compiler.
    pub fn preloaded(&self) -> Option<PathBuf> {
        let library = self.path("preloaded.so");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/promises/preloaded.c");
        let built = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).output();
        built.is_ok_and(|built| built.status.success()).then_some(library)
    }

    /// What there is after an undisturbed run, by name.
    pub fn expected(&self) -> &BTreeMap<String, String> {
        &self.expected
    }

    /// The oracle, O1 to O6: every file whole and verified, the bytes of the undisturbed run and nothing else,
    /// nothing left in `.tmp`, the sources as they were.
    pub fn check(&self, out: &Path, what: &str) {
        assert_eq!(&tree(out), &self.expected, "{what}");
        let verified = dcmshard(&["verify", &out.display().to_string(), "--read-data"]);
        assert!(verified.status.success(), "{what}: {}", String::from_utf8_lossy(&verified.stdout));
        for folder in [out.to_owned(), private(out)] {
            let left: Vec<_> = fs::read_dir(folder.join(".tmp")).expect("stands").collect();
            assert!(left.is_empty(), "{what}: left in .tmp: {left:?}");
        }
        let now = state(&self.source);
        let like = |files: &[SourceFile]| -> Vec<_> {
            files.iter().map(|(path, at, bytes)| (path.clone(), at.modified().ok(), bytes.clone())).collect()
        };
        let unchanged = like(&now) == like(&self.source_before);
        assert!(unchanged, "{what}: the sources have changed");
    }
}

/// Every file of a folder: path, attributes, bytes.
pub fn state(folder: &Path) -> Vec<SourceFile> {
    let entries = walkdir::WalkDir::new(folder).sort_by_file_name().into_iter().map(|entry| entry.expect("is listed"));
    let files = entries.filter(|entry| entry.file_type().is_file());
    let read = |path: PathBuf| {
        let (metadata, bytes) = (fs::metadata(&path).expect("is there"), fs::read(&path).expect("can be read"));
        (path, metadata, bytes)
    };
    files.map(|entry| read(entry.into_path())).collect()
}

/// Name and SHA-256 of everything that readers of OUT may look at.
pub fn tree(out: &Path) -> BTreeMap<String, String> {
    let mut files = hashes(out);
    files.retain(|name, _| name != ".lock" && !name.starts_with(".tmp/"));
    files
}

/// OUT.private.
pub fn private(out: &Path) -> PathBuf {
    out.with_file_name("out.private")
}

/// How many shards there are.
pub fn published(out: &Path) -> usize {
    fs::read_dir(out.join("data/g000001")).map_or(0, |entries| entries.count())
}

/// How many files there are below `out`, temporary ones included.
pub fn files(out: &Path) -> usize {
    // What is renamed while it is listed is not found then.
    walkdir::WalkDir::new(out).into_iter().filter(|entry| entry.as_ref().is_ok_and(|e| e.file_type().is_file())).count()
}

/// Whether a process has installed its signal handlers.
pub fn heeds_signals(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let caught = caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    [Signal::HUP, Signal::INT, Signal::TERM].iter().all(|signal| caught >> (signal.as_raw() - 1) & 1 == 1)
}

/// A process that is killed when the test is done with it.
pub struct Running(pub Child);

/// What a process left.
pub struct Ended {
    pub status: ExitStatus,
    pub stderr: String,
}

impl Running {
    pub fn start(command: &mut Command) -> Running {
        Running(command.spawn().expect("the program starts"))
    }

    /// Waits until `holds`, or the process has ended: then false.
    pub fn reaches(&mut self, mut holds: impl FnMut() -> bool) -> bool {
        while !holds() {
            if self.0.try_wait().expect("can be waited for").is_some() {
                return false;
            }
            std::thread::yield_now();
        }
        true
    }

    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.0)
    }

    pub fn send(&self, signal: Signal) {
        let _ = kill_process(self.pid(), signal); // it may have ended
    }

    /// Sends SIGSTOP, and waits until all its threads stand still; false where it has ended.
    pub fn stop(&mut self) -> bool {
        self.send(Signal::STOP);
        // Looked at only: one that has ended is waited for elsewhere.
        let looks = WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        let found = waitid(WaitId::Pid(self.pid()), looks).expect("it is a child");
        found.is_some_and(|status| status.stopped())
    }

    /// Waits for its end, and drinks what it says.
    pub fn end(mut self) -> Ended {
        let read = |from: Option<&mut dyn Read>| {
            let mut bytes = Vec::new();
            from.map(|pipe| pipe.read_to_end(&mut bytes)).transpose().expect("can be read");
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let (mut stdout, mut stderr) = (self.0.stdout.take(), self.0.stderr.take());
        let stderr = read(stderr.as_mut().map(|pipe| pipe as &mut dyn Read));
        drop(read(stdout.as_mut().map(|pipe| pipe as &mut dyn Read)));
        Ended { status: self.0.wait().expect("can be waited for"), stderr }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
