//! How stored values become HU, as far as the data set says.
//!
//! Window attributes and Real World Value Mappings have no say: they are for displays, and for other
//! units.
//!
//! # Source
//! PS3.3 C.11.1 (Modality LUT), C.8.2.1 (CT Image), C.7.6.16.2.9 (Pixel Value Transformation), C.7.5.1.1.2
//! (Pixel Padding).

use std::sync::Arc;

use dicom_core::Tag;
use dicom_dictionary_std::tags;

use super::format::Format;
use super::header::{Header, Place};
use super::image::Image;
use crate::attributes::{Attributes, Number, Units};
use crate::kernel::modality_lut::ModalityLut;
use crate::reason::{Fault, Reason};

/// Values of Image Type (its fourth) that name a map of something else than attenuation.
const OTHER_MAPS: [&[u8]; 3] = [b"EFF_ATOMIC_NUM", b"ELECTRON_DENSITY", b"MAT_FRACTIONAL"];

/// Terms of Rescale Type that are no Hounsfield units: optical density, mg/ml, effective atomic number, electron
/// density (two), modified HU, per cent.
const OTHER_UNITS: [&[u8]; 8] = [b"OD", b"MGML", b"Z_EFF", b"ED", b"EDW", b"HU_MOD", b"PCT", b"CTD"];

/// What later stages need to know, of the slice's own frame.
///
/// # Errors
/// Reason `rescale` where the data set says nothing, or two things, about the frame.
pub(super) fn attributes(image: &Image, frame: u32) -> Result<Attributes, Fault> {
    let (header, format) = (&image.header, &image.format);
    let (rescale_slope, rescale_intercept, place) = header.rescale(frame);
    if header.is_rescaled_per_frame() && !matches!(place, Some(Place::Frame(_))) {
        return Err(rescale("other frames have Rescale Slope and Intercept, this one has not"));
    }
    let has_lut = header.text(0, tags::MODALITY_LUT_SEQUENCE).is_some();
    let is_rescaled = (rescale_slope, rescale_intercept) != (Number::Missing, Number::Missing);
    let modality_lut = match has_lut && !is_rescaled {
        true => Some(Arc::new(modality_lut(header, format)?)),
        false => None,
    };
    Ok(Attributes {
        rows: format.rows,
        columns: format.columns,
        rescale_slope,
        rescale_intercept,
        units: if modality_lut.is_some() { lut_units(header) } else { units(header, frame) },
        modality_lut,
        has_needless_lut: has_lut && is_rescaled,
        turned_about: format.is_turned.then(|| format.turned(0)),
        pixel_padding: pixel_padding(header, format, frame),
    })
}

fn rescale(detail: &str) -> Fault {
    Fault::new(Reason::Rescale, detail)
}

fn units(header: &Header, frame: u32) -> Units {
    let is_multi_energy = header.text(frame, tags::MULTIENERGY_CT_ACQUISITION) == Some(b"YES");
    match header.start_of_text(frame, tags::RESCALE_TYPE).map(<[u8]>::to_ascii_uppercase).as_deref() {
        Some(b"HU" | b"HOUNSFIELD" | b"HOUNSFIELD UNIT" | b"HOUNSFIELD UNITS") => Units::Hounsfield,
        _ if is_other_map(header, frame) => Units::Other,
        None if !is_multi_energy => Units::Hounsfield,
        Some(unit) if OTHER_UNITS.contains(&unit) => Units::Other,
        // US, or a word that the standard does not know.
        _ => Units::Unspecified,
    }
}

fn is_other_map(header: &Header, frame: u32) -> bool {
    let text = header.start_of_text(frame, tags::FRAME_TYPE);
    let text = text.or_else(|| header.start_of_text(frame, tags::IMAGE_TYPE)).unwrap_or_default();
    text.split(|&byte| byte == b'\\').nth(3).is_some_and(|value| OTHER_MAPS.contains(&value.trim_ascii()))
}

/// Without a word for it, the entries of a table are in no unit: only for Rescale Slope and Intercept
/// of a CT is HU what absence means.
fn lut_units(header: &Header) -> Units {
    if header.lut_text(tags::MODALITY_LUT_TYPE) == Some(b"HU") { Units::Hounsfield } else { Units::Other }
}

