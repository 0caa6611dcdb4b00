//! Killed, or refused, at any system call that writes, on the real disk: strace counts the calls of a
//! run, then injects one fault at one of them. Skipped, and said so, where there is no strace or it may
//! not trace.
//!
//! strace counts calls by thread and kind, so one case is the n-th call of one kind in whichever thread
//! comes there first. The states that runs begin from (nothing, killed in the plan, killed between two
//! shards, killed before the manifest, damaged) make every thread the first one somewhere; a run of all
//! cases checks that every call of the program was the one that was hit.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use crate::oracle::{Job, copy, remove};
use crate::power_loss::every;

/// The calls that write, or decide what is written.
const KINDS: &str = "openat,write,pwrite64,fsync,fdatasync,sync_file_range,rename,renameat,renameat2,link,linkat,\
                     unlink,unlinkat,mkdir,mkdirat,close,ftruncate,fallocate,flock";
const FAULTS: [&str; 3] = ["signal=KILL", "error=EIO", "error=ENOSPC"];

const DAMAGED: &str = "damaged";

/// A small job of three shards.
fn job() -> Job {
    Job::new(6, 32, 2, &["--set", "crop_pad.size=16"])
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
    injected: bool,
}

impl Call {
    fn site(&self) -> (String, String) {
        (self.kind.clone(), self.about.clone())
    }
}

/// Runs the job into `out` with the calls `kinds` traced; `more` are arguments of strace.
fn trace(job: &Job, out: &Path, kinds: &str, more: &[&str]) -> Traced {
    let mut file = out.as_os_str().to_owned();
    file.push(".trace");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-y", "-s", "200", "-e", &format!("trace={kinds}")]).args(more);
    strace.arg("-o").arg(&file).arg(env!("CARGO_BIN_EXE_dcmshard")).args(job.arguments(out, 1));
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
            calls.push(Call { thread, kind: kind.to_owned(), number: *number, about, exact, injected });
        }
    }
    calls
}

/// The descriptors' paths, and the names that go with them, where they are about OUT or OUT.private.
fn paths(kind: &str, arguments: &str, out: &Path) -> String {
    let arguments = arguments.split(") = ").next().unwrap_or_default();
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
    if words.iter().any(|word| is_ours(&word)) || makes_ours || syncs_parent {
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
    out: PathBuf,
    calls: Vec<Call>,
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
        State { name, calls: Vec::new(), out }.counted(job)
    }

    /// Counts what a run from here on calls.
    fn counted(mut self, job: &Job) -> State {
        let out = job.out("counted");
        copy(&self.out, &out);
        let traced = trace(job, &out, KINDS, &[]);
        assert_eq!(traced.code, Some(0), "{}: {}", self.name, traced.stderr);
        job.check_complete(&out).expect("nothing disturbed it");
        self.calls = traced.calls;
        remove(&out);
        self
    }

    /// Kind and number of every call that some thread makes below OUT, and what is to be tried there. An
    /// error befalls each thread that comes so far; where one of them is loading a library then, or
    /// reading a source, the case would be another one.
    fn cases(&self) -> Vec<(&State, &'static str, String, usize)> {
        let mut places = BTreeMap::<(&str, usize), bool>::new();
        for call in &self.calls {
            let is_ours = !call.about.is_empty() || call.kind == "write";
            *places.entry((&call.kind, call.number)).or_insert(true) &= is_ours;
        }
        let ours = |kind, number| {
            self.calls.iter().any(|call| (&*call.kind, call.number) == (kind, number) && !call.about.is_empty())
        };
        let mut cases = Vec::new();
        for ((kind, number), all_ours) in places {
            let faults = FAULTS.iter().filter(|fault| all_ours || fault.starts_with("signal"));
            cases.extend(faults.filter(|_| ours(kind, number)).map(|fault| (self, *fault, kind.to_owned(), number)));
        }
        cases
    }
}

