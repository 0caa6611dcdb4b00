//! Where a frame's bytes are, and reading them.
//!
//! # Source
//! PS3.5 section A.4 (encapsulation: items, basic offset table), PS3.5 section 8.2.

use super::cursor::{Cursor, Stop};
use super::format::Format;
use super::input::Input;
use super::limits::exceeded;
use super::syntax::IMPLICIT_LE;
use crate::reason::{Fault, Reason};
use crate::recipe::LimitsKeys;

const ITEM: dicom_core::Tag = dicom_core::Tag(0xFFFE, 0xE000);

#[derive(Clone, Copy, Debug, PartialEq)]
struct Fragment {
    offset: u64,
    length: u32,
}

/// Where the frames of an input are.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Frames {
    /// Back to back from `offset`.
    Native { offset: u64 },
    /// In fragments.
    Encapsulated(Fragments),
}

/// The fragments of encapsulated Pixel Data, and which frame each belongs to.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Fragments {
    fragments: Vec<Fragment>,
    /// Index of each frame's first fragment.
    first: Vec<usize>,
    /// The input ends inside Pixel Data.
    is_cut: bool,
    /// The sequence has its delimiter: no fragment is missing.
    is_ended: bool,
}

impl Fragments {
    /// Walks over the headers of the fragments that start at `offset` of `data`.
    ///
    /// Which frame a fragment belongs to follows from: one frame (all of them), as many fragments as
    /// frames (one each), the basic offset table (where it names one first fragment for each frame);
    /// in this order. Frames that the table puts behind the last fragment are missing, the others not.
    ///
    /// # Errors
    /// Reason `malformed_header` where the items are none or fit none of these, `limit_exceeded`.
    pub(crate) fn walk(data: &Input<'_>, offset: u64, frames: u32, limits: &LimitsKeys) -> Result<Fragments, Fault> {
        let mut table = Fragments::default();
        let mut position = offset;
        let mut offsets = None;
        while let Some(fragment) = table.next(data, position)? {
            position = fragment.offset + u64::from(fragment.length);
            match offsets {
                None => offsets = Some((fragment, position)),
                Some(_) => table.fragments.push(fragment),
            }
            let (found, most) = (table.fragments.len() as u64, u64::from(limits.fragments));
            if found > most {
                return Err(exceeded("fragments (limits.fragments)", found, most));
            }
        }
        let Some((offsets, base)) = offsets else {
            return Err(Fault::new(Reason::MalformedHeader, "encapsulated Pixel Data has no items"));
        };
        let count = table.fragments.len();
        table.first = match frames as usize {
            1 => vec![0],
            frames if frames == count && table.is_ended => (0..frames).collect(),
            // Where fragments may be missing, as many as frames need not be one each.
            frames => match table.by_offsets(data, offsets, base, frames) {
                Err(_) if frames == count && !table.is_cut => (0..frames).collect(),
                first => first?,
            },
        };
        let is_short = table.first.len() < frames as usize || table.first.last() == Some(&count);
        table.is_cut |= is_short && !table.is_ended;
        Ok(table)
    }

    /// The item at `position`; `None` at the end of the sequence or of the input.
    fn next(&mut self, data: &Input<'_>, position: u64) -> Result<Option<Fragment>, Fault> {
        let left = data.size().saturating_sub(position);
        if left < 8 {
            // A missing delimiter behind whole fragments is forgiven.
            self.is_cut = left > 0;
            return Ok(None);
        }
        let mut bytes = [0; 8];
        data.read(position, &mut bytes)?;
        let mut cursor = Cursor::new(&bytes, None, 0, u64::MAX);
        let element = cursor.element_header(IMPLICIT_LE).map_err(|stop| match stop {
            Stop::Broken(fault) => fault,
            Stop::NeedMore => Fault::new(Reason::Truncated, "an item header is cut"),
        })?;
        match (element.tag, element.length) {
            (ITEM, Some(length)) if u64::from(length) <= left - 8 => {
                Ok(Some(Fragment { offset: position + 8, length }))
            }
            (ITEM, Some(_)) => {
                self.is_cut = true;
                Ok(None)
            }
            (dicom_core::Tag(0xFFFE, 0xE0DD), _) => {
                self.is_ended = true;
                Ok(None)
            }
            _ => {
                let detail = format!("another element in the place of a fragment, at byte {position}");
                Err(Fault::new(Reason::MalformedHeader, detail))
            }
        }
    }

