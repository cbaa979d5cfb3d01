//! Vedette against the kernel that runs here: one file per family of events. Every expectation is what the test itself did;
//! waiting has a deadline, nothing sleeps, and what other processes of this machine do is not looked at.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed"
)]

mod arm;
mod capability;
mod cgroup;
mod change;
mod cli;
mod config;
mod container;
mod control;
mod cost;
mod deploy;
mod deploy_docs;
mod dns;
mod dup;
mod engine;
mod exec;
mod fanotify;
mod file;
mod filter;
mod fixtures;
mod hooks;
mod identity;
mod isolate;
mod layers;
mod loss;
mod metrics;
mod mount;
mod net;
mod own;
mod pod;
mod privilege;
mod process;
mod reload;
mod replay;
mod respond;
mod respond_container;
mod respond_engine;
mod respond_isolate;
mod runtime;
mod shield;
mod simulate;
mod sink;
mod sink_http;
mod sink_kafka;
mod sink_nats;
mod sink_syslog;
mod uring;
mod verdict;