fn states(job: &Job) -> Vec<State> {
    let nothing = State { name: "first run", out: job.out("nothing"), calls: Vec::new() }.counted(job);
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
    states.push(State { name: "planned", out: planned, calls: Vec::new() }.counted(job));
    let damaged = job.out("state-damaged");
    copy(&job.out("undisturbed"), &damaged);
    let shard = |n: u32| damaged.join(format!("data/g000001/part-{n:08}.parquet"));
    fs::remove_file(shard(0)).expect("can be removed");
    fs::write(shard(1), "PAR1 torn").expect("can be written");
    fs::write(damaged.join("ledger/g000001/part-00000002.parquet"), "PAR1").expect("can be written");
    fs::write(damaged.join(".tmp/data-g000001-part-00000009.parquet.0123456789abcdef"), "x").expect("can be written");
    states.push(State { name: DAMAGED, out: damaged, calls: Vec::new() }.counted(job));
    states
}

/// One run from a state on with one fault at one call, and what it hit; then the same command again.
fn check(
    job: &Job,
    state: &State,
    out: &Path,
    (fault, kind, number): (&str, &str, usize),
) -> Result<Vec<Call>, String> {
    if state.out.exists() {
        copy(&state.out, out);
    }
    let began = Instant::now();
    let run = trace(job, out, KINDS, &["-e", &format!("inject={kind}:{fault}:when={number}")]);
    let hit: Vec<Call> = run.calls.into_iter().filter(|call| call.injected).collect();
    if state.name != DAMAGED {
        job.check_whole(out)?;
    }
    match (run.killed, run.code) {
        (true, _) if fault.starts_with("signal") => {}
        (false, Some(0)) => {
            let leaves_temp = hit.iter().any(|call| call.kind.starts_with("unlink"));
            if !leaves_temp {
                job.check_complete(out)?;
            }
        }
        (false, Some(6)) if fault.starts_with("error") => {
            let lines = run.stderr.lines().filter(|line| line.starts_with("dcmshard")).count();
            let is_told = run.stderr.contains("cannot ") || hit.iter().any(|call| call.about.is_empty());
            if lines > 1 || !is_told {
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
    let cases: Vec<_> = states.iter().flat_map(State::cases).collect();
    let all = cases.len();
    let step = every(25, 1);
    let cases: Vec<_> = cases.into_iter().enumerate().filter(|(n, _)| n % step == 7 % step).map(|(_, c)| c).collect();
    let (next, hits) = (AtomicUsize::new(0), Mutex::new(BTreeSet::new()));
    let deviations = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for thread in 0..2 {
            let (job, cases, next, hits, deviations) = (&job, &cases, &next, &hits, &deviations);
            scope.spawn(move || {
                while let Some((state, fault, kind, number)) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let out = job.out(&format!("out-{thread}"));
                    match check(job, state, &out, (fault, kind, *number)) {
                        Ok(hit) => hits.lock().expect("no panic").extend(hit.iter().map(Call::site)),
                        Err(deviation) => {
                            let words = format!("{}, {fault} at {kind} {number}: {deviation}", state.name);
                            deviations.lock().expect("no panic").push(words);
                        }
                    }
                    remove(&out);
                }
            });
        }
    });
    let hits = hits.into_inner().expect("no panic");
    let sites: BTreeSet<_> =
        states.iter().flat_map(|s| &s.calls).filter(|c| !c.about.is_empty()).map(Call::site).collect();
    let missed: Vec<_> = sites.difference(&hits).collect();
    eprintln!("{} cases of {all}, {} of {} calls hit", cases.len(), sites.len() - missed.len(), sites.len());
    assert_eq!(deviations.into_inner().expect("no panic"), [""; 0]);
    if step == 1 {
        assert!(missed.is_empty(), "never hit: {missed:?}");
    }
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
            assert!(began.elapsed().as_secs() < 5, "{case}: it went on for {:?}", began.elapsed());
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
