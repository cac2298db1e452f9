//! Redis, a server or a cluster: a mirror of hot positions, who owns a market, shared rate limits.
//!
//! Everything in it is a copy or a hint. Redis that is down, slow or wiped costs freshness and
//! nothing else: each use gives up after `redis.timeout_ms`, and after a failure Redis is left alone
//! for a while. Every key begins with the prefix, expires, and carries a hash tag, so that what is
//! written together lies on one node of a cluster.

mod entry;
mod keys;
mod link;
mod mirror;
mod owners;
mod rate;
mod recovery;

pub use self::keys::{Keys, MIRROR_BUCKETS};
pub use self::link::{Link, LinkError, LinkObserver};
pub use self::mirror::{Mirror, MirrorSource};
pub use self::owners::{MarketOwner, Owners, Standing};
pub use self::rate::SharedRiderRate;
pub use self::recovery::MirroredStore;
