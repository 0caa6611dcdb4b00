//! Promise: one ledger row per planned slice; a reject leaves a gap, never a shift; what ends a run
//! leaves whole shards and nothing else.

use arrow_array::cast::AsArray;
use dcmshard::error::{Error, ExitCode};
use dcmshard::pipeline::Pipeline;
use dcmshard::reason::{Class, Fault, Reason};
use dcmshard::recipe::Recipe;
use dcmshard::runner::{Cancel, Counters};
use dcmshard::sink::{ledger, table};
use dcmshard::slice::Slice;
use dcmshard::stage::{Scratch, Stage};

use crate::line::{self, Tested, convert, convert_with, hashes, inputs, leftovers, options, shards};
use crate::made::key;

#[test]
fn rejects_leave_gaps_not_shifts() -> Tested {
    let inputs = inputs(2 * line::SHARD, 3);
    let out = tempfile::tempdir()?;
    let tally = convert(out.path(), &options(4, 2, 64), shards(&inputs))?;
    let bad = inputs.len().div_ceil(3) as u64;
    assert_eq!((tally.found, tally.of(Class::Rejected)), (inputs.len() as u64, bad));
    tally.check()?;

    for shard in 0..2 {
        let of_shard = (shard * line::SHARD)..(shard + 1) * line::SHARD;
        let rows = ledger::read(&out.path().join(format!("ledger/g000001/part-{shard:08}.parquet")))?;
        let ordinals: Vec<_> = rows.iter().map(|row| row.ordinal).collect();
        assert_eq!(ordinals, of_shard.clone().map(|at| Some(at as u64)).collect::<Vec<_>>());
        for row in &rows {
            let expected = if row.ordinal.expect("planned") % 3 == 0 { Class::Rejected } else { Class::Written };
            assert_eq!(row.class, expected, "{row:?}");
            assert_eq!(row.stage.as_deref(), (expected == Class::Rejected).then_some("decode"));
        }
        let data = table::read(&out.path().join(format!("data/g000001/part-{shard:08}.parquet")))?;
        let found: Vec<_> =
            data.rows.column_by_name("source_id").expect("declared").as_string::<i32>().iter().collect();
        let written: Vec<String> = of_shard.filter(|at| at % 3 != 0).map(|at| format!("{at:02x}").repeat(24)).collect();
        assert_eq!(found, written.iter().map(|id| Some(id.as_str())).collect::<Vec<_>>());
        assert_eq!(data.metadata["dcmshard.rows"], found.len().to_string());
    }
    Ok(())
}

#[test]
fn a_shard_of_rejects_alone_is_published_without_rows() -> Tested {
    let inputs = inputs(line::SHARD, 1);
    let out = tempfile::tempdir()?;
    let tally = convert(out.path(), &options(2, 4, 64), shards(&inputs))?;
    assert_eq!(tally.of(Class::Rejected), line::SHARD as u64);
    let data = table::read(&out.path().join("data/g000001/part-00000000.parquet"))?;
    assert_eq!(data.rows.num_rows(), 0);
    assert!(data.rows.num_columns() > 1);
    let before = hashes(out.path());
    convert(out.path(), &options(2, 4, 64), shards(&inputs))?;
    assert_eq!(hashes(out.path()), before, "it is there; it is not made again");
    assert_eq!(leftovers(out.path()), 0);
    Ok(())
}

/// A stage that calls a function and changes nothing.
struct Probe<F>(F);

impl<F: Fn(&Slice) + Send + Sync> Stage for Probe<F> {
    fn name(&self) -> &'static str {
        "probe"
    }
    fn columns(&self) -> &'static [&'static dcmshard::column::Column] {
        &[]
    }
    fn apply(&self, slice: &mut Slice, _: &mut Scratch) -> Result<(), Fault> {
        (self.0)(slice);
        Ok(())
    }
}

