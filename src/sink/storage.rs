//! The storage seam: everything that the sink side asks of a file system, one system call or a few
//! for each operation, so that tests can put a file system below it that fails, tears and forgets.
//!
//! [`super::disk::Disk`] is the real one.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};

/// A file system below which OUT and OUT.private lie.
///
/// What lies below a folder given to [`Storage::open_root`] is reached from that folder's handle, and
/// written there through no link; all else by path.
pub trait Storage: fmt::Debug + Send + Sync {
    /// Opens the folder `root`, where it is now.
    ///
    /// # Errors
    /// What the system says, as for every operation here.
    fn open_root(&self, root: &Path) -> io::Result<()>;

    /// Whether the folder `root` is still the one that was opened, and no other has its place.
    ///
    /// # Errors
    /// `NotFound` where nothing has its place.
    fn is_in_place(&self, root: &Path) -> io::Result<bool>;

    /// The device that holds a folder.
    ///
    /// # Errors
    /// `NotADirectory` for what is no folder, and for a link below a root.
    fn device(&self, folder: &Path) -> io::Result<u64>;

    /// Makes one folder.
    ///
    /// # Errors
    /// `AlreadyExists`, whatever has the name.
    fn make_folder(&self, folder: &Path, mode: u32) -> io::Result<()>;

    /// Makes the entries of a folder durable. File systems that cannot do it keep their own order.
    ///
    /// # Errors
    /// What the system says.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;

    /// The names in a folder, in no order.
    ///
    /// # Errors
    /// What the system says.
    fn list(&self, folder: &Path) -> io::Result<Vec<OsString>>;

    /// Makes a new file, for writing only. Its writer holds it until it is dropped, or the process
    /// ends: [`Storage::remove_unheld`] leaves it alone. (Where the file system knows no locks, nobody
    /// holds anything.)
    ///
    /// # Errors
    /// `AlreadyExists`, whatever has the name, links included. `WouldBlock` where a sweep took the file
    /// for a leftover before its writer held it: another name is to be tried.
    fn create(&self, file: &Path, mode: u32) -> io::Result<Box<dyn StoredFile>>;

    /// Opens a file, for reading only.
    ///
    /// # Errors
    /// What the system says.
    fn open(&self, file: &Path) -> io::Result<Box<dyn StoredFile>>;

    /// Renames a file of the same file system, over what has the name.
    ///
    /// # Errors
    /// What the system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Renames a file to a name that is free. Where that takes a link, `from` may stay beside it.
    ///
    /// # Errors
    /// `AlreadyExists` where the name is taken.
    fn rename_no_replace(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// What the system says.
    fn unlink(&self, file: &Path) -> io::Result<()>;

    /// Removes what a writer that is no more left under this name: a file that nobody holds, or what is
    /// neither file nor folder (a link is removed, not followed). False where it is held, is a folder,
    /// or may not be asked about: it is there still.
    ///
    /// # Errors
    /// `Unsupported` where the file system knows no locks, so that a leftover and a file that is being
    /// written look the same. `NotFound`, and what else the system says.
    fn remove_unheld(&self, file: &Path) -> io::Result<bool>;

    /// Makes the file `file` where it is missing, and locks it until what is given back is dropped.
    ///
    /// # Errors
    /// `WouldBlock` where somebody else has the lock, unless both have it together; `Unsupported` where
    /// the file system knows no locks.
    fn lock(&self, file: &Path, mode: u32, share: Share) -> io::Result<Box<dyn Lock>>;

    /// Where a folder is mounted, and the bytes that are free there.
    ///
    /// # Errors
    /// What the system says.
    fn room(&self, folder: &Path) -> io::Result<Room>;
}

/// Who else may have a lock at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// Nobody.
    Alone,
    /// Whoever has it in this way.
    Together,
}

/// A lock of [`Storage::lock`]. Dropping it lets go of it; so does the end of the process.
pub trait Lock: fmt::Debug + Send + Sync {}

/// A file of a [`Storage`], open for reading or for writing. Dropping it closes it.
pub trait StoredFile: fmt::Debug + Send + Sync {
    /// Appends `bytes`, or the beginning of them; says how many.
    ///
    /// # Errors
    /// What the system says.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Makes what was written durable. After an error nothing that was written can be relied on, and
    /// another call may succeed without having written anything.
    ///
    /// # Errors
    /// What the system says.
    fn sync(&mut self) -> io::Result<()>;

    /// Says what closing a file tells and nothing else does: on network file systems, and where there
    /// are quotas, that what was written did not arrive. The file stays open, and so does the lock on it.
    ///
    /// # Errors
    /// What the system says.
    fn check_close(&self) -> io::Result<()>;

    /// Reads from byte `offset` on; 0 at the end of the file.
    ///
    /// # Errors
    /// What the system says.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Its length in bytes.
    ///
    /// # Errors
    /// What the system says.
    fn length(&self) -> io::Result<u64>;
}

/// What is left of a file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Room {
    /// Where it is mounted.
    pub mount: PathBuf,
    /// Bytes that an ordinary user may still write.
    pub free_bytes: u64,
    /// Files that may still be made; the largest number where that is not counted.
    pub free_files: u64,
}

impl Write for dyn StoredFile + '_ {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        StoredFile::write(self, bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A file to be read, as the Parquet reader wants it. Clones share it.
#[derive(Clone, Debug)]
pub struct Stored {
    path: Arc<Path>,
    file: Arc<dyn StoredFile>,
    length: u64,
}

impl Stored {
    /// Opens the file `path` of `storage`.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(storage: &dyn Storage, path: &Path) -> io::Result<Stored> {
        let file: Arc<dyn StoredFile> = storage.open(path)?.into();
        Ok(Stored { path: path.into(), length: file.length()?, file })
    }

    /// Its path, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its bytes, from the first one on.
    pub fn reader(&self) -> StoredReader {
        StoredReader { file: self.file.clone(), at: 0 }
    }

    /// Its bytes, from byte `offset` on.
    pub(crate) fn reader_at(&self, offset: u64) -> StoredReader {
        StoredReader { file: self.file.clone(), at: offset }
    }

    /// All its bytes.
    ///
    /// # Errors
    /// What the system says.
    pub fn bytes(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.reader().read_to_end(&mut bytes).map(|_| bytes)
    }
}

impl Length for Stored {
    fn len(&self) -> u64 {
        self.length
    }
}

impl ChunkReader for Stored {
    type T = BufReader<StoredReader>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Ok(BufReader::new(StoredReader { file: self.file.clone(), at: start }))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        if self.length.checked_sub(start).is_none_or(|left| left < length as u64) {
            return Err(ParquetError::EOF(format!("{length} bytes from {start} of a file of {}", self.length)));
        }
        let mut bytes = vec![0; length];
        StoredReader { file: self.file.clone(), at: start }.read_exact(&mut bytes)?;
        Ok(bytes.into())
    }
}

/// Reads a [`Stored`] file from somewhere to its end.
#[derive(Clone, Debug)]
pub struct StoredReader {
    file: Arc<dyn StoredFile>,
    at: u64,
}

impl Read for StoredReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}
