//! Workers: N threads that serve all channels of the line, the end nearest the sink first.
//!
//! Why this cannot deadlock: a worker that finds the next channel full does not wait for somebody
//! else to empty it, it takes from that channel, or from one further down, itself. Work moves only
//! towards the sink, so this recursion is as deep as the line is long; and the sink's own channel
//! is emptied by the sink, which waits for nothing but encodes (served here before all else) and
//! the disk.

use std::time::Instant;

use crossbeam_channel::{Receiver, Select, SelectedOperation, Sender, TrySendError};
use ndarray::Array2;

use super::Shared;
use super::stop::{Bomb, Stop, Stopped};
use super::walker::Due;
use crate::error::Error;
use crate::plan::PlannedSlice;
use crate::reason::Reason;
use crate::sink::rows::{Row, RowGroup};
use crate::slice::{Bytes, Outcome, Slice};
use crate::source::Source;
use crate::stage::Scratch;
use crate::suspects::{Slot, Suspects};

/// A row group to be encoded; numbered through the whole run.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) number: u64,
    pub(super) rows: Vec<Row>,
}

/// An encoded row group.
#[derive(Debug)]
pub(super) struct Encoded {
    pub(super) number: u64,
    pub(super) group: RowGroup,
}

/// The channels that workers serve. `stages[n]` leads into step `n + 1`; the last into the sink.
pub(super) struct Channels {
    pub(super) slices: Receiver<Due>,
    pub(super) stages: Vec<(Sender<Outcome>, Receiver<Outcome>)>,
    pub(super) jobs: Receiver<Job>,
    pub(super) encoded: Sender<Encoded>,
}

pub(super) struct Worker<'a> {
    shared: &'a Shared<'a>,
    channels: &'a Channels,
    scratch: Scratch,
    slot: Slot<'a>,
}

