//! Connections over loopback, and nowhere else.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use socket2::{Domain, Socket, Type};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;

/// Source addresses connections are spread over: each has its own ephemeral ports.
const SOURCES: u32 = 8;

static NEXT_SOURCE: AtomicU32 = AtomicU32::new(0);

/// The address in `http://ADDR:PORT`.
///
/// # Errors
/// When it is no such URL, or not a loopback address: this tool must not load anybody else.
pub fn loopback(url: &str) -> anyhow::Result<SocketAddr> {
    let address = url.strip_prefix("http://").context("a URL begins with http://")?;
    let address: SocketAddr = address
        .trim_end_matches('/')
        .parse()
        .with_context(|| format!("{url} is not http://ADDRESS:PORT"))?;
    if !address.ip().is_loopback() || !address.is_ipv4() {
        bail!("{address} is not an IPv4 loopback address: only 127.0.0.0/8 is loaded");
    }
    Ok(address)
}

/// A connection from one of several 127.0.0.x.
///
/// # Errors
/// As the operating system says.
pub async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(next_source())?;
    let stream = socket.connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// As [`connect`], for a thread that may wait.
///
/// # Errors
/// As the operating system says.
pub fn connect_blocking(address: SocketAddr) -> io::Result<std::net::TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&next_source().into())?;
    socket.connect(&address.into())?;
    socket.set_tcp_nodelay(true)?;
    Ok(socket.into())
}

fn next_source() -> SocketAddr {
    let turn = NEXT_SOURCE.fetch_add(1, Ordering::Relaxed) % SOURCES;
    let source = Ipv4Addr::new(127, 0, 0, 1 + u8::try_from(turn).unwrap_or(0));
    SocketAddr::new(source.into(), 0)
}

/// Unix milliseconds.
pub fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Waits until the run stops.
pub(crate) async fn until_stop(stop: &mut watch::Receiver<bool>) {
    // A run that is gone has stopped, too.
    drop(stop.wait_for(|stop| *stop).await);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_loaded() {
        assert!(loopback("http://127.0.0.1:9996").is_ok());
        assert!(loopback("http://127.0.0.9:9996/").is_ok());
        for url in ["http://10.0.0.1:80", "http://example.com:80", "https://127.0.0.1:1", "x"] {
            assert!(loopback(url).is_err(), "{url}");
        }
    }
}
