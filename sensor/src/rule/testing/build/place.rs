//! Where it was done: the container, its image and its pod.

use std::sync::Arc;

use super::{Built, Draft, Pair, problem, unsettable};
use crate::event::{Container, Facts, Image, Labels, Mount, Pod, Runtime};

impl Draft {
    pub(super) fn set_container(&mut self, pair: &Pair<'_>) -> Built<()> {
        if pair.text == "host" && ["container.id", "container.full_id"].contains(&pair.name) {
            return Ok(());
        }
        if pair.name == "host.unit" {
            self.event.task.unit = Some(pair.text.as_str().into());
            return Ok(());
        }
        let old = self.event.container.take();
        let mut container = old.map_or_else(
            || Container::new("0123456789ab", Runtime::Containerd, "/", None),
            Arc::unwrap_or_clone,
        );
        match pair.name {
            "container.id" => {
                (container.id, container.full_id) = (pair.text.as_str().into(), pair.text.as_str().into())
            }
            "container.full_id" => container.full_id = pair.text.as_str().into(),
            "container.type" => {
                container.runtime = match pair.text.as_str() {
                    "containerd" => Runtime::Containerd,
                    "cri-o" => Runtime::CriO,
                    "docker" => Runtime::Docker,
                    "podman" => Runtime::Podman,
                    _ => return problem(pair.span, format!("there is no runtime `{}`", pair.text)),
                }
            }
            "container.runtime_init" => self.process.runtime_init = pair.bool()?,
            "container.start_ts" => {
                let epoch = self.event.time - self.event.boot_time;
                container.started = Some(pair.number::<u64>()?.saturating_sub(epoch));
            }
            "container.duration" => {
                container.started = Some(self.event.boot_time.saturating_sub(pair.number()?));
            }
            name if name.starts_with("k8s.") => {
                let pod = Arc::make_mut(container.facts.pod.get_or_insert_default());
                set_pod(pod, pair)?;
            }
            _ => set_facts(&mut container.facts, pair)?,
        }
        container.look();
        self.event.container = Some(Arc::new(container));
        Ok(())
    }
}

fn set_facts(facts: &mut Facts, pair: &Pair<'_>) -> Built<()> {
    let text = || Box::<str>::from(pair.text.as_str());
    if let Some(key) = inside(pair.name, "container.label") {
        return set_label(&mut facts.labels, key, pair);
    }
    let image = || facts.image.clone().unwrap_or_default();
    match pair.name {
        "container.name" => facts.name = Some(text()),
        "container.image" => facts.image = Some(Image { name: text(), ..image() }),
        "container.image.id" => facts.image = Some(Image { id: Some(text()), ..image() }),
        "container.image.digest" => facts.image = Some(Image { digest: Some(text()), ..image() }),
        "container.image.repository" => {
            let tag = image().tag().map(|tag| format!(":{tag}")).unwrap_or_default();
            facts.image = Some(Image { name: format!("{}{tag}", pair.text).into(), ..image() });
        }
        "container.image.tag" => {
            let name = image().repository().unwrap_or("image").to_owned();
            facts.image = Some(Image { name: format!("{name}:{}", pair.text).into(), ..image() });
        }
        "container.privileged" => facts.privileged = Some(pair.bool()?),
        "container.ip" => facts.ip = Some(text()),
        "container.mounts" => facts.mounts = pair.text.split(',').map(mount).collect(),
        // A mount of this source; patterns are compared with it as they are written.
        name => match (inside(name, "container.mount.dest"), inside(name, "container.mount.source")) {
            (Some(_), _) if pair.text == "N/A" => {}
            (Some(source), _) => facts.mounts.push(Mount {
                source: source.replace('*', "").into(),
                destination: text(),
                writable: true,
                ..Mount::default()
            }),
            (_, Some(destination)) => facts.mounts.push(Mount {
                source: text(),
                destination: destination.replace('*', "").into(),
                writable: true,
                ..Mount::default()
            }),
            _ => return unsettable(pair),
        },
    }
    Ok(())
}

fn set_pod(pod: &mut Pod, pair: &Pair<'_>) -> Built<()> {
    let text = || Some(Box::<str>::from(pair.text.as_str()));
    if let Some(key) = inside(pair.name, "k8s.pod.label") {
        return set_label(&mut pod.labels, key, pair);
    }
    if let Some(key) = inside(pair.name, "k8s.pod.annotation") {
        return set_label(&mut pod.annotations, key, pair);
    }
    match pair.name {
        "k8s.ns.name" => pod.namespace = text(),
        "k8s.pod.name" => pod.name = text(),
        "k8s.pod.uid" | "k8s.pod.id" => pod.uid = text(),
        "k8s.pod.full_sandbox_id" | "k8s.pod.sandbox_id" => pod.sandbox_id = text(),
        "k8s.pod.ip" => pod.ip = text(),
        "k8s.owner.kind" => pod.owner.get_or_insert_default().kind = pair.text.as_str().into(),
        "k8s.owner.name" => pod.owner.get_or_insert_default().name = pair.text.as_str().into(),
        _ => return unsettable(pair),
    }
    Ok(())
}

fn set_label(labels: &mut Labels, key: &str, pair: &Pair<'_>) -> Built<()> {
    labels.insert(key.into(), pair.text.as_str().into());
    Ok(())
}

/// What stands in brackets behind a name.
fn inside<'p>(text: &'p str, name: &str) -> Option<&'p str> {
    text.strip_prefix(name)?.strip_prefix('[')?.strip_suffix(']')
}

/// `source:destination:mode:writable:propagation`.
fn mount(text: &str) -> Mount {
    let mut parts = text.split(':');
    let mut next = || Box::<str>::from(parts.next().unwrap_or_default());
    Mount {
        source: next(),
        destination: next(),
        mode: next(),
        writable: &*next() == "true",
        propagation: next(),
    }
}
