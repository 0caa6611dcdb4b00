//! What a conversion came to, as the table at its end.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use comfy_table::{CellAlignment, Table, presets};
use dcmshard::convert::Summary;
use dcmshard::reason::Class;
use dcmshard::runner::Snapshot;
use dcmshard::sink::ledger::Tally;

/// The summary as text: the table, the law of conservation, where things are.
pub fn text(summary: &Summary, run: &Snapshot, out: &Path) -> String {
    let mut text = format!("{}\n\n{}\n", counts(summary), law(&summary.tally));
    let _ = writeln!(text, "{}\n", steps(run));
    if summary.plan.changed > 0 {
        let changed = summary.plan.changed;
        let _ = writeln!(text, "{changed} inputs changed since they were converted; their old rows stay (exit code 3)");
    }
    if summary.plan.unreadable_folders > 0 {
        let folders = summary.plan.unreadable_folders;
        let _ = writeln!(text, "{folders} folders could not be listed: see reason unreadable in the ledger");
    }
    let known = summary.plan.known;
    if known > 0 {
        let _ = writeln!(text, "{known} inputs were known already and not opened");
    }
    let peak = peak_memory_bytes() >> 20;
    let _ = writeln!(text, "{} new shards, peak memory {peak} MiB", run.shards);
    let _ = writeln!(text, "shards: {}", out.join("data").display());
    text
}

fn counts(summary: &Summary) -> Table {
    let mut table = table(["class", "reason", "count"]);
    for class in [Class::Written, Class::Rejected, Class::Duplicate, Class::Filtered] {
        table.add_row([class.as_str(), "", &summary.tally.of(class).to_string()]);
        let reasons = summary.tally.reasons.iter().filter(|(reason, _)| reason.class() == class);
        for (reason, count) in reasons {
            table.add_row(["", reason.as_str(), &count.to_string()]);
        }
    }
    table
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

/// What each step cost: the step with the most time is the limit.
fn steps(run: &Snapshot) -> Table {
    let mut table = table(["step", "slices", "ms/slice"]);
    for step in &run.steps {
        let ms = step.busy.as_secs_f64() * 1e3 / step.slices.max(1) as f64;
        table.add_row([step.name, &step.slices.to_string(), &format!("{ms:.2}")]);
    }
    table
}

fn table(header: [&str; 3]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header(header);
    for column in table.column_iter_mut().skip(1) {
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
