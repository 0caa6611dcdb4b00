//! Hostile and broken files: each has its class and reason, none a panic, none more memory or time
//! than a sound one may take.

mod codestreams;
mod draft;
mod mutation;
mod pixels;
mod structure;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use dcmshard::decode::{Examined, examine};
use dcmshard::identity::SourceId;
use dcmshard::pipeline::Pipeline;
use dcmshard::reason::{Class, Reason};
use dcmshard::recipe::Recipe;
use dcmshard::slice::{Bytes, InputRef, Ordinal, Outcome, Pixels, SliceRef};
use dcmshard::stage::Scratch;
use dicom_dictionary_std::tags;

use crate::cli::dcmshard;
use crate::made::key;
use draft::{Case, Draft, Encoding, Expected};

/// No file may take longer, in a build with checks on a slow machine.
const LONGEST: Duration = Duration::from_secs(5);

fn cases() -> Vec<Case> {
    let tables = [structure::cases(), pixels::cases(), codestreams::cases(), values::cases()];
    let cases: Vec<Case> = tables.into_iter().flat_map(|table| table.0).collect();
    let names: BTreeSet<&str> = cases.iter().map(|case| case.name.as_str()).collect();
    assert_eq!(names.len(), cases.len(), "two files of one name");
    cases
}

/// One frame through the whole line.
fn process(pipeline: &Pipeline, bytes: &[u8], frame: u32, scratch: &mut Scratch) -> Outcome {
    let input = InputRef::memory(SourceId([1; 24]), bytes.into());
    pipeline.process(&SliceRef { ordinal: Ordinal(0), input, frame }, scratch)
}

/// What the header pass says: the number of frames, or why not.
fn plan(bytes: &[u8]) -> Result<u32, Reason> {
    let examined = catch_unwind(AssertUnwindSafe(|| examine(&Bytes::Memory(bytes.into()), &Recipe::head())));
    match examined.unwrap_or_else(|_| panic!("the header pass panicked")) {
        Examined::Ct(ct) => Ok(ct.frames),
        Examined::Not(fault) => Err(fault.reason),
    }
}

/// What became of a file: of its first slice, and how many of its slices had which reason (`None`: a
/// row).
fn outcome(pipeline: &Pipeline, bytes: &[u8]) -> (Expected, BTreeMap<Option<Reason>, u64>) {
    let scratch = &mut Scratch::default();
    let mut slice = |frame| process(pipeline, bytes, frame, scratch).err().map(|reject| reject.fault.reason);
    let mut tally = BTreeMap::new();
    let first = match plan(bytes) {
        Err(reason) => {
            *tally.entry(Some(reason)).or_default() += 1;
            // A caller of the library may decode without having asked for the plan.
            assert_ne!(slice(0), Some(Reason::Internal), "decoded without a plan");
            Expected::Plan(reason)
        }
        Ok(frames) => {
            let reasons: Vec<Option<Reason>> = (0..frames).map(&mut slice).collect();
            reasons.iter().for_each(|reason| *tally.entry(*reason).or_default() += 1);
            reasons.first().copied().flatten().map_or(Expected::Row, Expected::Slice)
        }
    };
    assert!(!tally.contains_key(&Some(Reason::Internal)), "a panic");
    (first, tally)
}