#[test]
fn a_stage_that_panics_costs_one_slice() -> Tested {
    let inputs = inputs(line::SHARD, usize::MAX);
    let out = tempfile::tempdir()?;
    let panics = |slice: &Slice| assert_ne!(slice.at.ordinal.0, 5, "on purpose");
    let pipeline = Pipeline::new(&Recipe::head(), &key()).with_stage_after("tilt", Box::new(Probe(panics)));
    let counters = Counters::new(&pipeline);
    let shards = shards(&inputs).into_iter().map(Ok);
    let tally = convert_with(out.path(), &options(2, 4, 64), &pipeline, shards, &counters, &Cancel::default())?;
    assert_eq!(tally.reasons[&Reason::Internal], 1);
    assert_eq!(tally.of(Class::Rejected), 2, "and input 0, which is cut short");
    Ok(())
}

#[test]
fn an_interrupted_run_leaves_whole_shards_and_the_same_command_continues() -> Tested {
    let inputs = inputs(4 * line::SHARD, 6);
    let undisturbed = tempfile::tempdir()?;
    convert(undisturbed.path(), &options(2, 4, 64), shards(&inputs))?;

    let out = tempfile::tempdir()?;
    let cancel = Cancel::default();
    let from_stage = cancel.clone();
    let interrupts = move |slice: &Slice| {
        if slice.at.ordinal.0 == line::SHARD as u64 + 3 {
            from_stage.request(ExitCode::Interrupted);
        }
    };
    let pipeline = Pipeline::new(&Recipe::head(), &key()).with_stage_after("tilt", Box::new(Probe(interrupts)));
    let counters = Counters::new(&pipeline);
    let planned = shards(&inputs).into_iter().map(Ok);
    let error =
        convert_with(out.path(), &options(2, 1, 64), &pipeline, planned, &counters, &cancel).expect_err("interrupted");
    assert_eq!(error.exit_code(), ExitCode::Interrupted);
    let whole = hashes(undisturbed.path());
    let so_far = hashes(out.path());
    assert!(so_far.len() >= 2 && so_far.len() < whole.len(), "some shards: {so_far:?}");
    assert!(so_far.iter().all(|(name, hash)| whole[name] == *hash));
    assert_eq!(leftovers(out.path()), 0);

    assert!(!out.path().join("manifest").exists(), "a manifest lists what a whole plan came to");
    convert(out.path(), &options(2, 4, 64), shards(&inputs))?;
    assert_eq!(hashes(out.path()), whole);
    Ok(())
}

#[test]
fn a_whole_data_set_keeps_its_manifest_when_the_next_run_is_interrupted_at_once() -> Tested {
    let inputs = inputs(2 * line::SHARD, 6);
    let out = tempfile::tempdir()?;
    convert(out.path(), &options(2, 4, 64), shards(&inputs))?;
    let before = crate::shards::hashes(&out.path().join("manifest"));
    let cancel = Cancel::default();
    cancel.request(ExitCode::Terminated);
    let pipeline = Pipeline::new(&Recipe::head(), &key());
    let counters = Counters::new(&pipeline);
    let planned = shards(&inputs).into_iter().map(Ok);
    let ended = convert_with(out.path(), &options(2, 1, 64), &pipeline, planned, &counters, &cancel);
    assert_eq!(ended.expect_err("interrupted").exit_code(), ExitCode::Terminated);
    assert_eq!(crate::shards::hashes(&out.path().join("manifest")), before);
    Ok(())
}

#[test]
fn a_thread_of_the_runner_that_panics_ends_the_run() -> Tested {
    let inputs = inputs(3 * line::SHARD, 6);
    let pipeline = Pipeline::new(&Recipe::head(), &key());
    let counters = Counters::new(&pipeline);
    let out = tempfile::tempdir()?;
    let walker_panics = shards(&inputs).into_iter().map(|shard| {
        assert_ne!(shard.shard, 1, "on purpose");
        Ok(shard)
    });
    let error = convert_with(out.path(), &options(2, 1, 64), &pipeline, walker_panics, &counters, &Cancel::default())
        .expect_err("a panic");
    assert!(matches!(&error, Error::Bug(what) if what.contains("walker")), "{error}");
    assert_eq!(leftovers(out.path()), 0);
    Ok(())
}

