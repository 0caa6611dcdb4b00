//! What can be typed: clap's view of the command line. Nothing else of the program sees clap.

use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand, ValueEnum};
use dcmshard::error::{Error, ExitCode};
use dcmshard::options::{MIN_MEMORY_BYTES, Options, Worker};
use dcmshard::phantom::PhantomOptions;
use dcmshard::recipe::{self, Recipe, RecipeError, RecipeErrors, SHIPPED};
use dcmshard::verify::ReadData;
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
    /// Plan what is new in the sources, and make no shard: what workers begin with.
    Plan(PlanArgs),
    /// Write the manifest of a data set that workers made, or list what is missing.
    Finalize(FinalizeArgs),
    /// Check every promise about an output folder: structure, ledger against data, hashes; make rows again.
    #[command(after_long_help = WHAT_VERIFY_FINDS)]
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

/// What goes where, and as what.
#[derive(Debug, clap::Args)]
pub struct JobArgs {
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
    pub key: Option<PathBuf>,
    /// How to show progress.
    #[arg(long, value_enum, default_value_t = Progress::Auto)]
    pub progress: Progress,
    /// Seconds that a run asked to end (SIGINT, SIGTERM, SIGHUP) has to publish whole shards; then it ends
    /// whatever the disk or a decoder does.
    #[arg(long, value_name = "SECONDS", default_value_t = 20, hide_short_help = true)]
    pub grace: u64,
}

#[derive(Debug, Parser)]
pub struct PlanArgs {
    #[command(flatten)]
    pub job: JobArgs,
}

#[derive(Debug, Parser)]
pub struct FinalizeArgs {
    /// The folder of the data set.
    #[arg(value_name = "OUT")]
    pub out: PathBuf,
}

#[derive(Debug, Parser)]
pub struct ConvertArgs {
    #[command(flatten)]
    pub job: JobArgs,
    /// Make every N-th planned shard only, from number i on (0 to N-1), and no manifest: one of N processes
    /// on any machines, with the same OUT and key. `dcmshard finalize` ends it.
    #[arg(long, value_name = "i/N")]
    worker: Option<Worker>,
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
}

impl ConvertArgs {
    /// The run options among the arguments.
    pub fn options(&self) -> Options {
        Options {
            threads: self.threads.unwrap_or_else(|| Options::default().threads),
            memory_bytes: self.memory,
            channel_capacity: self.channel_capacity,
            max_rejects: self.max_rejects,
            key_file: self.job.key.clone(),
            worker: self.worker,
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
    /// Also read every shard whole: its hash, every page, the digest of its rows.
    #[arg(long)]
    pub read_data: bool,
    /// Read one part of the shards whole, as 2/7 (the second of seven). Parts 1/7 to 7/7 together
    /// are every shard once.
    #[arg(long, value_name = "N/T", value_parser = parse_part, conflicts_with = "read_data")]
    pub read_data_subset: Option<ReadData>,
    /// Make some slices again from this source, and compare bit by bit; PATH or LABEL=PATH, with the
    /// label that it was converted with; may be given many times.
    #[arg(long = "source", value_name = "SOURCE")]
    pub sources: Vec<PathBuf>,
    /// Slices to make again.
    #[arg(long, value_name = "K", default_value_t = 100, requires = "sources")]
    pub rows: usize,
    /// Choose other slices: for one seed they are always the same.
    #[arg(long, value_name = "N", default_value_t = 0, requires = "sources")]
    pub seed: u64,
    /// The HMAC key that it was converted with. Without it OUT.private/key.
    #[arg(long, value_name = "FILE", requires = "sources")]
    pub key: Option<PathBuf>,
    /// Move damaged shards, ledger parts and manifests to OUT/.tmp/bad-*, so that `convert` makes them
    /// again. Takes the lock of OUT.
    #[arg(long)]
    pub set_aside: bool,
}

/// What `verify --help` says last.
const WHAT_VERIFY_FINDS: &str = "\
What is found:
  always         files that are missing, cut, empty, or in the place of another; any change of the plan, the
                 ledger and the newest manifest, by their hashes; in a shard, of its length, its footer and
                 its columns source_id, frame and sop_key. A bit that was turned elsewhere in a shard is
                 NOT found.
  --read-data    any change of any shard, by its SHA-256; every page decodes; the digest of the rows, which
                 is the same for every history of the same inputs.
  --source       rows that are not what their files give, bit by bit, and rejects that are none any more.
Exit code 8 where anything was found, set aside or not; 7 where no slice could be compared with --source.
";

/// Reads "2/7".
fn parse_part(text: &str) -> Result<ReadData, String> {
    let part = text.split_once('/').and_then(|(part, of)| Some((part.parse().ok()?, of.parse().ok()?)));
    match part {
        Some((part, of)) if 1 <= part && part <= of => Ok(ReadData::Subset { part, of }),
        _ => Err("expected N/T with N from 1 to T, as 2/7".to_owned()),
    }
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
    fn a_part_of_the_shards_is_one_of_some() {
        assert_eq!(parse_part("2/7"), Ok(ReadData::Subset { part: 2, of: 7 }));
        assert_eq!(parse_part("1/1"), Ok(ReadData::Subset { part: 1, of: 1 }));
        for wrong in ["0/7", "8/7", "7", "/7", "1/", "1/0", "-1/7", "1/7/2", ""] {
            assert!(parse_part(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn the_command_line_is_well_formed() {
        use clap::CommandFactory;
        Args::command().debug_assert();
    }
}
