//! Each input once; and of each the latest word.

use std::collections::{HashMap, HashSet};

use crate::identity::SourceId;
use crate::plan::PlannedInput;
use crate::reason::{Class, Reason};
use crate::sink::ledger::{LedgerRow, Tally};

/// The latest word on an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    /// It is planned, and a slice of it is written or not made yet.
    Planned,
    /// It is planned, and nothing of it is written: its place in `unwritten`.
    Unwritten(usize),
    /// It has a row in the ledger of a segment.
    NotPlanned(Class, Option<Reason>),
}

/// The inputs met so far: about 60 bytes for each. Looked up only.
#[derive(Debug, Default)]
pub(super) struct Inputs {
    words: HashMap<SourceId, Word>,
    /// The rows of planned inputs of which nothing is written.
    unwritten: Vec<Tally>,
    /// Those of planned inputs, of which one may become a row.
    sop_keys: HashSet<[u8; 16]>,
    /// Rows that no longer count.
    pub(super) superseded: Tally,
}

impl Inputs {
    /// Takes a planned input. One of which nothing was written may be planned again: what it counted
    /// before is taken out of `tally`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn plan(&mut self, input: &PlannedInput, tally: &mut Tally) -> Result<(), &'static str> {
        let earlier = self.words.insert(input.source_id, Word::Planned);
        let new_sop = input.sop_key.is_none_or(|sop| self.sop_keys.insert(sop));
        match earlier {
            Some(Word::Planned) => Err("is planned twice"),
            _ if !new_sop => Err("is planned, and its SOP Instance is planned already"),
            earlier => {
                self.supersede(earlier, tally);
                Ok(())
            }
        }
    }

    /// Takes a row of the ledger of a segment.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn leave_out(&mut self, row: &LedgerRow, tally: &mut Tally) -> Result<(), &'static str> {
        match self.words.get(&row.source_id).copied() {
            Some(Word::Planned) => return Err("is planned, and has a row among what is not planned"),
            earlier => self.supersede(earlier, tally),
        }
        self.words.insert(row.source_id, Word::NotPlanned(row.class, row.reason));
        Ok(())
    }

    /// Takes the ledger rows of a planned input.
    pub(super) fn came_to(&mut self, input: &PlannedInput, rows: &[LedgerRow]) {
        if rows.is_empty() || rows.iter().any(|row| row.class == Class::Written) {
            return;
        }
        self.words.insert(input.source_id, Word::Unwritten(self.unwritten.len()));
        let mut tally = Tally::default();
        rows.iter().for_each(|row| tally.find(row));
        self.unwritten.push(tally);
        if let Some(sop) = &input.sop_key {
            self.sop_keys.remove(sop);
        }
    }

    /// Whether the input is planned.
    pub(super) fn plans(&self, input: &SourceId) -> bool {
        matches!(self.words.get(input), Some(Word::Planned | Word::Unwritten(_)))
    }

    /// Takes what an input counted before out of `tally`.
    fn supersede(&mut self, earlier: Option<Word>, tally: &mut Tally) {
        let rows = match earlier {
            None | Some(Word::Planned) => return,
            Some(Word::Unwritten(at)) => self.unwritten.get(at).cloned().unwrap_or_default(),
            Some(Word::NotPlanned(class, reason)) => Tally {
                found: 1,
                classes: [(class, 1)].into(),
                reasons: reason.map(|reason| (reason, 1)).into_iter().collect(),
            },
        };
        tally.supersede(&rows);
        self.superseded += &rows;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(n: u8, frames: u32, sop: u8) -> PlannedInput {
        let source_id = SourceId([n; 24]);
        PlannedInput { source_id, sop_key: Some([sop; 16]), ordinal: 0, frames, shard: 0, weight_bytes: 1 }
    }

    fn row(n: u8, reason: Option<Reason>) -> LedgerRow {
        let class = reason.map_or(Class::Written, Reason::class);
        LedgerRow { class, reason, ..LedgerRow::written(0, SourceId([n; 24]), 0) }
    }

    #[test]
    fn an_input_of_which_nothing_was_written_may_be_planned_again_and_counts_once() {
        let (mut inputs, mut tally) = (Inputs::default(), Tally { found: 3, ..Tally::default() });
        assert_eq!(inputs.plan(&planned(1, 2, 1), &mut tally), Ok(()));
        let unread = [row(1, Some(Reason::Unreadable)), row(1, Some(Reason::Rescale))];
        unread.iter().for_each(|row| tally.count(row));
        inputs.came_to(&planned(1, 2, 1), &unread);
        tally.count(&row(2, Some(Reason::Unreadable)));
        assert_eq!(inputs.leave_out(&row(2, Some(Reason::Unreadable)), &mut tally), Ok(()));
        assert!(inputs.plans(&SourceId([1; 24])) && !inputs.plans(&SourceId([2; 24])));
        // The next generation, in which both can be read.
        assert_eq!(inputs.plan(&planned(1, 2, 1), &mut tally), Ok(()));
        assert_eq!((tally.found, tally.of(Class::Rejected)), (1, 1));
        assert_eq!(inputs.leave_out(&row(2, Some(Reason::NotDicom)), &mut tally), Ok(()));
        assert_eq!((tally.found, tally.of(Class::Rejected), tally.reasons.len()), (0, 0, 0));
    }

    #[test]
    fn any_other_input_and_sop_instance_is_planned_once() {
        let (mut inputs, mut tally) = (Inputs::default(), Tally::default());
        assert_eq!(inputs.plan(&planned(1, 2, 1), &mut tally), Ok(()));
        inputs.came_to(&planned(1, 2, 1), &[row(1, Some(Reason::Unreadable)), row(1, None)]);
        assert_eq!(inputs.plan(&planned(1, 2, 1), &mut tally), Err("is planned twice"));
        let twice = Err("is planned, and its SOP Instance is planned already");
        assert_eq!(inputs.plan(&planned(2, 1, 1), &mut tally), twice);
        let row = row(1, Some(Reason::NotDicom));
        assert!(inputs.leave_out(&row, &mut tally).is_err());
    }
}
