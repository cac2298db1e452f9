//! Load generator, kill -9 checker, the relay's bench and what they share. All see the server from outside
//! only: by its HTTP interface, its driver sockets and `/proc`; the last one fills its store before. And
//! [`peers`], which measures the supply index alone beside others.

pub mod audit;
pub mod capacity;
pub mod chaos;
pub mod city;
pub mod fleet;
pub mod http;
pub mod in_process;
pub mod judge;
pub mod ledger;
pub mod load;
pub mod net;
pub mod peers;
pub mod phone;
pub mod process;
pub mod relay;
pub mod report;
pub mod riders;
pub mod scrape;
pub mod server;
pub mod sse;
pub mod wire;
pub mod witness;
pub mod ws;
