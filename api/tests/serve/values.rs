//! A table of values made of the bundled hour of trips, by the command line.

use std::path::Path;

use muster_engine::matching::ValueTable;

use crate::server::muster;

#[test]
fn a_table_is_made_of_an_hour_of_trips_and_knows_where_riders_are() {
    let folder = tempfile::tempdir().unwrap();
    let trips = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("replay/data/manhattan_trips_2013-11-18_16h.csv.zst");
    let output = folder.path().join("values.csv");
    let mut train = muster(folder.path());
    train.args(["values", "train", "--market", "nyc"]).arg("--trips").arg(trips);
    let trained = train.arg("--output").arg(&output).output().unwrap();
    let told = String::from_utf8_lossy(&trained.stdout);
    assert!(trained.status.success(), "{told}{}", String::from_utf8_lossy(&trained.stderr));
    assert!(told.starts_with("rides         16010\nwaits         "), "{told}");
    let table = ValueTable::parse(&std::fs::read_to_string(&output).unwrap()).unwrap();
    assert!(table.places() > 50 && table.highest_s() > 300.0, "{told}");

    let mut wrong = muster(folder.path());
    wrong.args(["values", "train", "--market", "atlantis", "--trips", "none.csv", "--output", "x"]);
    let refused = wrong.output().unwrap();
    let error = String::from_utf8_lossy(&refused.stderr);
    assert!(refused.status.code() == Some(2) && error.contains("atlantis"), "{error}");
}
