//! Reading data elements out of the first bytes of an input, every length checked before use.

use dicom_core::Tag;

use super::limits;
use super::syntax::Encoding;
use crate::reason::{Fault, Reason};

/// Why reading stops before it is done.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Stop {
    /// The bytes at hand end; the input has more.
    NeedMore,
    /// The input is wrong.
    Broken(Fault),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Stop {
        Stop::Broken(fault)
    }
}

/// A place in an input of which the first `bytes` are at hand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    total: Option<u64>,
    position: u64,
    /// No element may end behind this byte.
    most: u64,
}

/// Tag, Value Representation and length of a data element (PS3.5 section 7.1).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ElementHeader {
    pub(crate) tag: Tag,
    /// Two letters; two spaces where they are not written out.
    pub(crate) vr: [u8; 2],
    /// `None`: undefined.
    pub(crate) length: Option<u32>,
}

/// The Value Representations, and whether their length is written in 32 bits.
const VRS: &[(&[u8; 2], bool)] = &[
    (b"AE", false),
    (b"AS", false),
    (b"AT", false),
    (b"CS", false),
    (b"DA", false),
    (b"DS", false),
    (b"DT", false),
    (b"FD", false),
    (b"FL", false),
    (b"IS", false),
    (b"LO", false),
    (b"LT", false),
    (b"OB", true),
    (b"OD", true),
    (b"OF", true),
    (b"OL", true),
    (b"OV", true),
    (b"OW", true),
    (b"PN", false),
    (b"SH", false),
    (b"SL", false),
    (b"SQ", true),
    (b"SS", false),
    (b"ST", false),
    (b"SV", true),
    (b"TM", false),
    (b"UC", true),
    (b"UI", false),
    (b"UL", false),
    (b"UN", true),
    (b"UR", true),
    (b"US", false),
    (b"UT", true),
    (b"UV", true),
];

/// Whether these two bytes are a Value Representation of PS3.5.
pub(crate) fn is_vr(vr: [u8; 2]) -> bool {
    VRS.iter().any(|(known, _)| **known == vr)
}

impl<'a> Cursor<'a> {
    /// A cursor at `position`; `total` is the length of the whole input where it is known, `most` the
    /// limit of header bytes.
    pub(crate) fn new(bytes: &'a [u8], total: Option<u64>, position: u64, most: u64) -> Cursor<'a> {
        Cursor { bytes, total, position, most }
    }

    /// Where the cursor is, from the input's first byte.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Whether nothing follows.
    pub(crate) fn at_end(&self) -> bool {
        self.total.is_some_and(|total| self.position >= total)
    }

    /// The bytes at hand from here on.
    pub(crate) fn rest(&self) -> &'a [u8] {
        usize::try_from(self.position).ok().and_then(|at| self.bytes.get(at..)).unwrap_or_default()
    }

    /// Steps over `length` bytes that need not be at hand.
    pub(crate) fn skip(&mut self, length: u64) -> Result<(), Stop> {
        self.position = self.end_of(length)?;
        Ok(())
    }

    /// The next `length` bytes.
    pub(crate) fn take(&mut self, length: u64) -> Result<&'a [u8], Stop> {
        let end = self.end_of(length)?;
        let value = usize::try_from(length).ok().and_then(|length| self.rest().get(..length));
        let value = value.ok_or(Stop::NeedMore)?;
        self.position = end;
        Ok(value)
    }

    fn end_of(&self, length: u64) -> Result<u64, Stop> {
        let end = self.position.saturating_add(length);
        if let Some(total) = self.total.filter(|&total| end > total) {
            let detail = format!("an element from byte {} on is longer than the input of {total}", self.position);
            return Err(Fault::new(Reason::Truncated, detail).into());
        }
        if end > self.most {
            return Err(limits::exceeded_by_length("header bytes (limits.header_bytes)", self.most).into());
        }
        Ok(end)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Stop> {
        self.take(N as u64)?.try_into().map_err(|_| Stop::NeedMore)
    }

    fn u16(&mut self, big_endian: bool) -> Result<u16, Stop> {
        let bytes = self.array()?;
        Ok(if big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
    }

    fn length32(&mut self, big_endian: bool) -> Result<Option<u32>, Stop> {
        let bytes = self.array()?;
        let length = if big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) };
        Ok((length != u32::MAX).then_some(length))
    }

    /// A fault of the element that ends here. Where reading has lost its way, what looks like a tag or
    /// a length is somebody's text: the place is told, never the bytes.
    pub(crate) fn malformed(&self, what: &str) -> Stop {
        Fault::new(Reason::MalformedHeader, format!("{what}, at byte {}", self.position)).into()
    }

    /// Tag, VR and length of the data element that starts here.
    ///
    /// # Errors
    /// Reason `malformed_header` where the two bytes in the VR's place are no capital letters. A VR
    /// of the future is read with a 32-bit length (PS3.5 section 6.2, note 3).
    pub(crate) fn element_header(&mut self, encoding: Encoding) -> Result<ElementHeader, Stop> {
        let tag = Tag(self.u16(encoding.big_endian)?, self.u16(encoding.big_endian)?);
        if !encoding.explicit || tag.0 == 0xFFFE {
            return Ok(ElementHeader { tag, vr: *b"  ", length: self.length32(encoding.big_endian)? });
        }
        let vr: [u8; 2] = self.array()?;
        let length = match VRS.iter().find(|(known, _)| **known == vr) {
            Some((_, false)) => Some(u32::from(self.u16(encoding.big_endian)?)),
            None if !vr.iter().all(u8::is_ascii_uppercase) => {
                return Err(self.malformed("no Value Representation"));
            }
            _ => {
                self.skip(2)?;
                self.length32(encoding.big_endian)?
            }
        };
        Ok(ElementHeader { tag, vr, length })
    }
}
