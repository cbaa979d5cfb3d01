//! Which runtimes are there, for `vedette doctor`: looks once, connects once, and changes nothing.

use std::os::unix::net::UnixStream;

use serde::Serialize;

use super::{Options, bundle::Template, storage::Storage};

/// A place where a runtime may tell of its containers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// What it is: `containerd`, `docker`, `bundles`, `storage`.
    pub what: &'static str,
    /// Where.
    pub path: String,
    /// `answers`, `there`, `absent`, or why it cannot be used.
    pub state: String,
}

/// Looks at every place.
#[must_use]
pub fn places(options: &Options) -> Vec<Place> {
    let socket = |what: &'static str, path: &std::path::PathBuf| {
        let state = match UnixStream::connect(path) {
            Ok(_) => "answers".to_owned(),
            Err(_) if !path.exists() => "absent".to_owned(),
            Err(error) => error.to_string(),
        };
        Place { what, path: path.display().to_string(), state }
    };
    let there = |what, path: String, is: bool| {
        let state = if is { "there" } else { "absent" };
        Place { what, path, state: state.to_owned() }
    };
    let mut places: Vec<_> = options.containerd.iter().map(|path| socket("containerd", path)).collect();
    places.extend(options.docker.iter().map(|path| socket("docker", path)));
    places.extend(options.bundles.iter().map(|text| match Template::parse(text) {
        Some(template) => there("bundles", text.clone(), template.is_there()),
        None => Place { what: "bundles", path: text.clone(), state: "has no {id}".to_owned() },
    }));
    places.extend(options.storage.iter().map(|root| {
        there("storage", root.display().to_string(), Storage::is_there(std::slice::from_ref(root)))
    }));
    places
}