#[test]
fn every_hostile_file_has_its_class_and_reason() {
    let temp = tempfile::tempdir().expect("a temporary folder");
    let (src, out) = (temp.path().join("src"), temp.path().join("out"));
    std::fs::create_dir(&src).expect("can be made");
    let pipeline = Pipeline::new(&Recipe::head(), &key());
    let (mut wrong, mut expected) = (Vec::new(), BTreeMap::new());
    let cases = cases();
    for (number, case) in cases.iter().enumerate() {
        let start = Instant::now();
        let found = catch_unwind(AssertUnwindSafe(|| outcome(&pipeline, &case.bytes)));
        let Ok((found, tally)) = found else {
            wrong.push(format!("{}: a panic", case.name));
            continue;
        };
        if found != case.expected {
            wrong.push(format!("{}: found {found:?}, expected {:?}", case.name, case.expected));
        }
        if start.elapsed() > LONGEST {
            wrong.push(format!("{}: {:?}", case.name, start.elapsed()));
        }
        tally.into_iter().for_each(|(reason, count)| *expected.entry(reason).or_default() += count);
        std::fs::write(src.join(format!("{number:04}")), &case.bytes).expect("can be written");
    }
    eprintln!("{} files", cases.len());
    assert!(wrong.is_empty(), "{} of {} files:\n{}", wrong.len(), cases.len(), wrong.join("\n"));

    let path = |path: &std::path::Path| path.display().to_string();
    let output = dcmshard(&["convert", &path(&src), "--out", &path(&out), "--memory", "64MiB", "--progress", "json"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    let last: serde_json::Value =
        serde_json::from_str(stderr.lines().last().expect("the last state")).expect("a JSON object");
    check_tally(&last["dataset"], &expected);
    let peak = last["peak_memory_bytes"].as_u64().expect("a number of bytes");
    eprintln!("peak {} MiB", peak >> 20);
    assert!(peak <= 128 << 20, "peak {} MiB, expected at most 64 + 64", peak >> 20);
}

/// Holds the counts that the program gives against those found slice by slice.
fn check_tally(dataset: &serde_json::Value, expected: &BTreeMap<Option<Reason>, u64>) {
    let count = |name: &str| dataset[name].as_u64().unwrap_or_else(|| panic!("{name} in {dataset}"));
    let of_class = |class| {
        let class_of = |reason: &Option<Reason>| reason.map_or(Class::Written, Reason::class);
        expected.iter().filter(|(reason, _)| class_of(reason) == class).map(|(_, count)| count).sum::<u64>()
    };
    for (reason, expected) in expected {
        if let Some(reason) = reason {
            assert_eq!(dataset["reasons"][reason.as_str()].as_u64(), Some(*expected), "{reason} in {dataset}");
        }
    }
    for (name, class) in [
        ("written", Class::Written),
        ("rejected", Class::Rejected),
        ("filtered", Class::Filtered),
        ("duplicate", Class::Duplicate),
    ] {
        assert_eq!(count(name), of_class(class), "{name} in {dataset}");
    }
    let parts = ["written", "rejected", "filtered", "duplicate"].map(count);
    assert_eq!(count("found"), parts.iter().sum::<u64>(), "{dataset}");
}

fn pixels_of(draft: Draft) -> Pixels {
    let pipeline = Pipeline::new(&Recipe::head(), &key());
    process(&pipeline, &draft.bytes(), 0, &mut Scratch::default()).map(|slice| slice.pixels).expect("a row")
}

#[test]
fn window_attributes_never_change_a_pixel() {
    let sound = Draft::new("2.25.1", Encoding::Explicit);
    let expected = pixels_of(sound.clone());
    for (name, lie) in values::window_lies() {
        let draft = lie.iter().fold(sound.clone(), |draft, (tag, vr, value)| draft.put(*tag, vr, value));
        assert!(pixels_of(draft) == expected, "{name}");
    }
}

#[test]
fn overlay_bits_above_the_stored_ones_never_change_a_pixel() {
    let cells = |high: u16| (0..64u16).flat_map(|n| ((n * 60) | high).to_le_bytes()).collect::<Vec<u8>>();
    for sign in [0, 1] {
        let twelve = Draft::new("2.25.1", Encoding::Explicit).bits(16, 12, 11).us(tags::PIXEL_REPRESENTATION, sign);
        let expected = pixels_of(twelve.clone().pixels(&cells(0)));
        for high in [0x1000, 0x8000, 0xF000] {
            assert!(pixels_of(twelve.clone().pixels(&cells(high))) == expected, "sign {sign}, bits {high:#x}");
        }
    }
}
