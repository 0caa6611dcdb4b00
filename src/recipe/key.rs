//! The types of recipe keys: how each is read, written and described.

use std::fmt;

use serde_json::{Value as Json, json};
use toml::Value as Toml;

use super::Recipe;

/// What is declared of one key.
pub(super) struct KeyInfo {
    /// The section, or "" for a top-level key.
    pub section: &'static str,
    /// The section's sentence.
    pub section_doc: &'static str,
    /// The key within its section.
    pub name: &'static str,
    /// Its doc comment, line by line.
    pub doc: &'static [&'static str],
    /// Its JSON schema.
    pub schema: fn() -> Json,
    /// Its default.
    pub default: fn() -> Toml,
    /// Its value in a recipe.
    pub get: fn(&Recipe) -> Toml,
}

impl KeyInfo {
    /// `section.name`, or the name of a top-level key.
    pub fn dotted(&self) -> String {
        dotted(self.section, self.name)
    }

    /// The doc comment as one line.
    pub fn sentence(&self) -> String {
        self.doc.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
    }
}

/// `section.name`, or the name of a top-level key.
pub(super) fn dotted(section: &str, name: &str) -> String {
    if section.is_empty() { name.to_owned() } else { format!("{section}.{name}") }
}

/// A type that a recipe key can have.
pub(super) trait KeyType: Sized {
    /// Reads the value; the error says what was expected.
    fn from_toml(value: &Toml) -> Result<Self, String>;
    /// Writes the value as [`KeyType::from_toml`] reads it.
    fn to_toml(&self) -> Toml;
    /// The JSON schema of its values.
    fn schema() -> Json;
}

impl KeyType for bool {
    fn from_toml(value: &Toml) -> Result<bool, String> {
        value.as_bool().ok_or_else(|| found(value, "true or false"))
    }
    fn to_toml(&self) -> Toml {
        Toml::Boolean(*self)
    }
    fn schema() -> Json {
        json!({"type": "boolean"})
    }
}

impl KeyType for u32 {
    fn from_toml(value: &Toml) -> Result<u32, String> {
        let number = value.as_integer().and_then(|n| u32::try_from(n).ok());
        number.ok_or_else(|| found(value, "a whole number, 0 or above"))
    }
    fn to_toml(&self) -> Toml {
        Toml::Integer((*self).into())
    }
    fn schema() -> Json {
        json!({"type": "integer", "minimum": 0})
    }
}

impl KeyType for u64 {
    fn from_toml(value: &Toml) -> Result<u64, String> {
        let number = value.as_integer().and_then(|n| u64::try_from(n).ok());
        number.ok_or_else(|| found(value, "a whole number, 0 or above"))
    }
    fn to_toml(&self) -> Toml {
        // TOML has whole numbers up to 2^63 - 1; `check` allows none near it
        Toml::Integer(i64::try_from(*self).unwrap_or(i64::MAX))
    }
    fn schema() -> Json {
        json!({"type": "integer", "minimum": 0})
    }
}

impl KeyType for f64 {
    fn from_toml(value: &Toml) -> Result<f64, String> {
        let number = match value {
            Toml::Integer(n) => Some(*n as f64),
            Toml::Float(n) => Some(*n),
            _ => None,
        };
        number.filter(|n| n.is_finite()).ok_or_else(|| found(value, "a number"))
    }
    fn to_toml(&self) -> Toml {
        Toml::Float(*self)
    }
    fn schema() -> Json {
        json!({"type": "number"})
    }
}

/// A display window in HU.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    /// Window Center (0028,1050), HU.
    pub center: f64,
    /// Window Width (0028,1051), HU; 1 or above.
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

