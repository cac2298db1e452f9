//! A network as bytes: contracted once, read in a moment.
//!
//! ```text
//! "MUSTROAD"  version u32  nodes u32  streets u32  ascending u32  descending u32
//! attribution: length u32, UTF-8    profile: 24 × u16 thousandths
//! positions: per node the difference to the one before in 1e-7°, latitude and longitude
//! streets, ascending, descending: per node how many, then of each its end, ms, dm
//! checksum u64 of everything before
//! ```
//!
//! Fixed widths are little-endian, everything from the positions on is a variable-length integer
//! (seven bits a byte, least first). Ends in the search graphs are counted from the node itself.

use super::build::{EDGES_MAX, NODES_MAX, Street};
use super::hierarchy::{Climb, Hierarchy, Upward};
use super::network::RoadNetwork;
use super::profile::HourProfile;
use crate::geo::Position;
use crate::id::stable_hash;

/// The size of a file at most.
pub const FILE_BYTES_MAX: u64 = 2 << 30;

const MAGIC: &[u8; 8] = b"MUSTROAD";
const VERSION: u32 = 1;
const CHECKSUM_BYTES: usize = 8;
const ATTRIBUTION_BYTES_MAX: usize = 1_000;
/// Ways of a search graph at most: shortcuts are a small multiple of streets.
const CLIMBS_MAX: usize = 8 * EDGES_MAX;

/// Why bytes are no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// They begin otherwise.
    #[error("it is no road network: it does not begin with MUSTROAD")]
    Magic,
    /// Another version wrote them.
    #[error("it is of version {0}, this program reads version {VERSION}: build it again")]
    Version(u32),
    /// They are not what was written.
    #[error("its checksum does not match: it is damaged or incomplete")]
    Checksum,
    /// They end too soon.
    #[error("it ends within its {0}")]
    Truncated(&'static str),
    /// A value cannot be.
    #[error("its {part} hold {value}, which cannot be")]
    Value {
        /// Where.
        part: &'static str,
        /// The value.
        value: u64,
    },
}

impl RoadNetwork {
    /// The network as bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Writer(MAGIC.to_vec());
        let Hierarchy { ascending, descending } = &self.hierarchy;
        let counts = [self.positions.len(), self.streets.len()];
        let climbs = [ascending.climbs.len(), descending.climbs.len()];
        out.fixed(VERSION);
        counts.iter().chain(&climbs).for_each(|count| out.fixed(*count as u32));
        let attribution = self.attribution.as_bytes();
        out.fixed(attribution.len() as u32);
        out.0.extend_from_slice(attribution);
        for hour in 0..HourProfile::HOURS as u8 {
            out.0.extend_from_slice(&self.profile.permille(hour).to_le_bytes());
        }
        out.positions(&self.positions);
        out.streets(self.positions.len(), &self.streets);
        out.climbs(ascending);
        out.climbs(descending);
        let checksum = stable_hash(&out.0, 0);
        out.0.extend_from_slice(&checksum.to_le_bytes());
        out.0
    }

    /// The network that was written as these bytes.
    ///
    /// # Errors
    /// [`FileError`] says what is wrong with them; nothing in them is trusted.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FileError> {
        let mut input = Reader { rest: bytes, part: "header" };
        if input.take(MAGIC.len()).map_err(|_| FileError::Magic)? != MAGIC {
            return Err(FileError::Magic);
        }
        let version = input.fixed()?;
        if version != VERSION {
            return Err(FileError::Version(version));
        }
        let checked = bytes.len().checked_sub(CHECKSUM_BYTES).ok_or(FileError::Checksum)?;
        let (body, checksum) = bytes.split_at(checked);
        if checksum != stable_hash(body, 0).to_le_bytes() {
            return Err(FileError::Checksum);
        }
        input.rest = &input.rest[..input.rest.len().saturating_sub(CHECKSUM_BYTES)];
        let nodes = input.count(NODES_MAX)?;
        let streets = input.count(EDGES_MAX)?;
        let ascending = input.count(CLIMBS_MAX)?;
        let descending = input.count(CLIMBS_MAX)?;
        let attribution = input.attribution()?;
        let profile = input.profile()?;
        let positions = input.positions(nodes)?;
        let streets = input.streets(nodes, streets)?;
        let ascending = input.climbs("ascending ways", nodes, ascending)?;
        let descending = input.climbs("descending ways", nodes, descending)?;
        if !input.rest.is_empty() {
            return Err(FileError::Value { part: "last bytes", value: input.rest.len() as u64 });
        }
        let hierarchy = Hierarchy { ascending, descending };
        Ok(Self::new(positions, streets, hierarchy, profile, attribution))
    }
}

struct Writer(Vec<u8>);

