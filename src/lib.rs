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
//! One file, without an output folder:
//!
//! ```
//! use dcmshard::identity::{Key, SourceId};
//! use dcmshard::phantom::{PhantomOptions, write_archive};
//! use dcmshard::pipeline::Pipeline;
//! use dcmshard::recipe::Recipe;
//! use dcmshard::slice::{InputRef, Ordinal, SliceRef};
//! use dcmshard::stage::Scratch;
//!
//! let folder = tempfile::tempdir()?;
//! let truth = write_archive(folder.path(), &PhantomOptions { heads: 1, slices_per_head: 1, ..Default::default() })?;
//!
//! let pipeline = Pipeline::new(&Recipe::head(), &Key::new([0; 32]));
//! let input = InputRef::file(SourceId([0; 24]), &folder.path().join(&truth.files[0].path));
//! let at = SliceRef { ordinal: Ordinal(0), input, frame: 0 };
//! let slice = pipeline.process(&at, &mut Scratch::default()).map_err(|reject| reject.fault)?;
//! assert_eq!(slice.pixels.dim(), (1, 512, 512));
//! assert_eq!(slice.facts.get("tilt_applied"), Some(&true.into()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! An archive: [`convert::Conversion`].
//!
//! Conventions: (row, column) always, y down; angles in degrees, positive = clockwise as seen on
//! the screen; lengths carry their unit in the name (`_mm`, `_px`, `_deg`).

pub mod attributes;
pub mod column;
pub mod convert;
pub mod decode;
pub mod error;
pub mod finalize;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
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
pub mod suspects;
pub mod verify;
