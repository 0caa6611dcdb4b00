//! The sink side: the only place that names, writes, syncs and renames files below OUT.

pub mod dataset;
pub mod ledger;
pub mod publish;
pub mod table;
