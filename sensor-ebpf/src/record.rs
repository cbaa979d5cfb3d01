//! The only place that writes to the ring: records are put together in per-CPU scratch memory, counted, and sent.

use aya_ebpf::{
    bindings::{BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP},
    helpers::generated::{
        bpf_get_smp_processor_id, bpf_ktime_get_boot_ns, bpf_probe_read_kernel, bpf_probe_read_kernel_str,
        bpf_probe_read_user, bpf_probe_read_user_str, bpf_ringbuf_output, bpf_ringbuf_query,
    },
    macros::map,
    maps::{Array, PerCpuArray, RingBuf},
};
use sensor_common::{Counters, Header, KINDS, Kind, RingState, Settings, Text, text, valid};

use crate::kernel::{Ptr, Task, knob, offset, read_user};

/// Texts may begin anywhere in the first 16 KiB of the scratch memory; the longest one (8 KiB) still fits behind that.
const CURSOR_MASK: u32 = 0x3fff;
const SCRATCH_SIZE: usize = 0x4000 + 0x2000;
/// Strings of an array that are copied at most, bytes of each, and bytes of all (a power of two above their product).
const LIST_LEN: u32 = 16;
const LIST_STRING: u32 = 512;
const LIST_MAX: u32 = 0x2000;
/// Programs that can interrupt each other on one CPU: task, softirq, hardirq, NMI.
const SLOTS: u32 = 4;

#[map]
static EVENTS: RingBuf = RingBuf::with_byte_size(8 << 20, 0);
#[map]
static COUNTERS: PerCpuArray<Counters> = PerCpuArray::with_max_entries(KINDS, 0);
#[map]
static RING_STATE: PerCpuArray<RingState> = PerCpuArray::with_max_entries(1, 0);
#[map]
static SCRATCH: PerCpuArray<[u64; SCRATCH_SIZE / 8]> = PerCpuArray::with_max_entries(SLOTS, 0);
#[map]
static SETTINGS: Array<Settings> = Array::with_max_entries(1, 0);

/// Whether the daemon asked for one of the `WANT_*` extras.
#[inline(always)]
pub(crate) fn wanted(what: u64) -> bool {
    SETTINGS.get(0).is_some_and(|settings| settings.want & what != 0)
}

/// A record under construction.
pub(crate) struct Record {
    base: *mut u8,
    cursor: u32,
    slot: u32,
}

/// Puts a record together with `fill` and sends it. Each outcome is counted once: what `fill` gives up on as failed.
///
/// File and network events of the daemon itself are nobody's business and count as filtered.
#[inline(always)]
pub(crate) fn emit<B: Copy>(kind: Kind, task: Task, fill: impl FnOnce(&mut Record) -> Option<()>) {
    let Some(counters) = COUNTERS.get_ptr_mut(u32::from(kind.number())) else { return };
    let Some(state) = RING_STATE.get_ptr_mut(0) else { return };
    // SAFETY: both are this CPU's own map values, and programs of one kind do not interrupt each other.
    let (counters, state) = unsafe { (&mut *counters, &mut *state) };
    counters.seen += 1;
    if !kind.is_lifecycle() && task.tgid() == Some(knob!(self_tgid)) {
        counters.filtered += 1;
        return;
    }
    let slot = state.nest;
    if slot >= SLOTS {
        counters.failed += 1;
        return;
    }
    state.nest = slot + 1;
    let sent = build::<B>(kind, task, slot, fill).map(|record| record.send(kind, state));
    match sent {
        Some(true) => counters.submitted += 1,
        Some(false) => counters.ring_full += 1,
        None => counters.failed += 1,
    }
    state.nest = slot;
}

/// Counts something that a program saw and nobody wants.
#[inline(always)]
pub(crate) fn filtered(kind: Kind) {
    if let Some(counters) = COUNTERS.get_ptr_mut(u32::from(kind.number())) {
        // SAFETY: this CPU's own map value.
        let counters = unsafe { &mut *counters };
        counters.seen += 1;
        counters.filtered += 1;
    }
}

#[inline(always)]
fn build<B: Copy>(
    kind: Kind,
    task: Task,
    slot: u32,
    fill: impl FnOnce(&mut Record) -> Option<()>,
) -> Option<Record> {
    let base = SCRATCH.get_ptr_mut(slot)?.cast::<u8>();
    let mut record = Record { base, cursor: (size_of::<Header>() + size_of::<B>()) as u32, slot };
    record.write_header(kind, task)?;
    // SAFETY: the body lies behind the header in the scratch memory. Word by word, because a loop over bytes would run in
    // the verifier too.
    unsafe {
        let body = base.add(size_of::<Header>()).cast::<u64>();
        for word in 0..size_of::<B>() / 8 {
            body.add(word).write_volatile(0);
        }
    }
    fill(&mut record)?;
    Some(record)
}

