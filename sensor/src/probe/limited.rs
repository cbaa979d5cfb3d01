//! Whose records were held back: what the kernel programs counted by control group and kind.

use aya::{
    Ebpf, Pod,
    maps::{MapData, MapError, PerCpuHashMap},
};
use sensor_common::LimitKey;

use super::ProbeError;

/// Pairs from which on those that are quiet are taken out: half of what the map holds.
const MANY: usize = 1024;

#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
struct PodKey(LimitKey);

// SAFETY: integers only, no padding (`IntoBytes` proves it).
#[allow(unsafe_code, reason = "aya's marker for plain data has no safe constructor")]
unsafe impl Pod for PodKey {}

pub(super) struct Limited {
    map: PerCpuHashMap<MapData, PodKey, u64>,
    /// What was read the last time.
    before: Vec<(LimitKey, u64)>,
}

impl Limited {
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, ProbeError> {
        let map = super::load::take_map(ebpf, "LIMITED")?;
        let map = map.try_into().map_err(|error: MapError| ProbeError::Load(error.to_string()))?;
        Ok(Self { map, before: Vec::new() })
    }

    /// Pairs in the map when it was last read.
    pub(super) const fn pairs(&self) -> usize {
        self.before.len()
    }

    /// What was held back since the last time. What a pair counts while it is taken out stays in the counters of its kind.
    pub(super) fn read(&mut self) -> Result<Vec<(LimitKey, u64)>, MapError> {
        let mut now = Vec::new();
        for entry in self.map.iter() {
            let (PodKey(key), counts) = entry?;
            now.push((key, counts.iter().sum::<u64>()));
        }
        let before = |key: &LimitKey| {
            self.before.iter().find(|(known, _)| known == key).map_or(0, |(_, count)| *count)
        };
        let grown: Vec<_> =
            now.iter().map(|(key, count)| (*key, count.saturating_sub(before(key)))).collect();
        if now.len() >= MANY {
            for (key, _) in grown.iter().filter(|(_, count)| *count == 0) {
                self.map.remove(&PodKey(*key))?;
            }
            now.retain(|(key, _)| grown.iter().any(|(grown, count)| grown == key && *count > 0));
        }
        self.before = now;
        Ok(grown.into_iter().filter(|(_, count)| *count > 0).collect())
    }
}
