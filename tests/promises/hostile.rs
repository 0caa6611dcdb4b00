//! Hostile and broken files: each has its class and reason, none a panic, none more memory or time
//! than a sound one may take.

mod bombs;
mod codestreams;
pub mod draft;
pub mod encoded;
pub mod mutation;
pub mod newer;
mod pixels;
mod structure;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use dcmshard::decode::{Decoder, Examined, examine};
use dcmshard::identity::SourceId;
use dcmshard::pipeline::Pipeline;
use dcmshard::reason::{Class, Fault, Reason};
use dcmshard::recipe::Recipe;
use dcmshard::slice::{Bytes, InputRef, Ordinal, Outcome, Pixels, Slice, SliceRef};
use dcmshard::stage::Scratch;
use dicom_dictionary_std::tags;

use crate::made::key;
use crate::runs::{Ended, convert};
use draft::{Case, Draft, Encoding, Expected};

/// No file may take more processor time, with the start of the program, in a build with checks.
const LONGEST: Duration = Duration::from_secs(5);

/// `--memory` of the runs.
const MEMORY_BYTES: u64 = 64 << 20;
/// What the program may take beside it.
const BESIDE_BYTES: u64 = 64 << 20;

/// Files with one slice that is heavier than all of `--memory` and waits until it is alone: their bound
/// is what the plan sets aside for that slice.
const HEAVY: [&str; 1] = ["JPEG XL of 4096 by 4096"];

fn cases() -> Vec<Case> {
    let tables =
        [structure::cases(), pixels::cases(), codestreams::cases(), newer::cases(), bombs::cases(), values::cases()];
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
    examine(bytes, &Recipe::head())
}

/// One frame of a file in memory, decoded.
pub fn decode(bytes: &[u8], frame: u32) -> Result<Slice, Fault> {
    let input = InputRef::memory(SourceId([1; 24]), bytes.into());
    Decoder::new(&Recipe::head(), &key())
        .decode(&SliceRef { ordinal: Ordinal(0), input, frame }, &mut Scratch::default())
}

/// Stored values, row by row.
pub fn stored(pixels: &Pixels) -> Vec<i32> {
    match pixels {
        Pixels::U8(a) => a.iter().map(|&v| v.into()).collect(),
        Pixels::U16(a) => a.iter().map(|&v| v.into()).collect(),
        Pixels::I16(a) => a.iter().map(|&v| v.into()).collect(),
        Pixels::I32(a) => a.iter().copied().collect(),
    }
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

/// A file, and what became of it in this process (`None`: it panicked).
type CaseOutcome = (Case, Option<(Expected, Found)>);

/// Every file; found out once for all tests.
static OUTCOMES: LazyLock<Vec<CaseOutcome>> = LazyLock::new(|| {
    let cases = cases();
    let found = in_two_threads(&cases, |case| {
        let pipeline = Pipeline::new(&Recipe::head(), &key());
        catch_unwind(AssertUnwindSafe(|| outcome(&pipeline, &case.bytes))).ok()
    });
    cases.into_iter().zip(found).collect()
});

/// Results in the order of `items`.
pub fn in_two_threads<T: Sync, R: Send>(items: &[T], of: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let (next, of) = (AtomicUsize::new(0), &of);
    let work = || {
        let mut done = Vec::new();
        while let Some((at, item)) =
            Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|at| Some((at, items.get(at)?)))
        {
            done.push((at, of(item)));
        }
        done
    };
    let mut results = std::thread::scope(|scope| {
        let threads = [scope.spawn(work), scope.spawn(work)];
        threads.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect::<Vec<_>>()
    });
    results.sort_by_key(|(at, _)| *at);
    results.into_iter().map(|(_, result)| result).collect()
}

#[test]
fn every_hostile_file_has_its_class_and_reason() {
    let mut wrong = Vec::new();
    for (case, found) in OUTCOMES.iter() {
        match found {
            Some((found, _)) if *found == case.expected => {}
            Some((found, _)) => wrong.push(format!("{}: found {found:?}, expected {:?}", case.name, case.expected)),
            None => wrong.push(format!("{}: a panic", case.name)),
        }
    }
    eprintln!("{} files", OUTCOMES.len());
    assert!(wrong.is_empty(), "{} of {} files:\n{}", wrong.len(), OUTCOMES.len(), wrong.join("\n"));
}

