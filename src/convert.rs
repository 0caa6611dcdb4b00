//! A conversion from end to end: sources and a recipe in, a data set out.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Sender, bounded};

use crate::decode::{self, Examined};
use crate::error::{Error, ExitCode};
use crate::options::{Options, Worker};
use crate::pipeline::Pipeline;
use crate::plan::{self, PlanCounts, Planner, SEGMENT_SLICES, Segment};
use crate::reason::{Class, Reason};
use crate::recipe::Recipe;
use crate::runner::{self, Cancel, Counters, Line};
use crate::sink::dataset::{Dataset, private_folder};
use crate::sink::disk::Disk;
use crate::sink::ledger::Tally;
use crate::sink::shard;
use crate::sink::storage::{Share, Storage};
use crate::slice::Bytes;
use crate::source::{self, Source};
use crate::suspects::{Suspects, TrialCommand};

/// Segments that wait while the one before them is converted, beside the one that the planner holds
/// out: planning is never far ahead, so that its memory stays bounded.
const WAITING_SEGMENTS: usize = 0;

/// A conversion whose arguments hold, with OUT locked and open.
#[derive(Debug)]
pub struct Conversion<'a> {
    recipe: &'a Recipe,
    options: &'a Options,
    sources: Vec<Source>,
    dataset: Dataset,
    pipeline: Pipeline,
    counters: Arc<Counters>,
    segment_slices: u64,
    trial: Option<TrialCommand>,
}

/// What planning came to.
#[derive(Clone, Debug, Default)]
pub struct PlanSummary {
    /// Everything found by class and reason, earlier runs included, but for what is planned: that has no
    /// class yet.
    pub tally: Tally,
    /// What planning came across in this run.
    pub plan: PlanCounts,
    /// Planned shards.
    pub shards: u64,
    /// Those of them that are not there yet.
    pub shards_to_make: u64,
}

impl PlanSummary {
    /// Slices that have their place in a shard.
    pub fn planned(&self) -> u64 {
        self.tally.found - self.tally.classes.values().sum::<u64>()
    }

    /// What the process ends with.
    pub fn exit_code(&self) -> ExitCode {
        if self.plan.changed > 0 { ExitCode::Rejects } else { ExitCode::Done }
    }
}

/// What a conversion came to.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Every slice and input of the data set by class and reason, earlier runs included; of a worker, every
    /// slice of its own shards.
    pub tally: Tally,
    /// What planning came across in this run.
    pub plan: PlanCounts,
    /// Largest share of rejects that counts as success.
    max_rejects: Option<f64>,
}

