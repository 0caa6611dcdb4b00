//! Hostile and broken files: each has its class and reason, none a panic, none more memory or time
//! than a sound one may take.

mod codestreams;
mod draft;
mod encoded;
mod mutation;
mod pixels;
mod structure;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use dcmshard::decode::{Examined, examine};
use dcmshard::identity::SourceId;
use dcmshard::pipeline::Pipeline;
use dcmshard::reason::{Class, Reason};
use dcmshard::recipe::Recipe;
use dcmshard::slice::{Bytes, InputRef, Ordinal, Outcome, Pixels, SliceRef};
use dcmshard::stage::Scratch;
use dicom_dictionary_std::tags;

use crate::made::key;
use crate::runs::{Ended, convert};
use draft::{Case, Draft, Encoding, Expected};

/// No file may take more processor time, with the start of the program, in a build with checks.
const LONGEST: Duration = Duration::from_secs(5);

/// `--memory` and 64 MiB.
const PEAK_BYTES: u64 = 128 << 20;

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

/// The header pass, with the limits that ship: the one place where the tests of broken files call it.
pub fn examined(bytes: &Bytes) -> Examined {
    examine(bytes)
}

/// What the header pass says: the number of frames, or why not.
fn plan(bytes: &[u8]) -> Result<u32, Reason> {
    let examined = catch_unwind(AssertUnwindSafe(|| examined(&Bytes::Memory(bytes.into()))));
    match examined.unwrap_or_else(|_| panic!("the header pass panicked")) {
        Examined::Ct(ct) => Ok(ct.frames),
        Examined::Not(fault) => Err(fault.reason),
    }
}

/// What became of a file: of its first slice, and how many of its slices had which reason (`None`: a
/// row).
fn outcome(pipeline: &Pipeline, bytes: &[u8]) -> (Expected, Found) {
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

/// Slices of a file, or of all, by reason (`None`: a row).
type Found = BTreeMap<Option<Reason>, u64>;

#[test]
fn every_hostile_file_has_its_class_and_reason() {
    let pipeline = Pipeline::new(&Recipe::head(), &key());
    let cases = cases();
    let mut wrong = Vec::new();
    for case in &cases {
        match catch_unwind(AssertUnwindSafe(|| outcome(&pipeline, &case.bytes))) {
            Ok((found, _)) if found == case.expected => {}
            Ok((found, _)) => wrong.push(format!("{}: found {found:?}, expected {:?}", case.name, case.expected)),
            Err(_) => wrong.push(format!("{}: a panic", case.name)),
        }
    }
    eprintln!("{} files", cases.len());
    assert!(wrong.is_empty(), "{} of {} files:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

#[test]
fn every_hostile_file_alone_ends_in_its_class_within_memory_and_time() {
    let temp = tempfile::tempdir().expect("a temporary folder");
    let pipeline = Pipeline::new(&Recipe::head(), &key());
    let cases = cases();
    let run = |thread: usize| {
        let (mut wrong, mut most) = (Vec::new(), (0, Duration::ZERO));
        for (number, case) in cases.iter().enumerate().skip(thread).step_by(2) {
            let (_, expected) = outcome(&pipeline, &case.bytes);
            let file = temp.path().join(format!("{number}.dcm"));
            std::fs::write(&file, &case.bytes).expect("can be written");
            let out = temp.path().join(format!("{number}"));
            let ended = convert(&[&file], &out.join("out"), &["--threads", "1", "--max-rejects", "0"]);
            wrong.extend(check_ended(&ended, &expected).into_iter().map(|problem| format!("{}: {problem}", case.name)));
            most = (most.0.max(ended.peak_bytes()), most.1.max(ended.cpu));
            std::fs::remove_dir_all(&out).expect("can be removed");
            std::fs::remove_file(&file).expect("can be removed");
        }
        (wrong, most)
    };
    let [one, two] = std::thread::scope(|scope| {
        [0, 1].map(|thread| scope.spawn(move || run(thread))).map(|thread| thread.join().expect("no panic"))
    });
    let wrong = [one.0, two.0].concat();
    eprintln!(
        "{} files alone: peak {} MiB, at most {:?} of processor time",
        cases.len(),
        one.1.0.max(two.1.0) >> 20,
        one.1.1.max(two.1.1)
    );
    assert!(wrong.is_empty(), "{} of {} files:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

#[test]
fn all_hostile_files_in_one_folder_are_counted_within_memory() {
    let temp = tempfile::tempdir().expect("a temporary folder");
    let src = temp.path().join("src");
    std::fs::create_dir(&src).expect("can be made");
    let pipeline = Pipeline::new(&Recipe::head(), &key());
    let mut expected = Found::new();
    for (number, case) in cases().into_iter().enumerate() {
        let (_, found) = outcome(&pipeline, &case.bytes);
        found.into_iter().for_each(|(reason, count)| *expected.entry(reason).or_default() += count);
        std::fs::write(src.join(format!("{number:04}")), &case.bytes).expect("can be written");
    }
    let ended = convert(&[&src], &temp.path().join("out"), &["--max-rejects", "0"]);
    eprintln!("all in one folder: peak {} MiB", ended.peak_bytes() >> 20);
    assert_eq!(check_ended(&ended, &expected), Vec::<String>::new());
}

/// What is wrong with a run that was to find these, with any reject too many.
fn check_ended(ended: &Ended, expected: &Found) -> Vec<String> {
    if ended.last["dataset"].is_null() {
        return vec![format!("ended by {:?}: {}", ended.code, ended.stderr)];
    }
    let mut wrong: Vec<String> = ended.check_balance().err().into_iter().collect();
    let of_class = |class| {
        let class_of = |reason: &Option<Reason>| reason.map_or(Class::Written, Reason::class);
        expected.iter().filter(|(reason, _)| class_of(reason) == class).map(|(_, count)| count).sum::<u64>()
    };
    for class in [Class::Written, Class::Rejected, Class::Filtered, Class::Duplicate] {
        let (found, expected) = (ended.count(class.as_str()), of_class(class));
        if found != expected {
            wrong.push(format!("{found} {}, expected {expected}", class.as_str()));
        }
    }
    for (reason, expected) in expected {
        let Some(reason) = reason else { continue };
        if ended.reason(reason.as_str()) != *expected {
            wrong.push(format!("{} of {reason}, expected {expected}", ended.reason(reason.as_str())));
        }
    }
    let code = if of_class(Class::Rejected) > 0 { 3 } else { 0 };
    if ended.code != Some(code) {
        wrong.push(format!("exit code {:?}, expected {code}", ended.code));
    }
    if ended.peak_bytes() > PEAK_BYTES {
        wrong.push(format!("peak {} MiB, expected at most 64 + 64", ended.peak_bytes() >> 20));
    }
    if ended.cpu > LONGEST {
        wrong.push(format!("{:?} of processor time, expected at most {LONGEST:?}", ended.cpu));
    }
    wrong
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
