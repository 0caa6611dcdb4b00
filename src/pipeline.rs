//! The one per-item function.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::column::Column;
use crate::decode::Decoder;
use crate::identity::Key;
use crate::reason::{Fault, Reason};
use crate::recipe::Recipe;
use crate::slice::{Outcome, Reject, SliceRef};
use crate::stage::{self, Scratch, Stage};

/// The name that rejects of the first step carry.
pub const DECODE: &str = "decode";

/// The steps from bytes to tensor, as a list: `decode`, then the stages.
///
/// Command line, library, Python and cluster engines all call [`Pipeline::process`], or run the
/// same steps one by one through [`Pipeline::step`].
pub struct Pipeline {
    decoder: Decoder,
    stages: Vec<Box<dyn Stage>>,
}

impl std::fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries((0..self.steps()).map(|step| self.step_name(step))).finish()
    }
}

impl Pipeline {
    /// The line of `recipe`; pseudonyms are made with `key`.
    pub fn new(recipe: &Recipe, key: &Key) -> Pipeline {
        Pipeline { decoder: Decoder::new(recipe, key), stages: stage::list(recipe) }
    }

    /// The same line with one more stage, directly after the stage called `after`.
    ///
    /// Its columns join the schema.
    ///
    /// # Panics
    /// Where no stage is called `after`: a mistake of the program, not of its input.
    pub fn with_stage_after(mut self, after: &str, stage: Box<dyn Stage>) -> Pipeline {
        let at = self.stages.iter().position(|s| s.name() == after);
        let at = at.unwrap_or_else(|| panic!("no stage is called {after}"));
        self.stages.insert(at + 1, stage);
        self
    }

    /// Every column that this line may fill, in the order of the schema.
    pub fn columns(&self) -> Vec<&'static Column> {
        (0..self.steps()).flat_map(|step| self.step_columns(step)).copied().collect()
    }

    /// The columns that one step may fill.
    pub fn step_columns(&self, step: usize) -> &[&'static Column] {
        match step {
            0 => self.decoder.columns(),
            n => self.stages[n - 1].columns(),
        }
    }

    /// How many steps there are, `decode` included.
    pub fn steps(&self) -> usize {
        1 + self.stages.len()
    }

    /// The name of a step: `decode` for 0, else the stage's.
    pub fn step_name(&self, step: usize) -> &'static str {
        match step {
            0 => DECODE,
            n => self.stages[n - 1].name(),
        }
    }

    /// One slice through every step.
    ///
    /// # Errors
    /// The reject that stands for the slice in the ledger. A panic in a step is caught here and
    /// becomes reason `internal`.
    pub fn process(&self, at: &SliceRef, scratch: &mut Scratch) -> Outcome {
        (1..self.steps()).fold(self.decode(at, scratch), |outcome, step| self.step(step, outcome, scratch))
    }

    /// Step 0: bytes to stored values.
    ///
    /// # Errors
    /// As [`Pipeline::process`].
    pub fn decode(&self, at: &SliceRef, scratch: &mut Scratch) -> Outcome {
        guarded(|| self.decoder.decode(at, scratch)).map_err(|fault| Reject { at: at.clone(), stage: DECODE, fault })
    }

    /// Step `step` (from 1) on what the step before it left; a reject passes through untouched.
    ///
    /// # Errors
    /// As [`Pipeline::process`].
    pub fn step(&self, step: usize, outcome: Outcome, scratch: &mut Scratch) -> Outcome {
        let mut slice = outcome?;
        let stage = &self.stages[step - 1];
        match guarded(|| stage.apply(&mut slice, scratch)) {
            Ok(()) => Ok(slice),
            Err(fault) => Err(Reject { at: slice.at, stage: stage.name(), fault }),
        }
    }
}

/// Runs a step; a panic in it becomes a fault. The one place where our own panics are caught; a codec
/// of somebody else's that panics on a damaged frame is that frame's fault, see `decode/codestream.rs`.
///
/// Unwind safety: what the step may have left half changed is the slice, which is dropped, and the
/// scratch, whose contents never carry meaning from slice to slice.
fn guarded<T>(step: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    catch_unwind(AssertUnwindSafe(step))
        .unwrap_or_else(|_| Err(Fault::new(Reason::Internal, "a step panicked; this is a bug")))
}
