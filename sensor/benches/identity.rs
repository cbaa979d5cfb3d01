//! What attribution costs: from a record's control group to the container on the event, beside the same event on the host.

#![allow(clippy::unwrap_used, reason = "a bench that cannot go on has failed")]

use std::sync::Arc;

use divan::{Bencher, black_box};
use sensor::{
    enrich::{
        Containers, Limits, Made, Place,
        runtime::{Found, Source},
    },
    event::{Facts, Image},
};

fn main() {
    divan::main();
}

/// As many containers as a large node has, each with two groups.
fn table() -> Containers {
    let mut table = Containers::new(Limits::default());
    for number in 0..500_u64 {
        let path = format!("/docker/{number:064x}");
        let made = Made { at: Some(1), by: None };
        let ask = table.insert(2 * number + 1, &path, made).unwrap();
        table.insert(2 * number + 2, &format!("{path}/init.scope"), made);
        let labels = (0..20).map(|n| (format!("label-{n}").into(), "value".into())).collect();
        let facts =
            Facts { name: Some("web".into()), image: Some(Image::named("a:1")), labels, ..Facts::default() };
        table.learn(Found { instance: ask.instance, source: Source::Containerd, facts });
    }
    for unit in 0..500_u64 {
        table.insert(10_000 + unit, &format!("/system.slice/unit-{unit}.service"), Made::default());
    }
    table
}

fn attribute(bencher: Bencher<'_, '_>, keys: impl Fn(u64) -> u64) {
    let table = table();
    let mut number = 0_u64;
    bencher.bench_local(|| {
        // The next event is of another group, as on a busy machine.
        number = (number + 7) % 500;
        match table.get(black_box(keys(number))) {
            Some(Place::Container(container)) => (Some(Arc::clone(container)), None),
            Some(Place::Host(unit)) => (None, unit.clone()),
            None => (None, None),
        }
    });
}

#[divan::bench]
fn container(bencher: Bencher<'_, '_>) {
    attribute(bencher, |number| 2 * number + 1);
}

#[divan::bench]
fn nested_group(bencher: Bencher<'_, '_>) {
    attribute(bencher, |number| 2 * number + 2);
}

#[divan::bench]
fn host_unit(bencher: Bencher<'_, '_>) {
    attribute(bencher, |number| 10_000 + number);
}
