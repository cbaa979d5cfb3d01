//! OTLP by gRPC: one connection of HTTP/2, opened here so that what is wrong with it is known, and tonic on top of it.

use std::{
    fmt,
    future::{Ready, ready},
    io,
    task::{Context, Poll},
    time::Duration,
};

use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsServiceRequest, ExportLogsServiceResponse, logs_service_client::LogsServiceClient,
};
use prost::Message;
use tokio::io::{AsyncRead, AsyncWrite};
use tonic::{
    Code, Request, Status,
    codec::CompressionEncoding,
    codegen::Service,
    metadata::{Ascii, MetadataKey, MetadataValue},
    transport::{Channel, Endpoint, Uri},
};

use crate::{
    config::{Compression, HttpConfig},
    sink::{Failure, Reason, Secret, connect},
};

/// A connection to a collector.
pub(super) struct Grpc {
    endpoint: String,
    config: HttpConfig,
    channel: Option<Channel>,
}

/// What a channel runs over.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Gives one connection away. A channel that asks for another one has lost the first.
struct Once(Option<Box<dyn Stream>>);

impl Service<Uri> for Once {
    type Response = TokioIo<Box<dyn Stream>>;
    type Error = io::Error;
    type Future = Ready<io::Result<Self::Response>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _uri: Uri) -> Self::Future {
        ready(self.0.take().map(TokioIo::new).ok_or_else(|| io::ErrorKind::ConnectionReset.into()))
    }
}

impl Grpc {
    pub(super) const fn new(endpoint: String, config: HttpConfig) -> Self {
        Self { endpoint, config, channel: None }
    }

    pub(super) async fn export(
        &mut self,
        logs: ExportLogsServiceRequest,
    ) -> Result<ExportLogsServiceResponse, Failure> {
        let mut request = Request::new(logs);
        for header in &self.config.headers {
            let name = header.name.to_lowercase().parse::<MetadataKey<Ascii>>();
            let value = MetadataValue::try_from(Secret::read(&header.value)?.expose());
            let (Ok(name), Ok(mut value)) = (name, value) else {
                let message = format!("`{}` is no header of gRPC, or its value none", header.name);
                return Err(Failure::new(Reason::Local, message));
            };
            value.set_sensitive(true);
            request.metadata_mut().insert(name, value);
        }
        // A channel whose request failed or was given up is not used again: secrets and certificates may be new.
        let channel = match self.channel.take() {
            Some(channel) => channel,
            None => self.connect().await?,
        };
        let mut client = LogsServiceClient::new(channel.clone());
        if self.config.compression == Compression::Gzip {
            client = client.send_compressed(CompressionEncoding::Gzip);
        }
        let response = client.accept_compressed(CompressionEncoding::Gzip).export(request).await;
        let response = response.map_err(|status| failure(&status))?;
        self.channel = Some(channel);
        Ok(response.into_inner())
    }

    async fn connect(&self) -> Result<Channel, Failure> {
        let local = |why: &dyn fmt::Display| {
            Failure::new(Reason::Local, format!("`{}` is no address of gRPC: {why}", self.endpoint))
        };
        let uri: Uri = self.endpoint.parse().map_err(|error| local(&error))?;
        let secure = uri.scheme_str() == Some("https");
        let authority = uri.authority().ok_or_else(|| local(&"it has no host"))?;
        let port = authority.port_u16().unwrap_or(4317);
        let address = format!("{}:{port}", authority.host());
        let stream: Box<dyn Stream> = if secure {
            Box::new(connect::tls(&address, &self.config.tls, &[b"h2"]).await?)
        } else {
            Box::new(connect::tcp(&address).await?)
        };
        // With `https` the library would ask for TLS of its own.
        let plain = Endpoint::from_shared(format!("http://{authority}")).map_err(|error| local(&error))?;
        let user_agent = concat!("vedette/", env!("CARGO_PKG_VERSION"));
        let endpoint = plain.origin(uri).user_agent(user_agent).map_err(|error| local(&error))?;
        let channel = endpoint.connect_with_connector(Once(Some(stream))).await;
        channel.map_err(|error| {
            Failure::new(Reason::Connection, format!("cannot speak HTTP/2 to {address}: {error}"))
        })
    }
}

impl fmt::Debug for Grpc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grpc").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

/// By the codes of gRPC (<https://opentelemetry.io/docs/specs/otlp/#failures>).
fn failure(status: &Status) -> Failure {
    // What has a cause comes from this side of the connection, and so does what the generated client says.
    let unready = status.code() == Code::Unknown && status.message().starts_with("Service was not ready");
    let here = unready || std::error::Error::source(status).is_some();
    let reason = match status.code() {
        _ if here => Reason::Connection,
        Code::Unauthenticated | Code::PermissionDenied => Reason::Unauthorized,
        Code::ResourceExhausted => Reason::Throttled,
        Code::DeadlineExceeded => Reason::Timeout,
        Code::InvalidArgument => Reason::Refused,
        Code::Unimplemented | Code::NotFound => Reason::Protocol,
        _ => Reason::Server,
    };
    let said: String =
        status.message().chars().take(300).map(|c| if c.is_control() { ' ' } else { c }).collect();
    Failure {
        reason,
        message: format!("the collector answered {:?}: {said}", status.code()),
        retry_after: retry_after(status.details()),
    }
}

/// `google.rpc.Status`, of which only the details count.
#[derive(Clone, PartialEq, Message)]
struct Details {
    #[prost(message, repeated, tag = "3")]
    details: Vec<Detail>,
}

#[derive(Clone, PartialEq, Message)]
struct Detail {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

/// `google.rpc.RetryInfo`.
#[derive(Clone, PartialEq, Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    delay: Option<Delay>,
}

/// `google.protobuf.Duration`.
#[derive(Clone, PartialEq, Message)]
struct Delay {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

fn retry_after(details: &[u8]) -> Option<Duration> {
    let details = Details::decode(details).ok()?.details;
    let info = details.iter().find(|detail| detail.type_url.ends_with("/google.rpc.RetryInfo"))?;
    let delay = RetryInfo::decode(&*info.value).ok()?.delay?;
    Some(Duration::new(u64::try_from(delay.seconds).ok()?, u32::try_from(delay.nanos).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_say_what_can_be_done_and_when() {
        let info = RetryInfo { delay: Some(Delay { seconds: 7, nanos: 5 }) }.encode_to_vec();
        let detail = Detail { type_url: "type.googleapis.com/google.rpc.RetryInfo".to_owned(), value: info };
        let details = Details { details: vec![detail] }.encode_to_vec();
        let status = Status::with_details(Code::ResourceExhausted, "slow\ndown", details.into());
        let failure = failure(&status);
        assert_eq!((failure.reason, failure.retry_after), (Reason::Throttled, Some(Duration::new(7, 5))));
        assert_eq!(failure.message, "the collector answered ResourceExhausted: slow down");
        assert_eq!(super::failure(&Status::invalid_argument("x")).reason, Reason::Refused);
        assert_eq!(super::failure(&Status::unavailable("x")).reason, Reason::Server);
        assert_eq!(super::failure(&Status::unavailable("x")).retry_after, None);
    }
}
