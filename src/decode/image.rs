//! A CT input whose header is good for decoding: form, syntax, and where the pixels are.

use dicom_dictionary_std::tags;

use super::codestream;
use super::format::{Cells, Format};
use super::frames::{Fragments, Frames, most_encoded_bytes};
use super::header::{Header, PixelData};
use super::input::Input;
use super::limits;
use super::load::Loaded;
use super::syntax::{Codec, Syntax};
use super::vocabulary;
use crate::reason::{Fault, Reason};
use crate::slice::Pixels;

/// What decoding a slice holds beside all that is counted by bytes: the header's values, tables of
/// codes, the columns.
const FIXED_BYTES: u64 = 128 << 10;

/// The same for an input that is read piecewise: the piece that is being hashed, the first bytes with
/// the header, the table of fragments.
const PIECEWISE_BYTES: u64 = (1 << 20) + (256 << 10);

/// A CT input whose header is good for decoding.
#[derive(Debug)]
pub(crate) struct Image {
    pub(crate) header: Header,
    pub(crate) syntax: &'static Syntax,
    pub(crate) format: Format,
    pub(crate) sop_class: Option<String>,
    /// Offset of the data set in the input.
    pub(crate) data_set: u64,
    big_endian: bool,
    pixel_data: PixelData,
}

impl Image {
    /// Checks that a header can be decoded by.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub(crate) fn of(loaded: Loaded) -> Result<Image, Fault> {
        if let Some(fault) = loaded.broken {
            return Err(fault);
        }
        let Some(syntax) = loaded.syntax else {
            return Err(Fault::new(Reason::TransferSyntax, "the transfer syntax is not in the table"));
        };
        let Some(pixel_data) = loaded.header.pixel_data else {
            return Err(Fault::new(Reason::NoPixelData, "the data set has no Pixel Data"));
        };
        if pixel_data == PixelData::Float {
            return Err(Fault::new(Reason::PixelFormat, "pixels are floating point numbers"));
        }
        if syntax.codec == Codec::Unsupported {
            return Err(Fault::new(Reason::TransferSyntax, format!("no decoder for transfer syntax {}", syntax.uid)));
        }
        let format = Format::of(&loaded.header)?;
        let sop_class = loaded.header.text(0, tags::SOP_CLASS_UID).or(loaded.meta.sop_class.as_deref());
        let sop_class = sop_class.and_then(vocabulary::standard_uid);
        check_form(pixel_data, syntax, &format)?;
        Ok(Image {
            sop_class,
            header: loaded.header,
            syntax,
            format,
            data_set: loaded.meta.data_set,
            big_endian: loaded.encoding.big_endian,
            pixel_data,
        })
    }

    /// Whether the input has one frame and is small enough to be read in one piece.
    pub(crate) fn is_read_whole(&self, size: u64) -> bool {
        self.format.frames == 1 && size <= limits::WHOLE_FILE_BYTES
    }

    /// Whether an input of one frame and `size` bytes ends before its uncompressed Pixel Data does. The
    /// frames of others are each checked as they are read.
    ///
    /// # Errors
    /// Reason `truncated`.
    pub(crate) fn check_not_cut(&self, size: u64) -> Result<(), Fault> {
        if self.format.frames > 1 || self.syntax.codec != Codec::Native || self.native_end() <= size {
            return Ok(());
        }
        let detail = format!("Pixel Data ends at byte {}, the file has {size}", self.native_end());
        Err(Fault::new(Reason::Truncated, detail))
    }

    /// Where uncompressed Pixel Data ends, from the start of the data set's bytes.
    pub(crate) fn native_end(&self) -> u64 {
        match self.pixel_data {
            PixelData::Native { offset, .. } => offset + u64::from(self.format.frames) * self.format.frame_bytes(),
            _ => 0,
        }
    }

    /// Finds the frames in `data`: the input, or its inflated data set.
    ///
    /// # Errors
    /// Where the fragments make no sense.
    pub(crate) fn locate(&self, data: &Input<'_>) -> Result<Frames, Fault> {
        match self.pixel_data {
            PixelData::Encapsulated { offset } => {
                Fragments::walk(data, offset, self.format.frames).map(Frames::Encapsulated)
            }
            PixelData::Native { offset, .. } => Ok(Frames::Native { offset }),
            PixelData::Float => Err(Fault::new(Reason::PixelFormat, "pixels are floating point numbers")),
        }
    }

    /// Stored values of one frame's bytes; cells that are `padding` as a whole keep all their bits.
    ///
    /// # Errors
    /// Where the frame is not what the header says, or damaged.
    pub(crate) fn stored_values(&self, frame: &[u8], padding: Option<u16>) -> Result<Pixels, Fault> {
        let cells = match self.pixel_data {
            PixelData::Native { vr, .. } => Cells::native(frame, &self.format, self.big_endian, vr),
            _ => codestream::decode(frame, self.syntax.codec, &self.format)?,
        };
        match padding {
            Some(padding) => cells.stored_but(&self.format, padding),
            None => cells.stored(&self.format),
        }
    }

    /// What decoding one slice holds beside 2 bytes for each of its pixels.
    pub(crate) fn bytes_per_slice(&self, size: u64) -> u64 {
        let pixels = self.format.pixels() as u64;
        let cells = if self.format.bits_allocated == 32 { 2 * pixels } else { 0 };
        let is_whole = self.is_read_whole(size);
        let encoded = match self.syntax.codec {
            Codec::Deflated => size + self.native_end(),
            Codec::Native if is_whole => size,
            Codec::Native => self.format.frame_bytes(),
            // A frame in several fragments is put together beside the file.
            _ if is_whole => 2 * size,
            _ => most_encoded_bytes(&self.format),
        };
        let fixed = if is_whole { FIXED_BYTES } else { PIECEWISE_BYTES };
        let working = codestream::working_bytes(self.syntax.codec, pixels);
        fixed + self.header.memory() + cells + encoded + working
    }
}

/// Whether Pixel Data has the form its syntax asks for, and uncompressed Pixel Data the length.
///
/// Bytes behind the last frame are an error, except one that makes the length even: which of them
/// are pixels would be a guess.
fn check_form(pixel_data: PixelData, syntax: &Syntax, format: &Format) -> Result<(), Fault> {
    match (pixel_data, syntax.is_encapsulated()) {
        (PixelData::Native { length, .. }, false) => {
            let expected = u64::from(format.frames) * format.frame_bytes();
            if length == expected || length == expected + expected % 2 {
                return Ok(());
            }
            let detail = format!("Pixel Data has {length} bytes, expected {expected}");
            Err(Fault::new(Reason::PixelLength, detail))
        }
        (PixelData::Native { .. }, true) => {
            Err(Fault::new(Reason::MalformedHeader, "Pixel Data has a length, expected fragments"))
        }
        (PixelData::Encapsulated { .. }, false) => {
            Err(Fault::new(Reason::MalformedHeader, "Pixel Data has no length in an uncompressed syntax"))
        }
        // RLE packs whole cells; the other codecs know samples only, without the bits around them.
        _ if syntax.codec != Codec::Rle && format.high_bit + 1 != format.bits_stored => {
            let detail =
                format!("High Bit is {}, Bits Stored {}, in a compressed syntax", format.high_bit, format.bits_stored);
            Err(Fault::new(Reason::ImageGeometry, detail))
        }
        _ => Ok(()),
    }
}
