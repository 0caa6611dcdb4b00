//! Marker segments, as JPEG (T.81 annex B) and JPEG-LS (T.87 annex C) have them.

use super::codestream::{Claim, failed};
use crate::reason::Fault;

/// Start of frame, sequential DCT of 8 bits, Huffman.
pub(crate) const SOF0: u8 = 0xC0;
/// Start of frame, sequential DCT of 8 or 12 bits, Huffman.
pub(crate) const SOF1: u8 = 0xC1;
/// Start of frame, progressive DCT, Huffman.
pub(crate) const SOF2: u8 = 0xC2;
/// Start of frame, lossless Huffman.
pub(crate) const SOF3: u8 = 0xC3;
/// Start of frame, JPEG-LS.
pub(crate) const SOF55: u8 = 0xF7;
/// Define Huffman tables.
pub(crate) const DHT: u8 = 0xC4;
/// Define restart interval.
pub(crate) const DRI: u8 = 0xDD;
/// Define quantization tables.
pub(crate) const DQT: u8 = 0xDB;
/// Start of scan.
pub(crate) const SOS: u8 = 0xDA;
/// JPEG-LS parameters.
pub(crate) const LSE: u8 = 0xF8;
const SOI: u8 = 0xD8;
const EOI: u8 = 0xD9;

/// Walks over the segments before a scan's data.
#[derive(Debug)]
pub(crate) struct Segments<'a> {
    rest: &'a [u8],
}

impl<'a> Segments<'a> {
    /// The segments of a codestream.
    ///
    /// # Errors
    /// Reason `decode_failed` where it does not begin as one.
    pub(crate) fn of(frame: &'a [u8]) -> Result<Segments<'a>, Fault> {
        match frame.strip_prefix(&[0xFF, SOI]) {
            Some(rest) => Ok(Segments { rest }),
            None => Err(failed("the frame does not begin with a JPEG start of image")),
        }
    }

    /// The segments between two scans, `rest` being what the first left over; `None` at the end of the
    /// image.
    ///
    /// # Errors
    /// Reason `decode_failed` where no marker follows.
    pub(crate) fn after_scan(rest: &'a [u8]) -> Result<Option<Segments<'a>>, Fault> {
        let is_marker = |pair: &[u8]| matches!(pair, [0xFF, marker] if !matches!(marker, 0 | 0xD0..=0xD7 | 0xFF));
        let at = rest.windows(2).position(is_marker);
        let rest = at.and_then(|at| rest.get(at..)).ok_or_else(|| failed("the codestream ends after a scan"))?;
        Ok(if rest.starts_with(&[0xFF, EOI]) { None } else { Some(Segments { rest }) })
    }

    /// The next segment: its marker and what follows its length.
    ///
    /// # Errors
    /// Reason `decode_failed` where there is none.
    pub(crate) fn next(&mut self) -> Result<(u8, &'a [u8]), Fault> {
        let cut = || failed("the codestream ends before a scan");
        let (&[0xFF], mut rest) = self.rest.split_first_chunk().ok_or_else(cut)? else {
            return Err(failed("no marker in a marker's place"));
        };
        // Any number of fill bytes.
        while let [0xFF, more @ ..] = rest {
            rest = more;
        }
        let (&marker, rest) = rest.split_first().ok_or_else(cut)?;
        if matches!(marker, 0 | 1 | 0xD0..=EOI) {
            return Err(failed("a marker without a segment before a scan"));
        }
        let (&length, _) = rest.split_first_chunk().ok_or_else(cut)?;
        let (body, after) = rest.split_at_checked(usize::from(u16::from_be_bytes(length))).ok_or_else(cut)?;
        self.rest = after;
        Ok((marker, body.get(2..).ok_or_else(cut)?))
    }

    /// What follows the segments taken so far.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

/// Whether the marker starts a frame (SOF0 to SOF15, SOF55).
pub(crate) fn is_frame(marker: u8) -> bool {
    matches!(marker, 0xC0..=0xCF | SOF55) && !matches!(marker, DHT | 0xC8 | 0xCC)
}

/// What a start of frame says.
///
/// # Errors
/// Reason `decode_failed` where it is cut.
pub(crate) fn claim(body: &[u8]) -> Result<Claim, Fault> {
    let Some(&[precision, y1, y2, x1, x2, components]) = body.first_chunk() else {
        return Err(failed("a start of frame is cut"));
    };
    Ok(Claim {
        columns: u16::from_be_bytes([x1, x2]).into(),
        rows: u16::from_be_bytes([y1, y2]).into(),
        components: components.into(),
        precision: precision.into(),
    })
}
