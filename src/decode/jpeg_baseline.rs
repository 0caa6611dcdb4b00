//! JPEG, 8 bit, lossy, decoded by `jpeg-decoder`.
//!
//! # Source
//! T.81 process 1; sequential DCT of 8 bits under another marker (SOF1) is taken too.

use jpeg_decoder::Decoder;

use super::codestream::failed;
use super::format::{Cells, Format};
use super::markers::{self, Segments};
use crate::reason::{Fault, Reason};

/// Cells of one frame.
///
/// # Errors
/// Reason `codestream_mismatch` where the frame's header does not agree with the data set,
/// `decode_failed` where the codestream is damaged.
pub(crate) fn decode(frame: &[u8], format: &Format) -> Result<Cells, Fault> {
    let mut segments = Segments::of(frame)?;
    let (marker, body) = loop {
        let (marker, body) = segments.next()?;
        if markers::is_frame(marker) {
            break (marker, body);
        }
    };
    let claim = markers::claim(body)?;
    claim.check(format)?;
    if !matches!(marker, 0xC0 | 0xC1) || claim.precision != 8 {
        return Err(Fault::new(Reason::CodestreamMismatch, "the JPEG process is not baseline"));
    }
    let mut decoder = Decoder::new(frame);
    decoder.set_max_decoding_buffer_size(format.pixels());
    let samples = decoder.decode().map_err(|_| failed("the JPEG decoder gave up"))?;
    if samples.len() != format.pixels() {
        return Err(failed("the decoded frame has another size than its header"));
    }
    Ok(Cells::Narrow(samples.into_iter().map(u16::from).collect()))
}
