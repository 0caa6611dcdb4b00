//! What later stages need to know of a slice's data set, parsed once.
//!
//! Everything else that a data set tells goes straight into columns, see
//! [`crate::decode`].

use std::sync::Arc;

use crate::kernel::modality_lut::ModalityLut;

/// A decimal string as the data set has it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Number {
    /// The attribute is absent or empty.
    #[default]
    Missing,
    /// A finite number.
    Value(f64),
    /// Present, but no finite number.
    Invalid,
}

/// What the numbers are that the modality transformation yields.
///
/// # Source
/// PS3.3 C.8.2.1 (Rescale Type of a CT), C.11.1.1.2 (its terms).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Units {
    /// Hounsfield units: Rescale Type says HU, or is absent, which in a CT means HU.
    #[default]
    Hounsfield,
    /// The data set leaves it open: Rescale Type is US (unspecified) or a word that the standard does not
    /// know, or absent in a multi-energy acquisition.
    Unspecified,
    /// Something else: electron density, effective atomic number, modified HU, mg/ml.
    Other,
}

/// The attributes of one slice (the functional groups of its own frame already looked up).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attributes {
    /// Rows (0028,0010).
    pub rows: u32,
    /// Columns (0028,0011).
    pub columns: u32,
    /// Rescale Slope (0028,1053), of the frame where given per frame; of the same place as the
    /// intercept.
    pub rescale_slope: Number,
    /// Rescale Intercept (0028,1052), of the frame where given per frame.
    pub rescale_intercept: Number,
    /// What slope and intercept, or the table, yield.
    pub units: Units,
    /// The table that stands in the place of slope and intercept.
    pub modality_lut: Option<Arc<ModalityLut>>,
    /// Whether there is a Modality LUT Sequence beside slope and intercept.
    pub has_needless_lut: bool,
    /// MONOCHROME1: what stored value and turned value add up to.
    pub turned_about: Option<i64>,
    /// Stored values that stand for "no pixel here", smallest to largest: Pixel Padding Value
    /// (0028,0120) and Pixel Padding Range Limit (0028,0121), read with the sign of the pixels.
    pub pixel_padding: Option<(i64, i64)>,
}
