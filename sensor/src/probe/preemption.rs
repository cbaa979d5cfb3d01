//! Whether this kernel interrupts tasks within itself: then one can be interrupted in a program at the end of a function, and
//! the kernel leaves the same program out for whoever comes next on that processor. Up to Linux 6.19 tracepoints switch that off
//! for as long as their programs run. From 7.0 on they do not, and the one program behind all calls misses more than many at
//! their functions: 141 377 times and 49 257 in the same storm of opens on 7.2.
//!
//! It reads texts of the kernel and decides by them alone. Where they do not tell it takes the worse for true: a mode that costs
//! more is better than one that misses calls.

use std::{fs, sync::OnceLock};

use super::mount::Detached;

/// Where debugfs says it, from 5.12 on.
const MODEL: &str = "sched/preempt";

/// The first version whose programs at tracepoints can be interrupted, too.
const NO_BETTER: u32 = 7;

/// What the kernel says of itself.
#[derive(Clone, Debug, Default)]
struct Texts {
    /// The models that it can choose from, the one at work in parentheses.
    model: Option<String>,
    /// Its version, with the words that it was built with.
    version: String,
    /// The options that it was started with.
    options: String,
    /// What it was built with, line by line.
    config: Option<String>,
}

impl Texts {
    fn read() -> Self {
        let release = rustix::system::uname().release().to_string_lossy().into_owned();
        let configs = [format!("/boot/config-{release}"), format!("/lib/modules/{release}/config")];
        let read = |path: &str| fs::read_to_string(path).ok();
        let model = read(&format!("/sys/kernel/debug/{MODEL}"));
        Self {
            // Few containers have debugfs, and a mount that nobody sees harms nobody.
            model: model.or_else(|| Detached::mount("debugfs").ok()?.read(MODEL).ok()),
            version: read("/proc/version").unwrap_or_default(),
            options: read("/proc/cmdline").unwrap_or_default(),
            config: configs.iter().find_map(|path| read(path)),
        }
    }

    /// The first number of its version.
    fn major(&self) -> Option<u32> {
        self.version.strip_prefix("Linux version ")?.split_once('.')?.0.parse().ok()
    }

    /// Whether programs at tracepoints can be interrupted like any others.
    fn is_no_better(&self) -> bool {
        self.major().is_some_and(|major| major >= NO_BETTER)
    }

    /// Why programs at the ends of functions would miss calls that those at tracepoints would not; `None`: they would not.
    fn why(&self) -> Option<String> {
        if self.is_no_better() { None } else { self.preempts() }
    }

    /// Whether programs at tracepoints miss what happens while a task was interrupted in them.
    fn reaches_tracepoints(&self) -> bool {
        self.is_no_better() && self.preempts().is_some()
    }

    /// How it is known that this kernel interrupts tasks within itself; `None`: it does not.
    fn preempts(&self) -> Option<String> {
        let says = |what: &str| Some(format!("this kernel preempts itself ({what})"));
        if let Some(model) = self.model.as_deref().and_then(chosen) {
            return if is_patient(model) { None } else { says(model) };
        }
        let word = |wanted: &str| self.version.split_whitespace().any(|word| word == wanted);
        if let Some(word) = ["PREEMPT_RT", "PREEMPT_LAZY", "PREEMPT"].into_iter().find(|name| word(name)) {
            return says(word);
        }
        if self.version.is_empty() {
            return says("it does not say that it does not");
        }
        if !word("PREEMPT_DYNAMIC") {
            return None;
        }
        let option = self.options.split_whitespace().rev().find_map(|option| option.strip_prefix("preempt="));
        match option.or_else(|| self.configured()) {
            Some(model) if is_patient(model) => None,
            Some(model) => says(model),
            None => says("it can, and does not say that it does not"),
        }
    }

    /// The model that it was built to begin with.
    fn configured(&self) -> Option<&str> {
        let config = self.config.as_deref()?;
        let models = [
            ("CONFIG_PREEMPT_NONE=y", "none"),
            ("CONFIG_PREEMPT_VOLUNTARY=y", "voluntary"),
            ("CONFIG_PREEMPT_LAZY=y", "lazy"),
            ("CONFIG_PREEMPT=y", "full"),
        ];
        models
            .into_iter()
            .find_map(|(line, model)| config.lines().any(|found| found == line).then_some(model))
    }
}

/// The word in parentheses.
fn chosen(text: &str) -> Option<&str> {
    text.split_once('(')?.1.split_once(')').map(|(word, _)| word)
}

