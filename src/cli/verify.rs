//! `dcmshard verify`.

use dcmshard::error::{Error, ExitCode};
use dcmshard::source;
use dcmshard::verify::{Against, Findings, Options, Progress, ReadData, verify, verify_and_set_aside};
use indicatif::{ProgressBar, ProgressStyle};

use super::args::VerifyArgs;
use super::{Ended, print, summary};

/// Verifies, and prints what was found. The bar shows on a terminal only.
pub fn run(args: &VerifyArgs) -> Ended {
    let options = options(args)?;
    let bar = ProgressBar::new(0);
    let style = ProgressStyle::with_template("[{wide_bar}] {pos}/{len} {msg}, {eta} left");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
    let report = &mut |now| show(&bar, now);
    let found = if args.set_aside {
        verify_and_set_aside(&args.out, &options, report)
    } else {
        verify(&args.out, &options, report).map(|findings| (findings, Vec::new()))
    };
    bar.finish_and_clear();
    let (findings, moved) = found?;
    print_findings(&findings, options.read_data);
    if findings.problems.is_empty() {
        return match findings.compared {
            Some(compared) if compared.none() => Err(Error::SourceIo {
                doing: "compare a single slice with",
                path: args.sources.first().cloned().unwrap_or_default(),
                source: std::io::Error::other(compared.to_string()),
            }),
            _ => Ok(ExitCode::Done),
        };
    }
    print_remedies(&findings, &moved, args);
    Ok(ExitCode::Verify)
}

fn options(args: &VerifyArgs) -> Result<Options, Error> {
    let read_data = if args.read_data { ReadData::All } else { args.read_data_subset.unwrap_or_default() };
    let against = |sources| Against { sources, key_file: args.key.clone(), rows: args.rows, seed: args.seed };
    let named = !args.sources.is_empty();
    let against = named.then(|| source::resolve(&args.sources).map(against)).transpose()?;
    Ok(Options { read_data, against })
}

fn show(bar: &ProgressBar, now: Progress) {
    let (position, length, what) = match now.to_remake {
        0 => (now.checked, now.shards, "shards"),
        slices => (now.remade, slices, "slices made again"),
    };
    bar.set_message(what);
    bar.set_length(length);
    bar.set_position(position);
}

fn print_findings(findings: &Findings, read_data: ReadData) {
    findings.problems.iter().for_each(|problem| print(&format!("{problem}\n")));
    print(&format!("{}\n", summary::law(&findings.tally)));
    let read = match (read_data, findings.shards_read) {
        (ReadData::All, _) => "every page read".to_owned(),
        (_, 0) => "no page of an image read".to_owned(),
        (_, some) => format!("every page of {some} shards read"),
    };
    print(&format!("rows digest {} ({read})\n", findings.rows_digest));
    if let Some(compared) = &findings.compared {
        print(&format!("{compared}\n"));
    }
    print(&format!("{} shards, {} rows, {} bytes", findings.shards, findings.rows, findings.bytes));
    match (findings.problems.len(), read_data) {
        (0, ReadData::All) => print(": whole, every page read\n"),
        (0, _) => print(": whole (--read-data also reads every page)\n"),
        (problems, _) => print(&format!(", {problems} problems\n")),
    }
}

/// What was done about the problems, and what is to be done.
fn print_remedies(findings: &Findings, moved: &[String], args: &VerifyArgs) {
    for file in moved {
        print(&format!("set aside: {file} (as .tmp/bad-*)\n"));
    }
    for file in findings.to_restore() {
        print(&format!(
            "not to be mended: {file} cannot be made again from OUT alone; put back a copy of it, or convert into a new OUT\n"
        ));
    }
    if args.set_aside && !findings.to_restore().is_empty() {
        print("nothing is set aside before that\n");
    }
    let damaged = findings.to_set_aside().len();
    if !args.set_aside && damaged > 0 {
        print(&format!("--set-aside moves the {damaged} damaged files away, so that convert makes them again\n"));
    } else if !moved.is_empty() {
        let out = args.out.display();
        print(&format!("go on with the command that made it: dcmshard convert SOURCE... --out {out}\n"));
    }
}
