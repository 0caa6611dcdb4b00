//! The form of an image's pixels, and stored values out of it.
//!
//! # Source
//! PS3.3 C.7.6.3.1 (Image Pixel attributes), PS3.5 section 8.1 and annex A.2, A.3 (pixel cells).

use dicom_core::Tag;
use dicom_dictionary_std::tags;
use ndarray::Array3;

use super::header::Header;
use super::limits::exceeded;
use crate::attributes::Number;
use crate::reason::{Fault, Reason};
use crate::recipe::LimitsKeys;
use crate::slice::Pixels;

/// The form of an image's pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Format {
    pub(crate) rows: u32,
    pub(crate) columns: u32,
    pub(crate) frames: u32,
    /// 8, 16 or 32.
    pub(crate) bits_allocated: u16,
    /// 1 to `bits_allocated`.
    pub(crate) bits_stored: u16,
    /// `bits_stored - 1` to `bits_allocated - 1`.
    pub(crate) high_bit: u16,
    pub(crate) is_signed: bool,
    /// Photometric Interpretation is MONOCHROME1: the smallest value is white.
    pub(crate) is_turned: bool,
}

fn geometry(detail: impl Into<String>) -> Fault {
    Fault::new(Reason::ImageGeometry, detail)
}

impl Format {
    /// Reads the form, every value checked.
    ///
    /// Three attributes that every image should have may be missing. Samples per Pixel is 1 then: the
    /// length of Pixel Data, or the codestream, agrees with that or the slice is rejected. High Bit is Bits
    /// Stored - 1, as PS3.5 section 8.1.1 asks for. Photometric Interpretation is MONOCHROME2, which all CT
    /// images are but for a few that say so: stored values are rescaled as they are.
    ///
    /// # Errors
    /// Reason `image_geometry`, `pixel_format` or `limit_exceeded`.
    pub(crate) fn of(header: &Header, limits: &LimitsKeys) -> Result<Format, Fault> {
        let need = |tag: Tag, name: &str| {
            header.uint16(0, tag).ok_or_else(|| geometry(format!("{name} is not one 16-bit value")))
        };
        if header.is_given(0, tags::SAMPLES_PER_PIXEL) {
            need(tags::SAMPLES_PER_PIXEL, "Samples per Pixel")?;
        }
        let bits_allocated = need(tags::BITS_ALLOCATED, "Bits Allocated")?;
        if !matches!(bits_allocated, 8 | 16 | 32) {
            let form = match bits_allocated {
                1 => " (a bit map)",
                12 => " (packed)",
                _ => "",
            };
            let detail = format!("Bits Allocated is {bits_allocated}{form}, expected 8, 16 or 32");
            return Err(Fault::new(Reason::PixelFormat, detail));
        }
        let bits_stored = need(tags::BITS_STORED, "Bits Stored")?;
        if !(1..=bits_allocated).contains(&bits_stored) {
            return Err(geometry(format!("Bits Stored is {bits_stored}, Bits Allocated {bits_allocated}")));
        }
        let high_bit = match header.is_given(0, tags::HIGH_BIT) {
            true => need(tags::HIGH_BIT, "High Bit")?,
            false => bits_stored - 1,
        };
        if !(bits_stored - 1..bits_allocated).contains(&high_bit) {
            return Err(geometry(format!("High Bit is {high_bit}, Bits Stored {bits_stored}")));
        }
        let is_signed = match need(tags::PIXEL_REPRESENTATION, "Pixel Representation")? {
            0 => false,
            1 => true,
            other => return Err(geometry(format!("Pixel Representation is {other}, expected 0 or 1"))),
        };
        let format = Format {
            rows: side(need(tags::ROWS, "Rows")?, "Rows", limits)?,
            columns: side(need(tags::COLUMNS, "Columns")?, "Columns", limits)?,
            frames: frames(header, limits)?,
            bits_allocated,
            bits_stored,
            high_bit,
            is_signed,
            is_turned: is_turned(header)?,
        };
        format.check_bytes(limits)?;
        Ok(format)
    }

    fn check_bytes(&self, limits: &LimitsKeys) -> Result<(), Fault> {
        let of_frame = self.frame_bytes();
        if of_frame > limits.frame_bytes {
            return Err(exceeded("bytes of a frame (limits.frame_bytes)", of_frame, limits.frame_bytes));
        }
        // At most 2^31 times 2^22.
        let of_all = of_frame * u64::from(self.frames);
        if of_all > limits.decoded_bytes {
            return Err(exceeded("bytes of all frames (limits.decoded_bytes)", of_all, limits.decoded_bytes));
        }
        Ok(())
    }

    /// Pixels of a frame.
    pub(crate) fn pixels(&self) -> usize {
        self.rows as usize * self.columns as usize
    }

