//! RLE Lossless.
//!
//! # Source
//! PS3.5 annex G.

use super::format::{Cells, Format};
use crate::reason::{Fault, Reason};

fn failed(detail: impl Into<String>) -> Fault {
    Fault::new(Reason::DecodeFailed, detail)
}

/// Cells of one frame: a segment for each byte of a cell, the high byte first.
///
/// # Errors
/// Reason `codestream_mismatch` where the segments are not as many as a cell has bytes,
/// `decode_failed` where one ends early. Bytes behind the last pixel are padding.
pub(crate) fn decode(frame: &[u8], format: &Format) -> Result<Cells, Fault> {
    let (header, _) = frame.as_chunks::<4>();
    let header = header.get(..16).ok_or_else(|| failed("an RLE header has 64 bytes"))?;
    let word = |index: usize| header.get(index).map_or(0, |bytes| u32::from_le_bytes(*bytes) as usize);
    let segments = usize::from(format.bits_allocated / 8);
    if word(0) != segments {
        let detail = format!("{} RLE segments, expected {segments}", word(0));
        return Err(Fault::new(Reason::CodestreamMismatch, detail));
    }
    let mut plane = Vec::with_capacity(format.pixels());
    let mut narrow = vec![0u16; if segments <= 2 { format.pixels() } else { 0 }];
    let mut wide = vec![0u32; if segments <= 2 { 0 } else { format.pixels() }];
    for segment in 0..segments {
        let end = if segment + 1 < segments { word(segment + 2) } else { frame.len() };
        let bytes = frame.get(word(segment + 1)..end).filter(|_| word(segment + 1) >= 64);
        unpack(bytes.ok_or_else(|| failed("an RLE offset is outside of its frame"))?, format.pixels(), &mut plane)?;
        let shift = 8 * (segments - 1 - segment);
        narrow.iter_mut().zip(&plane).for_each(|(cell, &byte)| *cell |= u16::from(byte) << shift);
        wide.iter_mut().zip(&plane).for_each(|(cell, &byte)| *cell |= u32::from(byte) << shift);
    }
    Ok(if segments <= 2 { Cells::Narrow(narrow) } else { Cells::Wide(wide) })
}

/// One segment (PackBits): n < 128, then n + 1 bytes; n > 128, then one byte 257 - n times.
fn unpack(mut segment: &[u8], pixels: usize, plane: &mut Vec<u8>) -> Result<(), Fault> {
    plane.clear();
    while plane.len() < pixels {
        let short = || failed(format!("an RLE segment ends after {} of {pixels} pixels", plane.len()));
        let (&control, rest) = segment.split_first().ok_or_else(short)?;
        let left = pixels - plane.len();
        segment = match usize::from(control) {
            128 => rest,
            run if run > 128 => {
                let (&byte, rest) = rest.split_first().ok_or_else(short)?;
                plane.resize(plane.len() + (257 - run).min(left), byte);
                rest
            }
            literal => {
                let (bytes, rest) = rest.split_at_checked(literal + 1).ok_or_else(short)?;
                plane.extend_from_slice(bytes.get(..left).unwrap_or(bytes));
                rest
            }
        };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn format(pixels: usize, bits: u16) -> Format {
        Format {
            rows: 1,
            columns: pixels as u32,
            frames: 1,
            bits_allocated: bits,
            bits_stored: bits,
            high_bit: bits - 1,
            is_signed: false,
            is_turned: false,
        }
    }

    /// Runs of at least 3 as runs, everything else as literals of at most 128.
    fn pack(plane: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut at = 0;
        while at < plane.len() {
            let run = plane[at..].iter().take(128).take_while(|&&byte| byte == plane[at]).count();
            if run >= 3 {
                out.extend([(257 - run) as u8, plane[at]]);
                at += run;
            } else {
                out.extend([0, plane[at]]);
                at += 1;
            }
        }
        out
    }

    fn encode(cells: &[u32], segments: usize) -> Vec<u8> {
        let mut words = vec![segments as u32];
        let mut body = Vec::new();
        for segment in 0..segments {
            words.push(64 + body.len() as u32);
            let shift = 8 * (segments - 1 - segment);
            body.extend(pack(&cells.iter().map(|cell| (cell >> shift) as u8).collect::<Vec<_>>()));
        }
        words.resize(16, 0);
        words.iter().flat_map(|word| word.to_le_bytes()).chain(body).collect()
    }

    proptest! {
        #[test]
        fn a_frame_comes_back(cells in prop::collection::vec(prop_oneof![Just(7u32), any::<u32>()], 1..200), bytes in 0usize..3) {
            let segments = [1, 2, 4][bytes];
            let cells: Vec<u32> = cells.iter().map(|cell| cell & (u32::MAX >> (32 - 8 * segments))).collect();
            let decoded = decode(&encode(&cells, segments), &format(cells.len(), 8 * segments as u16)).expect("decodes");
            match decoded {
                Cells::Narrow(found) => prop_assert!(found.iter().map(|&cell| u32::from(cell)).eq(cells.iter().copied())),
                Cells::Wide(found) => prop_assert_eq!(found, cells),
            }
        }

        #[test]
        fn any_bytes_give_pixels_or_a_fault(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(Cells::Narrow(cells)) = decode(&bytes, &format(50, 16)) {
                prop_assert_eq!(cells.len(), 50);
            }
        }
    }

    #[test]
    fn literals_runs_and_the_void_byte() {
        let mut plane = Vec::new();
        unpack(&[1, 10, 11, 128, 254, 7], 5, &mut plane).expect("five pixels");
        assert_eq!(plane, [10, 11, 7, 7, 7]);
        assert!(unpack(&[1, 10], 2, &mut plane).is_err());
    }
}
