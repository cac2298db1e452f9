//! The real binary as a child process: its command line, its driver stream, its end and its return.

mod phone;
mod process;
mod server;
mod stream;
