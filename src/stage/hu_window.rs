//! Stage `hu_window` (to come).

use super::{Scratch, Stage};
use crate::column::Column;
use crate::reason::Fault;
use crate::recipe::Recipe;
use crate::slice::Slice;

/// Stage `hu_window`.
#[derive(Debug)]
pub struct HuWindow {}

impl HuWindow {
    /// The stage as `recipe` wants it.
    pub fn new(_recipe: &Recipe) -> HuWindow {
        HuWindow {}
    }
}

impl Stage for HuWindow {
    fn name(&self) -> &'static str {
        "hu_window"
    }

    fn columns(&self) -> &'static [&'static Column] {
        &[]
    }

    fn apply(&self, _slice: &mut Slice, _scratch: &mut Scratch) -> Result<(), Fault> {
        Ok(())
    }
}
