//! From bytes to stored values.
//!
//! Bytes of unknown origin meet `scan` first: a small walk over the header that allocates nothing by
//! a length of the file and knows no recursion. What it finds decides whether a codec is called at
//! all, and on which bytes. What a file may ask for at most stands in the recipe:
//! [`crate::recipe::LimitsKeys`].
//!
//! ```text
//! input -> load (file_meta, scan) -> header -> image (format, frames) -> codestream -> stored values
//! ```

mod acquisition_columns;
mod codestream;
mod cursor;
mod deflated_frame;
mod entropy_bits;
mod examine;
mod file_meta;
mod filling;
mod format;
mod fragments;
mod frames;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod geometry_columns;
mod header;
mod huffman;
mod idct;
mod identity_columns;
mod image;
mod input;
mod jpeg2000;
mod jpeg_dct;
mod jpeg_lossless;
mod jpeg_ls;
mod jpeg_ls_line;
mod jpeg_progressive;
mod jpeg_xl;
mod limits;
mod load;
mod markers;
mod modality;
mod rle;
mod scan;
mod starts;
pub(crate) mod syntax;
#[cfg(any(test, fuzzing))]
mod test_dicom;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_syntax;
mod vocabulary;
mod wanted;

use std::sync::{Arc, OnceLock};

use ndarray::Array2;

use crate::column::{Column, Facts};
use crate::identity::Key;
use crate::kernel::affine::Affine;
use crate::reason::{Fault, Reason};
use crate::recipe::{LimitsKeys, Recipe};
use crate::slice::{Bytes, Slice, SliceRef};
use crate::stage::Scratch;

pub use examine::examine;

use filling::Filling;
use frames::Frames;
use image::Image;
use input::{Input, Stamp};
use limits::exceeded;
use syntax::Codec;

/// A worker keeps a read buffer from slice to slice up to this size; a larger one is given back, since
/// the permits of the line count it only while its slice is decoded.
const BUFFER_KEPT: usize = 2 << 20;

/// A piece of a file that is hashed while it streams by.
const PIECE_BYTES: u64 = 1 << 20;

/// What decoding the first slice of an input found out and the next ones use again: parsed header,
/// content id, where the frames are. Filled once; the result depends on the input's bytes alone.
///
/// Of an input of one frame, which is read once and as a whole, it keeps the content id alone.
#[derive(Debug, Default)]
pub struct Opened {
    shared: OnceLock<Result<Shared, Fault>>,
    content_id: OnceLock<String>,
}

impl Opened {
    /// The column `content_id` of the input's slices, once all its bytes have been read.
    pub fn content_id(&self) -> Option<&str> {
        self.content_id.get().map(String::as_str)
    }

    /// Takes the content id from whoever has read the input in this one's place.
    pub(crate) fn is_read_as(&self, content_id: String) {
        self.content_id.get_or_init(|| content_id);
    }
}

#[derive(Debug)]
struct Shared {
    image: Image,
    frames: Frames,
    stamp: Option<Stamp>,
    /// The data set of a deflated input.
    inflated: Option<Vec<u8>>,
}

/// Turns one slice of one input into stored values, attributes and the columns of the groups
/// identity, geometry and acquisition.
#[derive(Debug)]
pub struct Decoder {
    key: Key,
    recipe: Recipe,
    columns: Vec<&'static Column>,
}

impl Decoder {
    /// A decoder for this recipe; pseudonyms are made with `key`.
    pub fn new(recipe: &Recipe, key: &Key) -> Decoder {
        let identity = identity_columns::columns(recipe.privacy).iter();
        let columns = identity.chain(&geometry_columns::ALL).chain(&acquisition_columns::ALL).copied().collect();
        Decoder { key: key.clone(), recipe: recipe.clone(), columns }
    }

    /// Every column that [`Decoder::decode`] may fill: the groups identity, geometry and acquisition,
    /// in this order; with `privacy = "uids"` the three UIDs too.
    pub fn columns(&self) -> &[&'static Column] {
        &self.columns
    }

