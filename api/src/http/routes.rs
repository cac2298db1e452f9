//! Which path and method is answered by which handler.

use actix_web::dev::HttpServiceFactory;
use actix_web::http::Method;
use actix_web::http::header::ALLOW;
use actix_web::middleware::from_fn;
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpResponse, Route};
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::http::{
    drivers, explain, idempotency, markets, offers, operations, ride_events, ride_progress, rides,
};

/// Registers every route of the HTTP edge. More specific routes of others go before.
pub fn configure(config: &mut ServiceConfig) {
    ride_routes(config);
    driver_routes(config);
    market_routes(config);
    operation_routes(config);
    config.default_service(web::to(HttpResponse::NotFound));
}

fn ride_routes(config: &mut ServiceConfig) {
    let all = [get(rides::list), post(rides::request)];
    config
        .service(resource("/v1/rides", all))
        .service(resource("/v1/rides/{ride_id}", [get(rides::get)]))
        .service(resource("/v1/rides/{ride_id}/cancel", [post(rides::cancel)]))
        .service(resource("/v1/rides/{ride_id}/retry", [post(rides::retry)]))
        .service(resource("/v1/rides/{ride_id}/events", [get(ride_events::events)]))
        .service(resource("/v1/rides/{ride_id}/explain", [get(explain::explain)]))
        .service(resource("/v1/rides/{ride_id}/arrived", [post(ride_progress::arrived)]))
        .service(resource("/v1/rides/{ride_id}/start", [post(ride_progress::start)]))
        .service(resource("/v1/rides/{ride_id}/complete", [post(ride_progress::complete)]))
        .service(resource(
            "/v1/rides/{ride_id}/driver-cancel",
            [post(ride_progress::driver_cancel)],
        ));
}

fn driver_routes(config: &mut ServiceConfig) {
    let one = [get(drivers::get), (Method::PUT, web::put().to(drivers::put))];
    config
        .service(resource("/v1/drivers/nearby", [get(drivers::nearby)]))
        .service(resource("/v1/drivers/{driver_id}", one))
        .service(resource("/v1/drivers/{driver_id}/status", [post(drivers::set_status)]))
        .service(resource("/v1/drivers/{driver_id}/positions", [post(drivers::positions)]))
        .service(resource("/v1/drivers/{driver_id}/offers", [get(drivers::offers)]))
        .service(resource("/v1/offers/{offer_id}/accept", [post(offers::accept)]))
        .service(resource("/v1/offers/{offer_id}/decline", [post(offers::decline)]));
}

fn market_routes(config: &mut ServiceConfig) {
    config
        .service(resource("/v1/markets", [get(markets::list)]))
        .service(resource("/v1/markets/{market}", [get(markets::get)]))
        .service(resource("/v1/markets/{market}/supply", [get(markets::supply)]));
}

fn operation_routes(config: &mut ServiceConfig) {
    // No validator: the page loads nothing from elsewhere.
    let swagger = Config::from("/openapi.json").validator_url("none").try_it_out_enabled(true);
    config
        .service(resource("/healthz", [get(operations::healthz)]))
        .service(resource("/readyz", [get(operations::readyz)]))
        .service(resource("/version", [get(operations::version)]))
        .service(resource("/openapi.json", [get(operations::openapi_json)]))
        .service(resource("/asyncapi.yaml", [get(operations::asyncapi_yaml)]))
        .service(resource("/v1/admin/drain", [post(operations::drain)]))
        .service(resource("/docs", [get(operations::docs)]))
        .service(SwaggerUi::new("/docs/{_:.*}").config(swagger));
}

fn get<H, Args>(handler: H) -> (Method, Route)
where
    H: actix_web::Handler<Args>,
    Args: actix_web::FromRequest + 'static,
    H::Output: actix_web::Responder + 'static,
{
    (Method::GET, web::get().to(handler))
}

fn post<H, Args>(handler: H) -> (Method, Route)
where
    H: actix_web::Handler<Args>,
    Args: actix_web::FromRequest + 'static,
    H::Output: actix_web::Responder + 'static,
{
    (Method::POST, web::post().to(handler))
}

/// A path with its methods; others are told which there are.
fn resource(
    path: &str,
    routes: impl IntoIterator<Item = (Method, Route)>,
) -> impl HttpServiceFactory + 'static {
    let (mut resource, mut methods) = (web::resource(path), Vec::new());
    for (method, route) in routes {
        resource = resource.route(route);
        methods.push(method.to_string());
    }
    let allowed = methods.join(", ");
    let refuse = move || {
        let answer =
            HttpResponse::MethodNotAllowed().insert_header((ALLOW, allowed.clone())).finish();
        std::future::ready(answer)
    };
    resource.default_service(web::to(refuse)).wrap(from_fn(idempotency::guard))
}
