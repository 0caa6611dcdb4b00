//! What can be typed: clap's view of the command line. Nothing else of the program sees clap.

use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand, ValueEnum};
use dcmshard::error::{Error, ExitCode};
use dcmshard::options::{MIN_MEMORY_BYTES, Options};
use dcmshard::phantom::PhantomOptions;
use dcmshard::recipe::{self, Recipe, RecipeError, RecipeErrors, SHIPPED};
use tracing::level_filters::LevelFilter;

/// Streams archives of CT DICOM files into Parquet shards that a training loop reads as they are.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, arg_required_else_help = true)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
    /// Say more on standard error (twice: everything).
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
}

impl Args {
    pub fn log_level(&self) -> LevelFilter {
        match self.verbose {
            0 => LevelFilter::WARN,
            1 => LevelFilter::INFO,
            _ => LevelFilter::DEBUG,
        }
    }
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Turn folders of DICOM into shards. The same command again continues where it stopped.
    #[command(after_long_help = format!("{}\n{}", recipe::key_list(), exit_codes()))]
    Convert(ConvertArgs),
    /// Check every promise about an output folder: structure, ledger against data, hashes.
    Verify(VerifyArgs),
    /// Write synthetic head CT with known tilt as DICOM, and truth.json: demo and ground truth.
    Phantom(PhantomArgs),
    /// List the recipes that ship, or print one as TOML.
    Recipe(RecipeArgs),
    /// Print the columns of a shard.
    Schema(SchemaArgs),
    /// Work on one slice that a run died of, named on standard input. For `convert` itself.
    #[command(name = TRY_SLICE, hide = true)]
    TrySlice,
}

/// The command with which `convert` starts this program for a slice that it suspects.
pub const TRY_SLICE: &str = "try-slice";

#[derive(Debug, Parser)]
pub struct ConvertArgs {
    /// Folders (or files) to convert, as PATH or LABEL=PATH. The label is part of each input's
    /// identity; it is the last component of the path unless given.
    #[arg(required = true, value_name = "SOURCE")]
    pub sources: Vec<PathBuf>,
    /// The folder of the data set. What must not be shared (the key, real paths) goes to
    /// OUT.private beside it.
    #[arg(long, value_name = "OUT")]
    pub out: PathBuf,
    /// A recipe that ships (`dcmshard recipe` lists them) or a TOML file.
    #[arg(long, value_name = "NAME|FILE", default_value = "head")]
    pub recipe: PathBuf,
    /// Change one key of the recipe, as tilt.max_angle_deg=30; may be given many times. --help lists
    /// the keys.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub settings: Vec<String>,
    /// The HMAC key: a file of 32 raw bytes, or of 64 hex digits. Without it OUT.private/key, made
    /// on the first run.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Worker threads: so many stage calls run at one moment, 1 to 1024. [default: the number of
    /// cores]
    #[arg(long, value_name = "N", value_parser = parse_count)]
    threads: Option<NonZeroUsize>,
    /// Bound on the memory in flight, at least 64MiB: bytes, or with KiB, MiB, GiB.
    #[arg(long, value_name = "SIZE", default_value = "2GiB", value_parser = parse_memory)]
    memory: u64,
    /// Slices that each channel of the line holds, 1 to 1024.
    #[arg(long, value_name = "N", value_parser = parse_count, default_value_t = Options::default().channel_capacity, hide_short_help = true)]
    channel_capacity: NonZeroUsize,
    /// End with exit code 3 where more than this share of slices (0 to 1) was rejected.
    #[arg(long, value_name = "SHARE", value_parser = parse_share)]
    max_rejects: Option<f64>,
    /// How to show progress.
    #[arg(long, value_enum, default_value_t = Progress::Auto)]
    pub progress: Progress,
}