impl<'a> Worker<'a> {
    /// The worker of one thread, counted from 0.
    pub(super) fn new(shared: &'a Shared<'a>, channels: &'a Channels, thread: usize) -> Worker<'a> {
        let slot = Suspects::slot(shared.line.suspects, thread);
        Worker { shared, channels, scratch: Scratch::default(), slot }
    }

    /// Works until the run ends.
    pub(super) fn run(mut self) {
        let _bomb = Bomb { stop: &self.shared.stop, thread: "worker" };
        let mut slices_open = true;
        while self.serve(&mut slices_open).is_ok() {}
    }

    /// Waits for one piece of work, and does it.
    fn serve(&mut self, slices_open: &mut bool) -> Result<(), Stopped> {
        let channels = self.channels;
        let mut select = Select::new_biased();
        select.recv(self.shared.stop.pulled());
        select.recv(&channels.jobs);
        let into_stages = &channels.stages[..channels.stages.len() - 1];
        for (_, into_stage) in into_stages.iter().rev() {
            select.recv(into_stage);
        }
        if *slices_open {
            select.recv(&channels.slices);
        }
        let ready = select.select();
        match ready.index() {
            0 => Err(stopped(ready, &self.shared.stop)),
            1 => self.encode(ready.recv(&channels.jobs).map_err(|_| Stopped)?),
            n if n - 2 < into_stages.len() => {
                let step = into_stages.len() - (n - 2);
                let outcome = ready.recv(&channels.stages[step - 1].1).map_err(|_| Stopped)?;
                self.advance(step, outcome)
            }
            _ => match ready.recv(&channels.slices) {
                Ok(Due { planned, outcome: None }) => self.decode(&planned),
                Ok(Due { outcome: Some(outcome), .. }) => {
                    self.check_sources(&outcome)?;
                    self.deliver(self.channels.stages.len(), outcome)
                }
                Err(_) => {
                    *slices_open = false;
                    Ok(())
                }
            },
        }
    }

    fn decode(&mut self, planned: &PlannedSlice) -> Result<(), Stopped> {
        let at = &planned.at;
        self.slot.begin(at);
        let since = Instant::now();
        let outcome =
            self.shared.line.pipeline.decode(at, &mut self.scratch).and_then(|slice| planned.check_same(slice));
        self.shared.counters.step_done(0, since);
        self.check_sources(&outcome)?;
        if at.frame == 0 {
            self.shared.counters.read(length(&at.input.bytes));
        }
        self.hand_on(1, outcome)
    }

    /// Ends the run where a slice could not be read because its source is gone.
    fn check_sources(&self, outcome: &Outcome) -> Result<(), Stopped> {
        if outcome.as_ref().is_err_and(|reject| reject.fault.reason == Reason::Unreadable) {
            let stand = self.shared.line.sources.iter().try_for_each(Source::check_stands);
            stand.map_err(|error| self.fail(error))?;
        }
        Ok(())
    }

    /// Does step `step` and hands the result on.
    fn advance(&mut self, step: usize, outcome: Outcome) -> Result<(), Stopped> {
        let outcome = match outcome {
            Ok(slice) => {
                self.slot.begin(&slice.at);
                let since = Instant::now();
                let outcome = self.shared.line.pipeline.step(step, Ok(slice), &mut self.scratch);
                self.shared.counters.step_done(step, since);
                outcome
            }
            reject => reject,
        };
        match outcome {
            Ok(slice) if step + 1 == self.channels.stages.len() => self.hand_on(step + 1, Ok(without_workings(slice))),
            outcome => self.hand_on(step + 1, outcome),
        }
    }

    /// Delivers what comes out of a step of this thread.
    fn hand_on(&mut self, step: usize, outcome: Outcome) -> Result<(), Stopped> {
        if step == self.channels.stages.len() || outcome.is_err() {
            self.slot.end();
        }
        self.deliver(step, outcome)
    }

    /// Puts `outcome` into the channel that leads into step `step` (or the sink); while that is
    /// full, works on what is further down.
    fn deliver(&mut self, step: usize, outcome: Outcome) -> Result<(), Stopped> {
        let channels = self.channels;
        let (to, _) = &channels.stages[step - 1];
        let outcome = match to.try_send(outcome) {
            Ok(()) => return Ok(()),
            Err(TrySendError::Full(outcome) | TrySendError::Disconnected(outcome)) => outcome,
        };
        let further_down = channels.stages.len() - step; // channels from `step` on that lead into stages
        loop {
            let mut select = Select::new_biased();
            select.recv(self.shared.stop.pulled());
            select.recv(&channels.jobs);
            select.send(to);
            for (_, into_stage) in channels.stages[step - 1..][..further_down].iter().rev() {
                select.recv(into_stage);
            }
            let ready = select.select();
            match ready.index() {
                0 => return Err(stopped(ready, &self.shared.stop)),
                1 => self.encode(ready.recv(&channels.jobs).map_err(|_| Stopped)?)?,
                2 => return ready.send(to, outcome).map_err(|_| Stopped),
                n => {
                    let step = channels.stages.len() - (n - 2);
                    let taken = ready.recv(&channels.stages[step - 1].1).map_err(|_| Stopped)?;
                    self.advance(step, taken)?;
                }
            }
        }
    }

    fn encode(&mut self, job: Job) -> Result<(), Stopped> {
        let since = Instant::now();
        let rows = job.rows.len();
        let group = self.shared.encoder.encode(job.rows).map_err(|error| self.fail(error))?;
        self.shared.counters.encoded(rows, since);
        // Never waits: there is room for every job that was given out.
        self.channels.encoded.send(Encoded { number: job.number, group }).map_err(|_| Stopped)
    }

    fn fail(&self, error: Error) -> Stopped {
        self.shared.stop.fail(error);
        Stopped
    }
}

/// What a row does not need is freed before the slice waits for its turn at the sink.
fn without_workings(slice: Slice) -> Slice {
    Slice { guide: Array2::default((0, 0)), mask: None, ..slice }
}

/// Completes the selection of the cord.
fn stopped(ready: SelectedOperation<'_>, stop: &Stop) -> Stopped {
    let _ = ready.recv(stop.pulled());
    Stopped
}

/// Length of an input, for the counters only.
fn length(bytes: &Bytes) -> u64 {
    match bytes {
        Bytes::File(path) => std::fs::metadata(path).map_or(0, |file| file.len()),
        Bytes::Memory(bytes) => bytes.len() as u64,
    }
}
