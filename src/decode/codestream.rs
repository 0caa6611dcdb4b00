//! From a compressed frame to pixel cells: which decoder, and what every codestream's own header
//! must agree with before the decoder is called.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::format::{Cells, Format};
use super::syntax::Codec;
use super::{deflated_frame, jpeg_dct, jpeg_lossless, jpeg_ls, jpeg_xl, jpeg2000, rle};
use crate::reason::{Fault, Reason};

/// What a codestream says of the image in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) columns: u32,
    pub(crate) rows: u32,
    pub(crate) components: u32,
    /// Bits per sample.
    pub(crate) precision: u32,
}

impl Claim {
    /// Whether the data set says the same: one component, the same size, and samples that hold Bits
    /// Stored and fit Bits Allocated.
    ///
    /// # Errors
    /// Reason `codestream_mismatch`.
    pub(crate) fn check(&self, format: &Format) -> Result<(), Fault> {
        let bits = u32::from(format.bits_stored)..=u32::from(format.bits_allocated);
        if (self.columns, self.rows, self.components) == (format.columns, format.rows, 1)
            && bits.contains(&self.precision)
        {
            return Ok(());
        }
        let detail = format!(
            "the codestream has {} rows, {} columns, {} components, {} bits; expected {}, {}, 1, {} to {}",
            self.rows,
            self.columns,
            self.components,
            self.precision,
            format.rows,
            format.columns,
            format.bits_stored,
            format.bits_allocated
        );
        Err(Fault::new(Reason::CodestreamMismatch, detail))
    }
}

/// The fault of a codestream that breaks the rules of its format.
pub(crate) fn failed(detail: impl Into<String>) -> Fault {
    Fault::new(Reason::DecodeFailed, detail)
}

/// Cells of one compressed frame.
///
/// # Errors
/// Reason `codestream_mismatch`, `decode_failed`; `transfer_syntax` where there is no decoder.
pub(crate) fn decode(frame: &[u8], codec: Codec, format: &Format) -> Result<Cells, Fault> {
    check_allocated(codec, format)?;
    match codec {
        Codec::Rle => rle::decode(frame, format),
        Codec::Encapsulated => Ok(little_endian(uncompressed(frame, format)?, format)),
        Codec::DeflatedFrame => {
            let length = usize::try_from(format.frame_bytes()).unwrap_or(usize::MAX);
            Ok(little_endian(&deflated_frame::inflate(frame, length)?, format))
        }
        Codec::JpegDct => jpeg_dct::decode(frame, format),
        Codec::JpegLossless => jpeg_lossless::decode(frame, format),
        Codec::JpegLs => jpeg_ls::decode(frame, format),
        Codec::Jpeg2000 => jpeg2000::decode(frame, format),
        Codec::JpegXl => contained(|| jpeg_xl::decode(frame, format)),
        Codec::Native | Codec::Deflated | Codec::Unsupported => {
            Err(Fault::new(Reason::TransferSyntax, "no decoder for the transfer syntax"))
        }
    }
}

/// Whether the codec has samples of so many bits: the decoders of codestreams stop at 16.
///
/// # Errors
/// Reason `pixel_format`.
pub(crate) fn check_allocated(codec: Codec, format: &Format) -> Result<(), Fault> {
    use Codec::{Jpeg2000, JpegDct, JpegLossless, JpegLs, JpegXl};
    if format.bits_allocated > 16 && matches!(codec, JpegDct | JpegLossless | JpegLs | JpegXl | Jpeg2000) {
        return Err(Fault::new(Reason::PixelFormat, "compressed pixels of more than 16 bits"));
    }
    Ok(())
}

/// The bytes of an uncompressed frame in fragments: exactly a frame, or one byte more where that makes the
/// length even (PS3.5 A.4.11).
fn uncompressed<'a>(frame: &'a [u8], format: &Format) -> Result<&'a [u8], Fault> {
    let (found, expected) = (frame.len() as u64, format.frame_bytes());
    let is_frame = found == expected || found == expected.next_multiple_of(2);
    let cells = usize::try_from(expected).ok().and_then(|length| frame.get(..length)).filter(|_| is_frame);
    cells.ok_or_else(|| Fault::new(Reason::PixelLength, format!("the frame has {found} bytes, expected {expected}")))
}

fn little_endian(cells: &[u8], format: &Format) -> Cells {
    Cells::native(cells, format, false, *b"OB")
}

/// Calls a decoder of another project. That it panics on a damaged frame is no bug of this program, as
/// the same in a decoder of our own would be: the frame is what is wrong.
fn contained(decoder: impl FnOnce() -> Result<Cells, Fault>) -> Result<Cells, Fault> {
    // Nothing that the decoder may have left half done outlives the call.
    catch_unwind(AssertUnwindSafe(decoder)).unwrap_or_else(|_| Err(failed("the decoder panicked on the frame")))
}

/// Bytes that the decoder holds beside the frame's bytes and 2 bytes for each pixel of the result.
/// Measured peaks, rounded up.
pub(crate) fn working_bytes(codec: Codec, pixels: u64) -> u64 {
    match codec {
        Codec::Native | Codec::Deflated | Codec::Encapsulated | Codec::Unsupported | Codec::JpegLossless => 0,
        // The levels of gradients, a byte each; three lines.
        Codec::JpegLs => 256 << 10,
        // Its uncompressed cells, of up to 32 bits, and the window of the inflater.
        Codec::DeflatedFrame => 4 * pixels + (64 << 10),
        // A plane of bytes; wide cells are counted by themselves.
        Codec::Rle => pixels,
        // Coefficients of a progressive frame, whose edges are filled up to whole blocks; the tables.
        Codec::JpegDct => 2 * pixels + (256 << 10),
        // Coefficients, and what the limits of precincts and code-blocks leave room for.
        Codec::Jpeg2000 => 16 * pixels + (1 << 20),
        // Measured 7 to 24; hostile are four frames of three channels that others refer to.
        Codec::JpegXl => 64 * pixels + (4 << 20),
    }
}
