//! Stage `tilt` (to come).

use super::{Scratch, Stage};
use crate::column::Column;
use crate::reason::Fault;
use crate::recipe::Recipe;
use crate::slice::Slice;

/// Stage `tilt`.
#[derive(Debug)]
pub struct Tilt {}

impl Tilt {
    /// The stage as `recipe` wants it.
    pub fn new(_recipe: &Recipe) -> Tilt {
        Tilt {}
    }
}

impl Stage for Tilt {
    fn name(&self) -> &'static str {
        "tilt"
    }

    fn columns(&self) -> &'static [&'static Column] {
        &[]
    }

    fn apply(&self, _slice: &mut Slice, _scratch: &mut Scratch) -> Result<(), Fault> {
        Ok(())
    }
}
