//! Columns of the group acquisition: how the slice was made and stored.

use dicom_dictionary_std::tags;

use super::filling::Filling;
use super::image::Image;
use super::syntax::Loss;
use super::vocabulary;
use crate::column::{Column, Kind};

static MODALITY: Column = Column::required("modality", Kind::Text, "Always CT: the SOP Class says so.");
static SOP_CLASS_UID: Column = Column::required("sop_class_uid", Kind::Text, "SOP Class UID (0008,0016).");
static TRANSFER_SYNTAX_UID: Column = Column::required(
    "transfer_syntax_uid",
    Kind::Text,
    "Transfer Syntax UID (0002,0010); for files without one, the uncompressed syntax they are written in.",
);
static IMAGE_TYPE: Column = Column::new(
    "image_type",
    Kind::ListText,
    "Image Type (0008,0008), of the frame where given per frame: its first 4 values, OTHER for words outside a \
     closed vocabulary.",
);
static MANUFACTURER: Column =
    Column::new("manufacturer", Kind::Text, "Manufacturer (0008,0070), a closed vocabulary; other for the rest.");
static MANUFACTURER_MODEL_NAME: Column = Column::new(
    "manufacturer_model_name",
    Kind::Text,
    "Manufacturer's Model Name (0008,1090), where each of its words and numbers is in a closed vocabulary.",
);
static BODY_PART_EXAMINED: Column =
    Column::new("body_part_examined", Kind::Text, "Body Part Examined (0018,0015), a defined term of PS3.16.");
static CONVOLUTION_KERNEL: Column = Column::new(
    "convolution_kernel",
    Kind::Text,
    "Convolution Kernel (0018,1210), its first value, where it is a known word or has the form of a code.",
);
static KVP: Column = Column::new("kvp", Kind::Float64, "KVP (0018,0060): peak kilovoltage, kV.");
static X_RAY_TUBE_CURRENT_MA: Column = Column::new(
    "x_ray_tube_current_ma",
    Kind::Float64,
    "X-Ray Tube Current (0018,1151) or X-Ray Tube Current in mA (0018,9330), mA.",
);
static EXPOSURE_MAS: Column =
    Column::new("exposure_mas", Kind::Float64, "Exposure (0018,1152) or Exposure in mAs (0018,9332), mAs.");
static PHOTOMETRIC_INTERPRETATION: Column = Column::new(
    "photometric_interpretation",
    Kind::Text,
    "Photometric Interpretation (0028,0004) of the source; pixels of a row are always MONOCHROME2.",
);
static BITS_STORED: Column = Column::new("bits_stored", Kind::Int32, "Bits Stored (0028,0101).");
static PIXEL_REPRESENTATION: Column =
    Column::new("pixel_representation", Kind::Int32, "Pixel Representation (0028,0103): 0 unsigned, 1 signed.");
static LOSSY: Column = Column::new(
    "lossy",
    Kind::Bool,
    "True where Lossy Image Compression (0028,2110) is 01 or the transfer syntax is always lossy; null where the \
     syntax allows both and the attribute is absent.",
);
static CONTRAST: Column = Column::new(
    "contrast",
    Kind::Bool,
    "Whether Contrast/Bolus Agent (0018,0010) or its sequence is there and not empty.",
);

static UNREADABLE_ATTRIBUTES: Column = Column::required(
    "unreadable_attributes",
    Kind::Int32,
    "Attributes that are there and feed a column, but could not be taken: no number, out of range, of a wrong type or \
     multiplicity, no UID, a text outside of the vocabulary. Their columns are null.",
);

/// The columns, in the order of the schema.
pub(crate) static ALL: [&Column; 17] = [
    &MODALITY,
    &SOP_CLASS_UID,
    &TRANSFER_SYNTAX_UID,
    &IMAGE_TYPE,
    &MANUFACTURER,
    &MANUFACTURER_MODEL_NAME,
    &BODY_PART_EXAMINED,
    &CONVOLUTION_KERNEL,
    &KVP,
    &X_RAY_TUBE_CURRENT_MA,
    &EXPOSURE_MAS,
    &PHOTOMETRIC_INTERPRETATION,
    &BITS_STORED,
    &PIXEL_REPRESENTATION,
    &LOSSY,
    &CONTRAST,
    &UNREADABLE_ATTRIBUTES,
];

