//! Nothing is allocated on an event that matches nothing, whatever the rules compare: counted by the allocator itself.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    sync::Arc,
};

use sensor::rule::{Engine, Options, RuleSet, Source, builtin, testing};

struct Counting;

thread_local! {
    static ALLOCATED: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: everything is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.set(ALLOCATED.get() + 1);
        // SAFETY: the caller keeps the allocator's contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// One rule for each way to compare, none of which the events below match.
const RULES: &str = r#"
- {rule: transformers, desc: d, output: o, priority: INFO, condition: 'evt.type = execve and (toupper(proc.name) = bash
   or basename(proc.exepath) = x or len(proc.args) > 100000 or b64(proc.args) contains x or concat(proc.name, proc.args) = x
   or join("-", (proc.name, proc.exepath)) = x or getopt(proc.cmdline, "c:")[c] = x or tolower(proc.name)[1] exists)'}
- {rule: values, desc: d, output: o, priority: INFO, condition: 'evt.type != loss and (proc.name = val(proc.pname)
   or evt.rawtime < val(proc.pid) or evt.time = val(fd.name) or thread.cap_effective = val(proc.name))'}
- {rule: patterns, desc: d, output: o, priority: INFO, condition: 'proc.cmdline regex ".*x{3,5}y" or proc.name glob "?*q"
   or fd.name iglob "/X*" or evt.arg.flags glob "*O_EXCL*" or thread.cap_effective endswith CAP_X or evt.time startswith 99
   or fd.name bcontains cafe or proc.exe icontains ZZ'}
- {rule: lists, desc: d, output: o, priority: INFO, condition: 'fd.snet in (1.0.0.0/8, "2001:db8::/32") or fd.sport in (1, 2)
   or proc.aname in (zz, yy) or evt.arg.flags in (O_EXCL, O_PATH) or fd.name pmatch (/nope, /never) or proc.aname[3] = zz'}
"#;

const EVENTS: &str = "
- {evt.type: execve, proc.cmdline: bash -c ls, proc.exepath: /usr/bin/bash, 'proc.aname[1]': make, 'proc.aname[2]': sshd,
   thread.cap_effective: CAP_CHOWN CAP_SYS_ADMIN, container.id: 0a1b2c3d4e5f}
- {evt.type: execve, proc.cmdline: git log, evt.res: ENOENT}
- {evt.type: openat, proc.name: cc1, fd.name: /tmp/ccX8a1.s, evt.arg.flags: O_WRONLY|O_CREAT|O_TRUNC, 'proc.aname[1]': gcc}
- {evt.type: open, proc.name: ls, fd.name: /etc/ld.so.cache}
- {evt.type: connect, proc.name: api, fd.name: '10.0.3.7:41022->10.0.9.2:5432'}
- {evt.type: clone, proc.name: bash}
- {evt.type: procexit, proc.name: git}
";

#[test]
fn an_event_that_matches_nothing_allocates_nothing() {
    let own = Source { name: "own".to_owned(), text: RULES.to_owned() };
    let sources: Vec<_> = builtin::sources().into_iter().chain([own]).collect();
    let (set, found) = RuleSet::compile(&sources, &Options::default());
    let set =
        set.unwrap_or_else(|| panic!("{:?}", found.iter().map(ToString::to_string).collect::<Vec<_>>()));
    let events = testing::events("events", EVENTS).unwrap();
    let mut engine = Engine::new(Arc::new(set));
    let mut matches = Vec::new();
    // Buffers grow to what the events need, once.
    for event in &events {
        engine.evaluate(event, &mut matches);
        let names: Vec<_> = matches.iter().map(|found| found.rule.name.as_str()).collect();
        assert!(matches.is_empty(), "{names:?} on {event:?}");
    }
    for event in &events {
        let before = ALLOCATED.get();
        for _ in 0..100 {
            engine.evaluate(event, &mut matches);
        }
        assert_eq!(ALLOCATED.get() - before, 0, "{event:?}");
    }
}