#[test]
fn every_hostile_file_alone_ends_in_its_class_within_memory_and_time() {
    let temp = tempfile::tempdir().expect("a temporary folder");
    let number = AtomicUsize::new(0);
    let ended = in_two_threads(&OUTCOMES, |(case, found)| {
        let name = number.fetch_add(1, Ordering::Relaxed).to_string();
        let (file, out) = (temp.path().join(format!("{name}.dcm")), temp.path().join(name));
        std::fs::write(&file, &case.bytes).expect("can be written");
        let ended = convert(&[&file], &out.join("out"), &["--threads", "1", "--max-rejects", "0"]);
        std::fs::remove_dir_all(&out).expect("can be removed");
        std::fs::remove_file(&file).expect("can be removed");
        let heavy = if HEAVY.contains(&case.name.as_str()) { heaviest(&case.bytes) } else { 0 };
        let expected = found.as_ref().map(|(_, found)| found.clone()).unwrap_or_default();
        let wrong = check_ended(&ended, &expected, heavy).into_iter().map(|what| format!("{}: {what}", case.name));
        (wrong.collect::<Vec<_>>(), ended.peak_bytes(), ended.cpu)
    });
    let wrong: Vec<String> = ended.iter().flat_map(|(wrong, ..)| wrong.clone()).collect();
    let mut peaks: Vec<u64> = ended.iter().map(|(_, peak, _)| peak >> 20).collect();
    peaks.sort_unstable();
    let longest = ended.iter().map(|(.., cpu)| *cpu).max();
    let most = &peaks[peaks.len() - 2..];
    eprintln!("{} files alone: peaks up to {most:?} MiB, processor time up to {longest:?}", ended.len());
    assert!(wrong.is_empty(), "{} of {} files:\n{}", wrong.len(), ended.len(), wrong.join("\n"));
}

/// Converts the files that `is_in` takes, all in one folder.
fn convert_together(is_in: impl Fn(u64) -> bool) -> Vec<String> {
    let temp = tempfile::tempdir().expect("a temporary folder");
    let src = temp.path().join("src");
    std::fs::create_dir(&src).expect("can be made");
    let (mut expected, mut files, mut most) = (Found::new(), 0, 0);
    for (case, found) in OUTCOMES.iter() {
        let weight = heaviest(&case.bytes);
        if !is_in(weight) {
            continue;
        }
        let found = found.iter().flat_map(|(_, found)| found);
        found.for_each(|(reason, count)| *expected.entry(*reason).or_default() += count);
        std::fs::write(src.join(format!("{files:04}")), &case.bytes).expect("can be written");
        (files, most) = (files + 1, most.max(weight));
    }
    let ended = convert(&[&src], &temp.path().join("out"), &["--threads", "2", "--max-rejects", "0"]);
    eprintln!("{files} files in one folder: peak {} MiB, {:?} of processor time", ended.peak_bytes() >> 20, ended.cpu);
    check_ended(&Ended { cpu: ended.cpu / files, ..ended }, &expected, most)
}

#[test]
fn all_hostile_files_in_one_folder_are_counted() {
    assert_eq!(convert_together(|_| true), Vec::<String>::new());
}

#[test]
fn hostile_files_in_one_folder_stay_within_memory() {
    assert_eq!(convert_together(|weight| weight <= MEMORY_BYTES), Vec::<String>::new());
}

/// What the plan sets aside for the heaviest slice of a file.
fn heaviest(bytes: &[u8]) -> u64 {
    match examined(&Bytes::Memory(bytes.into())) {
        Examined::Ct(ct) => ct.bytes_per_slice + 4 * u64::from(ct.rows) * u64::from(ct.columns),
        Examined::Not(_) => 0,
    }
}

/// What is wrong with a run that was to find these, with any reject too many.
fn check_ended(ended: &Ended, expected: &Found, heaviest: u64) -> Vec<String> {
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
    let most = BESIDE_BYTES + heaviest.max(MEMORY_BYTES);
    if ended.peak_bytes() > most {
        wrong.push(format!("peak {} MiB, expected at most {}", ended.peak_bytes() >> 20, most >> 20));
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
