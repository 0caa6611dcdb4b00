//! An opened input: bytes at an offset, and whether they are still the same.

use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::reason::{Fault, Reason};
use crate::slice::Bytes;
use crate::source::patience::{PAUSES, persist};

/// Which file it was, how large, and when it was last changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    size: u64,
    written: (i64, i64),
    changed: (i64, i64),
    inode: u64,
}

impl Stamp {
    fn of(metadata: &std::fs::Metadata) -> Stamp {
        Stamp {
            size: metadata.size(),
            written: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            inode: metadata.ino(),
        }
    }

    /// Whether an input opened again holds the same bytes. (What changes its attributes alone, as a
    /// new link to it, may have happened between.)
    fn is_of_the_same_bytes(&self, other: &Stamp) -> bool {
        (self.size, self.written, self.inode) == (other.size, other.written, other.inode)
    }
}

/// An input that is open for reading.
#[derive(Debug)]
pub(crate) enum Input<'a> {
    /// Bytes at hand.
    Memory(&'a [u8]),
    /// A regular file.
    File(OpenFile<'a>),
}

/// A regular file, opened again where its handle has gone stale.
#[derive(Debug)]
pub(crate) struct OpenFile<'a> {
    path: &'a Path,
    file: RefCell<File>,
    stamp: Stamp,
    pauses: [Duration; 2],
}

fn unreadable(doing: &str, error: &io::Error) -> Fault {
    Fault::new(Reason::Unreadable, format!("cannot {doing} the file: {}", error.kind()))
}

fn changed() -> Fault {
    Fault::new(Reason::Unreadable, "the file changed while it was being read")
}

fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?.into())
}

impl<'a> Input<'a> {
    /// Opens an input for reading, and nothing but a regular file; follows no link, waits for no
    /// writer. What may pass is tried again, here and in every read: [`persist`].
    ///
    /// # Errors
    /// Reason `special_file` or `unreadable`.
    pub(crate) fn open(bytes: &'a Bytes) -> Result<Input<'a>, Fault> {
        match bytes {
            Bytes::Memory(bytes) => Ok(Input::Memory(bytes)),
            Bytes::File(path) => OpenFile::open(path, PAUSES).map(Input::File),
        }
    }

    /// Its bytes, where they are at hand.
    pub(crate) fn memory(&self) -> Option<&'a [u8]> {
        match self {
            Input::Memory(bytes) => Some(bytes),
            Input::File(_) => None,
        }
    }

    /// Length in bytes, as it was when the input was opened.
    pub(crate) fn size(&self) -> u64 {
        match self {
            Input::Memory(bytes) => bytes.len() as u64,
            Input::File(file) => file.stamp.size,
        }
    }

    /// Fills `target` with the bytes at `offset`.
    ///
    /// # Errors
    /// Reason `truncated` where the input ended before when it was opened, `unreadable` where reading
    /// fails or the input has become shorter.
    pub(crate) fn read(&self, offset: u64, target: &mut [u8]) -> Result<(), Fault> {
        if offset.saturating_add(target.len() as u64) > self.size() {
            let detail = format!("bytes {offset} + {} of an input of {}", target.len(), self.size());
            return Err(Fault::new(Reason::Truncated, detail));
        }
        match self {
            Input::Memory(bytes) => {
                let from = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..)?.get(..target.len()));
                target.copy_from_slice(from.unwrap_or_default());
                Ok(())
            }
            Input::File(file) => file.read(offset, target),
        }
    }

    /// Makes `buffer` the first `length` bytes of the input, reading only those it does not have yet.
    ///
    /// # Errors
    /// As [`Input::read`].
    pub(crate) fn extend(&self, buffer: &mut Vec<u8>, length: u64) -> Result<(), Fault> {
        let have = buffer.len();
        let length = usize::try_from(length).map_err(|_| Fault::new(Reason::LimitExceeded, "the file's size"))?;
        buffer.resize(length.max(have), 0);
        self.read(have as u64, buffer.get_mut(have..).unwrap_or_default())
    }

    /// Whether the input is as it was when it was opened (length, last write, last change of its
    /// attributes), and holds the bytes that it held at `before`, where that is given.
    ///
    /// # Errors
    /// Reason `unreadable` where it changed.
    pub(crate) fn check_unchanged(&self, before: Option<Stamp>) -> Result<(), Fault> {
        let Input::File(file) = self else { return Ok(()) };
        let now = file.stamp_now().map_err(|error| unreadable("examine", &error))?;
        let is_same = now == file.stamp && before.is_none_or(|before| before.is_of_the_same_bytes(&now));
        if is_same { Ok(()) } else { Err(changed()) }
    }

    /// What it was when it was opened; `None` for bytes in memory.
    pub(crate) fn stamp(&self) -> Option<Stamp> {
        match self {
            Input::Memory(_) => None,
            Input::File(file) => Some(file.stamp),
        }
    }
}

