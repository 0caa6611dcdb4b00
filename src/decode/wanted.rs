//! Which attributes of a data set are read, and which functional group macros are looked into.

use dicom_core::Tag;
use dicom_dictionary_std::tags;

/// Functional group macros (PS3.3 C.7.6.16.2, C.8.15.3) that hold attributes read here, and the
/// sequences in which converted legacy objects keep theirs.
const MACROS: &[Tag] = &[
    tags::PIXEL_MEASURES_SEQUENCE,
    tags::PLANE_POSITION_SEQUENCE,
    tags::PLANE_ORIENTATION_SEQUENCE,
    tags::PIXEL_VALUE_TRANSFORMATION_SEQUENCE,
    tags::FRAME_CONTENT_SEQUENCE,
    tags::CT_ACQUISITION_DETAILS_SEQUENCE,
    tags::CT_EXPOSURE_SEQUENCE,
    tags::CTX_RAY_DETAILS_SEQUENCE,
    tags::CT_RECONSTRUCTION_SEQUENCE,
    tags::CT_IMAGE_FRAME_TYPE_SEQUENCE,
    tags::UNASSIGNED_SHARED_CONVERTED_ATTRIBUTES_SEQUENCE,
    tags::UNASSIGNED_PER_FRAME_CONVERTED_ATTRIBUTES_SEQUENCE,
];

/// What is kept.
pub(crate) const WANTED: &[Tag] = &[
    tags::IMAGE_TYPE,
    tags::SOP_CLASS_UID,
    tags::SOP_INSTANCE_UID,
    tags::MODALITY,
    tags::MANUFACTURER,
    tags::MANUFACTURER_MODEL_NAME,
    tags::FRAME_TYPE,
    tags::PATIENT_ID,
    tags::ISSUER_OF_PATIENT_ID,
    tags::CONTRAST_BOLUS_AGENT,
    tags::BODY_PART_EXAMINED,
    tags::SLICE_THICKNESS,
    tags::KVP,
    tags::SPACING_BETWEEN_SLICES,
    tags::GANTRY_DETECTOR_TILT,
    tags::X_RAY_TUBE_CURRENT,
    tags::EXPOSURE,
    tags::CONVOLUTION_KERNEL,
    tags::PATIENT_POSITION,
    tags::X_RAY_TUBE_CURRENT_INM_A,
    tags::EXPOSURE_INM_AS,
    tags::STUDY_INSTANCE_UID,
    tags::SERIES_INSTANCE_UID,
    tags::SERIES_NUMBER,
    tags::ACQUISITION_NUMBER,
    tags::INSTANCE_NUMBER,
    tags::IMAGE_POSITION_PATIENT,
    tags::IMAGE_ORIENTATION_PATIENT,
    tags::FRAME_OF_REFERENCE_UID,
    tags::SLICE_LOCATION,
    tags::FRAME_ACQUISITION_NUMBER,
    tags::SAMPLES_PER_PIXEL,
    tags::PHOTOMETRIC_INTERPRETATION,
    tags::NUMBER_OF_FRAMES,
    tags::ROWS,
    tags::COLUMNS,
    tags::PIXEL_SPACING,
    tags::BITS_ALLOCATED,
    tags::BITS_STORED,
    tags::HIGH_BIT,
    tags::PIXEL_REPRESENTATION,
    tags::PIXEL_PADDING_VALUE,
    tags::PIXEL_PADDING_RANGE_LIMIT,
    tags::RESCALE_INTERCEPT,
    tags::RESCALE_SLOPE,
    tags::RESCALE_TYPE,
    tags::LUT_DESCRIPTOR,
    tags::MODALITY_LUT_TYPE,
    tags::LUT_DATA,
    tags::MULTIENERGY_CT_ACQUISITION,
    tags::LOSSY_IMAGE_COMPRESSION,
];

/// Whether the value of this attribute is kept.
pub(crate) fn is_wanted(tag: Tag) -> bool {
    WANTED.contains(&tag)
}

/// The attributes that decide how pixel cells are read: US, one value (PS3.3 C.7.6.3).
const FORM: &[Tag] = &[
    tags::SAMPLES_PER_PIXEL,
    tags::ROWS,
    tags::COLUMNS,
    tags::BITS_ALLOCATED,
    tags::BITS_STORED,
    tags::HIGH_BIT,
    tags::PIXEL_REPRESENTATION,
];

/// Whether a value of this VR can be the attribute's. Of those that decide how pixels are read only 16-bit
/// numbers can, and what is written without its VR; of the others all can: a wrong one costs no slice.
pub(crate) fn fits(tag: Tag, vr: [u8; 2]) -> bool {
    !FORM.contains(&tag) || matches!(&vr, b"US" | b"SS" | b"UN" | b"  ")
}

/// Whether this sequence of a functional group is looked into.
pub(crate) fn is_macro(tag: Tag) -> bool {
    MACROS.contains(&tag)
}

/// Whether the attribute's VR is FD by the data dictionary (PS3.6), for implicit VR.
pub(crate) fn is_double(tag: Tag) -> bool {
    tag == tags::X_RAY_TUBE_CURRENT_INM_A || tag == tags::EXPOSURE_INM_AS
}
