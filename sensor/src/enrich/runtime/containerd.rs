//! containerd: containers, images and sandboxes of all its namespaces, asked for as their groups appear, and its stream of
//! events for what changes afterwards.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use containerd_client::{
    Client, events,
    services::v1::{
        Container, GetContainerRequest, GetImageRequest, ListNamespacesRequest, ReadContentRequest,
        SubscribeRequest,
    },
    tonic::{Code, IntoRequest, Request, Status},
    types::{Descriptor, Envelope},
};
use prost::Message;
use serde::Deserialize;
use tokio::{sync::mpsc::Receiver, task::JoinSet, time::timeout};

use super::{
    Answers, Ask, Order, Source,
    kubernetes::{self, CriRecord},
    sockets::{ANSWER, Book, Link, Patience, rest, tell},
    spec::Spec,
};
use crate::event::{Facts, Image, Labels};

/// Images that are remembered.
const IMAGES: usize = 512;
/// Largest manifest; containerd itself allows 8 MiB, usual ones have 2 KiB.
const MANIFEST: i64 = 1 << 20;
/// What it is asked to tell.
const TOPICS: [&str; 2] = [r#"topic~="^/containers/""#, r#"topic~="^/images/""#];
/// The keys under which its CRI plugin keeps its own records.
const CRI_CONTAINER: &str = "io.cri-containerd.container.metadata";
const CRI_SANDBOX: &str = "io.cri-containerd.sandbox.metadata";

/// Digest and id of an image, by namespace and name.
type Images = Arc<Mutex<HashMap<(String, String), (Option<Box<str>>, Option<Box<str>>)>>>;

/// Serves one socket until nobody asks any more.
pub(super) async fn watch(socket: PathBuf, mut orders: Receiver<Order>, answers: Answers) {
    let (mut book, mut link) = (Book::default(), Link::new("containerd", &socket));
    loop {
        let why = match timeout(ANSWER, Client::from_path(&socket)).await {
            Ok(Ok(client)) => serve(Arc::new(client), &mut orders, &mut book, &mut link, &answers).await,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some("no answer in time".to_owned()),
        };
        let Some(why) = why else { return };
        link.down(&why);
        if !rest(link.pause(), &mut book, &mut orders).await {
            return;
        }
    }
}

/// Why it is over; `None` where nobody asks any more.
async fn serve(
    client: Arc<Client>,
    orders: &mut Receiver<Order>,
    book: &mut Book,
    link: &mut Link,
    answers: &Answers,
) -> Option<String> {
    let filters = TOPICS.map(str::to_owned).to_vec();
    let subscribed = in_time(client.events().subscribe(SubscribeRequest { filters })).await;
    let mut stream = match subscribed {
        Ok(stream) => stream.into_inner(),
        Err(status) => return Some(words(&status)),
    };
    let listed = in_time(client.namespaces().list(ListNamespacesRequest::default())).await;
    let mut namespaces: Vec<String> = match listed {
        Ok(list) => list.into_inner().namespaces.into_iter().map(|namespace| namespace.name).collect(),
        Err(status) => return Some(words(&status)),
    };
    link.up();
    book.again();
    let images = Images::default();
    let mut work = JoinSet::new();
    loop {
        while let Some(ask) = book.next(work.len()) {
            let (client, namespaces, images) = (Arc::clone(&client), namespaces.clone(), Arc::clone(&images));
            work.spawn(async move {
                let mut patience = Patience::new();
                loop {
                    let answer = look(&client, &ask, &namespaces, &images).await;
                    if matches!(answer, Ok(Some(_))) || !patience.wait().await {
                        return (ask.instance, answer);
                    }
                }
            });
        }
        tokio::select! {
            order = orders.recv() => book.note(order?),
            event = stream.message() => match event {
                Ok(Some(event)) => {
                    if !namespaces.contains(&event.namespace) {
                        namespaces.push(event.namespace.clone());
                    }
                    if event.topic.starts_with("/images/") {
                        images.lock().unwrap_or_else(PoisonError::into_inner).clear();
                    }
                    changed(&event).into_iter().for_each(|id| book.changed(&id));
                }
                Ok(None) => return Some("it closed the connection".to_owned()),
                Err(status) => return Some(words(&status)),
            },
            Some(done) = work.join_next() => if let Ok((instance, Ok(Some(facts)))) = done {
                book.answered(instance);
                tell(answers, instance, Source::Containerd, facts);
            },
        }
    }
}

/// The container that an event is about, where what is known of it may have changed.
fn changed(event: &Envelope) -> Option<String> {
    let bytes = event.event.as_ref()?.value.as_slice();
    match event.topic.as_str() {
        "/containers/create" => Some(events::ContainerCreate::decode(bytes).ok()?.id),
        "/containers/update" => Some(events::ContainerUpdate::decode(bytes).ok()?.id),
        _ => None,
    }
}

async fn in_time<T>(call: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
    timeout(ANSWER, call).await.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer in time")))
}

fn words(status: &Status) -> String {
    format!("{}: {}", status.code(), status.message())
}

/// A request in a namespace; `None` where the name cannot be one.
fn within<T>(namespace: &str, message: T) -> Option<Request<T>> {
    let mut request = message.into_request();
    request.metadata_mut().insert("containerd-namespace", namespace.parse().ok()?);
    Some(request)
}

async fn container(client: &Client, namespace: &str, id: &str) -> Result<Option<Container>, Status> {
    let Some(request) = within(namespace, GetContainerRequest { id: id.to_owned() }) else { return Ok(None) };
    match in_time(client.containers().get(request)).await {
        Ok(response) => Ok(response.into_inner().container),
        Err(status) if matches!(status.code(), Code::NotFound | Code::InvalidArgument) => Ok(None),
        Err(status) => Err(status),
    }
}

async fn look(
    client: &Client,
    ask: &Ask,
    namespaces: &[String],
    images: &Images,
) -> Result<Option<Facts>, Status> {
    let named = ask.namespace();
    // A name that people chose may be there in several namespaces: only its own counts then.
    let chosen = ask.id.len() != 64;
    let others = namespaces.iter().map(String::as_str).filter(|other| Some(*other) != named);
    for namespace in named.into_iter().chain(others.filter(|_| !chosen || named.is_none())) {
        if let Some(found) = container(client, namespace, &ask.id).await? {
            return Ok(Some(facts(client, ask, namespace, &found, images).await));
        }
    }
    Ok(None)
}

/// Everything that it knows. What it cannot say at the moment is left out: the container itself is there.
async fn facts(client: &Client, ask: &Ask, namespace: &str, found: &Container, images: &Images) -> Facts {
    let spec = found.spec.as_ref().and_then(|spec| Spec::parse(&spec.value).ok());
    let mut facts = spec.map(|spec| spec.facts(ask)).unwrap_or_default();
    // Labels name it better than annotations.
    let labels: Labels =
        found.labels.iter().map(|(key, value)| (key.as_str().into(), value.as_str().into())).collect();
    let mut named = Facts::default();
    kubernetes::read(&labels, &mut named);
    facts.merge(named, true);
    if !found.image.is_empty() {
        let mut image = facts.image.take().unwrap_or_default();
        let given = Image::named(&found.image);
        if image.repository().is_none() {
            image.name = given.name;
        }
        image.id = image.id.or(given.id);
        (image.digest, image.id) = match digests(client, namespace, &found.image, images).await {
            Some((digest, id)) => (digest.or(image.digest), image.id.or(id)),
            None => (image.digest, image.id),
        };
        facts.image = Some(image);
    }
    let record = |container: &Container, key: &str| {
        let extension = container.extensions.get(key)?;
        serde_json::from_slice::<CriRecord>(&extension.value).ok()
    };
    if let Some(record) = record(found, CRI_SANDBOX) {
        record.sandbox(&mut facts);
    } else {
        facts.labels = kubernetes::own(&labels).collect();
        if let Some(own) = record(found, CRI_CONTAINER) {
            own.container(&mut facts);
            if let Some(id) = own.sandbox_id()
                && let Ok(Some(sandbox)) = container(client, namespace, id).await
                && let Some(record) = record(&sandbox, CRI_SANDBOX)
            {
                record.sandbox(&mut facts);
            }
        }
    }
    facts
}

/// Digest of an image's manifest or index, and of its configuration.
async fn digests(
    client: &Client,
    namespace: &str,
    name: &str,
    images: &Images,
) -> Option<(Option<Box<str>>, Option<Box<str>>)> {
    let key = (namespace.to_owned(), name.to_owned());
    let known = images.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
    if known.is_some() {
        return known;
    }
    let request = within(namespace, GetImageRequest { name: name.to_owned() })?;
    let target = in_time(client.images().get(request)).await.ok()?.into_inner().image?.target?;
    let id = config_of(client, namespace, target.clone()).await;
    let both = (Some(target.digest.into()), id.map(Into::into));
    let mut images = images.lock().unwrap_or_else(PoisonError::into_inner);
    if images.len() >= IMAGES {
        images.clear();
    }
    images.insert(key, both.clone());
    Some(both)
}

/// A manifest, or an index of them.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Manifest {
    config: Option<Reference>,
    manifests: Vec<Reference>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Reference {
    digest: String,
    size: i64,
    platform: Option<Platform>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Platform {
    architecture: String,
}

/// The digest of an image's configuration, without its algorithm: the image's id.
async fn config_of(client: &Client, namespace: &str, mut target: Descriptor) -> Option<String> {
    let own = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    // An index leads to a manifest, a manifest to the configuration.
    for _ in 0..2 {
        let manifest: Manifest = serde_json::from_slice(&content(client, namespace, &target).await?).ok()?;
        if let Some(config) = manifest.config {
            return config.digest.strip_prefix("sha256:").map(str::to_owned);
        }
        let is_own = |reference: &Reference| {
            reference.platform.as_ref().is_none_or(|platform| platform.architecture == own)
        };
        let next = manifest.manifests.into_iter().find(is_own)?;
        target = Descriptor { digest: next.digest, size: next.size, ..Descriptor::default() };
    }
    None
}

async fn content(client: &Client, namespace: &str, target: &Descriptor) -> Option<Vec<u8>> {
    if target.size > MANIFEST {
        return None;
    }
    let read = ReadContentRequest { digest: target.digest.clone(), offset: 0, size: target.size };
    let mut stream = in_time(client.content().read(within(namespace, read)?)).await.ok()?.into_inner();
    let mut bytes = Vec::new();
    while let Some(part) = in_time(stream.message()).await.ok()? {
        bytes.extend(part.data);
        if bytes.len() as i64 > MANIFEST {
            return None;
        }
    }
    Some(bytes)
}
