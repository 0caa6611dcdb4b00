//! Promise: the bytes depend on plan, inputs, recipe and key alone, not on threads, memory or channel
//! sizes; the rows are those that `Pipeline::process` gives in a loop; any shard can be made alone.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Stdio;

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
use crate::oracle::{Job, remove};
use crate::shards::{batches, parquet_files};

const SLICES: u32 = 57;

/// An archive of heads, one in eight of them without a usable rescale slope.
fn archive(folder: &Path) {
    for n in 0..SLICES {
        let ct = Ct::head(96, 30.0 + f64::from(n) / 4.0, 24.0, f64::from(n) - 20.0).with_uid(n);
        let ct = if n % 8 == 3 { Ct { slope: "1e300", ..ct } } else { ct };
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

/// T03: 5 x 3 x 2 settings, each of a run that nothing disturbs, and of one that is killed and continued.
#[test]
fn sixty_runs_with_other_threads_channels_memory_and_a_kill_give_the_same_bytes() {
    let job = Job::new(50, 64, 20, &["--set", "crop_pad.size=128"]);
    assert_eq!(job.shards(), 3);
    for threads in [1, 2, 3, 8, 16] {
        for capacity in ["1", "2", "64"] {
            for memory in ["64MiB", "2GiB"] {
                let case = format!("threads {threads}, memory {memory}, channels of {capacity}");
                let out = job.out("out");
                let run = || {
                    let mut command = job.command(&out, threads);
                    command.args(["--memory", memory, "--channel-capacity", capacity]).stderr(Stdio::null());
                    command.spawn().expect("the program starts")
                };
                assert!(run().wait().expect("it ends").success(), "{case}");
                job.check_complete(&out).expect(&case);
                remove(&out);

                let mut child = run();
                let shards = || fs::read_dir(out.join("data/g000001")).map(Iterator::count).unwrap_or(0);
                while shards() == 0 && child.try_wait().expect("can be waited for").is_none() {
                    std::thread::yield_now();
                }
                child.kill().expect("can be killed");
                child.wait().expect("it ends");
                assert!(run().wait().expect("it ends").success(), "{case}, continued");
                job.check_complete(&out).expect(&case);
                remove(&out);
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
