//! Killed, or refused, at any system call that writes, on the real disk: strace counts the calls of a
//! run, then injects one fault at one of them. Skipped, and said so, where there is no strace or it may
//! not trace.
//!
//! strace counts by thread and kind, so the n-th call of a kind is that of whichever thread comes there
//! first. Calls on one path are told apart from all others, but the names of temporary files are random.
//! So the program is killed by number; and the same conversion, run by this test binary over a disk that
//! gives temporary files names of their own, is killed and refused at each call on each path.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use dcmshard::convert::Conversion;
use dcmshard::options::Options;
use dcmshard::recipe::Recipe;
use dcmshard::runner::Cancel;
use dcmshard::sink::disk::Disk;
use dcmshard::sink::storage::{Lock, Room, Share, Storage, StoredFile};

use crate::oracle::{Job, copy, remove};
use crate::power_loss::every;

/// The calls that write, or decide what is written.
const KINDS: &str = "openat,write,pwrite64,fsync,fdatasync,sync_file_range,rename,renameat,renameat2,link,linkat,\
                     unlink,unlinkat,mkdir,mkdirat,close,ftruncate,fallocate,flock";
const KILL: &str = "signal=KILL";

/// Environment of the traced test: OUT, and SOURCE.
const CHILD: &str = "DCMSHARD_TEST_OUT";
const SOURCE: &str = "DCMSHARD_TEST_SOURCE";

const DAMAGED: &str = "damaged";

const SETTINGS: [&str; 2] = ["output.rows_per_shard=2", "crop_pad.size=16"];

/// A small job of three shards.
fn job() -> Job {
    Job::new(6, 32, 2, &["--set", SETTINGS[1]])
}

/// A job of twelve shards: more calls in the committer's thread than libraries and sources take elsewhere.
fn long_job() -> Job {
    Job::new(24, 32, 2, &["--set", "crop_pad.size=16"])
}

/// Whether strace is there and may trace; says so where not.
fn can_trace() -> bool {
    let traced = Command::new("strace").args(["-f", "-qq", "-o", "/dev/null", "true"]).output();
    let can = traced.is_ok_and(|output| output.status.success());
    if !can {
        eprintln!("skipped: strace is not here, or may not trace");
    }
    can
}

/// A run under strace.
struct Traced {
    code: Option<i32>,
    killed: bool,
    stderr: String,
    calls: Vec<Call>,
}

/// One line of a trace.
#[derive(Clone, Debug)]
struct Call {
    thread: String,
    kind: String,
    /// Its place among the thread's calls of its kind, from 1.
    number: usize,
    /// What it is about: paths below OUT and OUT.private, without what is random in them.
    about: String,
    /// The same with what is random.
    exact: String,
    /// What strace's `-P` knows it by: the path of its descriptor, or the name that it is given.
    path: String,
    injected: bool,
}

impl Call {
    fn site(&self) -> (String, String) {
        (self.kind.clone(), self.about.clone())
    }
}

/// Who converts: the program, or this test binary over [`NamedDisk`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Program,
    Library,
}

/// Runs the job into `out` with the calls `kinds` traced; `more` are arguments of strace.
fn trace(job: &Job, out: &Path, kinds: &str, more: &[&str]) -> Traced {
    trace_of(Who::Program, job, out, kinds, more)
}

fn trace_of(who: Who, job: &Job, out: &Path, kinds: &str, more: &[&str]) -> Traced {
    let mut file = out.as_os_str().to_owned();
    file.push(".trace");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-y", "-s", "200", "-e", &format!("trace={kinds}")]).args(more);
    strace.arg("-o").arg(&file);
    match who {
        Who::Program => strace.arg(env!("CARGO_BIN_EXE_dcmshard")).args(job.arguments(out, 1)),
        Who::Library => {
            let binary = std::env::current_exe().expect("this test");
            let child = "syscalls::is_what_a_traced_test_runs";
            strace.arg(binary).args([child, "--exact", "--nocapture"]).env(CHILD, out).env(SOURCE, &job.source)
        }
    };
    strace.stdin(Stdio::null()).stdout(Stdio::null());
    let output = strace.output().expect("strace starts");
    let lines = String::from_utf8_lossy(&fs::read(&file).expect("a trace")).into_owned();
    fs::remove_file(&file).expect("can be removed");
    let (code, killed) = (output.status.code(), output.status.signal() == Some(9));
    Traced { code, killed, stderr: String::from_utf8_lossy(&output.stderr).into_owned(), calls: calls(&lines, out) }
}

