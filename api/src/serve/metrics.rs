//! `GET /metrics`.

use std::sync::Arc;

use actix_web::http::header::{ACCEPT, CONTENT_TYPE};
use actix_web::{HttpRequest, HttpResponse, web};
use muster_actors::Dispatch;

use crate::telemetry::{CLASSIC, Metrics, OPEN_METRICS, render};

/// What a scrape reads.
pub(super) struct Scrape {
    dispatch: Dispatch,
    metrics: Arc<Metrics>,
}

impl Scrape {
    pub(super) const fn new(dispatch: Dispatch, metrics: Arc<Metrics>) -> Self {
        Self { dispatch, metrics }
    }
}

pub(super) fn configure(config: &mut web::ServiceConfig) {
    config.route("/metrics", web::get().to(scrape));
}

async fn scrape(request: HttpRequest, state: web::Data<Scrape>) -> HttpResponse {
    state.metrics.refresh(&state.dispatch);
    let accept = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok());
    let open = accept.is_some_and(|accept| accept.contains("application/openmetrics-text"));
    let content_type = if open { OPEN_METRICS } else { CLASSIC };
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, content_type))
        .body(render(&state.metrics, open))
}
