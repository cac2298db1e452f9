//! A driver: a vehicle that moves, a pure machine that decides, a session that owns the socket.

pub(crate) mod hands;
pub(crate) mod journey;
pub(crate) mod machine;
mod ride;
pub(crate) mod session;
pub(crate) mod socket;
mod stand;
pub(crate) mod vehicle;