    /// Reads, hashes and decodes one slice. After it: pixels are stored values (Bits Stored masked,
    /// sign extended, MONOCHROME1 turned), the guide is empty, the placement the identity.
    ///
    /// Stored values of at most 16 bits are `U16` or `I16` by Pixel Representation, of 32 bits `I32`.
    /// A file of one frame is read once, as a whole; of one with more, only the bytes of this frame
    /// (and all of it once, in pieces, for its content id). Does not look at the SOP Class: that is
    /// what [`examine`] is for.
    ///
    /// # Errors
    /// What is wrong with this slice or its input.
    pub fn decode(&self, at: &SliceRef, scratch: &mut Scratch) -> Result<Slice, Fault> {
        let mut buffer = std::mem::take(&mut scratch.bytes);
        let slice = self.decode_with(at, &mut buffer);
        if buffer.capacity() <= BUFFER_KEPT {
            scratch.bytes = buffer;
        }
        slice
    }

    fn decode_with(&self, at: &SliceRef, buffer: &mut Vec<u8>) -> Result<Slice, Fault> {
        let input = Input::open(&at.input.bytes)?;
        // What seems wrong with an input that changes meanwhile may be right before and after.
        self.decode_input(at, &input, buffer).or_else(|fault| input.check_unchanged(None).and(Err(fault)))
    }

    fn decode_input(&self, at: &SliceRef, input: &Input<'_>, buffer: &mut Vec<u8>) -> Result<Slice, Fault> {
        let opened = &at.input.opened.shared;
        if opened.get().is_none() {
            let loaded = load::load(input, buffer, &self.recipe, |_, _| false)?;
            let image =
                Image::of(loaded.ok_or_else(|| Fault::new(Reason::NotDicom, "no DICOM header"))?, &self.recipe)?;
            if image.is_read_whole(input.size()) {
                return self.decode_whole(at, &image, input, buffer);
            }
            let content_id = &at.input.opened.content_id;
            opened.get_or_init(|| {
                let hash = hash_in_pieces(input, buffer)?;
                content_id.get_or_init(|| content_id_of(&self.key, hash));
                let shared = Shared::open(image, input, buffer, &self.recipe.limits);
                input.check_unchanged(None).and(shared)
            });
        }
        let shared = match opened.get() {
            Some(Ok(shared)) => shared,
            Some(Err(fault)) => return Err(fault.clone()),
            None => return Err(Fault::new(Reason::Internal, "an input was not opened")),
        };
        input.check_unchanged(shared.stamp)?;
        let slice = match &shared.inflated {
            Some(inflated) => self.slice(at, &shared.image, &shared.frames, &Input::Memory(inflated), buffer),
            None => self.slice(at, &shared.image, &shared.frames, input, buffer),
        };
        input.check_unchanged(shared.stamp)?;
        slice
    }

    /// An input of one frame: its first bytes are in `buffer`, the rest is read behind them.
    fn decode_whole(
        &self,
        at: &SliceRef,
        image: &Image,
        input: &Input<'_>,
        buffer: &mut Vec<u8>,
    ) -> Result<Slice, Fault> {
        if input.memory().is_none() {
            input.extend(buffer, input.size())?;
        }
        input.check_unchanged(None)?;
        let bytes = input.memory().unwrap_or(buffer);
        at.input.opened.content_id.get_or_init(|| content_id_of(&self.key, blake3::hash(bytes)));
        let inflated;
        let data = if image.syntax.codec == Codec::Deflated {
            inflated = load::inflate(data_set(bytes, image), image.native_end(), &self.recipe.limits)?;
            Input::Memory(&inflated)
        } else {
            Input::Memory(bytes)
        };
        let frames = image.locate(&data, &self.recipe.limits)?;
        self.slice(at, image, &frames, &data, &mut Vec::new())
    }

    fn slice(
        &self,
        at: &SliceRef,
        image: &Image,
        frames: &Frames,
        data: &Input<'_>,
        buffer: &mut Vec<u8>,
    ) -> Result<Slice, Fault> {
        let padding = modality::padding_cell(&image.header, &image.format, at.frame);
        let pixels = image.stored_values(frames.read(data, &image.format, at.frame, buffer)?, padding)?;
        let mut facts = Facts::default();
        let filling = &mut Filling { facts: &mut facts, header: &image.header, frame: at.frame, unreadable: 0 };
        let content_id = at.input.opened.content_id().unwrap_or_default();
        identity_columns::fill(filling, at, content_id, &self.key, self.recipe.privacy);
        geometry_columns::fill(filling, &image.format);
        acquisition_columns::fill(filling, image);
        Ok(Slice {
            at: at.clone(),
            attributes: Arc::new(modality::attributes(image, at.frame)?),
            pixels,
            guide: Array2::default((0, 0)),
            mask: None,
            placement: Affine::IDENTITY,
            facts,
        })
    }
}

