//! The manifest: which shards there are, numbered, never replaced.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::Path;
use std::{fs, io};

use serde::{Deserialize, Serialize};

use super::digest::RowsDigest;
use super::publish::OutputFolder;
use super::shard::ShardRecord;
use crate::error::Error;

/// The folder of manifests below OUT.
pub(crate) const FOLDER: &str = "manifest";

/// A manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    format: u32,
    pub(crate) recipe_hash: String,
    pub(crate) key_id: String,
    /// Of all rows.
    pub(crate) rows_digest: RowsDigest,
    generations: BTreeMap<u32, Generation>,
    pub(crate) shards: Vec<ShardRecord>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Generation {
    shards: u64,
    rows: u64,
    bytes: u64,
}

impl Manifest {
    /// The manifest of these shards.
    pub(crate) fn of(recipe_hash: &str, key_id: &str, mut shards: Vec<ShardRecord>) -> Manifest {
        shards.sort();
        let mut generations: BTreeMap<u32, Generation> = BTreeMap::new();
        for shard in &shards {
            let totals = generations.entry(shard.generation).or_default();
            totals.shards += 1;
            totals.rows += shard.rows;
            totals.bytes += shard.bytes;
        }
        let rows_digest = shards.iter().map(|shard| shard.rows_digest).sum();
        let (recipe_hash, key_id) = (recipe_hash.to_owned(), key_id.to_owned());
        Manifest { format: 1, recipe_hash, key_id, rows_digest, generations, shards }
    }

    /// Its file.
    pub(crate) fn bytes(&self) -> Result<Vec<u8>, Error> {
        let mut bytes = serde_json::to_vec_pretty(self).map_err(|e| Error::Bug(format!("manifest: {e}")))?;
        bytes.push(b'\n');
        Ok(bytes)
    }
}

/// Publishes the next manifest, `manifest/00000001.json` being the first, unless the newest one
/// says the same already. Sorted by name; no clock.
///
/// # Errors
/// [`Error::OutputIo`], [`Error::Verify`] as [`super::publish::Unpublished::publish`].
pub(crate) fn publish(
    folder: &OutputFolder,
    recipe_hash: &str,
    key_id: &str,
    shards: Vec<ShardRecord>,
) -> Result<(), Error> {
    let bytes = Manifest::of(recipe_hash, key_id, shards).bytes()?;
    loop {
        let newest = newest(folder)?;
        if let Some(there) = newest.map(|n| folder.find(&name(n))).transpose()?.flatten()
            && there.bytes().is_ok_and(|there| says_all(&there, &bytes))
        {
            return Ok(());
        }
        // A twin may have taken the number since: then its manifest is the newest one to look at.
        if folder.put_if_absent(&name(newest.unwrap_or(0) + 1), &bytes)? == bytes {
            return Ok(());
        }
    }
}

/// Whether a manifest is ours, or lists every shard that ours does and more, as where a twin has planned
/// further: the newest manifest must not fall behind an older one.
fn says_all(there: &[u8], ours: &[u8]) -> bool {
    let shards = |manifest: &[u8]| -> Option<BTreeSet<String>> {
        let manifest: serde_json::Value = serde_json::from_slice(manifest).ok()?;
        Some(manifest.get("shards")?.as_array()?.iter().map(ToString::to_string).collect())
    };
    let says_more =
        |there: BTreeSet<String>, ours: BTreeSet<String>| there.len() > ours.len() && there.is_superset(&ours);
    there == ours || shards(there).zip(shards(ours)).is_some_and(|(there, ours)| says_more(there, ours))
}

/// The digest of all rows of the data set `out`, as its newest manifest says; `None` where it has none.
///
/// # Errors
/// [`Error::OutputIo`]; [`Error::Verify`] where the manifest is damaged.
pub fn rows_digest(out: &Path) -> Result<Option<RowsDigest>, Error> {
    let folder = out.join(FOLDER);
    let failed = |source| Error::OutputIo { doing: "read", path: folder.clone(), source };
    let names = match fs::read_dir(&folder) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        names => names.map_err(failed)?,
    };
    let names = names.map(|entry| entry.map(|entry| entry.file_name())).collect::<Result<Vec<_>, _>>();
    let Some(newest) = names.map_err(failed)?.iter().filter_map(|name| number(name)).max() else { return Ok(None) };
    let path = out.join(name(newest));
    let manifest = serde_json::from_slice(&fs::read(&path).map_err(failed)?);
    let manifest: Manifest = manifest.map_err(|e| Error::Verify(format!("{} is damaged: {e}", path.display())))?;
    Ok(Some(manifest.rows_digest))
}

fn number(name: &OsStr) -> Option<u32> {
    name.to_str()?.strip_suffix(".json")?.parse().ok()
}

fn name(number: u32) -> String {
    format!("{FOLDER}/{number:08}.json")
}

/// The number of the newest manifest.
fn newest(folder: &OutputFolder) -> Result<Option<u32>, Error> {
    let mut newest = None;
    for name in folder.list(FOLDER)? {
        newest = newest.max(number(&name));
    }
    Ok(newest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(name: &str, rows: u64) -> ShardRecord {
        let (sha256, ledger_sha256) = ("aa".to_owned(), "bb".to_owned());
        let rows_digest = "01".repeat(32).parse().expect("64 digits");
        ShardRecord { name: name.to_owned(), generation: 1, rows, bytes: 10, sha256, ledger_sha256, rows_digest }
    }

    #[test]
    fn a_manifest_is_numbered_sorted_and_published_only_when_it_says_something_new()
    -> Result<(), Box<dyn std::error::Error>> {
        let temp = tempfile::tempdir()?;
        let folder = OutputFolder::create(temp.path(), 0o750)?;
        publish(&folder, "r", "k", vec![record("b", 2), record("a", 1)])?;
        publish(&folder, "r", "k", vec![record("a", 1), record("b", 2)])?;
        publish(&folder, "r", "k", vec![record("a", 1), record("b", 2), record("c", 0)])?;
        let mut names: Vec<_> =
            fs::read_dir(temp.path().join(FOLDER))?.map(|e| e.expect("readable").file_name()).collect();
        names.sort();
        assert_eq!(names, ["00000001.json", "00000002.json"]);
        let first: serde_json::Value = serde_json::from_slice(&fs::read(temp.path().join("manifest/00000001.json"))?)?;
        assert_eq!(first["shards"][0]["name"], "a");
        assert_eq!(first["generations"]["1"]["rows"], 3);
        assert_eq!(first["rows_digest"], "02".repeat(32));
        assert_eq!(rows_digest(temp.path())?, Some("03".repeat(32).parse()?), "of the newest");
        assert_eq!(rows_digest(&temp.path().join("none"))?, None);
        Ok(())
    }
}
