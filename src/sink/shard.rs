//! A shard: its names, its footer's metadata, writing it, and knowing one that is there already.

use std::collections::BTreeMap;
use std::ops::Range;

use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::writer::SerializedFileWriter;

use super::digest::RowsDigest;
use super::ledger::{self, LedgerRow, Tally};
use super::presence;
use super::publish::{self, OutputFolder, Published, Unpublished};
use super::rows::{RowEncoder, RowGroup};
use super::storage::Stored;
use super::table;
use super::twins::Twins;
use crate::error::Error;
use crate::reason::{Class, Fault, Reason};

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
pub const UNREADABLE: &str = "dcmshard.unreadable";
/// Metadata of a ledger part: SHA-256 of the last 16 KiB of its shard, or of all of a shorter one.
pub const SHARD_TAIL_SHA256: &str = "dcmshard.shard_tail_sha256";
/// Metadata of a ledger part: how many rows of which reason it has, as `written=20 rescale=3`.
pub const TALLY: &str = "dcmshard.tally";
/// Metadata of a ledger part: [`RowsDigest`] of its shard.
pub const ROWS_DIGEST: &str = "dcmshard.rows_digest";

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

    /// The ordinals of its planned slices.
    pub(crate) fn ordinals(&self) -> Range<u64> {
        self.first_ordinal..self.first_ordinal + self.slices
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
    /// The ordinals of its planned slices.
    pub(crate) fn ordinals(&self) -> Range<u64> {
        self.id.ordinals()
    }

    /// Publishes the ledger part, then the shard, whose appearance is the commit.
    ///
    /// Where a twin (another run that makes the same shard) could read what this one could not, or the
    /// other way round, both are right, and the first whole shard stands: see [`super::twins`].
    ///
    /// Returns the record, and the counts of its ledger part, `found` apart.
    pub(crate) fn publish(self, folder: &OutputFolder) -> Result<(ShardRecord, Tally), Error> {
        let shard = self.file.so_far();
        let mut metadata = self.id.metadata();
        metadata.push((ROWS, self.rows.to_string()));
        metadata.push((SHARD_SHA256, shard.sha256.clone()));
        metadata.push((SHARD_BYTES, shard.bytes.to_string()));
        metadata.push((SHARD_TAIL_SHA256, self.file.tail().sha256()));
        let mut tally = Tally::default();
        self.ledger.iter().for_each(|row| tally.count(row));
        metadata.push((TALLY, presence::tally_words(&tally)));
        metadata.push((ROWS_DIGEST, self.digest.to_string()));
        let unreadable = self.ledger.iter().filter(|row| row.reason == Some(Reason::Unreadable)).count();
        if unreadable > 0 {
            metadata.push((UNREADABLE, unreadable.to_string()));
        }
        let stands = Twins::new(folder, &self.id, shard, &self.ledger, &metadata).publish(self.file)?;
        let (record, tally) = stands.said(&self.id);
        Ok((record, Tally { found: 0, ..tally }))
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

/// What there is of a planned shard.
#[derive(Debug)]
pub(crate) enum Standing {
    /// All: its record, and the counts of its ledger part, `found` included.
    Whole(ShardRecord, Tally),
    /// It is to be made. By ordinal, what an unfinished attempt said of slices that another attempt
    /// might read: that is followed.
    Missing(BTreeMap<u64, Fault>),
}

/// Whether the shard is there already: the footer of its ledger part is this plan's; the shard's length,
/// beginning and end are what that says. Small reads only; that every byte is right is `verify`'s
/// question. What is there and is not right is set aside, to be made again.
///
/// A ledger part without its shard was never committed, and yet decides what became of the slices
/// whose reason depends on the environment: the shard that is made now is the one that was to be.
///
/// # Errors
/// [`Error::OutputIo`].
pub(crate) fn standing(folder: &OutputFolder, id: &ShardId) -> Result<Standing, Error> {
    let name = id.ledger_name();
    // Where there is none, a twin may be publishing it at this moment: nothing is set aside then.
    let Some(file) = folder.find(&name)? else { return Ok(Standing::Missing(BTreeMap::new())) };
    let Some(ledger) = StoredLedger::read(file, id) else {
        if folder.set_aside(&name)? {
            tracing::warn!("{name} does not belong to the plan; it is set aside and made again");
        }
        return Ok(Standing::Missing(BTreeMap::new()));
    };
    match folder.find(&id.data_name())? {
        Some(shard) if ledger.tells_of(&shard) => {
            let (record, tally) = ledger.said(id);
            Ok(Standing::Whole(record, tally))
        }
        found => {
            if found.is_some() {
                tracing::warn!("{} is not what its ledger part says; it is set aside and made again", id.data_name());
                folder.set_aside(&id.data_name())?;
            }
            Ok(Standing::Missing(ledger.followed()))
        }
    }
}

/// As [`standing`], but what is not right stays where it is; the inner error says what that is.
///
/// # Errors
/// [`Error::OutputIo`].
pub(crate) fn look(folder: &OutputFolder, id: &ShardId) -> Result<Result<(ShardRecord, Tally), String>, Error> {
    let (data, part) = (id.data_name(), id.ledger_name());
    let Some(shard) = folder.find(&data)? else { return Ok(Err(format!("{data} is missing"))) };
    let Some(ledger) = folder.find(&part)? else { return Ok(Err(format!("{part} is missing"))) };
    Ok(match StoredLedger::read(ledger, id) {
        None => Err(format!("{part} is damaged, or does not belong to the plan")),
        Some(ledger) if ledger.tells_of(&shard) => Ok(ledger.said(id)),
        Some(_) => Err(format!("{data} is damaged: it is not what its ledger part says")),
    })
}

/// A ledger part that was read back, and whose footer agrees with the plan. Its rows are read when
/// they are asked for.
#[derive(Debug)]
pub(super) struct StoredLedger {
    file: Stored,
    tally: Tally,
    pub(super) sha256: String,
    /// The shard that it tells of.
    pub(super) shard: Published,
    shard_tail_sha256: String,
    rows_digest: RowsDigest,
}

impl StoredLedger {
    /// `None` where it is not this shard's.
    fn read(file: Stored, id: &ShardId) -> Option<StoredLedger> {
        let bytes = file.bytes().ok()?;
        let sha256 = publish::hash(&mut &bytes[..]).ok()?.sha256;
        let metadata = presence::footer_metadata(bytes)?;
        let tally = Tally { found: id.slices, ..presence::read_tally(metadata.get(TALLY)?)? };
        let written: u64 = metadata.get(ROWS)?.parse().ok()?;
        let fits = agrees(&metadata, id) && tally.check().is_ok() && tally.of(Class::Written) == written;
        let shard_bytes = metadata.get(SHARD_BYTES)?.parse().ok()?;
        let shard = Published { sha256: metadata.get(SHARD_SHA256)?.clone(), bytes: shard_bytes };
        let shard_tail_sha256 = metadata.get(SHARD_TAIL_SHA256)?.clone();
        let rows_digest = metadata.get(ROWS_DIGEST)?.parse().ok()?;
        fits.then_some(StoredLedger { file, tally, sha256, shard, shard_tail_sha256, rows_digest })
    }

    /// What it says of a shard that is there.
    fn said(self, id: &ShardId) -> (ShardRecord, Tally) {
        (record(id, (self.tally.of(Class::Written), self.rows_digest), self.shard, self.sha256), self.tally)
    }

    /// Whether it tells of this shard, by small reads.
    fn tells_of(&self, shard: &Stored) -> bool {
        presence::agrees(shard, self.shard.bytes, &self.shard_tail_sha256)
    }

    /// Whether it has these rows.
    pub(super) fn holds(&self, rows: &[LedgerRow]) -> bool {
        ledger::read_stored(&self.file).is_ok_and(|(own, _)| own == rows)
    }

    fn followed(self) -> BTreeMap<u64, Fault> {
        let fault = |row: LedgerRow| {
            let reason = row.reason.filter(|reason| reason.depends_on_environment())?;
            Some((row.ordinal?, Fault::new(reason, row.detail.unwrap_or_default())))
        };
        let rows = ledger::read_stored(&self.file).map_or_else(|_| Vec::new(), |(rows, _)| rows);
        rows.into_iter().filter_map(fault).collect()
    }
}

/// The ledger part; `None` where there is none, or one that is not this shard's.
pub(super) fn read_ledger(folder: &OutputFolder, id: &ShardId) -> Result<Option<StoredLedger>, Error> {
    Ok(folder.find(&id.ledger_name())?.and_then(|file| StoredLedger::read(file, id)))
}

fn agrees(metadata: &BTreeMap<String, String>, id: &ShardId) -> bool {
    id.metadata().iter().all(|(key, value)| metadata.get(*key) == Some(value))
}
