//! The runner: owns the threads and the bounded channels of the line.
//!
//! ```text
//!              permits <--------------------------------- given back in ordinal order
//!                 |                                                      |
//! plan -> walker -> [ ] -> decode -> [ ] -> stage -> [ ] ... -> [ ] -> sink -> [ ] -> committer
//!                            ^ workers serve every [ ] up to the sink ^  | ^
//!                                                      row groups to encode and back
//! ```
//!
//! The walker takes slices with their permits; N workers do every step and every encode; the sink
//! restores the order and owns the files; the committer makes them durable and visible.
//! [`crate::pipeline::Pipeline::process`] in a loop gives the same rows.

mod assembly;
mod cancel;
mod counters;
mod permits;
mod stop;
mod verdicts;
mod walker;
mod workers;

use std::ops::Range;
use std::thread;

use crossbeam_channel::{Receiver, bounded, select_biased};

pub use self::cancel::Cancel;
pub use self::counters::{Counters, Snapshot, StepSnapshot};
pub use self::walker::ShardPlan;

use self::assembly::{Assembly, Ends};
use self::permits::{Budget, Permits};
use self::stop::{Bomb, Stop};
use self::walker::{Walked, Walker};
use self::workers::{Channels, Worker};
use crate::error::Error;
use crate::options::Options;
use crate::pipeline::Pipeline;
use crate::plan::Segment;
use crate::recipe::Recipe;
use crate::sink::ledger::Tally;
use crate::sink::manifest;
use crate::sink::publish::OutputFolder;
use crate::sink::rows::RowEncoder;
use crate::sink::shard::{FinishedShard, ShardRecord};
use crate::source::Source;
use crate::suspects::Suspects;

/// Shards that may wait for their fsync at one moment, beside the one being synced.
const WAITING_SHARDS: usize = 2;

/// What a run works with.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// The steps, in order.
    pub pipeline: &'a Pipeline,
    /// The recipe that `pipeline` was made of.
    pub recipe: &'a Recipe,
    /// Threads, memory, channel capacity.
    pub options: &'a Options,
    /// OUT, locked by the caller and swept.
    pub folder: &'a OutputFolder,
    /// Where the inputs lie: when one cannot be read and its source is gone, the run ends.
    pub sources: &'a [Source],
    /// Public id of the key, see [`crate::identity::Key::id`].
    pub key_id: &'a str,
    /// What dead processes worked on, and a place to say what this one does.
    pub suspects: Option<&'a Suspects>,
}

/// What the threads of a run share.
struct Shared<'a> {
    line: &'a Line<'a>,
    counters: &'a Counters,
    cancel: &'a Cancel,
    recipe_hash: String,
    budget: Budget,
    permits: Permits,
    encoder: RowEncoder,
    stop: Stop,
}

impl Shared<'_> {
    /// The shard of these slices is there: nobody suspects them any more.
    fn settle(&self, ordinals: Range<u64>) {
        if let Some(suspects) = self.line.suspects {
            suspects.settle(ordinals);
        }
    }
}

/// Makes every planned shard that is not there yet, publishes each, and the manifest at the end (which
/// a worker leaves to [`crate::finalize`]).
///
/// Returns the counts of all planned slices of `segments`, those of shards that were there already
/// included; what the plan itself classed (filtered, duplicate) stands in the segments' own
/// ledgers and is not part of it.
///
/// # Errors
/// The first error of any thread. [`Error::Interrupted`] where `cancel` asked for the end: whole
/// shards were published, the rest dropped. [`Error::Bug`] where the counts do not balance, or a
/// thread of the runner panicked.
pub fn run(
    line: &Line<'_>,
    segments: Receiver<Result<Segment, Error>>,
    counters: &Counters,
    cancel: &Cancel,
) -> Result<Tally, Error> {
    let feed = |shared: &Shared<'_>, walk: &mut Walk<'_>| {
        while let Some(segment) = next_segment(shared, &segments) {
            let go_on = match segment {
                Ok(segment) => {
                    shared.permits.set_aside(segment.index_bytes);
                    ShardPlan::of(&segment).all(|shard| walk(Ok(shard)))
                }
                Err(error) => walk(Err(error)),
            };
            if !go_on {
                return;
            }
        }
    };
    run_fed(line, feed, counters, cancel)
}

/// The next segment; none where the plan or the run has ended. (A run that fails does not wait for a
/// segment that may be an hour of header reading away.)
fn next_segment(shared: &Shared<'_>, segments: &Receiver<Result<Segment, Error>>) -> Option<Result<Segment, Error>> {
    select_biased! {
        recv(shared.stop.pulled()) -> _ => None,
        recv(segments) -> segment => segment.ok(),
    }
}

