//! Reading back what a run published.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use arrow_array::{Array, Int32Array, RecordBatch, StringArray};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::error::Error;
use crate::identity::SourceId;
use crate::sink::digest::RowsDigest;
use crate::sink::rows::ROWS_PER_GROUP;
use crate::sink::table::contained;

/// What verification needs of a shard.
pub(super) struct Shard {
    pub metadata: BTreeMap<String, String>,
    pub rows: Vec<ShardRow>,
    /// Of all its rows; where every page was decoded.
    pub digest: Option<RowsDigest>,
}

pub(super) struct ShardRow {
    pub source_id: SourceId,
    pub frame: u32,
    pub sop_key: Option<String>,
}

/// Reads the identity columns of a shard; with `every_page`, decodes all others as well, and takes the
/// digest of its rows.
pub(super) fn read_shard(path: &Path, every_page: bool) -> Result<Shard, Error> {
    contained(path, || read_open(path, every_page))
}

fn read_open(path: &Path, every_page: bool) -> Result<Shard, Error> {
    let damaged = |e: &dyn std::fmt::Display| Error::Verify(format!("{} is damaged: {e}", path.display()));
    let file = File::open(path).map_err(|source| open_failed(path, source))?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| damaged(&e))?;
    let pairs = builder.metadata().file_metadata().key_value_metadata().into_iter().flatten();
    let metadata = pairs.filter_map(|kv| Some((kv.key.clone(), kv.value.clone()?))).collect();
    let identity = ProjectionMask::columns(builder.parquet_schema(), ["source_id", "frame", "sop_key"]);
    let mask = if every_page { ProjectionMask::all() } else { identity };
    let rows_at_once = if every_page { ROWS_PER_GROUP } else { 1024 };
    let batches = builder.with_projection(mask).with_batch_size(rows_at_once).build().map_err(|e| damaged(&e))?;
    let (mut rows, mut digest) = (Vec::new(), every_page.then(RowsDigest::default));
    for batch in batches {
        let batch = batch.map_err(|e| damaged(&e))?;
        if let Some(digest) = &mut digest {
            *digest += RowsDigest::of(&batch).map_err(|e| damaged(&e))?;
        }
        let text = |name: &str| batch.column_by_name(name).and_then(|c| c.as_any().downcast_ref::<StringArray>());
        let frames = batch.column_by_name("frame").and_then(|c| c.as_any().downcast_ref::<Int32Array>());
        let (Some(ids), Some(frames), Some(sops)) = (text("source_id"), frames, text("sop_key")) else {
            return Err(damaged(&"source_id, frame or sop_key is missing or of another type"));
        };
        for row in 0..batch.num_rows() {
            rows.push(ShardRow {
                source_id: ids.value(row).parse().map_err(|e: String| damaged(&e))?,
                frame: frames.value(row).cast_unsigned(),
                sop_key: sops.is_valid(row).then(|| sops.value(row).to_owned()),
            });
        }
    }
    Ok(Shard { metadata, rows, digest })
}

/// Reads the row `at` of a shard, from 0, as a table of one row; the row groups before it are as long
/// as ours are.
pub(super) fn read_row(path: &Path, at: u64) -> Result<RecordBatch, Error> {
    contained(path, || read_open_row(path, at))
}

fn read_open_row(path: &Path, at: u64) -> Result<RecordBatch, Error> {
    let damaged = |e: &dyn std::fmt::Display| Error::Verify(format!("{} is damaged: {e}", path.display()));
    let file = File::open(path).map_err(|source| open_failed(path, source))?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| damaged(&e))?;
    let at = usize::try_from(at).map_err(|e| damaged(&e))?;
    let (group, row) = (at / ROWS_PER_GROUP, at % ROWS_PER_GROUP);
    if group >= builder.metadata().num_row_groups() {
        return Err(damaged(&format!("it has no row {at}")));
    }
    let reader = builder.with_row_groups(vec![group]).with_offset(row).with_limit(1).build();
    let batch = reader.map_err(|e| damaged(&e))?.next();
    batch.ok_or_else(|| damaged(&format!("it has no row {at}")))?.map_err(|e| damaged(&e))
}

pub(super) fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, Error> {
    let bytes = fs::read(path).map_err(|source| open_failed(path, source))?;
    serde_json::from_slice(&bytes).map_err(|e| Error::Verify(format!("{} is damaged: {e}", path.display())))
}

pub(super) fn length(path: &Path) -> Result<u64, Error> {
    path.metadata().map(|metadata| metadata.len()).map_err(|source| open_failed(path, source))
}

fn open_failed(path: &Path, source: io::Error) -> Error {
    Error::OutputIo { doing: "open", path: PathBuf::from(path), source }
}
