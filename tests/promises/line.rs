//! A small archive in memory, and runs of the line over it: shared by the promises about running.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use dcmshard::error::Error;
use dcmshard::identity::SourceId;
use dcmshard::options::Options;
use dcmshard::pipeline::Pipeline;
use dcmshard::plan::PlannedSlice;
use dcmshard::recipe::Recipe;
use dcmshard::runner::{self, Cancel, Counters, Line, ShardPlan};
use dcmshard::sink::ledger::Tally;
use dcmshard::sink::publish::OutputFolder;
use dcmshard::slice::{InputRef, Ordinal, SliceRef};

use crate::made::{Ct, key};
use crate::shards;

pub type Tested = Result<(), Box<dyn std::error::Error>>;

/// Slices of one shard in these tests: two row groups, the second one short.
pub const SHARD: usize = 20;
/// What the plan would say of one slice of 64x64.
pub const PLANNED_BYTES: u64 = 6 * 64 * 64;

pub fn options(threads: usize, capacity: usize, memory_mib: u64) -> Options {
    Options {
        threads: NonZeroUsize::new(threads).expect("not 0"),
        channel_capacity: NonZeroUsize::new(capacity).expect("not 0"),
        memory_bytes: memory_mib << 20,
        ..Options::default()
    }
}

/// `n` inputs, no two alike; of those at a multiple of `bad_every`, most pixels are missing.
pub fn inputs(n: usize, bad_every: usize) -> Vec<Arc<[u8]>> {
    let input = |at: usize| {
        let (long, tilt_deg) = (20.0 + at as f64 / 32.0, (at % 40) as f64 - 20.0);
        let mut bytes = Ct::head(64, long, 15.0, tilt_deg).with_uid(at as u32).bytes();
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

fn planned(shard: u32, at: &SliceRef) -> PlannedSlice {
    PlannedSlice { at: at.clone(), shard, weight_bytes: PLANNED_BYTES, sop_key: None }
}

/// `inputs` cut into shards of [`SHARD`] slices.
pub fn shards(inputs: &[Arc<[u8]>]) -> Vec<ShardPlan> {
    let shard = |(shard, slices): (usize, &[SliceRef])| ShardPlan {
        generation: 1,
        shard: shard as u32,
        plan_sha256: "cd".repeat(32),
        slices: slices.iter().map(|slice| planned(shard as u32, slice)).collect(),
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
    let line =
        Line { pipeline, recipe: &recipe, options, folder: &folder, sources: &[], key_id: &key().id(), suspects: None };
    runner::run_shards(&line, shards, counters, cancel)
}

/// SHA-256 of every shard and ledger part of `out`. (Manifests say how often there was a run.)
pub fn hashes(out: &Path) -> BTreeMap<String, String> {
    let of = |folder| {
        shards::hashes(&out.join(folder)).into_iter().map(move |(name, sha)| (format!("{folder}/{name}"), sha))
    };
    ["data", "ledger"].into_iter().flat_map(of).collect()
}

/// Names left in `.tmp`.
pub fn leftovers(out: &Path) -> usize {
    std::fs::read_dir(out.join(".tmp")).expect("there is a .tmp").count()
}
