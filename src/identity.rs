//! Keyed pseudonyms: the only names of patients, studies, series, instances and paths that leave
//! the private folder.
//!
//! All are HMAC-SHA256 under the data set's own key, with a domain word in front, so that equal
//! values of different attributes have unrelated pseudonyms.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The HMAC key of a data set: 32 random bytes that live in `OUT.private/key`.
#[derive(Clone)]
pub struct Key([u8; 32]);

impl fmt::Debug for Key {
    /// Shows the key's public id, never its bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key(id {})", self.id())
    }
}

impl Key {
    /// A key of these bytes.
    pub const fn new(bytes: [u8; 32]) -> Key {
        Key(bytes)
    }

    /// The raw bytes, to be written to the key file and nowhere else.
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The key's public name: the first 8 hex digits of HMAC(key, "id").
    pub fn id(&self) -> String {
        hex::encode(&self.mac("id", &[])[..4])
    }

    /// HMAC-SHA256 of the parts under this key, in `domain`. Each part is preceded by its length,
    /// so that no two lists of parts collide.
    pub fn mac(&self, domain: &str, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        mac.update(domain.as_bytes());
        for part in parts {
            mac.update(&(part.len() as u64).to_le_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }

    /// A pseudonym column's value: 32 lower-case hex digits (16 bytes) of [`Key::mac`].
    pub fn pseudonym(&self, domain: &str, parts: &[&[u8]]) -> String {
        hex::encode(&self.mac(domain, parts)[..16])
    }

    /// The keyed identity of a path: 12 bytes for its folder, 12 for the path itself, so that
    /// ascending order keeps the files of a folder together and leaks no alphabet.
    ///
    /// `label` is the name of the SOURCE; `folder` and `path` are relative to it, as raw bytes.
    pub fn source_id(&self, label: &str, folder: &[u8], path: &[u8]) -> SourceId {
        let mut id = [0; 24];
        id[..12].copy_from_slice(&self.mac("folder", &[label.as_bytes(), folder])[..12]);
        id[12..].copy_from_slice(&self.mac("path", &[label.as_bytes(), path])[..12]);
        SourceId(id)
    }
}

/// Keyed identity of an input's path. Printed as 48 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(pub [u8; 24]);

impl fmt::Display for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SourceId({self})")
    }
}

impl std::str::FromStr for SourceId {
    type Err = String;

    /// Reads what `Display` prints.
    fn from_str(word: &str) -> Result<SourceId, String> {
        let mut id = [0; 24];
        hex::decode_to_slice(word, &mut id).map_err(|_| "a source_id that is not 48 hex digits".to_owned())?;
        Ok(SourceId(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_into_each_other() {
        let key = Key::new([7; 32]);
        assert_ne!(key.mac("d", &[b"ab", b"c"]), key.mac("d", &[b"a", b"bc"]));
        assert_ne!(key.mac("a", &[]), key.mac("b", &[]));
    }

    #[test]
    fn files_of_one_folder_share_the_first_half_of_their_id() {
        let key = Key::new([7; 32]);
        let (a, b) = (key.source_id("s", b"f", b"f/1"), key.source_id("s", b"f", b"f/2"));
        assert_eq!(a.0[..12], b.0[..12]);
        assert_ne!(a, b);
    }

    #[test]
    fn debug_never_shows_the_key() {
        assert!(!format!("{:?}", Key::new([0xab; 32])).contains("ab, ab"));
    }
}
