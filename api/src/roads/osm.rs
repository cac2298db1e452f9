//! Streets from an extract of OpenStreetMap: the ways that cars may drive, in the directions they
//! may.

use std::collections::HashMap;
use std::path::Path;

use muster_engine::geo::Position;
use muster_engine::roads::{EDGES_MAX, NODES_MAX, RoadError, Street, Streets};
use osmpbf::{Element, ElementReader};

use super::speeds::{class_speed_mps, speed_mps};
use super::{ATTRIBUTION, ReadStreets, RoadsError};

/// Service ways that lead nowhere anybody is picked up by the way.
const SERVICES_LEFT_OUT: [&str; 4] =
    ["parking_aisle", "driveway", "drive-through", "emergency_access"];

/// Keys that say who may drive, the most specific first.
const ACCESS_KEYS: [&str; 4] = ["motorcar", "motor_vehicle", "vehicle", "access"];

/// What of them keeps cars out.
const ACCESS_DENIED: [&str; 7] =
    ["no", "private", "agricultural", "forestry", "delivery", "emergency", "military"];

/// A way that cars drive.
struct DrivenWay {
    nodes: Vec<i64>,
    speed_mps: f64,
    forward: bool,
    backward: bool,
}

/// Reads an extract: its ways first, then the places of their nodes.
pub(super) fn read(path: &Path) -> Result<ReadStreets, RoadsError> {
    let mut ways = Vec::new();
    let mut segments_max = 0;
    each(path, |element| {
        if let Element::Way(way) = element
            && let Some(driven) = driven(way.tags(), way.refs())
        {
            segments_max += 2 * driven.nodes.len();
            ways.push(driven);
        }
    })?;
    if segments_max > EDGES_MAX {
        let fact = format!("it has more than {} nodes of streets", EDGES_MAX / 2);
        return Err(RoadsError::shape(path, &fact));
    }
    let mut positions: HashMap<i64, Option<Position>> =
        ways.iter().flat_map(|way| way.nodes.iter().map(|node| (*node, None))).collect();
    each(path, |element| {
        let (id, lat, lng) = match element {
            Element::Node(node) => (node.id(), node.lat(), node.lon()),
            Element::DenseNode(node) => (node.id(), node.lat(), node.lon()),
            Element::Way(_) | Element::Relation(_) => return,
        };
        if let Some(position) = positions.get_mut(&id) {
            *position = Position::from_degrees(lat, lng).ok();
        }
    })?;
    let read = streets(&ways, &positions);
    read.map_err(|error| RoadsError::shape(path, &error))
}

fn each(path: &Path, each: impl FnMut(Element<'_>)) -> Result<(), RoadsError> {
    let reader = ElementReader::from_path(path);
    let read = reader.and_then(|reader| reader.for_each(each));
    read.map_err(|error| RoadsError::shape(path, &format!("it is no extract in PBF: {error}")))
}

/// The way as cars drive it, if they do.
fn driven<'t>(
    tags: impl Iterator<Item = (&'t str, &'t str)>,
    refs: impl Iterator<Item = i64>,
) -> Option<DrivenWay> {
    let tags: HashMap<&str, &str> = tags.collect();
    let tag = |key: &str| tags.get(key).copied();
    let class = tag("highway").filter(|class| class_speed_mps(class).is_some())?;
    let service = tag("service").is_some_and(|service| SERVICES_LEFT_OUT.contains(&service));
    let access = ACCESS_KEYS.iter().find_map(|key| tag(key));
    let denied = access.is_some_and(|access| ACCESS_DENIED.contains(&access));
    if service || denied || class == "track" || tag("area") == Some("yes") {
        return None;
    }
    let round = matches!(tag("junction"), Some("roundabout" | "circular"));
    let (forward, backward) = match tag("oneway") {
        Some("yes" | "true" | "1") => (true, false),
        Some("-1" | "reverse") => (false, true),
        Some("reversible" | "alternating") => return None,
        Some("no" | "false" | "0") => (true, true),
        Some(_) | None => (true, !round && class != "motorway"),
    };
    let speed_mps = speed_mps(class, tag("maxspeed"))?;
    Some(DrivenWay { nodes: refs.collect(), speed_mps, forward, backward })
}