fn calls(lines: &str, out: &Path) -> Vec<Call> {
    let (mut counts, mut calls) = (BTreeMap::<(String, String), usize>::new(), Vec::<Call>::new());
    for line in lines.lines() {
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let (thread, rest, injected) = (thread.to_owned(), rest.trim_start(), line.contains("(INJECTED)"));
        if rest.starts_with("<...") {
            // The end of a call whose beginning stands above.
            let begun = calls.iter_mut().rev().find(|call| call.thread == thread);
            begun.into_iter().for_each(|call| call.injected |= injected);
        } else if rest.starts_with("+++ killed") {
            let last = calls.iter_mut().rev().find(|call| call.thread == thread);
            last.into_iter().for_each(|call| call.injected = true);
        } else if let Some((kind, arguments)) = rest.split_once('(')
            && !rest.starts_with("+++")
        {
            let number = counts.entry((thread.clone(), kind.to_owned())).or_default();
            *number += 1;
            let exact = paths(kind, arguments, out);
            let about = without_random(&exact);
            let path = chosen_by(kind, arguments);
            calls.push(Call { thread, kind: kind.to_owned(), number: *number, about, exact, path, injected });
        }
    }
    calls
}

fn chosen_by(kind: &str, arguments: &str) -> String {
    let by_descriptor = ["write", "pwrite64", "fsync", "fdatasync", "close", "flock", "ftruncate"].contains(&kind)
        // There is a folder of a generation in each of three.
        || kind == "mkdirat" && arguments.contains(", \"g0");
    let (begin, end) = if by_descriptor { ('<', '>') } else { ('"', '"') };
    let word = arguments.split_once(begin).and_then(|(_, rest)| rest.split_once(end));
    word.map(|(word, _)| word.to_owned()).unwrap_or_default()
}

/// The descriptors' paths, and the names that go with them, where something is written in OUT or
/// OUT.private; else nothing.
fn paths(kind: &str, arguments: &str, out: &Path) -> String {
    if kind == "openat" && !arguments.contains("O_CREAT") {
        return String::new(); // reads, or looks for a folder
    }
    let arguments = arguments.split(") = ").next().unwrap_or_default().trim_end_matches("<unfinished ...>");
    let mut words = Vec::new();
    let mut rest = arguments;
    while let Some(at) = rest.find(['<', '"']) {
        let end = if rest[at..].starts_with('<') { '>' } else { '"' };
        let Some(length) = rest[at + 1..].find(end) else { break };
        if !(end == '"' && kind.contains("write")) {
            words.push(&rest[at + 1..at + 1 + length]);
        }
        rest = &rest[at + length + 2..];
    }
    let (parent, name) = (out.parent().expect("has one").display().to_string(), out.file_name().expect("has one"));
    let name = name.to_string_lossy();
    let is_ours = |word: &&str| word.starts_with(&format!("{parent}/{name}"));
    let makes_ours = kind.starts_with("mkdir") && words.last().is_some_and(|word| word.starts_with(&*name));
    let syncs_parent = kind == "fsync" && words.first().is_some_and(|word| **word == parent);
    if words.iter().any(is_ours) || makes_ours || syncs_parent {
        words.join(" ").replace(&format!("{parent}/{name}"), "OUT").replace(&parent, "..").replace(&*name, "OUT")
    } else {
        String::new()
    }
}

/// Without what follows a dot and is 16 hexadecimal digits.
fn without_random(words: &str) -> String {
    let pieces = words.split('.').map(|piece| {
        let digits = piece.bytes().take_while(u8::is_ascii_hexdigit).count();
        if digits == 16 { &piece[16..] } else { piece }
    });
    pieces.collect::<Vec<_>>().join(".")
}

/// Where runs begin: a name, and OUT as it is then.
struct State {
    name: &'static str,
    /// The same place for every run: paths are told apart by name.
    out: PathBuf,
    calls: Vec<Call>,
    library_calls: Vec<Call>,
}

