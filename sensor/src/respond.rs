//! Matches → what is done about them. Deciding is pure; acting has a thread of its own, so that no slow runtime ever holds up
//! an event, and no slow container the death of a process. It knows neither alerts nor sinks: whoever orders gives something
//! along, and gets it back with the outcome.
//!
//! ```text
//! Request ─▶ decide (policy, protected list, fuse) ─▶ Decision ─▶ act (pidfd, cgroup, runtime) ─▶ Outcome ─▶ audit log
//! ```

mod act;
pub mod audit;
mod decide;
mod fuse;
mod outcome;
mod policy;
mod protect;
mod request;
mod worker;

pub use self::{
    act::{HeldContainer, Network, Runtimes},
    decide::{Decision, Verdict, decide},
    fuse::{Fuse, Trip},
    outcome::{Mechanism, Outcome, Reason, Result, Target},
    policy::Policy,
    request::{Action, Asker, Evidence, Request},
    worker::{Delivery, Notice, Options, Orders, RespondCounts, Responder, Status},
};
