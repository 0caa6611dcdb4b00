//! Knowing a published shard again by small reads: its beginning, its end, and the footer of its ledger
//! part, which says what they should be. The footer of a shard itself is as long as four hundred slices'
//! metadata; ten thousand of them would take half a minute.

use std::collections::BTreeMap;
use std::io::Read;

use parquet::file::metadata::ParquetMetaDataReader;
use sha2::{Digest, Sha256};

use super::ledger::Tally;
use super::storage::{Stored, StoredReader};
use crate::reason::{Class, Reason};

/// Bytes at the end of a shard by which it is known: at the least its last row groups' metadata, and
/// what its footer says of it.
pub(crate) const TAIL_BYTES: usize = 16 << 10;

/// What every Parquet file begins and ends with.
const MAGIC: &[u8; 4] = b"PAR1";

/// The last [`TAIL_BYTES`] of what was pushed.
#[derive(Debug, Default)]
pub(super) struct Tail(Vec<u8>);

impl Tail {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let bytes = &bytes[bytes.len().saturating_sub(TAIL_BYTES)..];
        if self.0.len() + bytes.len() > 4 * TAIL_BYTES {
            self.0.drain(..self.0.len().saturating_sub(TAIL_BYTES));
        }
        self.0.extend_from_slice(bytes);
    }

    /// Its SHA-256, 64 lower-case hex digits.
    pub(super) fn sha256(&self) -> String {
        hex::encode(Sha256::digest(&self.0[self.0.len().saturating_sub(TAIL_BYTES)..]))
    }
}

/// Whether a shard has this length, begins as Parquet, and ends with these bytes.
pub(super) fn agrees(shard: &Stored, bytes: u64, tail_sha256: &str) -> bool {
    use parquet::file::reader::Length;
    let read = || -> std::io::Result<bool> {
        let mut magic = [0; 4];
        shard.reader().read_exact(&mut magic)?;
        let mut tail = Tail::default();
        tail.push(&end_of(shard)?);
        Ok(&magic == MAGIC && tail.sha256() == tail_sha256)
    };
    shard.len() == bytes && read().unwrap_or(false)
}

fn end_of(shard: &Stored) -> std::io::Result<Vec<u8>> {
    use parquet::file::reader::Length;
    let mut end = Vec::with_capacity(TAIL_BYTES);
    let mut reader: StoredReader = shard.reader_at(shard.len().saturating_sub(TAIL_BYTES as u64));
    reader.read_to_end(&mut end).map(|_| end)
}

/// The key-value metadata of a Parquet file; `None` where it is none.
pub(super) fn footer_metadata(file: Vec<u8>) -> Option<BTreeMap<String, String>> {
    let footer = ParquetMetaDataReader::new().parse_and_finish(&bytes::Bytes::from(file)).ok()?;
    let pairs = footer.file_metadata().key_value_metadata()?;
    Some(pairs.iter().filter_map(|pair| Some((pair.key.clone(), pair.value.clone()?))).collect())
}

/// Rows written, and of each reason, as `written=20 rescale=3`; in the order of classes and reasons.
pub(crate) fn tally_words(tally: &Tally) -> String {
    let reasons = tally.reasons.iter().map(|(reason, n)| format!(" {}={n}", reason.as_str()));
    std::iter::once(format!("{}={}", Class::Written.as_str(), tally.of(Class::Written))).chain(reasons).collect()
}

/// What [`tally_words`] wrote; `found` is left to who knows it.
pub(super) fn read_tally(words: &str) -> Option<Tally> {
    let mut tally = Tally::default();
    for word in words.split(' ') {
        let (name, n) = word.split_once('=')?;
        let n: u64 = n.parse().ok()?;
        let reason = Reason::all().iter().copied().find(|reason| reason.as_str() == name);
        let class = match reason {
            Some(reason) => reason.class(),
            None if name == Class::Written.as_str() => Class::Written,
            None => return None,
        };
        tally.reasons.extend(reason.map(|reason| (reason, n)));
        let counted = tally.classes.entry(class).or_default();
        *counted = counted.checked_add(n)?;
    }
    Some(tally)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_comes_back_from_its_words() {
        let mut tally = Tally::default();
        tally.classes.insert(Class::Written, 20);
        assert_eq!(tally_words(&tally), "written=20");
        for (n, reason) in Reason::all().iter().enumerate() {
            tally.reasons.insert(*reason, n as u64 + 1);
            *tally.classes.entry(reason.class()).or_default() += n as u64 + 1;
        }
        assert_eq!(read_tally(&tally_words(&tally)), Some(tally));
        for wrong in ["", "written", "written=x", "written=1 nonsense=2", "written=1  rescale=1", "written=-1"] {
            assert_eq!(read_tally(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_tail_is_the_same_however_it_was_pushed() {
        let bytes: Vec<u8> = (0..9 * TAIL_BYTES + 77).map(|n| (n % 251) as u8).collect();
        let expected = hex::encode(Sha256::digest(&bytes[bytes.len() - TAIL_BYTES..]));
        for piece in [1 << 10, TAIL_BYTES - 1, TAIL_BYTES + 1, bytes.len()] {
            let mut tail = Tail::default();
            bytes.chunks(piece).for_each(|piece| tail.push(piece));
            assert_eq!(tail.sha256(), expected, "in pieces of {piece}");
        }
        let mut short = Tail::default();
        short.push(b"short");
        assert_eq!(short.sha256(), hex::encode(Sha256::digest(b"short")));
    }
}