/// The table, where it is well formed.
fn modality_lut(header: &Header, format: &Format) -> Result<ModalityLut, Fault> {
    if header.is_lut_unclear() {
        return Err(rescale("a Modality LUT Sequence that is damaged or has several items, expected one"));
    }
    if format.is_turned {
        return Err(rescale("a Modality LUT Sequence in a MONOCHROME1 image, expected MONOCHROME2"));
    }
    let descriptor = header.lut_words(tags::LUT_DESCRIPTOR);
    let Some(&[count, first, bits @ (8 | 16)]) = descriptor.as_deref() else {
        return Err(rescale("a Modality LUT Sequence without a LUT Descriptor of 8 or 16 bits"));
    };
    // PS3.3 C.11.1.1: 0 stands for 65,536.
    let count = if count == 0 { 1 << 16 } else { usize::from(count) };
    let Some(words) = header.lut_words(tags::LUT_DATA) else {
        return Err(rescale("a Modality LUT Sequence without LUT Data of unsigned words"));
    };
    let entries = if words.len() == count {
        words
    } else if bits == 8 && words.len() == count.div_ceil(2) {
        words.iter().flat_map(|word| word.to_le_bytes()).take(count).map(u16::from).collect()
    } else {
        let detail = format!("a Modality LUT Sequence with {} words of LUT Data for {count} entries", words.len());
        return Err(Fault::new(Reason::Rescale, detail));
    };
    if bits == 8 && entries.iter().any(|&entry| entry > 0xFF) {
        return Err(rescale("a Modality LUT Sequence of 8 bits with an entry above 255"));
    }
    let first = if format.is_signed { i32::from(first as i16) } else { i32::from(first) };
    Ok(ModalityLut { first, entries })
}

/// A padding attribute, as the stored value it stands for or, where no stored value of these bits
/// does, as the whole cell.
enum Padding {
    Stored(i64),
    Cell(u16),
}

/// Padding is written as US or SS, whatever the pixels are; they are what counts.
fn padding(header: &Header, format: &Format, frame: u32, tag: Tag) -> Option<Padding> {
    let cell = header.uint16(frame, tag)?;
    let bits = u32::from(format.bits_stored);
    if bits >= 16 {
        return Some(Padding::Stored(if format.is_signed { i64::from(cell as i16) } else { i64::from(cell) }));
    }
    let unsigned = i64::from(cell) & ((1 << bits) - 1);
    let is_short = unsigned == i64::from(cell);
    if !format.is_signed {
        return Some(if is_short { Padding::Stored(unsigned) } else { Padding::Cell(cell) });
    }
    let signed = if unsigned >> (bits - 1) == 1 { unsigned - (1 << bits) } else { unsigned };
    let is_sign_extended = signed == i64::from(cell as i16);
    Some(if is_short || is_sign_extended { Padding::Stored(signed) } else { Padding::Cell(cell) })
}

fn pixel_padding(header: &Header, format: &Format, frame: u32) -> Option<(i64, i64)> {
    let value = |tag| {
        Some(match padding(header, format, frame, tag)? {
            Padding::Stored(value) => format.turned(value),
            Padding::Cell(cell) => as_stored(cell, format),
        })
    };
    let first = value(tags::PIXEL_PADDING_VALUE)?;
    let last = value(tags::PIXEL_PADDING_RANGE_LIMIT).unwrap_or(first);
    Some((first.min(last), first.max(last)))
}

fn as_stored(cell: u16, format: &Format) -> i64 {
    if format.is_signed { i64::from(cell as i16) } else { i64::from(cell) }
}

/// The cell that stands for padding, where its bits outside of Bits Stored tell it from any pixel: what
/// is left of it inside of them would be tissue.
pub(super) fn padding_cell(header: &Header, format: &Format, frame: u32) -> Option<u16> {
    match padding(header, format, frame, tags::PIXEL_PADDING_VALUE)? {
        Padding::Cell(cell) if format.bits_allocated == 16 => Some(cell),
        _ => None,
    }
}
