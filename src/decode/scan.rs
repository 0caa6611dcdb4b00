//! The walk over a data set up to Pixel Data: iterative, bounded, and blind to everything but the
//! attributes of [`super::wanted`].
//!
//! # Source
//! PS3.5 sections 7.1 (data elements), 7.5 (sequences), 6.2.2 note 4 (UN of undefined length).

use dicom_core::Tag;
use dicom_dictionary_std::tags;

use super::cursor::{Cursor, ElementHeader, Stop, is_vr};
use super::header::{Header, PixelData, Place};
use super::limits::{ELEMENTS_PER_FRAME, exceeded, exceeded_by_length};
use super::syntax::{EXPLICIT_BE, EXPLICIT_LE, Encoding, IMPLICIT_LE};
use super::wanted;
use crate::recipe::LimitsKeys;

const ITEM: Tag = Tag(0xFFFE, 0xE000);
const ITEM_DELIMITER: Tag = Tag(0xFFFE, 0xE00D);
const SEQUENCE_DELIMITER: Tag = Tag(0xFFFE, 0xE0DD);

/// What a scan found, and why it ended.
#[derive(Debug)]
pub(crate) struct Scanned {
    /// What was read before the end.
    pub(crate) header: Header,
    /// How the data set is written.
    pub(crate) encoding: Encoding,
    /// `Ok`: at Pixel Data or at the end of the data set.
    pub(crate) end: Result<(), Stop>,
}

/// Reads the data set that starts at `start` of an input whose first bytes are `bytes`.
///
/// Reads nothing behind the header of Pixel Data; never allocates by a length of the file. The
/// `labelled` encoding is overruled where the first element can only be read in another one.
pub(crate) fn scan(bytes: &[u8], total: Option<u64>, start: u64, labelled: Encoding, limits: &LimitsKeys) -> Scanned {
    let cursor = Cursor::new(bytes, total, start, limits.header_bytes);
    let encoding = detect(cursor.rest()).unwrap_or(labelled);
    let mut walk =
        Walk { cursor, encoding, header: Header::default(), stack: Vec::new(), elements: 0, groups: 0, limits };
    let end = walk.run();
    walk.header.finish();
    Scanned { header: walk.header, encoding, end }
}

/// The encoding that the first element of a data set is written in; `None` where fewer than 8 bytes
/// are there.
///
/// A Value Representation in its place is explicit; the group number, small in a first element,
/// tells the byte order. There is no implicit big endian.
pub(crate) fn detect(bytes: &[u8]) -> Option<Encoding> {
    let [a, b, _, _, vr @ .., _, _] = bytes.first_chunk::<8>()?;
    match (is_vr(*vr), u16::from_le_bytes([*a, *b]) <= u16::from_be_bytes([*a, *b])) {
        (true, true) => Some(EXPLICIT_LE),
        (true, false) => Some(EXPLICIT_BE),
        (false, _) => Some(IMPLICIT_LE),
    }
}

/// What a sequence or item is to this program.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Role {
    /// The Shared (or else Per-frame) Functional Groups Sequence.
    Groups { shared: bool },
    /// An item of it.
    Group(Place),
    /// A macro of such an item, or the item in the macro.
    Macro(Place),
    /// The Modality LUT Sequence, or its item.
    ModalityLut,
    /// Anything else: walked over.
    Other,
}

#[derive(Debug)]
struct Container {
    role: Role,
    /// A sequence holds items, an item holds elements.
    is_sequence: bool,
    /// Its items are fragments of bytes, not data sets.
    is_raw: bool,
    /// Where it ends, by its length; `None`: at its delimiter.
    end: Option<u64>,
    items: u32,
    /// The encoding outside of it.
    outside: Encoding,
}

struct Walk<'a> {
    cursor: Cursor<'a>,
    encoding: Encoding,
    header: Header,
    stack: Vec<Container>,
    elements: u32,
    /// Items of the functional groups sequences so far.
    groups: u32,
    limits: &'a LimitsKeys,
}

