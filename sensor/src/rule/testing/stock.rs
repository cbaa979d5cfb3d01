//! A set of the size and in the manner of the rule files that operators have: about a hundred rules, 350 macros and 160
//! lists in three files, for tests and benches. It detects nothing, and no line of it is anybody else's.

use std::fmt::Write;

use crate::rule::Source;

/// Products that nobody has; each brings lists, macros and a rule or two.
const PRODUCTS: &[&str] = &[
    "amber", "birch", "cobalt", "dune", "ember", "fjord", "garnet", "harbor", "indigo", "juniper", "kestrel",
    "lagoon", "marble", "nectar", "onyx", "pebble", "quartz", "raven", "saffron", "thistle", "umber",
    "velvet", "willow", "xenon", "yarrow", "zephyr", "alder", "basalt", "cedar", "delta", "elm", "flint",
    "glacier", "hazel", "iris", "jasper", "krill",
];

/// The set, in load order.
#[must_use]
pub fn stock_size() -> Vec<Source> {
    stock_sizes(1)
}

/// The same with so many times the products, each with names and values of its own.
#[must_use]
pub fn stock_sizes(times: usize) -> Vec<Source> {
    vec![
        Source { name: "base.yaml".to_owned(), text: include_str!("stock/base.yaml").to_owned() },
        Source { name: "products.yaml".to_owned(), text: products(times) },
        Source { name: "site.yaml".to_owned(), text: include_str!("stock/site.yaml").to_owned() },
    ]
}

fn products(times: usize) -> String {
    let mut yaml = String::new();
    let mut before = "shells".to_owned();
    let names = (0..times).flat_map(|time| {
        PRODUCTS.iter().map(move |name| if time == 0 { (*name).to_owned() } else { format!("{name}{time}") })
    });
    for (number, name) in names.enumerate() {
        // Writing to a string cannot fail.
        let _ = product(&mut yaml, &name, &before, number);
        before = name;
    }
    yaml
}

fn product(yaml: &mut String, name: &str, before: &str, number: usize) -> std::fmt::Result {
    lists(yaml, name, before, number)?;
    macros(yaml, name, number)?;
    writeln!(
        yaml,
        "- rule: Files of {name} are changed by another program
  desc: >
    The configuration of {name} is written by what is neither {name} itself nor what installs it.
  condition: >
    {name}_writes and not {name}_process and not {name}_below
    and not {name}_known_writers and not proc.cmdline contains \"{name}ctl migrate\"
    and not (proc.name = \"{name}-setup\" and fd.name endswith \".{name}rc\")
  output: >
    A file of {name} was written | file=%fd.name evt_type=%evt.type user=%user.name process=%proc.name
    exepath=%proc.exepath parent=%proc.pname command=%proc.cmdline terminal=%proc.tty %container.info
  priority: {priority}
  tags: [maturity_incubating, host, container, filesystem, {name}, T{tag}]
  exceptions:
    - name: known_{name}
      fields: [proc.name, fd.directory]
      comps: [in, =]
      values: [[[{name}d, {name}ctl], /etc/{name}], [[{name}_helpers], /var/lib/{name}]]",
        priority = ["NOTICE", "WARNING", "ERROR", "INFORMATIONAL"].get(number % 4).unwrap_or(&"NOTICE"),
        tag = 1000 + number,
    )?;
    writeln!(
            yaml,
            "- rule: Something unusual below {name}
  desc: A program that {name} started does what {name} never does.
  condition: >
    ((new_image and {name}_below and not {name}_process and not {name}_jobs and proc.exepath startswith /opt/{name}/)
    or (going_out and {name}_process and not {name}_image and fd.sport in ({port}, {other})))
    and not {name}_known_children
  output: Below {name} | process=%proc.name parent=%proc.pname gparent=%proc.aname[2] connection=%fd.name image=%container.image.repository
  priority: NOTICE
  tags: [process, network, {name}]",
            port = 2000 + number,
            other = 3000 + number,
        )
}

fn lists(yaml: &mut String, name: &str, before: &str, number: usize) -> std::fmt::Result {
    let nested = if before == "shells" { "shells".to_owned() } else { format!("{before}_programs") };
    writeln!(
        yaml,
        "- list: {name}_programs
  items: [{name}d, {name}ctl, {name}-agent, {name}_worker, '\"{name} helper\"', {name}-job{number}]
- list: {name}_helpers
  items: [{name}-fetch, {name}-sync, {nested}]
- list: {name}_directories
  items: [/opt/{name}, /var/lib/{name}, /etc/{name}, /usr/share/{name}]
- list: {name}_images
  items: [registry.example/{name}/server, registry.example/{name}/worker, docker.io/{name}/{name}]"
    )
}

fn macros(yaml: &mut String, name: &str, number: usize) -> std::fmt::Result {
    writeln!(
        yaml,
        "- macro: {name}_process
  condition: (proc.name in ({name}_programs) or proc.exepath pmatch (/opt/{name}/bin, /usr/lib/{name}))
- macro: {name}_below
  condition: (proc.pname in ({name}_programs, {name}_helpers) or proc.aname[2] in ({name}_programs) or proc.aname = {name}d)
- macro: {name}_writes
  condition: (for_writing and (fd.name pmatch ({name}_directories) or fd.name startswith /etc/{name}.d/ or fd.name endswith .{name}rc))
- macro: {name}_image
  condition: (inside and (container.image.repository in ({name}_images) or container.image.repository endswith /{name}))
- macro: {name}_jobs
  condition: >
    ((proc.cmdline startswith \"{name}ctl job\" or proc.cmdline contains \" --{name}-id \" or proc.pcmdline contains {name}-job{number})
     and not proc.cmdline icontains \"--Force-{name}\" and (user.name = {name} or user.uid in ({uid}, {other})))
- macro: {name}_paths
  condition: (fd.name startswith /run/{name}/ or fd.directory = /var/spool/{name} or fd.filename = {name}.sock)
- macro: {name}_network
  condition: ({name}_process and fd.snet in (\"10.{net}.{high}.0/24\", \"10.{second}.{high}.0/24\") and fd.sport > {port})
- macro: {name}_known_writers
  condition: (never or {name}_jobs or {name}_image)
- macro: {name}_known_children
  condition: ({name}_network or {name}_paths or (never))",
        uid = 1000 + number,
        other = 5000 + number,
        net = number % 100,
        second = 100 + number % 100,
        high = number / 100,
        port = 1024 + number,
    )
}

#[cfg(test)]
mod tests;