impl Record {
    /// The scratch slot, which other per-CPU buffers share.
    #[inline(always)]
    pub(crate) fn slot(&self) -> u32 {
        self.slot
    }

    #[inline(always)]
    pub(crate) fn header(&mut self) -> &mut Header {
        // SAFETY: the scratch memory is aligned, larger than this, and this record's own.
        unsafe { &mut *self.base.cast::<Header>() }
    }

    /// The body. `B` is the one that [`emit`] was called with.
    #[inline(always)]
    pub(crate) fn body<B: Copy>(&mut self) -> &mut B {
        // SAFETY: the scratch memory is aligned, larger than this, and this record's own.
        unsafe { &mut *self.base.add(size_of::<Header>()).cast::<B>() }
    }

    #[inline(always)]
    fn write_header(&mut self, kind: Kind, task: Task) -> Option<()> {
        // SAFETY: no arguments.
        let (ts, cpu) = unsafe { (bpf_ktime_get_boot_ns(), bpf_get_smp_processor_id()) };
        let cred = task.field(offset!(task_cred))?;
        let loginuid: Option<u32> = task.field_value(offset!(task_loginuid));
        let mnt_ns = task.namespace(offset!(nsproxy_mnt), offset!(mnt_ns_inum));
        let cgroup = task.cgroup();
        let caps: Option<u64> = cred.load(offset!(cred_cap_effective));
        let comm: [u64; 2] =
            [task.field_value(offset!(task_comm))?, task.field_value(offset!(task_comm) + 8)?];
        let bits = bit(loginuid.is_some(), valid::LOGINUID)
            | bit(mnt_ns.is_some(), valid::MNT_NS)
            | bit(cgroup.is_some(), valid::CGROUP)
            | bit(caps.is_some(), valid::CAPS);
        let header = self.header();
        header.kind = kind.number();
        header.flags = 0;
        header.ts = ts;
        header.cgroup = cgroup.unwrap_or(0);
        header.start = task.start()?;
        header.cap_effective = caps.unwrap_or(0);
        header.result = 0;
        header.cpu = cpu as u16;
        header.syscall = Header::NO_SYSCALL;
        header.tgid = task.tgid()?;
        header.tid = task.tid()?;
        header.ppid = task.parent()?.tgid()?;
        header.valid = bits;
        header.uid = cred.load(offset!(cred_uid))?;
        header.euid = cred.load(offset!(cred_euid))?;
        header.gid = cred.load(offset!(cred_gid))?;
        header.egid = cred.load(offset!(cred_egid))?;
        header.loginuid = loginuid.unwrap_or(0);
        header.mnt_ns = mnt_ns.unwrap_or(0);
        // SAFETY: the name lies 8-aligned in the scratch memory; two words instead of a loop over bytes.
        unsafe {
            let to = (&raw mut header.comm).cast::<u64>();
            to.write(comm[0]);
            to.add(1).write(comm[1]);
        }
        Some(())
    }

    /// Appends `len` bytes of kernel (or map) memory, at most `max`.
    #[inline(always)]
    pub(crate) fn append_kernel(&mut self, from: Ptr, len: u32, max: u32, flags: u16) -> Text {
        self.append(len, max, flags, |to, len| {
            // SAFETY: `append` keeps the destination inside the scratch memory; the helper checks the source.
            unsafe { bpf_probe_read_kernel(to.cast(), len, from.0.cast()) }
        })
    }

    /// Appends `len` bytes of the current task's memory, at most `max`.
    #[inline(always)]
    pub(crate) fn append_user(&mut self, from: u64, len: u32, max: u32, flags: u16) -> Text {
        self.append(len, max, flags, |to, len| {
            // SAFETY: as above.
            unsafe { bpf_probe_read_user(to.cast(), len, from as *const _) }
        })
    }

    #[inline(always)]
    fn append(&mut self, len: u32, max: u32, flags: u16, read: impl FnOnce(*mut u8, u32) -> i64) -> Text {
        let (len, cut) = if len > max { (max, text::TRUNCATED) } else { (len, 0) };
        let at = self.cursor & CURSOR_MASK;
        // SAFETY: the cursor is masked to the part of the scratch memory that has `max` bytes behind it.
        if read(unsafe { self.base.add(at as usize) }, len) != 0 {
            return Text { len: 0, flags: flags | text::FAULT };
        }
        self.cursor = at + ((len + 7) & !7);
        Text { len: len as u16, flags: flags | cut }
    }

