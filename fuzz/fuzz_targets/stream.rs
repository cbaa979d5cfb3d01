//! Any bytes as the frames of a recording, through decoding and enrichment: no panic, bounded memory.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sensor::{
    config::{Config, ProcessesConfig},
    event::Event,
    pipeline::{Consumer, PipelineError, replay},
    recording::{Preamble, Reader, Writer},
    sink::event_line,
};

struct Lines;

impl Consumer for Lines {
    fn event(&mut self, event: Event) -> Result<(), PipelineError> {
        std::hint::black_box((event_line(&event), serde_json::to_string(&event).is_ok()));
        Ok(())
    }
}

fuzz_target!(|frames: &[u8]| {
    let preamble = Preamble { abi: sensor_common::ABI_VERSION, ..Preamble::default() };
    let mut bytes = Writer::new(Vec::new(), &preamble).and_then(|writer| Ok(writer.finish()?)).unwrap_or_default();
    bytes.extend_from_slice(frames);
    if let Ok(reader) = Reader::new(&bytes[..]) {
        let config = Config { processes: ProcessesConfig { limit_bytes: 1 << 20 }, ..Config::default() };
        let _ = replay(reader, &config, &mut Lines);
    }
});
