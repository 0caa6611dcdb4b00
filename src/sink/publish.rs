//! Publishing: a file appears under its name whole and durable, or not at all.
//!
//! Temp file in `.tmp` of the same file system, write, fsync once, checked close, rename without
//! replacing, fsync of the folder. A failed fsync is never repeated (the kernel marks the pages clean): what was
//! written is copied into another temp, checked by its hash, or else made again from the inputs.
//!
//! What a killed run left under a name may not be durable yet. So a folder is synced before anything
//! that was found in it counts.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};

use super::disk::{Disk, parent_of};
use super::presence::Tail;
use super::storage::{Storage, Stored, StoredFile};
use crate::error::Error;

/// The folder for temporary files, below an output folder's root.
const TMP: &str = ".tmp";
/// Names that are tried for a temp file, should each be swept away at once.
const TRIES: u32 = 16;
/// Beginning of the names in `.tmp` that are evidence: [`OutputFolder::sweep`] leaves them.
const EVIDENCE: &str = "bad-";

/// OUT or OUT.private: a folder in which files are only ever published, never changed.
///
/// Cloning gives another handle of the same folder.
#[derive(Clone, Debug)]
pub struct OutputFolder {
    inner: Arc<Inner>,
    /// See [`OutputFolder::until`].
    commit: Option<Arc<Path>>,
}

#[derive(Debug)]
struct Inner {
    storage: Arc<dyn Storage>,
    root: PathBuf,
    mode: u32,
    /// Folders below the root that are durable, and what this process found in them too.
    settled: Mutex<BTreeSet<String>>,
}

/// What was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// SHA-256 of the file's bytes, 64 lower-case hex digits.
    pub sha256: String,
    /// Length of the file.
    pub bytes: u64,
}

impl OutputFolder {
    /// Opens the folder `root`; makes it (with `mode`) and its parents where they are missing, and
    /// its `.tmp`. Files get the read and write bits of `mode`.
    ///
    /// # Errors
    /// [`Error::OutputIo`]; also where `.tmp` is a link, or lies on another file system.
    pub fn create(root: &Path, mode: u32) -> Result<OutputFolder, Error> {
        OutputFolder::create_on(Arc::new(Disk::default()), root, mode)
    }