/// The segments between the nodes of each way. Where a way leaves the extract its nodes are not
/// there.
fn streets(
    ways: &[DrivenWay],
    positions: &HashMap<i64, Option<Position>>,
) -> Result<ReadStreets, RoadError> {
    let mut numbers: HashMap<i64, u32> = HashMap::new();
    let mut streets = Streets { attribution: ATTRIBUTION.to_owned(), ..Streets::default() };
    let mut skipped = 0;
    for way in ways {
        for pair in way.nodes.windows(2) {
            let at = |node: i64| positions.get(&node).copied().flatten();
            let (Some(begin), Some(end)) = (at(pair[0]), at(pair[1])) else {
                skipped += 1;
                continue;
            };
            let mut number = |node: i64, position: Position| {
                *numbers.entry(node).or_insert_with(|| {
                    streets.nodes.push(position);
                    streets.nodes.len() as u32 - 1
                })
            };
            let (from, to) = (number(pair[0], begin), number(pair[1], end));
            let length_m = begin.distance(end).get();
            let street = |from, to| Street::new(from, to, length_m, way.speed_mps);
            if way.forward {
                streets.segments.push(street(from, to)?);
            }
            if way.backward {
                streets.segments.push(street(to, from)?);
            }
        }
    }
    if streets.nodes.len() > NODES_MAX {
        let (nodes, streets) = (streets.nodes.len(), streets.segments.len());
        return Err(RoadError::TooLarge { nodes, streets });
    }
    Ok(ReadStreets { streets, skipped })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directions(tags: &[(&str, &str)]) -> Option<(bool, bool)> {
        let way = driven(tags.iter().copied(), [1, 2].into_iter())?;
        Some((way.forward, way.backward))
    }

    #[test]
    fn ways_are_driven_in_the_directions_their_tags_allow() {
        let street = ("highway", "residential");
        assert_eq!(directions(&[street]), Some((true, true)));
        assert_eq!(directions(&[street, ("oneway", "yes")]), Some((true, false)));
        assert_eq!(directions(&[street, ("oneway", "-1")]), Some((false, true)));
        assert_eq!(directions(&[street, ("junction", "roundabout")]), Some((true, false)));
        assert_eq!(directions(&[("highway", "motorway")]), Some((true, false)));
        let both = [("highway", "motorway"), ("oneway", "no")];
        assert_eq!(directions(&both), Some((true, true)));
        assert_eq!(directions(&[street, ("oneway", "reversible")]), None);
    }

    #[test]
    fn what_cars_may_not_drive_is_left_out_and_the_most_specific_key_decides() {
        let street = ("highway", "service");
        assert_eq!(directions(&[street]), Some((true, true)));
        assert_eq!(directions(&[street, ("service", "driveway")]), None);
        assert_eq!(directions(&[street, ("access", "private")]), None);
        let taxis_may = [street, ("access", "no"), ("motor_vehicle", "yes")];
        assert_eq!(directions(&taxis_may), Some((true, true)));
        assert_eq!(directions(&[("highway", "footway")]), None);
        assert_eq!(directions(&[("highway", "pedestrian"), ("area", "yes")]), None);
        assert_eq!(directions(&[("building", "yes")]), None);
    }

    #[test]
    fn a_way_that_leaves_the_extract_keeps_its_segments_within() {
        let at = |lng| Some(Position::from_degrees(40.0, lng).unwrap());
        let positions =
            HashMap::from([(1, at(-74.0)), (2, at(-74.01)), (3, at(-74.02)), (4, None)]);
        let nodes = vec![1, 2, 3, 4];
        let way = DrivenWay { nodes, speed_mps: 10.0, forward: true, backward: false };
        let ReadStreets { streets, skipped } = streets(&[way], &positions).unwrap();
        let ends: Vec<_> = streets.segments.iter().map(|s| (s.from, s.to)).collect();
        assert_eq!((ends, skipped), (vec![(0, 1), (1, 2)], 1));
        assert_eq!(streets.segments[0].length_dm, 8_518);
    }
}
