//! What a conversion came to, as the table at its end.

use std::fmt::Write as _;
use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};
use dcmshard::convert::{PlanSummary, Summary};
use dcmshard::finalize::Finalized;
use dcmshard::plan::PlanCounts;
use dcmshard::reason::Class;
use dcmshard::runner::Snapshot;
use dcmshard::sink::ledger::Tally;
use dcmshard::sink::manifest;
use indicatif::HumanDuration;

/// In the order of the table.
pub const CLASSES: [Class; 4] = [Class::Written, Class::Rejected, Class::Duplicate, Class::Filtered];

/// What this run took.
pub struct Effort<'a> {
    /// Its counts.
    pub run: &'a Snapshot,
    /// From the first look at the sources to the manifest.
    pub elapsed: Duration,
    /// Stage calls at one moment.
    pub threads: NonZeroUsize,
}

/// The summary as text: the data set with the law of conservation, this run, where things are.
pub fn text(summary: &Summary, effort: &Effort<'_>, out: &Path, private: &Path) -> String {
    let mut text = format!("{}\n\n{}\n\n", counts(&summary.tally), law(&summary.tally));
    if effort.run.walked > 0 {
        let _ = writeln!(text, "{}\n\n{}", steps(effort), limit(effort));
    }
    let _ = writeln!(text, "{}", this_run(effort));
    text.push_str(&plan_notes(&summary.plan));
    let _ = writeln!(text, "shards  {}", out.join("data").display());
    if let Ok(Some(digest)) = manifest::rows_digest(out) {
        let _ = writeln!(text, "rows    digest {digest}: the same for every history of the same inputs");
    }
    let _ = writeln!(text, "ledger  {}: a row for everything found, with its reason", out.join("ledger").display());
    let _ = writeln!(text, "paths   {}: source_id to path, not to be shared", private.join("paths").display());
    text
}

/// What planning found, and what there is to make, as text.
pub fn plan(summary: &PlanSummary, out: &Path) -> String {
    let (tally, planned) = (&summary.tally, summary.planned());
    let mut table = table(["class", "reason", "count"], 2);
    table.add_row(["planned", "", &planned.to_string()]);
    for class in CLASSES.into_iter().filter(|class| *class != Class::Written) {
        add_class(&mut table, tally, class);
    }
    let [_, rejected, duplicate, filtered] = CLASSES.map(|class| tally.of(class));
    let PlanSummary { shards, shards_to_make, .. } = summary;
    let notes = plan_notes(&summary.plan);
    format!(
        "{table}\n\nfound {} = planned {planned} + rejected {rejected} + duplicate {duplicate} + filtered {filtered}\n\
         {notes}{shards} shards planned, {shards_to_make} to make: dcmshard convert, or convert --worker i/N and then \
         finalize\nplan    {}\n",
        tally.found,
        out.join("plan").display()
    )
}

/// What a data set holds that workers made, as text.
pub fn finalized(found: &Finalized, out: &Path) -> String {
    let (counts, law) = (counts(&found.tally), law(&found.tally));
    format!("{counts}\n\n{law}\n{} shards: {}\n", found.shards, out.join("data").display())
}

fn counts(tally: &Tally) -> Table {
    let mut table = table(["class", "reason", "count"], 2);
    CLASSES.into_iter().for_each(|class| add_class(&mut table, tally, class));
    table
}

fn add_class(table: &mut Table, tally: &Tally, class: Class) {
    table.add_row([class.as_str(), "", &tally.of(class).to_string()]);
    for (reason, count) in tally.reasons.iter().filter(|(reason, _)| reason.class() == class) {
        table.add_row(["", reason.as_str(), &count.to_string()]);
    }
}

/// `found = written + rejected + duplicate + filtered`, with the numbers.
pub fn law(tally: &Tally) -> String {
    let of = |class| tally.of(class);
    format!(
        "found {} = written {} + rejected {} + duplicate {} + filtered {}",
        tally.found,
        of(Class::Written),
        of(Class::Rejected),
        of(Class::Duplicate),
        of(Class::Filtered)
    )
}

/// What each step cost, in this run.
fn steps(effort: &Effort<'_>) -> Table {
    let mut table = table(["step", "slices", "ms/slice", "share"], 1);
    let work = work(effort.run);
    for step in &effort.run.steps {
        let busy = step.busy.as_secs_f64();
        let ms = busy * 1e3 / step.slices.max(1) as f64;
        let share = format!("{:.0} %", 100.0 * busy / work);
        table.add_row([step.name, &step.slices.to_string(), &format!("{ms:.2}"), &share]);
    }
    table
}

