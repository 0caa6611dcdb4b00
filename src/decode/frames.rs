//! Where a frame's bytes are, and reading them.
//!
//! # Source
//! PS3.5 section A.4 (encapsulation: items, offset tables), PS3.5 section 8.2, PS3.3 C.7.6.3.1.8 and 1.9
//! (Extended Offset Table).

use super::format::Format;
use super::fragments::{Fragment, Fragments};
use super::input::Input;
use super::limits::exceeded;
use crate::reason::{Fault, Reason};

/// Where the frames of an input are.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Frames {
    /// Back to back from `offset`.
    Native { offset: u64 },
    /// Back to back from `offset`, cells of 8 bits in words of which the high byte comes first.
    Swapped { offset: u64 },
    /// In fragments.
    Encapsulated(Fragments),
}

impl Frames {
    /// Whether all bytes of a frame are there, in an input of `size` bytes. Reads nothing.
    ///
    /// # Errors
    /// Reason `truncated`, `frame_missing`.
    pub(crate) fn check(&self, size: u64, format: &Format, frame: u32) -> Result<(), Fault> {
        match self {
            Frames::Encapsulated(fragments) => fragments.of(frame).map(|_| ()),
            Frames::Native { offset } | Frames::Swapped { offset } => {
                let end = offset + (u64::from(frame) + 1) * format.frame_bytes();
                if end <= size { Ok(()) } else { Err(cut()) }
            }
        }
    }

    /// The bytes of one frame: borrowed where they are at hand in one piece, else read into `buffer`.
    /// Nothing else of the input is read.
    ///
    /// # Errors
    /// Reason `truncated`, `frame_missing`, `unreadable`; `limit_exceeded` where a compressed frame is
    /// larger than [`most_encoded_bytes`].
    pub(crate) fn read<'a>(
        &self,
        data: &Input<'a>,
        format: &Format,
        frame: u32,
        buffer: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], Fault> {
        let native;
        let fragments = match self {
            Frames::Encapsulated(fragments) => fragments.of(frame)?,
            _ if frame >= format.frames => {
                return Err(Fault::new(Reason::FrameMissing, format!("frame {frame} of {}", format.frames)));
            }
            Frames::Native { offset } => {
                let length = format.frame_bytes();
                native = [Fragment { offset: offset + u64::from(frame) * length, length: length as u32 }];
                &native[..]
            }
            Frames::Swapped { offset } => return read_swapped(data, format, *offset, frame, buffer),
        };
        if let (Some(bytes), [one]) = (data.memory(), fragments) {
            let bytes = usize::try_from(one.offset).ok().and_then(|at| bytes.get(at..)?.get(..one.length as usize));
            return bytes.ok_or_else(cut);
        }
        let length: u64 = fragments.iter().map(|fragment| u64::from(fragment.length)).sum();
        if data.memory().is_none() && length > most_encoded_bytes(format) {
            return Err(exceeded("bytes of a compressed frame", length, most_encoded_bytes(format)));
        }
        gather(data, fragments, buffer)?;
        Ok(buffer)
    }
}

fn cut() -> Fault {
    Fault::new(Reason::Truncated, "the file ends inside this frame")
}

fn gather(data: &Input<'_>, fragments: &[Fragment], buffer: &mut Vec<u8>) -> Result<(), Fault> {
    buffer.clear();
    for fragment in fragments {
        let at = buffer.len();
        if fragment.end() > data.size() {
            return Err(cut());
        }
        buffer.resize(at + fragment.length as usize, 0);
        data.read(fragment.offset, buffer.get_mut(at..).unwrap_or_default())?;
    }
    Ok(())
}

/// A frame of bytes that are swapped in pairs; a frame of an odd number of bytes shares a pair with the
/// one before or behind it.
fn read_swapped<'a>(
    data: &Input<'_>,
    format: &Format,
    offset: u64,
    frame: u32,
    buffer: &'a mut Vec<u8>,
) -> Result<&'a [u8], Fault> {
    let start = u64::from(frame) * format.frame_bytes();
    let end = start + format.frame_bytes();
    let length = end.next_multiple_of(2) - start / 2 * 2;
    gather(data, &[Fragment { offset: offset + start / 2 * 2, length: length as u32 }], buffer)?;
    buffer.as_chunks_mut::<2>().0.iter_mut().for_each(|pair| pair.reverse());
    let first = (start % 2) as usize;
    buffer.get(first..first + format.pixels()).ok_or_else(cut)
}

/// What a compressed frame may have at most where frames are read one by one: no lossless codec
/// grows noise by half, and memory is set aside by this.
pub(crate) fn most_encoded_bytes(format: &Format) -> u64 {
    2 * format.frame_bytes() + (64 << 10)
}
