//! Defaults, file, environment, flags: what is read from where, in this order, and which of them each value comes from.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fmt, fs, io,
    path::{Path, PathBuf},
};

use serde_json::{Map, Value};

use super::{
    Config, ConfigError, DEFAULT_FILE, keys,
    near::{Wrong, nearest},
    place,
};

/// Environment variables of keys start with this; `kernel.ring_bytes` is `VEDETTE_KERNEL_RING_BYTES`.
const ENVIRONMENT: &str = "VEDETTE_";
/// Variables that start so and are no keys: of the log, and of those who develop the sensor.
const NO_KEYS: [&str; 4] = ["LOG", "BIN", "BPF_OBJECT", "PACKAGES"];

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A file, and the line in it where that is known.
    File(PathBuf, Option<usize>),
    /// A variable of the environment.
    Environment(String),
    /// `--set`.
    Set,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path, Some(line)) => write!(f, "{}:{line}", path.display()),
            Self::File(path, None) => write!(f, "{}", path.display()),
            Self::Environment(name) => write!(f, "{name}"),
            Self::Set => f.write_str("--set"),
        }
    }
}

/// A configuration, and where its values come from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The values.
    pub config: Config,
    /// By dotted key; those that are not here are the defaults.
    pub origins: BTreeMap<String, Origin>,
}

impl Loaded {
    /// Reads it: see [`Config::load`].
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn read(file: Option<&Path>, sets: &[String]) -> Result<Self, ConfigError> {
        let variables = env::vars_os().filter_map(|(name, value)| {
            let name = name.into_string().ok()?;
            name.starts_with(ENVIRONMENT).then_some((name, value.into_string()))
        });
        let mut environment = BTreeMap::new();
        for (name, value) in variables {
            let message = || "its value is no UTF-8".to_owned();
            let value = value.map_err(|_| ConfigError::Value { origin: name.clone(), message: message() })?;
            environment.insert(name, value);
        }
        Self::of(file, environment, sets)
    }

    /// The same with this environment.
    pub(super) fn of(
        file: Option<&Path>,
        environment: BTreeMap<String, String>,
        sets: &[String],
    ) -> Result<Self, ConfigError> {
        let mut loaded = Self { config: Config::default(), origins: BTreeMap::new() };
        loaded.take_file(file)?;
        loaded.take_environment(environment)?;
        for set in sets {
            let (key, value) = set.split_once('=').ok_or_else(|| ConfigError::Set(set.clone()))?;
            let value = loaded.scalar(key, value);
            loaded.take(nested(key, value), |_| Origin::Set, &format!("--set {key}"))?;
        }
        loaded.config.validate()?;
        Ok(loaded)
    }

