//! A run that is asked to end publishes what is whole, says how to continue, and ends soon.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::job::{Ended, Job, Running, files, published};

/// Numbers that look random and are the same in every run.
struct Seeded(u64);

impl Seeded {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// S01: SIGINT, SIGTERM or SIGHUP in a hundred states: 130 or 143, the command to continue, and the same
/// bytes in the end.
#[test]
fn a_run_interrupted_in_any_state_says_how_to_continue_and_is_completed() {
    let job = Job::new();
    let (mut seeded, mut slowest, mut interrupted) = (Seeded(7), Duration::ZERO, 0);
    for n in 0.. {
        if interrupted >= 100 {
            break;
        }
        let out = job.out(format!("interrupted-{n}"));
        loop {
            let (signal, code) =
                [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 143)][seeded.below(3) as usize];
            let wanted = files(&out) + seeded.below(9) as usize;
            let mut run = Running::start(&mut job.convert(&out));
            let is_there = run.reaches(|| files(&out) >= wanted) && run.reaches_heeding();
            run.send(signal);
            let since = Instant::now();
            let ended = run.end();
            match ended.status.code() {
                Some(0) => break,
                found => assert!(is_there && found == Some(code), "{:?}: {}", ended.status, ended.stderr),
            }
            slowest = slowest.max(since.elapsed());
            interrupted += 1;
            says_how_to_continue(&ended, &out);
        }
        job.check(&out, "interrupted");
    }
    eprintln!("{interrupted} runs interrupted, the slowest ended after {} ms", slowest.as_millis());
    assert!(slowest < Duration::from_secs(20));
}

impl Running {
    fn reaches_heeding(&mut self) -> bool {
        let id = self.0.id();
        self.reaches(|| crate::job::heeds_signals(id))
    }
}

fn says_how_to_continue(ended: &Ended, out: &Path) {
    let lines: Vec<&str> = ended.stderr.lines().collect();
    // The first line is not said where the run has ended before it could be.
    let first = "dcmshard: ending: publishing whole shards; a second signal ends at once";
    let skipped = usize::from(lines.first() == Some(&first));
    assert_eq!(lines[skipped..].len(), 2, "{}", ended.stderr);
    assert_eq!(lines[skipped], "dcmshard: interrupted; the same command continues", "{}", ended.stderr);
    let last = lines.last().copied().unwrap_or_default();
    let program = format!("dcmshard: continue with: {} convert ", env!("CARGO_BIN_EXE_dcmshard"));
    assert!(last.starts_with(&program) && last.contains(&format!(" --out {} ", out.display())), "{last}");
}

/// The command that it says is the command: a shell that reads it completes the data set.
#[test]
fn the_command_to_continue_can_be_pasted_into_a_shell() {
    let job = Job::new();
    let out = job.out("it's a folder; $(ls)");
    let mut run = Running::start(&mut job.convert(&out));
    assert!(run.reaches(|| published(&out) >= 1) && run.reaches_heeding());
    run.send(Signal::INT);
    let ended = run.end();
    assert_eq!(ended.status.code(), Some(130), "{}", ended.stderr);
    let line = ended.stderr.lines().find_map(|line| line.strip_prefix("dcmshard: continue with: ")).expect("a command");
    let again = Command::new("sh").arg("-c").arg(line).output().expect("sh starts");
    assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stderr));
    job.check(&out, "continued by a shell");
}

/// `plan` heeds signals as well, and the same command continues it.
#[test]
fn planning_that_is_interrupted_is_continued() {
    let job = Job::new();
    let out = job.out("planning");
    let mut run = Running::start(&mut job.command("plan", &out, &[]));
    run.reaches_heeding();
    run.send(Signal::TERM);
    let ended = run.end();
    assert!(matches!(ended.status.code(), Some(0 | 143)), "{:?}: {}", ended.status, ended.stderr);
    let again = job.convert(&out).output().expect("the program starts");
    assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stderr));
    job.check(&out, "planned again");
}

/// A run whose disk hangs when the 14th Parquet file is begun: of twelve shards and their ledger parts, after
/// three files of the plan. None where there is no C compiler.
fn hanging(job: &Job, out: &Path, grace: &str) -> Option<Running> {
    let Some(library) = job.preloaded() else {
        eprintln!("skipped: a disk that hangs needs a C compiler");
        return None;
    };
    let mark = job.path("hangs");
    let mut convert = job.command("convert", out, &["--threads", "1", "--grace", grace]);
    let mut run = Running::start(convert.env("LD_PRELOAD", library).env("HANG_FROM", "14").env("HANG_MARK", &mark));
    assert!(run.reaches(|| mark.exists()), "it ended before its disk hung");
    Some(run)
}

/// S02: while the disk hangs, the second signal ends the run at once.
#[test]
fn the_second_signal_ends_the_run_at_once_whatever_the_disk_does() {
    let job = Job::new();
    let out = job.out("second");
    let Some(mut run) = hanging(&job, &out, "600") else { return };
    let stderr = run.0.stderr.take().expect("is a pipe");
    run.send(Signal::TERM);
    let mut said = String::new();
    BufReader::new(stderr).read_line(&mut said).expect("can be read");
    assert_eq!(said, "dcmshard: ending: publishing whole shards; a second signal ends at once\n");
    let since = Instant::now();
    run.send(Signal::TERM);
    let (ended, took) = (run.end(), since.elapsed());
    assert_eq!(ended.status.code(), Some(143), "{:?}", ended.status);
    assert!(took < Duration::from_secs(10), "{took:?}");
    let again = job.convert(&out).output().expect("the program starts");
    assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stderr));
    job.check(&out, "ended by a second signal");
}

