//! Byte permits: what bounds the memory of the slices in flight.
//!
//! The walker alone takes, in ordinal order; the sink gives back, in the same order. So the slice
//! that the sink waits for always holds its permits already, and the line cannot deadlock.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use crossbeam_channel::{Receiver, Sender, bounded, select_biased};
use rustix::process::{Resource, getrlimit};

use super::stop::{Stop, Stopped};
use crate::options::Options;
use crate::recipe::Recipe;
use crate::sink::rows::ROWS_PER_GROUP;

/// How `--memory` is shared out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Budget {
    /// Bytes for the slices between walker and sink.
    pub(super) slices: u64,
    /// What of these is left at least, however much the plan holds.
    pub(super) least_slices: u64,
    /// Row groups that may wait for a worker, be encoded or wait for their turn at one moment.
    pub(super) encodes: usize,
    /// Threads that work: those asked for, as far as there are memory and descriptors for what each holds.
    pub(super) workers: usize,
}

/// What one worker holds beside its slice: buffers of kernels and codecs.
const PER_WORKER: u64 = 1 << 20;
/// File descriptors that a run holds beside one for each worker's input: folders of OUT, locks, shards
/// that are written or wait for their sync, pipes of signals (23 to 27 were counted).
const DESCRIPTORS: u64 = 30;
/// What a shard being written holds beside its row groups: write buffer, footer, ledger rows.
const PER_SHARD: u64 = 2 << 20;

impl Budget {
    /// Rows that the sink has taken hold no permits any more. So their memory is set apart first:
    /// one row group being filled and `encodes` more on their way into the file, each of 16 tensors
    /// (a tensor is freed when its page is made, so the encoded group is no memory on top). There
    /// are at most as many encodes as threads, and as fit into half of `--memory`; at least one.
    /// Workers and open shards have fixed sums; workers together have at most a quarter of `--memory`,
    /// so 64 MiB has 16 at most. At least a quarter is left to slices. There are no more workers than
    /// inputs may be open: else, all waiting for a descriptor, they could leave none to the sink.
    pub(super) fn new(recipe: &Recipe, options: &Options) -> Budget {
        let memory = options.memory_bytes;
        let group = ((ROWS_PER_GROUP * recipe.tensor_bytes()) as u64).max(1);
        let inputs = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX).saturating_sub(DESCRIPTORS);
        let workers = (options.threads.get() as u64).min(memory / 4 / PER_WORKER).min(inputs).max(1);
        let encodes = (memory / 2 / group).saturating_sub(1).clamp(1, workers);
        let reserve = (1 + encodes) * group + workers * PER_WORKER + PER_SHARD;
        let least_slices = memory / 4;
        let slices = memory.saturating_sub(reserve).max(least_slices);
        Budget { slices, least_slices, encodes: encodes as usize, workers: workers as usize }
    }
}

/// Bytes that a slice holds at most on its way.
///
/// `planned` is [`crate::plan::PlannedSlice::weight_bytes`]: its encoded share, and 4 bytes for each
/// pixel (stored values of 32 bits, or HU and guide). On top come the turned copy (2 bytes per
/// pixel) and masks (under 1): at most 3/4 of `planned`; and the tensor.
pub(super) fn weight(planned: u64, recipe: &Recipe) -> u64 {
    planned.saturating_add(planned / 4 * 3).saturating_add(recipe.tensor_bytes() as u64)
}

#[derive(Debug)]
pub(super) struct Permits {
    budget: Budget,
    held: Mutex<Held>,
    given: Sender<()>,
    wake: Receiver<()>,
}

#[derive(Debug, Default)]
struct Held {
    bytes: u64,
    /// Of the budget, what is not for slices.
    set_aside: u64,
    /// Weights of the slices in flight, in ordinal order.
    weights: VecDeque<u64>,
}

impl Permits {
    pub(super) fn new(budget: Budget) -> Permits {
        let (given, wake) = bounded(1);
        Permits { budget, held: Mutex::default(), given, wake }
    }

