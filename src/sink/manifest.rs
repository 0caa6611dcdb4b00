//! The manifest: which shards there are, numbered, never replaced.

use std::collections::{BTreeMap, BTreeSet};

use super::publish::OutputFolder;
use super::shard::ShardRecord;
use crate::error::Error;

/// The folder of manifests below OUT.
const FOLDER: &str = "manifest";

#[derive(serde::Serialize)]
struct Manifest<'a> {
    format: u32,
    recipe_hash: &'a str,
    key_id: &'a str,
    generations: BTreeMap<u32, Generation>,
    shards: Vec<ShardRecord>,
}

#[derive(Default, serde::Serialize)]
struct Generation {
    shards: u64,
    rows: u64,
    bytes: u64,
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
    mut shards: Vec<ShardRecord>,
) -> Result<(), Error> {
    shards.sort();
    let mut generations: BTreeMap<u32, Generation> = BTreeMap::new();
    for shard in &shards {
        let totals = generations.entry(shard.generation).or_default();
        totals.shards += 1;
        totals.rows += shard.rows;
        totals.bytes += shard.bytes;
    }
    let manifest = Manifest { format: 1, recipe_hash, key_id, generations, shards };
    let mut bytes = serde_json::to_vec_pretty(&manifest).map_err(|e| Error::Bug(format!("manifest: {e}")))?;
    bytes.push(b'\n');
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

fn name(number: u32) -> String {
    format!("{FOLDER}/{number:08}.json")
}

/// The number of the newest manifest.
fn newest(folder: &OutputFolder) -> Result<Option<u32>, Error> {
    let mut newest = None;
    for name in folder.list(FOLDER)? {
        let number = name.to_str().and_then(|name| name.strip_suffix(".json")).and_then(|digits| digits.parse().ok());
        newest = newest.max(number);
    }
    Ok(newest)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn record(name: &str, rows: u64) -> ShardRecord {
        let (sha256, ledger_sha256) = ("aa".to_owned(), "bb".to_owned());
        ShardRecord { name: name.to_owned(), generation: 1, rows, bytes: 10, sha256, ledger_sha256 }
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
        Ok(())
    }
}
