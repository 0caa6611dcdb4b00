//! A shard: its names, its footer's metadata, writing it, and knowing one that is there already.

use std::collections::BTreeMap;

use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::writer::SerializedFileWriter;

use super::digest::RowsDigest;
use super::ledger::{self, LedgerRow, Tally};
use super::presence;
use super::publish::{self, OutputFolder, Published, Unpublished};
use super::rows::{RowEncoder, RowGroup};
use super::table;
use crate::error::Error;
use crate::reason::Class;

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

/// Metadata of a ledger part: SHA-256 of the last bytes of its shard, at most
/// [`presence::TAIL_BYTES`].
pub const SHARD_TAIL_SHA256: &str = "dcmshard.shard_tail_sha256";
/// Metadata of a ledger part: how many rows of which reason it has, see [`presence::tally_words`].
pub const TALLY: &str = "dcmshard.tally";
/// Metadata of a ledger part: [`RowsDigest`] of its shard.
pub const ROWS_DIGEST: &str = "dcmshard.rows_digest";

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
        ShardId::data_name_of(self.generation, self.shard)
    }

    /// The name below OUT of a shard by its generation and its number there.
    pub fn data_name_of(generation: u32, shard: u32) -> String {
        format!("data/g{generation:06}/part-{shard:08}.parquet")
    }

    /// The name of its ledger part below OUT.
    pub fn ledger_name(&self) -> String {
        format!("ledger/g{:06}/part-{:08}.parquet", self.generation, self.shard)
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
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
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
    /// Digest of its rows.
    pub rows_digest: RowsDigest,
}

/// A shard being written: row groups in order, then the footer.
pub(crate) struct ShardFile {
    id: ShardId,
    writer: SerializedFileWriter<Unpublished>,
    rows: u64,
    digest: RowsDigest,
}

impl ShardFile {
    pub(crate) fn begin(folder: &OutputFolder, id: &ShardId, encoder: &RowEncoder) -> Result<ShardFile, Error> {
        let file = folder.begin(&id.data_name())?;
        let writer = encoder.file_writer(file, &id.metadata()).map_err(|e| failed(folder, id, e))?;
        Ok(ShardFile { id: id.clone(), writer, rows: 0, digest: RowsDigest::default() })
    }

    pub(crate) fn append(&mut self, folder: &OutputFolder, group: RowGroup) -> Result<(), Error> {
        self.rows += group.rows as u64;
        self.digest += group.digest;
        group.append_to(&mut self.writer).map_err(|e| failed(folder, &self.id, e))
    }

    /// Writes the footer; what is left to do is to publish.
    pub(crate) fn finish(mut self, folder: &OutputFolder, ledger: Vec<LedgerRow>) -> Result<FinishedShard, Error> {
        self.writer.append_key_value_metadata(KeyValue::new(ROWS.to_owned(), self.rows.to_string()));
        // Not `into_inner`, which makes words of what the disk says: a full one would be a bug of ours.
        self.writer.finish().map_err(|e| failed(folder, &self.id, e))?;
        let file = self.writer.inner_mut().take();
        Ok(FinishedShard { id: self.id, file, rows: self.rows, digest: self.digest, ledger })
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
    digest: RowsDigest,
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
        metadata.push((SHARD_TAIL_SHA256, self.file.tail().sha256()));
        let mut tally = Tally::default();
        self.ledger.iter().for_each(|row| tally.count(row));
        metadata.push((TALLY, presence::tally_words(&tally)));
        metadata.push((ROWS_DIGEST, self.digest.to_string()));
        // Without its shard, a ledger part was never committed: it may tell of inputs that are no longer
        // what they were.
        let uncommitted = folder.until(folder.path(&self.id.data_name()));
        let ledger = ledger::publish(&uncommitted, &self.id.ledger_name(), &self.ledger, &metadata)?;
        let shard = self.file.publish()?;
        Ok((record(&self.id, (self.rows, self.digest), shard, ledger.sha256), tally))
    }
}

fn record(
    id: &ShardId,
    (rows, rows_digest): (u64, RowsDigest),
    shard: Published,
    ledger_sha256: String,
) -> ShardRecord {
    let (name, generation) = (id.data_name(), id.generation);
    ShardRecord { name, generation, rows, bytes: shard.bytes, sha256: shard.sha256, ledger_sha256, rows_digest }
}