#[test]
fn a_worker_that_panics_ends_the_run() -> Tested {
    /// Rejects, and then cannot even say who it is: that is outside of what a pipeline catches.
    struct Nameless(std::sync::atomic::AtomicBool);
    impl Stage for Nameless {
        fn name(&self) -> &'static str {
            assert!(!self.0.load(std::sync::atomic::Ordering::Relaxed), "on purpose");
            "nameless"
        }
        fn columns(&self) -> &'static [&'static dcmshard::column::Column] {
            &[]
        }
        fn apply(&self, slice: &mut Slice, _: &mut Scratch) -> Result<(), Fault> {
            if slice.at.ordinal.0 < 9 {
                return Ok(());
            }
            self.0.store(true, std::sync::atomic::Ordering::Relaxed);
            Err(Fault::new(Reason::Internal, "on purpose"))
        }
    }
    let inputs = inputs(3 * line::SHARD, 6);
    let nameless = Box::new(Nameless(false.into()));
    let pipeline = Pipeline::new(&Recipe::head(), &key()).with_stage_after("tilt", nameless);
    let counters = Counters::new(&pipeline);
    for threads in [1, 4] {
        let out = tempfile::tempdir()?;
        let planned = shards(&inputs).into_iter().map(Ok);
        let error =
            convert_with(out.path(), &options(threads, 1, 64), &pipeline, planned, &counters, &Cancel::default())
                .expect_err("a panic");
        assert!(matches!(&error, Error::Bug(what) if what.contains("worker")), "{error}");
        assert_eq!(leftovers(out.path()), 0);
    }
    Ok(())
}

#[test]
fn an_undeclared_column_is_a_bug_that_names_it() -> Tested {
    use dcmshard::column::{Column, Kind};
    static STRAY: Column = Column::new("stray", Kind::Bool, "Set, but declared by nobody.");
    struct Strays;
    impl Stage for Strays {
        fn name(&self) -> &'static str {
            "strays"
        }
        fn columns(&self) -> &'static [&'static Column] {
            &[]
        }
        fn apply(&self, slice: &mut Slice, _: &mut Scratch) -> Result<(), Fault> {
            slice.facts.set(&STRAY, true);
            Ok(())
        }
    }
    let out = tempfile::tempdir()?;
    let pipeline = Pipeline::new(&Recipe::head(), &key()).with_stage_after("crop_pad", Box::new(Strays));
    let counters = Counters::new(&pipeline);
    let planned = shards(&inputs(3 * line::SHARD, 6)).into_iter().map(Ok);
    let error = convert_with(out.path(), &options(2, 1, 64), &pipeline, planned, &counters, &Cancel::default())
        .expect_err("a bug");
    assert!(matches!(&error, Error::Bug(what) if what.contains("stray")), "{error}");
    Ok(())
}

#[test]
fn a_disk_that_fails_ends_the_run_and_leaves_no_temp() -> Tested {
    let out = tempfile::tempdir()?;
    std::fs::write(out.path().join("ledger"), b"a file where a folder must be")?;
    let error = convert(out.path(), &options(2, 1, 64), shards(&inputs(4 * line::SHARD, 6))).expect_err("no folder");
    assert_eq!(error.exit_code(), ExitCode::OutputIo, "{error}");
    assert!(hashes(out.path()).is_empty());
    assert_eq!(leftovers(out.path()), 0);
    Ok(())
}

#[test]
fn an_error_of_the_plan_ends_the_run_with_it() -> Tested {
    let out = tempfile::tempdir()?;
    let pipeline = Pipeline::new(&Recipe::head(), &key());
    let counters = Counters::new(&pipeline);
    let planned = shards(&inputs(2 * line::SHARD, 6)).into_iter().map(Ok);
    let fails = planned.chain([Err(Error::Usage("no such folder".to_owned()))]);
    let error = convert_with(out.path(), &options(2, 1, 64), &pipeline, fails, &counters, &Cancel::default())
        .expect_err("the plan's error");
    assert!(matches!(error, Error::Usage(_)), "{error}");
    Ok(())
}
