//! Recordings: of what the kernel says while something is done, and back into typed events, which carry more than their
//! JSON (ancestors, full lengths, what was cut).

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
};

use sensor::{
    config::Config,
    event::Event,
    pipeline::{Consumer, PipelineError, Stats, replay},
    recording::Reader,
};

use crate::vedette;

/// Collects the events of a replay.
#[derive(Default)]
pub struct Collector(pub Vec<Event>);

impl Consumer for Collector {
    fn event(&mut self, event: Event) -> Result<(), PipelineError> {
        self.0.push(event);
        Ok(())
    }
}

/// Records to `file` with `vedette record` and more arguments, from before `work` until after it, and gives what `work`
/// gave and what the recorder said at its end.
///
/// # Panics
/// Where the recorder does not start or does not end well.
pub fn record<T>(file: &Path, args: &[&str], work: impl FnOnce() -> T) -> (T, String) {
    let mut recorder = Command::new(vedette())
        .arg("record")
        .arg(file)
        .args(args)
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the recorder starts");
    let mut lines = BufReader::new(recorder.stderr.take().expect("a pipe")).lines();
    let mut said = String::new();
    loop {
        let line = lines.next().unwrap_or_else(|| panic!("the recorder ended: {said}"));
        let line = line.expect("lines of text");
        if line == "watching" {
            break;
        }
        said.push_str(&line);
    }
    let result = work();
    // SAFETY: a child that is not waited for yet.
    unsafe { libc::kill(recorder.id().cast_signed(), libc::SIGTERM) };
    for line in lines {
        said.push_str(&line.expect("lines of text"));
    }
    assert!(recorder.wait().expect("it can be waited for").success(), "{said}");
    (result, said)
}

/// Plays a recording.
///
/// # Panics
/// Where it is none.
#[must_use]
pub fn play(file: &Path) -> (Vec<Event>, Stats) {
    let file = File::open(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    play_bytes(BufReader::new(file))
}

/// Plays a recording from memory.
///
/// # Panics
/// Where it is none.
#[must_use]
pub fn play_bytes(input: impl BufRead) -> (Vec<Event>, Stats) {
    let mut events = Collector::default();
    let reader = Reader::new(input).expect("a recording");
    let stats = replay(reader, &Config::default(), &mut events).expect("it can be played");
    (events.0, stats)
}
