//! Shards as the tests read them: with the parquet crate, knowing nothing of this program.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type};
use arrow_array::{Array, RecordBatch};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use sha2::{Digest, Sha256};

/// Every Parquet file below a folder, by name.
pub fn parquet_files(folder: &Path) -> Vec<PathBuf> {
    let walk = walkdir::WalkDir::new(folder).sort_by_file_name().into_iter();
    let files = walk.map(|entry| entry.expect("can be listed").into_path());
    files.filter(|path| path.extension().is_some_and(|end| end == "parquet")).collect()
}

/// Every batch of a Parquet file.
pub fn batches(file: &Path) -> Vec<RecordBatch> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(file).expect("can be opened"));
    let reader = builder.expect("is Parquet").build().expect("can be read");
    reader.map(|batch| batch.expect("can be read")).collect()
}

/// Every row of every shard below `OUT/data`, in the order of shards and rows.
pub fn rows(out: &Path) -> Vec<Row> {
    let shards = parquet_files(&out.join("data"));
    let batches = shards.iter().flat_map(|shard| batches(shard));
    batches.flat_map(|batch| (0..batch.num_rows()).map(move |row| Row { batch: batch.clone(), row })).collect()
}

/// One row of a shard.
pub struct Row {
    batch: RecordBatch,
    row: usize,
}

impl Row {
    fn column(&self, name: &str) -> &dyn Array {
        self.batch.column_by_name(name).unwrap_or_else(|| panic!("column {name}"))
    }

    fn set(&self, name: &str) -> bool {
        self.column(name).is_valid(self.row)
    }

    pub fn image(&self) -> &[u8] {
        self.column("image").as_fixed_size_binary().value(self.row)
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        self.set(name).then(|| self.column(name).as_string::<i32>().value(self.row))
    }

    pub fn float(&self, name: &str) -> Option<f64> {
        self.set(name).then(|| self.column(name).as_primitive::<Float64Type>().value(self.row))
    }

    pub fn int(&self, name: &str) -> Option<i32> {
        self.set(name).then(|| self.column(name).as_primitive::<Int32Type>().value(self.row))
    }

    pub fn bool(&self, name: &str) -> Option<bool> {
        self.set(name).then(|| self.column(name).as_boolean().value(self.row))
    }

    pub fn floats(&self, name: &str) -> Option<Vec<f64>> {
        let list = self.set(name).then(|| self.column(name).as_list::<i32>().value(self.row))?;
        Some(list.as_primitive::<Float64Type>().values().to_vec())
    }
}

/// Name below `folder` and SHA-256 of every file in it; none where there is no such folder.
pub fn hashes(folder: &Path) -> BTreeMap<String, String> {
    walkdir::WalkDir::new(folder)
        .into_iter()
        .filter(|_| folder.is_dir())
        .map(|entry| entry.expect("can be listed"))
        .filter(|entry| entry.file_type().is_file())
        .map(|entry| {
            let name = entry.path().strip_prefix(folder).expect("is below").display().to_string();
            (name, hex::encode(Sha256::digest(fs::read(entry.path()).expect("can be read"))))
        })
        .collect()
}
