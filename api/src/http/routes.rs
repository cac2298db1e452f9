//! Which path and method is answered by which handler.

use actix_web::dev::HttpServiceFactory;
use actix_web::http::Method;
use actix_web::http::header::ALLOW;
use actix_web::middleware::from_fn;
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpResponse, Route};
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::http::{
    drivers, explain, idempotency, markets, offers, operations, policies, quotes, ride_events,
    ride_progress, rides, shadow, zones,
};

/// Registers every route of the HTTP edge. More specific routes of others go before.
pub fn configure(config: &mut ServiceConfig) {
    ride_routes(config);
    driver_routes(config);
    market_routes(config);
    operation_routes(config);
    config.default_service(web::to(HttpResponse::NotFound));
}

// Routes are tried in order and each path with a parameter is a regular expression: scopes keep the
// calls of one kind from paying for those of the others, and the frequent ones come first.

fn ride_routes(config: &mut ServiceConfig) {
    let all = [get(rides::list), post(rides::request)];
    let rides = web::scope("/v1/rides")
        .service(resource("", all))
        .service(resource("/{ride_id}", [get(rides::get)]))
        .service(resource("/{ride_id}/cancel", [post(rides::cancel)]))
        .service(resource("/{ride_id}/retry", [post(rides::retry)]))
        .service(resource("/{ride_id}/dropoff", [post(rides::change_dropoff)]))
        .service(resource("/{ride_id}/events", [get(ride_events::events)]))
        .service(resource("/{ride_id}/quotes", [get(quotes::list)]))
        .service(resource("/{ride_id}/quotes/{quote_id}/select", [post(quotes::select)]))
        .service(resource("/{ride_id}/explain", [get(explain::explain)]))
        .service(resource("/{ride_id}/arrived", [post(ride_progress::arrived)]))
        .service(resource("/{ride_id}/start", [post(ride_progress::start)]))
        .service(resource("/{ride_id}/complete", [post(ride_progress::complete)]))
        .service(resource("/{ride_id}/driver-cancel", [post(ride_progress::driver_cancel)]));
    config.service(rides);
}

fn driver_routes(config: &mut ServiceConfig) {
    let one = [get(drivers::get), (Method::PUT, web::put().to(drivers::put))];
    let drivers = web::scope("/v1/drivers")
        .service(resource("/nearby", [get(drivers::nearby)]))
        .service(resource("/{driver_id}/positions", [post(drivers::positions)]))
        .service(resource("/{driver_id}", one))
        .service(resource("/{driver_id}/status", [post(drivers::set_status)]))
        .service(resource("/{driver_id}/offers", [get(drivers::offers)]))
        .service(resource("/{driver_id}/explain", [get(explain::explain_driver)]));
    let offers = web::scope("/v1/offers")
        .service(resource("/{offer_id}/accept", [post(offers::accept)]))
        .service(resource("/{offer_id}/decline", [post(offers::decline)]));
    config.service(drivers).service(offers);
}

fn market_routes(config: &mut ServiceConfig) {
    let remove = (Method::DELETE, web::delete().to(zones::remove));
    let place = [get(zones::position), post(zones::add), remove];
    let policy = [get(policies::get), (Method::PUT, web::put().to(policies::put))];
    let markets = web::scope("/v1/markets")
        .service(resource("", [get(markets::list)]))
        .service(resource("/{market}", [get(markets::get)]))
        .service(resource("/{market}/supply", [get(markets::supply)]))
        .service(resource("/{market}/policy", policy))
        .service(resource("/{market}/policy/history", [get(policies::history)]))
        .service(resource("/{market}/shadow", [get(shadow::get)]))
        .service(resource("/{market}/zones", [get(zones::list)]))
        .service(resource("/{market}/zones/{zone}/otp", [post(zones::enter_otp)]))
        .service(resource("/{market}/zones/{zone}/queue", [get(zones::queue)]))
        .service(resource("/{market}/zones/{zone}/queue/{driver_id}", place))
        .service(resource(
            "/{market}/zones/{zone}/queue/{driver_id}/respond",
            [post(zones::respond)],
        ));
    config.service(markets);
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
        .service(resource("/schemas/{file}", [get(operations::topic_schema)]))
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
