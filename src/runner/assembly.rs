//! The sink's thread: puts outcomes back into ordinal order, cuts them into row groups, has these
//! encoded by the workers, and appends them to their shard in order.

use std::collections::{BTreeMap, VecDeque};

use crossbeam_channel::{Receiver, Select, Sender, never, select_biased};

use super::Shared;
use super::stop::{Bomb, Stop, Stopped};
use super::walker::Note;
use super::workers::{Encoded, Job};
use crate::error::Error;
use crate::reason::Class;
use crate::sink::ledger::LedgerRow;
use crate::sink::rows::{ROWS_PER_GROUP, Row};
use crate::sink::shard::{FinishedShard, ShardFile, ShardId};
use crate::slice::{Outcome, Reject, SliceRef};

pub(super) struct Assembly<'a> {
    shared: &'a Shared<'a>,
    notes: Receiver<Note>,
    outcomes: &'a Receiver<Outcome>,
    jobs: Sender<Job>,
    encoded: &'a Receiver<Encoded>,
    finished: Sender<FinishedShard>,
    /// Outcomes that came before their turn; bounded by the permits.
    early: BTreeMap<u64, Outcome>,
    /// Shards not finished yet, in order. All but the last have taken all their outcomes.
    open: VecDeque<OpenShard>,
    /// Row groups that came back before their turn.
    groups: BTreeMap<u64, Encoded>,
    jobs_given: u64,
    groups_appended: u64,
    /// No more notes will come.
    walked: bool,
}

struct OpenShard {
    id: ShardId,
    /// One per outcome taken.
    ledger: Vec<LedgerRow>,
    /// The row group being filled.
    rows: Vec<Row>,
    /// Row groups given to the workers and not appended yet.
    pending_groups: u64,
    file: Option<ShardFile>,
}

impl OpenShard {
    fn taken_all(&self) -> bool {
        self.ledger.len() as u64 == self.id.slices
    }

    /// The row group being filled is to be encoded as it is.
    fn group_is_due(&self) -> bool {
        self.rows.len() == ROWS_PER_GROUP || self.taken_all() && !self.rows.is_empty()
    }

    fn is_done(&self) -> bool {
        self.taken_all() && self.rows.is_empty() && self.pending_groups == 0
    }
}

/// The ends of the channels that the sink holds.
pub(super) struct Ends<'a> {
    pub(super) notes: Receiver<Note>,
    pub(super) outcomes: &'a Receiver<Outcome>,
    pub(super) jobs: Sender<Job>,
    pub(super) encoded: &'a Receiver<Encoded>,
    pub(super) finished: Sender<FinishedShard>,
}

