//! Typed identifiers. Every id is an opaque string of 1–64 characters of `[A-Za-z0-9_.:-]`.

use std::fmt;

use arcstr::ArcStr;
use arrayvec::ArrayString;

/// The longest id that is accepted, in bytes.
pub const ID_LEN_MAX: usize = 64;

/// Why a string is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The string is empty.
    #[error("an id must not be empty")]
    Empty,
    /// The string is longer than [`ID_LEN_MAX`].
    #[error("an id has at most {ID_LEN_MAX} characters, this one has {0}")]
    TooLong(usize),
    /// The string holds a character outside `[A-Za-z0-9_.:-]`.
    #[error("an id consists of A-Z a-z 0-9 _ . : - but this one holds {0:?}")]
    Character(char),
}

fn check(text: &str) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::Empty);
    }
    if text.len() > ID_LEN_MAX {
        return Err(IdError::TooLong(text.chars().count()));
    }
    match text.chars().find(|c| !(c.is_ascii_alphanumeric() || "_.:-".contains(*c))) {
        Some(c) => Err(IdError::Character(c)),
        None => Ok(()),
    }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
        #[cfg_attr(feature = "serde", serde(try_from = "String", into = "String"))]
        pub struct $name(ArcStr);

        impl $name {
            /// Checks `text` and makes it an id.
            ///
            /// # Errors
            /// [`IdError`] when the text is empty, too long or holds a forbidden character.
            pub fn new(text: &str) -> Result<Self, IdError> {
                check(text).map(|()| Self(ArcStr::from(text)))
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        /// Equal, ordered and hashed as its text.
        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                Self::new(&text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0.as_str().to_owned()
            }
        }
    };
}

id! {
    /// A person with a vehicle.
    DriverId
}
id! {
    /// A person who asks for rides.
    RiderId
}
id! {
    /// A ride request and the ride it becomes.
    RideId
}
id! {
    /// One offer of one ride to one driver.
    OfferId
}
id! {
    /// An operating area with its own policy, usually a city.
    MarketId
}
id! {
    /// A product a rider buys and a vehicle may serve.
    ServiceTierId
}
id! {
    /// A place with rules of its own; unique within its market.
    ZoneId
}
id! {
    /// A call of a queued driver to a gate.
    CallId
}
id! {
    /// A point of a zone where riders and drivers meet; unique within its zone.
    GateId
}

/// As if it were cloned.
impl From<&Self> for DriverId {
    fn from(id: &Self) -> Self {
        id.clone()
    }
}

/// A driver's id with its text in place, ordered as [`DriverId`].
///
/// A clone of a [`DriverId`] counts a reference beside the text, which takes that cache line from
/// other processors; this is a copy of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct InlineDriverId(ArrayString<ID_LEN_MAX>);

impl InlineDriverId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&DriverId> for InlineDriverId {
    #[inline]
    fn from(id: &DriverId) -> Self {
        // No id is longer, so that nothing is left out.
        Self(ArrayString::from(id.as_str()).unwrap_or_default())
    }
}

impl OfferId {
    /// The id of the `ordinal`-th offer of `ride`, a `UUIDv7` made from `now_ms` and a hash of both.
    ///
    /// The engine draws no random numbers: the hash (FNV-1a with a `SplitMix64` finish, stable over
    /// builds) takes the place of the random bits, so a machine that is run again makes the same ids.
    pub fn derive(ride: &RideId, ordinal: u64, now_ms: u64) -> Self {
        let high = stable_hash(ride.as_str().as_bytes(), ordinal);
        let low = stable_hash(ride.as_str().as_bytes(), !ordinal);
        let time = now_ms & 0xffff_ffff_ffff;
        let a = high & 0x0fff;
        let b = (low & 0x3fff_ffff_ffff_ffff) | 0x8000_0000_0000_0000;
        let text = format!(
            "{:08x}-{:04x}-7{:03x}-{:04x}-{:012x}",
            time >> 16,
            time & 0xffff,
            a,
            b >> 48,
            b & 0xffff_ffff_ffff
        );
        Self(ArcStr::from(text))
    }
}

/// A 64-bit hash of `bytes` and `seed` that is the same in every build and process.
pub fn stable_hash(bytes: &[u8], seed: u64) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64 ^ seed;
    for byte in bytes {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_refused_with_the_fact_that_is_wrong() {
        assert_eq!(DriverId::new(""), Err(IdError::Empty));
        assert_eq!(DriverId::new(&"a".repeat(65)), Err(IdError::TooLong(65)));
        assert_eq!(DriverId::new("a b"), Err(IdError::Character(' ')));
        assert!(DriverId::new("cab-17_a.b:c").is_ok());
    }

    #[test]
    fn an_inline_id_is_the_same_text_in_the_same_order() {
        let texts = ["a", "A", "a1", "b", &"z".repeat(ID_LEN_MAX), "cab-17_a.b:c"];
        let ids: Vec<DriverId> = texts.iter().map(|text| DriverId::new(text).unwrap()).collect();
        for id in &ids {
            assert_eq!(InlineDriverId::from(id).as_str(), id.as_str());
            for other in &ids {
                let inline = InlineDriverId::from(id).cmp(&InlineDriverId::from(other));
                assert_eq!(inline, id.cmp(other), "{id} and {other}");
            }
        }
    }

    #[test]
    fn a_derived_offer_id_is_a_uuid_of_version_7_and_repeatable() {
        let ride = RideId::new("ride-1").unwrap();
        let id = OfferId::derive(&ride, 3, 1_764_547_200_000);
        assert_eq!(id, OfferId::derive(&ride, 3, 1_764_547_200_000));
        assert_ne!(id, OfferId::derive(&ride, 4, 1_764_547_200_000));
        assert_eq!(id.as_str().len(), 36);
        assert_eq!(id.as_str().as_bytes()[14], b'7');
        assert!(matches!(id.as_str().as_bytes()[19], b'8' | b'9' | b'a' | b'b'));
    }
}
