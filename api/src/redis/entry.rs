//! A mirrored position as text: `lat_e7,lng_e7,recorded_at,received_at`, instants in unix
//! milliseconds; readable for other programs, too.

use muster_actors::PositionSnapshot;
use muster_engine::geo::Position;
use muster_engine::id::DriverId;
use muster_engine::time::Timestamp;

/// The entry of a position.
pub(super) fn write(snapshot: &PositionSnapshot) -> String {
    let position = snapshot.position;
    format!(
        "{},{},{},{}",
        position.lat_e7(),
        position.lng_e7(),
        snapshot.recorded_at.as_millis(),
        snapshot.received_at.as_millis()
    )
}

/// The position of an entry; nothing for what no mirror wrote.
pub(super) fn read(driver: &str, entry: &str) -> Option<PositionSnapshot> {
    let mut parts = entry.split(',');
    let (lat, lng) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let mut instant = || Some(Timestamp::from_millis(parts.next()?.parse().ok()?));
    let (recorded_at, received_at) = (instant()?, instant()?);
    let driver = DriverId::new(driver).ok()?;
    let position = Position::from_e7(lat, lng).ok()?;
    parts.next().is_none().then_some(PositionSnapshot {
        driver,
        position,
        recorded_at,
        received_at,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_comes_back_as_it_was_written() {
        let snapshot = PositionSnapshot {
            driver: DriverId::new("d-1").unwrap(),
            position: Position::from_e7(-337_000_001, 1_512_000_009).unwrap(),
            recorded_at: Timestamp::from_millis(1_764_547_200_123),
            received_at: Timestamp::from_millis(1_764_547_200_456),
        };
        let entry = write(&snapshot);
        assert_eq!(entry, "-337000001,1512000009,1764547200123,1764547200456");
        assert_eq!(read("d-1", &entry), Some(snapshot));
    }

    #[test]
    fn what_no_mirror_wrote_is_nothing() {
        for entry in ["", "1,2,3", "1,2,3,4,5", "a,2,3,4", "9999999999,0,1,2", "910000000,0,1,2"] {
            assert_eq!(read("d-1", entry), None, "{entry}");
        }
        assert_eq!(read("not an id", "1,2,3,4"), None);
    }
}
