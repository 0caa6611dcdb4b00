//! A head: what is known of it before a pixel is drawn.

use serde::{Deserialize, Serialize};

use super::anatomy::{EDGE_PX, SKIN_PX, ZERO_AT};
use super::archive::PhantomOptions;
use super::shape::bump;
use super::texture::Random;
use super::truth::rounded;
use crate::kernel::affine::Affine;

/// How a series stores its pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Storage {
    /// Pixel Representation 1.
    pub signed: bool,
    /// Bits Stored (0028,0101).
    pub bits_stored: u16,
    /// Rescale Intercept (0028,1052), HU; the slope is 1.
    pub rescale_intercept: i16,
    /// Pixel Padding Value (0028,0120): the stored value outside the reconstruction circle.
    pub pixel_padding_value: i16,
}

impl Storage {
    /// The four ways, taken in turn by the heads of an archive.
    const ALL: [Storage; 4] = [
        Storage { signed: true, bits_stored: 16, rescale_intercept: -1024, pixel_padding_value: -2000 },
        Storage { signed: false, bits_stored: 12, rescale_intercept: -1024, pixel_padding_value: 0 },
        Storage { signed: true, bits_stored: 16, rescale_intercept: 0, pixel_padding_value: -2000 },
        Storage { signed: true, bits_stored: 12, rescale_intercept: 0, pixel_padding_value: -2000 },
    ];
}

/// The outline of a head in one slice: the curve on which HU is 0, an exact ellipse. A pixel belongs
/// to the head if and only if its centre lies inside. Pixel centres lie on integers, (row, column).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outline {
    /// Centre, row.
    pub center_row_px: f64,
    /// Centre, column.
    pub center_column_px: f64,
    /// Full length of the long axis (front to back).
    pub major_px: f64,
    /// Full length of the short axis (ear to ear).
    pub minor_px: f64,
    /// Angle of the long axis from the vertical, clockwise on the screen.
    pub tilt_deg: f64,
}

impl Outline {
    /// How far the surface of the head, where a pixel is half skin and half air, lies outside the
    /// outline: 0.89 px. Partial volume darkens such pixels far below 0 HU.
    pub const SURFACE_PX: f64 = EDGE_PX * (ZERO_AT - 0.5);

    /// The bounding box `[top, left, bottom, right]` of the head's surface ([`Outline::SURFACE_PX`]
    /// outside the outline) turned upright about its centre, half-open, as an average over sub-pixel
    /// places: pixel i of a row spans i..i+1 here.
    pub fn upright_box_px(&self) -> [f64; 4] {
        let (row, column) = (self.center_row_px + 0.5, self.center_column_px + 0.5);
        let (down, across) = (0.5 * self.major_px + Self::SURFACE_PX, 0.5 * self.minor_px + Self::SURFACE_PX);
        [row - down, column - across, row + down, column + across]
    }

    /// The map from head coordinates (u to the patient's left, v to the back, px, from the centre)
    /// to the image (column, row).
    pub(crate) fn head_to_image(&self) -> Affine {
        Affine::turn_clockwise(self.tilt_deg, 0.0, 0.0)
            .then(&Affine::translation(self.center_column_px, self.center_row_px))
    }
}

/// The head holder: a plastic arc below the head, the same in every slice, always at least 8 px (of
/// 512) of air away from it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Holder {
    /// Centre of the arc, row.
    pub center_row_px: f64,
    /// Centre of the arc, column.
    pub center_column_px: f64,
    /// Inner radius.
    pub inner_radius_px: f64,
    /// Outer radius.
    pub outer_radius_px: f64,
    /// The arc reaches this far to both sides of straight down.
    pub half_arc_deg: f64,
    /// Its HU.
    pub hu: f64,
}

/// Where blood is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BleedKind {
    /// A round clot inside the brain.
    Intracerebral,
    /// A crescent between skull and brain.
    Subdural,
}

