//! What later stages need to know of a slice's data set, parsed once.
//!
//! Everything else that a data set tells goes straight into columns, see
//! [`crate::decode`].

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

/// The attributes of one slice (the functional groups of its own frame already looked up).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attributes {
    /// Rows (0028,0010).
    pub rows: u32,
    /// Columns (0028,0011).
    pub columns: u32,
    /// Rescale Slope (0028,1053), of the frame where given per frame.
    pub rescale_slope: Number,
    /// Rescale Intercept (0028,1052), of the frame where given per frame.
    pub rescale_intercept: Number,
    /// Stored values that stand for "no pixel here", smallest to largest: Pixel Padding Value
    /// (0028,0120) and Pixel Padding Range Limit (0028,0121), read with the sign of the pixels.
    pub pixel_padding: Option<(i64, i64)>,
}