/// Takes a planned shard into the line; false when the run is over.
type Walk<'w> = dyn FnMut(Result<ShardPlan, Error>) -> bool + 'w;

/// As [`run`], for planned shards one by one: any shard can be made alone, on any machine, with the
/// same bytes.
///
/// # Errors
/// As [`run`].
pub fn run_shards(
    line: &Line<'_>,
    shards: impl Iterator<Item = Result<ShardPlan, Error>> + Send,
    counters: &Counters,
    cancel: &Cancel,
) -> Result<Tally, Error> {
    let feed = |_: &Shared<'_>, walk: &mut Walk<'_>| {
        let mut shards = shards;
        let _ = shards.all(walk);
    };
    run_fed(line, feed, counters, cancel)
}

/// `feed` hands the planned shards, one after another, to the function it is given, until that
/// returns false. (So that a shard's slices are made only when it is their turn.)
fn run_fed(
    line: &Line<'_>,
    feed: impl FnOnce(&Shared<'_>, &mut Walk<'_>) + Send,
    counters: &Counters,
    cancel: &Cancel,
) -> Result<Tally, Error> {
    let budget = Budget::new(line.recipe, line.options);
    let shared = Shared {
        line,
        counters,
        cancel,
        recipe_hash: line.recipe.hash(),
        budget,
        permits: Permits::new(budget),
        encoder: RowEncoder::new(line.recipe, line.pipeline.columns())?,
        stop: Stop::new(),
    };
    let (walked, committed) = run_threads(&shared, feed);
    let recipe_hash = shared.recipe_hash;
    if let Some(error) = shared.stop.into_error() {
        return Err(error);
    }
    if let Some(code) = cancel.requested() {
        // No manifest: it would lack the shards that this run has not walked past.
        return Err(Error::Interrupted(code));
    }
    let mut tally = walked.tally;
    tally += &committed.tally;
    let mut records = walked.existing;
    records.extend(committed.records);
    if line.options.worker.is_none() {
        manifest::publish(line.folder, &recipe_hash, line.key_id, records)?;
    }
    tally.check()?;
    Ok(tally)
}

/// Starts all threads and waits for them. What a panicking thread would have returned is missing
/// then; its bomb has recorded the error.
fn run_threads(shared: &Shared<'_>, feed: impl FnOnce(&Shared<'_>, &mut Walk<'_>) + Send) -> (Walked, Committed) {
    let options = shared.line.options;
    let capacity = options.channel_capacity.get();
    let (slices_in, slices) = bounded(capacity);
    let stages: Vec<_> = (0..shared.line.pipeline.steps()).map(|_| bounded(capacity)).collect();
    let (jobs_in, jobs) = bounded(shared.budget.encodes);
    let (encoded_in, encoded) = bounded(shared.budget.encodes);
    let (notes_in, notes) = bounded(1);
    let (finished_in, finished) = bounded(WAITING_SHARDS - 1);
    let channels = Channels { slices, stages, jobs, encoded: encoded_in };
    let (_, outcomes) = &channels.stages[channels.stages.len() - 1];
    let ends = Ends { notes, outcomes, jobs: jobs_in, encoded: &encoded, finished: finished_in };
    thread::scope(|scope| {
        let committer = scope.spawn(move || commit(shared, finished));
        let mut others = vec![scope.spawn(move || Assembly::new(shared, ends).run())];
        for thread in 0..shared.budget.workers {
            let worker = Worker::new(shared, &channels, thread);
            others.push(scope.spawn(|| worker.run()));
        }
        let walker = Walker { shared, slices: slices_in, notes: notes_in };
        let walker = scope.spawn(move || walker.run(feed)).join().unwrap_or_default();
        for thread in others {
            let _ = thread.join(); // its bomb has told
        }
        (walker, committer.join().unwrap_or_default())
    })
}

/// What the committer published.
#[derive(Debug, Default)]
struct Committed {
    tally: Tally,
    records: Vec<ShardRecord>,
}

/// The committer's thread: publishes shards in order, so that no fsync holds the sink.
fn commit(shared: &Shared<'_>, finished: Receiver<FinishedShard>) -> Committed {
    let _bomb = Bomb { stop: &shared.stop, thread: "committer" };
    let mut committed = Committed::default();
    for shard in finished {
        let ordinals = shard.ordinals();
        match shard.publish(shared.line.folder) {
            Ok((record, tally)) => {
                committed.tally += &tally;
                committed.records.push(record);
                shared.counters.shard_published();
                shared.settle(ordinals);
            }
            Err(error) => {
                shared.stop.fail(error);
                break;
            }
        }
    }
    committed
}