    /// As [`OutputFolder::create`], on another file system than the machine's.
    ///
    /// # Errors
    /// As [`OutputFolder::create`].
    pub fn create_on(storage: Arc<dyn Storage>, root: &Path, mode: u32) -> Result<OutputFolder, Error> {
        make_folders(&*storage, root, mode)?;
        storage.open_root(root).map_err(|e| failed("open", root, e))?;
        let tmp = root.join(TMP);
        match storage.make_folder(&tmp, mode) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(failed("make", &tmp, e)),
            _ => {}
        }
        let device = |folder: &Path| storage.device(folder).map_err(|e| failed("open", folder, e));
        if device(root)? != device(&tmp)? {
            return Err(failed("rename out of", &tmp, io::ErrorKind::CrossesDevices.into()));
        }
        storage.sync_folder(root).map_err(|e| failed("sync", root, e))?;
        let settled = Mutex::new([String::new()].into());
        let inner = Arc::new(Inner { storage, root: root.to_owned(), mode, settled });
        Ok(OutputFolder { inner, commit: None })
    }

    /// The folder's path, as it was given.
    pub fn root(&self) -> &Path {
        &self.inner.root
    }

    /// Begins a file that shall appear as `name` (relative to the root, `/` between folders, made
    /// of `[a-z0-9.-]`); missing folders are made.
    ///
    /// # Errors
    /// [`Error::OutputIo`]; [`Error::Bug`] for a name of another form.
    pub fn begin(&self, name: &str) -> Result<Unpublished, Error> {
        self.settle_folder_of(name)?;
        Ok(Unpublished {
            temp: Some(TempFile::create(self, name)?),
            to: self.clone(),
            name: name.to_owned(),
            hasher: Sha256::new(),
            tail: Tail::default(),
            bytes: 0,
        })
    }

    /// Publishes `bytes` as `name`.
    ///
    /// # Errors
    /// As [`OutputFolder::begin`] and [`Unpublished::publish`].
    pub fn publish_bytes(&self, name: &str, bytes: &[u8]) -> Result<Published, Error> {
        let mut file = self.begin(name)?;
        file.write_all(bytes).map_err(|e| file.write_failed(e))?;
        file.publish()
    }

    /// Publishes `bytes` as `name`, unless that name is taken; gives back the bytes that are there.
    ///
    /// # Errors
    /// As [`OutputFolder::publish_bytes`], and where the file that is there cannot be read.
    pub fn put_if_absent(&self, name: &str, bytes: &[u8]) -> Result<Vec<u8>, Error> {
        let mut file = self.begin(name)?;
        file.write_all(bytes).map_err(|e| file.write_failed(e))?;
        match file.try_publish()? {
            Ok(_) => Ok(bytes.to_vec()),
            Err(Taken { .. }) => {
                let there = self.open(name)?;
                self.sync_folder_of(there.path())?;
                there.bytes().map_err(|e| failed("read", there.path(), e))
            }
        }
    }

    /// The same folder, in which what stands under a name is a leftover as long as `commit` is not there:
    /// [`Unpublished::publish`] replaces it where it holds other bytes.
    pub(crate) fn until(&self, commit: PathBuf) -> OutputFolder {
        OutputFolder { commit: Some(commit.into()), ..self.clone() }
    }

    /// Opens the published file `name`, whose entry is durable from now on; `None` where there is
    /// none.
    ///
    /// # Errors
    /// [`Error::OutputIo`].
    pub fn find(&self, name: &str) -> Result<Option<Stored>, Error> {
        let path = self.path(name);
        match Stored::open(&*self.inner.storage, &path) {
            Ok(stored) => self.settle_folder_of(name).map(|()| Some(stored)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(failed("open", &path, e)),
        }
    }

    /// As [`OutputFolder::find`], of a file that must be there.
    ///
    /// # Errors
    /// [`Error::OutputIo`].
    pub fn open(&self, name: &str) -> Result<Stored, Error> {
        self.find(name)?.ok_or_else(|| failed("open", &self.path(name), io::ErrorKind::NotFound.into()))
    }

    /// The names in the folder `name`, in no order; none where it is missing.
    ///
    /// # Errors
    /// [`Error::OutputIo`].
    pub fn list(&self, name: &str) -> Result<Vec<OsString>, Error> {
        let path = self.path(name);
        match self.inner.storage.list(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            listed => listed.map_err(|e| failed("list", &path, e)),
        }
    }

    /// Removes a file that was published, but is part of nothing that was committed.
    ///
    /// # Errors
    /// [`Error::OutputIo`].
    pub fn remove(&self, name: &str) -> Result<(), Error> {
        let path = self.path(name);
        match self.inner.storage.unlink(&path) {
            Ok(()) => self.sync_folder_of(&path),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(e) => Err(failed("remove", &path, e)),
        }
    }

    /// Deletes what a killed run left in `.tmp`, evidence (`bad-*`) apart, and nothing that a living
    /// process is writing. Where the file system knows no locks, that cannot be told: all of it stays.
    ///
    /// # Errors
    /// [`Error::OutputIo`].
    pub fn sweep(&self) -> Result<(), Error> {
        let tmp = self.path(TMP);
        for name in self.list(TMP)? {
            if name.as_encoded_bytes().starts_with(EVIDENCE.as_bytes()) {
                continue;
            }
            match self.inner.storage.remove_unheld(&tmp.join(name)) {
                Err(e) if e.kind() == io::ErrorKind::Unsupported => return Ok(()),
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(failed("delete a leftover in", &tmp, e)),
                _ => {}
            }
        }
        Ok(())
    }

    /// Moves the published file `name`, which is not what its name promises, to `.tmp/bad-*`.
    /// Returns false where there is no such file.
    ///
    /// # Errors
    /// [`Error::OutputIo`].
    pub fn set_aside(&self, name: &str) -> Result<bool, Error> {
        self.settle_folder_of(name)?;
        let path = self.path(name);
        let aside = format!("{TMP}/{EVIDENCE}{}.{}", name.replace('/', "-"), random_hex()?);
        match self.inner.storage.rename(&path, &self.path(&aside)) {
            Ok(()) => self.sync_folder_of(&path).map(|()| true),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(failed("set aside", &path, e)),
        }
    }

    /// The real path of `name`, for messages and readers.
    pub fn path(&self, name: &str) -> PathBuf {
        self.inner.root.join(name)
    }

    /// Settles the folder that holds `name`.
    fn settle_folder_of(&self, name: &str) -> Result<(), Error> {
        let fits = |part: &str| {
            !part.is_empty()
                && part != ".."
                && part != "."
                && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b".-_".contains(&b))
        };
        if !name.split('/').all(fits) {
            return Err(Error::Bug(format!("output name {name:?}: expected parts of [a-z0-9._-] between single /")));
        }
        name.rsplit_once('/').map_or(Ok(()), |(folder, _)| self.settle(folder))
    }

    /// Makes the folder `name` below the root where it is missing. The first time in this process
    /// its entry in its parent is synced, whoever made it, and what is in it too.
    fn settle(&self, name: &str) -> Result<(), Error> {
        if self.inner.settled.lock().unwrap_or_else(PoisonError::into_inner).contains(name) {
            return Ok(());
        }
        if let Some((parent, _)) = name.rsplit_once('/') {
            self.settle(parent)?;
        }
        let path = self.path(name);
        let made = self.inner.storage.make_folder(&path, self.inner.mode);
        match &made {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
                return made.map_err(|e| failed("make", &path, self.explain(e, 0)));
            }
            _ => {}
        }
        self.sync_folder_of(&path)?;
        if made.is_err() {
            self.inner.storage.sync_folder(&path).map_err(|e| failed("sync", &path, e))?;
        }
        self.inner.settled.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
        Ok(())
    }

    /// A folder that was moved away takes what is published in it along, and who looks for it here finds
    /// nothing, or something else.
    fn check_in_place(&self) -> Result<(), Error> {
        let root = &self.inner.root;
        match self.inner.storage.is_in_place(root) {
            Ok(true) => Ok(()),
            Ok(false) => Err(failed("go on in", root, io::Error::other("another folder has taken its place"))),
            Err(e) => Err(failed("go on in", root, e)),
        }
    }

    fn sync_folder_of(&self, path: &Path) -> Result<(), Error> {
        let synced = self.inner.storage.sync_folder(parent_of(path));
        synced.map_err(|e| failed("sync the folder of", path, e))
    }

    /// Where there is no room: the same error, with where that is and what is left there.
    fn explain(&self, error: io::Error, needed_bytes: u64) -> io::Error {
        if !matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
            return error;
        }
        let Ok(room) = self.inner.storage.room(&self.inner.root) else { return error };
        let (mount, free) = (room.mount.display(), room.free_bytes);
        let message = match room.free_files {
            0 => format!("{error}; {mount} has {free} bytes free, but no inode for another file"),
            _ => format!("{error}; {mount} has {free} bytes free, at least {needed_bytes} more are needed"),
        };
        io::Error::new(error.kind(), message)
    }
}

