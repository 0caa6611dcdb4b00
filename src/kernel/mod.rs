//! The image kernels: ndarray views in, ndarray views out. No kernel touches a file or knows a
//! recipe, and none keeps anything from one call to the next.
//!
//! Every kernel has a plain reference version in its tests and a property test that both agree.

pub mod affine;
pub mod contour;
pub mod crop;
mod dispatch;
pub mod ellipse;
pub mod intercept;
pub mod label;
pub mod mask;
pub mod modality_lut;
pub mod morphology;
pub mod pack;
pub mod plausible;
pub mod rescale;
pub mod warp;
pub mod window;
