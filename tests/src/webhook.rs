//! An endpoint that takes JSON records by HTTP and remembers which, and that fails as a test asks it to.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use axum::{Router, body::Bytes, extract::State, http::StatusCode, routing::post};
use serde_json::Value;
use tokio::sync::oneshot;

use crate::deadline;

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Its records are remembered, and the answer is 200.
    Taken,
    /// Its records are forgotten, and the answer is this status.
    Refused(u16),
    /// Its records are remembered, and the answer is this status: the sender cannot know.
    TakenInSecret(u16),
}

/// A server on loopback; it ends with the value.
pub struct Webhook {
    /// Where it listens.
    pub address: SocketAddr,
    taken: Arc<Taken>,
    end: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

struct Taken {
    /// By id: how often it came, and its place among all.
    records: Mutex<Records>,
    changed: Condvar,
    requests: AtomicU64,
    fate: Box<dyn Fn(u64) -> Fate + Send + Sync>,
}

#[derive(Default)]
struct Records {
    times: HashMap<String, u64>,
    /// The records, where the test wants to look at them.
    all: Option<Vec<Value>>,
}

impl Webhook {
    /// Starts it. `fate`: of the request with this number, from 0. `keep`: whether the records are kept beside their ids.
    ///
    /// # Panics
    /// Where there is no port.
    #[must_use]
    pub fn start(keep: bool, fate: impl Fn(u64) -> Fate + Send + Sync + 'static) -> Self {
        let records = Mutex::new(Records { all: keep.then(Vec::new), ..Records::default() });
        let (changed, requests) = (Condvar::new(), AtomicU64::new(0));
        let taken = Arc::new(Taken { records, changed, requests, fate: Box::new(fate) });
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("a socket");
        let address = listener.local_addr().expect("a socket");
        let (end, ended) = oneshot::channel::<()>();
        let router = Router::new().route("/", post(take)).with_state(Arc::clone(&taken));
        let router = router.layer(axum::extract::DefaultBodyLimit::disable());
        let thread = thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).expect("a socket");
                tokio::select! {
                    served = axum::serve(listener, router) => served.expect("it serves"),
                    _ = ended => {}
                }
            });
        });
        Self { address, taken, end: Some(end), thread: Some(thread) }
    }

    /// Its address, for a configuration.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// How often each id came.
    #[must_use]
    pub fn times(&self) -> HashMap<String, u64> {
        self.taken.lock().times.clone()
    }

    /// The records so far, in the order in which they came.
    #[must_use]
    pub fn records(&self) -> Vec<Value> {
        self.taken.lock().all.clone().unwrap_or_default()
    }

    /// Waits for a record.
    ///
    /// # Panics
    /// Where it does not come in time.
    #[must_use]
    pub fn record(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + deadline();
        let mut records = self.taken.lock();
        loop {
            if let Some(found) = records.all.iter().flatten().find(|record| wanted(record)) {
                return found.clone();
            }
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "never delivered: {what}");
            records =
                self.taken.changed.wait_timeout(records, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until nothing new came for so long.
    pub fn settle(&self, quiet: Duration) {
        let mut before = self.taken.requests.load(Ordering::Relaxed);
        loop {
            thread::sleep(quiet);
            let now = self.taken.requests.load(Ordering::Relaxed);
            if now == before {
                return;
            }
            before = now;
        }
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Taken {
    fn lock(&self) -> std::sync::MutexGuard<'_, Records> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn take(State(taken): State<Arc<Taken>>, body: Bytes) -> StatusCode {
    let fate = (taken.fate)(taken.requests.fetch_add(1, Ordering::Relaxed));
    if let Fate::Refused(status) = fate {
        return StatusCode::from_u16(status).expect("a status");
    }
    let Ok(text) = std::str::from_utf8(&body) else { return StatusCode::BAD_REQUEST };
    {
        let mut records = taken.lock();
        if let Some(all) = &mut records.all {
            match serde_json::from_str::<Value>(text) {
                Ok(Value::Array(sent)) => all.extend(sent),
                Ok(record) => all.push(record),
                Err(_) => return StatusCode::BAD_REQUEST,
            }
        }
        // Each alert begins with its id; to look for it is a hundred times cheaper than to parse a million of them.
        for (at, begin) in text.match_indices("{\"uuid\":\"") {
            let id = text.get(at + begin.len()..).and_then(|rest| rest.split_once('"'));
            if let Some((id, _)) = id {
                *records.times.entry(id.to_owned()).or_default() += 1;
            }
        }
    }
    taken.changed.notify_all();
    match fate {
        Fate::TakenInSecret(status) => StatusCode::from_u16(status).expect("a status"),
        _ => StatusCode::OK,
    }
}
