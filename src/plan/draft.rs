//! A segment in the making: inputs gathered in walk order, then put into their final order.

use std::collections::HashSet;
use std::os::unix::ffi::OsStrExt;

use super::SEGMENT_SLICES;
use super::owners::{SopOwners, UidKey};
use super::paths::{Input, PathAt, Paths, stamp};
use super::segment::{PlannedInput, cut};
use crate::decode::{CtInput, Examined};
use crate::error::Error;
use crate::identity::{Key, SourceId};
use crate::reason::{Fault, Reason};
use crate::recipe::Order;
use crate::sink::ledger::{LedgerRow, Tally};
use crate::source::{Found, Source};

/// Domains of the keyed hashes of UIDs, those of the columns `sop_key` and `series_key`.
const SOP_KEY: &str = "sop";
const SERIES_KEY: &str = "series";

/// The step that ledger rows of the plan name.
const PLAN: &str = "plan";

/// A segment in the making.
#[derive(Debug)]
pub(super) struct Draft {
    pub paths: Paths,
    /// Every input, in walk order.
    pub inputs: Vec<Input>,
    /// The ledger: inputs that are not planned.
    pub not_planned: Vec<LedgerRow>,
    /// Rows of earlier segments that its inputs had.
    pub superseded: Tally,
    candidates: Vec<Candidate>,
    /// SOP Instances that this segment met first.
    first_met: HashSet<UidKey>,
    fresh_slices: u64,
    fresh_inputs: u64,
}

/// A CT input, which is planned unless it is a duplicate.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    source_id: SourceId,
    at: PathAt,
    frames: u32,
    weight_bytes: u64,
    sop_key: Option<UidKey>,
    series_key: Option<UidKey>,
    position: Option<f64>,
}

impl Draft {
    /// Nothing yet, of these sources. Room for `limit` inputs is set aside: to double it while it
    /// grows would hold three times as much.
    pub(super) fn new(sources: &[Source], limit: u64) -> Draft {
        let room = usize::try_from(limit.min(SEGMENT_SLICES)).unwrap_or(0);
        Draft {
            paths: Paths::of(sources),
            inputs: Vec::with_capacity(room),
            not_planned: Vec::new(),
            superseded: Tally::default(),
            candidates: Vec::with_capacity(room),
            first_met: HashSet::new(),
            fresh_slices: 0,
            fresh_inputs: 0,
        }
    }

    /// True when it holds `limit` slices that are no duplicates, or as many other inputs.
    pub(super) fn is_full(&self, limit: u64) -> bool {
        self.fresh_slices >= limit || self.inputs.len() as u64 - self.fresh_inputs >= limit
    }

    /// Adds an input of which only size and time are to be remembered.
    pub(super) fn touch(&mut self, found: &Found) -> Result<PathAt, Error> {
        let at = self.paths.push(found.folder.source, found.folder.path.as_bytes(), found.name.as_bytes())?;
        self.inputs.push(Input { source_id: found.source_id, at, stamp: stamp(&found.what) });
        Ok(at)
    }

    /// Adds an input. Whether a CT input is a duplicate is settled by [`Draft::settle`].
    pub(super) fn add(&mut self, found: &Found, is: Examined, key: &Key, owners: &SopOwners) -> Result<(), Error> {
        let at = self.touch(found)?;
        let ct = match is {
            Examined::Ct(ct) => ct,
            Examined::Not(fault) => {
                self.not_planned.push(ledger_row(found.source_id, fault));
                return Ok(());
            }
        };
        let candidate = candidate(found.source_id, at, &ct, key);
        if candidate.sop_key.is_none_or(|sop| owners.holder(&sop).is_none() && self.first_met.insert(sop)) {
            self.fresh_slices += u64::from(candidate.frames);
            self.fresh_inputs += 1;
        }
        self.candidates.push(candidate);
        Ok(())
    }

