//! The fragments of encapsulated Pixel Data, and which frame each belongs to.
//!
//! Nothing here is a guess. A fragment holds bytes of one frame, and every frame has at least one, in
//! order; so as many fragments as frames are one each. Otherwise an offset table has to part them, or
//! the codestreams themselves: as many fragments that begin one as there are frames. Where neither does,
//! there are no frames. Where the file is cut, the frames that are known to be whole are taken.
//!
//! # Source
//! PS3.5 section A.4, table A.4-2; section 8.2 note on fragmentation; PS3.3 C.7.6.3.1.8.

use super::cursor::{Cursor, Stop};
use super::input::Input;
use super::limits::exceeded;
use super::starts::Starts;
use super::syntax::IMPLICIT_LE;
use crate::reason::{Fault, Reason};
use crate::recipe::LimitsKeys;

const ITEM: dicom_core::Tag = dicom_core::Tag(0xFFFE, 0xE000);
const SEQUENCE_DELIMITER: dicom_core::Tag = dicom_core::Tag(0xFFFE, 0xE0DD);

/// A piece of the input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Fragment {
    pub(crate) offset: u64,
    pub(crate) length: u32,
}

impl Fragment {
    /// Where the byte behind it is.
    pub(crate) fn end(&self) -> u64 {
        self.offset + u64::from(self.length)
    }
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

/// What is known of Pixel Data before its fragments are looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Encapsulated {
    /// Where its first item is, the one of the Basic Offset Table.
    pub(crate) offset: u64,
    pub(crate) frames: u32,
    /// Offset and length of the value of (7FE0,0001).
    pub(crate) extended_table: Option<(u64, u32)>,
    pub(crate) starts: Starts,
}

impl Fragments {
    /// Walks over the headers of the fragments.
    ///
    /// # Errors
    /// Reason `malformed_header` where the items are none or nothing tells their frames, `truncated`
    /// where that is so because the input ends before, `limit_exceeded`.
    pub(crate) fn walk(data: &Input<'_>, pixel_data: &Encapsulated, limits: &LimitsKeys) -> Result<Fragments, Fault> {
        let mut table = Fragments::default();
        let mut position = pixel_data.offset;
        let mut offsets = None;
        while let Some(fragment) = table.next(data, position)? {
            position = fragment.end() + pad(data, &fragment)?;
            match offsets {
                None => offsets = Some((fragment, position)),
                Some(_) => table.fragments.push(fragment),
            }
            let (found, most) = (table.fragments.len() as u64, u64::from(limits.fragments));
            if found > most {
                return Err(exceeded("fragments (limits.fragments)", found, most));
            }
        }
        let Some((basic, base)) = offsets else {
            let reason = if table.is_ended { Reason::MalformedHeader } else { Reason::Truncated };
            return Err(Fault::new(reason, "encapsulated Pixel Data has no whole item"));
        };
        table.first = table.part(data, pixel_data, basic, base)?;
        let frames = pixel_data.frames as usize;
        let is_short = table.first.len() < frames || table.first.last() == Some(&table.fragments.len());
        table.is_cut |= is_short && !table.is_ended;
        Ok(table)
    }

