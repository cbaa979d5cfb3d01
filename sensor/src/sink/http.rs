//! HTTP as every destination speaks it that speaks it: one client with its TLS, headers that are read anew for each request,
//! and answers told apart by what can be done about them.

use std::{error::Error as _, io::Write, time::Duration};

use flate2::{Compression as Level, write::GzEncoder};
use reqwest::{
    Client, Method, RequestBuilder, Response,
    header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER},
    redirect::Policy,
};

use super::{Failure, Reason, Secret, tls_client};
use crate::config::{Compression, HttpConfig};

/// Longest answer that is looked at. That of a bulk request names each record.
const ANSWER: usize = 8 << 20;
/// Characters of an answer that are repeated in a message.
const QUOTED: usize = 300;
/// Idle connections are closed after this, before most servers and load balancers do it in the middle of a request.
const IDLE: Duration = Duration::from_secs(20);

/// A client of one destination.
#[derive(Debug)]
pub struct Http {
    config: HttpConfig,
    client: Option<Client>,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Status code.
    pub status: u16,
    /// How long the server asks to be left alone.
    pub retry_after: Option<Duration>,
    /// The body.
    pub body: Vec<u8>,
}

impl Http {
    /// A client; nothing is read or connected to yet.
    #[must_use]
    pub const fn new(config: HttpConfig) -> Self {
        Self { config, client: None }
    }

