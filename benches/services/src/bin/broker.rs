//! A Kafka broker for scripts: prints where it is, and ends when its standard input does.

use std::io::Read;

use muster_services::{Kafka, ServiceError};

#[expect(clippy::print_stdout, reason = "the one line that a script reads")]
fn main() -> Result<(), ServiceError> {
    let kafka = Kafka::start()?;
    println!("{}", kafka.bootstrap());
    // The end of the script ends it, however that comes.
    let _end = std::io::stdin().read_to_end(&mut Vec::new());
    drop(kafka);
    Ok(())
}
