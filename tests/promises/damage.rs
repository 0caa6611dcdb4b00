//! Whole files with their end cut off or a byte changed: a reject, or the pixels of the whole file; never
//! something in between.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use dcmshard::reason::{Fault, Reason};
use dcmshard::slice::{Bytes, Pixels, Slice};
use dicom_core::Tag;
use dicom_dictionary_std::tags;

use crate::hostile::draft::{Draft, Encoding};
use crate::hostile::mutation::Random;
use crate::hostile::newer::{SOUND, picture};
use crate::hostile::{decode, encoded, examined, in_two_threads};
use crate::made::real_data;
use crate::runs::convert;

/// Places where a file is cut, and bytes that are changed.
const PLACES: usize = 200;

/// Copies of one folder in a real run.
const COPIES: usize = 200;

/// A sound file.
struct Original {
    name: String,
    bytes: Vec<u8>,
    layout: Layout,
    /// Stored values of its first and its last frame, where they can be decoded.
    frames: Vec<(u32, Option<Pixels>)>,
}

/// What a plain walk over the elements tells.
#[derive(Default)]
struct Layout {
    /// Values that pixels do not depend on.
    free: Vec<Range<usize>>,
    /// The value of SOP Instance UID.
    uid: Range<usize>,
    /// Where the walk ended: at Pixel Data, or at what it does not know.
    end: usize,
    is_native: bool,
}

impl Original {
    fn new(name: String, bytes: Vec<u8>) -> Original {
        let frames = match examined(&Bytes::Memory(bytes.as_slice().into())) {
            dcmshard::decode::Examined::Ct(ct) => ct.frames,
            dcmshard::decode::Examined::Not(_) => 1,
        };
        let mut ends = vec![0, frames - 1];
        ends.dedup();
        let frames = ends.into_iter().map(|frame| (frame, decode(&bytes, frame).ok().map(|slice| slice.pixels)));
        Original { name, layout: layout(&bytes), frames: frames.collect(), bytes }
    }

    /// The file cut at a place in each two-hundredth of it.
    fn cut(&self) -> Vec<usize> {
        let random = &mut Random(self.bytes.len() as u64);
        let piece = self.bytes.len().div_ceil(PLACES);
        (0..PLACES).map(|n| (n * piece + random.below(piece)).min(self.bytes.len() - 1)).collect()
    }

    /// Places and changes; every second one in what stands before the pixels.
    fn flips(&self) -> Vec<(usize, u8)> {
        let random = &mut Random(!self.bytes.len() as u64);
        let flip = |n: usize| {
            let end = if n.is_multiple_of(2) { self.layout.end } else { self.bytes.len() };
            (128 + random.below(end - 128), 1 + random.below(255) as u8)
        };
        (0..PLACES).map(flip).collect()
    }

    fn flipped(&self, (at, change): (usize, u8)) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        bytes[at] ^= change;
        bytes
    }

    /// The copy with a SOP Instance UID of its own, where that can be reached.
    fn numbered(&self, mut copy: Vec<u8>, number: usize) -> Vec<u8> {
        let digits = format!("{number:04}");
        let end = self.bytes[self.layout.uid.clone()].iter().rposition(|byte| byte.is_ascii_digit());
        if let Some(end) = end.map(|end| self.layout.uid.start + end + 1)
            && let Some(place) = copy.get_mut(end - digits.len()..end)
        {
            place.copy_from_slice(digits.as_bytes());
        }
        copy
    }
}

