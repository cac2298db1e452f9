//! Where every driver of a market is: position slots, supply facts, exact nearest search.
//!
//! A fix is written to the driver's [`DriverSlot`] and nowhere else. A [`Grid`] keeps one entry per
//! driver in the cell of its newest position; the owner of the driver moves the entry when the slot
//! says that the cell changed. Queries read positions from the slots, so they see the newest fix
//! even before the entry has moved.

mod applied;
mod bucket;
mod cells;
mod dropoffs;
mod fix;
mod index;
mod lent;
mod nearest;
mod reading;
mod rings;
mod seat;
mod seqlock;
mod slot;
mod supply;
mod travel;
mod writer;

pub use applied::{Applied, AppliedAll};
pub use dropoffs::ForwardNearbyQuery;
pub use fix::{AGREEING_FIXES, Fix, FixLimits, FixRejection};
pub use index::{CellCounts, Grid, StatusCounts};
pub use nearest::{Excluded, Found, Nearby, NearbyQuery};
pub use reading::Reading;
pub use slot::{DriverSlot, PositionSnapshot};
pub use supply::{Contact, DriverStatus, Hold, Standing, Supply, TagFilter, Taken, TierSet};
