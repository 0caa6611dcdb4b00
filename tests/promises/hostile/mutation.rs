//! Sound files with a few bytes changed, the same ones in every run.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;

use dcmshard::pipeline::Pipeline;
use dcmshard::reason::Reason;
use dcmshard::recipe::Recipe;
use dcmshard::stage::Scratch;
use dicom_dictionary_std::tags;
use serde_json::json;

use super::codestreams::{BASELINE, BASELINE_UID, J2K, J2K_UID, LOSSLESS_UID, LS, LS_UID, form, lossless, rle};
use super::draft::{DEFLATED_UID, Draft, Encoding, ITEM, PRIVATE, RLE_UID, deflate, element, meta};
use super::encoded::bytes;
use super::newer::{SOUND, picture};
use super::{in_two_threads, plan, process};
use crate::made::key;
use crate::runs::run;

const CASES: u64 = 100_000;

/// SplitMix64.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    fn of<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len())]
    }
}

/// A sound file in its parts: what stands before the data set, and the elements of the data set.
struct Seed {
    start: Vec<u8>,
    elements: Vec<Vec<u8>>,
    is_deflated: bool,
}

/// Sound files: every way to write a data set, every codec.
fn seeds() -> Vec<Seed> {
    let start = |syntax: &str| [&[0; 128][..], b"DICM", &meta(syntax)].concat();
    let seed = |draft: Draft| Seed { start: start(draft.syntax), elements: draft.elements(), is_deflated: false };
    let sound = Draft::new("2.25.1", Encoding::Explicit);
    let packed = |syntax, frame: &[u8]| seed(form(sound.clone(), syntax).frame(syntax, frame));
    let (rle, private) = (rle(), element(PRIVATE, "SQ", &element(ITEM, "", &element(PRIVATE, "LO", b"abcd"))));
    let rescale = [element(tags::RESCALE_INTERCEPT, "DS", b"-9"), element(tags::RESCALE_SLOPE, "DS", b"2 ")].concat();
    let group = element(tags::PIXEL_VALUE_TRANSFORMATION_SEQUENCE, "SQ", &element(ITEM, "", &rescale));
    let groups = element(ITEM, "", &group).repeat(2);
    let two = |draft: Draft| draft.text(tags::NUMBER_OF_FRAMES, "IS", "2");
    let mut seeds = vec![
        seed(sound.clone().raw(PRIVATE, private)),
        seed(Draft::new("2.25.1", Encoding::Implicit)),
        seed(Draft::new("2.25.1", Encoding::Big)),
        seed(sound.clone().bits(32, 32, 31).pixels(&[0; 256])),
        seed(two(sound.clone()).pixels(&[1; 256]).put(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE, "SQ", &groups)),
        seed(two(sound.clone()).fragments(RLE_UID, &[0, rle.len() as u32 + 8], &[&rle, &rle[..70], &rle[70..]])),
        Seed { start: start(DEFLATED_UID), elements: sound.elements(), is_deflated: true },
        Seed { start: Vec::new(), elements: sound.elements(), is_deflated: false },
        packed(RLE_UID, &rle),
        packed(LOSSLESS_UID, &lossless()),
        packed(LS_UID, &LS),
        packed(BASELINE_UID, &BASELINE),
        packed(J2K_UID, &J2K),
    ];
    seeds.extend(SOUND.map(|(_, syntax, digits, bits, _)| {
        let frame = bytes(digits);
        let half = frame.len() / 2;
        seed(picture(sound.clone(), bits).fragments(syntax, &[], &[&frame[..half], &frame[half..]]))
    }));
    seeds
}

/// One change of some bytes.
fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    let at = random.below(bytes.len());
    let many = (1 + random.below(16)).min(bytes.len() - at);
    let word = random.of(&[0u32, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, u32::MAX]);
    match random.below(9) {
        0 => bytes[at] ^= 1 << random.below(8),
        1 => bytes[at] = random.next() as u8,
        2 => bytes[at] = random.of(&[0, 1, b' ', b'\\', b'-', b'9', 0x7F, 0x80, 0xFE, 0xFF]),
        3 | 4 => {
            let word = random.of(&[word.to_le_bytes(), word.to_be_bytes()]);
            let width = random.of(&[2, 4]).min(bytes.len() - at);
            bytes[at..at + width].copy_from_slice(&word[..width]);
        }
        5 => drop(bytes.drain(at..at + many)),
        6 => {
            let copy = bytes[at..at + many].to_vec();
            let to = random.below(bytes.len());
            bytes.splice(to..to, copy);
        }
        7 => {
            let (tag, delimiter) = ([0xFE, 0xFF], random.of(&[[0, 0xE0], [0x0D, 0xE0], [0xDD, 0xE0]]));
            bytes.splice(at..at, [&tag[..], &delimiter, &word.to_le_bytes()].concat());
        }
        _ => bytes.truncate(at),
    }
}

