//! Stage `crop_pad` (to come).

use super::{Scratch, Stage};
use crate::column::Column;
use crate::reason::Fault;
use crate::recipe::Recipe;
use crate::slice::Slice;

/// Stage `crop_pad`.
#[derive(Debug)]
pub struct CropPad {}

impl CropPad {
    /// The stage as `recipe` wants it.
    pub fn new(_recipe: &Recipe) -> CropPad {
        CropPad {}
    }
}

impl Stage for CropPad {
    fn name(&self) -> &'static str {
        "crop_pad"
    }

    fn columns(&self) -> &'static [&'static Column] {
        &[]
    }

    fn apply(&self, _slice: &mut Slice, _scratch: &mut Scratch) -> Result<(), Fault> {
        Ok(())
    }
}
