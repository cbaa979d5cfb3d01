//! Records → a subject of NATS that a stream of `JetStream` takes up. Each message has the record's id in `Nats-Msg-Id`: a server
//! throws away what it has seen within its window for duplicates. All of a batch is on its way at once, and is delivered when
//! all of it is acknowledged.

use std::time::Duration;

use async_nats::{
    Client, ConnectErrorKind, ConnectOptions, HeaderMap, ServerAddr,
    connection::State,
    jetstream::{
        self,
        context::{ContextBuilder, PublishError, PublishErrorKind},
    },
};
use tokio::time::interval;

use super::{Answer, Failure, Reason, Record, Remote, Secret, tls_client};
use crate::config::NatsConfig;

/// How often it is looked whether the connection still stands, while acknowledgements are waited for.
const LOOK: Duration = Duration::from_millis(50);
/// Messages that may wait for their acknowledgement at once.
const IN_FLIGHT: usize = 4096;

/// A subject.
#[derive(Debug)]
pub struct Nats {
    config: NatsConfig,
    client: Option<Connected>,
}

#[derive(Clone, Debug)]
struct Connected {
    client: Client,
    stream: jetstream::Context,
}

impl Nats {
    /// Nothing is connected to yet.
    #[must_use]
    pub const fn new(config: NatsConfig) -> Self {
        Self { config, client: None }
    }

    async fn connect(&self) -> Result<Connected, Failure> {
        let NatsConfig { servers, user, password, token, tls, .. } = &self.config;
        let addresses: Result<Vec<ServerAddr>, _> = servers.iter().map(|server| server.parse()).collect();
        let addresses = addresses.map_err(|error| {
            Failure::new(Reason::Local, format!("no address of NATS among {}: {error}", servers.join(", ")))
        })?;
        let mut options = ConnectOptions::new()
            .name("vedette")
            .no_echo()
            // Whoever calls connects again, with secrets and certificates read anew: the library goes round once, and ends.
            .max_reconnects(addresses.len())
            .ignore_discovered_servers()
            .tls_client_config(tls_client(tls)?);
        if let Some(password) = password {
            options = options.user_and_password(user.clone(), Secret::read(password)?.expose().to_owned());
        }
        if let Some(token) = token {
            options = options.token(Secret::read(token)?.expose().to_owned());
        }
        let client = options.connect(addresses).await.map_err(|error| {
            let reason = match error.kind() {
                ConnectErrorKind::Dns => Reason::Name,
                ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
                    Reason::Unauthorized
                }
                ConnectErrorKind::TimedOut => Reason::Timeout,
                ConnectErrorKind::Tls => Reason::Tls,
                ConnectErrorKind::ServerParse => Reason::Local,
                ConnectErrorKind::Io | ConnectErrorKind::MaxReconnects => {
                    super::connect::reason(&error.to_string())
                }
            };
            Failure::new(reason, format!("cannot connect to {}: {error}", servers.join(", ")))
        })?;
        let stream = ContextBuilder::new().max_ack_inflight(IN_FLIGHT).build(client.clone());
        Ok(Connected { client, stream })
    }

    async fn publish(&self, stream: &jetstream::Context, batch: &[Record]) -> Result<Answer, Failure> {
        let mut answer = Answer::default();
        let mut waiting = Vec::with_capacity(batch.len());
        for (place, record) in batch.iter().enumerate() {
            let mut headers = HeaderMap::new();
            headers.insert("Nats-Msg-Id", record.id.to_string());
            headers.insert("Vedette-Class", record.class.name());
            headers.insert("Vedette-Stream", record.stream.to_string());
            headers.insert("Vedette-Number", record.number.to_string());
            let body = record.body.to_vec().into();
            let sent = stream.publish_with_headers(self.config.subject.clone(), headers, body).await;
            match sent {
                Ok(acknowledged) => waiting.push((place, acknowledged)),
                Err(error) => self.refuse(&mut answer, place, &error)?,
            }
        }
        for (place, acknowledged) in waiting {
            if let Err(error) = acknowledged.await {
                self.refuse(&mut answer, place, &error)?;
            }
        }
        Ok(answer)
    }

    /// One message too large is that record's matter; all else is the server's, and concerns the batch: what was taken already
    /// is thrown away by its id when it comes again.
    fn refuse(&self, answer: &mut Answer, place: usize, error: &PublishError) -> Result<(), Failure> {
        let text = error.to_string();
        let reason = match error.kind() {
            PublishErrorKind::MaxPayloadExceeded => Reason::Refused,
            PublishErrorKind::StreamNotFound => Reason::Protocol,
            PublishErrorKind::TimedOut => Reason::Timeout,
            PublishErrorKind::BrokenPipe => Reason::Connection,
            PublishErrorKind::MaxAckPending => Reason::Throttled,
            PublishErrorKind::WrongLastMessageId | PublishErrorKind::WrongLastSequence => Reason::Protocol,
            PublishErrorKind::Other if text.contains("message size exceeds") => Reason::Refused,
            PublishErrorKind::Other if text.contains("maximum") => Reason::Throttled,
            PublishErrorKind::Other => Reason::Server,
        };
        if reason == Reason::Refused {
            answer.refused.push((place, text));
            return Ok(());
        }
        Err(Failure::new(reason, format!("cannot publish to `{}`: {text}", self.config.subject)))
    }
}

impl Remote for Nats {
    async fn send(&mut self, batch: &[Record]) -> Result<Answer, Failure> {
        let connected = match self.client.take() {
            Some(connected) if connected.client.connection_state() == State::Connected => connected,
            _ => self.connect().await?,
        };
        let Connected { client, stream } = &connected;
        let answer = tokio::select! {
            answer = self.publish(stream, batch) => answer?,
            () = broken(client) => return Err(Failure::new(Reason::Connection, "the connection broke before all was acknowledged")),
        };
        self.client = Some(connected);
        Ok(answer)
    }
}

/// Comes back once the connection is gone. What was sent over it is never acknowledged then.
async fn broken(client: &Client) {
    let mut looks = interval(LOOK);
    while client.connection_state() == State::Connected {
        looks.tick().await;
    }
}
