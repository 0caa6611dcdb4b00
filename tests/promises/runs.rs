//! Runs of the program as a process of its own, with what it took.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use serde_json::Value as Json;

/// What ends a run that hangs without computing; far above what a loaded machine takes.
const KILLED_AFTER: Duration = Duration::from_secs(120);

/// A run that has ended.
pub struct Ended {
    /// `None`: a signal ended it.
    pub code: Option<i32>,
    /// Processor time of all its threads; 0 where the system does not tell.
    pub cpu: Duration,
    /// The last line of its progress: the state at the end, the counts of the data set, the peak of memory.
    pub last: Json,
    pub stderr: String,
}

impl Ended {
    pub fn peak_bytes(&self) -> u64 {
        self.last["peak_memory_bytes"].as_u64().expect("a number of bytes")
    }

    /// Of the data set: `found`, `written`, `rejected`, `filtered` or `duplicate`.
    pub fn count(&self, class: &str) -> u64 {
        self.last["dataset"][class].as_u64().unwrap_or_else(|| panic!("{class} in {}", self.last))
    }

    /// Of the data set: how many for this reason.
    pub fn reason(&self, reason: &str) -> u64 {
        self.last["dataset"]["reasons"][reason].as_u64().unwrap_or(0)
    }

    /// Holds `found` against the four classes, and the classes against the reasons.
    pub fn check_balance(&self) -> Result<(), String> {
        let classes = ["written", "rejected", "filtered", "duplicate"].map(|class| self.count(class));
        let reasons = self.last["dataset"]["reasons"].as_object().into_iter().flat_map(|reasons| reasons.values());
        let with_reason: u64 = reasons.filter_map(Json::as_u64).sum();
        let [written, no_rows @ ..] = classes;
        let no_rows: u64 = no_rows.iter().sum();
        let is_balanced = (self.count("found"), with_reason) == (written + no_rows, no_rows);
        if is_balanced { Ok(()) } else { Err(format!("counts do not balance: {}", self.last["dataset"])) }
    }
}

/// `convert` of `sources` into `out` within 64 MiB, with more arguments.
pub fn convert(sources: &[&Path], out: &Path, more: &[&str]) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dcmshard"));
    command.arg("convert").args(sources).arg("--out").arg(out);
    command.args(["--memory", "64MiB", "--progress", "json"]).args(more);
    run(&mut command)
}

/// Runs a program whose last line on standard error is a JSON object.
pub fn run(command: &mut Command) -> Ended {
    // The names in a backtrace take more memory than the program.
    command.env("RUST_BACKTRACE", "0").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    let pid = Pid::from_child(&child);
    let mut pipe = child.stderr.take().expect("is a pipe");
    let (ended, ends) = channel::<()>();
    let (stderr, cpu) = std::thread::scope(|scope| {
        scope.spawn(move || {
            if ends.recv_timeout(KILLED_AFTER).is_err_and(|error| error == std::sync::mpsc::RecvTimeoutError::Timeout) {
                let _ = kill_process(pid, Signal::KILL);
            }
        });
        let mut stderr = Vec::new();
        pipe.read_to_end(&mut stderr).expect("can be read");
        // It is left in the table of processes, where its times stand.
        waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT).expect("it is a child");
        let cpu = cpu_of(child.id());
        drop(ended);
        (stderr, cpu)
    });
    let status = child.wait().expect("it has ended");
    let stderr = String::from_utf8_lossy(&stderr).into_owned();
    let last = stderr.lines().last().and_then(|line| serde_json::from_str(line).ok()).unwrap_or_default();
    Ended { code: status.code(), cpu, last, stderr }
}

/// From the system's table: fields 14 and 15, in hundredths of a second, behind a name in parentheses.
fn cpu_of(pid: u32) -> Duration {
    let line = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields = line.rsplit(')').next().unwrap_or_default().split_ascii_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(10 * ticks)
}
