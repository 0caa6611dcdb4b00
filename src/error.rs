//! The errors that stop a run, and the exit code of each.
//!
//! Four kinds of failure are kept apart: [`crate::reason::Fault`] (this slice),
//! [`crate::slice::Reject`] (fault and place: a ledger row), [`crate::recipe::RecipeErrors`] (the
//! user; all at once, before work starts) and [`Error`] (the run stops).

use std::io;
use std::path::PathBuf;

use crate::recipe::RecipeErrors;

/// What the process ends with; one value per promise of the command line.
///
/// `schemas/reasons.md` prints [`ExitCode::all`], in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// Done.
    Done = 0,
    /// A bug: a panic, or counts that do not balance.
    Bug = 1,
    /// Usage or recipe: nothing was touched.
    Usage = 2,
    /// Done, but more rejects than `--max-rejects` allows, or inputs that changed.
    Rejects = 3,
    /// The output was made with another recipe or key: nothing was touched.
    OtherRecipe = 4,
    /// The output is locked by another run.
    Locked = 5,
    /// Output I/O: disk full, read-only, quota; the same command continues later.
    OutputIo = 6,
    /// Source I/O: the source is missing or unreadable.
    SourceIo = 7,
    /// Verification failed, or a shard's bytes differ from those published before.
    Verify = 8,
    /// Interrupted by SIGINT; the same command continues.
    Interrupted = 130,
    /// Terminated by SIGTERM or SIGHUP; the same command continues.
    Terminated = 143,
}

impl ExitCode {
    /// Every code with the sentence the documentation prints for it.
    pub const fn all() -> &'static [(ExitCode, &'static str)] {
        &[
            (ExitCode::Done, "done"),
            (ExitCode::Bug, "a bug: a panic, or counts that do not balance"),
            (ExitCode::Usage, "usage or recipe; nothing was touched"),
            (ExitCode::Rejects, "done, but rejects above --max-rejects, or inputs that changed"),
            (ExitCode::OtherRecipe, "OUT was made with another recipe or key; nothing was touched"),
            (ExitCode::Locked, "OUT is in use by another run"),
            (ExitCode::OutputIo, "output I/O: disk full, read-only, quota; the same command continues"),
            (ExitCode::SourceIo, "source I/O: the source is missing or unreadable"),
            (ExitCode::Verify, "verification failed"),
            (ExitCode::Interrupted, "interrupted (SIGINT); the same command continues"),
            (ExitCode::Terminated, "terminated (SIGTERM or SIGHUP); the same command continues"),
        ]
    }
}

/// Why a run stopped. One line each, naming the thing, the value found and the value expected;
/// never a patient's data. A path named here is one the user typed, or lies below OUT.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An invariant of this program does not hold.
    #[error("internal error (please report it): {0}")]
    Bug(String),
    /// The command line makes no sense: empty source, OUT inside SOURCE, two equal labels.
    #[error("{0}")]
    Usage(String),
    /// The recipe is wrong; every mistake is listed.
    #[error(transparent)]
    Recipe(#[from] RecipeErrors),
    /// OUT was made with another recipe or key; the text lists the fields that differ.
    #[error("{0}")]
    OtherRecipe(String),
    /// Another run holds the lock of OUT.
    #[error("{0} is in use by another run; wait for it to end, or name another --out")]
    Locked(PathBuf),
    /// Writing below OUT failed.
    #[error("cannot {doing} {path}: {source}")]
    OutputIo {
        /// What was being done: a verb, as in "write".
        doing: &'static str,
        /// The file below OUT or OUT.private.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Reading the source as a whole failed.
    #[error("cannot {doing} source {path}: {source}")]
    SourceIo {
        /// What was being done: a verb, as in "list".
        doing: &'static str,
        /// The source as the user named it.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A published file is not what its name promises.
    #[error("{0}")]
    Verify(String),
    /// A signal asked the run to end; everything published so far is whole.
    #[error("interrupted; the same command continues")]
    Interrupted(ExitCode),
}

impl Error {
    /// The process exit code of this error.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Error::Bug(_) => ExitCode::Bug,
            Error::Usage(_) | Error::Recipe(_) => ExitCode::Usage,
            Error::OtherRecipe(_) => ExitCode::OtherRecipe,
            Error::Locked(_) => ExitCode::Locked,
            Error::OutputIo { .. } => ExitCode::OutputIo,
            Error::SourceIo { .. } => ExitCode::SourceIo,
            Error::Verify(_) => ExitCode::Verify,
            Error::Interrupted(code) => *code,
        }
    }
}
