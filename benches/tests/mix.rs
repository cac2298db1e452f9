//! `load mix` from end to end, against a real server.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod server;

use server::{load, muster};

#[test]
fn fixes_and_rides_are_taken_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let (url, pid) = (muster(folder.path()), std::process::id());
    let mix = ["mix", "--drivers", "40", "--fixes-per-s", "100", "--rides-per-s", "5"];
    let figures = load(&url, pid, folder.path(), &[&mix[..], &["--seconds", "3"]].concat());
    let number = |key: &str| figures[key].as_f64().unwrap();
    assert_eq!((number("requested"), number("fixes_refused")), (15.0, 0.0), "{figures}");
    assert!(number("fixes_taken_per_s") > 90.0, "{figures}");
    assert!(figures["first_offer"]["n"].as_u64().unwrap() > 0, "{figures}");
}
