//! Phantom slices as DICOM files: explicit VR little endian, one frame.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use dicom_core::value::PrimitiveValue;
use dicom_core::{DataElement, Tag, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::{FileMetaTableBuilder, InMemDicomObject};
use ndarray::Array2;

use super::head::{Head, Storage};
use super::raster::OUTSIDE_HU;
use super::texture::Random;
use crate::error::Error;

/// Distance of slices, and their thickness.
const STEP_MM: f64 = 5.0;

/// A UID that depends on its seeds alone, in the form of a UUID (PS3.5 B.2).
pub(crate) fn uid(seeds: &[u64]) -> String {
    let mut random = Random::new(seeds);
    let bits = (u128::from(random.bits()) << 64) | u128::from(random.bits());
    let version_8 = bits & !(0xf << 76) | (8 << 76);
    format!("2.25.{}", version_8 & !(3 << 62) | (2 << 62))
}

/// What a UID of a head is for; also its seed.
#[derive(Clone, Copy)]
pub(crate) enum Named {
    Study = 1,
    Series = 2,
    FrameOfReference = 3,
    Instance = 4,
    Localizer = 5,
    Colour = 6,
    Truncated = 7,
    MultiFrame = 8,
}

impl Head {
    /// The UID of something of this head; `number` counts instances.
    pub(crate) fn uid(&self, named: Named, number: u32) -> String {
        uid(&[self.seed, u64::from(self.index), named as u64, u64::from(number)])
    }

    /// Patient's Name: invented, and to be found in no output.
    pub(crate) fn patient_name(&self) -> String {
        format!("PHANTOM^HEAD {:02}", self.index + 1)
    }

    /// Patient ID: invented, and to be found in no output.
    pub(crate) fn patient_id(&self) -> String {
        let number = Random::new(&[self.seed, u64::from(self.index), 0x1d]).bits() % 10_000_000;
        format!("DSP{number:07}")
    }

    /// Pixel Spacing of an image of this size, both ways.
    pub(crate) fn pixel_spacing_mm(&self) -> f64 {
        self.spacing_mm / self.scale()
    }

    /// Image Position (Patient): the centre of the first pixel, mm. Slice 0 is the lowest.
    pub(crate) fn position_mm(&self, slice: u32) -> [f64; 3] {
        let corner = -0.5 * (f64::from(self.size) - 1.0) * self.pixel_spacing_mm();
        [corner, corner, -40.0 + STEP_MM * f64::from(slice)]
    }
}

/// A data set with the calls that phantoms need.
pub(crate) struct DataSet(pub InMemDicomObject);

impl DataSet {
    pub(crate) fn text(&mut self, tag: Tag, vr: VR, value: impl Into<String>) {
        self.0.put(DataElement::new(tag, vr, PrimitiveValue::from(value.into())));
    }

    pub(crate) fn number(&mut self, tag: Tag, value: u16) {
        self.0.put(DataElement::new(tag, VR::US, PrimitiveValue::from(value)));
    }

    /// Numbers as decimal strings of at most 16 characters (VR DS).
    pub(crate) fn decimals(&mut self, tag: Tag, values: &[f64]) {
        self.text(tag, VR::DS, values.iter().map(|v| decimal(*v)).collect::<Vec<_>>().join("\\"));
    }
}

/// Six places, without zeros at the end.
fn decimal(value: f64) -> String {
    let text = format!("{value:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Everything that is the same in all slices of a head, but for the series.
pub(crate) fn of_head(head: &Head) -> DataSet {
    let mut set = DataSet(InMemDicomObject::new_empty());
    let mut random = Random::new(&[head.seed, u64::from(head.index), 0xda7e]);
    let mut pick = |low: u64, high: u64| low + random.bits() % (high - low);
    let date = format!("{}{:02}{:02}", pick(2019, 2025), pick(1, 13), pick(1, 29));
    let age = pick(20, 90);
    for (tag, vr, value) in [
        (tags::SPECIFIC_CHARACTER_SET, VR::CS, "ISO_IR 192".to_owned()),
        (tags::STUDY_DATE, VR::DA, date.clone()),
        (tags::SERIES_DATE, VR::DA, date.clone()),
        (tags::STUDY_TIME, VR::TM, format!("{:02}{:02}00", pick(0, 24), pick(0, 60))),
        (tags::ACCESSION_NUMBER, VR::SH, format!("ACC{:06}", pick(0, 1_000_000))),
        (tags::MODALITY, VR::CS, "CT".to_owned()),
        (tags::MANUFACTURER, VR::LO, "dcmshard phantom".to_owned()),
        (tags::MANUFACTURER_MODEL_NAME, VR::LO, "Drawn Head".to_owned()),
        (tags::INSTITUTION_NAME, VR::LO, "PHANTOM GENERAL HOSPITAL".to_owned()),
        (tags::STUDY_DESCRIPTION, VR::LO, "CT HEAD WITHOUT CONTRAST".to_owned()),
        (tags::PATIENT_NAME, VR::PN, head.patient_name()),
        (tags::PATIENT_ID, VR::LO, head.patient_id()),
        (tags::PATIENT_BIRTH_DATE, VR::DA, format!("{}0615", 2022 - age)),
        (tags::PATIENT_AGE, VR::AS, format!("{age:03}Y")),
        (tags::PATIENT_SEX, VR::CS, if pick(0, 2) == 0 { "F" } else { "M" }.to_owned()),
        (tags::BODY_PART_EXAMINED, VR::CS, "HEAD".to_owned()),
        (tags::PATIENT_POSITION, VR::CS, "HFS".to_owned()),
        (tags::STUDY_INSTANCE_UID, VR::UI, head.uid(Named::Study, 0)),
        (tags::FRAME_OF_REFERENCE_UID, VR::UI, head.uid(Named::FrameOfReference, 0)),
        (tags::STUDY_ID, VR::SH, "1".to_owned()),
    ] {
        set.text(tag, vr, value);
    }
    set
}

/// The data set of a CT slice, without its pixels.
pub(crate) fn of_slice(head: &Head, slice: u32) -> DataSet {
    let mut set = of_head(head);
    for (tag, vr, value) in [
        (tags::SOP_CLASS_UID, VR::UI, uids::CT_IMAGE_STORAGE.to_owned()),
        (tags::SOP_INSTANCE_UID, VR::UI, head.uid(Named::Instance, slice)),
        (tags::SERIES_INSTANCE_UID, VR::UI, head.uid(Named::Series, 0)),
        (tags::IMAGE_TYPE, VR::CS, "ORIGINAL\\PRIMARY\\AXIAL".to_owned()),
        (tags::SERIES_DESCRIPTION, VR::LO, "HEAD 5.0 mm".to_owned()),
        (tags::CONVOLUTION_KERNEL, VR::SH, "SOFT".to_owned()),
        (tags::SERIES_NUMBER, VR::IS, "2".to_owned()),
        (tags::ACQUISITION_NUMBER, VR::IS, "1".to_owned()),
        (tags::INSTANCE_NUMBER, VR::IS, (slice + 1).to_string()),
    ] {
        set.text(tag, vr, value);
    }
    acquisition(&mut set, head);
    set.decimals(tags::IMAGE_POSITION_PATIENT, &head.position_mm(slice));
    set.decimals(tags::IMAGE_ORIENTATION_PATIENT, &[1.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
    set.decimals(tags::SLICE_LOCATION, &[head.position_mm(slice)[2]]);
    set.decimals(tags::PIXEL_SPACING, &[head.pixel_spacing_mm(); 2]);
    set.decimals(tags::RESCALE_SLOPE, &[1.0]);
    set.decimals(tags::RESCALE_INTERCEPT, &[f64::from(head.storage.rescale_intercept)]);
    set.text(tags::RESCALE_TYPE, VR::LO, "HU");
    set.decimals(tags::WINDOW_CENTER, &[40.0]);
    set.decimals(tags::WINDOW_WIDTH, &[80.0]);
    image(&mut set, head.size, head.size, head.storage);
    padding(&mut set, head.storage);
    set
}

fn acquisition(set: &mut DataSet, head: &Head) {
    let field_mm = head.spacing_mm * 512.0;
    for (tag, value) in [
        (tags::SLICE_THICKNESS, STEP_MM),
        (tags::SPACING_BETWEEN_SLICES, STEP_MM),
        (tags::KVP, 120.0),
        (tags::DATA_COLLECTION_DIAMETER, 500.0),
        (tags::RECONSTRUCTION_DIAMETER, (field_mm * 10.0).round() / 10.0),
        (tags::GANTRY_DETECTOR_TILT, 0.0),
    ] {
        set.decimals(tag, &[value]);
    }
    for (tag, value) in [(tags::X_RAY_TUBE_CURRENT, "280"), (tags::EXPOSURE_TIME, "1000"), (tags::EXPOSURE, "280")] {
        set.text(tag, VR::IS, value);
    }
}

/// The image pixel module of one sample of 16 bits.
pub(crate) fn image(set: &mut DataSet, rows: u32, columns: u32, storage: Storage) {
    set.text(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME2");
    for (tag, value) in [
        (tags::SAMPLES_PER_PIXEL, 1),
        (tags::ROWS, rows as u16),
        (tags::COLUMNS, columns as u16),
        (tags::BITS_ALLOCATED, 16),
        (tags::BITS_STORED, storage.bits_stored),
        (tags::HIGH_BIT, storage.bits_stored - 1),
        (tags::PIXEL_REPRESENTATION, u16::from(storage.signed)),
    ] {
        set.number(tag, value);
    }
}

/// Pixel Padding Value, with the VR that Pixel Representation asks for.
fn padding(set: &mut DataSet, storage: Storage) {
    let tag = tags::PIXEL_PADDING_VALUE;
    match storage.signed {
        true => set.0.put(DataElement::new(tag, VR::SS, PrimitiveValue::from(storage.pixel_padding_value))),
        false => set.0.put(DataElement::new(tag, VR::US, PrimitiveValue::from(storage.pixel_padding_value as u16))),
    };
}

/// HU to stored values as bytes; what lies outside the reconstruction circle becomes padding.
pub(crate) fn stored_bytes(hu: &Array2<i16>, storage: Storage) -> Vec<u8> {
    let stored = |&hu: &i16| match hu {
        OUTSIDE_HU => storage.pixel_padding_value,
        hu => hu - storage.rescale_intercept,
    };
    hu.iter().flat_map(|hu| stored(hu).to_le_bytes()).collect()
}

/// The bytes of a file up to the value of Pixel Data: preamble, file meta group, `set`, and the
/// header of Pixel Data (VR OW) with a length of `pixel_bytes`.
pub(crate) fn header(set: DataSet, pixel_bytes: u32) -> io::Result<Vec<u8>> {
    let meta = FileMetaTableBuilder::new()
        .transfer_syntax(uids::EXPLICIT_VR_LITTLE_ENDIAN)
        .implementation_class_uid(uid(&[0xdc, 0x54a8d]))
        .implementation_version_name("DCMSHARD");
    let mut bytes = Vec::with_capacity(pixel_bytes as usize + 4096);
    set.0.with_meta(meta).map_err(io::Error::other)?.write_all(&mut bytes).map_err(io::Error::other)?;
    bytes.extend_from_slice(&[0xe0, 0x7f, 0x10, 0x00, b'O', b'W', 0, 0]);
    bytes.extend_from_slice(&pixel_bytes.to_le_bytes());
    Ok(bytes)
}

/// A whole file of one frame, its pixels `pixels`.
pub(crate) fn file(set: DataSet, pixels: &[u8]) -> io::Result<Vec<u8>> {
    let mut bytes = header(set, pixels.len() as u32)?;
    bytes.extend_from_slice(pixels);
    Ok(bytes)
}

/// Writes a file, with the folders above it.
pub(crate) fn save(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    save_with(path, |to| to.write_all(bytes))
}

/// Writes a file piece by piece, with the folders above it.
pub(crate) fn save_with(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> Result<(), Error> {
    let attempt = || {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut to = BufWriter::new(File::create(path)?);
        write(&mut to)?;
        to.flush()
    };
    attempt().map_err(|source| Error::OutputIo { doing: "write", path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uids_are_legal_and_differ() {
        let (a, b) = (uid(&[1, 2]), uid(&[2, 1]));
        assert_ne!(a, b);
        assert!(a.len() <= 64 && a.bytes().all(|c| c == b'.' || c.is_ascii_digit()) && !a.contains(".0"));
    }

    #[test]
    fn decimal_strings_fit_their_vr() {
        assert_eq!(decimal(0.450), "0.45");
        assert_eq!(decimal(-117.265), "-117.265");
        assert_eq!(decimal(5.0), "5");
        assert!(decimal(-1234.567891).len() <= 16);
    }

    #[test]
    fn stored_values_of_each_kind_of_series() {
        let hu = ndarray::array![[OUTSIDE_HU, -1000, 0, 40]];
        let signed = Storage { signed: true, bits_stored: 16, rescale_intercept: 0, pixel_padding_value: -2000 };
        let values = |storage| -> Vec<i16> {
            stored_bytes(&hu, storage).chunks(2).map(|b| i16::from_le_bytes([b[0], b[1]])).collect()
        };
        assert_eq!(values(signed), [-2000, -1000, 0, 40]);
        let unsigned = Storage { signed: false, bits_stored: 12, rescale_intercept: -1024, pixel_padding_value: 0 };
        assert_eq!(values(unsigned), [0, 24, 1024, 1064]);
    }
}
