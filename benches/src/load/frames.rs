//! Frames of fixes, made cheaply: a frame is written once, and each driver's fixes are put into it digit by
//! digit or byte by byte.

use std::f64::consts::TAU;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::city::{Place, ROUND_FIXES, Route, around};

/// How fixes are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// A text frame.
    Json,
    /// A binary frame, 20 bytes a fix.
    Binary,
}

impl Encoding {
    /// As people read it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Json => "JSON",
            Self::Binary => "binary",
        }
    }

    /// The most fixes of one frame.
    pub const fn fixes_max(self) -> u8 {
        match self {
            Self::Json => 100,
            Self::Binary => 255,
        }
    }
}

/// The contract's own example of a fix.
const FIX: &str = r#"{"lat":40.000000,"lng":-73.000000,"at":0000000000000,"accuracy_m":8,"speed_mps":6.2,"bearing_deg":181}"#;
/// Where its digits begin.
const LAT_AT: usize = 7;
const LNG_AT: usize = 24;
const TIME_AT: usize = 39;

const BINARY_FIX_BYTES: usize = 20;
const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const PING: u8 = 0x89;
/// All frames of a client are masked; zeros are a valid mask, and free.
const MASKED: u8 = 0x80;
const MASK: [u8; 4] = [0; 4];
/// A ping with eight bytes in it.
const PING_BYTES: usize = 14;

/// A driver on a circle through his part of town. From fix to fix he drives 28 m, as a car does in four
/// seconds, however fast the fixes follow one another: so a fix costs the server what it costs in life.
#[derive(Debug, Clone)]
pub(super) struct Car {
    home_lat_e7: i32,
    home_lng_e7: i32,
    step: u8,
    /// The time of his newest fix.
    at_ms: u64,
}

impl Car {
    /// The car of a seed.
    pub(super) fn new(seed: u64) -> Self {
        let home = Route::new(seed).home();
        Self {
            home_lat_e7: e7(home.lat),
            home_lng_e7: e7(home.lng),
            step: (seed % u64::from(ROUND_FIXES)) as u8,
            at_ms: 0,
        }
    }
}

fn e7(degrees: f64) -> i32 {
    (degrees * 1e7).round() as i32
}

/// Writes frames of one form.
#[derive(Debug)]
pub(super) struct FrameWriter {
    encoding: Encoding,
    fixes: u8,
    frame: Vec<u8>,
    /// Where the first fix is, and how far it is to the next.
    first: usize,
    stride: usize,
    /// The circle, as steps from its middle.
    circle: Vec<(i32, i32)>,
}