/// S01: where the disk hangs, the run ends when its grace is over, and says how to continue.
#[test]
fn a_run_on_a_disk_that_hangs_ends_when_its_grace_is_over() {
    let job = Job::new();
    let out = job.out("grace");
    let Some(run) = hanging(&job, &out, "1") else { return };
    run.send(Signal::INT);
    let since = Instant::now();
    let ended = run.end();
    assert_eq!(ended.status.code(), Some(130), "{}", ended.stderr);
    assert!(since.elapsed() < Duration::from_secs(15), "{:?}", since.elapsed());
    assert!(ended.stderr.contains("dcmshard: not ended within 1 s: ending now"), "{}", ended.stderr);
    assert!(ended.stderr.contains("dcmshard: continue with: "), "{}", ended.stderr);
    let again = job.convert(&out).output().expect("the program starts");
    assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stderr));
    job.check(&out, "ended by its grace");
}

/// S03: a reader that goes away, a full disk for messages, or none at all: the run is unaffected.
#[test]
fn where_nothing_can_be_printed_the_run_goes_on() {
    let job = Job::new();
    let full = || Stdio::from(OpenOptions::new().write(true).open("/dev/full").expect("Linux has it"));
    let gone = || {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        Stdio::from(writer)
    };
    let kinds: [(&str, &dyn Fn() -> Stdio); 3] = [("full", &full), ("gone", &gone), ("null", &Stdio::null)];
    for (name, stdio) in kinds {
        let out = job.out(format!("unprinted-{name}"));
        let mut convert = job.command("convert", &out, &["-vv"]);
        let status = convert.stdout(stdio()).stderr(stdio()).status().expect("the program starts");
        assert_eq!(status.code(), Some(0), "{name}");
        job.check(&out, name);
    }
    // As JSON lines, and interrupted.
    let out = job.out("unprinted-json");
    let mut convert = Command::new(env!("CARGO_BIN_EXE_dcmshard"));
    convert.args(["convert", "--progress", "json", "--set", "output.rows_per_shard=2", "--set", "crop_pad.size=16"]);
    convert.arg(&job.source).arg("--out").arg(&out).arg("--key").arg(&job.key).stdout(full()).stderr(gone());
    let mut run = Running::start(&mut convert);
    assert!(run.reaches(|| published(&out) >= 1) && run.reaches_heeding());
    run.send(Signal::TERM);
    assert!(matches!(run.end().status.code(), Some(0 | 143)));
    let again = convert.status().expect("the program starts");
    assert_eq!(again.code(), Some(0));
    job.check(&out, "JSON that nobody reads");

    // What became of the table is said where it can be; the exit code is the data set's.
    let summary = job.convert(&out).stdout(full()).output().expect("the program starts");
    let stderr = String::from_utf8_lossy(&summary.stderr);
    assert_eq!(summary.status.code(), Some(0));
    assert!(stderr.contains("cannot write standard output: No space left on device"), "{stderr}");
    // A recipe is what `recipe` is for: half of one is a failure.
    let recipe = Command::new(env!("CARGO_BIN_EXE_dcmshard")).args(["recipe", "head"]).stdout(full()).status();
    assert_eq!(recipe.expect("the program starts").code(), Some(6));
    let recipe = Command::new(env!("CARGO_BIN_EXE_dcmshard")).args(["recipe", "head"]).stdout(gone()).status();
    assert_eq!(recipe.expect("the program starts").code(), Some(0));
}

/// S04: a run that stood still goes on as if nothing had happened.
#[test]
fn a_run_that_stands_still_for_a_while_goes_on() {
    let job = Job::new();
    let out = job.out("stopped");
    let mut run = Running::start(&mut job.convert(&out));
    for wanted in [0, 1, 4, 8] {
        // From then on it has the lock.
        if !run.reaches(|| out.join("plan").exists() && published(&out) >= wanted) || !run.stop() {
            break;
        }
        let stat = fs::read_to_string(format!("/proc/{}/stat", run.0.id())).expect("it is there");
        assert!(stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('T')), "{stat}");
        let before = (files(&out), published(&out));
        // While it stands still, nothing moves: other work may take as long as it likes.
        assert!(job.convert(&out).output().expect("the program starts").status.code() == Some(5));
        assert_eq!((files(&out), published(&out)), before);
        run.send(Signal::CONT);
    }
    let ended = run.end();
    assert!(ended.status.success(), "{}", ended.stderr);
    job.check(&out, "stood still");
}

/// A process that holds the key leaves no core behind.
#[test]
fn a_run_that_is_aborted_leaves_no_core() {
    let job = Job::new();
    let out = job.out("aborted");
    let mut run = Running::start(job.convert(&out).current_dir(job.path("")));
    assert!(run.reaches(|| published(&out) >= 1) && run.stop());
    let limits = fs::read_to_string(format!("/proc/{}/limits", run.0.id())).expect("it is there");
    let line = limits.lines().find(|line| line.starts_with("Max core file size")).expect("a limit");
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(words[4..6], ["0", "0"], "{line}");
    run.send(Signal::ABORT);
    run.send(Signal::CONT);
    let ended = run.end();
    assert!(!std::os::unix::process::ExitStatusExt::core_dumped(&ended.status), "{:?}", ended.status);
    drop(File::open(job.path("core")).expect_err("no core"));
}