    fn take_file(&mut self, file: Option<&Path>) -> Result<(), ConfigError> {
        let path = file.unwrap_or(Path::new(DEFAULT_FILE));
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if file.is_none() && error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(ConfigError::Read { path: path.to_owned(), error }),
        };
        let value: Option<Value> = serde_saphyr::from_str(&text)
            .map_err(|error| ConfigError::Syntax { path: path.to_owned(), message: error.to_string() })?;
        let lines = place::lines(&text);
        // The nearest key above has a line where the value itself has none.
        let line = |key: &str| {
            let mut names = std::iter::successors(Some(key), |key| Some(key.rsplit_once('.')?.0));
            names.find_map(|name| lines.get(name).copied())
        };
        let origin = |key: &str| Origin::File(path.to_owned(), line(key));
        self.take(value.unwrap_or_else(|| Value::Object(Map::new())), origin, "")
    }

    /// Variables of all keys that there are now: those of sinks come with the file. What starts like them and is none is an
    /// error, as far as it can be one: Kubernetes makes variables for each service, and secrets may be in others.
    fn take_environment(&mut self, mut environment: BTreeMap<String, String>) -> Result<(), ConfigError> {
        let mut known = keys("", &serde_json::to_value(&self.config).unwrap_or_default());
        // All sinks at once, whether there are some already or not.
        known.push("sinks".to_owned());
        known.dedup();
        let variable = |key: &String| format!("{ENVIRONMENT}{}", key.replace('.', "_").to_uppercase());
        let names: BTreeSet<String> = known.iter().map(variable).collect();
        for key in &known {
            let name = variable(key);
            if let Some(value) = environment.remove(&name) {
                let value = self.scalar(key, &value);
                self.take(nested(key, value), |_| Origin::Environment(name.clone()), &name)?;
            }
        }
        let secrets = secrets(&serde_json::to_value(&self.config).unwrap_or_default());
        for name in environment.into_keys() {
            let rest = name.strip_prefix(ENVIRONMENT).unwrap_or_default();
            let no_key = NO_KEYS.iter().any(|no_key| rest == *no_key || rest.starts_with("TEST_"));
            if no_key || is_service(rest) || secrets.contains(&name) {
                continue;
            }
            let near = nearest(&name, names.iter().map(String::as_str));
            let near = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
            return Err(ConfigError::Value {
                origin: name,
                message: format!("no key has this variable{near}"),
            });
        }
        Ok(())
    }

    /// A value from a flag or a variable: JSON where it is that, else text. Where there is a text now, a number is one, too: a
    /// machine can be called 1001.
    fn scalar(&self, key: &str, text: &str) -> Value {
        let as_text = || Value::String(text.to_owned());
        let value = serde_json::from_str(text).unwrap_or_else(|_| as_text());
        let all = serde_json::to_value(&self.config).unwrap_or_default();
        let there = all.pointer(&format!("/{}", key.replace('.', "/")));
        if there.is_some_and(Value::is_string) && !value.is_string() { as_text() } else { value }
    }

    /// Takes values over. `said`: what an error begins with; empty: the origin of the value that is wrong.
    fn take(
        &mut self,
        change: Value,
        origin: impl Fn(&str) -> Origin,
        said: &str,
    ) -> Result<(), ConfigError> {
        let wrong = |path: &str, error: &serde_json::Error| {
            let Wrong { key, message } = Wrong::new(path, error);
            let named = message.contains(&key) || said.ends_with(&key);
            let message = if named { message } else { format!("{key}: {message}") };
            let origin = if said.is_empty() { origin(&key).to_string() } else { said.to_owned() };
            ConfigError::Value { origin, message }
        };
        let mut value = serde_json::to_value(&self.config).map_err(|error| wrong(".", &error))?;
        // A list is not taken for the values of a mapping in their order, as serde would.
        if let Some(key) = list_for_mapping("", &value, &change) {
            let origin = if said.is_empty() { origin(&key).to_string() } else { said.to_owned() };
            let of = if key.is_empty() { key } else { format!("{key}: ") };
            return Err(ConfigError::Value {
                origin,
                message: format!("{of}a mapping is expected here, not a list"),
            });
        }
        let taken = keys("", &change);
        merge(&mut value, change);
        self.config = serde_path_to_error::deserialize(value)
            .map_err(|error| wrong(&error.path().to_string(), error.inner()))?;
        self.origins.extend(taken.into_iter().map(|key| (key.clone(), origin(&key))));
        Ok(())
    }
}

/// Names of variables in which the configuration says that a secret is.
fn secrets(value: &Value) -> BTreeSet<String> {
    match value {
        Value::Object(map) => {
            let own = map.get("env").and_then(Value::as_str).filter(|_| map.len() == 1).map(str::to_owned);
            map.values().flat_map(secrets).chain(own).collect()
        }
        Value::Array(list) => list.iter().flat_map(secrets).collect(),
        _ => BTreeSet::new(),
    }
}

/// Whether Kubernetes makes such a variable for a service whose name begins with the sensor's.
fn is_service(name: &str) -> bool {
    let name = format!("_{name}_");
    ["_SERVICE_HOST_", "_SERVICE_PORT_", "_PORT_"].iter().any(|part| name.contains(part))
}

/// The first key at which there is a mapping and `change` has a list.
fn list_for_mapping(key: &str, there: &Value, change: &Value) -> Option<String> {
    match (there, change) {
        (Value::Object(_), Value::Array(_)) => Some(key.to_owned()),
        (Value::Object(there), Value::Object(change)) => change.iter().find_map(|(name, change)| {
            let key = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
            list_for_mapping(&key, there.get(name)?, change)
        }),
        _ => None,
    }
}

/// Objects are merged, everything else is replaced.
fn merge(into: &mut Value, change: Value) {
    match (into, change) {
        (Value::Object(into), Value::Object(change)) => {
            for (key, value) in change {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, change) => *into = change,
    }
}

fn nested(key: &str, value: Value) -> Value {
    key.rsplit('.').fold(value, |value, part| Value::Object(Map::from_iter([(part.to_owned(), value)])))
}

#[cfg(test)]
mod tests;
