//! Paths → [`Source`]s: reads rule files as they are now. It knows nothing of what they say, nor who asked for them.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use thiserror::Error;

use super::{Diagnostic, Options, RuleSet, Source, builtin};

/// Why there are no sources.
#[derive(Debug, Error)]
#[error("cannot read {path}: {error}")]
pub struct FilesError {
    /// Which file or directory.
    path: PathBuf,
    /// The system's words.
    #[source]
    error: io::Error,
}

/// Where rules come from, in load order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files {
    places: Vec<Place>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    /// The built-in set.
    Builtin,
    /// A file or directory; it may be missing.
    Optional(PathBuf),
    /// A file or directory that has to be there.
    Required(PathBuf),
    /// What a pipe said, which can be read only once, or we ourselves.
    Said(Source),
}

/// What a set of rules is compiled from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// In load order.
    pub sources: Vec<Source>,
    /// How they are loaded.
    pub options: Options,
}

impl Content {
    /// See [`RuleSet::compile`].
    #[must_use]
    pub fn compile(&self) -> (Option<RuleSet>, Vec<Diagnostic>) {
        RuleSet::compile(&self.sources, &self.options)
    }
}

impl Files {
    /// Appends the built-in rules.
    pub fn builtin(&mut self) {
        self.places.push(Place::Builtin);
    }

    /// Appends what somebody says in place of a file.
    pub fn said(&mut self, source: Source) {
        self.places.push(Place::Said(source));
    }

    /// Appends a file, or a directory of which every `.yaml` and `.yml` file is read by name. It may be missing.
    pub fn optional(&mut self, path: &Path) {
        self.places.push(Place::Optional(path.to_owned()));
    }

    /// The same, where a missing one is an error. A pipe (`<(…)` of a shell) is read here, once and for all.
    ///
    /// # Errors
    /// A pipe that cannot be read.
    pub fn required(&mut self, path: &Path) -> Result<(), FilesError> {
        let pipe = fs::metadata(path).is_ok_and(|meta| !meta.is_dir() && !meta.is_file());
        self.places.push(if pipe { Place::Said(source(path)?) } else { Place::Required(path.to_owned()) });
        Ok(())
    }

    /// The same places and behind them those of `more`.
    #[must_use]
    pub fn and(mut self, more: &Self) -> Self {
        self.places.extend_from_slice(&more.places);
        self
    }

    /// Files and directories that may change.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.places.iter().filter_map(|place| match place {
            Place::Optional(path) | Place::Required(path) => Some(path.as_path()),
            Place::Builtin | Place::Said(_) => None,
        })
    }

    /// Reads everything.
    ///
    /// # Errors
    /// The first file that cannot be read or is no text.
    pub fn read(&self) -> Result<Vec<Source>, FilesError> {
        let mut sources = Vec::new();
        for place in &self.places {
            match place {
                Place::Builtin => sources.extend(builtin::sources()),
                Place::Said(source) => sources.push(source.clone()),
                Place::Required(path) => read(path, &mut sources)?,
                Place::Optional(path) => match fs::metadata(path) {
                    // A link that leads nowhere is not a missing file: somebody wanted its rules.
                    Err(error) if error.kind() == io::ErrorKind::NotFound && !path.is_symlink() => {}
                    _ => read(path, &mut sources)?,
                },
            }
        }
        Ok(sources)
    }

    /// Reads everything until two readings agree: a directory whose files are replaced all at once (the `..data` link of
    /// a mounted `ConfigMap`) is then seen before or after, and not half of each.
    ///
    /// # Errors
    /// As [`Files::read`], when two readings fail alike.
    pub fn read_settled(&self) -> Result<Vec<Source>, FilesError> {
        let mut last = self.read();
        for _ in 0..MOST_READINGS {
            let next = self.read();
            let agree = match (&last, &next) {
                (Ok(last), Ok(next)) => last == next,
                (Err(last), Err(next)) => last.to_string() == next.to_string(),
                _ => false,
            };
            last = next;
            if agree {
                break;
            }
        }
        last
    }
}

