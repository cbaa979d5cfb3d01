//! Records → OpenTelemetry's logs (OTLP 1.x), by gRPC or by HTTP. The body of a log record is the encoded text; id, class and
//! number are attributes.
//!
//! Two things are not as the specification has them, so that nothing is lost: it wants a batch of which a part was rejected
//! forgotten, without saying which part, and here it is sent again in halves until it is known (what was accepted comes twice
//! then); and errors that it calls final are tried again where they are about the server and not about the record.

mod grpc;

use opentelemetry_proto::tonic::{
    collector::logs::v1::{ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse},
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value},
    logs::v1::{LogRecord, ResourceLogs, ScopeLogs},
    resource::v1::Resource,
};
use prost::Message;

use self::grpc::Grpc;
use super::{Answer, Failure, Reason, Record, Remote, Severity, http::Http};
use crate::config::{OtlpConfig, OtlpProtocol};

/// A collector.
#[derive(Debug)]
pub struct Otlp {
    hostname: String,
    endpoint: String,
    by: By,
}

#[derive(Debug)]
enum By {
    Http(Http),
    Grpc(Box<Grpc>),
}

impl Otlp {
    /// Nothing is connected to yet.
    #[must_use]
    pub fn new(config: OtlpConfig, hostname: &str) -> Self {
        let OtlpConfig { endpoint, protocol, http } = config;
        let by = match protocol {
            OtlpProtocol::Http => By::Http(Http::new(http)),
            OtlpProtocol::Grpc => By::Grpc(Box::new(Grpc::new(endpoint.clone(), http))),
        };
        Self { hostname: hostname.to_owned(), endpoint, by }
    }
}

impl Remote for Otlp {
    async fn send(&mut self, batch: &[Record]) -> Result<Answer, Failure> {
        let request = request(batch, &self.hostname);
        let response = match &mut self.by {
            By::Grpc(grpc) => grpc.export(request).await?,
            By::Http(http) => {
                let reply =
                    http.post(&self.endpoint, "application/x-protobuf", &[], request.encode_to_vec()).await?;
                if !reply.accepted() {
                    return Err(reply.failure());
                }
                ExportLogsServiceResponse::decode(&*reply.body).map_err(|error| {
                    Failure::new(Reason::Protocol, format!("the answer is none of OTLP: {error}"))
                })?
            }
        };
        judge(response.partial_success.as_ref(), batch.len())
    }
}

/// What a number of rejected records means for the batch.
fn judge(partial: Option<&ExportLogsPartialSuccess>, count: usize) -> Result<Answer, Failure> {
    let Some(partial) = partial else { return Ok(Answer::default()) };
    let rejected = usize::try_from(partial.rejected_log_records).unwrap_or_default();
    let words: String =
        partial.error_message.chars().take(300).map(|c| if c.is_control() { ' ' } else { c }).collect();
    match rejected {
        0 => {
            if !words.is_empty() {
                tracing::warn!(collector = %words, "the collector took all, and has something to say");
            }
            Ok(Answer::default())
        }
        rejected if rejected >= count => {
            let refused = (0..count).map(|place| (place, words.clone())).collect();
            Ok(Answer { refused, ..Answer::default() })
        }
        rejected => Err(Failure::new(
            Reason::Refused,
            format!("{rejected} of {count} records were rejected: {words}"),
        )),
    }
}

fn request(batch: &[Record], hostname: &str) -> ExportLogsServiceRequest {
    let scope = InstrumentationScope {
        name: "vedette".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    };
    let resource = Resource {
        attributes: vec![
            text("service.name", "vedette"),
            text("service.version", env!("CARGO_PKG_VERSION")),
            text("host.name", hostname),
        ],
        ..Resource::default()
    };
    let logs = ScopeLogs {
        scope: Some(scope),
        log_records: batch.iter().map(log_record).collect(),
        ..ScopeLogs::default()
    };
    let logs = ResourceLogs { resource: Some(resource), scope_logs: vec![logs], ..ResourceLogs::default() };
    ExportLogsServiceRequest { resource_logs: vec![logs] }
}

fn log_record(record: &Record) -> LogRecord {
    let severity = Severity::of_syslog(record.severity);
    LogRecord {
        time_unix_nano: record.time,
        observed_time_unix_nano: record.time,
        severity_number: severity.otlp.into(),
        severity_text: severity.priority.to_owned(),
        body: Some(string(String::from_utf8_lossy(&record.body))),
        attributes: vec![
            text("log.record.uid", record.id.to_string()),
            text("vedette.stream", record.stream.to_string()),
            text("vedette.class", record.class.name()),
            KeyValue {
                key: "vedette.number".to_owned(),
                value: Some(AnyValue {
                    value: Some(Value::IntValue(i64::try_from(record.number).unwrap_or(i64::MAX))),
                }),
                ..KeyValue::default()
            },
        ],
        event_name: format!("vedette.{}", record.class.name()),
        ..LogRecord::default()
    }
}

fn text(key: &str, value: impl Into<String>) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(string(value)), ..KeyValue::default() }
}

fn string(value: impl Into<String>) -> AnyValue {
    AnyValue { value: Some(Value::StringValue(value.into())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_that_is_rejected_is_looked_for() {
        let partial = |rejected| {
            let said =
                ExportLogsPartialSuccess { rejected_log_records: rejected, error_message: "no\n".into() };
            judge(Some(&said), 3)
        };
        assert_eq!(judge(None, 3), Ok(Answer::default()));
        assert_eq!(partial(0), Ok(Answer::default()));
        assert_eq!(partial(1).unwrap_err().reason, Reason::Refused);
        assert_eq!(partial(3).unwrap().refused.len(), 3);
    }
}
