//! From a compressed frame to pixel cells: which decoder, and what every codestream's own header
//! must agree with before the decoder is called.

use super::format::{Cells, Format};
use super::syntax::Codec;
use super::{jpeg_baseline, jpeg_lossless, jpeg_ls, jpeg_xl, jpeg2000, rle};
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
    match codec {
        Codec::Rle => rle::decode(frame, format),
        // Samples of more than 16 bits have no decoder below.
        _ if format.bits_allocated > 16 => {
            Err(Fault::new(Reason::PixelFormat, "compressed pixels of more than 16 bits"))
        }
        Codec::JpegBaseline => jpeg_baseline::decode(frame, format),
        Codec::JpegLossless => jpeg_lossless::decode(frame, format),
        Codec::JpegLs => jpeg_ls::decode(frame, format),
        Codec::Jpeg2000 => jpeg2000::decode(frame, format),
        Codec::JpegXl => jpeg_xl::decode(frame, format),
        Codec::Native | Codec::Deflated | Codec::Unsupported => {
            Err(Fault::new(Reason::TransferSyntax, "no decoder for the transfer syntax"))
        }
    }
}

/// Bytes that the decoder holds for each pixel, beside the frame's bytes and 2 bytes of the result.
pub(crate) fn working_bytes_per_pixel(codec: Codec) -> u64 {
    match codec {
        Codec::Native | Codec::Deflated | Codec::Unsupported => 0,
        // A plane of bytes; wide cells are counted by themselves.
        Codec::Rle => 1,
        Codec::JpegLossless | Codec::JpegLs => 0,
        Codec::JpegBaseline => 8,
        Codec::Jpeg2000 => 24,
        Codec::JpegXl => 32,
    }
}
