//! A small archive in memory, and runs of the line over it: shared by the promises about running.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use dcmshard::error::Error;
use dcmshard::identity::{Key, SourceId};
use dcmshard::options::Options;
use dcmshard::pipeline::Pipeline;
use dcmshard::recipe::Recipe;
use dcmshard::runner::{self, Cancel, Counters, Line, ShardPlan};
use dcmshard::sink::ledger::Tally;
use dcmshard::sink::publish::{self, OutputFolder};
use dcmshard::slice::{InputRef, Ordinal, SliceRef};

pub type Tested = Result<(), Box<dyn std::error::Error>>;

/// Slices of one shard in these tests: two row groups, the second one short.
pub const SHARD: usize = 20;
/// What the plan would say of one slice of [`ct`].
pub const PLANNED_BYTES: u64 = 6 * 64 * 64;

pub fn key() -> Key {
    Key::new([7; 32])
}

pub fn options(threads: usize, capacity: usize, memory_mib: u64) -> Options {
    Options {
        threads: NonZeroUsize::new(threads).expect("not 0"),
        channel_capacity: NonZeroUsize::new(capacity).expect("not 0"),
        memory_bytes: memory_mib << 20,
        ..Options::default()
    }
}

/// An uncompressed CT slice of 64x64: a bright disc with texture that depends on `seed`.
pub fn ct(seed: u16) -> Vec<u8> {
    let mut body = Vec::new();
    let uid = format!("2.25.{}", 1000 + u32::from(seed));
    element(&mut body, (0x0008, 0x0016), b"UI", b"1.2.840.10008.5.1.4.1.1.2");
    element(&mut body, (0x0008, 0x0018), b"UI", uid.as_bytes());
    element(&mut body, (0x0008, 0x0060), b"CS", b"CT");
    element(&mut body, (0x0028, 0x0002), b"US", &1u16.to_le_bytes());
    element(&mut body, (0x0028, 0x0004), b"CS", b"MONOCHROME2");
    element(&mut body, (0x0028, 0x0010), b"US", &64u16.to_le_bytes());
    element(&mut body, (0x0028, 0x0011), b"US", &64u16.to_le_bytes());
    for (number, value) in [(0x0100, 16u16), (0x0101, 16), (0x0102, 15), (0x0103, 1)] {
        element(&mut body, (0x0028, number), b"US", &value.to_le_bytes());
    }
    element(&mut body, (0x0028, 0x1052), b"DS", b"0");
    element(&mut body, (0x0028, 0x1053), b"DS", b"1");
    let pixels: Vec<u8> = (0..64i32 * 64)
        .flat_map(|at| {
            let (row, column) = (at / 64 - 32, at % 64 - 32);
            let inside = row * row * 2 + column * column < 700;
            let texture = (at as u16).wrapping_mul(seed | 1) % 40;
            (if inside { 20 + texture as i16 } else { -1000 }).to_le_bytes()
        })
        .collect();
    element(&mut body, (0x7fe0, 0x0010), b"OW", &pixels);

    let mut meta = Vec::new();
    element(&mut meta, (0x0002, 0x0001), b"OB", &[0, 1]);
    element(&mut meta, (0x0002, 0x0002), b"UI", b"1.2.840.10008.5.1.4.1.1.2");
    element(&mut meta, (0x0002, 0x0003), b"UI", uid.as_bytes());
    element(&mut meta, (0x0002, 0x0010), b"UI", b"1.2.840.10008.1.2.1");
    let mut file = vec![0; 128];
    file.extend(b"DICM");
    element(&mut file, (0x0002, 0x0000), b"UL", &(meta.len() as u32).to_le_bytes());
    file.extend(meta);
    file.extend(body);
    file
}

/// One element, explicit VR little endian, padded to even length (PS3.5, 7.1.2).
fn element(to: &mut Vec<u8>, tag: (u16, u16), vr: &[u8; 2], value: &[u8]) {
    to.extend(tag.0.to_le_bytes());
    to.extend(tag.1.to_le_bytes());
    to.extend(vr);
    let length = value.len().next_multiple_of(2);
    if matches!(vr, b"OB" | b"OW") {
        to.extend([0, 0]);
        to.extend((length as u32).to_le_bytes());
    } else {
        to.extend((length as u16).to_le_bytes());
    }
    to.extend(value);
    let pad = if vr == b"UI" { 0 } else { b' ' };
    to.extend(std::iter::repeat_n(pad, length - value.len()));
}

/// `n` inputs; of those at a multiple of `bad_every`, half of the pixels are missing.
pub fn inputs(n: usize, bad_every: usize) -> Vec<Arc<[u8]>> {
    let input = |at: usize| {
        let mut bytes = ct(at as u16);
        if at.is_multiple_of(bad_every) {
            bytes.truncate(900);
        }
        bytes.into()
    };
    (0..n).map(input).collect()
}

/// The slices of `inputs`, in order.
pub fn slices(inputs: &[Arc<[u8]>]) -> Vec<SliceRef> {
    let slice = |(at, bytes): (usize, &Arc<[u8]>)| SliceRef {
        ordinal: Ordinal(at as u64),
        input: InputRef::memory(SourceId([at as u8; 24]), bytes.clone()),
        frame: 0,
    };
    inputs.iter().enumerate().map(slice).collect()
}

/// `inputs` cut into shards of [`SHARD`] slices.
pub fn shards(inputs: &[Arc<[u8]>]) -> Vec<ShardPlan> {
    let shard = |(shard, slices): (usize, &[SliceRef])| ShardPlan {
        generation: 1,
        shard: shard as u32,
        plan_sha256: "cd".repeat(32),
        slices: slices.iter().map(|slice| (slice.clone(), PLANNED_BYTES)).collect(),
    };
    slices(inputs).chunks(SHARD).enumerate().map(shard).collect()
}

/// Runs the line of recipe `head` over `shards` into `out`.
pub fn convert(out: &Path, options: &Options, shards: Vec<ShardPlan>) -> Result<Tally, Error> {
    let pipeline = Pipeline::new(&Recipe::head(), &key());
    let counters = Counters::new(&pipeline);
    convert_with(out, options, &pipeline, shards.into_iter().map(Ok), &counters, &Cancel::default())
}

/// As [`convert`], with everything to be chosen.
pub fn convert_with(
    out: &Path,
    options: &Options,
    pipeline: &Pipeline,
    shards: impl Iterator<Item = Result<ShardPlan, Error>> + Send,
    counters: &Counters,
    cancel: &Cancel,
) -> Result<Tally, Error> {
    let folder = OutputFolder::create(out, 0o750)?;
    folder.sweep()?;
    let recipe = Recipe::head();
    let line = Line { pipeline, recipe: &recipe, options, folder: &folder, key_id: &key().id() };
    runner::run_shards(&line, shards, counters, cancel)
}

/// SHA-256 of every file below `out` but the manifests, which say how often there was a run.
pub fn hashes(out: &Path) -> BTreeMap<String, String> {
    let mut hashes = BTreeMap::new();
    for folder in ["data/g000001", "ledger/g000001"] {
        let Ok(entries) = std::fs::read_dir(out.join(folder)) else { continue };
        for entry in entries {
            let path = entry.expect("readable").path();
            let hash = publish::hash(&mut std::fs::File::open(&path).expect("readable")).expect("readable");
            let name = path.strip_prefix(out).expect("below out").display().to_string();
            hashes.insert(name, hash.sha256);
        }
    }
    hashes
}

/// Names left in `.tmp`.
pub fn leftovers(out: &Path) -> usize {
    std::fs::read_dir(out.join(".tmp")).expect("there is a .tmp").count()
}
