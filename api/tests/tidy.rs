//! House rules that no compiler checks: who may depend on whom, sizes, heads, names, links.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;

/// A crate of ours, and the crates of ours it may use.
const LAYERS: [(&str, &[&str]); 12] = [
    ("muster-engine", &[]),
    ("muster-sim", &["muster-engine"]),
    ("muster-actors", &["muster-engine"]),
    ("muster-city", &[]),
    ("muster-figures", &[]),
    ("muster-services", &[]),
    ("muster-replay", &["muster-engine", "muster-city"]),
    ("muster-record", &["muster-engine"]),
    ("muster-simulate", &["muster-engine", "muster-city", "muster-record"]),
    (
        "muster-api",
        &[
            "muster-engine",
            "muster-actors",
            "muster-record",
            "muster-replay",
            "muster-services",
            "muster-simulate",
        ],
    ),
    ("muster-engine-benches", &["muster-engine", "muster-city", "muster-figures"]),
    (
        "muster-benches",
        &[
            "muster-engine",
            "muster-engine-benches",
            "muster-sim",
            "muster-actors",
            "muster-api",
            "muster-figures",
            "muster-replay",
            "muster-services",
        ],
    ),
];

/// Crates that bring IO, clocks, async or randomness: never in the engine.
const NOT_IN_ENGINE: [&str; 10] = [
    "actix",
    "actix-web",
    "tokio",
    "sqlx",
    "rand",
    "redis",
    "rdkafka",
    "tracing",
    "uuid",
    "reqwest",
];

const VAGUE_NAMES: [&str; 6] = ["utils", "util", "common", "manager", "helper", "helpers"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// The files git knows, with this ending.
fn files(ending: &str) -> Vec<PathBuf> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .expect("git lists the files");
    let listed = String::from_utf8(listed.stdout).unwrap();
    let mut paths: Vec<PathBuf> = listed
        .lines()
        .filter(|name| name.ends_with(ending))
        .map(|name| root().join(name))
        .collect();
    paths.retain(|path| path.is_file());
    assert!(!paths.is_empty(), "no {ending} files found");
    paths
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn stem(path: &Path) -> &str {
    path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default()
}

fn is_test(path: &Path) -> bool {
    let folder = path.components().any(|part| part.as_os_str() == "tests");
    folder || stem(path) == "tests" || stem(path).ends_with("_tests")
}

/// The lines of a file before its test module.
fn without_tests(text: &str) -> Vec<&str> {
    let lines: Vec<&str> = text.lines().collect();
    let tests = lines.windows(2).position(|pair| {
        pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod ") && pair[1].ends_with('{')
    });
    lines[..tests.unwrap_or(lines.len())].to_vec()
}

fn report(rule: &str, faults: &[String]) {
    assert!(faults.is_empty(), "{rule}:\n{}", faults.join("\n"));
}

#[test]
fn crates_depend_in_one_direction() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo metadata runs");
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut faults = Vec::new();
    let ours: BTreeSet<&str> = LAYERS.iter().map(|(name, _)| *name).collect();
    for package in metadata["packages"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        let Some((_, allowed)) = LAYERS.iter().find(|(layer, _)| *layer == name) else {
            faults.push(format!("{name} has no place among the layers"));
            continue;
        };
        for dependency in package["dependencies"].as_array().unwrap() {
            let used = dependency["name"].as_str().unwrap();
            if ours.contains(used) && !allowed.contains(&used) {
                faults.push(format!("{name} must not depend on {used}"));
            }
            if name == "muster-engine" && NOT_IN_ENGINE.contains(&used) {
                faults.push(format!("the engine must not depend on {used}"));
            }
        }
    }
    report("dependencies", &faults);
}

#[test]
fn files_are_short() {
    let too_long = |path: &PathBuf| {
        let lines = without_tests(&text(path)).len();
        (lines > FILE_LINES_MAX).then(|| format!("{}: {lines} lines", path.display()))
    };
    let files = files(".rs");
    let faults: Vec<String> =
        files.iter().filter(|path| !is_test(path)).filter_map(too_long).collect();
    report("files over the limit", &faults);
}

#[test]
fn functions_are_short() {
    let mut faults = Vec::new();
    for path in files(".rs").iter().filter(|path| !is_test(path)) {
        let text = text(path);
        let lines = without_tests(&text);
        for (begin, line) in lines.iter().enumerate() {
            let code = line.trim_start();
            let starts =
                ["fn ", "pub fn ", "pub(", "pub async ", "pub const ", "async ", "const fn "];
            let function = code.contains("fn ") && starts.iter().any(|s| code.starts_with(s));
            if !function || code.ends_with([';', '}']) {
                continue;
            }
            let indent = &line[..line.len() - code.len()];
            let close = format!("{indent}}}");
            let length = lines[begin..].iter().position(|line| *line == close);
            if length.is_some_and(|length| length >= FUNCTION_LINES_MAX) {
                faults.push(format!("{}:{}: {code}", path.display(), begin + 1));
            }
        }
    }
    report("functions over the limit", &faults);
}

#[test]
fn every_file_begins_by_saying_what_it_is() {
    let faults: Vec<String> = files(".rs")
        .iter()
        .filter(|path| !is_test(path) && !text(path).starts_with("//!"))
        .map(|path| path.display().to_string())
        .collect();
    report("no //! head", &faults);
}

#[test]
fn names_say_something() {
    let vague = |path: &&PathBuf| {
        VAGUE_NAMES.iter().any(|vague| stem(path).split('_').any(|word| word == *vague))
    };
    let files = files(".rs");
    let faults: Vec<String> =
        files.iter().filter(vague).map(|path| path.display().to_string()).collect();
    report("vague names", &faults);
}

#[test]
fn nothing_is_left_for_later() {
    let words = [["TO", "DO"], ["FIX", "ME"], ["XX", "X"], ["#[ig", "nore"]].map(|w| w.concat());
    let mut faults = Vec::new();
    for path in files(".rs") {
        for (number, line) in text(&path).lines().enumerate() {
            if words.iter().any(|word| line.contains(word.as_str())) {
                faults.push(format!("{}:{}: {}", path.display(), number + 1, line.trim()));
            }
        }
    }
    report("left for later", &faults);
}

#[test]
fn only_the_shell_sends_without_bound() {
    let call = ["do_", "send("].concat();
    let faults: Vec<String> = files(".rs")
        .iter()
        .filter(|path| !path.starts_with(root().join("actors/src")))
        // It measures what the call costs.
        .filter(|path| !path.ends_with("benches/benches/actors.rs"))
        .filter(|path| text(path).contains(&call))
        .map(|path| path.display().to_string())
        .collect();
    report("do_send ignores the mailbox's bound and belongs to actors/ only", &faults);
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut faults = Vec::new();
    for path in files(".md") {
        let text = text(&path);
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = link.split('#').next().unwrap_or_default();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            if !path.parent().unwrap().join(target).exists() {
                faults.push(format!("{}: {link}", path.display()));
            }
        }
    }
    report("dead links", &faults);
}