    /// Bytes of an uncompressed frame.
    pub(crate) fn frame_bytes(&self) -> u64 {
        self.pixels() as u64 * u64::from(self.bits_allocated / 8)
    }

    /// A stored value as MONOCHROME2 has it: `-v - 1` for signed, `2^bits - 1 - v` for unsigned.
    pub(crate) fn turned(&self, stored: i64) -> i64 {
        match (self.is_turned, self.is_signed) {
            (false, _) => stored,
            (true, true) => -stored - 1,
            (true, false) => (1 << self.bits_stored) - 1 - stored,
        }
    }
}

/// Whether the smallest value is white. What is not grey at all is not for here to judge.
fn is_turned(header: &Header) -> Result<bool, Fault> {
    match header.text(0, tags::PHOTOMETRIC_INTERPRETATION) {
        Some(b"MONOCHROME1") => Ok(true),
        Some(text) if text != b"MONOCHROME2" && text.starts_with(b"MONOCHROME") => {
            Err(Fault::new(Reason::PixelFormat, "Photometric Interpretation is neither MONOCHROME1 nor MONOCHROME2"))
        }
        _ => Ok(false),
    }
}

fn side(found: u16, name: &str, limits: &LimitsKeys) -> Result<u32, Fault> {
    match u32::from(found) {
        0 => Err(geometry(format!("{name} is 0"))),
        side if side > limits.side_px => {
            Err(exceeded(&format!("{name} (limits.side_px)"), side.into(), limits.side_px.into()))
        }
        side => Ok(side),
    }
}

fn frames(header: &Header, limits: &LimitsKeys) -> Result<u32, Fault> {
    match header.number(0, tags::NUMBER_OF_FRAMES) {
        Number::Missing => Ok(1),
        Number::Value(frames) if frames >= 1.0 && frames == frames.trunc() => {
            if frames > f64::from(limits.frames) {
                return Err(exceeded("Number of Frames (limits.frames)", frames as u64, limits.frames.into()));
            }
            Ok(frames as u32)
        }
        Number::Value(_) | Number::Invalid => Err(geometry("Number of Frames is no positive whole number")),
    }
}

/// Pixel cells as they come out of the file or a codec: bits, without a sign.
#[derive(Debug, PartialEq)]
pub(crate) enum Cells {
    /// At most 16 bits each.
    Narrow(Vec<u16>),
    /// 32 bits each.
    Wide(Vec<u32>),
}

impl Cells {
    /// Cells of an uncompressed frame. `vr` is that of Pixel Data: in OW, big endian, 32-bit cells
    /// are two words, the low one first (PS3.5 A.3). Cells of 8 bits come in the order of the pixels.
    pub(crate) fn native(bytes: &[u8], format: &Format, big_endian: bool, vr: [u8; 2]) -> Cells {
        match (format.bits_allocated, big_endian) {
            (8, _) => Cells::Narrow(bytes.iter().map(|&byte| u16::from(byte)).collect()),
            (16, false) => Cells::Narrow(bytes.as_chunks().0.iter().map(|&cell| u16::from_le_bytes(cell)).collect()),
            (16, true) => Cells::Narrow(bytes.as_chunks().0.iter().map(|&cell| u16::from_be_bytes(cell)).collect()),
            (_, false) => Cells::Wide(bytes.as_chunks().0.iter().map(|&cell| u32::from_le_bytes(cell)).collect()),
            (_, true) => {
                let turn = if vr == *b"OW" { 16 } else { 0 };
                let cells = bytes.as_chunks().0.iter();
                Cells::Wide(cells.map(|&cell| u32::from_be_bytes(cell).rotate_left(turn)).collect())
            }
        }
    }

    /// Stored values of these cells: Bits Stored masked, sign extended, MONOCHROME1 turned.
    ///
    /// # Errors
    /// Reason `pixel_format` where an unsigned value does not fit 31 bits, `image_geometry` where bits
    /// below the stored ones are used.
    pub(crate) fn stored(self, format: &Format) -> Result<Pixels, Fault> {
        let shape = (1, format.rows as usize, format.columns as usize);
        let count = match &self {
            Cells::Narrow(cells) => cells.len(),
            Cells::Wide(cells) => cells.len(),
        };
        let wrong = |_| Fault::new(Reason::DecodeFailed, format!("{count} pixels, expected {}", format.pixels()));
        self.check_below(format)?;
        match self {
            Cells::Narrow(cells) if format.is_signed => {
                Array3::from_shape_vec(shape, signed16(cells, format)).map(Pixels::I16).map_err(wrong)
            }
            Cells::Narrow(cells) => {
                Array3::from_shape_vec(shape, unsigned16(cells, format)).map(Pixels::U16).map_err(wrong)
            }
            Cells::Wide(cells) => {
                Array3::from_shape_vec(shape, values32(cells, format)?).map(Pixels::I32).map_err(wrong)
            }
        }
    }
}

