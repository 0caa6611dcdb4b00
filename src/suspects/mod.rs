//! Inputs that take the process down: found at the next start, tried alone, condemned for good.
//!
//! A panic is caught and costs one slice. An abort (a stack that overflows, memory that is not
//! given) cannot be caught: it ends the process. So that the same command does not end at the same
//! input again and again:
//!
//! 1. While a thread works on a slice, its slot in a small file of the process below
//!    `OUT.private/in-flight` names that slice.
//! 2. A file whose process is gone (it holds a lock on it while it lives) names *suspects*.
//! 3. A suspect whose shard is not there yet is worked on in a process of its own, within limits,
//!    before anything else is done with it. If that process ends by itself, whatever it found, the
//!    suspect is innocent: it goes down the line, alone, since what it took may have been company.
//! 4. If it is killed twice out of two times, the slice is condemned: an amendment of the plan is
//!    committed, which every run and every worker from now on reads before it makes the shard. The
//!    slice is a reject of reason `decoder_crash` then, and is never opened again.
//!
//! Only a process that outlives its child's crash condemns. One that is killed itself, or asked to end
//! meanwhile, has proved nothing: the next start tries again.

pub(crate) mod condemned;
mod in_flight;
mod trial;
mod try_slice;

use std::ops::Range;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

pub use trial::TrialCommand;
pub(crate) use trial::Verdict;
pub use try_slice::try_slice;

use crate::plan::PlannedSlice;
use crate::recipe::Recipe;
use crate::slice::{Bytes, SliceRef};
use in_flight::{InFlight, Left};
use try_slice::Job;

/// What this process works on, and what dead ones left of what they worked on.
#[derive(Debug)]
pub struct Suspects {
    command: TrialCommand,
    own: Option<InFlight>,
    left: Mutex<Vec<Left>>,
}

impl Suspects {
    /// Reads what dead processes left below OUT.private, and makes a file of `threads` slots for this
    /// one, which is removed when the value is dropped. Where the file cannot be made there is one
    /// warning, and the run goes without.
    pub fn open(private: &Path, command: TrialCommand, threads: usize) -> Suspects {
        let folder = private.join("in-flight");
        let own = InFlight::create(&folder, threads);
        let own = own.inspect_err(|error| {
            tracing::warn!("{}: an input that ends this process will not be known: {error}", folder.display());
        });
        Suspects { command, own: own.ok(), left: Mutex::new(in_flight::left(&folder)) }
    }

    /// The slot of one thread, counted from 0.
    pub(crate) fn slot(suspects: Option<&Suspects>, thread: usize) -> Slot<'_> {
        Slot { file: suspects.and_then(|suspects| suspects.own.as_ref()), thread, holds: None }
    }

    /// Whether a dead process was working on this slice.
    pub(crate) fn name(&self, at: &SliceRef) -> bool {
        self.left().iter().any(|left| left.names(at))
    }

    /// Forgets the suspects among these ordinals: their shard is there, or each has its verdict.
    pub(crate) fn settle(&self, ordinals: Range<u64>) {
        self.left().retain_mut(|left| left.settle(&ordinals));
    }

    /// Works on a slice in a process of its own, at most twice. `go_on` waits as long as it is told to,
    /// and says whether the run goes on.
    pub(crate) fn try_alone(
        &self,
        slice: &PlannedSlice,
        recipe: &Recipe,
        go_on: &mut dyn FnMut(Duration) -> bool,
    ) -> Verdict {
        let Bytes::File(path) = &slice.at.input.bytes else { return Verdict::Innocent };
        let job = Job::new(recipe, path, slice.at.frame, slice.weight_bytes);
        trial::judge(&self.command, &job.to_bytes(), go_on)
    }

    fn left(&self) -> std::sync::MutexGuard<'_, Vec<Left>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says which slice a thread works on.
#[derive(Debug)]
pub(crate) struct Slot<'a> {
    file: Option<&'a InFlight>,
    thread: usize,
    holds: Option<u64>,
}

impl Slot<'_> {
    /// From here on, the thread works on `at`.
    pub(crate) fn begin(&mut self, at: &SliceRef) {
        let Some(file) = self.file else { return };
        if self.holds != Some(at.ordinal.0) {
            self.holds = Some(at.ordinal.0);
            file.mark(self.thread, at);
        }
    }

    /// The slice that it worked on has come to its end.
    pub(crate) fn end(&mut self) {
        if let (Some(file), Some(_)) = (self.file, self.holds.take()) {
            file.clear(self.thread);
        }
    }
}
