//! Twins: two runs that make the same shard at the same time, or a run and what a dead one left.
//!
//! They read the same inputs, so their ledger parts can differ only in rows of reasons that depend on
//! the environment. The shard that appears first has won. Whoever finds that another was first sees to
//! it that the winner's ledger part stands beside it. So whatever the order of their steps, when the
//! last of them is done there is one shard, and the ledger part that tells of it.

use super::ledger::{self, LedgerRow};
use super::publish::{self, OutputFolder, Published, Taken, Unpublished};
use super::shard::{ShardId, StoredLedger, read_ledger};
use crate::error::Error;

/// A shard of ours at the moment when others may be publishing the same one.
pub(super) struct Twins<'a> {
    folder: &'a OutputFolder,
    id: &'a ShardId,
    shard: Published,
    ledger: &'a [LedgerRow],
    metadata: &'a [(&'static str, String)],
    /// Ledger parts that were set aside for ours, as they were.
    displaced: Vec<(StoredLedger, Vec<u8>)>,
}

/// How often a ledger part may be put into another's place before something is wrong.
const ROUNDS: usize = 4;

impl<'a> Twins<'a> {
    /// `shard` is what our shard will be; `ledger` and `metadata` make its ledger part.
    pub(super) fn new(
        folder: &'a OutputFolder,
        id: &'a ShardId,
        shard: Published,
        ledger: &'a [LedgerRow],
        metadata: &'a [(&'static str, String)],
    ) -> Twins<'a> {
        Twins { folder, id, shard, ledger, metadata, displaced: Vec::new() }
    }

    /// Publishes the ledger part, then the shard; gives back the ledger part of the shard that stands
    /// in the end.
    ///
    /// # Errors
    /// [`Error::OutputIo`]; [`Error::Verify`] where the shard's name is taken by other bytes that no
    /// other reading of the inputs explains.
    pub(super) fn publish(mut self, shard: Unpublished) -> Result<StoredLedger, Error> {
        if let Some(theirs) = self.publish_ledger()? {
            return Ok(theirs); // ours is dropped
        }
        match shard.try_publish()? {
            Ok(_) => self.stand(),
            Err(taken) => self.give_way(taken),
        }
    }

    /// Puts our ledger part into its place. One that is there and tells otherwise is of a run that died
    /// before its shard appeared, and is set aside; unless its shard is there: that is given back.
    fn publish_ledger(&mut self) -> Result<Option<StoredLedger>, Error> {
        let name = self.id.ledger_name();
        let mut rounds = 0;
        while let Err(taken) = self.write_ledger()?.try_publish()? {
            rounds += 1;
            if rounds == ROUNDS {
                return Err(taken.into_error());
            }
            let Some(theirs) = read_ledger(self.folder, self.id)? else {
                tracing::warn!("{name} does not belong to the plan; it is set aside");
                self.folder.set_aside(&name)?;
                continue;
            };
            let shard = self.shard_there()?;
            if shard.as_ref() == Some(&theirs.shard) {
                if theirs.holds(self.ledger) {
                    return Ok(None); // of the same rows other bytes: for the shard's own name to tell
                }
                return Ok(Some(theirs));
            }
            tracing::warn!("{name} tells of a shard that was never published; it is set aside and made again");
            let bytes = self.folder.open(&name)?.bytes();
            self.displaced.extend(bytes.ok().map(|bytes| (theirs, bytes)));
            self.folder.set_aside(&name)?;
        }
        Ok(None)
    }

    /// Our shard is there, whoever published it: so our ledger part has to be beside it.
    fn stand(mut self) -> Result<StoredLedger, Error> {
        let is_ours = |there: &StoredLedger| there.shard == self.shard;
        if let Some(there) = read_ledger(self.folder, self.id)?.filter(is_ours) {
            return Ok(there);
        }
        self.publish_ledger()?;
        let name = self.id.ledger_name();
        let gone = || Error::Verify(format!("{name} is no longer what was published"));
        read_ledger(self.folder, self.id)?.ok_or_else(gone)
    }

    /// Another shard has the name. It stands, if there is a ledger part that tells of it, and tells of
    /// other rows than ours.
    fn give_way(self, taken: Taken) -> Result<StoredLedger, Error> {
        let tells = |there: &StoredLedger| there.shard == taken.existing && !there.holds(self.ledger);
        if let Some(there) = read_ledger(self.folder, self.id)?.filter(tells) {
            return Ok(there);
        }
        let name = self.id.ledger_name();
        match self.displaced.into_iter().find(|(theirs, _)| tells(theirs)) {
            Some((theirs, bytes)) => {
                self.folder.set_aside(&name)?;
                self.folder.publish_bytes(&name, &bytes).map(|_| theirs)
            }
            None => Err(taken.into_error()),
        }
    }

    fn write_ledger(&self) -> Result<Unpublished, Error> {
        ledger::write(self.folder, &self.id.ledger_name(), self.ledger, self.metadata)
    }

    /// Hash and length of the shard that has the name.
    fn shard_there(&self) -> Result<Option<Published>, Error> {
        let Some(shard) = self.folder.find(&self.id.data_name())? else { return Ok(None) };
        let failed = |source| Error::OutputIo { doing: "read", path: shard.path().to_owned(), source };
        publish::hash(&mut shard.reader()).map(Some).map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::identity::SourceId;
    use crate::reason::Reason;
    use crate::sink::digest::RowsDigest;
    use crate::sink::ledger::Tally;
    use crate::sink::presence;
    use crate::sink::shard::{ROWS, ROWS_DIGEST, SHARD_BYTES, SHARD_SHA256, SHARD_TAIL_SHA256, TALLY};

    fn id() -> ShardId {
        let (plan_sha256, recipe_hash, key_id) = ("cd".into(), "ef".into(), "01".into());
        ShardId { generation: 1, shard: 0, plan_sha256, recipe_hash, key_id, first_ordinal: 0, slices: 2 }
    }

    /// One of two slices, or both, and a shard that stands for them.
    struct Twin {
        shard: Option<Unpublished>,
        so_far: Published,
        ledger: Vec<LedgerRow>,
        metadata: Vec<(&'static str, String)>,
    }

    impl Twin {
        fn begin(folder: &OutputFolder, bytes: &[u8], lacks: Option<usize>) -> Result<Twin, Error> {
            let mut shard = folder.begin(&id().data_name())?;
            shard.write_all(bytes).map_err(|e| shard.write_failed(e))?;
            let so_far = shard.so_far();
            let mut ledger: Vec<_> = (0..2).map(|n| LedgerRow::written(n, SourceId([n as u8; 24]), 0)).collect();
            if let Some(row) = lacks.and_then(|n| ledger.get_mut(n)) {
                let reason = Reason::Unreadable;
                *row = LedgerRow { class: reason.class(), reason: Some(reason), ..row.clone() };
            }
            let mut metadata = id().metadata();
            metadata.push((ROWS, ledger.iter().filter(|row| row.reason.is_none()).count().to_string()));
            metadata.push((SHARD_SHA256, so_far.sha256.clone()));
            metadata.push((SHARD_BYTES, so_far.bytes.to_string()));
            metadata.push((SHARD_TAIL_SHA256, shard.tail().sha256()));
            let mut tally = Tally::default();
            ledger.iter().for_each(|row| tally.count(row));
            metadata.push((TALLY, presence::tally_words(&tally)));
            metadata.push((ROWS_DIGEST, RowsDigest::default().to_string()));
            Ok(Twin { shard: Some(shard), so_far, ledger, metadata })
        }

        fn meets<'a>(&'a self, folder: &'a OutputFolder, id: &'a ShardId) -> Twins<'a> {
            Twins::new(folder, id, self.so_far.clone(), &self.ledger, &self.metadata)
        }
    }

    /// How far a twin has come.
    enum Step<'a> {
        Begun(Twins<'a>, Unpublished),
        LedgerIsThere(Twins<'a>, Unpublished),
        Tried(Twins<'a>, Result<Published, Taken>),
        Done(StoredLedger),
    }

    impl<'a> Step<'a> {
        fn next(self) -> Result<Step<'a>, Error> {
            Ok(match self {
                Step::Begun(mut twins, shard) => match twins.publish_ledger()? {
                    Some(theirs) => Step::Done(theirs),
                    None => Step::LedgerIsThere(twins, shard),
                },
                Step::LedgerIsThere(twins, shard) => Step::Tried(twins, shard.try_publish()?),
                Step::Tried(twins, Ok(_)) => Step::Done(twins.stand()?),
                Step::Tried(twins, Err(taken)) => Step::Done(twins.give_way(taken)?),
                done => done,
            })
        }
    }

    /// Runs two twins, the n-th bit of `order` says whose turn the n-th step is; gives back what each says
    /// of the shard, and what there is.
    fn run(order: u32, mut twins: [Twin; 2], folder: &OutputFolder) -> Result<Vec<String>, Error> {
        let id = id();
        let shards = twins.each_mut().map(|twin| twin.shard.take());
        let mut steps: Vec<_> = twins
            .iter()
            .zip(shards)
            .filter_map(|(twin, shard)| Some(Some(Step::Begun(twin.meets(folder, &id), shard?))))
            .collect();
        for turn in (0..6).map(|n| (order >> n & 1) as usize).chain([0, 0, 0, 1, 1, 1]) {
            let step = steps[turn].take().expect("put back");
            steps[turn] = Some(step.next()?);
        }
        let mut said: Vec<String> = Vec::new();
        for step in steps {
            let Some(Step::Done(ledger)) = step else { panic!("three steps are enough") };
            said.extend([ledger.sha256, ledger.shard.sha256]);
        }
        let there = read_ledger(folder, &id)?.expect("a ledger part");
        let data = publish::hash(&mut folder.open(&id.data_name())?.reader()).expect("reads");
        said.extend([there.sha256, there.shard.sha256, data.sha256]);
        Ok(said)
    }

    /// C07: one twin could not read what the other could.
    #[test]
    fn twins_that_read_other_inputs_agree_whatever_the_order_of_their_steps() -> Result<(), Error> {
        for order in 0..64 {
            let temp = tempfile::tempdir().expect("a temporary folder");
            let folder = OutputFolder::create(temp.path(), 0o750)?;
            let twins = [Twin::begin(&folder, b"two rows", None)?, Twin::begin(&folder, b"one row", Some(1))?];
            let said = run(order, twins, &folder)?;
            let (ledger, shard) = (&said[4], &said[6]);
            assert_eq!(
                said.iter().collect::<Vec<_>>(),
                [ledger, shard, ledger, shard, ledger, shard, shard],
                "{order:b}"
            );
            let mut left = std::fs::read_dir(temp.path().join(".tmp")).expect("stands").flatten();
            assert!(left.all(|entry| entry.file_name().as_encoded_bytes().starts_with(b"bad-ledger")));
        }
        Ok(())
    }

    #[test]
    fn twins_that_read_the_same_are_one() -> Result<(), Error> {
        for order in 0..64 {
            let temp = tempfile::tempdir().expect("a temporary folder");
            let folder = OutputFolder::create(temp.path(), 0o750)?;
            let twins = [Twin::begin(&folder, b"two rows", None)?, Twin::begin(&folder, b"two rows", None)?];
            run(order, twins, &folder)?;
            assert_eq!(std::fs::read_dir(temp.path().join(".tmp")).expect("stands").count(), 0, "order {order:06b}");
        }
        Ok(())
    }

    /// C05: what nothing explains is for somebody to look at.
    #[test]
    fn other_bytes_of_the_same_rows_are_refused_and_both_kept() -> Result<(), Error> {
        for lacks in [None, Some(0)] {
            let temp = tempfile::tempdir().expect("a temporary folder");
            let folder = OutputFolder::create(temp.path(), 0o750)?;
            let id = id();
            let mut first = Twin::begin(&folder, b"bytes", lacks)?;
            let shard = first.shard.take().expect("a shard");
            first.meets(&folder, &id).publish(shard)?;
            let mut second = Twin::begin(&folder, b"other bytes", lacks)?;
            let shard = second.shard.take().expect("a shard");
            let error = second.meets(&folder, &id).publish(shard).map(drop).expect_err("not the same");
            assert!(matches!(error, Error::Verify(_)), "{error}");
            let kept = std::fs::read_dir(temp.path().join(".tmp")).expect("stands").flatten();
            assert_eq!(kept.map(|entry| entry.metadata().map_or(0, |m| m.len())).collect::<Vec<_>>(), [11]);
            assert_eq!(read_ledger(&folder, &id)?.expect("stays").shard, first.so_far);
        }
        // A foreign file in the shard's place.
        let temp = tempfile::tempdir().expect("a temporary folder");
        let folder = OutputFolder::create(temp.path(), 0o750)?;
        let id = id();
        let mut twin = Twin::begin(&folder, b"bytes", None)?;
        std::fs::write(temp.path().join(id.data_name()), "foreign").expect("can be written");
        let shard = twin.shard.take().expect("a shard");
        assert!(matches!(twin.meets(&folder, &id).publish(shard), Err(Error::Verify(_))));
        Ok(())
    }
}