/// A bleed, in head coordinates: u to the patient's left, v to the back, in px of 512, in the
/// largest slice.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bleed {
    /// What kind.
    pub kind: BleedKind,
    /// Its HU, 60 to 75.
    pub hu: f64,
    /// Centre (u, v) in units of the brain's half axes.
    pub center: (f64, f64),
    /// Radius of the clot, or thickness of the crescent.
    pub radius_px: f64,
    /// The part of the head's height (0 to 1, base to vertex) in which it lies.
    pub heights: (f64, f64),
}

impl Bleed {
    /// Its radius or thickness at a height; `None` where there is none: nothing is thinner than 8 px.
    pub(crate) fn radius_at(&self, height: f64) -> Option<f64> {
        let radius = self.radius_px * bump(height, self.heights.0, self.heights.1).sqrt();
        (radius >= 8.0).then_some(radius)
    }

    /// Its middle (u, v) in a brain with these half axes.
    pub(crate) fn middle(&self, radius: f64, brain: (f64, f64)) -> (f64, f64) {
        let u = match self.kind {
            BleedKind::Intracerebral => self.center.0 * brain.0,
            BleedKind::Subdural => self.center.0.signum() * (brain.0 - 0.5 * radius),
        };
        (u, self.center.1 * brain.1)
    }
}

/// A phantom head. Lengths are in px of a 512x512 image, scaled to the image's size when drawn.
#[derive(Clone, Debug)]
pub struct Head {
    pub(crate) index: u32,
    pub(crate) seed: u64,
    pub(crate) slices: u32,
    pub(crate) size: u32,
    pub(crate) tilt_deg: f64,
    pub(crate) half_major: f64,
    pub(crate) axis_ratio: f64,
    pub(crate) center_offset: (f64, f64),
    pub(crate) drift: (f64, f64),
    pub(crate) skull_px: f64,
    pub(crate) scalp_px: f64,
    pub(crate) table_hu: f64,
    pub(crate) sulcus_px: f64,
    pub(crate) ventricle_scale: f64,
    pub(crate) noise_hu: f64,
    pub(crate) spacing_mm: f64,
    pub(crate) bleed: Option<Bleed>,
    pub(crate) storage: Storage,
}

impl Head {
    /// Head `index` (from 0) of an archive with these options; it does not depend on how many heads
    /// or slices there are. Tilts of consecutive heads spread evenly over the range.
    pub fn new(index: u32, options: &PhantomOptions) -> Head {
        let mut random = Random::new(&[options.seed, u64::from(index)]);
        let mut between = |low: f64, high: f64| random.between(low, high);
        Head {
            index,
            seed: options.seed,
            slices: options.slices_per_head,
            size: options.size,
            tilt_deg: tilt(index, options),
            half_major: between(194.0, 210.0),
            axis_ratio: between(1.17, 1.33),
            center_offset: (between(-7.0, 7.0), between(-7.0, 7.0)),
            drift: (between(-3.0, 3.0), between(-3.0, 3.0)),
            skull_px: between(12.0, 17.0),
            scalp_px: between(7.0, 11.0),
            table_hu: between(1300.0, 1700.0),
            sulcus_px: between(0.8, 2.4),
            ventricle_scale: between(0.8, 1.35),
            noise_hu: between(4.0, 5.0),
            spacing_mm: (between(0.43, 0.48) * 1000.0).round() / 1000.0,
            bleed: bleed(index, options.seed),
            storage: Storage::ALL[index as usize % Storage::ALL.len()],
        }
    }

    /// Slices it is cut into.
    pub const fn slices(&self) -> u32 {
        self.slices
    }

    /// How its series stores pixels.
    pub const fn storage(&self) -> Storage {
        self.storage
    }

    /// Px of this image per px of a 512x512 one.
    pub(crate) fn scale(&self) -> f64 {
        f64::from(self.size) / 512.0
    }

    /// Height of a slice between base (0) and vertex (1).
    pub(crate) fn height(&self, slice: u32) -> f64 {
        0.10 + 0.84 * (f64::from(slice) + 0.5) / f64::from(self.slices)
    }

