//! What the fuzzers of `fuzz/` call: every reader of bytes that somebody else may have made, by name. Not
//! part of the library: built for `make fuzz` and for the test that reads old findings again.

use std::path::{Path, PathBuf};

use crate::decode::fuzzing as decode;
use crate::decode::fuzzing::frame;
use crate::decode::syntax::Codec;
use crate::plan;
use crate::recipe::Recipe;
use crate::sink::dataset::DatasetFile;
use crate::sink::ledger;
use crate::verify;

/// A target: its name, and what it calls.
pub type Target = (&'static str, fn(&[u8]));

/// Every target. None may panic, whatever the bytes.
pub const TARGETS: &[Target] = &[
    ("scan", decode::scan),
    ("file", decode::whole_file),
    ("deflated", decode::deflated),
    ("attributes", decode::attributes),
    ("rle", |bytes| drop(frame(Codec::Rle, bytes))),
    ("jpeg_dct", |bytes| drop(frame(Codec::JpegDct, bytes))),
    ("jpeg_lossless", |bytes| drop(frame(Codec::JpegLossless, bytes))),
    ("jpeg_ls", |bytes| drop(frame(Codec::JpegLs, bytes))),
    ("jpeg2000", |bytes| drop(frame(Codec::Jpeg2000, bytes))),
    ("jpeg_xl", |bytes| drop(frame(Codec::JpegXl, bytes))),
    ("recipe", recipe),
    ("out_json", out_json),
    ("out_table", out_table),
];

/// Calls a target.
///
/// # Panics
/// Where there is none of this name; and where a reader has a bug.
pub fn run(target: &str, bytes: &[u8]) {
    let (_, call) = TARGETS.iter().find(|(name, _)| *name == target).unwrap_or_else(|| panic!("no target {target}"));
    call(bytes);
}

/// TOML, then settings as of `--set`, with zeros between.
fn recipe(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut parts = text.split('\0').map(str::to_owned);
    let toml = parts.next().unwrap_or_default();
    if let Ok(recipe) = Recipe::from_toml(&toml, &parts.collect::<Vec<_>>()) {
        assert_eq!(Recipe::from_toml(&recipe.to_toml(), &[]).as_ref(), Ok(&recipe));
        assert_eq!(Recipe::from_json(&recipe.to_json()), Ok(recipe));
    }
}

/// The JSON files of OUT, and a recipe in one.
fn out_json(bytes: &[u8]) {
    if let Ok(dataset) = serde_json::from_slice::<DatasetFile>(bytes) {
        drop(Recipe::from_json(&dataset.recipe));
    }
    with_file(bytes, verify::read_as_each_kind);
}

/// A Parquet file of OUT, read as each kind that there is.
fn out_table(bytes: &[u8]) {
    with_file(bytes, |path| {
        drop(ledger::read(path));
        plan::read_as_each_kind(path);
        verify::read_as_each_kind(path);
    });
}

/// The readers take paths: one file for each thread, written again for each input.
fn with_file(bytes: &[u8], read: impl Fn(&Path)) {
    let thread = std::thread::current().id();
    let path = std::env::temp_dir().join(format!("dcmshard-fuzz-{}-{thread:?}", std::process::id()));
    std::fs::write(&path, bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    read(&path);
    drop(std::fs::remove_file(&path));
}

/// Writes what the fuzzers start from below `folder`, a folder for each target. The codestreams and
/// what else is committed come from `committed`, which has such folders too.
///
/// # Errors
/// Where a file cannot be read or written.
pub fn write_seeds(committed: &Path, folder: &Path) -> std::io::Result<()> {
    let mut seeds = Vec::new();
    for (target, _) in TARGETS {
        for path in files(&committed.join(target)) {
            seeds.push((target.to_string(), std::fs::read(path)?));
        }
    }
    seeds.extend(decode::seeds(&seeds).into_iter().map(|(target, bytes)| (target.to_owned(), bytes)));
    let head = Recipe::head().to_toml();
    seeds.push(("recipe".to_owned(), head.clone().into_bytes()));
    for line in head.lines().filter(|line| line.contains(" = ")) {
        seeds.push(("recipe".to_owned(), format!("[output]\0output.{line}\0{line}").into_bytes()));
    }
    for (target, bytes) in seeds {
        let folder = folder.join(target);
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join(blake3::hash(&bytes).to_hex().as_str()), bytes)?;
    }
    Ok(())
}

/// The files of a folder, sorted; none where there is no folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    files.sort();
    files
}

#[cfg(test)]
#[allow(clippy::print_stderr)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_once_is_not_found_again() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
        for (target, _) in TARGETS {
            for path in ["seeds", "regressions"].iter().flat_map(|kind| files(&root.join(kind).join(target))) {
                eprintln!("{}", path.display());
                run(target, &std::fs::read(path).expect("can be read"));
            }
        }
    }

    #[test]
    fn the_drawn_codestreams_decode() {
        // Seeds that a decoder turns down at once would teach the fuzzer nothing.
        let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
        for (target, codec) in [
            ("rle", Codec::Rle),
            ("jpeg_dct", Codec::JpegDct),
            ("jpeg_lossless", Codec::JpegLossless),
            ("jpeg_ls", Codec::JpegLs),
            ("jpeg2000", Codec::Jpeg2000),
            ("jpeg_xl", Codec::JpegXl),
        ] {
            for path in files(&committed.join(target)) {
                let bytes = std::fs::read(&path).expect("can be read");
                assert_eq!(frame(codec, &bytes), Ok(()), "{}", path.display());
            }
        }
    }

    #[test]
    fn every_target_has_seeds() {
        let folder = tempfile::tempdir().expect("a folder");
        let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
        write_seeds(&committed, folder.path()).expect("can be written");
        for (target, _) in TARGETS {
            let seeds = files(&folder.path().join(target));
            // Those of OUT are made by a whole conversion, in `fuzz/fuzz.rs`.
            assert!(!seeds.is_empty() || target.starts_with("out_"), "{target}");
            seeds.iter().for_each(|seed| run(target, &std::fs::read(seed).expect("can be read")));
        }
    }
}
