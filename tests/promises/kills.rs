//! Killed at any instant, with any number of threads, again and again.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Child;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::oracle::{Job, remove};
use crate::power_loss::every;

/// Numbers without pattern that are the same in every run.
struct Random(u64);

impl Random {
    /// From 0 to 1.
    fn share(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Kills the child when the time is over; says whether it was still running then.
fn kill_after(mut child: Child, time: Duration) -> bool {
    let (ended, ends) = channel::<()>();
    let pid = Pid::from_child(&child);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            if ends.recv_timeout(time) == Err(RecvTimeoutError::Timeout) {
                let _ = kill_process(pid, Signal::KILL); // nobody has waited for it: the id is its own
            }
        });
        // It is left in the table of processes, so that its id is not another's.
        let options = rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOWAIT;
        rustix::process::waitid(rustix::process::WaitId::Pid(pid), options).expect("it is a child");
        drop(ended);
    });
    child.wait().expect("it has ended").signal() == Some(9)
}

/// A job of 24 shards.
fn job() -> Job {
    Job::new(72, 128, 3, &["--set", "crop_pad.size=64"])
}

/// Runs `job` into `out`, killed twice at random instants, and then to the end; says how many kills hit.
fn kill_twice(job: &Job, out: &Path, seed: u64, takes: Duration) -> Result<u32, String> {
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let threads = 1 + (random.share() * 16.0) as u32;
    let mut hits = 0;
    for _ in 0..2 {
        let mut command = job.command(out, threads);
        command.stderr(std::process::Stdio::null());
        let killed = kill_after(command.spawn().expect("the program starts"), takes.mul_f64(random.share()));
        hits += u32::from(killed);
        job.check_whole(out)?;
    }
    job.check_completes(out).map(|()| hits)
}

/// K05: of each pair of kills the second one hits the recovery.
#[test]
fn killed_at_random_instants_the_same_command_completes_the_same_bytes() {
    let job = job();
    let out = job.out("timed");
    let began = Instant::now();
    assert!(job.convert(&out).status.success());
    // Two jobs run at a time.
    let (takes, wanted) = (began.elapsed().mul_f64(1.3), every(100, 1000) as u32);
    let (next, hits, deviations) = (AtomicU32::new(0), AtomicU32::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while hits.load(Ordering::Relaxed) < wanted {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    let out = job.out(&format!("killed-{seed}"));
                    match kill_twice(&job, &out, seed.into(), takes) {
                        Ok(hit) => drop(hits.fetch_add(hit, Ordering::Relaxed)),
                        Err(words) => {
                            deviations.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{seed}: {words}"));
                            return;
                        }
                    }
                    remove(&out);
                }
            });
        }
    });
    eprintln!("{} kills in {} jobs of {takes:?}", hits.load(Ordering::Relaxed), next.load(Ordering::Relaxed));
    assert_eq!(deviations.into_inner().unwrap_or_else(PoisonError::into_inner), [""; 0]);
}

/// How many shards stand.
fn published(out: &Path) -> usize {
    fs::read_dir(out.join("data/g000001")).map(Iterator::count).unwrap_or(0)
}

/// K06: each run is killed as soon as it has made one shard more.
#[test]
fn a_job_that_is_killed_fifty_times_in_a_row_ends_if_each_run_has_time_for_one_shard() {
    let job = Job::new(120, 32, 2, &["--set", "crop_pad.size=16"]);
    assert!(job.shards() > 55, "{}", job.shards());
    let out = job.out("killed");
    let mut killed = 0;
    while killed < 50 {
        let before = published(&out);
        assert!(before < job.shards(), "done after {killed} kills");
        let mut child = job.command(&out, 1).stderr(std::process::Stdio::null()).spawn().expect("the program starts");
        while published(&out) == before && child.try_wait().expect("can be waited for").is_none() {
            std::thread::yield_now();
        }
        child.kill().expect("can be killed");
        killed += u32::from(child.wait().expect("has ended").signal() == Some(9));
        job.check_whole(&out).expect("what is there is whole");
        assert!(published(&out) > before, "no progress in run {killed}");
        if published(&out) == job.shards() {
            // Faster than we look: what is left is less than fifty kills take.
            fs::remove_dir_all(out.join("data")).expect("can be removed");
        }
    }
    job.check_completes(&out).expect("the last run");
}
