//! Columns of the group geometry: where the slice lies in the patient and the series.

use dicom_dictionary_std::tags;

use super::format::Format;
use super::header::Header;
use super::vocabulary;
use crate::column::{Column, Facts, Kind};

static ROWS: Column = Column::required("rows", Kind::Int32, "Rows (0028,0010) of the source.");
static COLUMNS: Column = Column::required("columns", Kind::Int32, "Columns (0028,0011) of the source.");
static PIXEL_SPACING_ROW_MM: Column =
    Column::new("pixel_spacing_row_mm", Kind::Float64, "Pixel Spacing (0028,0030), first value: from row to row, mm.");
static PIXEL_SPACING_COLUMN_MM: Column = Column::new(
    "pixel_spacing_column_mm",
    Kind::Float64,
    "Pixel Spacing (0028,0030), second value: from column to column, mm.",
);
static SLICE_THICKNESS_MM: Column =
    Column::new("slice_thickness_mm", Kind::Float64, "Slice Thickness (0018,0050), mm.");
static SPACING_BETWEEN_SLICES_MM: Column =
    Column::new("spacing_between_slices_mm", Kind::Float64, "Spacing Between Slices (0018,0088), mm.");
static IMAGE_POSITION_PATIENT: Column = Column::new(
    "image_position_patient",
    Kind::ListFloat64,
    "Image Position (Patient) (0020,0032): x, y, z of the first pixel's centre, mm.",
);
static IMAGE_ORIENTATION_PATIENT: Column = Column::new(
    "image_orientation_patient",
    Kind::ListFloat64,
    "Image Orientation (Patient) (0020,0037): direction cosines along a row, then down a column.",
);
static SLICE_LOCATION_MM: Column = Column::new("slice_location_mm", Kind::Float64, "Slice Location (0020,1041), mm.");
static GANTRY_DETECTOR_TILT_DEG: Column = Column::new(
    "gantry_detector_tilt_deg",
    Kind::Float64,
    "Gantry/Detector Tilt (0018,1120), degrees; not the tilt of the head.",
);
static PATIENT_POSITION: Column =
    Column::new("patient_position", Kind::Text, "Patient Position (0018,5100), a defined term.");
static INSTANCE_NUMBER: Column = Column::new("instance_number", Kind::Int32, "Instance Number (0020,0013).");
static SERIES_NUMBER: Column = Column::new("series_number", Kind::Int32, "Series Number (0020,0011).");
static ACQUISITION_NUMBER: Column = Column::new(
    "acquisition_number",
    Kind::Int32,
    "Acquisition Number (0020,0012), or Frame Acquisition Number (0020,9156).",
);

/// The columns, in the order of the schema.
pub(crate) static ALL: [&Column; 14] = [
    &ROWS,
    &COLUMNS,
    &PIXEL_SPACING_ROW_MM,
    &PIXEL_SPACING_COLUMN_MM,
    &SLICE_THICKNESS_MM,
    &SPACING_BETWEEN_SLICES_MM,
    &IMAGE_POSITION_PATIENT,
    &IMAGE_ORIENTATION_PATIENT,
    &SLICE_LOCATION_MM,
    &GANTRY_DETECTOR_TILT_DEG,
    &PATIENT_POSITION,
    &INSTANCE_NUMBER,
    &SERIES_NUMBER,
    &ACQUISITION_NUMBER,
];

/// Fills them.
pub(crate) fn fill(facts: &mut Facts, header: &Header, format: &Format, frame: u32) {
    facts.set(&ROWS, format.rows as i32);
    facts.set(&COLUMNS, format.columns as i32);
    let spacing: Option<[f64; 2]> = header.numbers(frame, tags::PIXEL_SPACING);
    facts.set_some(&PIXEL_SPACING_ROW_MM, spacing.map(|[row, _]| row));
    facts.set_some(&PIXEL_SPACING_COLUMN_MM, spacing.map(|[_, column]| column));
    facts.set_some(&SLICE_THICKNESS_MM, header.value(frame, tags::SLICE_THICKNESS));
    facts.set_some(&SPACING_BETWEEN_SLICES_MM, header.value(frame, tags::SPACING_BETWEEN_SLICES));
    let position: Option<[f64; 3]> = header.numbers(frame, tags::IMAGE_POSITION_PATIENT);
    facts.set_some(&IMAGE_POSITION_PATIENT, position.map(Vec::from));
    let orientation: Option<[f64; 6]> = header.numbers(frame, tags::IMAGE_ORIENTATION_PATIENT);
    facts.set_some(&IMAGE_ORIENTATION_PATIENT, orientation.map(Vec::from));
    facts.set_some(&SLICE_LOCATION_MM, header.value(frame, tags::SLICE_LOCATION));
    facts.set_some(&GANTRY_DETECTOR_TILT_DEG, header.value(frame, tags::GANTRY_DETECTOR_TILT));
    let patient_position = header.text(frame, tags::PATIENT_POSITION).and_then(vocabulary::patient_position);
    facts.set_some(&PATIENT_POSITION, patient_position);
    facts.set_some(&INSTANCE_NUMBER, header.integer(frame, tags::INSTANCE_NUMBER));
    facts.set_some(&SERIES_NUMBER, header.integer(frame, tags::SERIES_NUMBER));
    let of_frame = || header.uint16(frame, tags::FRAME_ACQUISITION_NUMBER).map(i32::from);
    let acquisition = header.integer(frame, tags::ACQUISITION_NUMBER).or_else(of_frame);
    facts.set_some(&ACQUISITION_NUMBER, acquisition);
}
