//! kcat: a consumer that shares nothing with the server but the broker.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

/// One message as kcat found it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) partition: i64,
    pub(crate) offset: i64,
    pub(crate) key: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) payload: String,
}

impl Message {
    pub(crate) fn body(&self) -> Value {
        serde_json::from_str(&self.payload).unwrap()
    }

    pub(crate) fn event_id(&self) -> &str {
        &self.headers["event_id"]
    }

    fn of(line: &str) -> Self {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let headers: Vec<String> = line["headers"].as_array().unwrap().iter().map(text).collect();
        let headers = headers.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
        Self {
            partition: line["partition"].as_i64().unwrap(),
            offset: line["offset"].as_i64().unwrap(),
            key: text(&line["key"]),
            headers,
            payload: text(&line["payload"]),
        }
    }
}

/// Everything in a topic, each partition in its order.
pub(crate) fn read(brokers: &str, topic: &str) -> Vec<Message> {
    // Where messages keep coming, a fetch that waits for one never finds the end.
    let at_once = ["-X", "fetch.wait.max.ms=0"];
    let args = ["-C", "-b", brokers, "-t", topic, "-o", "beginning", "-e", "-q", "-J"];
    let output = Command::new("kcat").args(args).args(at_once).output().expect("kcat is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let mut messages: Vec<Message> = text.lines().map(Message::of).collect();
    messages.sort_by_key(|message| (message.partition, message.offset));
    messages
}

/// The first message of a topic, byte by byte.
pub(crate) fn first_bytes(brokers: &str, topic: &str) -> Vec<u8> {
    let args = ["-C", "-b", brokers, "-t", topic, "-o", "beginning", "-c", "1", "-q", "-D", ""];
    let output = Command::new("kcat").args(args).output().expect("kcat is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}
