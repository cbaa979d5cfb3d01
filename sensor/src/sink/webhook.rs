//! JSON by HTTP POST: one record per request, as Falco sends them and its side-kicks take them, or an array of them.

use futures_util::{StreamExt, stream};

use super::{
    Answer, Failure, Reason, Record, Remote,
    http::{self, Http},
};
use crate::config::{Encoding, WebhookConfig};

/// An HTTP endpoint. It has a record when it answers with 2xx.
#[derive(Debug)]
pub struct Webhook {
    config: WebhookConfig,
    http: Http,
    /// Of one record alone.
    content_type: &'static str,
}

impl Webhook {
    /// Nothing is connected to yet.
    #[must_use]
    pub fn new(config: WebhookConfig, encoding: Encoding) -> Self {
        let content_type =
            if encoding == Encoding::Cef { "text/plain; charset=utf-8" } else { "application/json" };
        Self { http: Http::new(config.http.clone()), config, content_type }
    }

    /// All in one request: they are accepted together, or none of them is.
    async fn together(&mut self, batch: &[Record]) -> Result<Answer, Failure> {
        let json = self.content_type == "application/json";
        let (open, between, close): (&[u8], &[u8], &[u8]) =
            if json { (b"[", b",", b"]") } else { (b"", b"\n", b"\n") };
        let mut body =
            Vec::with_capacity(batch.iter().map(|record| record.body.len() + 1).sum::<usize>() + 2);
        body.extend_from_slice(open);
        for (place, record) in batch.iter().enumerate() {
            if place > 0 {
                body.extend_from_slice(between);
            }
            body.extend_from_slice(&record.body);
        }
        body.extend_from_slice(close);
        let reply = self.http.post(&self.config.url, self.content_type, &[], body).await?;
        if reply.accepted() { Ok(Answer::default()) } else { Err(reply.failure()) }
    }

    /// A request for each. At the first that may work later nothing more is begun: order counts.
    async fn one_by_one(&mut self, batch: &[Record]) -> Result<Answer, Failure> {
        let mut requests = Vec::with_capacity(batch.len());
        for record in batch {
            let body = record.body.to_vec();
            requests.push(self.http.prepare(&self.config.url, self.content_type, &[], body)?);
        }
        let mut answer = Answer::default();
        let mut replies = stream::iter(requests).map(http::answer).buffered(self.config.parallel.max(1));
        let mut place = 0;
        while let Some(reply) = replies.next().await {
            let failure = match reply {
                Ok(reply) if reply.accepted() => None,
                Ok(reply) => Some(reply.failure()),
                Err(failure) => Some(failure),
            };
            match failure {
                None => {}
                Some(failure) if failure.reason == Reason::Refused => {
                    answer.refused.push((place, failure.message))
                }
                Some(failure) => {
                    drop(replies);
                    self.http.doubt(&failure);
                    answer.again = (place..batch.len()).collect();
                    answer.why = Some(failure);
                    break;
                }
            }
            place += 1;
        }
        Ok(answer)
    }
}

impl Remote for Webhook {
    async fn send(&mut self, batch: &[Record]) -> Result<Answer, Failure> {
        if self.config.one_by_one { self.one_by_one(batch).await } else { self.together(batch).await }
    }
}
