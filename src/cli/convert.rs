//! `dcmshard convert`.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use dcmshard::convert::Conversion;
use dcmshard::error::{Error, ExitCode};
use dcmshard::runner::Cancel;
use dcmshard::sink::dataset::private_folder;
use dcmshard::suspects::TrialCommand;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::flag;

use super::args::{self, ConvertArgs};
use super::summary::Effort;
use super::{Ended, print, progress, summary};

/// Converts, showing progress, and prints the summary table.
pub fn run(args: &ConvertArgs) -> Ended {
    let recipe = args::read_recipe(&args.recipe, &args.settings)?;
    let options = args.options();
    let conversion = Conversion::open(&args.sources, &args.out, &recipe, &options)?;
    let conversion = match std::env::current_exe() {
        Ok(program) => {
            conversion.trying_suspects_with(TrialCommand { program, arguments: vec![args::TRY_SLICE.into()] })
        }
        Err(_) => conversion, // as a library is used: no input is suspected
    };
    let cancel = Cancel::default();
    heed_signals(&cancel)?;
    let started = Instant::now();
    let shown = progress::show(args.progress, conversion.counters());
    let ended = conversion.run(&cancel);
    let elapsed = started.elapsed();
    shown.end(&ended);
    let ended = ended?;
    let run = conversion.counters().snapshot();
    let effort = Effort { run: &run, elapsed, threads: options.threads };
    print(&summary::text(&ended, &effort, &args.out, &private_folder(&args.out)?));
    Ok(ended.exit_code())
}

/// The first SIGINT, SIGTERM or SIGHUP asks the run to end with whole shards; the second ends the
/// process at once, which loses nothing that was published. SIGXFSZ is caught and forgotten: the
/// write that is larger than `ulimit -f` allows fails instead, which is an error like a full disk.
fn heed_signals(cancel: &Cancel) -> Result<(), Error> {
    let unheeded = |signal: i32, error| Error::Bug(format!("signal {signal} cannot be heeded: {error}"));
    flag::register(SIGXFSZ, Arc::default()).map_err(|error| unheeded(SIGXFSZ, error))?;
    let second = Arc::new(AtomicBool::new(false));
    let interrupted =
        [(SIGINT, ExitCode::Interrupted), (SIGTERM, ExitCode::Terminated), (SIGHUP, ExitCode::Terminated)];
    for (signal, code) in interrupted {
        // In this order: the first signal finds `second` unset and sets it, the next one finds it set.
        flag::register_conditional_shutdown(signal, code as i32, second.clone())
            .and_then(|_| flag::register(signal, second.clone()))
            .and_then(|_| flag::register_usize(signal, cancel.flag(), code as usize))
            .map_err(|error| unheeded(signal, error))?;
    }
    Ok(())
}