impl Shared {
    fn open(image: Image, input: &Input<'_>, buffer: &mut Vec<u8>, limits: &LimitsKeys) -> Result<Shared, Fault> {
        let inflated = if image.syntax.codec == Codec::Deflated {
            if input.memory().is_none() {
                if input.size() > limits.inflated_bytes {
                    let most = limits.inflated_bytes;
                    return Err(exceeded("deflated bytes (limits.inflated_bytes)", input.size(), most));
                }
                buffer.clear();
                input.extend(buffer, input.size())?;
            }
            Some(load::inflate(data_set(input.memory().unwrap_or(buffer), &image), image.native_end(), limits)?)
        } else {
            None
        };
        let frames = match &inflated {
            Some(inflated) => image.locate(&Input::Memory(inflated), limits)?,
            None => image.locate(input, limits)?,
        };
        Ok(Shared { image, frames, stamp: input.stamp(), inflated })
    }
}

fn data_set<'a>(bytes: &'a [u8], image: &Image) -> &'a [u8] {
    usize::try_from(image.data_set).ok().and_then(|at| bytes.get(at..)).unwrap_or_default()
}

/// Reads an input to its end, and says what its slices have as `content_id`.
///
/// # Errors
/// Reason `unreadable` where it cannot be read, or changes meanwhile; `special_file`.
pub(crate) fn content_id(bytes: &Bytes, key: &Key) -> Result<String, Fault> {
    let input = Input::open(bytes)?;
    Ok(content_id_of(key, hash_in_pieces(&input, &mut Vec::new())?))
}

fn content_id_of(key: &Key, hash: blake3::Hash) -> String {
    key.pseudonym("content", &[hash.as_bytes()])
}

/// # Errors
/// Reason `unreadable`, also where the input changed meanwhile.
fn hash_in_pieces(input: &Input<'_>, buffer: &mut Vec<u8>) -> Result<blake3::Hash, Fault> {
    if let Some(bytes) = input.memory() {
        return Ok(blake3::hash(bytes));
    }
    let mut hasher = blake3::Hasher::new();
    let mut position = 0;
    while position < input.size() {
        let piece = PIECE_BYTES.min(input.size() - position);
        buffer.clear();
        buffer.resize(piece as usize, 0);
        input.read(position, buffer)?;
        hasher.update(buffer);
        position += piece;
    }
    input.check_unchanged(None)?;
    Ok(hasher.finalize())
}

/// What an input is, as its header tells.
#[derive(Clone, Debug, PartialEq)]
pub enum Examined {
    /// CT slices, to be planned.
    Ct(CtInput),
    /// One ledger row: not a CT slice, or one that cannot be made into a row.
    Not(Fault),
}

/// What the plan keeps of a CT input.
#[derive(Clone, Debug, PartialEq)]
pub struct CtInput {
    /// Frames in it, at least 1.
    pub frames: u32,
    /// Rows (0028,0010).
    pub rows: u32,
    /// Columns (0028,0011).
    pub columns: u32,
    /// Bytes that decoding one of its frames holds beside 2 bytes for each of the frame's pixels: the
    /// header, the file or the encoded frame or (deflated) the whole data set, the codec's working
    /// space, and 2 more bytes a pixel where stored values need 32 bits. For the permits of the line.
    pub bytes_per_slice: u64,
    /// SOP Instance UID, for finding duplicates; never written out in the clear. `None` also where it is no
    /// UID: such a slice has no duplicates.
    pub sop_instance_uid: Option<String>,
    /// Series Instance UID, for `order = "series"`; never written out in the clear.
    pub series_instance_uid: Option<String>,
    /// Position along the slice normal (mm) where known, else Instance Number: the order within a
    /// series.
    pub position: Option<f64>,
}
