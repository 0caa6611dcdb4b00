//! `dcmshard finalize`.

use dcmshard::error::ExitCode;
use dcmshard::finalize::finalize;

use super::args::FinalizeArgs;
use super::{Ended, print, signals, summary};

/// Writes the manifest and prints the tally, or lists what is missing.
pub fn run(args: &FinalizeArgs) -> Ended {
    signals::survive_limits()?;
    signals::end_at_once()?;
    let found = finalize(&args.out)?;
    if found.missing.is_empty() {
        print(&summary::finalized(&found, &args.out));
        return Ok(ExitCode::Done);
    }
    let lines: String = found.missing.iter().map(|line| format!("{line}\n")).collect();
    let (missing, shards) = (found.missing.len(), found.shards);
    print(&format!("{lines}{shards} shards planned, {missing} missing: run their workers again, then finalize\n"));
    Ok(ExitCode::Verify)
}