    /// Whether a walk from `offset` comes to an end among the first `known` bytes of `data`, so that
    /// [`Fragments::walk`] reads nothing behind them.
    ///
    /// # Errors
    /// As [`Fragments::walk`].
    pub(crate) fn end_within(data: &Input<'_>, offset: u64, known: u64) -> Result<bool, Fault> {
        let mut table = Fragments::default();
        let mut position = offset;
        while position + 8 <= known {
            let Some(fragment) = table.next(data, position)? else { return Ok(true) };
            position = fragment.end();
            if position + 5 <= known {
                position += pad(data, &fragment)?;
            }
        }
        Ok(known == data.size())
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
            (SEQUENCE_DELIMITER, _) => {
                self.is_ended = true;
                Ok(None)
            }
            _ => {
                let detail = format!("another element in the place of a fragment, at byte {position}");
                Err(Fault::new(Reason::MalformedHeader, detail))
            }
        }
    }

    /// Index of each frame's first fragment. Frames behind the last fragment have none, or the index
    /// behind it where the one before is whole.
    fn part(
        &self,
        data: &Input<'_>,
        pixel_data: &Encapsulated,
        basic: Fragment,
        base: u64,
    ) -> Result<Vec<usize>, Fault> {
        let (count, frames) = (self.fragments.len(), pixel_data.frames as usize);
        if frames == 1 {
            return Ok(vec![0]);
        }
        // Where fragments may be missing, as many as frames need not be one each.
        if frames == count && self.is_ended {
            return Ok((0..frames).collect());
        }
        if let Some(first) = self.by_tables(data, pixel_data, basic, base)? {
            return Ok(first);
        }
        if let Some(first) = self.by_starts(data, pixel_data.starts, frames)? {
            return Ok(first);
        }
        let detail = format!("{count} fragments of {frames} frames, and nothing that parts them");
        let reason = if self.is_ended { Reason::MalformedHeader } else { Reason::Truncated };
        Err(Fault::new(reason, detail))
    }

    /// By the Extended Offset Table, else the basic one.
    fn by_tables(
        &self,
        data: &Input<'_>,
        pixel_data: &Encapsulated,
        basic: Fragment,
        base: u64,
    ) -> Result<Option<Vec<usize>>, Fault> {
        if let Some((offset, length)) = pixel_data.extended_table
            && u64::from(length) == 8 * u64::from(pixel_data.frames)
        {
            let mut bytes = vec![0; length as usize];
            data.read(offset, &mut bytes)?;
            let first = self.by_offsets(bytes.as_chunks().0.iter().map(|at| u64::from_le_bytes(*at)), base);
            if first.is_some() {
                return Ok(first);
            }
        }
        if u64::from(basic.length) != 4 * u64::from(pixel_data.frames) {
            return Ok(None);
        }
        let mut bytes = vec![0; basic.length as usize];
        data.read(basic.offset, &mut bytes)?;
        Ok(self.by_offsets(bytes.as_chunks().0.iter().map(|at| u64::from(u32::from_le_bytes(*at))), base))
    }

    /// `None` where an offset is not that of a fragment, or not behind the one before. Frames that the table
    /// puts behind the last fragment are missing, the others not.
    fn by_offsets(&self, offsets: impl Iterator<Item = u64>, base: u64) -> Option<Vec<usize>> {
        let end = self.fragments.last().map_or(base, Fragment::end) + 8;
        let mut first: Vec<usize> = Vec::new();
        let mut before = None;
        for offset in offsets {
            if before.map_or(offset != 0, |before| before >= offset) {
                return None;
            }
            before = Some(offset);
            // Offsets count from the first fragment's item header to a fragment's item header.
            let at = base.checked_add(offset)?.checked_add(8)?;
            match self.fragments.binary_search_by_key(&at, |fragment| fragment.offset) {
                Ok(index) => first.push(index),
                // So the frame before is whole, and this one has no fragment.
                Err(behind) if at == end => first.push(behind),
                Err(_) if at > end => {}
                Err(_) => return None,
            }
        }
        Some(first)
    }

    /// By the codestreams that begin in fragments: of a whole sequence as many as frames; of another one
    /// those before which a codestream ends.
    fn by_starts(&self, data: &Input<'_>, starts: Starts, frames: usize) -> Result<Option<Vec<usize>>, Fault> {
        let mut first = Vec::new();
        for (index, fragment) in self.fragments.iter().enumerate() {
            if !starts.begins(data, fragment)? {
                continue;
            }
            let before = index.checked_sub(1).and_then(|before| self.fragments.get(before));
            if !self.is_ended && !before.map_or(Ok(true), |before| starts.ends(data, before))? {
                return Ok(None);
            }
            first.push(index);
        }
        if first.first() != Some(&0) || first.len() > frames || (self.is_ended && first.len() < frames) {
            return Ok(None);
        }
        if let Some(last) = self.fragments.last()
            && first.len() < frames
            && starts.is_whole(data, last)?
        {
            first.push(self.fragments.len());
        }
        Ok(Some(first))
    }

    /// The fragments of a frame.
    ///
    /// # Errors
    /// Reason `truncated` where the input ends before the frame does, else `frame_missing`.
    pub(crate) fn of(&self, frame: u32) -> Result<&[Fragment], Fault> {
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

/// 1 where a fragment has an odd length and is followed by a zero that its length does not count: an item
/// stands behind that zero and none in its place.
fn pad(data: &Input<'_>, fragment: &Fragment) -> Result<u64, Fault> {
    if fragment.length.is_multiple_of(2) || data.size() < fragment.end() + 5 {
        return Ok(0);
    }
    let mut bytes = [0; 5];
    data.read(fragment.end(), &mut bytes)?;
    Ok(u64::from(matches!(bytes, [0, 0xFE, 0xFF, 0x00 | 0xDD, 0xE0])))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use proptest::prelude::*;

    use super::super::format::Format;
    use super::super::frames::Frames;
    use super::super::syntax::Codec;
    use super::*;
    use crate::recipe::Recipe;
    use crate::slice::Bytes;

    const JPEG: Starts = Starts::Jpeg;
    const DELIMITER: [u8; 8] = [0xFE, 0xFF, 0xDD, 0xE0, 0, 0, 0, 0];

    fn item(content: &[u8]) -> Vec<u8> {
        [&[0xFE, 0xFF, 0x00, 0xE0], &(content.len() as u32).to_le_bytes()[..], content].concat()
    }

    fn table<const N: usize>(offsets: &[u64], bytes: impl Fn(u64) -> [u8; N]) -> Vec<u8> {
        offsets.iter().flat_map(|&offset| bytes(offset)).collect()
    }

    fn basic(offsets: &[u64]) -> Vec<u8> {
        table(offsets, |offset| (offset as u32).to_le_bytes())
    }

    fn sequence(basic: &[u8], fragments: &[&[u8]]) -> Vec<u8> {
        let items = fragments.iter().map(|fragment| item(fragment));
        [item(basic)].into_iter().chain(items).chain([DELIMITER.to_vec()]).flatten().collect()
    }

    fn walk(bytes: &[u8], frames: u32, starts: Starts) -> Result<Fragments, Fault> {
        let pixel_data = Encapsulated { offset: 0, frames, extended_table: None, starts };
        Fragments::walk(&Input::Memory(bytes), &pixel_data, &Recipe::head().limits)
    }

    /// The bytes of each frame, or why there are none.
    fn frames(bytes: &[u8], frames: u32, starts: Starts) -> Result<Vec<Result<Vec<u8>, Reason>>, Reason> {
        let found = Frames::Encapsulated(walk(bytes, frames, starts).map_err(|fault| fault.reason)?);
        let format = Format::unsigned(1, 1, 8);
        let read = |frame| {
            let mut buffer = Vec::new();
            let bytes = found.read(&Input::Memory(bytes), &format, frame, &mut buffer);
            bytes.map(<[u8]>::to_vec).map_err(|fault| fault.reason)
        };
        Ok((0..frames).map(read).collect())
    }

    fn whole(frames: &[&[u8]]) -> Result<Vec<Result<Vec<u8>, Reason>>, Reason> {
        Ok(frames.iter().map(|frame| Ok(frame.to_vec())).collect())
    }

    const A: &[u8] = &[0xFF, 0xD8, 0xFF, 1, 0xFF, 0xD9];
    const B: &[u8] = &[0xFF, 0xD8, 0xFF, 2, 3, 4, 0xFF, 0xD9];

    #[test]
    fn as_many_fragments_as_frames_are_one_each_whatever_the_table_says() {
        for offsets in [&[][..], &[0], &[0, 14], &[14, 0], &[7, 9], &[0, 14, 30]] {
            let bytes = sequence(&basic(offsets), &[A, B]);
            assert_eq!(frames(&bytes, 2, Starts::OneEach), whole(&[A, B]), "{offsets:?}");
        }
        assert_eq!(frames(&sequence(&[], &[A, B]), 1, JPEG), whole(&[&[A, B].concat()]));
    }

    #[test]
    fn a_table_parts_fragments_and_a_wrong_one_does_not() {
        let parted = |offsets: &[u64]| frames(&sequence(&basic(offsets), &[b"a1", b"b1", b"b2"]), 2, Starts::OneEach);
        assert_eq!(parted(&[0, 10]), whole(&[b"a1", b"b1b2"]));
        assert_eq!(parted(&[0, 20]), whole(&[b"a1b1", b"b2"]));
        for wrong in [&[][..], &[0], &[0, 0], &[10, 0], &[10, 20], &[0, 11], &[0, 10, 20]] {
            assert_eq!(parted(wrong), Err(Reason::MalformedHeader), "{wrong:?}");
        }
    }

    #[test]
    fn the_extended_table_parts_fragments_of_any_offset() {
        for (offsets, expected) in [([0, 10], whole(&[b"a1", b"b1b2"])), ([0, 11], Err(Reason::MalformedHeader))] {
            let extended = table(&offsets, u64::to_le_bytes);
            let bytes = [&extended[..], &sequence(&[], &[b"a1", b"b1", b"b2"])].concat();
            let extended_table = Some((0, 16));
            let pixel_data = Encapsulated { offset: 16, frames: 2, extended_table, starts: Starts::OneEach };
            let found = Fragments::walk(&Input::Memory(&bytes), &pixel_data, &Recipe::head().limits)
                .map_err(|fault| fault.reason);
            assert_eq!(found.map(|found| found.first), expected.map(|_| vec![0, 1]));
        }
    }

    #[test]
    fn codestreams_part_fragments_where_they_are_as_many_as_frames() {
        let (b1, b2) = B.split_at(4);
        assert_eq!(frames(&sequence(&[], &[A, b1, b2]), 2, JPEG), whole(&[A, B]));
        assert_eq!(frames(&sequence(&basic(&[0, 3]), &[A, b1, b2]), 2, JPEG), whole(&[A, B]), "a wrong table");
        assert_eq!(frames(&sequence(&[], &[A, b"", b1, b"", b2]), 2, JPEG), whole(&[A, B]), "empty fragments");
        for (fragments, count) in
            [(&[A, b1, b2][..], 4), (&[b2, A, B], 2), (&[A, b1, B, A], 3), (&[A, b2, b1, A, b2], 2)]
        {
            assert_eq!(frames(&sequence(&[], fragments), count, JPEG), Err(Reason::MalformedHeader));
        }
        assert_eq!(frames(&sequence(&[], &[A, b1, b2]), 2, Starts::OneEach), Err(Reason::MalformedHeader));
    }

    #[test]
    fn every_codec_knows_its_beginning() {
        let rle = |words: [u32; 4]| {
            [&table(&words.map(u64::from), |word| (word as u32).to_le_bytes())[..], &[0; 48]].concat()
        };
        let begins = |codec, bytes: &[u8]| {
            let fragment = Fragment { offset: 0, length: bytes.len() as u32 };
            Starts::of(codec, 16).begins(&Input::Memory(bytes), &fragment).expect("memory")
        };
        for (codec, bytes) in [
            (Codec::JpegDct, vec![0xFF, 0xD8, 0xFF]),
            (Codec::JpegLs, vec![0xFF, 0xD8, 0xFF]),
            (Codec::JpegLossless, vec![0xFF, 0xD8, 0xFF]),
            (Codec::Jpeg2000, vec![0xFF, 0x4F, 0xFF, 0x51]),
            (Codec::Jpeg2000, b"\0\0\0\x0CjP  \r\n\x87\n".to_vec()),
            (Codec::JpegXl, vec![0xFF, 0x0A]),
            (Codec::JpegXl, b"\0\0\0\x0CJXL \r\n\x87\n".to_vec()),
            (Codec::Rle, rle([2, 64, 70, 0])),
        ] {
            assert!(begins(codec, &bytes), "{codec:?}");
            for at in 0..bytes.len() {
                assert!(!begins(codec, &bytes[..at]), "{codec:?} {at}");
                let mut other = bytes.clone();
                other[at] ^= 0x80;
                assert!(!begins(codec, &other) || codec == Codec::Rle && (8..12).contains(&at), "{codec:?} {at}");
            }
        }
        for words in [[1, 64, 0, 0], [2, 64, 64, 0], [2, 64, 60, 0], [2, 60, 70, 0], [2, 64, 70, 1], [3, 64, 70, 80]] {
            assert!(!begins(Codec::Rle, &rle(words)), "{words:?}");
        }
    }

    #[test]
    fn odd_fragments_may_have_a_zero_that_their_length_does_not_count() {
        let odd = [0xFF, 0xD8, 0xFF, 1, 2, 0xFF, 0xD9];
        for pad in [&[][..], &[0]] {
            let bytes =
                [item(&[]), item(&odd), pad.to_vec(), item(B), item(&odd), pad.to_vec(), DELIMITER.to_vec()].concat();
            assert_eq!(frames(&bytes, 3, JPEG), whole(&[&odd, B, &odd]));
        }
        let bytes = [item(&[]), item(&odd), vec![1], item(B), DELIMITER.to_vec()].concat();
        assert_eq!(frames(&bytes, 2, JPEG), Err(Reason::MalformedHeader));
    }

    #[test]
    fn an_empty_fragment_is_a_frame_without_bytes() {
        let found = frames(&sequence(&[], &[A, b"", B]), 3, JPEG).expect("one each");
        assert_eq!(found, [Ok(A.to_vec()), Ok(vec![]), Ok(B.to_vec())]);
        assert_eq!(frames(&sequence(&[], &[]), 1, JPEG), Ok(vec![Err(Reason::FrameMissing)]));
    }

    #[test]
    fn a_table_longer_than_the_file_is_a_cut_file() {
        let mut bytes = sequence(&[], &[A]);
        bytes[4..8].copy_from_slice(&1_000_000u32.to_le_bytes());
        assert_eq!(frames(&bytes, 1, JPEG), Err(Reason::Truncated));
        assert_eq!(frames(&sequence(&[], &[A])[..4], 1, JPEG), Err(Reason::Truncated));
        assert_eq!(frames(&DELIMITER, 1, JPEG), Err(Reason::MalformedHeader));
    }

    #[test]
    fn a_cut_file_without_a_table_gives_the_frames_that_are_sure() {
        let bytes = sequence(&[], &[A, &B[..4], &B[4..], A]);
        let in_last = &bytes[..bytes.len() - 10];
        assert_eq!(frames(in_last, 3, JPEG), Ok(vec![Ok(A.to_vec()), Ok(B.to_vec()), Err(Reason::Truncated)]));
        // Nothing tells that the second fragment is a frame of its own, were it not for its end.
        let open = sequence(&[], &[&A[..4], B, A]);
        assert_eq!(frames(&open[..open.len() - 10], 3, JPEG), Err(Reason::Truncated));
        let cells = sequence(&[], &[b"aa", b"bb", b"cc"]);
        let expected = vec![Ok(b"aa".to_vec()), Ok(b"bb".to_vec()), Err(Reason::Truncated)];
        assert_eq!(frames(&cells[..cells.len() - 9], 3, Starts::OneEach), Ok(expected));
        assert_eq!(frames(&cells[..cells.len() - 9], 3, Starts::JpegXl), Err(Reason::Truncated));
    }

    /// Frames of codestreams in fragments, the offsets of their first ones, and the bytes of each.
    fn made(lengths: &[Vec<u8>]) -> (Vec<Vec<u8>>, Vec<u64>, Vec<Vec<u8>>) {
        let (mut pieces, mut offsets, mut frames, mut offset) = (vec![], vec![], vec![], 0);
        for (number, lengths) in lengths.iter().enumerate() {
            let count = lengths.len();
            let mut frame = Vec::new();
            offsets.push(offset);
            for (at, &length) in lengths.iter().enumerate() {
                let mut piece = vec![number as u8 + 1; 2 * usize::from(length)];
                if at == 0 {
                    piece.splice(0..0, [0xFF, 0xD8, 0xFF, 0xC3]);
                }
                if at + 1 == count {
                    piece.extend([0xFF, 0xD9]);
                }
                offset += 8 + piece.len() as u64;
                frame.extend(&piece);
                pieces.push(piece);
            }
            frames.push(frame);
        }
        (pieces, offsets, frames)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn a_frame_is_itself_or_a_fault_wherever_the_file_ends(
            lengths in prop::collection::vec(prop::collection::vec(0u8..4, 1..4), 1..5), has_table: bool, knows: bool, cut: prop::sample::Index,
        ) {
            let (pieces, offsets, expected) = made(&lengths);
            let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
            let bytes = sequence(&if has_table { basic(&offsets) } else { vec![] }, &pieces);
            let starts = if knows { JPEG } else { Starts::JpegXl };
            let count = expected.len() as u32;
            let found = frames(&bytes, count, starts);
            if has_table || knows || pieces.len() == expected.len() || count == 1 {
                prop_assert_eq!(found, Ok(expected.iter().cloned().map(Ok).collect()));
            } else {
                prop_assert_eq!(found, Err(Reason::MalformedHeader));
            }
            let end = cut.index(bytes.len());
            match frames(&bytes[..end], count, starts) {
                Err(reason) => prop_assert_eq!(reason, Reason::Truncated),
                Ok(found) => for (frame, (found, expected)) in found.into_iter().zip(&expected).enumerate() {
                    match found {
                        Ok(found) if frame + 1 < count as usize => prop_assert_eq!(&found, expected, "frame {}", frame),
                        // That a whole fragment at the end of the last frame is missing is for its decoder to see.
                        Ok(found) => prop_assert!(expected.starts_with(&found)),
                        Err(reason) => prop_assert_eq!(reason, Reason::Truncated),
                    }
                },
            }
        }

        #[test]
        fn any_bytes_are_walked_over(bytes in prop::collection::vec(prop_oneof![Just(0u8), Just(0xFE), Just(0xFF), Just(0xE0), any::<u8>()], 0..200), count in 1u32..5) {
            let _ = frames(&bytes, count, JPEG);
            let _ = frames(&[&item(&[])[..], &bytes].concat(), count, JPEG);
        }
    }

    /// A sparse file of 600 frames of 8 MiB, each in two fragments, 4.7 GiB in all: its Basic Offset Table
    /// cannot say where the last ones are.
    fn sparse(file: &std::fs::File, frames: u64, half: u64) -> std::io::Result<()> {
        let offsets: Vec<u64> = (0..frames).map(|frame| frame * 2 * (8 + half)).collect();
        file.write_all_at(&table(&offsets, u64::to_le_bytes), 0)?;
        let mut at = 8 * frames;
        file.write_all_at(&item(&basic(&offsets)), at)?;
        at += 8 + 4 * frames;
        for frame in 0..frames {
            for part in 0..2 {
                let mut head = item(&[]);
                head[4..].copy_from_slice(&(half as u32).to_le_bytes());
                file.write_all_at(&[&head[..], &[frame as u8, part]].concat(), at)?;
                at += 8 + half;
            }
        }
        file.write_all_at(&DELIMITER, at)
    }

    #[test]
    fn only_the_wanted_frame_of_a_large_file_is_read() {
        let (count, half) = (600, 4 << 20);
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a");
        sparse(&std::fs::File::create(&path).expect("a file"), count, half).expect("written");
        let bytes = Bytes::File(path);
        let input = Input::open(&bytes).expect("opens");
        assert!(input.size() > 1 << 32);
        let pixel_data = |extended_table| Encapsulated { offset: 8 * count, frames: 600, extended_table, starts: JPEG };
        // Offsets that wrap around part nothing.
        let fault = Fragments::walk(&input, &pixel_data(None), &Recipe::head().limits).expect_err("wrapped offsets");
        assert_eq!(fault.reason, Reason::MalformedHeader);
        let found = Fragments::walk(&input, &pixel_data(Some((0, 8 * count as u32))), &Recipe::head().limits)
            .expect("the extended table");
        let format = Format::unsigned(2048, 2048, 16);
        let mut buffer = Vec::new();
        let frame = Frames::Encapsulated(found).read(&input, &format, 599, &mut buffer).expect("reads");
        assert_eq!(frame.len() as u64, 2 * half);
        assert_eq!((&frame[..2], &frame[half as usize..][..2]), (&[87, 0][..], &[87, 1][..]));
        assert!(buffer.capacity() as u64 <= 4 * half, "{}", buffer.capacity());
    }
}
