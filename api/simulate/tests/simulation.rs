//! Whole simulations: they repeat to the byte, and what is told of them can be read.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use clap::Parser;
use muster_engine::policy::DispatchPolicy;
use muster_simulate::{SimulateOptions, Simulation, simulate, write_html};

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    options: SimulateOptions,
}

fn simulated(arguments: &[&str]) -> Simulation {
    let small = ["simulate", "--trip-share", "0.06", "--minutes", "8", "--quiet"];
    let fleet = if arguments.contains(&"--drivers") { &[][..] } else { &["--drivers", "250"] };
    let arguments = small.iter().chain(fleet).chain(arguments);
    let options = Cli::try_parse_from(arguments).unwrap().options;
    simulate(&options, &DispatchPolicy::default(), None).unwrap()
}

fn told(simulation: &Simulation) -> String {
    serde_json::to_string(simulation).unwrap()
}

#[test]
fn a_seed_tells_the_same_to_the_byte_and_another_seed_something_else() {
    let modes = "--modes=broadcast,sequential,batched,instant";
    let one = simulated(&["--seeds", "2", modes]);
    assert!(one.clean(), "{one}");
    assert_eq!(told(&one), told(&simulated(&["--seeds", "2", modes])));
    assert_ne!(one.runs[0].figures, one.runs[1].figures);
    assert_eq!(one.columns.len(), 4);
    for run in &one.runs {
        let count = |name: &str| run.figures[name];
        let unserved = run.unserved.values().sum::<usize>() as f64;
        assert_eq!(count("requested"), count("served") + unserved, "{}", run.policy);
        assert!(count("served_pct") > 50.0, "{}: {:?}", run.policy, run.figures);
        let of_cells: usize = run.cells.iter().map(|cell| cell.requested).sum();
        assert_eq!(of_cells as f64, count("requested"));
    }
}

#[test]
fn the_table_has_a_column_for_each_policy_and_fleet() {
    let set = ["--policy", "short=mode=batched,batch_window_ms=3000", "--drivers", "150,250"];
    let simulation = simulated(&[&["--seeds", "2", "--modes=nearest"][..], &set].concat());
    let table = simulation.to_string();
    let row = |name: &str| {
        let found = table.lines().find(|line| line.trim_start().starts_with(name)).unwrap();
        found.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(row("sequential"), ["sequential", "short", "sequential", "short"]);
    assert_eq!(row("150 cars"), ["150", "cars", "150", "cars", "250", "cars", "250", "cars"]);
    assert!(
        row("riders served").iter().filter(|cell| cell.starts_with('±')).count() >= 2,
        "{table}"
    );
}

/// The tags of a page, checked to be closed in their order.
fn tags(page: &str) -> Vec<String> {
    let (mut open, mut seen): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
    for part in page.split('<').skip(1) {
        let (tag, _) = part.split_once('>').expect("a tag ends");
        let name: String = tag.chars().take_while(|c| c.is_alphanumeric() || *c == '/').collect();
        if let Some(closed) = name.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(closed), "</{closed}>");
        } else {
            let ends_itself = tag.ends_with('/') || tag.starts_with('!') || name == "meta";
            if !ends_itself {
                open.push(name.clone());
            }
            seen.push(name);
        }
    }
    assert_eq!(open, Vec::<String>::new());
    seen
}

#[test]
fn the_report_is_one_well_formed_page_that_loads_nothing() {
    let simulation = simulated(&["--seeds", "2"]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.html");
    write_html(&simulation, &path).unwrap();
    let page = std::fs::read_to_string(&path).unwrap();
    let tags = tags(&page);
    let count = |name: &str| tags.iter().filter(|tag| *tag == name).count();
    assert_eq!(count("polyline"), 4, "two distributions of two columns");
    assert!(count("polygon") > 20 && count("figure") == 13, "{} figures", count("figure"));
    for outside in ["<script", "http:", "https:", "src=", "@import", "url("] {
        assert!(!page.contains(outside), "{outside}");
    }
    // A browser matches rules against what <use> shows without its ancestors.
    assert!(page.contains("}.street{") && page.contains("<use href=\"#streets\"/>"));
    assert!(!page.contains("NaN") && !page.contains("inf "), "figures are numbers");
    let error = write_html(&simulation, &folder.path().join("none/report.html")).unwrap_err();
    assert!(error.to_string().contains("none/report.html"), "{error}");
}

#[test]
fn trips_of_a_file_are_simulated_and_a_bad_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trips.csv");
    let head = "pickup_ts,pickup_lat,pickup_lon,dropoff_lat,dropoff_lon\n";
    let rows: String = (0..30)
        .map(|n| format!("{},37.78,-122.41,37.7{},-122.42\n", 1_211_018_400 + n * 10, n % 10))
        .collect();
    std::fs::write(&path, format!("{head}{rows}")).unwrap();
    let options = |path: &str| {
        let arguments = ["simulate", "--trips", path, "--drivers", "40", "--seeds", "1", "--quiet"];
        Cli::try_parse_from(arguments).unwrap().options
    };
    let of = |path: &str| simulate(&options(path), &DispatchPolicy::default(), None);
    let simulation = of(path.to_str().unwrap()).unwrap();
    assert_eq!(simulation.trips, "trips.csv");
    assert_eq!(simulation.runs[0].figures["requested"], 30.0);
    let error = of("/nowhere/trips.csv").unwrap_err().to_string();
    assert!(error.contains("/nowhere/trips.csv"), "{error}");
}