    /// Sends `body`. `headers`: what the protocol asks for beside those of the configuration.
    ///
    /// # Errors
    /// Where no answer came. One that says no is an answer: see [`Reply::failure`].
    pub async fn post(
        &mut self,
        url: &str,
        content_type: &'static str,
        headers: &[(&'static str, HeaderValue)],
        body: Vec<u8>,
    ) -> Result<Reply, Failure> {
        let request = self.prepare(url, content_type, headers, body)?;
        let reply = answer(request).await;
        if let Err(failure) = &reply {
            self.doubt(failure);
        }
        reply
    }

    /// A request that is ready to be sent, with [`answer`].
    ///
    /// # Errors
    /// Where something is missing for it: a secret, a certificate.
    pub fn prepare(
        &mut self,
        url: &str,
        content_type: &'static str,
        headers: &[(&'static str, HeaderValue)],
        body: Vec<u8>,
    ) -> Result<RequestBuilder, Failure> {
        let request = self.request(Method::POST, url)?;
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, value));
        let request = request.header(CONTENT_TYPE, content_type);
        Ok(match self.config.compression {
            Compression::None => request.body(body),
            Compression::Gzip => request.header(CONTENT_ENCODING, "gzip").body(gzip(&body)?),
        })
    }

    /// Certificates may be wrong, and replaced meanwhile: the next request reads them again.
    pub fn doubt(&mut self, failure: &Failure) {
        if matches!(failure.reason, Reason::Tls | Reason::Unauthorized) {
            self.client = None;
        }
    }

    fn request(&mut self, method: Method, url: &str) -> Result<RequestBuilder, Failure> {
        let client = match &self.client {
            Some(client) => client,
            None => self.client.insert(client(&self.config)?),
        };
        let mut request = client.request(method, url);
        for header in &self.config.headers {
            let name = HeaderName::try_from(&header.name);
            let name = name.map_err(|_| {
                Failure::new(Reason::Local, format!("no header can be called `{}`", header.name))
            })?;
            request = request.header(name, sensitive("", &Secret::read(&header.value)?)?);
        }
        Ok(request)
    }
}

/// A header's value with a secret in it, which no log of the library shows. `scheme` stands in front, such as `Bearer `.
///
/// # Errors
/// Where the secret has characters that no header may have.
pub fn sensitive(scheme: &str, secret: &Secret) -> Result<HeaderValue, Failure> {
    let value = HeaderValue::try_from(format!("{scheme}{}", secret.expose()));
    let mut value =
        value.map_err(|_| Failure::new(Reason::Local, "a secret has characters that no header may have"))?;
    value.set_sensitive(true);
    Ok(value)
}

impl Reply {
    /// Whether the server took the request.
    #[must_use]
    pub const fn accepted(&self) -> bool {
        self.status >= 200 && self.status < 300
    }

    /// What its status means for what was sent.
    #[must_use]
    pub fn failure(&self) -> Failure {
        let reason = match self.status {
            401 | 403 | 407 => Reason::Unauthorized,
            408 => Reason::Timeout,
            429 => Reason::Throttled,
            400 | 413 | 415 | 422 | 431 => Reason::Refused,
            500.. => Reason::Server,
            // A redirection, a wrong path, a method that is not allowed: the address is wrong, not the record.
            _ => Reason::Protocol,
        };
        let said = self.quote();
        let message =
            format!("the server answered {}{}{said}", self.status, if said.is_empty() { "" } else { ": " });
        Failure { reason, message, retry_after: self.retry_after }
    }

    /// The beginning of the body, for a message.
    #[must_use]
    pub fn quote(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        text.chars().take(QUOTED).map(|c| if c.is_control() { ' ' } else { c }).collect()
    }
}

fn client(config: &HttpConfig) -> Result<Client, Failure> {
    let built = Client::builder()
        .tls_backend_preconfigured(tls_client(&config.tls)?)
        .user_agent(concat!("vedette/", env!("CARGO_PKG_VERSION")))
        // Whoever may redirect would be sent the secrets of the headers.
        .redirect(Policy::none())
        .pool_idle_timeout(IDLE)
        .build();
    built.map_err(|error| Failure::new(Reason::Local, format!("cannot make an HTTP client: {error}")))
}

/// Sends a request, and reads its answer.
///
/// # Errors
/// Where none came.
pub async fn answer(request: RequestBuilder) -> Result<Reply, Failure> {
    match request.send().await {
        Ok(response) => read(response).await,
        Err(error) => Err(failure(&error)),
    }
}

async fn read(mut response: Response) -> Result<Reply, Failure> {
    let status = response.status().as_u16();
    let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| seconds(value.to_str().ok()?));
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| failure(&error))? {
        if body.len() + chunk.len() > ANSWER {
            return Err(Failure::new(Reason::Protocol, format!("an answer of more than {ANSWER} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Reply { status, retry_after, body })
}

/// Seconds, or a date as HTTP has it.
fn seconds(value: &str) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = jiff::fmt::rfc2822::parse(value.trim()).ok()?.timestamp();
    let wait = until.duration_since(jiff::Timestamp::now());
    Some(Duration::try_from(wait).unwrap_or_default())
}

fn gzip(body: &[u8]) -> Result<Vec<u8>, Failure> {
    let mut packed = GzEncoder::new(Vec::with_capacity(body.len() / 4), Level::fast());
    let done = packed.write_all(body).and_then(|()| packed.finish());
    done.map_err(|error| Failure::new(Reason::Local, format!("cannot pack the body: {error}")))
}

/// Whether it is an error of TLS, perhaps wrapped: an error of the system hides what it holds from those who ask for its source.
fn is_tls(error: &(dyn std::error::Error + 'static)) -> bool {
    let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    error.is::<rustls::Error>() || inner.is_some_and(|inner| is_tls(inner))
}

/// The library's error, by what is wrong. Its own text leaves the causes out, and may have a secret of the address.
fn failure(error: &reqwest::Error) -> Failure {
    let mut causes = Vec::new();
    let mut next = error.source();
    let mut reason = if error.is_timeout() { Reason::Timeout } else { Reason::Connection };
    while let Some(cause) = next {
        let text = cause.to_string();
        if is_tls(cause) {
            reason = Reason::Tls;
        } else if text == "dns error" || text.starts_with("failed to lookup address") {
            reason = Reason::Name;
        } else if reason != Reason::Tls
            && (text == "invalid HTTP version parsed" || text.starts_with("invalid "))
        {
            reason = Reason::Protocol;
        }
        // Wrappers repeat what they wrap.
        if causes.last() != Some(&text) {
            causes.push(text);
        }
        next = cause.source();
    }
    if error.is_builder() {
        return Failure::new(Reason::Local, "the address is not one of HTTP");
    }
    let what = if error.is_connect() { "cannot connect" } else { "no answer" };
    Failure::new(reason, format!("{what}: {}", causes.join(": ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_says_what_can_be_done() {
        let reason = |status| Reply { status, retry_after: None, body: b"no\x1b[1m".to_vec() }.failure();
        assert_eq!(reason(503).reason, Reason::Server);
        assert_eq!(reason(429).reason, Reason::Throttled);
        assert_eq!(reason(401).reason, Reason::Unauthorized);
        assert_eq!(reason(413).reason, Reason::Refused);
        assert_eq!(reason(302).reason, Reason::Protocol);
        assert_eq!(reason(400).message, "the server answered 400: no [1m");
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(seconds("17"), Some(Duration::from_secs(17)));
        assert_eq!(seconds("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        assert!(seconds("Mon, 21 Oct 2199 07:28:00 GMT").unwrap() > Duration::from_secs(1 << 30));
        assert_eq!(seconds("soon"), None);
    }
}
