//! Standard output: JSON lines for programs, readable lines for people.

use std::{
    fmt::Write as _,
    io::{self, BufWriter, IsTerminal, Write},
};

use super::{Alert, Sink};
use crate::{
    event::{Change, Detail, Dns, Event, Limited, Loss, SocketAddr, errno_name, flags},
    rule::field,
};

/// Alerts or events as lines on standard output. A reader that goes away (a closed pipe) is an error for whoever writes.
#[derive(Debug)]
pub struct Lines<W: Write> {
    output: BufWriter<W>,
    json: bool,
    colour: bool,
}

impl Lines<io::Stdout> {
    /// JSON lines where `json`; otherwise readable ones, in colour on a terminal.
    #[must_use]
    pub fn stdout(json: bool) -> Self {
        let stdout = io::stdout();
        let colour = !json && stdout.is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { output: BufWriter::with_capacity(64 << 10, stdout), json, colour }
    }
}

impl<W: Write> Lines<W> {
    /// One event.
    ///
    /// # Errors
    /// Where the output is closed.
    pub fn event(&mut self, event: &Event) -> io::Result<()> {
        if self.json {
            serde_json::to_writer(&mut self.output, event)?;
            return self.output.write_all(b"\n");
        }
        writeln!(self.output, "{}", event_line(event))
    }
}

impl<W: Write + Send> Sink for Lines<W> {
    fn deliver(&mut self, alert: &Alert) -> io::Result<()> {
        if self.json {
            serde_json::to_writer(&mut self.output, alert)?;
            return self.output.write_all(b"\n");
        }
        let (on, off) = if self.colour { (colour(alert.priority), "\x1b[0m") } else { ("", "") };
        let time = alert.time.get(11..23).unwrap_or(&alert.time);
        let place = alert.container.as_ref().map_or("host", |container| &container.id);
        write!(
            self.output,
            "{time} {on}{:<9}{off} {place} {on}{}{off}: {}",
            alert.priority,
            alert.rule,
            clean(&alert.output)
        )?;
        if let Some(response) = &alert.response {
            write!(self.output, " | {}", clean(&response.to_string()))?;
        }
        match (alert.over_time.suppressed, alert.over_time.summary) {
            (suppressed, false) if suppressed > 0 => writeln!(self.output, " | suppressed={suppressed}"),
            // A summary says it in its sentence.
            _ => writeln!(self.output),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

fn colour(priority: &str) -> &'static str {
    match priority {
        "Emergency" | "Alert" | "Critical" => "\x1b[1;31m",
        "Error" => "\x1b[31m",
        "Warning" => "\x1b[33m",
        "Notice" => "\x1b[36m",
        _ => "\x1b[2m",
    }
}

/// Control characters of what an attacker may have named must not reach a terminal.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// An event in a line: who, what, with which result.
#[must_use]
pub fn event_line(event: &Event) -> String {
    let mut line = String::with_capacity(160);
    let time = super::alert::timestamp(event.time);
    let place = event.container.as_ref().map_or("host", |container| &container.id);
    let comm = event.task.comm.to_str_lossy();
    // Writing to a string does not fail.
    let _ = write!(
        line,
        "{} {:<8} {place} {comm}[{}] ",
        time.get(11..26).unwrap_or(&time),
        event.event_type.name(),
        event.task.pid
    );
    let _ = match &event.detail {
        Detail::Exec(exec) if event.failed() => write!(line, "{}", exec.filename),
        Detail::Exec(_) => write!(line, "{}", event.process.exe).and_then(|()| {
            event
                .process
                .args
                .iter()
                .skip(1)
                .try_for_each(|arg| write!(line, " {}", crate::event::printable(arg)))
        }),
        Detail::Fork(fork) => write!(line, "child {}", fork.child.pid),
        Detail::Exit(exit) => match exit.signal() {
            Some(signal) => write!(line, "signal {signal}"),
            None => write!(line, "code {}", exit.code().unwrap_or(0)),
        },
        Detail::Open(open) => {
            write!(line, "{} {}", open.path, flags::render(flags::OPEN, u64::from(open.flags), "|"))
        }
        Detail::Change(change) => change_line(&mut line, change),
        Detail::Socket(socket) => {
            write!(line, "{} -> {}", address(&socket.local), address(&socket.remote))
        }
        Detail::Dns(dns) => dns_line(&mut line, dns),
        Detail::Dup(_) | Detail::Call(_) => {
            let mut text = Vec::new();
            field::write_arguments(event, &mut text);
            write!(line, "{}", String::from_utf8_lossy(&text))
        }
        Detail::Loss(loss) => loss_line(&mut line, loss),
    };
    if event.failed() {
        let errno = event.result.unsigned_abs() as u32;
        match errno_name(errno) {
            Some(name) => line.push_str(&format!(" = {name}")),
            None => line.push_str(&format!(" = -{errno}")),
        }
    }
    clean(&line)
}

/// What was asked of whom, and what came back.
fn dns_line(line: &mut String, dns: &Dns) -> std::fmt::Result {
    match &dns.question {
        Some(question) => write!(line, "{} {question}", dns.record_type)?,
        None => write!(line, "{} bytes that are no DNS", dns.size)?,
    }
    write!(line, " {} {}", if dns.answer { "<-" } else { "->" }, address(&dns.socket.remote))?;
    if let Some(rcode) = &dns.rcode {
        write!(line, " {rcode}")?;
    }
    dns.names.iter().try_for_each(|name| write!(line, " {name}"))?;
    dns.addresses.iter().try_for_each(|address| write!(line, " {address}"))
}

/// What is missing, and why.
fn loss_line(line: &mut String, loss: &Loss) -> std::fmt::Result {
    for lost in &loss.lost {
        write!(line, "{}: {} ring full, {} failed; ", lost.kind.stem(), lost.ring_full, lost.failed)?;
    }
    for Limited { kind, cgroup, count, of } in &loss.limited {
        let of = of.as_deref().unwrap_or("control group");
        write!(line, "{}: {count} of {of} ({cgroup}) held back; ", kind.stem())?;
    }
    Ok(())
}

/// The paths, and what of the arguments says more than the type of event.
fn change_line(line: &mut String, change: &Change) -> std::fmt::Result {
    write!(line, "{}", change.path)?;
    if let Some(new) = &change.new_path {
        write!(line, " -> {new}")?;
    }
    if let Some(mode) = change.mode {
        write!(line, " mode {mode:#o}")?;
    }
    // All bits set leave an id as it is.
    for (what, id) in [("uid", change.uid), ("gid", change.gid)] {
        if let Some(id) = id.filter(|id| *id != u32::MAX) {
            write!(line, " {what} {id}")?;
        }
    }
    Ok(())
}

fn address(address: &SocketAddr) -> String {
    match address {
        SocketAddr::None => "-".to_owned(),
        SocketAddr::Ip(peer) => std::net::SocketAddr::new(peer.ip, peer.port).to_string(),
        SocketAddr::Unix(name) => name.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_do_not_reach_a_terminal() {
        assert_eq!(clean("a\x1b[2Jb\nc"), "a\u{fffd}[2Jb\u{fffd}c");
    }
}
