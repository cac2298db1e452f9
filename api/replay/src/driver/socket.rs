//! Opening a driver's WebSocket.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

/// A driver's connection.
pub(crate) type DriverSocket = WebSocketStream<TcpStream>;

/// Drivers per loopback source address: one address has some 28,000 ports for one server.
const DRIVERS_PER_SOURCE: usize = 20_000;
/// Frames are small and drivers are many: the default buffer of 128 KiB each would be wasted.
const READ_BUFFER_BYTES: usize = 4 * 1024;
/// Larger frames than this are nothing the contract knows.
const FRAME_BYTES_MAX: usize = 256 * 1024;

/// How to reach a driver's stream.
#[derive(Debug, Clone)]
pub(crate) struct Target<'a> {
    pub(crate) authority: &'a str,
    pub(crate) driver_id: &'a str,
    pub(crate) driver_index: usize,
    pub(crate) binary: bool,
    /// The newest sequence number seen, when this is not the first connection.
    pub(crate) last_seq: Option<u64>,
}

/// Connects and shakes hands.
pub(crate) async fn open(target: &Target<'_>) -> Result<DriverSocket, String> {
    let mut url = format!("ws://{}/v1/drivers/{}/stream", target.authority, target.driver_id);
    if let Some(last_seq) = target.last_seq {
        url.push_str(&format!("?last_seq={last_seq}"));
    }
    let mut request = url.into_client_request().map_err(|error| error.to_string())?;
    let protocol = if target.binary { "muster.bin.v1" } else { "muster.json.v1" };
    request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static(protocol));
    let stream = tcp(target).await.map_err(|error| error.to_string())?;
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .max_message_size(Some(FRAME_BYTES_MAX))
        .max_frame_size(Some(FRAME_BYTES_MAX));
    tokio_tungstenite::client_async_with_config(request, stream, Some(config))
        .await
        .map(|(socket, _)| socket)
        .map_err(|error| error.to_string())
}

async fn tcp(target: &Target<'_>) -> std::io::Result<TcpStream> {
    let address = tokio::net::lookup_host(target.authority)
        .await?
        .next()
        .ok_or(std::io::ErrorKind::AddrNotAvailable)?;
    let stream = match source_for(address, target.driver_index) {
        Some(source) => {
            let socket = TcpSocket::new_v4()?;
            socket.bind(source)?;
            socket.connect(address).await?
        }
        None => TcpStream::connect(address).await?,
    };
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// A further loopback address for the drivers that one address has no ports for.
fn source_for(server: SocketAddr, driver_index: usize) -> Option<SocketAddr> {
    let block = driver_index / DRIVERS_PER_SOURCE;
    if block == 0 || !server.ip().is_loopback() || !server.is_ipv4() {
        return None;
    }
    let last = u8::try_from(block + 1).ok()?;
    Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, last)), 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_addresses_are_added_only_when_one_is_not_enough() {
        let server: SocketAddr = "127.0.0.1:9996".parse().unwrap();
        assert_eq!(source_for(server, 19_999), None);
        assert_eq!(source_for(server, 20_000), Some("127.0.0.2:0".parse().unwrap()));
        assert_eq!(source_for("10.1.2.3:9996".parse().unwrap(), 50_000), None);
    }
}
