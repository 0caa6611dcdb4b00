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
    /// Not at all, each frame a fragment (PS3.5 A.4.11).
    Encapsulated,
    /// Each frame a raw deflate stream of its uncompressed cells (PS3.5 A.4.13, RFC 1951).
    DeflatedFrame,
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
            Codec::Native | Codec::Encapsulated | Codec::Unsupported => None,
            Codec::Deflated | Codec::DeflatedFrame => Some(CodecFamily::Deflate),
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
    /// As PS3.6 calls it.
    pub(crate) name: &'static str,
    pub(crate) encoding: Encoding,
    pub(crate) codec: Codec,
    pub(crate) loss: Loss,
    /// The whole data set is a deflate stream.
    pub(crate) is_deflated: bool,
}

impl Syntax {
    const fn native(uid: &'static str, encoding: Encoding, name: &'static str) -> Syntax {
        Syntax { uid, name, encoding, codec: Codec::Native, loss: Loss::Lossless, is_deflated: false }
    }

    const fn packed(uid: &'static str, codec: Codec, loss: Loss, name: &'static str) -> Syntax {
        Syntax { codec, loss, ..Syntax::native(uid, EXPLICIT_LE, name) }
    }

    /// A syntax that no CT slice is decoded from here; its name is for the message.
    const fn named(uid: &'static str, name: &'static str) -> Syntax {
        Syntax::packed(uid, Codec::Unsupported, Loss::Either, name)
    }

