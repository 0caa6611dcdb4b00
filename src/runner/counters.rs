//! Live counts of a run, for progress only: never part of any output.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::pipeline::Pipeline;
use crate::sink::ledger::Tally;

/// Counts that threads of the run add to, and a progress thread reads while it goes.
#[derive(Debug)]
pub struct Counters {
    steps: Vec<Step>,
    encode: Step,
    headers_read: AtomicU64,
    found: AtomicU64,
    planned: AtomicU64,
    plan_is_complete: AtomicBool,
    existing: AtomicU64,
    walked: AtomicU64,
    bytes_read: AtomicU64,
    written: AtomicU64,
    rejected: AtomicU64,
    shards: AtomicU64,
    peak_bytes: AtomicU64,
}

#[derive(Debug)]
struct Step {
    name: &'static str,
    slices: AtomicU64,
    busy_ns: AtomicU64,
}

impl Step {
    fn new(name: &'static str) -> Step {
        Step { name, slices: AtomicU64::new(0), busy_ns: AtomicU64::new(0) }
    }

    fn add(&self, slices: u64, since: Instant) {
        self.slices.fetch_add(slices, Relaxed);
        self.busy_ns.fetch_add(u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }

    fn snapshot(&self) -> StepSnapshot {
        let busy = Duration::from_nanos(self.busy_ns.load(Relaxed));
        StepSnapshot { name: self.name, slices: self.slices.load(Relaxed), busy }
    }
}

/// What one step did so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepSnapshot {
    /// The step's name; `encode` for the encoding of row groups.
    pub name: &'static str,
    /// Slices that it worked on (those rejected before it do not count).
    pub slices: u64,
    /// Time spent in it, added up over threads.
    pub busy: Duration,
}

/// What a run did so far. The counts are read one after another: they need not agree with each
/// other before the run ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The steps of the line in order, then `encode`.
    pub steps: Vec<StepSnapshot>,
    /// Inputs whose header the plan has read in this run: it moves before a segment is full.
    pub headers_read: u64,
    /// Slices, and inputs that hold none, as far as the plan has come.
    pub found: u64,
    /// Slices that have their place in the plan, as far as it has come.
    pub planned: u64,
    /// Whether the plan has come to its end: `found` and `planned` grow no more.
    pub plan_is_complete: bool,
    /// Planned slices of shards that were there already: nothing is left to do for them.
    pub existing: u64,
    /// Slices sent down the line.
    pub walked: u64,
    /// Bytes of the inputs opened.
    pub bytes_read: u64,
    /// Rows, in shards not yet published included.
    pub written: u64,
    /// Rejected slices.
    pub rejected: u64,
    /// Shards published by this run.
    pub shards: u64,
    /// The largest sum of weights in flight at one moment, bytes.
    pub peak_bytes: u64,
}

impl Counters {
    /// Counters for the steps of `pipeline`, all 0.
    pub fn new(pipeline: &Pipeline) -> Counters {
        let zero = || AtomicU64::new(0);
        Counters {
            steps: (0..pipeline.steps()).map(|step| Step::new(pipeline.step_name(step))).collect(),
            encode: Step::new("encode"),
            headers_read: zero(),
            found: zero(),
            planned: zero(),
            plan_is_complete: AtomicBool::new(false),
            existing: zero(),
            walked: zero(),
            bytes_read: zero(),
            written: zero(),
            rejected: zero(),
            shards: zero(),
            peak_bytes: zero(),
        }
    }

    /// The counts as they are now.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            steps: self.steps.iter().chain([&self.encode]).map(Step::snapshot).collect(),
            headers_read: self.headers_read.load(Relaxed),
            found: self.found.load(Relaxed),
            planned: self.planned.load(Relaxed),
            plan_is_complete: self.plan_is_complete.load(Relaxed),
            existing: self.existing.load(Relaxed),
            walked: self.walked.load(Relaxed),
            bytes_read: self.bytes_read.load(Relaxed),
            written: self.written.load(Relaxed),
            rejected: self.rejected.load(Relaxed),
            shards: self.shards.load(Relaxed),
            peak_bytes: self.peak_bytes.load(Relaxed),
        }
    }

    pub(super) fn step_done(&self, step: usize, since: Instant) {
        if let Some(step) = self.steps.get(step) {
            step.add(1, since);
        }
    }

    pub(super) fn encoded(&self, rows: usize, since: Instant) {
        self.encode.add(rows as u64, since);
    }

    /// The plan is about to read a header.
    pub(crate) fn header_read(&self) {
        self.headers_read.fetch_add(1, Relaxed);
    }

    /// A segment of the plan was made, or read back; `tally` is its own.
    pub(crate) fn segment_planned(&self, tally: &Tally) {
        let classed: u64 = tally.classes.values().sum();
        self.found.fetch_add(tally.found, Relaxed);
        self.planned.fetch_add(tally.found.saturating_sub(classed), Relaxed);
    }

    /// The last segment was made.
    pub(crate) fn plan_complete(&self) {
        self.plan_is_complete.store(true, Relaxed);
    }

    /// A shard of so many planned slices was there already.
    pub(super) fn shard_exists(&self, slices: u64) {
        self.existing.fetch_add(slices, Relaxed);
    }

    pub(super) fn walked(&self, in_flight_bytes: u64) {
        self.walked.fetch_add(1, Relaxed);
        self.peak_bytes.fetch_max(in_flight_bytes, Relaxed);
    }

    pub(super) fn read(&self, bytes: u64) {
        self.bytes_read.fetch_add(bytes, Relaxed);
    }

    pub(super) fn outcome(&self, written: bool) {
        if written { &self.written } else { &self.rejected }.fetch_add(1, Relaxed);
    }

    pub(super) fn shard_published(&self) {
        self.shards.fetch_add(1, Relaxed);
    }
}