/// A file of `.tmp`; removed when dropped, unless it was renamed away.
#[derive(Debug)]
struct TempFile {
    folder: OutputFolder,
    path: PathBuf,
    file: Box<dyn StoredFile>,
}

impl TempFile {
    /// A new one, for a file that shall appear as `name`.
    fn create(folder: &OutputFolder, name: &str) -> Result<TempFile, Error> {
        let mut tries = 0;
        loop {
            let path = folder.path(&format!("{TMP}/{}.{}", name.replace('/', "-"), random_hex()?));
            match folder.inner.storage.create(&path, folder.inner.mode & 0o666) {
                Ok(file) => return Ok(TempFile { folder: folder.clone(), path, file }),
                // A sweep came between; more than one, hardly ever.
                Err(e) if e.kind() == io::ErrorKind::WouldBlock && tries < TRIES => tries += 1,
                Err(e) => return Err(failed("create", &path, folder.explain(e, 0))),
            }
        }
    }

    /// Another temp file with the same bytes, for this one could not be synced.
    fn copy(&self, name: &str, expected: &Published) -> Result<TempFile, Error> {
        let mut copy = TempFile::create(&self.folder, name)?;
        let source = Stored::open(&*self.folder.inner.storage, &self.path);
        let copied = source.and_then(|source| {
            let mut both = Tee { from: source.reader(), to: &mut *copy.file };
            hash(&mut both)
        });
        match copied {
            Ok(copied) if copied == *expected => Ok(copy),
            Ok(_) => Err(failed("read back", &self.path, io::Error::other("other bytes than were written"))),
            Err(e) => Err(failed("copy", &self.path, self.folder.explain(e, expected.bytes))),
        }
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        // Nothing can be done where this fails, and nothing need be: the next sweep removes it.
        let _ = self.folder.inner.storage.unlink(&self.path);
    }
}

