//! Recipes: everything that may change an output byte.
//!
//! A key, its type, its default and its sentence are declared once, in the `keys!` table below; the
//! structs, the TOML of `dcmshard recipe`, `convert --help` and `schemas/recipe.schema.json` are
//! printed from it.

mod check;
mod key;
mod print;
mod read;

pub use key::{Background, CodecFamily, Compression, Dtype, Layout, Order, Privacy, Steps, TiltMethod, Window};
pub use print::{Difference, key_list, toml_schema};

use key::{KeyInfo, KeyType};
use read::Reader;

/// Declares the recipe: top-level keys, then sections. One line per key: doc, name, type, default.
macro_rules! keys {
    (
        { $( $(#[doc = $tdoc:literal])+ $tkey:ident : $tty:ty = $tdefault:expr; )+ }
        $( #[doc = $sdoc:literal] $section:ident : $Section:ident {
            $( $(#[doc = $doc:literal])+ $key:ident : $ty:ty = $default:expr; )+
        } )+
    ) => {
        $(
            #[doc = $sdoc]
            #[derive(Clone, Debug, PartialEq)]
            pub struct $Section { $( $(#[doc = $doc])+ pub $key: $ty, )+ }
        )+

        /// Everything that may change an output byte. A value of this type has been checked.
        #[derive(Clone, Debug, PartialEq)]
        pub struct Recipe {
            $( $(#[doc = $tdoc])+ pub $tkey: $tty, )+
            $( #[doc = $sdoc] pub $section: $Section, )+
        }

        /// Every key, in the order of the documentation.
        const KEYS: &[KeyInfo] = &[
            $( KeyInfo {
                section: "", section_doc: "", name: stringify!($tkey), doc: &[$($tdoc),+],
                schema: <$tty as KeyType>::schema, default: || <$tty as KeyType>::to_toml(&$tdefault),
                get: |recipe| recipe.$tkey.to_toml(),
            }, )+
            $( $( KeyInfo {
                section: stringify!($section), section_doc: $sdoc,
                name: stringify!($key), doc: &[$($doc),+],
                schema: <$ty as KeyType>::schema, default: || <$ty as KeyType>::to_toml(&$default),
                get: |recipe| recipe.$section.$key.to_toml(),
            }, )+ )+
        ];

        impl Recipe {
            /// Takes every key out of `reader`; keys that are not there have their default.
            fn take(reader: &mut Reader) -> Recipe {
                Recipe {
                    $( $tkey: reader.key("", stringify!($tkey), $tdefault), )+
                    $( $section: $Section {
                        $( $key: reader.key(stringify!($section), stringify!($key), $default), )+
                    }, )+
                }
            }
        }
    };
}

/// The brain window, center 40, width 80 HU.
const BRAIN: Window = Window { center: 40.0, width: 80.0 };

keys! {
    {
        /// Version of the recipe format; 1.
        version: u32 = 1;
        /// Identifiers that leave the private folder: "strict" (numbers, closed vocabularies and
        /// keyed pseudonyms only) or "uids" (also study, series and SOP instance UID, for data
        /// that is public already).
        privacy: Privacy = Privacy::Strict;
        /// "corrected" (mask, one interpolation of HU, background and window last) or "published"
        /// (the Python order of recipe `seed`: window first, uint8 before turning).
        steps: Steps = Steps::Corrected;
    }
    /// Bytes become stored values.
    decode: DecodeKeys {
        /// Codecs that may be used, of "deflate", "rle", "jpeg", "jpeg-lossless", "jpeg-ls",
        /// "jpeg-2000" and "jpeg-xl"; a file that needs another is rejected (`transfer_syntax`).
        codecs: Vec<CodecFamily> = CodecFamily::ALL.to_vec();
    }
    /// Stored values become HU; a guide image for the mask is windowed from them.
    hu_window: HuWindowKeys {
        /// Window [center, width] in HU of the image that the mask is made of: pixels above its
        /// low edge are candidates for the head.
        guide: Window = BRAIN;
        /// Windows of the tensor, one channel each; [] keeps HU (then dtype is "int16").
        windows: Vec<Window> = vec![BRAIN];
    }
    /// The largest 4-connected component of the guide is the head: bed and holder go.
    denoise: DenoiseKeys {
        /// Off leaves every pixel; tilt and crop must be off then too.
        enabled: bool = true;
    }
    /// The head is turned so that its long axis is vertical.
    tilt: TiltKeys {
        /// Off leaves the head as it lies.
        enabled: bool = true;
        /// How the angle is measured: "ellipse" fits one to the head's outer contour.
        method: TiltMethod = TiltMethod::Ellipse;
        /// A larger angle is recorded but not applied (degrees, above 0, at most 90). The published
        /// steps turn always.
        max_angle_deg: f64 = 45.0;
        /// An angle whose standard error is larger is recorded but not applied (degrees): round
        /// outlines have no long axis. The published steps turn always.
        max_stderr_deg: f64 = 1.0;
    }
    /// The head is cropped, centred in a square, and made a tensor.
    crop_pad: CropPadKeys {
        /// Off keeps the whole frame.
        crop: bool = true;
        /// Rows and columns of the tensor (16 to 4096); larger crops are shrunk to fit.
        size: u32 = 512;
        /// What stands outside the head: "low" is the window's low edge, for HU -1024.
        background: Background = Background::Low;
    }
    /// How tensors and rows are written.
    output: OutputKeys {
        /// "uint8" (0..255 over each window), or "int16" (HU; only with windows = []).
        dtype: Dtype = Dtype::Uint8;
        /// "binary" (FixedSizeBinary, C order, little-endian: fastest everywhere) or "tensor"
        /// (arrow.fixed_shape_tensor).
        layout: Layout = Layout::Binary;
        /// "shuffled" (by keyed hash: mixed for training) or "series" (by series, then position).
        order: Order = Order::Shuffled;
        /// Planned slices per shard (1 to 1000000).
        rows_per_shard: u32 = 1024;
        /// "none", "lz4", or "zstd:LEVEL" (1 to 22).
        compression: Compression = Compression::Zstd(1);
    }
    /// What a file may ask for at most; one that asks for more is rejected (`limit_exceeded`).
    limits: LimitsKeys {
        /// Bytes of a file.
        file_bytes: u64 = 4 << 30;
        /// Bytes before Pixel Data, values that nobody reads among them.
        header_bytes: u64 = 16 << 20;
        /// Bytes of one value that is read.
        value_bytes: u64 = 4 << 20;
        /// Data elements before Pixel Data; each frame's functional groups bring 256 more.
        elements: u32 = 65_536;
        /// Sequences within sequences.
        depth: u32 = 16;
        /// Items of a sequence; functional groups may have one for each frame.
        items: u32 = 4096;
        /// Rows, and Columns, in pixels.
        side_px: u32 = 4096;
        /// Frames of a file.
        frames: u32 = 16_384;
        /// Fragments of compressed Pixel Data.
        fragments: u32 = 65_536;
        /// Bytes of an uncompressed frame.
        frame_bytes: u64 = 64 << 20;
        /// Bytes of all frames of a file, uncompressed.
        decoded_bytes: u64 = 8 << 30;
        /// Bytes of a deflated data set, inflated; it is held in memory.
        inflated_bytes: u64 = 256 << 20;
    }
}

/// A recipe that ships.
#[derive(Clone, Copy, Debug)]
pub struct Shipped {
    /// Its name, for `--recipe`.
    pub name: &'static str,
    /// What it is for.
    pub sentence: &'static str,
    /// Its TOML.
    pub toml: &'static str,
}

/// The recipes that ship.
pub const SHIPPED: &[Shipped] = &[
    Shipped {
        name: "head",
        sentence: "head CT in the brain window, uint8: masked, straightened, cropped, centred (the default)",
        toml: include_str!("../../examples/recipes/head.toml"),
    },
    Shipped {
        name: "head-hu",
        sentence: "the same as int16 HU, so that windows can be chosen when loading",
        toml: include_str!("../../examples/recipes/head-hu.toml"),
    },
    Shipped {
        name: "head-3win",
        sentence: "the same in three channels: brain 40/80, subdural 80/200, bone 600/2800",
        toml: include_str!("../../examples/recipes/head-3win.toml"),
    },
    Shipped {
        name: "seed",
        sentence: "the published Python recipe, number for number",
        toml: include_str!("../../examples/recipes/seed.toml"),
    },
];

impl Recipe {
    /// The recipe of this name, if one ships.
    pub fn shipped(name: &str) -> Option<Recipe> {
        let shipped = SHIPPED.iter().find(|shipped| shipped.name == name)?;
        Recipe::from_toml(shipped.toml, &[]).ok()
    }

    /// Recipe `head`, the default: the mask decides, HU are interpolated once, window last.
    pub fn head() -> Recipe {
        Recipe::take(&mut Reader::empty())
    }

    /// Recipe `seed`: the published Python steps, number for number.
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
}

/// One mistake of a recipe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecipeError {
    /// The dotted key, as `tilt.max_angle_deg`.
    pub key: String,
    /// What was found and what was expected.
    pub problem: String,
}

/// Every mistake of a recipe, found before a file is opened. One line each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecipeErrors(pub Vec<RecipeError>);

impl std::fmt::Display for RecipeErrors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, error) in self.0.iter().enumerate() {
            let end = if i + 1 < self.0.len() { "\n" } else { "" };
            write!(f, "recipe: {}: {}{end}", error.key, error.problem)?;
        }
        Ok(())
    }
}

impl std::error::Error for RecipeErrors {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_head() {
        assert_eq!(Recipe::shipped("head"), Some(Recipe::head()));
        assert_eq!(Recipe::shipped("seed"), Some(Recipe::seed()));
        assert_eq!(Recipe::shipped("nonsense"), None);
    }

    #[test]
    fn tensor_sizes_of_the_shipped_recipes() {
        let bytes = |name| Recipe::shipped(name).map(|recipe| recipe.tensor_bytes());
        assert_eq!(bytes("head"), Some(512 * 512));
        assert_eq!(bytes("head-hu"), Some(2 * 512 * 512));
        assert_eq!(bytes("head-3win"), Some(3 * 512 * 512));
    }
}