/// Readings after which files that never stand still are taken as they are; what changes them wakes the reader again.
const MOST_READINGS: usize = 10;

fn read(path: &Path, sources: &mut Vec<Source>) -> Result<(), FilesError> {
    let failed = |error| FilesError { path: path.to_owned(), error };
    let meta = fs::metadata(path).map_err(failed)?;
    if !meta.is_dir() {
        if !meta.is_file() {
            return Err(failed(io::Error::other("neither a file nor a directory")));
        }
        sources.push(source(path)?);
        return Ok(());
    }
    for file in listed(path).map_err(failed)? {
        match source(&file) {
            // Removed since the directory was read. A link that leads nowhere is still there.
            Err(error) if error.error.kind() == io::ErrorKind::NotFound && !file.is_symlink() => {}
            Err(error) => return Err(error),
            Ok(source) => sources.push(source),
        }
    }
    Ok(())
}

/// The files of a directory that hold rules, by name. Hidden ones do not: a mounted `ConfigMap` keeps its versions in such
/// directories, and editors keep locks and backups beside a file under such names.
///
/// # Errors
/// Where the directory cannot be read.
pub fn listed(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let file = entry.path();
        let yaml = file.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
        // What cannot be looked at (a loop of links, say) is not left out here, so that reading it says why.
        if yaml && fs::metadata(&file).map_or(true, |meta| meta.is_file()) {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

/// One file.
///
/// # Errors
/// Where it cannot be read or is no text.
pub fn source(path: &Path) -> Result<Source, FilesError> {
    let text = fs::read_to_string(path).map_err(|error| FilesError { path: path.to_owned(), error })?;
    Ok(Source { name: path.display().to_string(), text })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn names(files: &Files) -> Vec<String> {
        files.read_settled().unwrap().into_iter().map(|source| source.name).collect()
    }

    #[test]
    fn directories_are_read_by_name_and_what_may_be_missing_may() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let mut files = Files::default();
        files.optional(&at("rules.d"));
        assert_eq!(names(&files), [""; 0]);
        fs::create_dir_all(at("rules.d/..data")).unwrap();
        for name in ["rules.d/b.yml", "rules.d/a.yaml", "rules.d/c.txt", "rules.d/..data/d.yaml"] {
            fs::write(at(name), "[]").unwrap();
        }
        symlink("..data/d.yaml", at("rules.d/d.yaml")).unwrap();
        // An editor's lock.
        symlink("somebody@host.123", at("rules.d/.#a.yaml")).unwrap();
        let expected = ["a.yaml", "b.yml", "d.yaml"].map(|name| at("rules.d").join(name));
        assert_eq!(names(&files), expected.map(|path| path.display().to_string()));
        let mut required = Files::default();
        required.required(&at("none.yaml")).unwrap();
        assert!(required.read().unwrap_err().to_string().contains("none.yaml: No such file"));
        assert_eq!(files.and(&required).paths().count(), 2);
    }

    #[test]
    fn what_cannot_be_read_is_said_and_not_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let mut files = Files::default();
        files.optional(dir.path());
        let file = dir.path().join("a.yaml");
        let error = || files.read_settled().unwrap_err().to_string();
        symlink("nowhere", &file).unwrap();
        assert!(error().contains("a.yaml: No such file"), "{}", error());
        fs::remove_file(&file).unwrap();
        symlink("a.yaml", &file).unwrap();
        assert!(error().contains("a.yaml: Too many levels"), "{}", error());
        fs::remove_file(&file).unwrap();
        fs::write(&file, b"\xff").unwrap();
        assert!(error().contains("valid UTF-8"), "{}", error());
        let mut gone = Files::default();
        gone.optional(&dir.path().join("link"));
        symlink("nowhere", dir.path().join("link")).unwrap();
        assert!(gone.read().is_err());
    }
}
