//! A driver's phone on a real socket.

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::server::{PATIENCE, Server};

pub(crate) struct Phone {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    pub(crate) protocol: Option<String>,
}

impl Phone {
    pub(crate) async fn connect(server: &Server, driver: &str, query: &str) -> Self {
        Self::connect_with(server, driver, query, "muster.json.v1").await
    }

    pub(crate) async fn connect_with(
        server: &Server,
        driver: &str,
        query: &str,
        protocol: &str,
    ) -> Self {
        let mut request = server.socket_url(driver, query).into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", protocol.parse().unwrap());
        let (socket, response) = connect_async(request).await.unwrap();
        let protocol = response.headers().get("sec-websocket-protocol");
        Self { socket, protocol: protocol.map(|value| value.to_str().unwrap().to_owned()) }
    }

    /// A driver who is online with a fix at `lat`.
    pub(crate) async fn online(server: &Server, driver: &str, lat: f64) -> (Self, Value) {
        server.put_driver(driver).await;
        let mut phone = Self::connect(server, driver, "").await;
        let welcome = phone.frame("welcome").await;
        phone.say(json!({"type": "status", "status": "online"})).await;
        phone.fix(lat, now_ms(&welcome)).await;
        let path = format!("/v1/drivers/{driver}");
        let ready = |_, view: &Value| view["status"] == "available" && view["contact"] == "live";
        server.until(&path, ready).await;
        (phone, welcome)
    }

    pub(crate) async fn say(&mut self, frame: Value) {
        self.say_text(&frame.to_string()).await;
    }

    pub(crate) async fn say_text(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    /// As `say_text`, for a connection that may be over.
    pub(crate) async fn try_say_text(&mut self, text: &str) -> Result<(), Error> {
        self.socket.send(Message::text(text)).await
    }

    pub(crate) async fn say_bytes(&mut self, bytes: Vec<u8>) {
        self.socket.send(Message::binary(bytes)).await.unwrap();
    }

    pub(crate) async fn fix(&mut self, lat: f64, at: u64) {
        let point = json!({"lat": lat, "lng": -73.9857, "at": at});
        self.say(json!({"type": "positions", "points": [point]})).await;
    }

    /// The next frame of this type; others are passed over.
    pub(crate) async fn frame(&mut self, kind: &str) -> Value {
        loop {
            match self.next().await {
                Ok(frame) if frame["type"] == kind => return frame,
                Ok(_) => {}
                Err(code) => panic!("closed with {code} instead of {kind}"),
            }
        }
    }

    /// The next frame, or the code that the socket is closed with.
    pub(crate) async fn next(&mut self) -> Result<Value, u16> {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.socket.next()).await;
            match message.expect("nothing was heard") {
                Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).unwrap()),
                Some(Ok(Message::Close(close))) => {
                    return Err(close.map_or(1005, |close| u16::from(close.code)));
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(1006),
            }
        }
    }

    /// The code the socket is closed with, whatever is said before.
    pub(crate) async fn closed(&mut self) -> u16 {
        loop {
            if let Err(code) = self.next().await {
                return code;
            }
        }
    }
}

/// The server's clock as of the welcome frame.
pub(crate) fn now_ms(welcome: &Value) -> u64 {
    let text = welcome["server_time"].as_str().unwrap();
    let instant: jiff::Timestamp = text.parse().unwrap();
    u64::try_from(instant.as_millisecond()).unwrap()
}