/// Writes what is read.
struct Tee<'a, R> {
    from: R,
    to: &'a mut dyn StoredFile,
}

impl<R: Read> Read for Tee<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(buffer)?;
        self.to.write_all(&buffer[..read])?;
        Ok(read)
    }
}

/// A file being written, which nobody can see under its name yet. Hashes what it is given.
///
/// Dropping it removes the temp file.
#[derive(Debug)]
pub struct Unpublished {
    to: OutputFolder,
    name: String,
    temp: Option<TempFile>,
    hasher: Sha256,
    tail: Tail,
    bytes: u64,
}

impl Write for Unpublished {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let temp = self.temp.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        let written = temp.file.write(buffer).map_err(|e| self.to.explain(e, buffer.len() as u64))?;
        self.hasher.update(&buffer[..written]);
        self.tail.push(&buffer[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Unpublished {
    /// The name under which it shall appear.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Takes the file out of a writer that gives it back to nobody; what is left there takes no bytes.
    pub(super) fn take(&mut self) -> Unpublished {
        let (to, name, tail) = (self.to.clone(), self.name.clone(), Tail::default());
        std::mem::replace(self, Unpublished { to, name, temp: None, hasher: Sha256::new(), tail, bytes: 0 })
    }

    /// The end of what was written so far.
    pub(super) fn tail(&self) -> &Tail {
        &self.tail
    }

    /// Hash and length of what was written so far.
    pub fn so_far(&self) -> Published {
        Published { sha256: hex::encode(self.hasher.clone().finalize()), bytes: self.bytes }
    }

    /// An error of writing to this file, as the run's error.
    pub fn write_failed(&self, source: io::Error) -> Error {
        failed("write", &self.to.path(&self.name), source)
    }

    /// Makes the file durable and lets it appear under its name: fsync, close, rename without
    /// replacing, fsync of the folder. Where the name is taken by the same bytes (an own earlier attempt, or a
    /// twin), that is success.
    ///
    /// Where the fsync fails with EIO, its bytes are copied once into another file, if they can be
    /// read back as they were.
    ///
    /// # Errors
    /// [`Error::OutputIo`], also where the output folder is no longer where it was; the temp file is
    /// removed. [`Error::Verify`] where the name is taken by
    /// other bytes; both files are kept, the new one as `.tmp/bad-*`.
    pub fn publish(self) -> Result<Published, Error> {
        self.try_publish()?.map_err(Taken::into_error)
    }

    /// As [`Unpublished::publish`]; where the name is taken by other bytes, says so before anything
    /// is kept or lost.
    pub(super) fn try_publish(mut self) -> Result<Result<Published, Taken>, Error> {
        let published = self.so_far();
        let path = self.to.path(&self.name);
        let Some(temp) = self.temp.take() else {
            return Err(Error::Bug(format!("{} published twice", self.name)));
        };
        self.to.check_in_place()?;
        let temp = self.synced(temp, &published)?;
        let closed = temp.file.check_close();
        closed.map_err(|e| failed("close", &path, self.to.explain(e, published.bytes)))?;
        if let Err(error) = self.to.inner.storage.rename_no_replace(&temp.path, &path) {
            // Also for errors other than EEXIST: a network file system may have lost the reply.
            match self.existing() {
                Some(existing) if existing == published => {}
                Some(existing) if error.kind() == io::ErrorKind::AlreadyExists => {
                    if !self.is_leftover()? {
                        return Ok(Err(Taken { file: self, temp, existing, new: published }));
                    }
                    let replaced = self.to.inner.storage.rename(&temp.path, &path);
                    replaced.map_err(|e| failed("rename to", &path, self.to.explain(e, 0)))?;
                }
                Some(_) | None => return Err(failed("rename to", &path, self.to.explain(error, 0))),
            }
        }
        self.to.sync_folder_of(&path)?;
        Ok(Ok(published))
    }

    /// Whether what stands under the name is part of nothing that was committed.
    fn is_leftover(&self) -> Result<bool, Error> {
        let Some(commit) = &self.to.commit else { return Ok(false) };
        match self.to.inner.storage.open(commit) {
            Ok(_) => Ok(false),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(true),
            Err(e) => Err(failed("open", commit, e)),
        }
    }

    /// As [`Unpublished::publish`], in the place of the file that has the name: for what tells of this
    /// machine (where sources lie), never for what a data set is made of.
    ///
    /// # Errors
    /// [`Error::OutputIo`]; the file that was there is there then, or this one.
    pub(crate) fn replace(mut self) -> Result<(), Error> {
        let (published, path) = (self.so_far(), self.to.path(&self.name));
        let Some(temp) = self.temp.take() else {
            return Err(Error::Bug(format!("{} published twice", self.name)));
        };
        let temp = self.synced(temp, &published)?;
        let renamed = self.to.inner.storage.rename(&temp.path, &path);
        renamed.map_err(|e| failed("rename to", &path, self.to.explain(e, 0)))?;
        self.to.sync_folder_of(&path)
    }

    /// The temp file, or a copy of it, on the disk.
    fn synced(&self, mut temp: TempFile, published: &Published) -> Result<TempFile, Error> {
        let sync_failed = |e| failed("sync", &self.to.path(&self.name), self.to.explain(e, published.bytes));
        match temp.file.sync() {
            Ok(()) => Ok(temp),
            Err(e) if e.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) => {
                tracing::warn!("{} could not be synced ({e}); it is written once more", self.name);
                let mut copy = temp.copy(&self.name, published)?;
                copy.file.sync().map_err(sync_failed)?;
                Ok(copy)
            }
            Err(e) => Err(sync_failed(e)),
        }
    }

    /// Hash and length of the file that is there already; `None` where it cannot be read.
    fn existing(&self) -> Option<Published> {
        let stored = Stored::open(&*self.to.inner.storage, &self.to.path(&self.name)).ok()?;
        hash(&mut stored.reader()).ok()
    }
}

/// A file whose name is taken by other bytes. Dropping it gives way to them.
pub(super) struct Taken {
    file: Unpublished,
    temp: TempFile,
    /// What has the name.
    pub(super) existing: Published,
    new: Published,
}

impl Taken {
    /// Nobody may give way: both files are kept.
    pub(super) fn into_error(self) -> Error {
        let Taken { file: Unpublished { to, name, .. }, temp, existing, new } = self;
        let temp_name = temp.path.file_name().unwrap_or_default().to_string_lossy();
        let aside = format!("{TMP}/{EVIDENCE}{temp_name}");
        let kept = match to.inner.storage.rename(&temp.path, &to.path(&aside)) {
            Ok(()) => format!("the new bytes are kept as {aside}"),
            Err(_) => "the new bytes could not be kept".to_owned(),
        };
        Error::Verify(format!(
            "{} holds {} bytes with sha256 {}, but the same plan, recipe and key now give {} bytes with sha256 {}; {kept}",
            to.path(&name).display(),
            existing.bytes,
            existing.sha256,
            new.bytes,
            new.sha256,
        ))
    }
}

/// SHA-256 and length of everything that `from` yields.
///
/// # Errors
/// What reading it says.
pub fn hash(from: &mut impl Read) -> io::Result<Published> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 18];
    let mut bytes = 0;
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(Published { sha256: hex::encode(hasher.finalize()), bytes }),
            Ok(n) => {
                hasher.update(&buffer[..n]);
                bytes += n as u64;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

/// `mkdir -p`, each new entry synced in its parent; and that of the first folder that is there, which
/// a killed run may have made, unless it is a mount.
fn make_folders(storage: &dyn Storage, root: &Path, mode: u32) -> Result<(), Error> {
    let parent = parent_of(root);
    if let Ok(device) = storage.device(root) {
        if !storage.device(parent).is_ok_and(|above| above == device) {
            return Ok(());
        }
        return match storage.sync_folder(parent) {
            // A folder that we may not even open is not one that we made an entry in.
            Err(e) if !matches!(e.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem) => {
                Err(failed("sync the folder of", root, e))
            }
            _ => Ok(()),
        };
    }
    make_folders(storage, parent, 0o777)?;
    match storage.make_folder(root, mode) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(failed("make", root, e)),
        _ => {}
    }
    storage.sync_folder(parent).map_err(|e| failed("sync the folder of", root, e))
}

/// 16 hex digits that no other temp file has. Never part of any output.
fn random_hex() -> Result<String, Error> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|e| Error::Bug(format!("no random bytes from the system: {e}")))?;
    Ok(hex::encode(bytes))
}

