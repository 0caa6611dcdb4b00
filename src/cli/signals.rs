//! Signals: the first one asks a run to end, the second ends the process.

use std::ffi::OsStr;
use std::io::{self, IsTerminal, Write};
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use dcmshard::error::{Error, ExitCode};
use dcmshard::runner::Cancel;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals;
use signal_hook::{flag, low_level};

const ENDING: [(i32, ExitCode); 3] =
    [(SIGINT, ExitCode::Interrupted), (SIGTERM, ExitCode::Terminated), (SIGHUP, ExitCode::Terminated)];

/// Signals being heeded. Once it is dropped, nothing more is said of them.
pub struct Heeding {
    /// What a signal sets.
    pub cancel: Cancel,
    over: Arc<Mutex<bool>>,
}

impl Drop for Heeding {
    fn drop(&mut self) {
        *self.over.lock().unwrap_or_else(PoisonError::into_inner) = true;
    }
}

/// The first SIGINT, SIGTERM or SIGHUP asks for the end: whole shards are published, the rest is dropped.
/// Where that takes longer than `grace`, or with a second signal, the process ends at once, which loses
/// nothing that was published.
pub fn heed(grace: Duration) -> Result<Heeding, Error> {
    let cancel = Cancel::default();
    let second = Arc::new(AtomicBool::new(false));
    let mut signals = Signals::new(ENDING.map(|(signal, _)| signal)).map_err(|error| unheeded(0, &error))?;
    for (signal, code) in ENDING {
        // In this order: the first signal finds `second` unset and sets it, the next one finds it set.
        flag::register_conditional_shutdown(signal, code as i32, second.clone())
            .and_then(|_| flag::register(signal, second.clone()))
            .and_then(|_| flag::register_usize(signal, cancel.flag(), code as usize))
            .map_err(|error| unheeded(signal, &error))?;
    }
    let (asked, over) = (cancel.clone(), Arc::new(Mutex::new(false)));
    let is_over = over.clone();
    let say_unless_over = move |line: &str| {
        // Held while it is said: the last word is the run's.
        let is_over = is_over.lock().unwrap_or_else(PoisonError::into_inner);
        if !*is_over {
            say(line);
        }
    };
    let watch = move || {
        if let Some(signal) = signals.forever().next() {
            let code = if signal == SIGINT { ExitCode::Interrupted } else { ExitCode::Terminated };
            asked.request(code); // it may have come before the flags heeded it
            say_unless_over("ending: publishing whole shards; a second signal ends at once");
            thread::sleep(grace);
            say(&format!("not ended within {} s: ending now; what is not published is dropped", grace.as_secs()));
            say_how_to_continue();
            low_level::exit(code as i32);
        }
    };
    let watching = thread::Builder::new().name("signals".to_owned()).spawn(watch);
    watching.map(|_| Heeding { cancel, over }).map_err(|error| unheeded(0, &error))
}

/// SIGINT, SIGTERM and SIGHUP end the process at once, with their exit codes.
pub fn end_at_once() -> Result<(), Error> {
    for (signal, code) in ENDING {
        let registered = flag::register_conditional_shutdown(signal, code as i32, Arc::new(AtomicBool::new(true)));
        registered.map_err(|error| unheeded(signal, &error))?;
    }
    Ok(())
}

/// SIGXFSZ is caught and forgotten: a write that is larger than `ulimit -f` allows fails instead, which is
/// an error like a full disk.
pub fn survive_limits() -> Result<(), Error> {
    flag::register(SIGXFSZ, Arc::default()).map(|_| ()).map_err(|error| unheeded(SIGXFSZ, &error))
}

fn unheeded(signal: i32, error: &io::Error) -> Error {
    Error::Bug(format!("signal {signal} cannot be heeded: {error}"))
}

/// Says on standard error what was typed, to be typed again.
pub fn say_how_to_continue() {
    let mut line = b"continue with:".to_vec();
    for word in std::env::args_os() {
        line.push(b' ');
        line.extend(quoted(&word));
    }
    say_bytes(&line);
}

fn say(line: &str) {
    say_bytes(line.as_bytes());
}

/// A line for people; a bar that stands on it is wiped away.
fn say_bytes(line: &[u8]) {
    let wipe: &[u8] = if io::stderr().is_terminal() { b"\r\x1b[2K" } else { b"" };
    let _ = io::stderr().write_all(&[wipe, b"dcmshard: ", line, b"\n"].concat());
}

/// A word as a shell reads it back. `$'...'`, which not every shell knows, only where it must be: for
/// control characters, and what is not UTF-8.
fn quoted(word: &OsStr) -> Vec<u8> {
    let bytes = word.as_bytes();
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"@%+=:,./_-".contains(byte);
    let is_printable = word.to_str().is_some_and(|text| !text.contains(char::is_control));
    let (open, close): (&[u8], &[u8]) = match (bytes.iter().all(is_plain), is_printable) {
        (true, _) if !bytes.is_empty() => return bytes.to_vec(),
        (_, true) => (b"'", b"'"),
        (_, false) => (b"$'", b"'"),
    };
    let escaped = |byte: &u8| match byte {
        b'\'' if is_printable => b"'\\''".to_vec(),
        b'\'' | b'\\' if !is_printable => vec![b'\\', *byte],
        byte if is_printable || (b' '..=b'~').contains(byte) => vec![*byte],
        byte => format!("\\x{byte:02x}").into_bytes(),
    };
    [open, &bytes.iter().flat_map(escaped).collect::<Vec<u8>>(), close].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_as_a_shell_reads_them_back() {
        let words: [(&[u8], &[u8]); 8] = [
            (b"/a/b-c_1.dcm", b"/a/b-c_1.dcm"),
            (b"a b", b"'a b'"),
            (b"", b"''"),
            (b"it's", b"'it'\\''s'"),
            (b"$(rm)", b"'$(rm)'"),
            ("K\u{f6}pfe".as_bytes(), "'K\u{f6}pfe'".as_bytes()),
            (b"K\xf6pfe's \\", b"$'K\\xf6pfe\\'s \\\\'"),
            (b"a\nb", b"$'a\\x0ab'"),
        ];
        for (word, expected) in words {
            assert_eq!(quoted(OsStr::from_bytes(word)), expected);
        }
        // A shell says so too.
        let line = words.map(|(word, _)| quoted(OsStr::from_bytes(word))).join(&b' ');
        let script = [b"printf '%s|' ".as_slice(), &line].concat();
        let printed = std::process::Command::new("bash").arg("-c").arg(OsStr::from_bytes(&script)).output();
        let expected = words.map(|(word, _)| [word, b"|"].concat()).concat();
        assert_eq!(printed.expect("bash starts").stdout, expected);
    }
}
