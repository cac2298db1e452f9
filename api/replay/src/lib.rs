//! Replay client.
