//! What a header says: the attributes the rest of the program asks for, and where Pixel Data is.

use dicom_core::Tag;
use dicom_dictionary_std::tags;

use super::wanted;
use crate::attributes::Number;

/// Where in a data set a value stands; the order is the order of looking it up, last first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// At the top level.
    Top,
    /// In the item of the Modality LUT Sequence.
    ModalityLut,
    /// In a macro of the Shared Functional Groups.
    Shared,
    /// In a macro of the Per-frame Functional Groups, of this frame.
    Frame(u32),
}

/// Where the pixels are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum PixelData {
    /// `length` bytes at `offset` of the data set; not checked against the input's length.
    Native { offset: u64, length: u64, vr: [u8; 2] },
    /// Fragments; the item of the basic offset table starts at `offset`.
    Encapsulated { offset: u64 },
    /// Float or Double Float Pixel Data.
    Float,
}

/// At most this many bytes of a value are kept; what is longer is no number, and a text by its start.
const VALUE_KEPT: usize = 256;

/// The same for a table of the Modality LUT: 65,536 entries of 16 bits.
const TABLE_KEPT: usize = 2 << 16;

#[derive(Clone, Copy, Debug)]
struct Value {
    place: Place,
    tag: Tag,
    start: u32,
    length: u32,
    is_cut: bool,
    /// As written; two spaces where it is not written out, or UN.
    vr: [u8; 2],
    big_endian: bool,
}

/// The attributes of a data set that this program reads.
#[derive(Debug, Default)]
pub(crate) struct Header {
    values: Vec<Value>,
    bytes: Vec<u8>,
    /// Where the pixels are; `None` where the data set ends without.
    pub(crate) pixel_data: Option<PixelData>,
    /// Whether any frame has a Rescale Slope or Intercept of its own.
    is_rescaled_per_frame: bool,
    /// Offset and length of the value of Extended Offset Table (7FE0,0001).
    pub(crate) extended_offset_table: Option<(u64, u32)>,
}

impl Header {
    /// Keeps a value; the first one of a place and tag is the one that counts.
    pub(crate) fn keep(&mut self, place: Place, tag: Tag, vr: [u8; 2], value: &[u8], big_endian: bool) {
        // Values of one place come one after the other, and are at most as many as attributes are wanted.
        if self.values.iter().rev().take_while(|kept| kept.place == place).any(|kept| kept.tag == tag) {
            return;
        }
        let most = if place == Place::ModalityLut { TABLE_KEPT } else { VALUE_KEPT };
        let kept = value.get(..most).unwrap_or(value);
        let Ok(start) = u32::try_from(self.bytes.len()) else { return };
        let vr = match &vr {
            b"  " | b"UN" if wanted::is_double(tag) => *b"FD",
            b"UN" => *b"  ",
            _ => vr,
        };
        let is_cut = kept.len() < value.len();
        let is_rescale = tag == tags::RESCALE_SLOPE || tag == tags::RESCALE_INTERCEPT;
        self.is_rescaled_per_frame |= is_rescale && matches!(place, Place::Frame(_)) && !trim(kept).is_empty();
        self.values.push(Value { place, tag, start, length: kept.len() as u32, is_cut, vr, big_endian });
        self.bytes.extend_from_slice(kept);
    }

    /// Puts the values in the order that looking up needs. Once, after the last `keep`.
    pub(crate) fn finish(&mut self) {
        self.values.sort_by_key(|value| (value.place, value.tag));
    }

    /// Bytes of memory that the header holds.
    pub(crate) fn memory(&self) -> u64 {
        (self.values.capacity() * size_of::<Value>() + self.bytes.capacity()) as u64
    }

    fn at(&self, place: Place, tag: Tag) -> Option<(&Value, &[u8])> {
        let index = self.values.partition_point(|value| (value.place, value.tag) < (place, tag));
        let value = self.values.get(index).filter(|value| (value.place, value.tag) == (place, tag))?;
        let bytes = self.bytes.get(value.start as usize..)?.get(..value.length as usize)?;
        Some((value, bytes))
    }

