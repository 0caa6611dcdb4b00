//! Progress while a conversion runs: a bar for people, JSON lines for programs.

use std::collections::VecDeque;
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use dcmshard::convert::{PlanSummary, Summary};
use dcmshard::error::{Error, ExitCode};
use dcmshard::runner::{Counters, Snapshot};
use dcmshard::sink::ledger::Tally;
use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Map, Value as Json, json};

use super::args::Progress;
use super::summary::{CLASSES, peak_memory_bytes};

const BAR_EVERY: Duration = Duration::from_millis(200);
const JSON_EVERY: Duration = Duration::from_secs(1);
/// Rates are those of so much of the past: a run that stalls shows it, and the time left follows.
const RATE_OVER: Duration = Duration::from_secs(30);

/// Progress being shown; [`Shown::end`] says the last state.
pub struct Shown {
    started: Instant,
    counters: Arc<Counters>,
    thread: Option<(Sender<()>, JoinHandle<()>)>,
    is_json: bool,
}

/// Starts to show progress in the way asked for.
pub fn show(how: Progress, counters: Arc<Counters>) -> Shown {
    let run: Option<fn(&Counters, &Receiver<()>)> = match how {
        Progress::Bar => Some(bar),
        Progress::Auto if io::stderr().is_terminal() => Some(bar),
        Progress::Json => Some(json_lines),
        Progress::Auto | Progress::None => None,
    };
    let thread = run.map(|run| {
        let (end, ended) = bounded(0);
        let counters = counters.clone();
        (end, thread::spawn(move || run(&counters, &ended)))
    });
    Shown { started: Instant::now(), counters, thread, is_json: how == Progress::Json }
}

impl Shown {
    /// Stops; as JSON, says how the run ended in a last line.
    pub fn end(self, ended: &Result<Summary, Error>) {
        self.end_with(ending(ended.as_ref().map(|summary| (summary.exit_code(), Some(&summary.tally)))));
    }

    /// As [`Shown::end`], of a run that only plans.
    pub fn end_planning(self, ended: &Result<PlanSummary, Error>) {
        self.end_with(ending(ended.as_ref().map(|summary| (summary.exit_code(), None))));
    }

    fn end_with(self, ending: Map<String, Json>) {
        if let Some((end, thread)) = self.thread {
            drop(end);
            let _ = thread.join();
        }
        if self.is_json {
            let elapsed = self.started.elapsed();
            let mut rates = Rates::default();
            rates.see(elapsed, &self.counters.snapshot());
            let mut line = state(&self.counters.snapshot(), elapsed, &rates);
            line.extend(ending);
            say(line);
        }
    }
}

/// Calls `tell` every `interval` until the run has ended.
fn each(interval: Duration, ended: &Receiver<()>, mut tell: impl FnMut(Duration)) {
    let started = Instant::now();
    while ended.recv_timeout(interval).is_err_and(|error| error.is_timeout()) {
        tell(started.elapsed());
    }
}

