//! What the real binary takes in from a real Kafka broker, with kcat as an independent client.
//!
//! Tests run on several threads: they wait for programs, and connections must be served meanwhile.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod broker;
mod city;
mod dead_letters;
mod outages;
#[expect(dead_code, reason = "shared with tests that need more of it")]
#[path = "../serve/phone.rs"]
mod phone;
mod pressure;
mod profiles;
mod rides;
#[expect(dead_code, reason = "shared with tests that need more of it")]
#[path = "../serve/server.rs"]
mod server;
