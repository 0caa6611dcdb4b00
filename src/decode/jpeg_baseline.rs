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

#[cfg(test)]
mod tests {
    use super::*;

    /// 8x8 samples of 100, written by libjpeg.
    #[rustfmt::skip]
    const FRAME: [u8; 160] = [
        255, 216, 255, 224, 0, 16, 74, 70, 73, 70, 0, 1, 1, 0, 0, 1, 0, 1, 0, 0,
        255, 219, 0, 67, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
        1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
        1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
        1, 1, 1, 1, 1, 1, 1, 1, 1, 255, 192, 0, 11, 8, 0, 8, 0, 8, 1, 1,
        17, 0, 255, 196, 0, 20, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 8, 255, 196, 0, 20, 16, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 255, 218, 0, 8, 1, 1, 0, 0, 63, 0, 15, 191, 255, 217,
    ];

    fn format(rows: u32) -> Format {
        Format {
            rows,
            columns: 8,
            frames: 1,
            bits_allocated: 8,
            bits_stored: 8,
            high_bit: 7,
            is_signed: false,
            is_turned: false,
        }
    }

    #[test]
    fn a_flat_frame_is_flat() {
        assert_eq!(decode(&FRAME, &format(8)), Ok(Cells::Narrow(vec![100; 64])));
    }

    #[test]
    fn a_smaller_frame_is_a_mismatch_not_zeros() {
        assert_eq!(decode(&FRAME, &format(16)).expect_err("8 rows").reason, Reason::CodestreamMismatch);
        assert_eq!(decode(&FRAME[..120], &format(8)).expect_err("cut").reason, Reason::DecodeFailed);
    }
}
