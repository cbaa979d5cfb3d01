//! Figures → the table on standard output.

use crate::{
    Bench,
    figure::{Figure, Summary},
    machine,
};

/// One figure on one line, for those who wait.
pub(crate) fn line(figure: &Figure) -> String {
    let Summary { min, median, max } = figure.summary();
    let [min, median, max] = [min, median, max].map(|value| figure.unit.show(value));
    let limit = figure.limit();
    let asked = if limit.is_empty() { limit } else { format!(" ({limit}: {})", figure.verdict()) };
    format!("{}, {}: {min} / {median} / {max}{asked}", figure.workload, figure.what)
}

/// The whole table, with what one has to know to read it.
pub(crate) fn print(figures: &[Figure], bench: &Bench) {
    let mut lines =
        vec![["workload", "figure", "Vedette must", "min", "median", "max", ""].map(str::to_owned)];
    let mut before = "";
    let mut notes: Vec<&str> = Vec::new();
    for figure in figures {
        let Summary { min, median, max } = figure.summary();
        let [min, median, max] = [min, median, max].map(|value| figure.unit.show(value));
        let workload = if figure.workload == before { String::new() } else { figure.workload.clone() };
        before = &figure.workload;
        let mut verdict = figure.verdict().to_owned();
        if let Some(note) = figure.note.as_deref() {
            let number = notes.iter().position(|known| *known == note).unwrap_or_else(|| {
                notes.push(note);
                notes.len() - 1
            });
            verdict = format!("{verdict} [{}]", number + 1).trim().to_owned();
        }
        lines.push([workload, figure.what.clone(), figure.limit(), min, median, max, verdict]);
    }
    let width =
        |column: usize| lines.iter().filter_map(|line| line.get(column)).map(String::len).max().unwrap_or(0);
    let widths: [usize; 7] = std::array::from_fn(width);
    println!();
    for (number, line) in lines.iter().enumerate() {
        let cells: Vec<String> =
            line.iter()
                .zip(widths)
                .enumerate()
                .map(|(column, (cell, width))| {
                    if (3..6).contains(&column) {
                        format!("{cell:>width$}")
                    } else {
                        format!("{cell:<width$}")
                    }
                })
                .collect();
        println!("{}", cells.join("  ").trim_end());
        if number == 0 {
            println!("{}", widths.map(|width| "-".repeat(width)).join("  "));
        }
    }
    println!();
    for (number, note) in notes.iter().enumerate() {
        println!("[{}] {note}", number + 1);
    }
    let others = Summary::of(&bench.others.borrow());
    println!(
        "Linux {}, {} CPUs. {} alternating pairs: each run with the sensor is compared with the mean of the runs \
         before and after it. Ratios are of wall time, verdicts of medians. Other processes used {:.0} % of the CPUs \
         in the middle run, {:.0} % in the worst.",
        rustix::system::uname().release().to_string_lossy(),
        machine::cpus(),
        bench.rounds,
        others.median * 100.0,
        others.max * 100.0,
    );
}