impl State {
    /// As it is left by a run that is killed at the `number`-th call (from 1) that this says of.
    fn killed(job: &Job, name: &'static str, at: fn(&Call) -> bool, number: usize) -> State {
        let out = job.out(&format!("state-{}", name.replace(' ', "-")));
        // Kills where the undisturbed run had such a call: by the count of its own thread.
        let undisturbed = trace(job, &out, KINDS, &[]);
        remove(&out);
        let call = undisturbed.calls.iter().filter(|call| at(call)).nth(number - 1).expect("has such a call");
        let inject = format!("inject={}:signal=KILL:when={}", call.kind, call.number);
        assert!(trace(job, &out, KINDS, &["-e", &inject]).killed, "{name}");
        State { name, calls: Vec::new(), library_calls: Vec::new(), out }.counted(job)
    }

    /// Counts what a run from here on calls.
    fn counted(mut self, job: &Job) -> State {
        let out = job.out("out-0");
        for who in [Who::Program, Who::Library] {
            copy(&self.out, &out);
            let traced = trace_of(who, job, &out, KINDS, &[]);
            assert_eq!(traced.code, Some(0), "{}: {}", self.name, traced.stderr);
            job.check_complete(&out).expect("nothing disturbed it");
            remove(&out);
            match who {
                Who::Program => self.calls = traced.calls,
                Who::Library => self.library_calls = traced.calls,
            }
        }
        self
    }

    /// Kind and number of every call that some thread makes below OUT.
    fn numbers(&self) -> Vec<Case<'_>> {
        let ours = self.calls.iter().filter(|call| !call.about.is_empty());
        let places: BTreeSet<_> = ours.map(|call| (call.kind.as_str(), call.number)).collect();
        let case = |(kind, number)| Case { state: self, who: Who::Program, fault: KILL, kind, path: None, number };
        places.into_iter().map(case).collect()
    }

    /// Every call of the library below OUT, by its path and its number among those, and each fault.
    fn paths(&self) -> Vec<Case<'_>> {
        let mut counts = BTreeMap::<(&str, &str, &str), usize>::new();
        let mut places = BTreeSet::new();
        for call in self.library_calls.iter().filter(|call| !call.about.is_empty()) {
            let number = counts.entry((&call.thread, &call.kind, &call.path)).or_default();
            *number += 1;
            places.insert((call.kind.as_str(), call.path.as_str(), *number));
        }
        let mut cases = Vec::new();
        for (kind, path, number) in places {
            let case = |fault| Case { state: self, who: Who::Library, fault, kind, path: Some(path), number };
            cases.extend([KILL, "error=EIO", "error=ENOSPC"].map(case));
        }
        cases
    }
}

/// One fault at one call of a run.
#[derive(Clone, Copy)]
struct Case<'a> {
    state: &'a State,
    who: Who,
    fault: &'static str,
    kind: &'a str,
    path: Option<&'a str>,
    number: usize,
}

impl std::fmt::Display for Case<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (state, path) = (self.state.name, self.path.unwrap_or_default());
        write!(f, "{:?}, {state}, {} at {} {} {path}", self.who, self.fault, self.kind, self.number)
    }
}

