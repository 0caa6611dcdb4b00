//! `dcmshard` streams archives of CT DICOM files into Parquet shards that a training loop
//! reads as they are: one row per slice, a fixed 512x512 tensor and its metadata.
//!
//! ```text
//! walker -> decoder -> hu_window -> denoise -> tilt -> crop_pad -> sink
//! ```
//!
//! A stage is a pure function of a slice and the [`recipe::Recipe`]; the [`runner`] owns threads
//! and bounded channels; the [`sink`] side owns files. [`pipeline::Pipeline::process`] is the one
//! per-item function that the command line, the library and every later front end call.
//!
//! Conventions: (row, column) always, y down; angles in degrees, positive = clockwise as seen on
//! the screen; lengths carry their unit in the name (`_mm`, `_px`, `_deg`).

pub mod attributes;
pub mod column;
pub mod convert;
pub mod decode;
pub mod error;
pub mod identity;
pub mod kernel;
pub mod options;
pub mod phantom;
pub mod pipeline;
pub mod plan;
pub mod reason;
pub mod recipe;
pub mod runner;
pub mod schema;
pub mod sink;
pub mod slice;
pub mod source;
pub mod stage;
pub mod verify;
