//! The header pass: what an input is.

use dicom_dictionary_std::tags;

use super::file_meta::FileMeta;
use super::header::Header;
use super::image::Image;
use super::input::Input;
use super::load::{FIRST_BYTES, Loaded, load};
use super::syntax::Codec;
use super::vocabulary;
use super::{CtInput, Examined};
use crate::reason::{Fault, Reason};
use crate::recipe::Recipe;
use crate::slice::Bytes;

/// CT Image Storage, Enhanced CT Image Storage, Legacy Converted Enhanced CT Image Storage.
const CT_CLASSES: [&[u8]; 3] =
    [b"1.2.840.10008.5.1.4.1.1.2", b"1.2.840.10008.5.1.4.1.1.2.1", b"1.2.840.10008.5.1.4.1.1.2.2"];

/// Media Storage Directory Storage.
const DIRECTORY_CLASS: &[u8] = b"1.2.840.10008.1.3.10";

/// Reads an input's header, up to Pixel Data, and says what it is.
///
/// Classes are tried in the order of [`Reason`]: what is no DICOM or no CT slice is filtered, whatever
/// else is wrong with it; then a CT input that cannot be decoded by `recipe` is rejected: one above its
/// limits, or packed by a codec that it leaves out, or one of which no frame can be a row: without a
/// rescale, of another unit, or with Pixel Data that is cut or in fragments without sense, as far as the
/// bytes tell that are read for the header. Never panics on any bytes.
pub fn examine(bytes: &Bytes, recipe: &Recipe) -> Examined {
    let examined = Input::open(bytes).and_then(|input| {
        let examined = examine_input(&input, recipe);
        input.check_unchanged(None).and(examined) // of a file that is being written nothing is known
    });
    examined.map_or_else(Examined::Not, Examined::Ct)
}

fn examine_input(input: &Input<'_>, recipe: &Recipe) -> Result<CtInput, Fault> {
    let size = input.size();
    if size == 0 {
        return Err(Fault::new(Reason::EmptyFile, "0 bytes"));
    }
    let mut buffer = Vec::new();
    let loaded = load(input, &mut buffer, recipe, |meta, header| {
        // What is no CT is not read on for.
        let class = header.text(0, tags::SOP_CLASS_UID);
        class.is_some_and(|class| !CT_CLASSES.contains(&class)) || meta.sop_class.as_deref() == Some(DIRECTORY_CLASS)
    })?;
    let loaded =
        loaded.ok_or_else(|| Fault::new(Reason::NotDicom, "no DICOM header and no plausible first element"))?;
    filter(&loaded)?;
    let image = Image::of(loaded, recipe)?;
    image.check_not_cut(size)?;
    // A file beyond what was read for its header is not read on: its frames are checked one by one, later.
    let known = (buffer.len() as u64).max(FIRST_BYTES).min(size);
    image.check_any_frame(input, known, recipe)?;
    Ok(CtInput {
        frames: image.format.frames,
        rows: image.format.rows,
        columns: image.format.columns,
        bytes_per_slice: image.bytes_per_slice(size),
        sop_instance_uid: uid(&image.header, tags::SOP_INSTANCE_UID),
        series_instance_uid: uid(&image.header, tags::SERIES_INSTANCE_UID),
        position: position(&image.header),
    })
}

fn sop_class<'a>(meta: &'a FileMeta, header: &'a Header) -> Option<&'a [u8]> {
    header.text(0, tags::SOP_CLASS_UID).or(meta.sop_class.as_deref())
}

/// What is no CT slice.
fn filter(loaded: &Loaded) -> Result<(), Fault> {
    let header = &loaded.header;
    let class = sop_class(&loaded.meta, header);
    if class == Some(DIRECTORY_CLASS) || header.text(0, tags::DIRECTORY_RECORD_SEQUENCE).is_some() {
        return Err(Fault::new(Reason::Dicomdir, "a directory record"));
    }
    match class {
        Some(class) if CT_CLASSES.contains(&class) => {}
        Some(_) => return Err(Fault::new(Reason::NotCtImage, "another SOP Class")),
        None => {
            let fault = Fault::new(Reason::NotCtImage, "no SOP Class UID");
            return Err(loaded.broken.clone().unwrap_or(fault));
        }
    }
    if let Some(image_type) = header.start_of_text(0, tags::IMAGE_TYPE)
        && image_type.split(|&byte| byte == b'\\').any(|value| value.trim_ascii() == b"LOCALIZER")
    {
        return Err(Fault::new(Reason::Localizer, "Image Type has LOCALIZER"));
    }
    let samples = header.uint16(0, tags::SAMPLES_PER_PIXEL);
    let photometric = header.text(0, tags::PHOTOMETRIC_INTERPRETATION);
    if samples.is_some_and(|samples| samples != 1) || photometric.is_some_and(|value| !value.starts_with(b"MONOCHROME"))
    {
        return Err(Fault::new(Reason::Colour, "more than one sample per pixel, or not MONOCHROME"));
    }
    // In a syntax without a decoder the pixels may be elsewhere: that is a reject of the syntax.
    let has_decoder = loaded.syntax.is_none_or(|syntax| syntax.codec != Codec::Unsupported);
    if loaded.broken.is_none() && header.pixel_data.is_none() && has_decoder {
        return Err(Fault::new(Reason::NoPixelData, "the data set has no Pixel Data"));
    }
    Ok(())
}

fn uid(header: &Header, tag: dicom_core::Tag) -> Option<String> {
    header.text(0, tag).and_then(vocabulary::uid)
}

/// Position of the first frame along the slice normal, mm; else Instance Number.
fn position(header: &Header) -> Option<f64> {
    let along_normal = || {
        let [x, y, z] = header.numbers(0, tags::IMAGE_POSITION_PATIENT)?;
        let [rx, ry, rz, cx, cy, cz] = header.orientation(0)?;
        let normal = [ry * cz - rz * cy, rz * cx - rx * cz, rx * cy - ry * cx];
        let position = x * normal[0] + y * normal[1] + z * normal[2];
        position.is_finite().then_some(position)
    };
    along_normal().or_else(|| header.value(0, tags::INSTANCE_NUMBER))
}
