//! Amendments of the plan: slices that are rejected without being opened.
//!
//! `plan/g000001/condemned-<ordinal, 12 digits>.json`, committed before their shard is made, so that
//! whoever makes it makes the same.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::reason::{Fault, Reason};
use crate::sink::publish::OutputFolder;
use crate::slice::SliceRef;

/// The same whatever signal it was, so that all who condemn a slice write the same.
const DETAIL: &str = "a process that worked on this slice alone was ended by it, two times out of two";

/// What an amendment holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Condemned {
    source_id: String,
    frame: u32,
    reason: String,
    detail: String,
}

impl Condemned {
    /// Why `at` is not to be opened; `None` where it is another slice that was condemned.
    pub(crate) fn fault(&self, at: &SliceRef) -> Option<Fault> {
        let is_it = self.source_id == at.input.source_id.to_string() && self.frame == at.frame;
        is_it.then(|| Fault::new(Reason::DecoderCrash, self.detail.clone()))
    }
}

fn folder_of(generation: u32) -> String {
    format!("plan/g{generation:06}")
}

fn name(generation: u32, ordinal: u64) -> String {
    format!("{}/condemned-{ordinal:012}.json", folder_of(generation))
}

/// The ordinal in an amendment's name.
fn ordinal(name: &str) -> Option<u64> {
    name.strip_prefix("condemned-")?.strip_suffix(".json")?.parse().ok()
}

/// Condemns a slice, unless it is condemned.
///
/// # Errors
/// As [`OutputFolder::publish_bytes`].
pub(crate) fn condemn(out: &OutputFolder, generation: u32, at: &SliceRef) -> Result<Fault, Error> {
    let condemned = Condemned {
        source_id: at.input.source_id.to_string(),
        frame: at.frame,
        reason: Reason::DecoderCrash.as_str().to_owned(),
        detail: DETAIL.to_owned(),
    };
    let name = name(generation, at.ordinal.0);
    let json = serde_json::to_string_pretty(&condemned).map_err(|e| Error::Bug(format!("{name}: {e}")))?;
    out.publish_bytes(&name, format!("{json}\n").as_bytes())?;
    tracing::warn!("input {}, frame {}: {DETAIL}; it is rejected", condemned.source_id, condemned.frame);
    Ok(Fault::new(Reason::DecoderCrash, DETAIL))
}

/// The slices of a generation that are condemned, by ordinal.
///
/// # Errors
/// [`Error::OutputIo`]; [`Error::Verify`] for an amendment that is none.
pub(crate) fn read(out: &OutputFolder, generation: u32) -> Result<BTreeMap<u64, Condemned>, Error> {
    let names = out.list(&folder_of(generation))?;
    let ordinals = names.iter().filter_map(|name| ordinal(name.to_str()?));
    ordinals.map(|ordinal| Ok((ordinal, read_one(out, &name(generation, ordinal))?))).collect()
}

fn read_one(out: &OutputFolder, name: &str) -> Result<Condemned, Error> {
    let file = out.open(name)?;
    let bytes =
        file.bytes().map_err(|source| Error::OutputIo { doing: "read", path: file.path().to_owned(), source })?;
    let condemned: Option<Condemned> = serde_json::from_slice(&bytes).ok();
    let known = condemned.filter(|condemned| condemned.reason == Reason::DecoderCrash.as_str());
    known.ok_or_else(|| Error::Verify(format!("{} is damaged", file.path().display())))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::identity::SourceId;
    use crate::slice::{InputRef, Ordinal};

    #[test]
    fn who_is_condemned_once_or_twice_is_so_for_good_and_nobody_else() -> Result<(), Box<dyn std::error::Error>> {
        let temp = tempfile::tempdir()?;
        let out = OutputFolder::create(temp.path(), 0o750)?;
        let slice = |n: u8, frame| SliceRef {
            ordinal: Ordinal(77),
            input: InputRef::memory(SourceId([n; 24]), Arc::from([])),
            frame,
        };
        assert!(read(&out, 3)?.is_empty());
        let fault = condemn(&out, 3, &slice(1, 2))?;
        assert_eq!(condemn(&out, 3, &slice(1, 2))?, fault);
        std::fs::write(temp.path().join("plan/g000003/seg-00000.parquet"), "")?;
        let condemned = read(&out, 3)?;
        assert_eq!(condemned.keys().collect::<Vec<_>>(), [&77]);
        assert_eq!(condemned[&77].fault(&slice(1, 2)), Some(fault));
        assert_eq!(condemned[&77].fault(&slice(1, 3)), None);
        assert_eq!(condemned[&77].fault(&slice(2, 2)), None);
        std::fs::write(temp.path().join("plan/g000003/condemned-000000000078.json"), "{}")?;
        assert!(matches!(read(&out, 3), Err(Error::Verify(_))));
        Ok(())
    }
}