impl Walk<'_> {
    fn run(&mut self) -> Result<(), Stop> {
        loop {
            self.close_finished()?;
            // Zeros behind the last element are padding of a tape or a transfer, in every encoding.
            if self.stack.is_empty() && (self.cursor.at_end() || self.cursor.rest().starts_with(&[0; 8])) {
                return Ok(());
            }
            let element = self.cursor.element_header(self.encoding)?;
            self.elements += 1;
            let most = self.limits.elements + self.groups * ELEMENTS_PER_FRAME;
            if self.elements > most {
                return Err(exceeded("elements (limits.elements)", self.elements.into(), most.into()).into());
            }
            match self.stack.last().map(|container| container.is_sequence) {
                Some(true) => self.item(element)?,
                Some(false) => self.nested(element)?,
                None => {
                    if self.top(element)? {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Leaves the containers whose length is used up.
    fn close_finished(&mut self) -> Result<(), Stop> {
        while let Some(end) = self.stack.last().and_then(|container| container.end) {
            if self.cursor.position() > end {
                return Err(self.cursor.malformed("an element ends outside of its item"));
            }
            if self.cursor.position() < end {
                break;
            }
            self.close();
        }
        Ok(())
    }

    fn close(&mut self) {
        if let Some(container) = self.stack.pop() {
            self.encoding = container.outside;
        }
    }

    /// An element of the top level. True: it is Pixel Data, and the scan is over.
    fn top(&mut self, element: ElementHeader) -> Result<bool, Stop> {
        let tag = element.tag;
        let offset = self.cursor.position();
        match (tag, element.length) {
            (tags::PIXEL_DATA, Some(length)) => {
                self.header.pixel_data = Some(PixelData::Native { offset, length: length.into(), vr: element.vr });
                return Ok(true);
            }
            (tags::PIXEL_DATA, None) => {
                self.header.pixel_data = Some(PixelData::Encapsulated { offset });
                return Ok(true);
            }
            (tags::FLOAT_PIXEL_DATA | tags::DOUBLE_FLOAT_PIXEL_DATA, _) => {
                self.header.pixel_data = Some(PixelData::Float);
                return Ok(true);
            }
            (tags::EXTENDED_OFFSET_TABLE, Some(length)) => {
                self.value(element, None)?;
                self.header.extended_offset_table = Some((offset, length));
            }
            (tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE, _) => self.open(element, Role::Groups { shared: true })?,
            (tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE, _) => self.open(element, Role::Groups { shared: false })?,
            (tags::MODALITY_LUT_SEQUENCE, length) if length != Some(0) => {
                self.header.keep(Place::Top, tag, *b"CS", b"1", false);
                match length {
                    Some(length) => self.modality_lut(element.vr, length.into())?,
                    None => self.open(element, Role::ModalityLut)?,
                }
            }
            (tags::CONTRAST_BOLUS_AGENT_SEQUENCE | tags::DIRECTORY_RECORD_SEQUENCE, length) if length != Some(0) => {
                // That they are there is all that is asked of these.
                self.header.keep(Place::Top, tag, *b"CS", b"1", false);
                self.value(element, None)?;
            }
            _ => self.value(element, Some(Place::Top))?,
        }
        Ok(false)
    }

    /// Reads a Modality LUT Sequence of defined length by itself: a damaged one is no table, and is
    /// nothing to a slice that has a rescale.
    fn modality_lut(&mut self, vr: [u8; 2], length: u64) -> Result<(), Stop> {
        let is_read = length <= self.limits.value_bytes && {
            let cursor = Cursor::new(self.cursor.take(length)?, Some(length), 0, length);
            let encoding = if vr == *b"UN" { IMPLICIT_LE } else { self.encoding };
            let role = Role::ModalityLut;
            let all =
                Container { role, is_sequence: true, is_raw: false, end: Some(length), items: 0, outside: encoding };
            let header = std::mem::take(&mut self.header);
            let (elements, groups, limits) = (self.elements, self.groups, self.limits);
            let mut walk = Walk { cursor, encoding, header, stack: vec![all], elements, groups, limits };
            let read = walk.run();
            (self.header, self.elements) = (walk.header, walk.elements);
            read.is_ok()
        };
        if !is_read {
            self.header.keep(Place::ModalityLut, tags::MODALITY_LUT_SEQUENCE, *b"CS", b"0", false);
        }
        if length > self.limits.value_bytes { self.cursor.skip(length) } else { Ok(()) }
    }

    /// An element of an item.
    fn nested(&mut self, element: ElementHeader) -> Result<(), Stop> {
        let role = self.stack.last().map_or(Role::Other, |container| container.role);
        match (role, element.tag) {
            (_, ITEM_DELIMITER) => match self.stack.last() {
                Some(item) if item.end.is_none() => {
                    self.close();
                    Ok(())
                }
                _ => Err(self.cursor.malformed("an item delimiter in an item of defined length")),
            },
            (_, ITEM | SEQUENCE_DELIMITER) => {
                Err(self.cursor.malformed("an item or sequence delimiter between elements"))
            }
            (Role::Group(place), tag) if wanted::is_macro(tag) => self.open(element, Role::Macro(place)),
            (Role::Macro(place), _) => self.value(element, Some(place)),
            (Role::ModalityLut, _) => self.value(element, Some(Place::ModalityLut)),
            _ => self.value(element, None),
        }
    }

    /// Keeps the value of an element, or steps over it.
    fn value(&mut self, element: ElementHeader, place: Option<Place>) -> Result<(), Stop> {
        let Some(length) = element.length.map(u64::from) else { return self.open(element, Role::Other) };
        self.check_end(length)?;
        if element.tag.0 == 0xFFFE {
            return Err(self.cursor.malformed("an item outside of a sequence"));
        }
        let Some(place) = place.filter(|_| wanted::is_wanted(element.tag) && element.vr != *b"SQ") else {
            return self.step_over(element.vr, length);
        };
        if length > self.limits.value_bytes {
            let what = "bytes of a value (limits.value_bytes)";
            return Err(exceeded_by_length(what, self.limits.value_bytes).into());
        }
        let value = self.cursor.take(length)?;
        // One byte is no number: given, and wrong.
        let value = if wanted::fits(element.tag, element.vr) { value } else { value.get(..1).unwrap_or_default() };
        self.header.keep(place, element.tag, element.vr, value, self.encoding.big_endian);
        Ok(())
    }

    /// Steps over a value that nobody reads: a scanner's own data may be long, and costs nothing.
    fn step_over(&mut self, vr: [u8; 2], length: u64) -> Result<(), Stop> {
        let is_sequence = matches!(&vr, b"SQ" | b"UN" | b"  ");
        if length > self.limits.header_bytes && !is_sequence {
            let what = "header bytes (limits.header_bytes)";
            return Err(exceeded_by_length(what, self.limits.header_bytes).into());
        }
        self.cursor.skip(length)
    }

    /// Steps into a sequence.
    fn open(&mut self, element: ElementHeader, role: Role) -> Result<(), Stop> {
        let outside = self.encoding;
        if element.tag.0 == 0xFFFE {
            return Err(self.cursor.malformed("an item outside of a sequence"));
        }
        if element.vr == *b"UN" {
            self.encoding = IMPLICIT_LE;
        }
        let is_raw = !matches!(&element.vr, b"SQ" | b"UN" | b"  ");
        let end = element.length.map(u64::from).map(|length| self.check_end(length)).transpose()?;
        self.push(Container { role, is_sequence: true, is_raw, end, items: 0, outside })
    }

    /// An item of a sequence, or its end.
    fn item(&mut self, element: ElementHeader) -> Result<(), Stop> {
        let outside = self.encoding;
        let Some(sequence) = self.stack.last_mut() else { return Ok(()) };
        match element.tag {
            SEQUENCE_DELIMITER if sequence.end.is_none() => {
                self.close();
                return Ok(());
            }
            ITEM => {}
            _ => return Err(self.cursor.malformed("another element in the place of an item")),
        }
        let place = sequence.items;
        sequence.items += 1;
        // A frame has an item, and brings its elements with it.
        let (items, most) = match sequence.role {
            Role::Groups { .. } => {
                self.groups += 1;
                (self.groups, self.limits.frames + 1)
            }
            _ => (sequence.items, self.limits.items),
        };
        if items > most {
            return Err(exceeded("items of a sequence (limits.items)", items.into(), most.into()).into());
        }
        let role = match sequence.role {
            Role::Groups { shared: true } => Role::Group(Place::Shared),
            Role::Groups { shared: false } => Role::Group(Place::Frame(place)),
            Role::Macro(place) => Role::Macro(place),
            Role::ModalityLut if place == 0 => Role::ModalityLut,
            Role::ModalityLut => {
                // One table is all there may be: which of two counts, nobody can say.
                self.header.keep(Place::ModalityLut, tags::MODALITY_LUT_SEQUENCE, *b"CS", b"2", false);
                Role::Other
            }
            Role::Group(_) | Role::Other => Role::Other,
        };
        match (sequence.is_raw, element.length) {
            (true, Some(length)) => self.cursor.skip(length.into()),
            (true, None) => Err(self.cursor.malformed("a fragment of undefined length")),
            (false, length) => {
                let end = length.map(u64::from).map(|length| self.check_end(length)).transpose()?;
                self.push(Container { role, is_sequence: false, is_raw: false, end, items: 0, outside })
            }
        }
    }

    fn push(&mut self, container: Container) -> Result<(), Stop> {
        // A level of nesting is a sequence and its item.
        let depth = u64::from(self.limits.depth);
        if self.stack.len() as u64 >= 2 * depth {
            return Err(exceeded("nested sequences (limits.depth)", depth + 1, depth).into());
        }
        self.stack.push(container);
        Ok(())
    }

    /// Where `length` bytes from here end; an error where that is outside the containers around.
    fn check_end(&self, length: u64) -> Result<u64, Stop> {
        let end = self.cursor.position().saturating_add(length);
        match self.stack.iter().rev().find_map(|container| container.end) {
            Some(limit) if end > limit => {
                Err(self.cursor.malformed("an element is longer than the item that holds it"))
            }
            _ => Ok(end),
        }
    }
}

#[cfg(test)]
#[allow(clippy::print_stderr)]
mod tests {
    use super::super::test_dicom::Ct;
    use super::super::{Examined, examine};
    use super::*;
    use crate::identity::{Key, SourceId};
    use crate::phantom::{PhantomOptions, write_archive};
    use crate::pipeline::Pipeline;
    use crate::recipe::Recipe;
    use crate::slice::{Bytes, InputRef, Ordinal, SliceRef};
    use crate::stage::Scratch;

    /// What this thread has worked so far, ns: other processes do not count.
    fn worked_ns() -> u64 {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells");
        text.split(' ').next().and_then(|word| word.parse().ok()).expect("a number")
    }

    /// Microseconds for one call; the best of five rounds.
    fn cost_us(calls: u32, mut call: impl FnMut()) -> f64 {
        let mut round = || {
            let start = worked_ns();
            (0..calls).for_each(|_| call());
            (worked_ns() - start) as f64 / 1e3 / f64::from(calls)
        };
        (0..5).map(|_| round()).fold(f64::INFINITY, f64::min)
    }

    #[test]
    #[ignore = "a measurement: cargo test --release --lib scan_cost -- --ignored --nocapture"]
    fn scan_cost() {
        let recipe = Recipe::head();
        let small = Bytes::Memory(Ct { rows: 16, columns: 32, ..Ct::default() }.file(EXPLICIT_LE, &[7; 512]).into());
        let small_us = cost_us(20_000, || assert!(matches!(examine(&small, &recipe), Examined::Ct(_))));

        let folder = tempfile::tempdir().expect("a folder");
        let options = PhantomOptions { heads: 1, slices_per_head: 3, ..Default::default() };
        let truth = write_archive(folder.path(), &options).expect("drawn");
        let path = folder.path().join(&truth.files[1].path);
        let memory = Bytes::Memory(std::fs::read(&path).expect("there").into());
        let file = Bytes::File(path.clone());
        let header_us = cost_us(20_000, || assert!(matches!(examine(&memory, &recipe), Examined::Ct(_))));
        let file_us = cost_us(2_000, || assert!(matches!(examine(&file, &recipe), Examined::Ct(_))));
        let (pipeline, scratch) = (Pipeline::new(&recipe, &Key::new([0; 32])), &mut Scratch::default());
        let slice_us = cost_us(10, || {
            let at = SliceRef { ordinal: Ordinal(0), input: InputRef::file(SourceId([0; 24]), &path), frame: 0 };
            assert!(pipeline.process(&at, scratch).is_ok());
        });
        eprintln!("header pass of a file of 2 kB: {small_us:.2} us, {:.0} a second", 1e6 / small_us);
        eprintln!("header pass of 512 x 512: {header_us:.2} us in memory, {file_us:.1} us from a file");
        eprintln!("conversion: {slice_us:.0} us a slice; the header pass is {:.2} % of it", 100.0 * file_us / slice_us);
        assert!(small_us < 200.0 && file_us < 0.02 * slice_us);
    }
}