/// One lie in an otherwise sound data set: an element that is gone, twice, elsewhere or not what it says.
fn lie(elements: &mut Vec<Vec<u8>>, random: &mut Random) {
    let at = random.below(elements.len());
    let other = random.below(elements.len());
    match random.below(8) {
        0 => drop(elements.remove(at)),
        1 => elements.insert(other, elements[at].clone()),
        2 => elements.swap(at, other),
        3 => elements[at]
            .splice(4..6, random.of(&[*b"US", *b"UL", *b"SQ", *b"UN", *b"OB", *b"DS", *b"??"]))
            .for_each(drop),
        4 => {
            let step = random.of(&[1, 2, 0x80, 0xFE, 0xFF]);
            let byte = &mut elements[at][6 + random.below(2)];
            *byte = byte.wrapping_add(step);
        }
        5 => {
            let value = random.of(&["0", "-1", "1e400", "NaN", "65535", "4294967296", "1\\2", "", " ", "\u{3b1}"]);
            let element = &mut elements[at];
            let header = element.len().min(8);
            element.truncate(header);
            element.extend(value.bytes());
            element[6] = value.len() as u8;
        }
        // Of the last element, which is Pixel Data: a field of a marker segment.
        _ => {
            let Some(pixels) = elements.last_mut() else { return };
            let is_marker = |at: &usize| pixels[*at] == 0xFF && pixels[at + 1] >= 0x4F;
            let markers: Vec<usize> = (0..pixels.len() - 1).filter(is_marker).collect();
            let place = random.below(24);
            let marker = markers.get(random.below(markers.len())).copied().unwrap_or(12);
            if let Some(byte) = pixels.get_mut(marker + 1 + place) {
                *byte = random.of(&[
                    0,
                    1,
                    2,
                    3,
                    16,
                    17,
                    0x7F,
                    0x80,
                    0xFE,
                    0xFF,
                    byte.wrapping_add(1),
                    byte.wrapping_sub(1),
                ]);
            }
        }
    }
}

/// The file of a case, by its number alone.
fn file(seeds: &[Seed], case: u64) -> Vec<u8> {
    let random = &mut Random(case);
    let seed = &seeds[random.below(seeds.len())];
    // Inside the deflated stream as often as in it.
    let inside = seed.is_deflated && random.below(2) == 0;
    let mut elements = seed.elements.clone();
    let is_lie = random.below(3) == 0;
    if is_lie {
        lie(&mut elements, random);
    }
    let mut data_set = elements.concat();
    let mut bytes = if seed.is_deflated && !inside { deflate(&data_set) } else { Vec::new() };
    let target = if bytes.is_empty() { &mut data_set } else { &mut bytes };
    // Most bytes that matter are at the end: pixels, fragments, codestreams.
    let from = random.of(&[0, target.len() / 2, target.len().saturating_sub(120)]);
    let mut part = target.split_off(from);
    let changes = if is_lie { 0 } else { 1 + random.below(4) };
    for _ in 0..changes {
        if !part.is_empty() {
            mutate(&mut part, random);
        }
    }
    target.extend(part);
    if inside {
        bytes = deflate(&data_set);
    }
    let mut start = seed.start.clone();
    if random.below(20) == 0 && start.len() > 128 {
        let mut meta = start.split_off(128);
        mutate(&mut meta, random);
        start.extend(meta);
    }
    [start, if seed.is_deflated { bytes } else { data_set }].concat()
}

/// Of one case: whether it is planned, whether its first slice is a row.
fn check(pipeline: &Pipeline, bytes: &[u8], scratch: &mut Scratch) -> (bool, bool) {
    let frames = plan(bytes);
    let mut is_row = false;
    for frame in 0..frames.unwrap_or(1).min(3) {
        let outcome = process(pipeline, bytes, frame, scratch);
        is_row |= frame == 0 && outcome.is_ok();
        if let Err(reject) = outcome {
            assert_ne!(reject.fault.reason, Reason::Internal, "frame {frame}, stage {}", reject.stage);
        }
    }
    (frames.is_ok(), is_row)
}

/// Set in the process that does the work of a test, so that its memory can be told.
const IS_CHILD: &str = "DCMSHARD_TEST_IS_CHILD";

#[test]
fn a_few_changed_bytes_never_panic_and_never_cost_memory() {
    if std::env::var_os(IS_CHILD).is_some() {
        return all_cases();
    }
    let mut command = Command::new(std::env::current_exe().expect("is a file"));
    command
        .args(["--exact", "--nocapture"])
        .arg("hostile::mutation::a_few_changed_bytes_never_panic_and_never_cost_memory");
    let ended = run(command.env(IS_CHILD, "1"));
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    eprintln!("{}, {:?} of processor time", ended.last, ended.cpu);
    assert!(ended.peak_bytes() <= 64 << 20, "peak {} MiB, expected at most 64", ended.peak_bytes() >> 20);
}

fn all_cases() {
    let mut recipe = Recipe::head();
    recipe.crop_pad.size = 16;
    let seeds = seeds();
    let pipeline = Pipeline::new(&recipe, &key());
    for (number, seed) in seeds.iter().enumerate() {
        let data_set = seed.elements.concat();
        let data_set = if seed.is_deflated { deflate(&data_set) } else { data_set };
        let sound = check(&pipeline, &[&seed.start[..], &data_set].concat(), &mut Scratch::default());
        assert_eq!(sound, (true, true), "seed {number}");
    }
    let cases: Vec<u64> = (0..CASES).collect();
    let found = in_two_threads(&cases, |&case| {
        let bytes = file(&seeds, case);
        catch_unwind(AssertUnwindSafe(|| check(&pipeline, &bytes, &mut Scratch::default())))
    });
    let wrong: Vec<usize> =
        found.iter().enumerate().filter(|(_, found)| found.is_err()).map(|(case, _)| case).collect();
    let count = |of: fn(&(bool, bool)) -> bool| found.iter().flatten().filter(|found| of(found)).count() as u64;
    let (planned, rows) = (count(|found| found.0), count(|found| found.1));
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0 kB").trim();
    let peak_kib: u64 = peak.trim_end_matches(" kB").parse().expect("a number");
    assert!(wrong.is_empty(), "cases {wrong:?}");
    // The changes are small enough to reach what lies deep.
    assert!(rows > CASES / 10 && planned - rows > CASES / 20, "{planned} planned, {rows} rows");
    let last = json!({"cases": CASES, "planned": planned, "rows": rows, "peak_memory_bytes": peak_kib << 10});
    eprintln!("{last}");
}
