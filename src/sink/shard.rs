//! A shard: its names, its footer's metadata, writing it, and knowing one that is there already.

use std::collections::BTreeMap;
use std::io::Read;

use parquet::arrow::arrow_writer::ArrowColumnChunk;
use parquet::errors::ParquetError;
use parquet::file::metadata::{KeyValue, ParquetMetaDataReader};
use parquet::file::reader::Length;
use parquet::file::writer::SerializedFileWriter;

use super::ledger::{self, LedgerRow, Tally};
use super::publish::{self, OutputFolder, Published, Unpublished};
use super::rows::RowEncoder;
use super::storage::Stored;
use super::table;
use crate::error::Error;
use crate::reason::{Class, Reason};

/// Footer metadata: SHA-256 of the plan segment that says what belongs into the shard.
pub const PLAN_SHA256: &str = "dcmshard.plan_sha256";
/// Footer metadata: hash of the recipe.
pub const RECIPE_HASH: &str = "dcmshard.recipe_hash";
/// Footer metadata: public id of the key.
pub const KEY_ID: &str = "dcmshard.key_id";
/// Footer metadata: generation, decimal.
pub const GENERATION: &str = "dcmshard.generation";
/// Footer metadata: number of the shard in its generation, decimal.
pub const SHARD: &str = "dcmshard.shard";
/// Footer metadata: ordinal of the first planned slice, decimal.
pub const FIRST_ORDINAL: &str = "dcmshard.first_ordinal";
/// Footer metadata: ordinal of the last planned slice, decimal.
pub const LAST_ORDINAL: &str = "dcmshard.last_ordinal";
/// Footer metadata: rows, decimal.
pub const ROWS: &str = "dcmshard.rows";
/// Metadata of a ledger part: SHA-256 of its shard.
pub const SHARD_SHA256: &str = "dcmshard.shard_sha256";
/// Metadata of a ledger part: length of its shard, decimal.
pub const SHARD_BYTES: &str = "dcmshard.shard_bytes";

/// Metadata of a ledger part: how many of its rows have reason `unreadable`, decimal; absent for none.
pub(crate) const UNREADABLE: &str = "dcmshard.unreadable";

/// The name below OUT of a shard: generation from 1, number in it from 0.
pub(crate) fn data_name(generation: u32, shard: u32) -> String {
    format!("data/g{generation:06}/part-{shard:08}.parquet")
}

/// The name below OUT of a shard's ledger part.
pub(crate) fn ledger_name(generation: u32, shard: u32) -> String {
    format!("ledger/g{generation:06}/part-{shard:08}.parquet")
}

/// Which shard it is: everything of the plan that its bytes depend on, apart from the slices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardId {
    /// Generation, from 1.
    pub generation: u32,
    /// Number in its generation, from 0.
    pub shard: u32,
    /// SHA-256 of the plan segment, hex.
    pub plan_sha256: String,
    /// Hash of the recipe, hex.
    pub recipe_hash: String,
    /// Public id of the key.
    pub key_id: String,
    /// Ordinal of the first planned slice.
    pub first_ordinal: u64,
    /// Planned slices, at least 1.
    pub slices: u64,
}

impl ShardId {
    /// The shard's name below OUT.
    pub fn data_name(&self) -> String {
        data_name(self.generation, self.shard)
    }

    /// The name of its ledger part below OUT.
    pub fn ledger_name(&self) -> String {
        ledger_name(self.generation, self.shard)
    }

    /// What the footers of shard and ledger part say of it. No clock, host, path or thread count.
    pub fn metadata(&self) -> Vec<(&'static str, String)> {
        vec![
            (PLAN_SHA256, self.plan_sha256.clone()),
            (RECIPE_HASH, self.recipe_hash.clone()),
            (KEY_ID, self.key_id.clone()),
            (GENERATION, self.generation.to_string()),
            (SHARD, self.shard.to_string()),
            (FIRST_ORDINAL, self.first_ordinal.to_string()),
            (LAST_ORDINAL, (self.first_ordinal + self.slices.saturating_sub(1)).to_string()),
        ]
    }
}