fn states(job: &Job) -> Vec<State> {
    let nothing =
        State { name: "first run", out: job.out("nothing"), calls: Vec::new(), library_calls: Vec::new() }.counted(job);
    let plan = |call: &Call| call.kind == "renameat2" && call.about.contains("plan-g000001-seg");
    let data = |call: &Call| call.kind == "fsync" && call.about.contains("data-g000001-part-00000001");
    let manifest = |call: &Call| call.kind == "renameat2" && call.about.contains("manifest");
    let mut states = vec![
        nothing,
        State::killed(job, "after a kill in the plan", plan, 1),
        State::killed(job, "after a kill between ledger part and shard", data, 1),
        State::killed(job, "after a kill before the manifest", manifest, 1),
    ];
    // Planned, and every shard to be made: the sink's and the committer's calls are the first ones.
    let planned = job.out("state-planned");
    copy(&job.out("undisturbed"), &planned);
    for folder in ["data", "ledger/g000001", "manifest"] {
        let parts = |name: &str| folder != "ledger/g000001" || name.starts_with("part-");
        let files = walkdir::WalkDir::new(planned.join(folder)).into_iter().flatten().map(walkdir::DirEntry::into_path);
        let names = files.filter(|path| path.is_file() && parts(&path.file_name().expect("has one").to_string_lossy()));
        names.collect::<Vec<_>>().iter().for_each(|path| fs::remove_file(path).expect("can be removed"));
    }
    states.push(State { name: "planned", out: planned, calls: Vec::new(), library_calls: Vec::new() }.counted(job));
    let damaged = job.out("state-damaged");
    copy(&job.out("undisturbed"), &damaged);
    let shard = |n: u32| damaged.join(format!("data/g000001/part-{n:08}.parquet"));
    fs::remove_file(shard(0)).expect("can be removed");
    fs::write(shard(1), "PAR1 torn").expect("can be written");
    fs::write(damaged.join("ledger/g000001/part-00000002.parquet"), "PAR1").expect("can be written");
    fs::write(damaged.join(".tmp/data-g000001-part-00000009.parquet.0123456789abcdef"), "x").expect("can be written");
    states.push(State { name: DAMAGED, out: damaged, calls: Vec::new(), library_calls: Vec::new() }.counted(job));
    states
}

/// One run from a state on with one fault at one call, and what it hit; then the same command again.
fn check(job: &Job, out: &Path, case: &Case<'_>) -> Result<Vec<Call>, String> {
    copy(&case.state.out, out);
    let inject = format!("inject={}:{}:when={}", case.kind, case.fault, case.number);
    // Paths were seen with another OUT.
    let path = case.path.map(|path| path.replace(&*job.out("out-0").to_string_lossy(), &out.to_string_lossy()));
    let of_path: Vec<&str> = path.iter().flat_map(|path| ["-P", path]).collect();
    let began = Instant::now();
    let run = trace_of(case.who, job, out, KINDS, &[&["-e", &inject], &of_path[..]].concat());
    let hit: Vec<Call> = run.calls.into_iter().filter(|call| call.injected).collect();
    if case.state.name != DAMAGED {
        job.check_whole(out)?;
    }
    match (run.killed, run.code) {
        (true, _) if case.fault == KILL => {}
        (false, Some(0)) => {
            // A temp file that could not be removed is the next run's to remove.
            if !hit.iter().any(|call| call.kind.starts_with("unlink")) {
                job.check_complete(out)?;
            }
        }
        (false, Some(6)) if case.fault != KILL => {
            let said = run.stderr.lines().filter(|line| line.starts_with("dcmshard: ")).count();
            if said != 1 || !run.stderr.contains("cannot ") {
                return Err(format!("not one line: {}", run.stderr));
            }
            if began.elapsed().as_secs() >= 20 {
                return Err("it took more than 20 s to say so".to_owned());
            }
        }
        (_, code) => return Err(format!("ended with {code:?}: {}", run.stderr)),
    }
    job.check_completes(out)?;
    Ok(hit)
}

/// K01, K02, K03, K04, D01, and D03 with EIO: each call x fault x state.
#[test]
fn killed_or_refused_at_any_system_call_that_writes_the_same_command_completes_the_same_bytes() {
    if !can_trace() {
        return;
    }
    let job = job();
    let states = states(&job);
    let cases: Vec<_> = states.iter().flat_map(|state| [state.numbers(), state.paths()]).flatten().collect();
    let all = cases.len();
    let step = every(60, 1);
    let cases: Vec<_> = cases.into_iter().skip(7 % step).step_by(step).collect();
    let (next, hits) = (AtomicUsize::new(0), Mutex::new(BTreeSet::new()));
    let deviations = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for thread in 0..2 {
            let (job, cases, next, hits, deviations) = (&job, &cases, &next, &hits, &deviations);
            scope.spawn(move || {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let out = job.out(&format!("out-{thread}"));
                    match check(job, &out, case) {
                        Ok(hit) => hits.lock().expect("no panic").extend(hit.iter().map(Call::site)),
                        Err(deviation) => deviations.lock().expect("no panic").push(format!("{case}: {deviation}")),
                    }
                    remove(&out);
                }
            });
        }
    });
    let hits = hits.into_inner().expect("no panic");
    let calls = states.iter().flat_map(|state| [&state.calls, &state.library_calls]).flatten();
    let sites: BTreeSet<_> = calls.filter(|call| !call.about.is_empty()).map(Call::site).collect();
    let missed: Vec<_> = sites.difference(&hits).collect();
    eprintln!("{} cases of {all}, {} of {} calls hit", cases.len(), sites.len() - missed.len(), sites.len());
    assert_eq!(deviations.into_inner().expect("no panic"), [""; 0]);
    if step == 1 {
        assert!(missed.is_empty(), "never hit: {missed:?}");
    }
}