impl<'a> Assembly<'a> {
    pub(super) fn new(shared: &'a Shared<'a>, ends: Ends<'a>) -> Assembly<'a> {
        let Ends { notes, outcomes, jobs, encoded, finished } = ends;
        Assembly {
            shared,
            notes,
            outcomes,
            jobs,
            encoded,
            finished,
            early: BTreeMap::new(),
            open: VecDeque::new(),
            groups: BTreeMap::new(),
            jobs_given: 0,
            groups_appended: 0,
            walked: false,
        }
    }

    /// Works until every shard is on its way to the committer; then ends the run for the workers.
    pub(super) fn run(mut self) {
        let _bomb = Bomb { stop: &self.shared.stop, thread: "sink" };
        while !(self.walked && self.open.is_empty()) {
            if self.turn().is_err() {
                break;
            }
        }
        self.shared.stop.pull();
    }

    /// Waits for one message, and does all that it makes possible.
    fn turn(&mut self) -> Result<(), Stopped> {
        self.receive()?;
        self.append_groups()?;
        self.take_outcomes()?;
        self.finish_shards()
    }

    fn receive(&mut self) -> Result<(), Stopped> {
        let (no_outcome, no_note) = (never(), never());
        // While a due row group finds no free place, nothing more is taken: that holds the line.
        let outcomes = if self.can_take() { self.outcomes } else { &no_outcome };
        let notes = if self.walked { &no_note } else { &self.notes };
        let mut select = Select::new_biased();
        select.recv(self.shared.stop.pulled());
        select.recv(self.encoded);
        select.recv(notes);
        select.recv(outcomes);
        let ready = select.select();
        match ready.index() {
            0 => {
                let _ = ready.recv(self.shared.stop.pulled());
                return Err(Stopped);
            }
            1 => {
                let encoded = ready.recv(self.encoded).map_err(|_| Stopped)?;
                self.groups.insert(encoded.number, encoded);
            }
            2 => match ready.recv(notes) {
                Ok(Note::Shard(id)) => self.open.push_back(OpenShard {
                    ledger: Vec::with_capacity(id.slices as usize),
                    id,
                    rows: Vec::new(),
                    pending_groups: 0,
                    file: None,
                }),
                Ok(Note::Cut) => self.cut(),
                Err(_) => self.walked = true,
            },
            _ => {
                let outcome = ready.recv(outcomes).map_err(|_| Stopped)?;
                let ordinal = match &outcome {
                    Ok(slice) => slice.at.ordinal,
                    Err(reject) => reject.at.ordinal,
                };
                self.early.insert(ordinal.0, outcome);
            }
        }
        Ok(())
    }

    /// Forgets the shard that will never be complete.
    fn cut(&mut self) {
        self.open.pop_back();
        self.walked = true;
    }

    /// Row groups on their way through a worker or waiting for their turn.
    fn encodes(&self) -> u64 {
        self.jobs_given - self.groups_appended
    }

    fn can_take(&self) -> bool {
        self.encodes() < self.shared.budget.encodes as u64 || !self.open.iter().any(OpenShard::group_is_due)
    }

    /// Takes every outcome whose turn it is; gives each full row group to the workers.
    fn take_outcomes(&mut self) -> Result<(), Stopped> {
        for at in 0..self.open.len() {
            loop {
                if self.open[at].group_is_due() {
                    if self.encodes() == self.shared.budget.encodes as u64 {
                        return Ok(());
                    }
                    self.give_job(at)?;
                }
                let shard = &mut self.open[at];
                if shard.taken_all() {
                    break;
                }
                let Some(outcome) = self.early.remove(&(shard.id.first_ordinal + shard.ledger.len() as u64)) else {
                    return Ok(());
                };
                self.shared.permits.give_next();
                self.shared.counters.outcome(outcome.is_ok());
                shard.ledger.push(ledger_row(&outcome));
                shard.rows.extend(outcome.ok().map(Row::from));
            }
        }
        Ok(())
    }

    fn give_job(&mut self, at: usize) -> Result<(), Stopped> {
        let shard = &mut self.open[at];
        let job = Job { number: self.jobs_given, rows: std::mem::take(&mut shard.rows) };
        shard.pending_groups += 1;
        self.jobs_given += 1;
        // Never waits: the channel has room for every job that may be out.
        self.jobs.send(job).map_err(|_| Stopped)
    }

    /// Appends every row group whose turn it is.
    fn append_groups(&mut self) -> Result<(), Stopped> {
        while let Some(group) = self.groups.remove(&self.groups_appended) {
            self.groups_appended += 1;
            let Some(shard) = self.open.iter_mut().find(|shard| shard.pending_groups > 0) else {
                continue; // of a shard that was cut
            };
            shard.pending_groups -= 1;
            let file = file_of(self.shared, shard)?;
            let appended = file.append(self.shared.line.folder, group.group);
            appended.map_err(|error| fail(&self.shared.stop, error))?;
        }
        Ok(())
    }

    /// Writes the footers of the shards that are done and hands them to the committer; waits while
    /// it has enough to do.
    fn finish_shards(&mut self) -> Result<(), Stopped> {
        while self.open.front().is_some_and(OpenShard::is_done) {
            let Some(mut shard) = self.open.pop_front() else { break };
            file_of(self.shared, &mut shard)?;
            let Some(file) = shard.file else { break };
            let finished = file.finish(self.shared.line.folder, shard.ledger);
            let finished = finished.map_err(|error| fail(&self.shared.stop, error))?;
            select_biased! {
                recv(self.shared.stop.pulled()) -> _ => return Err(Stopped),
                send(self.finished, finished) -> sent => sent.map_err(|_| Stopped)?,
            }
        }
        Ok(())
    }
}

/// The shard's file, begun when first needed.
fn file_of<'s>(shared: &Shared<'_>, shard: &'s mut OpenShard) -> Result<&'s mut ShardFile, Stopped> {
    let file = match shard.file.take() {
        Some(file) => file,
        None => ShardFile::begin(shared.line.folder, &shard.id, &shared.encoder)
            .map_err(|error| fail(&shared.stop, error))?,
    };
    Ok(shard.file.insert(file))
}

fn fail(stop: &Stop, error: Error) -> Stopped {
    stop.fail(error);
    Stopped
}

fn ledger_row(outcome: &Outcome) -> LedgerRow {
    let row_of = |at: &SliceRef| LedgerRow {
        content_id: at.input.opened.content_id().map(str::to_owned),
        ..LedgerRow::written(at.ordinal.0, at.input.source_id, at.frame)
    };
    match outcome {
        Ok(slice) => row_of(&slice.at),
        Err(Reject { at, stage, fault }) => LedgerRow {
            class: match fault.reason.class() {
                Class::Written => Class::Rejected, // no reason has this class
                class => class,
            },
            reason: Some(fault.reason),
            stage: Some((*stage).into()),
            detail: Some(fault.detail.clone()),
            // Another frame of the input may or may not have been read by now.
            content_id: row_of(at).content_id.filter(|_| !fault.reason.depends_on_environment()),
            ..row_of(at)
        },
    }
}
