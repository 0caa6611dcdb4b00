//! The sink side: the only place that names, writes, syncs and renames files below OUT.

pub mod dataset;
pub mod digest;
pub mod disk;
pub mod ledger;
pub mod manifest;
pub(crate) mod presence;
pub mod publish;
pub mod rows;
pub mod shard;
pub mod storage;
pub mod table;
mod twins;
