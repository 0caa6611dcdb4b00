//! A CT slice as a list of elements, each of which can be made a lie, and tables of such files.

use std::collections::BTreeMap;
use std::io::Write;

use dcmshard::reason::Reason;
use dicom_core::Tag;
use dicom_dictionary_std::tags;

pub const ITEM: Tag = Tag(0xFFFE, 0xE000);
pub const ITEM_END: Tag = Tag(0xFFFE, 0xE00D);
pub const SEQUENCE_END: Tag = Tag(0xFFFE, 0xE0DD);
/// A private element in front of everything that an image needs.
pub const PRIVATE: Tag = Tag(0x0009, 0x1001);

pub const IMPLICIT_UID: &str = "1.2.840.10008.1.2";
pub const EXPLICIT_UID: &str = "1.2.840.10008.1.2.1";
pub const BIG_UID: &str = "1.2.840.10008.1.2.2";
pub const DEFLATED_UID: &str = "1.2.840.10008.1.2.1.99";
pub const RLE_UID: &str = "1.2.840.10008.1.2.5";

/// How elements are written.
#[derive(Clone, Copy, PartialEq)]
pub enum Encoding {
    Implicit,
    Explicit,
    Big,
}

impl Encoding {
    pub fn u16(self, value: u16) -> [u8; 2] {
        if self == Encoding::Big { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    pub fn u32(self, value: u32) -> [u8; 4] {
        if self == Encoding::Big { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    /// One element whose length says `length`, whatever `value` is.
    pub fn lie(self, tag: Tag, vr: &str, length: u32, value: &[u8]) -> Vec<u8> {
        let mut out = [self.u16(tag.0), self.u16(tag.1)].concat();
        let short = ["AE", "AS", "AT", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "LO", "LT", "PN", "SH", "SL", "SS"];
        let is_short = short.contains(&vr) || ["ST", "TM", "UI", "UL", "US"].contains(&vr);
        if self == Encoding::Implicit || tag.0 == 0xFFFE {
            out.extend(self.u32(length));
        } else if is_short {
            out.extend(vr.as_bytes());
            out.extend(self.u16(length as u16));
        } else {
            out.extend(vr.as_bytes());
            out.extend([0, 0]);
            out.extend(self.u32(length));
        }
        out.extend(value);
        out
    }

    /// One element, its value as it is.
    pub fn element(self, tag: Tag, vr: &str, value: &[u8]) -> Vec<u8> {
        self.lie(tag, vr, value.len() as u32, value)
    }
}

/// An explicit VR little endian element.
pub fn element(tag: Tag, vr: &str, value: &[u8]) -> Vec<u8> {
    Encoding::Explicit.element(tag, vr, value)
}

/// The same with a length of its own.
pub fn lie(tag: Tag, vr: &str, length: u32, value: &[u8]) -> Vec<u8> {
    Encoding::Explicit.lie(tag, vr, length, value)
}

/// A slice of 8x8 signed pixels of 16 bits.
#[derive(Clone)]
pub struct Draft {
    pub encoding: Encoding,
    pub syntax: &'static str,
    elements: BTreeMap<Tag, Vec<u8>>,
    tail: Vec<u8>,
}

impl Draft {
    pub fn new(uid: &str, encoding: Encoding) -> Draft {
        let syntax = match encoding {
            Encoding::Implicit => IMPLICIT_UID,
            Encoding::Explicit => EXPLICIT_UID,
            Encoding::Big => BIG_UID,
        };
        let draft = Draft { encoding, syntax, elements: BTreeMap::new(), tail: Vec::new() };
        let cells: Vec<u8> = (0..64u16).flat_map(|n| encoding.u16(n * 3)).collect();
        draft
            .text(tags::IMAGE_TYPE, "CS", "ORIGINAL\\PRIMARY\\AXIAL")
            .text(tags::SOP_CLASS_UID, "UI", "1.2.840.10008.5.1.4.1.1.2")
            .text(tags::SOP_INSTANCE_UID, "UI", uid)
            .text(tags::MODALITY, "CS", "CT")
            .text(tags::PATIENT_ID, "LO", "P1")
            .text(tags::STUDY_INSTANCE_UID, "UI", "2.25.3")
            .text(tags::SERIES_INSTANCE_UID, "UI", "2.25.2")
            .text(tags::IMAGE_POSITION_PATIENT, "DS", "1\\2\\7.5")
            .text(tags::IMAGE_ORIENTATION_PATIENT, "DS", "1\\0\\0\\0\\1\\0")
            .us(tags::SAMPLES_PER_PIXEL, 1)
            .text(tags::PHOTOMETRIC_INTERPRETATION, "CS", "MONOCHROME2")
            .size(8, 8)
            .bits(16, 16, 15)
            .us(tags::PIXEL_REPRESENTATION, 1)
            .text(tags::RESCALE_INTERCEPT, "DS", "-100")
            .text(tags::RESCALE_SLOPE, "DS", "1")
            .pixels(&cells)
    }

    /// Bytes in the place of an element.
    pub fn raw(mut self, tag: Tag, bytes: Vec<u8>) -> Draft {
        self.elements.insert(tag, bytes);
        self
    }

    /// Bytes behind an element.
    pub fn behind(mut self, tag: Tag, bytes: &[u8]) -> Draft {
        self.elements.entry(tag).or_default().extend(bytes);
        self
    }

    pub fn put(self, tag: Tag, vr: &str, value: &[u8]) -> Draft {
        let bytes = self.encoding.element(tag, vr, value);
        self.raw(tag, bytes)
    }

    /// An element whose length says something else.
    pub fn lie(self, tag: Tag, vr: &str, length: u32, value: &[u8]) -> Draft {
        let bytes = self.encoding.lie(tag, vr, length, value);
        self.raw(tag, bytes)
    }

    pub fn text(self, tag: Tag, vr: &str, value: &str) -> Draft {
        let pad = if vr == "UI" { "\0" } else { " " };
        self.put(tag, vr, format!("{value}{}", &pad[..value.len() % 2]).as_bytes())
    }

    pub fn us(self, tag: Tag, value: u16) -> Draft {
        let value = self.encoding.u16(value);
        self.put(tag, "US", &value)
    }

    pub fn without(mut self, tag: Tag) -> Draft {
        self.elements.remove(&tag);
        self
    }

    pub fn size(self, rows: u16, columns: u16) -> Draft {
        self.us(tags::ROWS, rows).us(tags::COLUMNS, columns)
    }

    /// Bits Allocated, Bits Stored, High Bit.
    pub fn bits(self, allocated: u16, stored: u16, high: u16) -> Draft {
        self.us(tags::BITS_ALLOCATED, allocated).us(tags::BITS_STORED, stored).us(tags::HIGH_BIT, high)
    }

    pub fn pixels(self, cells: &[u8]) -> Draft {
        self.put(tags::PIXEL_DATA, "OW", cells)
    }

    pub fn tail(mut self, bytes: &[u8]) -> Draft {
        self.tail.extend(bytes);
        self
    }

    /// Pixel Data of undefined length with these bytes in it.
    pub fn encapsulated(mut self, syntax: &'static str, content: &[u8]) -> Draft {
        self.syntax = syntax;
        self.lie(tags::PIXEL_DATA, "OB", u32::MAX, content)
    }

    /// Fragments behind an offset table, and the delimiter.
    pub fn fragments(self, syntax: &'static str, table: &[u32], fragments: &[&[u8]]) -> Draft {
        let content = items(table, fragments);
        self.encapsulated(syntax, &[content, element(SEQUENCE_END, "", b"")].concat())
    }

    pub fn frame(self, syntax: &'static str, frame: &[u8]) -> Draft {
        self.fragments(syntax, &[], &[frame])
    }

    pub fn labelled(mut self, syntax: &'static str) -> Draft {
        self.syntax = syntax;
        self
    }

    /// The elements in their order.
    pub fn elements(&self) -> Vec<Vec<u8>> {
        self.elements.values().cloned().collect()
    }

    pub fn data_set(&self) -> Vec<u8> {
        self.elements.values().flatten().chain(&self.tail).copied().collect()
    }

    /// A file with this File Meta Information.
    pub fn with_meta(&self, meta: &[u8]) -> Vec<u8> {
        [&[0; 128][..], b"DICM", meta, &self.data_set()].concat()
    }

    pub fn bytes(&self) -> Vec<u8> {
        self.with_meta(&meta(self.syntax))
    }

    /// The file with its data set deflated.
    pub fn deflated(&self) -> Vec<u8> {
        [&[0; 128][..], b"DICM", &meta(DEFLATED_UID), &deflate(&self.data_set())].concat()
    }
}

pub fn items(table: &[u32], fragments: &[&[u8]]) -> Vec<u8> {
    let table: Vec<u8> = table.iter().flat_map(|offset| offset.to_le_bytes()).collect();
    let fragments = fragments.iter().flat_map(|fragment| element(ITEM, "", fragment));
    element(ITEM, "", &table).into_iter().chain(fragments).collect()
}

/// File Meta Information that names a syntax.
pub fn meta(syntax: &str) -> Vec<u8> {
    let padded = format!("{syntax}{}", &"\0"[..syntax.len() % 2]);
    element(tags::TRANSFER_SYNTAX_UID, "UI", padded.as_bytes())
}

pub fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).expect("to memory");
    encoder.finish().expect("to memory")
}

/// What must become of a file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Expected {
    /// Its first slice is a row.
    Row,
    /// The header pass turns it down.
    Plan(Reason),
    /// It is planned, and its first slice turned down.
    Slice(Reason),
}

pub struct Case {
    pub name: String,
    pub bytes: Vec<u8>,
    pub expected: Expected,
}

/// Files with what must become of each; every one has a SOP Instance UID of its own.
#[derive(Default)]
pub struct Table(pub Vec<Case>);

impl Table {
    pub fn file(&mut self, name: &str, expected: Expected, make: impl FnOnce(Draft) -> Vec<u8>) {
        self.written_as(name, Encoding::Explicit, expected, make);
    }

    pub fn written_as(
        &mut self,
        name: &str,
        encoding: Encoding,
        expected: Expected,
        make: impl FnOnce(Draft) -> Vec<u8>,
    ) {
        let hash = name
            .bytes()
            .fold(0xCBF2_9CE4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3));
        let bytes = make(Draft::new(&format!("2.25.{hash}"), encoding));
        self.0.push(Case { name: name.to_owned(), bytes, expected });
    }

    pub fn row(&mut self, name: &str, change: impl FnOnce(Draft) -> Draft) {
        self.file(name, Expected::Row, |draft| change(draft).bytes());
    }

    pub fn plan(&mut self, name: &str, reason: Reason, change: impl FnOnce(Draft) -> Draft) {
        self.file(name, Expected::Plan(reason), |draft| change(draft).bytes());
    }

    pub fn slice(&mut self, name: &str, reason: Reason, change: impl FnOnce(Draft) -> Draft) {
        self.file(name, Expected::Slice(reason), |draft| change(draft).bytes());
    }
}
