//! Query parameters: known ones only, each at most once, with the name of the one at fault.

use std::borrow::Cow;
use std::fmt::Display;
use std::str::FromStr;

use actix_web::HttpRequest;

use crate::wire::{FieldFault, Problem};

/// Rides or drivers in one page at most.
pub const PAGE_MAX: usize = 200;

/// The query parameters of a request.
pub(super) struct Params<'r>(Vec<(Cow<'r, str>, Cow<'r, str>)>);

impl<'r> Params<'r> {
    /// The parameters of `request`, which may be those `known`.
    pub(super) fn of(request: &'r HttpRequest, known: &[&str]) -> Result<Self, Problem> {
        let mut params = Self(Vec::with_capacity(known.len()));
        for (name, value) in form_urlencoded::parse(request.query_string().as_bytes()) {
            if !known.contains(&&*name) {
                let detail = format!("unknown parameter, known are: {}", known.join(", "));
                return Err(fault(&name, detail));
            }
            if params.text(&name).is_some() {
                return Err(fault(&name, "the parameter is given twice"));
            }
            params.0.push((name, value));
        }
        Ok(params)
    }

    /// The parameter, if it is given.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| &**value)
    }

    /// The parameter as a `T`, if it is given.
    pub(super) fn parsed<T: FromStr<Err: Display>>(
        &self,
        name: &str,
    ) -> Result<Option<T>, Problem> {
        self.made(name, str::parse)
    }

    /// What `make` makes of the parameter, if it is given.
    pub(super) fn made<'a, T, E: Display>(
        &'a self,
        name: &str,
        make: impl FnOnce(&'a str) -> Result<T, E>,
    ) -> Result<Option<T>, Problem> {
        self.text(name).map(make).transpose().map_err(|error| fault(name, error))
    }

    /// How many elements a page may have: `default` unless the client asks for fewer or more.
    pub(super) fn limit(&self, default: usize) -> Result<usize, Problem> {
        let limit = self.parsed("limit")?.unwrap_or(default);
        if (1..=PAGE_MAX).contains(&limit) {
            return Ok(limit);
        }
        Err(fault("limit", format!("a limit is within 1..={PAGE_MAX}")))
    }
}

/// The parameter `name` cannot be taken.
pub(super) fn fault(name: &str, detail: impl Display) -> Problem {
    let detail = detail.to_string();
    let problem = Problem::new(400, "invalid_query", format!("{name}: {detail}"));
    problem.with_errors(vec![FieldFault { pointer: format!("?{name}"), detail }])
}
