//! Publishing: a file appears under its name whole and durable, or not at all.
//!
//! Temp file in `.tmp` of the same file system, write, fsync once, rename without replacing, fsync
//! of the folder. A failed fsync is never repeated (the kernel marks the pages clean): the temp is
//! dropped and its content made again from the inputs.
//!
//! Everything is done relative to open folder handles, so that a folder swapped for a link while
//! the run goes leads nowhere.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{self, AtFlags, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use sha2::{Digest, Sha256};

use crate::error::Error;

/// The folder for temporary files, below an output folder's root.
const TMP: &str = ".tmp";
/// Beginning of the names in `.tmp` that are evidence: [`OutputFolder::sweep`] leaves them.
const EVIDENCE: &str = "bad-";
const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// OUT or OUT.private: a folder in which files are only ever published, never changed.
///
/// Cloning gives another handle of the same folder.
#[derive(Clone, Debug)]
pub struct OutputFolder {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    mode: u32,
    root_handle: OwnedFd,
    tmp: OwnedFd,
    /// Folders below the root that this process has opened, each entry of which is durable.
    opened: Mutex<BTreeMap<String, Arc<OwnedFd>>>,
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
        make_folders(root, mode)?;
        let root_handle = fs::open(root, FOLDER, Mode::empty()).map_err(|e| failed("open", root, e))?;
        let path = root.join(TMP);
        match fs::mkdirat(&root_handle, TMP, Mode::from_raw_mode(mode)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(e) => return Err(failed("make", &path, e)),
        }
        let tmp = fs::openat(&root_handle, TMP, FOLDER | OFlags::NOFOLLOW, Mode::empty())
            .map_err(|e| failed("open", &path, e))?;
        let device = |fd: &OwnedFd| fs::fstat(fd).map(|stat| stat.st_dev).map_err(|e| failed("examine", &path, e));
        if device(&root_handle)? != device(&tmp)? {
            return Err(failed("rename out of", &path, Errno::XDEV));
        }
        let root = root.to_owned();
        Ok(OutputFolder { inner: Arc::new(Inner { root, mode, root_handle, tmp, opened: Mutex::default() }) })
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
        let (folder, file_name) = self.parent_of(name)?;
        let temp_name = format!("{}.{}", name.replace('/', "-"), random_hex()?);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file_mode = Mode::from_raw_mode(self.inner.mode & 0o666);
        let temp = fs::openat(&self.inner.tmp, temp_name.as_str(), flags, file_mode)
            .map_err(|e| failed("create", &self.path(&format!("{TMP}/{temp_name}")), e))?;
        Ok(Unpublished {
            to: self.clone(),
            folder,
            name: name.to_owned(),
            file_name: file_name.to_owned(),
            temp: Some(TempFile { folder: self.clone(), name: temp_name, file: File::from(temp) }),
            hasher: Sha256::new(),
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

    /// Deletes what a killed run left in `.tmp`, evidence (`bad-*`) apart. To be called under the
    /// lock of the folder.
    ///
    /// # Errors
    /// [`Error::OutputIo`].
    pub fn sweep(&self) -> Result<(), Error> {
        let path = self.path(TMP);
        let entries = fs::Dir::read_from(&self.inner.tmp).map_err(|e| failed("list", &path, e))?;
        for entry in entries {
            let entry = entry.map_err(|e| failed("list", &path, e))?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." || name.starts_with(EVIDENCE.as_bytes()) {
                continue;
            }
            match fs::unlinkat(&self.inner.tmp, entry.file_name(), AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(e) => return Err(failed("delete a leftover in", &path, e)),
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
        let (folder, file_name) = self.parent_of(name)?;
        let aside = format!("{EVIDENCE}{}.{}", name.replace('/', "-"), random_hex()?);
        match fs::renameat(&*folder, file_name, &self.inner.tmp, aside.as_str()) {
            Ok(()) => sync(&folder, &self.path(name)).map(|()| true),
            Err(Errno::NOENT) => Ok(false),
            Err(e) => Err(failed("set aside", &self.path(name), e)),
        }
    }

    /// The real path of `name`, for messages and readers.
    pub fn path(&self, name: &str) -> PathBuf {
        self.inner.root.join(name)
    }

    /// The open folder that holds `name`, and the last part of `name`.
    fn parent_of<'a>(&self, name: &'a str) -> Result<(Arc<OwnedFd>, &'a str), Error> {
        let fits = |part: &str| {
            !part.is_empty()
                && part != ".."
                && part != "."
                && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b".-_".contains(&b))
        };
        if !name.split('/').all(fits) {
            return Err(Error::Bug(format!("output name {name:?}: expected parts of [a-z0-9._-] between single /")));
        }
        match name.rsplit_once('/') {
            Some((folder, file)) => Ok((self.folder(folder)?, file)),
            None => Ok((self.folder("")?, name)),
        }
    }

    /// The open folder `name` below the root, made where it is missing. The first time in this
    /// process its entry in its parent is synced, whoever made it.
    fn folder(&self, name: &str) -> Result<Arc<OwnedFd>, Error> {
        if let Some(open) = self.inner.opened.lock().unwrap_or_else(PoisonError::into_inner).get(name) {
            return Ok(open.clone());
        }
        let path = self.path(name);
        let open = if name.is_empty() {
            self.inner.root_handle.try_clone().map_err(|e| io_failed("open", &path, e))?
        } else {
            let (parent, part) = name.rsplit_once('/').unwrap_or(("", name));
            let parent = self.folder(parent)?;
            match fs::mkdirat(&*parent, part, Mode::from_raw_mode(self.inner.mode)) {
                Ok(()) | Err(Errno::EXIST) => sync(&parent, &path)?,
                Err(e) => return Err(failed("make", &path, e)),
            }
            fs::openat(&*parent, part, FOLDER | OFlags::NOFOLLOW, Mode::empty())
                .map_err(|e| failed("open", &path, e))?
        };
        let open = Arc::new(open);
        self.inner.opened.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), open.clone());
        Ok(open)
    }
}

