//! The file that says what the threads of a process work on.
//!
//! One for each process, `OUT.private/in-flight/<16 hex digits>`: a slot of 64 bytes for each thread,
//! zeros where it works on nothing. A slot: 1, or 2 for one that was tried since and found innocent; 7
//! zeros; ordinal, 8 bytes, little endian; frame, 4
//! bytes; source_id, 24 bytes; zeros. It need not outlive the machine, only the process: so it is
//! never synced.

use std::fs::{self, File};
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags};
use rustix::io::Errno;

use crate::identity::SourceId;
use crate::slice::SliceRef;

const SLOT_BYTES: usize = 64;
/// Far more than any process has threads.
const MOST_BYTES: u64 = 1 << 20;

/// The file of this process, locked while it lives.
#[derive(Debug)]
pub(super) struct InFlight {
    file: File,
    path: PathBuf,
}

impl InFlight {
    /// All its blocks are written now, so that no later write lacks room.
    pub(super) fn create(folder: &Path, threads: usize) -> io::Result<InFlight> {
        match fs::DirBuilder::new().mode(0o700).create(folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        loop {
            let own = InFlight::create_locked(folder)?;
            own.file.write_all_at(&vec![0; SLOT_BYTES * threads], 0)?;
            // Before it was locked, another process may have taken it for one of a dead process.
            if own.file.metadata()?.nlink() > 0 {
                return Ok(own);
            }
        }
    }

    fn create_locked(folder: &Path) -> io::Result<InFlight> {
        let mut name = [0; 8];
        getrandom::fill(&mut name).map_err(|_| io::Error::other("the system gives no random bytes"))?;
        let path = folder.join(hex::encode(name));
        let flags = OFlags::NOFOLLOW.bits() as i32;
        let file = File::options().write(true).create_new(true).mode(0o600).custom_flags(flags).open(&path)?;
        let own = InFlight { file, path };
        match rustix::fs::flock(&own.file, FlockOperation::LockExclusive) {
            Ok(()) | Err(Errno::NOTSUP | Errno::NOLCK | Errno::NOSYS) => Ok(own),
            Err(errno) => Err(errno.into()),
        }
    }

    /// An error is let pass: it costs nothing but a suspect.
    pub(super) fn mark(&self, thread: usize, at: &SliceRef) {
        let _ = self.file.write_all_at(&Suspect::of(at).to_slot(), offset(thread));
    }

    pub(super) fn clear(&self, thread: usize) {
        let _ = self.file.write_all_at(&[0], offset(thread));
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

fn offset(slot: usize) -> u64 {
    (SLOT_BYTES * slot) as u64
}

/// The first byte of a slot.
const SUSPECT: u8 = 1;
const ACQUITTED: u8 = 2;

/// A slice that a dead process worked on.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Suspect {
    ordinal: u64,
    frame: u32,
    source_id: SourceId,
}

impl Suspect {
    fn of(at: &SliceRef) -> Suspect {
        Suspect { ordinal: at.ordinal.0, frame: at.frame, source_id: at.input.source_id }
    }

    fn to_slot(&self) -> [u8; SLOT_BYTES] {
        let mut slot = [0; SLOT_BYTES];
        slot[0] = SUSPECT;
        slot[8..16].copy_from_slice(&self.ordinal.to_le_bytes());
        slot[16..20].copy_from_slice(&self.frame.to_le_bytes());
        slot[20..44].copy_from_slice(&self.source_id.0);
        slot
    }

    /// The slice, and whether it was acquitted; `None` for a slot of a thread that worked on nothing, and
    /// for what is no slot of ours.
    fn from_slot(slot: &[u8]) -> Option<(Suspect, bool)> {
        let (first, rest) = slot.split_at_checked(8)?;
        let (ordinal, rest) = rest.split_first_chunk()?;
        let (frame, rest) = rest.split_first_chunk()?;
        let (source_id, rest) = rest.split_first_chunk()?;
        let (state, zeros) = first.split_first()?;
        let is_one = matches!(*state, SUSPECT | ACQUITTED) && zeros.iter().chain(rest).all(|byte| *byte == 0);
        let (ordinal, frame) = (u64::from_le_bytes(*ordinal), u32::from_le_bytes(*frame));
        is_one.then_some((Suspect { ordinal, frame, source_id: SourceId(*source_id) }, *state == ACQUITTED))
    }
}

#[derive(Debug)]
struct Named {
    slot: usize,
    suspect: Suspect,
    is_acquitted: bool,
}

/// The file that a dead process left; locked, so that one process alone judges what it names.
#[derive(Debug)]
pub(super) struct Left {
    file: File,
    path: PathBuf,
    suspects: Vec<Named>,
}

impl Left {
    /// Whether a slice that it names was acquitted; `None` for one that it does not name. (A thread that
    /// handed it on may name it beside the one that took it.)
    pub(super) fn is_acquitted(&self, at: &SliceRef) -> Option<bool> {
        let suspect = Suspect::of(at);
        let named = self.suspects.iter().filter(|named| named.suspect == suspect);
        named.map(|named| named.is_acquitted).reduce(|one, other| one && other)
    }

    pub(super) fn acquit(&mut self, at: &SliceRef) {
        let suspect = Suspect::of(at);
        for named in self.suspects.iter_mut().filter(|named| named.suspect == suspect) {
            named.is_acquitted = true;
            let _ = self.file.write_all_at(&[ACQUITTED], offset(named.slot));
        }
    }

    /// Forgets those among `ordinals`; with the last one the file goes, and false is returned.
    pub(super) fn settle(&mut self, ordinals: &Range<u64>) -> bool {
        self.suspects.retain(|named| {
            let is_settled = ordinals.contains(&named.suspect.ordinal);
            if is_settled {
                let _ = self.file.write_all_at(&[0], offset(named.slot));
            }
            !is_settled
        });
        if self.suspects.is_empty() {
            let _ = fs::remove_file(&self.path);
        }
        !self.suspects.is_empty()
    }
}

/// What dead processes left in `folder`. What cannot be read names nobody.
pub(super) fn left(folder: &Path) -> Vec<Left> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort_unstable();
    paths.into_iter().filter_map(read_left).collect()
}

fn read_left(path: PathBuf) -> Option<Left> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32;
    let file = File::options().read(true).write(true).custom_flags(flags).open(&path).ok()?;
    // Where there are no locks, a living process is taken for a dead one: its slices are tried in vain.
    if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) == Err(Errno::WOULDBLOCK) {
        return None;
    }
    let mut bytes = Vec::new();
    (&file).take(MOST_BYTES).read_to_end(&mut bytes).ok()?;
    let slots = bytes.chunks(SLOT_BYTES).enumerate();
    let named = |(slot, bytes)| {
        let (suspect, is_acquitted) = Suspect::from_slot(bytes)?;
        Some(Named { slot, suspect, is_acquitted })
    };
    let suspects = slots.filter_map(named).collect();
    let mut left = Left { file, path, suspects };
    left.settle(&(0..0)).then_some(left)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::slice::{InputRef, Ordinal};

    fn slice(n: u8) -> SliceRef {
        let input = InputRef::memory(SourceId([n; 24]), Arc::from([]));
        SliceRef { ordinal: Ordinal(u64::from(n) << 40), input, frame: u32::from(n) }
    }

    /// As the end of the process leaves it.
    fn dies(own: InFlight) {
        let kept = own.path.with_extension("kept");
        fs::rename(&own.path, &kept).expect("can be renamed");
        drop(own);
    }

    #[test]
    fn what_a_dead_process_worked_on_is_known_until_it_is_settled() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let own = InFlight::create(folder.path(), 3)?;
        own.mark(0, &slice(1));
        own.mark(2, &slice(2));
        own.mark(1, &slice(3));
        own.clear(1);
        assert!(left(folder.path()).is_empty(), "it lives");
        dies(own);

        let mut found = left(folder.path());
        assert_eq!(found.len(), 1);
        assert!(left(folder.path()).is_empty(), "somebody judges it already");
        let acquitted = |left: &Left| [1, 2, 3].map(|n| left.is_acquitted(&slice(n)));
        assert_eq!(acquitted(&found[0]), [Some(false), Some(false), None]);
        assert_eq!(found[0].is_acquitted(&SliceRef { frame: 9, ..slice(1) }), None, "another slice has the ordinal");
        found[0].acquit(&slice(2));
        drop(found);

        let mut found = left(folder.path());
        assert_eq!(acquitted(&found[0]), [Some(false), Some(true), None]);
        assert!(found[0].settle(&(0..(1 << 40) + 1)));
        drop(found);

        let mut found = left(folder.path());
        assert_eq!(acquitted(&found[0]), [None, Some(true), None]);
        assert!(!found[0].settle(&(0..u64::MAX)));
        drop(found);
        assert_eq!(fs::read_dir(folder.path())?.count(), 0);
        Ok(())
    }

    #[test]
    fn an_orderly_end_leaves_nothing_and_what_is_no_file_of_ours_names_nobody() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let own = InFlight::create(folder.path(), 1)?;
        own.mark(0, &slice(1));
        drop(own);
        assert_eq!(fs::read_dir(folder.path())?.count(), 0);
        for (name, bytes) in [("a", &b""[..]), ("b", &[1; 64]), ("c", &[1, 0, 0, 0, 0, 0, 0, 0, 5])] {
            fs::write(folder.path().join(name), bytes)?;
        }
        std::os::unix::fs::symlink("/dev/null", folder.path().join("link"))?;
        assert!(left(folder.path()).is_empty());
        Ok(())
    }

    /// The price of naming each slice, for one that takes some ten milliseconds. It says; it does not judge.
    #[test]
    fn naming_a_slice_costs_little() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let own = InFlight::create(folder.path(), 1)?;
        let (at, times) = (slice(1), 20_000);
        let since = std::time::Instant::now();
        for _ in 0..times {
            own.mark(0, &at);
            own.clear(0);
        }
        tracing::info!("{} ns for a slice", since.elapsed().as_nanos() / times);
        assert_eq!(fs::metadata(&own.path)?.len(), 64);
        Ok(())
    }
}
