//! What earlier runs committed, as it lies on disk.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{complete_name, segment_name};
use crate::error::Error;
use crate::sink::publish::OutputFolder;
use crate::sink::storage::Storage;

/// The mark that a generation is planned to its end: `plan/gNNNNNN/complete.json`.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Complete {
    pub generation: u32,
    pub slices: u64,
    pub not_planned: u64,
    pub segments: Vec<SegmentSummary>,
}

/// One segment of a complete generation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SegmentSummary {
    pub index: u32,
    pub slices: u64,
    pub not_planned: u64,
    pub sha256: String,
}

/// The segments on disk.
pub(crate) struct Committed {
    /// Generation and index of each, in plan order.
    pub segments: Vec<(u32, u32)>,
    /// Whether the last generation is planned to its end.
    pub last_is_complete: bool,
}

impl Committed {
    /// Lists them. What a killed run left of a segment that it did not commit stays: it may be what a
    /// living twin is about to commit.
    pub(crate) fn list(out: &OutputFolder) -> Result<Committed, Error> {
        let mut segments = Vec::new();
        for generation in 1.. {
            // Before its segments: where the mark is there, so are they. The other way round a twin could
            // commit all of them in between, and they would be planned again.
            let is_complete = exists(out, &complete_name(generation))?;
            let count = segments_of(out, generation)?;
            segments.extend((0..count).map(|index| (generation, index)));
            if !is_complete {
                // Where it has no segment, it is the one after the last.
                return Ok(Committed { segments, last_is_complete: count == 0 && generation > 1 });
            }
        }
        Err(Error::Bug("2^32 generations".to_owned()))
    }
}

/// Whether there is a plan, and its last generation is planned to its end.
///
/// # Errors
/// [`Error::OutputIo`].
pub(crate) fn is_complete(storage: &dyn Storage, out: &Path) -> Result<bool, Error> {
    let there = |name: String| {
        let path = out.join(name);
        match storage.open(&path) {
            Ok(_) => Ok(true),
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(false),
            Err(source) => Err(Error::OutputIo { doing: "open", path, source }),
        }
    };
    let mut generation = 1;
    while there(complete_name(generation))? {
        generation += 1;
    }
    Ok(generation > 1 && !there(segment_name(generation, 0))?)
}

/// How many segments a generation has.
fn segments_of(out: &OutputFolder, generation: u32) -> Result<u32, Error> {
    let mut count = 0;
    while exists(out, &segment_name(generation, count))? {
        count += 1;
    }
    // One more may hide behind a gap of one; what lies further on, `verify` finds.
    if exists(out, &segment_name(generation, count + 1))? {
        let path = out.path(&segment_name(generation, count));
        return Err(Error::Verify(format!("{} is missing, and the segment after it is there", path.display())));
    }
    Ok(count)
}

fn exists(out: &OutputFolder, name: &str) -> Result<bool, Error> {
    out.find(name).map(|found| found.is_some())
}
