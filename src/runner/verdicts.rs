//! What is decided about slices before they are opened.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Shared;
use super::stop::Stopped;
use super::walker::ShardPlan;
use crate::error::Error;
use crate::pipeline::DECODE;
use crate::plan::PlannedSlice;
use crate::reason::Fault;
use crate::slice::{Outcome, Reject, SliceRef};
use crate::suspects::Judged;
use crate::suspects::condemned::{self, Condemned};

pub(super) struct Verdicts<'a> {
    shared: &'a Shared<'a>,
    /// Of the generation that is walked.
    condemned: Option<(u32, BTreeMap<u64, Condemned>)>,
}

impl<'a> Verdicts<'a> {
    pub(super) fn new(shared: &'a Shared<'a>) -> Verdicts<'a> {
        Verdicts { shared, condemned: None }
    }

    /// By ordinal, what became of slices of a shard to be made: of those that an unfinished attempt has
    /// `decided`, of the condemned, and of suspects, each of which is tried now.
    pub(super) fn of(
        &mut self,
        plan: &ShardPlan,
        mut decided: BTreeMap<u64, Fault>,
    ) -> Result<BTreeMap<u64, Outcome>, Stopped> {
        self.read_condemned(plan.generation)?;
        let mut known = BTreeMap::new();
        for slice in &plan.slices {
            let at = &slice.at;
            let outcome = match self.condemned(at).or_else(|| decided.remove(&at.ordinal.0)) {
                Some(fault) => Some(rejected(at, fault)),
                None => self.judge(plan.generation, slice)?,
            };
            known.extend(outcome.map(|outcome| (at.ordinal.0, outcome)));
        }
        Ok(known)
    }

    fn read_condemned(&mut self, generation: u32) -> Result<(), Stopped> {
        if self.condemned.as_ref().is_none_or(|(read, _)| *read != generation) {
            let condemned = condemned::read(self.shared.line.folder, generation);
            self.condemned = Some((generation, condemned.map_err(|error| self.fail(error))?));
        }
        Ok(())
    }

    fn condemned(&self, at: &SliceRef) -> Option<Fault> {
        let (_, condemned) = self.condemned.as_ref()?;
        condemned.get(&at.ordinal.0)?.fault(at)
    }

    /// Tries the slice alone, if it is a suspect.
    fn judge(&self, generation: u32, slice: &PlannedSlice) -> Result<Option<Outcome>, Stopped> {
        let (shared, line) = (self.shared, self.shared.line);
        let Some(suspects) = line.suspects.filter(|suspects| suspects.name(&slice.at)) else { return Ok(None) };
        let mut go_on = |pace: Duration| {
            let is_over = shared.stop.is_pulled_within(pace) || shared.cancel.requested().is_some();
            !is_over
        };
        match suspects.try_alone(slice, (line.recipe, line.pipeline), &mut go_on) {
            Judged::Innocent(outcome) => {
                suspects.acquit(&slice.at);
                Ok(Some(*outcome))
            }
            Judged::Unknown => Ok(None),
            Judged::Unproven => Err(Stopped),
            Judged::Guilty => {
                let fault = condemned::condemn(line.folder, generation, &slice.at).map_err(|error| self.fail(error))?;
                Ok(Some(rejected(&slice.at, fault)))
            }
        }
    }

    fn fail(&self, error: Error) -> Stopped {
        self.shared.stop.fail(error);
        Stopped
    }
}

fn rejected(at: &SliceRef, fault: Fault) -> Outcome {
    Err(Reject { at: at.clone(), stage: DECODE, fault })
}
