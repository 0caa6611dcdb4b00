//! Run options: everything that may not change an output byte.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::str::FromStr;

/// The smallest `--memory`: 64 MiB.
pub const MIN_MEMORY_BYTES: u64 = 64 << 20;

/// How a run goes about its work. No field changes an output byte.
#[derive(Clone, Debug)]
pub struct Options {
    /// At most this many stage calls or row-group encodes run at one moment.
    pub threads: NonZeroUsize,
    /// Bound on bytes in flight; at least [`MIN_MEMORY_BYTES`].
    pub memory_bytes: u64,
    /// Slices that each channel of the line holds.
    pub channel_capacity: NonZeroUsize,
    /// Largest share of rejected slices (0 to 1) that still counts as success; `None`: no limit.
    pub max_rejects: Option<f64>,
    /// The HMAC key file; `None`: `OUT.private/key`, made on the first run.
    pub key_file: Option<PathBuf>,
    /// Make a part of the planned shards only, and no manifest; `None`: all of them.
    pub worker: Option<Worker>,
}

/// One of N processes, on any machines, that make the shards of one plan. They never talk to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Worker {
    index: u32,
    count: NonZeroU32,
}

impl Worker {
    /// Whether a shard, by its number in its generation, is this worker's: every N-th is.
    pub fn makes(self, shard: u32) -> bool {
        shard % self.count == self.index
    }
}

/// `i/N`, from `0/N` to `N-1/N`.
impl FromStr for Worker {
    type Err = String;

    fn from_str(text: &str) -> Result<Worker, String> {
        let numbers = text.split_once('/').map(|(index, count)| (index.parse::<u32>(), count.parse::<u32>()));
        let Some((Ok(index), Ok(count))) = numbers else {
            return Err(format!("found {text:?}, expected i/N, as 0/8 to 7/8"));
        };
        let count = NonZeroU32::new(count).ok_or("found 0 workers, expected 1 or more")?;
        if index >= count.get() {
            let last = count.get() - 1;
            return Err(format!("found worker {index} of {count}, expected 0 to {last}: they are counted from 0"));
        }
        Ok(Worker { index, count })
    }
}

impl Default for Options {
    fn default() -> Options {
        Options {
            threads: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            memory_bytes: 2 << 30,
            channel_capacity: const { NonZeroUsize::new(4).expect("4 is not 0") },
            max_rejects: None,
            key_file: None,
            worker: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shard_is_one_workers() -> Result<(), String> {
        let workers = (0..3).map(|index| format!("{index}/3").parse()).collect::<Result<Vec<Worker>, _>>()?;
        for shard in 0..10 {
            let makers: Vec<usize> = (0..3).filter(|at| workers[*at].makes(shard)).collect();
            assert_eq!(makers, [shard as usize % 3]);
        }
        assert!("0/1".parse::<Worker>()?.makes(7));
        Ok(())
    }

    #[test]
    fn workers_that_there_are_not_are_refused_with_those_that_there_are() {
        let refused = |text: &str| text.parse::<Worker>().expect_err(text);
        assert_eq!(refused("3/3"), "found worker 3 of 3, expected 0 to 2: they are counted from 0");
        assert_eq!(refused("0/0"), "found 0 workers, expected 1 or more");
        for wrong in ["", "1", "/", "1/", "/3", "-1/3", "a/b", "1/3/4", "1 / 3", "0/4294967296"] {
            assert_eq!(refused(wrong), format!("found {wrong:?}, expected i/N, as 0/8 to 7/8"));
        }
    }
}
