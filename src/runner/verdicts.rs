//! What is decided about slices before they are opened.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Shared;
use super::stop::Stopped;
use super::walker::ShardPlan;
use crate::error::Error;
use crate::plan::PlannedSlice;
use crate::reason::Fault;
use crate::suspects::condemned::{self, Condemned};
use crate::suspects::{Suspects, Verdict};

/// How a slice goes down the line that does not go like any other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Unopened, as this reject.
    Rejected(Fault),
    /// With nothing beside it: an innocent suspect.
    Alone,
}

pub(super) struct Verdicts<'a> {
    shared: &'a Shared<'a>,
    /// Of the generation that is walked.
    condemned: Option<(u32, BTreeMap<u64, Condemned>)>,
}

impl<'a> Verdicts<'a> {
    pub(super) fn new(shared: &'a Shared<'a>) -> Verdicts<'a> {
        Verdicts { shared, condemned: None }
    }

    /// By ordinal, the slices of a shard to be made that were decided about: those that an unfinished
    /// attempt has `decided`, the condemned, and suspects, each of which is tried now.
    pub(super) fn of(
        &mut self,
        plan: &ShardPlan,
        decided: BTreeMap<u64, Fault>,
    ) -> Result<BTreeMap<u64, Way>, Stopped> {
        let mut ways: BTreeMap<u64, Way> = decided.into_iter().map(|(at, fault)| (at, Way::Rejected(fault))).collect();
        self.read_condemned(plan.generation)?;
        for slice in &plan.slices {
            let ordinal = slice.at.ordinal.0;
            let condemned = self.condemned.as_ref().and_then(|(_, condemned)| condemned.get(&ordinal));
            if let Some(fault) = condemned.and_then(|condemned| condemned.fault(&slice.at)) {
                ways.insert(ordinal, Way::Rejected(fault));
            } else if let (Some(suspects), false) = (self.shared.line.suspects, ways.contains_key(&ordinal))
                && suspects.name(&slice.at)
            {
                ways.insert(ordinal, self.judge(suspects, plan.generation, slice)?);
            }
        }
        self.settle(plan);
        Ok(ways)
    }

    /// The suspects of this shard are none any more.
    pub(super) fn settle(&self, plan: &ShardPlan) {
        if let (Some(suspects), Some(first)) = (self.shared.line.suspects, plan.slices.first()) {
            let first = first.at.ordinal.0;
            suspects.settle(first..first + plan.slices.len() as u64);
        }
    }

    fn read_condemned(&mut self, generation: u32) -> Result<(), Stopped> {
        if self.condemned.as_ref().is_none_or(|(read, _)| *read != generation) {
            let condemned = condemned::read(self.shared.line.folder, generation);
            self.condemned = Some((generation, condemned.map_err(|error| self.fail(error))?));
        }
        Ok(())
    }

    fn judge(&self, suspects: &Suspects, generation: u32, slice: &PlannedSlice) -> Result<Way, Stopped> {
        let shared = self.shared;
        let mut go_on = |pace: Duration| {
            let is_over = shared.stop.is_pulled_within(pace) || shared.cancel.requested().is_some();
            !is_over
        };
        match suspects.try_alone(slice, shared.line.recipe, &mut go_on) {
            Verdict::Innocent => Ok(Way::Alone),
            Verdict::Unproven => Err(Stopped),
            Verdict::Guilty => {
                let fault = condemned::condemn(shared.line.folder, generation, &slice.at);
                fault.map(Way::Rejected).map_err(|error| self.fail(error))
            }
        }
    }

    fn fail(&self, error: Error) -> Stopped {
        self.shared.stop.fail(error);
        Stopped
    }
}
