//! `dcmshard convert` and `dcmshard plan`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dcmshard::convert::Conversion;
use dcmshard::error::Error;
use dcmshard::options::Options;
use dcmshard::sink::dataset::private_folder;
use dcmshard::sink::disk::Disk;
use dcmshard::suspects::TrialCommand;
use rustix::process::{Resource, Rlimit, setrlimit};

use super::args::{self, ConvertArgs, PlanArgs};
use super::summary::Effort;
use super::{Ended, print, progress, signals, summary};

/// Converts, showing progress, and prints the summary table.
pub fn run(args: &ConvertArgs) -> Ended {
    let job = &args.job;
    let recipe = args::read_recipe(&job.recipe, &job.settings)?;
    let options = args.options();
    prepare()?;
    let signals = signals::heed(Duration::from_secs(job.grace))?;
    let cancel = &signals.cancel;
    let disk = Arc::new(Disk::default());
    let conversion = Conversion::open_heeding(cancel, disk, &job.sources, &job.out, &recipe, &options)?;
    let conversion = match std::env::current_exe() {
        Ok(program) => {
            conversion.trying_suspects_with(TrialCommand { program, arguments: vec![args::TRY_SLICE.into()] })
        }
        Err(_) => conversion, // as a library is used: no input is suspected
    };
    let started = Instant::now();
    let shown = progress::show(job.progress, conversion.counters());
    let ended = conversion.run(cancel);
    let elapsed = started.elapsed();
    shown.end(&ended);
    let ended = ended?;
    let run = conversion.counters().snapshot();
    let effort = Effort { run: &run, elapsed, threads: options.threads };
    print(&summary::text(&ended, &effort, &job.out, &private_folder(&job.out)?));
    Ok(ended.exit_code())
}

/// Plans, showing progress, and prints what was found.
pub fn plan(args: &PlanArgs) -> Ended {
    let job = &args.job;
    let recipe = args::read_recipe(&job.recipe, &job.settings)?;
    let options = Options { key_file: job.key.clone(), ..Options::default() };
    prepare()?;
    let signals = signals::heed(Duration::from_secs(job.grace))?;
    let conversion = Conversion::open(&job.sources, &job.out, &recipe, &options)?;
    let shown = progress::show(job.progress, conversion.counters());
    let planned = conversion.plan(&signals.cancel);
    shown.end_planning(&planned);
    let planned = planned?;
    print(&summary::plan(&planned, &job.out));
    Ok(planned.exit_code())
}

/// What a process that holds the key does first: it leaves no core, which would hold the key and a
/// patient's data. (It may still be traced by its user, as any other.)
fn prepare() -> Result<(), Error> {
    signals::survive_limits()?;
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    if let Err(error) = setrlimit(Resource::Core, none) {
        tracing::warn!("core dumps cannot be turned off: {error}");
    }
    Ok(())
}
