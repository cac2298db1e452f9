use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use muster_engine::driver::{Departure, DriverProfile, DriverRecord};
use muster_engine::geo::Position;
use muster_engine::id::{DriverId, MarketId};
use muster_engine::time::Timestamp;

use crate::files::files_in;
use crate::*;

fn at(ms: u64) -> Timestamp {
    Timestamp::from_millis(1_764_547_200_000 + ms)
}

fn driver(number: u64) -> DriverId {
    DriverId::new(&format!("d-{number}")).unwrap()
}

fn place(step: u64) -> Position {
    Position::from_degrees(40.0 + step as f64 * 0.001, -73.9).unwrap()
}

fn config(folder: &std::path::Path, bytes_max: u64) -> RecorderConfig {
    RecorderConfig {
        folder: folder.to_path_buf(),
        bytes_max,
        build: "test".to_owned(),
        clock_speed: 1.0,
        on_dropped: Box::new(|_| {}),
    }
}

/// A log of `count` fixes of as many drivers, written and closed.
fn recorded(folder: &std::path::Path, count: u64) {
    let recorder = Recorder::start(config(folder, RECORD_BYTES_MIN), at(0)).unwrap();
    for n in 0..count {
        recorder.tell(Input::Fix(at(n), driver(n), place(n)));
    }
    recorder.finish();
}

fn fixes(log: &Log) -> usize {
    log.lines.iter().filter(|line| matches!(line, Line::Fix(_))).count()
}

#[test]
fn what_is_told_is_read_back_by_time() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = Recorder::start(config(folder.path(), RECORD_BYTES_MIN), at(0)).unwrap();
    recorder.tell(Input::Fix(at(50), driver(1), place(0)));
    recorder.tell(Input::Fix(at(10), driver(2), place(3)));
    recorder.finish();
    let log = Log::read(folder.path()).unwrap();
    assert_eq!((log.files, log.faults), (1, LogFaults::default()));
    let fix =
        |ms, n, step| Line::Fix(FixLine { at: at(ms), driver: driver(n), position: place(step) });
    assert_eq!(log.lines, [fix(10, 2, 3), fix(50, 1, 0)]);
}

#[test]
fn fixes_are_thinned_by_way_and_time() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = Recorder::start(config(folder.path(), RECORD_BYTES_MIN), at(0)).unwrap();
    let near = Position::from_degrees(40.000_1, -73.9).unwrap();
    let told = [
        (0, place(0)),
        (10_000, near),
        (10_000, place(1)),
        (20_000, place(1)),
        (70_000, place(1)),
        (70_000, place(2)),
    ];
    told.into_iter().for_each(|(ms, place)| recorder.tell(Input::Fix(at(ms), driver(1), place)));
    recorder.finish();
    let log = Log::read(folder.path()).unwrap();
    let kept: Vec<u64> = log.lines.iter().map(|line| line.at().millis_since(at(0))).collect();
    assert_eq!(kept, [0, 10_000, 70_000]);
}

#[test]
fn an_hour_ends_a_file_and_the_next_one_stands_for_itself() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = Recorder::start(config(folder.path(), RECORD_BYTES_MIN), at(0)).unwrap();
    recorder.tell(Input::Fix(at(5), driver(1), place(0)));
    recorder.tell(Input::Fix(at(3_600_000), driver(2), place(0)));
    recorder.finish();
    let files = files_in(folder.path()).unwrap();
    assert_eq!(files.len(), 2);
    let second = Log::read(&files[1]).unwrap();
    let known = second.lines.iter().any(|line| line.at() == at(5));
    assert!(known && fixes(&second) >= 2, "where everybody was is told again: {second:?}");
}