impl Cells {
    /// Whether the bits below the stored ones, where High Bit leaves some, are empty. Where they are not,
    /// High Bit is a mistake, or they are an overlay: which one would be a guess, of a factor of 16.
    fn check_below(&self, format: &Format) -> Result<(), Fault> {
        let below = (1u32 << (format.high_bit + 1 - format.bits_stored)) - 1;
        let is_used = match self {
            _ if below == 0 => false,
            Cells::Narrow(cells) => cells.iter().any(|&cell| u32::from(cell) & below != 0),
            Cells::Wide(cells) => cells.iter().any(|&cell| cell & below != 0),
        };
        if !is_used {
            return Ok(());
        }
        Err(geometry(format!(
            "High Bit is {}, Bits Stored {}, and the bits below those are not 0; expected High Bit {}",
            format.high_bit,
            format.bits_stored,
            format.bits_stored - 1
        )))
    }

    /// [`Cells::stored`], but the narrow cells that are `padding` stay as they are.
    ///
    /// # Errors
    /// Those of [`Cells::stored`].
    pub(crate) fn stored_but(self, format: &Format, padding: u16) -> Result<Pixels, Fault> {
        let is_padding: Vec<bool> = match &self {
            Cells::Narrow(cells) => cells.iter().map(|&cell| cell == padding).collect(),
            Cells::Wide(_) => Vec::new(),
        };
        let mut pixels = self.stored(format)?;
        match &mut pixels {
            Pixels::U16(pixels) => restore(pixels, &is_padding, padding),
            Pixels::I16(pixels) => restore(pixels, &is_padding, padding as i16),
            Pixels::U8(_) | Pixels::I32(_) => {}
        }
        Ok(pixels)
    }
}

fn restore<T: Copy>(pixels: &mut Array3<T>, is_padding: &[bool], padding: T) {
    let padded = pixels.iter_mut().zip(is_padding).filter(|(_, is_padding)| **is_padding);
    padded.for_each(|(pixel, _)| *pixel = padding);
}

fn signed16(cells: Vec<u16>, format: &Format) -> Vec<i16> {
    let (left, right) = (15 - format.high_bit.min(15), 16 - format.bits_stored.min(16));
    let flip = if format.is_turned { u16::MAX } else { 0 };
    // In place: the standard library reuses the allocation.
    cells.into_iter().map(|cell| (((cell ^ flip) << left) as i16) >> right).collect()
}

fn unsigned16(mut cells: Vec<u16>, format: &Format) -> Vec<u16> {
    let shift = format.high_bit + 1 - format.bits_stored;
    let mask = u16::MAX >> (16 - format.bits_stored.min(16));
    let flip = if format.is_turned { u16::MAX } else { 0 };
    if (shift, mask, flip) != (0, u16::MAX, 0) {
        cells.iter_mut().for_each(|cell| *cell = ((*cell ^ flip) >> shift) & mask);
    }
    cells
}

fn values32(cells: Vec<u32>, format: &Format) -> Result<Vec<i32>, Fault> {
    let (left, right) = (31 - format.high_bit.min(31), 32 - format.bits_stored.min(32));
    let flip = if format.is_turned { u32::MAX } else { 0 };
    if format.is_signed {
        return Ok(cells.into_iter().map(|cell| (((cell ^ flip) << left) as i32) >> right).collect());
    }
    let values: Vec<i32> = cells.into_iter().map(|cell| (((cell ^ flip) << left) >> right) as i32).collect();
    if values.iter().any(|&value| value < 0) {
        return Err(Fault::new(Reason::PixelFormat, "an unsigned stored value is above 2147483647"));
    }
    Ok(values)
}

