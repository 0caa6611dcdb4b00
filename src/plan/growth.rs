//! What a run knows of inputs from earlier segments: an archive that grows, changes and moves.
//!
//! | an input that an earlier segment knows | what the run does |
//! |---|---|
//! | size and time are what they were | not opened |
//! | planned, and its shard is not made yet | nothing: its row will be of what the file holds then |
//! | other size or time, same content | *touched*: remembers size and time, no row |
//! | other content, a slice of it is written | *changed*: said at the end, exit code 3; old rows stay |
//! | other content, nothing of it is written | examined again, and planned where it can be |
//! | not planned, other size or time | examined again: planned, or a new row, or (the same) touched |
//! | none of its slices is written, one for it could not be read | opened again; planned where it can be read |
//! | a duplicate of such a one | the same |
//! | in no source any more | counted; its rows stay |
//!
//! A new row stands for all earlier ones of the input: its segment says in its metadata how many rows
//! that makes which no longer count. Of shards, only those count that were there when the run began.

use std::collections::{BTreeMap, BTreeSet};

use super::known::{Kind, Known, MOST_SEGMENTS, Standing};
use super::owners::{SopOwners, UidKey};
use super::paths::{Input, PathAt, stamp};
use super::segment::{self, PlannedInput};
use super::{segment_ledger_name, segment_name};
use crate::error::Error;
use crate::identity::SourceId;
use crate::reason::{Class, Reason};
use crate::sink::ledger::{self, LedgerRow, Tally};
use crate::sink::publish::OutputFolder;
use crate::sink::shard::{self, UNREADABLE};
use crate::sink::table;
use crate::source::Found;

/// What earlier segments say.
#[derive(Debug)]
pub(super) struct Growth {
    known: Known,
    /// Generation and index of each segment; `known` speaks of them by number.
    segments: Vec<(u32, u32)>,
    /// Generation and number of the shards that were there when the run began.
    shards: BTreeSet<(u32, u32)>,
    /// Inputs to be opened again although nothing tells that they changed, with their rows.
    reopened: BTreeMap<SourceId, Tally>,
}

/// What the ledgers say of an input.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Told {
    /// Its rows, all found; none where its shard is not made yet.
    pub rows: Tally,
    /// What it held when it was converted.
    pub content_id: Option<String>,
    /// The SOP Instance that it was planned as.
    pub sop_key: Option<UidKey>,
}

/// An input that is not passed over.
#[derive(Debug)]
pub(super) struct Case {
    pub found: Found,
    pub standing: Standing,
    /// What the ledgers say, where it has another size or time, or is opened again.
    pub told: Told,
    pub is_reopened: bool,
}

impl Growth {
    /// Nothing known yet; lists the shards of the generations up to `last`.
    ///
    /// # Errors
    /// [`Error::OutputIo`].
    pub(super) fn new(out: &OutputFolder, last: u32) -> Result<Growth, Error> {
        let mut shards = BTreeSet::new();
        for generation in 1..=last {
            let names = out.list(&format!("data/g{generation:06}"))?;
            let number = |name: &str| name.strip_prefix("part-")?.strip_suffix(".parquet")?.parse().ok();
            let numbers = names.iter().filter_map(|name| number(name.to_str()?));
            shards.extend(numbers.map(|number| (generation, number)));
        }
        Ok(Growth { known: Known::default(), segments: Vec::new(), shards, reopened: BTreeMap::new() })
    }

    /// The memory that grows with every input, about.
    pub(super) fn bytes(&self) -> u64 {
        self.known.bytes()
    }