/// A published shard, as the manifest lists it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct ShardRecord {
    /// Name below OUT.
    pub name: String,
    /// Generation.
    pub generation: u32,
    /// Rows.
    pub rows: u64,
    /// Length of the file.
    pub bytes: u64,
    /// SHA-256 of the file.
    pub sha256: String,
    /// SHA-256 of its ledger part.
    pub ledger_sha256: String,
}

/// A shard being written: row groups in order, then the footer.
pub(crate) struct ShardFile {
    id: ShardId,
    writer: SerializedFileWriter<Unpublished>,
    rows: u64,
}

impl ShardFile {
    pub(crate) fn begin(folder: &OutputFolder, id: &ShardId, encoder: &RowEncoder) -> Result<ShardFile, Error> {
        let file = folder.begin(&id.data_name())?;
        let writer = encoder.file_writer(file, &id.metadata()).map_err(|e| failed(folder, id, e))?;
        Ok(ShardFile { id: id.clone(), writer, rows: 0 })
    }

    pub(crate) fn append(
        &mut self,
        folder: &OutputFolder,
        rows: usize,
        group: Vec<ArrowColumnChunk>,
    ) -> Result<(), Error> {
        let append = || {
            let mut writer = self.writer.next_row_group()?;
            for chunk in group {
                chunk.append_to_row_group(&mut writer)?;
            }
            writer.close()
        };
        append().map_err(|e| failed(folder, &self.id, e))?;
        self.rows += rows as u64;
        Ok(())
    }

    /// Writes the footer; what is left to do is to publish.
    pub(crate) fn finish(mut self, folder: &OutputFolder, ledger: Vec<LedgerRow>) -> Result<FinishedShard, Error> {
        self.writer.append_key_value_metadata(KeyValue::new(ROWS.to_owned(), self.rows.to_string()));
        // Not `into_inner`, which makes words of what the disk says: a full one would be a bug of ours.
        self.writer.finish().map_err(|e| failed(folder, &self.id, e))?;
        let file = self.writer.inner_mut().take();
        Ok(FinishedShard { id: self.id, file, rows: self.rows, ledger })
    }
}

fn failed(folder: &OutputFolder, id: &ShardId, error: ParquetError) -> Error {
    table::write_failed(&folder.path(&id.data_name()), error)
}

/// A whole shard that nobody can see yet, and the rows of its ledger part.
pub(crate) struct FinishedShard {
    id: ShardId,
    file: Unpublished,
    rows: u64,
    ledger: Vec<LedgerRow>,
}

impl FinishedShard {
    /// Publishes the ledger part, then the shard, whose appearance is the commit.
    pub(crate) fn publish(self, folder: &OutputFolder) -> Result<(ShardRecord, Tally), Error> {
        let shard = self.file.so_far();
        let mut metadata = self.id.metadata();
        metadata.push((ROWS, self.rows.to_string()));
        metadata.push((SHARD_SHA256, shard.sha256));
        metadata.push((SHARD_BYTES, shard.bytes.to_string()));
        let unreadable = self.ledger.iter().filter(|row| row.reason == Some(Reason::Unreadable)).count();
        if unreadable > 0 {
            metadata.push((UNREADABLE, unreadable.to_string()));
        }
        let ledger = ledger::publish(folder, &self.id.ledger_name(), &self.ledger, &metadata)?;
        let shard = self.file.publish()?;
        let mut tally = Tally::default();
        self.ledger.iter().for_each(|row| tally.count(row));
        Ok((record(&self.id, self.rows, shard, ledger.sha256), tally))
    }
}