/// Whether the shard is there already: the footer of its ledger part is this plan's; the shard's length,
/// beginning and end are what that says. Small reads only; that every byte is right is `verify`'s
/// question. What is there and is not right is set aside, to be made again.
///
/// Returns its record and the counts of its ledger part, `found` included.
///
/// # Errors
/// [`Error::OutputIo`].
pub(crate) fn existing(folder: &OutputFolder, id: &ShardId) -> Result<Option<(ShardRecord, Tally)>, Error> {
    let Some(shard) = folder.find(&id.data_name())? else { return Ok(None) };
    let Some(ledger) = existing_ledger(folder, id)? else {
        return Ok(None);
    };
    if !presence::agrees(&shard, ledger.shard_bytes, &ledger.shard_tail_sha256) {
        tracing::warn!("{} is not what its ledger part says; it is set aside and made again", id.data_name());
        folder.set_aside(&id.data_name())?;
        return Ok(None);
    }
    Ok(Some(ledger.into_record(id)))
}

/// As [`existing`], but what is not right stays where it is; the inner error says what that is.
///
/// # Errors
/// [`Error::OutputIo`].
pub(crate) fn look(folder: &OutputFolder, id: &ShardId) -> Result<Result<(ShardRecord, Tally), String>, Error> {
    let (data, part) = (id.data_name(), id.ledger_name());
    let Some(shard) = folder.find(&data)? else { return Ok(Err(format!("{data} is missing"))) };
    let Some(ledger) = folder.find(&part)? else { return Ok(Err(format!("{part} is missing"))) };
    Ok(match read_ledger(&ledger, id) {
        None => Err(format!("{part} is damaged, or does not belong to the plan")),
        Some(ledger) if presence::agrees(&shard, ledger.shard_bytes, &ledger.shard_tail_sha256) => {
            Ok(ledger.into_record(id))
        }
        Some(_) => Err(format!("{data} is damaged: it is not what its ledger part says")),
    })
}

/// A ledger part that was read back.
struct ExistingLedger {
    tally: Tally,
    sha256: String,
    shard_sha256: String,
    shard_bytes: u64,
    shard_tail_sha256: String,
    rows_digest: RowsDigest,
}

impl ExistingLedger {
    /// What it says of the shard, and its counts.
    fn into_record(self, id: &ShardId) -> (ShardRecord, Tally) {
        let rows = self.tally.of(Class::Written);
        let shard = Published { sha256: self.shard_sha256, bytes: self.shard_bytes };
        (record(id, (rows, self.rows_digest), shard, self.sha256), self.tally)
    }
}

fn existing_ledger(folder: &OutputFolder, id: &ShardId) -> Result<Option<ExistingLedger>, Error> {
    let name = id.ledger_name();
    let found = folder.find(&name)?.and_then(|file| read_ledger(&file, id));
    if found.is_none() && folder.set_aside(&name)? {
        tracing::warn!("{name} does not belong to the plan; it is set aside and made again");
    }
    Ok(found)
}

/// What a ledger part says in its footer, where it is this plan's; its rows are not looked at.
fn read_ledger(file: &Stored, id: &ShardId) -> Option<ExistingLedger> {
    let bytes = file.bytes().ok()?;
    let sha256 = publish::hash(&mut &bytes[..]).ok()?.sha256;
    let metadata = presence::footer_metadata(bytes)?;
    let tally = Tally { found: id.slices, ..presence::read_tally(metadata.get(TALLY)?)? };
    let rows: u64 = metadata.get(ROWS)?.parse().ok()?;
    let fits = agrees(&metadata, id) && tally.check().is_ok() && tally.of(Class::Written) == rows;
    let shard_bytes = metadata.get(SHARD_BYTES)?.parse().ok()?;
    let [shard_sha256, shard_tail_sha256] =
        [SHARD_SHA256, SHARD_TAIL_SHA256].map(|key| metadata.get(key).cloned().unwrap_or_default());
    let rows_digest = metadata.get(ROWS_DIGEST)?.parse().ok()?;
    fits.then_some(ExistingLedger { tally, sha256, shard_sha256, shard_bytes, shard_tail_sha256, rows_digest })
}

fn agrees(metadata: &BTreeMap<String, String>, id: &ShardId) -> bool {
    id.metadata().iter().all(|(key, value)| metadata.get(*key) == Some(value))
}
