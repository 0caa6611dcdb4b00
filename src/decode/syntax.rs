//! The transfer syntaxes of PS3.6 table A-1 that hold images, and what decodes each.

use crate::reason::{Fault, Reason};
use crate::recipe::{CodecFamily, DecodeKeys};

/// How the data elements are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Encoding {
    /// Value Representations are written out.
    pub(crate) explicit: bool,
    /// Numbers have their high byte first.
    pub(crate) big_endian: bool,
}

/// Implicit VR little endian.
pub(crate) const IMPLICIT_LE: Encoding = Encoding { explicit: false, big_endian: false };
/// Explicit VR little endian.
pub(crate) const EXPLICIT_LE: Encoding = Encoding { explicit: true, big_endian: false };
/// Explicit VR big endian (retired).
pub(crate) const EXPLICIT_BE: Encoding = Encoding { explicit: true, big_endian: true };

/// How a frame is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Codec {
    /// Not at all.
    Native,
    /// Not at all, inside a deflated data set.
    Deflated,
    /// PS3.5 annex G.
    Rle,
    /// JPEG, lossy, 8 or 12 bits, sequential or progressive, which the codestream tells (T.81 processes
    /// 1, 2, 4, 6, 8, 10, 12).
    JpegDct,
    /// JPEG lossless (T.81 process 14).
    JpegLossless,
    /// JPEG-LS (T.87).
    JpegLs,
    /// JPEG 2000, also high-throughput (T.800, T.814).
    Jpeg2000,
    /// JPEG XL (ISO/IEC 18181).
    JpegXl,
    /// No decoder is built in.
    Unsupported,
}

impl Codec {
    /// What a recipe calls it; `None` where there is nothing to switch off.
    pub(crate) fn family(self) -> Option<CodecFamily> {
        match self {
            Codec::Native | Codec::Unsupported => None,
            Codec::Deflated => Some(CodecFamily::Deflate),
            Codec::Rle => Some(CodecFamily::Rle),
            Codec::JpegDct => Some(CodecFamily::Jpeg),
            Codec::JpegLossless => Some(CodecFamily::JpegLossless),
            Codec::JpegLs => Some(CodecFamily::JpegLs),
            Codec::Jpeg2000 => Some(CodecFamily::Jpeg2000),
            Codec::JpegXl => Some(CodecFamily::JpegXl),
        }
    }
}

/// Whether pixels in this syntax went through a lossy step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// Never.
    Lossless,
    /// The syntax allows both; Lossy Image Compression (0028,2110) tells.
    Either,
    /// Always.
    Lossy,
}

/// One transfer syntax.
#[derive(Debug, PartialEq)]
pub(crate) struct Syntax {
    pub(crate) uid: &'static str,
    pub(crate) encoding: Encoding,
    pub(crate) codec: Codec,
    pub(crate) loss: Loss,
}

impl Syntax {
    const fn new(uid: &'static str, encoding: Encoding, codec: Codec, loss: Loss) -> Syntax {
        Syntax { uid, encoding, codec, loss }
    }

    const fn packed(uid: &'static str, codec: Codec, loss: Loss) -> Syntax {
        Syntax::new(uid, EXPLICIT_LE, codec, loss)
    }

    /// Whether the recipe lets its codec be used.
    ///
    /// # Errors
    /// Reason `transfer_syntax`.
    pub(crate) fn check_is_on(&self, decode: &DecodeKeys) -> Result<(), Fault> {
        match self.codec.family().filter(|family| !decode.codecs.contains(family)) {
            None => Ok(()),
            Some(family) => {
                let detail =
                    format!("transfer syntax {} needs {:?}, which decode.codecs leaves out", self.uid, family.as_str());
                Err(Fault::new(Reason::TransferSyntax, detail))
            }
        }
    }

    /// Whether frames come as fragments.
    pub(crate) fn is_encapsulated(&self) -> bool {
        !matches!(self.codec, Codec::Native | Codec::Deflated)
    }
}

