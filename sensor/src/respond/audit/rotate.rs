//! A log that is long enough gives its name to the next: `audit.log` becomes `audit.log.1`, that one `audit.log.2`, and so on, up
//! to as many as are kept. It knows names, not what stands in them; the chain goes on from file to file.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// When a log is long enough, and how many before it are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// Bytes; 0: never.
    pub bytes: u64,
    /// Files beside the one that is written.
    pub files: usize,
}

impl Rotation {
    /// One file for ever.
    pub const NEVER: Self = Self { bytes: 0, files: 1 };
}

/// The name of the file that was the log so many files ago.
fn before(path: &Path, number: usize) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

/// The file that was the log before this one, where it is there.
pub(super) fn last(path: &Path) -> Option<PathBuf> {
    Some(before(path, 1)).filter(|path| path.exists())
}

/// All files of a log that are there, the oldest first.
#[must_use]
pub fn files(path: &Path) -> Vec<PathBuf> {
    let older = (1..).map(|number| before(path, number)).take_while(|path| path.exists());
    let mut files: Vec<_> = std::iter::once(path.to_owned()).chain(older).collect();
    files.reverse();
    files
}

/// Moves every file on by one; the oldest that is too many goes.
pub(super) fn move_on(path: &Path, rotation: Rotation) -> io::Result<()> {
    let older = files(path).len() - 1;
    for number in (1..=older).rev() {
        let file = before(path, number);
        if number >= rotation.files {
            fs::remove_file(file)?;
        } else {
            fs::rename(file, before(path, number + 1))?;
        }
    }
    fs::rename(path, before(path, 1))
}