/// Fills them. The last of the groups: with it, what could not be taken is counted.
pub(crate) fn fill(filling: &mut Filling<'_>, image: &Image) {
    let (header, frame) = (filling.header, filling.frame);
    filling.facts.set(&MODALITY, "CT");
    filling.facts.set(&SOP_CLASS_UID, image.sop_class.clone().unwrap_or_default());
    filling.facts.set(&TRANSFER_SYNTAX_UID, image.syntax.uid);
    filling.facts.set_some(&IMAGE_TYPE, image_type(image, frame));
    filling.word(&MANUFACTURER, tags::MANUFACTURER, |text| Some(vocabulary::manufacturer(text)));
    filling.word(&MANUFACTURER_MODEL_NAME, tags::MANUFACTURER_MODEL_NAME, vocabulary::manufacturer_model_name);
    filling.word(&BODY_PART_EXAMINED, tags::BODY_PART_EXAMINED, vocabulary::body_part);
    filling.word(&CONVOLUTION_KERNEL, tags::CONVOLUTION_KERNEL, vocabulary::convolution_kernel);
    let is_quantity = |value: f64| value >= 0.0;
    filling.number(&KVP, tags::KVP, is_quantity);
    let currents = [tags::X_RAY_TUBE_CURRENT_INM_A, tags::X_RAY_TUBE_CURRENT];
    filling.number_of(&X_RAY_TUBE_CURRENT_MA, currents, is_quantity);
    filling.number_of(&EXPOSURE_MAS, [tags::EXPOSURE_INM_AS, tags::EXPOSURE], is_quantity);
    let photometric = tags::PHOTOMETRIC_INTERPRETATION;
    filling.word(&PHOTOMETRIC_INTERPRETATION, photometric, vocabulary::photometric_interpretation);
    filling.facts.set(&BITS_STORED, i32::from(image.format.bits_stored));
    filling.facts.set(&PIXEL_REPRESENTATION, i32::from(image.format.is_signed));
    filling.facts.set_some(&LOSSY, lossy(image, frame));
    let is_known = matches!(header.text(frame, tags::LOSSY_IMAGE_COMPRESSION), Some(b"00" | b"01"));
    filling.note(tags::LOSSY_IMAGE_COMPRESSION, is_known);
    let agents = [tags::CONTRAST_BOLUS_AGENT, tags::CONTRAST_BOLUS_AGENT_SEQUENCE];
    filling.facts.set(&CONTRAST, agents.iter().any(|&agent| header.start_of_text(frame, agent).is_some()));
    for padding in [tags::PIXEL_PADDING_VALUE, tags::PIXEL_PADDING_RANGE_LIMIT] {
        filling.note(padding, header.uint16(frame, padding).is_some());
    }
    filling.facts.set(&UNREADABLE_ATTRIBUTES, filling.unreadable);
}

fn image_type(image: &Image, frame: u32) -> Option<Vec<String>> {
    let header = &image.header;
    let text = header.start_of_text(frame, tags::FRAME_TYPE);
    let text = text.or_else(|| header.start_of_text(frame, tags::IMAGE_TYPE))?;
    let values = text.split(|&byte| byte == b'\\').take(4);
    Some(values.map(|value| vocabulary::image_type_value(value.trim_ascii()).to_owned()).collect())
}

fn lossy(image: &Image, frame: u32) -> Option<bool> {
    match (image.syntax.loss, image.header.text(frame, tags::LOSSY_IMAGE_COMPRESSION)) {
        (Loss::Lossy, _) | (_, Some(b"01")) => Some(true),
        (Loss::Lossless, _) | (_, Some(b"00")) => Some(false),
        (Loss::Either, _) => None,
    }
}
