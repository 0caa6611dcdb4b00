//! The promises of the README, one file each. One binary, so that it is linked once.

#![allow(missing_docs, reason = "tests are read, not linked to")]

mod archive;
mod cli;
mod compliance;
mod crash;
mod equivalence;
mod made;
mod memory;
mod phantoms;
mod privacy;
mod real_heads;
mod schemas;
mod shards;
mod slice_table;
