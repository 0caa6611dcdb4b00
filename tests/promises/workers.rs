//! N workers over one plan, on any machines, at any time, twice or never: the bytes of one run.

use std::collections::BTreeSet;
use std::process::{Command, Output};

use rustix::process::Signal;

use crate::cli::dcmshard;
use crate::job::{Job, Running, SHARDS, published, tree};

fn ended_well(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn run(command: &mut Command) -> String {
    ended_well(&command.output().expect("the program starts"))
}

fn shard(number: usize) -> String {
    format!("data/g000001/part-{number:08}.parquet")
}

/// X01: of three workers one never starts, one is killed, one runs twice at the same time: `finalize` lists
/// what is missing; when they have run, the data set is that of one run.
#[test]
fn workers_that_never_start_are_killed_or_run_twice_end_with_the_bytes_of_one_run() {
    let job = Job::new();
    let out = job.out("workers");
    let finalize = || dcmshard(&["finalize", &out.display().to_string()]);
    run(&mut job.command("plan", &out, &[]));
    let nothing = finalize();
    assert_eq!(nothing.status.code(), Some(8));
    let lines = String::from_utf8_lossy(&nothing.stdout).lines().count();
    assert_eq!(lines, SHARDS + 1, "each shard, and how many");

    let twice = [(); 2].map(|()| Running::start(&mut job.worker(&out, "1/3")));
    let mut killed = Running::start(&mut job.worker(&out, "0/3"));
    killed.reaches(|| out.join("data/g000001/part-00000003.parquet").exists());
    killed.send(Signal::KILL);
    drop(killed.end());
    for worker in twice {
        let ended = worker.end();
        assert!(ended.status.success(), "{}", ended.stderr);
    }
    let expected: BTreeSet<String> = (0..SHARDS)
        .map(shard)
        .filter(|name| !out.join(name).exists())
        .map(|name| format!("{name} is missing"))
        .collect();
    assert!((0..SHARDS).filter(|n| n % 3 == 2).all(|n| expected.contains(&format!("{} is missing", shard(n)))));
    let listed = finalize();
    assert_eq!(listed.status.code(), Some(8));
    let stdout = String::from_utf8_lossy(&listed.stdout).into_owned();
    let missing: BTreeSet<String> =
        stdout.lines().filter(|line| line.ends_with(" is missing")).map(str::to_owned).collect();
    assert_eq!(missing, expected, "{stdout}");
    assert!(!out.join("manifest").exists());

    run(&mut job.worker(&out, "2/3"));
    run(&mut job.worker(&out, "0/3"));
    let table = ended_well(&finalize());
    job.check(&out, "three workers");
    // The table is that of convert, which has nothing left to do.
    let convert = run(&mut job.convert(&out));
    let counts =
        |text: &str| text.lines().take_while(|line| !line.starts_with("found")).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(counts(&table), counts(&convert));
    assert!(table.contains("found 26 = written 23 + rejected 1 + duplicate 1 + filtered 1"), "{table}");
    // Again: nothing new is said.
    ended_well(&finalize());
    job.check(&out, "finalized twice");
}

/// Without a plan, whoever is first makes it and the others wait for it, then all work together.
#[test]
fn workers_that_start_together_without_a_plan_make_it_once() {
    let job = Job::new();
    for n in 0..5 {
        let out = job.out(format!("together-{n}"));
        let workers = ["0/3", "1/3", "2/3"].map(|worker| Running::start(&mut job.worker(&out, worker)));
        for worker in workers {
            let ended = worker.end();
            assert!(ended.status.success(), "{}", ended.stderr);
            assert!(ended.stderr.lines().count() <= 1, "one line at most while it waits: {}", ended.stderr);
        }
        assert_eq!(published(&out), SHARDS);
        run(dcmshard_command().arg("finalize").arg(&out));
        job.check(&out, "workers without a plan");
    }
}

fn dcmshard_command() -> Command {
    Command::new(env!("CARGO_BIN_EXE_dcmshard"))
}

/// A worker never begins a generation: what has come since is the next plan's.
#[test]
fn workers_leave_a_grown_archive_to_the_next_plan() {
    let job = Job::new();
    let out = job.out("grown");
    run(&mut job.command("plan", &out, &[]));
    crate::made::Ct::head(48, 18.0, 13.0, 3.0).with_uid(5000).write(&job.source.join("late.dcm"));
    run(&mut job.worker(&out, "0/1"));
    run(dcmshard_command().arg("finalize").arg(&out));
    assert_eq!(&tree(&out), job.expected());
    let planned = run(&mut job.command("plan", &out, &[]));
    assert!(planned.contains("13 shards planned, 1 to make"), "{planned}");
    let unfinished = dcmshard(&["finalize", &out.display().to_string()]);
    assert_eq!(unfinished.status.code(), Some(8));
    assert!(String::from_utf8_lossy(&unfinished.stdout).contains("data/g000002/part-00000000.parquet is missing"));
    run(&mut job.worker(&out, "0/1"));
    let table = run(dcmshard_command().arg("finalize").arg(&out));
    assert!(table.contains("found 27 = written 24 + rejected 1 + duplicate 1 + filtered 1"), "{table}");
    assert!(dcmshard(&["verify", &out.display().to_string(), "--read-data"]).status.success());
}

/// A worker counts its own shards, and its exit code speaks of them.
#[test]
fn a_worker_speaks_of_its_own_shards_alone() {
    let job = Job::new();
    let out = job.out("own");
    run(&mut job.command("plan", &out, &[]));
    let mut rejecting = 0;
    for worker in ["0/3", "1/3", "2/3"] {
        let output = job.worker(&out, worker).args(["--max-rejects", "0"]).output().expect("the program starts");
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(stdout.contains("found 8 = written "), "{stdout}");
        let rejects = stdout.contains("rejected 1");
        assert_eq!(output.status.code(), Some(if rejects { 3 } else { 0 }), "{stdout}");
        rejecting += usize::from(rejects);
    }
    assert_eq!(rejecting, 1, "the reject is in one worker's shard");
}

#[test]
fn wrong_workers_and_what_is_no_data_set_are_refused_with_one_line() {
    let job = Job::new();
    let out = job.out("refused");
    for (worker, says) in [
        ("3/3", "found worker 3 of 3, expected 0 to 2: they are counted from 0"),
        ("0/0", "found 0 workers, expected 1 or more"),
        ("1", "expected i/N"),
    ] {
        let output = job.worker(&out, worker).output().expect("the program starts");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(says) && stderr.lines().count() == 1, "{stderr}");
    }
    assert!(!out.exists());
    let empty = dcmshard(&["finalize", &job.source.display().to_string()]);
    assert_eq!(empty.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&empty.stderr).contains("is no data set"));
}

