//! Trying again what may go well the next time: a read on a network share, an open while the process
//! has no descriptor left.

use std::io;
use std::thread::sleep;
use std::time::Duration;

use rustix::io::Errno;

/// The pauses before the second and the third try.
pub(crate) const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(1)];
/// Between two tries while there is no descriptor.
const UNTIL_ONE_IS_FREE: Duration = Duration::from_millis(5);
/// So many of them are said once.
const UNTIL_SAID: u32 = 2000;

/// What an error says about another try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// The same would happen.
    GiveUp,
    /// It was only disturbed.
    AtOnce,
    /// It may be over soon.
    AfterAPause,
    /// The process, or the machine, has too many files open; every slice that is done closes one.
    WhenOneIsFree,
}

fn next(error: &io::Error) -> Next {
    match Errno::from_io_error(error) {
        Some(Errno::INTR) => Next::AtOnce,
        Some(Errno::IO | Errno::STALE | Errno::TIMEDOUT | Errno::AGAIN) => Next::AfterAPause,
        Some(Errno::MFILE | Errno::NFILE) => Next::WhenOneIsFree,
        _ => Next::GiveUp,
    }
}

/// Tries until it goes well, or the error will not pass: EINTR at once; EIO, ESTALE, ETIMEDOUT and
/// EAGAIN once after each of `pauses`; EMFILE and ENFILE as long as it takes, since it says nothing
/// about the file.
///
/// `attempt` is told the error before, if there was one.
///
/// # Errors
/// That of the last try.
pub(crate) fn persist<T>(
    pauses: &[Duration],
    mut attempt: impl FnMut(Option<&io::Error>) -> io::Result<T>,
) -> io::Result<T> {
    let (mut pauses, mut waits) = (pauses.iter(), 0_u32);
    let mut before = None;
    loop {
        let error = match attempt(before.as_ref()) {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        match (next(&error), &mut pauses) {
            (Next::GiveUp, _) => return Err(error),
            (Next::AtOnce, _) => {}
            (Next::AfterAPause, pauses) => match pauses.next() {
                Some(pause) => sleep(*pause),
                None => return Err(error),
            },
            (Next::WhenOneIsFree, _) => {
                waits = waits.saturating_add(1);
                if waits == UNTIL_SAID {
                    tracing::warn!("too many open files: waiting until one is closed; raise `ulimit -n`");
                }
                sleep(UNTIL_ONE_IS_FREE);
            }
        }
        before = Some(error);
    }
}

/// Opens a file of the sink's: inputs that are open are closed soon, and so are shards that wait for
/// their sync, so a lack of descriptors is waited out, for a minute at most.
///
/// # Errors
/// That of the last try.
pub(crate) fn opened<T>(mut open: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    for _ in 0..6 * UNTIL_SAID {
        match open() {
            Err(Errno::MFILE | Errno::NFILE) => sleep(UNTIL_ONE_IS_FREE),
            ended => return ended,
        }
    }
    open()
}

/// Whether it says that too many files are open, and nothing about the file.
pub(crate) fn is_out_of_descriptors(error: &io::Error) -> bool {
    next(error) == Next::WhenOneIsFree
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT_ONCE: [Duration; 2] = [Duration::ZERO; 2];

    /// How often something is tried that fails with these errors, one after another, and how it ends.
    fn tries(errors: &[Errno]) -> (usize, Option<Errno>) {
        let mut tried: usize = 0;
        let ended = persist(&AT_ONCE, |before| {
            let said = before.and_then(Errno::from_io_error);
            assert_eq!(said, tried.checked_sub(1).map(|last| errors[last]), "it is told the error before");
            tried += 1;
            errors.get(tried - 1).map_or(Ok(()), |errno| Err((*errno).into()))
        });
        (tried, ended.err().as_ref().and_then(Errno::from_io_error))
    }

    #[test]
    fn what_may_pass_is_tried_three_times_and_what_will_not_once() {
        for errno in [Errno::IO, Errno::STALE, Errno::TIMEDOUT, Errno::AGAIN] {
            assert_eq!(tries(&[errno]), (2, None));
            assert_eq!(tries(&[errno, errno]), (3, None));
            assert_eq!(tries(&[errno, errno, errno]), (3, Some(errno)));
        }
        for errno in [Errno::ACCESS, Errno::NOENT, Errno::LOOP, Errno::ISDIR] {
            assert_eq!(tries(&[errno]), (1, Some(errno)));
            assert_eq!(tries(&[Errno::IO, errno]), (2, Some(errno)));
        }
    }

    #[test]
    fn a_signal_or_a_lack_of_descriptors_uses_up_no_try() {
        assert_eq!(tries(&[Errno::INTR; 9]), (10, None));
        assert_eq!(tries(&[Errno::MFILE, Errno::NFILE, Errno::MFILE, Errno::NFILE]), (5, None));
        assert_eq!(tries(&[Errno::MFILE, Errno::IO, Errno::INTR, Errno::IO, Errno::NFILE, Errno::IO]).0, 6);
    }
}
