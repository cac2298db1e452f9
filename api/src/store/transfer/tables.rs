//! The tables as both stores have them, a row each as one line of a file.

use serde::{Deserialize, Serialize};
use sqlx::query_builder::Separated;
use sqlx::{FromRow, Postgres, Sqlite};

use super::bytes::Bytes;
use crate::store::postgres::plain;

/// What every table can do in both stores.
pub(super) trait Table: Sized + Send + Unpin {
    /// Reads all rows in a fixed order.
    const SELECT: &'static str;
    /// Begins the statement that writes rows.
    const INSERT: &'static str;
    /// Whether there are rows.
    const ANY: &'static str;

    fn bind_sqlite(&self, values: &mut Separated<'_, Sqlite, &'static str>);
    fn bind_postgres(&self, values: &mut Separated<'_, Postgres, &'static str>);
    fn into_line(self) -> Line;
    /// The rows of this kind in `rows`.
    fn of(rows: &mut Rows) -> &mut Vec<Self>;
}

/// A value as PostgreSQL takes it.
trait Portable: Sized {
    fn portable(&self) -> Self;
}

macro_rules! portable_as_it_is {
    ($($type:ty),+) => {
        $(impl Portable for $type {
            fn portable(&self) -> Self {
                self.clone()
            }
        })+
    };
}
portable_as_it_is!(i32, i64, bool, Option<i64>, Bytes);

impl Portable for String {
    fn portable(&self) -> Self {
        plain(self).into_owned()
    }
}

impl Portable for Option<String> {
    fn portable(&self) -> Self {
        self.as_ref().map(String::portable)
    }
}

macro_rules! tables {
    ($($(#[$about:meta])* $name:ident $field:ident $table:literal by $order:literal {
        $first:ident: $first_type:ty $(, $column:ident: $type:ty)* $(,)?
    })+) => {
        $($(#[$about])*
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, FromRow)]
        #[serde(deny_unknown_fields)]
        pub(super) struct $name {
            pub(super) $first: $first_type,
            $(pub(super) $column: $type,)*
        }

        impl Table for $name {
            const SELECT: &'static str = concat!("SELECT ", stringify!($first),
                $(", ", stringify!($column),)* " FROM ", $table, " ORDER BY ", $order);
            const INSERT: &'static str = concat!("INSERT INTO ", $table, " (", stringify!($first),
                $(", ", stringify!($column),)* ") ");
            const ANY: &'static str = concat!("SELECT COUNT(*) FROM (SELECT 1 FROM ", $table,
                " LIMIT 1) AS found");

            fn bind_sqlite(&self, values: &mut Separated<'_, Sqlite, &'static str>) {
                values.push_bind(self.$first.clone());
                $(values.push_bind(self.$column.clone());)*
            }

            fn bind_postgres(&self, values: &mut Separated<'_, Postgres, &'static str>) {
                values.push_bind(self.$first.portable());
                $(values.push_bind(self.$column.portable());)*
            }

            fn into_line(self) -> Line {
                Line::$name(self)
            }

            fn of(rows: &mut Rows) -> &mut Vec<Self> {
                &mut rows.$field
            }
        })+

        /// A line of a file.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub(super) enum Line {
            /// The first.
            Header(Header),
            $($name($name),)+
            /// The last: how many rows there are.
            End(u64),
        }

        /// Rows on their way into a store.
        #[derive(Default)]
        pub(super) struct Rows {
            $($field: Vec<$name>,)+
        }

        impl Rows {
            /// Takes a row; what is no row comes back.
            pub(super) fn take(&mut self, line: Line) -> Option<Line> {
                match line {
                    $(Line::$name(row) => self.$field.push(row),)+
                    Line::Header(_) | Line::End(_) => return Some(line),
                }
                None
            }

            pub(super) fn len(&self) -> usize {
                [$(self.$field.len()),+].iter().sum()
            }
        }
    };
}

tables! {
    /// The present of a ride.
    Ride rides "rides" by "ride_id" {
        ride_id: String, market: String, rider_id: String, status: String,
        driver_id: Option<String>, version: i64, epoch: i64, requested_at: i64, updated_at: i64,
        request_key: Option<String>, request_fingerprint: Option<String>, request: String,
        last_event: i64, last_decision: Option<i64>, forward: bool,
    }
    /// A transition of a ride.
    RideEvent ride_events "ride_events" by "event_id" {
        event_id: i64, ride_id: String, prev_event: Option<i64>, seq: i64, at: i64, kind: String,
        state: String, correlation_id: Option<String>, traceparent: Option<String>,
        decision_id: Option<i64>,
    }
    /// Who was considered for a wave.
    Decision decisions "decisions" by "decision_id" {
        decision_id: i64, ride_id: String, prev_decision: Option<i64>, attempt: i64, wave: i64,
        at: i64, body: String,
    }
    /// A driver.
    Driver drivers "drivers" by "driver_id" {
        driver_id: String, market: String, online: bool, profile: String, rider_blocks: String,
        stats: Option<String>, updated_at: i64,
    }
    /// A driver's position.
    Position positions "positions" by "driver_id" {
        driver_id: String, lat_e7: i64, lng_e7: i64, recorded_at: i64, received_at: i64,
    }
    /// An answer to a call with an idempotency key.
    Answer answers "idempotency" by "key" {
        key: String, fingerprint: String, status: i32, content_type: String, body: Bytes,
        created_at: i64,
    }
    /// A change of a market's policies.
    Policy policies "policies" by "market, version" {
        market: String, version: i64, at: i64, cause: String, correlation_id: String,
        configured: String, before: String, after: String,
    }
    /// The queue of a zone.
    Queue queues "zone_queues" by "market, zone" {
        market: String, zone: String, version: i64, epoch: i64, state: String,
    }
    /// What happened to a queue.
    QueueEvent queue_events "zone_queue_events" by "event_id" {
        event_id: i64, market: String, zone: String, version: i64, at: i64, kind: String,
        driver_id: String, reason: Option<String>, note: Option<String>,
    }
    /// How far a relay has published.
    Relay relays "relays" by "name" {
        name: String, last_event: i64,
    }
}

/// Calls a function for each table, until one fails.
macro_rules! for_each_table {
    ($call:ident($($argument:expr),*)) => {{
        use $crate::store::transfer::tables as t;
        $call::<t::Ride>($($argument),*).await?;
        $call::<t::RideEvent>($($argument),*).await?;
        $call::<t::Decision>($($argument),*).await?;
        $call::<t::Driver>($($argument),*).await?;
        $call::<t::Position>($($argument),*).await?;
        $call::<t::Answer>($($argument),*).await?;
        $call::<t::Policy>($($argument),*).await?;
        $call::<t::Queue>($($argument),*).await?;
        $call::<t::QueueEvent>($($argument),*).await?;
        $call::<t::Relay>($($argument),*).await?;
    }};
}
pub(super) use for_each_table;

/// How files are written; one of another number is refused.
pub(super) const FORMAT: u32 = 1;

/// What the first line tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Header {
    /// [`FORMAT`].
    pub(super) muster_export: u32,
    /// The newest epoch.
    pub(super) epoch: i64,
    /// The newest ids that were given out: none is given out twice.
    pub(super) last_event: i64,
    pub(super) last_decision: i64,
    pub(super) last_zone_event: i64,
}
