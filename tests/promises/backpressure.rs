//! Promise: bytes in flight are bounded; a sink that cannot go on stops the walker.

use std::sync::{Arc, Condvar, Mutex};

use dcmshard::pipeline::Pipeline;
use dcmshard::reason::Fault;
use dcmshard::recipe::Recipe;
use dcmshard::runner::{Cancel, Counters, Snapshot};
use dcmshard::slice::Slice;
use dcmshard::stage::{Scratch, Stage};

use crate::line::{self, Tested, convert_with, inputs, options, shards};
use crate::made::key;

/// Holds slice 0 back until `others` slices have come so far; then notes the counts.
struct HoldsTheFirst {
    others: usize,
    passed: Mutex<usize>,
    changed: Condvar,
    counters: Arc<std::sync::OnceLock<Arc<Counters>>>,
    seen: Arc<Mutex<Option<Snapshot>>>,
}

impl Stage for HoldsTheFirst {
    fn name(&self) -> &'static str {
        "holds_the_first"
    }
    fn columns(&self) -> &'static [&'static dcmshard::column::Column] {
        &[]
    }
    fn apply(&self, slice: &mut Slice, _: &mut Scratch) -> Result<(), Fault> {
        let mut passed = self.passed.lock().expect("not poisoned");
        if slice.at.ordinal.0 > 0 {
            *passed += 1;
            self.changed.notify_all();
        } else {
            while *passed < self.others {
                passed = self.changed.wait(passed).expect("not poisoned");
            }
            let counters = self.counters.get().expect("set before the run");
            *self.seen.lock().expect("not poisoned") = Some(counters.snapshot());
        }
        Ok(())
    }
}

/// The sink takes in ordinal order: without slice 0 it takes nothing, so no permit comes back.
#[test]
fn a_stalled_sink_stops_the_walker_after_an_exact_number_of_slices() -> Tested {
    for (threads, capacity) in [(2, 1), (2, 16), (8, 1)] {
        // With 64 MiB, groups of 4 MiB and t threads: 64 - (1 + e) x 4 - t - 2 MiB for slices, where
        // e = min(t, 7); 2 threads: 48, 8 threads: 22. A slice: 1.75 x planned + 0.25 MiB = 2 MiB.
        let fit = if threads == 2 { 24 } else { 11 };
        let planned = 1 << 20;
        let (seen, slot) = (Arc::new(Mutex::new(None)), Arc::new(std::sync::OnceLock::new()));
        let stage = HoldsTheFirst {
            others: fit - 1,
            passed: Mutex::new(0),
            changed: Condvar::new(),
            counters: slot.clone(),
            seen: seen.clone(),
        };
        let pipeline = Pipeline::new(&Recipe::head(), &key()).with_stage_after("crop_pad", Box::new(stage));
        let counters = Arc::new(Counters::new(&pipeline));
        slot.set(counters.clone()).expect("empty");
        let mut shards = shards(&inputs(60, usize::MAX)[1..]);
        shards.iter_mut().flat_map(|shard| &mut shard.slices).for_each(|slice| slice.weight_bytes = planned);
        let out = tempfile::tempdir()?;
        let planned = shards.into_iter().map(Ok);
        convert_with(out.path(), &options(threads, capacity, 64), &pipeline, planned, &counters, &Cancel::default())?;

        let stalled = seen.lock().expect("not poisoned").take().expect("slice 0 came through");
        assert_eq!((stalled.walked, stalled.written), (fit as u64, 0), "{threads} threads, channels of {capacity}");
        let end = counters.snapshot();
        assert_eq!(end.peak_bytes, fit as u64 * (2 << 20));
        assert_eq!((end.walked, end.written, end.shards), (59, 59, 3));
    }
    Ok(())
}

#[test]
fn slices_heavier_than_the_memory_go_through_one_by_one() -> Tested {
    let pipeline = Pipeline::new(&Recipe::head(), &key());
    let counters = Counters::new(&pipeline);
    let mut shards = shards(&inputs(line::SHARD, 6));
    shards.iter_mut().flat_map(|shard| &mut shard.slices).for_each(|slice| slice.weight_bytes = 4 << 30);
    let out = tempfile::tempdir()?;
    let planned = shards.into_iter().map(Ok);
    convert_with(out.path(), &options(4, 4, 64), &pipeline, planned, &counters, &Cancel::default())?;
    assert_eq!(counters.snapshot().peak_bytes, 7 * (1 << 30) + 512 * 512, "never two at once");
    Ok(())
}
