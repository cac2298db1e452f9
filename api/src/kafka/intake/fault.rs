//! Why a message can never be taken in, and what became of one.

use crate::wire::Problem;

/// Why a message can never be taken in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::kafka) struct Fault {
    /// The kind, for programs; stable.
    pub(in crate::kafka) reason: &'static str,
    /// What is wrong with it, for people.
    pub(in crate::kafka) detail: String,
}

/// What became of one try to take a message in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It has had its effect; the outcome is a label of metrics.
    Done(&'static str),
    /// It never will have one.
    Refused(Fault),
    /// It may have one later; why not now.
    Again(String),
}

impl Fault {
    pub(super) fn new(reason: &'static str, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }
}

impl From<Problem> for Fault {
    fn from(problem: Problem) -> Self {
        let fields =
            problem.errors.iter().map(|fault| format!("{}: {}", fault.pointer, fault.detail));
        let mut detail = vec![problem.detail.clone()];
        detail.extend(fields);
        Self::new(problem.code, detail.join("; "))
    }
}

/// What a call that failed means for the message behind it: an overload or a store that is down ends,
/// everything else is the message's own fault.
impl From<Problem> for Verdict {
    fn from(problem: Problem) -> Self {
        let passes = problem.status >= 500 || problem.status == 429;
        if passes { Self::Again(problem.to_string()) } else { Self::Refused(problem.into()) }
    }
}

impl From<Fault> for Verdict {
    fn from(fault: Fault) -> Self {
        Self::Refused(fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::FieldFault;

    #[test]
    fn only_what_passes_is_tried_again() {
        for (status, again) in [
            (400, false),
            (404, false),
            (409, false),
            (422, false),
            (429, true),
            (500, true),
            (503, true),
        ] {
            let verdict = Verdict::from(Problem::new(status, "some_code", "why"));
            assert_eq!(matches!(verdict, Verdict::Again(_)), again, "{status}");
        }
    }

    #[test]
    fn a_fault_names_the_fields() {
        let errors = vec![FieldFault {
            pointer: "/pickup/lat".to_owned(),
            detail: "95 is too much".to_owned(),
        }];
        let fault = Fault::from(Problem::new(400, "invalid_body", "refused").with_errors(errors));
        assert_eq!(fault.reason, "invalid_body");
        assert_eq!(fault.detail, "refused; /pickup/lat: 95 is too much");
    }
}
