//! A CT input whose header is good for decoding: form, syntax, and where the pixels are.

use dicom_dictionary_std::tags;

use super::codestream;
use super::format::{Cells, Format};
use super::fragments::{Encapsulated, Fragments};
use super::frames::{Frames, most_encoded_bytes};
use super::header::{Header, PixelData};
use super::input::Input;
use super::limits;
use super::load::Loaded;
use super::modality;
use super::starts::Starts;
use super::syntax::{Codec, GE_BIG_ENDIAN_PIXELS, IMPLICIT_LE, Loss, Syntax};
use super::vocabulary;
use crate::reason::{Fault, Reason};
use crate::recipe::{LimitsKeys, Recipe};
use crate::slice::Pixels;
use crate::stage::hu_window;

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
    /// Checks that a header can be decoded by, as the recipe lets it.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub(crate) fn of(loaded: Loaded, recipe: &Recipe) -> Result<Image, Fault> {
        if loaded.size > recipe.limits.file_bytes {
            let most = recipe.limits.file_bytes;
            return Err(limits::exceeded("bytes of the file (limits.file_bytes)", loaded.size, most));
        }
        if let Some(fault) = loaded.broken {
            return Err(fault);
        }
        let syntax = supported(&loaded)?;
        let Some(pixel_data) = loaded.header.pixel_data else {
            return Err(Fault::new(Reason::NoPixelData, "the data set has no Pixel Data"));
        };
        if pixel_data == PixelData::Float {
            return Err(Fault::new(Reason::PixelFormat, "pixels are floating point numbers"));
        }
        syntax.check_is_on(&recipe.decode)?;
        let format = Format::of(&loaded.header, &recipe.limits)?;
        let sop_class = loaded.header.text(0, tags::SOP_CLASS_UID).or(loaded.meta.sop_class.as_deref());
        let sop_class = sop_class.and_then(vocabulary::standard_uid);
        let big_endian = loaded.encoding.big_endian || syntax.uid == GE_BIG_ENDIAN_PIXELS;
        check_form(pixel_data, syntax, &format, big_endian)?;
        Ok(Image {
            sop_class,
            header: loaded.header,
            syntax,
            format,
            data_set: loaded.meta.data_set,
            big_endian,
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
    pub(crate) fn locate(&self, data: &Input<'_>, limits: &LimitsKeys) -> Result<Frames, Fault> {
        match self.pixel_data {
            PixelData::Encapsulated { offset } => {
                let starts = Starts::of(self.syntax.codec, self.format.bits_allocated);
                let extended_table = self.header.extended_offset_table;
                let pixel_data = Encapsulated { offset, frames: self.format.frames, extended_table, starts };
                Fragments::walk(data, &pixel_data, limits).map(Frames::Encapsulated)
            }
            PixelData::Native { offset, vr, .. } => Ok(match is_swapped(&self.format, self.big_endian, vr) {
                true => Frames::Swapped { offset },
                false => Frames::Native { offset },
            }),
            PixelData::Float => Err(Fault::new(Reason::PixelFormat, "pixels are floating point numbers")),
        }
    }

    /// Whether some frame of `input` may become a row, as far as its first `known` bytes tell: it has a
    /// rescale, and its bytes are there. Asks what decoding asks, and reads nothing behind these bytes.
    ///
    /// # Errors
    /// What is wrong with the first frame, where something is wrong with every one.
    pub(crate) fn check_any_frame(&self, input: &Input<'_>, known: u64, recipe: &Recipe) -> Result<(), Fault> {
        let is_located = match self.pixel_data {
            PixelData::Encapsulated { offset } => Fragments::end_within(input, offset, known)?,
            // Of a deflated data set the input has no offsets.
            _ => self.syntax.codec != Codec::Deflated,
        };
        let frames = is_located.then(|| self.locate(input, &recipe.limits)).transpose()?;
        let mut first = None;
        for frame in 0..self.format.frames {
            let is_there = frames.as_ref().map_or(Ok(()), |frames| frames.check(input.size(), &self.format, frame));
            let checked = is_there.and_then(|()| hu_window::check(&modality::attributes(self, frame)?, recipe.steps));
            match checked {
                Ok(()) => return Ok(()),
                Err(fault) => drop(first.get_or_insert(fault)),
            }
        }
        first.map_or(Ok(()), Err)
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

    /// Bytes that are read from the start of the input for its header, which [`super::load::load`] doubles
    /// until it is found.
    fn header_window(&self) -> u64 {
        match self.pixel_data {
            PixelData::Native { offset, .. } | PixelData::Encapsulated { offset } => offset.next_power_of_two(),
            PixelData::Float => 0,
        }
    }

    /// What decoding one slice holds beside 2 bytes for each of its pixels.
    pub(crate) fn bytes_per_slice(&self, size: u64) -> u64 {
        let pixels = self.format.pixels() as u64;
        let cells = if self.format.bits_allocated == 32 { 2 * pixels } else { 0 };
        // HU from a table are 32 bits wide for a while; padding of whole cells is marked pixel by pixel.
        let has_lut = self.header.text(0, tags::MODALITY_LUT_SEQUENCE).is_some();
        let has_padding_cell = modality::padding_cell(&self.header, &self.format, 0).is_some();
        let cells = cells + if has_lut { 4 * pixels } else { 0 } + if has_padding_cell { pixels } else { 0 };
        let is_whole = self.is_read_whole(size);
        let encoded = match self.syntax.codec {
            Codec::Deflated => size + self.native_end(),
            Codec::Native if is_whole => size,
            Codec::Native => self.format.frame_bytes(),
            // A frame in several fragments is put together beside the file.
            _ if is_whole => 2 * size,
            _ => most_encoded_bytes(&self.format),
        };
        let fixed = if is_whole { FIXED_BYTES } else { PIECEWISE_BYTES + self.header_window() };
        let working = codestream::working_bytes(self.syntax.codec, pixels);
        fixed + self.header.memory() + cells + encoded + working
    }
}

/// The syntax of an input, where there is a decoder for it.
///
/// # Errors
/// Reason `transfer_syntax`: with UID and name where it is one of the standard; another one may be
/// anything that stands in a file, and is not repeated.
fn supported(loaded: &Loaded) -> Result<&'static Syntax, Fault> {
    let no = |detail: String| Err(Fault::new(Reason::TransferSyntax, detail));
    match loaded.syntax {
        None => no("the transfer syntax is not in the table".into()),
        Some(syntax) if syntax.codec == Codec::Unsupported => {
            no(format!("no decoder for transfer syntax {} ({})", syntax.uid, syntax.name))
        }
        Some(syntax) if syntax.uid == GE_BIG_ENDIAN_PIXELS && loaded.encoding != IMPLICIT_LE => {
            no(format!("transfer syntax {} ({}), but the data set is written otherwise", syntax.uid, syntax.name))
        }
        Some(syntax) => Ok(syntax),
    }
}

/// Whether cells of 8 bits are words with the high byte first (PS3.5 A.3: OW, big endian).
fn is_swapped(format: &Format, big_endian: bool, vr: [u8; 2]) -> bool {
    big_endian && vr == *b"OW" && format.bits_allocated == 8
}

/// Whether Pixel Data has the form its syntax asks for, and uncompressed Pixel Data the length.
///
/// Bytes behind the last frame are an error, except one that makes the length even: which of them
/// are pixels would be a guess.
fn check_form(pixel_data: PixelData, syntax: &Syntax, format: &Format, big_endian: bool) -> Result<(), Fault> {
    match (pixel_data, syntax.is_encapsulated()) {
        (PixelData::Native { length, vr, .. }, false) => {
            let expected = u64::from(format.frames) * format.frame_bytes();
            let even = expected.next_multiple_of(2);
            if length == even || (length == expected && !is_swapped(format, big_endian, vr)) {
                return check_bits(syntax, format);
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
        _ => check_bits(syntax, format),
    }
}

/// Whether the bits of a cell are a form that its syntax can have.
fn check_bits(syntax: &Syntax, format: &Format) -> Result<(), Fault> {
    if !syntax.has_cells() && format.high_bit + 1 != format.bits_stored {
        let detail =
            format!("High Bit is {}, Bits Stored {}, in a compressed syntax", format.high_bit, format.bits_stored);
        return Err(Fault::new(Reason::ImageGeometry, detail));
    }
    codestream::check_allocated(syntax.codec, format)?;
    // Only words are known to be swapped.
    if syntax.uid == GE_BIG_ENDIAN_PIXELS && format.bits_allocated != 16 {
        let detail = format!("Bits Allocated is {}, expected 16 in syntax {}", format.bits_allocated, syntax.uid);
        return Err(Fault::new(Reason::TransferSyntax, detail));
    }
    // A codestream of JPEG XL has no sign. Lossless, its samples are the bits of the cells. Where loss is
    // allowed, encoders may have added an offset, and nothing tells.
    if syntax.codec == Codec::JpegXl && syntax.loss == Loss::Either && format.is_signed {
        let detail = format!("signed pixels in transfer syntax {} ({}), which has no sign", syntax.uid, syntax.name);
        return Err(Fault::new(Reason::PixelFormat, detail));
    }
    Ok(())
}