fn failed(doing: &'static str, path: &Path, source: io::Error) -> Error {
    Error::OutputIo { doing, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Tested = Result<(), Box<dyn std::error::Error>>;

    fn leftovers(root: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(root.join(TMP)).expect("there is a .tmp");
        let mut names: Vec<_> =
            entries.map(|e| e.expect("readable").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_published_file_has_the_bytes_and_the_hash_and_leaves_nothing_behind() -> Tested {
        let temp = tempfile::tempdir()?;
        let root = temp.path().join("a/b/out");
        let folder = OutputFolder::create(&root, 0o750)?;
        let published = folder.publish_bytes("data/g000001/part-00000000.parquet", b"abc")?;
        assert_eq!(published.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(published.bytes, 3);
        assert_eq!(std::fs::read(root.join("data/g000001/part-00000000.parquet"))?, b"abc");
        assert!(leftovers(&root).is_empty());
        Ok(())
    }

    #[test]
    fn nothing_is_seen_under_the_name_before_publish_and_dropping_removes_the_temp() -> Tested {
        let temp = tempfile::tempdir()?;
        let folder = OutputFolder::create(temp.path(), 0o750)?;
        let mut file = folder.begin("data/part")?;
        file.write_all(b"half")?;
        assert!(!temp.path().join("data/part").exists());
        assert_eq!(leftovers(temp.path()).len(), 1);
        drop(file);
        assert!(leftovers(temp.path()).is_empty());
        Ok(())
    }

    #[test]
    fn the_same_bytes_again_are_success_and_other_bytes_keep_both_files() -> Tested {
        let temp = tempfile::tempdir()?;
        let folder = OutputFolder::create(temp.path(), 0o750)?;
        let first = folder.publish_bytes("data/part", b"one")?;
        assert_eq!(folder.publish_bytes("data/part", b"one")?, first);
        assert!(leftovers(temp.path()).is_empty());

        let error = folder.publish_bytes("data/part", b"two!").expect_err("other bytes");
        assert!(matches!(error, Error::Verify(_)), "{error}");
        assert_eq!(std::fs::read(temp.path().join("data/part"))?, b"one");
        let kept = leftovers(temp.path());
        assert_eq!(kept.len(), 1);
        assert_eq!(std::fs::read(temp.path().join(TMP).join(&kept[0]))?, b"two!");
        folder.sweep()?;
        assert_eq!(leftovers(temp.path()), kept, "evidence stays");
        Ok(())
    }

    #[test]
    fn sweep_removes_what_a_killed_run_left() -> Tested {
        let temp = tempfile::tempdir()?;
        let folder = OutputFolder::create(temp.path(), 0o750)?;
        std::fs::write(temp.path().join(".tmp/data-part.0123456789abcdef"), b"torn")?;
        folder.sweep()?;
        assert!(leftovers(temp.path()).is_empty());
        Ok(())
    }

    #[test]
    fn a_linked_tmp_is_refused() -> Tested {
        let temp = tempfile::tempdir()?;
        let elsewhere = tempfile::tempdir()?;
        std::os::unix::fs::symlink(elsewhere.path(), temp.path().join(TMP))?;
        let error = OutputFolder::create(temp.path(), 0o750).expect_err("a link");
        assert!(matches!(error, Error::OutputIo { .. }), "{error}");
        Ok(())
    }

    #[test]
    fn names_that_lead_out_are_a_bug() -> Tested {
        let temp = tempfile::tempdir()?;
        let folder = OutputFolder::create(temp.path(), 0o750)?;
        for name in ["../x", "/x", "a//b", "a/../b", "", "A", "a/."] {
            assert!(matches!(folder.begin(name), Err(Error::Bug(_))), "{name}");
        }
        Ok(())
    }

    #[test]
    fn private_folders_have_private_files() -> Tested {
        use std::os::unix::fs::PermissionsExt;
        let temp = tempfile::tempdir()?;
        let root = temp.path().join("out.private");
        OutputFolder::create(&root, 0o700)?.publish_bytes("key", b"k")?;
        assert_eq!(std::fs::metadata(&root)?.permissions().mode() & 0o777, 0o700);
        assert_eq!(std::fs::metadata(root.join("key"))?.permissions().mode() & 0o777, 0o600);
        Ok(())
    }

    #[test]
    fn set_aside_moves_a_bad_file_out_of_the_way_once() -> Tested {
        let temp = tempfile::tempdir()?;
        let folder = OutputFolder::create(temp.path(), 0o750)?;
        folder.publish_bytes("data/part", b"torn")?;
        assert!(folder.set_aside("data/part")?);
        assert!(!folder.set_aside("data/part")?);
        assert!(!temp.path().join("data/part").exists());
        assert_eq!(leftovers(temp.path()).len(), 1);
        Ok(())
    }

    #[test]
    fn a_full_disk_is_named_with_what_is_left_and_what_is_needed() -> Tested {
        let temp = tempfile::tempdir()?;
        let folder = OutputFolder::create(temp.path(), 0o750)?;
        let error = folder.explain(rustix::io::Errno::NOSPC.into(), 4711);
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        let (words, room) = (error.to_string(), Disk::default().room(temp.path())?);
        assert!(words.contains(&format!("; {} has ", room.mount.display())), "{words}");
        assert!(words.ends_with(" bytes free, at least 4711 more are needed"), "{words}");
        assert!(temp.path().canonicalize()?.starts_with(&room.mount));
        assert_eq!(folder.explain(rustix::io::Errno::IO.into(), 1).raw_os_error(), Some(5));
        Ok(())
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_output_io() -> Tested {
        let temp = tempfile::tempdir()?;
        std::fs::write(temp.path().join("file"), b"")?;
        let error = OutputFolder::create(&temp.path().join("file/out"), 0o750).expect_err("a file in the way");
        assert_eq!(error.exit_code(), crate::error::ExitCode::OutputIo);
        Ok(())
    }
}