impl Writer {
    fn fixed(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    fn varied(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn positions(&mut self, positions: &[Position]) {
        let mut before = [0; 2];
        for position in positions {
            let own = [position.lat_e7(), position.lng_e7()].map(i64::from);
            for (own, before) in own.iter().zip(before) {
                let difference: i64 = own - before;
                self.varied(((difference << 1) ^ (difference >> 63)) as u64);
            }
            before = own;
        }
    }

    fn way(&mut self, to: u32, time_ms: u32, length_dm: u32) {
        [to, time_ms, length_dm].into_iter().for_each(|value| self.varied(u64::from(value)));
    }

    fn streets(&mut self, nodes: usize, streets: &[Street]) {
        let mut rest = streets;
        for node in 0..nodes as u32 {
            let (own, others) = rest.split_at(rest.partition_point(|street| street.from <= node));
            self.varied(own.len() as u64);
            own.iter().for_each(|street| self.way(street.to, street.time_ms, street.length_dm));
            rest = others;
        }
    }

    fn climbs(&mut self, upward: &Upward) {
        for node in 0..upward.nodes() as u32 {
            let climbs = upward.of(node);
            self.varied(climbs.len() as u64);
            climbs.iter().for_each(|up| self.way(up.to - node, up.time_ms, up.length_dm));
        }
    }
}

struct Reader<'b> {
    rest: &'b [u8],
    part: &'static str,
}

impl<'b> Reader<'b> {
    fn take(&mut self, count: usize) -> Result<&'b [u8], FileError> {
        let (taken, rest) =
            self.rest.split_at_checked(count).ok_or(FileError::Truncated(self.part))?;
        self.rest = rest;
        Ok(taken)
    }

    fn refuse<T>(&self, value: u64) -> Result<T, FileError> {
        Err(FileError::Value { part: self.part, value })
    }

    fn fixed(&mut self) -> Result<u32, FileError> {
        let bytes = self.take(4)?;
        Ok(bytes.iter().rev().fold(0, |value, byte| (value << 8) | u32::from(*byte)))
    }

    /// A count of things that take a byte each at least, so that it allocates no more than the file
    /// is large.
    fn count(&mut self, most: usize) -> Result<usize, FileError> {
        let count = self.fixed()? as usize;
        if count > most || count > self.rest.len() {
            return self.refuse(count as u64);
        }
        Ok(count)
    }

    fn varied(&mut self) -> Result<u64, FileError> {
        let mut value = 0;
        for shift in (0..63).step_by(7) {
            let [byte] = *self.take(1)? else { return Err(FileError::Truncated(self.part)) };
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        self.refuse(value)
    }

    fn number(&mut self) -> Result<u32, FileError> {
        let value = self.varied()?;
        u32::try_from(value).or_else(|_| self.refuse(value))
    }

    fn attribution(&mut self) -> Result<String, FileError> {
        self.part = "attribution";
        let length = self.count(ATTRIBUTION_BYTES_MAX)?;
        let text = self.take(length)?.to_vec();
        String::from_utf8(text).or_else(|_| self.refuse(length as u64))
    }

    fn profile(&mut self) -> Result<HourProfile, FileError> {
        self.part = "speeds by hour";
        let permille = |two: &[u8]| u16::from(two[0]) | (u16::from(two[1]) << 8);
        let factors: Vec<f64> = self
            .take(2 * HourProfile::HOURS)?
            .chunks_exact(2)
            .map(|two| f64::from(permille(two)) / 1_000.0)
            .collect();
        HourProfile::new(&factors).or_else(|_| self.refuse(0))
    }

    fn positions(&mut self, nodes: usize) -> Result<Vec<Position>, FileError> {
        self.part = "positions";
        let mut positions = Vec::with_capacity(nodes);
        let mut at = [0_i64; 2];
        for _ in 0..nodes {
            for axis in &mut at {
                let value = self.varied()?;
                *axis = axis.saturating_add(((value >> 1) as i64) ^ -((value & 1) as i64));
            }
            let [lat, lng] = at.map(|axis| i32::try_from(axis).unwrap_or(i32::MAX));
            match Position::from_e7(lat, lng) {
                Ok(position) => positions.push(position),
                Err(_) => return self.refuse(positions.len() as u64),
            }
        }
        Ok(positions)
    }

    fn streets(&mut self, nodes: usize, streets: usize) -> Result<Vec<Street>, FileError> {
        self.part = "streets";
        let mut read = Vec::with_capacity(streets);
        for from in 0..nodes as u32 {
            let own = read.len();
            for _ in 0..self.varied()? {
                let [to, time_ms, length_dm] = self.way(nodes, streets - read.len(), 0)?;
                let after = read[own..].last().is_none_or(|before: &Street| before.to < to);
                if !after || to == from {
                    return self.refuse(u64::from(to));
                }
                read.push(Street { from, to, time_ms, length_dm });
            }
        }
        if read.len() != streets || nodes < 2 {
            return self.refuse(read.len() as u64);
        }
        Ok(read)
    }

    /// A way whose end is counted from a node.
    fn way(&mut self, nodes: usize, room: usize, from: u32) -> Result<[u32; 3], FileError> {
        let end = self.number()?;
        let to = from.saturating_add(end);
        if to as usize >= nodes || room == 0 {
            return self.refuse(u64::from(to));
        }
        Ok([to, self.number()?, self.number()?])
    }

    fn climbs(
        &mut self,
        part: &'static str,
        nodes: usize,
        climbs: usize,
    ) -> Result<Upward, FileError> {
        self.part = part;
        let mut first = Vec::with_capacity(nodes + 1);
        first.push(0);
        let mut read = Vec::with_capacity(climbs);
        for node in 0..nodes as u32 {
            for _ in 0..self.varied()? {
                let [to, time_ms, length_dm] = self.way(nodes, climbs - read.len(), node)?;
                if to == node {
                    return self.refuse(u64::from(to));
                }
                read.push(Climb { to, time_ms, length_dm });
            }
            first.push(read.len() as u32);
        }
        if read.len() != climbs {
            return self.refuse(read.len() as u64);
        }
        Ok(Upward { first, climbs: read })
    }
}
