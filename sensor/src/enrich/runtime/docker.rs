//! dockerd, by its list of containers: that is answered from memory while a container is being started, which an inspection
//! is not. One small request for each question, a connection for each request.

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
};

use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Request, body::Bytes, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, de::DeserializeOwned};
use tokio::{net::UnixStream, sync::mpsc::Receiver, task::JoinSet, time::timeout};

use super::{
    Answers, Ask, Order, Source, kubernetes,
    sockets::{ANSWER, Book, Link, Patience, tell},
};
use crate::event::{Facts, Image, Labels, Runtime};

/// Longest answer.
const BODY: usize = 4 << 20;

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Listed {
    names: Option<Vec<String>>,
    image: String,
    #[serde(rename = "ImageID")]
    image_id: String,
    labels: Option<Labels>,
    network_settings: Option<Networks>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Networks {
    networks: Option<HashMap<String, Network>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Network {
    #[serde(rename = "IPAddress")]
    address: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Inspected {
    repo_digests: Option<Vec<String>>,
}

/// Serves one socket until nobody asks any more.
pub(super) async fn watch(socket: PathBuf, mut orders: Receiver<Order>, answers: Answers) {
    let (mut book, mut link) = (Book::default(), Link::new("docker", &socket));
    let mut work = JoinSet::new();
    loop {
        while let Some(ask) = book.next(work.len()) {
            if ask.runtime == Runtime::Docker || ask.namespace() == Some("moby") {
                let socket = socket.clone();
                work.spawn(async move {
                    let mut patience = Patience::new();
                    loop {
                        let answer = look(&socket, &ask).await;
                        if matches!(answer, Ok(Some(_))) || !patience.wait().await {
                            return (ask.instance, answer);
                        }
                    }
                });
            }
        }
        tokio::select! {
            order = orders.recv() => match order {
                Some(order) => book.note(order),
                None => return,
            },
            Some(done) = work.join_next() => match done {
                Ok((instance, Ok(facts))) => {
                    link.up();
                    book.answered(instance);
                    if let Some(facts) = facts {
                        tell(&answers, instance, Source::Docker, facts);
                    }
                }
                Ok((_, Err(error))) => link.down(&error.to_string()),
                Err(_) => {}
            },
        }
    }
}

async fn look(socket: &Path, ask: &Ask) -> io::Result<Option<Facts>> {
    // A group's name is no part of a path here, only hexadecimal digits are.
    if !ask.id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(None);
    }
    let filter = format!("%7B%22id%22%3A%5B%22{}%22%5D%7D", ask.id);
    let list: Vec<Listed> = get(socket, &format!("/containers/json?all=1&filters={filter}")).await?;
    let Some(found) = list.into_iter().next() else { return Ok(None) };
    let labels = found.labels.unwrap_or_default();
    let name = found.names.iter().flatten().next().map(|name| name.trim_start_matches('/').into());
    let image_id = found.image_id.strip_prefix("sha256:").unwrap_or(&found.image_id);
    let mut image =
        Image { id: Some(image_id.into()).filter(|_| !image_id.is_empty()), ..Image::named(&found.image) };
    if image.digest.is_none() && image_id.bytes().all(|byte| byte.is_ascii_hexdigit()) && !image_id.is_empty()
    {
        // An image that was made here has no digest, and one that is gone nothing at all.
        let inspected: Inspected = get(socket, &format!("/images/{image_id}/json")).await.unwrap_or_default();
        let digests = inspected.repo_digests.unwrap_or_default();
        image.digest =
            digests.iter().find_map(|digest| digest.split_once('@')).map(|(_, digest)| digest.into());
    }
    let networks = found.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
    let ip = networks.into_values().map(|network| network.address).find(|address| !address.is_empty());
    let mut facts = Facts { image: Some(image), ip: ip.map(Into::into), ..Facts::default() };
    kubernetes::read(&labels, &mut facts);
    facts.name = facts.name.or(name);
    facts.labels = kubernetes::own(&labels).collect();
    Ok(Some(facts))
}

async fn get<T: DeserializeOwned>(socket: &Path, path: &str) -> io::Result<T> {
    let exchange = async {
        let stream = UnixStream::connect(socket).await?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        let connection = tokio::spawn(connection);
        let request = Request::get(path).header(header::HOST, "docker").body(Empty::<Bytes>::new());
        let response =
            sender.send_request(request.map_err(io::Error::other)?).await.map_err(io::Error::other)?;
        let status = response.status();
        let body = Limited::new(response.into_body(), BODY).collect().await.map_err(io::Error::other);
        connection.abort();
        if !status.is_success() {
            return Err(io::Error::other(format!("{path}: {status}")));
        }
        serde_json::from_slice(&body?.to_bytes()).map_err(io::Error::other)
    };
    timeout(ANSWER, exchange).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