    /// Says how many bytes of the budget something else than slices holds from now on. A part of the
    /// budget is for slices whatever is said.
    pub(super) fn set_aside(&self, bytes: u64) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).set_aside = bytes;
    }

    /// Waits until `weight` fits, or until nothing else is in flight; returns the bytes then in
    /// flight. To be called by one thread only.
    pub(super) fn take(&self, weight: u64, stop: &Stop) -> Result<u64, Stopped> {
        loop {
            if let Some(in_flight) = self.try_take(weight) {
                return Ok(in_flight);
            }
            select_biased! {
                recv(stop.pulled()) -> _ => return Err(Stopped),
                recv(self.wake) -> _ => {}
            }
        }
    }

    fn try_take(&self, weight: u64) -> Option<u64> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let budget = self.budget.slices.saturating_sub(held.set_aside).max(self.budget.least_slices);
        if !held.weights.is_empty() && held.bytes.saturating_add(weight) > budget {
            return None;
        }
        held.bytes = held.bytes.saturating_add(weight);
        held.weights.push_back(weight);
        Some(held.bytes)
    }

    /// Gives back the permits of the oldest slice in flight.
    pub(super) fn give_next(&self) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(weight) = held.weights.pop_front() {
            held.bytes = held.bytes.saturating_sub(weight);
        }
        drop(held);
        // Full means that the walker has been told already and will look again.
        let _ = self.given.try_send(());
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;

    fn budget(slices: u64) -> Budget {
        Budget { slices, least_slices: slices / 4, encodes: 1, workers: 1 }
    }

    #[test]
    fn what_the_plan_holds_is_taken_from_the_slices_but_never_all() {
        let permits = Permits::new(budget(100));
        permits.set_aside(40);
        assert_eq!((0..).take_while(|_| permits.try_take(30).is_some()).count(), 2);
        permits.give_next();
        permits.give_next();
        permits.set_aside(1000);
        assert_eq!((0..).take_while(|_| permits.try_take(12).is_some()).count(), 2);
    }

    #[test]
    fn the_walker_stops_after_an_exact_number_of_slices() {
        let permits = Permits::new(budget(100));
        let taken = (0..).take_while(|_| permits.try_take(30).is_some()).count();
        assert_eq!(taken, 3);
        permits.give_next();
        assert_eq!(permits.try_take(30), Some(90));
        assert_eq!(permits.try_take(10), Some(100));
        assert_eq!(permits.try_take(1), None);
    }

    #[test]
    fn a_slice_heavier_than_the_budget_waits_until_it_is_alone() {
        let permits = Permits::new(budget(100));
        assert!(permits.try_take(1).is_some());
        assert!(permits.try_take(1000).is_none());
        permits.give_next();
        assert_eq!(permits.try_take(1000), Some(1000));
        assert!(permits.try_take(1).is_none(), "nobody beside it");
        permits.give_next();
        assert_eq!(permits.try_take(1), Some(1));
    }

    #[test]
    fn a_walker_that_waits_wakes_up_when_permits_come_back_and_when_the_run_ends() {
        let permits = Permits::new(budget(10));
        let stop = Stop::new();
        std::thread::scope(|scope| {
            let walker = scope.spawn(|| (permits.take(10, &stop), permits.take(10, &stop), permits.take(10, &stop)));
            // Each give lets exactly one more in; the third never comes, the run ends instead.
            while permits.held.lock().expect("not poisoned").weights.is_empty() {
                std::thread::yield_now();
            }
            permits.give_next();
            while permits.held.lock().expect("not poisoned").weights.is_empty() {
                std::thread::yield_now();
            }
            stop.pull();
            assert_eq!(walker.join().expect("no panic"), (Ok(10), Ok(10), Err(Stopped)));
        });
    }

    #[test]
    fn the_smallest_memory_leaves_room_for_slices_in_every_recipe() {
        let of = |memory_mib: u64, threads, channels, dtype| {
            let mut recipe = Recipe::head();
            recipe.output.dtype = dtype;
            recipe.hu_window.windows = vec![recipe.hu_window.guide; channels];
            let threads = NonZeroUsize::new(threads).expect("not 0");
            Budget::new(&recipe, &Options { threads, memory_bytes: memory_mib << 20, ..Options::default() })
        };
        use crate::recipe::Dtype::{Int16, Uint8};
        // 64 MiB, two threads, groups of 4 MiB: 64 - 3 x 4 - 2 - 2
        assert_eq!(of(64, 2, 1, Uint8), Budget { slices: 48 << 20, least_slices: 16 << 20, encodes: 2, workers: 2 });
        // int16: groups of 8 MiB
        assert_eq!(of(64, 2, 1, Int16), Budget { slices: 36 << 20, least_slices: 16 << 20, encodes: 2, workers: 2 });
        // three channels: groups of 12 MiB, one encode: 64 - 2 x 12 - 8 - 2
        assert_eq!(of(64, 8, 3, Uint8), Budget { slices: 30 << 20, least_slices: 16 << 20, encodes: 1, workers: 8 });
        // more threads than 64 MiB has room for: a quarter each to workers and slices
        assert_eq!(of(64, 64, 1, Uint8), Budget { slices: 16 << 20, least_slices: 16 << 20, encodes: 7, workers: 16 });
        assert_eq!(of(2048, 8, 1, Uint8).encodes, 8);
    }

    #[test]
    fn a_512_slice_of_16_bits_weighs_less_than_3_mib() {
        let planned = (2 + 4) * 512 * 512;
        assert_eq!(weight(planned, &Recipe::head()), planned + 3 * 512 * 512 * 3 / 2 + 512 * 512);
        assert!(weight(planned, &Recipe::head()) < 3 << 20);
    }
}
