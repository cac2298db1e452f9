//! What the tally calls the steps that machines publish.

use muster_engine::forward::{ForwardOutcome, ForwardReturn};
use muster_engine::offer::StandbyOutcome;

pub(super) const fn forward_line(outcome: ForwardOutcome) -> &'static str {
    match outcome {
        ForwardOutcome::Assigned => "forward rides assigned",
        ForwardOutcome::Promoted => "forward rides promoted",
        ForwardOutcome::Returned(ForwardReturn::DriverLost) => "forward rides returned: lost",
        ForwardOutcome::Returned(ForwardReturn::Late) => "forward rides returned: late",
        ForwardOutcome::Returned(ForwardReturn::DropoffMoved) => "forward rides returned: moved",
    }
}

pub(super) const fn standby_line(outcome: StandbyOutcome) -> &'static str {
    match outcome {
        StandbyOutcome::Held => "standbys held",
        StandbyOutcome::Promoted => "standbys promoted",
        StandbyOutcome::Released => "standbys released",
        StandbyOutcome::Expired => "standbys expired",
        StandbyOutcome::Withdrawn => "standbys withdrawn",
    }
}