/// A file of `.tmp`; removed when dropped, unless it was renamed away.
#[derive(Debug)]
struct TempFile {
    folder: OutputFolder,
    name: String,
    file: File,
}

impl Drop for TempFile {
    fn drop(&mut self) {
        // Nothing can be done where this fails, and nothing need be: the next sweep removes it.
        let _ = fs::unlinkat(&self.folder.inner.tmp, self.name.as_str(), AtFlags::empty());
    }
}

/// A file being written, which nobody can see under its name yet. Hashes what it is given.
///
/// Dropping it removes the temp file.
#[derive(Debug)]
pub struct Unpublished {
    to: OutputFolder,
    folder: Arc<OwnedFd>,
    name: String,
    file_name: String,
    temp: Option<TempFile>,
    hasher: Sha256,
    bytes: u64,
}

impl Write for Unpublished {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let temp = self.temp.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        let written = temp.file.write(buffer)?;
        self.hasher.update(&buffer[..written]);
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

    /// Hash and length of what was written so far.
    pub fn so_far(&self) -> Published {
        Published { sha256: hex::encode(self.hasher.clone().finalize()), bytes: self.bytes }
    }

    /// An error of writing to this file, as the run's error.
    pub fn write_failed(&self, source: io::Error) -> Error {
        io_failed("write", &self.to.path(&self.name), source)
    }

    /// Makes the file durable and lets it appear under its name: fsync, rename without replacing,
    /// fsync of the folder. Where the name is taken by the same bytes (an own earlier attempt, or a
    /// twin), that is success.
    ///
    /// There is no check of `close`: after a successful fsync nothing is left for it to report.
    ///
    /// # Errors
    /// [`Error::OutputIo`]; the temp file is removed. [`Error::Verify`] where the name is taken by
    /// other bytes; both files are kept, the new one as `.tmp/bad-*`.
    pub fn publish(mut self) -> Result<Published, Error> {
        let published = self.so_far();
        let path = self.to.path(&self.name);
        let Some(temp) = self.temp.take() else {
            return Err(Error::Bug(format!("{} published twice", self.name)));
        };
        fs::fsync(&temp.file).map_err(|e| failed("sync", &path, e))?;
        if let Err(errno) = rename_no_replace(&self.to.inner.tmp, &temp.name, &self.folder, &self.file_name) {
            // Also for errors other than EXIST: a network file system may have lost the reply.
            match hash_existing(&self.folder, &self.file_name) {
                Some(existing) if existing == published => {}
                Some(existing) if errno == Errno::EXIST => return Err(self.differs(temp, &existing, &published)),
                Some(_) | None => return Err(failed("rename to", &path, errno)),
            }
        }
        sync(&self.folder, &path)?;
        Ok(published)
    }