/// Whether a kernel of this model lets its tasks finish what they do in it.
fn is_patient(model: &str) -> bool {
    matches!(model, "none" | "voluntary")
}

/// Why programs at the ends of functions would miss calls on this kernel that those at tracepoints would not.
pub(super) fn why() -> Option<String> {
    texts().why()
}

/// Whether on this kernel programs at tracepoints miss what happens while a task was interrupted in them.
pub(super) fn reaches_tracepoints() -> bool {
    texts().reaches_tracepoints()
}

/// They are read once: later the sensor may no longer do what it takes to find them.
fn texts() -> &'static Texts {
    static TEXTS: OnceLock<Texts> = OnceLock::new();
    TEXTS.get_or_init(Texts::read)
}

#[cfg(test)]
mod tests {
    use super::Texts;

    const VERSION_6_12: &str =
        "Linux version 6.12.107 (gcc-14) #1 SMP PREEMPT_DYNAMIC Debian 6.12.107-1 (2026-08-29)";

    fn version(version: &str) -> Texts {
        Texts { version: version.to_owned(), ..Texts::default() }
    }

    fn dynamic(options: &str, config: Option<&str>) -> Texts {
        let config = config.map(str::to_owned);
        Texts { options: options.to_owned(), config, ..version(VERSION_6_12) }
    }

    #[test]
    fn what_debugfs_says_is_so() {
        let model = |model: &str| Texts { model: Some(model.to_owned()), ..version(VERSION_6_12) }.why();
        assert_eq!(model("none (voluntary) full \n"), None);
        assert_eq!(model("(none) voluntary full\n"), None);
        for (text, word) in [("full (lazy) \n", "lazy"), ("none voluntary (full)", "full"), ("(?)", "?")] {
            assert_eq!(model(text), Some(format!("this kernel preempts itself ({word})")));
        }
        // Not a text of this file: the others are asked.
        assert!(model("").unwrap().contains("does not say"));
    }

    #[test]
    fn without_debugfs_version_options_and_config_are_asked() {
        assert_eq!(version("Linux version 5.10.0-32 (gcc-10) #1 SMP Debian 5.10.223-1").why(), None);
        for word in ["PREEMPT", "PREEMPT_RT", "PREEMPT_LAZY"] {
            let text = format!("Linux version 6.6.1 (gcc) #1 SMP {word} Debian");
            assert_eq!(version(&text).why(), Some(format!("this kernel preempts itself ({word})")));
        }
        assert_eq!(dynamic("quiet preempt=voluntary", None).why(), None);
        assert_eq!(dynamic("preempt=full preempt=none", None).why(), None);
        assert!(dynamic("preempt=none preempt=full", None).why().unwrap().contains("(full)"));
        assert!(dynamic("preempt=lazy", Some("CONFIG_PREEMPT_NONE=y")).why().unwrap().contains("(lazy)"));
        let config = "CONFIG_PREEMPT_BUILD=y\n# CONFIG_PREEMPT_NONE is not set\nCONFIG_PREEMPT_VOLUNTARY=y\n";
        assert_eq!(dynamic("quiet", Some(config)).why(), None);
        let lazy = "CONFIG_PREEMPT_BUILD=y\n# CONFIG_PREEMPT is not set\nCONFIG_PREEMPT_LAZY=y\n";
        assert!(dynamic("quiet", Some(lazy)).why().unwrap().contains("(lazy)"));
    }

    #[test]
    fn tracepoints_that_are_no_better_are_not_preferred() {
        let lazy = |number: &str| {
            let text = format!("Linux version {number} (gcc) #1 SMP PREEMPT_DYNAMIC Debian");
            Texts { model: Some("full (lazy)".to_owned()), ..version(&text) }
        };
        let stands_in = |number| lazy(number).reaches_tracepoints();
        assert_eq!(["6.19.1", "7.0.1", "10.1"].map(stands_in), [false, true, true]);
        let patient = Texts { model: Some("(voluntary) full".to_owned()), ..lazy("7.0.1") };
        assert!(!patient.reaches_tracepoints());
        let lazy = |number| lazy(number).why();
        assert!(lazy("6.19.1").unwrap().contains("(lazy)"));
        assert_eq!((lazy("7.0.1"), lazy("7.2.13+deb14"), lazy("10.1")), (None, None, None));
    }

    #[test]
    fn what_cannot_be_known_is_taken_for_the_worse() {
        assert!(version("").why().is_some());
        assert!(dynamic("quiet", None).why().is_some());
        assert!(dynamic("quiet", Some("CONFIG_SMP=y")).why().is_some());
    }
}
