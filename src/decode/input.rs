//! An opened input: bytes at an offset, and whether they are still the same.

use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::reason::{Fault, Reason};
use crate::slice::Bytes;

/// How large a file was, and when it was last written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    size: u64,
    seconds: i64,
    nanoseconds: i64,
}

/// An input that is open for reading.
#[derive(Debug)]
pub(crate) enum Input<'a> {
    /// Bytes at hand.
    Memory(&'a [u8]),
    /// A regular file.
    File { file: File, stamp: Stamp },
}

fn unreadable(doing: &str, error: &std::io::Error) -> Fault {
    Fault::new(Reason::Unreadable, format!("cannot {doing} the file: {}", error.kind()))
}

impl<'a> Input<'a> {
    /// Opens an input for reading, and nothing but a regular file; follows no link, waits for no
    /// writer.
    ///
    /// # Errors
    /// Reason `special_file` or `unreadable`.
    pub(crate) fn open(bytes: &'a Bytes) -> Result<Input<'a>, Fault> {
        let path = match bytes {
            Bytes::Memory(bytes) => return Ok(Input::Memory(bytes)),
            Bytes::File(path) => path,
        };
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::LOOP | Errno::NXIO) => return Err(Fault::new(Reason::SpecialFile, "a link or a socket")),
            Err(errno) => return Err(unreadable("open", &errno.into())),
        };
        let metadata = file.metadata().map_err(|error| unreadable("examine", &error))?;
        if !metadata.is_file() {
            return Err(Fault::new(Reason::SpecialFile, "not a regular file"));
        }
        Ok(Input::File { stamp: stamp_of(&metadata), file })
    }

    /// Its bytes, where they are at hand.
    pub(crate) fn memory(&self) -> Option<&'a [u8]> {
        match self {
            Input::Memory(bytes) => Some(bytes),
            Input::File { .. } => None,
        }
    }

    /// Length in bytes, as it was when the input was opened.
    pub(crate) fn size(&self) -> u64 {
        match self {
            Input::Memory(bytes) => bytes.len() as u64,
            Input::File { stamp, .. } => stamp.size,
        }
    }

    /// Fills `target` with the bytes at `offset`.
    ///
    /// # Errors
    /// Reason `truncated` where the input ends before, `unreadable` where reading fails.
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
            Input::File { file, .. } => file.read_exact_at(target, offset).map_err(|error| unreadable("read", &error)),
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

    /// Whether the input is as it was when it was opened, and as `before` where that is given.
    ///
    /// # Errors
    /// Reason `unreadable` where it changed.
    pub(crate) fn check_unchanged(&self, before: Option<Stamp>) -> Result<(), Fault> {
        let Input::File { file, stamp } = self else { return Ok(()) };
        let now = stamp_of(&file.metadata().map_err(|error| unreadable("examine", &error))?);
        if now != *stamp || before.is_some_and(|before| before != now) {
            return Err(Fault::new(Reason::Unreadable, "the file changed while it was being read"));
        }
        Ok(())
    }

    /// Size and time of the last write; `None` for bytes in memory.
    pub(crate) fn stamp(&self) -> Option<Stamp> {
        match self {
            Input::Memory(_) => None,
            Input::File { stamp, .. } => Some(*stamp),
        }
    }
}

fn stamp_of(metadata: &std::fs::Metadata) -> Stamp {
    Stamp { size: metadata.size(), seconds: metadata.mtime(), nanoseconds: metadata.mtime_nsec() }
}
