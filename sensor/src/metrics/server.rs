//! The HTTP server: a thread and a small runtime of its own. What it answers comes from accounts that were drawn up before;
//! a client that is slow, or many of them, hold up nothing but themselves.

use std::{
    io,
    net::{SocketAddr, TcpListener as Bound},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use prometheus::TEXT_FORMAT;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    runtime::Builder,
    sync::Semaphore,
    time::{sleep, timeout},
};

use super::{Bounds, View, health, process::Process, render, tls::Tls};
use crate::{
    capability,
    config::{MetricsConfig, SecretSource},
    pipeline::{Published, Stats},
    sink::Secret,
};

/// Connections at the same time; others wait until one ends.
const CONNECTIONS: usize = 32;
/// How long a client may take for its request, and with the answer for all of it. Prometheus gives up after ten seconds.
const REQUEST: Duration = Duration::from_secs(5);
const WHOLE: Duration = Duration::from_secs(15);

/// Why there is no server.
#[derive(Debug, Error)]
pub enum MetricsError {
    /// The address cannot be had.
    #[error(
        "metrics.listen: cannot listen at {address}: {error}; choose another one, or none with `--set metrics.listen=`"
    )]
    Listen {
        /// Which one.
        address: SocketAddr,
        /// The system's words.
        error: io::Error,
    },
    /// The certificate or its key cannot be used.
    #[error("metrics.tls: cannot use {}: {error}", path.display())]
    Tls {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        error: String,
    },
    /// The token cannot be read.
    #[error("metrics.token: {0}")]
    Token(String),
    /// There is no thread or no runtime for it.
    #[error("metrics: cannot start the server: {0}")]
    Start(#[from] io::Error),
}

struct Server {
    latest: Published,
    bounds: Bounds,
    token: Option<SecretSource>,
}

/// Listens where the configuration says, and starts the thread, which lives as long as the process. Returns the address;
/// `None` where there is to be no server.
///
/// # Errors
/// See [`MetricsError`].
pub fn start(
    config: &MetricsConfig,
    bounds: Bounds,
    latest: Published,
) -> Result<Option<SocketAddr>, MetricsError> {
    let Some(address) = config.listen.0 else { return Ok(None) };
    let tls = Tls::open(&config.tls)?;
    if let Some(source) = &config.token {
        Secret::read(source).map_err(|failure| MetricsError::Token(failure.message))?;
    }
    let refused = |error| MetricsError::Listen { address, error };
    let bound = Bound::bind(address).map_err(refused)?;
    bound.set_nonblocking(true).map_err(refused)?;
    let address = bound.local_addr().map_err(refused)?;
    let server = Arc::new(Server { latest, bounds, token: config.token.clone() });
    let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
    let listener = {
        let _inside = runtime.enter();
        TcpListener::from_std(bound)?
    };
    let work = move || {
        // It is older than the moment at which the others lose what only starting takes, and needs nothing.
        if let Err(error) = capability::give_up_all() {
            tracing::debug!(%error, "the thread for metrics keeps its capabilities");
        }
        runtime.block_on(serve(listener, tls, server));
    };
    thread::Builder::new().name("metrics".to_owned()).stack_size(512 << 10).spawn(work)?;
    Ok(Some(address))
}

async fn serve(listener: TcpListener, tls: Option<Tls>, server: Arc<Server>) {
    let router = Router::new()
        .route("/", get(links))
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .with_state(server);
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let tls = Mutex::new(tls);
    loop {
        // Taken first: who finds no room waits in the system's queue, which is bounded, too.
        let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Most likely too many files are open, which does not pass at once.
                tracing::debug!(%error, "metrics: a connection could not be taken");
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let acceptor = tls.lock().unwrap_or_else(PoisonError::into_inner).as_mut().map(Tls::acceptor);
        let router = router.clone();
        tokio::spawn(async move {
            let _place = place;
            let talk = async {
                match acceptor {
                    Some(acceptor) => match acceptor.accept(stream).await {
                        Ok(stream) => answer(stream, router).await,
                        Err(error) => tracing::debug!(%error, "metrics: no TLS with a client"),
                    },
                    None => answer::<TcpStream>(stream, router).await,
                }
            };
            if timeout(WHOLE, talk).await.is_err() {
                tracing::debug!("metrics: a client was too slow");
            }
        });
    }
}

/// One request and its answer. Connections are not kept: a scrape makes a new one, and nobody can hold many.
async fn answer<S: AsyncRead + AsyncWrite + Unpin>(stream: S, router: Router) {
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    if let Err(error) = served.await {
        tracing::debug!(%error, "metrics: a request was not answered");
    }
}

async fn links() -> &'static str {
    "vedette: /metrics /healthz /readyz\n"
}

async fn healthz(State(server): State<Arc<Server>>) -> Response {
    if health::alive(server.latest.latest().as_deref(), &server.bounds, Instant::now()) {
        return "alive\n".into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, "the way of the events stands still\n").into_response()
}

async fn readyz(State(server): State<Arc<Server>>) -> Response {
    let health = health::ready(server.latest.latest().as_deref(), &server.bounds, Instant::now());
    let status = if health.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = serde_json::to_string(&health).unwrap_or_default() + "\n";
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

async fn metrics(State(server): State<Arc<Server>>, headers: HeaderMap) -> Response {
    if let Some(source) = &server.token {
        match Secret::read(source) {
            Ok(token) if shows(&headers, &token) => {}
            Ok(_) => {
                let how = [(header::WWW_AUTHENTICATE, "Bearer")];
                return (StatusCode::UNAUTHORIZED, how, "a bearer token is needed\n").into_response();
            }
            Err(failure) => {
                tracing::warn!(error = failure.message, "metrics: nobody can be let in");
                return (StatusCode::SERVICE_UNAVAILABLE, "the token cannot be read\n").into_response();
            }
        }
    }
    let now = Instant::now();
    let latest = server.latest.latest();
    let empty = Stats::default();
    let view = View {
        stats: latest.as_ref().map_or(&empty, |latest| &latest.stats),
        age: now.saturating_duration_since(latest.as_ref().map_or(server.bounds.started, |latest| latest.at)),
        ready: health::ready(latest.as_deref(), &server.bounds, now).ready,
        bounds: &server.bounds,
        process: &Process::read(),
    };
    match render(&view) {
        Ok(text) => ([(header::CONTENT_TYPE, TEXT_FORMAT)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "metrics: they cannot be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// Whether a request has the token. How long it takes says nothing of how much of it was right, nor of its length: digests are
/// compared, and all of them.
fn shows(headers: &HeaderMap, token: &Secret) -> bool {
    let shown = headers.get(header::AUTHORIZATION).map(|value| value.as_bytes()).unwrap_or_default();
    let (scheme, shown) = shown.split_at_checked("Bearer ".len()).unwrap_or_default();
    let same = Sha256::digest(shown).ct_eq(&Sha256::digest(token.expose()));
    scheme.eq_ignore_ascii_case(b"Bearer ") && bool::from(same)
}

#[cfg(test)]
mod tests;
