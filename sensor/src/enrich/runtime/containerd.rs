//! containerd: containers, images and sandboxes of all its namespaces, asked for as their groups appear, and its stream of
//! events for what changes afterwards.

use std::{
    collections::{HashMap, VecDeque},
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
use tokio::{
    sync::mpsc::{Receiver, Sender, channel},
    task::JoinSet,
    time::timeout,
};

use super::{
    Answers, Ask, Order, Source,
    kubernetes::{self, CriRecord},
    sockets::{ANSWER, Announced, Book, Link, Patience, rest, tell},
    spec::Spec,
};
use crate::event::{Facts, Image, Labels, Runtime};

/// Images that are remembered.
const IMAGES: usize = 512;
/// Largest manifest; containerd itself allows 8 MiB, usual ones have 2 KiB.
const MANIFEST: i64 = 1 << 20;
/// What it is asked to tell.
const TOPICS: [&str; 2] = [r#"topic~="^/containers/""#, r#"topic~="^/images/""#];
/// The keys under which its CRI plugin keeps its own records.
const CRI_CONTAINER: &str = "io.cri-containerd.container.metadata";
const CRI_SANDBOX: &str = "io.cri-containerd.sandbox.metadata";

/// Stands for the instance of a container that nobody has asked for.
const NOBODY: u64 = 0;

/// Digest and id of an image, by namespace and name.
type Images = Arc<Mutex<HashMap<(String, String), (Option<Box<str>>, Option<Box<str>>)>>>;

/// Serves one socket until nobody asks any more.
pub(super) async fn watch(socket: PathBuf, mut orders: Receiver<Order>, answers: Answers) {
    let (mut book, mut link) = (Book::default(), Link::new("containerd", &socket));
    loop {
        let why = if socket.exists() {
            match timeout(ANSWER, Client::from_path(&socket)).await {
                Ok(Ok(client)) => serve(Arc::new(client), &mut orders, &mut book, &mut link, &answers).await,
                Ok(Err(error)) => Some(error.to_string()),
                Err(_) => Some("no answer in time".to_owned()),
            }
        } else {
            // Most hosts have one runtime, and to make a client takes a hundred times as long as this look.
            Some("the socket is gone".to_owned())
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
    let listed = in_time(client.namespaces().list(ListNamespacesRequest::default())).await;
    let mut namespaces: Vec<String> = match listed {
        Ok(list) => list.into_inner().namespaces.into_iter().map(|namespace| namespace.name).collect(),
        Err(status) => return Some(words(&status)),
    };
    let (to, mut heard) = channel(1);
    let mut ear = JoinSet::new();
    ear.spawn(listen(Arc::clone(&client), to));
    link.up();
    book.again();
    let images = Images::default();
    let mut work = JoinSet::new();
    let (mut created, mut announced) = (VecDeque::new(), Announced::default());
    loop {
        while let Some(ask) = book.next(work.len()).or_else(|| created.pop_front()) {
            let (client, namespaces, images) = (Arc::clone(&client), namespaces.clone(), Arc::clone(&images));
            work.spawn(async move {
                let mut patience = Patience::new();
                loop {
                    let answer = look(&client, &ask, &namespaces, &images).await;
                    if matches!(answer, Ok(Some(_))) || !patience.wait().await {
                        return (ask, answer);
                    }
                }
            });
        }
        tokio::select! {
            order = orders.recv() => match order? {
                Order::Ask(ask) => match announced.take(&ask) {
                    Some(facts) => {
                        tell(answers, ask.instance, Source::Containerd, facts);
                        book.note_answered(ask);
                    }
                    None => book.note(Order::Ask(ask)),
                },
                other => book.note(other),
            },
            event = heard.recv() => match event {
                Some(Ok(event)) => {
                    if !namespaces.contains(&event.namespace) {
                        namespaces.push(event.namespace.clone());
                    }
                    if event.topic.starts_with("/images/") {
                        images.lock().unwrap_or_else(PoisonError::into_inner).clear();
                    }
                    match change(&event) {
                        Some(Change::New(id)) if !book.changed(&id) => created.push_back(Arc::new(announce(&event, &id))),
                        Some(Change::Other(id)) => {
                            book.changed(&id);
                        }
                        Some(Change::Gone(id)) => announced.remove(&id),
                        _ => {}
                    }
                }
                Some(Err(status)) => return Some(words(&status)),
                None => return Some("it closed the connection".to_owned()),
            },
            Some(done) = work.join_next() => match done {
                Ok((ask, Ok(Some(facts)))) if ask.instance == NOBODY => announced.insert(ask, facts),
                Ok((ask, Ok(Some(facts)))) => {
                    book.answered(ask.instance);
                    tell(answers, ask.instance, Source::Containerd, facts);
                }
                _ => {}
            },
        }
    }
}

/// Hears of changes until the connection ends. containerd answers only when there is something to say, so this cannot be
/// waited for.
async fn listen(client: Arc<Client>, to: Sender<Result<Envelope, Status>>) {
    let filters = TOPICS.map(str::to_owned).to_vec();
    let mut stream = match client.events().subscribe(SubscribeRequest { filters }).await {
        Ok(stream) => stream.into_inner(),
        Err(status) => {
            let _ = to.send(Err(status)).await;
            return;
        }
    };
    while let Some(event) = stream.message().await.transpose() {
        let over = event.is_err();
        if to.send(event).await.is_err() || over {
            return;
        }
    }
}

/// What an event says of a container, by its id.
enum Change {
    New(String),
    Other(String),
    Gone(String),
}

fn change(event: &Envelope) -> Option<Change> {
    let bytes = event.event.as_ref()?.value.as_slice();
    match event.topic.as_str() {
        "/containers/create" => Some(Change::New(events::ContainerCreate::decode(bytes).ok()?.id)),
        "/containers/update" => Some(Change::Other(events::ContainerUpdate::decode(bytes).ok()?.id)),
        "/containers/delete" => Some(Change::Gone(events::ContainerDelete::decode(bytes).ok()?.id)),
        _ => None,
    }
}

/// The question about a container that has no group yet: it is asked before anybody wants to know, because while many are
/// started at once containerd takes its time.
fn announce(event: &Envelope, id: &str) -> Ask {
    Ask {
        instance: NOBODY,
        id: id.into(),
        runtime: Runtime::Containerd,
        cgroup: format!("/{}/{id}", event.namespace).into(),
        pid: None,
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
