//! What can be typed: clap's view of the command line. Nothing else of the program sees clap.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand, ValueEnum};
use dcmshard::error::Error;
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
    #[command(after_long_help = recipe::key_list())]
    Convert(ConvertArgs),
    /// Check every promise about an output folder: structure, ledger against data, hashes.
    Verify(VerifyArgs),
    /// Write synthetic head CT with known tilt as DICOM, and truth.json: demo and ground truth.
    Phantom(PhantomArgs),
    /// List the recipes that ship, or print one as TOML.
    Recipe(RecipeArgs),
    /// Print the columns of a shard.
    Schema(SchemaArgs),
}

#[derive(Debug, Parser)]
pub struct ConvertArgs {
    /// Folders (or files) to convert, as PATH or LABEL=PATH. The label is part of each input's
    /// identity; it is the last component of the path unless given.
    #[arg(required = true, value_name = "SOURCE")]
    pub sources: Vec<String>,
    /// The folder of the data set. What must not be shared (the key, real paths) goes to
    /// OUT.private beside it.
    #[arg(long, value_name = "OUT")]
    pub out: PathBuf,
    /// A recipe that ships (`dcmshard recipe` lists them) or a TOML file.
    #[arg(long, value_name = "NAME|FILE", default_value = "head")]
    pub recipe: String,
    /// Change one key of the recipe; may be given many times.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub settings: Vec<String>,
    /// The HMAC key: a file of 32 raw bytes. Without it OUT.private/key, made on the first run.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Stage calls that run at one moment. [default: the number of cores]
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    /// Bound on the memory in flight, at least 64MiB: bytes, or with KiB, MiB, GiB.
    #[arg(long, value_name = "SIZE", default_value = "2GiB", value_parser = parse_memory)]
    memory: u64,
    /// Slices that each channel of the line holds.
    #[arg(long, value_name = "N", default_value_t = Options::default().channel_capacity, hide_short_help = true)]
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
    /// A bar on a terminal, else nothing.
    Auto,
    /// A bar.
    Bar,
    /// One JSON object a line, on standard error, each second.
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
    /// A recipe that ships, or a TOML file.
    #[arg(value_name = "NAME|FILE")]
    pub recipe: Option<String>,
    /// Change one key of it.
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
    pub recipe: Option<String>,
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

/// The recipe that `--recipe` names (one that ships, else a file), with `--set` laid over it.
pub fn read_recipe(name: &str, settings: &[String]) -> Result<Recipe, Error> {
    let shipped = SHIPPED.iter().find(|shipped| shipped.name == name);
    let text = match shipped {
        Some(shipped) => shipped.toml.to_owned(),
        None => std::fs::read_to_string(Path::new(name)).map_err(|error| unreadable(name, &error))?,
    };
    Ok(Recipe::from_toml(&text, settings)?)
}

fn unreadable(name: &str, error: &std::io::Error) -> Error {
    let names: Vec<&str> = SHIPPED.iter().map(|shipped| shipped.name).collect();
    let problem =
        format!("found no recipe of this name or file ({error}), expected {} or a TOML file", names.join(", "));
    RecipeErrors(vec![RecipeError { key: name.to_owned(), problem }]).into()
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
        unit => return Err(format!("found unit {unit:?}, expected B, KiB, MiB, GiB or TiB")),
    };
    let bytes = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
    match bytes {
        Some(bytes) if bytes >= MIN_MEMORY_BYTES => Ok(bytes),
        Some(bytes) => Err(format!("found {bytes} bytes, expected at least 64MiB")),
        None => Err(format!("found {text:?}, expected a size, as 2GiB")),
    }
}

fn parse_share(text: &str) -> Result<f64, String> {
    let share = text.parse::<f64>().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| format!("found {text:?}, expected a share from 0 to 1"))
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
    fn the_command_line_is_well_formed() {
        use clap::CommandFactory;
        Args::command().debug_assert();
    }
}