#[test]
fn the_oldest_files_make_room_and_nothing_else_does() {
    let folder = tempfile::tempdir().unwrap();
    let foreign = folder.path().join("notes.txt");
    std::fs::write(&foreign, vec![0; 2 << 20]).unwrap();
    // Positions that do not compress, in hours of some 100 KB each.
    for hour in 0..12_u64 {
        let recorder =
            Recorder::start(config(folder.path(), RECORD_BYTES_MIN), at(hour * 3_600_000)).unwrap();
        for n in 0..12_000_u64 {
            let drawn = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ hour;
            let lat = (drawn >> 34) as f64 / f64::from(1 << 30) * 80.0;
            let lng = (drawn & 0x3fff_ffff) as f64 / f64::from(1 << 30) * 170.0;
            let position = Position::from_degrees(lat, lng).unwrap();
            recorder.tell(Input::Fix(at(hour * 3_600_000 + n), driver(n % 200), position));
        }
        recorder.finish();
    }
    let files = files_in(folder.path()).unwrap();
    let sizes = files.iter().map(|file| std::fs::metadata(file).unwrap().len());
    let bytes: u64 = sizes.sum();
    assert!((2..12).contains(&files.len()), "{files:?}");
    // A file may exceed its share by what its encoder holds back.
    assert!(bytes < RECORD_BYTES_MIN + (1 << 19), "{bytes}");
    assert!(!files[0].to_string_lossy().contains("1764547200000"), "the oldest went: {files:?}");
    assert!(foreign.exists());
}

#[test]
fn a_log_cut_short_is_read_as_far_as_it_goes() {
    let folder = tempfile::tempdir().unwrap();
    recorded(folder.path(), 4_000);
    let file = files_in(folder.path()).unwrap().remove(0);
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, &whole[..whole.len() - 9]).unwrap();
    let log = Log::read(&file).unwrap();
    assert_eq!(log.faults.files_cut_short, 1);
    assert!(fixes(&log) < 4_000, "{}", fixes(&log));

    // A crash in the middle of a line.
    let text = "{\"muster_record\":1,\"began_at\":5,\"build\":\"x\",\"clock_speed\":1.0}\n\
        {\"type\":\"fix\",\"at\":7,\"driver\":\"d-1\",\"position\":{\"lat_e7\":1,\"lng_e7\":2}}\n\
        {\"type\":\"fix\",\"at\":8,\"dri";
    std::fs::write(&file, zstd::encode_all(text.as_bytes(), 3).unwrap()).unwrap();
    let log = Log::read(&file).unwrap();
    assert_eq!((fixes(&log), log.faults.files_cut_short), (1, 1));
}

#[test]
fn damaged_lines_are_counted_and_the_others_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("muster-record-00000000000005-000.jsonl.zst");
    let text = "{\"muster_record\":1,\"began_at\":5,\"build\":\"x\",\"clock_speed\":1.0}\n\
        {\"type\":\"fix\",\"at\":7,\"driver\":\"d-1\",\"position\":{\"lat_e7\":1,\"lng_e7\":2}}\n\
        {\"type\":\"fix\",\"at\":7,\"driver\":\"d-1\",\"position\":{\"lat_e7\":2000000000,\"lng_e7\":2}}\n\
        {\"type\":\"sighting\",\"at\":7}\n\
        \u{0}\u{0}garbage\n\
        {\"type\":\"dropped\",\"at\":8,\"lines\":3}\n\
        {\"type\":\"fix\",\"at\":9,\"driver\":\"d-1\",\"position\":{\"lat_e7\":1,\"lng_e7\":2}}\n";
    std::fs::write(&file, zstd::encode_all(text.as_bytes(), 3).unwrap()).unwrap();
    let log = Log::read(folder.path()).unwrap();
    let faults = LogFaults { lines_damaged: 3, lines_dropped: 3, ..LogFaults::default() };
    assert_eq!((fixes(&log), log.faults), (2, faults));
}

#[test]
fn what_is_no_log_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let error = |path: &std::path::Path| Log::read(path).unwrap_err().to_string();
    assert!(error(&folder.path().join("none")).contains("none"));
    assert!(error(folder.path()).contains("holds no file of a recorded log"));
    let newer = folder.path().join("muster-record-00000000000005-000.jsonl.zst");
    let header = "{\"muster_record\":2,\"began_at\":5,\"build\":\"x\",\"clock_speed\":1.0}\n";
    std::fs::write(&newer, zstd::encode_all(header.as_bytes(), 3).unwrap()).unwrap();
    assert!(error(folder.path()).contains("its format is version 2, this build reads version 1"));
    std::fs::write(&newer, b"no zstd at all").unwrap();
    assert!(error(&newer).contains("its header cannot be read"), "{}", error(&newer));
    // Beside a readable file it is passed over.
    recorded(folder.path(), 3);
    let log = Log::read(folder.path()).unwrap();
    assert_eq!((log.files, log.faults.files_unreadable, fixes(&log)), (1, 1, 3));
}

