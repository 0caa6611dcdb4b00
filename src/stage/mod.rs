//! The stages: pure functions of a slice and the recipe, in one ordered list.
//!
//! A stage file holds science only: no threads, no files. To add a stage, write one file beside
//! these and add one line to [`list`]; `examples/own_stage.rs` shows one that lives outside.

pub mod crop_pad;
pub mod denoise;
pub mod hu_window;
pub mod tilt;

use crate::column::Column;
use crate::reason::Fault;
use crate::recipe::Recipe;
use crate::slice::Slice;

/// Buffers that a worker keeps from slice to slice, so that kernels need not allocate. Holds no
/// meaning: a stage's result never depends on what is in it.
#[derive(Debug, Default)]
pub struct Scratch {
    /// Bytes of an input as they were read.
    pub bytes: Vec<u8>,
    /// The guide of a slice that is a tensor now, for the next slice of the same size.
    pub(crate) guide: ndarray::Array2<u16>,
    /// The part of an image that a turn takes its pixels from.
    pub(crate) frame: crate::kernel::warp::Frame,
}

/// One step of the line.
///
/// The result depends on the slice and the recipe alone: not on the thread, the neighbours, the
/// time or the processor.
pub trait Stage: Send + Sync {
    /// The stage's name: a verb or the noun of its recipe section, snake case.
    fn name(&self) -> &'static str;

    /// Every column that [`Stage::apply`] may fill. Columns not filled are null.
    fn columns(&self) -> &'static [&'static Column];

    /// Does the step.
    ///
    /// # Errors
    /// What is wrong with this slice; it then becomes one ledger row and nothing else stops.
    fn apply(&self, slice: &mut Slice, scratch: &mut Scratch) -> Result<(), Fault>;
}

/// The stages after `decode`, in the order in which a slice meets them.
pub fn list(recipe: &Recipe) -> Vec<Box<dyn Stage>> {
    vec![
        Box::new(hu_window::HuWindow::new(recipe)),
        Box::new(denoise::Denoise::new(recipe)),
        Box::new(tilt::Tilt::new(recipe)),
        Box::new(crop_pad::CropPad::new(recipe)),
    ]
}

/// Slices for the tests of the stages.
#[cfg(test)]
pub(crate) mod tests_on {
    use crate::identity::SourceId;
    use crate::kernel::affine::Affine;
    use crate::slice::{InputRef, Ordinal, Pixels, Slice, SliceRef};

    /// A slice of these HU as `hu_window` leaves it, with a guide from 0 to 80 HU.
    pub(crate) fn slice_of(hu: ndarray::Array2<i16>) -> Slice {
        let input = InputRef::memory(SourceId([0; 24]), [].into());
        Slice {
            at: SliceRef { ordinal: Ordinal(0), input, frame: 0 },
            attributes: Default::default(),
            guide: hu.mapv(|hu| hu.clamp(0, 80) as u16),
            pixels: Pixels::I16(hu.insert_axis(ndarray::Axis(0))),
            mask: None,
            placement: Affine::IDENTITY,
            facts: Default::default(),
        }
    }
}
