//! Compares what the store says happened with what kcat read.

use std::collections::BTreeMap;
use std::path::Path;

use muster_api::kafka::{HistoryTail, Transition};
use muster_api::store::{SqliteOptions, SqliteStore};

use crate::kcat::Message;

/// What a comparison found, besides no fault.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found {
    pub(crate) transitions: usize,
    pub(crate) duplicates: usize,
}

/// The history in the store of a server that has ended.
pub(crate) async fn history(folder: &Path) -> Vec<Transition> {
    let options = SqliteOptions { read_only: true, ..SqliteOptions::default() };
    let store = SqliteStore::open_with(&folder.join("data/muster.db"), &options).await.unwrap();
    let mut history: Vec<Transition> = Vec::new();
    loop {
        let newest = history.last().map_or(0, |last| last.event);
        let more = store.after(newest, 1_000).await.unwrap();
        if more.is_empty() {
            return history;
        }
        history.extend(more);
    }
}

/// Every transition was told, in the order of its ride, and nothing else; what came twice is the same both
/// times.
pub(crate) fn compare(history: &[Transition], messages: &[Message]) -> Found {
    let mut told: BTreeMap<&str, Vec<&Message>> = BTreeMap::new();
    for message in messages {
        told.entry(&message.key).or_default().push(message);
    }
    let mut happened: BTreeMap<&str, Vec<&Transition>> = BTreeMap::new();
    for transition in history {
        happened.entry(transition.after.request.ride.as_str()).or_default().push(transition);
    }
    assert!(told.keys().all(|ride| happened.contains_key(ride)), "a ride that is not in the store");
    let mut duplicates = 0;
    for (ride, transitions) in happened {
        let messages = told.remove(ride).unwrap_or_default();
        let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
        let mut order: Vec<&Message> = Vec::new();
        for message in messages {
            let one = order.iter().all(|other| other.partition == message.partition);
            assert!(one, "{ride} is in two partitions");
            match seen.insert(message.event_id(), &message.payload) {
                None => order.push(message),
                Some(first) => {
                    assert_eq!(first, message.payload, "a duplicate says something else");
                    duplicates += 1;
                }
            }
        }
        let told: Vec<_> = order.iter().map(|message| facts_told(message)).collect();
        let facts: Vec<_> = transitions.iter().map(|transition| facts(transition)).collect();
        assert_eq!(told, facts, "ride {ride}");
    }
    Found { transitions: history.len(), duplicates }
}

fn facts(transition: &Transition) -> (String, u64, String) {
    let record = &transition.after;
    let id = format!("{}:{}", record.request.ride, record.version);
    (id, record.version, transition.kind.name().to_owned())
}

fn facts_told(message: &Message) -> (String, u64, String) {
    let body = message.body();
    let kind = body["type"].as_str().unwrap().to_owned();
    (message.event_id().to_owned(), body["ride"]["version"].as_u64().unwrap(), kind)
}
