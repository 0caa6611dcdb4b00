//! The files of an archive that become no row: one of each class of the table that a run ends with.

use std::io;
use std::path::Path;

use dicom_core::VR;
use dicom_dictionary_std::{tags, uids};
use ndarray::Array2;

use super::archive::{patient_folder, series_folder};
use super::dicom::{self, DataSet, Named};
use super::head::Head;
use super::raster::draw;
use super::truth::ExtraTruth;
use crate::error::Error;

/// Writes them all, in the folders of `head`.
pub(crate) fn write(folder: &Path, head: &Head) -> Result<Vec<ExtraTruth>, Error> {
    let (patient, series) = (patient_folder(head), series_folder(head));
    let files: [(&str, String, io::Result<Vec<u8>>); 5] = [
        ("localizer", format!("{patient}/1_LOCALIZER/IM-0001.dcm"), localizer(head)),
        ("colour", format!("{patient}/99_DOSE/IM-0001.dcm"), colour_page(head)),
        ("text", "EXPORT NOTES.txt".to_owned(), Ok(b"Drawn heads, no patients.\n".to_vec())),
        ("duplicate", format!("{series} copy/IM-0001.dcm"), slice(head, Named::Instance)),
        ("truncated", format!("{series}/IM-9999.dcm"), truncated(head)),
    ];
    let mut extras = Vec::with_capacity(files.len());
    for (kind, path, bytes) in files {
        let at = folder.join(&path);
        let bytes = bytes.map_err(|source| Error::OutputIo { doing: "encode", path: at.clone(), source })?;
        dicom::save(&at, &bytes)?;
        extras.push(ExtraTruth { path, kind: kind.to_owned() });
    }
    Ok(extras)
}

/// The lowest slice, as its own instance or another.
fn slice(head: &Head, named: Named) -> io::Result<Vec<u8>> {
    let mut set = dicom::of_slice(head, 0);
    set.text(tags::SOP_INSTANCE_UID, VR::UI, head.uid(named, 0));
    dicom::file(set, &dicom::stored_bytes(&draw(head, 0), head.storage))
}

/// A slice of which six tenths were copied.
fn truncated(head: &Head) -> io::Result<Vec<u8>> {
    let mut bytes = slice(head, Named::Truncated)?;
    bytes.truncate(bytes.len() * 6 / 10);
    Ok(bytes)
}

/// A view from the side: an ellipse of soft tissue and bone on a film twice as high as wide.
fn localizer(head: &Head) -> io::Result<Vec<u8>> {
    let (rows, columns) = (head.size, head.size / 2);
    let hu = Array2::from_shape_fn((rows as usize, columns as usize), |(row, column)| {
        let y = (row as f64 / f64::from(rows) - 0.4) / 0.3;
        let x = (column as f64 / f64::from(columns) - 0.5) / 0.42;
        match x * x + y * y {
            r2 if r2 > 1.0 => -1000,
            r2 if r2 > 0.85 => 600,
            _ => 150,
        }
    });
    let mut set = dicom::of_slice(head, 0);
    for (tag, vr, value) in [
        (tags::IMAGE_TYPE, VR::CS, "ORIGINAL\\PRIMARY\\LOCALIZER".to_owned()),
        (tags::SOP_INSTANCE_UID, VR::UI, head.uid(Named::Localizer, 0)),
        (tags::SERIES_INSTANCE_UID, VR::UI, head.uid(Named::Localizer, 1)),
        (tags::SERIES_DESCRIPTION, VR::LO, "LOCALIZER".to_owned()),
        (tags::SERIES_NUMBER, VR::IS, "1".to_owned()),
    ] {
        set.text(tag, vr, value);
    }
    set.decimals(tags::IMAGE_ORIENTATION_PATIENT, &[0.0, 1.0, 0.0, 0.0, 0.0, -1.0]);
    dicom::image(&mut set, rows, columns, head.storage);
    dicom::file(set, &dicom::stored_bytes(&hu, head.storage))
}

/// A dose page as scanners send them: CT by class, RGB by content.
fn colour_page(head: &Head) -> io::Result<Vec<u8>> {
    const SIDE: u16 = 128;
    let mut set: DataSet = dicom::of_head(head);
    for (tag, vr, value) in [
        (tags::SOP_CLASS_UID, VR::UI, uids::CT_IMAGE_STORAGE.to_owned()),
        (tags::IMAGE_TYPE, VR::CS, "DERIVED\\SECONDARY\\SCREEN SAVE".to_owned()),
        (tags::SOP_INSTANCE_UID, VR::UI, head.uid(Named::Colour, 0)),
        (tags::SERIES_INSTANCE_UID, VR::UI, head.uid(Named::Colour, 1)),
        (tags::SERIES_DESCRIPTION, VR::LO, "DOSE REPORT".to_owned()),
        (tags::SERIES_NUMBER, VR::IS, "99".to_owned()),
        (tags::INSTANCE_NUMBER, VR::IS, "1".to_owned()),
        (tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "RGB".to_owned()),
    ] {
        set.text(tag, vr, value);
    }
    for (tag, value) in [
        (tags::SAMPLES_PER_PIXEL, 3),
        (tags::PLANAR_CONFIGURATION, 0),
        (tags::ROWS, SIDE),
        (tags::COLUMNS, SIDE),
        (tags::BITS_ALLOCATED, 8),
        (tags::BITS_STORED, 8),
        (tags::HIGH_BIT, 7),
        (tags::PIXEL_REPRESENTATION, 0),
    ] {
        set.number(tag, value);
    }
    let line = |row: u16| if row % 16 < 6 { [230, 230, 120] } else { [20, 30, 70] };
    let pixels: Vec<u8> = (0..SIDE).flat_map(|row| line(row).repeat(usize::from(SIDE))).collect();
    dicom::file(set, &pixels)
}
