//! `vedette status | pause | resume | isolate | release | reload | reset`: orders to the sensor that runs here.

use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use serde_json::Value;

use super::{Common, EXIT_FAILED};
use crate::control::{Order, send};

/// Arguments of an order that is about no container.
#[derive(Debug, Args)]
pub(super) struct OrderArgs {
    #[command(flatten)]
    common: Common,
}

/// Arguments of an order about a container.
#[derive(Debug, Args)]
pub(super) struct ContainerArgs {
    /// Its id or the beginning of it, its name, or NAMESPACE/POD with or without /CONTAINER
    pub(super) container: String,
    #[command(flatten)]
    order: OrderArgs,
}

impl ContainerArgs {
    /// Gives an order about the container.
    pub(super) fn order(&self, order: impl FnOnce(String) -> Order) -> anyhow::Result<ExitCode> {
        self.order.order(&order(self.container.clone()))
    }
}

impl OrderArgs {
    /// Gives an order, and says what became of it.
    pub(super) fn order(&self, order: &Order) -> anyhow::Result<ExitCode> {
        let socket = self.common.load()?.control.socket;
        let answer = send(&socket, order).with_context(|| {
            format!("no sensor answers at {}; is `vedette run` at work, and are you root?", socket.display())
        })?;
        if self.common.json {
            println!("{}", serde_json::to_string(&answer)?);
        } else if let Some(error) = &answer.error {
            eprintln!("vedette: {error}");
        } else if order == &Order::Status {
            say(&answer.status);
        } else if let Some(result) = answer.outcome.get("result").and_then(Value::as_str) {
            println!("{result}");
        } else {
            println!("{}", answer.outcome.get("decision").and_then(Value::as_str).unwrap_or("done"));
        }
        Ok(if answer.ok { ExitCode::SUCCESS } else { ExitCode::from(EXIT_FAILED) })
    }
}

/// How things stand, in lines.
fn say(status: &Value) {
    let text = |key: &str| status.get(key).map(ToString::to_string).unwrap_or_default();
    println!("sensor      process {}, version {}", text("pid"), text("version").trim_matches('"'));
    println!("containers  {}", text("containers"));
    let is = |key: &str| status.get(key) == Some(&Value::Bool(true));
    let mode = match (is("enabled"), is("dry_run")) {
        (false, _) => "switched off: rules only alert",
        (true, true) => "rehearsed: nothing is touched",
        (true, false) => "carried out",
    };
    println!("responses   {mode}; {} asked for, {} failed", text("requests"), text("failed"));
    for fuse in status.get("fuses_open").and_then(Value::as_array).into_iter().flatten() {
        println!("fuse open   {}", fuse.as_str().unwrap_or_default());
    }
    for (cgroup, held) in status.get("held").and_then(Value::as_object).into_iter().flatten() {
        let paused = held.get("paused") == Some(&Value::Bool(true));
        let isolated =
            held.get("isolated").and_then(Value::as_array).is_some_and(|groups| !groups.is_empty());
        let what = match (paused, isolated) {
            (true, true) => "paused and isolated",
            (true, false) => "paused",
            (false, _) => "isolated",
        };
        println!(
            "held        {} ({cgroup}): {what}",
            held.get("container").and_then(Value::as_str).unwrap_or("?")
        );
    }
}
