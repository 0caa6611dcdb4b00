//! Synthetic head CT with known tilt, as DICOM: the demo's input and the ground truth of tests.
//!
//! A phantom head is a skull with scalp, brain, ventricles and sometimes a bleed, in a plastic
//! holder that it never touches. Its outline is an exact ellipse, so that tilt, centre, axes and
//! bounding box are known to a fraction of a pixel. Everything is derived from a seed by integer
//! arithmetic, plain IEEE operations and `libm`: the same options give the same bytes everywhere.
//!
//! The anatomy is drawn to look right in a brain window and to have the borders that the stages
//! meet in real heads: fat under the skin, air in the sinuses, a holder, a padding ring, signed and
//! unsigned storage. It is a sign-and-unit test of the tilt, not a measure of how the program does
//! on patients: a drawn ellipse is easier than a head.

mod anatomy;
mod archive;
mod dicom;
mod extras;
mod head;
mod multiframe;
mod raster;
mod shape;
mod texture;
mod truth;

pub use archive::{PhantomOptions, write_archive};
pub use head::{Bleed, BleedKind, Head, Holder, Outline, Storage};
pub use multiframe::{frame_intercept, write_multiframe};
pub use raster::draw;
pub use truth::{ExtraTruth, FileTruth, HeadTruth, Truth};
