//! The newest manifest against the shards.

use std::collections::BTreeMap;
use std::fs;

use super::check::Check;
use super::findings::Remedy;
use super::read::read_json;
use crate::error::Error;
use crate::sink::manifest::{self, Manifest};
use crate::sink::shard::ShardRecord;

/// What the newest manifest lists.
#[derive(Debug, Default)]
pub(super) struct Listed {
    /// Its name below OUT; `None` where there is none, or it cannot be read.
    name: Option<String>,
    /// Shards that were not met yet.
    shards: BTreeMap<String, ShardRecord>,
}

impl Listed {
    /// What it says of a shard; which is met now.
    pub(super) fn take(&mut self, shard: &str) -> Option<ShardRecord> {
        self.shards.remove(shard)
    }
}

impl Check<'_> {
    pub(super) fn read_manifest(&mut self) -> Result<(), Error> {
        let Some(newest) = self.files(manifest::FOLDER)?.into_iter().rfind(|name| name.ends_with(".json")) else {
            let what = "there is none; the run that makes this data set has not ended";
            self.problem(manifest::FOLDER, Remedy::Convert, what);
            return Ok(());
        };
        let name = format!("{}/{newest}", manifest::FOLDER);
        let Some(manifest) = self.read(&name, Remedy::SetAside, read_json::<Manifest>)? else { return Ok(()) };
        let ours = [self.dataset.recipe_hash.clone(), self.dataset.key_id.clone()];
        let theirs = [&manifest.recipe_hash, &manifest.key_id];
        for ((key, found), expected) in ["recipe_hash", "key_id"].iter().zip(theirs).zip(ours) {
            self.expect(*found == expected, &name, Remedy::SetAside, || {
                format!("{key} is {found}, expected {expected}")
            });
        }
        let shards = manifest.shards.into_iter().map(|record| (record.name.clone(), record)).collect();
        self.listed = Listed { name: Some(name), shards };
        Ok(())
    }

    /// A shard as its ledger part has it, against the manifest. Where the ledger part itself is another,
    /// nothing tells which of the two is damaged: both are made again.
    pub(super) fn compare_with_manifest(&mut self, record: &ShardRecord, listed: Option<&ShardRecord>) {
        let Some(manifest) = self.listed.name.clone() else { return };
        let Some(listed) = listed else {
            return self.problem(&manifest, Remedy::Convert, format!("does not list {}", record.name));
        };
        if listed.ledger_sha256 != record.ledger_sha256 {
            let ledger = record.name.replacen("data/", "ledger/", 1);
            let what = format!("sha256 is {}, {manifest} says {}", record.ledger_sha256, listed.ledger_sha256);
            self.problem(&ledger, Remedy::SetAside, what);
            self.problem(&manifest, Remedy::SetAside, format!("the hash of {ledger} is another"));
        } else if listed != record {
            let what = format!("what it says of {} is not what its ledger part says", record.name);
            self.problem(&manifest, Remedy::SetAside, what);
        }
    }

    /// That the manifest is, byte for byte, the one of the shards that were met.
    pub(super) fn check_manifest(&mut self) -> Result<(), Error> {
        let Some(name) = self.listed.name.clone() else { return Ok(()) };
        let unplanned: Vec<String> = self.listed.shards.keys().cloned().collect();
        for shard in unplanned {
            self.problem(&name, Remedy::SetAside, format!("lists {shard}, which is not in the plan"));
        }
        if !self.findings.problems.is_empty() {
            return Ok(()); // it has been named, or what it says cannot be known
        }
        let records = std::mem::take(&mut self.records);
        let manifest = Manifest::of(&self.dataset.recipe_hash, &self.dataset.key_id, records);
        let found = fs::read(self.out.join(&name)).unwrap_or_default();
        let same = found == manifest.bytes()?;
        self.expect(same, &name, Remedy::SetAside, || "is not the manifest of the shards that it lists".to_owned());
        self.records = manifest.shards;
        Ok(())
    }
}
