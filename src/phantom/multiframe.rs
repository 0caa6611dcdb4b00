//! Enhanced multi-frame CT, for tests: many frames in one file, cheaply.

use std::io::{self, Write};
use std::path::Path;

use dicom_core::value::{DataSetSequence, PrimitiveValue};
use dicom_core::{DataElement, Tag, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::InMemDicomObject;

use super::dicom::{self, DataSet, Named};
use super::head::{Head, Storage};
use super::raster::draw;
use crate::error::Error;

/// Rescale Intercept of a frame, HU: it differs from frame to frame, so that a reader that takes the
/// first frame's for all is found out.
pub fn frame_intercept(frame: u32) -> i16 {
    [-1024, -1000][frame as usize % 2]
}

/// Writes an Enhanced CT Image of `frames` frames, each with a plane position and a rescale of its
/// own ([`frame_intercept`]). Frame `f` holds `draw(head, f % head.slices())`, except that there is no
/// padding: what is outside the reconstruction circle is -1024 HU, or -1000 where the frame's
/// intercept is. Each slice is drawn once.
///
/// # Errors
/// [`Error::Usage`] where the pixels would not fit one element of 4 GiB or there is no frame;
/// [`Error::OutputIo`] where writing fails.
///
/// # Source
/// PS3.3 A.38 (Enhanced CT Image), C.7.6.16 (functional groups).
pub fn write_multiframe(path: &Path, frames: u32, head: &Head) -> Result<(), Error> {
    let pixel_bytes = u64::from(frames) * u64::from(head.size).pow(2) * 2;
    let pixel_bytes = u32::try_from(pixel_bytes).ok().filter(|&bytes| bytes > 0 && bytes < u32::MAX);
    let Some(pixel_bytes) = pixel_bytes else {
        return Err(Error::Usage(format!("{frames} frames of {0}x{0}: expected 1 to 4 GiB", head.size)));
    };
    let header = dicom::header(data_set(head, frames), pixel_bytes);
    let header = header.map_err(|source| Error::OutputIo { doing: "encode", path: path.to_owned(), source })?;
    let distinct: Vec<Vec<u8>> = (0..distinct_frames(head, frames)).map(|frame| pixels(head, frame)).collect();
    dicom::save_with(path, |to| {
        to.write_all(&header)?;
        (0..frames as usize).try_for_each(|frame| -> io::Result<()> { to.write_all(&distinct[frame % distinct.len()]) })
    })
}

/// After so many frames slice and intercept come again.
fn distinct_frames(head: &Head, frames: u32) -> u32 {
    let period = if head.slices().is_multiple_of(2) { head.slices() } else { 2 * head.slices() };
    period.min(frames)
}

fn pixels(head: &Head, frame: u32) -> Vec<u8> {
    let intercept = frame_intercept(frame);
    let hu = draw(head, frame % head.slices());
    hu.iter().flat_map(|&hu| (hu.max(intercept) - intercept).to_le_bytes()).collect()
}

fn data_set(head: &Head, frames: u32) -> DataSet {
    let mut set = dicom::of_head(head);
    for (tag, vr, value) in [
        (tags::SOP_CLASS_UID, VR::UI, uids::ENHANCED_CT_IMAGE_STORAGE.to_owned()),
        (tags::SOP_INSTANCE_UID, VR::UI, head.uid(Named::MultiFrame, 0)),
        (tags::SERIES_INSTANCE_UID, VR::UI, head.uid(Named::MultiFrame, 1)),
        (tags::IMAGE_TYPE, VR::CS, "ORIGINAL\\PRIMARY\\VOLUME\\NONE".to_owned()),
        (tags::SERIES_NUMBER, VR::IS, "3".to_owned()),
        (tags::INSTANCE_NUMBER, VR::IS, "1".to_owned()),
        (tags::NUMBER_OF_FRAMES, VR::IS, frames.to_string()),
    ] {
        set.text(tag, vr, value);
    }
    let storage = Storage { signed: false, bits_stored: 12, rescale_intercept: 0, pixel_padding_value: 0 };
    dicom::image(&mut set, head.size, head.size, storage);
    sequence(&mut set.0, tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE, vec![shared(head)]);
    let per_frame = (0..frames).map(|frame| of_frame(head, frame)).collect();
    sequence(&mut set.0, tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE, per_frame);
    set
}

/// The functional groups of all frames: orientation and pixel measures.
fn shared(head: &Head) -> InMemDicomObject {
    let mut measures = DataSet(InMemDicomObject::new_empty());
    measures.decimals(tags::PIXEL_SPACING, &[head.pixel_spacing_mm(); 2]);
    measures.decimals(tags::SLICE_THICKNESS, &[5.0]);
    let mut orientation = DataSet(InMemDicomObject::new_empty());
    orientation.decimals(tags::IMAGE_ORIENTATION_PATIENT, &[1.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
    let mut groups = InMemDicomObject::new_empty();
    sequence(&mut groups, tags::PIXEL_MEASURES_SEQUENCE, vec![measures.0]);
    sequence(&mut groups, tags::PLANE_ORIENTATION_SEQUENCE, vec![orientation.0]);
    groups
}

/// The functional groups of one frame: content, position, rescale.
fn of_frame(head: &Head, frame: u32) -> InMemDicomObject {
    let mut content = InMemDicomObject::new_empty();
    let index = PrimitiveValue::from([1, frame + 1]);
    content.put(DataElement::new(tags::DIMENSION_INDEX_VALUES, VR::UL, index));
    let mut position = DataSet(InMemDicomObject::new_empty());
    position.decimals(tags::IMAGE_POSITION_PATIENT, &head.position_mm(frame));
    let mut rescale = DataSet(InMemDicomObject::new_empty());
    rescale.decimals(tags::RESCALE_INTERCEPT, &[f64::from(frame_intercept(frame))]);
    rescale.decimals(tags::RESCALE_SLOPE, &[1.0]);
    rescale.text(tags::RESCALE_TYPE, VR::LO, "HU");
    let mut groups = InMemDicomObject::new_empty();
    sequence(&mut groups, tags::FRAME_CONTENT_SEQUENCE, vec![content]);
    sequence(&mut groups, tags::PLANE_POSITION_SEQUENCE, vec![position.0]);
    sequence(&mut groups, tags::PIXEL_VALUE_TRANSFORMATION_SEQUENCE, vec![rescale.0]);
    groups
}

fn sequence(set: &mut InMemDicomObject, tag: Tag, items: Vec<InMemDicomObject>) {
    set.put(DataElement::new(tag, VR::SQ, DataSetSequence::from(items)));
}

#[cfg(test)]
mod tests {
    use super::super::archive::PhantomOptions;
    use super::*;

    #[test]
    fn frames_cycle_through_the_slices_with_their_own_rescale() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("many.dcm");
        let options = PhantomOptions { slices_per_head: 3, size: 128, ..PhantomOptions::default() };
        let head = Head::new(0, &options);
        write_multiframe(&path, 8, &head).expect("a file");
        let object = dicom_object::open_file(&path).expect("DICOM");
        let groups = object.element(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE).expect("groups");
        assert_eq!(groups.items().expect("items").len(), 8);
        let bytes = object.element(tags::PIXEL_DATA).expect("pixels").to_bytes().expect("bytes");
        for (frame, pixels) in (0..8).zip(bytes.chunks(128 * 128 * 2)) {
            let hu = draw(&head, frame % 3);
            let at = pixels[2 * (64 * 128 + 64)..].first_chunk().copied().expect("a pixel");
            assert_eq!(i16::from_le_bytes(at) + frame_intercept(frame), hu[[64, 64]], "frame {frame}");
        }
        assert!(write_multiframe(&path, 0, &head).is_err());
        assert!(write_multiframe(&path, u32::MAX, &head).is_err());
    }
}