    /// The value for a frame: of its own functional groups, else of the shared ones, else of the top
    /// level.
    fn find(&self, frame: u32, tag: Tag) -> Option<(&Value, &[u8])> {
        let places = [Place::Frame(frame), Place::Shared, Place::Top];
        places.into_iter().find_map(|place| self.at(place, tag))
    }

    /// Whether any frame has a Rescale Slope or Intercept of its own.
    pub(crate) fn is_rescaled_per_frame(&self) -> bool {
        self.is_rescaled_per_frame
    }

    /// Whether there is a value that is not blank.
    pub(crate) fn is_given(&self, frame: u32, tag: Tag) -> bool {
        self.find(frame, tag).is_some_and(|(value, bytes)| match &value.vr {
            b"FD" | b"FL" | b"US" | b"SS" | b"UL" | b"SL" | b"OW" => !bytes.is_empty(),
            _ => value.is_cut || !trim(bytes).is_empty(),
        })
    }

    /// The bytes of a text value without the spaces and zeros around it, of a long one the first 256;
    /// `None` where nothing is left.
    pub(crate) fn start_of_text(&self, frame: u32, tag: Tag) -> Option<&[u8]> {
        let (_, bytes) = self.find(frame, tag)?;
        let text = trim(bytes);
        (!text.is_empty()).then_some(text)
    }

    /// The bytes of a text value without the spaces and zeros around it; `None` where nothing is left,
    /// and where it is too long to be kept as a whole.
    pub(crate) fn text(&self, frame: u32, tag: Tag) -> Option<&[u8]> {
        let is_whole = self.find(frame, tag).is_some_and(|(value, _)| !value.is_cut);
        self.start_of_text(frame, tag).filter(|_| is_whole)
    }

