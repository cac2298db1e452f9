//! A timed path: where a car is at any moment of a drive.

use crate::geo::Point;
use crate::roads::{NodeIndex, RoadNetwork, Step};

/// Speed between a street's node and a door beside the street.
const OFF_STREET_MPS: f64 = 3.0;

#[derive(Debug, Clone, Copy, PartialEq)]
struct Waypoint {
    at_ms: i64,
    point: Point,
    /// Where the network is entered from here.
    node: NodeIndex,
}

/// Position, speed and heading at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Motion {
    pub(crate) point: Point,
    pub(crate) speed_mps: f64,
    pub(crate) bearing_deg: f64,
}

/// Waypoints with times; before the first and after the last the car stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Journey {
    waypoints: Vec<Waypoint>,
    length_m: f64,
    /// Heading before anything has moved.
    bearing_deg: f64,
}

impl Journey {
    /// A car that stands still.
    pub(crate) fn standing(point: Point, node: NodeIndex, at_ms: i64) -> Self {
        Self { waypoints: vec![Waypoint { at_ms, point, node }], length_m: 0.0, bearing_deg: 0.0 }
    }

    /// Arrival at the last waypoint.
    pub(crate) fn ends_at_ms(&self) -> i64 {
        self.last().at_ms
    }

    /// Metres from the first to the last waypoint.
    pub(crate) fn length_m(&self) -> f64 {
        self.length_m
    }

    /// The node at, or nearest to, the last waypoint.
    pub(crate) fn end_node(&self) -> NodeIndex {
        self.last().node
    }

    /// Where the car is.
    pub(crate) fn motion(&self, now_ms: i64) -> Motion {
        let next = self.waypoints.partition_point(|waypoint| waypoint.at_ms <= now_ms);
        if next == 0 || next == self.waypoints.len() {
            let point = if next == 0 { self.waypoints[0].point } else { self.last().point };
            return Motion { point, speed_mps: 0.0, bearing_deg: self.final_bearing_deg() };
        }
        let (from, to) = (self.waypoints[next - 1], self.waypoints[next]);
        let took_ms = (to.at_ms - from.at_ms).max(1) as f64;
        let straight_m = from.point.distance_m(to.point);
        Motion {
            point: from.point.toward(to.point, (now_ms - from.at_ms) as f64 / took_ms),
            speed_mps: straight_m / took_ms * 1_000.0,
            bearing_deg: from.point.bearing_deg(to.point),
        }
    }

    /// Stays where the car is at `now_ms`, until a later moment.
    pub(crate) fn wait_until(&mut self, now_ms: i64, until_ms: i64) {
        let motion = self.motion(now_ms);
        let node = self.end_node();
        let here = Waypoint { at_ms: now_ms, point: motion.point, node };
        *self = Self {
            waypoints: vec![here, Waypoint { at_ms: until_ms, ..here }],
            length_m: 0.0,
            bearing_deg: motion.bearing_deg,
        };
    }

    /// A new journey from the present position that first finishes the segment being driven:
    /// nobody turns around in the middle of a block.
    pub(crate) fn redirected(&self, now_ms: i64, network: &RoadNetwork) -> Self {
        let motion = self.motion(now_ms);
        let next = self.waypoints.partition_point(|waypoint| waypoint.at_ms <= now_ms);
        let ahead = self.waypoints.get(next).filter(|_| next > 0);
        let node = ahead.map_or(self.end_node(), |waypoint| waypoint.node);
        let mut journey = Self::standing(motion.point, node, now_ms);
        journey.bearing_deg = motion.bearing_deg;
        if let Some(&ahead) = ahead
            && ahead.point != motion.point
        {
            journey.length_m = motion.point.distance_m(ahead.point);
            journey.waypoints.push(ahead);
        }
        journey.go_straight(network.point(node), node);
        journey
    }

    /// Continues along a street segment.
    pub(crate) fn extend(&mut self, step: Step, network: &RoadNetwork) {
        let at_ms = self.ends_at_ms() + i64::from(step.time_ms);
        self.length_m += step.length_m;
        self.waypoints.push(Waypoint { at_ms, point: network.point(step.to), node: step.to });
    }

    /// Ends at a door beside the street.
    pub(crate) fn leave_street(&mut self, door: Point) {
        self.go_straight(door, self.end_node());
    }

    /// Stands at the last waypoint for a while.
    pub(crate) fn stay(&mut self, for_ms: i64) {
        let last = *self.last();
        self.waypoints.push(Waypoint { at_ms: last.at_ms + for_ms, ..last });
    }

    fn go_straight(&mut self, to: Point, node: NodeIndex) {
        let distance_m = self.last().point.distance_m(to);
        if distance_m < 0.5 {
            return;
        }
        let at_ms = self.ends_at_ms() + (distance_m / OFF_STREET_MPS * 1_000.0).ceil() as i64;
        self.length_m += distance_m;
        self.waypoints.push(Waypoint { at_ms, point: to, node });
    }

    fn last(&self) -> &Waypoint {
        self.waypoints.last().expect("a journey has at least one waypoint")
    }

    fn final_bearing_deg(&self) -> f64 {
        match self.waypoints.as_slice() {
            [.., from, to] if from.point != to.point => from.point.bearing_deg(to.point),
            _ => self.bearing_deg,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drive_follows_its_timetable_and_finishes_the_segment_before_turning() {
        let network = RoadNetwork::manhattan().unwrap();
        let mut journey = Journey::standing(network.point(10), 10, 0);
        for step in network.route(10, 900).steps {
            journey.extend(step, &network);
        }
        assert_eq!(journey.motion(-5).point, network.point(10));
        assert_eq!(journey.motion(journey.ends_at_ms() + 5).point, network.point(900));
        let now_ms = journey.ends_at_ms() / 3;
        let turned = journey.redirected(now_ms, &network);
        assert!(turned.motion(now_ms).point.distance_m(journey.motion(now_ms).point) < 0.1);
        let heading_for = turned.end_node();
        assert_eq!(
            journey.motion(turned.ends_at_ms()).point.distance_m(network.point(heading_for)),
            0.0,
            "the rest of the segment is driven as planned"
        );
    }
}
