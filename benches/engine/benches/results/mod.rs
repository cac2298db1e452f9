//! A bench that times by itself keeps its figures in `benches/results`, when `SAVE_FIGURES` is set.

use std::path::Path;

use muster_figures::Suite;

/// Keeps the suite, when that is asked for.
pub(crate) fn save(suite: &Suite) {
    if std::env::var_os("SAVE_FIGURES").is_some() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        suite.save(&root).expect("benches/results can be written");
    }
}
