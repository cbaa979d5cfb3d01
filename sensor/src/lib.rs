//! Vedette's daemon. Data flows one way:
//!
//! ```text
//! kernel hook → ring buffer → decode → enrich → rule → respond → sink
//!               (probe)        RawEvent  Event    Match   Decision  Alert
//! ```
//!
//! A module imports only what is upstream of it; [`pipeline`] alone wires them.

pub mod capability;
pub mod cli;
pub mod clock;
pub mod config;
pub mod control;
pub mod decode;
pub mod enrich;
pub mod event;
pub mod metrics;
pub mod pipeline;
pub mod probe;
pub mod recording;
pub mod respond;
pub mod rule;
pub mod sink;