    fn by_offsets(&self, data: &Input<'_>, table: Fragment, base: u64, frames: usize) -> Result<Vec<usize>, Fault> {
        let wrong = || {
            let detail =
                format!("{} fragments of {frames} frames, and no offset table that parts them", self.fragments.len());
            Fault::new(if self.is_cut { Reason::Truncated } else { Reason::MalformedHeader }, detail)
        };
        let end = self.fragments.last().map_or(base, |last| last.offset + u64::from(last.length)) + 8;
        if table.length as usize != 4 * frames {
            return Err(wrong());
        }
        let mut bytes = vec![0; table.length as usize];
        data.read(table.offset, &mut bytes)?;
        let mut first = Vec::with_capacity(frames);
        for offset in bytes.as_chunks().0 {
            // Offsets count from the first fragment's item header to a fragment's item header.
            let at = base + u64::from(u32::from_le_bytes(*offset)) + 8;
            if at == end {
                // So the frame before is whole, and this one has no fragment.
                first.push(self.fragments.len());
            }
            if at >= end {
                break;
            }
            let index = self.fragments.binary_search_by_key(&at, |fragment| fragment.offset).map_err(|_| wrong())?;
            if first.last().is_some_and(|&last| last >= index) || (first.is_empty() && index != 0) {
                return Err(wrong());
            }
            first.push(index);
        }
        Ok(first)
    }

    fn of(&self, frame: u32) -> Result<&[Fragment], Fault> {
        let missing = || match self.is_cut {
            true => Fault::new(Reason::Truncated, "the file ends before the end of this frame"),
            false => Fault::new(Reason::FrameMissing, format!("frame {frame} of {}", self.first.len())),
        };
        let frame = frame as usize;
        let start = *self.first.get(frame).ok_or_else(missing)?;
        let next = self.first.get(frame + 1).copied();
        if next.is_none() && self.is_cut {
            return Err(missing());
        }
        match self.fragments.get(start..next.unwrap_or(self.fragments.len())) {
            Some(fragments) if !fragments.is_empty() => Ok(fragments),
            _ => Err(missing()),
        }
    }
}

impl Frames {
    /// The bytes of one frame: borrowed where they are at hand in one piece, else read into `buffer`.
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
            Frames::Native { offset } if frame < format.frames => {
                let length = format.frame_bytes();
                native = [Fragment { offset: offset + u64::from(frame) * length, length: length as u32 }];
                &native[..]
            }
            Frames::Native { .. } => {
                return Err(Fault::new(Reason::FrameMissing, format!("frame {frame} of {}", format.frames)));
            }
            Frames::Encapsulated(fragments) => fragments.of(frame)?,
        };
        if let (Some(bytes), [one]) = (data.memory(), fragments) {
            let bytes = usize::try_from(one.offset).ok().and_then(|at| bytes.get(at..)?.get(..one.length as usize));
            return bytes.ok_or_else(|| Fault::new(Reason::Truncated, "the file ends inside this frame"));
        }
        let length: u64 = fragments.iter().map(|fragment| u64::from(fragment.length)).sum();
        if data.memory().is_none() && length > most_encoded_bytes(format) {
            return Err(exceeded("bytes of a compressed frame", length, most_encoded_bytes(format)));
        }
        gather(data, fragments, buffer)
    }
}

fn gather<'a>(data: &Input<'a>, fragments: &[Fragment], buffer: &'a mut Vec<u8>) -> Result<&'a [u8], Fault> {
    buffer.clear();
    for fragment in fragments {
        let at = buffer.len();
        if fragment.offset + u64::from(fragment.length) > data.size() {
            return Err(Fault::new(Reason::Truncated, "the file ends inside this frame"));
        }
        buffer.resize(at + fragment.length as usize, 0);
        data.read(fragment.offset, buffer.get_mut(at..).unwrap_or_default())?;
    }
    Ok(buffer)
}

/// What a compressed frame may have at most where frames are read one by one: no lossless codec
/// grows noise by half, and memory is set aside by this.
pub(crate) fn most_encoded_bytes(format: &Format) -> u64 {
    2 * format.frame_bytes() + (64 << 10)
}
