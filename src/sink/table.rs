//! Small Parquet tables: plan segments, ledger parts, private path maps.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use arrow_array::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::{KeyValue, ParquetMetaDataReader};
use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder};

use super::disk::Disk;
use super::storage::Stored;
use crate::error::Error;

/// What every Parquet file of ours says made it: a fixed word, so that bytes depend on no version.
pub(crate) const CREATED_BY: &str = "dcmshard";

/// The properties common to all our Parquet files: fixed maker, metadata in the given order.
pub(crate) fn properties(metadata: &[(&str, String)]) -> WriterPropertiesBuilder {
    let metadata = metadata.iter().map(|(key, value)| KeyValue::new((*key).to_owned(), value.clone())).collect();
    WriterProperties::builder().set_created_by(CREATED_BY.to_owned()).set_key_value_metadata(Some(metadata))
}

/// Rows that are encoded at once, and make a row group: a table of a whole plan segment never lies
/// in memory twice.
const ROWS_PER_GROUP: usize = 16_384;

/// Writes `rows`, which `batch` turns into columns piece by piece, as one Parquet file, ZSTD 1, with
/// `metadata` in the given order. The bytes are a pure function of these.
///
/// # Errors
/// [`Error::OutputIo`] naming `path`, which is for messages only; what `batch` says.
pub(crate) fn write<T>(
    rows: &[T],
    batch: impl Fn(&[T]) -> Result<RecordBatch, Error>,
    metadata: &[(&str, String)],
    to: impl Write + Send,
    path: &Path,
) -> Result<(), Error> {
    let failed = |e| write_failed(path, e);
    let level = ZstdLevel::try_new(1).map_err(|e| Error::Bug(format!("ZSTD level 1: {e}")))?;
    let properties = properties(metadata)
        .set_compression(Compression::ZSTD(level))
        .set_max_row_group_row_count(Some(ROWS_PER_GROUP))
        .build();
    let (first, rest) = rows.split_at(rows.len().min(ROWS_PER_GROUP));
    let first = batch(first)?; // also of no rows: the columns are there
    let mut writer = ArrowWriter::try_new(to, first.schema(), Some(properties)).map_err(failed)?;
    writer.write(&first).map_err(failed)?;
    drop(first);
    for piece in rest.chunks(ROWS_PER_GROUP) {
        writer.write(&batch(piece)?).map_err(failed)?;
    }
    writer.close().map(|_| ()).map_err(failed)
}

/// A table that was read back.
#[derive(Clone, Debug)]
pub struct Table {
    /// All rows.
    pub rows: RecordBatch,
    /// The key-value metadata of the file.
    pub metadata: BTreeMap<String, String>,
}

/// Reads a whole small table.
///
/// # Errors
/// [`Error::OutputIo`] where the file cannot be opened; [`Error::Verify`] where it is no whole
/// Parquet file.
pub fn read(path: &Path) -> Result<Table, Error> {
    read_stored(&on_disk(path)?)
}

/// Opens a file of the machine's file system.
pub(crate) fn on_disk(path: &Path) -> Result<Stored, Error> {
    let failed = |source| Error::OutputIo { doing: "open", path: path.to_owned(), source };
    Stored::open(&Disk::default(), path).map_err(failed)
}

/// As [`read`], of a file that is open.
///
/// # Errors
/// [`Error::Verify`] where it is no whole Parquet file.
pub(crate) fn read_stored(file: &Stored) -> Result<Table, Error> {
    contained(file.path(), || read_contained(file))
}

/// Calls the Parquet reader, which panics on some damaged files: then the file is what is wrong.
///
/// # Errors
/// Those of `read`; [`Error::Verify`] where it panics.
pub(crate) fn contained<T>(path: &Path, read: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    // Nothing that the reader may have left half done outlives the call.
    let damaged = || Error::Verify(format!("{} is damaged: the Parquet reader panicked", path.display()));
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| Err(damaged()))
}

/// The key-value metadata of a table, by small reads at its end.
///
/// # Errors
/// [`Error::Verify`] where it is no whole Parquet file.
pub(crate) fn metadata(file: &Stored) -> Result<BTreeMap<String, String>, Error> {
    let damaged = |e: ParquetError| Error::Verify(format!("{} is damaged: {e}", file.path().display()));
    let footer = contained(file.path(), || ParquetMetaDataReader::new().parse_and_finish(file).map_err(damaged))?;
    let pairs = footer.file_metadata().key_value_metadata().into_iter().flatten();
    Ok(pairs.filter_map(|kv| Some((kv.key.clone(), kv.value.clone()?))).collect())
}

