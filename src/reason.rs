//! Why a slice or an input yields no row: the closed vocabulary, declared once.
//!
//! `schemas/reasons.md`, the ledger's `reason` column and the table at the end of a run are all
//! printed from [`Reason::all`].

use std::fmt;

/// What became of a found slice or input. Every one is in exactly one class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// A row of a shard.
    Written,
    /// Was to be a row, and could not be made into one.
    Rejected,
    /// The same SOP Instance UID stands earlier in the plan.
    Duplicate,
    /// Not a CT slice, and never meant to be a row.
    Filtered,
}

impl Class {
    /// The word used in the ledger.
    pub const fn as_str(self) -> &'static str {
        match self {
            Class::Written => "written",
            Class::Rejected => "rejected",
            Class::Duplicate => "duplicate",
            Class::Filtered => "filtered",
        }
    }
}

macro_rules! reasons {
    ($( $class:ident { $( $(#[doc = $what:literal])+ => $then:literal $variant:ident = $name:literal ),+ $(,)? } )+) => {
        /// Why there is no row, in one word of a closed vocabulary.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason { $( $( $(#[doc = $what])+ $variant, )+ )+ }

        impl Reason {
            /// Every reason, in the order of the documentation.
            pub const fn all() -> &'static [Reason] { &[ $( $( Reason::$variant, )+ )+ ] }
            /// The word used in the ledger.
            pub const fn as_str(self) -> &'static str { match self { $( $( Reason::$variant => $name, )+ )+ } }
            /// The class a slice with this reason belongs to.
            pub const fn class(self) -> Class { match self { $( $( Reason::$variant => Class::$class, )+ )+ } }
            /// One sentence: what the reason means.
            pub const fn meaning(self) -> &'static str {
                match self { $( $( Reason::$variant => concat!($($what),+).trim_ascii(), )+ )+ }
            }
            /// One sentence: what a user can do about it.
            pub const fn remedy(self) -> &'static str { match self { $( $( Reason::$variant => $then, )+ )+ } }
        }
    };
}

reasons! {
    Filtered {
        /// The file is not DICOM: no known header and no plausible first element.
        => "Nothing, unless it should be DICOM." NotDicom = "not_dicom",
        /// The file has no bytes.
        => "Copy it again if it should have content." EmptyFile = "empty_file",
        /// A DICOMDIR or another directory record.
        => "Nothing: the files it lists are found by themselves." Dicomdir = "dicomdir",
        /// DICOM, but its SOP Class is not CT Image Storage or Enhanced CT Image Storage.
        => "Nothing: only CT slices become rows." NotCtImage = "not_ct_image",
        /// A CT localizer (scout), not a slice.
        => "Nothing: a localizer is a projection." Localizer = "localizer",
        /// CT by class, but with more than one sample per pixel: a screen or summary page.
        => "Nothing: colour pages hold no Hounsfield values." Colour = "colour",
        /// CT by class, but without Pixel Data.
        => "Nothing: there is no image in it." NoPixelData = "no_pixel_data",
        /// A special file: FIFO, socket, device, or a link that leads nowhere.
        => "Nothing." SpecialFile = "special_file",
    }
    Duplicate {
        /// Another input with the same SOP Instance UID comes earlier in the plan.
        => "Nothing: the ledger names the first one as winner; if that was rejected, convert again into a new OUT without it." DuplicateSopInstance = "duplicate_sop_instance",
    }
    Rejected {
        /// The file could not be read: permission, I/O error, or it changed while being read.
        => "Mend the access; the same command tries the input again, unless other frames of it are rows already." Unreadable = "unreadable",
        /// Decoding the slice ended the whole process, and did so again, twice, in a process of its own.
        => "Nothing: it is not tried again in this OUT. Report it, with the transfer syntax of the file; where memory was short, convert into a new OUT with more." DecoderCrash = "decoder_crash",
        /// The file ends inside its header or inside an element.
        => "Copy the file again from its archive." Truncated = "truncated",
        /// The header breaks the rules of DICOM encoding so that its pixels cannot be located.
        => "Export the file again." MalformedHeader = "malformed_header",
        /// A length, count or depth in the file is above the limits.
        => "Check the file; where it is sound, raise the key of [limits] that the detail names." LimitExceeded = "limit_exceeded",
        /// The transfer syntax is unknown, or no decoder for it is built in, or decode.codecs leaves it out.
        => "Transcode the file to a syntax that the README names." TransferSyntax = "transfer_syntax",
        /// Rows, Columns, bits or samples are missing or impossible.
        => "Export the file again." ImageGeometry = "image_geometry",
        /// Pixel Data is stored in a form this program does not turn into HU (float, 1 bit, 64 bit).
        => "Convert to 8, 16 or 32 bit integers." PixelFormat = "pixel_format",
        /// Pixel Data is shorter or longer than Rows, Columns and frames ask for.
        => "Copy the file again from its archive." PixelLength = "pixel_length",
        /// The compressed frame's own header does not agree with the data set.
        => "Export the file again." CodestreamMismatch = "codestream_mismatch",
        /// The decoder of the transfer syntax failed on the frame.
        => "Export the file again." DecodeFailed = "decode_failed",
        /// The frame asked for is not in the file.
        => "Copy the file again from its archive." FrameMissing = "frame_missing",
        /// Rescale Slope or Intercept is missing, zero, or not a number, or the Modality LUT in their place is not well formed.
        => "Repair the attribute at the source; HU are never guessed." Rescale = "rescale",
        /// The pixels are no Hounsfield units: Rescale Type or Image Type says so (effective atomic number, electron density, modified HU, a concentration).
        => "Nothing: a map of something else is not a CT slice to train on." NotHounsfield = "not_hounsfield",
        /// A pixel's HU is above what 16 bits hold.
        => "Check Rescale Slope and Intercept at the source." HuRange = "hu_range",
        /// `seed` only: the windowed image has no foreground, so there is no contour.
        => "Use recipe `head`, which keeps such slices." NoContour = "no_contour",
        /// `seed` only: the largest contour has fewer than 5 points, or points that no ellipse fits.
        => "Use recipe `head`, which keeps such slices." ContourTooShort = "contour_too_short",
        /// `seed` only: the turned image is empty.
        => "Use recipe `head`, which keeps such slices." EmptyAfterTilt = "empty_after_tilt",
        /// `seed` only: the crop is larger than the tensor.
        => "Use recipe `head`, which shrinks to fit." CropTooLarge = "crop_too_large",
        /// A stage panicked on this slice. This is a bug of this program.
        => "Report it, with `dcmshard --version` and the syntax of the file." Internal = "internal",
    }
}

impl Reason {
    /// Whether another run on the same bytes might come to another end: then what one run said is
    /// followed by those that make the same shard, so that all make the same bytes.
    pub const fn depends_on_environment(self) -> bool {
        matches!(self, Reason::Unreadable | Reason::DecoderCrash)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is wrong with this slice, or this input.
///
/// `detail` names the thing, the value found and the value expected. It may hold numbers, DICOM
/// keywords, UIDs from the standard and words of this program; never a path, never text out of a
/// patient's file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {detail}")]
pub struct Fault {
    /// The word for it.
    pub reason: Reason,
    /// The sentence for it.
    pub detail: String,
}

impl Fault {
    /// A fault with its sentence.
    pub fn new(reason: Reason, detail: impl Into<String>) -> Fault {
        Fault { reason, detail: detail.into() }
    }
}
