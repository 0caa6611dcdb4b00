//! What becomes of each input that the walk came across and that is not passed over.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use super::draft::sop_key;
use super::growth::{Case, Told};
use super::known::Standing;
use super::owners::SopOwners;
use super::planner::Examine;
use crate::decode::{self, Examined};
use crate::identity::{Key, SourceId};
use crate::reason::{Class, Fault, Reason};
use crate::sink::ledger::Tally;
use crate::slice::Bytes;
use crate::source::{Source, What};

/// Files read at the same time: headers cost waiting, not computing. The result does not depend on it.
const READERS: usize = 4;

/// What becomes of an input.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Verdict {
    /// It gets its place in the plan or its row; the rows counted here count no longer.
    Anew(Examined, Tally),
    /// Its rows stand; its size and time are remembered.
    Touched,
    /// Its rows stand, and no longer say what is in it.
    Changed,
    /// Nothing: it is as it was, or cannot be read now.
    AsBefore,
}

/// Opens inputs and judges them.
pub(super) struct Judge<'a> {
    examine: Examine<'a>,
    key: &'a Key,
    sources: &'a [Source],
    owners: &'a SopOwners,
    headers: AtomicU64,
    contents: AtomicU64,
}

impl<'a> Judge<'a> {
    /// `owners` are those of the segments before the one that is being made.
    pub(super) fn new(examine: Examine<'a>, key: &'a Key, sources: &'a [Source], owners: &'a SopOwners) -> Judge<'a> {
        Judge { examine, key, sources, owners, headers: AtomicU64::new(0), contents: AtomicU64::new(0) }
    }

    /// Headers read, and files read to their end.
    pub(super) fn opened(&self) -> (u64, u64) {
        (self.headers.load(Relaxed), self.contents.load(Relaxed))
    }

    /// A verdict on each case, in the same order; several files are read at the same time.
    pub(super) fn all(&self, cases: &[Case]) -> Vec<Verdict> {
        in_order(cases, |case| self.verdict(case))
    }

    fn verdict(&self, case: &Case) -> Verdict {
        let told = &case.told;
        match case.standing {
            _ if case.is_reopened => self.again(case),
            Standing::New | Standing::Unread => match self.header(case) {
                is if case.standing == Standing::Unread && is_unreadable(&is) => Verdict::AsBefore,
                is => Verdict::Anew(is, told.rows.clone()),
            },
            Standing::Same => Verdict::AsBefore,
            Standing::ListedOtherwise(_) => {
                let is = self.header(case);
                if is_unreadable(&is) {
                    Verdict::AsBefore
                } else if self.says_the_same(case.found.source_id, told, &is) {
                    Verdict::Touched
                } else {
                    Verdict::Anew(is, told.rows.clone())
                }
            }
            Standing::PlannedOtherwise(_) => self.planned(case),
        }
    }

    /// Of an input of which nothing is written: what it is now, where it can be read to its end.
    fn again(&self, case: &Case) -> Verdict {
        match self.header(case) {
            is if is_unreadable(&is) => Verdict::AsBefore,
            Examined::Ct(_) if self.content(case).is_err() => Verdict::AsBefore,
            is => Verdict::Anew(is, case.told.rows.clone()),
        }
    }

    /// Of a planned input that has another size or time.
    fn planned(&self, case: &Case) -> Verdict {
        let told = &case.told;
        if told.rows.found == 0 || matches!(case.found.what, What::Unreadable(_)) {
            return Verdict::AsBefore;
        }
        let is_written = told.rows.of(Class::Written) > 0;
        match self.content(case) {
            Ok(now) if told.content_id.as_ref() == Some(&now) => Verdict::Touched,
            Ok(_) if is_written => Verdict::Changed,
            Ok(_) => match self.header(case) {
                is if is_unreadable(&is) => Verdict::AsBefore,
                is => Verdict::Anew(is, told.rows.clone()),
            },
            Err(_) => Verdict::AsBefore,
        }
    }

    /// Whether an input that is in the ledger would have the same row there.
    fn says_the_same(&self, source_id: SourceId, told: &Told, is: &Examined) -> bool {
        match is {
            Examined::Not(fault) => told.rows.reasons.contains_key(&fault.reason),
            Examined::Ct(ct) => {
                let holder = sop_key(ct, self.key).and_then(|sop| self.owners.holder(&sop));
                let is_duplicate = holder.is_some_and(|holder| holder != source_id);
                is_duplicate && told.rows.reasons.contains_key(&Reason::DuplicateSopInstance)
            }
        }
    }

    /// A panic in `examine` becomes reason `internal` for the one file.
    fn header(&self, case: &Case) -> Examined {
        match &case.found.what {
            What::File { .. } => {}
            other => return Examined::Not(no_file(other)),
        }
        self.headers.fetch_add(1, Relaxed);
        let bytes = Bytes::File(case.found.path(self.sources));
        // Unwind safety: `examine` gets a path and gives back a value; nothing else outlives the panic.
        let examined = catch_unwind(AssertUnwindSafe(|| (self.examine)(&bytes)));
        examined.unwrap_or_else(|_| internal("made its reader panic"))
    }

    fn content(&self, case: &Case) -> Result<String, Fault> {
        self.contents.fetch_add(1, Relaxed);
        decode::content_id(&Bytes::File(case.found.path(self.sources)), self.key)
    }
}