impl<'a> Conversion<'a> {
    /// Checks the arguments, then opens or makes OUT and takes its lock. Nothing is touched where
    /// an argument is wrong.
    ///
    /// `sources` are paths, or `label=path`; `out` is the folder of the data set.
    ///
    /// # Errors
    /// [`Error::Usage`], [`Error::SourceIo`] and [`Error::OtherRecipe`] before anything is touched;
    /// [`Error::Locked`] and [`Error::OutputIo`].
    pub fn open<S: AsRef<OsStr>>(
        sources: &[S],
        out: &Path,
        recipe: &'a Recipe,
        options: &'a Options,
    ) -> Result<Conversion<'a>, Error> {
        Conversion::open_heeding(&Cancel::default(), Arc::new(Disk::default()), sources, out, recipe, options)
    }

    /// As [`Conversion::open`], with OUT and OUT.private on another file system than the machine's.
    ///
    /// # Errors
    /// As [`Conversion::open`].
    pub fn open_on<S: AsRef<OsStr>>(
        storage: Arc<dyn Storage>,
        sources: &[S],
        out: &Path,
        recipe: &'a Recipe,
        options: &'a Options,
    ) -> Result<Conversion<'a>, Error> {
        Conversion::open_heeding(&Cancel::default(), storage, sources, out, recipe, options)
    }

    /// As [`Conversion::open_on`]. A worker ([`Options::worker`]) needs a plan: where there is none that is
    /// complete, the first worker to take the lock makes it, and the others wait here until it has, or
    /// until `cancel` asks for the end.
    ///
    /// # Errors
    /// As [`Conversion::open`]; of a worker also those of [`Conversion::plan`], and [`Error::Locked`] never.
    pub fn open_heeding<S: AsRef<OsStr>>(
        cancel: &Cancel,
        storage: Arc<dyn Storage>,
        sources: &[S],
        out: &Path,
        recipe: &'a Recipe,
        options: &'a Options,
    ) -> Result<Conversion<'a>, Error> {
        let sources = source::resolve(sources)?;
        source::keep_apart(&sources, out, &private_folder(out)?)?;
        let open = |share| {
            let dataset = Dataset::open_on(storage.clone(), out, recipe, options.key_file.as_deref(), share)?;
            let pipeline = Pipeline::new(recipe, &dataset.key);
            let counters = Arc::new(Counters::new(&pipeline));
            let (sources, segment_slices, trial) = (sources.clone(), SEGMENT_SLICES, None);
            Ok(Conversion { recipe, options, sources, dataset, pipeline, counters, segment_slices, trial })
        };
        match options.worker {
            None => open(Share::Alone),
            Some(_) => open_planned(cancel, &open, &|| plan::is_complete(&*storage, out)),
        }
    }

    /// The same conversion with plan segments of so many slices, for tests. It changes the plan's bytes
    /// and with them all others, so that it must be the same in every run.
    #[doc(hidden)]
    pub fn with_segment_slices(mut self, slices: u64) -> Conversion<'a> {
        self.segment_slices = slices;
        self
    }

    /// The same conversion, which says in OUT.private what each thread works on, and tries alone, with
    /// `command`, what a run worked on that died: see [`crate::suspects`].
    pub fn trying_suspects_with(self, command: TrialCommand) -> Conversion<'a> {
        Conversion { trial: Some(command), ..self }
    }

    /// Live counts, for a progress thread.
    pub fn counters(&self) -> Arc<Counters> {
        self.counters.clone()
    }

    /// Plans what is new in the sources, and makes no shard.
    ///
    /// # Errors
    /// As [`Conversion::run`].
    pub fn plan(&self, cancel: &Cancel) -> Result<PlanSummary, Error> {
        let examine = |bytes: &Bytes| self.examine(bytes);
        let mut planner = Planner::new(&self.dataset, self.recipe, &self.sources, &examine)?.heeding(cancel);
        let mut summary = PlanSummary::default();
        for segment in planner.by_ref() {
            let segment = segment?;
            self.counters.segment_planned(&segment.tally);
            summary.tally += &segment.tally;
            for shard in segment.shards() {
                summary.shards += 1;
                let name = shard::data_name(segment.generation, shard);
                summary.shards_to_make += u64::from(self.dataset.out.find(&name)?.is_none());
            }
        }
        self.counters.plan_complete();
        match cancel.requested() {
            Some(code) => Err(Error::Interrupted(code)),
            None => Ok(PlanSummary { plan: planner.counts(), ..summary }),
        }
    }

    fn examine(&self, bytes: &Bytes) -> Examined {
        self.counters.header_read();
        decode::examine(bytes, self.recipe)
    }

    /// Plans what is new in the sources and makes every shard that is missing. A worker plans nothing, and
    /// makes and counts its own shards alone.
    ///
    /// # Errors
    /// [`Error`] of any kind that stops a run; the same call continues later.
    /// [`Error::Interrupted`] where `cancel` asked for the end.
    pub fn run(&self, cancel: &Cancel) -> Result<Summary, Error> {
        let examine = |bytes: &Bytes| self.examine(bytes);
        let line_ended = Cancel::default();
        let worker = self.options.worker;
        let planner = Planner::new(&self.dataset, self.recipe, &self.sources, &examine)?;
        let planner = planner.with_segment_slices(self.segment_slices).heeding(cancel).heeding(&line_ended);
        let planner = if worker.is_some() { planner.known_only() } else { planner };
        let private = self.dataset.private.root();
        let threads = self.options.threads.get();
        let suspects = self.trial.clone().map(|command| Suspects::open(private, &self.dataset.key, command, threads));
        let line = Line {
            pipeline: &self.pipeline,
            recipe: self.recipe,
            options: self.options,
            folder: &self.dataset.out,
            sources: &self.sources,
            key_id: &self.dataset.key.id(),
            suspects: suspects.as_ref(),
        };
        let (segments_in, segments) = bounded(WAITING_SEGMENTS);
        let (planned, converted) = thread::scope(|scope| {
            let planning = scope.spawn(move || hand_on(planner, worker, &segments_in, &self.counters));
            let converted = runner::run(&line, segments, &self.counters, cancel);
            line_ended.request(ExitCode::Terminated); // where it failed, nobody wants the next segment
            (planning.join(), converted)
        });
        let (plan, mut tally, superseded) = planned.map_err(|_| Error::Bug("the planner panicked".into()))?;
        // The plan alone says what was found; the line, what became of it. So neither can hide a loss.
        tally += &Tally { found: 0, ..converted? };
        tally.supersede(&superseded);
        tally.check()?;
        Ok(Summary { tally, plan, max_rejects: self.options.max_rejects })
    }
}

