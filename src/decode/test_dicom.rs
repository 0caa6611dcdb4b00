//! A small writer of DICOM files, for tests: one element after the other, nothing checked.

use dicom_core::Tag;
use dicom_dictionary_std::tags;

use super::syntax::{EXPLICIT_LE, Encoding};

/// A data set being written.
#[derive(Clone)]
pub(crate) struct DataSet {
    pub(crate) encoding: Encoding,
    pub(crate) bytes: Vec<u8>,
}

impl DataSet {
    pub(crate) fn new(encoding: Encoding) -> DataSet {
        DataSet { encoding, bytes: Vec::new() }
    }

    pub(crate) fn u16(&self, value: u16) -> [u8; 2] {
        if self.encoding.big_endian { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    fn u32(&self, value: u32) -> [u8; 4] {
        if self.encoding.big_endian { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    /// Tag, VR and length, any length.
    pub(crate) fn head(&mut self, tag: Tag, vr: &str, length: u32) -> &mut DataSet {
        let (group, element) = (self.u16(tag.0), self.u16(tag.1));
        self.bytes.extend([group, element].concat());
        if !self.encoding.explicit || tag.0 == 0xFFFE {
            self.bytes.extend(self.u32(length));
        } else if ["OB", "OW", "SQ", "UN", "UC", "UT"].contains(&vr) {
            self.bytes.extend(vr.as_bytes());
            self.bytes.extend([0, 0]);
            self.bytes.extend(self.u32(length));
        } else {
            self.bytes.extend(vr.as_bytes());
            self.bytes.extend(self.u16(length as u16));
        }
        self
    }

    pub(crate) fn put(&mut self, tag: Tag, vr: &str, value: &[u8]) -> &mut DataSet {
        self.head(tag, vr, value.len() as u32);
        self.bytes.extend(value);
        self
    }

    pub(crate) fn text(&mut self, tag: Tag, vr: &str, value: &str) -> &mut DataSet {
        let mut value = value.as_bytes().to_vec();
        if value.len() % 2 == 1 {
            value.push(if vr == "UI" { 0 } else { b' ' });
        }
        self.put(tag, vr, &value)
    }

    pub(crate) fn us(&mut self, tag: Tag, value: u16) -> &mut DataSet {
        let value = self.u16(value);
        self.put(tag, "US", &value)
    }

    /// A sequence of items, lengths defined.
    pub(crate) fn sequence(&mut self, tag: Tag, items: &[DataSet]) -> &mut DataSet {
        let mut body = DataSet::new(self.encoding);
        for item in items {
            body.put(Tag(0xFFFE, 0xE000), "", &item.bytes);
        }
        self.put(tag, "SQ", &body.bytes)
    }

    /// Encapsulated Pixel Data: a basic offset table and fragments.
    pub(crate) fn fragments(&mut self, table: &[u32], fragments: &[&[u8]]) -> &mut DataSet {
        self.head(tags::PIXEL_DATA, "OB", u32::MAX);
        let table: Vec<u8> = table.iter().flat_map(|offset| offset.to_le_bytes()).collect();
        self.put(Tag(0xFFFE, 0xE000), "", &table);
        fragments.iter().for_each(|fragment| {
            self.put(Tag(0xFFFE, 0xE000), "", fragment);
        });
        self.head(Tag(0xFFFE, 0xE0DD), "", 0)
    }
}

/// What differs from CT to CT in tests.
pub(crate) struct Ct<'a> {
    pub(crate) rows: u16,
    pub(crate) columns: u16,
    pub(crate) bits: (u16, u16, u16),
    pub(crate) is_signed: bool,
    pub(crate) photometric: &'static str,
    pub(crate) frames: Option<&'a str>,
}

impl Default for Ct<'_> {
    /// 2x3 signed pixels of 16 bits.
    fn default() -> Self {
        Ct { rows: 2, columns: 3, bits: (16, 16, 15), is_signed: true, photometric: "MONOCHROME2", frames: None }
    }
}

impl Ct<'_> {
    /// Everything up to Pixel Data.
    pub(crate) fn data_set(&self, encoding: Encoding) -> DataSet {
        let mut set = DataSet::new(encoding);
        set.text(tags::IMAGE_TYPE, "CS", "ORIGINAL\\PRIMARY\\AXIAL")
            .text(tags::SOP_CLASS_UID, "UI", "1.2.840.10008.5.1.4.1.1.2")
            .text(tags::SOP_INSTANCE_UID, "UI", "1.2.3.4")
            .text(tags::MODALITY, "CS", "CT")
            .text(tags::PATIENT_ID, "LO", "P1")
            .text(tags::SERIES_INSTANCE_UID, "UI", "1.2.3")
            .text(tags::IMAGE_POSITION_PATIENT, "DS", "1\\2\\7.5")
            .text(tags::IMAGE_ORIENTATION_PATIENT, "DS", "1\\0\\0\\0\\1\\0")
            .us(tags::SAMPLES_PER_PIXEL, 1)
            .text(tags::PHOTOMETRIC_INTERPRETATION, "CS", self.photometric);
        if let Some(frames) = self.frames {
            set.text(tags::NUMBER_OF_FRAMES, "IS", frames);
        }
        set.us(tags::ROWS, self.rows)
            .us(tags::COLUMNS, self.columns)
            .us(tags::BITS_ALLOCATED, self.bits.0)
            .us(tags::BITS_STORED, self.bits.1)
            .us(tags::HIGH_BIT, self.bits.2)
            .us(tags::PIXEL_REPRESENTATION, self.is_signed.into())
            .text(tags::RESCALE_INTERCEPT, "DS", "-1024")
            .text(tags::RESCALE_SLOPE, "DS", "1");
        set
    }

    /// A whole file with uncompressed 16-bit cells.
    pub(crate) fn file(&self, encoding: Encoding, cells: &[u16]) -> Vec<u8> {
        let mut set = self.data_set(encoding);
        let cells: Vec<u8> = cells.iter().flat_map(|&cell| set.u16(cell)).collect();
        set.put(tags::PIXEL_DATA, "OW", &cells);
        let syntax = super::syntax::native(encoding).uid;
        file(syntax, &set.bytes)
    }
}

/// Preamble and File Meta Information before a data set.
pub(crate) fn file(syntax: &str, data_set: &[u8]) -> Vec<u8> {
    let mut meta = DataSet::new(EXPLICIT_LE);
    meta.text(tags::TRANSFER_SYNTAX_UID, "UI", syntax);
    [&[0; 128][..], b"DICM", &meta.bytes, data_set].concat()
}

/// `bytes` as a raw deflate stream.
pub(crate) fn deflate(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).expect("to memory");
    encoder.finish().expect("to memory")
}
