//! Promise: the bytes depend on plan, inputs, recipe and key alone; the rows are those that
//! `Pipeline::process` gives in a loop.

use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch};
use dcmshard::pipeline::Pipeline;
use dcmshard::recipe::Recipe;
use dcmshard::sink::table;
use dcmshard::slice::{Pixels, Slice};
use dcmshard::stage::Scratch;

use crate::line::{self, Tested, convert, hashes, inputs, leftovers, options, shards};

#[test]
fn threads_channels_and_memory_change_no_byte() -> Tested {
    let inputs = inputs(3 * line::SHARD - 7, 6);
    let mut expected = None;
    for threads in [1, 2, 8] {
        for capacity in [1, 16] {
            for memory_mib in [64, 2048] {
                let out = tempfile::tempdir()?;
                let tally = convert(out.path(), &options(threads, capacity, memory_mib), shards(&inputs))?;
                let found = (hashes(out.path()), std::fs::read(out.path().join("manifest/00000001.json"))?, tally);
                assert_eq!(found.0.len(), 6, "three shards, three ledger parts");
                assert_eq!(leftovers(out.path()), 0);
                let which = format!("{threads} threads, channels of {capacity}, {memory_mib} MiB");
                assert_eq!(*expected.get_or_insert_with(|| found.clone()), found, "{which}");
            }
        }
    }
    Ok(())
}

#[test]
fn the_rows_are_those_of_process_in_a_loop() -> Tested {
    let inputs = inputs(line::SHARD, 7);
    let out = tempfile::tempdir()?;
    convert(out.path(), &options(4, 2, 256), shards(&inputs))?;
    let rows = table::read(&out.path().join("data/g000001/part-00000000.parquet"))?.rows;

    let pipeline = Pipeline::new(&Recipe::head(), &line::key());
    let mut scratch = Scratch::default();
    let process = |slice: &_| pipeline.process(slice, &mut scratch).ok();
    let expected: Vec<Slice> = line::slices(&inputs).iter().filter_map(process).collect();
    assert_eq!(rows.num_rows(), expected.len());
    assert!(expected.len() > line::SHARD / 2, "most are rows");
    for (at, slice) in expected.iter().enumerate() {
        let Pixels::U8(tensor) = &slice.pixels else { panic!("recipe head makes uint8") };
        let image = rows.column_by_name("image").expect("there is one").as_fixed_size_binary();
        assert!(image.value(at).iter().eq(tensor.iter()), "image of row {at}");
        for column in pipeline.columns() {
            let expected = slice.facts.get(column.name).map(|value| format!("{value:?}"));
            assert_eq!(shown(&rows, column.name, at), expected, "{} of row {at}", column.name);
        }
    }
    Ok(())
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
fn a_run_killed_after_some_shards_is_continued_to_the_same_bytes() -> Tested {
    let inputs = inputs(3 * line::SHARD, 6);
    let undisturbed = tempfile::tempdir()?;
    let tally = convert(undisturbed.path(), &options(2, 4, 64), shards(&inputs))?;

    let out = tempfile::tempdir()?;
    convert(out.path(), &options(2, 4, 64), shards(&inputs)[..1].to_vec())?;
    std::fs::write(out.path().join(".tmp/data-g000001-part-00000001.parquet.00"), b"PAR1 torn")?;
    let again = convert(out.path(), &options(8, 1, 2048), shards(&inputs))?;
    assert_eq!(again, tally, "the shard that was there counts too");
    assert_eq!(hashes(out.path()), hashes(undisturbed.path()));
    assert_eq!(leftovers(out.path()), 0);

    // Once more: nothing to do, and nothing said anew.
    convert(out.path(), &options(1, 1, 64), shards(&inputs))?;
    assert_eq!(std::fs::read_dir(out.path().join("manifest"))?.count(), 2);
    Ok(())
}

#[test]
fn a_shard_without_its_end_or_its_ledger_part_is_made_again() -> Tested {
    let inputs = inputs(2 * line::SHARD, 6);
    let out = tempfile::tempdir()?;
    convert(out.path(), &options(2, 4, 64), shards(&inputs))?;
    let whole = hashes(out.path());

    let torn = out.path().join("data/g000001/part-00000001.parquet");
    let bytes = std::fs::read(&torn)?;
    std::fs::write(&torn, &bytes[..bytes.len() - 1])?;
    convert(out.path(), &options(2, 4, 64), shards(&inputs))?;
    assert_eq!(hashes(out.path()), whole);
    assert_eq!(leftovers(out.path()), 1, "the torn one is kept as evidence");

    std::fs::remove_file(out.path().join("ledger/g000001/part-00000000.parquet"))?;
    std::fs::write(out.path().join("ledger/g000001/part-00000001.parquet"), b"PAR1")?;
    convert(out.path(), &options(2, 4, 64), shards(&inputs))?;
    assert_eq!(hashes(out.path()), whole);
    Ok(())
}

#[test]
fn any_shard_can_be_made_alone() -> Tested {
    let inputs = inputs(3 * line::SHARD, 6);
    let together = tempfile::tempdir()?;
    convert(together.path(), &options(2, 4, 64), shards(&inputs))?;
    let alone = tempfile::tempdir()?;
    for shard in shards(&inputs).into_iter().rev() {
        convert(alone.path(), &options(3, 1, 64), vec![shard])?;
    }
    assert_eq!(hashes(alone.path()), hashes(together.path()));
    Ok(())
}
