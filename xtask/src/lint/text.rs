//! The rules of text that no compiler checks: sizes, opening comments, and no place of a developer's machine.
//!
//! It reads the files that git tracks or would track, as lines; it knows no language.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::child;
use crate::place::Place;

/// The longest source file, in lines: past it a file does more than one thing.
const RUST_LINES: usize = 400;

/// The same for the kernel half, where every line is read against the verifier.
const KERNEL_LINES: usize = 200;

/// The longest README, in lines: past it, it is a manual, and belongs elsewhere.
const README_LINES: usize = 250;

/// Files that may be longer, and why.
const LONGER: [(&str, &str); 0] = [];

/// The folders that every Linux machine has at the top. A checkout below any other one is in a place that
/// only its developer has.
const STANDARD: [&str; 18] = [
    "bin", "boot", "dev", "etc", "home", "lib", "lib64", "media", "mnt", "opt", "proc", "run", "sbin", "srv",
    "sys", "tmp", "usr", "var",
];

/// Folders of a developer's home that tools make and that end up in pasted output.
const HOME_FOLDERS: [&str; 3] = [".cargo", ".rustup", ".cache"];

/// Prints every finding and fails where there was one.
pub(super) fn check(place: &Place) -> Result<()> {
    let mut git = child::command("git", &place.top);
    git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let files = child::output(&mut git, "asking git for the files")?;
    let home = std::env::home_dir();
    let private = private_folders(&place.top, home.as_deref());
    let mut findings = 0;
    for name in files.split_terminator('\0').filter(|name| is_checked(name)) {
        let path = place.top.join(name);
        // A file that is deleted but not committed so is still on git's list.
        if !path.exists() {
            continue;
        }
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {name}"))?;
        for finding in look(name, &text, &private) {
            findings += 1;
            println!("{name}{finding}");
        }
    }
    ensure!(findings == 0, "{findings} found");
    Ok(())
}

/// Rules and fixtures are left out: paths of containers, such as root's home, are what they are about.
fn is_checked(name: &str) -> bool {
    let by_name = [".rs", ".md", ".toml", ".sh", ".service"].iter().any(|end| name.ends_with(end));
    (by_name || name.starts_with(".ci/")) && !name.starts_with("rules/") && !name.contains("/fixtures/")
}

/// What is wrong with one file; each finding begins with the place behind the file's name.
fn look(name: &str, text: &str, private: &[String]) -> Vec<String> {
    let mut findings = Vec::new();
    let lines = text.lines().count();
    if let Some(limit) = limit(name)
        && lines > limit
    {
        findings.push(format!(": {lines} lines, at most {limit}: split it, or justify it in lint/text.rs"));
    }
    if name.ends_with(".rs") && !text.starts_with("//!") {
        findings.push(":1: the file does not open with `//!`".to_owned());
    }
    for (index, line) in text.lines().enumerate() {
        for folder in private.iter().filter(|folder| names_folder(line, folder)) {
            findings.push(format!(":{}: names {folder}, a place of this machine", index + 1));
        }
    }
    findings
}

fn limit(name: &str) -> Option<usize> {
    if LONGER.iter().any(|(file, _)| *file == name) {
        None
    } else if name == "README.md" {
        Some(README_LINES)
    } else if name.ends_with(".rs") {
        Some(if name.starts_with("sensor-ebpf/") { KERNEL_LINES } else { RUST_LINES })
    } else {
        None
    }
}

/// The folders, with a slash at the end, that no line may name: those of this checkout and of this home.
fn private_folders(top: &Path, home: Option<&Path>) -> Vec<String> {
    let mut folders = Vec::new();
    let first = top.iter().nth(1).unwrap_or_default().to_string_lossy();
    let below_home = home.is_some_and(|home| top.starts_with(home));
    if STANDARD.contains(&&*first) || below_home {
        folders.push(format!("{}/", top.display()));
    } else {
        folders.push(format!("/{first}/"));
    }
    let home = home.filter(|home| home.is_absolute());
    folders.extend(
        home.into_iter().flat_map(|home| HOME_FOLDERS.map(|name| format!("{}/", home.join(name).display()))),
    );
    folders
}

/// Whether the line has the folder as the beginning of a path, and not in the middle of another one.
fn names_folder(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line.get(..at).and_then(|before| before.chars().next_back());
        !before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '}' | '*'))
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{KERNEL_LINES, look, names_folder, private_folders};

    #[test]
    fn private_folders_are_the_checkout_and_the_tools_of_the_home() {
        let home = Some(Path::new("/home/ada"));
        let folders = private_folders(Path::new("/home/ada/src/vedette"), home);
        assert!(folders.contains(&"/home/ada/src/vedette/".to_owned()), "{folders:?}");
        assert!(folders.contains(&"/home/ada/.cargo/".to_owned()), "{folders:?}");
        // A checkout at a place of its own makes everything below that place private.
        let folders = private_folders(Path::new("/projects/vedette"), home);
        assert!(folders.contains(&"/projects/".to_owned()), "{folders:?}");
    }

    #[test]
    fn a_folder_counts_only_at_the_start_of_a_path() {
        assert!(names_folder("see `/projects/vedette/x`", "/projects/"));
        assert!(names_folder("/projects/x", "/projects/"));
        assert!(!names_folder("docs/projects/x and ../projects/x", "/projects/"));
    }

    #[test]
    fn sizes_and_opening_comments_are_found() {
        let long = format!("//! Doc.\n{}", "\n".repeat(KERNEL_LINES));
        assert_eq!(look("sensor-ebpf/src/file.rs", &long, &[]).len(), 1);
        assert_eq!(look("sensor/src/file.rs", &long, &[]).len(), 0);
        assert_eq!(look("sensor/src/file.rs", "fn main() {}\n", &[]).len(), 1);
    }
}
