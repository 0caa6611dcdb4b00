//! The first bytes of an input: preamble, File Meta Information, and where the data set starts.
//!
//! # Source
//! PS3.10 section 7.1. Files without preamble, and without File Meta Information, are common in old
//! archives; the first element tells them from what is no DICOM.

use dicom_dictionary_std::tags;

use super::cursor::{Cursor, Stop};
use super::header::trim;
use super::scan::detect;
use super::syntax::{self, EXPLICIT_LE, Syntax};
use crate::reason::{Fault, Reason};
use crate::recipe::LimitsKeys;

/// What stands before the data set.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct FileMeta {
    /// Offset of the data set's first element.
    pub(crate) data_set: u64,
    /// Transfer Syntax UID (0002,0010) as the file has it.
    pub(crate) transfer_syntax: Option<Vec<u8>>,
    /// Media Storage SOP Class UID (0002,0002).
    pub(crate) sop_class: Option<Vec<u8>>,
}

impl FileMeta {
    /// The transfer syntax, or the uncompressed one that the data set's first bytes are written in
    /// where the file does not say. `None`: the file names one that is not in the table.
    pub(crate) fn syntax(&self, data_set: &[u8]) -> Option<&'static Syntax> {
        match &self.transfer_syntax {
            Some(uid) => syntax::find(uid),
            None => Some(syntax::native(detect(data_set).unwrap_or(EXPLICIT_LE))),
        }
    }
}

/// Reads what stands before the data set. `None`: this is no DICOM.
///
/// # Errors
/// Where the file says it is DICOM, and then breaks or ends.
pub(crate) fn read(bytes: &[u8], total: u64, limits: &LimitsKeys) -> Result<Option<FileMeta>, Stop> {
    if bytes.get(128..132) == Some(b"DICM") {
        return elements(bytes, total, 132, limits).map(Some);
    }
    if bytes.starts_with(b"DICM\x02\0") {
        return elements(bytes, total, 4, limits).map(Some);
    }
    match plausible_start(bytes, total, limits) {
        Some(2) => elements(bytes, total, 0, limits).map(Some),
        Some(_) => Ok(Some(FileMeta::default())),
        None => Ok(None),
    }
}

fn elements(bytes: &[u8], total: u64, start: u64, limits: &LimitsKeys) -> Result<FileMeta, Stop> {
    let mut cursor = Cursor::new(bytes, Some(total), start, limits.header_bytes);
    let mut meta = FileMeta { data_set: start, ..FileMeta::default() };
    if cursor.at_end() {
        return Err(Fault::new(Reason::Truncated, "the file ends after its preamble").into());
    }
    if let Some(&[a, b]) = cursor.rest().first_chunk()
        && u16::from_le_bytes([a, b]).min(u16::from_be_bytes([a, b])) > 8
    {
        return Err(Fault::new(Reason::MalformedHeader, "no element of group 2 to 8 after the preamble").into());
    }
    // Explicit VR little endian by the standard; some writers use implicit VR.
    let encoding = detect(cursor.rest()).filter(|found| !found.big_endian).unwrap_or(EXPLICIT_LE);
    while !cursor.at_end() {
        meta.data_set = cursor.position();
        let group: Option<[u8; 2]> = cursor.rest().get(..2).and_then(|group| group.try_into().ok());
        if group.is_some_and(|group| group != [2, 0]) {
            break;
        }
        let element = cursor.element_header(encoding)?;
        let Some(length) = element.length else {
            return Err(cursor.malformed("an element of group 2 of undefined length"));
        };
        match element.tag {
            tags::TRANSFER_SYNTAX_UID => meta.transfer_syntax = uid(cursor.take(length.into())?),
            tags::MEDIA_STORAGE_SOP_CLASS_UID => meta.sop_class = uid(cursor.take(length.into())?),
            _ => cursor.skip(length.into())?,
        }
    }
    Ok(meta)
}

/// A UID has at most 64 characters.
fn uid(value: &[u8]) -> Option<Vec<u8>> {
    let uid = trim(value);
    (!uid.is_empty()).then(|| uid.get(..64).unwrap_or(uid).to_vec())
}

/// The group of the first element, where bytes without a known beginning can be a data set: group 2
/// or 8, and two elements in ascending order, the first one short.
fn plausible_start(bytes: &[u8], total: u64, limits: &LimitsKeys) -> Option<u16> {
    let encoding = detect(bytes)?;
    let mut cursor = Cursor::new(bytes, Some(total), 0, limits.header_bytes);
    let first = cursor.element_header(encoding).ok()?;
    if !matches!(first.tag.0, 2 | 8) || first.tag.1 > 0x2000 {
        return None;
    }
    cursor.skip(first.length.filter(|&length| length <= 1024)?.into()).ok()?;
    if first.tag.0 == 2 {
        // What follows may be written otherwise; a VR in its place is enough.
        return encoding.explicit.then_some(2);
    }
    let second = cursor.element_header(encoding).ok()?;
    (second.tag > first.tag && second.tag.0 <= 0x0028).then_some(8)
}
