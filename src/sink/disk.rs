//! The real file system behind [`Storage`]: system calls relative to open folders.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write};
use std::num::NonZeroU64;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::{self, Advice, AtFlags, FileType, FlockOperation, Mode, OFlags, RenameFlags};
use rustix::io::{Errno, retry_on_intr};

use super::storage::{Lock, Room, Share, Storage, StoredFile};
use crate::source::patience::opened;

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// The file system of the machine. A folder swapped for a link while the run goes leads nowhere:
/// folders below a root are opened once, each from the one above it.
#[derive(Debug, Default)]
pub struct Disk {
    /// Roots, and the folders below them that were needed so far, by path.
    opened: Mutex<BTreeMap<PathBuf, Arc<OwnedFd>>>,
}

impl Disk {
    fn opened(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Arc<OwnedFd>>> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether `path` lies below a root.
    fn is_below(&self, path: &Path) -> bool {
        let opened = self.opened();
        path.ancestors().skip(1).any(|above| opened.contains_key(above))
    }

    /// The handle of a folder.
    fn folder(&self, path: &Path) -> io::Result<Arc<OwnedFd>> {
        if let Some(open) = self.opened().get(path) {
            return Ok(open.clone());
        }
        if !self.is_below(path) {
            return Ok(Arc::new(opened(|| fs::open(path, FOLDER, Mode::empty()))?));
        }
        let (parent, name) = self.parent(path)?;
        let open = opened(|| fs::openat(&*parent, name, FOLDER | OFlags::NOFOLLOW, Mode::empty()))?;
        let open = Arc::new(open);
        self.opened().insert(path.to_owned(), open.clone());
        Ok(open)
    }

    /// The handle of the folder that holds `path`, and the name there.
    fn parent<'p>(&self, path: &'p Path) -> io::Result<(Arc<OwnedFd>, &'p OsStr)> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        Ok((self.folder(parent_of(path))?, name))
    }
}

/// The folder that a path lies in; that of the topmost is itself.
pub(crate) fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        None if path.has_root() => path,
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

impl Storage for Disk {
    fn open_root(&self, root: &Path) -> io::Result<()> {
        let open = Arc::new(fs::open(root, FOLDER, Mode::empty())?);
        self.opened().insert(root.to_owned(), open);
        Ok(())
    }

    fn is_in_place(&self, root: &Path) -> io::Result<bool> {
        let (opened, there) = (fs::fstat(&*self.folder(root)?)?, fs::stat(root)?);
        Ok((opened.st_dev, opened.st_ino) == (there.st_dev, there.st_ino))
    }

    fn device(&self, folder: &Path) -> io::Result<u64> {
        let stat = if self.is_below(folder) {
            let (parent, name) = self.parent(folder)?;
            fs::statat(&*parent, name, AtFlags::SYMLINK_NOFOLLOW)?
        } else {
            fs::stat(folder)?
        };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => Ok(stat.st_dev),
            _ => Err(Errno::NOTDIR.into()),
        }
    }

    fn make_folder(&self, folder: &Path, mode: u32) -> io::Result<()> {
        let (parent, name) = self.parent(folder)?;
        Ok(fs::mkdirat(&*parent, name, Mode::from_raw_mode(mode))?)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        match fs::fsync(&*self.folder(folder)?) {
            Ok(()) | Err(Errno::INVAL) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        let mut names = Vec::new();
        for entry in fs::Dir::read_from(&*self.folder(folder)?)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push(OsStr::from_bytes(name).to_owned());
            }
        }
        Ok(names)
    }

    fn create(&self, file: &Path, mode: u32) -> io::Result<Box<dyn StoredFile>> {
        let (parent, name) = self.parent(file)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let created = opened(|| fs::openat(&*parent, name, flags, Mode::from_raw_mode(mode)))?;
        match flock(&created, FlockOperation::NonBlockingLockExclusive) {
            Err(error) if error.kind() != io::ErrorKind::Unsupported => return Err(error),
            _ => {}
        }
        // A sweep may have come between: what it holds, or has removed, is nobody's.
        if fs::fstat(&created)?.st_nlink == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(OpenFile { file: created.into(), written: 0, on_its_way: 0 }))
    }

    fn open(&self, file: &Path) -> io::Result<Box<dyn StoredFile>> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let opened = opened(|| fs::open(file, flags, Mode::empty()))?;
        Ok(Box::new(OpenFile { file: opened.into(), written: 0, on_its_way: 0 }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let ((from_folder, from), (to_folder, to)) = (self.parent(from)?, self.parent(to)?);
        Ok(fs::renameat(&*from_folder, from, &*to_folder, to)?)
    }

    fn rename_no_replace(&self, from: &Path, to: &Path) -> io::Result<()> {
        let ((from_folder, from), (to_folder, to)) = (self.parent(from)?, self.parent(to)?);
        Ok(rename_no_replace((&from_folder, from), (&to_folder, to))?)
    }

    fn unlink(&self, file: &Path) -> io::Result<()> {
        let (parent, name) = self.parent(file)?;
        Ok(fs::unlinkat(&*parent, name, AtFlags::empty())?)
    }

    fn remove_unheld(&self, file: &Path) -> io::Result<bool> {
        let (parent, name) = self.parent(file)?;
        let found = fs::statat(&*parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
        match FileType::from_raw_mode(found.st_mode) {
            FileType::Directory => return Ok(false),
            FileType::RegularFile => {}
            _ => return Ok(fs::unlinkat(&*parent, name, AtFlags::empty()).map(|()| true)?),
        }
        // For writing: over NFS an exclusive lock asks for it.
        let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = match fs::openat(&*parent, name, flags, Mode::empty()) {
            Err(Errno::ACCESS | Errno::PERM) => return Ok(false), // another user's
            opened => opened?,
        };
        match flock(&opened, FlockOperation::NonBlockingLockExclusive) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
            Ok(()) => Ok(fs::unlinkat(&*parent, name, AtFlags::empty()).map(|()| true)?),
        }
    }

    fn lock(&self, file: &Path, mode: u32, share: Share) -> io::Result<Box<dyn Lock>> {
        let (parent, name) = self.parent(file)?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = fs::openat(&*parent, name, flags, Mode::from_raw_mode(mode))?;
        let operation = match share {
            Share::Alone => FlockOperation::NonBlockingLockExclusive,
            Share::Together => FlockOperation::NonBlockingLockShared,
        };
        flock(&opened, operation)?;
        Ok(Box::new(LockedFile(opened)))
    }

    fn room(&self, folder: &Path) -> io::Result<Room> {
        let folder = folder.canonicalize()?;
        let device = |path: &Path| fs::stat(path).map(|stat| stat.st_dev);
        let here = device(&folder)?;
        let mount = folder.ancestors().take_while(|above| device(above) == Ok(here)).last().unwrap_or(&folder);
        let left = fs::statvfs(&folder)?;
        let free_bytes = left.f_bavail.saturating_mul(left.f_frsize);
        let free_files = if left.f_files == 0 { u64::MAX } else { left.f_favail };
        Ok(Room { mount: mount.to_owned(), free_bytes, free_files })
    }
}