#[test]
fn a_writer_that_does_not_keep_up_drops_and_counts_and_the_log_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let dropped = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&dropped);
    let on_dropped = Box::new(move |inputs| {
        counted.fetch_add(inputs, Ordering::Relaxed);
    });
    let config = RecorderConfig { on_dropped, ..config(folder.path(), RECORD_BYTES_MIN) };
    let recorder = Recorder::start(config, at(0)).unwrap();
    let told = LINES_WAITING_MAX as u64 * 20;
    for n in 0..told {
        recorder.tell(Input::Fix(at(n), driver(n), place(0)));
    }
    let lost = recorder.dropped();
    recorder.finish();
    let log = Log::read(folder.path()).unwrap();
    assert!(lost > 0, "a loop that only sends is faster than JSON and zstd");
    assert_eq!(dropped.load(Ordering::Relaxed), lost);
    assert_eq!(log.faults.lines_dropped, lost);
    assert_eq!(fixes(&log) as u64 + lost, told);
}

#[test]
fn first_lines_longer_than_a_file_do_not_end_it() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = Recorder::start(config(folder.path(), RECORD_BYTES_MIN), at(0)).unwrap();
    let vehicle: String =
        (0..40_000_u64).map(|n| format!("{:x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect();
    let mut record = driver_record();
    record.profile.vehicle = vehicle.into();
    recorder.tell(Input::Driver(at(0), Box::new(record)));
    for n in 0..100 {
        recorder.tell(Input::Fix(at(3_600_000 + n), driver(n), place(n)));
    }
    recorder.finish();
    assert_eq!(files_in(folder.path()).unwrap().len(), 2);
}

fn driver_record() -> DriverRecord {
    let profile = DriverProfile {
        market: MarketId::new("nyc").unwrap(),
        service_tiers: Vec::new(),
        vehicle: "{}".into(),
        tags: Vec::new(),
        rating: None,
        blocked_until: None,
        home: None,
        preferences: Default::default(),
        capacity: Default::default(),
        wallet: None,
        departure: Departure::None,
        scheduled_pickup_at: None,
    };
    DriverRecord {
        driver: driver(1),
        profile,
        online: true,
        rider_blocks: Default::default(),
        stats: Default::default(),
    }
}

#[test]
fn a_driver_is_told_when_something_is_new_about_him() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = Recorder::start(config(folder.path(), RECORD_BYTES_MIN), at(0)).unwrap();
    let record = driver_record();
    let offline = DriverRecord { online: false, ..record.clone() };
    for (ms, record) in [(1, &record), (2, &record), (3, &offline), (4, &record)] {
        recorder.tell(Input::Driver(at(ms), Box::new(record.clone())));
    }
    recorder.finish();
    let log = Log::read(folder.path()).unwrap();
    let told: Vec<u64> = log.lines.iter().map(|line| line.at().millis_since(at(0))).collect();
    assert_eq!(told, [1, 3, 4]);
}

#[test]
fn a_driver_who_is_removed_is_one_whose_work_ends() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = Recorder::start(config(folder.path(), RECORD_BYTES_MIN), at(0)).unwrap();
    let record = driver_record();
    let gone = |departure: Departure| {
        let mut gone = DriverRecord { online: false, ..record.clone() };
        gone.profile.departure = departure;
        gone
    };
    let told = [record.clone(), gone(Departure::Pending), gone(Departure::Done)];
    for (ms, record) in (1..).zip(told) {
        recorder.tell(Input::Driver(at(ms), Box::new(record)));
    }
    recorder.finish();
    let log = Log::read(folder.path()).unwrap();
    let lines: Vec<(bool, Departure)> = log
        .lines
        .iter()
        .filter_map(|line| {
            let Line::Driver(line) = line else { return None };
            Some((line.online, line.profile.departure))
        })
        .collect();
    assert_eq!(lines, [(true, Departure::None), (false, Departure::None)]);
}
