//! The walk: every file of every source, in an order that leaks no alphabet and is the same on
//! every machine.

use std::ffi::{OsStr, OsString};
use std::fs::{self, FileType};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use walkdir::WalkDir;

use super::patience::{PAUSES, is_out_of_descriptors, persist};
use super::{Source, source_io};
use crate::error::Error;
use crate::identity::{Key, SourceId};

/// A folder of a source.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Folder {
    /// Which source, as an index into the list that is walked.
    pub source: usize,
    /// Its path relative to the source; empty for the source itself.
    pub path: OsString,
}

/// Something that the walk came across.
#[derive(Debug)]
pub(crate) struct Found {
    /// Keyed identity of its path.
    pub source_id: SourceId,
    /// The folder it lies in; for [`What::Folder`], the folder itself.
    pub folder: Arc<Folder>,
    /// Its name in that folder; empty for [`What::Folder`].
    pub name: OsString,
    /// What it is.
    pub what: What,
}

impl Found {
    /// Where it is on this machine.
    pub(crate) fn path(&self, sources: &[Source]) -> PathBuf {
        sources[self.folder.source].root().join(&self.folder.path).join(&self.name)
    }
}

/// What an entry of a folder is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// A regular file, with its modification time in nanoseconds since 1970.
    File { size: u64, mtime_ns: i64 },
    /// A link, FIFO, socket or device: said in words, never opened.
    Special(&'static str),
    /// An entry whose attributes could not be read.
    Unreadable(io::ErrorKind),
    /// A folder that could not be listed.
    Folder(io::ErrorKind),
}

impl What {
    /// What is at this path now.
    pub(crate) fn at(path: &Path) -> What {
        attributes(path.symlink_metadata())
    }
}

/// Ascending [`SourceId`] over all sources: folders in the order of their keyed hash, and the files
/// of a folder by theirs. Symbolic links are not followed.
///
/// The folders are listed twice, first for their names alone; memory holds the list of folders
/// (their relative paths) and one folder's entries.
#[derive(Debug)]
pub(crate) struct Walk<'a> {
    sources: &'a [Source],
    key: &'a Key,
    folders: std::vec::IntoIter<ListedFolder>,
    entries: std::vec::IntoIter<Found>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct ListedFolder {
    half: [u8; 12],
    source: usize,
    path: Box<[u8]>,
    unlisted: Option<io::ErrorKind>,
}

impl<'a> Walk<'a> {
    /// Lists the folders of every source.
    ///
    /// # Errors
    /// [`Error::SourceIo`] where a source itself cannot be listed.
    pub(crate) fn new(sources: &'a [Source], key: &'a Key) -> Result<Walk<'a>, Error> {
        let mut folders = Vec::new();
        for (index, source) in sources.iter().enumerate() {
            list_folders(index, source, key, &mut folders)?;
        }
        folders.sort_unstable();
        // A folder whose listing broke off is there twice: as a folder, then with its error.
        folders.dedup_by(|next, first| {
            let same = (next.source, &next.path) == (first.source, &first.path);
            if same {
                first.unlisted = first.unlisted.or(next.unlisted);
            }
            same
        });
        Ok(Walk { sources, key, folders: folders.into_iter(), entries: Vec::new().into_iter() })
    }

    /// Lists one folder. What cannot be listed is one entry that says so; a folder that has gone
    /// since is no entry at all.
    fn enter(&self, listed: ListedFolder) -> Vec<Found> {
        let folder = Arc::new(Folder { source: listed.source, path: OsString::from_vec(listed.path.into_vec()) });
        let source = &self.sources[folder.source];
        let entries = match listed.unlisted {
            Some(kind) => Err(io::Error::from(kind)),
            None => self.entries_of(source, &folder),
        };
        match entries {
            Ok(mut entries) => {
                entries.sort_unstable_by(|a, b| (a.source_id, &a.name).cmp(&(b.source_id, &b.name)));
                entries
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => {
                let path = folder.path.as_os_str().as_bytes();
                let source_id = self.key.source_id(source.label(), path, path);
                vec![Found { source_id, folder, name: OsString::new(), what: What::Folder(error.kind()) }]
            }
        }
    }

    fn entries_of(&self, source: &Source, folder: &Arc<Folder>) -> io::Result<Vec<Found>> {
        let found = |name: OsString, what| {
            let path = join(&folder.path, &name);
            let source_id =
                self.key.source_id(source.label(), folder.path.as_os_str().as_bytes(), path.as_os_str().as_bytes());
            Found { source_id, folder: Arc::clone(folder), name, what }
        };
        let place = source.root().join(&folder.path);
        if let Some(name) = &source.only {
            return Ok(vec![found(name.clone(), attributes(place.join(name).symlink_metadata()))]);
        }
        let mut entries = Vec::new();
        for entry in persist(&PAUSES, |_| fs::read_dir(&place))? {
            let entry = entry?;
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            match entry.metadata() {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {} // gone since
                metadata => entries.push(found(entry.file_name(), attributes(metadata))),
            }
        }
        Ok(entries)
    }
}

impl Iterator for Walk<'_> {
    type Item = Found;

    fn next(&mut self) -> Option<Found> {
        loop {
            if let Some(found) = self.entries.next() {
                return Some(found);
            }
            let folder = self.folders.next()?;
            self.entries = self.enter(folder).into_iter();
        }
    }
}