impl FrameWriter {
    /// A writer of frames with so many fixes, at most [`Encoding::fixes_max`].
    pub(super) fn new(encoding: Encoding, fixes: u8) -> Self {
        let fixes = fixes.clamp(1, encoding.fixes_max());
        let (payload, first, stride) = match encoding {
            Encoding::Json => {
                let all = vec![FIX; usize::from(fixes)].join(",");
                let text = format!(r#"{{"type":"positions","points":[{all}]}}"#);
                let first = text.find(FIX).unwrap_or_default();
                (text.into_bytes(), first, FIX.len() + 1)
            }
            Encoding::Binary => {
                let mut bytes = vec![1, fixes];
                bytes.resize(2 + usize::from(fixes) * BINARY_FIX_BYTES, 0);
                (bytes, 2, BINARY_FIX_BYTES)
            }
        };
        let opcode = if encoding == Encoding::Json { TEXT } else { BINARY };
        let mut frame = vec![opcode];
        match u8::try_from(payload.len()) {
            Ok(length) if length < 126 => frame.push(MASKED | length),
            Ok(_) | Err(_) => {
                frame.push(MASKED | 126);
                // 255 fixes of 20 bytes or 100 of some 100 are far below 64 KiB.
                frame.extend((payload.len() as u16).to_be_bytes());
            }
        }
        frame.extend(MASK);
        let first = first + frame.len();
        frame.extend(payload);
        let none = Place { lat: 0.0, lng: 0.0 };
        let place = |step| around(none, f64::from(step) * TAU / f64::from(ROUND_FIXES));
        let circle = (0..ROUND_FIXES).map(place).map(|at| (e7(at.lat), e7(at.lng))).collect();
        Self { encoding, fixes, frame, first, stride, circle }
    }

    /// Fixes in each frame.
    pub(super) const fn fixes(&self) -> u8 {
        self.fixes
    }

    /// The frame of the next fixes of a car, the newest taken at `now_ms`, or as soon after as its fixes
    /// stay in order.
    pub(super) fn write(&mut self, car: &mut Car, now_ms: u64) -> &[u8] {
        self.put_fixes(car, now_ms);
        &self.frame
    }

    /// As [`write`](Self::write), with a ping behind it that carries `payload`.
    pub(super) fn write_with_ping(&mut self, car: &mut Car, now_ms: u64, payload: u64) -> &[u8] {
        self.put_fixes(car, now_ms);
        self.frame.extend(ping(payload));
        &self.frame
    }

    fn put_fixes(&mut self, car: &mut Car, now_ms: u64) {
        // Without the ping behind the last one.
        self.frame.truncate(self.first + self.stride * usize::from(self.fixes) + self.tail());
        let first_ms = (car.at_ms + 1).max(now_ms.saturating_sub(u64::from(self.fixes) - 1));
        for fix in 0..self.fixes {
            let (lat, lng) = self.circle[usize::from(car.step)];
            car.step = if car.step + 1 == ROUND_FIXES { 0 } else { car.step + 1 };
            let (lat, lng) = (car.home_lat_e7 + lat, car.home_lng_e7 + lng);
            car.at_ms = first_ms + u64::from(fix);
            let at = self.first + self.stride * usize::from(fix);
            match self.encoding {
                Encoding::Json => put_text(&mut self.frame[at..], lat, lng, car.at_ms),
                Encoding::Binary => put_bytes(&mut self.frame[at..], lat, lng, car.at_ms),
            }
        }
    }

    /// Bytes behind the last fix's stride.
    const fn tail(&self) -> usize {
        match self.encoding {
            // `]}` without the comma that the stride counts.
            Encoding::Json => 1,
            Encoding::Binary => 0,
        }
    }
}

/// A masked ping that carries `payload`.
pub(super) fn ping(payload: u64) -> [u8; PING_BYTES] {
    let mut frame = [0; PING_BYTES];
    (frame[0], frame[1]) = (PING, MASKED | 8);
    frame[6..].copy_from_slice(&payload.to_le_bytes());
    frame
}

fn put_bytes(fix: &mut [u8], lat_e7: i32, lng_e7: i32, at_ms: u64) {
    fix[0..4].copy_from_slice(&lat_e7.to_le_bytes());
    fix[4..8].copy_from_slice(&lng_e7.to_le_bytes());
    fix[8..16].copy_from_slice(&at_ms.to_le_bytes());
    fix[16..18].copy_from_slice(&620_u16.to_le_bytes());
    fix[18..20].copy_from_slice(&18_100_u16.to_le_bytes());
}

/// The city is between 40° and 41° north, 73° and 75° west: all numbers have the same length.
fn put_text(fix: &mut [u8], lat_e7: i32, lng_e7: i32, at_ms: u64) {
    put_degrees(&mut fix[LAT_AT..LAT_AT + 9], lat_e7.unsigned_abs());
    put_degrees(&mut fix[LNG_AT..LNG_AT + 9], lng_e7.unsigned_abs());
    put_digits(&mut fix[TIME_AT..TIME_AT + 13], at_ms);
}

/// Two digits, a point and six digits.
fn put_degrees(text: &mut [u8], e7: u32) {
    let e6 = u64::from(e7 / 10);
    put_digits(&mut text[..2], e6 / 1_000_000);
    put_digits(&mut text[3..], e6 % 1_000_000);
}

fn put_digits(text: &mut [u8], mut number: u64) {
    for digit in text.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

#[cfg(test)]
mod tests {
    use muster_api::ws::{ClientFrame, decode_positions};
    use muster_engine::grid::Fix;

    use super::*;

    /// The payload of a masked frame, and what is behind it.
    fn unframed(frame: &[u8]) -> (&[u8], &[u8]) {
        let (length, head) = match frame[1] & 0x7f {
            126 => (usize::from(u16::from_be_bytes([frame[2], frame[3]])), 8),
            length => (usize::from(length), 6),
        };
        frame[head..].split_at(length)
    }

    fn decoded(encoding: Encoding, payload: &[u8]) -> Vec<Fix> {
        match encoding {
            Encoding::Binary => decode_positions(payload).unwrap().map(Result::unwrap).collect(),
            Encoding::Json => match ClientFrame::parse(std::str::from_utf8(payload).unwrap()) {
                Ok(ClientFrame::Positions { points }) => {
                    points.iter().map(|point| Fix::try_from(point).unwrap()).collect()
                }
                other => panic!("{other:?}"),
            },
        }
    }

    #[test]
    fn the_server_reads_what_is_written_in_order_and_near_the_one_before() {
        for (encoding, fixes) in [
            (Encoding::Json, 1),
            (Encoding::Json, 10),
            (Encoding::Json, 100),
            (Encoding::Binary, 1),
            (Encoding::Binary, 10),
            (Encoding::Binary, 255),
        ] {
            let mut writer = FrameWriter::new(encoding, fixes);
            let mut cars = [Car::new(1), Car::new(2)];
            let mut last: [Option<Fix>; 2] = [None, None];
            for turn in 0..40_u64 {
                for (car, last) in cars.iter_mut().zip(&mut last) {
                    let now_ms = 1_764_547_200_000 + turn * 3;
                    let frame = if turn % 2 == 0 {
                        writer.write(car, now_ms).to_vec()
                    } else {
                        writer.write_with_ping(car, now_ms, turn).to_vec()
                    };
                    let (payload, rest) = unframed(&frame);
                    let expected = if turn % 2 == 0 { Vec::new() } else { ping(turn).to_vec() };
                    assert_eq!(rest, expected);
                    let read = decoded(encoding, payload);
                    assert_eq!(read.len(), usize::from(fixes));
                    for fix in read {
                        if let Some(before) = last.replace(fix) {
                            assert!(fix.at > before.at, "{encoding:?}");
                            let metres = before.position.distance(fix.position).get();
                            assert!((20.0..36.0).contains(&metres), "{metres}");
                        }
                    }
                }
            }
        }
    }
}
