//! The trial: a slice is worked on in a process of its own, and how that ends tells.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};

/// How the program is started that works on one slice: [`super::try_slice`], with its standard input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrialCommand {
    /// The executable.
    pub program: PathBuf,
    /// Its arguments. Which slice it is, is not among them: everybody on the machine can read these.
    pub arguments: Vec<OsString>,
}

/// What a trial found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It did not end its process, once in two times at least, and this is what was said on standard
    /// output: nothing where the trial itself went wrong.
    Innocent(Vec<u8>),
    /// It ended its process each time.
    Guilty,
    /// The run was asked to end meanwhile: nothing is proved.
    Unproven,
}

/// Trials of one suspect: all have to go wrong.
const TIMES: usize = 2;
/// The time that this process waited for one trial (not while it was stopped itself) at most.
const DEADLINE: Duration = Duration::from_mins(10);
const PACE: Duration = Duration::from_millis(5);
/// Far more than any tensor.
const MOST_ANSWERED: u64 = 1 << 30;

/// How a trial ended.
enum Ended {
    /// By itself, or by somebody's wish: that says nothing against the slice.
    Lived(Vec<u8>),
    /// By a signal of the kind that a crash is, or at the deadline.
    Died,
    /// The run is to end.
    Unproven,
}

pub(super) fn judge(command: &TrialCommand, job: &[u8], go_on: &mut dyn FnMut(Duration) -> bool) -> Verdict {
    for _ in 0..TIMES {
        match attempt(command, job, go_on) {
            Ok(Ended::Lived(answer)) => return Verdict::Innocent(answer),
            Ok(Ended::Unproven) => return Verdict::Unproven,
            Ok(Ended::Died) => {}
            Err(error) => {
                tracing::warn!("{}: a slice could not be tried alone: {error}", command.program.display());
                return Verdict::Innocent(Vec::new());
            }
        }
    }
    Verdict::Guilty
}

fn attempt(command: &TrialCommand, job: &[u8], go_on: &mut dyn FnMut(Duration) -> bool) -> io::Result<Ended> {
    let mut child = Command::new(&command.program)
        .args(&command.arguments)
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0) // what is typed at the terminal is for its parent
        .spawn()?;
    // A pipe holds it all; a child that has died already takes nothing.
    let _ = child.stdin.take().map(|mut stdin| stdin.write_all(job));
    let answer = child.stdout.take().map(read_all);
    let mut waited = Duration::ZERO;
    loop {
        if let Some(status) = child.try_wait()? {
            // Whoever ends the child may be about to end this process too.
            return Ok(if go_on(Duration::ZERO) { ending(status, answer) } else { Ended::Unproven });
        }
        if !go_on(PACE) {
            return end(&mut child).map(|()| Ended::Unproven);
        }
        waited += PACE;
        if waited >= DEADLINE {
            tracing::warn!("a slice that was tried alone did not end within {} s", DEADLINE.as_secs());
            return end(&mut child).map(|()| Ended::Died);
        }
    }
}

fn end(child: &mut Child) -> io::Result<()> {
    child.kill()?;
    child.wait().map(drop)
}

/// Reads what the child says while it works: a pipe does not hold a tensor.
fn read_all(from: ChildStdout) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut answer = Vec::new();
        let read = from.take(MOST_ANSWERED).read_to_end(&mut answer);
        read.map(|_| answer).unwrap_or_default()
    })
}

fn ending(status: ExitStatus, answer: Option<JoinHandle<Vec<u8>>>) -> Ended {
    let answer = || answer.and_then(|reading| reading.join().ok()).unwrap_or_default();
    match status.signal() {
        None if status.success() => Ended::Lived(answer()),
        None | Some(SIGINT | SIGTERM | SIGHUP | SIGQUIT) => Ended::Lived(Vec::new()),
        Some(signal) => {
            tracing::warn!("a slice that was tried alone ended its process by signal {signal}");
            Ended::Died
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> TrialCommand {
        TrialCommand { program: "/bin/sh".into(), arguments: vec!["-c".into(), script.into()] }
    }

    fn wait(pace: Duration) -> bool {
        std::thread::sleep(pace);
        true
    }

    fn verdict(script: &str) -> Verdict {
        judge(&shell(script), b"job", &mut wait)
    }

    fn innocent() -> Verdict {
        Verdict::Innocent(Vec::new())
    }

    #[test]
    fn who_ends_by_itself_is_innocent_whatever_it_says() {
        for script in ["exit 0", "exit 3", "exit 101", "exit 134", "test \"$(cat)\" = job && exit 0; kill -9 $$"] {
            assert_eq!(verdict(script), innocent(), "{script}");
        }
        assert_eq!(verdict("cat; echo ."), Verdict::Innocent(b"job.\n".to_vec()));
        assert_eq!(verdict("cat; exit 3"), innocent(), "what failed has nothing to say");
        assert_eq!(verdict("head -c 300000 /dev/zero"), Verdict::Innocent(vec![0; 300_000]), "more than a pipe holds");
        assert_eq!(judge(&shell("").clone_with("/not/there"), b"", &mut wait), innocent());
    }

    impl TrialCommand {
        fn clone_with(&self, program: &str) -> TrialCommand {
            TrialCommand { program: program.into(), ..self.clone() }
        }
    }

    /// K07: SIGKILL of the child alone.
    #[test]
    fn a_child_killed_once_is_innocent_by_its_second_trial_and_killed_twice_guilty() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let mark = folder.path().join("tried").display().to_string();
        assert_eq!(verdict(&format!("test -e '{mark}' && exit 0; touch '{mark}'; kill -9 $$")), innocent());
        for signal in ["KILL", "ABRT", "SEGV", "XCPU"] {
            assert_eq!(verdict(&format!("kill -{signal} $$")), Verdict::Guilty, "{signal}");
        }
        Ok(())
    }

    #[test]
    fn somebodys_wish_that_the_child_end_is_no_crash() {
        for signal in ["INT", "TERM", "HUP"] {
            assert_eq!(verdict(&format!("kill -{signal} $$")), innocent(), "{signal}");
        }
    }

    #[test]
    fn a_run_that_is_to_end_has_proved_nothing() {
        // Asked while the child works, and as it dies.
        assert_eq!(judge(&shell("exec sleep 1000"), b"", &mut |_| false), Verdict::Unproven);
        let mut dies = |pace: Duration| !pace.is_zero() && wait(pace);
        assert_eq!(judge(&shell("kill -9 $$"), b"", &mut dies), Verdict::Unproven);
    }

    /// S04: a deadline is counted in time that this process was awake.
    #[test]
    fn a_child_that_hangs_is_ended_and_has_died() {
        let mut asked = 0_u32;
        let mut hurries = |_| {
            asked += 1;
            true
        };
        assert_eq!(judge(&shell("exec sleep 1000"), b"", &mut hurries), Verdict::Guilty);
        assert!(u128::from(asked) >= 2 * DEADLINE.as_millis() / PACE.as_millis());
    }
}