    /// Learns the inputs of a committed segment: `inputs` and `rows` in ascending source_id. Those that
    /// are planned hold their SOP Instances, and none that they were planned as before; those that
    /// are to be opened again hold none.
    ///
    /// # Errors
    /// [`Error::OutputIo`], [`Error::Verify`]; [`Error::Bug`] for a segment too many.
    pub(super) fn learn(
        &mut self,
        (out, generation, index): (&OutputFolder, u32, u32),
        inputs: &[Input],
        (planned, rows, has_superseded): (&[(PlannedInput, PathAt)], &[LedgerRow], bool),
        owners: &mut SopOwners,
    ) -> Result<(), Error> {
        if self.segments.len() == MOST_SEGMENTS {
            return Err(Error::Bug(format!("more than {MOST_SEGMENTS} plan segments")));
        }
        let ids = planned.iter().map(|(input, _)| input.source_id).chain(rows.iter().map(|row| row.source_id));
        if has_superseded {
            self.release_former(out, ids, owners)?;
        }
        for (input, _) in planned {
            input.sop_key.and_then(|sop| owners.claim(sop, input.source_id));
        }
        let number = self.segments.len() as u32;
        self.segments.push((generation, index));
        let mut kinds = vec![Kind::Touched; inputs.len()];
        let planned_ids = planned.iter().map(|(input, _)| (input.source_id, Kind::Planned));
        let listed = rows.iter().map(|row| match row.reason {
            Some(Reason::Unreadable) => (row.source_id, Kind::Unread),
            _ => (row.source_id, Kind::NotPlanned),
        });
        for (id, kind) in planned_ids.chain(listed) {
            if let Ok(at) = inputs.binary_search_by_key(&id, |input| input.source_id) {
                kinds[at] = kind;
            }
            if !self.reopened.is_empty() {
                self.reopened.remove(&id);
            }
        }
        inputs.iter().zip(kinds).for_each(|(input, kind)| self.known.add(input, number, kind));
        for part in planned.chunk_by(|(a, _), (b, _)| a.shard == b.shard) {
            self.reopen(out, generation, part, owners)?;
        }
        Ok(())
    }

    /// Takes their SOP Instances from those of `ids` that an earlier segment planned.
    fn release_former(
        &mut self,
        out: &OutputFolder,
        ids: impl Iterator<Item = SourceId>,
        owners: &mut SopOwners,
    ) -> Result<(), Error> {
        let mut homes = BTreeMap::<u32, BTreeSet<SourceId>>::new();
        for id in ids {
            if let Some(home) = self.known.home(id) {
                homes.entry(home).or_default().insert(id);
            }
        }
        for (home, ids) in homes {
            let Some((generation, index)) = self.segments.get(home as usize) else { continue };
            let (planned, _) = segment::read_stored(&out.open(&segment_name(*generation, *index))?)?;
            for input in planned.iter().filter(|input| ids.contains(&input.source_id)) {
                input.sop_key.into_iter().for_each(|sop| owners.release(sop, input.source_id));
            }
        }
        Ok(())
    }

    /// Finds the inputs of a shard of which a slice could not be read, and none is written.
    fn reopen(
        &mut self,
        out: &OutputFolder,
        generation: u32,
        part: &[(PlannedInput, PathAt)],
        owners: &mut SopOwners,
    ) -> Result<(), Error> {
        let Some((first, _)) = part.first() else { return Ok(()) };
        let Some(file) = self.ledger_part(out, generation, first.shard)? else { return Ok(()) };
        if !table::metadata(&file).is_ok_and(|metadata| metadata.contains_key(UNREADABLE)) {
            return Ok(());
        }
        // A damaged one is made again with its shard.
        let Ok((rows, _)) = ledger::read_stored(&file) else { return Ok(()) };
        let mut told = BTreeMap::<SourceId, Tally>::new();
        rows.iter().for_each(|row| told.entry(row.source_id).or_default().find(row));
        for (input, _) in part {
            let Some(rows) = told.remove(&input.source_id) else { continue };
            if rows.reasons.contains_key(&Reason::Unreadable) && rows.of(Class::Written) == 0 {
                input.sop_key.into_iter().for_each(|sop| owners.release(sop, input.source_id));
                self.reopened.insert(input.source_id, rows);
            }
        }
        Ok(())
    }

    /// The ledger part of a shard that was there when the run began.
    fn ledger_part(
        &self,
        out: &OutputFolder,
        generation: u32,
        shard: u32,
    ) -> Result<Option<crate::sink::storage::Stored>, Error> {
        match self.shards.contains(&(generation, shard)) {
            true => out.find(&shard::ledger_name(generation, shard)),
            false => Ok(None),
        }
    }

