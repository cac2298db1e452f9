-- Every change of a market's policies: what was put in force last wins over the configuration, unless
-- the configured book changed since. `before` and `after` are JSON with every key.

CREATE TABLE policies (
    market TEXT NOT NULL,
    version INTEGER NOT NULL,
    at INTEGER NOT NULL,
    cause TEXT NOT NULL,
    correlation_id TEXT NOT NULL,
    -- A hash of the configured book at that time.
    configured TEXT NOT NULL,
    before TEXT NOT NULL,
    after TEXT NOT NULL,
    PRIMARY KEY (market, version)
) STRICT;
