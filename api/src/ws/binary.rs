//! The binary position frame of `muster.bin.v1`, little-endian:
//!
//! ```text
//! u8 kind = 1 │ u8 count 1–255 │ count × 20 bytes… see below
//! fix: i32 lat·1e7 │ i32 lng·1e7 │ u64 at (unix ms) │ u16 speed cm/s │ u16 bearing 0.01°
//! ```
//! A speed or bearing of `0xFFFF` is unknown.

use muster_engine::geo::Position;
use muster_engine::grid::{Fix, FixRejection};
use muster_engine::time::Timestamp;

/// Bytes of one fix.
pub const BINARY_FIX_BYTES: usize = 20;
const HEADER_BYTES: usize = 2;
const KIND_POSITIONS: u8 = 1;
const UNKNOWN: u16 = 0xffff;

/// Why bytes are not a position frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BinaryFault {
    /// Shorter than its header.
    #[error("a binary frame has a header of {HEADER_BYTES} bytes, this one has {0}")]
    Header(usize),
    /// Not a position frame.
    #[error("binary frames are of kind 1 (positions), this one is of kind {0}")]
    Kind(u8),
    /// No fix in it.
    #[error("a position frame holds 1 to 255 fixes, this one says 0")]
    Empty,
    /// The count and the length disagree.
    #[error("a frame of {count} fixes has {expected} bytes, this one has {found}")]
    Length {
        /// Fixes the header promises.
        count: u8,
        /// Bytes that makes.
        expected: usize,
        /// Bytes there are.
        found: usize,
    },
}

/// Reads a frame; a fix with impossible coordinates is refused by itself.
///
/// # Errors
/// [`BinaryFault`] when the frame as a whole cannot be read.
pub fn decode_positions(
    frame: &[u8],
) -> Result<impl Iterator<Item = Result<Fix, FixRejection>>, BinaryFault> {
    let [kind, count, fixes @ ..] = frame else { return Err(BinaryFault::Header(frame.len())) };
    if *kind != KIND_POSITIONS {
        return Err(BinaryFault::Kind(*kind));
    }
    if *count == 0 {
        return Err(BinaryFault::Empty);
    }
    let expected = HEADER_BYTES + usize::from(*count) * BINARY_FIX_BYTES;
    if frame.len() != expected {
        return Err(BinaryFault::Length { count: *count, expected, found: frame.len() });
    }
    let (fixes, _) = fixes.as_chunks::<BINARY_FIX_BYTES>();
    Ok(fixes.iter().map(decode_fix))
}

fn decode_fix(bytes: &[u8; BINARY_FIX_BYTES]) -> Result<Fix, FixRejection> {
    let [a, b, c, d, e, f, g, h, t0, t1, t2, t3, t4, t5, t6, t7, s0, s1, b0, b1] = *bytes;
    let lat_e7 = i32::from_le_bytes([a, b, c, d]);
    let lng_e7 = i32::from_le_bytes([e, f, g, h]);
    let at = u64::from_le_bytes([t0, t1, t2, t3, t4, t5, t6, t7]);
    let hundredths = |raw: u16| (raw != UNKNOWN).then(|| f32::from(raw) / 100.0);
    Ok(Fix {
        position: Position::from_e7(lat_e7, lng_e7).map_err(|_| FixRejection::OutOfRange)?,
        at: Timestamp::from_millis(at),
        accuracy_m: None,
        speed_mps: hundredths(u16::from_le_bytes([s0, s1])),
        bearing_deg: hundredths(u16::from_le_bytes([b0, b1])),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(fixes: &[(i32, i32, u64, u16, u16)]) -> Vec<u8> {
        let mut bytes = vec![1, u8::try_from(fixes.len()).unwrap()];
        for (lat, lng, at, speed, bearing) in fixes {
            bytes.extend(lat.to_le_bytes());
            bytes.extend(lng.to_le_bytes());
            bytes.extend(at.to_le_bytes());
            bytes.extend(speed.to_le_bytes());
            bytes.extend(bearing.to_le_bytes());
        }
        bytes
    }

    #[test]
    fn a_frame_is_read_fix_by_fix() {
        let bytes = frame(&[
            (407_484_000, -739_857_000, 1_764_547_200_000, 620, 18_100),
            (407_485_000, -739_858_000, 1_764_547_204_000, UNKNOWN, UNKNOWN),
        ]);
        let fixes: Vec<Fix> = decode_positions(&bytes).unwrap().map(Result::unwrap).collect();
        assert_eq!(fixes[0].position, Position::from_degrees(40.7484, -73.9857).unwrap());
        assert_eq!(fixes[0].at.as_millis(), 1_764_547_200_000);
        assert_eq!((fixes[0].speed_mps, fixes[0].bearing_deg), (Some(6.2), Some(181.0)));
        assert_eq!((fixes[1].speed_mps, fixes[1].bearing_deg), (None, None));
    }

    #[test]
    fn an_impossible_coordinate_refuses_its_fix_alone() {
        let bytes = frame(&[(910_000_000, 0, 1, 0, 0), (0, 0, 2, 0, 0)]);
        let fixes: Vec<_> = decode_positions(&bytes).unwrap().collect();
        assert_eq!(fixes[0], Err(FixRejection::OutOfRange));
        assert!(fixes[1].is_ok());
    }

    #[test]
    fn a_frame_that_cannot_be_read_says_why() {
        let fault = |bytes: &[u8]| decode_positions(bytes).err().unwrap();
        assert_eq!(fault(&[1]), BinaryFault::Header(1));
        assert_eq!(fault(&[2, 1, 0]), BinaryFault::Kind(2));
        assert_eq!(fault(&[1, 0]), BinaryFault::Empty);
        let short = BinaryFault::Length { count: 2, expected: 42, found: 3 };
        assert_eq!(fault(&[1, 2, 0]), short);
    }
}
