//! A collector of OpenTelemetry's logs, by the OTLP specification 1.x: over HTTP with protocol buffers, and over gRPC.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    thread::JoinHandle,
};

use axum::http::{HeaderMap, Uri};
use opentelemetry_proto::tonic::{
    collector::logs::v1::{
        ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse,
        logs_service_server::{LogsService, LogsServiceServer},
    },
    logs::v1::LogRecord,
};
use prost::Message;
use tokio::sync::oneshot;
use tonic::{Code, Request, Response, Status, codec::CompressionEncoding, service::Routes};

use super::{Service, runtime, tls::Certificates};

/// What a collector knows.
#[derive(Debug, Default)]
pub struct Collector {
    records: Mutex<Vec<LogRecord>>,
    hosts: Mutex<Vec<String>>,
    /// Records whose body has this text are rejected.
    pub rejects: Mutex<Option<String>>,
    /// What has to stand in the header `x-token`.
    pub token: Mutex<Option<String>>,
}

impl Collector {
    /// The records that it took, in order.
    #[must_use]
    pub fn records(&self) -> Vec<LogRecord> {
        self.records.lock().unwrap().clone()
    }

    /// The hosts that they were from.
    #[must_use]
    pub fn hosts(&self) -> Vec<String> {
        self.hosts.lock().unwrap().clone()
    }

    fn known(&self, token: Option<&str>) -> bool {
        self.token.lock().unwrap().as_deref().is_none_or(|wanted| token == Some(wanted))
    }

    fn take(&self, request: ExportLogsServiceRequest) -> ExportLogsServiceResponse {
        let rejects = self.rejects.lock().unwrap().clone();
        let mut rejected = 0;
        for logs in request.resource_logs {
            let resource = logs.resource.expect("records say whose they are");
            let named = |name: &str| {
                let attribute = resource.attributes.iter().find(|attribute| attribute.key == name);
                format!("{:?}", attribute.and_then(|attribute| attribute.value.clone()))
            };
            assert!(named("service.name").contains("vedette"), "{resource:?}");
            self.hosts.lock().unwrap().push(named("host.name"));
            for record in logs.scope_logs.into_iter().flat_map(|scope| scope.log_records) {
                assert!((1..=24).contains(&record.severity_number), "{record:?}");
                let body = format!("{:?}", record.body);
                if rejects.as_ref().is_some_and(|text| body.contains(text)) {
                    rejected += 1;
                } else {
                    self.records.lock().unwrap().push(record);
                }
            }
        }
        let partial_success = (rejected > 0).then(|| ExportLogsPartialSuccess {
            rejected_log_records: rejected,
            error_message: "not wanted".to_owned(),
        });
        ExportLogsServiceResponse { partial_success }
    }
}

impl Service for Collector {
    fn answer(&self, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> (u16, &'static str, Vec<u8>) {
        const PROTOBUF: &str = "application/x-protobuf";
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        if uri.path() != "/v1/logs" {
            return (404, "text/plain", b"no such path".to_vec());
        }
        if header("content-type") != Some(PROTOBUF) {
            return (415, "text/plain", b"protocol buffers are expected".to_vec());
        }
        if !self.known(header("x-token")) {
            return (401, "text/plain", b"who is that".to_vec());
        }
        match ExportLogsServiceRequest::decode(body) {
            Ok(request) => (200, PROTOBUF, self.take(request).encode_to_vec()),
            Err(error) => (400, "text/plain", error.to_string().into_bytes()),
        }
    }
}

/// A collector that speaks gRPC.
#[derive(Debug)]
pub struct GrpcServer {
    /// Where.
    pub address: SocketAddr,
    /// What it knows.
    pub collector: Arc<Collector>,
    /// Codes of the next answers instead of taking the records.
    pub planned: Arc<Mutex<Vec<Code>>>,
    secure: bool,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    collector: Arc<Collector>,
    planned: Arc<Mutex<Vec<Code>>>,
}

#[tonic::async_trait]
impl LogsService for Shared {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        if let Some(code) = self.planned.lock().unwrap().pop() {
            return Err(Status::new(code, "planned"));
        }
        let token = request.metadata().get("x-token").and_then(|value| value.to_str().ok());
        if !self.collector.known(token) {
            return Err(Status::unauthenticated("who is that"));
        }
        Ok(Response::new(self.collector.take(request.into_inner())))
    }
}

impl GrpcServer {
    /// Starts it on a free port of this machine.
    #[must_use]
    pub fn start() -> Self {
        Self::with(None)
    }

    /// Starts it within TLS.
    #[must_use]
    pub fn secure(certificates: &Certificates) -> Self {
        Self::with(Some(certificates))
    }

    fn with(certificates: Option<&Certificates>) -> Self {
        let acceptor = certificates.map(|it| it.acceptor_for(&[b"h2"]));
        let secure = acceptor.is_some();
        let (collector, planned) = (Arc::<Collector>::default(), Arc::<Mutex<Vec<Code>>>::default());
        let shared = Shared { collector: Arc::clone(&collector), planned: Arc::clone(&planned) };
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a socket");
        let address = listener.local_addr().expect("an address");
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            runtime().block_on(async move {
                let service = LogsServiceServer::new(shared)
                    .accept_compressed(CompressionEncoding::Gzip)
                    .send_compressed(CompressionEncoding::Gzip);
                let app = Routes::new(service).into_axum_router();
                super::serve(listener, app, acceptor, stopped).await;
            });
        });
        Self { address, collector, planned, secure, stop: Some(stop), thread: Some(thread) }
    }

    /// `http://…` or `https://localhost:…`.
    #[must_use]
    pub fn url(&self) -> String {
        if self.secure {
            format!("https://localhost:{}", self.address.port())
        } else {
            format!("http://{}", self.address)
        }
    }
}

impl Drop for GrpcServer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
