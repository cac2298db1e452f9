//! A small city under every mode of dispatch, by the command line.

use serde_json::Value;

use crate::server::muster;

#[test]
fn every_mode_serves_a_small_city_and_none_breaks_an_invariant() {
    let folder = tempfile::tempdir().unwrap();
    let words =
        ["replay", "--compare", "--drivers", "60", "--trip-share", "0.03", "--minutes", "2"];
    let more = ["--wind-down-minutes", "3", "--speed", "60", "--quiet", "--json"];
    let output = muster(folder.path()).args(words).args(more).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    let told: Value = serde_json::from_slice(&output.stdout).expect(&error);
    assert!(output.status.success(), "{error}{told}");
    let runs = told["runs"].as_array().unwrap();
    let modes: Vec<&str> = runs.iter().filter_map(|run| run["mode"].as_str()).collect();
    assert_eq!(modes, ["broadcast", "sequential", "batched", "quotes", "instant", "queue", "otp"]);
    let number = |run: &Value, name: &str| run["summary"][name].as_u64().unwrap();
    let requested = number(&runs[0], "requested");
    assert!(requested > 10, "{told}");
    for run in runs {
        assert_eq!(number(run, "requested"), requested, "{run}");
        assert!(number(run, "assigned") > 0, "{run}");
        assert_eq!(run["summary"]["server_invariant_violations"], 0, "{run}");
    }
    let of = |mode: &str| &runs[modes.iter().position(|name| *name == mode).unwrap()]["summary"];
    let waves = of("broadcast")["offers"].as_u64();
    assert!(waves > of("sequential")["offers"].as_u64(), "three are asked at once, or one: {told}");
    assert!(of("quotes")["choices"]["selected"].as_u64() > Some(0), "riders choose: {told}");
    assert_eq!(of("broadcast")["choices"], serde_json::json!({}));
}