impl<'a> OpenFile<'a> {
    fn open(path: &'a Path, pauses: [Duration; 2]) -> Result<OpenFile<'a>, Fault> {
        let file = persist(&pauses, |_| open(path)).map_err(|error| match Errno::from_io_error(&error) {
            Some(Errno::LOOP | Errno::NXIO) => Fault::new(Reason::SpecialFile, "a link or a socket"),
            _ => unreadable("open", &error),
        })?;
        let metadata = file.metadata().map_err(|error| unreadable("examine", &error))?;
        if !metadata.is_file() {
            return Err(Fault::new(Reason::SpecialFile, "not a regular file"));
        }
        Ok(OpenFile { path, file: file.into(), stamp: Stamp::of(&metadata), pauses })
    }

    fn stamp_now(&self) -> io::Result<Stamp> {
        Ok(Stamp::of(&self.file.borrow().metadata()?))
    }

    fn read(&self, offset: u64, target: &mut [u8]) -> Result<(), Fault> {
        persist(&self.pauses, |before| self.read_once(offset, target, before)).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => changed(), // it was long enough when it was opened
            _ => unreadable("read", &error),
        })
    }

    fn read_once(&self, offset: u64, target: &mut [u8], before: Option<&io::Error>) -> io::Result<()> {
        if before.and_then(Errno::from_io_error) == Some(Errno::STALE) {
            self.file.replace(open(self.path)?);
        }
        self.file.borrow().read_exact_at(target, offset)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;
    use std::time::SystemTime;

    use super::*;

    type Tested = Result<(), Box<dyn std::error::Error>>;

    /// A file of 1000 bytes, and what it is said to be when it was changed so after its first byte was read.
    fn after(change: impl Fn(&Path) -> io::Result<()>) -> Result<Result<(), Fault>, Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("f");
        fs::write(&path, [7; 1000])?;
        let bytes = Bytes::File(path.clone());
        let input = Input::open(&bytes)?;
        input.read(0, &mut [0])?;
        change(&path)?;
        let read = input.read(0, &mut [0; 1000]);
        Ok(read.and(input.check_unchanged(None)))
    }

    /// I04.
    #[test]
    fn a_file_that_shrinks_grows_or_is_replaced_while_it_is_read_is_unreadable() -> Tested {
        let append = |path: &Path| fs::OpenOptions::new().append(true).open(path)?.write_all(b"x");
        let shrink = |path: &Path| fs::OpenOptions::new().write(true).open(path)?.set_len(500);
        let replace = |path: &Path| {
            fs::write(path.with_extension("new"), [8; 1000])?;
            fs::rename(path.with_extension("new"), path)
        };
        let rewrite = |path: &Path| {
            let time = path.metadata()?.modified()?;
            fs::write(path, [8; 1000])?;
            fs::File::options().write(true).open(path)?.set_modified(time)
        };
        for change in [&append as &dyn Fn(&Path) -> _, &shrink, &replace, &rewrite, &|path| fs::remove_file(path)] {
            let fault = after(change)?.expect_err("it changed");
            assert_eq!(
                (fault.reason, &*fault.detail),
                (Reason::Unreadable, "the file changed while it was being read")
            );
        }
        assert_eq!(after(|_| Ok(()))?, Ok(()));
        Ok(())
    }

    #[test]
    fn between_two_frames_the_bytes_must_stay_and_a_new_link_may_come() -> Tested {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("f");
        fs::write(&path, [7; 1000])?;
        let bytes = Bytes::File(path.clone());
        let before = Input::open(&bytes)?.stamp();
        fs::hard_link(&path, folder.path().join("link"))?;
        Input::open(&bytes)?.check_unchanged(before)?;
        fs::File::options().write(true).open(&path)?.set_modified(SystemTime::UNIX_EPOCH)?;
        assert_eq!(Input::open(&bytes)?.check_unchanged(before), Err(changed()));
        Ok(())
    }

    #[test]
    fn a_stale_handle_is_opened_again() -> Tested {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("f");
        fs::write(&path, [7; 10])?;
        let file = OpenFile::open(&path, [Duration::ZERO; 2])?;
        // No local file system says ESTALE: a handle that cannot be read from stands for a stale one.
        file.file.replace(File::options().write(true).open(&path)?);
        let mut read = [0; 10];
        assert!(file.read_once(0, &mut read, None).is_err());
        assert!(file.read_once(0, &mut read, Some(&Errno::IO.into())).is_err());
        file.read_once(0, &mut read, Some(&Errno::STALE.into()))?;
        assert_eq!(read, [7; 10]);
        Ok(())
    }
}