    /// A 16-bit value; `None` where it is absent, not exactly one, or written in another type.
    pub(crate) fn uint16(&self, frame: u32, tag: Tag) -> Option<u16> {
        let (value, bytes) = self.find(frame, tag)?;
        let bytes = bytes.try_into().ok().filter(|_| matches!(&value.vr, b"US" | b"SS" | b"OW" | b"  "))?;
        Some(if value.big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
    }

    /// The 16-bit words of a value of the Modality LUT; `None` where it is absent, too long, or of a
    /// type that has no unsigned words.
    pub(crate) fn lut_words(&self, tag: Tag) -> Option<Vec<u16>> {
        let (value, bytes) = self.at(Place::ModalityLut, tag).filter(|(value, _)| !value.is_cut)?;
        let is_signed_descriptor = tag == tags::LUT_DESCRIPTOR && value.vr == *b"SS";
        if !is_signed_descriptor && !matches!(&value.vr, b"US" | b"OW" | b"  ") {
            return None;
        }
        let (words, rest) = bytes.as_chunks();
        let read = if value.big_endian { u16::from_be_bytes } else { u16::from_le_bytes };
        rest.is_empty().then(|| words.iter().map(|&word| read(word)).collect())
    }

    /// Whether the Modality LUT Sequence has more than one item, or is damaged.
    pub(crate) fn is_lut_unclear(&self) -> bool {
        self.at(Place::ModalityLut, tags::MODALITY_LUT_SEQUENCE).is_some()
    }

    /// The text of a value of the Modality LUT.
    pub(crate) fn lut_text(&self, tag: Tag) -> Option<&[u8]> {
        self.at(Place::ModalityLut, tag).map(|(_, bytes)| trim(bytes))
    }

    /// A single number, in whatever VR it is written.
    pub(crate) fn number(&self, frame: u32, tag: Tag) -> Number {
        self.find(frame, tag).map_or(Number::Missing, number)
    }

    /// Rescale Slope and Intercept of a frame, and where they stand. Both are of one place, the
    /// innermost that has any of them: halves of two places are no pair.
    pub(crate) fn rescale(&self, frame: u32) -> (Number, Number, Option<Place>) {
        for place in [Place::Frame(frame), Place::Shared, Place::Top] {
            let of = |tag| self.at(place, tag).map_or(Number::Missing, number);
            let pair = (of(tags::RESCALE_SLOPE), of(tags::RESCALE_INTERCEPT));
            if pair != (Number::Missing, Number::Missing) {
                return (pair.0, pair.1, Some(place));
            }
        }
        (Number::Missing, Number::Missing, None)
    }

    /// A single number; `None` also where it is no finite one.
    pub(crate) fn value(&self, frame: u32, tag: Tag) -> Option<f64> {
        match self.number(frame, tag) {
            Number::Value(value) => Some(value),
            _ => None,
        }
    }

    /// A single whole number that fits 32 bits.
    pub(crate) fn integer(&self, frame: u32, tag: Tag) -> Option<i32> {
        let value = self.value(frame, tag)?;
        (value == value.trunc() && value.abs() <= f64::from(i32::MAX)).then_some(value as i32)
    }

    /// Image Orientation (Patient): direction cosines along a row, then down a column; `None` where they
    /// are no two directions at a right angle, each within a hundredth (texts of few digits are).
    pub(crate) fn orientation(&self, frame: u32) -> Option<[f64; 6]> {
        let orientation @ [rx, ry, rz, cx, cy, cz] = self.numbers(frame, tags::IMAGE_ORIENTATION_PATIENT)?;
        let is_unit = |x: f64, y: f64, z: f64| ((x * x + y * y + z * z).sqrt() - 1.0).abs() <= 0.01;
        let is_right_angle = (rx * cx + ry * cy + rz * cz).abs() <= 0.01;
        (is_unit(rx, ry, rz) && is_unit(cx, cy, cz) && is_right_angle).then_some(orientation)
    }

    /// Exactly `N` DS values.
    pub(crate) fn numbers<const N: usize>(&self, frame: u32, tag: Tag) -> Option<[f64; N]> {
        let (_, text) = self.find(frame, tag).filter(|(value, _)| !value.is_cut)?;
        let mut numbers = [0.0; N];
        let mut parts = text.split(|&byte| byte == b'\\');
        for number in &mut numbers {
            *number = decimal(trim(parts.next()?))?;
        }
        parts.next().is_none().then_some(numbers)
    }
}

/// A single number in any VR that can hold one. A DS of more than 16 bytes breaks a rule of the
/// writer; the number in it is none the worse.
fn number((value, bytes): (&Value, &[u8])) -> Number {
    if value.is_cut {
        return Number::Invalid;
    }
    let found = match (&value.vr, bytes) {
        (_, []) => return Number::Missing,
        (b"FD", bytes) => one(bytes, value.big_endian, f64::from_be_bytes),
        (b"FL", bytes) => one(bytes, value.big_endian, |bytes| f32::from_be_bytes(bytes).into()),
        (b"US", bytes) => one(bytes, value.big_endian, |bytes| u16::from_be_bytes(bytes).into()),
        (b"SS", bytes) => one(bytes, value.big_endian, |bytes| i16::from_be_bytes(bytes).into()),
        (b"UL", bytes) => one(bytes, value.big_endian, |bytes| u32::from_be_bytes(bytes).into()),
        (b"SL", bytes) => one(bytes, value.big_endian, |bytes| i32::from_be_bytes(bytes).into()),
        (_, text) => match trim(text) {
            [] => return Number::Missing,
            text => decimal(text),
        },
    };
    found.filter(|found| found.is_finite()).map_or(Number::Invalid, Number::Value)
}

/// Exactly one binary number; `read` takes its bytes in big endian order.
fn one<const N: usize>(bytes: &[u8], big_endian: bool, read: impl Fn([u8; N]) -> f64) -> Option<f64> {
    let mut bytes: [u8; N] = bytes.try_into().ok()?;
    if !big_endian {
        bytes.reverse();
    }
    Some(read(bytes))
}

/// A decimal string as PS3.5 section 6.2 allows it: digits, sign, point, exponent; finite.
fn decimal(text: &[u8]) -> Option<f64> {
    let allowed = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.' | b'e' | b'E');
    if !text.iter().all(allowed) {
        return None;
    }
    let value: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    value.is_finite().then_some(value)
}

/// `bytes` without spaces and zeros at both ends.
pub(crate) fn trim(bytes: &[u8]) -> &[u8] {
    let padding = |byte: &u8| matches!(byte, b' ' | b'\0' | b'\t' | b'\r' | b'\n');
    let Some(start) = bytes.iter().position(|byte| !padding(byte)) else { return &[] };
    let end = bytes.iter().rposition(|byte| !padding(byte)).map_or(start, |last| last + 1);
    bytes.get(start..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use dicom_dictionary_std::tags::{IMAGE_POSITION_PATIENT, RESCALE_SLOPE};

    fn header(values: &[(Place, Tag, &[u8])]) -> Header {
        let mut header = Header::default();
        values.iter().for_each(|(place, tag, value)| header.keep(*place, *tag, *b"DS", value, false));
        header.finish();
        header
    }

    #[test]
    fn a_frame_hides_shared_hides_top() {
        let header = header(&[
            (Place::Frame(1), RESCALE_SLOPE, b"3"),
            (Place::Shared, RESCALE_SLOPE, b"2"),
            (Place::Top, RESCALE_SLOPE, b"1"),
        ]);
        assert_eq!(header.value(1, RESCALE_SLOPE), Some(3.0));
        assert_eq!(header.value(0, RESCALE_SLOPE), Some(2.0));
    }

    #[test]
    fn a_decimal_string_is_a_finite_number_or_nothing() {
        for (text, number) in [
            (&b" 1.5 "[..], Number::Value(1.5)),
            (b"-1e3\0", Number::Value(-1000.0)),
            (b"  ", Number::Missing),
            (b"", Number::Missing),
            (b"nan", Number::Invalid),
            (b"inf", Number::Invalid),
            (b"1e400", Number::Invalid),
            (b"1,5", Number::Invalid),
            (b"1\\2", Number::Invalid),
            (b"abc", Number::Invalid),
        ] {
            assert_eq!(header(&[(Place::Top, RESCALE_SLOPE, text)]).number(0, RESCALE_SLOPE), number, "{text:?}");
        }
        assert_eq!(header(&[]).number(0, RESCALE_SLOPE), Number::Missing);
    }

    #[test]
    fn the_start_of_a_value_that_is_too_long_is_no_number() {
        let long = [&b"1.5"[..], &[b'0'; 300], b"e3"].concat();
        assert_eq!(header(&[(Place::Top, RESCALE_SLOPE, &long)]).number(0, RESCALE_SLOPE), Number::Invalid);
        let three = [&b"1\\2\\"[..], &[b'3'; 300]].concat();
        let header = header(&[(Place::Top, IMAGE_POSITION_PATIENT, &three)]);
        assert_eq!(header.numbers::<3>(0, IMAGE_POSITION_PATIENT), None);
    }

    #[test]
    fn numbers_are_exactly_as_many_as_asked_for() {
        let found =
            |text: &[u8]| header(&[(Place::Top, IMAGE_POSITION_PATIENT, text)]).numbers::<3>(0, IMAGE_POSITION_PATIENT);
        assert_eq!(found(b"1\\ -2.5\\3 "), Some([1.0, -2.5, 3.0]));
        assert_eq!(found(b"1\\2"), None);
        assert_eq!(found(b"1\\2\\3\\4"), None);
        assert_eq!(found(b"1\\\\3"), None);
    }
}
