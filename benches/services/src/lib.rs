//! Real PostgreSQL, Redis and Kafka servers as local processes, for tests and benchmarks.
//!
//! Each server listens on a free port of 127.0.0.1, keeps its data in a folder of its own that is
//! thrown away, and ends with its owner, or at the latest with the process that started it. Nothing
//! is shared with servers that may run on the machine already. `scripts/services` installs what is
//! needed; a missing program is an error that says so, never a skipped test.

mod kafka;
mod postgres;
mod process;
mod redis;
mod tile38;

pub use self::kafka::Kafka;
pub use self::postgres::Postgres;
pub use self::process::{ServiceError, free_port};
pub use self::redis::{Redis, RedisCluster};
pub use self::tile38::Tile38;