    /// After the last segment: duplicates of inputs that are opened again are opened again too, for
    /// one of them may be all that is left of the slice.
    ///
    /// # Errors
    /// [`Error::OutputIo`], [`Error::Verify`].
    pub(super) fn reopen_duplicates(&mut self, out: &OutputFolder) -> Result<(), Error> {
        if self.reopened.is_empty() {
            return Ok(());
        }
        let mut duplicates = BTreeMap::new();
        for (number, (generation, index)) in self.segments.iter().enumerate() {
            let (rows, _) = ledger::read_stored(&out.open(&segment_ledger_name(*generation, *index))?)?;
            for row in rows.iter().filter(|row| row.winner.is_some_and(|winner| self.reopened.contains_key(&winner))) {
                if self.known.home(row.source_id) == Some(number as u32) {
                    let mut tally = Tally::default();
                    tally.find(row);
                    duplicates.insert(row.source_id, tally);
                }
            }
        }
        self.reopened.extend(duplicates);
        Ok(())
    }

    /// What is known of something that the walk came across. To be asked once for each.
    pub(super) fn meet(&mut self, found: Found) -> Case {
        let standing = self.known.meet(found.source_id, stamp(&found.what));
        let rows = self.reopened.get(&found.source_id);
        let is_reopened = rows.is_some();
        let rows = match (rows, standing) {
            (Some(rows), _) => rows.clone(),
            (None, Standing::Unread) => Tally::of_one(Reason::Unreadable),
            (None, _) => Tally::default(),
        };
        Case { found, standing, told: Told { rows, ..Told::default() }, is_reopened }
    }

    /// Inputs that no source has any more, once the walk has ended.
    pub(super) fn vanished(&mut self) -> u64 {
        self.known.vanished()
    }

    /// Looks up what the ledgers say of those inputs that have another size or time.
    ///
    /// # Errors
    /// [`Error::OutputIo`], [`Error::Verify`].
    pub(super) fn tell(&self, out: &OutputFolder, cases: &mut [Case]) -> Result<(), Error> {
        let (mut planned, mut listed) = (BTreeMap::new(), BTreeMap::new());
        for case in cases.iter_mut().filter(|case| !case.is_reopened) {
            let id = case.found.source_id;
            match case.standing {
                Standing::PlannedOtherwise(segment) => drop(in_segment(&mut planned, segment).insert(id, case)),
                Standing::ListedOtherwise(segment) => drop(in_segment(&mut listed, segment).insert(id, case)),
                _ => {}
            }
        }
        for (segment, mut cases) in listed {
            let Some((generation, index)) = self.segments.get(segment as usize) else { continue };
            let file = out.open(&segment_ledger_name(*generation, *index))?;
            hear(&ledger::read_stored(&file)?.0, &mut cases);
        }
        for (segment, mut cases) in planned {
            let Some((generation, index)) = self.segments.get(segment as usize) else { continue };
            let (inputs, _) = segment::read_stored(&out.open(&segment_name(*generation, *index))?)?;
            let mut shards = BTreeSet::new();
            for input in inputs {
                if let Some(case) = cases.get_mut(&input.source_id) {
                    case.told.sop_key = input.sop_key;
                    shards.insert(input.shard);
                }
            }
            for shard in shards {
                let Some(file) = self.ledger_part(out, *generation, shard)? else { continue };
                // A damaged one is made again with its shard.
                if let Ok((rows, _)) = ledger::read_stored(&file) {
                    hear(&rows, &mut cases);
                }
            }
        }
        Ok(())
    }
}

type Cases<'c> = BTreeMap<SourceId, &'c mut Case>;

fn in_segment<'m, 'c>(cases: &'m mut BTreeMap<u32, Cases<'c>>, segment: u32) -> &'m mut Cases<'c> {
    cases.entry(segment).or_default()
}

fn hear(rows: &[LedgerRow], cases: &mut Cases<'_>) {
    for row in rows {
        if let Some(case) = cases.get_mut(&row.source_id) {
            case.told.rows.find(row);
            case.told.content_id = case.told.content_id.take().or_else(|| row.content_id.clone());
        }
    }
}