/// A plan that was interrupted is no plan yet: `finalize` says so, and the first worker completes it.
#[test]
fn a_plan_without_its_end_is_listed_and_completed_by_a_worker() {
    let job = Job::new();
    let out = job.out("halfway");
    run(&mut job.command("plan", &out, &[]));
    std::fs::remove_file(out.join("plan/g000001/complete.json")).expect("stands");
    let listed = dcmshard(&["finalize", &out.display().to_string()]);
    assert_eq!(listed.status.code(), Some(8));
    let stdout = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(
        stdout.contains("plan/g000001/complete.json is missing: generation 1 is not planned to its end"),
        "{stdout}"
    );
    run(&mut job.worker(&out, "0/1"));
    run(dcmshard_command().arg("finalize").arg(&out));
    job.check(&out, "a plan completed");
    // A damaged shard is named, and left as it is.
    let torn = out.join(shard(5));
    let bytes = std::fs::read(&torn).expect("stands");
    std::fs::write(&torn, &bytes[..bytes.len() / 2]).expect("can be written");
    let listed = dcmshard(&["finalize", &out.display().to_string()]);
    assert_eq!(listed.status.code(), Some(8));
    assert!(String::from_utf8_lossy(&listed.stdout).contains(&format!("{} is damaged", shard(5))));
    assert!(torn.exists());
}