    const fn deflated(self) -> Syntax {
        Syntax { is_deflated: true, ..self }
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

    /// Whether a frame is whole pixel cells, with the bits around Bits Stored; other codecs know samples
    /// only.
    pub(crate) fn has_cells(&self) -> bool {
        use Codec::{Deflated, DeflatedFrame, Encapsulated, Native, Rle};
        matches!(self.codec, Native | Deflated | Encapsulated | DeflatedFrame | Rle)
    }
}

/// GE's private syntax of its DLX machines: implicit VR little endian, pixels of 16 bits big endian.
///
/// # Source
/// GE conformance statements (DLX); DCMTK, GDCM and dcm4che read it in the same way.
pub(crate) const GE_BIG_ENDIAN_PIXELS: &str = "1.2.840.113619.5.2";

static TABLE: &[Syntax] = &[
    Syntax::native("1.2.840.10008.1.2", IMPLICIT_LE, "Implicit VR Little Endian"),
    Syntax::native("1.2.840.10008.1.2.1", EXPLICIT_LE, "Explicit VR Little Endian"),
    Syntax::native("1.2.840.10008.1.2.2", EXPLICIT_BE, "Explicit VR Big Endian"),
    Syntax::packed(
        "1.2.840.10008.1.2.1.98",
        Codec::Encapsulated,
        Loss::Lossless,
        "Encapsulated Uncompressed Explicit VR Little Endian",
    ),
    Syntax::packed("1.2.840.10008.1.2.1.99", Codec::Deflated, Loss::Lossless, "Deflated Explicit VR Little Endian")
        .deflated(),
    Syntax::packed("1.2.840.10008.1.2.4.50", Codec::JpegDct, Loss::Lossy, "JPEG Baseline (Process 1)"),
    Syntax::packed("1.2.840.10008.1.2.4.51", Codec::JpegDct, Loss::Lossy, "JPEG Extended (Process 2 and 4)"),
    Syntax::named("1.2.840.10008.1.2.4.52", "JPEG Extended (Process 3 and 5)"),
    Syntax::packed(
        "1.2.840.10008.1.2.4.53",
        Codec::JpegDct,
        Loss::Lossy,
        "JPEG Spectral Selection, Non-Hierarchical (Process 6 and 8)",
    ),
    Syntax::named("1.2.840.10008.1.2.4.54", "JPEG Spectral Selection, Non-Hierarchical (Process 7 and 9)"),
    Syntax::packed(
        "1.2.840.10008.1.2.4.55",
        Codec::JpegDct,
        Loss::Lossy,
        "JPEG Full Progression, Non-Hierarchical (Process 10 and 12)",
    ),
    Syntax::named("1.2.840.10008.1.2.4.56", "JPEG Full Progression, Non-Hierarchical (Process 11 and 13)"),
    Syntax::packed(
        "1.2.840.10008.1.2.4.57",
        Codec::JpegLossless,
        Loss::Lossless,
        "JPEG Lossless, Non-Hierarchical (Process 14)",
    ),
    Syntax::named("1.2.840.10008.1.2.4.58", "JPEG Lossless, Non-Hierarchical (Process 15)"),
    Syntax::named("1.2.840.10008.1.2.4.59", "JPEG Extended, Hierarchical (Process 16 and 18)"),
    Syntax::named("1.2.840.10008.1.2.4.60", "JPEG Extended, Hierarchical (Process 17 and 19)"),
    Syntax::named("1.2.840.10008.1.2.4.61", "JPEG Spectral Selection, Hierarchical (Process 20 and 22)"),
    Syntax::named("1.2.840.10008.1.2.4.62", "JPEG Spectral Selection, Hierarchical (Process 21 and 23)"),
    Syntax::named("1.2.840.10008.1.2.4.63", "JPEG Full Progression, Hierarchical (Process 24 and 26)"),
    Syntax::named("1.2.840.10008.1.2.4.64", "JPEG Full Progression, Hierarchical (Process 25 and 27)"),
    Syntax::named("1.2.840.10008.1.2.4.65", "JPEG Lossless, Hierarchical (Process 28)"),
    Syntax::named("1.2.840.10008.1.2.4.66", "JPEG Lossless, Hierarchical (Process 29)"),
    Syntax::packed(
        "1.2.840.10008.1.2.4.70",
        Codec::JpegLossless,
        Loss::Lossless,
        "JPEG Lossless, Non-Hierarchical, First-Order Prediction (Process 14 SV1)",
    ),
    Syntax::packed("1.2.840.10008.1.2.4.80", Codec::JpegLs, Loss::Lossless, "JPEG-LS Lossless Image Compression"),
    Syntax::packed(
        "1.2.840.10008.1.2.4.81",
        Codec::JpegLs,
        Loss::Lossy,
        "JPEG-LS Lossy (Near-Lossless) Image Compression",
    ),
    Syntax::packed(
        "1.2.840.10008.1.2.4.90",
        Codec::Jpeg2000,
        Loss::Lossless,
        "JPEG 2000 Image Compression (Lossless Only)",
    ),
    Syntax::packed("1.2.840.10008.1.2.4.91", Codec::Jpeg2000, Loss::Either, "JPEG 2000 Image Compression"),
    Syntax::named("1.2.840.10008.1.2.4.92", "JPEG 2000 Part 2 Multi-component Image Compression (Lossless Only)"),
    Syntax::named("1.2.840.10008.1.2.4.93", "JPEG 2000 Part 2 Multi-component Image Compression"),
    Syntax::named("1.2.840.10008.1.2.4.94", "JPIP Referenced"),
    Syntax::named("1.2.840.10008.1.2.4.95", "JPIP Referenced Deflate").deflated(),
    Syntax::named("1.2.840.10008.1.2.4.100", "MPEG2 Main Profile / Main Level"),
    Syntax::named("1.2.840.10008.1.2.4.100.1", "Fragmentable MPEG2 Main Profile / Main Level"),
    Syntax::named("1.2.840.10008.1.2.4.101", "MPEG2 Main Profile / High Level"),
    Syntax::named("1.2.840.10008.1.2.4.101.1", "Fragmentable MPEG2 Main Profile / High Level"),
    Syntax::named("1.2.840.10008.1.2.4.102", "MPEG-4 AVC/H.264 High Profile / Level 4.1"),
    Syntax::named("1.2.840.10008.1.2.4.102.1", "Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.1"),
    Syntax::named("1.2.840.10008.1.2.4.103", "MPEG-4 AVC/H.264 BD-compatible High Profile / Level 4.1"),
    Syntax::named("1.2.840.10008.1.2.4.103.1", "Fragmentable MPEG-4 AVC/H.264 BD-compatible High Profile / Level 4.1"),
    Syntax::named("1.2.840.10008.1.2.4.104", "MPEG-4 AVC/H.264 High Profile / Level 4.2 For 2D Video"),
    Syntax::named("1.2.840.10008.1.2.4.104.1", "Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.2 For 2D Video"),
    Syntax::named("1.2.840.10008.1.2.4.105", "MPEG-4 AVC/H.264 High Profile / Level 4.2 For 3D Video"),
    Syntax::named("1.2.840.10008.1.2.4.105.1", "Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.2 For 3D Video"),
    Syntax::named("1.2.840.10008.1.2.4.106", "MPEG-4 AVC/H.264 Stereo High Profile / Level 4.2"),
    Syntax::named("1.2.840.10008.1.2.4.106.1", "Fragmentable MPEG-4 AVC/H.264 Stereo High Profile / Level 4.2"),
    Syntax::named("1.2.840.10008.1.2.4.107", "HEVC/H.265 Main Profile / Level 5.1"),
    Syntax::named("1.2.840.10008.1.2.4.108", "HEVC/H.265 Main 10 Profile / Level 5.1"),
    Syntax::packed("1.2.840.10008.1.2.4.110", Codec::JpegXl, Loss::Lossless, "JPEG XL Lossless"),
    Syntax::packed("1.2.840.10008.1.2.4.111", Codec::JpegXl, Loss::Lossy, "JPEG XL JPEG Recompression"),
    Syntax::packed("1.2.840.10008.1.2.4.112", Codec::JpegXl, Loss::Either, "JPEG XL"),
    Syntax::packed(
        "1.2.840.10008.1.2.4.201",
        Codec::Jpeg2000,
        Loss::Lossless,
        "High-Throughput JPEG 2000 Image Compression (Lossless Only)",
    ),
    Syntax::packed(
        "1.2.840.10008.1.2.4.202",
        Codec::Jpeg2000,
        Loss::Lossless,
        "High-Throughput JPEG 2000 with RPCL Options Image Compression (Lossless Only)",
    ),
    Syntax::packed(
        "1.2.840.10008.1.2.4.203",
        Codec::Jpeg2000,
        Loss::Either,
        "High-Throughput JPEG 2000 Image Compression",
    ),
    Syntax::named("1.2.840.10008.1.2.4.204", "JPIP HTJ2K Referenced"),
    Syntax::named("1.2.840.10008.1.2.4.205", "JPIP HTJ2K Referenced Deflate").deflated(),
    Syntax::packed("1.2.840.10008.1.2.5", Codec::Rle, Loss::Lossless, "RLE Lossless"),
    Syntax::named("1.2.840.10008.1.2.6.1", "RFC 2557 MIME encapsulation"),
    Syntax::named("1.2.840.10008.1.2.6.2", "XML Encoding"),
    Syntax::named("1.2.840.10008.1.2.7.1", "SMPTE ST 2110-20 Uncompressed Progressive Active Video"),
    Syntax::named("1.2.840.10008.1.2.7.2", "SMPTE ST 2110-20 Uncompressed Interlaced Active Video"),
    Syntax::named("1.2.840.10008.1.2.7.3", "SMPTE ST 2110-30 PCM Digital Audio"),
    Syntax::packed("1.2.840.10008.1.2.8.1", Codec::DeflatedFrame, Loss::Lossless, "Deflated Image Frame Compression"),
    Syntax::named("1.2.840.10008.1.20", "Papyrus 3 Implicit VR Little Endian"),
    Syntax::native(GE_BIG_ENDIAN_PIXELS, IMPLICIT_LE, "GE private: implicit VR little endian, big endian pixels"),
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

    #[test]
    fn every_uid_stands_once_and_has_a_name() {
        for (at, syntax) in TABLE.iter().enumerate() {
            assert!(!syntax.name.is_empty(), "{}", syntax.uid);
            assert!(TABLE[..at].iter().all(|other| other.uid != syntax.uid), "{}", syntax.uid);
        }
    }

    #[test]
    fn referenced_pixels_may_stand_in_a_deflated_data_set() {
        let deflated: Vec<&str> = TABLE.iter().filter(|syntax| syntax.is_deflated).map(|syntax| syntax.uid).collect();
        let expected = ["1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"];
        assert_eq!(deflated, expected);
    }
}