/// The disk of the machine, on which temporary files have names that can be told beforehand.
#[derive(Debug, Default)]
struct NamedDisk(Disk);

/// The path without what is random in it.
fn named(path: &Path) -> PathBuf {
    let is_random = |end: &str| end.len() == 16 && end.bytes().all(|byte| byte.is_ascii_hexdigit());
    match path.extension().and_then(|end| end.to_str()) {
        Some(end) if is_random(end) => path.with_extension("0000000000000000"),
        _ => path.to_owned(),
    }
}

impl Storage for NamedDisk {
    fn open_root(&self, root: &Path) -> io::Result<()> {
        self.0.open_root(root)
    }
    fn is_in_place(&self, root: &Path) -> io::Result<bool> {
        self.0.is_in_place(root)
    }
    fn device(&self, folder: &Path) -> io::Result<u64> {
        self.0.device(folder)
    }
    fn make_folder(&self, folder: &Path, mode: u32) -> io::Result<()> {
        self.0.make_folder(folder, mode)
    }
    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.0.sync_folder(folder)
    }
    fn list(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        self.0.list(folder)
    }
    fn create(&self, file: &Path, mode: u32) -> io::Result<Box<dyn StoredFile>> {
        self.0.create(&named(file), mode)
    }
    fn open(&self, file: &Path) -> io::Result<Box<dyn StoredFile>> {
        self.0.open(&named(file))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.rename(&named(from), &named(to))
    }
    fn rename_no_replace(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.rename_no_replace(&named(from), to)
    }
    fn unlink(&self, file: &Path) -> io::Result<()> {
        // What a sweep finds has its own name.
        self.0.unlink(file).or_else(|_| self.0.unlink(&named(file)))
    }
    fn remove_unheld(&self, file: &Path) -> io::Result<bool> {
        self.0.remove_unheld(file)
    }
    fn lock(&self, file: &Path, mode: u32, share: Share) -> io::Result<Box<dyn Lock>> {
        self.0.lock(file, mode, share)
    }
    fn room(&self, folder: &Path) -> io::Result<Room> {
        self.0.room(folder)
    }
}

/// No test of its own: what [`Who::Library`] traces. Ends the process as the program ends.
#[test]
#[allow(clippy::exit)]
fn is_what_a_traced_test_runs() {
    let (Some(out), Some(source)) = (std::env::var_os(CHILD), std::env::var_os(SOURCE)) else { return };
    let key_file = Some(Path::new(&source).with_file_name("key"));
    let recipe = Recipe::from_toml("", &SETTINGS.map(str::to_owned)).expect("sound");
    let options = Options { key_file, ..crate::line::options(1, 4, 2048) };
    let opened = Conversion::open_on(Arc::new(NamedDisk::default()), &[source], Path::new(&out), &recipe, &options);
    let ended = opened.and_then(|conversion| conversion.run(&Cancel::default()));
    let code = match &ended {
        Ok(summary) => summary.exit_code(),
        Err(error) => {
            let _ = writeln!(io::stderr(), "dcmshard: {error}");
            error.exit_code()
        }
    };
    std::process::exit(code as i32);
}

/// Where a call of this kind on a shard's temp file is: its number in its thread. One at which no other
/// thread is loading a library or reading a source.
fn on_a_shard(job: &Job, kind: &str) -> usize {
    let out = job.out("counted");
    without_shards(job, &out);
    let traced = trace(job, &out, KINDS, &[]);
    remove(&out);
    let of_kind: Vec<_> = traced.calls.iter().filter(|call| call.kind == kind).collect();
    let alone = |at: &Call| of_kind.iter().all(|call| call.number != at.number || !call.about.is_empty());
    let found =
        of_kind.iter().find(|call| call.about.contains("data-g000001-part") && (kind == "write" || alone(call)));
    found.unwrap_or_else(|| panic!("{kind} of a shard alone")).number
}