const LONG: [&[u8; 2]; 13] =
    [b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"];

const NATIVE: [&[u8]; 3] = [b"1.2.840.10008.1.2", b"1.2.840.10008.1.2.1", b"1.2.840.10008.1.2.2"];

/// Walks over the elements of a file that has a preamble, up to Pixel Data or the first element of
/// undefined length; of a deflated file, over File Meta Information alone.
fn layout(bytes: &[u8]) -> Layout {
    let mut layout = Layout::default();
    let (mut at, mut encoding, mut syntax, mut is_begun) = (132, Encoding::Explicit, Vec::new(), false);
    let word = |at: usize| bytes.get(at..at + 2).map(|two| [two[0], two[1]]);
    while let Some(group) = word(at) {
        let is_meta = group == [2, 0];
        if !is_meta && !is_begun {
            is_begun = true;
            encoding = match syntax.as_slice() {
                b"1.2.840.10008.1.2" => Encoding::Implicit,
                b"1.2.840.10008.1.2.2" => Encoding::Big,
                _ => Encoding::Explicit,
            };
            layout.is_native = NATIVE.contains(&syntax.as_slice());
        }
        layout.end = at;
        if syntax == b"1.2.840.10008.1.2.1.99" && !is_meta {
            break;
        }
        let number = |at: usize, width: usize| {
            let digits = bytes.get(at..at + width)?.iter();
            let number = |sum, byte: &u8| sum << 8 | usize::from(*byte);
            Some(if encoding == Encoding::Big { digits.fold(0, number) } else { digits.rev().fold(0, number) })
        };
        let (Some(group), Some(element), Some(vr)) = (number(at, 2), number(at + 2, 2), word(at + 4)) else { break };
        let tag = Tag(group as u16, element as u16);
        let (value, length) = match encoding {
            Encoding::Implicit if !is_meta => (at + 8, number(at + 4, 4)),
            _ if LONG.contains(&&vr) => (at + 12, number(at + 8, 4)),
            _ => (at + 8, number(at + 6, 2)),
        };
        let Some(length) = length.filter(|&length| tag != tags::PIXEL_DATA && length < bytes.len()) else { break };
        let range = value..value + length;
        if range.end > bytes.len() {
            break;
        }
        let is_sequence = vr == *b"SQ" || vr == *b"UN" || bytes[range.clone()].starts_with(&[0xFE, 0xFF, 0, 0xE0]);
        if tag == tags::TRANSFER_SYNTAX_UID {
            syntax =
                bytes[range.clone()].trim_ascii_end().strip_suffix(b"\0").unwrap_or(&bytes[range.clone()]).to_vec();
        }
        if tag == tags::SOP_INSTANCE_UID {
            layout.uid = range.clone();
        }
        if !is_sequence && !is_meta && !matches!(tag.0, 0x28 | 0x5200) {
            layout.free.push(range.clone());
        }
        at = range.end;
        // Its own bytes are behind it.
        layout.end = at;
    }
    layout
}

/// The picture in every codec, and uncompressed in every way.
fn made() -> Vec<Original> {
    let sound = || Draft::new("2.25.10000001", Encoding::Explicit);
    let packed = SOUND.into_iter().map(|(name, syntax, digits, bits, _)| {
        let frame = encoded::bytes(digits);
        (name, picture(sound(), bits).frame(syntax, &frame).bytes())
    });
    let two = sound().text(tags::NUMBER_OF_FRAMES, "IS", "2");
    let native = [
        ("explicit", sound().bytes()),
        ("implicit", Draft::new("2.25.10000001", Encoding::Implicit).bytes()),
        ("big endian", Draft::new("2.25.10000001", Encoding::Big).bytes()),
        ("32 bits", sound().bits(32, 32, 31).pixels(&[0; 256]).bytes()),
        ("two frames", two.pixels(&[1; 256]).bytes()),
        ("deflated", sound().deflated()),
    ];
    packed.chain(native).map(|(name, bytes)| Original::new(name.to_owned(), bytes)).collect()
}

/// The files of `syntax`.
fn real() -> Vec<Original> {
    let Some(folder) = real_data("syntax") else { return Vec::new() };
    let files = walkdir::WalkDir::new(&folder).sort_by_file_name().into_iter().filter_map(Result::ok);
    let files = files.filter(|entry| entry.file_type().is_file()).map(|entry| entry.into_path());
    let name = |path: &Path| path.strip_prefix(&folder).expect("below").display().to_string();
    files.map(|path| Original::new(name(&path), std::fs::read(&path).expect("can be read"))).collect()
}

/// Rows and rejects among the damaged copies, and what is wrong with them.
#[derive(Default)]
struct Tally {
    rows: usize,
    wrong: Vec<String>,
}

/// Decodes the first and the last frame of a copy, and asks what it is; `None` for a panic.
fn decoded(original: &Original, copy: &[u8]) -> Option<Vec<Result<Slice, Fault>>> {
    let all = || {
        examined(&Bytes::Memory(copy.into()));
        original.frames.iter().map(|(frame, _)| decode(copy, *frame)).collect()
    };
    catch_unwind(AssertUnwindSafe(all)).ok()
}

impl Tally {
    /// Counts the frames of a copy; `is_right` looks at those that decode.
    fn count(
        &mut self,
        original: &Original,
        copy: &[u8],
        what: &str,
        is_right: impl Fn(Result<&Slice, &Fault>, Option<&Pixels>) -> bool,
    ) {
        let name = &original.name;
        let Some(frames) = decoded(original, copy) else {
            return self.wrong.push(format!("{name}, {what}: a panic"));
        };
        for (found, (frame, expected)) in frames.iter().zip(&original.frames) {
            self.rows += usize::from(found.is_ok());
            let is_bug = found.as_ref().is_err_and(|fault| fault.reason == Reason::Internal);
            if is_bug || !is_right(found.as_ref(), expected.as_ref()) {
                let found = found.as_ref().map_or_else(Fault::to_string, |_| "other pixels".to_owned());
                self.wrong.push(format!("{name}, {what}, frame {frame}: {found}"));
            }
        }
    }
}

fn decode_damaged(originals: &[Original]) {
    let tallies = in_two_threads(originals, |original| {
        let (mut cut, mut flipped) = (Tally::default(), Tally::default());
        for end in original.cut() {
            let what = format!("cut after {end} of {} bytes", original.bytes.len());
            cut.count(original, &original.bytes[..end], &what, |found, expected| {
                found.map_or(true, |slice| Some(&slice.pixels) == expected)
            });
        }
        for flip in original.flips() {
            let what = format!("byte {} changed by {:#x}", flip.0, flip.1);
            let is_free = original.layout.free.iter().any(|range| range.contains(&flip.0));
            let is_pixel = original.layout.is_native && flip.0 >= original.layout.end + 12;
            flipped.count(original, &original.flipped(flip), &what, |found, expected| match (found, expected) {
                (Ok(slice), Some(expected)) if is_free => slice.pixels == *expected,
                (Err(_), expected) => !is_free || expected.is_none(),
                (Ok(slice), Some(expected)) if is_pixel => is_one_pixel_off(&slice.pixels, expected),
                (Ok(slice), _) => is_whole(slice),
            });
        }
        (cut, flipped)
    });
    let rows = |of: fn(&(Tally, Tally)) -> &Tally| tallies.iter().map(|tally| of(tally).rows).sum::<usize>();
    eprintln!(
        "{} files, {} copies of each: {} rows of cut ones, {} of changed ones",
        originals.len(),
        2 * PLACES,
        rows(|tally| &tally.0),
        rows(|tally| &tally.1)
    );
    let wrong: Vec<&str> =
        tallies.iter().flat_map(|(cut, flipped)| cut.wrong.iter().chain(&flipped.wrong)).map(String::as_str).collect();
    assert!(wrong.is_empty(), "{} findings:\n{}", wrong.len(), wrong.join("\n"));
}

fn is_whole(slice: &Slice) -> bool {
    slice.pixels.dim() == (1, slice.attributes.rows as usize, slice.attributes.columns as usize)
}

fn is_one_pixel_off(found: &Pixels, expected: &Pixels) -> bool {
    let (found, expected) = (crate::hostile::stored(found), crate::hostile::stored(expected));
    found.len() == expected.len()
        && found.iter().zip(&expected).filter(|(found, expected)| found != expected).count() <= 1
}

/// Converts the damaged copies of each file, those of one file in one folder.
fn convert_damaged(originals: &[Original], of: impl Fn(&Original) -> usize + Sync) {
    let ended = in_two_threads(originals, |original| {
        let copies = original.cut().into_iter().map(|end| original.bytes[..end].to_vec());
        let copies = copies.chain(original.flips().into_iter().map(|flip| original.flipped(flip)));
        let copies: Vec<(usize, Vec<u8>)> = copies.enumerate().step_by(of(original)).collect();
        let (mut wrong, mut rows, mut peak) = (Vec::new(), 0, 0);
        for copies in copies.chunks(COPIES) {
            let temp = tempfile::tempdir().expect("a temporary folder");
            let src = temp.path().join("src");
            std::fs::create_dir(&src).expect("can be made");
            for (number, copy) in copies {
                let copy = original.numbered(copy.clone(), *number);
                std::fs::write(src.join(format!("{number:04}")), copy).expect("can be written");
            }
            let ended = convert(&[&src], &temp.path().join("out"), &CHEAP);
            if ended.code != Some(0) {
                wrong.push(format!("{}: ended by {:?}: {}", original.name, ended.code, ended.stderr));
                continue;
            }
            wrong.extend(ended.check_balance().err().map(|problem| format!("{}: {problem}", original.name)));
            if ended.count("found") < copies.len() as u64 || ended.peak_bytes() > 128 << 20 {
                let (found, peak) = (ended.count("found"), ended.peak_bytes() >> 20);
                wrong.push(format!("{}: {found} of {}, peak {peak} MiB", original.name, copies.len()));
            }
            rows += ended.count("written");
            peak = peak.max(ended.peak_bytes());
        }
        (wrong, copies.len(), rows, peak)
    });
    let copies: usize = ended.iter().map(|(_, copies, ..)| copies).sum();
    let rows: u64 = ended.iter().map(|(_, _, rows, _)| rows).sum();
    let peak = ended.iter().map(|(.., peak)| *peak).max().unwrap_or(0);
    eprintln!("{copies} damaged files converted: {rows} rows, peak {} MiB", peak >> 20);
    let wrong: Vec<String> = ended.into_iter().flat_map(|(wrong, ..)| wrong).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Stages that cost nothing: this is about decoding and counting.
const CHEAP: [&str; 10] = [
    "--threads",
    "1",
    "--set",
    "denoise.enabled=false",
    "--set",
    "tilt.enabled=false",
    "--set",
    "crop_pad.crop=false",
    "--set",
    "crop_pad.size=16",
];

#[test]
fn made_files_cut_or_changed_are_rejects_or_whole() {
    decode_damaged(&made());
}

#[test]
fn made_files_cut_or_changed_are_all_counted() {
    convert_damaged(&made(), |_| 1);
}

#[test]
fn real_files_cut_or_changed_are_rejects_or_whole() {
    decode_damaged(&real());
}

/// Of the slow codecs and large files, every tenth copy.
#[test]
fn real_files_cut_or_changed_are_all_counted() {
    let is_slow = |name: &str| ["jpeg2000", "htj2k", "jpegxl"].iter().any(|codec| name.contains(codec));
    convert_damaged(&real(), |original| if is_slow(&original.name) || original.bytes.len() > 1 << 20 { 10 } else { 1 });
}