#[cfg(test)]
impl Format {
    /// One frame of unsigned samples, in the fewest bytes: what tests of decoders decode into.
    pub(crate) fn unsigned(rows: u32, columns: u32, bits_stored: u16) -> Format {
        Format {
            rows,
            columns,
            frames: 1,
            bits_allocated: if bits_stored > 8 { 16 } else { 8 },
            bits_stored,
            high_bit: bits_stored - 1,
            is_signed: false,
            is_turned: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PLAIN: Format = Format {
        rows: 1,
        columns: 2,
        frames: 1,
        bits_allocated: 16,
        bits_stored: 16,
        high_bit: 15,
        is_signed: false,
        is_turned: false,
    };

    fn values(pixels: Pixels) -> Vec<i64> {
        match pixels {
            Pixels::U8(a) => a.iter().map(|&v| v.into()).collect(),
            Pixels::U16(a) => a.iter().map(|&v| v.into()).collect(),
            Pixels::I16(a) => a.iter().map(|&v| v.into()).collect(),
            Pixels::I32(a) => a.iter().map(|&v| v.into()).collect(),
        }
    }

    fn narrow(cells: [u16; 2], format: Format) -> Vec<i64> {
        values(Cells::Narrow(cells.to_vec()).stored(&format).expect("two cells"))
    }

    #[test]
    fn twelve_bits_are_sign_extended_and_masked() {
        let twelve = Format { bits_stored: 12, high_bit: 11, ..PLAIN };
        assert_eq!(narrow([0xF800, 0x87FF], twelve), [0x800, 0x7FF]);
        assert_eq!(narrow([0x0800, 0xF7FF], Format { is_signed: true, ..twelve }), [-2048, 2047]);
    }

    #[test]
    fn another_high_bit_shifts() {
        let high = Format { bits_stored: 12, high_bit: 15, ..PLAIN };
        assert_eq!(narrow([0x8010, 0x7FF0], high), [0x801, 0x7FF]);
        assert_eq!(narrow([0x8010, 0x7FF0], Format { is_signed: true, ..high }), [-2047, 2047]);
    }

    #[test]
    fn bits_below_the_stored_ones_make_the_high_bit_a_mistake() {
        let high = Format { bits_stored: 12, high_bit: 15, ..PLAIN };
        for cells in [Cells::Narrow(vec![0x8010, 0x7FF1]), Cells::Wide(vec![0x8008, 0x7FF0])] {
            let fault = cells.stored(&high).expect_err("bit 0 or 3 is set");
            assert_eq!(fault.reason, Reason::ImageGeometry);
            assert!(fault.detail.contains("expected High Bit 11"), "{fault}");
        }
    }

    #[test]
    fn monochrome1_is_turned() {
        let turned = Format { is_turned: true, bits_stored: 12, high_bit: 11, ..PLAIN };
        assert_eq!(narrow([0, 4095], turned), [4095, 0]);
        assert_eq!(narrow([0, 0xFFF], Format { is_signed: true, ..turned }), [-1, 0]);
    }

    #[test]
    fn thirty_two_bits_above_i32_are_refused() {
        let wide = Format { bits_allocated: 32, bits_stored: 32, high_bit: 31, ..PLAIN };
        let fault = Cells::Wide(vec![0, 0x8000_0000]).stored(&wide).expect_err("too large");
        assert_eq!(fault.reason, Reason::PixelFormat);
        let signed = Format { is_signed: true, ..wide };
        let pixels = Cells::Wide(vec![7, 0xFFFF_FFFF]).stored(&signed).expect("fits");
        assert_eq!(values(pixels), [7, -1]);
    }

    #[test]
    fn big_endian_cells() {
        let eight = Format { bits_allocated: 8, bits_stored: 8, high_bit: 7, ..PLAIN };
        assert_eq!(Cells::native(&[1, 2], &PLAIN, true, *b"OW"), Cells::Narrow(vec![0x0102]));
        assert_eq!(Cells::native(&[1, 2], &eight, true, *b"OB"), Cells::Narrow(vec![1, 2]));
        let wide = Format { bits_allocated: 32, ..PLAIN };
        assert_eq!(Cells::native(&[0, 2, 0, 1], &wide, true, *b"OW"), Cells::Wide(vec![0x0001_0002]));
        assert_eq!(Cells::native(&[0, 2, 0, 1], &wide, true, *b"OB"), Cells::Wide(vec![0x0002_0001]));
    }

    /// The rule of PS3.5 as a sum of bits, one value at a time.
    fn plain(cell: u64, format: &Format) -> i64 {
        let low = u32::from(format.high_bit + 1 - format.bits_stored);
        let bits = (0..u32::from(format.bits_stored)).map(|bit| (cell >> (low + bit) & 1) << bit).sum::<u64>() as i64;
        let top = 1i64 << (format.bits_stored - 1);
        format.turned(if format.is_signed && bits >= top { bits - 2 * top } else { bits })
    }

    proptest! {
        #[test]
        fn stored_values_agree_with_the_plain_rule(
            cells in [any::<u32>(), any::<u32>()], wide: bool, is_signed: bool, is_turned: bool, bits in 1u16..=31, up in 0u16..=31,
        ) {
            let bits_allocated = if wide { 32 } else { 16 };
            let bits_stored = bits.min(bits_allocated);
            let high_bit = (bits_stored - 1 + up).min(bits_allocated - 1);
            let format = Format { bits_allocated, bits_stored, high_bit, is_signed, is_turned, ..PLAIN };
            let low = high_bit + 1 - bits_stored;
            let cells = cells.map(|cell| cell >> low << low);
            let source = if wide { Cells::Wide(cells.to_vec()) } else { Cells::Narrow(cells.map(|cell| cell as u16).to_vec()) };
            let expected = cells.map(|cell| plain(cell.into(), &format));
            prop_assert_eq!(values(source.stored(&format).expect("fits 31 bits")), expected);
        }
    }
}
