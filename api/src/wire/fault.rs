//! What is wrong with a request, field by field.

use std::fmt::Display;

use muster_engine::id::{MarketId, ServiceTierId};
use serde::Serialize;
use utoipa::ToSchema;

/// The longest free text a client may send: a reason, a name.
pub const TEXT_CHARS_MAX: usize = 256;

/// One field of a request that cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldFault {
    /// Where: a JSON pointer into the body, or `?name` for a query parameter.
    #[schema(example = "/pickup/lat")]
    pub pointer: String,
    /// What is wrong with it.
    pub detail: String,
}

/// Collects what is wrong with a request.
#[derive(Debug, Default)]
pub struct Faults(Vec<FieldFault>);

/// Why a request that can be read cannot be carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestFault {
    /// Fields hold values that are not allowed.
    Fields(Vec<FieldFault>),
    /// The pickup is in no market, or not in the one that was named.
    NotServiceable(String),
    /// No market has this id.
    UnknownMarket(MarketId),
    /// The market does not sell this tier.
    UnknownTier {
        /// The market.
        market: MarketId,
        /// The tier it does not sell.
        tier: ServiceTierId,
    },
}

impl Faults {
    /// Notes that the value at `pointer` is wrong.
    pub fn add(&mut self, pointer: impl Into<String>, detail: impl Display) {
        self.0.push(FieldFault { pointer: pointer.into(), detail: detail.to_string() });
    }

    /// The value, or nothing after noting why there is none.
    pub fn keep<T, E: Display>(&mut self, pointer: &str, value: Result<T, E>) -> Option<T> {
        value.map_err(|error| self.add(pointer, error)).ok()
    }

    /// As [`keep`](Self::keep), for every element of a list with at most `most` elements.
    pub fn keep_all<S, T, E: Display>(
        &mut self,
        pointer: &str,
        most: usize,
        items: impl ExactSizeIterator<Item = S>,
        parse: impl Fn(S) -> Result<T, E>,
    ) -> Vec<T> {
        if items.len() > most {
            self.add(pointer, format!("at most {most} elements are taken, got {}", items.len()));
            return Vec::new();
        }
        let keep = |(index, item)| self.keep(&format!("{pointer}/{index}"), parse(item));
        items.enumerate().filter_map(keep).collect()
    }

    /// Notes a text that is empty or longer than `most` characters.
    pub fn bound_text(&mut self, pointer: &str, text: &str, most: usize) {
        let chars = text.chars().count();
        if chars == 0 || chars > most {
            self.add(pointer, format!("1 to {most} characters are taken, got {chars}"));
        }
    }

    /// Everything that is wrong, if anything is.
    ///
    /// # Errors
    /// [`RequestFault::Fields`] with the faults in the order they were found.
    pub fn finish(self) -> Result<(), RequestFault> {
        if self.0.is_empty() { Ok(()) } else { Err(RequestFault::Fields(self.0)) }
    }
}
