//! Stage `denoise` (to come).

use super::{Scratch, Stage};
use crate::column::Column;
use crate::reason::Fault;
use crate::recipe::Recipe;
use crate::slice::Slice;

/// Stage `denoise`.
#[derive(Debug)]
pub struct Denoise {}

impl Denoise {
    /// The stage as `recipe` wants it.
    pub fn new(_recipe: &Recipe) -> Denoise {
        Denoise {}
    }
}

impl Stage for Denoise {
    fn name(&self) -> &'static str {
        "denoise"
    }

    fn columns(&self) -> &'static [&'static Column] {
        &[]
    }

    fn apply(&self, _slice: &mut Slice, _scratch: &mut Scratch) -> Result<(), Fault> {
        Ok(())
    }
}
