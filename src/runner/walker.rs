//! The walker: takes planned slices in order, with their permits, into the line.

use std::collections::BTreeMap;

use crossbeam_channel::{Receiver, Sender, select_biased};

use super::permits;
use super::stop::{Bomb, Stopped};
use super::verdicts::Verdicts;
use super::{Shared, Walk};
use crate::error::Error;
use crate::plan::{PlannedSlice, Segment};
use crate::sink::ledger::Tally;
use crate::sink::shard::{self, ShardId, ShardRecord, Standing};
use crate::slice::Outcome;

/// One planned shard and its slices in ordinal order: enough to make it on any machine.
#[derive(Clone, Debug)]
pub struct ShardPlan {
    /// Generation, from 1.
    pub generation: u32,
    /// Number in its generation, from 0.
    pub shard: u32,
    /// SHA-256 of the plan segment, hex.
    pub plan_sha256: String,
    /// Its slices, ordinals without gaps.
    pub slices: Vec<PlannedSlice>,
}

impl ShardPlan {
    /// The shards of a segment, in order.
    pub fn of(segment: &Segment) -> impl Iterator<Item = ShardPlan> + '_ {
        let mut slices = segment.slices().peekable();
        std::iter::from_fn(move || {
            let shard = slices.peek()?.shard;
            let (generation, plan_sha256) = (segment.generation, segment.sha256.clone());
            let slices = std::iter::from_fn(|| slices.next_if(|slice| slice.shard == shard)).collect();
            Some(ShardPlan { generation, shard, plan_sha256, slices })
        })
    }
}

/// A slice whose turn it is.
#[derive(Debug)]
pub(super) struct Due {
    pub(super) planned: PlannedSlice,
    /// What came of it already: it is not to be opened.
    pub(super) outcome: Option<Outcome>,
}

/// What the walker tells the sink, in order, ahead of the slices it is about.
#[derive(Debug)]
pub(super) enum Note {
    /// The slices of this shard come next.
    Shard(ShardId),
    /// The run was asked to end: no more slices, the last shard stays incomplete.
    Cut,
}

/// What the walker found done already.
#[derive(Debug, Default)]
pub(super) struct Walked {
    /// All planned slices walked past, and the ledger rows of the shards that were there.
    pub(super) tally: Tally,
    pub(super) existing: Vec<ShardRecord>,
}

pub(super) struct Walker<'a> {
    pub(super) shared: &'a Shared<'a>,
    pub(super) slices: Sender<Due>,
    pub(super) notes: Sender<Note>,
}

impl Walker<'_> {
    /// Walks all missing shards; ends early when the run does, or is asked to.
    pub(super) fn run(self, feed: impl FnOnce(&Shared<'_>, &mut Walk<'_>)) -> Walked {
        let _bomb = Bomb { stop: &self.shared.stop, thread: "walker" };
        let (mut walked, mut verdicts) = (Walked::default(), Verdicts::new(self.shared));
        feed(self.shared, &mut |shard| match shard {
            Ok(shard) => {
                self.shared.cancel.requested().is_none() && self.walk(shard, &mut verdicts, &mut walked).is_ok()
            }
            Err(error) => {
                self.shared.stop.fail(error);
                false
            }
        });
        walked
    }

    fn walk(&self, plan: ShardPlan, verdicts: &mut Verdicts<'_>, walked: &mut Walked) -> Result<(), Stopped> {
        let failed = |error| {
            self.shared.stop.fail(error);
            Stopped
        };
        let Some(id) = self.id(&plan).map_err(failed)? else { return Ok(()) };
        walked.tally.found += id.slices;
        match shard::standing(self.shared.line.folder, &id).map_err(failed)? {
            Standing::Whole(record, tally) => {
                walked.tally.found -= id.slices; // counted by `tally` too
                walked.tally += &tally;
                walked.existing.push(record);
                self.shared.counters.shard_exists(id.slices);
                self.shared.settle(id.ordinals());
                Ok(())
            }
            Standing::Missing(decided) => {
                let known = verdicts.of(&plan, decided)?;
                self.send(&self.notes, Note::Shard(id))?;
                self.send_slices(plan.slices, known)
            }
        }
    }

    fn send_slices(&self, slices: Vec<PlannedSlice>, mut known: BTreeMap<u64, Outcome>) -> Result<(), Stopped> {
        for planned in slices {
            if self.shared.cancel.requested().is_some() {
                self.send(&self.notes, Note::Cut)?;
                return Err(Stopped);
            }
            let outcome = known.remove(&planned.at.ordinal.0);
            let planned_bytes = if outcome.is_some() { 0 } else { planned.weight_bytes };
            let weight = permits::weight(planned_bytes, self.shared.line.recipe);
            let in_flight = self.shared.permits.take(weight, &self.shared.stop)?;
            self.shared.counters.walked(in_flight);
            self.send(&self.slices, Due { planned, outcome })?;
        }
        Ok(())
    }

    /// What identifies the shard; `None` for one without slices.
    fn id(&self, plan: &ShardPlan) -> Result<Option<ShardId>, Error> {
        let Some(first) = plan.slices.first() else { return Ok(None) };
        let first_ordinal = first.at.ordinal.0;
        for (slice, expected) in plan.slices.iter().zip(first_ordinal..) {
            if slice.at.ordinal.0 != expected {
                let found = slice.at.ordinal.0;
                let problem = format!("shard {} holds ordinal {found}, expected {expected}", plan.shard);
                return Err(Error::Bug(problem));
            }
        }
        Ok(Some(ShardId {
            generation: plan.generation,
            shard: plan.shard,
            plan_sha256: plan.plan_sha256.clone(),
            recipe_hash: self.shared.recipe_hash.clone(),
            key_id: self.shared.line.key_id.to_owned(),
            first_ordinal,
            slices: plan.slices.len() as u64,
        }))
    }

    /// Sends, or gives up when the run ends.
    fn send<T>(&self, to: &Sender<T>, message: T) -> Result<(), Stopped> {
        let pulled: &Receiver<_> = self.shared.stop.pulled();
        select_biased! {
            recv(pulled) -> _ => Err(Stopped),
            send(to, message) -> sent => sent.map_err(|_| Stopped),
        }
    }
}