fn record(id: &ShardId, rows: u64, shard: Published, ledger_sha256: String) -> ShardRecord {
    let (name, generation) = (id.data_name(), id.generation);
    ShardRecord { name, generation, rows, bytes: shard.bytes, sha256: shard.sha256, ledger_sha256 }
}

/// Whether the shard is there already: its ledger part reads and is this plan's; its length, both
/// magics and the metadata of its footer are what they should be. Small reads only; that every byte
/// is right is `verify`'s question. What is there and is not right is set aside, to be made again.
///
/// Returns its record and the counts of its ledger part, `found` included.
///
/// # Errors
/// [`Error::OutputIo`].
pub(crate) fn existing(folder: &OutputFolder, id: &ShardId) -> Result<Option<(ShardRecord, Tally)>, Error> {
    let Some(shard) = folder.find(&id.data_name())? else {
        // A ledger part without its shard was never committed. It may tell of inputs that are no
        // longer what they were, and would stand in the way of the one that is true now.
        folder.remove(&id.ledger_name())?;
        return Ok(None);
    };
    let Some(ledger) = existing_ledger(folder, id)? else {
        return Ok(None);
    };
    if !shard_agrees(&shard, id, &ledger) {
        tracing::warn!("{} is not what its ledger part says; it is set aside and made again", id.data_name());
        folder.set_aside(&id.data_name())?;
        return Ok(None);
    }
    let rows = ledger.tally.of(Class::Written);
    let shard = Published { sha256: ledger.shard_sha256, bytes: ledger.shard_bytes };
    Ok(Some((record(id, rows, shard, ledger.sha256), ledger.tally)))
}

/// A ledger part that was read back.
struct ExistingLedger {
    tally: Tally,
    sha256: String,
    shard_sha256: String,
    shard_bytes: u64,
}

fn existing_ledger(folder: &OutputFolder, id: &ShardId) -> Result<Option<ExistingLedger>, Error> {
    let name = id.ledger_name();
    let file = folder.find(&name)?;
    let read = || -> Option<ExistingLedger> {
        let file = file.as_ref()?;
        let sha256 = publish::hash(&mut file.reader()).ok()?.sha256;
        let (rows, metadata) = ledger::read_stored(file).ok()?;
        let mut tally = Tally { found: id.slices, ..Tally::default() };
        rows.iter().for_each(|row| tally.count(row));
        let rows: u64 = metadata.get(ROWS)?.parse().ok()?;
        let fits = agrees(&metadata, id) && tally.check().is_ok() && tally.of(Class::Written) == rows;
        let shard_bytes = metadata.get(SHARD_BYTES)?.parse().ok()?;
        fits.then_some(ExistingLedger { tally, sha256, shard_sha256: metadata.get(SHARD_SHA256)?.clone(), shard_bytes })
    };
    let found = read();
    if found.is_none() && folder.set_aside(&name)? {
        tracing::warn!("{name} does not belong to the plan; it is set aside and made again");
    }
    Ok(found)
}

fn agrees(metadata: &BTreeMap<String, String>, id: &ShardId) -> bool {
    id.metadata().iter().all(|(key, value)| metadata.get(*key) == Some(value))
}

fn shard_agrees(file: &Stored, id: &ShardId, ledger: &ExistingLedger) -> bool {
    let read = || -> Option<bool> {
        let mut magic = [0; 4];
        file.reader().read_exact(&mut magic).ok()?;
        let length = file.len();
        let footer = ParquetMetaDataReader::new().parse_and_finish(file).ok()?;
        let pairs = footer.file_metadata().key_value_metadata()?;
        let metadata = pairs.iter().filter_map(|kv| Some((kv.key.clone(), kv.value.clone()?))).collect();
        let rows = u64::try_from(footer.file_metadata().num_rows()).ok()?;
        Some(
            &magic == b"PAR1"
                && length == ledger.shard_bytes
                && agrees(&metadata, id)
                && rows == ledger.tally.of(Class::Written),
        )
    };
    read().unwrap_or(false)
}
