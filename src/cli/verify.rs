//! `dcmshard verify`.

use dcmshard::error::ExitCode;
use dcmshard::verify::verify;
use indicatif::{ProgressBar, ProgressStyle};

use super::args::VerifyArgs;
use super::{Ended, print, summary};

/// Verifies, and prints what was found. The bar shows on a terminal only.
pub fn run(args: &VerifyArgs) -> Ended {
    let bar = ProgressBar::new(0);
    let style = ProgressStyle::with_template("[{wide_bar}] {pos}/{len} shards, {eta} left");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
    let findings = verify(&args.out, args.read_data, &mut |now| {
        bar.set_length(now.shards);
        bar.set_position(now.checked);
    });
    bar.finish_and_clear();
    let findings = findings?;
    findings.problems.iter().for_each(|problem| print(&format!("{problem}\n")));
    print(&format!(
        "{}\n{} shards, {} rows, {} bytes",
        summary::law(&findings.tally),
        findings.shards,
        findings.rows,
        findings.bytes
    ));
    if findings.problems.is_empty() {
        print(if args.read_data {
            ": whole, every page read\n"
        } else {
            ": whole (--read-data also reads every page)\n"
        });
        return Ok(ExitCode::Done);
    }
    print(&format!(", {} problems\n", findings.problems.len()));
    Ok(ExitCode::Verify)
}