fn bar(counters: &Counters, ended: &Receiver<()>) {
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{elapsed_precise} [{wide_bar}] {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
    let mut rates = Rates::default();
    each(BAR_EVERY, ended, |elapsed| {
        let now = counters.snapshot();
        rates.see(elapsed, &now);
        bar.set_length(now.planned.max(1));
        bar.set_position(done(&now));
        bar.set_message(message(&now, &rates));
    });
    bar.finish_and_clear();
}

/// `139 of 240, 172/s, 87 MiB/s, 0 rejected, 2 hours left`. A `+` says that the plan still grows:
/// what is left is at least that.
fn message(now: &Snapshot, rates: &Rates) -> String {
    if now.planned == 0 {
        return format!("planning: {} headers read", now.headers_read);
    }
    let grows = if now.plan_is_complete { "" } else { "+" };
    let left = rates.time_left(now).map_or("?".to_owned(), |left| HumanDuration(left).to_string());
    let (slices, mib) = rates.per_second();
    let (done, planned, rejected) = (done(now), now.planned, now.rejected);
    format!("{done} of {planned}{grows}, {slices:.0}/s, {mib:.0} MiB/s, {rejected} rejected, {left}{grows} left")
}

fn json_lines(counters: &Counters, ended: &Receiver<()>) {
    let mut rates = Rates::default();
    each(JSON_EVERY, ended, |elapsed| {
        let now = counters.snapshot();
        rates.see(elapsed, &now);
        say(state(&now, elapsed, &rates));
    });
}

fn say(line: Map<String, Json>) {
    let _ = writeln!(io::stderr(), "{}", Json::Object(line));
}

/// What both every line and the last one say.
fn state(now: &Snapshot, elapsed: Duration, rates: &Rates) -> Map<String, Json> {
    let (slices_per_s, mib_per_s) = rates.per_second();
    let fields = [
        ("state", json!(if now.planned == 0 { "planning" } else { "converting" })),
        ("elapsed_s", json!(elapsed.as_secs_f64())),
        ("headers_read", json!(now.headers_read)),
        ("found", json!(now.found)),
        ("planned", json!(now.planned)),
        ("plan_is_complete", json!(now.plan_is_complete)),
        ("done", json!(done(now))),
        ("existing", json!(now.existing)),
        ("written", json!(now.written)),
        ("rejected", json!(now.rejected)),
        ("shards", json!(now.shards)),
        ("slices_per_s", json!(slices_per_s)),
        ("mib_per_s", json!(mib_per_s)),
        ("eta_s", json!(rates.time_left(now).map(|left| left.as_secs_f64()))),
        ("peak_memory_bytes", json!(peak_memory_bytes())),
    ];
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// What the last line says besides: how the run ended, and what the whole data set holds.
fn ending(ended: Result<(ExitCode, Option<&Tally>), &Error>) -> Map<String, Json> {
    let (state, exit_code) = match ended {
        Ok((code, _)) => ("done", code),
        Err(error @ Error::Interrupted(_)) => ("interrupted", error.exit_code()),
        Err(error) => ("failed", error.exit_code()),
    };
    let mut fields = Map::new();
    fields.insert("state".into(), json!(state));
    fields.insert("exit_code".into(), json!(exit_code as u8));
    match ended {
        Ok((_, None)) => {}
        Ok((_, Some(tally))) => {
            let classes = CLASSES.map(|class| (class.as_str().to_owned(), json!(tally.of(class))));
            let mut dataset: Map<String, Json> = classes.into_iter().collect();
            let reasons = tally.reasons.iter().map(|(reason, count)| (reason.as_str().to_owned(), json!(count)));
            dataset.insert("found".into(), json!(tally.found));
            dataset.insert("reasons".into(), Json::Object(reasons.collect()));
            fields.insert("dataset".into(), Json::Object(dataset));
        }
        Err(error) => drop(fields.insert("error".into(), json!(error.to_string()))),
    }
    fields
}

/// Planned slices that are rows or rejects, by this run or an earlier one.
fn done(now: &Snapshot) -> u64 {
    now.existing + now.written + now.rejected
}

/// The latest states: when, slices of this run that are rows or rejects, bytes read.
#[derive(Default)]
struct Rates(VecDeque<(Duration, u64, u64)>);

impl Rates {
    fn see(&mut self, elapsed: Duration, now: &Snapshot) {
        if self.0.is_empty() {
            self.0.push_back((Duration::ZERO, 0, 0));
        }
        self.0.push_back((elapsed, now.written + now.rejected, now.bytes_read));
        // the state before the oldest one that counts is kept, to be counted from
        while self.0.get(1).is_some_and(|(at, ..)| elapsed.saturating_sub(*at) >= RATE_OVER) {
            self.0.pop_front();
        }
    }

    /// Slices and MiB per second.
    fn per_second(&self) -> (f64, f64) {
        let (Some(first), Some(last)) = (self.0.front(), self.0.back()) else { return (0.0, 0.0) };
        let seconds = (last.0 - first.0).as_secs_f64().max(1e-9);
        ((last.1 - first.1) as f64 / seconds, (last.2 - first.2) as f64 / f64::from(1 << 20) / seconds)
    }

    /// Time that what is planned so far needs at this rate; `None` while nothing moves.
    fn time_left(&self, now: &Snapshot) -> Option<Duration> {
        let left = now.planned.saturating_sub(done(now)) as f64;
        let seconds = if left > 0.0 { left / self.per_second().0 } else { 0.0 };
        Duration::try_from_secs_f64(seconds).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(planned: u64, existing: u64, written: u64) -> Snapshot {
        Snapshot {
            steps: Vec::new(),
            headers_read: planned,
            found: planned,
            planned,
            plan_is_complete: false,
            existing,
            walked: written,
            bytes_read: written << 20,
            written,
            rejected: 0,
            shards: 0,
            peak_bytes: 0,
        }
    }

    #[test]
    fn shards_of_an_earlier_run_are_done_and_do_not_count_as_speed() {
        let mut rates = Rates::default();
        let now = snapshot(1000, 600, 100);
        rates.see(Duration::from_secs(10), &now);
        assert_eq!(rates.per_second(), (10.0, 10.0));
        assert_eq!(rates.time_left(&now), Some(Duration::from_secs(30)));
        assert_eq!(message(&now, &rates), "700 of 1000+, 10/s, 10 MiB/s, 0 rejected, 30 seconds+ left");
    }

    #[test]
    fn a_stalled_run_shows_no_speed_and_no_end() {
        let mut rates = Rates::default();
        let now = snapshot(1000, 0, 500);
        (0..100).for_each(|second| rates.see(Duration::from_secs(second), &now));
        assert_eq!((rates.per_second(), rates.time_left(&now)), ((0.0, 0.0), None));
        assert!(rates.0.len() <= 32);
    }

    #[test]
    fn the_last_line_says_how_the_run_ended() {
        let ended = ending(Err(&Error::Interrupted(ExitCode::Terminated)));
        assert_eq!((&ended["state"], &ended["exit_code"]), (&json!("interrupted"), &json!(143)));
        let ended = ending(Err(&Error::Verify("a shard differs".into())));
        assert_eq!((&ended["state"], &ended["exit_code"]), (&json!("failed"), &json!(8)));
        assert_eq!(ended["error"], "a shard differs");
    }

    #[test]
    fn before_the_first_segment_the_plan_shows_that_it_moves() {
        let now = Snapshot { headers_read: 12, ..snapshot(0, 0, 0) };
        assert_eq!(message(&now, &Rates::default()), "planning: 12 headers read");
        assert_eq!(state(&now, Duration::ZERO, &Rates::default())["state"], "planning");
    }
}
