//! Columns of the group geometry: where the slice lies in the patient and the series.

use dicom_dictionary_std::tags;

use super::filling::Filling;
use super::format::Format;
use super::vocabulary;
use crate::column::{Column, Kind};

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
    "Image Orientation (Patient) (0020,0037): direction cosines along a row, then down a column; null where \
     they are not of length 1 and at a right angle, within 0.01.",
);
static SLICE_LOCATION_MM: Column = Column::new("slice_location_mm", Kind::Float64, "Slice Location (0020,1041), mm.");
static GANTRY_DETECTOR_TILT_DEG: Column = Column::new(
    "gantry_detector_tilt_deg",
    Kind::Float64,
    "Gantry/Detector Tilt (0018,1120), degrees, within -90 and 90; not the tilt of the head.",
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
pub(crate) fn fill(filling: &mut Filling<'_>, format: &Format) {
    let (header, frame) = (filling.header, filling.frame);
    filling.facts.set(&ROWS, format.rows as i32);
    filling.facts.set(&COLUMNS, format.columns as i32);
    let spacing: Option<[f64; 2]> = header.numbers(frame, tags::PIXEL_SPACING);
    let spacing = spacing.filter(|[row, column]| *row > 0.0 && *column > 0.0);
    filling.set(&PIXEL_SPACING_ROW_MM, tags::PIXEL_SPACING, spacing.map(|[row, _]| row));
    filling.facts.set_some(&PIXEL_SPACING_COLUMN_MM, spacing.map(|[_, column]| column));
    filling.number(&SLICE_THICKNESS_MM, tags::SLICE_THICKNESS, |value| value >= 0.0);
    filling.number(&SPACING_BETWEEN_SLICES_MM, tags::SPACING_BETWEEN_SLICES, |_| true);
    let position: Option<[f64; 3]> = header.numbers(frame, tags::IMAGE_POSITION_PATIENT);
    filling.set(&IMAGE_POSITION_PATIENT, tags::IMAGE_POSITION_PATIENT, position.map(Vec::from));
    let orientation = header.orientation(frame).map(Vec::from);
    filling.set(&IMAGE_ORIENTATION_PATIENT, tags::IMAGE_ORIENTATION_PATIENT, orientation);
    filling.number(&SLICE_LOCATION_MM, tags::SLICE_LOCATION, |_| true);
    filling.number(&GANTRY_DETECTOR_TILT_DEG, tags::GANTRY_DETECTOR_TILT, |value| value.abs() < 90.0);
    filling.word(&PATIENT_POSITION, tags::PATIENT_POSITION, vocabulary::patient_position);
    filling.integer(&INSTANCE_NUMBER, tags::INSTANCE_NUMBER);
    filling.integer(&SERIES_NUMBER, tags::SERIES_NUMBER);
    let of_frame = header.uint16(frame, tags::FRAME_ACQUISITION_NUMBER).map(i32::from);
    filling.note(tags::FRAME_ACQUISITION_NUMBER, of_frame.is_some());
    filling.integer(&ACQUISITION_NUMBER, tags::ACQUISITION_NUMBER);
    if header.integer(frame, tags::ACQUISITION_NUMBER).is_none() {
        filling.facts.set_some(&ACQUISITION_NUMBER, of_frame);
    }
}
