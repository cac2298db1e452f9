-- The queue of each zone: JSON of its whole state, and what happened to it.

CREATE TABLE zone_queues (
    market TEXT NOT NULL,
    zone TEXT NOT NULL,
    version INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    state TEXT NOT NULL,
    PRIMARY KEY (market, zone)
) STRICT, WITHOUT ROWID;

-- Append-only; bounded by retention.
CREATE TABLE zone_queue_events (
    event_id INTEGER PRIMARY KEY AUTOINCREMENT,
    market TEXT NOT NULL,
    zone TEXT NOT NULL,
    version INTEGER NOT NULL,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    driver_id TEXT NOT NULL,
    -- Why he left, for `left`.
    reason TEXT,
    -- An operator's words.
    note TEXT
) STRICT;
