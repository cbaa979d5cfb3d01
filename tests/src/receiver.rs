//! Servers of the test's own for destinations that cannot be installed: strict about the protocol, written from its
//! specification, and able to fail in every way that a server fails. Each runs on a thread of its own until it is dropped.

pub mod elasticsearch;
pub mod otlp;
pub mod splunk;
pub mod tls;

use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderMap, Response, StatusCode, Uri},
};
use tokio::{net::TcpListener, sync::oneshot};
use tokio_rustls::TlsAcceptor;

use self::tls::Certificates;

/// What goes wrong with one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The server answers this status instead of looking at the request, and perhaps when to come back.
    Status(u16, Option<u64>),
    /// It takes the request in and the connection ends in the middle of the answer: nobody knows what it has.
    HalfAnswer,
    /// The connection ends before an answer, and the server has forgotten the request.
    Reset,
    /// It answers after this time.
    Slow(Duration),
    /// It answers something that is no answer.
    Garbage,
}

/// Faults to come, one for each request, and none once they are used up.
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<Mutex<VecDeque<Option<Fault>>>>);

impl Faults {
    /// Adds faults behind those that wait.
    pub fn plan(&self, faults: impl IntoIterator<Item = Option<Fault>>) {
        self.0.lock().unwrap().extend(faults);
    }

    fn next(&self) -> Option<Fault> {
        self.0.lock().unwrap().pop_front().flatten()
    }
}

/// What an HTTP server of the tests does with a request whose body is unpacked.
pub trait Service: Send + Sync + 'static {
    /// Status, content type and body of the answer.
    fn answer(&self, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> (u16, &'static str, Vec<u8>);
}

/// A server that runs.
#[derive(Debug)]
pub struct Server<S> {
    /// Where.
    pub address: SocketAddr,
    /// What it knows.
    pub service: Arc<S>,
    /// What goes wrong.
    pub faults: Faults,
    requests: Arc<AtomicU64>,
    secure: bool,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

struct Shared<S> {
    service: Arc<S>,
    faults: Faults,
    requests: Arc<AtomicU64>,
}

impl<S> Clone for Shared<S> {
    fn clone(&self) -> Self {
        Self {
            service: Arc::clone(&self.service),
            faults: self.faults.clone(),
            requests: Arc::clone(&self.requests),
        }
    }
}

impl<S: Service> Server<S> {
    /// Starts it on a free port of this machine.
    #[must_use]
    pub fn start(service: S) -> Self {
        Self::on("127.0.0.1:0", service, None)
    }

    /// Starts it within TLS.
    #[must_use]
    pub fn secure(service: S, certificates: &Certificates) -> Self {
        Self::on("127.0.0.1:0", service, Some(certificates))
    }

    /// Starts it at an address, which has to be free: for a server that comes back.
    #[must_use]
    pub fn on(address: &str, service: S, certificates: Option<&Certificates>) -> Self {
        let (service, faults) = (Arc::new(service), Faults::default());
        let requests = Arc::new(AtomicU64::new(0));
        let shared =
            Shared { service: Arc::clone(&service), faults: faults.clone(), requests: Arc::clone(&requests) };
        let app = Router::new().fallback(handle::<S>).with_state(shared);
        let listener = std::net::TcpListener::bind(address).expect("a free port");
        listener.set_nonblocking(true).expect("a socket");
        let address = listener.local_addr().expect("an address");
        let acceptor = certificates.map(Certificates::acceptor);
        let secure = acceptor.is_some();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            runtime().block_on(async move {
                serve(listener, app, acceptor, stopped).await;
            });
        });
        Self { address, service, faults, requests, secure, stop: Some(stop), thread: Some(thread) }
    }

    /// `http://…` or `https://localhost:…`, without a path.
    #[must_use]
    pub fn url(&self) -> String {
        if self.secure {
            format!("https://localhost:{}", self.address.port())
        } else {
            format!("http://{}", self.address)
        }
    }

    /// Requests so far, also those that went wrong.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::SeqCst)
    }
}

impl<S> Drop for Server<S> {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Serves until it is told to stop, within TLS where there is an acceptor.
async fn serve(
    listener: std::net::TcpListener,
    app: Router,
    acceptor: Option<TlsAcceptor>,
    stopped: oneshot::Receiver<()>,
) {
    let listener = TcpListener::from_std(listener).expect("a socket");
    match acceptor {
        None => tokio::select! {
            _ = axum::serve(listener, app) => {}
            _ = stopped => {}
        },
        Some(acceptor) => tokio::select! {
            _ = axum::serve(tls::Listener::new(listener, acceptor), app) => {}
            _ = stopped => {}
        },
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

async fn handle<S: Service>(State(shared): State<Shared<S>>, request: Request) -> Response<Body> {
    let (head, body) = request.into_parts();
    shared.requests.fetch_add(1, Ordering::SeqCst);
    let Ok(body) = axum::body::to_bytes(body, 64 << 20).await else {
        return response(413, "text/plain", Body::from("too large"), None);
    };
    let fault = shared.faults.next();
    match fault {
        Some(Fault::Status(status, after)) => {
            return response(status, "text/plain", Body::from("planned"), after);
        }
        Some(Fault::Reset) => return broken(200, b"", 100),
        Some(Fault::Garbage) => return response(200, "text/html", Body::from("<html>"), None),
        Some(Fault::Slow(time)) => tokio::time::sleep(time).await,
        Some(Fault::HalfAnswer) | None => {}
    }
    let (status, kind, answer) = match unpacked(&head.headers, &body) {
        Ok(body) => shared.service.answer(&head.uri, &head.headers, &body),
        Err(error) => (400, "text/plain", error.to_string().into_bytes()),
    };
    if fault == Some(Fault::HalfAnswer) {
        return broken(status, &answer[..answer.len() / 2], answer.len());
    }
    response(status, kind, Body::from(answer), None)
}

/// An answer that promises `length` bytes and breaks off after `start`.
fn broken(status: u16, start: &[u8], length: usize) -> Response<Body> {
    let start: io::Result<Bytes> = Ok(Bytes::copy_from_slice(start));
    let parts = [start, Err(io::ErrorKind::ConnectionReset.into())];
    let body = Body::from_stream(futures_util::stream::iter(parts));
    let built = Response::builder().status(status).header("content-length", length.max(1)).body(body);
    built.expect("a response")
}

fn response(status: u16, kind: &str, body: Body, after: Option<u64>) -> Response<Body> {
    let status = StatusCode::from_u16(status).expect("a status");
    let mut built = Response::builder().status(status).header("content-type", kind);
    if let Some(after) = after {
        built = built.header("retry-after", after);
    }
    built.body(body).expect("a response")
}

fn unpacked(headers: &HeaderMap, body: &[u8]) -> io::Result<Vec<u8>> {
    match headers.get("content-encoding").map(|value| value.as_bytes()) {
        None => Ok(body.to_vec()),
        Some(b"gzip") => {
            let mut out = Vec::new();
            io::Read::read_to_end(&mut flate2::read::GzDecoder::new(body), &mut out)?;
            Ok(out)
        }
        Some(other) => Err(io::Error::other(format!("no such encoding: {}", other.escape_ascii()))),
    }
}
