//! The other end of a trial: the process that works on one slice, within limits.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::process::{Resource, Rlimit, Signal, getrlimit, set_parent_process_death_signal, setrlimit};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::answer;
use crate::error::Error;
use crate::identity::Key;
use crate::pipeline::Pipeline;
use crate::plan::PlannedSlice;
use crate::recipe::Recipe;
use crate::slice::{InputRef, Ordinal, SliceRef};
use crate::stage::Scratch;

/// What one slice may take, beside four times what the plan says that it weighs.
const ADDRESS_SPACE: u64 = 1 << 30;
const CPU_SECONDS: u64 = 120;

/// What is to be tried. Binary values are hex: a path may hold any bytes.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Job {
    recipe: Value,
    key: String,
    source_id: String,
    path: String,
    frame: u32,
    weight_bytes: u64,
    sop_key: Option<String>,
}

impl Job {
    pub(super) fn new(recipe: &Recipe, key: &Key, path: &Path, slice: &PlannedSlice) -> Job {
        Job {
            recipe: recipe.to_json(),
            key: hex::encode(key.bytes()),
            source_id: slice.at.input.source_id.to_string(),
            path: hex::encode(path.as_os_str().as_bytes()),
            frame: slice.at.frame,
            weight_bytes: slice.weight_bytes,
            sop_key: slice.sop_key.map(hex::encode),
        }
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    fn pipeline(&self) -> Result<Pipeline, Error> {
        let recipe = Recipe::from_json(&self.recipe)?;
        Ok(Pipeline::new(&recipe, &Key::new(unhex(&self.key)?)))
    }

    fn slice(&self) -> Result<PlannedSlice, Error> {
        let path = hex::decode(&self.path).map_err(|_| no_job())?;
        let source_id = self.source_id.parse().map_err(|_| no_job())?;
        let input = InputRef::file(source_id, &PathBuf::from(OsString::from_vec(path)));
        let at = SliceRef { ordinal: Ordinal(0), input, frame: self.frame };
        let sop_key = self.sop_key.as_deref().map(unhex).transpose()?;
        Ok(PlannedSlice { at, shard: 0, weight_bytes: self.weight_bytes, sop_key })
    }
}

fn unhex<const N: usize>(digits: &str) -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    hex::decode_to_slice(digits, &mut bytes).map(|()| bytes).map_err(|_| no_job())
}

fn no_job() -> Error {
    Error::Usage("try-slice is for this program itself: no job on standard input".to_owned())
}

/// Works on the slice that `job` names, as the parent wrote it, and answers what came of it. Ends with
/// its parent.
///
/// Limits of this process: no core dump, address space, processor time; lower ones hold.
///
/// # Errors
/// [`Error::Usage`] where `job` is none; [`Error::Bug`] where nobody takes the answer.
pub fn try_slice(job: impl Read, answer: impl Write) -> Result<(), Error> {
    let job: Job = serde_json::from_reader(job.take(1 << 20)).map_err(|_| no_job())?;
    let (pipeline, slice) = (job.pipeline()?, job.slice()?);
    // A system without one of them is no reason not to try.
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
    limit(Resource::Core, 0);
    limit(Resource::As, job.weight_bytes.saturating_mul(4).saturating_add(ADDRESS_SPACE));
    limit(Resource::Cpu, CPU_SECONDS);
    let mut scratch = Scratch::default();
    let decoded = pipeline.decode(&slice.at, &mut scratch).and_then(|found| slice.check_same(found));
    let outcome = (1..pipeline.steps()).fold(decoded, |outcome, step| pipeline.step(step, outcome, &mut scratch));
    answer::write(&outcome, answer).map_err(|error| Error::Bug(format!("try-slice: {error}")))
}

fn limit(resource: Resource, most: u64) {
    let now = getrlimit(resource);
    let most = [now.current, now.maximum].into_iter().flatten().fold(most, u64::min);
    let _ = setrlimit(resource, Rlimit { current: Some(most), maximum: now.maximum });
}