    /// Keeps the temp file as evidence and says what differs.
    fn differs(&self, temp: TempFile, existing: &Published, new: &Published) -> Error {
        let tmp = &self.to.inner.tmp;
        let aside = format!("{EVIDENCE}{}", temp.name);
        let kept = match fs::renameat(tmp, temp.name.as_str(), tmp, aside.as_str()) {
            Ok(()) => format!("the new bytes are kept as {TMP}/{aside}"),
            Err(_) => "the new bytes could not be kept".to_owned(),
        };
        Error::Verify(format!(
            "{} holds {} bytes with sha256 {}, but the same plan, recipe and key now give {} bytes with sha256 {}; {kept}",
            self.to.path(&self.name).display(),
            existing.bytes,
            existing.sha256,
            new.bytes,
            new.sha256,
        ))
    }
}

/// Renames without replacing: `renameat2`, else link and unlink, else (no hard links) rename under
/// the folder's lock.
fn rename_no_replace(tmp: &OwnedFd, from: &str, folder: &OwnedFd, to: &str) -> Result<(), Errno> {
    match fs::renameat_with(tmp, from, folder, to, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {}
        result => return result,
    }
    match fs::linkat(tmp, from, folder, to, AtFlags::empty()) {
        Ok(()) => return Ok(()), // the drop of the temp file unlinks the other name
        Err(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS | Errno::MLINK) => {}
        Err(errno) => return Err(errno),
    }
    match fs::statat(folder, to, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(_) => Err(Errno::EXIST),
        Err(Errno::NOENT) => fs::renameat(tmp, from, folder, to),
        Err(errno) => Err(errno),
    }
}

/// Hash and length of a file that is there already; `None` where it cannot be read.
fn hash_existing(folder: &OwnedFd, name: &str) -> Option<Published> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let mut file = File::from(fs::openat(folder, name, flags, Mode::empty()).ok()?);
    hash(&mut file).ok()
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

/// `mkdir -p`, each new entry synced in its parent.
fn make_folders(root: &Path, mode: u32) -> Result<(), Error> {
    if root.is_dir() {
        return Ok(());
    }
    let parent = match root.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    make_folders(parent, 0o777)?;
    match fs::mkdir(root, Mode::from_raw_mode(mode)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(e) => return Err(failed("make", root, e)),
    }
    let parent_handle = fs::open(parent, FOLDER, Mode::empty()).map_err(|e| failed("open", parent, e))?;
    sync(&parent_handle, parent)
}

/// fsync of a folder. File systems that cannot do it say EINVAL and keep their own order.
fn sync(folder: &OwnedFd, path: &Path) -> Result<(), Error> {
    match fs::fsync(folder) {
        Ok(()) | Err(Errno::INVAL) => Ok(()),
        Err(e) => Err(failed("sync the folder of", path, e)),
    }
}

/// 16 hex digits that no other temp file has. Never part of any output.
fn random_hex() -> Result<String, Error> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|e| Error::Bug(format!("no random bytes from the system: {e}")))?;
    Ok(hex::encode(bytes))
}

fn failed(doing: &'static str, path: &Path, errno: Errno) -> Error {
    io_failed(doing, path, errno.into())
}

fn io_failed(doing: &'static str, path: &Path, source: io::Error) -> Error {
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
    fn a_folder_that_cannot_be_written_is_output_io() -> Tested {
        let temp = tempfile::tempdir()?;
        std::fs::write(temp.path().join("file"), b"")?;
        let error = OutputFolder::create(&temp.path().join("file/out"), 0o750).expect_err("a file in the way");
        assert_eq!(error.exit_code(), crate::error::ExitCode::OutputIo);
        Ok(())
    }
}