/// A data set that lacks its shards.
fn without_shards(job: &Job, out: &Path) {
    copy(&job.out("undisturbed"), out);
    fs::remove_dir_all(out.join("data")).expect("can be removed");
}

/// D03, D04: no file is synced again after its sync had failed; what fails for ever is said at once.
#[test]
fn a_shard_that_is_refused_ends_the_run_with_exit_code_6_once_or_for_ever() {
    if !can_trace() {
        return;
    }
    let job = long_job();
    for kind in ["write", "fsync", "renameat2", "close"] {
        let number = on_a_shard(&job, kind);
        for (error, ever) in [("EDQUOT", ""), ("EROFS", ""), ("EIO", ""), ("EIO", "+"), ("ENOSPC", "+")] {
            let (out, case) = (job.out("refused"), format!("{error} at {kind} {number}{ever}"));
            without_shards(&job, &out);
            let began = Instant::now();
            let run = trace(&job, &out, KINDS, &["-e", &format!("inject={kind}:error={error}:when={number}{ever}")]);
            // A file's sync that fails once with EIO is made up for by a copy (D05); a folder's is not.
            let mut hit = run.calls.iter().filter(|call| call.injected);
            let made_up =
                kind == "fsync" && error == "EIO" && ever.is_empty() && hit.all(|c| c.about.contains("part-"));
            assert_eq!(run.code, Some(if made_up { 0 } else { 6 }), "{case}: {}", run.stderr);
            assert!(began.elapsed().as_secs() < 20, "{case}: it went on for {:?}", began.elapsed());
            let failed = run.calls.iter().position(|call| call.injected).expect("was hit");
            let file = &run.calls[failed].exact;
            let again = |call: &&Call| kind == "fsync" && call.kind == "fsync" && &call.exact == file;
            assert_eq!(run.calls[failed + 1..].iter().filter(again).count(), 0, "{case}: synced again");
            job.check_whole(&out).expect(&case);
            job.check_completes(&out).expect(&case);
            remove(&out);
        }
    }
}

/// D07
#[test]
fn interrupted_reads_and_writes_are_taken_up_again() {
    if !can_trace() {
        return;
    }
    let job = job();
    let files = walkdir::WalkDir::new(&job.source).into_iter().flatten().map(walkdir::DirEntry::into_path);
    let files: Vec<String> = files.filter(|path| path.is_file()).map(|path| path.display().to_string()).collect();
    let of_sources: Vec<&str> = files.iter().flat_map(|path| ["-P", path]).collect();
    let reads = [&of_sources[..], &["-e", "inject=read,pread64:error=EINTR:when=1+3"]].concat();
    let writes = ["-e", "inject=write:error=EINTR:when=1+3"];
    for (kinds, more) in [("read,pread64", &reads[..]), ("write", &writes[..])] {
        let out = job.out("interrupted");
        let run = trace(&job, &out, kinds, more);
        assert_eq!(run.code, Some(0), "{kinds}: {}", run.stderr);
        assert!(run.calls.iter().filter(|call| call.injected).count() > 3, "{kinds}: interrupted");
        job.check_complete(&out).expect(kinds);
        remove(&out);
    }
}

/// D09: nothing is ever copied in place of a rename.
#[test]
fn a_rename_to_another_file_system_is_refused_with_words() {
    if !can_trace() {
        return;
    }
    let job = long_job();
    let out = job.out("elsewhere");
    let number = on_a_shard(&job, "renameat2");
    without_shards(&job, &out);
    let run = trace(&job, &out, KINDS, &["-e", &format!("inject=renameat2:error=EXDEV:when={number}+")]);
    assert_eq!(run.code, Some(6), "{}", run.stderr);
    assert!(run.stderr.contains("cross-device") || run.stderr.contains("device"), "{}", run.stderr);
    job.check_completes(&out).expect("the same command");
}
