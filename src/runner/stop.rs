//! Ending a run: one cord that every thread waits on beside its channels, and the first error.

use std::convert::Infallible;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use crate::error::Error;

/// The run is over: return.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stopped;

/// Once pulled, [`Stop::pulled`] is ready for ever, so whoever selects on it wakes up.
#[derive(Debug)]
pub(super) struct Stop {
    cord: Mutex<Option<Sender<Infallible>>>,
    pulled: Receiver<Infallible>,
    error: Mutex<Option<Error>>,
}

impl Stop {
    pub(super) fn new() -> Stop {
        let (sender, pulled) = bounded(0);
        Stop { cord: Mutex::new(Some(sender)), pulled, error: Mutex::new(None) }
    }

    /// Disconnected once the cord is pulled; never yields anything.
    pub(super) fn pulled(&self) -> &Receiver<Infallible> {
        &self.pulled
    }

    /// Waits so long for the end of the run; whether it has come.
    pub(super) fn is_pulled_within(&self, pause: Duration) -> bool {
        self.pulled.recv_timeout(pause) == Err(RecvTimeoutError::Disconnected)
    }

    /// Ends the run; everybody wakes up.
    pub(super) fn pull(&self) {
        self.cord.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Ends the run with `error`; the first one is kept.
    pub(super) fn fail(&self, error: Error) {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        self.pull();
    }

    /// The first error of the run.
    pub(super) fn into_error(self) -> Option<Error> {
        self.error.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lives as long as a thread of the run works: if that thread panics, the run ends instead of
/// waiting for it.
pub(super) struct Bomb<'a> {
    pub(super) stop: &'a Stop,
    pub(super) thread: &'static str,
}

impl Drop for Bomb<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.stop.fail(Error::Bug(format!("the {} thread panicked", self.thread)));
        }
    }
}
