//! Money in minor units.

use muster_engine::units;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::wire::fault::Faults;

/// An amount of money.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Money {
    /// Minor units: cents, paise.
    #[schema(example = 3250)]
    pub amount: u64,
    /// ISO 4217 code.
    #[schema(example = "USD", pattern = "^[A-Z]{3}$")]
    pub currency: String,
}

impl Money {
    /// The amount as the engine knows it, or nothing after noting what is wrong.
    pub fn checked(self, pointer: &str, faults: &mut Faults) -> Option<units::Money> {
        let letters = self.currency.bytes().all(|byte| byte.is_ascii_uppercase());
        if self.currency.len() == 3 && letters {
            return Some(units::Money { amount: self.amount, currency: self.currency });
        }
        faults.add(format!("{pointer}/currency"), "an ISO 4217 code of three capital letters");
        None
    }
}

impl From<&units::Money> for Money {
    fn from(money: &units::Money) -> Self {
        Self { amount: money.amount, currency: money.currency.clone() }
    }
}
