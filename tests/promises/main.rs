//! The promises of the README, one file each. One binary, so that it is linked once.

#![allow(missing_docs, reason = "tests are read, not linked to")]
#![allow(clippy::print_stderr, reason = "a test says its figures, and what it skips")]

mod archive;
mod backpressure;
mod cli;
mod compliance;
mod conservation;
mod crash;
mod damage;
mod decode_real;
mod disks;
mod environment;
mod equivalence;
mod fault_injection;
mod growth;
mod histories;
mod hostile;
mod hu_truth;
mod job;
mod kills;
mod line;
mod made;
mod memory;
mod oracle;
mod parity;
mod phantoms;
mod plan;
mod poison;
mod power_loss;
mod privacy;
mod real_heads;
mod runs;
mod schemas;
mod shards;
mod signals;
mod simulated_disk;
mod slice_table;
mod syscalls;
mod transient;
mod two_runs;
mod verify;
mod workers;
