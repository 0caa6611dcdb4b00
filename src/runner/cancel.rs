//! Asking a run to end early.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::ExitCode;

/// A flag that a signal handler sets and the walker reads. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicUsize>);

impl Cancel {
    /// The flag itself, for `signal_hook::flag::register_usize`: 130 asks for
    /// [`ExitCode::Interrupted`], any other number but 0 for [`ExitCode::Terminated`].
    pub fn flag(&self) -> Arc<AtomicUsize> {
        self.0.clone()
    }

    /// Asks the run to end: the walker stops, shards whose slices are all taken are published, the
    /// rest is dropped.
    pub fn request(&self, code: ExitCode) {
        self.0.store(code as usize, Ordering::Relaxed);
    }

    /// The exit code that was asked for, if any.
    pub fn requested(&self) -> Option<ExitCode> {
        match self.0.load(Ordering::Relaxed) {
            0 => None,
            130 => Some(ExitCode::Interrupted),
            _ => Some(ExitCode::Terminated),
        }
    }
}
