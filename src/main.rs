//! The command line of `dcmshard`.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
