//! A bare server: actix-web with actix-ws as its documentation shows, which takes the frames that Muster
//! takes, reads them by the same code, writes the position into a slot of the connection and does nothing
//! else. It is the ceiling that `load --beside-bare` compares with.
//!
//! It is started like Muster and tells the fixes it took under the same name, so that one tool loads both.
//! Who asks it for drivers nearby gets the bytes that it was told to answer, whatever the place: the ceiling
//! of `load nearby`.

use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use actix_web::http::header::ContentType;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use actix_ws::Message;
use clap::Parser;
use muster_api::ws::{BINARY_PROTOCOL, ClientFrame, JSON_PROTOCOL, decode_positions};
use muster_engine::grid::{Fix, FixRejection};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// As Muster's.
const ACCEPT_BACKLOG: u32 = 8_192;
const WORKER_CONNECTIONS_MAX: usize = 20_000;

/// Takes positions by WebSocket and keeps the newest.
#[derive(Debug, Parser)]
#[command(name = "bare")]
enum Command {
    /// Serves until it is killed.
    Serve {
        /// Where; port 0 picks a free one.
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: SocketAddr,
        /// Nothing is kept there.
        #[arg(long)]
        data: Option<std::path::PathBuf>,
    },
}

/// The newest position of one connection: a sequence lock, odd while it is written.
#[derive(Debug, Default)]
struct Slot {
    version: AtomicU64,
    place: AtomicU64,
    at: AtomicU64,
}

impl Slot {
    fn write(&self, fix: &Fix) {
        let version = self.version.load(Ordering::Relaxed);
        self.version.store(version + 1, Ordering::Release);
        let lat = u64::from(fix.position.lat_e7().cast_unsigned());
        let lng = u64::from(fix.position.lng_e7().cast_unsigned());
        self.place.store(lat << 32 | lng, Ordering::Release);
        self.at.store(fix.at.as_millis(), Ordering::Release);
        self.version.store(version + 2, Ordering::Release);
    }
}

/// The slots of all connections so far.
#[derive(Debug, Default)]
struct Slots(Mutex<Vec<Arc<Slot>>>);

impl Slots {
    fn add(&self) -> Arc<Slot> {
        let slot = Arc::<Slot>::default();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&slot));
        slot
    }

    fn fixes(&self) -> u64 {
        let slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        slots.iter().map(|slot| slot.version.load(Ordering::Acquire) / 2).sum()
    }
}

async fn stream(
    request: HttpRequest,
    body: web::Payload,
    slots: web::Data<Slots>,
) -> Result<HttpResponse, actix_web::Error> {
    let protocols = [JSON_PROTOCOL, BINARY_PROTOCOL];
    let (response, mut session, mut stream) =
        actix_ws::handle_with_protocols(&request, body, &protocols)?;
    let slot = slots.add();
    actix_web::rt::spawn(async move {
        while let Some(Ok(message)) = stream.recv().await {
            let going_on = match message {
                Message::Text(text) => {
                    if let Ok(ClientFrame::Positions { points }) = ClientFrame::parse(&text) {
                        keep(&slot, points.iter().map(Fix::try_from));
                    }
                    true
                }
                Message::Binary(bytes) => {
                    if let Ok(fixes) = decode_positions(&bytes) {
                        keep(&slot, fixes);
                    }
                    true
                }
                Message::Ping(payload) => session.pong(&payload).await.is_ok(),
                Message::Pong(_) | Message::Continuation(_) | Message::Nop => true,
                Message::Close(_) => false,
            };
            if !going_on {
                break;
            }
        }
        // Whoever went first is gone.
        let _gone = session.close(None).await;
    });
    Ok(response)
}

fn keep(slot: &Slot, fixes: impl Iterator<Item = Result<Fix, FixRejection>>) {
    for fix in fixes.flatten() {
        slot.write(&fix);
    }
}

/// What is answered to whoever asks for drivers nearby.
#[derive(Debug, Default)]
struct Nearby(RwLock<web::Bytes>);

async fn set_nearby(answer: web::Bytes, nearby: web::Data<Nearby>) -> HttpResponse {
    *nearby.0.write().unwrap_or_else(PoisonError::into_inner) = answer;
    HttpResponse::Ok().finish()
}

async fn nearby(nearby: web::Data<Nearby>) -> HttpResponse {
    let answer = nearby.0.read().unwrap_or_else(PoisonError::into_inner).clone();
    HttpResponse::Ok().content_type(ContentType::json()).body(answer)
}

async fn metrics(slots: web::Data<Slots>) -> String {
    format!("muster_position_fixes_total{{outcome=\"applied\"}} {}\n", slots.fixes())
}

#[actix_web::main]
#[expect(clippy::print_stdout, reason = "the first line on standard output says where")]
async fn main() -> std::io::Result<()> {
    let Command::Serve { listen, .. } = Command::parse();
    let listener = TcpListener::bind(listen)?;
    let address = listener.local_addr()?;
    let slots = web::Data::new(Slots::default());
    let answer = web::Data::new(Nearby::default());
    let server = HttpServer::new(move || {
        App::new()
            .app_data(slots.clone())
            .app_data(answer.clone())
            .route("/v1/drivers/nearby", web::get().to(nearby))
            .route("/v1/drivers/nearby", web::put().to(set_nearby))
            .route("/v1/drivers/{driver_id}/stream", web::get().to(stream))
            .route("/v1/drivers/{driver_id}", web::put().to(HttpResponse::Ok))
            .route("/metrics", web::get().to(metrics))
            .route("/readyz", web::get().to(HttpResponse::Ok))
    })
    .backlog(ACCEPT_BACKLOG)
    .max_connections(WORKER_CONNECTIONS_MAX)
    .listen(listener)?
    .run();
    println!("listening on http://{address}");
    server.await
}
