//! The promises of the README, one file each. One binary, so that it is linked once.

#![allow(missing_docs, reason = "tests are read, not linked to")]

mod cli;
mod compliance;
mod made;
mod schemas;
mod slice_table;
