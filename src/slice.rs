//! The slice: what flows through the line, and what is left of it when it cannot go on.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ndarray::{Array2, Array3, ArrayView2, Axis};

use crate::attributes::Attributes;
use crate::column::Facts;
use crate::identity::SourceId;
use crate::kernel::affine::Affine;
use crate::kernel::mask::Mask;
use crate::reason::Fault;

/// A slice's place in the plan; dense over planned slices.
///
/// Nothing downstream of the plan invents an order: the sink puts slices back into this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ordinal(pub u64);

/// Where an input's bytes are.
#[derive(Clone, Debug)]
pub enum Bytes {
    /// A file. Opened read-only, never mapped.
    File(PathBuf),
    /// Bytes that the caller holds already.
    Memory(Arc<[u8]>),
}

/// One input: a file, or bytes in memory. Shared by all its slices.
#[derive(Debug)]
pub struct InputRef {
    /// Keyed identity of the path; the only name of an input that may leave OUT.private.
    pub source_id: SourceId,
    /// Where its bytes are.
    pub bytes: Bytes,
    /// What decoding its first slice found out and the next ones use again.
    pub opened: crate::decode::Opened,
}

impl InputRef {
    /// An input that is a file.
    pub fn file(source_id: SourceId, path: &Path) -> Arc<InputRef> {
        Self::new(source_id, Bytes::File(path.to_owned()))
    }

    /// An input that is in memory.
    pub fn memory(source_id: SourceId, bytes: Arc<[u8]>) -> Arc<InputRef> {
        Self::new(source_id, Bytes::Memory(bytes))
    }

    fn new(source_id: SourceId, bytes: Bytes) -> Arc<InputRef> {
        Arc::new(InputRef { source_id, bytes, opened: Default::default() })
    }
}

/// One slice of one input: the atom of everything.
#[derive(Clone, Debug)]
pub struct SliceRef {
    /// Its place in the plan.
    pub ordinal: Ordinal,
    /// The input that holds it.
    pub input: Arc<InputRef>,
    /// Its frame in that input, from 0.
    pub frame: u32,
}

/// The pixels of a slice, (channel, row, column), in the type they have at this point of the line.
///
/// After `decode`: stored values, one channel. After `hu_window`: HU in `I16`, one channel. After
/// `crop_pad`: the tensor, `U8` or `I16`.
#[derive(Clone, Debug, PartialEq)]
pub enum Pixels {
    /// 8-bit tensors.
    U8(Array3<u8>),
    /// Unsigned stored values of at most 16 bits.
    U16(Array3<u16>),
    /// Signed stored values of at most 16 bits, HU, and int16 tensors.
    I16(Array3<i16>),
    /// Stored values that need 32 bits.
    I32(Array3<i32>),
}

impl Pixels {
    /// (channels, rows, columns).
    pub fn dim(&self) -> (usize, usize, usize) {
        match self {
            Pixels::U8(a) => a.dim(),
            Pixels::U16(a) => a.dim(),
            Pixels::I16(a) => a.dim(),
            Pixels::I32(a) => a.dim(),
        }
    }

    /// The HU plane, (row, column).
    ///
    /// # Errors
    /// Reason `internal` where the pixels are not one plane of `I16`: a stage out of order.
    pub fn hu(&self) -> Result<ArrayView2<'_, i16>, Fault> {
        match self {
            Pixels::I16(a) if a.dim().0 == 1 => Ok(a.index_axis(Axis(0), 0)),
            other => Err(Fault::new(
                crate::reason::Reason::Internal,
                format!("pixels are {:?}, expected one plane of HU", other.dim()),
            )),
        }
    }
}

/// One slice on its way through the line. What each field holds after each stage is the table of
/// the README's section "How it works"; `tests/promises/slice_table.rs` holds every row of it.
#[derive(Clone, Debug)]
pub struct Slice {
    /// Which slice this is.
    pub at: SliceRef,
    /// The attributes of its input and frame.
    pub attributes: Arc<Attributes>,
    /// Its pixels, (channel, row, column).
    pub pixels: Pixels,
    /// HU clipped to the guide window, as offsets from its low edge, (row, column). Empty before
    /// `hu_window`.
    pub guide: Array2<u16>,
    /// The head: which pixels belong to it. `None` before `denoise` and where that is off.
    pub mask: Option<Mask>,
    /// Maps a source point (column, row) to where it is now.
    pub placement: Affine,
    /// The columns found so far.
    pub facts: Facts,
}

/// Where a fault happened.
#[derive(Clone, Debug)]
pub struct Reject {
    /// The slice that has no row.
    pub at: SliceRef,
    /// The stage that gave up on it: `decode`, or a stage's name.
    pub stage: &'static str,
    /// Why.
    pub fault: Fault,
}

/// What comes of a planned slice: a row, or one ledger row that says why not.
pub type Outcome = Result<Slice, Reject>;
