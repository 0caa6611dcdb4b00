//! Recipes: everything that may change an output byte.
//!
//! A key, its type, its default and its sentence are declared once, in the `sections!` table below;
//! the struct, `--help`, the TOML of `dcmshard recipe` and `schemas/recipe.schema.json` are printed
//! from it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A display window in HU.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Window {
    /// Window Center (0028,1050), HU.
    pub center: f64,
    /// Window Width (0028,1051), HU; above 0.
    pub width: f64,
}

impl Window {
    /// Lower edge, HU: center - width / 2.
    pub fn low(&self) -> f64 {
        self.center - self.width / 2.0
    }

    /// Upper edge, HU: center + width / 2.
    pub fn high(&self) -> f64 {
        self.center + self.width / 2.0
    }
}

/// Which identifiers leave the private folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Privacy {
    /// Numbers, closed vocabularies and keyed pseudonyms only.
    Strict,
    /// Also Study, Series and SOP Instance UID in the clear, for data that is public already.
    Uids,
}

/// The order in which the steps work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Steps {
    /// Mask, one interpolation of HU, background and window last.
    Corrected,
    /// The published Python order, number for number: window first, uint8 before turning.
    Published,
}

/// How the tilt is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TiltMethod {
    /// The long axis of an ellipse fitted to the outer contour.
    Ellipse,
}

/// The HU that pixels outside the mask are set to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Background {
    /// The low edge of the channel's window; for HU, -1024.
    Low,
}

/// The type of a tensor's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names say it")]
pub enum Dtype {
    Uint8,
    Int16,
}

impl Dtype {
    /// Bytes per element.
    pub const fn bytes(self) -> usize {
        match self {
            Dtype::Uint8 => 1,
            Dtype::Int16 => 2,
        }
    }
}

/// How the tensor column is typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// FixedSizeBinary, C order, little-endian: the fastest to read.
    Binary,
    /// `arrow.fixed_shape_tensor`.
    Tensor,
}

/// The order of slices inside a plan segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// By keyed hash of the path: mixed for training.
    Shuffled,
    /// By series, then position.
    Series,
}

/// Page compression of the shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// `none`.
    None,
    /// `lz4`.
    Lz4,
    /// `zstd:LEVEL`, 1 to 22.
    Zstd(u8),
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Compression::None => f.write_str("none"),
            Compression::Lz4 => f.write_str("lz4"),
            Compression::Zstd(level) => write!(f, "zstd:{level}"),
        }
    }
}

/// Section `hu_window`.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "declared in sections! when it comes")]
pub struct HuWindowKeys {
    pub guide: Window,
    pub windows: Vec<Window>,
}

/// Section `denoise`.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct DenoiseKeys {
    pub enabled: bool,
}

/// Section `tilt`.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct TiltKeys {
    pub enabled: bool,
    pub method: TiltMethod,
    pub max_angle_deg: f64,
    pub max_stderr_deg: f64,
}

/// Section `crop_pad`.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct CropPadKeys {
    pub crop: bool,
    pub size: u32,
    pub background: Background,
}

/// Section `output`.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct OutputKeys {
    pub dtype: Dtype,
    pub layout: Layout,
    pub order: Order,
    pub rows_per_shard: u32,
    pub compression: Compression,
}

/// Everything that may change an output byte, checked.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct Recipe {
    pub version: u32,
    pub privacy: Privacy,
    pub steps: Steps,
    pub hu_window: HuWindowKeys,
    pub denoise: DenoiseKeys,
    pub tilt: TiltKeys,
    pub crop_pad: CropPadKeys,
    pub output: OutputKeys,
}

impl Recipe {
    /// Recipe `head`.
    pub fn head() -> Recipe {
        let brain = Window { center: 40.0, width: 80.0 };
        Recipe {
            version: 1,
            privacy: Privacy::Strict,
            steps: Steps::Corrected,
            hu_window: HuWindowKeys { guide: brain, windows: vec![brain] },
            denoise: DenoiseKeys { enabled: true },
            tilt: TiltKeys { enabled: true, method: TiltMethod::Ellipse, max_angle_deg: 45.0, max_stderr_deg: 1.0 },
            crop_pad: CropPadKeys { crop: true, size: 512, background: Background::Low },
            output: OutputKeys {
                dtype: Dtype::Uint8,
                layout: Layout::Binary,
                order: Order::Shuffled,
                rows_per_shard: 1024,
                compression: Compression::Zstd(1),
            },
        }
    }

    /// Recipe `seed`.
    pub fn seed() -> Recipe {
        Recipe { steps: Steps::Published, ..Recipe::head() }
    }

    /// The tensor's channels: one per window, or one of HU.
    pub fn channels(&self) -> usize {
        self.hu_window.windows.len().max(1)
    }

    /// Bytes of one tensor.
    pub fn tensor_bytes(&self) -> usize {
        self.channels() * (self.crop_pad.size as usize).pow(2) * self.output.dtype.bytes()
    }

    /// The recipe as canonical JSON: every key, sorted, no white space. Two recipes are the same
    /// if and only if these bytes are.
    pub fn canonical_json(&self) -> String {
        String::new() // to come
    }

    /// SHA-256 of [`Recipe::canonical_json`], lower-case hex.
    pub fn hash(&self) -> String {
        String::new() // to come
    }
}

/// One mistake of a recipe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecipeError {
    /// The dotted key, as `tilt.max_angle_deg`.
    pub key: String,
    /// What was found and what was expected.
    pub problem: String,
}

/// Every mistake of a recipe, found before a file is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecipeErrors(pub Vec<RecipeError>);

impl fmt::Display for RecipeErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.0.iter().enumerate() {
            let end = if i + 1 < self.0.len() { "\n" } else { "" };
            write!(f, "recipe: {}: {}{end}", error.key, error.problem)?;
        }
        Ok(())
    }
}

impl std::error::Error for RecipeErrors {}
