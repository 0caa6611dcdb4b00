//! Whether a codestream begins, or ends, with a fragment.

use super::fragments::Fragment;
use super::input::Input;
use super::syntax::Codec;
use crate::reason::Fault;

/// How the codestreams of a codec begin and end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Starts {
    /// SOI and another marker (T.81 B.1.1.3); EOI.
    Jpeg,
    /// SOC and SIZ (T.800 A.4), or the signature box (T.800 I.5.1); EOC.
    Jpeg2000,
    /// The signature of ISO/IEC 18181-1 or of the container (18181-2). Nothing tells its end.
    JpegXl,
    /// The header of PS3.5 G.5, for cells of this many bytes. That it is a frame's is sure without an end.
    Rle { segments: u8 },
    /// Nothing tells, but the standard demands a fragment for each frame (PS3.5 A.4.11, A.4.13).
    OneEach,
}

impl Starts {
    pub(crate) fn of(codec: Codec, bits_allocated: u16) -> Starts {
        match codec {
            Codec::JpegDct | Codec::JpegLossless | Codec::JpegLs => Starts::Jpeg,
            Codec::Jpeg2000 => Starts::Jpeg2000,
            Codec::JpegXl => Starts::JpegXl,
            Codec::Rle => Starts::Rle { segments: (bits_allocated / 8) as u8 },
            _ => Starts::OneEach,
        }
    }

    /// Whether the first bytes of a fragment are those of a codestream.
    ///
    /// # Errors
    /// As [`Input::read`].
    pub(crate) fn begins(self, data: &Input<'_>, fragment: &Fragment) -> Result<bool, Fault> {
        let mut bytes = [0; 64];
        let length = bytes.len().min(fragment.length as usize);
        let bytes = bytes.get_mut(..length).unwrap_or_default();
        data.read(fragment.offset, bytes)?;
        Ok(match self {
            Starts::Jpeg => matches!(bytes, [0xFF, 0xD8, 0xFF, ..]),
            Starts::Jpeg2000 => {
                bytes.starts_with(b"\xFF\x4F\xFF\x51") || bytes.starts_with(b"\0\0\0\x0CjP  \r\n\x87\n")
            }
            Starts::JpegXl => bytes.starts_with(b"\xFF\x0A") || bytes.starts_with(b"\0\0\0\x0CJXL \r\n\x87\n"),
            Starts::Rle { segments } => is_rle_header(bytes, segments),
            Starts::OneEach => true,
        })
    }

    /// Whether the codestream of a fragment ends with it, where another one begins in the next.
    ///
    /// # Errors
    /// As [`Input::read`].
    pub(crate) fn ends(self, data: &Input<'_>, fragment: &Fragment) -> Result<bool, Fault> {
        // 64 bytes look like this header by no accident.
        Ok(matches!(self, Starts::Rle { .. }) || self.is_whole(data, fragment)?)
    }

    /// Whether the codestream of a fragment ends with it: by its last bytes, but for one zero.
    ///
    /// # Errors
    /// As [`Input::read`].
    pub(crate) fn is_whole(self, data: &Input<'_>, fragment: &Fragment) -> Result<bool, Fault> {
        let mut bytes = [0; 3];
        if fragment.length < 3 {
            return Ok(self == Starts::OneEach);
        }
        data.read(fragment.end() - 3, &mut bytes)?;
        Ok(match self {
            Starts::Jpeg | Starts::Jpeg2000 => matches!(bytes, [_, 0xFF, 0xD9] | [0xFF, 0xD9, 0]),
            Starts::OneEach => true,
            Starts::JpegXl | Starts::Rle { .. } => false,
        })
    }
}

/// The number of segments, the first one behind the header, the others behind each other, zeros.
fn is_rle_header(bytes: &[u8], segments: u8) -> bool {
    let words = bytes.as_chunks().0.iter().map(|word| u32::from_le_bytes(*word));
    let words: Vec<u32> = words.collect();
    let [count, offsets @ ..] = &words[..] else { return false };
    let used = usize::from(segments);
    let (Some(used), Some(rest)) = (offsets.get(..used), offsets.get(used..)) else { return false };
    words.len() == 16
        && *count == u32::from(segments)
        && used.first() == Some(&64)
        && used.is_sorted_by(|a, b| a < b)
        && rest.iter().all(|&word| word == 0)
}
