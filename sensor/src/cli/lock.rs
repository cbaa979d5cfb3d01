//! The lock file: one daemon on a machine, and who it is. It knows nothing of what the daemon does.

use std::{
    fs::{DirBuilder, File},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
    thread,
    time::Duration,
};

use anyhow::Context;
use rustix::fs::{FlockOperation, flock};
use thiserror::Error;

/// Another sensor is at work.
#[derive(Debug, Error)]
#[error(
    "another vedette is running here (pid {0}): stop it first, or give this one a lock of its own with --set lock=FILE"
)]
pub(super) struct Busy(String);

/// How often the lock is asked for, and how long after each refusal it is asked for again: `vedette doctor` may just look
/// who holds it, which takes microseconds.
const TRIES: u32 = 5;
const AGAIN: Duration = Duration::from_millis(20);

/// Makes the directory of a file, where only that is missing.
///
/// # Errors
/// Where it cannot be made.
pub(super) fn make_directory(file: &Path) -> anyhow::Result<()> {
    let Some(dir) = file.parent().filter(|dir| !dir.as_os_str().is_empty()) else { return Ok(()) };
    match DirBuilder::new().mode(0o755).create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(error).with_context(|| format!("cannot make the directory {}", dir.display()))
        }
        _ => Ok(()),
    }
}

/// Holds the lock file for as long as the value lives. Only its owner can open it: whoever could might hold it and keep
/// the sensor from starting.
///
/// # Errors
/// [`Busy`] where another process holds it.
pub(super) fn hold(path: &Path) -> anyhow::Result<File> {
    let open = || File::options().read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
    let mut file = match open() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make_directory(path).and_then(|()| Ok(open()?))
        }
        opened => Ok(opened?),
    }
    .with_context(|| format!("cannot open the lock {}", path.display()))?;
    for attempt in 1.. {
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
            break;
        }
        if attempt == TRIES {
            let mut holder = String::new();
            file.read_to_string(&mut holder)?;
            return Err(Busy(holder.trim().to_owned()).into());
        }
        thread::sleep(AGAIN);
    }
    file.set_len(0)?;
    writeln!(file, "{}", std::process::id())?;
    Ok(file)
}

/// The process id of who holds the lock; `None`: nobody.
///
/// # Errors
/// Where that cannot be found out.
pub(super) fn holder(path: &Path) -> io::Result<Option<String>> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    if flock(&file, FlockOperation::NonBlockingLockShared).is_ok() {
        return Ok(None);
    }
    let mut holder = String::new();
    file.read_to_string(&mut holder)?;
    Ok(Some(holder.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    #[test]
    fn the_directory_is_made_and_the_holder_is_known() {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("vedette/lock");
        assert_eq!(holder(&path).unwrap(), None);
        let held = hold(&path).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path) & 0o077, mode(path.parent().unwrap()) & 0o022), (0, 0));
        assert_eq!(holder(&path).unwrap(), Some(std::process::id().to_string()));
        assert!(hold(&path).unwrap_err().is::<Busy>());
        drop(held);
        assert_eq!(holder(&path).unwrap(), None);
        let error = hold(&top.path().join("a/b/lock")).unwrap_err();
        assert!(format!("{error:#}").contains("cannot make the directory"), "{error:#}");
    }
}
