//! The other end of a trial: the process that works on one slice, within limits.

use std::ffi::OsString;
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::process::{Resource, Rlimit, Signal, getrlimit, set_parent_process_death_signal, setrlimit};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::Error;
use crate::identity::{Key, SourceId};
use crate::pipeline::Pipeline;
use crate::recipe::Recipe;
use crate::slice::{InputRef, Ordinal, SliceRef};
use crate::stage::Scratch;

/// What one slice may take, beside four times what the plan says that it weighs.
const ADDRESS_SPACE: u64 = 1 << 30;
const CPU_SECONDS: u64 = 120;

/// What is to be tried.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Job {
    recipe: Value,
    /// Hex: a path may hold any bytes.
    path: String,
    frame: u32,
    weight_bytes: u64,
}

impl Job {
    pub(super) fn new(recipe: &Recipe, path: &Path, frame: u32, weight_bytes: u64) -> Job {
        Job { recipe: recipe.to_json(), path: hex::encode(path.as_os_str().as_bytes()), frame, weight_bytes }
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// Works on the slice that `job` names, as the parent wrote it, and forgets what came of it. Ends with
/// its parent.
///
/// Limits of this process: no core dump, address space, processor time; lower ones hold.
///
/// # Errors
/// [`Error::Usage`] where `job` is none.
pub fn try_slice(job: impl Read) -> Result<(), Error> {
    let none = |_| Error::Usage("try-slice is for this program itself: no job on standard input".to_owned());
    let job: Job = serde_json::from_reader(job.take(1 << 20)).map_err(none)?;
    let path = hex::decode(&job.path).map_err(|_| Error::Usage("try-slice: no path".to_owned()))?;
    let recipe = Recipe::from_json(&job.recipe)?;
    // A system without one of them is no reason not to try.
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
    limit(Resource::Core, 0);
    limit(Resource::As, job.weight_bytes.saturating_mul(4).saturating_add(ADDRESS_SPACE));
    limit(Resource::Cpu, CPU_SECONDS);
    let input = InputRef::file(SourceId([0; 24]), &PathBuf::from(OsString::from_vec(path)));
    let at = SliceRef { ordinal: Ordinal(0), input, frame: job.frame };
    drop(Pipeline::new(&recipe, &Key::new([0; 32])).process(&at, &mut Scratch::default()));
    Ok(())
}

fn limit(resource: Resource, most: u64) {
    let now = getrlimit(resource);
    let most = [now.current, now.maximum].into_iter().flatten().fold(most, u64::min);
    let _ = setrlimit(resource, Rlimit { current: Some(most), maximum: now.maximum });
}
