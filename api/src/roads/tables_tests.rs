//! Tables that are read, and the errors of those that are not.

use std::path::Path;

use muster_engine::roads::RoadNetwork;

use super::*;

const NODES: &str = "osmid,lat,lon\n11,40.70,-74.00\n12,40.71,-74.00\n13,40.71,-73.99\n";

fn read(nodes: &str, edges: &str) -> Result<ReadStreets, RoadsError> {
    parse((Path::new("n.csv"), nodes.as_bytes()), (Path::new("e.csv"), edges.as_bytes()))
}

fn refusal(nodes: &str, edges: &str) -> String {
    read(nodes, edges).err().expect("refused").to_string()
}

#[test]
fn speeds_come_from_their_column_or_from_class_and_limit() {
    let by_class = "u,v,length_m,highway,maxspeed\n11,12,1000,primary,\n12,11,1000,primary,50\n\
                    12,13,10,footway,\n13,99,10,primary,\n";
    let ReadStreets { streets, skipped } = read(NODES, by_class).unwrap();
    let times: Vec<u32> = streets.segments.iter().map(|s| s.time_ms).collect();
    // 50 km/h, then 0.8 × 50 km/h; the footway is not driven, node 99 is not there.
    assert_eq!((times, skipped), (vec![72_000, 90_000], 1));
    let nodes = "osmid,x,y\n1,-122.3,37.5\n2,-122.2,37.5\n";
    let told = "uniqueid,u,v,length,lanes,speed_mph\n0,1,2,447.04,5,10\n";
    let streets = read(nodes, told).unwrap().streets;
    assert_eq!(streets.segments[0].time_ms, 100_000);
    assert_eq!((streets.nodes[0].lat(), streets.nodes[0].lng()), (37.5, -122.3));
}

#[test]
fn a_refusal_names_file_line_field_and_fact() {
    let edges = "u,v,length_m,highway\n11,12,1000,primary\n12,11,far,primary\n";
    let expected = "e.csv, line 3: length_m is \"far\", expected is a number";
    assert_eq!(refusal(NODES, edges), expected);
    let negative = refusal(NODES, "u,v,length_m,highway\n11,12,-5,primary\n");
    assert!(negative.contains("line 2: length_m is \"-5\""), "{negative}");
    let fast = refusal(NODES, "u,v,length_m,speed_kmh\n11,12,5,900\n");
    assert!(fast.contains("line 2: speed_kmh is \"900\""), "{fast}");
    let north = refusal("osmid,lat,lon\n1,91.5,0\n", edges);
    assert!(north.contains("n.csv, line 2: lat is \"91.5\""), "{north}");
    let twice = refusal("osmid,lat,lon\n1,1,0\n1,2,0\n", edges);
    let expected = "n.csv, line 3: osmid is \"1\", expected is an id that no line before has";
    assert_eq!(twice, expected);
    let columns = refusal(NODES, "a,b\n1,2\n");
    assert!(columns.starts_with("e.csv: its header has none of the columns"), "{columns}");
    let ragged = refusal(NODES, "u,v,length_m,highway\n11,12\n");
    assert!(ragged.starts_with("e.csv: ") && ragged.contains("line: 2"), "{ragged}");
    let packed = parse((Path::new("n.csv.zst"), b"no zstd"), (Path::new("e.csv"), b""));
    assert!(packed.err().expect("refused").to_string().starts_with("n.csv.zst: "));
}

#[test]
fn the_shipped_network_is_all_of_manhattan() {
    let network = super::super::load(super::super::BUILTIN_MANHATTAN, Path::new(".")).unwrap();
    let size = network.size();
    assert!(size.nodes > 4_500 && size.streets > 9_000, "{size:?}");
    assert_eq!(network.attribution(), ATTRIBUTION);
    // City Hall to Columbus Circle: some 7 km, and no faster than a taxi.
    let place = |lat, lng| Position::from_degrees(lat, lng).unwrap();
    let (from, to) = (place(40.7127, -74.0059), place(40.7681, -73.9819));
    let leg = network.many_to_one(&[from], to, 12)[0].unwrap();
    let kmh = leg.distance.get() / f64::from(leg.time_ms) * 3_600.0;
    assert!((6_400.0..10_000.0).contains(&leg.distance.get()), "{leg:?}");
    assert!((11.0..25.0).contains(&kmh), "{kmh} km/h");
}

#[path = "../../../engine/tests/roads/dijkstra.rs"]
mod dijkstra;

#[test]
fn ten_thousand_ways_through_manhattan_are_those_of_plain_dijkstra() {
    let read = |what: &str| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("city/data");
        folder.join(format!("manhattan_drive_{what}.csv.zst"))
    };
    let ReadStreets { streets, .. } = super::read(&read("nodes"), &read("edges")).unwrap();
    let network = RoadNetwork::build(&streets, |_, _| {}).unwrap();
    let plain = dijkstra::Dijkstra::of(&network);
    let nodes = network.positions();
    let some = |offset: usize| (0..100).map(move |i| (i * 7_919 + offset) % nodes.len());
    let (froms, tos): (Vec<usize>, Vec<usize>) = (some(3).collect(), some(1_000).collect());
    let places = |of: &[usize]| of.iter().map(|node| nodes[*node]).collect::<Vec<_>>();
    let table = network.many_to_many(&places(&froms), &places(&tos), 0);
    for (row, from) in froms.iter().enumerate() {
        let expected = plain.from(*from);
        for (column, to) in tos.iter().enumerate() {
            let leg = table[column][row].unwrap();
            let own = (leg.time_ms, (leg.distance.get() * 10.0).round() as u32);
            assert_eq!(Some(own), expected[*to], "from {:?} to {:?}", nodes[*from], nodes[*to]);
        }
    }
}