fn read_contained(file: &Stored) -> Result<Table, Error> {
    let damaged = |e: &dyn std::fmt::Display| Error::Verify(format!("{} is damaged: {e}", file.path().display()));
    let builder = ParquetRecordBatchReaderBuilder::try_new(file.clone()).map_err(|e| damaged(&e))?;
    let schema = builder.schema().clone();
    let file_metadata = builder.metadata().file_metadata();
    let pairs = file_metadata.key_value_metadata().into_iter().flatten();
    let metadata = pairs.filter_map(|kv| Some((kv.key.clone(), kv.value.clone()?))).collect();
    let rows = usize::try_from(file_metadata.num_rows()).map_err(|e| damaged(&e))?;
    let mut batches = builder.with_batch_size(rows.max(1)).build().map_err(|e| damaged(&e))?;
    let mut rows = match batches.next() {
        Some(batch) => batch.map_err(|e| damaged(&e))?,
        None => RecordBatch::new_empty(schema),
    };
    if batches.next().is_some() {
        return Err(damaged(&"more rows than its footer says"));
    }
    // The reader hangs the file's metadata onto the schema, where it would be mistaken for ours.
    rows.schema_metadata_mut().clear();
    Ok(Table { rows, metadata })
}

/// An error of writing a Parquet file: the disk's where the disk failed, else ours.
pub(crate) fn write_failed(path: &Path, error: ParquetError) -> Error {
    match error {
        ParquetError::External(inner) => match inner.downcast::<io::Error>() {
            Ok(source) => Error::OutputIo { doing: "write", path: path.to_owned(), source: *source },
            Err(other) => Error::Bug(format!("encoding {}: {other}", path.display())),
        },
        other => Error::Bug(format!("encoding {}: {other}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::sync::Arc;

    use arrow_array::{Int32Array, StringArray};

    use super::*;

    type Tested = Result<(), Box<dyn std::error::Error>>;

    fn table(numbers: std::ops::Range<i32>) -> RecordBatch {
        let words: StringArray = numbers.clone().map(|i| (i % 3 != 0).then(|| format!("w{i}"))).collect();
        RecordBatch::try_from_iter_with_nullable([
            ("n", Arc::new(Int32Array::from_iter_values(numbers)) as _, false),
            ("word", Arc::new(words) as _, true),
        ])
        .expect("equal lengths")
    }

    fn write_table(n: i32, metadata: &[(&str, String)], to: impl Write + Send, path: &Path) -> Result<(), Error> {
        let numbers: Vec<i32> = (0..n).collect();
        let batch = |piece: &[i32]| Ok(table(piece.first().map_or(0..0, |from| *from..from + piece.len() as i32)));
        write(&numbers, batch, metadata, to, path)
    }

    #[test]
    fn a_table_comes_back_as_it_was() -> Tested {
        let folder = tempfile::tempdir()?;
        for rows in [0, 1, 5000, 16_384, 16_385, 40_000] {
            let path = folder.path().join(format!("{rows}.parquet"));
            write_table(rows, &[("b", "2".into()), ("a", "1".into())], File::create(&path)?, &path)?;
            let back = read(&path)?;
            assert_eq!(back.rows, table(0..rows));
            assert_eq!(back.metadata["a"], "1");
            assert_eq!(back.metadata["b"], "2");
        }
        Ok(())
    }

    #[test]
    fn the_same_table_gives_the_same_bytes() -> Tested {
        let (mut a, mut b) = (Vec::new(), Vec::new());
        write_table(100, &[("k", "v".into())], &mut a, Path::new("a"))?;
        write_table(100, &[("k", "v".into())], &mut b, Path::new("b"))?;
        assert_eq!(a, b);
        Ok(())
    }

    #[test]
    fn a_torn_table_is_damage_and_a_missing_one_is_io() -> Tested {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("t.parquet");
        let mut bytes = Vec::new();
        write_table(100, &[], &mut bytes, &path)?;
        std::fs::write(&path, &bytes[..bytes.len() - 1])?;
        assert!(matches!(read(&path), Err(Error::Verify(_))));
        assert!(matches!(read(&folder.path().join("none")), Err(Error::OutputIo { .. })));
        Ok(())
    }

    #[test]
    fn a_full_disk_is_output_io() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let error = write_table(3, &[], Full, Path::new("t")).expect_err("full");
        assert!(matches!(error, Error::OutputIo { .. }), "{error}");
    }
}