/// Seconds spent in steps, added up over threads.
fn work(run: &Snapshot) -> f64 {
    run.steps.iter().map(|step| step.busy.as_secs_f64()).sum::<f64>().max(1e-9)
}

/// What held the run: its dearest step, or what the threads waited for.
fn limit(effort: &Effort<'_>) -> String {
    let threads = effort.threads.get();
    let busy = 100.0 * work(effort.run) / (effort.elapsed.as_secs_f64() * threads as f64).max(1e-9);
    let dearest = effort.run.steps.iter().max_by_key(|step| step.busy).map_or("none", |step| step.name);
    if busy < 50.0 {
        format!("the limit: planning or the disk (--threads {threads}, busy {busy:.0} % of the time)")
    } else {
        format!("the limit: {dearest} (--threads {threads}, busy {busy:.0} % of the time)")
    }
}

/// How long it took, how fast it was, what is new.
fn this_run(effort: &Effort<'_>) -> String {
    let Effort { run, elapsed, .. } = effort;
    let seconds = elapsed.as_secs_f64().max(1e-9);
    let slices = run.written + run.rejected;
    let took = if seconds < 60.0 { format!("{seconds:.1} s") } else { HumanDuration(*elapsed).to_string() };
    let mib = run.bytes_read as f64 / f64::from(1 << 20);
    let (peak, shards) = (peak_memory_bytes() >> 20, run.shards);
    format!(
        "this run: {slices} slices in {took}, {:.0} slices/s, {:.0} MiB/s read; {shards} new shards, peak memory {peak} MiB",
        slices as f64 / seconds,
        mib / seconds
    )
}

/// What the plan came across besides: one line each, where there is any.
fn plan_notes(plan: &PlanCounts) -> String {
    let notes = [
        (plan.known, "inputs were known already and not opened"),
        (plan.touched, "inputs have another time, and the same content"),
        (plan.changed, "inputs changed since they were converted; their old rows stay (exit code 3)"),
        (plan.vanished, "inputs of earlier runs are no longer there; their rows stay"),
        (plan.unreadable_folders, "folders could not be listed: see reason unreadable in the ledger"),
    ];
    let said = notes.iter().filter(|(count, _)| *count > 0);
    said.map(|(count, what)| format!("{count} {what}\n")).collect()
}

/// A table whose columns from `numbers` on are numbers.
fn table<const N: usize>(header: [&str; N], numbers: usize) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header(header);
    for column in table.column_iter_mut().skip(numbers) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// The largest resident size of this process so far, as the system counts it; 0 where it does not.
pub fn peak_memory_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|text| text.trim().trim_end_matches("kB").trim().parse::<u64>().ok()).unwrap_or(0) << 10
}

#[cfg(test)]
mod tests {
    use dcmshard::pipeline::Pipeline;
    use dcmshard::recipe::Recipe;
    use dcmshard::runner::{Counters, StepSnapshot};

    use super::*;

    fn run_of(busy_ms: [u64; 2]) -> Snapshot {
        let pipeline = Pipeline::new(&Recipe::head(), &dcmshard::identity::Key::new([0; 32]));
        let step = |name, ms| StepSnapshot { name, slices: 10, busy: Duration::from_millis(ms) };
        let steps = vec![step("decode", busy_ms[0]), step("tilt", busy_ms[1])];
        Snapshot { steps, written: 10, bytes_read: 20 << 20, shards: 1, ..Counters::new(&pipeline).snapshot() }
    }

    #[test]
    fn the_limit_is_the_dearest_step_or_what_the_threads_waited_for() {
        let threads = NonZeroUsize::MIN;
        let run = run_of([200, 700]);
        let busy = Effort { run: &run, elapsed: Duration::from_secs(1), threads };
        assert_eq!(limit(&busy), "the limit: tilt (--threads 1, busy 90 % of the time)");
        assert!(steps(&busy).to_string().contains("| tilt   |     10 |    70.00 |  78 % |"), "{}", steps(&busy));
        let idle = Effort { elapsed: Duration::from_secs(10), ..busy };
        assert_eq!(limit(&idle), "the limit: planning or the disk (--threads 1, busy 9 % of the time)");
        assert!(this_run(&idle).starts_with("this run: 10 slices in 10.0 s, 1 slices/s, 2 MiB/s read; 1 new shards"));
    }
}
