//! The header pass: every new input is examined once, a few at a time.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::planner::Examine;
use crate::decode::Examined;
use crate::reason::{Fault, Reason};
use crate::slice::Bytes;

/// Files read at the same time: headers cost waiting, not computing. The result does not depend on it.
const READERS: usize = 4;

/// Examines the files at `paths`; results in the same order. A panic in `examine` becomes reason
/// `internal` for the one file.
pub(super) fn examine_all(paths: Vec<PathBuf>, examine: Examine<'_>) -> Vec<Examined> {
    let inputs: Vec<Bytes> = paths.into_iter().map(Bytes::File).collect();
    let results: Vec<OnceLock<Examined>> = inputs.iter().map(|_| OnceLock::new()).collect();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..READERS.min(inputs.len()) {
            scope.spawn(|| {
                while let Some((input, result)) = pair(&inputs, &results, next.fetch_add(1, Ordering::Relaxed)) {
                    result.get_or_init(|| guarded(input, examine));
                }
            });
        }
    });
    results.into_iter().map(|result| result.into_inner().unwrap_or_else(|| internal("was not examined"))).collect()
}

fn pair<'a, A, B>(a: &'a [A], b: &'a [B], at: usize) -> Option<(&'a A, &'a B)> {
    Some((a.get(at)?, b.get(at)?))
}

/// Unwind safety: `examine` gets a path and gives back a value; nothing else outlives the panic.
fn guarded(input: &Bytes, examine: Examine<'_>) -> Examined {
    catch_unwind(AssertUnwindSafe(|| examine(input))).unwrap_or_else(|_| internal("made its reader panic"))
}

fn internal(what: &str) -> Examined {
    Examined::Not(Fault::new(Reason::Internal, format!("the header {what}; this is a bug")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_and_a_panic_costs_one_file() {
        let paths: Vec<PathBuf> = (0..100).map(|n| PathBuf::from(n.to_string())).collect();
        let examine = |bytes: &Bytes| {
            let Bytes::File(path) = bytes else { return internal("is in memory") };
            assert_ne!(path.as_os_str(), "13", "this one panics");
            Examined::Not(Fault::new(Reason::NotDicom, path.display().to_string()))
        };
        for (n, result) in examine_all(paths, &examine).into_iter().enumerate() {
            let Examined::Not(fault) = result else { panic!("no CT here") };
            match n {
                13 => assert_eq!(fault.reason, Reason::Internal),
                n => assert_eq!(fault.detail, n.to_string()),
            }
        }
        assert!(examine_all(Vec::new(), &examine).is_empty());
    }
}