fn list_folders(index: usize, source: &Source, key: &Key, folders: &mut Vec<ListedFolder>) -> Result<(), Error> {
    let mut push = |path: &Path, unlisted| {
        let path = path.strip_prefix(source.root()).unwrap_or(Path::new("")).as_os_str().as_bytes();
        let mut half = [0; 12];
        half.copy_from_slice(&key.source_id(source.label(), path, path).0[..12]);
        folders.push(ListedFolder { half, source: index, path: path.into(), unlisted });
    };
    if source.only.is_some() {
        push(source.root(), None);
        return Ok(());
    }
    // Folders to be listed with all below them; most often the source alone.
    let mut trees = vec![source.root().to_owned()];
    while let Some(tree) = trees.pop() {
        persist(&PAUSES, |_| fs::read_dir(&tree).map(drop)).unwrap_or_default(); // waits for a descriptor
        for entry in WalkDir::new(&tree) {
            match entry {
                Ok(entry) if entry.file_type().is_dir() => push(entry.path(), None),
                Ok(_) => {}
                Err(error) => match (error.io_error(), error.path()) {
                    (Some(lack), Some(path)) if is_out_of_descriptors(lack) => trees.push(path.to_owned()),
                    _ if error.depth() == 0 && tree == source.root() => {
                        return Err(source_io("list", &source.given, error.into()));
                    }
                    (said, path) => {
                        let kind = said.map_or(io::ErrorKind::Other, io::Error::kind);
                        if let (Some(path), true) = (path, kind != io::ErrorKind::NotFound) {
                            push(path, Some(kind));
                        }
                    }
                },
            }
        }
    }
    Ok(())
}

fn attributes(metadata: io::Result<fs::Metadata>) -> What {
    match metadata {
        Err(error) => What::Unreadable(error.kind()),
        Ok(metadata) if metadata.is_file() => What::File { size: metadata.size(), mtime_ns: mtime_ns(&metadata) },
        Ok(metadata) => What::Special(special(metadata.file_type())),
    }
}

/// Saturates in the year 2262.
fn mtime_ns(metadata: &fs::Metadata) -> i64 {
    metadata.mtime().saturating_mul(1_000_000_000).saturating_add(metadata.mtime_nsec())
}

fn special(kind: FileType) -> &'static str {
    match kind {
        k if k.is_symlink() => "a symbolic link; links are not followed",
        k if k.is_fifo() => "a FIFO, expected a regular file",
        k if k.is_socket() => "a socket, expected a regular file",
        k if k.is_block_device() || k.is_char_device() => "a device, expected a regular file",
        _ => "not a regular file",
    }
}

/// A folder's relative path and a name in it.
fn join(folder: &OsStr, name: &OsStr) -> PathBuf {
    Path::new(folder).join(name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::source::resolve;

    fn tree() -> (tempfile::TempDir, Vec<Source>) {
        let dir = tempfile::tempdir().expect("a temporary folder");
        for label in ["a", "b"] {
            for n in 0..40 {
                let folder = dir.path().join(label).join(format!("x{}/y{}", n % 4, n % 3));
                fs::create_dir_all(&folder).expect("folders");
                fs::write(folder.join(n.to_string()), "x").expect("a file");
            }
        }
        let sources = resolve(&[dir.path().join("a"), dir.path().join("b")]).expect("sources");
        (dir, sources)
    }

    #[test]
    fn every_file_comes_once_in_ascending_source_id_over_all_sources() -> Result<(), Error> {
        let (_dir, sources) = tree();
        let key = Key::new([1; 32]);
        let found: Vec<Found> = Walk::new(&sources, &key)?.collect();
        assert!(found.is_sorted_by(|a, b| a.source_id < b.source_id));
        assert_eq!(found.len(), 80);
        assert!(found.iter().all(|f| f.path(&sources).is_file() && matches!(f.what, What::File { size: 1, .. })));
        let paths: BTreeSet<PathBuf> = found.iter().map(|f| f.path(&sources)).collect();
        assert_eq!(paths.len(), 80);
        assert!(!found.is_sorted_by_key(|f| f.path(&sources)), "no alphabet");
        let other: Vec<PathBuf> = Walk::new(&sources, &Key::new([2; 32]))?.map(|f| f.path(&sources)).collect();
        assert_ne!(other, found.iter().map(|f| f.path(&sources)).collect::<Vec<_>>());
        Ok(())
    }

    #[test]
    fn a_folder_that_cannot_be_listed_is_one_entry_and_one_that_has_gone_is_none() -> Result<(), Error> {
        let (_dir, sources) = tree();
        let key = Key::new([1; 32]);
        let walk = Walk::new(&sources, &key)?;
        let enter = |unlisted| {
            walk.enter(ListedFolder { half: [0; 12], source: 0, path: b"x1/y1".as_slice().into(), unlisted })
        };
        assert!(enter(None).len() > 1);
        let unlisted = enter(Some(io::ErrorKind::PermissionDenied));
        assert_eq!(unlisted.len(), 1);
        assert_eq!(unlisted[0].what, What::Folder(io::ErrorKind::PermissionDenied));
        assert_eq!(unlisted[0].source_id, key.source_id("a", b"x1/y1", b"x1/y1"));
        let gone = ListedFolder { half: [0; 12], source: 0, path: b"gone".as_slice().into(), unlisted: None };
        assert!(walk.enter(gone).is_empty());
        Ok(())
    }

    #[test]
    fn a_single_file_is_found_alone() -> Result<(), Error> {
        let (dir, _) = tree();
        let sources = resolve(&[dir.path().join("a/x0/y0/0")])?;
        let key = Key::new([1; 32]);
        let found: Vec<Found> = Walk::new(&sources, &key)?.collect();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].path(&sources), dir.path().canonicalize().expect("a path").join("a/x0/y0/0"));
        assert_eq!(found[0].source_id, key.source_id("0", b"", b"0"));
        Ok(())
    }
}
