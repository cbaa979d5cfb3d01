//! A Prometheus of the tests' own, and what a sensor tells it. It scrapes and looks at its rules once a second.

use std::{
    collections::BTreeMap,
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::deadline;

/// How often it is asked again.
const LOOK: Duration = Duration::from_millis(200);

/// A Prometheus at work. Dropping it ends it.
pub struct Prometheus {
    child: Child,
    address: String,
    dir: TempDir,
}

/// Asks for a path, and returns the status and the body.
///
/// # Panics
/// Where nobody answers.
#[must_use]
pub fn get(address: &str, path: &str) -> (u16, String) {
    let mut client = TcpStream::connect(address).expect("somebody listens");
    write!(client, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer of HTTP");
    (head[9..12].parse().unwrap(), body.to_owned())
}

/// The values of an answer to a scrape, by name and labels as they are written there.
///
/// # Panics
/// Where a line has no number.
#[must_use]
pub fn values(text: &str) -> BTreeMap<&str, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| line.rsplit_once(' ').map(|(key, value)| (key, value.parse().unwrap())).unwrap())
        .collect()
}

impl Prometheus {
    /// Starts one that scrapes a sensor, with these alert rules, none of which waits before it fires.
    ///
    /// # Panics
    /// Where it does not start.
    #[must_use]
    pub fn start(sensor: &str, rules: &Path) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name).display().to_string();
        let rules = fs::read_to_string(rules).unwrap();
        let now = rules.lines().filter(|line| !line.trim_start().starts_with("for: "));
        fs::write(at("rules.yml"), now.collect::<Vec<_>>().join("\n")).unwrap();
        let config = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [rules.yml]\nscrape_configs:\n\
             - {{job_name: vedette, static_configs: [{{targets: ['{sensor}']}}]}}\n"
        );
        fs::write(at("prometheus.yml"), config).unwrap();
        let address = free_address();
        let child = Command::new("prometheus")
            .args([
                format!("--config.file={}", at("prometheus.yml")),
                format!("--storage.tsdb.path={}", at("data")),
            ])
            .arg(format!("--web.listen-address={address}"))
            .stdout(Stdio::null())
            .stderr(fs::File::create(at("log")).unwrap())
            .spawn()
            .expect("prometheus can be run");
        let prometheus = Self { child, address, dir };
        prometheus.until("it answers", || {
            let stream = TcpStream::connect(&prometheus.address).is_ok();
            (stream && get(&prometheus.address, "/-/ready").0 == 200).then_some(())
        });
        prometheus
    }

    /// Waits until the sensor was scraped, and returns the value of a query that has one.
    #[must_use]
    pub fn value(&self, query: &str) -> f64 {
        let path = format!("/api/v1/query?query={}", encoded(query));
        self.until(query, || {
            let answer: Value = serde_json::from_str(&get(&self.address, &path).1).unwrap_or_default();
            answer["data"]["result"][0]["value"][1].as_str()?.parse().ok()
        })
    }

    /// Waits until an alert fires, and returns its labels.
    #[must_use]
    pub fn fires(&self, name: &str) -> Value {
        self.until(name, || {
            let answer: Value =
                serde_json::from_str(&get(&self.address, "/api/v1/alerts").1).unwrap_or_default();
            let alerts = answer["data"]["alerts"].as_array()?.clone();
            let named = |alert: &Value| alert["labels"]["alertname"] == name && alert["state"] == "firing";
            alerts.into_iter().find(named).map(|alert| alert["labels"].clone())
        })
    }

    fn until<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let end = Instant::now() + deadline();
        loop {
            if let Some(found) = look() {
                return found;
            }
            let log = || fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
            assert!(Instant::now() < end, "never: {what}; Prometheus said: {}", log());
            thread::sleep(LOOK);
        }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that nobody has at the moment: Prometheus cannot be asked which one it chose.
fn free_address() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}
