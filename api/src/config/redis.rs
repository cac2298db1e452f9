//! `[redis]`: the mirror of what is hot, shared with other processes.

use serde::{Deserialize, Serialize};

/// `[redis]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RedisConfig {
    /// `redis://host:port`; several apart by commas are nodes of a cluster; empty: no Redis.
    pub url: String,
    /// What every key begins with.
    pub prefix: String,
    /// Milliseconds between two rounds of the mirror.
    pub mirror_every_ms: u64,
    /// Positions that the mirror writes per second at most.
    pub mirror_positions_per_s_max: u32,
    /// Seconds that a position is kept.
    pub position_ttl_s: u64,
    /// Seconds that a market's owner is known for after his last word.
    pub owner_ttl_s: u64,
    /// How others reach this process; empty: as it listens.
    pub advertise: String,
    /// Milliseconds that an answer is waited for.
    pub timeout_ms: u64,
}

impl RedisConfig {
    /// Whether there is a Redis.
    pub const fn is_on(&self) -> bool {
        !self.url.is_empty()
    }

    /// The nodes: one is a server of its own, more are a cluster.
    pub fn nodes(&self) -> Vec<&str> {
        self.url.split(',').map(str::trim).collect()
    }

    /// The first key whose value is not allowed: its name, the value and what is allowed.
    pub(super) fn fault(&self) -> Option<(&'static str, String, &'static str)> {
        if !self.is_on() {
            return None;
        }
        let node = |node: &&str| redis::IntoConnectionInfo::into_connection_info(*node).is_ok();
        let nodes = self.nodes().iter().all(node);
        let plain = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        let prefix = !self.prefix.is_empty() && self.prefix.chars().all(plain);
        // A URL may hold a password, so it is not repeated.
        let url = "not understood".to_owned();
        let checks = [
            (nodes, "url", url, "redis://host:port, the nodes of a cluster apart by commas"),
            (prefix, "prefix", self.prefix.clone(), "letters, digits, '_', '.', '-'"),
            within("mirror_every_ms", self.mirror_every_ms, 100, 60_000, "100..=60000"),
            within(
                "mirror_positions_per_s_max",
                u64::from(self.mirror_positions_per_s_max),
                100,
                1_000_000,
                "100..=1000000",
            ),
            within("position_ttl_s", self.position_ttl_s, 10, 86_400, "10..=86400"),
            within("owner_ttl_s", self.owner_ttl_s, 3, 3_600, "3..=3600"),
            within("timeout_ms", self.timeout_ms, 5, 10_000, "5..=10000"),
        ];
        let broken = checks.into_iter().find(|(holds, ..)| !holds);
        broken.map(|(_, key, value, allowed)| (key, value, allowed))
    }
}

fn within(
    key: &'static str,
    value: u64,
    least: u64,
    most: u64,
    allowed: &'static str,
) -> (bool, &'static str, String, &'static str) {
    ((least..=most).contains(&value), key, value.to_string(), allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(url: &str) -> RedisConfig {
        RedisConfig {
            url: url.to_owned(),
            prefix: "muster".to_owned(),
            mirror_every_ms: 1_000,
            mirror_positions_per_s_max: 20_000,
            position_ttl_s: 600,
            owner_ttl_s: 15,
            advertise: String::new(),
            timeout_ms: 200,
        }
    }

    #[test]
    fn one_node_and_several_are_told_apart() {
        assert_eq!(config("redis://127.0.0.1:1").fault(), None);
        let cluster = config("redis://127.0.0.1:1, redis://127.0.0.1:2");
        assert_eq!(cluster.fault(), None);
        assert_eq!(cluster.nodes().len(), 2);
        assert!(!config("").is_on());
    }

    #[test]
    fn what_is_wrong_is_named_and_no_password_is_told() {
        let (key, value, _) = config("http://:secret@host").fault().unwrap();
        assert_eq!(key, "url");
        assert!(!value.contains("secret"));
        let mut braces = config("redis://127.0.0.1:1");
        braces.prefix = "a{b}".to_owned();
        assert_eq!(braces.fault().unwrap().0, "prefix");
        braces.prefix = "muster".to_owned();
        braces.timeout_ms = 0;
        assert_eq!(braces.fault().unwrap(), ("timeout_ms", "0".to_owned(), "5..=10000"));
    }
}
