//! JPEG XL, decoded by `jxl-oxide`.
//!
//! # Source
//! ISO/IEC 18181-1; PS3.5 section 8.2.15.

use jxl_oxide::image::BitDepth;
use jxl_oxide::{AllocTracker, InitializeResult, JxlImage, JxlThreadPool};

use super::codestream::{Claim, failed, working_bytes_per_pixel};
use super::format::{Cells, Format};
use super::syntax::Codec;
use crate::reason::Fault;

/// Cells of one frame.
///
/// # Errors
/// Reason `codestream_mismatch` where the image header does not agree with the data set,
/// `decode_failed` where the codestream is damaged.
pub(crate) fn decode(frame: &[u8], format: &Format) -> Result<Cells, Fault> {
    let gave_up = |_| failed("the JPEG XL decoder gave up");
    let memory = format.pixels() * working_bytes_per_pixel(Codec::JpegXl) as usize + (4 << 20);
    let builder = JxlImage::builder().pool(JxlThreadPool::none()).alloc_tracker(AllocTracker::with_limit(memory));
    let mut image = builder.build_uninit();
    image.feed_bytes(frame).map_err(gave_up)?;
    let InitializeResult::Initialized(mut image) = image.try_init().map_err(gave_up)? else {
        return Err(failed("the JPEG XL image header is cut"));
    };
    let bits = check_header(&image, format)?;
    image.finalize().map_err(gave_up)?;
    if image.num_loaded_keyframes() != 1 {
        return Err(failed("the JPEG XL image is not one whole frame"));
    }
    let render = image.render_frame(0).map_err(gave_up)?;
    let planes = render.image_all_channels();
    if (planes.channels(), planes.buf().len()) != (1, format.pixels()) {
        return Err(failed("the decoded frame has another size than its header"));
    }
    let most = ((1u32 << bits) - 1) as f32;
    Ok(Cells::Narrow(planes.buf().iter().map(|&sample| (sample * most + 0.5).clamp(0.0, most) as u16).collect()))
}

/// Checks the image header; gives the bits per sample.
fn check_header(image: &JxlImage, format: &Format) -> Result<u32, Fault> {
    let metadata = &image.image_header().metadata;
    let BitDepth::IntegerSample { bits_per_sample: bits } = metadata.bit_depth else {
        return Err(failed("JPEG XL samples are floating point"));
    };
    let is_grey = image.pixel_format().is_grayscale();
    let components = if is_grey { 1 + metadata.ec_info.len() } else { 3 + metadata.ec_info.len() };
    let header = &image.image_header().size;
    let claim = Claim { columns: header.width, rows: header.height, components: components as u32, precision: bits };
    claim.check(format)?;
    if metadata.orientation != 1 || metadata.animation.is_some() || bits > 16 {
        return Err(failed("the JPEG XL image is turned, animated or too deep"));
    }
    Ok(bits)
}