/// Renames without replacing: `renameat2`, else link (whoever owns `from` unlinks it), else, where
/// there are no hard links, rename under the folder's lock.
fn rename_no_replace((tmp, from): (&OwnedFd, &OsStr), (folder, to): (&OwnedFd, &OsStr)) -> Result<(), Errno> {
    match fs::renameat_with(tmp, from, folder, to, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {}
        result => return result,
    }
    match fs::linkat(tmp, from, folder, to, AtFlags::empty()) {
        Ok(()) => return Ok(()),
        Err(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS | Errno::MLINK) => {}
        Err(errno) => return Err(errno),
    }
    match fs::statat(folder, to, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(_) => Err(Errno::EXIST),
        Err(Errno::NOENT) => fs::renameat(tmp, from, folder, to),
        Err(errno) => Err(errno),
    }
}

/// As `flock`; what says that the file system has no locks is `Unsupported`.
fn flock(file: &OwnedFd, operation: FlockOperation) -> io::Result<()> {
    match retry_on_intr(|| fs::flock(file, operation)) {
        Err(Errno::NOLCK | Errno::OPNOTSUPP | Errno::NOSYS) => Err(io::ErrorKind::Unsupported.into()),
        flocked => Ok(flocked?),
    }
}

/// The file that a lock is on.
#[derive(Debug)]
struct LockedFile(OwnedFd);

impl Lock for LockedFile {}

impl Drop for LockedFile {
    fn drop(&mut self) {
        // Closing is not enough: a child process has the descriptor too, from its fork to its exec, and
        // would hold the lock for so long.
        let _ = fs::flock(&self.0, FlockOperation::Unlock);
    }
}

/// Bytes after which the kernel is asked to begin writing them to the disk: so that the sync at the
/// end has little left to wait for.
const WRITE_BACK_BYTES: u64 = 8 << 20;

#[derive(Debug)]
struct OpenFile {
    file: File,
    written: u64,
    /// Of these bytes the write-back was asked for.
    on_its_way: u64,
}

impl OpenFile {
    /// Dirty pages that nobody needs are written back at once and without waiting (and then stay in
    /// the cache, for they are not clean yet).
    fn begin_write_back(&mut self) {
        let begun = self.on_its_way;
        if let Some(length) = NonZeroU64::new(self.written - begun)
            && length.get() >= WRITE_BACK_BYTES
        {
            let _ = fs::fadvise(&self.file, begun, Some(length), Advice::DontNeed); // advice cannot fail the file
            self.on_its_way = self.written;
        }
    }
}

impl StoredFile for OpenFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = Write::write(&mut self.file, bytes)?;
        self.written += written as u64;
        self.begin_write_back();
        Ok(written)
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(fs::fsync(&self.file)?)
    }

    fn check_close(&self) -> io::Result<()> {
        // A file system is told of every descriptor that is closed, and answers each time; closing a
        // second one keeps the lock, which goes with the last.
        match nix::unistd::close(OwnedFd::from(self.file.try_clone()?)) {
            Ok(()) | Err(nix::errno::Errno::EINTR) => Ok(()), // interrupted, it is closed all the same
            Err(errno) => Err(errno.into()),
        }
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(&self.file, buffer, offset)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }
}
