//! An input that takes the process down costs one restart and itself, and nothing else.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use dcmshard::convert::{Conversion, Summary};
use dcmshard::error::Error;
use dcmshard::options::Options;
use dcmshard::reason::Reason;
use dcmshard::recipe::Recipe;
use dcmshard::runner::Cancel;
use dcmshard::sink::ledger::{self, LedgerRow};
use dcmshard::suspects::TrialCommand;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::cli::dcmshard;
use crate::line::{Tested, hashes, options};
use crate::made::{Ct, key};

const ABORTED: Option<i32> = Some(6);

/// An archive, its key, and folders for data sets.
struct Place(TempDir);

impl Place {
    fn with(slices: impl IntoIterator<Item = Ct>) -> Place {
        let place = Place(tempfile::tempdir().expect("a temporary folder"));
        for (n, ct) in (0..).zip(slices) {
            ct.with_uid(n).write(&place.path(&format!("src/{n}.dcm")));
        }
        fs::write(place.path("key"), key().bytes()).expect("can be written");
        place
    }

    /// Twelve small slices.
    fn small() -> Vec<Ct> {
        (0..12).map(|n| Ct::head(64, 20.0, 12.0 + f64::from(n % 5), f64::from(n))).collect()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn arguments(&self, out: &Path, threads: &str) -> Vec<String> {
        let [src, out, key] = [&self.path("src"), out, &self.path("key")].map(|path| path.display().to_string());
        let fixed = ["convert", &src, "--out", &out, "--key", &key, "--threads", threads];
        let more = ["--set", "output.rows_per_shard=5", "--progress", "none"];
        fixed.into_iter().chain(more).map(str::to_owned).collect()
    }

    fn convert(&self, out: &Path) -> Output {
        dcmshard(&self.arguments(out, "2").iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// As [`Place::convert`], by a shell that gives it so much address space.
    fn convert_within(&self, out: &Path, threads: &str, mib: u32) -> Output {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &format!("ulimit -c 0; ulimit -v {}; exec \"$0\" \"$@\"", mib << 10)]);
        command.arg(env!("CARGO_BIN_EXE_dcmshard")).args(self.arguments(out, threads));
        // One arena for all threads: how many there are shall not matter.
        command.env("MALLOC_ARENA_MAX", "1").output().expect("there is a shell")
    }

    /// A run in this process, which tries suspects with a script.
    fn convert_trying(&self, out: &Path, script: &str, cancel: &Cancel) -> Result<Summary, Error> {
        let recipe = Recipe::from_toml("", &["output.rows_per_shard=5".to_owned()])?;
        let options = Options { key_file: Some(self.path("key")), ..options(2, 4, 256) };
        let conversion = Conversion::open(&[self.path("src")], out, &recipe, &options)?;
        conversion.trying_suspects_with(shell(script)).run(cancel)
    }

    /// A finished conversion whose second shard is then gone, as is what told of it; and a dead process
    /// that was working on one of its slices. Gives back what there was.
    fn with_a_suspect(&self, name: &str) -> (PathBuf, BTreeMap<String, String>, LedgerRow) {
        let out = self.path(name);
        let output = self.convert(&out);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let undisturbed = hashes(&out);
        let part = out.join("ledger/g000001/part-00000001.parquet");
        let suspect = ledger::read(&part).expect("a ledger part").remove(2);
        fs::remove_file(&part).expect("can be removed");
        fs::remove_file(out.join("data/g000001/part-00000001.parquet")).expect("can be removed");
        fs::write(in_flight(&out).join("dead"), slot(&suspect)).expect("can be written");
        (out, undisturbed, suspect)
    }
}

fn shell(script: &str) -> TrialCommand {
    TrialCommand { program: "/bin/sh".into(), arguments: vec!["-c".into(), script.into()] }
}

fn in_flight(out: &Path) -> PathBuf {
    out.with_file_name(format!("{}.private/in-flight", out.file_name().expect("a name").display()))
}

/// What a thread says of the slice that it works on.
fn slot(row: &LedgerRow) -> Vec<u8> {
    let mut slot = vec![1, 0, 0, 0, 0, 0, 0, 0];
    slot.extend(row.ordinal.expect("planned").to_le_bytes());
    slot.extend(row.frame.expect("a slice").to_le_bytes());
    slot.extend(row.source_id.0);
    slot.resize(64, 0);
    slot
}

fn count(folder: PathBuf) -> usize {
    fs::read_dir(folder).expect("can be listed").count()
}

fn condemned(out: &Path) -> usize {
    let names = fs::read_dir(out.join("plan/g000001")).expect("can be listed").flatten();
    names.filter(|entry| entry.file_name().as_encoded_bytes().starts_with(b"condemned-")).count()
}

fn crashes(out: &Path) -> Vec<LedgerRow> {
    let parts = crate::shards::parquet_files(&out.join("ledger"));
    let rows = parts.iter().flat_map(|part| ledger::read(part).expect("a ledger part"));
    rows.filter(|row| row.reason == Some(Reason::DecoderCrash)).collect()
}

/// K08: memory that is not given aborts the process; the next start rejects the one slice, with the same
/// bytes on any number of threads, and the third changes nothing.
#[test]
fn a_slice_that_memory_does_not_suffice_for_costs_one_restart_and_itself() {
    let large = Ct { stored: vec![40; 1 << 24], ..Ct::empty(4096, 4096) };
    let place = Place::with(Place::small().into_iter().chain([large]));
    let mut seen = Vec::new();
    for threads in ["1", "3"] {
        let out = place.path(&format!("out-{threads}"));
        let ended: Vec<Output> = (0..3).map(|_| place.convert_within(&out, threads, 90)).collect();
        let say = || ended.iter().map(|e| String::from_utf8_lossy(&e.stderr)).collect::<String>();
        assert_eq!(ended[0].status.signal(), ABORTED, "{}", say());
        assert!(ended[1].status.success() && ended[2].status.success(), "{}", say());
        assert!(ended[2].stderr.is_empty(), "{}", say());
        assert_eq!((crashes(&out).len(), condemned(&out), count(in_flight(&out))), (1, 1, 0));
        assert_eq!(crate::shards::rows(&out).len(), 12, "its neighbours are written");
        let found = String::from_utf8_lossy(&ended[2].stdout).into_owned();
        assert!(found.contains("found 13 = written 12 + rejected 1"), "{found}");
        let verified = dcmshard(&["verify", &out.display().to_string(), "--read-data"]);
        assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
        seen.push(hashes(&out));
    }
    assert_eq!(seen[0], seen[1]);
}

/// Wherever between too little and enough the memory is, there is no crash loop: one restart, and either
/// all slices, with the bytes that they always have, or all but the large one.
#[test]
fn whatever_the_memory_the_second_start_completes() {
    let large = Ct { stored: vec![40; 1 << 24], ..Ct::empty(4096, 4096) };
    let place = Place::with(Place::small().into_iter().chain([large]));
    let enough = place.path("enough");
    assert!(place.convert(&enough).status.success());
    for (mib, threads) in [(110, "4"), (125, "1"), (130, "4"), (138, "1"), (150, "2")] {
        let out = place.path(&format!("out-{mib}"));
        let first = place.convert_within(&out, threads, mib);
        if !first.status.success() {
            assert_eq!(first.status.signal(), ABORTED, "{mib} MiB");
            let second = place.convert_within(&out, threads, mib);
            assert!(second.status.success(), "{mib} MiB: {}", String::from_utf8_lossy(&second.stderr));
        }
        assert!(crashes(&out).len() == 1 || hashes(&out) == hashes(&enough), "{mib} MiB");
    }
}

/// K07: SIGKILL of the child alone, once: its second trial is the true one, and gives the true bytes.
#[test]
fn a_child_that_is_killed_once_condemns_nobody() -> Tested {
    let place = Place::with(Place::small());
    let (out, undisturbed, _) = place.with_a_suspect("out");
    let (mark, program) = (place.path("mark"), env!("CARGO_BIN_EXE_dcmshard"));
    let mark = mark.display();
    let script = format!("test -e '{mark}' && exec '{program}' try-slice; touch '{mark}'; kill -9 $$");
    let summary = place.convert_trying(&out, &script, &Cancel::default())?;
    assert_eq!(summary.tally.reasons.get(&Reason::DecoderCrash), None);
    assert_eq!((hashes(&out), condemned(&out), count(in_flight(&out))), (undisturbed, 0, 0));
    Ok(())
}

/// K07: SIGKILL of the child alone, twice. And for good: whoever makes the shard again makes the same.
#[test]
fn a_child_that_is_killed_twice_condemns_its_slice_for_good() -> Tested {
    let place = Place::with(Place::small());
    let (out, undisturbed, suspect) = place.with_a_suspect("out");
    let summary = place.convert_trying(&out, "kill -9 $$", &Cancel::default())?;
    assert_eq!(summary.tally.reasons[&Reason::DecoderCrash], 1);
    assert_eq!((condemned(&out), count(in_flight(&out))), (1, 0));
    let rejected = crashes(&out);
    assert_eq!(rejected.len(), 1);
    assert_eq!((rejected[0].ordinal, rejected[0].source_id), (suspect.ordinal, suspect.source_id));
    let now = hashes(&out);
    let others = |(name, _): &(&String, &String)| !name.contains("part-00000001");
    assert!(now.iter().filter(others).eq(undisturbed.iter().filter(others)), "its neighbours are what they were");

    for folder in ["data", "ledger"] {
        fs::remove_file(out.join(folder).join("g000001/part-00000001.parquet"))?;
    }
    let again = place.convert(&out);
    assert!(again.status.success() && again.stderr.is_empty(), "{}", String::from_utf8_lossy(&again.stderr));
    assert_eq!(hashes(&out), now);
    let verified = dcmshard(&["verify", &out.display().to_string(), "--read-data"]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
    Ok(())
}

/// Waits until a trial has written its process id.
fn child_in(mark: &Path) -> Pid {
    loop {
        let written = fs::read_to_string(mark).unwrap_or_default();
        if let Some(pid) = written.strip_suffix('\n').and_then(|pid| Pid::from_raw(pid.parse().ok()?)) {
            return pid;
        }
        std::thread::yield_now();
    }
}

#[test]
fn a_run_that_is_asked_to_end_while_it_tries_condemns_nobody() -> Tested {
    let place = Place::with(Place::small());
    let (out, undisturbed, _) = place.with_a_suspect("out");
    let (mark, cancel) = (place.path("mark"), Cancel::default());
    let script = format!("echo $$ > '{}'; exec sleep 1000", mark.display());
    let ended = std::thread::scope(|scope| {
        scope.spawn(|| {
            child_in(&mark);
            cancel.request(dcmshard::error::ExitCode::Terminated);
        });
        place.convert_trying(&out, &script, &cancel)
    });
    assert!(matches!(ended, Err(Error::Interrupted(_))), "{ended:?}");
    assert_eq!((condemned(&out), count(in_flight(&out))), (0, 1));
    assert!(place.convert(&out).status.success());
    assert_eq!((hashes(&out), condemned(&out), count(in_flight(&out))), (undisturbed, 0, 0));
    Ok(())
}

const PLACE: &str = "DCMSHARD_TEST_PLACE";

/// A run in a process of its own, to be killed: nothing, unless [`PLACE`] says where.
#[test]
fn a_run_in_a_process_of_its_own() {
    let Some(root) = std::env::var_os(PLACE).map(PathBuf::from) else { return };
    let recipe = Recipe::from_toml("", &["output.rows_per_shard=5".to_owned()]).expect("sound");
    let options = Options { key_file: Some(root.join("key")), ..options(2, 4, 256) };
    let conversion = Conversion::open(&[root.join("src")], &root.join("out"), &recipe, &options).expect("opens");
    let script = format!("echo $$ > '{}'; exec sleep 1000", root.join("mark").display());
    let ended = conversion.trying_suspects_with(shell(&script)).run(&Cancel::default());
    panic!("it was to be killed, and ended: {ended:?}");
}

/// Only a parent that outlives its child's crash condemns.
#[test]
fn a_parent_that_is_killed_while_it_tries_has_proved_nothing() -> Tested {
    let place = Place::with(Place::small());
    let (out, undisturbed, _) = place.with_a_suspect("out");
    for _ in 0..3 {
        let mut parent = Command::new(std::env::current_exe()?)
            .args(["--exact", "poison::a_run_in_a_process_of_its_own"])
            .env(PLACE, place.0.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let child = child_in(&place.path("mark"));
        parent.kill()?;
        parent.wait()?;
        kill_process(child, Signal::KILL)?;
        fs::remove_file(place.path("mark"))?;
        assert_eq!(condemned(&out), 0);
        assert!(count(in_flight(&out)) > 0, "the suspect is not forgotten");
    }
    assert!(place.convert(&out).status.success());
    assert_eq!((hashes(&out), condemned(&out), count(in_flight(&out))), (undisturbed, 0, 0));
    Ok(())
}

/// A suspect whose shard is there is none; nor is a slice that the plan does not have.
#[test]
fn what_a_dead_process_worked_on_is_forgotten_when_its_shard_is_there() -> Tested {
    let place = Place::with(Place::small());
    let out = place.path("out");
    assert!(place.convert(&out).status.success());
    let before = hashes(&out);
    let row = ledger::read(&out.join("ledger/g000001/part-00000000.parquet"))?.remove(0);
    let other = LedgerRow { frame: Some(7), ..row.clone() };
    fs::write(in_flight(&out).join("dead"), [slot(&row), slot(&other)].concat())?;
    let summary = place.convert_trying(&out, "kill -9 $$", &Cancel::default())?;
    assert_eq!(summary.tally.reasons.get(&Reason::DecoderCrash), None);
    assert_eq!((hashes(&out), condemned(&out), count(in_flight(&out))), (before, 0, 0));
    Ok(())
}

#[test]
fn try_slice_is_for_this_program_alone() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dcmshard"));
    let output = command.arg("try-slice").stdin(Stdio::null()).output().expect("the program starts");
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(said, "dcmshard: try-slice is for this program itself: no job on standard input\n");
    assert!(!String::from_utf8_lossy(&dcmshard(&["--help"]).stdout).contains("try-slice"));
}
