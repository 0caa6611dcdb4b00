//! Deflated Image Frame Compression: each frame a raw deflate stream of its uncompressed cells.
//!
//! # Source
//! PS3.5 sections 8.2.16 and A.4.13; RFC 1951.

use flate2::{Decompress, FlushDecompress, Status};

use super::codestream::failed;
use crate::reason::{Fault, Reason};

/// The `length` bytes of one uncompressed frame.
///
/// # Errors
/// Reason `pixel_length` where the stream holds fewer bytes or more, `decode_failed` where it is damaged
/// or cut, or where anything but one zero that makes its length even follows.
pub(crate) fn inflate(frame: &[u8], length: usize) -> Result<Vec<u8>, Fault> {
    // A byte more than the frame tells that there is more.
    let mut cells = vec![0; length + 1];
    let mut stream = Decompress::new(false);
    let status = stream.decompress(frame, &mut cells, FlushDecompress::Finish);
    let status = status.map_err(|_| failed("the deflated frame is damaged"))?;
    cells.truncate(length);
    let found = stream.total_out();
    match status {
        Status::StreamEnd if found == length as u64 => {}
        Status::StreamEnd => {
            return Err(Fault::new(Reason::PixelLength, format!("{found} inflated bytes, expected {length}")));
        }
        _ if found > length as u64 => {
            return Err(Fault::new(Reason::PixelLength, format!("more than {length} inflated bytes")));
        }
        _ => return Err(failed(format!("the deflated frame is cut after {found} of {length} bytes"))),
    }
    let used = usize::try_from(stream.total_in()).unwrap_or(usize::MAX);
    match frame.get(used..) {
        Some([]) => Ok(cells),
        Some([0]) if used % 2 == 1 => Ok(cells),
        _ => Err(failed(format!("{} bytes follow the deflated frame", frame.len().saturating_sub(used)))),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    fn deflate(bytes: &[u8], level: u32) -> Vec<u8> {
        let mut deflated = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::new(level));
        deflated.write_all(bytes).expect("to memory");
        deflated.finish().expect("to memory")
    }

    #[test]
    fn a_stored_block_by_hand() {
        // RFC 1951 3.2.4: last block, stored; LEN 2; its complement; two bytes.
        assert_eq!(inflate(&[1, 2, 0, 0xFD, 0xFF, 7, 9], 2), Ok(vec![7, 9]));
        assert_eq!(inflate(&[1, 2, 0, 0xFD, 0xFF, 7, 9, 0], 2), Ok(vec![7, 9]));
    }

    #[test]
    fn one_zero_may_make_the_length_even_and_nothing_else_may_follow() {
        let odd = [1, 2, 0, 0xFD, 0xFF, 7, 9];
        for tail in [&[1][..], &[0, 0], &[0, 0, 0]] {
            let fault = inflate(&[&odd[..], tail].concat(), 2).expect_err("more follows");
            assert_eq!(fault.reason, Reason::DecodeFailed, "{tail:?}");
        }
        let even = [1, 1, 0, 0xFE, 0xFF, 7];
        assert_eq!(inflate(&even, 1), Ok(vec![7]));
        assert!(inflate(&[&even[..], &[0]].concat(), 1).is_err());
    }

    #[test]
    fn fewer_or_more_bytes_than_the_frame_are_a_fault() {
        for level in [0, 1, 9] {
            let frame = deflate(&[5; 1000], level);
            for length in [0, 1, 999, 1001, 100_000] {
                assert_eq!(inflate(&frame, length).expect_err("1000").reason, Reason::PixelLength, "{length}");
            }
            for end in 0..frame.len() {
                assert_eq!(inflate(&frame[..end], 1000).expect_err("cut").reason, Reason::DecodeFailed, "{end}");
            }
        }
    }

    #[test]
    fn a_bomb_fills_no_more_than_the_frame() {
        let bomb = deflate(&vec![0; 50 << 20], 9);
        let fault = inflate(&bomb, 512).expect_err("50 MiB");
        assert_eq!(fault.detail, "more than 512 inflated bytes");
    }

    #[test]
    fn a_zlib_header_is_not_skipped() {
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        zlib.write_all(&[5; 100]).expect("to memory");
        assert!(inflate(&zlib.finish().expect("to memory"), 100).is_err());
    }

    proptest! {
        #[test]
        fn what_was_deflated_comes_back(
            bytes in prop::collection::vec(prop_oneof![Just(0u8), any::<u8>()], 1..3000), level in 0u32..=9, pads: bool,
        ) {
            let mut frame = deflate(&bytes, level);
            if pads && frame.len() % 2 == 1 {
                frame.push(0);
            }
            prop_assert_eq!(inflate(&frame, bytes.len()), Ok(bytes));
        }

        #[test]
        fn any_bytes_give_the_length_or_a_fault(bytes in prop::collection::vec(any::<u8>(), 0..300), length in 0usize..100) {
            if let Ok(cells) = inflate(&bytes, length) {
                prop_assert_eq!(cells.len(), length);
            }
        }
    }
}