/// How often a worker looks whether it is its turn.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Opens the data set together with other workers, once it is planned to the end: by this worker, if it is
/// the first to have the lock. `open` opens it; `is_planned` says whether there is a complete plan.
fn open_planned<'a>(
    cancel: &Cancel,
    open: &dyn Fn(Share) -> Result<Conversion<'a>, Error>,
    is_planned: &dyn Fn() -> Result<bool, Error>,
) -> Result<Conversion<'a>, Error> {
    let (mut has_planned, mut has_told) = (false, false);
    loop {
        if let Some(code) = cancel.requested() {
            return Err(Error::Interrupted(code));
        }
        // After planning, even where there was nothing to plan.
        let share = if has_planned || is_planned()? { Share::Together } else { Share::Alone };
        match (open(share), share) {
            (Ok(conversion), Share::Together) => return Ok(conversion),
            (Ok(conversion), Share::Alone) => {
                if !is_planned()? {
                    conversion.plan(cancel)?;
                }
                has_planned = true;
            }
            (Err(Error::Locked(out)), _) => {
                if !has_told {
                    tracing::warn!("waiting: another run plans, or works alone, in {}", out.display());
                    has_told = true;
                }
                thread::sleep(LOOK_EVERY);
            }
            (Err(error), _) => return Err(error),
        }
    }
}

/// The planner's thread: hands every segment to the walker, or what of it is the worker's, and counts what
/// the plan itself classed, and the rows that no longer count.
fn hand_on(
    mut planner: Planner<'_>,
    worker: Option<Worker>,
    segments: &Sender<Result<Segment, Error>>,
    counters: &Counters,
) -> (PlanCounts, Tally, Tally) {
    let (mut tally, mut superseded) = (Tally::default(), Tally::default());
    for segment in planner.by_ref() {
        let segment = match worker {
            Some(worker) => segment.map(|segment| segment.with_shards(|shard| worker.makes(shard))),
            None => segment,
        };
        if let Ok(segment) = &segment {
            tally += &segment.tally;
            superseded += &segment.superseded;
            counters.segment_planned(&segment.tally);
        }
        if segments.send(segment).is_err() {
            break; // the line has stopped, and says why
        }
    }
    counters.plan_complete();
    (planner.counts(), tally, superseded)
}

impl Summary {
    /// The share of slices that were to be rows and are not, 0 to 1. Filtered inputs and duplicates
    /// do not count.
    pub fn rejected_share(&self) -> f64 {
        let (rejected, written) = (self.tally.of(Class::Rejected), self.tally.of(Class::Written));
        rejected as f64 / (rejected + written).max(1) as f64
    }

    /// What the process ends with.
    pub fn exit_code(&self) -> ExitCode {
        let bugs = self.tally.reasons.get(&Reason::Internal).copied().unwrap_or(0);
        let too_many = self.max_rejects.is_some_and(|most| self.rejected_share() > most);
        if bugs > 0 {
            ExitCode::Bug
        } else if too_many || self.plan.changed > 0 {
            ExitCode::Rejects
        } else {
            ExitCode::Done
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(written: u64, reasons: &[(Reason, u64)], max_rejects: Option<f64>) -> Summary {
        let mut tally = Tally { reasons: reasons.iter().copied().collect(), ..Tally::default() };
        tally.classes.insert(Class::Written, written);
        for (reason, n) in reasons {
            *tally.classes.entry(reason.class()).or_default() += n;
        }
        Summary { tally, plan: PlanCounts::default(), max_rejects }
    }

    #[test]
    fn exit_codes_follow_rejects_changes_and_bugs() {
        let rejects = [(Reason::Rescale, 1), (Reason::NotDicom, 50), (Reason::DuplicateSopInstance, 7)];
        assert_eq!(summary(3, &rejects, None).exit_code(), ExitCode::Done);
        assert_eq!(summary(3, &rejects, Some(0.25)).exit_code(), ExitCode::Done);
        assert_eq!(summary(3, &rejects, Some(0.24)).exit_code(), ExitCode::Rejects);
        assert_eq!(summary(3, &[(Reason::Internal, 1)], None).exit_code(), ExitCode::Bug);
        let mut changed = summary(3, &[], None);
        changed.plan.changed = 1;
        assert_eq!(changed.exit_code(), ExitCode::Rejects);
        assert_eq!(summary(0, &[], Some(0.0)).exit_code(), ExitCode::Done);
    }
}
