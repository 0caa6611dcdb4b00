//! Sound files with a few bytes changed, the same ones in every run.

use dcmshard::pipeline::Pipeline;
use dcmshard::reason::Reason;
use dcmshard::recipe::Recipe;
use dcmshard::stage::Scratch;
use dicom_dictionary_std::tags;

use super::codestreams::{BASELINE, BASELINE_UID, J2K, J2K_UID, LOSSLESS_UID, LS, LS_UID, form, lossless, rle};
use super::draft::{DEFLATED_UID, Draft, Encoding, ITEM, PRIVATE, RLE_UID, deflate, element, meta};
use super::{plan, process};
use crate::made::key;

const CASES: u64 = 20_000;
const THREADS: u64 = 2;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    fn of<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len())]
    }
}

/// A sound file in its parts: what stands before the data set, and the data set.
struct Seed {
    start: Vec<u8>,
    data_set: Vec<u8>,
    is_deflated: bool,
}

fn seeds() -> Vec<Seed> {
    let start = |syntax: &str| [&[0; 128][..], b"DICM", &meta(syntax)].concat();
    let seed = |draft: Draft| Seed { start: start(draft.syntax), data_set: draft.data_set(), is_deflated: false };
    let sound = Draft::new("2.25.1", Encoding::Explicit);
    let packed = |syntax, frame: &[u8]| seed(form(sound.clone(), syntax).frame(syntax, frame));
    let (rle, private) = (rle(), element(PRIVATE, "SQ", &element(ITEM, "", &element(PRIVATE, "LO", b"abcd"))));
    let rescale = [element(tags::RESCALE_INTERCEPT, "DS", b"-9"), element(tags::RESCALE_SLOPE, "DS", b"2 ")].concat();
    let group = element(tags::PIXEL_VALUE_TRANSFORMATION_SEQUENCE, "SQ", &element(ITEM, "", &rescale));
    let groups = element(ITEM, "", &group).repeat(2);
    let two = |draft: Draft| draft.text(tags::NUMBER_OF_FRAMES, "IS", "2");
    vec![
        seed(sound.clone().raw(PRIVATE, private)),
        seed(Draft::new("2.25.1", Encoding::Implicit)),
        seed(Draft::new("2.25.1", Encoding::Big)),
        seed(two(sound.clone()).pixels(&[1; 256]).put(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE, "SQ", &groups)),
        seed(two(sound.clone()).fragments(RLE_UID, &[0, rle.len() as u32 + 8], &[&rle, &rle[..70], &rle[70..]])),
        Seed { start: start(DEFLATED_UID), data_set: sound.data_set(), is_deflated: true },
        Seed { start: Vec::new(), data_set: sound.data_set(), is_deflated: false },
        packed(RLE_UID, &rle),
        packed(LOSSLESS_UID, &lossless()),
        packed(LS_UID, &LS),
        packed(BASELINE_UID, &BASELINE),
        packed(J2K_UID, &J2K),
    ]
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

/// The file of a case, by its number alone.
fn file(seeds: &[Seed], case: u64) -> Vec<u8> {
    let random = &mut Random(case);
    let seed = &seeds[random.below(seeds.len())];
    // Inside the deflated stream as often as in it.
    let inside = seed.is_deflated && random.below(2) == 0;
    let mut data_set = seed.data_set.clone();
    let mut bytes = if seed.is_deflated && !inside { deflate(&data_set) } else { Vec::new() };
    let target = if bytes.is_empty() { &mut data_set } else { &mut bytes };
    // Most bytes that matter are at the end: pixels, fragments, codestreams.
    let from = random.of(&[0, target.len() / 2, target.len().saturating_sub(120)]);
    let mut part = target.split_off(from);
    for _ in 0..1 + random.below(4) {
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

#[test]
fn a_few_changed_bytes_never_panic() {
    let mut recipe = Recipe::head();
    recipe.crop_pad.size = 16;
    let seeds = seeds();
    let pipeline = Pipeline::new(&recipe, &key());
    for (number, seed) in seeds.iter().enumerate() {
        let data_set = if seed.is_deflated { deflate(&seed.data_set) } else { seed.data_set.clone() };
        let sound = check(&pipeline, &[&seed.start[..], &data_set].concat(), &mut Scratch::default());
        assert_eq!(sound, (true, true), "seed {number}");
    }
    let run = |thread: u64| {
        let (mut planned, mut rows, mut wrong) = (0, 0, Vec::new());
        let mut scratch = Scratch::default();
        for case in (thread..CASES).step_by(THREADS as usize) {
            let bytes = file(&seeds, case);
            let found =
                std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check(&pipeline, &bytes, &mut scratch)));
            match found {
                Ok((is_planned, is_row)) => {
                    (planned, rows) = (planned + u64::from(is_planned), rows + u64::from(is_row))
                }
                Err(_) => wrong.push(case),
            }
        }
        (planned, rows, wrong)
    };
    let found = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || run(thread))).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect::<Vec<_>>()
    });
    let planned: u64 = found.iter().map(|(planned, ..)| planned).sum();
    let rows: u64 = found.iter().map(|(_, rows, _)| rows).sum();
    let wrong: Vec<u64> = found.into_iter().flat_map(|(.., wrong)| wrong).collect();
    eprintln!("{CASES} cases, {planned} planned, {rows} rows");
    assert!(wrong.is_empty(), "cases {wrong:?}");
    // The changes are small enough to reach what lies deep.
    assert!(rows > CASES / 10 && planned - rows > CASES / 20, "{planned} planned, {rows} rows");
}
