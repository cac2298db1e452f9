//! Records the source revision the binary is built from (`MUSTER_REVISION` of the environment where there
//! is no repository, as in an image's build), and watches the migrations.

use std::process::Command;

fn main() {
    let git = |args: &[&str]| {
        let output = Command::new("git").args(args).output().ok().filter(|o| o.status.success())?;
        String::from_utf8(output.stdout).ok().map(|text| text.trim().to_owned())
    };
    let given = std::env::var("MUSTER_REVISION").ok().filter(|revision| !revision.is_empty());
    let revision = given.or_else(|| git(&["rev-parse", "--short=12", "HEAD"]));
    let revision = revision.unwrap_or_else(|| "unknown".into());
    println!("cargo::rerun-if-env-changed=MUSTER_REVISION");
    println!("cargo::rustc-env=MUSTER_REVISION={revision}");
    // They are compiled in, and the compiler does not notice a new one.
    println!("cargo::rerun-if-changed=migrations");
    if let Some(head) = git(&["rev-parse", "--git-path", "logs/HEAD"]) {
        println!("cargo::rerun-if-changed={head}");
    }
}