impl KeyType for Window {
    fn from_toml(value: &Toml) -> Result<Window, String> {
        match value.as_array().map(Vec::as_slice) {
            Some([center, width]) => Ok(Window { center: f64::from_toml(center)?, width: f64::from_toml(width)? }),
            _ => Err(found(value, "[center, width] in HU")),
        }
    }
    fn to_toml(&self) -> Toml {
        Toml::Array(vec![self.center.to_toml(), self.width.to_toml()])
    }
    fn schema() -> Json {
        json!({"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2})
    }
}

impl KeyType for Vec<Window> {
    fn from_toml(value: &Toml) -> Result<Vec<Window>, String> {
        let windows = value.as_array().ok_or_else(|| found(value, "a list of [center, width]"))?;
        windows.iter().map(Window::from_toml).collect()
    }
    fn to_toml(&self) -> Toml {
        Toml::Array(self.iter().map(Window::to_toml).collect())
    }
    fn schema() -> Json {
        json!({"type": "array", "items": Window::schema(), "maxItems": super::check::MAX_WINDOWS})
    }
}

/// Declares a key type that is one of a few words.
macro_rules! words {
    ($(#[doc = $doc:literal])+ $Name:ident { $( $(#[doc = $vdoc:literal])+ $Variant:ident = $word:literal ),+ $(,)? }) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $Name { $( $(#[doc = $vdoc])+ $Variant, )+ }

        impl $Name {
            /// The word used in recipes.
            pub const fn as_str(self) -> &'static str { match self { $( $Name::$Variant => $word, )+ } }

            /// Every one of them, in the order of the documentation.
            pub const ALL: &[$Name] = &[$( $Name::$Variant ),+];
        }

        impl KeyType for $Name {
            fn from_toml(value: &Toml) -> Result<$Name, String> {
                match value.as_str() {
                    $( Some($word) => Ok($Name::$Variant), )+
                    _ => Err(found(value, &one_of(&[$($word),+]))),
                }
            }
            fn to_toml(&self) -> Toml { Toml::String(self.as_str().to_owned()) }
            fn schema() -> Json { json!({"enum": [$($word),+]}) }
        }
    };
}

words! {
    /// Which identifiers leave the private folder.
    Privacy {
        /// Numbers, closed vocabularies and keyed pseudonyms only.
        Strict = "strict",
        /// Also study, series and SOP instance UID in the clear.
        Uids = "uids",
    }
}
words! {
    /// The order in which the steps work.
    Steps {
        /// Mask, one interpolation of HU, background and window last.
        Corrected = "corrected",
        /// The published Python order: window first, uint8 before turning.
        Published = "published",
    }
}
words! {
    /// How the tilt is measured.
    TiltMethod {
        /// The long axis of an ellipse fitted to the outer contour.
        Ellipse = "ellipse",
    }
}
words! {
    /// What pixels outside the mask are set to.
    Background {
        /// The low edge of the channel's window; for HU, -1024.
        Low = "low",
    }
}
words! {
    /// The type of a tensor's elements.
    Dtype {
        /// One byte, 0 to 255 over the window.
        Uint8 = "uint8",
        /// Two bytes, little-endian, HU.
        Int16 = "int16",
    }
}
words! {
    /// How the tensor column is typed.
    Layout {
        /// FixedSizeBinary, C order, little-endian.
        Binary = "binary",
        /// `arrow.fixed_shape_tensor`.
        Tensor = "tensor",
    }
}
words! {
    /// The order of slices inside a plan segment.
    Order {
        /// By keyed hash of the path.
        Shuffled = "shuffled",
        /// By series, then position.
        Series = "series",
    }
}

words! {
    /// A family of codecs, that is switched on and off together.
    CodecFamily {
        /// Deflate, of data sets and of frames.
        Deflate = "deflate",
        /// RLE Lossless.
        Rle = "rle",
        /// JPEG with a cosine transform, which is lossy: baseline, extended, progressive.
        Jpeg = "jpeg",
        /// JPEG lossless, process 14.
        JpegLossless = "jpeg-lossless",
        /// JPEG-LS.
        JpegLs = "jpeg-ls",
        /// JPEG 2000 and High-Throughput JPEG 2000.
        Jpeg2000 = "jpeg-2000",
        /// JPEG XL.
        JpegXl = "jpeg-xl",
    }
}

/// A set: their order and how often one is named mean nothing, and are not kept.
impl KeyType for Vec<CodecFamily> {
    fn from_toml(value: &Toml) -> Result<Vec<CodecFamily>, String> {
        let items = value.as_array().ok_or_else(|| found(value, "a list of codecs"))?;
        let named = items.iter().map(CodecFamily::from_toml).collect::<Result<Vec<_>, _>>()?;
        Ok(CodecFamily::ALL.iter().copied().filter(|family| named.contains(family)).collect())
    }
    fn to_toml(&self) -> Toml {
        Toml::Array(self.iter().map(CodecFamily::to_toml).collect())
    }
    fn schema() -> Json {
        json!({"type": "array", "items": CodecFamily::schema()})
    }
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

impl KeyType for Compression {
    fn from_toml(value: &Toml) -> Result<Compression, String> {
        let word = value.as_str().unwrap_or_default();
        let level = word.strip_prefix("zstd:").and_then(|level| level.parse().ok());
        match (word, level) {
            ("none", _) => Ok(Compression::None),
            ("lz4", _) => Ok(Compression::Lz4),
            (_, Some(level @ 1..=22)) => Ok(Compression::Zstd(level)),
            _ => Err(found(value, r#""none", "lz4" or "zstd:1" to "zstd:22""#)),
        }
    }
    fn to_toml(&self) -> Toml {
        Toml::String(self.to_string())
    }
    fn schema() -> Json {
        json!({"type": "string", "pattern": "^(none|lz4|zstd:([1-9]|1[0-9]|2[0-2]))$"})
    }
}

/// "found X, expected Y".
fn found(value: &Toml, expected: &str) -> String {
    match value {
        // a text with line breaks is said in one line too
        Toml::String(text) => format!("found {text:?}, expected {expected}"),
        _ => format!("found {value}, expected {expected}"),
    }
}

/// `"a", "b" or "c"`.
fn one_of(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codecs_are_a_set_and_an_unknown_word_gets_all_of_them() {
        let recipe = |codecs: &str| Recipe::from_toml("", &[format!("decode.codecs={codecs}")]);
        let one = recipe(r#"["rle", "deflate", "rle"]"#).expect("two known ones");
        assert_eq!(one.decode.codecs, [CodecFamily::Deflate, CodecFamily::Rle]);
        assert_eq!(one.hash(), recipe(r#"["deflate", "rle"]"#).expect("the same").hash());
        let errors = recipe(r#"["jpeg2000"]"#).expect_err("another word");
        let expected = r#"recipe: decode.codecs: found "jpeg2000", expected "deflate", "rle", "jpeg", "jpeg-lossless", "jpeg-ls", "jpeg-2000" or "jpeg-xl""#;
        assert_eq!(errors.to_string(), expected);
    }
}
