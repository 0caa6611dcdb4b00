//! From bytes to stored values (to come).

use std::sync::OnceLock;

use crate::column::Column;
use crate::identity::Key;
use crate::reason::Fault;
use crate::recipe::Recipe;
use crate::slice::{Bytes, Slice, SliceRef};
use crate::stage::Scratch;

/// What decoding the first slice of an input found out and the next ones use again: parsed header,
/// content id, where the frames are. Filled once; the result depends on the input's bytes alone.
#[derive(Debug, Default)]
pub struct Opened(#[allow(dead_code)] OnceLock<()>);

/// Turns one slice of one input into stored values, attributes and the columns of the groups
/// identity, geometry and acquisition.
#[derive(Debug)]
pub struct Decoder {}

impl Decoder {
    /// A decoder for this recipe; pseudonyms are made with `key`.
    pub fn new(_recipe: &Recipe, _key: &Key) -> Decoder {
        Decoder {}
    }

    /// Every column that [`Decoder::decode`] may fill.
    pub fn columns(&self) -> &'static [&'static Column] {
        &[]
    }

    /// Reads, hashes and decodes one slice. After it: pixels are stored values (Bits Stored masked,
    /// sign extended, MONOCHROME1 turned), the guide is empty, the placement the identity.
    ///
    /// # Errors
    /// What is wrong with this slice or its input.
    pub fn decode(&self, _at: &SliceRef, _scratch: &mut Scratch) -> Result<Slice, Fault> {
        unimplemented!()
    }
}

/// What an input is, as its header tells.
#[derive(Clone, Debug, PartialEq)]
pub enum Examined {
    /// CT slices, to be planned.
    Ct(CtInput),
    /// One ledger row: not a CT slice, or one that cannot be made into a row.
    Not(Fault),
}

/// What the plan keeps of a CT input.
#[derive(Clone, Debug, PartialEq)]
pub struct CtInput {
    /// Frames in it, at least 1.
    pub frames: u32,
    /// Rows (0028,0010).
    pub rows: u32,
    /// Columns (0028,0011).
    pub columns: u32,
    /// Bytes that decoding one of its frames holds beside the frame's pixels: the header, and the
    /// encoded frame or (deflated) the whole data set. For the permits of the line.
    pub bytes_per_slice: u64,
    /// SOP Instance UID, for finding duplicates; never written out in the clear.
    pub sop_instance_uid: Option<String>,
    /// Series Instance UID, for `order = "series"`; never written out in the clear.
    pub series_instance_uid: Option<String>,
    /// Position along the slice normal (mm) where known, else Instance Number: the order within a
    /// series.
    pub position: Option<f64>,
}

/// Reads an input's header, up to Pixel Data, and says what it is. `limits` come from the recipe.
/// Never panics on any bytes; a panic of a parser below is caught by the caller.
pub fn examine(_bytes: &Bytes) -> Examined {
    unimplemented!()
}
