//! The command line: what was typed becomes a call of the library. The only place that prints.

mod args;
mod convert;
mod finalize;
mod progress;
mod signals;
mod summary;
mod verify;

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use dcmshard::error::Error;
use dcmshard::phantom;
use dcmshard::recipe::{Recipe, SHIPPED};
use dcmshard::schema;

use args::{Args, Command, PhantomArgs, RecipeArgs, SchemaArgs};

/// Parses the command line, runs the command, and says how it ended.
pub fn run() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return refuse(&error),
    };
    let subscriber = tracing_subscriber::fmt().with_writer(io::stderr).without_time().with_target(false).compact();
    // Where standard error is full or gone, a message is lost, and nothing else.
    subscriber.log_internal_errors(false).with_max_level(args.log_level()).init();
    say_panics_briefly();
    let ended = match &args.command {
        Command::Convert(args) => convert::run(args),
        Command::Plan(args) => convert::plan(args),
        Command::Finalize(args) => finalize::run(args),
        Command::Verify(args) => signals::end_at_once().and_then(|()| verify::run(args)),
        Command::Phantom(args) => draw_phantom(args),
        Command::Recipe(args) => print_recipe(args),
        Command::Schema(args) => print_schema(args),
        Command::TrySlice => {
            dcmshard::suspects::try_slice(io::stdin(), io::stdout()).map(|()| dcmshard::error::ExitCode::Done)
        }
    };
    match ended {
        Ok(code) => ExitCode::from(code as u8),
        Err(error) => {
            say_error(&error);
            if matches!(error, Error::Interrupted(_)) {
                signals::say_how_to_continue();
            }
            ExitCode::from(error.exit_code() as u8)
        }
    }
}

/// A caught panic is told by its place alone: its message may hold values of a patient's file. In this
/// program it is a bug; in a library, called on a damaged frame or table, it need not be.
fn say_panics_briefly() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::warn!(
            "panic at {place}; the slice is rejected (reason internal: a bug) or the run ends, see the ledger"
        );
    }));
}

/// Help and version as clap prints them; a mistake as one line.
fn refuse(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() || error.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let _ = error.print();
        return ExitCode::from(error.exit_code() as u8);
    }
    let text = error.to_string();
    let sentence: Vec<&str> = text.lines().take_while(|line| !line.is_empty()).map(str::trim).collect();
    say_error(&Error::Usage(sentence.join(" ").trim_start_matches("error: ").to_owned()));
    ExitCode::from(dcmshard::error::ExitCode::Usage as u8)
}

/// Prints how a command has ended. Where that cannot be written, the command has ended so all the same:
/// the exit code stays, and standard error says what happened.
fn print(text: &str) {
    if let Err(error) = print_all(text) {
        say_error(&error);
    }
}

/// Prints what a command is for. A reader that has gone away (a closed pipe) is no error.
fn print_all(text: &str) -> Result<(), Error> {
    let mut stdout = io::stdout();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(source) if source.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::OutputIo { doing: "write", path: "standard output".into(), source })
        }
        _ => Ok(()),
    }
}

/// Prints an error to standard error, each of its lines with the program's name.
fn say_error(error: &Error) {
    let lines: String = error.to_string().lines().map(|line| format!("dcmshard: {line}\n")).collect();
    let _ = io::stderr().write_all(lines.as_bytes());
}

type Ended = Result<dcmshard::error::ExitCode, Error>;

fn draw_phantom(args: &PhantomArgs) -> Ended {
    let truth = phantom::write_archive(&args.folder, &args.options())?;
    print(&format!(
        "{} slices of {} heads in {}; what is true of them is in {}\n",
        truth.files.len(),
        args.heads,
        args.folder.display(),
        args.folder.join("truth.json").display()
    ));
    Ok(dcmshard::error::ExitCode::Done)
}

fn print_recipe(args: &RecipeArgs) -> Ended {
    if args.recipe.is_none() && args.settings.is_empty() {
        for shipped in SHIPPED {
            print_all(&format!("{:<10} {}\n", shipped.name, shipped.sentence))?;
        }
        print_all("\n`dcmshard recipe NAME` prints one as TOML, to be changed and given to --recipe.\n")?;
        return Ok(dcmshard::error::ExitCode::Done);
    }
    let name = args.recipe.as_deref().unwrap_or(Path::new("head"));
    print_all(&args::read_recipe(name, &args.settings)?.to_toml()).map(|()| dcmshard::error::ExitCode::Done)
}

fn print_schema(args: &SchemaArgs) -> Ended {
    let recipe = match &args.recipe {
        Some(name) => args::read_recipe(name, &[])?,
        None => Recipe::head(),
    };
    if let Some(folder) = &args.write {
        return schema::write_all(folder).map(|()| dcmshard::error::ExitCode::Done);
    }
    let text = match args.format {
        args::SchemaFormat::Md => schema::columns_markdown(&recipe),
        args::SchemaFormat::Json => schema::to_text(&schema::slice_schema(&recipe)),
    };
    print_all(&text).map(|()| dcmshard::error::ExitCode::Done)
}
