//! Records → RFC 5424, over a socket of this machine, UDP, TCP with octet counting (RFC 6587) or TLS (RFC 5425). The encoded
//! record is the message, without a byte order mark in front: whoever looks for `CEF:0` or `{` finds it there.
//!
//! Syslog acknowledges nothing. What a stream was given counts as delivered once the kernel at the other end has all of it (on
//! this machine: once the receiver has read it); where the connection breaks before, the whole batch is sent again, so that some
//! records may come twice. Two things stay out of reach: what the server has taken and not yet kept when it dies, and datagrams
//! that the network loses. Each record has its id and its number in its structured data, by which a receiver can tell.

mod link;

use std::fmt::Write;

use self::link::Link;
use super::{Answer, Failure, Record, Remote, timestamp};
use crate::config::{SyslogConfig, SyslogTransport};

/// Longest payload of a datagram over IPv4; one byte more cannot be sent. Receivers may take less: RFC 5426 asks them for 2048.
const DATAGRAM: usize = 65_507;
/// The name of our structured data. 32473 is the number that RFC 5612 sets aside for those who have none of their own.
const DATA: &str = "vedette@32473";

/// A syslog server.
#[derive(Debug)]
pub struct Syslog {
    config: SyslogConfig,
    hostname: String,
    app_name: String,
    link: Option<Link>,
}

impl Syslog {
    /// Nothing is connected to yet.
    #[must_use]
    pub fn new(config: SyslogConfig, hostname: &str) -> Self {
        let app_name = word(&config.app_name, 48);
        Self { config, hostname: word(hostname, 255), app_name, link: None }
    }

    /// The message without what tells it from the next one.
    fn message(&self, record: &Record) -> Vec<u8> {
        let priority = u16::from(self.config.facility) * 8 + u16::from(record.severity);
        let time = timestamp(record.time);
        // The format has at most microseconds, and `-` for a time that is none.
        let time = time.get(..26).map_or_else(|| "-".to_owned(), |time| format!("{time}Z"));
        let (hostname, app_name, class) = (&self.hostname, &self.app_name, record.class.name());
        let mut head = String::with_capacity(160);
        // Writing to a string does not fail.
        let _ = write!(
            head,
            "<{priority}>1 {time} {hostname} {app_name} {} {class} [{DATA} id=\"{}\" stream=\"{}\" number=\"{}\"] ",
            std::process::id(),
            record.id,
            record.stream,
            record.number
        );
        let mut message = head.into_bytes();
        message.extend_from_slice(&record.body);
        message
    }

    async fn datagrams(&self, link: &mut Link, batch: &[Record]) -> Result<Answer, Failure> {
        let mut answer = Answer::default();
        for (place, record) in batch.iter().enumerate() {
            let message = self.message(record);
            let sent = if message.len() > DATAGRAM { Ok(false) } else { link.datagram(&message).await };
            if !sent? {
                answer.refused.push((place, format!("{} bytes do not fit into a datagram", message.len())));
            }
        }
        Ok(answer)
    }
}

impl Remote for Syslog {
    async fn send(&mut self, batch: &[Record]) -> Result<Answer, Failure> {
        // Whoever gives up in the middle of a record leaves half of it in the connection: it is only kept after a whole batch.
        let mut link = match self.link.take() {
            Some(link) => link,
            None => Link::open(&self.config).await?,
        };
        if link.is_closed().await {
            link = Link::open(&self.config).await?;
        }
        let answer = if link.is_datagram() {
            self.datagrams(&mut link, batch).await?
        } else {
            let mut frames = Vec::with_capacity(batch.iter().map(|record| record.body.len() + 192).sum());
            for record in batch {
                frame(&mut frames, &self.message(record), self.config.transport);
            }
            link.stream(&frames).await?;
            Answer::default()
        };
        self.link = Some(link);
        Ok(answer)
    }
}

/// Octet counting over the network; a socket of this machine has a line for each record, as its receivers expect.
fn frame(frames: &mut Vec<u8>, message: &[u8], transport: SyslogTransport) {
    if transport == SyslogTransport::Unix {
        frames.extend_from_slice(message);
        frames.push(b'\n');
        return;
    }
    frames.extend_from_slice(message.len().to_string().as_bytes());
    frames.push(b' ');
    frames.extend_from_slice(message);
}

/// A field of the head: visible ASCII of limited length, `-` where there is nothing.
fn word(text: &str, longest: usize) -> String {
    let word: String = text.chars().filter(char::is_ascii_graphic).take(longest).collect();
    if word.is_empty() { "-".to_owned() } else { word }
}

#[cfg(test)]
mod tests;
