//! The description of the HTTP interface, made from the handlers.

use std::sync::OnceLock;

use utoipa::openapi::path::{Operation, ParameterBuilder, ParameterIn};
use utoipa::openapi::{
    ContentBuilder, HeaderBuilder, Object, Ref, Required, ResponseBuilder, Type,
};
use utoipa::{Modify, OpenApi};

use crate::http::{
    drivers, explain, markets, offers, operations, policies, quotes, ride_events, ride_progress,
    rides, shadow, zones,
};
use crate::wire::{DriverPositionEvent, PROBLEM_JSON, ProblemBody};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Muster",
        description = "Real-time ride dispatch: rides, drivers, offers.\n\nErrors are \
            `application/problem+json` (RFC 9457) with a stable `code`. Every mutating call takes \
            an `Idempotency-Key`, kept for a day. `X-Correlation-Id` and `traceparent` are taken \
            over when well-formed, drawn otherwise, and returned.",
    ),
    paths(
        rides::request, rides::list, rides::get, rides::cancel, rides::retry,
        rides::change_dropoff,
        quotes::list, quotes::select, ride_events::events, explain::explain, explain::explain_driver,
        ride_progress::arrived, ride_progress::start, ride_progress::complete,
        ride_progress::driver_cancel,
        drivers::put, drivers::get, drivers::set_status, drivers::positions, drivers::offers,
        drivers::nearby, offers::accept, offers::decline,
        markets::list, markets::get, markets::supply,
        policies::get, policies::put, policies::history, shadow::get,
        zones::list, zones::queue, zones::position, zones::add, zones::remove, zones::respond,
        zones::enter_otp,
        operations::healthz, operations::readyz, operations::version, operations::drain,
    ),
    components(schemas(ProblemBody, DriverPositionEvent)),
    tags(
        (name = "rides", description = "Asked for, followed, called off"),
        (name = "ride progress", description = "Steps of a ride that its driver reports"),
        (name = "drivers", description = "Profile, work, positions"),
        (name = "offers", description = "A driver's answers"),
        (name = "markets", description = "Operating areas, supply and demand"),
        (name = "zones", description = "Places with rules of their own, and their queues"),
        (name = "operations", description = "For those who run the server"),
    ),
    modifiers(&Common),
)]
struct Document;

/// What holds for every operation.
struct Common;

/// The description of the HTTP interface.
pub fn document() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

/// The description as JSON.
pub(super) fn text() -> &'static str {
    static TEXT: OnceLock<String> = OnceLock::new();
    TEXT.get_or_init(|| document().to_pretty_json().unwrap_or_default())
}

impl Modify for Common {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        for path in document.paths.paths.values_mut() {
            let mutating = [&mut path.post, &mut path.put, &mut path.delete];
            mutating.into_iter().flatten().for_each(take_key);
            let all = [&mut path.get, &mut path.post, &mut path.put, &mut path.delete];
            all.into_iter().flatten().for_each(answer_problem);
        }
    }
}

fn take_key(operation: &mut Operation) {
    let key = ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some("A repeat with the same key and body is answered with the first answer"))
        .schema(Some(Object::with_type(Type::String)))
        .build();
    operation.parameters.get_or_insert_default().push(key.into());
}

fn answer_problem(operation: &mut Operation) {
    let schema = Ref::from_schema_name("Problem");
    let retry = HeaderBuilder::new()
        .description(Some("Seconds after which a repeat may succeed, with 409, 429 and 503"))
        .schema(Some(Object::with_type(Type::Integer)))
        .build();
    let problem = ResponseBuilder::new()
        .description("What went wrong, by its `code`")
        .content(PROBLEM_JSON, ContentBuilder::new().schema(Some(schema)).build())
        .header("Retry-After", retry)
        .build();
    operation.responses.responses.insert("default".to_owned(), problem.into());
}