    /// Appends a NUL-terminated string of the current task's memory (without the NUL), at most `max - 1` bytes.
    #[inline(always)]
    pub(crate) fn append_user_str(&mut self, from: u64, max: u32) -> Text {
        let at = self.cursor & CURSOR_MASK;
        // SAFETY: the cursor is masked to the part of the scratch memory that has `max` bytes behind it.
        let len =
            unsafe { bpf_probe_read_user_str(self.base.add(at as usize).cast(), max, from as *const _) };
        self.took_str(at, len, max, text::UNTRUSTED)
    }

    #[inline(always)]
    fn took_str(&mut self, at: u32, len: i64, max: u32, flags: u16) -> Text {
        if len <= 0 {
            return Text { len: 0, flags: flags | text::FAULT };
        }
        let len = (len as u32 - 1) & (CURSOR_MASK >> 1);
        self.cursor = at + ((len + 7) & !7);
        Text { len: len as u16, flags: flags | if len + 1 == max { text::TRUNCATED } else { 0 } }
    }

    /// Appends a NUL-terminated string of kernel memory (without the NUL), at most `max - 1` bytes.
    #[inline(always)]
    pub(crate) fn append_kernel_str(&mut self, from: Ptr, max: u32) -> Text {
        let at = self.cursor & CURSOR_MASK;
        // SAFETY: as above.
        let len = unsafe { bpf_probe_read_kernel_str(self.base.add(at as usize).cast(), max, from.0.cast()) };
        self.took_str(at, len, max, 0)
    }

    /// Appends the strings of an argument array in the current task's memory, a NUL behind each.
    #[inline(always)]
    pub(crate) fn append_user_list(&mut self, array: u64, compat: bool) -> Text {
        let at = self.cursor & CURSOR_MASK;
        let (mut len, mut flags) = (0_u32, text::UNTRUSTED);
        for index in 0..LIST_LEN {
            let entry = if compat {
                read_user::<u32>(array + u64::from(index) * 4).map(u64::from)
            } else {
                read_user::<u64>(array + u64::from(index) * 8)
            };
            let Some(entry) = entry.filter(|entry| *entry != 0) else { break };
            let to = at + (len & (LIST_MAX - 1));
            // SAFETY: the list stays below LIST_MAX, for which there is room behind any cursor.
            let took = unsafe {
                bpf_probe_read_user_str(self.base.add(to as usize).cast(), LIST_STRING, entry as *const _)
            };
            if took <= 0 {
                flags |= text::FAULT;
                break;
            }
            len = (len + (took as u32 & (LIST_STRING * 2 - 1))) & (LIST_MAX - 1);
            if index + 1 == LIST_LEN || took as u32 == LIST_STRING {
                flags |= text::TRUNCATED;
            }
        }
        self.cursor = at + ((len + 7) & !7);
        Text { len: len as u16, flags }
    }

    /// False where the ring has no room for it.
    #[inline(always)]
    fn send(mut self, kind: Kind, state: &mut RingState) -> bool {
        let ring = (&raw const EVENTS).cast_mut().cast();
        let len = self.cursor & (CURSOR_MASK << 1 | 1);
        let header = self.header();
        header.len = len;
        header.seq = state.seq;
        state.seq = state.seq.wrapping_add(1);
        // SAFETY: a map and a flag.
        if !kind.is_lifecycle()
            && unsafe { bpf_ringbuf_query(ring, u64::from(BPF_RB_AVAIL_DATA)) }
                > u64::from(knob!(ring_headroom))
        {
            return false;
        }
        // A wakeup costs 5 µs here, so only the first record after a quiet spell pays for one: the daemon then looks by
        // itself for as long as records keep coming.
        let quiet = header.ts.wrapping_sub(state.last_ts) > u64::from(knob!(wake_after));
        state.last_ts = header.ts;
        let flags = if quiet { BPF_RB_FORCE_WAKEUP } else { BPF_RB_NO_WAKEUP };
        // SAFETY: the length is masked to the size of the scratch memory.
        unsafe { bpf_ringbuf_output(ring, self.base.cast(), u64::from(len), u64::from(flags)) == 0 }
    }
}

#[inline(always)]
const fn bit(set: bool, bit: u32) -> u32 {
    if set { bit } else { 0 }
}