fn is_unreadable(is: &Examined) -> bool {
    matches!(is, Examined::Not(fault) if fault.reason == Reason::Unreadable)
}

fn internal(what: &str) -> Examined {
    Examined::Not(Fault::new(Reason::Internal, format!("the header {what}; this is a bug")))
}

/// What the ledger says of something that is no file, or cannot be looked at.
fn no_file(what: &What) -> Fault {
    match what {
        What::File { .. } => Fault::new(Reason::Internal, "a file that was not examined; this is a bug"),
        What::Special(words) => Fault::new(Reason::SpecialFile, *words),
        What::Unreadable(kind) => Fault::new(Reason::Unreadable, format!("its attributes cannot be read: {kind}")),
        What::Folder(kind) => Fault::new(Reason::Unreadable, format!("a folder that cannot be listed: {kind}")),
    }
}

/// Verdicts of a few threads, in the order of the cases.
fn in_order(cases: &[Case], judge: impl Fn(&Case) -> Verdict + Sync) -> Vec<Verdict> {
    let verdicts: Vec<OnceLock<Verdict>> = cases.iter().map(|_| OnceLock::new()).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        while let at = next.fetch_add(1, Relaxed)
            && let (Some(case), Some(verdict)) = (cases.get(at), verdicts.get(at))
        {
            verdict.get_or_init(|| judge(case));
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..READERS.min(cases.len()) {
            scope.spawn(work);
        }
    });
    let missing = || Verdict::Anew(internal("was not examined"), Tally::default());
    verdicts.into_iter().map(|verdict| verdict.into_inner().unwrap_or_else(missing)).collect()
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::sync::Arc;

    use super::*;
    use crate::source::{Folder, Found, resolve};

    #[test]
    fn verdicts_come_in_order_and_a_panic_costs_one_file() -> Result<(), crate::error::Error> {
        let dir = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(dir.path().join("a"), "x").expect("a file");
        let sources = resolve(&[dir.path()])?;
        let folder = Arc::new(Folder { source: 0, path: OsString::new() });
        let case = |n: u32| Case {
            found: Found {
                source_id: SourceId([n as u8; 24]),
                folder: folder.clone(),
                name: n.to_string().into(),
                what: What::File { size: 1, mtime_ns: 0 },
            },
            standing: Standing::New,
            told: Told::default(),
            is_reopened: false,
        };
        let examine = |bytes: &Bytes| {
            let Bytes::File(path) = bytes else { return internal("is in memory") };
            let name = path.file_name().expect("a name").display().to_string();
            assert_ne!(name, "13", "this one panics");
            Examined::Not(Fault::new(Reason::NotDicom, name))
        };
        let (key, owners) = (Key::new([7; 32]), SopOwners::new());
        let judge = Judge::new(&examine, &key, &sources, &owners);
        let cases: Vec<Case> = (0..100).map(case).collect();
        for (n, verdict) in judge.all(&cases).into_iter().enumerate() {
            let Verdict::Anew(Examined::Not(fault), _) = verdict else { panic!("no CT here") };
            match n {
                13 => assert_eq!(fault.reason, Reason::Internal),
                n => assert_eq!(fault.detail, n.to_string()),
            }
        }
        assert_eq!(judge.opened(), (100, 0));
        assert!(judge.all(&[]).is_empty());
        Ok(())
    }
}
