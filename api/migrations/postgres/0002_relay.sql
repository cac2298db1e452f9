-- The history is what the bridge tells the platform (the outbox), so it knows which call a transition
-- goes back to and which decision belongs to it.

-- The call that caused it, where that is not the one that asked for the ride.
ALTER TABLE ride_events ADD COLUMN correlation_id TEXT;
ALTER TABLE ride_events ADD COLUMN traceparent TEXT;
-- The decision that was taken with it.
ALTER TABLE ride_events ADD COLUMN decision_id BIGINT;

-- How far each relay has published: every event up to this one.
CREATE TABLE relays (
    name TEXT COLLATE "C" PRIMARY KEY,
    last_event BIGINT NOT NULL
);
