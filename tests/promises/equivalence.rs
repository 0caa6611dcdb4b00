//! Promise: the bytes depend on plan, inputs, recipe and key alone, not on threads, memory or channel
//! sizes; the rows are those that `Pipeline::process` gives in a loop; any shard can be made alone.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch};
use dcmshard::identity::SourceId;
use dcmshard::pipeline::Pipeline;
use dcmshard::recipe::Recipe;
use dcmshard::slice::{InputRef, Ordinal, Pixels, SliceRef};
use dcmshard::stage::Scratch;

use crate::cli::dcmshard;
use crate::line::{self, Tested, inputs, options, shards};
use crate::made::{Ct, key};
use crate::shards::{batches, hashes, parquet_files};

const SLICES: u32 = 57;

/// An archive of heads, one in eight of them without a usable rescale slope.
fn archive(folder: &Path) {
    for n in 0..SLICES {
        let ct = Ct::head(96, 30.0 + f64::from(n) / 4.0, 24.0, f64::from(n) - 20.0).with_uid(n);
        let ct = if n % 8 == 3 { Ct { slope: "0", ..ct } } else { ct };
        ct.write(&folder.join(format!("{}/{n}.dcm", n / 10)));
    }
    fs::write(folder.join("notes.txt"), "no DICOM").expect("can be written");
}

fn key_file(folder: &Path) -> String {
    let path = folder.join("key");
    fs::write(&path, key().bytes()).expect("can be written");
    path.display().to_string()
}

/// Converts `src` into `out` with 20 rows a shard (two row groups, the last shard short); more arguments may follow.
fn convert(src: &Path, out: &Path, key: &str, more: &[&str]) {
    let (src, out) = (src.display().to_string(), out.display().to_string());
    let fixed = ["convert", &src, "--out", &out, "--key", key, "--set", "output.rows_per_shard=20"];
    let output = dcmshard(&[&fixed, more].concat());
    assert!(output.status.success(), "{more:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn threads_memory_and_channel_sizes_do_not_change_a_byte() {
    let temp = tempfile::tempdir().expect("a temporary folder");
    let (src, key) = (temp.path().join("src"), key_file(temp.path()));
    archive(&src);
    let mut expected = None;
    for threads in ["1", "2", "8"] {
        for memory in ["64MiB", "2GiB"] {
            for capacity in ["1", "16"] {
                let out = temp.path().join(format!("out-{threads}-{memory}-{capacity}"));
                let more = ["--threads", threads, "--memory", memory, "--channel-capacity", capacity];
                convert(&src, &out, &key, &more);
                let found = hashes(&out);
                let shards = found.iter().filter(|(name, _)| name.starts_with("data/")).count();
                assert_eq!(shards, 3, "57 planned slices, 20 a shard");
                assert!(fs::read_dir(out.join(".tmp")).expect("stands").next().is_none());
                let expected = expected.get_or_insert_with(|| found.clone());
                assert_eq!(&found, expected, "threads {threads}, memory {memory}, capacity {capacity}");
            }
        }
    }
}

#[test]
fn rows_are_those_of_process_in_a_loop() {
    let temp = tempfile::tempdir().expect("a temporary folder");
    let (src, out, key_path) = (temp.path().join("src"), temp.path().join("out"), key_file(temp.path()));
    archive(&src);
    convert(&src, &out, &key_path, &[]);
    let pipeline = Pipeline::new(&Recipe::head(), &key());
    let scratch = &mut Scratch::default();
    let mut expected = BTreeMap::new();
    for n in 0..SLICES {
        let (folder, path) = (format!("{}", n / 10), format!("{}/{n}.dcm", n / 10));
        let source_id = key().source_id("src", folder.as_bytes(), path.as_bytes());
        let input = InputRef::file(source_id, &src.join(&path));
        let at = SliceRef { ordinal: Ordinal(0), input, frame: 0 };
        if let Ok(slice) = pipeline.process(&at, scratch) {
            let Pixels::U8(tensor) = &slice.pixels else { panic!("head is uint8") };
            expected.insert(source_id.to_string(), (tensor.iter().copied().collect::<Vec<u8>>(), slice.facts));
        }
    }
    assert_eq!(expected.len(), 50);
    for batch in parquet_files(&out.join("data")).iter().flat_map(|shard| batches(shard)) {
        for row in 0..batch.num_rows() {
            let source_id = batch.column_by_name("source_id").expect("declared").as_string::<i32>().value(row);
            let (tensor, facts) = expected.remove(source_id).expect("a slice of the loop, and only once");
            assert!(batch.column_by_name("image").expect("there is one").as_fixed_size_binary().value(row) == tensor);
            for column in pipeline.columns() {
                let expected = facts.get(column.name).map(|value| format!("{value:?}"));
                assert_eq!(shown(&batch, column.name, row), expected, "{} of {source_id}", column.name);
            }
        }
    }
    assert!(expected.is_empty(), "all slices of the loop are rows");
}

/// A cell as `Value` shows itself; `None` is null.
fn shown(rows: &RecordBatch, column: &str, at: usize) -> Option<String> {
    use arrow_array::types::{Float64Type, Int32Type};
    use arrow_schema::DataType;
    let array = rows.column_by_name(column).expect("declared");
    if array.is_null(at) {
        return None;
    }
    Some(match array.data_type() {
        DataType::Boolean => format!("Bool({:?})", array.as_boolean().value(at)),
        DataType::Int32 => format!("Int32({:?})", array.as_primitive::<Int32Type>().value(at)),
        DataType::Float64 => format!("Float64({:?})", array.as_primitive::<Float64Type>().value(at)),
        DataType::Utf8 => format!("Text({:?})", array.as_string::<i32>().value(at)),
        DataType::List(element) => {
            let list = array.as_list::<i32>().value(at);
            match element.data_type() {
                DataType::Int32 => format!("ListInt32({:?})", &list.as_primitive::<Int32Type>().values()[..]),
                DataType::Float64 => format!("ListFloat64({:?})", &list.as_primitive::<Float64Type>().values()[..]),
                _ => format!("ListText({:?})", list.as_string::<i32>().iter().flatten().collect::<Vec<_>>()),
            }
        }
        other => panic!("{column} is {other}"),
    })
}

#[test]
fn one_input_moved_in_memory_or_on_disk_gives_the_same_row() {
    let ct = Ct::head(96, 40.0, 30.0, 7.0);
    let temp = tempfile::tempdir().expect("a temporary folder");
    ct.write(&temp.path().join("a.dcm"));
    let pipeline = Pipeline::new(&Recipe::head(), &key());
    let input = InputRef::file(SourceId([1; 24]), &temp.path().join("a.dcm"));
    let file = SliceRef { ordinal: Ordinal(0), input, frame: 0 };
    let from_file = pipeline.process(&file, &mut Scratch::default()).expect("a row");
    let from_memory = pipeline.process(&ct.slice_ref(), &mut Scratch::default()).expect("a row");
    assert_eq!(from_file.pixels, from_memory.pixels);
    assert_eq!(from_file.facts, from_memory.facts);
}

#[test]
fn any_shard_can_be_made_alone() -> Tested {
    let inputs = inputs(3 * line::SHARD, 6);
    let together = tempfile::tempdir()?;
    line::convert(together.path(), &options(2, 4, 64), shards(&inputs))?;
    let alone = tempfile::tempdir()?;
    for shard in shards(&inputs).into_iter().rev() {
        line::convert(alone.path(), &options(3, 1, 64), vec![shard])?;
    }
    assert_eq!(line::hashes(alone.path()), line::hashes(together.path()));
    Ok(())
}