static TABLE: &[Syntax] = &[
    Syntax::new("1.2.840.10008.1.2", IMPLICIT_LE, Codec::Native, Loss::Lossless),
    Syntax::new("1.2.840.10008.1.2.1", EXPLICIT_LE, Codec::Native, Loss::Lossless),
    Syntax::new("1.2.840.10008.1.2.2", EXPLICIT_BE, Codec::Native, Loss::Lossless),
    Syntax::new("1.2.840.10008.1.2.1.99", EXPLICIT_LE, Codec::Deflated, Loss::Lossless),
    Syntax::packed("1.2.840.10008.1.2.5", Codec::Rle, Loss::Lossless),
    Syntax::packed("1.2.840.10008.1.2.4.50", Codec::JpegDct, Loss::Lossy),
    Syntax::packed("1.2.840.10008.1.2.4.51", Codec::JpegDct, Loss::Lossy),
    Syntax::packed("1.2.840.10008.1.2.4.53", Codec::JpegDct, Loss::Lossy),
    Syntax::packed("1.2.840.10008.1.2.4.55", Codec::JpegDct, Loss::Lossy),
    Syntax::packed("1.2.840.10008.1.2.4.57", Codec::JpegLossless, Loss::Lossless),
    Syntax::packed("1.2.840.10008.1.2.4.70", Codec::JpegLossless, Loss::Lossless),
    Syntax::packed("1.2.840.10008.1.2.4.80", Codec::JpegLs, Loss::Lossless),
    Syntax::packed("1.2.840.10008.1.2.4.81", Codec::JpegLs, Loss::Lossy),
    Syntax::packed("1.2.840.10008.1.2.4.90", Codec::Jpeg2000, Loss::Lossless),
    Syntax::packed("1.2.840.10008.1.2.4.91", Codec::Jpeg2000, Loss::Either),
    Syntax::packed("1.2.840.10008.1.2.4.92", Codec::Unsupported, Loss::Lossless),
    Syntax::packed("1.2.840.10008.1.2.4.93", Codec::Unsupported, Loss::Either),
    Syntax::packed("1.2.840.10008.1.2.4.110", Codec::JpegXl, Loss::Lossless),
    Syntax::packed("1.2.840.10008.1.2.4.111", Codec::JpegXl, Loss::Lossy),
    Syntax::packed("1.2.840.10008.1.2.4.112", Codec::JpegXl, Loss::Either),
    Syntax::packed("1.2.840.10008.1.2.4.201", Codec::Jpeg2000, Loss::Lossless),
    Syntax::packed("1.2.840.10008.1.2.4.202", Codec::Jpeg2000, Loss::Lossless),
    Syntax::packed("1.2.840.10008.1.2.4.203", Codec::Jpeg2000, Loss::Either),
    Syntax::packed("1.2.840.10008.1.2.8.1", Codec::Unsupported, Loss::Lossless),
];

/// The syntax of this UID; `None` where the table does not have it.
pub(crate) fn find(uid: &[u8]) -> Option<&'static Syntax> {
    TABLE.iter().find(|syntax| syntax.uid.as_bytes() == uid)
}

/// The uncompressed syntax that is written like this.
pub(crate) fn native(encoding: Encoding) -> &'static Syntax {
    match encoding {
        IMPLICIT_LE => &TABLE[0],
        EXPLICIT_BE => &TABLE[2],
        _ => &TABLE[1],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn native_names_the_syntax_of_an_encoding() {
        for encoding in [IMPLICIT_LE, EXPLICIT_LE, EXPLICIT_BE] {
            assert_eq!(native(encoding).encoding, encoding);
            assert_eq!(find(native(encoding).uid.as_bytes()), Some(native(encoding)));
        }
        assert_eq!(find(b"1.2.3"), None);
    }
}
