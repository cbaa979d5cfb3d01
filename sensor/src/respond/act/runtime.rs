//! What runtimes are asked to do: containerd over its gRPC, dockerd over its HTTP. It decides nothing; who calls it knows what
//! to do when a runtime does not answer.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use containerd_client::{
    Client,
    services::v1::{DeleteTaskRequest, KillRequest},
    tonic::{Code, IntoRequest, Request, Status},
};
use http_body_util::Empty;
use hyper::{body::Bytes, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use tokio::{
    net::UnixStream,
    time::{Instant, sleep, timeout},
};

use crate::{
    enrich::runtime::Ask,
    event::{Container, Runtime},
    respond::outcome::Mechanism,
};

/// Longest answer that is waited for: after that the kernel does it.
const ANSWER: Duration = Duration::from_secs(1);
/// `SIGKILL`.
const KILL: u32 = 9;

/// Where runtimes listen.
#[derive(Clone, Debug, Default)]
pub struct Runtimes {
    /// containerd's sockets.
    pub containerd: Vec<PathBuf>,
    /// dockerd's sockets.
    pub docker: Vec<PathBuf>,
}

/// Has every process of the container killed; `None` where no runtime that is known here runs it.
///
/// # Errors
/// What a runtime says that knows the container, and that nobody answers.
pub(super) async fn kill(container: &Container, runtimes: &Runtimes) -> io::Result<Option<Mechanism>> {
    if container.runtime == Runtime::Docker {
        return kill_by_docker(container, &runtimes.docker).await;
    }
    let Some(namespace) = namespace(container) else { return Ok(None) };
    let id = container.full_id.to_string();
    let mut last = None;
    for socket in runtimes.containerd.iter().filter(|socket| socket.exists()) {
        let request =
            KillRequest { container_id: id.clone(), signal: KILL, all: true, ..KillRequest::default() };
        match in_time(async {
            let client = connect(socket).await?;
            answer(client.tasks().kill(within(&namespace, request)?).await).map(drop)
        })
        .await
        {
            Ok(()) => return Ok(Some(Mechanism::Containerd)),
            Err(error) => last = Some(error),
        }
    }
    last.map_or(Ok(None), Err)
}

/// Has what is left of a killed container taken away, where nobody else does: the kubelet and dockerd do so by themselves.
///
/// # Errors
/// What the runtime says.
pub(super) async fn remove(container: &Container, runtimes: &Runtimes) -> io::Result<()> {
    if container.runtime != Runtime::Containerd {
        return Ok(());
    }
    let Some(namespace) = namespace(container) else { return Ok(()) };
    let id = container.full_id.to_string();
    let mut last = Ok(());
    for socket in runtimes.containerd.iter().filter(|socket| socket.exists()) {
        let end = Instant::now() + ANSWER / 2;
        last = in_time(async {
            let client = connect(socket).await?;
            loop {
                let request = DeleteTaskRequest { container_id: id.clone() };
                match client.tasks().delete(within(&namespace, request)?).await {
                    // Whoever started it waited for its end and was faster.
                    Err(status) if status.code() == Code::NotFound => return Ok(()),
                    // The kernel knows before the shim that nobody is left.
                    Err(_) if Instant::now() < end => sleep(Duration::from_millis(5)).await,
                    other => return answer(other).map(drop),
                }
            }
        })
        .await;
        if last.is_ok() {
            break;
        }
    }
    last
}

/// The containerd namespace that it is in.
fn namespace(container: &Container) -> Option<String> {
    Ask::about(container).namespace().map(str::to_owned)
}

async fn connect(socket: &Path) -> io::Result<Client> {
    Client::from_path(socket).await.map_err(|error| io::Error::other(format!("containerd: {error}")))
}

fn within<T>(namespace: &str, message: T) -> io::Result<Request<T>> {
    let mut request = message.into_request();
    let namespace = namespace.parse().map_err(io::Error::other)?;
    request.metadata_mut().insert("containerd-namespace", namespace);
    Ok(request)
}

fn answer<T>(answer: Result<T, Status>) -> io::Result<T> {
    answer.map_err(|status| io::Error::other(format!("containerd: {}: {}", status.code(), status.message())))
}

async fn in_time<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(ANSWER, work)
        .await
        .unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "no answer in time")))
}

/// By dockerd's own order, after which it does not start the container again.
async fn kill_by_docker(container: &Container, sockets: &[PathBuf]) -> io::Result<Option<Mechanism>> {
    // A group's name is no part of a path here, only hexadecimal digits are.
    if !container.full_id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(None);
    }
    let path = format!("/containers/{}/kill?signal=KILL", container.full_id);
    let mut last = None;
    for socket in sockets.iter().filter(|socket| socket.exists()) {
        match in_time(post(socket, &path)).await {
            Ok(()) => return Ok(Some(Mechanism::Docker)),
            Err(error) => last = Some(error),
        }
    }
    last.map_or(Ok(None), Err)
}

async fn post(socket: &Path, path: &str) -> io::Result<()> {
    let stream = UnixStream::connect(socket).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    let connection = tokio::spawn(connection);
    let request = hyper::Request::post(path).header(header::HOST, "docker").body(Empty::<Bytes>::new());
    let response = sender.send_request(request.map_err(io::Error::other)?).await.map_err(io::Error::other)?;
    connection.abort();
    let status = response.status();
    if status.is_success() { Ok(()) } else { Err(io::Error::other(format!("dockerd: {path}: {status}"))) }
}
