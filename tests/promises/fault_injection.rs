//! Killed, or refused, at any operation that writes: nothing published is torn; what is refused ends
//! with exit code 6 and leaves nothing behind; the same command completes the same bytes.

use std::fmt::Write as _;
use std::path::PathBuf;

use dcmshard::error::ExitCode;
use rustix::io::Errno;

use crate::line::Tested;
use crate::power_loss::{Job, every};
use crate::simulated_disk::{Fault, Image, Operation, SimulatedDisk};

const FAULTS: [Fault; 10] = [
    Fault::Kill,
    Fault::KillHalfway,
    Fault::Error(Errno::IO),
    Fault::Error(Errno::NOSPC),
    Fault::ErrorForEver(Errno::IO),
    Fault::ErrorForEver(Errno::NOSPC),
    Fault::LostReply,
    Fault::Short,
    Fault::OneByte,
    Fault::Error(Errno::INTR),
];

/// One run from `image` on with `fault` at operation `at`, then the same command again.
fn check_disturbed(job: &Job, image: &Image, at: usize, fault: Fault) -> Result<(), String> {
    let disk = SimulatedDisk::of(image.clone()).failing(at, fault);
    let ended = job.convert(&disk);
    let operations = disk.operations();
    // Threads take turns as they like: a run may have a few operations fewer than the one counted.
    let Some(operation) = operations.get(at) else { return job.check_complete(&disk, &ended.map_err(words)?) };
    job.check_whole(&disk.image())?;
    if disk.synced_after_failure() {
        return Err("a sync that had failed was repeated".to_owned());
    }
    let killed = matches!(fault, Fault::Kill | Fault::KillHalfway);
    match ended {
        Ok(summary) if operation.call != "unlink" => job.check_complete(&disk, &summary)?,
        Err(error) if matches!(fault, Fault::Short | Fault::OneByte) => return Err(words(error)),
        Err(error) if !killed && error.exit_code() != ExitCode::OutputIo => return Err(words(error)),
        _ => {}
    }
    let cleans_up = matches!(fault, Fault::Error(_)) && operation.call != "unlink";
    let (before, now) = (image.files(), disk.image().files());
    let left = |path: &PathBuf| path.to_string_lossy().contains("/.tmp/") && !before.contains_key(path);
    if cleans_up && now.keys().any(left) {
        return Err("a temporary file is left behind".to_owned());
    }
    job.check_completes(&SimulatedDisk::of(disk.image()))
}

fn words(error: dcmshard::error::Error) -> String {
    format!("ended with {:?}: {error}", error.exit_code())
}

/// Every fault at every operation of a run from `image` on, one case of `every`.
fn enumerate(job: &Job, image: &Image, every: usize, what: &str, tried: &mut usize) -> Result<String, String> {
    let undisturbed = SimulatedDisk::of(image.clone());
    job.check_completes(&undisturbed)?;
    let operations = undisturbed.operations();
    let mut deviations = String::new();
    let cases = FAULTS.iter().flat_map(|fault| (0..operations.len()).map(move |at| (at, *fault)));
    let chosen = cases.enumerate().filter(|(n, (at, _))| (n + at).is_multiple_of(every));
    for (at, fault) in chosen.map(|(_, case)| case) {
        *tried += 1;
        if let Err(deviation) = check_disturbed(job, image, at, fault) {
            let _ = writeln!(deviations, "{what}, {fault:?} at {at}, {:?}: {deviation}", operations[at]);
        }
    }
    Ok(deviations)
}

/// The temporary file of the last shard.
const LAST_SHARD: &str = "data-g000001-part-00000002";

/// It was a bug of ours, exit code 1, where the Parquet writer told in words alone what the disk said.
#[test]
fn a_disk_that_is_full_at_the_footer_ends_the_run_with_one_line() -> Tested {
    let job = Job::new();
    let disk = SimulatedDisk::default();
    job.convert(&disk)?;
    let is_write = |o: &&Operation| o.call == "write" && o.file_name().starts_with(LAST_SHARD);
    let writes = disk.operations().iter().filter(is_write).count();
    let footer = ("write", LAST_SHARD, writes - 1);
    let full = SimulatedDisk::default().failing_on(footer, Fault::Error(Errno::NOSPC));
    let error = job.convert(&full).expect_err("a full disk");
    assert_eq!(error.exit_code(), ExitCode::OutputIo, "{error}");
    let (line, says) = (error.to_string(), "/simulated has 4096 bytes free, at least ");
    assert!(line.contains(says) && line.ends_with(" more are needed") && line.lines().count() == 1, "{line}");
    Ok(())
}

/// D05
#[test]
fn a_sync_that_fails_once_costs_nothing_and_one_that_fails_again_ends_the_run() -> Tested {
    let job = Job::new();
    let sync = ("sync", LAST_SHARD, 0);
    let once = SimulatedDisk::default().failing_on(sync, Fault::Error(Errno::IO));
    let summary = job.convert(&once)?;
    job.check_complete(&once, &summary)?;
    let syncs = once.operations().iter().filter(|o| o.call == "sync" && o.file_name().starts_with(LAST_SHARD)).count();
    assert_eq!(syncs, 2, "of the file, and of its copy");
    let ever = SimulatedDisk::default().failing_on(sync, Fault::ErrorForEver(Errno::IO));
    assert_eq!(job.convert(&ever).expect_err("a broken disk").exit_code(), ExitCode::OutputIo);
    assert!(!once.synced_after_failure() && !ever.synced_after_failure());
    Ok(())
}

/// D03: network file systems and quotas may speak up when a file is closed, and not before.
#[test]
fn a_shard_whose_close_fails_is_not_published() -> Tested {
    let job = Job::new();
    for errno in [Errno::IO, Errno::DQUOT, Errno::NOSPC] {
        let disk = SimulatedDisk::default().failing_on(("close", LAST_SHARD, 0), Fault::Error(errno));
        let error = job.convert(&disk).expect_err("a close that fails");
        assert_eq!(error.exit_code(), ExitCode::OutputIo, "{error}");
        assert!(error.to_string().contains("cannot close ") && error.to_string().lines().count() == 1, "{error}");
        let files = disk.image().files();
        assert!(!files.keys().any(|path| path.ends_with("data/g000001/part-00000002.parquet")));
        assert!(!files.keys().any(|path| path.to_string_lossy().contains("/.tmp/")), "a temp is left");
        job.check_completes(&disk)?;
    }
    Ok(())
}

/// K01 to K04 and D01, D03 to D06, in the simulator: files, folders, plan, ledger, shards and manifest.
#[test]
fn a_run_may_be_killed_or_refused_at_any_operation() -> Tested {
    let (job, mut tried) = (Job::new(), 0);
    let deviations = enumerate(&job, &Image::default(), every(2, 1), "first run", &mut tried)?;
    eprintln!("{tried} cases");
    assert_eq!(deviations, "");
    Ok(())
}

/// K03
#[test]
fn the_run_after_a_kill_may_be_killed_or_refused_at_any_operation() -> Tested {
    let (job, mut tried) = (Job::new(), 0);
    let disk = SimulatedDisk::default().remembering();
    job.convert(&disk)?;
    let mut deviations = String::new();
    for (at, image) in disk.images().iter().enumerate().step_by(every(11, 4)) {
        let what = format!("killed before operation {at}");
        deviations += &enumerate(&job, image, every(17, 2), &what, &mut tried)?;
    }
    eprintln!("{tried} cases");
    assert_eq!(deviations, "");
    Ok(())
}