    /// The outline in a slice (0 is the lowest).
    pub fn outline(&self, slice: u32) -> Outline {
        let height = self.height(slice);
        let from_widest = (height - 0.42) / 0.68;
        let major = 2.0 * self.half_major * (1.0 - from_widest * from_widest).sqrt() * self.scale();
        let (row, column) = self.center(height - 0.5);
        Outline {
            center_row_px: row,
            center_column_px: column,
            major_px: major,
            minor_px: major / self.axis_ratio,
            tilt_deg: self.tilt_deg,
        }
    }

    /// (row, column) of the head's centre, `height` above the middle of the head.
    fn center(&self, height: f64) -> (f64, f64) {
        let middle = 0.5 * (f64::from(self.size) - 1.0);
        let at = |offset: f64, drift: f64| middle + self.scale() * (offset + drift * height);
        (at(self.center_offset.0, self.drift.0), at(self.center_offset.1, self.drift.1))
    }

    /// The head holder.
    pub fn holder(&self) -> Holder {
        let (row, column) = self.center(0.0);
        let inner = (self.half_major + 13.0) * self.scale();
        let mut random = Random::new(&[self.seed, u64::from(self.index), 0x401d]);
        Holder {
            center_row_px: rounded(row),
            center_column_px: rounded(column),
            inner_radius_px: rounded(inner),
            outer_radius_px: rounded(inner + 6.0 * self.scale()),
            half_arc_deg: random.between(48.0, 62.0).round(),
            hu: random.between(60.0, 130.0).round(),
        }
    }

    /// The bleed, where this head has one.
    pub const fn bleed(&self) -> Option<&Bleed> {
        self.bleed.as_ref()
    }

    /// Centre (row, column) and radius of the bleed in a slice, px; `None` where there is none.
    pub fn bleed_place(&self, slice: u32) -> Option<(f64, f64, f64)> {
        let bleed = self.bleed.as_ref()?;
        let radius = bleed.radius_at(self.height(slice))?;
        let (u, v) = bleed.middle(radius, self.brain_half_axes(slice));
        let (column, row) = self.outline(slice).head_to_image().apply(u * self.scale(), v * self.scale());
        Some((row, column, radius * self.scale()))
    }

    /// Half axes (u, v) of the inside of the skull in a slice, px of 512.
    pub(crate) fn brain_half_axes(&self, slice: u32) -> (f64, f64) {
        let outline = self.outline(slice);
        let shell = SKIN_PX + self.scalp_px + self.skull_px;
        let half = |full: f64| 0.5 * full / self.scale() - shell;
        (half(outline.minor_px), half(outline.major_px))
    }
}

/// Spread over -max..max by the golden ratio, from a seeded start: few heads cover the range too.
fn tilt(index: u32, options: &PhantomOptions) -> f64 {
    let start = Random::new(&[options.seed, 0x7117]).between(0.0, 1.0);
    let turns = start + f64::from(index) * 0.618_033_988_749_895;
    let unit = turns - turns.floor();
    ((2.0 * unit - 1.0) * options.max_tilt_deg * 1000.0).round() / 1000.0
}

/// Two heads in five have a bleed.
fn bleed(index: u32, seed: u64) -> Option<Bleed> {
    let mut random = Random::new(&[seed, u64::from(index), 0xb1eed]);
    let mut between = |low: f64, high: f64| random.between(low, high);
    if (index + 3) % 5 >= 2 {
        return None;
    }
    let side = if between(0.0, 1.0) < 0.5 { -1.0 } else { 1.0 };
    let hu = between(62.0, 73.0);
    let low = between(0.30, 0.42);
    Some(if index % 5 == 2 {
        let center = (side * between(0.38, 0.52), between(-0.25, 0.20));
        let (radius_px, heights) = (between(18.0, 28.0), (low, low + 0.34));
        Bleed { kind: BleedKind::Intracerebral, hu, center, radius_px, heights }
    } else {
        let (radius_px, heights) = (between(10.0, 15.0), (low, low + 0.45));
        Bleed { kind: BleedKind::Subdural, hu, center: (side, -0.12), radius_px, heights }
    })
}
