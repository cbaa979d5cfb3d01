//! How long one alert takes in each encoding.

#![expect(clippy::expect_used, reason = "a bench that cannot run shall stop")]

use std::sync::Arc;

use divan::{Bencher, black_box};
use sensor::{
    config::Encoding,
    rule::testing,
    sink::{Alert, Class, Delivery, Item, encode},
};

fn main() {
    divan::main();
}

/// What happened: a shell in a pod, as most alerts have it.
const EVENT: &str = "- {evt.type: execve, proc.name: sh, proc.exepath: /bin/sh, proc.cmdline: 'sh -c id', proc.pname: nginx, \
                     container.id: 0123456789ab, container.name: web, container.image.repository: docker.io/library/nginx, \
                     k8s.pod.name: web-0, k8s.ns.name: shop, 'k8s.pod.label[app]': web}";

#[divan::bench(args = ["falco", "ecs", "ocsf", "cef"])]
fn alert(bencher: Bencher<'_, '_>, name: &str) {
    let encoding = match name {
        "falco" => Encoding::Falco,
        "ecs" => Encoding::Ecs,
        "ocsf" => Encoding::Ocsf,
        _ => Encoding::Cef,
    };
    let events = testing::events("bench", EVENT).expect("an event");
    let mut alert = Alert::of_sensor(events.first().expect("an event"), &"node-1".into(), None);
    alert.rule = "Shell in a container".to_owned();
    alert.output =
        "Shell in a container | command=sh -c id parent=nginx container=web image=nginx".to_owned();
    alert.output_fields = ["proc.cmdline", "proc.pname", "container.name", "container.image.repository"]
        .map(|name| (name.to_owned(), "some text".into()))
        .into_iter()
        .collect();
    alert.tags = ["container", "mitre_execution", "T1059"].map(str::to_owned).into();
    let delivery = Delivery {
        stream: alert.uuid,
        number: 1,
        class: Class::Alert,
        class_number: 1,
        place: "0123456789ab".to_owned(),
        place_number: 1,
    };
    let item = Item::Alert(Arc::new(alert));
    bencher.bench(|| encode(encoding, black_box(&item), black_box(&delivery), "node-1"));
}
