//! The `vedette` command.

fn main() {
    let (probe, mut ring) = sensor::probe::load(&Default::default()).map_err(|e| eprintln!("{e}")).unwrap();
    println!("{:#?}", probe.report());
    for _ in 0..20 {
        ring.wait(std::time::Duration::from_millis(100)).unwrap();
        let mut n = 0;
        ring.drain(100000, |r| {
            n += 1;
            if n < 4 {
                println!("{} {:?}", r.len(), bstr::BStr::new(&r[..r.len().min(400)]))
            }
        });
    }
    println!("{:?}", probe.counts());
}
