//! What is known of an archive: the contents of `truth.json`.

use serde::{Deserialize, Serialize};

use super::archive::PhantomOptions;
use super::head::{BleedKind, Head, Holder, Storage};

/// Everything known of an archive.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Truth {
    /// What it was made with.
    pub options: PhantomOptions,
    /// One entry per head.
    pub heads: Vec<HeadTruth>,
    /// One entry per CT slice, in the order of heads and slices.
    pub files: Vec<FileTruth>,
    /// The other files, where `extras` asked for them.
    pub extras: Vec<ExtraTruth>,
}

/// What is known of one head.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeadTruth {
    /// From 0.
    pub head: u32,
    /// The folder of its series, relative to the archive.
    pub folder: String,
    /// Angle of the long axis from the vertical, clockwise on the screen.
    pub tilt_deg: f64,
    /// Long axis over short axis of the outline.
    pub axis_ratio: f64,
    /// How its pixels are stored.
    pub storage: Storage,
    /// Its holder.
    pub holder: Holder,
    /// What kind of bleed it has.
    pub bleed: Option<BleedKind>,
    /// Patient's Name (0010,0010): what no output may contain.
    pub patient_name: String,
    /// Patient ID (0010,0020): likewise.
    pub patient_id: String,
    /// Series Instance UID (0020,000E).
    pub series_instance_uid: String,
}

/// What is known of one CT slice. Pixel centres lie on integers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FileTruth {
    /// Relative to the archive, with `/`.
    pub path: String,
    /// Its head, from 0.
    pub head: u32,
    /// Its slice, from 0 at the base.
    pub slice: u32,
    /// SOP Instance UID (0008,0018).
    pub sop_instance_uid: String,
    /// Angle of the long axis from the vertical, clockwise on the screen.
    pub tilt_deg: f64,
    /// Centre of the outline, row.
    pub center_row_px: f64,
    /// Centre of the outline, column.
    pub center_column_px: f64,
    /// Full long axis of the outline, on which HU is 0.
    pub major_px: f64,
    /// Full short axis of the outline.
    pub minor_px: f64,
    /// `[top, left, bottom, right]` of the head's surface turned upright about its centre, half-open.
    /// The surface (half skin, half air) lies 0.89 px outside the outline.
    pub upright_box_px: [f64; 4],
    /// Pixel Representation 1.
    pub signed: bool,
    /// Whether there is blood in this slice.
    pub bleed: bool,
    /// `[row, column, radius]` of the blood.
    pub bleed_place_px: Option<[f64; 3]>,
}

/// A file that is no CT slice of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExtraTruth {
    /// Relative to the archive, with `/`.
    pub path: String,
    /// `localizer`, `colour`, `text`, `duplicate` or `truncated`.
    pub kind: String,
}

impl FileTruth {
    pub(crate) fn new(head: &Head, slice: u32, path: String, sop_instance_uid: String) -> FileTruth {
        let outline = head.outline(slice);
        let place = head.bleed_place(slice);
        FileTruth {
            path,
            head: head.index,
            slice,
            sop_instance_uid,
            tilt_deg: outline.tilt_deg,
            center_row_px: rounded(outline.center_row_px),
            center_column_px: rounded(outline.center_column_px),
            major_px: rounded(outline.major_px),
            minor_px: rounded(outline.minor_px),
            upright_box_px: outline.upright_box_px().map(rounded),
            signed: head.storage.signed,
            bleed: place.is_some(),
            bleed_place_px: place.map(|(row, column, radius)| [row, column, radius].map(rounded)),
        }
    }
}

/// To six places: short to read, and the same when read back.
pub(crate) fn rounded(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}
