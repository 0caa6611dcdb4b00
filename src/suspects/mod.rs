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
//!    before anything else is done with it. If that process ends by itself the suspect is innocent,
//!    and what came of it there is what becomes of it: this process does not open it, since what it
//!    took may have been company, or memory that this one has not. Should the run die for another
//!    reason before the shard is there, an innocent slice is worked on like any other in the next one;
//!    unless it was being worked on when a process died for the second time: then always by itself.
//! 4. If it is killed twice out of two times, the slice is condemned: an amendment of the plan is
//!    committed, which every run and every worker from now on reads before it makes the shard. The
//!    slice is a reject of reason `decoder_crash` then, and is never opened again.
//!
//! Only a process that outlives its child's crash condemns. One that is killed itself, or asked to end
//! meanwhile, has proved nothing: the next start tries again.

mod answer;
pub(crate) mod condemned;
mod in_flight;
mod trial;
mod try_slice;

use std::ops::Range;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

pub use trial::TrialCommand;
pub use try_slice::try_slice;

use crate::identity::Key;
use crate::pipeline::Pipeline;
use crate::plan::PlannedSlice;
use crate::recipe::Recipe;
use crate::slice::{Bytes, Outcome, SliceRef};
use in_flight::{InFlight, Left};
use trial::Verdict;
use try_slice::Job;

/// What this process works on, and what dead ones left of what they worked on.
#[derive(Debug)]
pub struct Suspects {
    command: TrialCommand,
    key: Key,
    own: Option<InFlight>,
    left: Mutex<Vec<Left>>,
}

impl Suspects {
    /// Reads what dead processes left below OUT.private, and makes a file of `threads` slots for this
    /// one, which is removed when the value is dropped. Where the file cannot be made there is one
    /// warning, and the run goes without.
    pub fn open(private: &Path, key: &Key, command: TrialCommand, threads: usize) -> Suspects {
        let folder = private.join("in-flight");
        let own = InFlight::create(&folder, threads);
        let own = own.inspect_err(|error| {
            tracing::warn!("{}: an input that ends this process will not be known: {error}", folder.display());
        });
        Suspects { command, key: key.clone(), own: own.ok(), left: Mutex::new(in_flight::left(&folder)) }
    }

    /// The slot of one thread, counted from 0.
    pub(crate) fn slot(suspects: Option<&Suspects>, thread: usize) -> Slot<'_> {
        Slot { file: suspects.and_then(|suspects| suspects.own.as_ref()), thread, holds: None }
    }

    /// Whether this slice is to be worked on in a process of its own.
    pub(crate) fn name(&self, at: &SliceRef) -> bool {
        let left = self.left();
        let standings: Vec<bool> = left.iter().filter_map(|left| left.is_acquitted(at)).collect();
        standings.len() > 1 || standings == [false]
    }

    /// This slice was tried and found innocent.
    pub(crate) fn acquit(&self, at: &SliceRef) {
        self.left().iter_mut().for_each(|left| left.acquit(at));
    }

    /// Forgets the suspects among these ordinals: their shard is there.
    pub(crate) fn settle(&self, ordinals: Range<u64>) {
        self.left().retain_mut(|left| left.settle(&ordinals));
    }

    /// Works on a slice in a process of its own, at most twice. `pipeline` is the line of `recipe`;
    /// `go_on` waits as long as it is told to, and says whether the run goes on.
    pub(crate) fn try_alone(
        &self,
        slice: &PlannedSlice,
        (recipe, pipeline): (&Recipe, &Pipeline),
        go_on: &mut dyn FnMut(Duration) -> bool,
    ) -> Judged {
        let Bytes::File(path) = &slice.at.input.bytes else { return Judged::Unknown };
        let job = Job::new(recipe, &self.key, path, slice);
        match trial::judge(&self.command, &job.to_bytes(), go_on) {
            Verdict::Guilty => Judged::Guilty,
            Verdict::Unproven => Judged::Unproven,
            Verdict::Innocent(answer) => {
                let outcome = answer::read(&answer, &slice.at, pipeline);
                outcome.map_or(Judged::Unknown, |outcome| Judged::Innocent(Box::new(outcome)))
            }
        }
    }

    fn left(&self) -> std::sync::MutexGuard<'_, Vec<Left>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a trial came to.
#[derive(Debug)]
pub(crate) enum Judged {
    /// It is harmless alone, and this came of it.
    Innocent(Box<Outcome>),
    /// It ended its process each time.
    Guilty,
    /// It could not be tried: it goes down the line like any other.
    Unknown,
    /// The run was asked to end meanwhile: nothing is proved.
    Unproven,
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
