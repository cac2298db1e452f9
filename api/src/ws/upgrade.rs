//! From a handshake to a socket of its own.
//!
//! The handshake is a request like any other: it is routed, traced, counted and refused as one. Once it
//! is answered with 101 the connection leaves the HTTP dispatcher, and so leaves behind what the
//! dispatcher keeps for every connection: two buffers of 8 KiB, a decoder, timers and a task that would
//! wake a second one for every frame.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use actix_codec::{Framed, FramedParts};
use actix_http::body::{BodySize, BoxBody, MessageBody, to_bytes};
use actix_http::h1::{Codec, Message};
use actix_http::{ConnectionType, Request, Response, StatusCode};
use actix_service::{IntoServiceFactory, Service, ServiceFactory, fn_factory, fn_service};
use actix_web::dev::{AppConfig, ServiceResponse};
use actix_web::rt::net::TcpStream;
use actix_web::{Error, HttpMessage};
use futures_util::SinkExt;
use muster_actors::{DriverLink, current_origin, on_behalf};
use muster_engine::origin::Origin;

use super::{StreamState, session};

/// A connection on which a handshake was read.
pub(crate) type Connection = Framed<TcpStream, Codec>;

/// A session that waits for its socket.
pub(super) struct Opened {
    state: Arc<StreamState>,
    link: DriverLink,
    /// What the phone says goes back to the call that opened its session.
    origin: Option<Arc<Origin>>,
}

impl Opened {
    /// The session of the call at hand.
    pub(super) fn new(state: Arc<StreamState>, link: DriverLink) -> Self {
        Self { state, link, origin: current_origin() }
    }

    fn begin(self, connection: Connection) {
        let FramedParts { io, read_buf, .. } = connection.into_parts();
        let alive = self.state.alive.token();
        let session = session::run(self.state, self.link, io, read_buf);
        actix_web::rt::spawn(on_behalf(self.origin, async move {
            session.await;
            drop(alive);
        }));
    }
}

/// Where the handler of a handshake leaves the session that it opened.
#[derive(Clone, Default)]
pub(super) struct Handover(Rc<RefCell<Option<Opened>>>);

impl Handover {
    pub(super) fn leave(&self, opened: Opened) {
        self.0.replace(Some(opened));
    }
}

/// Answers handshakes by `app`, and runs the sessions that it opens.
pub(crate) fn upgrades<A, S, B>(
    app: A,
) -> impl ServiceFactory<
    (Request, Connection),
    Config = (),
    Response = (),
    Error = Error,
    InitError = (),
    Service: Service<(Request, Connection), Future: 'static>,
>
where
    A: IntoServiceFactory<S, Request>,
    S: ServiceFactory<
            Request,
            Config = AppConfig,
            Response = ServiceResponse<B>,
            Error = Error,
            InitError = (),
        >,
    S::Future: 'static,
    S::Service: 'static,
    B: MessageBody + 'static,
{
    let app = app.into_factory();
    fn_factory(move || {
        let app = app.new_service(AppConfig::default());
        async move {
            let app = Rc::new(app.await?);
            // Boxed: the dispatcher keeps room for it in every connection.
            let upgrade =
                move |(request, connection)| Box::pin(answer(Rc::clone(&app), request, connection));
            Ok::<_, ()>(fn_service(upgrade))
        }
    })
}

async fn answer<S, B>(app: Rc<S>, request: Request, mut connection: Connection) -> Result<(), Error>
where
    S: Service<Request, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody + 'static,
{
    let handover = Handover::default();
    request.extensions_mut().insert(handover.clone());
    let answer = match poll_fn(|context| app.poll_ready(context)).await {
        Ok(()) => app.call(request).await,
        Err(error) => Err(error),
    };
    let response = match answer {
        Ok(answer) => Response::from(answer.map_into_boxed_body()),
        Err(error) => Response::<BoxBody>::from(error),
    };
    let (head, body) = response.into_parts();
    let opened = handover.0.take();
    // A client that is gone by now is nobody's fault.
    let sent = match opened {
        Some(opened) if head.status() == StatusCode::SWITCHING_PROTOCOLS => {
            let sent = connection.send(Message::Item((head, BodySize::None))).await;
            sent.map(|()| opened.begin(connection))
        }
        Some(_) | None => refuse(connection, head, body).await,
    };
    if let Err(error) = sent {
        tracing::debug!(%error, "a handshake was not answered");
    }
    Ok(())
}

/// Answers with what is no upgrade, and closes the connection.
async fn refuse(
    mut connection: Connection,
    mut head: Response<()>,
    body: BoxBody,
) -> io::Result<()> {
    let body = to_bytes(body).await.map_err(|error| io::Error::other(error.to_string()))?;
    head.head_mut().set_connection_type(ConnectionType::Close);
    connection.send(Message::Item((head, BodySize::Sized(body.len() as u64)))).await?;
    if !body.is_empty() {
        connection.send(Message::Chunk(Some(body))).await?;
    }
    connection.send(Message::Chunk(None)).await?;
    poll_fn(|context| {
        std::pin::Pin::new(&mut connection).close::<Message<(Response<()>, BodySize)>>(context)
    })
    .await
}
