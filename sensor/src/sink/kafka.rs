//! Records → one partition of a Kafka topic, by rskafka. The key of a message is the record's id, which is also its header
//! `vedette-id`: what was sent twice can be told. All replicas in sync have to confirm, which is all that the library offers.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use rskafka::{
    BackoffConfig,
    chrono::DateTime,
    client::{
        ClientBuilder, Credentials, SaslConfig,
        error::{Error, ProtocolError},
        partition::{Compression as Packed, PartitionClient, UnknownTopicHandling},
    },
    record::Record as Message,
};

use super::{Answer, Failure, Reason, Record, Remote, Secret, connect, tls_client};
use crate::config::{Compression, KafkaConfig, Sasl, SaslMechanism};

/// How long the library tries by itself before it says what is wrong: whoever calls tries again, and counts it.
const PATIENCE: Duration = Duration::from_millis(1500);

/// A partition of a topic.
#[derive(Debug)]
pub struct Kafka {
    config: KafkaConfig,
    client: Option<PartitionClient>,
}

impl Kafka {
    /// Nothing is connected to yet.
    #[must_use]
    pub const fn new(config: KafkaConfig) -> Self {
        Self { config, client: None }
    }

    async fn connect(&self) -> Result<PartitionClient, Failure> {
        let KafkaConfig { brokers, topic, partition, tls, sasl, .. } = &self.config;
        let backoff = BackoffConfig {
            init_backoff: Duration::from_millis(50),
            max_backoff: Duration::from_millis(500),
            base: 2.0,
            deadline: Some(PATIENCE),
        };
        let mut builder = ClientBuilder::new(brokers.clone()).client_id("vedette").backoff_config(backoff);
        if let Some(tls) = tls {
            builder = builder.tls_config(Arc::new(tls_client(tls)?));
        }
        if let Some(sasl) = sasl {
            builder = builder.sasl_config(credentials(sasl)?);
        }
        let whom = brokers.join(", ");
        let client =
            builder.build().await.map_err(|error| failure(&format!("cannot connect to {whom}"), &error))?;
        let found = client.partition_client(topic.as_str(), *partition, UnknownTopicHandling::Error).await;
        found.map_err(|error| failure(&format!("cannot use partition {partition} of `{topic}`"), &error))
    }
}

impl Remote for Kafka {
    async fn send(&mut self, batch: &[Record]) -> Result<Answer, Failure> {
        // A client whose request was given up half-way is not used again.
        let client = match self.client.take() {
            Some(client) => client,
            None => self.connect().await?,
        };
        let messages = batch.iter().map(message).collect();
        let packed = match self.config.compression {
            Compression::None => Packed::NoCompression,
            Compression::Gzip => Packed::Gzip,
        };
        let sent = client.produce(messages, packed).await;
        sent.map_err(|error| failure(&format!("cannot produce to `{}`", self.config.topic), &error))?;
        self.client = Some(client);
        Ok(Answer::default())
    }
}

fn message(record: &Record) -> Message {
    let id = record.id.to_string().into_bytes();
    let headers = [
        ("vedette-id", id.clone()),
        ("vedette-class", record.class.name().into()),
        ("vedette-stream", record.stream.to_string().into_bytes()),
        ("vedette-number", record.number.to_string().into_bytes()),
    ];
    let milliseconds = i64::try_from(record.time / 1_000_000).unwrap_or_default();
    Message {
        key: Some(id),
        value: Some(record.body.to_vec()),
        headers: headers
            .map(|(name, value)| (name.to_owned(), value))
            .into_iter()
            .collect::<BTreeMap<_, _>>(),
        timestamp: DateTime::from_timestamp_millis(milliseconds).unwrap_or_default(),
    }
}

fn credentials(sasl: &Sasl) -> Result<SaslConfig, Failure> {
    let password = Secret::read(&sasl.password)?;
    let credentials = Credentials::new(sasl.user.clone(), password.expose().to_owned());
    Ok(match sasl.mechanism {
        SaslMechanism::Plain => SaslConfig::Plain(credentials),
        SaslMechanism::ScramSha256 => SaslConfig::ScramSha256(credentials),
        SaslMechanism::ScramSha512 => SaslConfig::ScramSha512(credentials),
    })
}

fn failure(what: &str, error: &Error) -> Failure {
    let text = error.to_string();
    let reason = match cause(error) {
        Error::ServerError { protocol_error, .. } => by_code(*protocol_error),
        Error::InvalidResponse(_) => Reason::Protocol,
        Error::Timeout => Reason::Timeout,
        _ if text.contains("Sasl") => Reason::Unauthorized,
        _ => connect::reason(&text),
    };
    Failure::new(reason, format!("{what}: {text}"))
}

/// The innermost of the library's errors: the outer ones only say that it gave up.
fn cause(error: &Error) -> &Error {
    let mut found = error;
    let mut next = std::error::Error::source(error);
    while let Some(inner) = next {
        found = inner.downcast_ref().unwrap_or(found);
        next = inner.source();
    }
    found
}

/// What can be done about an answer (<https://kafka.apache.org/protocol#protocol_error_codes>).
const fn by_code(code: ProtocolError) -> Reason {
    match code {
        ProtocolError::MessageTooLarge
        | ProtocolError::RecordListTooLarge
        | ProtocolError::InvalidTimestamp
        | ProtocolError::InvalidRecord
        | ProtocolError::PolicyViolation => Reason::Refused,
        ProtocolError::TopicAuthorizationFailed
        | ProtocolError::ClusterAuthorizationFailed
        | ProtocolError::SaslAuthenticationFailed
        | ProtocolError::UnsupportedSaslMechanism => Reason::Unauthorized,
        ProtocolError::ThrottlingQuotaExceeded => Reason::Throttled,
        ProtocolError::RequestTimedOut => Reason::Timeout,
        ProtocolError::UnknownTopicOrPartition
        | ProtocolError::InvalidTopicException
        | ProtocolError::UnsupportedVersion
        | ProtocolError::UnsupportedForMessageFormat
        | ProtocolError::InvalidRequest
        | ProtocolError::CorruptMessage => Reason::Protocol,
        _ => Reason::Server,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_say_what_can_be_done() {
        assert_eq!(by_code(ProtocolError::MessageTooLarge), Reason::Refused);
        assert_eq!(by_code(ProtocolError::NotEnoughReplicas), Reason::Server);
        assert_eq!(by_code(ProtocolError::TopicAuthorizationFailed), Reason::Unauthorized);
        assert_eq!(by_code(ProtocolError::UnknownTopicOrPartition), Reason::Protocol);
    }
}
