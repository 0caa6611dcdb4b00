//! What a file may ask for at most. Above a limit the answer is reason `limit_exceeded`.

use crate::reason::{Fault, Reason};

/// Header bytes before Pixel Data.
pub(crate) const HEADER_BYTES: u64 = 16 << 20;
/// Bytes of one value that is not Pixel Data.
pub(crate) const VALUE_BYTES: u64 = 4 << 20;
/// Data elements of a header, beside those of the functional groups.
pub(crate) const ELEMENTS: u32 = 65_536;
/// Data elements for each item of the functional groups, on the average.
pub(crate) const ELEMENTS_PER_FRAME: u32 = 256;
/// Levels of nested sequences.
pub(crate) const DEPTH: usize = 16;
/// Items of one sequence; functional groups have one for each frame.
pub(crate) const ITEMS: u32 = 4_096;
/// Rows, and Columns.
pub(crate) const SIDE: u32 = 4_096;
/// Frames of one input.
pub(crate) const FRAMES: u32 = 16_384;
/// Fragments of encapsulated Pixel Data.
pub(crate) const FRAGMENTS: usize = 65_536;
/// Bytes of a single-frame file that is read whole; larger ones are read piecewise.
pub(crate) const WHOLE_FILE_BYTES: u64 = 64 << 20;
/// Bytes of a deflated data set, inflated, up to the end of its Pixel Data.
pub(crate) const INFLATED_BYTES: u64 = 256 << 20;

/// The fault of a count above its limit.
pub(crate) fn exceeded(what: &str, found: u64, most: u64) -> Fault {
    Fault::new(Reason::LimitExceeded, format!("{what}: {found}, at most {most} are taken"))
}
