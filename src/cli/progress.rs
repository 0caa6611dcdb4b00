//! Progress while a conversion runs: a bar for people, JSON lines for programs.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use dcmshard::runner::{Counters, Snapshot};
use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;

use super::args::Progress;
use super::summary::peak_memory_bytes;

const BAR_EVERY: Duration = Duration::from_millis(200);
const JSON_EVERY: Duration = Duration::from_secs(1);

/// Progress being shown; [`Shown::end`] says the last state.
pub struct Shown {
    thread: Option<(Sender<()>, JoinHandle<()>)>,
}

/// Starts to show progress in the way asked for.
pub fn show(how: Progress, counters: Arc<Counters>) -> Shown {
    let (end, ended) = bounded(0);
    let run: fn(&Counters, &Receiver<()>) = match how {
        Progress::Bar => bar,
        Progress::Auto if io::stderr().is_terminal() => bar,
        Progress::Json => json_lines,
        Progress::Auto | Progress::None => return Shown { thread: None },
    };
    Shown { thread: Some((end, thread::spawn(move || run(&counters, &ended)))) }
}

impl Shown {
    /// Says the last state and stops.
    pub fn end(self) {
        if let Some((end, thread)) = self.thread {
            drop(end);
            let _ = thread.join();
        }
    }
}

/// Calls `tell` every `interval` until the run has ended, and once more then.
fn each(interval: Duration, ended: &Receiver<()>, mut tell: impl FnMut(Duration)) {
    let started = Instant::now();
    while ended.recv_timeout(interval).is_err_and(|error| error.is_timeout()) {
        tell(started.elapsed());
    }
    tell(started.elapsed());
}

fn bar(counters: &Counters, ended: &Receiver<()>) {
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{elapsed_precise} [{wide_bar}] {pos}/{len} slices {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
    each(BAR_EVERY, ended, |elapsed| {
        let now = counters.snapshot();
        bar.set_length(now.planned);
        bar.set_position(done(&now));
        bar.set_message(message(&now, elapsed));
    });
    bar.finish_and_clear();
}

fn message(now: &Snapshot, elapsed: Duration) -> String {
    let rate = rate(done(now), elapsed);
    let left = now.planned.saturating_sub(done(now)) as f64 / rate;
    let left = if rate > 0.0 && left.is_finite() {
        HumanDuration(Duration::from_secs_f64(left)).to_string()
    } else {
        "?".into()
    };
    let mib = rate_of_bytes(now, elapsed);
    format!("{rate:.0}/s {mib:.0} MiB/s, {} rejected, {left} left", now.rejected)
}

fn json_lines(counters: &Counters, ended: &Receiver<()>) {
    each(JSON_EVERY, ended, |elapsed| {
        let now = counters.snapshot();
        let line = json!({
            "elapsed_s": elapsed.as_secs_f64(),
            "planned": now.planned,
            "done": done(&now),
            "written": now.written,
            "rejected": now.rejected,
            "shards": now.shards,
            "slices_per_s": rate(done(&now), elapsed),
            "mib_per_s": rate_of_bytes(&now, elapsed),
            "peak_memory_bytes": peak_memory_bytes(),
        });
        let _ = writeln!(io::stderr(), "{line}");
    });
}

/// Slices of this run that are rows or rejects.
fn done(now: &Snapshot) -> u64 {
    now.written + now.rejected
}

fn rate(count: u64, elapsed: Duration) -> f64 {
    count as f64 / elapsed.as_secs_f64().max(1e-9)
}

fn rate_of_bytes(now: &Snapshot, elapsed: Duration) -> f64 {
    rate(now.bytes_read, elapsed) / f64::from(1 << 20)
}