    /// Puts the candidates into final order, moves duplicates to the ledger, gives ordinals from
    /// `ordinal` and shards from `shard` on. The SOP Instances planned here join `owners`.
    pub(super) fn settle(
        &mut self,
        (order, rows_per_shard): (Order, u32),
        (ordinal, shard): (u64, u32),
        owners: &mut SopOwners,
    ) -> Vec<(PlannedInput, PathAt)> {
        let mut planned = std::mem::take(&mut self.candidates);
        self.first_met = HashSet::new();
        sort(&mut planned, order);
        planned.retain(|candidate| {
            let owner = candidate.sop_key.and_then(|sop| owners.claim(sop, candidate.source_id));
            self.not_planned.extend(owner.map(|owner| duplicate_row(candidate.source_id, owner)));
            owner.is_none()
        });
        self.not_planned.sort_by_key(|row| row.source_id);
        let shards = cut(planned.iter().map(|c| c.frames), rows_per_shard, shard);
        let mut next = ordinal;
        let place = |(c, shard): (&Candidate, u32)| {
            let ordinal = next;
            next += u64::from(c.frames);
            let Candidate { source_id, sop_key, frames, weight_bytes, at, .. } = *c;
            (PlannedInput { source_id, sop_key, ordinal, frames, shard, weight_bytes }, at)
        };
        planned.iter().zip(shards).map(place).collect()
    }
}

/// The column `sop_key` of an input's slices, raw.
pub(super) fn sop_key(ct: &CtInput, key: &Key) -> Option<UidKey> {
    hashed(key, SOP_KEY, ct.sop_instance_uid.as_ref())
}

fn hashed(key: &Key, domain: &str, uid: Option<&String>) -> Option<UidKey> {
    let mut short = [0; 16];
    uid.map(|uid| {
        short.copy_from_slice(&key.mac(domain, &[uid.as_bytes()])[..16]);
        short
    })
}

fn candidate(source_id: SourceId, at: PathAt, ct: &CtInput, key: &Key) -> Candidate {
    let pixels = u64::from(ct.rows) * u64::from(ct.columns);
    Candidate {
        source_id,
        at,
        frames: ct.frames.max(1),
        weight_bytes: ct.bytes_per_slice.saturating_add(pixels.saturating_mul(4)).min(i64::MAX.cast_unsigned()),
        sop_key: sop_key(ct, key),
        series_key: hashed(key, SERIES_KEY, ct.series_instance_uid.as_ref()),
        position: ct.position,
    }
}

/// No two candidates are equal in either order: both end with the whole source_id.
fn sort(candidates: &mut [Candidate], order: Order) {
    match order {
        Order::Shuffled => candidates.sort_unstable_by_key(|c| {
            let (folder, path) = c.source_id.0.split_at(12);
            (<[u8; 12]>::try_from(path).ok(), <[u8; 12]>::try_from(folder).ok())
        }),
        Order::Series => candidates.sort_unstable_by(|a, b| {
            let place = |c: &Candidate| (c.position.is_none(), c.position.unwrap_or_default());
            let ((none_a, mm_a), (none_b, mm_b)) = (place(a), place(b));
            (a.series_key.cmp(&b.series_key))
                .then(none_a.cmp(&none_b))
                .then(mm_a.total_cmp(&mm_b))
                .then(a.source_id.cmp(&b.source_id))
        }),
    }
}

fn ledger_row(source_id: SourceId, fault: Fault) -> LedgerRow {
    LedgerRow {
        ordinal: None,
        source_id,
        frame: None,
        class: fault.reason.class(),
        reason: Some(fault.reason),
        stage: Some(PLAN.into()),
        detail: Some(fault.detail),
        winner: None,
        content_id: None,
    }
}

fn duplicate_row(source_id: SourceId, winner: SourceId) -> LedgerRow {
    let detail = "SOP Instance UID stands earlier in the plan";
    LedgerRow { winner: Some(winner), ..ledger_row(source_id, Fault::new(Reason::DuplicateSopInstance, detail)) }
}
