//! Makes the documents of what was measured; see `figures --help`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use muster_figures::{Documents, Suite, TimeUnit, import_criterion};

/// Makes pages, plots and the README's section of benches/results/*.json and benches/headlines.toml.
#[derive(Parser)]
struct Cli {
    /// The tree.
    #[arg(long, value_name = "DIR", default_value = ".", global = true)]
    root: PathBuf,
    /// Writes nothing, and fails when something is not as it would be written.
    #[arg(long)]
    check: bool,
    #[command(subcommand)]
    task: Option<Task>,
}

#[derive(Subcommand)]
enum Task {
    /// Puts what criterion measured into a suite.
    ImportCriterion {
        /// The suite's name.
        suite: String,
        /// Groups of benchmarks.
        #[arg(required = true)]
        groups: Vec<String>,
        /// What people read above the suite [default: as it was].
        #[arg(long)]
        title: Option<String>,
        /// The command that measures it again [default: as it was].
        #[arg(long)]
        command: Option<String>,
        /// The unit of times.
        #[arg(long, value_enum, default_value = "us")]
        unit: TimeUnit,
        /// Where criterion keeps its results.
        #[arg(long, value_name = "DIR", default_value = "target/criterion")]
        from: PathBuf,
    },
}

#[expect(clippy::print_stdout, reason = "what is outdated or missing is what the tool is for")]
fn main() -> anyhow::Result<ExitCode> {
    let Cli { root, check, task } = Cli::parse();
    if let Some(Task::ImportCriterion { suite, groups, title, command, unit, from }) = task {
        // What was written about the figures outlives them.
        let before = Suite::load(&root, &suite).ok();
        let old = |of: fn(&Suite) -> &String| before.as_ref().map(|suite| of(suite).clone());
        let title = title.or_else(|| old(|suite| &suite.title)).unwrap_or_else(|| suite.clone());
        let command = command.or_else(|| old(|suite| &suite.command)).unwrap_or_default();
        let mut renewed = Suite::new(&suite, &title, &command);
        if let Some(before) = before {
            renewed.figures = before.figures;
            renewed.missing = before.missing;
            renewed.notes = before.notes;
        }
        import_criterion(&mut renewed, &root.join(from), &groups, unit)?;
        renewed.save(&root)?;
    }
    let documents = Documents::make(&root)?;
    for sentence in documents.missing() {
        println!("{sentence}");
    }
    if !check {
        documents.write()?;
        return Ok(ExitCode::SUCCESS);
    }
    let outdated = documents.outdated();
    for file in &outdated {
        println!("{} is not what `figures` would write", file.display());
    }
    Ok(if outdated.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
