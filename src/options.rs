//! Run options: everything that may not change an output byte.

use std::num::NonZeroUsize;
use std::path::PathBuf;

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
}

impl Default for Options {
    fn default() -> Options {
        Options {
            threads: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            memory_bytes: 2 << 30,
            channel_capacity: const { NonZeroUsize::new(4).expect("4 is not 0") },
            max_rejects: None,
            key_file: None,
        }
    }
}
