//! A conversion from end to end: sources and a recipe in, a data set out.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use crossbeam_channel::{Sender, bounded};

use crate::decode;
use crate::error::{Error, ExitCode};
use crate::options::Options;
use crate::pipeline::Pipeline;
use crate::plan::{PlanCounts, Planner, Segment};
use crate::reason::{Class, Reason};
use crate::recipe::Recipe;
use crate::runner::{self, Cancel, Counters, Line};
use crate::sink::dataset::{Dataset, private_folder};
use crate::sink::disk::Disk;
use crate::sink::ledger::Tally;
use crate::sink::storage::Storage;
use crate::slice::Bytes;
use crate::source::{self, Source};

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
}

/// What a conversion came to.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Every slice and input of the data set by class and reason, earlier runs included.
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
        Conversion::open_on(Arc::new(Disk::default()), sources, out, recipe, options)
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
        let sources = source::resolve(sources)?;
        source::keep_apart(&sources, out, &private_folder(out)?)?;
        let dataset = Dataset::open_on(storage, out, recipe, options.key_file.as_deref())?;
        let pipeline = Pipeline::new(recipe, &dataset.key);
        let counters = Arc::new(Counters::new(&pipeline));
        Ok(Conversion { recipe, options, sources, dataset, pipeline, counters })
    }

    /// Live counts, for a progress thread.
    pub fn counters(&self) -> Arc<Counters> {
        self.counters.clone()
    }

    /// Plans what is new in the sources and makes every shard that is missing.
    ///
    /// # Errors
    /// [`Error`] of any kind that stops a run; the same call continues later.
    /// [`Error::Interrupted`] where `cancel` asked for the end.
    pub fn run(&self, cancel: &Cancel) -> Result<Summary, Error> {
        let examine = |bytes: &Bytes| {
            self.counters.header_read();
            decode::examine(bytes, self.recipe)
        };
        let line_ended = Cancel::default();
        let planner = Planner::new(&self.dataset, self.recipe, &self.sources, &examine)?;
        let planner = planner.heeding(cancel).heeding(&line_ended);
        let line = Line {
            pipeline: &self.pipeline,
            recipe: self.recipe,
            options: self.options,
            folder: &self.dataset.out,
            sources: &self.sources,
            key_id: &self.dataset.key.id(),
        };
        let (segments_in, segments) = bounded(WAITING_SEGMENTS);
        let (planned, converted) = thread::scope(|scope| {
            let planning = scope.spawn(move || plan(planner, &segments_in, &self.counters));
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

/// The planner's thread: hands every segment to the walker, and counts what the plan itself classed,
/// and the rows that no longer count.
fn plan(
    mut planner: Planner<'_>,
    segments: &Sender<Result<Segment, Error>>,
    counters: &Counters,
) -> (PlanCounts, Tally, Tally) {
    let (mut tally, mut superseded) = (Tally::default(), Tally::default());
    for segment in planner.by_ref() {
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
