//! The trial: a slice is worked on in a process of its own, and how that ends tells.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It did not end its process, once in two times at least; or nothing could be found out.
    Innocent,
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

/// How a trial ended.
enum Ended {
    /// By itself, or by somebody's wish: that says nothing against the slice.
    Lived,
    /// By a signal of the kind that a crash is, or at the deadline.
    Died,
    /// The run is to end.
    Unproven,
}

pub(super) fn judge(command: &TrialCommand, job: &[u8], go_on: &mut dyn FnMut(Duration) -> bool) -> Verdict {
    for _ in 0..TIMES {
        match attempt(command, job, go_on) {
            Ok(Ended::Lived) => return Verdict::Innocent,
            Ok(Ended::Unproven) => return Verdict::Unproven,
            Ok(Ended::Died) => {}
            Err(error) => {
                tracing::warn!("{}: a slice could not be tried alone: {error}", command.program.display());
                return Verdict::Innocent;
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
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0) // what is typed at the terminal is for its parent
        .spawn()?;
    // A pipe holds it all; a child that has died already takes nothing.
    let _ = child.stdin.take().map(|mut stdin| stdin.write_all(job));
    let mut waited = Duration::ZERO;
    loop {
        if let Some(status) = child.try_wait()? {
            // Whoever ends the child may be about to end this process too.
            return Ok(if go_on(Duration::ZERO) { ending(status) } else { Ended::Unproven });
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

fn ending(status: ExitStatus) -> Ended {
    match status.signal() {
        None | Some(SIGINT | SIGTERM | SIGHUP | SIGQUIT) => Ended::Lived,
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

    #[test]
    fn who_ends_by_itself_is_innocent_whatever_it_says() {
        for script in ["exit 0", "exit 3", "exit 101", "exit 134", "test \"$(cat)\" = job && exit 0; kill -9 $$"] {
            assert_eq!(verdict(script), Verdict::Innocent, "{script}");
        }
        assert_eq!(judge(&shell("").clone_with("/not/there"), b"", &mut wait), Verdict::Innocent);
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
        assert_eq!(verdict(&format!("test -e '{mark}' && exit 0; touch '{mark}'; kill -9 $$")), Verdict::Innocent);
        for signal in ["KILL", "ABRT", "SEGV", "XCPU"] {
            assert_eq!(verdict(&format!("kill -{signal} $$")), Verdict::Guilty, "{signal}");
        }
        Ok(())
    }

    #[test]
    fn somebodys_wish_that_the_child_end_is_no_crash() {
        for signal in ["INT", "TERM", "HUP"] {
            assert_eq!(verdict(&format!("kill -{signal} $$")), Verdict::Innocent, "{signal}");
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
