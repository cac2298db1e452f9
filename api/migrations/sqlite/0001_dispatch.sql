-- Durable truth of dispatch. Instants are Unix milliseconds, `state`, `profile` and `body` are JSON.

CREATE TABLE meta (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    -- Fencing token: who holds the newest one owns all markets.
    epoch INTEGER NOT NULL
) STRICT;
INSERT INTO meta (only_row, epoch) VALUES (1, 0);

-- Current state of each ride.
CREATE TABLE rides (
    ride_id TEXT NOT NULL PRIMARY KEY,
    market TEXT NOT NULL,
    rider_id TEXT NOT NULL,
    status TEXT NOT NULL,
    driver_id TEXT,
    version INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    requested_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    request_key TEXT UNIQUE,
    request_fingerprint TEXT,
    state TEXT NOT NULL
) STRICT;
-- The last line of defence: a driver serves one ride at a time.
CREATE UNIQUE INDEX rides_active_driver ON rides (driver_id)
    WHERE status IN ('assigned', 'arrived', 'in_progress');
-- Two indexes serve every listing: the market is compared inside the index. The first never changes
-- after the request; the second also finds open rides.
CREATE INDEX rides_by_request ON rides (requested_at, ride_id, market);
CREATE INDEX rides_by_status ON rides (status, requested_at, ride_id, market);
-- Retention, and the newest instant.
CREATE INDEX rides_ended ON rides (updated_at)
    WHERE status IN ('completed', 'cancelled', 'unfulfilled');

-- Append-only history; `event_id` is the order of all transitions of all rides.
CREATE TABLE ride_events (
    event_id INTEGER PRIMARY KEY AUTOINCREMENT,
    ride_id TEXT NOT NULL REFERENCES rides (ride_id),
    seq INTEGER NOT NULL,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    state TEXT NOT NULL,
    UNIQUE (ride_id, seq)
) STRICT;

-- Who was considered for each wave; bounded by retention.
CREATE TABLE decisions (
    decision_id INTEGER PRIMARY KEY AUTOINCREMENT,
    ride_id TEXT NOT NULL REFERENCES rides (ride_id),
    attempt INTEGER NOT NULL,
    wave INTEGER NOT NULL,
    at INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT;
CREATE INDEX decisions_by_ride ON decisions (ride_id, decision_id);

-- Profile and intent of each driver; `updated_at` is wall-clock time, for people.
CREATE TABLE drivers (
    driver_id TEXT NOT NULL PRIMARY KEY,
    market TEXT NOT NULL,
    online INTEGER NOT NULL,
    profile TEXT NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

-- Newest position of each driver as of the last snapshot.
CREATE TABLE positions (
    driver_id TEXT NOT NULL PRIMARY KEY,
    lat_e7 INTEGER NOT NULL,
    lng_e7 INTEGER NOT NULL,
    recorded_at INTEGER NOT NULL,
    received_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- First answers to mutating calls, kept for a day.
CREATE TABLE idempotency (
    key TEXT NOT NULL PRIMARY KEY,
    fingerprint TEXT NOT NULL,
    status INTEGER NOT NULL,
    content_type TEXT NOT NULL,
    body BLOB NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX idempotency_by_age ON idempotency (created_at);

-- Written and emptied in one transaction to find out whether the disk takes new pages.
CREATE TABLE write_probe (
    body BLOB NOT NULL
) STRICT;