impl ConvertArgs {
    /// The run options among the arguments.
    pub fn options(&self) -> Options {
        Options {
            threads: self.threads.unwrap_or_else(|| Options::default().threads),
            memory_bytes: self.memory,
            channel_capacity: self.channel_capacity,
            max_rejects: self.max_rejects,
            key_file: self.key.clone(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Progress {
    /// A bar where standard error is a terminal, else nothing.
    Auto,
    /// A bar; nothing where standard error is no terminal.
    Bar,
    /// A JSON object a line, on standard error, each second; the last one says how the run ended.
    Json,
    /// Nothing.
    None,
}

#[derive(Debug, Parser)]
pub struct VerifyArgs {
    /// The folder of the data set.
    #[arg(value_name = "OUT")]
    pub out: PathBuf,
    /// Also read every page of every shard and compare the hash of every file.
    #[arg(long)]
    pub read_data: bool,
}

#[derive(Debug, Parser)]
pub struct PhantomArgs {
    /// The folder to write into.
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// Heads (one series each).
    #[arg(long, default_value_t = PhantomOptions::default().heads)]
    pub heads: u32,
    /// Slices of each head.
    #[arg(long, default_value_t = PhantomOptions::default().slices_per_head)]
    slices: u32,
    /// Rows and columns of a slice.
    #[arg(long, default_value_t = PhantomOptions::default().size)]
    size: u32,
    /// Largest tilt of a head, degrees.
    #[arg(long, default_value_t = PhantomOptions::default().max_tilt_deg)]
    max_tilt_deg: f64,
    /// Seed of everything that varies.
    #[arg(long, default_value_t = PhantomOptions::default().seed)]
    seed: u64,
    /// Also write what archives hold besides slices: a localizer, a colour page, a text file, a
    /// duplicate, a truncated file.
    #[arg(long)]
    extras: bool,
}

impl PhantomArgs {
    /// What to draw.
    pub fn options(&self) -> PhantomOptions {
        PhantomOptions {
            heads: self.heads,
            slices_per_head: self.slices,
            size: self.size,
            max_tilt_deg: self.max_tilt_deg,
            seed: self.seed,
            extras: self.extras,
        }
    }
}

#[derive(Debug, Parser)]
pub struct RecipeArgs {
    /// A recipe that ships, or a TOML file; without it the recipes that ship are listed.
    #[arg(value_name = "NAME|FILE")]
    pub recipe: Option<PathBuf>,
    /// Change one key of it (of `head` where none is named); may be given many times.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub settings: Vec<String>,
}

#[derive(Debug, Parser)]
pub struct SchemaArgs {
    /// The form to print.
    #[arg(long = "as", value_enum, default_value_t = SchemaFormat::Md)]
    pub format: SchemaFormat,
    /// The recipe whose shards are described. [default: head]
    #[arg(long, value_name = "NAME|FILE")]
    pub recipe: Option<PathBuf>,
    /// Write all schemas into this folder instead (what `make schemas` does).
    #[arg(long, value_name = "DIR", hide = true)]
    pub write: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SchemaFormat {
    /// A Markdown table.
    Md,
    /// A JSON schema.
    Json,
}

/// What `convert --help` says last.
fn exit_codes() -> String {
    let lines = ExitCode::all().iter().map(|(code, meaning)| format!("  {:<4} {meaning}\n", *code as u8));
    format!("Exit codes:\n{}", lines.collect::<String>())
}

/// The recipe that `--recipe` names (one that ships, else a file), with `--set` laid over it.
pub fn read_recipe(name: &Path, settings: &[String]) -> Result<Recipe, Error> {
    let shipped = SHIPPED.iter().find(|shipped| Path::new(shipped.name) == name);
    let text = match shipped {
        Some(shipped) => shipped.toml.to_owned(),
        None => std::fs::read_to_string(name).map_err(|error| unreadable(name, &error))?,
    };
    Ok(Recipe::from_toml(&text, settings)?)
}

fn unreadable(name: &Path, error: &io::Error) -> Error {
    let names: Vec<&str> = SHIPPED.iter().map(|shipped| shipped.name).collect();
    let found = match error.kind() {
        io::ErrorKind::NotFound => "no recipe of this name and no such file".to_owned(),
        io::ErrorKind::InvalidData => "a file that is not UTF-8 text".to_owned(),
        _ => format!("a file that cannot be read ({error})"),
    };
    let problem = format!("found {found}, expected {} or a TOML file", names.join(", "));
    RecipeErrors(vec![RecipeError { key: name.display().to_string(), problem }]).into()
}

/// A number of threads or slices. Far above what helps, far below what the system has no room for.
fn parse_count(text: &str) -> Result<NonZeroUsize, String> {
    let count = text.parse::<NonZeroUsize>().ok().filter(|count| count.get() <= 1024);
    count.ok_or_else(|| "expected a whole number from 1 to 1024".to_owned())
}

/// Reads "2GiB", "512 MiB", "65536".
fn parse_memory(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let factor = match text[digits.len()..].trim() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        unit => return Err(format!("found unit {unit:?}, expected KiB, MiB, GiB, TiB or none")),
    };
    let bytes = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
    match bytes {
        Some(bytes) if bytes >= MIN_MEMORY_BYTES => Ok(bytes),
        Some(bytes) => Err(format!("found {bytes} bytes, expected at least 64MiB")),
        None => Err("expected a size, as 2GiB".to_owned()),
    }
}

fn parse_share(text: &str) -> Result<f64, String> {
    let share = text.parse::<f64>().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "expected a share from 0 to 1".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_with_its_unit() {
        assert_eq!(parse_memory("2GiB"), Ok(2 << 30));
        assert_eq!(parse_memory("64 MiB"), Ok(64 << 20));
        assert_eq!(parse_memory("1KiB"), Err("found 1024 bytes, expected at least 64MiB".into()));
        assert!(parse_memory("2GB").is_err() && parse_memory("").is_err() && parse_memory("GiB").is_err());
        assert!(parse_memory("99999999999999999999").is_err());
    }

    #[test]
    fn no_count_can_ask_for_more_threads_or_room_than_there_is() {
        assert_eq!(parse_count("1024").map(NonZeroUsize::get), Ok(1024));
        for wrong in ["0", "1025", "100000000", "-1", "x", ""] {
            assert!(parse_count(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn the_command_line_is_well_formed() {
        use clap::CommandFactory;
        Args::command().debug_assert();
    }
}
